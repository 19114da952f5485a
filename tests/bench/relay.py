#!/usr/bin/env python3
"""The relay's speed and memory, against raw read+unlink of as many files in the same run and on the same file system.

Lays N entries, reads and unlinks N others by hand (open, fstat, read, close, unlink, one thread), lets busbridge-worker --once relay
them, and prints events/s, the ratio to raw, CPU time an event and peak resident memory. Both kinds are durable before they are read,
as a producer's are. A first outbox of some thousand entries, not measured, makes the topics and warms the broker up. Then a worker
that runs gets 50 events a second: p50 and p99 from the rename that makes an entry visible until it is gone, that is acknowledged by
the broker and settled.

With --store sqlite the outbox is a SQLite database, and the bare loop that it is measured against reads rows, writes the list of each batch
durably and deletes by (seq, id), through SQLite alone (bench-rows); there is no second part.

With --letters N it drains instead, in turns, N good entries, N that do not fit their schema and N files that are no JSON, and prints
how fast each kind goes (the median) and its ratio to the good ones: behind dead letters the others wait.
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/release"
WARM_EVENTS = 20000
sys.path.insert(0, str(ROOT / "tests/integration"))
sys.dont_write_bytecode = True


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run relay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100000, help="entries of the backlog (100000)")
    parser.add_argument("--store", choices=["file", "sqlite"], default="file", help="kind of outbox (file)")
    parser.add_argument("--broker", choices=["mock", "kafka"], default="mock", help="the development broker, or Apache Kafka from its jars")
    parser.add_argument("--guarantee", choices=["exactly_once", "at_least_once"], default=None,
                        help="delivery.guarantee (exactly_once; at_least_once with the mock, which keeps no transactions)")
    parser.add_argument("--dir", default=None, help="where the outbox is laid: disk (default: beside the build) or tmpfs (/dev/shm)")
    parser.add_argument("--rate", type=float, default=50, help="events a second of the second part (50)")
    parser.add_argument("--seconds", type=float, default=10, help="length of the second part (10)")
    parser.add_argument("--letters", type=int, default=0, metavar="N", help="how fast dead letters go, N of each kind")
    parser.add_argument("--turns", type=int, default=3, help="how often each kind is drained for that (3)")
    parser.add_argument("-X", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="more settings for the worker")
    options = parser.parse_args()
    options.guarantee = options.guarantee or ("exactly_once" if options.broker == "kafka" else "at_least_once")
    return options


def wait_for(path, process):
    while not (path.exists() and (path.is_socket() or path.stat().st_size)):
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with {process.returncode}")
        time.sleep(0.02)


class Bench:
    def __init__(self, options):
        self.options = options
        base = options.dir or BUILD
        self.folder = Path(tempfile.mkdtemp(prefix="bench-", dir=base))
        self.sockets = Path(tempfile.mkdtemp(prefix="busbridge-bench-"))
        self.children, self.kafka = [], None

    def close(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
                child.wait()
        if self.kafka:
            self.kafka.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def start(self, command, log):
        with open(self.sockets / log, "ab") as out:
            child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.children.append(child)
        return child

    def start_services(self):
        redis = self.start(["redis-server", "--port", "0", "--unixsocket", self.sockets / "redis.sock", "--dir", self.sockets,
                            "--save", "", "--appendonly", "no"], "redis.log")
        wait_for(self.sockets / "redis.sock", redis)
        if self.options.broker == "kafka":
            import broker
            self.kafka = broker.Broker().start()
            self.bootstrap = self.kafka.bootstrap
            return
        mock = self.start([BUILD / "busbridge-devbroker", "--port-file", self.sockets / "address"], "devbroker.log")
        wait_for(self.sockets / "address", mock)
        self.bootstrap = (self.sockets / "address").read_text().strip()

    def tool(self, *words, program="bench-outbox"):
        done = subprocess.run([BUILD / "tests" / program, *map(str, words)], stdout=subprocess.PIPE)
        if done.returncode:
            sys.exit(f"{program} {words[0]} failed: {done.stdout.decode()}")
        return json.loads(done.stdout)

    def worker(self, outbox, *more):
        words = [BUILD / "busbridge-worker"]
        url = f"file:{outbox}" if self.options.store == "file" else f"sqlite:{outbox}/app.db"
        for setting in [f"outbox.url={url}", *([] if self.options.store == "file" else [f"state.dir={outbox}"]), f"kafka.bootstrap.servers={self.bootstrap}", f"encoding.schemas={ROOT}/schemas",
                        f"redis.url=unix:{self.sockets}/redis.sock", f"delivery.guarantee={self.options.guarantee}", *self.options.settings]:
            words += ["-X", setting]
        return self.start([*words, *more], "worker.log")

    def make(self, name):
        folder = self.folder / name
        folder.mkdir()
        return folder

    def database(self, name, events):
        """Of rows: its file, and what was laid."""
        file = self.make(name) / "app.db"
        subprocess.run([BUILD / "busbridge", "-X", f"outbox.url=sqlite:{file}", "outbox", "init"], check=True, stdout=subprocess.DEVNULL)
        return file, self.tool("lay", file, events, program="bench-rows")

    def raw(self):
        if self.options.store == "sqlite":
            return self.tool("raw", self.database("raw", self.options.events)[0], program="bench-rows")
        folder = self.make("raw")
        self.tool("lay", folder, self.options.events)
        return self.tool("raw", folder)

    def relay(self, name, events, lay="lay"):
        rows = self.options.store == "sqlite"
        if rows:
            file, laid = self.database(name, events)
            outbox = file.parent
        else:
            outbox = self.make(name)
            laid = self.tool(lay, outbox, events)
        if lay == "lay-raw":
            time.sleep(2.5)  # by then none of them is taken for one that still grows
        began = time.monotonic()
        child = self.worker(outbox, "--once")
        _, status, usage = os.wait4(child.pid, 0)
        took = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        left = self.rows_left(outbox / "app.db") if rows else sum(1 for _ in outbox.glob("*.json"))
        dead = sum(1 for _ in (outbox / "dlq").glob("*.json"))
        if child.returncode or left or dead != (0 if lay == "lay" else events):
            sys.exit(f"the worker ended with {child.returncode}, {left} entries left, {dead} dead letters:\n"
                     + (self.sockets / "worker.log").read_text()[-2000:])
        return laid, took, usage

    def rows_left(self, file):
        with closing(sqlite3.connect(file)) as db:
            return db.execute("SELECT count(*) FROM busbridge_outbox").fetchone()[0]

    def letters(self):
        kinds, count = {"lay": "published", "lay-dead": "dead letters", "lay-raw": "no JSON"}, self.options.letters
        took, cpu = {lay: [] for lay in kinds}, {lay: [] for lay in kinds}
        for turn in range(self.options.turns):
            for lay in kinds:
                _, seconds, usage = self.relay(f"{lay}-{turn}", count, lay)
                took[lay].append(seconds)
                cpu[lay].append(usage.ru_utime + usage.ru_stime)
                shutil.rmtree(self.folder / f"{lay}-{turn}")
        good = statistics.median(took["lay"])
        print(f"{count} of each kind, {self.options.turns} turns, {self.options.guarantee}, in {self.folder.parent}")
        for lay, words in kinds.items():
            median = statistics.median(took[lay])
            print(f"{words:13s} {count / median:9.0f} a second   ratio {good / median:5.2f}   {min(cpu[lay]) / count * 1e6:5.1f} us CPU each   ("
                  + ", ".join(f"{seconds:.2f}" for seconds in took[lay]) + " s)")

    def paced(self):
        outbox = self.make("live")
        child = self.worker(outbox)
        while not (outbox / ".busbridge" / "control.sock").exists():
            if child.poll() is not None:
                sys.exit("the worker ended: " + (self.sockets / "worker.log").read_text()[-2000:])
            time.sleep(0.02)
        self.tool("paced", outbox, 20, self.options.rate)  # connections and topic metadata are there after these
        count = max(1, int(self.options.rate * self.options.seconds))
        result = self.tool("paced", outbox, count, self.options.rate)
        child.terminate()
        child.wait()
        return result


def main():
    options = arguments()
    bench = Bench(options)
    try:
        bench.start_services()
        bench.relay("warm", WARM_EVENTS)
        if options.letters:
            bench.letters()
            return
        raw = bench.raw()
        laid, took, usage = bench.relay("outbox", options.events)
        count, cpu = laid["entries"], usage.ru_utime + usage.ru_stime
        raw_cpu, relay_cpu = raw["cpu_seconds"] / count * 1e6, cpu / count * 1e6
        print(f"{count} entries of {laid['bytes'] // count} bytes, broker {options.broker}, {options.guarantee}, in {bench.folder.parent}")
        loop = "raw read+unlink   {:9.0f} files/s   {:6.1f} us CPU a file" if options.store == "file" else \
            "bare loop         {:9.0f} rows/s    {:6.1f} us CPU a row"
        print(loop.format(count / raw["seconds"], raw_cpu))
        print(f"relay             {count / took:9.0f} events/s  {relay_cpu:6.1f} us CPU an event ({relay_cpu - raw_cpu:+.1f}; "
              f"{usage.ru_utime / count * 1e6:.1f} user, {usage.ru_stime / count * 1e6:.1f} system)")
        print(f"ratio to raw      {raw['seconds'] / took:9.2f}")
        print(f"peak resident     {usage.ru_maxrss / 1024:9.1f} MB")
        if options.seconds > 0 and options.store == "file":
            live = bench.paced()
            print(f"at {options.rate:g} events/s, rename to acknowledged and settled: p50 {live['p50_ms']:.2f} ms, "
                  f"p99 {live['p99_ms']:.2f} ms, longest {live['max_ms']:.2f} ms ({live['gone']} of {live['sent']})")
    finally:
        bench.close()


if __name__ == "__main__":
    main()
