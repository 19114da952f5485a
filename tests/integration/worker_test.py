#!/usr/bin/python3
"""The worker as a process: one an outbox, signals, reload, and what it refuses to start with."""

import contextlib
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import harness


class Life(harness.BusTest):
    def test_a_second_worker_waits_and_says_who_holds_the_outbox(self):
        first = self.start_worker()
        harness.wait_until(lambda: first.logs("started"))
        second = self.run_worker(expect=75)
        self.assertIn(str(first.pid), second.stderr())
        self.assertEqual(first.stop(), 0)
        third = self.start_worker()
        harness.wait_until(lambda: third.logs("started"))
        self.assertEqual(third.stop(), 0)

    def test_sigterm_and_sigint_finish_and_exit_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            worker = self.start_worker()
            for i in range(200):
                self.entry("plot.updated", {"plot_id": str(i)})
            harness.wait_until(lambda: worker.logs("started"))
            worker.signal(number)
            self.assertEqual(worker.wait(), 0)
        self.run_worker("--once", expect=0)
        ids = [r.headers["ce_id"] for r in self.drain("plot.events")]
        self.assertEqual((len(ids), len(set(ids))), (400, 400))

    def draining(self, broker):
        """A worker that was told to stop while its broker, suspended, owes it an answer."""
        worker = self.start_worker(options={"http.listen": f"127.0.0.1:{self.port}", "shutdown.drain_timeout": "600s"})
        self.entry("plot.updated", {"plot_id": "first"})
        harness.wait_until(lambda: worker.logs("started") and not self.pending())
        harness.wait_until(lambda: "busbridge_inflight_events 0" in self.ask("/metrics")[1], what="the first is settled")
        self.assertEqual(self.ask("/readyz"), (200, "ok\n"))
        broker.suspend()
        self.entry("plot.updated", {"plot_id": "second"})
        harness.wait_until(lambda: "busbridge_inflight_events 1" in self.ask("/metrics")[1])
        worker.signal(signal.SIGTERM)
        harness.wait_until(lambda: self.ask("/readyz")[0] == 503 and "draining" in self.ask("/readyz")[1])
        return worker

    port = property(lambda self: self.__dict__.setdefault("_port", harness.free_port()))

    def ask(self, path, method="GET"):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method), timeout=300) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def test_while_it_drains_it_answers_but_is_not_ready_and_a_second_signal_leaves_at_once(self):
        broker = self.own_broker()
        worker = self.draining(broker)
        self.assertEqual(self.ask("/livez")[0], 200)
        self.assertIn("1 pending", self.run_cli("health").stdout())
        refused = self.run_cli("flush")
        self.assertEqual((refused.status, "being stopped" in refused.stderr()), (75, True), refused.stderr())
        broker.resume()
        self.assertEqual(worker.wait(), 0)
        self.assertEqual(self.pending(), [])

        worker = self.draining(broker)
        worker.signal(signal.SIGTERM)
        self.assertEqual(worker.wait(), 128 + signal.SIGTERM)
        broker.resume()
        self.run_worker("--once", expect=0)
        self.assertEqual(sorted(r.key for r in self.drain("plot.events")), [b"first"] * 2 + [b"second"] * 2)

    def test_sighup_reloads_and_a_bad_file_keeps_the_old_settings(self):
        conf = self.dir / "busbridge.conf"
        conf.write_text("dlq.max_attempts = 3\n")
        worker = self.start_worker("-c", str(conf))
        harness.wait_until(lambda: worker.logs("started"))
        conf.write_text("dlq.max_attempts = 4\nbatch.max_events = 7\n")
        worker.signal(signal.SIGHUP)
        harness.wait_until(lambda: worker.logs("reloaded"))
        conf.write_text("dlq.max_atempts = 4\n")
        worker.signal(signal.SIGHUP)
        (line,) = harness.wait_until(lambda: worker.logs("reload_refused"))
        self.assertIn("dlq.max_attempts", line["error"])
        self.entry("plot.updated", {"plot_id": "p"})
        harness.wait_until(lambda: not self.pending())
        self.assertEqual(worker.stop(), 0)

    def test_changed_schemas_are_taken_over_whole_or_not_at_all(self):
        schemas = self.dir / "schemas"
        shutil.copytree(harness.ROOT / "schemas", schemas)
        file = schemas / "plot" / "updated.avsc"
        worker = self.running(options={"encoding.schemas": str(schemas)})
        schema = json.loads(file.read_text())
        schema["fields"].insert(0, {"name": "weather", "type": ["null", "string"], "default": None})
        (schemas / "plot" / "generated.avsc").write_text("{")
        file.write_text(json.dumps(schema))
        worker.signal(signal.SIGHUP)
        (line,) = harness.wait_until(lambda: worker.logs("schemas_refused"))
        self.assertIn("plot/generated.avsc: line 1", line["error"])
        self.assertIn("The schemas were not taken over, the old ones serve: ", self.run_cli("health", expect=1).stdout())
        self.entry("plot.updated", {"plot_id": "old", "weather": "rain"})
        harness.wait_until(lambda: not self.pending())
        shutil.copy(harness.ROOT / "schemas" / "plot" / "generated.avsc", schemas / "plot" / "generated.avsc")
        worker.signal(signal.SIGHUP)
        harness.wait_until(lambda: worker.logs("schemas_reloaded"))
        self.assertNotIn("not taken over", self.run_cli("health", expect=0).stdout())
        self.entry("plot.updated", {"plot_id": "new", "weather": "rain"})
        harness.wait_until(lambda: not self.pending())
        worker.signal(signal.SIGHUP)  # nothing changed
        harness.wait_until(lambda: len(worker.logs("reloaded")) == 3)
        self.assertEqual(len(worker.logs("schemas_reloaded")), 1)
        self.assertEqual(worker.stop(), 0)
        heads = {r.key: r.value[:10] for r in self.drain("plot.events")}
        self.assertEqual(heads[b"first"], heads[b"old"])
        self.assertNotEqual(heads[b"old"], heads[b"new"])

    def running(self, **more):
        worker = self.start_worker(**more)
        self.entry("plot.updated", {"plot_id": "first"})
        harness.wait_until(lambda: not self.pending())
        return worker

    def limited(self, worker, which, value, said):
        """While that limit stands it waits and says so, and goes on by itself."""
        before = resource.prlimit(worker.pid, which)
        resource.prlimit(worker.pid, which, (value, before[1]))
        for i in range(50):
            self.entry("plot.updated", {"plot_id": str(i)})
        harness.wait_until(said, what=worker.stderr)
        self.assertEqual(len(self.pending()), 50)
        self.assertTrue(worker.running())
        resource.prlimit(worker.pid, which, before)
        harness.wait_until(lambda: not self.pending(), what=worker.stderr)
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(len({r.headers["ce_id"] for r in self.drain("plot.events")}), 51)

    def test_without_descriptors_it_waits_says_so_and_goes_on(self):
        worker = self.running()
        self.limited(worker, resource.RLIMIT_NOFILE, 3, lambda: worker.logs("outbox_unreadable"))
        said = worker.logs("outbox_unreadable")
        self.assertEqual((len(said), "Too many open files" in said[0]["error"]), (1, True), said)  # said once

    def test_at_the_limit_of_a_files_size_it_waits_says_so_and_goes_on(self):
        worker = self.running()
        # Its log is a file too.
        self.limited(worker, resource.RLIMIT_FSIZE, 0, lambda: "File too large" in self.run_cli("health").stdout())

    def test_a_setting_in_a_fifo_that_nobody_writes_to_holds_nothing_up(self):
        fifo = self.dir / "fifo"
        os.mkfifo(fifo)
        waiting = self.start_worker("-X", f"kafka.sasl.password_file={fifo}")
        refused = self.run_worker("-X", f"kafka.sasl.password_file={fifo}", expect=2)
        self.assertIn(f"{fifo}: nothing comes out of it", refused.stderr())
        self.assertIn("larger than", self.run_worker("-X", "redis.url_file=/dev/zero", expect=2).stderr())
        self.assertIn("Is a directory", self.run_worker("-X", "redis.url_file=/proc", expect=2).stderr())
        self.assertEqual(waiting.wait(), 2)
        waiting = self.start_worker("-c", str(fifo))
        status = Path(f"/proc/{waiting.pid}/status")
        # It has set its handler and waits for the FIFO: SigCgt has the bit of SIGTERM.
        harness.wait_until(lambda: int(status.read_text().split("SigCgt:")[1].split()[0], 16) & 1 << signal.SIGTERM - 1)
        waiting.signal(signal.SIGTERM)
        self.assertEqual(waiting.wait(), 0)

    def publish(self, count):
        for i in range(count):
            self.entry("plot.updated", {"plot_id": str(i)})
        harness.wait_until(lambda: not self.pending())

    def test_a_log_that_nobody_reads_holds_nothing(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.set_blocking(reader, False)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        options = [f"{key}={value}" for key, value in {**self.options, "http.listen": f"127.0.0.1:{self.port}"}.items()]
        worker = subprocess.Popen([str(harness.BUILD / "busbridge-worker"), *(w for o in options for w in ("-X", o))], stderr=writer,
                                  cwd=self.dir)
        os.close(writer)
        self.addCleanup(worker.wait, 60)
        self.addCleanup(worker.kill)
        self.publish(300)
        harness.wait_until(lambda: re.search(r"busbridge_log_lines_dropped_total [1-9]", self.ask("/metrics")[1]))
        self.assertEqual(self.ask("/livez")[0], 200)
        os.read(reader, 1 << 20)  # somebody reads again
        self.publish(1)
        said = bytearray()

        def told():
            with contextlib.suppress(BlockingIOError):
                said.extend(os.read(reader, 1 << 20))
            return re.search(b'"event":"lines_dropped","component":"log","lines":[1-9]', said)
        harness.wait_until(told, what=lambda: f"lines that were dropped are told: {said}")
        self.publish(300)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(worker.wait(), 0)
        self.assertEqual(len({r.headers["ce_id"] for r in self.drain("plot.events")}), 601)

    def test_background_flush_can_be_switched_off_as_the_old_bus_does(self):
        worker = self.start_worker(env={"NOVELER_DISABLE_BACKGROUND_FLUSH": "1"}, options={"flush.interval": "100ms"})
        harness.wait_until(lambda: worker.logs("started"))
        self.entry("plot.updated", {"plot_id": "p"})
        self.run_cli("flush", expect=0)
        self.assertEqual(self.pending(), [])
        self.entry("plot.updated", {"plot_id": "q"})
        self.run_cli("health")  # an answer of the running worker: it had its chance
        self.assertEqual(len(self.pending()), 1)
        self.assertEqual(worker.stop(), 0)


class RefusesToStart(harness.BusTest):
    def refused(self, expect, words, *arguments, **options):
        before = sorted(os.listdir(self.outbox))
        worker = self.run_worker("--once", *arguments, expect=expect, options={k.replace("__", "."): v for k, v in options.items()})
        for word in words:
            self.assertIn(word, worker.stderr())
        self.assertEqual(sorted(os.listdir(self.outbox)), before)

    def test_wrong_settings_name_the_place_and_the_nearest_key(self):
        conf = self.dir / "b.conf"
        conf.write_text("# mine\nflush.intervall = 5s\n")
        self.refused(2, ["b.conf:2", "flush.interval"], "-c", str(conf))
        self.refused(2, ["flush.interval", "unit"], flush__interval="30")
        self.refused(2, ["dlq.max_attempts"], dlq__max_attempts="0")
        self.refused(2, ["delivery.guarantee", "exactly_once"], delivery__guarantee="at_most_once")
        self.refused(2, ["registry.url", "http://HOST:PORT"], registry__url="127.0.0.1:1")
        self.refused(2, ["redis.url", "/no/such/file"], **{"redis__url": None, "redis__url_file": "/no/such/file"})

    def test_a_kafka_key_that_librdkafka_refuses(self):
        self.refused(2, ["bootstrap.server"], kafka__bootstrap__server="x")
        self.refused(2, ["linger.ms"], kafka__linger__ms="soon")
        self.refused(2, ["transactional.id"], kafka__transactional__id="mine")

    def test_a_broken_schema_names_file_and_line(self):
        schemas = self.dir / "schemas"
        shutil.copytree(harness.ROOT / "schemas", schemas)
        (schemas / "plot" / "updated.avsc").write_text('{\n  "type": "record",\n  "name": "x",,\n}\n')
        self.refused(2, ["plot/updated.avsc", "3"], encoding__schemas=str(schemas))

    def test_an_outbox_that_is_missing_or_may_not_be_written(self):
        worker = self.run_worker("--once", expect=1, options={"outbox.url": f"file:{self.dir}/none"})
        self.assertIn("mkdir -p", worker.stderr())
        self.refused(2, ["outbox.url"], outbox__url="mysql://x")

    def test_the_command_line(self):
        self.assertIn("flush.interval", self.start("busbridge-worker", "--help-settings", options={}).wait() == 0
                      and self.programs[-1].stdout())
        self.assertEqual(self.run_worker("--nonsense").status, 2)
        self.assertEqual(self.run_worker("extra").status, 2)


if __name__ == "__main__":
    harness.main()
