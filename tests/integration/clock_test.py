#!/usr/bin/python3
"""This machine's wall clock is wrong, or is set while the worker runs: nothing waits for it, and no event pays for it."""

import json

import harness

HOUR = 3600


class ClockTest(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.clock = self.dir / "clock"
        self.set_clock(0)

    def set_clock(self, seconds):
        new = self.clock.with_suffix(".new")
        new.write_text(str(int(seconds * 1e9)))
        new.rename(self.clock)

    def env(self):
        """Of a program whose clock set_clock sets."""
        return {"LD_PRELOAD": str(harness.BUILD / "tests/libstepped_clock.so"), "STEPPED_CLOCK": str(self.clock)}

    def start_worker(self, *arguments, **more):
        return super().start_worker(*arguments, env=self.env(), **more)

    def fill(self, count, first=0):
        return [self.entry("plot.updated", {"plot_id": f"p{i % 5}", "word_count": i}, mtime=1700000000 + i)
                for i in range(first, first + count)]

    def ids(self, topic="plot.events"):
        return sorted(r.headers["ce_id"].decode() for r in self.drain(topic))

    def set_back_during_an_outage(self, guarantee):
        broker = self.own_broker()
        ids = self.fill(40)
        worker = self.start_worker(options={"delivery.guarantee": guarantee})
        harness.wait_until(lambda: not self.pending(), what="the relay works")
        broker.kill9()
        ids += self.fill(40, first=40)
        harness.wait_until(lambda: worker.logs("kafka_away"), what="the outage is told")
        self.set_clock(-24 * HOUR)
        broker.start()
        harness.wait_until(lambda: not self.pending(), what="everything drains")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.ids(), sorted(ids))

    def test_a_clock_set_back_while_the_broker_is_away_does_not_lengthen_the_outage(self):
        self.set_back_during_an_outage("exactly_once")

    def test_nor_does_it_at_least_once_and_nothing_is_sent_twice(self):
        self.set_back_during_an_outage("at_least_once")

    def health(self):
        return self.run_cli("health", "-o", "json").stdout()

    def test_a_clock_that_is_ahead_of_the_brokers_costs_no_event_an_attempt(self):
        """More than an hour is what a topic takes by default. The broker refuses the records; the worker set their time."""
        self.set_clock(2 * HOUR + 30)
        ids = self.fill(40)
        worker = self.start_worker()
        (line,) = harness.wait_until(lambda: worker.logs("topic_unavailable"))[:1]
        self.assertIn("this machine's clock is ahead of the broker's by 2h", line["error"])
        self.assertIn("ahead of the broker's by 2h", self.health())
        self.assertIn("timedatectl", self.health())
        self.assertEqual(len(self.pending()), 40)
        self.set_clock(0)
        harness.wait_until(lambda: not self.pending(), what="its events drain")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.ids(), sorted(ids))
        self.assertEqual({line["attempt"] for line in worker.logs("event_published")}, {1})
        self.assertEqual(self.dead(), {})

    def beside_events_with_times_of_their_own(self, guarantee):
        self.set_clock(2 * HOUR + 30)
        ids = self.fill(6)
        worker = self.start_worker(options={"routing.plot.generated.timestamp": "event", "dlq.max_attempts": "1", "flush.interval": "1s",
                                            "delivery.guarantee": guarantee})
        harness.wait_until(lambda: worker.logs("topic_unavailable") or self.dead(), what="the refusal is told")
        self.assertEqual((self.dead(), len(self.pending())), ({}, 6))
        self.set_clock(0)
        harness.wait_until(lambda: not self.pending(), what="its events drain")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual((self.ids(), self.dead()), (sorted(ids), {}))

    def test_nor_does_it_where_others_of_the_topic_bear_their_own_times(self):
        self.beside_events_with_times_of_their_own("exactly_once")

    def test_nor_at_least_once(self):
        self.beside_events_with_times_of_their_own("at_least_once")

    def test_a_topic_with_narrower_limits_waits_by_itself_and_the_others_go_on(self):
        self.create_topic("plot.events", config={"message.timestamp.before.max.ms": "60000"})
        self.set_clock(-300)
        ids = self.fill(3)
        other = self.entry("quality.checked", {"content_id": "c", "score": 1.0, "check_types": [], "passed": True, "issues": []})
        worker = self.start_worker(options={"delivery.guarantee": "at_least_once"})
        (line,) = harness.wait_until(lambda: worker.logs("topic_unavailable"))[:1]
        self.assertEqual(line["topic"], self.topic("plot.events"))
        self.assertIn("clock", line["error"])
        harness.wait_until(lambda: f"{other}.json" not in self.pending(), what="the other topic goes on")
        self.assertEqual(self.dead(), {})
        self.assertEqual({json.loads((self.outbox / name).read_text())["attempts"] for name in self.pending()}, {0})
        self.set_clock(0)
        harness.wait_until(lambda: not self.pending(), what="its events drain")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.ids(), sorted(ids))

    def test_the_doctor_compares_it_with_the_brokers(self):
        self.entry("plot.updated", {"plot_id": "p"})
        self.run_worker("--once", expect=0)
        self.set_clock(2 * HOUR + 30)
        found = self.run_cli("doctor", "-o", "json", env=self.env()).stdout()
        (clock,) = [c for c in json.loads(found)["checks"] if c["check"] == "clock"]
        self.assertIn("that of the broker is 2h", clock["found"])
        self.assertIn("behind", clock["found"])
        self.assertEqual(clock["verdict"], "warning")


if __name__ == "__main__":
    harness.main()
