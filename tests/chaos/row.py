"""The frame of a row: its trials, each with random numbers of its own, its broker, what it counts, and its line at the end."""

import concurrent.futures
import os
import random
import sys
import time
import traceback
import unittest
from collections import Counter

from world import FULL, Topics, World, harness, oracle


class Skipped(Exception):
    """This row cannot run here."""


class Trial:
    """One try: rng (by seed and number), world(), check(). judgement collects what is found."""

    def __init__(self, row, number):
        self.row, self.number = row, number
        self.rng = random.Random(f"{row.name}.{row.seed}.{number}")
        self.judgement, self.worlds, self.topics = oracle.Judgement(), [], Topics(row.bootstrap)

    def world(self, **more):
        self.worlds.append(World(self.topics, **more))
        return self.worlds[-1]

    def check(self, invariant, good, words):
        if not good:
            self.judgement.fault(invariant, words)
        return good

    def judge(self, world, **more):
        self.judgement.add(world.judge(seed=self.number, **more))

    def took(self, began, what):
        """How long it took from the fault's end: told, never judged. That it ends at all is waited for."""
        took = time.monotonic() - began
        if took > self.row.slowest[0]:
            self.row.slowest = took, what

    def close(self):
        for world in self.worlds:
            if self.judgement.faults:
                world.keep(self.row.name)
            world.close()
        self.topics.delete()


class Row:
    def __init__(self, name, module, options, seed):
        self.name, self.module, self.seed, self.first, self.store = name, module, seed, options.first, options.store
        self.again = name + (f" --store {options.store}" if options.store != "file" else "") + (f" --through {options.through}" if options.through else "")
        trials = module.TRIALS if options.store == "file" else module.STORES[options.store]
        self.trials = options.trials or trials[1 if FULL else 0]
        self.total, self.slowest, self.done = oracle.Judgement(), (0.0, ""), 0
        self.cleanups, self.bootstrap, self.notes = [], None, Counter()

    # ---- what rows use ---------------------------------------------------------------------------------------------------------

    def broker(self, broker=None):
        """A broker of this row alone, for those that take it away."""
        broker = broker or harness.Broker()
        self.cleanups.append(broker.close)
        self.bootstrap = broker.start().bootstrap
        return broker

    def note(self, what):
        """Counted, and said in the row's line."""
        self.notes[what] += 1

    def without(self, part, why):
        """A part of the row cannot be tried here: said, and no green where everything has to be tried."""
        print(f"SKIPPED: {self.name}: {part}: {why}", flush=True)
        if os.environ.get("CI") == "true":
            self.total.fault("SKIPPED", f"{part}: {why}")

    def redis(self, *options):
        server = harness.Redis(*options)
        self.cleanups.append(server.close)
        return server.start()

    def each(self, trial, at_once=1):
        """trial(Trial) for every number of this run."""
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            for t in pool.map(lambda n: self.one(trial, n), range(self.first, self.first + self.trials)):
                self.count(t)
                if os.environ.get("BUSBRIDGE_FIRST") == "1" and self.total.faults:
                    pool.shutdown(cancel_futures=True)
                    break

    def one(self, trial, number):
        t = Trial(self, number)
        try:
            trial(t)
        except Skipped:
            raise
        except Exception:
            t.check("I9", False, "the trial did not come to its end:\n" + traceback.format_exc())
        finally:
            t.close()
        return t

    def count(self, t):
        self.done += getattr(t, "tries", 1)
        self.total.add(t.judgement)
        if t.judgement.faults:
            print(f"VIOLATION in trial {t.number} of {self.again} (--seed {self.seed} --first {t.number} --trials 1):\n"
                  f"{t.judgement.complain()}", flush=True)
        elif self.trials >= 10 and self.done % max(1, self.trials // 10) == 0 and FULL:
            print(f"  {self.name}: {self.done} tries so far, {self.total.line()}", flush=True)

    # ---- the run ---------------------------------------------------------------------------------------------------------------

    def run(self):
        print(f"{self.again}: {self.module.__doc__.splitlines()[0]} Seed {self.seed}.", flush=True)
        began = time.monotonic()
        try:
            self.bootstrap = None if getattr(self.module, "OWN_BROKER", False) else self.shared()
            self.module.run(self)
        except harness.Unavailable as why:
            raise Skipped(str(why)) from None
        verdict = f"{len(self.total.faults)} VIOLATIONS" if self.total.faults else "ok"
        notes = "".join(f", {count} {what}" for what, count in sorted(self.notes.items()))
        print(f"ROW {self.again}: {verdict}, {self.done} tries in {time.monotonic() - began:.0f} s, seed {self.seed}, slowest recovery "
              f"{self.slowest[0]:.1f} s ({self.slowest[1]}){notes}: {self.total.line()}", flush=True)
        return 1 if self.total.faults else 0

    def shared(self):
        try:
            return harness.shared_bootstrap()
        except unittest.SkipTest:
            return self.broker().bootstrap

    def close(self):
        for cleanup in reversed(self.cleanups):
            try:
                cleanup()
            except Exception:
                traceback.print_exc(file=sys.stderr)
