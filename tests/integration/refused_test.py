#!/usr/bin/python3
"""One topic refuses its events, by the hundred: those of other topics go on beside it, each key keeps its order, and each event has its five
attempts."""

import json

import harness

LIMIT = 2000


class RefusedTest(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.create_topic("plot.events", config={"max.message.bytes": str(LIMIT)})

    def refused(self, first, count, keys=None):
        return [self.entry("plot.updated", {"plot_id": f"p{i % keys if keys else i}", "text": "x" * 2 * LIMIT}, mtime=1700000000 + i)
                for i in range(first, first + count)]

    def good(self, count):
        return [self.entry("quality.checked", {"content_id": f"c{i % 5}", "score": 1.0, "check_types": [], "passed": True, "issues": []}) for i in range(count)]

    def attempts(self):
        return [json.loads((self.outbox / name).read_text())["attempts"] for name in self.pending()]

    def ids(self, topic):
        return [r.headers["ce_id"].decode() for r in self.drain(topic)]

    def beside(self, guarantee):
        """Good ones get through while most of those ahead of them have not even been tried."""
        bad = self.refused(0, 200)
        good = self.good(50)
        worker = self.start_worker(options={"delivery.guarantee": guarantee, "flush.interval": "1h", "log.level": "info"})
        names = {f"{id}.json" for id in good}
        harness.wait_until(lambda: not names & set(self.pending()), what="the good ones get through")
        for _ in range(10):
            (id,) = self.good(1)
            harness.wait_until(lambda: f"{id}.json" not in self.pending(), what="a live one gets through")
        harness.wait_until(lambda: self.attempts() == [1] * len(bad), what="each is refused by itself, once")
        self.assertEqual(worker.stop(), 0)
        sent = max(r.timestamp for r in self.drain("quality.events") if r.headers["ce_id"].decode() in good) / 1000
        tried = [(self.outbox / name).stat().st_ctime for name in self.pending()]  # it is rewritten then
        self.assertLess(sum(when < sent for when in tried), 100)
        self.assertEqual(self.dead(), {})
        self.assertEqual(self.ids("plot.events"), [])
        self.assertEqual(len(self.ids("quality.events")), 60)

    def test_other_topics_go_on_beside_a_topic_that_refuses_everything(self):
        self.beside("exactly_once")

    def test_so_they_do_at_least_once(self):
        self.beside("at_least_once")

    def test_good_events_among_refused_ones_keep_the_order_of_their_key(self):
        order = {}
        for i in range(300):
            key = f"p{i % 10}"
            large = i % 7 == 3
            id = self.entry("plot.updated", {"plot_id": key, "text": "x" * (2 * LIMIT if large else 20)}, mtime=1700000000 + i)
            if not large:
                order.setdefault(key, []).append(id)
        worker = self.start_worker(options={"flush.interval": "1s", "dlq.max_attempts": 2, "log.level": "info"})
        harness.wait_until(lambda: not self.pending(), what="all are published or dead")
        self.assertEqual(worker.stop(), 0)
        got = {}
        for r in self.drain("plot.events"):
            got.setdefault(r.key.decode(), []).append(r.headers["ce_id"].decode())
        self.assertEqual(got, order)
        self.assertEqual({letter["attempts"] for letter in self.dead().values()}, {2})
        self.assertEqual(len(self.dead()), sum(i % 7 == 3 for i in range(300)))


if __name__ == "__main__":
    harness.main()
