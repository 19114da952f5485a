"""SIGSTOP beyond the transaction's timeout, alone or with a successor that takes the lock over (fault 4)."""

from world import exactly_once, harness, signal, stopped_by_signal, time

TRIALS = (6, 150)  # two of three with a successor
STORES = {"sqlite": (3, 100), "postgres": (3, 100)}  # the same of other kinds of outbox
TIMEOUT = 5.0
SHORT = {"kafka.transaction.timeout.ms": int(TIMEOUT * 1000), "kafka.message.timeout.ms": 4500, "kafka.socket.timeout.ms": 4000}


def run(row):
    row.each(lambda t: trial(t), at_once=6)


def stopped_worker(t, world):
    """A worker that stops by itself at a numbered point, or is stopped at some moment (or where that point has no half after it, because
    the call failed and its thread makes no other), while events flow."""
    at_point = t.rng.random() < 0.6
    env = {"BUSBRIDGE_STOP_AT": f"{t.rng.randrange(25, 400)}{t.rng.choice(('', '+'))}"} if at_point else {}
    worker = world.worker(env=env)
    harness.wait_until(lambda: worker.logs("started") or stopped_by_signal(worker.pid) or not worker.running(), what="it has the outbox")
    if at_point:
        try:
            harness.wait_until(lambda: stopped_by_signal(worker.pid) or not worker.running(), 60)
        except AssertionError:
            t.row.note("points not reached")
            worker.signal(signal.SIGSTOP)
        t.check("I9", worker.running(), f"it ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    else:
        time.sleep(t.rng.uniform(0.3, 2.5))
        worker.signal(signal.SIGSTOP)
    return worker


def trial(t):
    world = t.world(options={"batch.max_events": t.rng.choice((5, 5000)), **(SHORT if exactly_once() else {})})
    world.produce(rate=80, keys=3, seed=t.number, poison=t.rng.choice((0, 0.02)))
    worker = stopped_worker(t, world)
    if not worker.running():
        return
    if t.number % 3 == 0:
        alone(t, world, worker)
    else:
        succeeded(t, world, worker)
    t.judge(world)


def alone(t, world, worker):
    """It slept longer than its transaction may last: fenced by nobody, it goes on."""
    time.sleep(1.5 * TIMEOUT if exactly_once() else 2)
    worker.signal(signal.SIGCONT)
    began = time.monotonic()
    world.stop_producing()
    harness.wait_until(lambda: not world.pending() or not worker.running(), what="the worker that was stopped goes on")
    t.took(began, "going on after SIGSTOP")
    t.check("I9", worker.running() and worker.stop() == 0, f"it ended with {worker.process.returncode}: {worker.stderr()[-2000:]}")


def begun(world, successor):
    """It has the outbox, or ended. Where the old one stopped within a transaction of SQLite, nobody else could begin one until it woke: then another is
    started."""
    harness.wait_until(lambda: successor.logs("started") or not successor.running(), what="the successor begins")
    return begun(world, world.worker()) if not successor.running() and world.store.locked(successor) else successor


def succeeded(t, world, worker):
    """The successor has all there is, or has just begun, when the old one wakes: that one must end and touch nothing."""
    world.replace_lock()
    successor = world.worker()
    if t.row.store == "postgres":  # until then a lease that has run out is still its owner's to renew
        harness.wait_until(lambda: successor.logs("started") or not successor.running(), what="the successor has it")
    time.sleep(t.rng.choice((0.05, 0.5, 1.5, 1.5 * TIMEOUT)))
    worker.signal(signal.SIGCONT)
    woke = time.monotonic()
    successor = begun(world, successor)
    if exactly_once():
        harness.wait_until(lambda: not worker.running(), what="the worker that lost its lock ends")
        t.took(woke, "the end of the one that lost its lock")
        t.check("I5", worker.process.returncode not in (0, None), f"the one that lost its lock ended with {worker.process.returncode}")
        t.check("I8", worker.process.returncode > 0, f"the one that lost its lock ended by a signal: {worker.process.returncode}")
    else:
        time.sleep(2)
        worker.kill()
    world.stop_producing()
    harness.wait_until(lambda: not world.pending() or not successor.running(), what="the successor goes on")
    t.took(woke, "going on beside a zombie")
    if not t.check("I9", successor.running(), f"the successor ended with {successor.process.returncode}: {successor.stderr()[-2000:]}"):
        return
    t.check("I9", successor.stop() == 0, f"the successor ended with {successor.process.returncode}")


