"""A proxy drops, delays or doubles requests and answers of transactions while events flow (fault 8)."""

import os

import proxy
from world import FULL, exactly_once, harness, time

KINDS = proxy.KINDS if exactly_once() else tuple(kind for kind in proxy.KINDS if kind not in ("answer_fenced", "answer_none"))
TRIALS = (9, 126)
OWN_BROKER = True
APIS = (proxy.END_TXN, proxy.PRODUCE, proxy.ADD_PARTITIONS, proxy.INIT_PRODUCER_ID, proxy.ADD_OFFSETS, proxy.TXN_OFFSET_COMMIT,
        proxy.OFFSET_FETCH, proxy.FIND_COORDINATOR)
# What the real ones are, made short: a lost answer is noticed after socket.timeout.ms.
QUICK = {"kafka.socket.timeout.ms": 3000, "kafka.transaction.timeout.ms": 10000, "kafka.message.timeout.ms": 9000}
ONLY_AT_START = (proxy.INIT_PRODUCER_ID, proxy.OFFSET_FETCH, proxy.FIND_COORDINATOR)


def run(row):
    broker = row.broker(proxy.ProxiedBroker())
    row.each(lambda t: trial(t, broker.proxy))


def choose(t):
    """Each kind as often as any other; half of them on EndTxn, the one that decides. BUSBRIDGE_PROXY_KIND: this one alone."""
    kind = os.environ.get("BUSBRIDGE_PROXY_KIND") or KINDS[t.number % len(KINDS)]
    api = proxy.END_TXN if kind == "answer_fenced" or exactly_once() and t.rng.random() < 0.5 else t.rng.choice(APIS if exactly_once() else (proxy.PRODUCE,))
    if kind == "answer_none":
        api = proxy.OFFSET_FETCH
    if kind == "request_twice" and api == proxy.END_TXN:
        # A network does not do that: TCP doubles nothing, only a client that sends again does, which request_late is and which the
        # relay counts. A copy that its client never sent ends the next transaction of any producer of this protocol version.
        api = proxy.ADD_OFFSETS
    skip = t.rng.randrange(2) if api in ONLY_AT_START else t.rng.randrange(20)
    return api, kind, {"skip": skip, "times": t.rng.choice((1, 1, 1, 2, 3)), "late": t.rng.choice((0.02, 0.2, 1.0, 4.0))}


def trial(t, through):
    """One worker that is never restarted; its producer makes small transactions and larger ones."""
    api, kind, more = choose(t)
    through.clear()
    world = t.world(options={"kafka.bootstrap.servers": through.bootstrap, "batch.max_events": t.rng.choice((1, 10, 5000)),
                             **(QUICK if exactly_once() else {"kafka.socket.timeout.ms": 3000})})
    rule = through.rule(api, kind, **more)
    if kind == "answer_none":  # it is asked when a producer is made anew: the first time for a new outbox, where "none" is true
        rule.skip = 1
        through.rule(proxy.END_TXN, "answer_cut", skip=t.rng.randrange(10))
    rate, count = t.rng.choice(((40, 150), (200, 400)) if FULL else ((200, 150),))
    world.produce(rate=rate, keys=3, seed=t.number, poison=t.rng.choice((0, 0.02)), count=count)
    worker = world.worker()
    if world.producer.wait(harness.PATIENCE):
        raise AssertionError("the producer failed")
    began = time.monotonic()
    harness.wait_until(lambda: not world.pending() or not worker.running(), what=f"everything is relayed in spite of {rule}")
    t.took(began, f"recovery from {rule}")
    t.check("I9", worker.running(), f"{rule}: the worker ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    through.clear()
    time.sleep(min(1.5, more["late"]) if kind.startswith("request") else 0)  # what is late shall meet a worker that still runs
    t.check("I9", not worker.running() or worker.stop() == 0, "it did not stop well")
    t.judge(world)
    if t.judgement.faults:
        t.check("I9", False, f"that was {rule}, which met {rule.done} requests")
    elif not rule.done:
        t.row.note("rules that met no request")
