#!/usr/bin/python3
"""Crash, or fail, at every numbered durable call and every step towards Kafka of a batch of 20, then recover and judge.

The batch has several keys, an id that comes twice, one event that the broker refuses, one that does not fit its schema and one
that is no JSON. The short form tries each point once, and a sample of the crashes in a run that recovers and of failing calls;
BUSBRIDGE_FULL=1 tries each before and after, all failures, and 1500 crashes in recovery. BUSBRIDGE_SEED_NUMBER repeats a run;
BUSBRIDGE_FIRST=1 ends it at the first violation. BUSBRIDGE_STORE=sqlite|postgres: the same of an outbox in a database, whose
statements are numbered too; its short form is a sample.
"""

from points import FULL, Suite, harness, marks, stores


class Crash(Suite):
    def crash_once(self, world, mark):
        self.crash(world, mark)
        first = self.after_crash(world)
        world.settle()
        judgement = world.judge()
        judgement.faults += first.faults
        return judgement

    def crash_chain(self, world, chain):
        """A crash, then one in each run that recovers from it. A mark is a share of the points that the run before had."""
        mark, *shares = chain
        self.crash(world, mark)
        for share, after in shares:
            known = world.dir / "points"
            count = 60 if not known.exists() else max(1, len(known.read_text().splitlines()))
            known.unlink(missing_ok=True)
            world.once(env={"BUSBRIDGE_CRASH_AT": f"{1 + int(share * count)}{after}", "BUSBRIDGE_COUNT_FILE": str(known)})
        first = self.after_crash(world)
        world.settle()
        judgement = world.judge()
        judgement.faults += first.faults
        return judgement

    def failing_call(self, world, setting):
        """A call fails. The run may end as it likes, but not by a signal; the next one makes everything good."""
        program = world.once(env={"BUSBRIDGE_FAIL_AT": setting})
        world.settle()
        judgement = world.judge()
        if program.status not in (0, 1, 75):
            judgement.fault("I8", f"it ended with {program.status}: {program.stderr()[-500:]}")
        return judgement

    # ---- tests -----------------------------------------------------------------------------------------------------------------

    def test_crash_before_and_after_every_point(self):
        found = self.baseline()
        print(f"{len(found)} points, steps towards Kafka: {[str(p) for p in found if p.what == 'point']}", flush=True)
        self.sweep(self.crash_once, self.some(marks(found, None if FULL else self.rng), 10))

    def test_crash_again_while_it_recovers(self):
        found = marks(self.baseline())
        cases = [(self.rng.choice(found), *((self.rng.random(), self.rng.choice(("", "+"))) for _ in range(self.rng.choice((1, 1, 2)))))
                 for _ in range(1500 if FULL else 20)]
        self.sweep(self.crash_chain, self.some(cases, 4))

    def cut(self, point):
        """A statement to PostgreSQL fails in one way: its connection is cut, before it is sent or before its answer is read."""
        return stores.KIND == "postgres" and point.what == "sql"

    def test_every_call_may_fail(self):
        found = [p for p in self.baseline() if p.what != "point"]
        codes = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EMFILE")
        cases = [f"{p.number}{after}:{code}" for p in found for after in ("", "+") for code in (codes[:1] if self.cut(p) else codes)]
        self.sweep(self.failing_call, self.some(cases if FULL else self.rng.sample(cases, 20), 4))


if __name__ == "__main__":
    harness.main()
