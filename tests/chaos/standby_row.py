"""A standby takes the outbox over, again and again, however its owner ends: killed, told to stop, stopped and then killed (fault 5)."""

from world import harness, signal, time

TRIALS = (10, 200)
TAKEN = 20  # take-overs an outbox


def run(row):
    taken, row.trials = row.trials, -(-row.trials // TAKEN)
    row.each(lambda t: trial(t, min(TAKEN, taken - (t.number - row.first) * TAKEN)), at_once=2)


def trial(t, taken):
    rng = t.rng
    world = t.world(options={"batch.max_events": rng.choice((3, 40, 5000)), "standby": "true"})
    world.produce(rate=rng.choice((50, 150, 400)), keys=rng.choice((2, 20)), seed=t.number, poison=rng.choice((0, 0.02)))
    owner = world.worker()
    harness.wait_until(lambda: owner.logs("started"), what="the first has started")
    for _ in range(taken):
        standbys = [world.worker() for _ in range(rng.choice((1, 1, 2)))]
        if rng.random() < 0.8:
            harness.wait_until(lambda s=standbys: all(w.logs("standby") for w in s), what="it waits")
        time.sleep(rng.uniform(0, 0.6))
        end(t, owner)
        began = time.monotonic()
        owner = harness.wait_until(lambda s=standbys: next((w for w in s if w.logs("started")), None), what="one takes over")
        t.took(began, "taking over")
        for other in standbys:
            if other is not owner:
                t.check("I5", other.running() and not other.logs("started"), f"two took over: {other.stderr()[-500:]}")
                t.check("I5", other.stop() == 0, f"the standby ended with {other.process.returncode}: {other.stderr()[-1500:]}")
    t.tries = taken
    world.stop_producing()
    harness.wait_until(lambda: not world.pending() or not owner.running(), what="the last goes on")
    t.check("I9", owner.running() and owner.stop() == 0, f"the last ended with {owner.process.returncode}: {owner.stderr()[-1500:]}")
    world.options["standby"] = "false"
    world.settle()
    t.judge(world)


def end(t, owner):
    """As owners end. A paused one keeps the outbox, so it is killed while it is paused."""
    how = t.rng.choice(("kill", "kill", "stop", "pause"))
    t.row.note({"kill": "killed", "stop": "told to stop", "pause": "paused, then killed"}[how])
    if how == "stop":
        t.check("I9", owner.stop() == 0, f"the owner ended with {owner.process.returncode}: {owner.stderr()[-1500:]}")
        return
    if how == "pause":
        owner.signal(signal.SIGSTOP)
        time.sleep(t.rng.uniform(0, 0.5))
    owner.process.kill()
    owner.process.wait()
    t.check("I8", owner.process.returncode == -9, f"it had ended by itself with {owner.process.returncode}: {owner.stderr()[-1500:]}")
