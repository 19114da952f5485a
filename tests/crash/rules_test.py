#!/usr/bin/python3
"""Rules that a dying process does not show by itself: what is durable before what, and what is not ours to remove."""

import os
import unittest

from points import FULL, Point, Topics, World, harness
from world import signal, stopped_by_signal


class Rules(unittest.TestCase):
    def setUp(self):
        self.world = World(Topics(harness.shared_bootstrap()))
        self.addCleanup(self.world.topics.delete)
        self.addCleanup(self.world.close)
        self.writer = self.world.writer(keys=3, seed=1)
        self.addCleanup(self.writer.close)

    def judge(self):
        self.world.settle()
        judgement = self.world.judge()
        self.assertEqual(judgement.faults, [])
        return judgement

    def trace(self):
        """All calls of one batch of 20 good events, of a worker that has its folders already."""
        self.world.once()
        for _ in range(20):
            self.writer.write()
        file = self.world.dir / "points"
        self.world.once(env={"BUSBRIDGE_COUNT_FILE": str(file)})
        return [Point(line) for line in file.read_text().splitlines()]

    def in_order(self, calls, wanted):
        """wanted: (what, what the name begins with), which must occur in this order, others in between."""
        at = 0
        for what, start in wanted:
            while at < len(calls) and not (calls[at].what == what and calls[at].name.startswith(start)):
                at += 1
            self.assertLess(at, len(calls), f"no {what} of {start} where it belongs in {[str(c) for c in calls]}")
            at += 1

    def test_the_manifest_is_durable_before_its_position_is_sent(self):
        """File, then name, then folder: a power loss after the commit must find it."""
        calls = self.trace()
        sent = next(i for i, c in enumerate(calls) if c.what == "point" and c.name == "position")
        self.in_order(calls[:sent], [("write", "batch-"), ("fsync", "batch-"), ("rename", "batch-"), ("fsync", "folder")])

    def test_entries_are_removed_for_good_before_their_manifest_is(self):
        calls = self.trace()
        committed = next(i for i, c in enumerate(calls) if c.what == "point" and c.name == "after_commit")
        early = [str(c) for c in calls[:committed] if c.what in ("rename", "unlink") and self.world.tag in c.name]
        self.assertEqual(early, [])
        behind = calls[committed:]
        self.assertEqual(sum(c.what == "rename" and c.name.startswith(self.world.tag) for c in behind), 20)  # taken out, looked at,
        self.assertEqual(sum(c.what == "unlink" and self.world.tag in c.name for c in behind), 20)  # and removed
        closed = next(i for i, c in enumerate(behind) if c.what == "rename" and c.name.startswith("batch-"))
        last = max(i for i, c in enumerate(behind) if c.what == "rename" and c.name.startswith(self.world.tag))
        self.assertLess(last, closed)
        self.assertIn("fsync folder", [f"{c.what} {c.name}" for c in behind[last:closed]])

    def failing_fsync(self, name, number, after, code, more=""):
        """The calls behind the number-th fsync of that name, which fails, made or not."""
        for _ in range(5):
            self.writer.write()
        file = self.world.dir / "points"
        file.unlink(missing_ok=True)
        self.world.once(env={"BUSBRIDGE_COUNT_FILE": str(file), "BUSBRIDGE_FAIL_AT": f"fsync/{name}:{number}{after}:{code}{more}"})
        calls = [Point(line) for line in file.read_text().splitlines()]
        return calls[[n for n, c in enumerate(calls) if c.what == "fsync" and name in c.name][number - 1] + 1:]

    def test_nothing_is_built_on_a_failed_fsync(self):
        """The step that needs it waits for one of the same kind that succeeds. Of folders the first two are of the start (dlq/, the
        metrics), then come those of the manifest, of the outbox and of the settled manifest."""
        gates = [("batch-", 1, "rename batch-"), ("folder", 3, "point position"), ("folder", 4, "rename batch-"), ("folder", 5, "unlink settled-")]
        codes, reached = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EMFILE"), 0
        self.world.once()
        for name, number, gate in gates:
            for after, code in [(a, c) for a in ("", "+") for c in codes] if FULL else [(("", "+")[number % 2], codes[number - 1])]:
                with self.subTest(name=name, number=number, after=after, code=code):
                    behind = [f"{c.what} {c.name}" for c in self.failing_fsync(name, number, after, code)]
                    at = next((n for n, call in enumerate(behind) if call.startswith(gate)), None)
                    reached += at is not None
                    again = [call for call in behind[:at] if call.startswith(f"fsync {name}")]
                    self.assertTrue(at is None or again, behind)
                    self.world.settle()
        self.assertGreater(reached, 0)
        self.judge()

    def test_no_position_is_sent_while_no_manifest_can_be_made_durable(self):
        self.world.once()
        self.writer.write()
        file = self.world.dir / "points"
        worker = self.world.worker(env={"BUSBRIDGE_COUNT_FILE": str(file), "BUSBRIDGE_FAIL_AT": "fsync/folder:2:EIO:every"})
        harness.wait_until(lambda: file.exists() and file.read_text().count(" rename batch-") >= 3 or not worker.running(), what="it tries again")
        worker.kill()
        self.assertNotIn("point position", file.read_text())
        self.judge()

    def replace_while_stopped(self, mark):
        """A producer writes another event under the name of one that is on its way."""
        first = [self.writer.write() for _ in range(5)]
        worker = self.world.worker("--once", env={"BUSBRIDGE_STOP_AT": mark})
        harness.wait_until(lambda: stopped_by_signal(worker.pid), what=f"it stops at {mark}")
        self.writer.write(file=first[2]["file"])
        return worker

    def test_a_file_replaced_before_the_commit_is_a_new_event(self):
        worker = self.replace_while_stopped("point/before_commit:1")
        worker.signal(signal.SIGCONT)
        worker.wait()
        self.assertEqual(self.judge().figures["committed"], 6)

    def test_a_file_replaced_behind_a_crash_is_a_new_event(self):
        """As before, and the settling is the next start's."""
        worker = self.replace_while_stopped("point/after_commit:1")
        worker.signal(signal.SIGKILL)  # kill() would let it go on first
        worker.wait()
        self.assertEqual(self.judge().figures["committed"], 6)

    def test_batches_that_were_not_settled_are_all_settled_at_start(self):
        """The finisher hangs on the first, the publisher goes on: the ledger stands at the last of them."""
        for _ in range(12):
            first = self.writer.write()
        env = {"BUSBRIDGE_FAIL_AT": f"rename/{self.world.tag}-000002:1:ENOSPC:every"}
        worker = self.world.worker(env=env, options={"batch.max_events": 3})
        harness.wait_until(lambda: self.world.case().committed[first["id"]] or len(self.batches()) > 2, what="batches are committed")
        worker.kill()
        self.assertGreater(len(self.batches()), 1)
        self.assertEqual(self.judge().figures["committed"], 12)

    def batches(self):
        return list((self.world.outbox / ".busbridge").glob("batch-*"))

    def test_a_file_with_a_second_link_is_left_alone(self):
        good, linked = self.writer.write(), self.writer.write()
        os.link(self.world.outbox / linked["file"], self.world.dir / "second")
        self.world.once()
        committed = self.world.case().committed
        self.assertEqual((committed[good["id"]], committed[linked["id"]]), (1, 0))
        self.assertTrue((self.world.outbox / linked["file"]).exists())
        (self.world.dir / "second").unlink()
        self.judge()


if __name__ == "__main__":
    harness.main()
