#!/usr/bin/python3
"""The world fails: no event is lost, doubled, dead-lettered or charged an attempt, and everything goes on by itself."""

import json

import harness
import kafka_wire


class Outage(harness.BusTest):
    def fill(self, count, first=0):
        """Entries of 20 keys; {key: [ids in order]}"""
        order = {}
        for i in range(first, first + count):
            key = f"p{i % 20}"
            order.setdefault(key, []).append(self.entry("plot.updated", {"plot_id": key, "word_count": i}, mtime=1700000000 + i))
        return order

    def published(self):
        got = {}
        for r in self.drain("plot.events"):
            got.setdefault(r.key.decode(), []).append(r.headers["ce_id"].decode())
        return got

    def test_a_broker_that_is_away_costs_no_attempt_and_everything_drains_when_it_is_back(self):
        broker = self.own_broker()
        order = self.fill(3000)
        worker = self.start_worker(options={"batch.max_events": 200})
        harness.wait_until(lambda: len(self.pending()) < 2800, what="the relay is under way")
        broker.kill9()
        more = self.fill(1000, first=3000)
        harness.wait_until(lambda: worker.logs("kafka_away"), what="the outage is told")
        waiting = self.pending()
        self.assertGreaterEqual(len(waiting), 1000)
        for name in waiting[:50]:
            path = self.outbox / name
            self.assertEqual(json.loads(path.read_text())["attempts"], 0)
        broker.start()
        harness.wait_until(lambda: not self.pending(), what="everything drains")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.published(), {k: order[k] + more[k] for k in order})
        self.assertEqual(self.dead(), {})

    def test_a_worker_that_starts_before_its_broker_waits_for_it(self):
        broker = self.own_broker()
        broker.stop()
        order = self.fill(40)
        worker = self.start_worker()
        harness.wait_until(lambda: worker.logs("kafka_away"), what="the outage is told")
        self.assertEqual(len(self.pending()), 40)
        broker.start()
        harness.wait_until(lambda: not self.pending(), what="everything drains")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.published(), order)

    def test_what_waits_is_told_before_kafka_has_answered_once(self):
        self.bootstrap = self.options["kafka.bootstrap.servers"] = f"127.0.0.1:{harness.free_port()}"
        self.fill(3)
        worker = self.start_worker(options={"log.format": "json"})
        harness.wait_until(lambda: worker.logs("kafka_away"), what="the outage is told")

        def health():
            return json.loads(self.run_cli("health", "-o", "json", expect=2).stdout())

        told = health()
        self.assertEqual((told["pending"], told["summary"].split(",")[0]), (3, "3 pending"))
        self.assertGreater(told["oldest_seconds"], 60 * 60 * 24)
        gauges = self.run_cli("metrics", "-o", "prometheus", expect=0).stdout().splitlines()
        self.assertIn('busbridge_pending_events{state="unread"} 3', gauges)
        self.assertIn("busbridge_oldest_pending_timestamp_seconds 1.7e+09", [g.replace("1700000000", "1.7e+09") for g in gauges])
        self.fill(2, first=3)
        harness.wait_until(lambda: health()["pending"] == 5, what="what came since is told too")
        self.assertEqual(worker.stop(), 0)

    def test_sigterm_ends_a_worker_whose_broker_is_away(self):
        self.bootstrap = self.options["kafka.bootstrap.servers"] = f"127.0.0.1:{harness.free_port()}"
        self.fill(10)
        worker = self.start_worker(options={"shutdown.drain_timeout": "1s"})
        harness.wait_until(lambda: worker.logs("kafka_away"))
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(len(self.pending()), 10)

    def test_once_gives_up_on_a_silent_broker_with_75(self):
        self.options["kafka.bootstrap.servers"] = f"127.0.0.1:{harness.free_port()}"
        self.fill(3)
        worker = self.run_worker("--once", expect=75)
        self.assertTrue(worker.logs("once_unreachable"))
        self.assertEqual(len(self.pending()), 3)

    def test_a_forbidden_topic_holds_back_its_own_events_only_until_it_is_allowed(self):
        self.forbidden(kafka_wire.ALL)

    def test_a_topic_that_may_be_seen_but_not_written_does_too(self):
        self.forbidden(kafka_wire.WRITE)

    def forbidden(self, operation):
        self.own_broker(kafka_wire.AUTHORIZER)
        for ns in ("episode", "quality", "plot", "usecase"):
            self.create_topic(f"{ns}.events")
        topic = self.topic("plot.events")
        kafka_wire.forbid_topic(self.bootstrap, topic, operation)
        order = self.fill(40)
        worker = self.start_worker()
        for i in range(3):
            id = self.entry("episode.updated", {"episode_id": "e", "changes": {}})
            harness.wait_until(lambda: f"{id}.json" not in self.pending(), what="other topics go on")
        (line,) = harness.wait_until(lambda: worker.logs("topic_unavailable"))[:1]
        self.assertEqual(line["topic"], topic)
        self.assertIn("Write", line["msg"])
        self.assertEqual(self.run_cli("health").status, 2)
        self.assertIn(topic, self.programs[-1].stdout())
        self.assertEqual(len(self.pending()), 40)
        kafka_wire.permit_topic(self.bootstrap, topic, operation)
        harness.wait_until(lambda: not self.pending(), what="its events drain")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.published(), order)
        self.assertEqual(self.dead(), {})

    def test_redis_may_come_and_go(self):
        redis = self.redis()
        worker = self.start_worker()
        first = self.entry("plot.updated", {"plot_id": "a"})
        harness.wait_until(lambda: not self.pending())
        redis.kill()
        second = self.entry("plot.updated", {"plot_id": "b"})
        harness.wait_until(lambda: not self.pending(), what="the relay goes on without Redis")
        self.entry("plot.updated", {"plot_id": "b"}, id=second)
        harness.wait_until(lambda: not self.pending(), what="an id that is due is a duplicate")
        self.assertTrue(worker.logs("redis_away"))
        redis.start()
        harness.wait_until(lambda: any(k.endswith(second) for k in redis.keys()), what="the key that was due is set")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(sum(self.published().values(), [])), sorted([first, second]))


if __name__ == "__main__":
    harness.main()
