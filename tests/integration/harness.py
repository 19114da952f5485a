"""What integration tests share: an outbox to fill, the programs to run, a broker to read, a Redis to stop.

    import harness

    class RelayTest(harness.BusTest):
        def test_an_event_reaches_its_topic(self):
            self.entry("episode.created", {"episode_id": "ep-1", "title": "T", "episode_number": 1})
            self.run_worker("--once", expect=0)
            records = self.drain("episode.events")
            self.assertEqual([r.key for r in records], [b"ep-1"])

    if __name__ == "__main__":
        harness.main()

Tests share one broker (file named by BUSBRIDGE_BROKER): topics get a prefix of each test's own, which topic() and drain()
put in front. Programs come from BUSBRIDGE_BUILD. Nothing here sleeps for a fixed time: wait_until() polls.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from collections import namedtuple
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import kafka_wire  # noqa: E402
from broker import Broker, Unavailable, free_port  # noqa: E402,F401

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUSBRIDGE_BUILD") or ROOT / "build/debug")
PATIENCE = kafka_wire.PATIENCE

# key and value are bytes or None; headers a dict of bytes by name
Record = namedtuple("Record", "topic partition offset timestamp key value headers")


def main():
    """Run the tests of the script; 77 (skipped, for ctest) when not one of them could run."""
    result = unittest.main(verbosity=2, exit=False).result
    alone = sum(isinstance(test, unittest.TestCase) for test, _ in result.skipped)  # a class that is skipped as a whole began no test
    skipped_all = bool(result.skipped) and result.testsRun <= alone and result.wasSuccessful()
    sys.exit(77 if skipped_all else 0 if result.wasSuccessful() else 1)


def wait_until(predicate, seconds=PATIENCE, what=None):
    """The first true answer of predicate(). The limit is for hangs alone: no test may depend on speed."""
    deadline = time.monotonic() + seconds
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what or predicate}")
        time.sleep(0.02)


def new_seed():
    """For a suite that draws by chance: in CI's short form the same one each time, so that what it says is of the change alone."""
    return 1 if os.environ.get("CI") == "true" and os.environ.get("BUSBRIDGE_FULL") != "1" else random.randrange(10**6)


def shared_bootstrap():
    """Address of the broker that the tests share; skips the test where there is none."""
    try:
        return json.loads(Path(os.environ["BUSBRIDGE_BROKER"]).read_text())["bootstrap"]
    except (KeyError, OSError, ValueError):
        raise unittest.SkipTest("no Kafka broker: run broker.py start FILE and set BUSBRIDGE_BROKER=FILE") from None


def hanging(bootstrap, topics):
    """Partitions in which a transaction is still open: their last stable offset is below their end."""
    known = kafka_wire.topics(bootstrap)
    return [f"{topic}/{partition}" for topic in topics for partition in range(known.get(topic, 0))
            if kafka_wire.end_offset(bootstrap, topic, partition) != kafka_wire.end_offset(bootstrap, topic, partition, False)]


def wait_stable(bootstrap, topics, seconds=PATIENCE):
    """The broker says yes to a commit before readers see it: until no transaction is open. False: one stays open."""
    deadline = time.monotonic() + seconds
    while hanging(bootstrap, topics):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kcat(bootstrap, topic):
    """The committed records of one topic up to its end, as kcat prints them. A topic made a moment ago is not known at once."""
    deadline = time.monotonic() + PATIENCE
    while True:
        done = subprocess.run(["kcat", "-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed",
                               "-X", "fetch.wait.max.ms=10", "-f", "%t %p %o %T %K %S\n%k%s\n%h\n"],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * PATIENCE)
        if not done.returncode:
            return done.stdout
        if not re.search(b"Unknown topic or partition|Leader not available|Not leader", done.stderr) or time.monotonic() > deadline:
            raise AssertionError("kcat: " + done.stderr.decode(errors="replace"))
        time.sleep(0.2)


def kcat_drain(bootstrap, topic, open_seconds=20):
    """All committed records of one topic, by partition and offset. A missing topic has none. A transaction that stays open (that of a worker that
    was killed or stopped) is waited for so long: another is about to be committed, and what its worker knows to be done is looked for here."""
    if topic not in kafka_wire.topics(bootstrap):
        return []
    wait_stable(bootstrap, [topic], open_seconds)
    return sorted(parse_kcat(kcat(bootstrap, topic)), key=lambda r: (r.partition, r.offset))


def parse_kcat(raw):
    at = 0
    while at < len(raw):
        end = raw.index(b"\n", at)
        name, *numbers = raw[at:end].decode().split(" ")
        partition, offset, stamp, key_len, value_len = map(int, numbers)
        at = end + 1
        key = raw[at:at + key_len] if key_len >= 0 else None
        at += max(0, key_len)
        value = raw[at:at + value_len] if value_len >= 0 else None
        at += max(0, value_len) + 1
        end = raw.index(b"\n", at)
        pairs = re.split(rb",(?=[a-z_-]+=)", raw[at:end]) if end > at else []
        headers = {n.decode(): v for n, _, v in (pair.partition(b"=") for pair in pairs)}
        at = end + 1
        yield Record(name, partition, offset, stamp, key, value, headers)


class Redis:
    """A redis-server of one's own. start() again after kill(): same port, empty."""

    def __init__(self, *options):
        self.options = options
        self.dir = Path(tempfile.mkdtemp(prefix="busbridge-redis-"))
        self.port, self.process = free_port(), None
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen([*command, "--dir", str(self.dir), *self.options], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        wait_until(lambda: self.command("PING") in ("PONG", "NOAUTH Authentication required."), what="Redis answers")
        return self

    def command(self, *words):
        """Its answer as redis-cli prints it when piped."""
        done = subprocess.run(["redis-cli", "-p", str(self.port), *words], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=PATIENCE)
        return done.stdout.strip()

    def keys(self, pattern="*"):
        return sorted(self.command("KEYS", pattern).split())

    def suspend(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Program:
    """A program of ours that runs. Its output goes to files, so it can never block on a pipe."""

    def __init__(self, command, env, folder):
        self.command, self.name = command, Path(command[0]).name
        with (tempfile.NamedTemporaryFile(prefix=f"{self.name}-", suffix=".out", dir=folder, delete=False) as out,
              tempfile.NamedTemporaryFile(prefix=f"{self.name}-", suffix=".err", dir=folder, delete=False) as err):
            self.out, self.err = Path(out.name), Path(err.name)
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def stdout(self):
        return self.out.read_text(errors="replace")

    def stderr(self):
        return self.err.read_text(errors="replace")

    def logs(self, event=None):
        """Its log lines as dicts (log.format=json), all or those of one event."""
        found = []
        for line in self.stderr().splitlines():
            try:
                fields = json.loads(line)
            except ValueError:
                continue
            if event is None or fields.get("event") == event:
                found.append(fields)
        return found

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=2 * PATIENCE):
        """Its exit status (negative: ended by that signal)."""
        return self.process.wait(seconds)

    def stop(self, seconds=2 * PATIENCE):
        """SIGTERM, and its exit status."""
        if self.running():
            self.process.terminate()
        return self.wait(seconds)

    def kill(self):
        """kill -9"""
        if self.running():
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        return self.process.wait()


class Bus:
    """self.dir a folder of its own, self.outbox in it, self.options what programs get by -X, self.programs those that were started."""

    build = BUILD

    def open_bus(self, bootstrap, topic, name, folder=None):
        self.dir = Path(tempfile.mkdtemp(prefix=f"busbridge-{name}-", dir=folder))
        self.outbox = self.dir / "outbox"
        self.outbox.mkdir()
        self.programs = []
        self.options = {
            "outbox.url": f"file:{self.outbox}",
            "routing.topic": topic,
            "encoding.schemas": str(ROOT / "schemas"),
            "kafka.bootstrap.servers": bootstrap,
            "redis.url": "off",
            "log.format": "json",
            "log.level": "debug",
        }

    def start(self, program, *arguments, env=None, options=None):
        """Start a program with self.options, and `options` over them, as -X; it is killed at the end."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BUSBRIDGE_", "NOVELER_"))}
        clean.update(env or {})
        pairs = [word for key, value in {**self.options, **(options or {})}.items() if value is not None
                 for word in ("-X", f"{key}={value}")]
        self.programs.append(Program([str(self.build / program), *pairs, *arguments], clean, self.dir))
        return self.programs[-1]

    def kill_programs(self):
        for program in self.programs:
            program.kill()

    def remove_bus(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class BusTest(Bus, unittest.TestCase):
    """An outbox for each test, and self.bootstrap, the broker."""

    needs_kafka = True

    def setUp(self):
        self.prefix = "t" + uuid.uuid4().hex[:10]
        self.bootstrap = shared_bootstrap() if self.needs_kafka else "127.0.0.1:1"
        self.open_bus(self.bootstrap, self.prefix + ".{namespace}.events", "test")
        self.addCleanup(self.remove_bus)

    def tearDown(self):
        self.kill_programs()
        if self._failed():
            for program in self.programs:
                print(f"--- {' '.join(program.command)}\n{program.stderr()[-4000:]}", file=sys.stderr)

    def _failed(self):
        result = self._outcome.result
        return any(test is self for test, _ in result.failures + result.errors)

    # ---- the outbox -----------------------------------------------------------------------------------------------------------

    def entry(self, name, payload, *, place="flat", mtime=None, file=None, **over):
        """Write one entry as a producer does; its id. place: flat, pending. over: other values of its keys (None is null;
        `...` leaves the key out). mtime: seconds, or None for now."""
        entry = {"id": str(uuid.uuid4()), "name": name, "payload": payload, "created_at": "2025-09-22T03:04:05.123456+00:00",
                 "attempts": 0, "dispatched_at": None, "last_error": None, "failed_at": None, "status": "pending"}
        entry.update(over)
        entry.setdefault("storage_key", entry["id"])
        entry = {key: value for key, value in entry.items() if value is not ...}
        self.write(file or f"{entry.get('storage_key') or uuid.uuid4()}.json", json.dumps(entry, ensure_ascii=False), place, mtime)
        return entry.get("id")

    def write(self, file, text, place="flat", mtime=None):
        """Any bytes under any name in the outbox, visible at once and whole. Returns the path."""
        folder = self.outbox if place == "flat" else self.outbox / place
        folder.mkdir(exist_ok=True)
        temporary = folder / f".{file}.tmp"
        temporary.write_bytes(text if isinstance(text, bytes) else text.encode())
        if mtime is not None:
            os.utime(temporary, (mtime, mtime))
        temporary.rename(folder / file)
        return folder / file

    def pending(self):
        """File names that still wait, in both places."""
        return sorted(p.name for folder in (self.outbox, self.outbox / "pending") if folder.is_dir()
                      for p in folder.iterdir() if p.suffix == ".json" and not p.name.startswith("."))

    def dead(self):
        """The dead letters: {file name: object}."""
        folder = self.outbox / "dlq"
        return {p.name: json.loads(p.read_bytes()) for p in sorted(folder.glob("*.json"))} if folder.is_dir() else {}

    # ---- programs -------------------------------------------------------------------------------------------------------------

    def start_worker(self, *arguments, **more):
        return self.start("busbridge-worker", *arguments, **more)

    def run_worker(self, *arguments, expect=None, seconds=2 * PATIENCE, **more):
        """The worker until it ends by itself (--once)."""
        return self._finish(self.start_worker(*arguments, **more), expect, seconds)

    def run_cli(self, *arguments, expect=None, seconds=PATIENCE, **more):
        """busbridge COMMAND ...; .stdout(), .stderr(), .status"""
        return self._finish(self.start("busbridge", *arguments, **more), expect, seconds)

    def examine(self, command, *arguments, **more):
        """What doctor or verify found: its checks, each looked at for its form; self.verdict and self.unreachable."""
        answer = json.loads(self.run_cli(command, "-o", "json", *arguments, **more).stdout())
        self.assertEqual(answer["version"], 1)
        self.unreachable, self.verdict = answer["unreachable"], answer["verdict"]
        for check in answer["checks"]:
            self.assertEqual(set(check), {"check", "verdict", "found", "next"})
            if check["verdict"] in ("failed", "warning"):
                self.assertTrue(check["next"], check)
        return answer["checks"]

    def _finish(self, program, expect, seconds):
        program.status = program.wait(seconds)
        if expect is not None and program.status != expect:
            self.fail(f"{program.name} ended with {program.status}, not {expect}:\n{program.stdout()[-2000:]}{program.stderr()[-4000:]}")
        return program

    # ---- Kafka and Redis ------------------------------------------------------------------------------------------------------

    def topic(self, name):
        """The full name of `episode.events` in this test."""
        return f"{self.prefix}.{name}"

    def create_topic(self, name, partitions=3, config=None):
        kafka_wire.create_topic(self.bootstrap, self.topic(name), partitions, config)

    def drain(self, *names):
        """All committed records of these topics (default: all of this test's), by topic, partition, offset."""
        topics = [self.topic(n) for n in names] or sorted(
            t for t in kafka_wire.topics(self.bootstrap) if t.startswith(self.prefix + "."))
        return [record for topic in topics for record in kcat_drain(self.bootstrap, topic)]

    def redis(self, *options):
        """A started Redis of this test, set as redis.url; closed after it."""
        server = Redis(*options)
        self.addCleanup(server.close)
        self.options["redis.url"] = server.start().url
        return server

    def own_broker(self, extra=""):
        """A started broker of this test alone, for outages; closed after it."""
        broker = Broker(extra)
        self.addCleanup(broker.close)
        self.bootstrap = broker.start().bootstrap
        self.options["kafka.bootstrap.servers"] = self.bootstrap
        return broker
