"""kill -9 at random while events flow; many kills an outbox, then everything must be there once (fault 1)."""

from world import time

TRIALS = (30, 1000)
STORES = {"sqlite": (10, 500), "postgres": (10, 1000)}  # the same of other kinds of outbox
KILLS = 100  # an outbox


def run(row):
    kills, row.trials = row.trials, -(-row.trials // KILLS)
    redis = row.redis()
    row.each(lambda t: trial(t, redis, min(KILLS, kills - (t.number - row.first) * KILLS)))


def trial(t, redis, kills):
    """Half of the outboxes go without Redis: the ledger alone must do."""
    rng = t.rng
    world = t.world(redis=rng.choice(("off", redis.url)), options={"batch.max_events": rng.choice((3, 40, 5000))})
    world.produce(rate=rng.choice((50, 150, 400)), keys=rng.choice((2, 20)), seed=t.number, poison=rng.choice((0, 0.02)),
                  twins=rng.choice((0, 0.02)))
    for _ in range(kills):
        worker = world.worker()
        time.sleep(rng.uniform(0.02, 0.4) if rng.random() < 0.3 else rng.uniform(0.4, 1.4))
        worker.kill()
        ended = worker.process.returncode
        if ended == 1 and world.store.locked(worker):
            t.row.note("starts locked out by the producer")
        else:
            t.check("I8", ended == -9, f"it had ended by itself with {ended}: {worker.stderr()[-1500:]}")
    t.tries = kills
    world.stop_producing()
    began = time.monotonic()
    world.settle()
    t.took(began, f"the recovery after {kills} kills")
    t.judge(world)
