"""The broker is killed, or restarted cleanly, while events flow; nobody restarts the worker (fault 6)."""

from world import harness, time

TRIALS = (2, 100)
RESTARTS = 10  # an outbox
OWN_BROKER = True


def run(row):
    broker = row.broker()
    restarts, row.trials = row.trials, -(-row.trials // RESTARTS)
    row.each(lambda t: trial(t, broker, min(RESTARTS, restarts - (t.number - row.first) * RESTARTS)))


def trial(t, broker, restarts):
    """Nothing but what the broker refuses may be dead or charged: judge() looks at both."""
    world = t.world(options={"batch.max_events": t.rng.choice((20, 5000))})
    world.produce(rate=60, keys=5, seed=t.number, poison=0.005)
    worker = world.worker()
    for number in range(restarts):
        time.sleep(t.rng.uniform(0.3, 2.0))
        if (number + t.number) % 2:
            broker.stop()
        else:
            broker.kill9()
        time.sleep(t.rng.choice((0, 1.0)))
        broker.start()
        began = time.monotonic()
        known = set(world.pending())
        harness.wait_until(lambda: not known & set(world.pending()) or not worker.running(), what="the backlog is relayed")
        t.took(began, "going on after the broker")  # a killed single node: 13 to 17 s by itself
        if not t.check("I9", worker.running(), f"the worker ended with {worker.process.returncode}: {worker.stderr()[-2000:]}"):
            break
    t.tries = restarts
    world.stop_producing()
    t.check("I9", not worker.running() or worker.stop() == 0, "the worker did not stop well")
    world.settle()
    t.judge(world)
