"""What every row needs: topics of its own, outboxes, workers to kill, a producer process, and the judgement at the end."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]
import harness  # noqa: E402
import kafka_wire  # noqa: E402
import oracle  # noqa: E402
import stores  # noqa: E402
from small import Small  # noqa: E402

BUILD = Path(os.environ.get("BUSBRIDGE_BUILD") or harness.ROOT / "build/faults")
GUARANTEE = os.environ.get("BUSBRIDGE_GUARANTEE") or "exactly_once"
FULL = os.environ.get("BUSBRIDGE_FULL") == "1"
NAMESPACES = ("plot", "episode")
LEDGER = "busbridge.ledger"
MAX_ATTEMPTS = 2


def exactly_once():
    return GUARANTEE == "exactly_once"


def base_folder():
    """Process deaths need no disk: the fastest folder there is, unless the caller names one."""
    named = os.environ.get("BUSBRIDGE_CHAOS_DIR")
    if named:
        return named
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Topics:
    """A pair of topics for one trial (an open transaction hides what others wrote behind it), which take record batches of 50000 bytes at most, and the ledger's."""

    def __init__(self, bootstrap, partitions=2):
        self.bootstrap, self.prefix = bootstrap, "c" + uuid.uuid4().hex[:10]
        self.names = [f"{self.prefix}.{ns}" for ns in NAMESPACES]
        for name in self.names:
            kafka_wire.create_topic(bootstrap, name, partitions, {"max.message.bytes": 50000})
        ensure_ledger(bootstrap)

    def drain(self):
        return oracle.drain(self.bootstrap, self.names)

    def delete(self):
        for name in self.names:
            try:
                kafka_wire.delete_topic(self.bootstrap, name)
            except (kafka_wire.KafkaError, OSError):
                pass  # the broker may be gone with them


def ensure_ledger(bootstrap):
    try:
        kafka_wire.create_topic(bootstrap, LEDGER, 1)
    except kafka_wire.KafkaError as e:
        if e.code != 36:
            raise


class World(harness.Bus):
    """One outbox, its settings, its programs. typed: with the older typed bus's own as a second intake. tag: ids of its producer begin with it. disk: it lies on a small file system of its own, with
    these options of tmpfs. lapses: what one that was killed held of the outbox is taken from it, else it is his until his lease has run out."""

    build = BUILD
    serial = itertools.count(1)

    def __init__(self, topics, *, redis="off", options=None, guarantee=None, disk=None, typed=False, lapses=True):
        self.topics, self.tag = topics, f"{os.getpid()}.{next(World.serial)}"
        self.open_bus(topics.bootstrap, topics.prefix + ".{namespace}", "chaos", base_folder())
        self.list, self.home = self.dir / "list", self.dir / "home"
        self.outbox.rmdir()
        self.outbox = self.home / "outbox"  # of files
        self.home.mkdir()
        self.disk = Small(self.home, disk) if disk else None
        self.typed = self.home / "typed" if typed else None
        self.store = stores.make(self.home, self.typed)
        self.list.touch()
        self.producer, self.replayed, self.lapses = None, set(), lapses
        self.options.update({
            **self.store.options(), "routing.namespaces": " ".join(NAMESPACES), "topics.create": "never", "redis.url": redis,
            "flush.interval": "100ms", "dlq.max_attempts": MAX_ATTEMPTS, "delivery.guarantee": guarantee or GUARANTEE,
            "log.level": "info", **(options or {})})
        self.ids_once = redis != "off"

    # ---- programs --------------------------------------------------------------------------------------------------------------

    def replace_lock(self):
        """As a lost node would leave it: whoever stopped still holds its flock, on a file that is not there any more."""
        self.store.replace_lock()

    def worker(self, *arguments, **more):
        self.lapse()
        return self.start("busbridge-worker", *arguments, **more)

    def lapse(self):
        """Nobody waits for the lease of one that was killed: where none of ours runs, it has run out."""
        if self.lapses and not any(program.running() for program in self.programs):
            self.store.lapse()

    def once(self, seconds=600, **more):
        """--once to its end; its status."""
        program = self.worker("--once", **more)
        try:
            program.status = program.wait(seconds)
        except subprocess.TimeoutExpired:
            program.kill()
            raise AssertionError(f"--once did not end within {seconds} s:\n{program.stderr()[-3000:]}") from None
        return program

    def cli(self, *arguments, seconds=600, **more):
        self.lapse()
        program = self.start("busbridge", *arguments, **more)
        program.status = program.wait(seconds)
        return program

    def forget_programs(self):
        """Their output is dropped: a thousand of them would fill the folder. Charges and crashes are looked for first."""
        for program in self.programs:
            program.kill()
            program.out.unlink(missing_ok=True)
            program.err.unlink(missing_ok=True)
        self.programs = []

    # ---- the producer ----------------------------------------------------------------------------------------------------------

    def writer(self, **more):
        return self.store.writer(self.list, self.tag, namespaces=NAMESPACES, **more)

    def produce(self, **options):
        words = [word for key, value in options.items() for word in ([f"--{key}"] if value is True else [f"--{key}", str(value)])]
        self.producer = subprocess.Popen([*self.store.producer(), str(self.list), "--tag", self.tag, *words], stdin=subprocess.PIPE)
        return self.producer

    def stop_producing(self):
        if self.producer:
            self.producer.stdin.close()
            if self.producer.wait(harness.PATIENCE):
                raise AssertionError("the producer failed")
            self.producer = None

    def pending(self):
        """Names of what waits."""
        return self.store.pending()

    # ---- the end ---------------------------------------------------------------------------------------------------------------

    def settle(self, seconds=600, tries=20):
        """Clean runs until nothing waits; how long that took."""
        self.stop_producing()
        began, last = time.monotonic(), None
        for _ in range(tries):
            last = self.once(seconds)
            if last.status == 0 and not self.pending():
                return time.monotonic() - began
        raise AssertionError(f"{len(self.pending())} entries stay, the last run ended with {last.status}:\n{last.stderr()[-3000:]}")

    def case(self):
        return oracle.Case(oracle.read_list(self.list), self.topics.drain(), self.store, self.tag)

    def judge(self, *, drained=True, ids_once=None, unordered=(), killed=True, registered=False, seed=0, **others):
        """killed=False: at_least_once too, nothing may be there twice. registered: the database itself says what was committed. others: what else
        oracle.judge is to know."""
        stable = harness.wait_stable(self.topics.bootstrap, self.topics.names)
        case = self.case()
        if registered:
            case.go_by(self.store.register())
        j = oracle.judge(case, ids_once=self.ids_once if ids_once is None else ids_once, max_attempts=MAX_ATTEMPTS, drained=drained,
                         replayed=self.replayed, unordered=unordered, seed=seed, **others)
        oracle.judge_logs(case, j, self.programs)
        if not stable:
            j.fault("I9", f"transactions stay open: {harness.hanging(self.topics.bootstrap, self.topics.names)}")
        if self.options["delivery.guarantee"] != "exactly_once":  # a kill may double; order around a refused event is not promised
            refused = any(e["kind"] == "refused" for e in case.entries)
            spared = (("I2", "I10") if killed else ()) + (("I4",) if refused else ())
            j.faults = [f for f in j.faults if f[0] not in spared]
        return j

    def end_programs(self):
        if self.producer:
            self.producer.kill()
            self.producer.wait()
        self.kill_programs()

    def close(self):
        self.end_programs()
        if self.disk:
            self.disk.unmount()
        self.remove_bus()

    def keep(self, why):
        """A failed run's outbox and logs stay for the one who looks into it."""
        self.end_programs()
        kept = Path(tempfile.gettempdir()) / f"busbridge-failed-{why}-{self.tag}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.dir, kept, symlinks=True, ignore=shutil.ignore_patterns("*.sock", "filler*"))
        try:
            rows = [f"{r.topic} {r.partition} {r.offset} {r.timestamp} {(r.key or b'').decode()} {oracle.record_id(r)}" for r in self.topics.drain()]
            (kept / "records").write_text("\n".join(rows) + "\n")
        except (AssertionError, OSError) as why:
            print(f"  no records: {why}")
        print(f"  outbox, list, logs and records are kept in {kept}", flush=True)


def stopped_by_signal(pid):
    """Is each thread of the process stopped (state T)? One of them may still be in the middle of a call when the first is."""
    try:
        return {(task / "stat").read_text().rsplit(")", 1)[1].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()} == {"T"}
    except (OSError, IndexError):
        return False


__all__ = ["World", "Topics", "harness", "kafka_wire", "oracle", "random", "signal", "time", "FULL", "NAMESPACES", "MAX_ATTEMPTS",
           "BUILD", "exactly_once", "stopped_by_signal"]
