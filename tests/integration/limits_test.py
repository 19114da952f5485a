#!/usr/bin/python3
"""A topic that takes smaller record batches than librdkafka makes: no event is too large, so none is refused."""

import harness
import kafka_wire

LIMIT = 20000


class LimitsTest(harness.BusTest):
    def fill(self, count):
        return [self.entry("plot.updated", {"plot_id": f"p{i % 40}", "word_count": i, "text": "x" * 300}, mtime=1700000000 + i)
                for i in range(count)]

    def assert_drains(self, ids, **options):
        worker = self.run_worker("--once", expect=0, options=options)
        self.assertEqual(sorted(r.headers["ce_id"].decode() for r in self.drain("plot.events")), sorted(ids))
        self.assertEqual(self.dead(), {})
        return worker

    def test_batches_stay_below_what_the_topic_takes(self):
        self.create_topic("plot.events", config={"max.message.bytes": str(LIMIT)})
        worker = self.assert_drains(self.fill(1000))
        self.assertEqual(worker.logs("producer_renewed") + worker.logs("isolating"), [])

    def test_so_they_do_at_least_once(self):
        self.create_topic("plot.events", config={"max.message.bytes": str(LIMIT)})
        worker = self.assert_drains(self.fill(1000), **{"delivery.guarantee": "at_least_once"})
        self.assertEqual(worker.logs("isolating"), [])

    def test_who_may_not_ask_for_the_limit_learns_it_once(self):
        for guarantee in ("exactly_once", "at_least_once"):
            self.own_broker(kafka_wire.AUTHORIZER)
            self.create_topic("plot.events", config={"max.message.bytes": str(LIMIT)})
            kafka_wire.forbid_only(self.bootstrap, self.topic("plot.events"), kafka_wire.DESCRIBE_CONFIGS)
            self.options["outbox.url"] = f"file:{self.outbox / guarantee}"
            (self.outbox / guarantee).mkdir()
            whole, self.outbox = self.outbox, self.outbox / guarantee
            worker = self.assert_drains(self.fill(1000), **{"delivery.guarantee": guarantee})
            self.outbox = whole
            bounds = [line["bytes"] for line in worker.logs("batches_bounded")]
            self.assertEqual(bounds, sorted(set(bounds), reverse=True))
            self.assertLess(bounds[-1], LIMIT)
            self.assertGreater(bounds[-1], LIMIT / 4)
            self.assertLessEqual(len(worker.logs("isolating")), len(bounds))


if __name__ == "__main__":
    harness.main()
