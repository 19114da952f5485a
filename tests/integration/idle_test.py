"""A broker that closes connections over which nothing was said for a while (connections.max.idle.ms) is not away: nothing is said of it that
wakes somebody, and the next event goes out."""

import harness
from harness import wait_until


class Idle(harness.BusTest):
    needs_kafka = False

    def test_connections_closed_for_idleness_are_no_outage(self):
        try:
            broker = harness.Broker("connections.max.idle.ms=2000\n")
            self.addCleanup(broker.close)
            broker.start()
        except harness.Unavailable as why:
            self.skipTest(str(why))
        self.bootstrap = self.options["kafka.bootstrap.servers"] = broker.bootstrap
        worker = self.start_worker(options={"log.level": "info"})
        for number in range(2):
            self.entry("plot.updated", {"plot_id": "p", "word_count": number})
            wait_until(lambda: not self.pending(), what="drained")
            closed = [line for line in worker.logs("librdkafka") if "TxnCoordinator: " in line["msg"] and "Disconnected (after" in line["msg"]]
            wait_until(lambda: len([line for line in worker.logs("librdkafka") if "TxnCoordinator: " in line["msg"] and
                                    "Disconnected (after" in line["msg"]]) > len(closed), what="the coordinator's idle connection was closed")
        self.entry("plot.updated", {"plot_id": "p", "word_count": 9})
        wait_until(lambda: not self.pending(), what="drained at last")
        self.assertEqual(worker.logs("kafka_away"), [])
        self.assertEqual([line for line in worker.logs() if line["level"] == "error"], [])
        self.assertEqual(worker.stop(), 0)


if __name__ == "__main__":
    harness.main()
