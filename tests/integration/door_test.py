#!/usr/bin/python3
"""Closed doors in exactly_once: a probe goes along with others in one transaction, and what becomes of them must not decide
about its door."""

import threading

import harness

GOOD = {"content_id": "c", "score": 1.0, "check_types": [], "passed": True}


class Doors(harness.BusTest):
    def refused(self):
        return self.entry("quality.checked", {**GOOD, "pad": "x" * 3000})

    def test_a_topic_drains_though_the_transactions_of_its_probes_are_aborted_for_others(self):
        for ns in ("episode", "usecase"):
            self.create_topic(f"{ns}.events")
        self.create_topic("quality.events", 1, {"max.message.bytes": 2000})
        waiting = [self.entry("plot.updated", {"plot_id": "p", "word_count": i}, mtime=1700000000 + i) for i in range(10)]
        worker = self.start_worker(options={"topics.create": "never", "dlq.max_attempts": 1, "flush.interval": "500ms"})
        harness.wait_until(lambda: worker.logs("topic_unavailable"), what="the topic's door is closed")
        sent, over = [], threading.Event()

        def flood():  # so that probes meet them in their transactions
            while not over.wait(0.1):
                sent.append(self.refused())

        flooding = threading.Thread(target=flood)
        flooding.start()
        try:
            self.create_topic("plot.events")
            harness.wait_until(lambda: not {f"{id}.json" for id in waiting} & set(self.pending()), what="the topic drains")
        finally:
            over.set()
            flooding.join()
        harness.wait_until(lambda: not self.pending(), what="the others are dead")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual([r.headers["ce_id"].decode() for r in self.drain("plot.events")], waiting)
        self.assertEqual(sorted(self.dead()), sorted(f"{id}.json" for id in sent))
        self.assertEqual({letter["attempts"] for letter in self.dead().values()}, {1})
        self.assertEqual(self.drain("quality.events"), [])


if __name__ == "__main__":
    harness.main()
