"""Two workers on one outbox; a copy of an outbox with the same identity (fault 5)."""

import oracle
from world import World, exactly_once, harness, time

TRIALS = (6, 100)
STORES = {"sqlite": (2, 100)}  # the same of other kinds of outbox
BUSY = 75


def run(row):
    row.each(trial, at_once=3)


def trial(t):
    if t.number % 2 and exactly_once():
        copied(t)
    else:
        second(t)


def second(t):
    """The first keeps the outbox; the other says who has it and exits 75."""
    world = t.world()
    world.produce(rate=150, keys=3, seed=t.number)
    first = world.worker()
    harness.wait_until(lambda: first.logs("started"), what="the first has started")
    time.sleep(t.rng.uniform(0, 0.5))
    other = world.once()
    t.check("I5", other.status == BUSY, f"the second worker ended with {other.status}: {other.stderr()[-500:]}")
    t.check("I5", "worker" in other.stderr(), f"the second does not say why: {other.stderr()[-500:]}")
    world.stop_producing()
    harness.wait_until(lambda: not world.pending() or not first.running(), what="the first goes on")
    t.check("I9", first.running() and first.stop() == 0, f"the first ended with {first.process.returncode}: {first.stderr()[-1500:]}")
    t.judge(world)


def copied(t):
    """Both copies name the same transactional id. At most one goes on; no event of either is lost, nor published twice."""
    world = t.world(options={"batch.max_events": t.rng.choice((5, 5000))})
    world.produce(rate=100, keys=3, seed=t.number)
    first = world.worker()
    harness.wait_until(lambda: first.logs("started"), what="the outbox has its identity")
    time.sleep(t.rng.uniform(0.5, 1.5))
    if t.rng.random() < 0.5:
        first.stop()
    copy = World(t.topics)
    t.worlds.append(copy)
    world_list = world.list
    world.store.copy_to(copy.store)
    other = copy.worker()
    if not first.running():
        time.sleep(t.rng.uniform(0, 0.5))
        first = world.worker()
    began = time.monotonic()
    harness.wait_until(lambda: not (first.running() and other.running()), what="one of two workers with one identity gives up")
    t.took(began, "giving up")
    world.stop_producing()
    loser = other if first.running() else first
    t.check("I5", loser.process.returncode > 0, f"the loser ended with {loser.process.returncode}")
    t.check("I5", "busbridge" in loser.stderr(), f"the loser does not name the command: {loser.stderr()[-500:]}")
    time.sleep(0.5)
    for program in (first, other):
        if program.running():
            harness.wait_until(lambda p=program: not (world if p is first else copy).pending() or not p.running(), what="the winner goes on")
            program.stop()
    judge_copies(t, world, copy, world_list)


def judge_copies(t, world, copy, listed):
    """An id may lie in both; each is published at most once, and one that was accepted is published or lies in the first."""
    case = oracle.Case(oracle.read_list(listed), world.topics.drain(), world.store, world.tag)
    j = oracle.judge(case, drained=False)
    t.judgement.add(j)
    others = oracle.Case([], case.records, copy.store, world.tag)
    t.check("I5", set(others.pending) <= set(case.by_id), "the copy holds strange events")
