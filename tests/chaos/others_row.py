"""Others' hands on files, folders, disk and clock, backups that come back; both guarantees, Redis off, killed, on (fault 25)."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import backup
import others
import small
from world import BUILD, FULL, harness, signal, time

GUARANTEES, REDIS = ("exactly_once", "at_least_once"), ("off", "killed", "on")
PARTS = ("disk", "backup", "hands")  # what is tried beside the hands' deeds
TRIALS = (6, 240)  # each of one guarantee and one Redis; in 18 each of them with each part, and in 36 with and without a clock that is set
DEEDS = others.METADATA + others.SAME_BYTES + others.FOLDERS + others.LOOKING + others.BACK
BACKLOG, SECONDS, RATE, DISK = (5000, 20, 250, "size=96m") if FULL else (400, 4, 150, "size=24m")
# How far the clock is off, in seconds. Refused by the broker are times an hour ahead of its own; and within an hour of the file times `busbridge
# doctor --new-id` looks for what was published.
STEPS, FAR_STEPS = (-3000, -90, -5, 0, 5, 90, 3000), (-86400, -7200)
AHEAD = (7200, 86400)


def run(row):
    row.small = True
    try:
        small.private_mounts()
    except harness.Unavailable as why:
        row.small = False
        row.without("fill and free the disk", why)
    row.each(trial, at_once=2)


def trial(t):
    guarantee, kind = GUARANTEES[t.number % 2], REDIS[t.number // 2 % 3]
    server = harness.Redis().start() if kind != "off" else None
    try:
        Scene(t, guarantee, kind, server).play()
    finally:
        if server:
            server.close()


class Scene:
    """One trial: a backlog and what is written meanwhile, a worker that drains it, others' hands on it."""

    def __init__(self, t, guarantee, kind, server):
        self.t, self.rng, self.guarantee, self.kind, self.server = t, t.rng, guarantee, kind, server
        self.part = PARTS[(t.number + t.number // 6) % 3]
        self.part = "hands" if self.part == "disk" and not t.row.small else self.part
        self.sets_clock = (t.number // 2 + t.number + t.number // 18) % 2 == 0
        self.world = t.world(redis=server.url if server else "off", guarantee=guarantee, disk=DISK if self.part == "disk" else None, options={
            "batch.max_events": t.rng.choice((20, 300, 5000)), "outbox.settle": "5s", "outbox.sent": t.rng.choice(("delete", "delete", "keep")),
            "redis.prefix": "w:"})  # its keys stay known under a new id
        self.env, self.clock, self.off = None, self.world.dir / "clock", 0
        if self.sets_clock:
            self.set_clock(0)
            self.env = {"LD_PRELOAD": str(BUILD / "tests/libstepped_clock.so"), "STEPPED_CLOCK": str(self.clock)}
        self.deeds, self.even, self.killed = self.choose(), t.rng.random() < 0.4, False
        self.older = self.worker = self.hands = None

    def choose(self):
        """Some trials try one thing at a time, so that what goes wrong has one cause."""
        named = os.environ.get("BUSBRIDGE_DEEDS")
        known = tuple(named.split(",")) if named else DEEDS
        chosen = known if self.rng.random() < 0.4 else self.rng.sample(known, self.rng.randrange(1, min(4, len(known)) + 1))
        return (*chosen, *others.DISK) if self.part == "disk" else tuple(chosen)

    # ---- its course ------------------------------------------------------------------------------------------------------------

    def play(self):
        self.produce()
        self.worker, self.hands = self.start(), self.start_others()
        end = time.monotonic() + SECONDS
        plan = [(end - SECONDS * self.rng.uniform(0.85, 1), self.take_backup), (end - SECONDS * self.rng.uniform(0.1, 0.6), self.bring_back)]
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(0.05, 0.6))
            if self.part == "backup" and plan and time.monotonic() > plan[0][0]:
                plan.pop(0)[1]()
            else:
                self.trouble()
        self.come_to_an_end()
        before = len(self.t.judgement.faults)
        self.judge()
        if len(self.t.judgement.faults) > before:
            print(f"  trial {self.t.number}: {self.guarantee}, Redis {self.kind}, {self.part}, clock {self.sets_clock}, {self.deeds}, "
                  f"{self.world.options}", flush=True)

    def produce(self):
        """A busy producer hardly ever writes anything but its latest state, under the same few names."""
        keys, poison, latest, busy = self.rng.choice((3, 50)), self.rng.choice((0, 0.02)), self.rng.choice((0, 0.2)), self.rng.random() < 0.3
        (self.world.outbox / "pending").mkdir()
        writer = self.world.writer(keys=keys, seed=self.t.number)
        for _ in range(BACKLOG):
            writer.write()
        writer.close()
        rate, latest = (RATE * 4, 0.9) if busy else (RATE, latest)
        self.world.produce(rate=rate, keys=keys, seed=self.t.number + 1, poison=poison, twins=0.01, latest=latest, first=BACKLOG,
                           **({"even": True} if self.even else {}))

    def come_to_an_end(self):
        self.hands.stdin.close()
        self.t.check("I8", self.hands.wait(harness.PATIENCE) == 0, "the others failed")
        self.world.stop_producing()
        if self.off > 3600:
            self.set_clock(self.rng.choice(STEPS))
        self.go_on()
        harness.wait_until(lambda: not self.world.pending() or not self.worker.running(), what=f"everything is relayed, {self.deeds}")
        self.t.check("I9", self.worker.running() and self.worker.stop() == 0,
                     f"the worker ended with {self.worker.process.returncode}: {self.worker.stderr()[-1500:]}")
        letters_come_back(self.world)
        self.world.settle()

    # ---- the worker ------------------------------------------------------------------------------------------------------------

    def start(self):
        return self.world.worker(env=self.env)

    def trouble(self):
        """The worker stands still where it happens to be, which widens every gap between a look and a deed; or it is killed. Only
        exactly_once is: there a kill doubles nothing either."""
        self.go_on()
        dice = self.rng.random()
        if self.sets_clock and self.rng.random() < 0.3:
            self.set_clock(self.rng.choice(self.steps()))
        if dice < 0.6:
            self.worker.signal(signal.SIGSTOP)
            time.sleep(self.rng.uniform(0.01, 0.1))
            self.worker.signal(signal.SIGCONT)
        elif dice < 0.75 and self.guarantee == "exactly_once":
            self.end_worker()
            self.worker = self.start()
        elif dice < 0.9 and self.kind == "killed":
            self.server.kill()
            time.sleep(self.rng.uniform(0, 0.3))
            self.server.start()

    def go_on(self):
        """Only a start may fail on a full disk: it says so, and a later one does not."""
        while not self.worker.running() and self.part == "disk" and self.worker.process.returncode == 1 and "space" in self.worker.stderr():
            self.t.row.note("starts refused by a full disk")
            time.sleep(0.1)
            self.worker = self.start()
        self.t.check("I8", self.worker.running(), f"it had ended by itself with {self.worker.process.returncode}: {self.worker.stderr()[-1500:]}")

    def end_worker(self):
        """By kill -9, or as its guarantee allows it."""
        if self.guarantee == "exactly_once" and self.rng.random() < 0.8:
            self.worker.kill()
        else:
            self.t.check("I9", self.worker.stop() == 0, f"it was stopped and ended with {self.worker.process.returncode}: {self.worker.stderr()[-1500:]}")

    # ---- the clock -------------------------------------------------------------------------------------------------------------

    def steps(self):
        return STEPS + (() if self.part == "backup" else FAR_STEPS + (AHEAD if FULL else ()))

    def set_clock(self, seconds):
        new = self.clock.with_suffix(".new")
        new.write_text(str(seconds * 10**9))
        new.rename(self.clock)
        self.off = seconds
        self.t.row.note("settings of the clock")

    # ---- a backup --------------------------------------------------------------------------------------------------------------

    def held(self, deed):
        """While no hand is in the middle of something."""
        self.hands.stdin.write(b"h")
        self.hands.stdin.flush()
        self.t.check("I8", self.hands.stdout.readline() == b"held\n", "the others do not answer")
        deed()
        self.hands.stdin.write(b"g")
        self.hands.stdin.flush()

    def take_backup(self):
        def deed():
            self.older = backup.Backup(self.world)
        self.held(deed)

    def bring_back(self):
        way = self.rng.choice(backup.WAYS)
        self.t.row.note(f"backups brought back {way}")
        if way != "beside its worker":
            self.end_worker()
        self.held(lambda: self.older.bring_back(way))
        if way == "beside its worker":
            self.killed = True  # at_least_once: what is on its way then may come again
            self.t.check("I9", self.worker.wait() == 75, f"with its outbox replaced it ended with {self.worker.process.returncode}: "
                         f"{self.worker.stderr()[-1500:]}")
        backup.new_id(self.t, self.world)
        self.worker = self.start()

    # ---- the others, and what they did -----------------------------------------------------------------------------------------

    def start_others(self):
        """Where its clock is set, file times are not: what is half for a moment would look as if it had been so for long. And half an entry
        has no id by which busbridge doctor could know it."""
        aside = self.world.home / "aside"
        aside.mkdir()
        pause = str(self.rng.choice((0.001, 0.02, 0.1)))
        words = ["--deeds", ",".join(self.deeds), "--seed", str(self.t.number), "--pause", pause, *(["--whole"] if self.sets_clock or self.part == "backup" else [])]
        return subprocess.Popen([sys.executable, str(Path(others.__file__)), str(self.world.outbox), str(aside), str(self.world.dir / "said"), *words],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def judge(self):
        """Redis that was never killed remembers each id; else one that was brought back is a new entry."""
        touched, again = self.what_was_said()
        older, destroyed = (self.older.ids, self.older.destroyed()) if self.older else (set(), set())
        self.t.row.notes.update({"taken away with an outbox": len(destroyed), "brought back where none lay": sum(again.values())})
        self.t.judge(self.world, ids_once=self.kind == "on", killed=self.killed, unordered=touched | older, again=again, older=older,
                     destroyed=destroyed)

    def what_was_said(self):
        """Ids whose place in the order others changed; and how often they brought one back."""
        lines = [json.loads(line) for line in (self.world.dir / "said").read_text().splitlines()]
        self.t.row.notes.update(lines[-1]["counts"])
        files, back = {line["file"] for line in lines[:-1]}, Counter(line["file"] for line in lines[:-1] if "again" in line)
        written = [e for e in map(json.loads, self.world.list.read_text().splitlines()) if e["do"] == "attempt"]
        touched = {e["id"] for e in written if e["file"] in files or self.even and e["file"] in others.LATEST}
        again = Counter()
        for e in written:
            again[e["id"]] += back[e["file"]]
        return touched, again


def letters_come_back(world):
    """What was moved away with dlq/ is counted with the rest."""
    dlq = world.outbox / "dlq"
    dlq.mkdir(exist_ok=True)
    for folder in sorted((world.home / "aside").glob("dlq-*")):
        for path in sorted(folder.iterdir()):
            target = dlq / path.name
            if target.exists():
                target = dlq / f"{path.stem}__{folder.name.rsplit('-', 1)[1]}{path.suffix}"
            path.rename(target)
