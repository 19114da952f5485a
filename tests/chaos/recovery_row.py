"""A second and a third kill while the first is being recovered from, by time or at a numbered point (fault 3)."""

from world import time

TRIALS = (12, 300)
STORES = {"sqlite": (3, 300), "postgres": (3, 300)}  # the same of other kinds of outbox
CRASHED = 137


def run(row):
    redis = row.redis()
    row.each(lambda t: trial(t, redis), at_once=3)


def kill(t, world, longest):
    """After some time, or before or after one of the points that a run comes by."""
    if t.rng.random() < 0.5:
        worker = world.worker()
        time.sleep(t.rng.uniform(0.01, longest))
        return worker.kill()
    mark = f"{t.rng.randrange(1, 120)}{t.rng.choice(('', '+'))}"
    return world.once(env={"BUSBRIDGE_CRASH_AT": mark}).status


def trial(t, redis):
    world = t.world(redis=t.rng.choice(("off", redis.url)), options={"batch.max_events": t.rng.choice((7, 5000))})
    writer = world.writer(keys=4, seed=t.number)
    last = None
    for _ in range(60):
        kind = t.rng.choices(("good", "refused", "mismatch"), (40, 1, 1))[0]
        last = writer.write(twin_of=last if last and last["kind"] == "good" and t.rng.random() < 0.05 else None, kind=kind) \
            if kind == "good" else writer.write(kind)
    kill(t, world, 1.0)
    for _ in range(t.rng.choice((2, 3))):
        if t.rng.random() < 0.5:
            writer.write()
        kill(t, world, 0.6)
    writer.close()
    began = time.monotonic()
    world.settle()
    t.took(began, "the recovery")
    t.judge(world)
