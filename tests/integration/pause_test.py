"""pause and resume: nothing is published in between, nothing is lost or counted, in order afterwards; over restarts too."""

import json
import os
import time
from pathlib import Path

import harness
from cli_test import UnixConnection
from harness import BusTest, wait_until

CREATED = "episode.created"
FLOOD = 3000


def payload(number, episode="ep-1"):
    return {"episode_id": episode, "title": f"T{number}", "episode_number": number}


class PauseTest(BusTest):
    def setUp(self):
        super().setUp()
        self.sent = 0

    def emit(self, count=1, episode="ep-1"):
        for _ in range(count):
            self.sent += 1
            self.entry(CREATED, payload(self.sent, episode), id=f"e-{self.sent:05}", storage_key=f"e-{self.sent:05}")

    def worker(self, **more):
        worker = self.start_worker(options=more)
        wait_until(lambda: (self.outbox / ".busbridge/control.sock").exists() or not worker.running(), what="control socket")
        wait_until(lambda: self.request("/readyz")[0] == 200, what="ready")
        return worker

    def cli(self, *arguments, expect=0):
        return self.run_cli(*arguments, expect=expect, options={"log.format": None, "log.level": None, "health.worker": "optional"})

    def health(self, expect=1):
        return json.loads(self.cli("health", "-o", "json", expect=expect).stdout())

    def counted(self, pending):
        """What health says once the worker has counted so many."""
        def told():
            state = self.health()
            return state if state["pending"] == pending and state["oldest_seconds"] is not None else None
        return wait_until(told, what=f"{pending} pending and their age")

    def ids(self):
        return [r.headers["ce_id"].decode() for r in self.drain("episode.events")]

    def in_order(self):
        self.assertEqual(self.ids(), [f"e-{n:05}" for n in range(1, self.sent + 1)])

    def wait_published(self):
        wait_until(lambda: not self.pending(), what="all published")

    def wait_settled(self):
        """How many are pending once nothing is in flight and health counts what lies there."""
        def still():
            found = self.gauge("inflight_events"), json.loads(self.ask("/v1/status"))["pending"], len(self.pending())
            return found[2] if found[0] == 0 and found[1] == found[2] else None
        return wait_until(still, what="all in flight settled")

    def cpu(self, worker):
        """Seconds of processor time; a loop that spins takes all there is."""
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def gauge(self, name):
        """-1 while it is not known."""
        return next((float(line.rsplit(" ", 1)[1]) for line in self.ask("/metrics").splitlines()
                     if line.startswith(f"busbridge_{name} ")), -1)

    def ask(self, path):
        status, text = self.request(path)
        self.assertEqual(status, 200, text)
        return text

    def request(self, path):
        connection = UnixConnection(self.outbox / ".busbridge/control.sock")
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()


class WithWorker(PauseTest):
    def test_nothing_moves_until_resume_and_then_all_in_order(self):
        self.create_topic("episode.events", 1)
        worker = self.worker()
        self.emit(3)
        self.wait_published()
        said = self.cli("pause", "--reason", "broker upgrade | 4711").stdout()
        self.assertRegex(said, r"^Paused since \S+ by \S+: broker upgrade \| 4711\nNothing is published until: busbridge resume; 0 pending\n")
        self.emit(20)
        state = self.counted(20)
        self.assertEqual(state["word"], "WARNING")
        self.assertEqual(state["paused"]["reason"], "broker upgrade | 4711")
        reason = next(r for r in state["reasons"] if "paused" in r["text"])
        self.assertEqual(reason["next"], "busbridge resume")
        first = self.cli("health", expect=1).stdout().splitlines()[0]
        self.assertRegex(first, r"^OUTBOX WARNING - 20 pending, oldest \S+; Publishing is paused since .*: broker upgrade / 4711 \| ")
        listed = json.loads(self.cli("list", "--type", "pending", "-o", "json").stdout())
        self.assertEqual({e["attempts"] for e in listed}, {0})
        self.assertEqual(len(self.ids()), 3)
        self.assertIn("Resumed; it was paused since", self.cli("resume").stdout())
        self.wait_published()
        self.in_order()
        self.assertEqual(worker.stop(), 0)

    def test_a_flood_that_is_under_way_stops_whole_and_goes_on_in_order(self):
        """Prepared batches go back: whatever Kafka has is settled, the rest lies as it was."""
        self.create_topic("episode.events", 1)
        worker, left = self.worker(**{"batch.max_events": 50}), 0
        while left <= 10:  # again if it was over before the pause
            self.cli("pause")
            self.emit(FLOOD)
            self.cli("resume")
            wait_until(lambda: len(self.pending()) < FLOOD - 200, what="the flood")
            self.cli("pause")
            self.emit(10)
            left = self.wait_settled()
            self.assertEqual(len(self.ids()), self.sent - left)
        for _ in range(3):  # on and off quickly
            self.cli("resume")
            self.cli("pause")
        self.cli("resume")
        self.wait_published()
        self.in_order()
        self.assertEqual(worker.stop(), 0)

    def test_it_survives_kill_and_restart_and_stops_what_flushes(self):
        worker = self.worker()
        self.cli("pause", "--reason", "night")
        worker.kill()
        kept = json.loads((self.outbox / ".busbridge/paused").read_bytes())
        self.assertEqual((kept["version"], kept["reason"]), (1, "night"))
        self.emit(5)
        state = self.health()  # without a worker
        self.assertEqual(state["paused"]["reason"], "night")
        refused = self.cli("flush", expect=75).stderr()
        self.assertRegex(refused, "publishing is paused since .*: night; go on by: busbridge resume")
        once = self.run_worker("--once", expect=1)
        self.assertIn("busbridge resume", once.logs("once_failed")[0]["error"])
        self.assertIn("would try 5", self.cli("flush", "--dry-run").stdout().lower())
        worker = self.worker()
        self.counted(5)
        self.assertIn("busbridge resume", self.cli("flush", expect=75).stderr())
        self.assertEqual(len(self.pending()), 5)
        self.assertTrue(worker.logs("paused"))
        self.cli("resume")
        self.wait_published()
        self.assertFalse((self.outbox / ".busbridge/paused").exists())
        self.assertEqual(self.health(expect=0)["paused"], None)
        self.in_order()

    def test_a_flush_that_runs_ends(self):
        self.create_topic("episode.events", 1)
        self.worker(**{"flush.background": "false", "batch.max_events": 50})
        flush = None
        while not flush or flush.wait() == 0:  # again if it was over before the pause
            self.emit(FLOOD)
            flush = self.start("busbridge", "flush", "--limit", "0", options={"log.format": None, "log.level": None})
            wait_until(lambda: len(self.pending()) < FLOOD - 200, what="the flush works")
            self.cli("pause")
            if flush.wait() == 0:
                self.cli("resume")
        self.assertEqual(flush.wait(), 4, flush.stderr())
        self.assertIn("left: publishing was paused; go on by: busbridge resume", flush.stderr())
        self.assertEqual(len(self.ids()), self.sent - len(self.pending()))

    def test_the_loop_turns_and_does_not_spin(self):
        """Neither while paused nor while entries wait for an explicit flush."""
        for options in ({}, {"flush.background": "false"}):
            worker = self.worker(**options)
            if not options:
                self.cli("pause")
            self.emit(50)
            before, heartbeat = self.cpu(worker), self.gauge("loop_heartbeat_timestamp_seconds")
            while self.gauge("loop_heartbeat_timestamp_seconds") <= heartbeat + 3:
                time.sleep(0.5)  # asked seldom: each answer takes time of its own
            self.assertLess(self.cpu(worker) - before, 1.5)
            self.cli("resume")
            worker.stop()

    def test_probes_stay_green_and_twice_is_said(self):
        self.worker()
        self.cli("pause", "--reason", "first")
        again = json.loads(self.cli("pause", "--reason", "second", "-o", "json").stdout())
        self.assertEqual((again["paused"], again["changed"], again["reason"]), (True, False, "first"))
        self.assertIn("Paused already since", self.cli("pause").stdout())
        self.assertEqual(self.ask("/readyz"), "ok\n")
        self.assertEqual(self.ask("/livez"), "ok\n")
        self.assertIs(json.loads(self.ask("/v1/pause"))["paused"], True)
        self.cli("resume")
        self.assertIn("Not paused", self.cli("resume").stdout())
        self.assertIs(json.loads(self.ask("/v1/pause"))["paused"], False)


class AtLeastOnce(PauseTest):
    def test_a_flood_stops_and_goes_on_in_order(self):
        self.options["delivery.guarantee"] = "at_least_once"
        WithWorker.test_a_flood_that_is_under_way_stops_whole_and_goes_on_in_order(self)


class WithoutWorker(PauseTest):
    needs_kafka = False

    def test_a_fresh_outbox_can_be_paused_and_emit_goes_on(self):
        said = self.cli("bus", "pause", "--reason", "tag\x1b[31m")
        self.assertNotIn("\x1b", said.stdout())
        self.cli("emit", CREATED, json.dumps(payload(1)))
        self.assertEqual(len(self.pending()), 1)
        self.assertIn("Publishing is paused", self.cli("health", expect=1).stdout())
        doctor = json.loads(self.run_cli("doctor", "-o", "json", options={"log.format": None, "log.level": None}).stdout())
        self.assertEqual([(c["verdict"], c["next"]) for c in doctor["checks"] if c["check"] == "pause"],
                         [("warning", "busbridge resume")])
        self.assertIn("busbridge flush", self.cli("resume").stderr())

    def test_what_cannot_be_understood_is_a_pause(self):
        (self.outbox / ".busbridge").mkdir()
        (self.outbox / ".busbridge/paused").write_text("{half")
        self.assertRegex(self.cli("health", expect=1).stdout(), "paused: .busbridge/paused does not tell")
        self.cli("resume")
        self.cli("health", expect=0)

    def test_wrong_usage(self):
        self.assertIn("did you mean --reason?", self.cli("pause", "--raeson", "x", expect=2).stderr())
        self.assertIn("at most 399 bytes", self.cli("pause", "--reason", "x" * 400, expect=2).stderr())
        self.assertIn("did you mean resume?", self.cli("resum", expect=2).stderr())
        self.assertFalse((self.outbox / ".busbridge/paused").exists())


if __name__ == "__main__":
    harness.main()
