"""What the suites here share: the batch of 20, its numbered points, and many trials at a time.

BUSBRIDGE_SEED_NUMBER repeats a run; BUSBRIDGE_FIRST=1 ends it at the first violation; BUSBRIDGE_ONLY=TEXT tries only points whose
"what name" begins with TEXT or whose name ends with it, each before and after.
"""

import concurrent.futures
import os
import random
import sys
import time
import traceback
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import oracle  # noqa: E402
import stores  # noqa: E402
from world import FULL, Topics, World, harness, stopped_by_signal  # noqa: E402,F401

SEED = int(os.environ.get("BUSBRIDGE_SEED_NUMBER") or harness.new_seed())
ONLY = os.environ.get("BUSBRIDGE_ONLY")
FIRST = os.environ.get("BUSBRIDGE_FIRST") == "1"
CRASHED = 137
WORKERS = 4
LASTING = {"shutdown.drain_timeout": "1h"}  # who waits for that, for nothing, does not come to its end
SMALL = 6  # events a batch at most, so that several batches are under way
TYPED = stores.KIND == "file"  # the older typed bus's own outbox beside it
KINDS = ["good"] * 16 + ["refused", "mismatch", "garbage"]


class Point:
    """One line of the count file: the number of a call, and what it is."""

    def __init__(self, line):
        number, self.what, self.name = (line.split(" ", 2) + [""])[:3]
        self.number = int(number)

    def __str__(self):
        return f"{self.number} ({self.what} {self.name})"


def fill(world, seed):
    """The batch: the same for the same seed. The order of kinds is shuffled, the twin follows somewhere behind its first. Every third lies
    in the envelope of the older typed bus, and every second of these in that bus's own outbox."""
    rng = random.Random(seed)
    kinds = KINDS[:]
    rng.shuffle(kinds)
    writer = world.writer(keys=3, seed=seed)
    written = [writer.write(kind, enveloped=at % 3 == 0 and kind != "garbage", typed=bool(world.typed) and at % 6 == 3) for at, kind in enumerate(kinds)]
    writer.write(twin_of=rng.choice([w for w in written if w["kind"] == "good"]))
    writer.close()


def points(world, **env):
    """A run that only counts: its points."""
    file = world.dir / "points"
    file.unlink(missing_ok=True)
    world.once(env={"BUSBRIDGE_COUNT_FILE": str(file), **env})
    return [Point(line) for line in file.read_text().splitlines()]


def marks(found, rng=None):
    """Before each and after each, a step towards Kafka being one moment; with rng a tenth of those after, which differ from those
    before the next one only in what other threads did."""
    if ONLY:
        found, rng = [p for p in found if f"{p.what} {p.name}".startswith(ONLY) or p.name.endswith(ONLY)], None
    after = [f"{p.number}+" for p in found if p.what != "point"]
    return [str(p.number) for p in found] + (rng.sample(after, len(after) // 10) if rng else after)


class Suite(unittest.TestCase):
    fills = True  # each trial begins with the batch of 20

    @classmethod
    def setUpClass(cls):
        cls.bootstrap = harness.shared_bootstrap()
        cls.redis = harness.Redis().start()
        cls.addClassCleanup(cls.redis.close)

    def setUp(self):
        print(f"seed {SEED}", flush=True)
        self.rng = random.Random(SEED)
        self.total, self.trials, self.missed = oracle.Judgement(), 0, 0

    def some(self, cases, most):
        """Of another kind than files, in the short form: so many of them."""
        return cases if FULL or stores.KIND == "file" or len(cases) <= most else self.rng.sample(cases, most)

    # ---- many trials at a time: most of a recovery is waiting for the broker ----------------------------------------------------

    def sweep(self, trial, cases):
        """trial(world, case) -> Judgement for all cases, some at a time."""
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            jobs = {pool.submit(self.one, trial, case, self.rng.random() < 0.5, self.rng.randrange(10**6)): case for case in cases}
            for job in concurrent.futures.as_completed(jobs):
                self.count(jobs[job], job.result())
                if FIRST and self.total.faults:
                    pool.shutdown(cancel_futures=True)
                    break
        self.conclude()

    def one(self, trial, case, redis, seed):
        world = World(Topics(self.bootstrap), redis=self.redis.url if redis else "off", options=LASTING | {"batch.max_events": SMALL if seed % 2 else 5000}, typed=TYPED)
        judgement = oracle.Judgement()
        try:
            if self.fills:
                fill(world, seed)
            judgement = trial(world, case)
        except Exception:
            judgement.fault("I9", "the trial did not come to its end:\n" + traceback.format_exc())
        if judgement.faults:
            world.keep("crash")
        world.close()
        world.topics.delete()
        return judgement

    def count(self, case, judgement):
        self.trials += 1
        self.total.add(judgement)
        if judgement.faults:
            print(f"VIOLATION at {case} (seed {SEED}):\n{judgement.complain()}", flush=True)

    def conclude(self):
        print(f"{self.id().rsplit('.', 1)[1]}: {self.trials} trials, {self.missed} points not reached, seed {SEED}\n  {self.total.line()}", flush=True)
        self.assertEqual(len(self.total.faults), 0, f"violations, seed {SEED}")

    def baseline(self):
        world = World(Topics(self.bootstrap), redis=self.redis.url, options={"batch.max_events": SMALL}, typed=TYPED)
        self.addCleanup(world.topics.delete)
        self.addCleanup(world.close)
        fill(world, SEED)
        return points(world)

    # ---- a run that ends at a point ------------------------------------------------------------------------------------------------

    def crash(self, world, mark):
        """One run that ends at its mark; False when it came to its end without meeting it."""
        program = world.once(env={"BUSBRIDGE_CRASH_AT": mark})
        if program.status == CRASHED:
            return True
        if program.status not in (0, 1):
            raise AssertionError(f"a run with a crash at {mark} ended with {program.status}:\n{program.stderr()[-2000:]}")
        self.missed += 1
        return False

    def after_crash(self, world):
        """What must hold while nobody runs: nothing is lost yet, and a batch is whole, in the end: a commit is not seen in all partitions at once."""
        deadline = time.monotonic() + harness.PATIENCE
        while True:
            j = oracle.Judgement()
            oracle.judge_whole(world.case(), j)
            if not j.faults or time.monotonic() > deadline:
                return j
            time.sleep(0.1)
