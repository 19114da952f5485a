"""Poison at each place of a batch: unreadable, unfit, refused by the broker for good or for a while, crashing (fault 18)."""

import os

from world import harness, kafka_wire, time

BATCH = 20
TRIALS = (16, 160)
CRASHES = (("reader", "segv"), ("reader", "abort"), ("publisher", "segv"), ("publisher", "abort"))


def run(row):
    redis = row.redis()
    row.each(lambda t: trial(t, redis), at_once=4)


def trial(t, redis):
    number, kind = divmod(t.number, 8)
    kind = int(os.environ.get("BUSBRIDGE_POISON_KIND") or kind)  # 0 to 5: a culprit, 6: for a while, 7: crashing
    if kind == 7:
        crasher(t, number)
    elif kind == 6:
        patient(t)
    else:
        culprit(t, redis, 6 * number + kind)


def culprit(t, redis, number):
    """Only the culprit is dead, its key's later events come in order, the rest is there once; sometimes with a kill in between."""
    world = t.world(redis=t.rng.choice(("off", redis.url)), options={"batch.max_events": t.rng.choice((5, 5000))})
    writer = world.writer(keys=t.rng.choice((1, 3)), seed=t.number)
    kind = t.rng.choice(("mismatch", "garbage", "refused", "refused", "refused"))
    for place in range(BATCH):
        writer.write(kind if place == number % BATCH else "good")
    live = t.rng.random() < 0.5
    if live:
        worker = world.worker()
        for _ in range(10):
            writer.write()
            time.sleep(t.rng.uniform(0, 0.05))
        harness.wait_until(lambda: not world.pending() or not worker.running(), what="all but the poison is relayed")
        if t.rng.random() < 0.3:
            worker.kill()
        else:
            t.check("I9", worker.running() and worker.stop() == 0, f"the worker ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    writer.close()
    world.settle()
    t.judge(world)
    t.check("I5", t.judgement.figures["dead"] == 1, f"{t.judgement.figures['dead']} dead letters, not the one poison")


def patient(t):
    """Refused until the topic takes records of that size: later events of its key wait for it, the others do not."""
    world = t.world(options={"dlq.max_attempts": 1000})
    writer = world.writer(keys=2, seed=t.number)
    place = t.rng.randrange(BATCH)
    for at in range(BATCH):
        writer.write("large" if at == place else "good")
    worker = world.worker()
    for _ in range(10):
        writer.write()
        time.sleep(t.rng.uniform(0, 0.05))
    harness.wait_until(lambda: worker.logs("event_refused") or not worker.running(), what="it is refused")
    if t.rng.random() < 0.4:
        worker.kill()
        worker = world.worker()
    for name in world.topics.names:
        kafka_wire.set_topic(world.topics.bootstrap, name, "max.message.bytes", 1000000)
    for _ in range(10):
        writer.write()
        time.sleep(t.rng.uniform(0, 0.05))
    writer.close()
    harness.wait_until(lambda: not world.pending() or not worker.running(), what="all is relayed when the topic takes it")
    t.check("I9", worker.running() and worker.stop() == 0, f"the worker ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    t.judge(world)


def crasher(t, number):
    """It may end the process once, then once more alone; then it is dead, for a reason of its own. kill -9 never counts."""
    slot, how = CRASHES[number % len(CRASHES)]
    world = t.world()
    writer = world.writer(keys=3, seed=t.number)
    place = t.rng.randrange(BATCH)
    written = [writer.write("crasher" if at == place else "good") for at in range(BATCH)]
    writer.close()
    env = {"BUSBRIDGE_POISON": f"{written[place]['file']}:{slot}:{how}"}
    for _ in range(t.rng.randrange(3)):
        worker = world.worker()
        time.sleep(t.rng.uniform(0, 0.15))
        worker.kill()
        t.check("I3", not list((world.outbox / "dlq").glob("*.json")), "kill -9 made a dead letter")
    ends = []
    for _ in range(6):
        ends.append(world.once(env=env).status)
        if ends[-1] >= 0 and not world.pending():
            break
    wanted = [-11 if how == "segv" else -6] * 2 + [0]
    t.check("I7", ends == wanted, f"{slot} {how}: the runs ended with {ends}, not {wanted}")
    letters = letters_of(world)
    t.check("I3", [c.get("reason") for c in letters] == ["crashes_worker"], f"dead letters: {letters}")
    world.forget_programs()
    t.judge(world)


def letters_of(world):
    return list(world.case().letters.values())
