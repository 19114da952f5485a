"""One topic is forbidden, may not be written or is missing: its own events wait uncharged, the other's go on, then all drain (fault 21)."""

from world import harness, kafka_wire

TRIALS = (3, 30)
OWN_BROKER = True
HOW = ("forbidden", "read-only", "missing")


def run(row):
    broker = row.broker(harness.Broker(kafka_wire.AUTHORIZER))
    row.each(lambda t: trial(t, broker.bootstrap))


def harm(bootstrap, topic, how):
    if how == "missing":
        kafka_wire.delete_topic(bootstrap, topic)
        harness.wait_until(lambda: topic not in kafka_wire.topics(bootstrap), what="the topic is gone")
    else:
        kafka_wire.forbid_topic(bootstrap, topic, kafka_wire.ALL if how == "forbidden" else kafka_wire.WRITE)


def mend(bootstrap, topic, how):
    if how == "missing":
        kafka_wire.create_topic(bootstrap, topic, 2, {"max.message.bytes": 50000})
    else:
        kafka_wire.permit_topic(bootstrap, topic, kafka_wire.ALL if how == "forbidden" else kafka_wire.WRITE)


def trial(t, bootstrap):
    """Before the worker starts; rights, which a broker may take away at any time, also while it runs."""
    how = HOW[t.number % len(HOW)]
    world, victim = t.world(), t.rng.choice(t.topics.names)
    early = how == "missing" or t.rng.random() < 0.5
    if early:
        harm(bootstrap, victim, how)
    world.produce(rate=50, keys=5, seed=t.number)
    worker = world.worker()
    if not early:
        harness.wait_until(lambda: worker.logs("batch_settled") or not worker.running(), what="something is relayed")
        harm(bootstrap, victim, how)
    harness.wait_until(lambda: of_topics(worker) or not worker.running(), what="it is told")
    seen = len(worker.logs("batch_settled"))
    harness.wait_until(lambda: len(worker.logs("batch_settled")) > seen + 3 or not worker.running(), what="the other topic goes on")
    t.check("I9", of_topics(worker) == {victim}, f"{victim} is {how}, and told are {of_topics(worker)}")
    t.check("I9", not worker.logs("kafka_away"), f"all of Kafka is taken for away: {worker.logs('kafka_away')}")
    uncharged(t, world)
    mend(bootstrap, victim, how)
    began = harness.time.monotonic()
    world.stop_producing()
    harness.wait_until(lambda: not world.pending() or not worker.running(), what="its events drain")
    t.took(began, f"going on with a topic that was {how}")
    t.check("I9", worker.running() and worker.stop() == 0, f"the worker ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    t.check("I7", not list((world.outbox / "dlq").glob("*.json")), f"a topic that was {how} made dead letters")
    t.judge(world)


def of_topics(worker):
    """The topics that are told to be out of use."""
    return {line["topic"] for event in ("topic_unavailable", "topic_missing") for line in worker.logs(event) if "topic" in line}


def uncharged(t, world):
    for name, entry in world.store.waiting().items():
        t.check("I7", not (entry or {}).get("attempts"), f"{name} was charged: {entry}")
