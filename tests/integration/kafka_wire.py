"""The few Kafka requests that tests need, spoken directly: quicker than starting a JVM for each topic.

Every call opens its own connection to one broker and closes it; of several addresses (a,b,c) the first that answers is asked. Names of
the request fields: Kafka's protocol guide.
"""

import functools
import socket
import struct
import time

CREATE_TOPICS, DELETE_TOPICS, METADATA, LIST_OFFSETS, FIND_COORDINATOR, OFFSET_COMMIT = 19, 20, 3, 2, 10, 8
CREATE_ACLS, DELETE_ACLS, DESCRIBE_ACLS, ALTER_CONFIGS, DESCRIBE_CONFIGS_API, DELETE_RECORDS = 30, 31, 29, 44, 32, 21
PATIENCE = 300  # seconds, for hangs alone
# What a broker says that has not heard yet: UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, and of coordinators
# COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR
NOT_YET = (3, 5, 6, 14, 15, 16)


class KafkaError(Exception):
    def __init__(self, code, text=""):
        super().__init__(f"Kafka error {code} {text}")
        self.code = code


def patient(call):
    """What was made a moment ago is not known to every part of a broker at once: asked again while it says so."""
    @functools.wraps(call)
    def asks(*arguments, **more):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return call(*arguments, **more)
            except KafkaError as e:
                if e.code not in NOT_YET or time.monotonic() > deadline:
                    raise
            time.sleep(0.05)
    return asks


def string(text):
    if text is None:
        return struct.pack(">h", -1)
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


class Answer:
    """Reads an answer's fields in order."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, fmt):
        value = struct.unpack_from(">" + fmt, self.raw, self.at)[0]
        self.at += struct.calcsize(">" + fmt)
        return value

    def string(self):
        length = self.take("h")
        if length < 0:
            return None
        self.at += length
        return self.raw[self.at - length:self.at].decode()

    def array(self, read):
        return [read() for _ in range(max(0, self.take("i")))]


def read_exactly(connection, length):
    raw = b""
    while len(raw) < length:
        piece = connection.recv(length - len(raw))
        if not piece:
            raise ConnectionError("the broker closed the connection")
        raw += piece
    return raw


def ask(bootstrap, api, version, body, timeout=60):
    *first, last = bootstrap.split(",")
    for address in first:
        try:
            return ask_one(address, api, version, body, timeout)
        except OSError:
            pass  # the next one may live
    return ask_one(last, api, version, body, timeout)


def ask_one(address, api, version, body, timeout):
    host, port = address.rsplit(":", 1)
    head = struct.pack(">hhi", api, version, 1) + string("busbridge-test")
    with socket.create_connection((host, int(port)), timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        (length,) = struct.unpack(">i", read_exactly(connection, 4))
        return Answer(read_exactly(connection, length)[4:])


def create_topic(bootstrap, name, partitions=3, config=None):
    """As many copies as the broker makes by default. Back when each partition can be used."""
    configs = array([string(key) + string(str(value)) for key, value in (config or {}).items()])
    topic = string(name) + struct.pack(">ih", partitions, -1) + array([]) + configs
    answer = ask(bootstrap, CREATE_TOPICS, 4, array([topic]) + struct.pack(">i?", 60000, False))
    answer.take("i")
    for code, text in answer.array(lambda: (answer.string(), answer.take("h"), answer.string())[1:]):
        if code:
            raise KafkaError(code, text)
    for partition in range(partitions):
        end_offset(bootstrap, name, partition)


def delete_topic(bootstrap, name):
    """Back when the broker does not name it any more."""
    answer = ask(bootstrap, DELETE_TOPICS, 1, array([string(name)]) + struct.pack(">i", 60000))
    answer.take("i")
    for _, code in answer.array(lambda: (answer.string(), answer.take("h"))):
        if code:
            raise KafkaError(code)
    deadline = time.monotonic() + PATIENCE
    while name in topics(bootstrap) and time.monotonic() < deadline:
        time.sleep(0.02)


ALL, WRITE, DESCRIBE_CONFIGS = 2, 4, 10  # operations


def set_topic(bootstrap, name, key, value):
    """One setting of a topic. Back when the broker goes by it."""
    change = string(key) + struct.pack(">b", 0) + string(str(value))
    answer = ask(bootstrap, ALTER_CONFIGS, 0, array([struct.pack(">b", 2) + string(name) + array([change])]) + struct.pack(">?", False))
    answer.take("i")
    for code, text in answer.array(lambda: (answer.take("h"), answer.string(), answer.take("b"), answer.string())[:2]):
        if code:
            raise KafkaError(code, text)
    deadline = time.monotonic() + PATIENCE
    while topic_setting(bootstrap, name, key) != str(value) and time.monotonic() < deadline:
        time.sleep(0.02)


def topic_setting(bootstrap, name, key):
    asked = struct.pack(">b", 2) + string(name) + array([string(key)])
    answer = ask(bootstrap, DESCRIBE_CONFIGS_API, 1, array([asked]) + struct.pack(">?", False))
    answer.take("i"), answer.take("i")
    code, text, _, _ = answer.take("h"), answer.string(), answer.take("b"), answer.string()
    if code:
        raise KafkaError(code, text or "")
    found = answer.array(lambda: (answer.string(), answer.string(), answer.take("?"), answer.take("b"), answer.take("?"), answer.take("i"))[:2])
    return dict(found).get(key)


def everybody_on(topic, operation, allow=False):
    """An ACL: that operation of User:ANONYMOUS on that topic, denied or allowed."""
    return (struct.pack(">b", 2) + string(topic) + struct.pack(">b", 3) + string("User:ANONYMOUS") + string("*") +
            struct.pack(">bb", operation, 3 if allow else 2))


def forbid_transactions(bootstrap, user, prefix):
    """User may not use transactional ids that begin so. Likewise."""
    add_acls(bootstrap, struct.pack(">b", 5) + string(prefix) + struct.pack(">b", 4) + string(f"User:{user}") + string("*") + struct.pack(">bb", ALL, 2))


def forbid_topic(bootstrap, topic, operation=ALL):
    """Nobody may use it (or only not write to it) from now on. The broker needs an authorizer (see AUTHORIZER)."""
    add_acls(bootstrap, everybody_on(topic, operation))


def forbid_only(bootstrap, topic, operation):
    """The same, but all else stays allowed there."""
    add_acls(bootstrap, everybody_on(topic, operation), everybody_on(topic, ALL, allow=True))


def add_acls(bootstrap, *acls):
    answer = ask(bootstrap, CREATE_ACLS, 1, array(list(acls)))
    answer.take("i")
    for code, text in answer.array(lambda: (answer.take("h"), answer.string())):
        if code:
            raise KafkaError(code, text)
    for acl in acls:
        wait_acl(bootstrap, acl, True)


def wait_acl(bootstrap, acl, there):
    """The controller has taken it; until the broker that judges by it has heard."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = ask(bootstrap, DESCRIBE_ACLS, 1, acl)
        answer.take("i")
        code, text = answer.take("h"), answer.string()
        if code:
            raise KafkaError(code, text or "")
        if (answer.take("i") > 0) == there:
            return
        time.sleep(0.02)


def permit_topic(bootstrap, topic, operation=ALL):
    answer = ask(bootstrap, DELETE_ACLS, 1, array([everybody_on(topic, operation)]))
    answer.take("i")
    code = answer.take("i") and answer.take("h")
    if code:
        raise KafkaError(code)
    wait_acl(bootstrap, everybody_on(topic, operation), False)


AUTHORIZER = """authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""


def metadata(bootstrap, names=None, timeout=60):
    """({number of a broker: its address}, {topic: {partition: (number of its leader or -1, how many copies lack)}}); names: those topics alone."""
    wanted = struct.pack(">i", -1) if names is None else array([string(name) for name in names])
    answer = ask(bootstrap, METADATA, 4, wanted + struct.pack(">?", False), timeout)
    answer.take("i")
    brokers = answer.array(lambda: (answer.take("i"), f"{answer.string()}:{answer.take('i')}", answer.string())[:2])
    answer.string(), answer.take("i")

    def partition():
        error, number, leader = answer.take("h"), answer.take("i"), answer.take("i")
        copies, in_sync = (len(answer.array(lambda: answer.take("i"))) for _ in range(2))
        return number, (-1 if error else leader, copies - in_sync)

    def topic():
        _, name, _ = answer.take("h"), answer.string(), answer.take("?")
        return name, dict(answer.array(partition))

    return dict(brokers), dict(answer.array(topic))


def topics(bootstrap, timeout=60):
    """{topic: number of partitions that have a leader}"""
    return {name: sum(leader >= 0 for leader, _ in partitions.values())
            for name, partitions in metadata(bootstrap, timeout=timeout)[1].items()}


@patient
def leader(bootstrap, topic, partition):
    """(number, address) of the broker that leads that partition."""
    brokers, found = metadata(bootstrap, [topic])
    number, _ = found.get(topic, {}).get(partition, (-1, 0))
    if number not in brokers:
        raise KafkaError(5, f"nobody leads {topic}/{partition}")
    return number, brokers[number]


GROUP, TRANSACTION = 0, 1  # what has a coordinator


@patient
def coordinator(bootstrap, kind, name):
    """(number, address) of the broker that coordinates that group or transactional id."""
    answer = ask(bootstrap, FIND_COORDINATOR, 1, string(name) + struct.pack(">b", kind))
    answer.take("i")
    code, text, number = answer.take("h"), answer.string(), answer.take("i")
    if code:
        raise KafkaError(code, text or "")
    return number, f"{answer.string()}:{answer.take('i')}"


@patient
def delete_records(bootstrap, topic, partition, before):
    """What retention does: what is older than that offset (-1: all) is gone."""
    body = array([string(topic) + array([struct.pack(">iq", partition, before)])]) + struct.pack(">i", 60000)
    answer = ask(leader(bootstrap, topic, partition)[1], DELETE_RECORDS, 0, body)
    answer.take("i")
    for codes in answer.array(lambda: (answer.string(), answer.array(lambda: (answer.take("i"), answer.take("q"), answer.take("h"))[2]))[1]):
        for code in codes:
            if code:
                raise KafkaError(code)


@patient
def commit_offset(bootstrap, group, topic, offset, metadata=""):
    """What a reset of the group's offsets leaves: a position of partition 0, committed outside of any transaction."""
    partition = struct.pack(">iq", 0, offset) + string(metadata)
    body = string(group) + struct.pack(">i", -1) + string("") + struct.pack(">q", -1) + array([string(topic) + array([partition])])
    answer = ask(coordinator(bootstrap, GROUP, group)[1], OFFSET_COMMIT, 2, body)
    for codes in answer.array(lambda: (answer.string(), answer.array(lambda: (answer.take("i"), answer.take("h"))[1]))[1]):
        for code in codes:
            if code:
                raise KafkaError(code)


@patient
def end_offset(bootstrap, topic, partition, stable=True):
    """The offset that the next record gets (counts aborted records and markers too); stable: up to the first open transaction."""
    body = struct.pack(">ib", -1, stable) + array([string(topic) + array([struct.pack(">iq", partition, -1)])])
    answer = ask(leader(bootstrap, topic, partition)[1], LIST_OFFSETS, 2, body)
    answer.take("i"), answer.take("i"), answer.string(), answer.take("i"), answer.take("i")
    code, _, offset = answer.take("h"), answer.take("q"), answer.take("q")
    if code:
        raise KafkaError(code)
    return offset
