#!/usr/bin/env python3
"""What it costs to look: the operator's commands while a worker drains a backlog, and what asking them adds to the drain.

Lays N entries and lets busbridge-worker drain them. Every other second list, health and metrics are asked once each, as an operator or a
probe would, by their program; the seconds between are left alone. Prints the longest answer of each (mark: 100 ms), and what asking
adds to the worker's CPU time an event (mark: 0.5 us): as the difference between both kinds of seconds, whose standard error stands beside it,
and as what the answers cost while the worker is paused before that, spread over the events of a second. Then, without a worker, the first output of commands at 20,000 entries, and --help of every
command (mark: 100 ms). What else the machine does is in every time but CPU time: the load is printed, and --version as the time that
starting a program costs there.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import relay
from relay import BUILD, ROOT

ASKED = ("list", "health", "metrics")
START = "--version"
ALONE = (("list",), ("list", "--type", "dlq"), ("list", "-o", "jsonl", "--limit", "0"), ("health",), ("metrics",), ("flush", "--dry-run"))
MARK_MS, MARK_US, ALONE_ENTRIES, ROUNDS = 100, 0.5, 20000, 20


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run admin", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100000, help="entries of the backlog (100000)")
    parser.add_argument("--broker", choices=["mock", "kafka"], default="mock", help="the development broker, or Apache Kafka from its jars")
    parser.add_argument("--dir", default=None, help="where the outbox is laid: disk (default: beside the build) or tmpfs (/dev/shm)")
    parser.add_argument("--window", type=float, default=1, help="seconds that are asked, and left alone, by turns (1)")
    parser.add_argument("-X", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="more settings for worker and commands")
    return parser.parse_args()


class Drain:
    """A worker at work, seen by its CPU clocks. How far it is it is asked once at the end of every window, of either kind."""

    def __init__(self, child, outbox):
        self.child, self.socket = child, str(outbox / ".busbridge/control.sock")
        self.clock = (~child.pid << 3) | 2  # what clock_getcpuclockid(3) gives
        relay.wait_for(Path(self.socket), child)

    def now(self):
        """(events published, CPU seconds)"""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket)
            connection.sendall(b"GET /v1/metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])["counters"]["published"], self.cpu()

    def cpu(self):
        return time.clock_gettime(self.clock)

    def rest(self):
        """Until it has listed the outbox and does next to nothing."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            before = self.cpu()
            time.sleep(1)
            if self.cpu() - before < 0.02:
                return
        sys.exit("the paused worker does not come to rest")


class Bench(relay.Bench):
    def command(self, outbox, *words):
        settings = [f"outbox.url=file:{outbox}", f"kafka.bootstrap.servers={self.bootstrap}", f"encoding.schemas={ROOT}/schemas",
                    f"redis.url=unix:{self.sockets}/redis.sock", *self.options.settings]
        return [str(BUILD / "busbridge"), *(word for setting in settings for word in ("-X", setting)), *words]

    def first_output(self, command):
        """Milliseconds until it wrote something, on either stream, until it ended, and of CPU time."""
        began = time.monotonic()
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            os.read(child.stdout.fileno(), 1)
            first = time.monotonic() - began
            while os.read(child.stdout.fileno(), 65536):
                pass
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        return first * 1e3, (time.monotonic() - began) * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3

    def ask(self, outbox, answers, words=(START, *ASKED)):
        for word in words:
            began = time.monotonic()
            done = subprocess.run(self.command(outbox, word), stdin=subprocess.DEVNULL, capture_output=True)
            answers[word].append((time.monotonic() - began) * 1e3)
            if done.returncode not in (0, 1, 2) or b"No worker" in done.stdout:
                sys.exit(f"busbridge {word} ended with {done.returncode}: {done.stderr.decode()}")

    def cost(self, outbox, drain, word):
        """CPU seconds of the paused worker for one answer: of a stretch that was asked, less one as long that was not."""
        began, cpu, answers = time.monotonic(), drain.cpu(), {word: []}
        for _ in range(ROUNDS):
            self.ask(outbox, answers, (word,))
        asked, took, cpu = drain.cpu() - cpu, time.monotonic() - began, drain.cpu()
        time.sleep(took)
        return (asked - (drain.cpu() - cpu)) / ROUNDS

    def drain(self):
        """Answers in ms by command, (events, CPU seconds) of the asked and of the quiet windows, CPU seconds of an answer by command."""
        outbox = self.folder / "outbox"
        self.outboxes.lay("outbox", self.options.events)
        subprocess.run(self.command(outbox, "pause"), check=True, stdin=subprocess.DEVNULL, capture_output=True)
        drain = Drain(self.worker("outbox"), outbox)
        drain.rest()
        costs = {word: self.cost(outbox, drain, word) for word in ASKED}
        answers, windows, asked = {word: [] for word in (START, *ASKED)}, {True: [], False: []}, True
        subprocess.run(self.command(outbox, "resume"), check=True, stdin=subprocess.DEVNULL, capture_output=True)
        while not (at := drain.now())[0]:
            time.sleep(0.05)
        while at[0] < self.options.events:
            ends = time.monotonic() + self.options.window
            if asked:
                self.ask(outbox, answers)
            time.sleep(max(0, ends - time.monotonic()))
            then = drain.now()
            if then[0] < self.options.events:  # the last one may have stood idle
                windows[asked].append((then[0] - at[0], then[1] - at[1]))
            if then[0] == at[0] and drain.child.poll() is not None:
                sys.exit("the worker ended: " + (self.sockets / "worker.log").read_text()[-2000:])
            at, asked = then, not asked
        drain.child.terminate()
        drain.child.wait()
        return answers, windows, costs

    def alone(self):
        outbox = self.folder / "alone"
        self.outboxes.lay("alone", ALONE_ENTRIES)
        return {" ".join(words): self.first_output(self.command(outbox, *words)) for words in ALONE}

    def helps(self):
        text = subprocess.run([BUILD / "busbridge", "--help"], capture_output=True, text=True, check=True).stdout
        words = re.findall(r"^  (\w+) {2,}", text.split("\nCommands:\n")[1].split("\n\n")[0], re.M)
        return {f"{word} --help": self.first_output([str(BUILD / "busbridge"), word, "--help"]) for word in words}


def verdict(value, mark):
    return "" if value <= mark else f"   over the mark of {mark:g}"


def ratio_error(rows, ratio):
    """Standard error of sum(y) / sum(x) over rows of (x, y)."""
    rest = sum((y - ratio * x) ** 2 for x, y in rows) * len(rows) / (len(rows) - 1)
    return rest ** 0.5 / sum(x for x, _ in rows)


def report_drain(answers, windows, costs):
    for word, took in answers.items():
        mark = "" if word == START else verdict(max(took), MARK_MS)
        cost = f", {costs[word] * 1e3:.2f} ms CPU of the worker each" if word in costs else ""
        print(f"{word:<9} asked {len(took)} times: median {statistics.median(took):6.1f} ms, longest {max(took):6.1f} ms{cost}{mark}")
    if min(len(rows) for rows in windows.values()) < 2:
        print("too few windows for the CPU an event: more --events")
        return
    each = {kind: sum(cpu for _, cpu in rows) / sum(n for n, _ in rows) * 1e6 for kind, rows in windows.items()}
    error = sum(ratio_error(rows, each[kind] / 1e6) ** 2 for kind, rows in windows.items()) ** 0.5 * 1e6
    added, spread = each[True] - each[False], sum(costs.values()) * len(windows[True]) / sum(n for n, _ in windows[True]) * 1e6
    print(f"CPU of the worker an event: asked {each[True]:.2f} us, not asked {each[False]:.2f} us: {added:+.2f} us, standard error "
          f"{error:.2f} ({len(windows[True])} and {len(windows[False])} windows)")
    print(f"what the answers cost, spread over the events of a window: {spread:.3f} us an event{verdict(max(spread, added - 2 * error), MARK_US)}")


def main():
    options = arguments()
    bench = Bench(options)
    try:
        bench.start_services()
        print(f"{options.events} entries, broker {options.broker}, in {bench.folder.parent}, load {os.getloadavg()[0]:.1f} of {os.cpu_count()} CPUs")
        report_drain(*bench.drain())
        print(f"without a worker, {ALONE_ENTRIES} entries: until the first output, until the end, CPU time")
        for words, (first, end, cpu) in bench.alone().items():
            print(f"  {words:<28} {first:6.1f} ms {end:8.1f} ms {cpu:6.1f} ms{verdict(first, MARK_MS)}")
        helps = bench.helps()
        slowest = max(helps, key=lambda words: helps[words][1])
        print(f"--help of {len(helps)} commands: longest {helps[slowest][1]:.1f} ms, {helps[slowest][2]:.1f} ms of CPU time ({slowest}){verdict(helps[slowest][1], MARK_MS)}")
        print(f"load {os.getloadavg()[0]:.1f}")
    finally:
        bench.close()


if __name__ == "__main__":
    main()
