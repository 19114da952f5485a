"""Others touch, copy, link, replace and move files and folders while the outbox drains; both guarantees, Redis off, killed, on (fault 25)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import others
from world import FULL, harness, signal, time

GUARANTEES, REDIS = ("exactly_once", "at_least_once"), ("off", "killed", "on")
TRIALS = (6, 240)  # each of one guarantee and one Redis
DEEDS = others.METADATA + others.SAME_BYTES + others.FOLDERS + others.LOOKING
BACKLOG, SECONDS, RATE = (5000, 20, 250) if FULL else (400, 4, 150)


def run(row):
    row.each(trial, at_once=2)


def trial(t):
    guarantee, kind = GUARANTEES[t.number % 2], REDIS[t.number // 2 % 3]
    server = harness.Redis().start() if kind != "off" else None
    try:
        world = t.world(redis=server.url if server else "off", guarantee=guarantee, options={
            "batch.max_events": t.rng.choice((20, 300, 5000)), "outbox.settle": "500ms", "outbox.sent": t.rng.choice(("delete", "delete", "keep"))})
        drain(t, world, guarantee, server if kind == "killed" else None, kind == "on")
    finally:
        if server:
            server.close()


def deeds_of(t):
    """Some trials try one thing at a time, so that what goes wrong has one cause."""
    named = os.environ.get("BUSBRIDGE_DEEDS")
    known = named.split(",") if named else DEEDS
    return known if t.rng.random() < 0.4 else t.rng.sample(known, t.rng.randrange(1, min(4, len(known)) + 1))


def drain(t, world, guarantee, victim, ids_once):
    """A backlog and what is written meanwhile. Only exactly_once is killed: there a kill doubles nothing either."""
    deeds, keys, poison = deeds_of(t), t.rng.choice((3, 50)), t.rng.choice((0, 0.02))
    (world.outbox / "pending").mkdir()
    writer = world.writer(keys=keys, seed=t.number)
    for n in range(BACKLOG):
        writer.write()
    world.produce(rate=RATE, keys=keys, seed=t.number + 1, poison=poison, twins=0.01, latest=t.rng.choice((0, 0.2)), first=BACKLOG)
    writer.close()
    worker, hands = world.worker(), start_others(t, world, deeds)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(t.rng.uniform(0.05, 0.6))
        worker = trouble(t, world, worker, guarantee, victim)
    hands.stdin.close()
    t.check("I8", hands.wait(60) == 0, "the others failed")
    world.stop_producing()
    harness.wait_until(lambda: not world.pending() or not worker.running(), 60, f"everything is relayed, {deeds}")
    t.check("I9", worker.running() and worker.stop() == 0, f"the worker ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    letters_come_back(world)
    world.settle()
    before = len(t.judgement.faults)
    t.judge(world, ids_once=ids_once, killed=False, unordered=touched(t, world))
    if len(t.judgement.faults) > before:
        print(f"  trial {t.number}: {guarantee}, {world.options['redis.url']}, {deeds}, batch {world.options['batch.max_events']}, "
              f"sent {world.options['outbox.sent']}", flush=True)


def start_others(t, world, deeds):
    aside = world.dir / "aside"
    aside.mkdir()
    return subprocess.Popen([sys.executable, str(Path(others.__file__)), str(world.outbox), str(aside), str(world.dir / "said"), "--deeds", ",".join(deeds),
                             "--seed", str(t.number), "--pause", str(t.rng.choice((0.001, 0.02, 0.1)))], stdin=subprocess.PIPE)


def trouble(t, world, worker, guarantee, victim):
    """The worker stands still where it happens to be, which widens every gap between a look and a deed; or it is killed."""
    dice = t.rng.random()
    if dice < 0.6:
        worker.signal(signal.SIGSTOP)
        time.sleep(t.rng.uniform(0.01, 0.1))
        worker.signal(signal.SIGCONT)
    elif dice < 0.75 and guarantee == "exactly_once":
        worker.kill()
        t.check("I8", worker.process.returncode == -9, f"it had ended by itself with {worker.process.returncode}: {worker.stderr()[-1500:]}")
        return world.worker()
    elif dice < 0.9 and victim:
        victim.kill()
        time.sleep(t.rng.uniform(0, 0.3))
        victim.start()
    return worker


def letters_come_back(world):
    """What was moved away with dlq/ is counted with the rest."""
    dlq = world.outbox / "dlq"
    dlq.mkdir(exist_ok=True)
    for folder in sorted((world.dir / "aside").glob("dlq-*")):
        for path in sorted(folder.iterdir()):
            target = dlq / path.name
            if target.exists():
                target = dlq / f"{path.stem}__{folder.name.rsplit('-', 1)[1]}{path.suffix}"
            path.rename(target)


def touched(t, world):
    """Ids whose place in the order others changed."""
    lines = [json.loads(line) for line in (world.dir / "said").read_text().splitlines()]
    t.row.notes.update(lines[-1]["counts"])
    files = {line["file"] for line in lines[:-1]}
    return {e["id"] for e in map(json.loads, world.list.read_text().splitlines()) if e["do"] == "attempt" and e["file"] in files}
