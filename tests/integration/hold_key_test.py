#!/usr/bin/python3
"""dlq.hold_key: the later events of a dead letter's key wait until it is replayed, and then go first to last, or until it is gone."""

import json

import harness


class HoldKey(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.options |= {"ledger.topic": self.topic("ledger"), "flush.interval": "500ms", "dlq.hold_key": "true"}
        self.n = 0

    def event(self, key, **more):
        self.n += 1
        return self.entry("plot.updated", {"plot_id": key, "word_count": more.pop("count", self.n)}, id=f"{key}-{self.n}",
                          mtime=1700000000 + self.n, **more)

    def bad(self, key):
        """Its payload does not fit: dead at once, and its key is known."""
        return self.event(key, count="many")

    def published(self, key=None):
        return [r.headers["ce_id"].decode() for r in self.drain("plot.events") if key is None or r.key == key.encode()]

    def wait_pending(self, ids, what):
        harness.wait_until(lambda: self.pending() == sorted(f"{i}.json" for i in ids), what=what)

    def mend(self, letter):
        path = self.outbox / "dlq" / f"{letter}.json"
        entry = json.loads(path.read_text())
        entry["payload"]["word_count"] = 7
        (self.outbox / "dlq" / ".new").write_text(json.dumps(entry))
        (self.outbox / "dlq" / ".new").rename(path)

    def holds(self, guarantee):
        self.options["delivery.guarantee"] = guarantee
        first = self.event("a")
        letter = self.bad("a")
        later = [self.event("a") for _ in range(3)]
        others = [self.event("b"), self.event("c")]
        worker = self.start_worker()
        self.wait_pending(later, "other keys go on, the letter's waits")
        self.assertEqual(list(self.dead()), [f"{letter}.json"])
        worker.kill()
        worker = self.start_worker()
        later.append(self.event("a"))
        others.append(self.event("b"))
        self.wait_pending(later, "after kill -9 too")
        harness.wait_until(lambda: sorted(self.published()) == sorted([first, *others]), what="all others are there")
        health = self.run_cli("health", "-o", "json").stdout()
        self.assertIn("1 dead letter holds its key", health)
        shown = json.loads(self.run_cli("show", later[0], "-o", "json").stdout())
        self.assertEqual(shown["held_behind"], f"{letter}.json")
        listed = {e["id"]: e["held_behind"] for e in json.loads(self.run_cli("list", "-o", "json").stdout())}
        self.assertEqual(listed[letter], None)
        self.assertEqual(listed[shown["id"]], f"{letter}.json")
        self.assertIn("held", self.run_cli("list", "--type", "pending").stdout())
        self.assertIn("busbridge_holding_dead_letters 1", self.run_cli("metrics", "-o", "prometheus").stdout())
        self.mend(letter)
        self.run_cli("replay", letter, expect=0)
        self.wait_pending([], "the replayed one and those behind it go")
        self.assertEqual(self.published("a"), [first, letter, *later])
        harness.wait_until(lambda: "holds its key" not in self.run_cli("health", "-o", "json").stdout(), what="health forgets it")
        self.assertEqual(worker.stop(), 0)

    def test_a_letter_from_before_1970_is_no_reason_to_refuse_the_next_start(self):
        letter = self.event("a", count="many", created_at="1969-12-31T23:00:00+00:00")
        worker = self.start_worker()
        harness.wait_until(lambda: f"{letter}.json" in self.dead(), what="it is dead")
        worker.kill()
        worker = self.start_worker()
        later, other = self.event("a"), self.event("b")
        harness.wait_until(lambda: self.published("b") == [other], what="the next start goes on")
        self.wait_pending([later], "its key is held")
        self.assertEqual(worker.stop(), 0)

    def test_exactly_once(self):
        self.holds("exactly_once")

    def test_at_least_once(self):
        self.holds("at_least_once")

    def test_a_purged_letter_lets_its_key_go_and_one_of_two_does_not(self):
        letters = [self.bad("a"), self.bad("a")]
        later = [self.event("a"), self.event("a")]
        worker = self.start_worker()
        self.wait_pending(later, "they wait")
        harness.wait_until(lambda: len(self.dead()) == 2, what="both are dead")
        self.run_cli("purge", letters[0], "--yes", expect=0)
        later.append(self.event("a"))
        done = self.event("b")
        harness.wait_until(lambda: done in self.published(), what="the worker goes on")
        self.wait_pending(later, "the other one still holds")
        worker.kill()
        (self.outbox / "dlq" / f"{letters[1]}.json").unlink()  # by whomever, while no worker runs
        worker = self.start_worker()
        self.wait_pending([], "they go")
        self.assertEqual(self.published("a"), later)
        self.assertEqual(worker.stop(), 0)

    def test_a_letter_that_the_broker_refused_holds_its_key_and_one_without_a_key_holds_nothing(self):
        self.create_topic("plot.events", 1, {"max.message.bytes": "2000"})
        self.options |= {"dlq.max_attempts": "1", "kafka.compression.type": "none"}
        self.write("broken.json", "no JSON", mtime=1700000000)
        self.entry("plot.updated", {"plot_id": "a", "pad": "x" * 4000}, id="big", mtime=1700000000)
        later = [self.event("a"), self.event("a")]
        other = self.event("b")
        worker = self.start_worker()
        self.wait_pending(later, "its key waits")
        harness.wait_until(lambda: self.published() == [other], what="the other is there")
        self.run_cli("purge", "big", "--yes", expect=0)
        self.wait_pending([], "they go")
        self.assertEqual(self.published("a"), later)
        self.assertEqual(worker.stop(), 0)

    def test_without_the_setting_nothing_waits(self):
        self.options["dlq.hold_key"] = None
        self.bad("a")
        later = [self.event("a"), self.event("a")]
        self.run_worker("--once", expect=0)
        self.assertEqual(self.published("a"), later)
        self.assertFalse((self.outbox / ".busbridge/holds").exists())


if __name__ == "__main__":
    harness.main()
