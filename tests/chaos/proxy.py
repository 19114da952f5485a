"""A fault proxy that speaks Kafka's framing: it passes requests and answers on unchanged, but for those a rule names.

    broker = ProxiedBroker(); broker.start()          # broker.bootstrap: straight; broker.proxy.bootstrap: through the proxy
    broker.proxy.rule(END_TXN, "answer_cut", skip=3)  # the fourth EndTxn is carried out, its answer is lost with the connection

Every frame is a length and that many bytes; a request begins with api key, version and correlation id, an answer with the
correlation id. The broker advertises the proxy's port on one of its listeners, so that all traffic of a client stays on it.
Kinds of faults:

  answer_cut      the broker did it; the connection is closed in place of the answer
  answer_lost     the answer is swallowed, the connection stays: the client runs into its timeout
  answer_late     the answer comes `late` seconds later, those behind it too
  answer_twice    the answer comes a second time
  answer_fenced   EndTxn alone: the broker did it, the answer says PRODUCER_FENCED, as it may after a retry nobody saw
  answer_none     OffsetFetch alone: the answer says that nothing was ever committed
  request_cut     the request is not passed on, the connection is closed
  request_late    the connection is closed at once; the request reaches the broker `late` seconds later, when the client has sent
                  it again on another connection (librdkafka#5423: it may end the next transaction)
  request_twice   the broker gets it twice, the copy `late` seconds later; the copy's answer is swallowed
"""

import socket
import struct
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
from broker import Broker, free_port  # noqa: E402

PRODUCE, OFFSET_FETCH, FIND_COORDINATOR, INIT_PRODUCER_ID = 0, 9, 10, 22
ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = 24, 25, 26, 28
API_NAMES = {PRODUCE: "Produce", OFFSET_FETCH: "OffsetFetch", FIND_COORDINATOR: "FindCoordinator", INIT_PRODUCER_ID: "InitProducerId",
             ADD_PARTITIONS: "AddPartitionsToTxn", ADD_OFFSETS: "AddOffsetsToTxn", END_TXN: "EndTxn", TXN_OFFSET_COMMIT: "TxnOffsetCommit"}
KINDS = ("answer_cut", "answer_lost", "answer_late", "answer_twice", "answer_fenced", "answer_none", "request_cut", "request_late", "request_twice")
FENCED = 90
COPY = 0x7fff0000  # correlation ids of copies begin here: nobody else counts that far


class Rule:
    """The requests of one api number skip+1 to skip+times, whatever connection they come on."""

    def __init__(self, api, kind, skip=0, times=1, late=1.0):
        if kind not in KINDS:
            raise ValueError(kind)
        self.api, self.kind, self.skip, self.times, self.late = api, kind, skip, times, late
        self.seen = self.done = 0

    def takes(self, api):
        if api != self.api:
            return False
        self.seen += 1
        hit = self.skip < self.seen <= self.skip + self.times
        self.done += hit
        return hit

    def __str__(self):
        return f"{self.kind} of {API_NAMES.get(self.api, self.api)} after {self.skip}, {self.times} times, {self.late:.1f} s late"


def read_frame(connection):
    """One frame with its length in front; None at the end."""
    raw = b""
    while len(raw) < 4 or len(raw) < 4 + struct.unpack(">i", raw[:4])[0]:
        want = 4 - len(raw) if len(raw) < 4 else 4 + struct.unpack(">i", raw[:4])[0] - len(raw)
        piece = connection.recv(want)
        if not piece:
            return None
        raw += piece
    return raw


def fenced(frame):
    """EndTxn's answer, versions 0 to 2: length, correlation id, throttle time, error code."""
    if len(frame) != 14:
        raise ValueError("an answer to EndTxn of an unknown version")
    return frame[:12] + struct.pack(">h", FENCED)


def without_position(frame):
    """OffsetFetch's answer, versions 6 and 7, for one partition: length, correlation id, tags, throttle time, topics."""
    name = frame[14] - 1  # behind the number of topics, plus one
    at = 15 + name + 1 + 4  # the name, the number of partitions, the partition's own number
    if frame[13] != 2 or frame[15 + name] != 2:
        raise ValueError("an answer to OffsetFetch of an unknown version, or of several partitions")
    return frame[:at] + struct.pack(">q", -1) + frame[at + 8:]


class Link:
    """One client connection and its own one to the broker."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.faults = {}  # correlation id -> rule: what to do with the answer
        self.copies = 0
        self.out = threading.Lock()  # two threads may write to the broker when a copy is late

    def start(self):
        for work in (self.requests, self.answers):
            threading.Thread(target=self.guarded, args=(work,), daemon=True).start()

    def guarded(self, work):
        try:
            work()
        except OSError:
            pass
        finally:
            if work == self.answers:
                self.close(self.server)
            self.close(self.client)

    @staticmethod
    def close(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def send(self, frame):
        with self.out:
            self.server.sendall(frame)

    def send_later(self, frame, seconds):
        def work():
            try:
                self.send(frame)
            except OSError:
                pass
        timer = threading.Timer(seconds, work)
        timer.daemon = True
        timer.start()

    def requests(self):
        """Until the client closes. The broker's side is closed only when nothing is to come late."""
        keep_open = False
        while (frame := read_frame(self.client)) is not None:
            api, _, correlation = struct.unpack_from(">hhi", frame, 4)
            rule = self.proxy.rule_for(api)
            if rule is None:
                self.send(frame)
            elif rule.kind == "request_cut":
                break
            elif rule.kind == "request_late":
                self.send_later(frame, rule.late)
                keep_open = True
                break
            elif rule.kind == "request_twice":
                self.send(frame)
                self.copies += 1
                self.send_later(frame[:8] + struct.pack(">i", COPY + self.copies) + frame[12:], rule.late)
                keep_open = True
            else:
                self.faults[correlation] = rule
                self.send(frame)
        self.close(self.client)
        if not keep_open:
            self.close(self.server)

    def answers(self):
        while (frame := read_frame(self.server)) is not None:
            (correlation,) = struct.unpack_from(">i", frame, 4)
            rule = self.faults.pop(correlation, None)
            if correlation > COPY or rule and rule.kind == "answer_lost":
                continue
            if rule and rule.kind == "answer_cut":
                return
            if rule and rule.kind == "answer_late" and self.proxy.stop.wait(rule.late):
                return
            if rule and rule.kind == "answer_fenced":
                frame = fenced(frame)
            if rule and rule.kind == "answer_none":
                frame = without_position(frame)
            self.client.sendall(frame)
            if rule and rule.kind == "answer_twice":
                self.client.sendall(frame)


class Proxy:
    def __init__(self, port, target):
        self.port, self.target, self.bootstrap = port, target, f"127.0.0.1:{port}"
        self.lock, self.rules, self.stop, self.counts = threading.Lock(), [], threading.Event(), {}
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 10)
            except OSError:
                client.close()
                continue
            for connection in (client, server):
                connection.settimeout(None)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Link(self, client, server).start()

    def rule_for(self, api):
        with self.lock:
            self.counts[api] = self.counts.get(api, 0) + 1
            return next((rule for rule in self.rules if rule.takes(api)), None)

    def rule(self, api, kind, **more):
        rule = Rule(api, kind, **more)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self):
        with self.lock:
            self.rules = []

    def close(self):
        self.stop.set()
        self.listener.close()


class ProxiedBroker(Broker):
    """A broker with a second listener that advertises the proxy's port."""

    LISTENERS = """\
listeners=PLAINTEXT://127.0.0.1:{direct},PROXIED://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{direct},PROXIED://127.0.0.1:{proxy}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:{controller}
"""

    def __init__(self, extra=""):
        self.ports = {name: free_port() for name in ("direct", "behind", "controller", "proxy")}
        super().__init__(extra + self.LISTENERS.format(**self.ports))
        self.proxy = Proxy(self.ports["proxy"], self.ports["behind"])

    def _prepare(self):
        super()._prepare()
        self.bootstrap = f"127.0.0.1:{self.ports['direct']}"

    def close(self):
        self.proxy.close()
        super().close()
