"""What the tests of standbys share: a producer that writes on, workers that wait, and a wire to a server that can be cut."""

import socket
import threading
import urllib.error
import urllib.request

import harness
from harness import wait_until


class Wire:
    """Passes bytes on to a port of this machine. hold(): nothing passes, and nobody is told. cut(): connections end, and none is taken. mend(): as at first."""

    def __init__(self, target):
        self.target, self.links, self.ended = target, [], False
        self.flows, self.takes = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.mend()
        threading.Thread(target=self.accept, daemon=True).start()

    def mend(self):
        self.takes.set()
        self.flows.set()

    def hold(self):
        self.flows.clear()

    def cut(self):
        self.takes.clear()
        self.flows.set()
        while self.links:
            for end in self.links.pop():
                self.shut(end)

    def close(self):
        self.ended = True
        self.cut()
        self.listener.close()

    @staticmethod
    def shut(end):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def accept(self):
        while not self.ended:
            try:
                client, _ = self.listener.accept()
                if not self.takes.is_set():
                    client.close()
                    continue
                link = (client, socket.create_connection(("127.0.0.1", self.target)))
            except OSError:
                continue
            self.links.append(link)
            for one, other in (link, link[::-1]):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, one, other):
        try:
            while data := one.recv(65536):
                self.flows.wait()
                other.sendall(data)
        except OSError:
            pass
        self.shut(other)
        one.close()


class Standbys(harness.BusTest):
    """An outbox of files; put and left are another kind's to replace."""

    def tearDown(self):
        self.stop_writing()
        super().tearDown()

    def setUp(self):
        super().setUp()
        self.written = []

    def put(self, key):
        """One event of this key, accepted; its id."""
        return self.entry("plot.updated", {"plot_id": key})

    def left(self):
        """How many wait."""
        return len(self.pending())

    # ---- a producer -------------------------------------------------------------------------------------------------------------

    def write_on(self, keys=5):
        """Events as fast as a thread writes them, one after the other, over a few keys; more behind those that it wrote before."""
        self.enough = threading.Event()

        def run():
            while not self.enough.wait(0.002):
                key = f"k{len(self.written) % keys}"
                self.written.append((self.put(key), key))
        self.writing = threading.Thread(target=run)
        self.writing.start()

    def stop_writing(self):
        if getattr(self, "writing", None):
            self.enough.set()
            self.writing.join()
            self.writing = None

    def all_arrived_once_in_order(self):
        records = self.drain("plot.events")
        arrived = {}
        for record in records:
            arrived.setdefault(record.key.decode(), []).append(record.headers["ce_id"].decode())
        wanted = {}
        for event, key in self.written:
            wanted.setdefault(key, []).append(event)
        self.assertEqual(len(records), len(self.written))
        self.assertEqual(arrived, wanted)
        self.assertEqual(self.dead(), {})

    def all_is_relayed(self):
        self.stop_writing()
        wait_until(lambda: not self.left(), what="nothing waits any more")
        self.all_arrived_once_in_order()

    # ---- workers ----------------------------------------------------------------------------------------------------------------

    def worker(self, *arguments, standby="--standby", **more):
        """A worker with --standby and a port of its own; .ask(path) asks there."""
        port = harness.free_port()
        options = {"http.listen": f"127.0.0.1:{port}", **more.pop("options", {})}
        worker = self.start_worker(*filter(None, [standby]), *arguments, options=options, **more)
        worker.ask = lambda path, method="GET", **headers: self.ask(port, path, method, headers)
        return worker

    def ask(self, port, path, method, headers):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def relays(self, worker):
        wait_until(lambda: worker.logs("started") or not worker.running(), what=worker.stderr)
        self.assertTrue(worker.running(), worker.stderr())
        return worker

    def waits(self, worker):
        wait_until(lambda: worker.logs("standby") or not worker.running(), what=worker.stderr)
        self.assertTrue(worker.running(), worker.stderr())
        return worker

    def pair(self, **more):
        owner = self.relays(self.worker(**more))
        return owner, self.waits(self.worker(**more))
