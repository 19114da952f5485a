"""Redis is killed, stopped, full, flushed, loading, read-only, slow, or refuses the password, while events flow (fault 17)."""

import socket
import threading

from world import harness, time

KINDS = ("killed", "stopped", "full", "flushed", "loading", "read_only", "slow", "password")
TRIALS = (len(KINDS), 20 * len(KINDS))
STORES = {"sqlite": (4, 20 * len(KINDS))}  # the same of other kinds of outbox
KNOWS_ALL = ("killed", "stopped", "full", "loading", "read_only", "slow", "password")


def run(row):
    row.each(trial, at_once=4)


class Loading:
    """A Redis that loads: it answers everything so."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client:
            try:
                while raw := client.recv(65536):
                    client.sendall(b"-LOADING Redis is loading the dataset in memory\r\n" * max(1, raw.count(b"*")))
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def begin(server, kind):
    """The trouble; returns what ends it."""
    if kind == "killed":
        server.kill()
        return server.start
    if kind == "loading":
        server.kill()
        fake = Loading(server.port)
        return lambda: (fake.close(), server.start())
    if kind == "stopped":
        server.suspend()
        return server.resume
    if kind == "full":
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        server.command("CONFIG", "SET", "maxmemory", "1")
        return lambda: server.command("CONFIG", "SET", "maxmemory", "0")
    if kind == "read_only":
        server.command("REPLICAOF", "127.0.0.1", "1")
        return lambda: server.command("REPLICAOF", "NO", "ONE")
    if kind == "password":
        server.command("CONFIG", "SET", "requirepass", "other")
        server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        return lambda: server.command("-a", "other", "CONFIG", "SET", "requirepass", "")
    if kind == "slow":
        stop = threading.Event()
        threading.Thread(target=slow_down, args=(server, stop), daemon=True).start()
        return stop.set
    server.command("FLUSHALL")
    return lambda: None


def slow_down(server, stop):
    while not stop.is_set():
        server.command("CLIENT", "PAUSE", "300", "ALL")
        stop.wait(0.35)


def trial(t):
    """Events go on without waiting; what was published meanwhile is known to Redis afterwards, over a restart too."""
    kind = KINDS[t.number % len(KINDS)]
    server = harness.Redis().start()
    try:
        around(t, kind, server)
    finally:
        server.resume()
        server.close()


def around(t, kind, server):
    world = t.world(redis=server.url)
    world.produce(rate=60, keys=3, seed=t.number)
    worker = world.worker()
    time.sleep(t.rng.uniform(0.3, 0.8))
    end = begin(server, kind)
    began, trouble = time.monotonic(), time.time() * 1000
    known = set(world.pending())
    time.sleep(0.7)
    harness.wait_until(lambda: not known & set(world.pending()), what="the relay goes on without Redis")
    t.took(began, f"going on while Redis is {kind}")
    killed = t.rng.random() < 0.5
    if killed:
        worker.kill()
    time.sleep(0.3)
    world.stop_producing()
    end()
    began = time.monotonic()
    if killed:
        worker = world.worker()
    harness.wait_until(lambda: not world.pending() or not worker.running(), what="everything is relayed")
    if kind in KNOWS_ALL:
        everybody_known(t, world, server, kind, trouble)
    t.took(began, f"keys after Redis was {kind}")
    t.check("I9", worker.running() and worker.stop() == 0, f"the worker ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    t.judge(world)


def everybody_known(t, world, server, kind, trouble):
    """keys due are set: of what was published since the trouble began, all (a killed Redis forgot what was before)."""
    def missing():
        keys = {key.rsplit(":", 1)[1] for key in server.keys()}
        return [i for i in since if i not in keys]
    case = world.case()
    since = [r.headers["ce_id"].decode() for r in case.records if r.timestamp > trouble or kind not in ("killed", "loading")]
    try:
        harness.wait_until(lambda: not missing())
    except AssertionError:
        t.check("I2", False, f"{kind}: Redis does not know {len(missing())} of {len(since)} published ids, as {missing()[:3]}")
