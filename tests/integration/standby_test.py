#!/usr/bin/python3
"""A standby: waits for an outbox that another worker holds, answers meanwhile, and takes it over when that one ends, however it ends."""

import json
import re
import signal
import socket
import threading

import harness
import standbys
from harness import wait_until


class Standby(standbys.Standbys):
    # ---- while it waits ---------------------------------------------------------------------------------------------------------

    def test_it_says_that_it_waits_for_whom_and_takes_nothing(self):
        owner, standby = self.pair()
        self.assertEqual(owner.logs("standby"), [])
        said = rf"held by pid {owner.pid} on \S+ since \d{{4}}-\d\d-\d\dT[\d:]+ UTC"
        (line,) = standby.logs("standby")
        self.assertRegex(line["msg"], said)
        code, body = standby.ask("/readyz")
        self.assertEqual((code, body.splitlines()[0], len(body.splitlines())), (200, "standby", 2))
        self.assertRegex(body, said)
        code, body = standby.ask("/readyz", Accept="application/json")
        checks = {check["check"]: check for check in json.loads(body)["checks"]}
        self.assertEqual((code, json.loads(body)["ready"], set(checks)), (200, True, {"draining", "settings", "folders", "standby"}))
        self.assertRegex(checks["standby"]["text"], said)
        self.assertEqual(standby.ask("/livez"), (200, "ok\n"))
        health = json.loads(standby.ask("/v1/status")[1])
        self.assertEqual((health["word"], health["worker"], health["standby"]["pid"]), ("OK", False, owner.pid))
        self.assertRegex(health["reasons"][0]["text"], "^This worker is a standby: the outbox is " + said)
        self.assertIsNone(json.loads(owner.ask("/v1/status")[1])["standby"])
        self.assertIn("\nbusbridge_standby 1\n", standby.ask("/metrics")[1])
        self.assertIn("\nbusbridge_standby 0\n", owner.ask("/metrics")[1])
        # Of the outbox only its owner tells: a sum over both is right.
        told = dict(re.findall(r"^(busbridge_\w+(?:events|dlq|dead|pending|found|outbox)\S*) (.*)$", standby.ask("/metrics")[1], re.M))
        self.assertEqual({name: value for name, value in told.items() if value != "0"}, {})
        self.assertEqual(json.loads(standby.ask("/v1/schemas")[1])["schemas"], json.loads(owner.ask("/v1/schemas")[1])["schemas"])
        self.entry("plot.updated", {"plot_id": "p"})
        wait_until(lambda: not self.pending())
        # The owner's socket is the owner's: commands reach it.
        self.run_cli("pause", "--reason", "test", expect=0)
        self.assertTrue(owner.logs("paused"))
        self.run_cli("resume", expect=0)
        self.assertIn("Worker: running", self.run_cli("health", "--detailed").stdout())
        self.assertEqual(standby.stop(), 0)
        self.assertEqual((len(standby.logs("standby")), standby.logs("started")), (1, []))
        self.assertEqual(owner.stop(), 0)

    def test_changes_are_asked_of_the_owner(self):
        owner, standby = self.pair(options={"http.token": "0123456789abcdef"})
        code, body = standby.ask("/v1/pause?reason=x", "POST", Authorization="Bearer 0123456789abcdef")
        self.assertEqual((code, "standby" in json.loads(body)["detail"]), (503, True))
        self.assertEqual(owner.ask("/v1/pause?reason=upkeep-42", "POST", Authorization="Bearer 0123456789abcdef")[0], 200)
        self.assertIn("upkeep-42", standby.ask("/v1/status")[1])

    def test_sighup_reads_everything_again_and_a_bad_file_changes_nothing(self):
        conf = self.dir / "b.conf"
        owner = self.relays(self.worker())
        conf.write_text("standby = true\nbatch.max_events = 7\n")
        standby = self.waits(self.worker("-c", str(conf), standby=None))

        def value(key):
            return {s["key"]: s["value"] for s in json.loads(standby.ask("/v1/config")[1])["settings"]}[key]
        self.assertEqual(value("batch.max_events"), "7")
        conf.write_text("standby = true\nbatch.max_evnts = 8\n")
        standby.signal(signal.SIGHUP)
        wait_until(lambda: standby.logs("reload_refused"))
        conf.write_text("standby = true\nrouting.keys = garbage\n")
        standby.signal(signal.SIGHUP)
        wait_until(lambda: len(standby.logs("reload_refused")) == 2)
        self.assertEqual(value("batch.max_events"), "7")
        conf.write_text("standby = true\nbatch.max_events = 8\nrouting.keys = plot=none\n")
        standby.signal(signal.SIGHUP)
        wait_until(lambda: standby.logs("reloaded"))
        self.assertEqual((value("batch.max_events"), standby.logs("reload_needs_restart")), ("8", []))
        conf.write_text("standby = false\nlog.format = logfmt\nbatch.max_events = 8\nrouting.keys = plot=none\n")
        standby.signal(signal.SIGHUP)
        wait_until(lambda: len(standby.logs("reloaded")) == 2)
        self.assertEqual([line["msg"] for line in standby.logs("reload_needs_restart")], ["standby"])  # the format is set by -X
        owner.kill()
        self.relays(standby)
        event = self.entry("plot.updated", {"plot_id": "p"})
        wait_until(lambda: not self.pending())
        (record,) = self.drain("plot.events")
        self.assertEqual(record.key.decode(), event)  # what was taken over holds: the key is the id now
        self.assertEqual(standby.stop(), 0)

    def test_the_service_manager_is_told_ready_and_standby(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.settimeout(harness.PATIENCE)
        manager.bind(str(self.dir / "notify"))
        owner = self.relays(self.worker())
        standby = self.worker(env={"NOTIFY_SOCKET": str(self.dir / "notify"), "WATCHDOG_USEC": "400000"})
        self.assertEqual(manager.recv(9999).decode(), "READY=1\nSTATUS=standby")
        self.assertIn(f"STATUS=standby: the outbox is held by pid {owner.pid}", manager.recv(9999).decode())
        self.assertEqual([manager.recv(9999).decode() for _ in range(2)], ["WATCHDOG=1"] * 2)
        owner.kill()
        while "STATUS=OK - 0 pending" not in manager.recv(9999).decode():
            pass
        self.assertEqual(standby.stop(), 0)

    # ---- what it refuses at its start -------------------------------------------------------------------------------------------

    def refused(self, expect, *words, arguments=("--standby",), **options):
        worker = self.run_worker(*arguments, expect=expect, options={k.replace("__", "."): v for k, v in options.items()})
        for word in words:
            self.assertIn(word, worker.stderr())

    def test_what_would_be_wrong_at_the_take_over_is_told_at_the_start(self):
        self.relays(self.worker())
        self.refused(2, "routing.keys", routing__keys="garbage")
        self.refused(2, "kafka.bootstrap.server", kafka__bootstrap__server="x")
        self.refused(2, "folder of schemas", encoding__schemas="/nowhere")
        self.refused(2, "http.listen", http__listen="nowhere")
        self.refused(2, "--once", "standby=true (-X)", "standby=false", arguments=("--standby", "--once"))
        self.refused(2, "--once", "standby=true (-X)", arguments=("--once",), standby="true")
        self.refused(2, "flush.background=false (-X)", "standby=true (-X)", flush__background="false")
        conf = self.dir / "both.conf"
        conf.write_text("standby = true\nflush.background = false\n")
        said = self.run_cli("config", "check", str(conf), expect=2, options={"flush.background": None})
        self.assertRegex(said.stdout() + said.stderr(), r"standby=true \(.*both.conf:1\) and flush.background=false \(.*both.conf:2\)")

    def test_an_outbox_that_is_damaged_or_newer_is_no_reason_to_wait(self):
        owner = self.relays(self.worker())
        ours = self.outbox / ".busbridge"
        text = (ours / "format").read_text()
        (ours / "format").write_text("99 9.9.9\n")
        self.refused(2, "9.9.9")
        (ours / "format").write_text(text)
        identity = (ours / "id").read_text()
        (ours / "id").write_text("nonsense\n")
        self.refused(2, "uuid")
        (ours / "id").write_text(identity)
        (ours / "aside").write_text("nonsense\n")
        self.refused(2, "aside")
        (ours / "aside").unlink()
        self.refused(1, "mkdir -p", outbox__url=f"file:{self.dir}/none")
        self.assertTrue(owner.running())

    def test_a_format_that_came_while_it_waited_is_refused_when_it_takes_over(self):
        owner, standby = self.pair()
        (self.outbox / ".busbridge" / "format").write_text("99 9.9.9\n")
        owner.kill()
        self.assertEqual(standby.wait(), 2)
        self.assertIn("9.9.9", standby.logs("start_failed")[0]["msg"])

    def test_another_outbox_in_the_place_is_not_taken_for_the_one_that_it_waited_for(self):
        owner, standby = self.pair()
        self.outbox.rename(self.dir / "moved")
        self.outbox.mkdir()
        owner.kill()
        self.assertEqual(standby.wait(), 75)
        self.assertIn("another folder lies in the place", standby.logs("start_failed")[0]["msg"])

    # ---- the take-over ----------------------------------------------------------------------------------------------------------

    def test_it_takes_over_from_owners_that_are_killed_under_load(self):
        owner, standby = self.pair()
        self.write_on()
        for _ in range(10):
            before = len(self.written)
            wait_until(lambda at=before: len(self.written) - self.left() > at + 20)  # it relays, however slowly
            owner.kill()
            self.relays(standby)
            (took,) = standby.logs("took_over")
            self.assertIn(f"pid {owner.pid} ", took["msg"])
            owner, standby = standby, self.waits(self.worker())
        self.stop_writing()
        wait_until(lambda: not self.pending())
        self.assertEqual((standby.stop(), owner.stop()), (0, 0))
        self.all_arrived_once_in_order()

    def test_a_rolling_restart_hands_over_and_the_same_address_answers_throughout(self):
        owner, standby = self.pair()
        self.write_on()
        refused, ended = [], threading.Event()
        self.addCleanup(ended.set)  # else a test that fails below never ends

        def probe(worker):
            while not ended.wait(0.005):
                try:
                    code, body = worker.ask("/readyz")
                    if code != 200 and "Kafka has not answered yet" not in body:
                        refused.append(body)
                except OSError as why:
                    refused.append(why)
        for _ in range(3):
            ended.clear()
            prober = threading.Thread(target=probe, args=(standby,), daemon=True)
            prober.start()
            self.assertEqual(owner.stop(), 0)
            self.relays(standby)
            wait_until(lambda w=standby: w.ask("/readyz") == (200, "ok\n"))
            ended.set()
            prober.join()
            self.assertIn("Worker: running", self.run_cli("health", "--detailed").stdout())  # the socket is the new owner's
            self.assertIn("\nbusbridge_standby 0\n", standby.ask("/metrics")[1])
            owner, standby = standby, self.waits(self.worker())
        self.stop_writing()
        wait_until(lambda: not self.pending())
        self.assertEqual((standby.stop(), owner.stop(), refused), (0, 0, []))
        self.all_arrived_once_in_order()

    def test_a_paused_owner_keeps_the_outbox_and_its_end_frees_it(self):
        owner, standby = self.pair()
        self.write_on()
        wait_until(lambda: len(self.written) > 50)
        owner.signal(signal.SIGSTOP)
        at = len(self.written)
        wait_until(lambda: len(self.written) > at + 200)
        self.assertEqual(standby.ask("/readyz")[1].splitlines()[0], "standby")
        said = json.loads(standby.ask("/v1/status")[1])
        self.assertIn(f"held by pid {owner.pid} ", said["reasons"][-1]["text"] + said["reasons"][0]["text"])
        self.assertIsNotNone(said["standby"]["since"])
        health = self.run_cli("health").stdout()
        self.assertRegex(health, rf"Process {owner.pid} holds the outbox and does not answer on the control socket; it holds it on \S+ since \S+ UTC")
        owner.kill()
        self.relays(standby)
        self.stop_writing()
        wait_until(lambda: not self.pending())
        self.assertEqual(standby.stop(), 0)
        self.all_arrived_once_in_order()

    def test_of_two_standbys_one_takes_over_and_the_other_says_who(self):
        owner, one = self.pair()
        two = self.waits(self.worker())
        owner.kill()
        wait_until(lambda: one.logs("started") or two.logs("started"))
        taker, other = (one, two) if one.logs("started") else (two, one)
        wait_until(lambda: len(other.logs("standby")) == 2)
        self.assertIn(f"pid {taker.pid} ", other.logs("standby")[1]["msg"])
        self.assertEqual((other.logs("started"), other.stop(), taker.stop()), ([], 0, 0))

    def test_the_second_intake_of_another_worker_is_waited_for_too(self):
        typed, other = self.dir / "typed", self.dir / "other"
        (typed / "pending").mkdir(parents=True)
        other.mkdir()
        first = self.relays(self.worker(options={"outbox.typed": str(typed)}))
        standby = self.waits(self.worker(options={"outbox.typed": str(typed), "outbox.url": f"file:{other}"}))
        said = f"the outbox {typed} is held by pid {first.pid} on "  # of its own outbox nobody is the owner
        self.assertIn(said, standby.logs("standby")[0]["msg"])
        self.assertIn(said, standby.ask("/readyz")[1])
        self.assertIn(said, standby.ask("/v1/status")[1])
        first.kill()
        self.relays(standby)
        self.assertEqual(standby.stop(), 0)


if __name__ == "__main__":
    harness.main()
