"""The broker hangs again and again, then for longer: nothing is dead, nothing charged, nothing lost (fault 7)."""

from world import FULL, harness, time

TRIALS = (1, 1)
OWN_BROKER = True
FLAPS, AWAY, LONG = (60, 20, 900) if FULL else (2, 2, 5)


def run(row):
    broker = row.broker()
    row.each(lambda t: trial(t, broker))


def trial(t, broker):
    """It is stopped, not killed: connections stay and answer nothing, the worst kind of away."""
    world = t.world()
    world.produce(rate=20, keys=5, seed=t.number)
    worker = world.worker()
    time.sleep(1)
    for seconds in [AWAY] * FLAPS + [LONG]:
        broker.suspend()
        time.sleep(seconds)
        broker.resume()
        time.sleep(t.rng.uniform(0.2, 2.0))
    began = time.monotonic()
    world.stop_producing()
    harness.wait_until(lambda: not world.pending() or not worker.running(), what="the backlog is relayed")
    t.took(began, "going on after the last outage")
    t.tries = FLAPS + 1
    t.check("I9", worker.running() and worker.stop() == 0, f"the worker ended with {worker.process.returncode}: {worker.stderr()[-2000:]}")
    t.check("I7", not list((world.outbox / "dlq").glob("*.json")), "an outage made dead letters")
    t.judge(world)
