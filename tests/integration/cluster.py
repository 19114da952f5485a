"""Three real Kafka brokers that stand in for one another, each a controller too, for tests that take one of them away.

    cluster = Cluster().start()
    cluster.transaction_coordinator("some-id").kill9()     # a Member: kill9(), stop(), start()
    cluster.wait_in_sync()                                 # nobody lacks anything: the next one may be taken away
    cluster.close()

Each topic has three copies, internal ones too, and takes a record when two have it.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kafka_wire  # noqa: E402
from broker import Broker, free_port  # noqa: E402

SIZE = 3
PROPERTIES = """\
node.id={number}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
"""


class Member(Broker):
    """One of them; its bootstrap is its own address."""

    HEAP = "256m"

    def __init__(self, number, port, controller, voters):
        super().__init__(PROPERTIES.format(number=number, port=port, controller=controller, voters=voters))
        self.number, self.address = number, f"127.0.0.1:{port}"

    def _prepare(self):
        super()._prepare()
        self.bootstrap = self.address


class Cluster:
    def __init__(self):
        controllers = {number: free_port() for number in range(1, SIZE + 1)}
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in controllers.items())
        self.members = {number: Member(number, free_port(), port, voters) for number, port in controllers.items()}
        self.bootstrap = ",".join(member.address for member in self.members.values())

    def start(self):
        for member in self.members.values():
            member.start(wait=False)  # none answers before two are there
        for member in self.members.values():
            member.wait_ready()
        return self

    def close(self):
        for member in self.members.values():
            member.close()

    # ---- who does what ---------------------------------------------------------------------------------------------------------

    def leader(self, topic, partition):
        return self.members[kafka_wire.leader(self.bootstrap, topic, partition)[0]]

    def transaction_coordinator(self, transactional_id):
        return self.members[kafka_wire.coordinator(self.bootstrap, kafka_wire.TRANSACTION, transactional_id)[0]]

    def group_coordinator(self, group):
        return self.members[kafka_wire.coordinator(self.bootstrap, kafka_wire.GROUP, group)[0]]

    def wait_in_sync(self, seconds=kafka_wire.PATIENCE):
        """Until all three are there, and every partition has its leader and all its copies."""
        deadline = time.monotonic() + seconds
        while True:
            brokers, topics = kafka_wire.metadata(self.bootstrap)
            late = [f"{topic}/{number}" for topic, partitions in topics.items() for number, (leader, lack) in partitions.items()
                    if leader < 0 or lack]
            if len(brokers) == SIZE and not late:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"after {seconds} s there are {len(brokers)} brokers, and copies lack of {late[:5]}")
            time.sleep(0.1)
