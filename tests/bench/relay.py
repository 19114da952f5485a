#!/usr/bin/env python3
"""The relay's speed and memory, against raw read+unlink of as many files in the same run and on the same file system.

Lays N entries, reads and unlinks N others by hand (open, fstat, read, close, unlink, one thread), lets busbridge-worker --once relay
them, and prints events/s, the ratio to raw, CPU time an event and peak resident memory. Both kinds are durable before they are read,
as a producer's are. A first outbox of some thousand entries, not measured, makes the topics and warms the broker up. Then a worker
that runs gets 50 events a second: p50 and p99 from the rename that makes an entry visible until it is gone, that is acknowledged by
the broker and settled.

With --store sqlite or postgres the outbox is a database, and the bare loop that it is measured against reads rows, writes the list of each
batch durably and deletes by (seq, id), through SQLite or libpq alone (bench-sqlite, bench-postgres); there is no second part. PostgreSQL is a
server of its own, durable as packaged: its CPU time and the WAL that it writes are printed by row.

With --letters N it drains instead, in turns, N good entries, N that do not fit their schema and N files that are no JSON, and prints
how fast each kind goes (the median) and its ratio to the good ones: behind dead letters the others wait.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/release"
WARM_EVENTS = 20000
sys.path.insert(0, str(ROOT / "tests/integration"))
sys.dont_write_bytecode = True
import outboxes  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run relay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100000, help="entries of the backlog (100000)")
    parser.add_argument("--store", choices=list(outboxes.KINDS), default="file", help="kind of outbox (file)")
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
        self.outboxes = outboxes.KINDS[options.store](BUILD, self.folder)

    def close(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
                child.wait()
        if self.kafka:
            self.kafka.close()
        self.outboxes.close()
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
            self.bootstrap, self.broker = self.kafka.bootstrap, self.kafka.process
            return
        mock = self.start([BUILD / "busbridge-devbroker", "--port-file", self.sockets / "address"], "devbroker.log")
        wait_for(self.sockets / "address", mock)
        self.broker = mock
        self.bootstrap = (self.sockets / "address").read_text().strip()

    def worker(self, name, *more):
        settings = self.outboxes.settings(name) | {
            "kafka.bootstrap.servers": self.bootstrap, "encoding.schemas": ROOT / "schemas", "redis.url": f"unix:{self.sockets}/redis.sock",
            "delivery.guarantee": self.options.guarantee}
        words = [f"{key}={value}" for key, value in settings.items()] + self.options.settings
        return self.start([BUILD / "busbridge-worker", *(part for word in words for part in ("-X", word)), *more], "worker.log")

    def measured(self, what):
        """(what it gives, seconds, CPU seconds of a database's server, bytes it logged, CPU seconds of the broker)"""
        cpu, wal = self.outboxes.spent()
        broker = sum(outboxes.process_times(self.broker.pid)[:2])
        began = time.monotonic()
        found = what()
        took = time.monotonic() - began
        cpu_after, wal_after = self.outboxes.spent()
        broker = sum(outboxes.process_times(self.broker.pid)[:2]) - broker
        return found, took, cpu_after - cpu, wal_after - wal, broker / outboxes.TICKS

    def raw(self):
        self.outboxes.lay("raw", self.options.events)
        return self.measured(lambda: self.outboxes.raw("raw"))

    def drain(self, name):
        child = self.worker(name, "--once")
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        return child.returncode, usage

    def relay(self, name, events, lay="lay"):
        laid = self.outboxes.lay(name, events, lay)
        if lay == "lay-raw":
            time.sleep(2.5)  # by then none of them is taken for one that still grows
        (status, usage), *spent = self.measured(lambda: self.drain(name))
        left, dead = self.outboxes.left(name)
        if status or left or dead != (0 if lay == "lay" else events):
            sys.exit(f"the worker ended with {status}, {left} entries left, {dead} dead letters:\n"
                     + (self.sockets / "worker.log").read_text()[-2000:])
        return laid, usage, *spent

    def letters(self):
        kinds, count = {"lay": "published", "lay-dead": "dead letters", "lay-raw": "no JSON"}, self.options.letters
        took, cpu = {lay: [] for lay in kinds}, {lay: [] for lay in kinds}
        for turn in range(self.options.turns):
            for lay in kinds:
                _, usage, seconds, *_ = self.relay(f"{lay}-{turn}", count, lay)
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
        outbox = self.outboxes.home("live")
        child = self.worker("live")
        while not (outbox / ".busbridge" / "control.sock").exists():
            if child.poll() is not None:
                sys.exit("the worker ended: " + (self.sockets / "worker.log").read_text()[-2000:])
            time.sleep(0.02)
        self.outboxes.tool("bench-outbox", "paced", outbox, 20, self.options.rate)  # connections and topic metadata are there after these
        count = max(1, int(self.options.rate * self.options.seconds))
        result = self.outboxes.tool("bench-outbox", "paced", outbox, count, self.options.rate)
        child.terminate()
        child.wait()
        return result


def report(bench, options):
    bare, bare_took, bare_server, bare_wal, _ = bench.raw()
    laid, usage, took, server, wal, broker = bench.relay("outbox", options.events)
    count, cpu, kind = laid["entries"], usage.ru_utime + usage.ru_stime, bench.outboxes
    bare_cpu, relay_cpu, bare_took = bare["cpu_seconds"] / count * 1e6, cpu / count * 1e6, bare["seconds"]
    print(f"{count} entries of {laid['bytes'] // count} bytes, broker {options.broker}, {options.guarantee}, in {bench.folder.parent}")
    print(f"{kind.loop:17s} {count / bare_took:9.0f} {kind.noun + 's/s':8s}  {bare_cpu:6.1f} us CPU a {kind.noun}")
    print(f"relay             {count / took:9.0f} events/s  {relay_cpu:6.1f} us CPU an event ({relay_cpu - bare_cpu:+.1f}; "
          f"{usage.ru_utime / count * 1e6:.1f} user, {usage.ru_stime / count * 1e6:.1f} system)")
    print(f"the broker        {broker / count * 1e6:9.1f} us CPU an event")
    if server:
        print(f"the server        {server / count * 1e6:9.1f} us CPU a row ({bare_server / count * 1e6:.1f} for the bare loop), "
              f"{wal / count:.0f} bytes of WAL a row ({bare_wal / count:.0f})")
    print(f"ratio to {'raw' if kind.paced else 'it'}{'':7s}{bare_took / took:9.2f}")
    print(f"peak resident     {usage.ru_maxrss / 1024:9.1f} MB")


def main():
    options = arguments()
    bench = Bench(options)
    try:
        bench.start_services()
        bench.relay("warm", WARM_EVENTS)
        if options.letters:
            bench.letters()
            return
        report(bench, options)
        if options.seconds > 0 and bench.outboxes.paced:
            live = bench.paced()
            print(f"at {options.rate:g} events/s, rename to acknowledged and settled: p50 {live['p50_ms']:.2f} ms, "
                  f"p99 {live['p99_ms']:.2f} ms, longest {live['max_ms']:.2f} ms ({live['gone']} of {live['sent']})")
    finally:
        bench.close()


if __name__ == "__main__":
    main()
