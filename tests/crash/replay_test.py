#!/usr/bin/python3
"""Dead letters go back: crash before and after every durable call and every statement of `busbridge replay`, or have each of them fail; then give the
command again. Each event is published once.

The letters are dead for a cause that goes away. Half of the trials name them, the others select all and go on with the selection. The short form is a
sample; BUSBRIDGE_STORE=sqlite|postgres: the same of an outbox in a database.
"""

from points import CRASHED, FULL, SEED, Point, Suite, Topics, World, harness, marks, oracle


class Replay(Suite):
    fills = False

    def letters(self, world):
        return [oracle.name_of(*letter) for letter in world.store.letters().items()]

    def dead(self, world):
        """Of ten events those of one namespace, which is not allowed at first. Their ids."""
        writer = world.writer(keys=3, seed=SEED)
        for ns in ("plot", "episode"):
            for _ in range(5):
                writer.write(ns=ns)
        writer.close()
        world.once(options={"routing.namespaces": "plot"})
        world.replayed = set(self.letters(world))
        self.assertEqual(len(world.replayed), 5)
        return sorted(world.replayed)

    def give(self, world, ids, **more):
        """The command, by names or as a selection that was begun."""
        begun = world.store.selections()
        left = [id for id in ids if id in self.letters(world)]
        return world.cli("replay", *(left if ids else ["--resume", begun[0]] if begun else ["--all"]), **more)

    def interrupted(self, world, case):
        setting, mark, named = case
        ids = self.dead(world)[:5 * named]
        status = self.give(world, ids, env={setting: mark}).status
        self.missed += setting == "BUSBRIDGE_CRASH_AT" and status != CRASHED
        for _ in range(10):  # a move that was cut in the middle may be finished in the other direction
            world.settle()
            if not self.letters(world) and not world.store.selections():
                break
            self.give(world, ids)
        judgement = world.judge()
        if self.letters(world) or world.store.selections():
            judgement.fault("I9", f"left: {self.letters(world)} {world.store.selections()}, {world.programs[-1].stderr()[-500:]}")
        if status < 0 and status != -9:
            judgement.fault("I8", f"it ended with {status}")
        return judgement

    def steps(self, named):
        world = World(Topics(self.bootstrap))
        self.addCleanup(world.topics.delete)
        self.addCleanup(world.close)
        ids = self.dead(world)[:5 * named]
        file = world.dir / "points"
        self.give(world, ids, env={"BUSBRIDGE_COUNT_FILE": str(file)})
        return [Point(line) for line in file.read_text().splitlines()]

    def test_a_replay_that_is_interrupted_anywhere(self):
        cases = []
        for named in (True, False):
            found = self.steps(named)
            print(f"{len(found)} points of a replay {'by names' if named else 'of all'}", flush=True)
            cases += [("BUSBRIDGE_CRASH_AT", mark, named) for mark in marks(found)] + [("BUSBRIDGE_FAIL_AT", f"{mark}:EIO", named) for mark in marks(found)]
        self.sweep(self.interrupted, cases if FULL else self.rng.sample(cases, 6))


if __name__ == "__main__":
    harness.main()
