"""Replay with kills, twice in parallel, of a selection that is cut, and of what was published: once, unless --force says otherwise (fault 19)."""

import json
import shutil

import oracle
from world import harness, time

TRIALS = (12, 600)
STORES = {"sqlite": (6, 300), "postgres": (6, 300)}  # the same of other kinds of outbox


def run(row):
    redis = row.redis()
    kinds = (killed, parallel, selection) + ((published,) if row.store == "file" else ())  # a copy of a letter can be laid beside files alone
    row.each(lambda t: kinds[t.number % len(kinds)](t, redis), at_once=3)


def dead_letters(t, world):
    """Events that are dead for a cause that goes away: their namespace was not allowed. Their ids, and the writer."""
    writer = world.writer(keys=3, seed=t.number)
    for _ in range(10):
        writer.write(ns="plot")
    ids = [writer.write(ns="episode")["id"] for _ in range(t.rng.randrange(3, 12))]
    status = world.once(options={"routing.namespaces": "plot"}).status
    t.check("I9", status == 0, f"--once ended with {status}")
    world.forget_programs()
    found = set(letters(world))
    t.check("I5", found == set(ids), f"dead letters {sorted(found)}, not {ids}")
    world.replayed = set(ids)  # their order is that of the replay
    return ids, writer


def letters(world):
    """Ids of the dead letters."""
    return [oracle.name_of(*letter) for letter in world.store.letters().items()]


def finish(t, world, ids, most=1):
    """All are published, each as often as it may be."""
    world.settle()
    case = world.case()
    wrong = {i: case.committed[i] for i in ids if not 1 <= case.committed[i] <= most}
    t.check("I2" if any(wrong.values()) else "I1", not wrong, f"replayed ids and how often they are committed: {wrong}")
    t.judge(world)


def killed(t, redis):
    """The command is killed at random or crashes at a point, or the worker is killed under it; then it is given again."""
    world = t.world(redis=t.rng.choice(("off", redis.url)))
    ids, writer = dead_letters(t, world)
    worker = world.worker() if t.rng.random() < 0.5 else None
    for _ in range(3):
        writer.write()
    if t.rng.random() < 0.5:
        env = {"BUSBRIDGE_CRASH_AT": f"{t.rng.randrange(1, 40)}{t.rng.choice(('', '+'))}"}
        world.cli("replay", *ids, env=env)
    else:
        command = world.start("busbridge", "replay", *ids)
        time.sleep(t.rng.uniform(0, 0.06))
        (worker if worker and t.rng.random() < 0.5 else command).kill()
        command.wait()
    if worker and t.rng.random() < 0.5:
        worker.kill()
    if worker:
        worker.kill()
    writer.close()
    for _ in range(3):  # a move that was cut in the middle may be finished in the other direction
        left = letters(world)
        if left:
            world.cli("replay", *left)
        world.settle()
    t.check("I9", not letters(world), f"replay does not finish: {world.programs[-1].stderr()[-500:]}")
    finish(t, world, ids)


def selection(t, redis):
    """A selection of all is cut again and again, at a durable call of the command or of the worker, or by kill -9, and gone on with."""
    world = t.world(redis=t.rng.choice(("off", redis.url)))
    ids, writer = dead_letters(t, world)
    writer.close()
    for _ in range(3):
        crash = {"BUSBRIDGE_CRASH_AT": f"{t.rng.randrange(1, 120)}{t.rng.choice(('', '+'))}"}
        worker = world.worker(env=crash if t.rng.random() < 0.5 else None) if t.rng.random() < 0.5 else None
        command = world.start("busbridge", "replay", *go_on(world), env=None if worker else crash)
        if t.rng.random() < 0.5:
            time.sleep(t.rng.uniform(0, 0.1))
            (worker if worker and t.rng.random() < 0.5 else command).kill()
        command.wait(120)
        if worker:
            worker.kill()
    world.settle()
    for _ in range(20):  # a move that was cut in the middle may be finished in the other direction
        if not world.store.selections() and not letters(world):
            break
        world.cli("replay", *go_on(world))
        world.settle()
    left, begun = letters(world), world.store.selections()
    t.check("I9", not left and not begun, f"a selection does not finish: {left} {begun} {world.programs[-2].stderr()[-500:]}")
    finish(t, world, ids)


def go_on(world):
    begun = world.store.selections()
    return ("--resume", begun[0]) if begun else ("--all",)


def parallel(t, redis):
    """Two commands for the same ids at the same time."""
    world = t.world(redis=t.rng.choice(("off", redis.url)))
    ids, writer = dead_letters(t, world)
    writer.close()
    worker = world.worker() if t.rng.random() < 0.7 else None
    if worker:
        harness.wait_until(lambda: worker.logs("started"))
    commands = [world.start("busbridge", "replay", *ids) for _ in range(2)]
    for command in commands:
        command.wait(harness.PATIENCE)
    if worker:
        harness.wait_until(lambda: not world.pending() or not worker.running())
        worker.stop()
    left = letters(world)
    if left:  # neither had them: the lock was the other's
        world.cli("replay", *left)
    finish(t, world, ids)


def published(t, redis):
    """A dead letter whose id is in Kafka already: refused, or dropped as a duplicate; with --force it is published again."""
    world = t.world(redis=redis.url)
    ids, writer = dead_letters(t, world)
    writer.close()
    id, copy = ids[0], world.dir / "copy.json"
    letter = world.outbox / "dlq" / f"{id}.json"
    shutil.copy(letter, copy)
    world.cli("replay", *ids)
    world.settle()
    text = json.loads(copy.read_text())
    text["storage_key"] = f"{id}__1"
    (world.outbox / "dlq" / f"{id}__1.json").write_text(json.dumps(text, ensure_ascii=False))
    force = t.rng.random() < 0.5
    worker = world.worker() if t.rng.random() < 0.5 else None
    if worker:
        harness.wait_until(lambda: worker.logs("started"))
    command = world.cli("replay", *(["--force"] if force else []), f"{id}__1")
    if worker:
        harness.wait_until(lambda: not world.pending() or not worker.running())
        worker.stop()
    if force:
        t.check("I5", command.status == 0, f"replay --force ended with {command.status}: {command.stderr()[-500:]}")
    else:
        for path in (world.outbox / "dlq").glob("*.json"):  # refused: it stays where it was
            path.unlink()
    world.settle()
    case = world.case()
    wanted = 2 if force else 1
    t.check("I2", case.committed[id] == wanted, f"{id} is committed {case.committed[id]} times, not {wanted}, with force={force}")
    finish(t, world, ids, wanted)
