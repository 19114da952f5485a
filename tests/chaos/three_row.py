"""Of three brokers one that the worker needs is killed while events flow; nobody restarts the worker (fault 6)."""

from world import LEDGER, harness, time
from cluster import Cluster

TRIALS = (1, 30)  # each kills twice
OWN_BROKER = True
OTHERS = ("leader of a data partition", "coordinator of the ledger's group", "leader of the ledger's topic")


def run(row):
    cluster = row.broker(Cluster())
    row.each(lambda t: trial(t, cluster))


def trial(t, cluster):
    """The coordinator of the worker's transactional id, later another. Only what the brokers refuse may be dead or charged: judge() looks."""
    world = t.world(options={"batch.max_events": t.rng.choice((20, 5000))})
    world.produce(rate=60, keys=5, seed=t.number, poison=poison(t))
    worker = world.worker()
    harness.wait_until(lambda: worker.logs("started") or not worker.running(), what="the worker has started")
    t.tries = 0
    for role in ("coordinator of the transactional id", OTHERS[t.number % len(OTHERS)]):
        time.sleep(t.rng.uniform(0.3, 2.0))
        t.tries += 1
        kill(t, cluster, world, worker, role)
        if not t.check("I9", worker.running(), f"the worker ended with {worker.process.returncode}: {worker.stderr()[-2000:]}"):
            break
        cluster.wait_in_sync()
    world.stop_producing()
    t.check("I9", not worker.running() or worker.stop() == 0, "the worker did not stop well")
    world.settle()
    t.judge(world)


def kill(t, cluster, world, worker, role):
    """It comes back some seconds later, or only when the worker has gone on without it."""
    victim, without = find(t, cluster, world, role), t.rng.random() < 0.5
    victim.kill9()
    t.row.note(f"killed {role}")
    try:
        if without:
            going_on(t, world, worker, f"going on without the {role}")
        else:
            time.sleep(t.rng.uniform(0, 8))
    finally:
        victim.start()
    if not without:
        going_on(t, world, worker, f"going on after the {role} was back")


def find(t, cluster, world, role):
    identity = f"busbridge-{(world.outbox / '.busbridge/id').read_text().strip()}"
    if role == OTHERS[0]:
        return cluster.leader(t.rng.choice(t.topics.names), t.rng.randrange(2))
    if role == OTHERS[1]:
        return cluster.group_coordinator(identity)
    if role == OTHERS[2]:
        return cluster.leader(LEDGER, 0)
    return cluster.transaction_coordinator(identity)


def going_on(t, world, worker, what):
    """What waits a moment after the fault, or after its end, is relayed."""
    began = time.monotonic()
    time.sleep(0.3)
    known = set(world.pending())
    harness.wait_until(lambda: not known & set(world.pending()) or not worker.running(), 180, what)
    if not poison(t):  # looking for refused events and trying them again takes its own time, which is no part of the recovery
        t.took(began, what)


def poison(t):
    """Every other trial has none."""
    return t.number % 2 * 0.005
