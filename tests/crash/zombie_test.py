#!/usr/bin/python3
"""A worker stops at a numbered point, a successor takes the outbox over, and the first one wakes: nothing may be lost, published
twice or brought back. The lock file is replaced in between, as it is when the node that held it is lost.

The short form tries a sample of the points, BUSBRIDGE_FULL=1 each of them before and after, with a successor that finishes and with
one that crashes when its first batch is committed.
"""

from points import FULL, ONLY, Suite, harness, marks
from world import signal, stopped_by_signal


class Zombie(Suite):
    def wakes(self, world, case):
        mark, successor = case
        zombie = world.worker("--once", env={"BUSBRIDGE_STOP_AT": mark})
        harness.wait_until(lambda: stopped_by_signal(zombie.pid) or not zombie.running(), what=f"it stops at {mark}")
        if zombie.running():
            world.replace_lock()
            other_batches = {"batch.max_events": 3}  # than those of the zombie: its manifests must not stand for them
            world.once(env={"BUSBRIDGE_CRASH_AT": "point/after_commit:1"} if successor == "crashes" else {}, options=other_batches)
            zombie.signal(signal.SIGCONT)
            zombie.wait()
        else:
            self.missed += 1
        world.settle()
        judgement = world.judge()
        if any("another worker" in line["error"] for line in zombie.logs("outbox_write_failed")):
            judgement.fault("I9", "the zombie takes what is another's for a disk that refuses, and waits for it")
        return judgement

    def test_a_zombie_wakes_after_its_successor(self):
        found = self.baseline()
        steps = [(p.name, n) for name in sorted({p.name for p in found if p.what == "point"})
                 for n, p in enumerate((p for p in found if p.what == "point" and p.name == name), 1)]
        cases = [(mark, how) for mark in marks(found) for how in ("finishes", "crashes")]
        towards = [(f"point/{name}:{n}", how) for name, n in steps if n <= 3 for how in ("finishes", "crashes")]
        self.sweep(self.wakes, cases + towards if FULL or ONLY else self.rng.sample(cases, 12) + self.rng.sample(towards, min(12, len(towards))))


if __name__ == "__main__":
    harness.main()
