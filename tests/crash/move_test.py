#!/usr/bin/python3
"""ledger.topic is changed behind a crash between commit and settling: crash at every durable call and every step towards Kafka of the
start that carries it out, then go on under the new topic, or under the old one again."""

import uuid

from points import CRASHED, Point, Suite, World, Topics, fill, harness, marks, SEED, TYPED
from world import kafka_wire

COMMITTED = "point/after_commit:1"


class Move(Suite):
    def behind_a_crash(self, world):
        """A batch of the old ledger, committed and not settled; the settings with the new one."""
        self.crash(world, COMMITTED)
        topic = f"busbridge.ledger.{uuid.uuid4().hex[:8]}"
        kafka_wire.create_topic(self.bootstrap, topic, 1)
        self.addCleanup(kafka_wire.delete_topic, self.bootstrap, topic)
        return {"ledger.topic": topic}

    def move_once(self, world, mark):
        new = self.behind_a_crash(world)
        program = world.once(env={"BUSBRIDGE_CRASH_AT": mark}, options=new)
        if program.status not in (0, 1, CRASHED):
            raise AssertionError(f"the start that moves ended with {program.status}: {program.stderr()[-1000:]}")
        self.missed += program.status != CRASHED
        first = self.after_crash(world)
        world.options.update(new if int(mark.rstrip("+")) % 2 else {})
        world.settle()
        judgement = world.judge()
        judgement.faults += first.faults
        return judgement

    def steps(self):
        """Those of a start that moves, up to the first batch behind it."""
        world = World(Topics(self.bootstrap), typed=TYPED)
        self.addCleanup(world.topics.delete)
        self.addCleanup(world.close)
        fill(world, SEED)
        new = self.behind_a_crash(world)
        file = world.dir / "points"
        world.once(env={"BUSBRIDGE_COUNT_FILE": str(file)}, options=new)
        found = [Point(line) for line in file.read_text().splitlines()]
        moved = next(i for i, p in enumerate(found) if (p.what, p.name) == ("point", "moved"))
        known = next(i for i, p in enumerate(found) if p.what == "rename" and p.name.startswith("ledger"))
        self.assertLess(moved, known, "it is remembered once it is committed")
        return found[:known + 4]

    def test_crash_at_every_step_of_the_move(self):
        found = self.steps()
        print(f"{len(found)} steps: {[str(p) for p in found]}", flush=True)
        self.sweep(self.move_once, marks(found))


if __name__ == "__main__":
    harness.main()
