"""The commands, without a worker and with one: output, exit codes, what they change, and that both ways answer the same."""

import fcntl
import http.client
import json
import os
import shutil
import pty
import signal
import socket
import struct
import subprocess
import termios
import time
import unittest
from pathlib import Path

import harness
from harness import BUILD, BusTest, wait_until

PUBLISHED = "episode.published"
PAYLOAD = {"episode_id": "ep-1", "publication_id": "p-1", "format_type": "epub", "published_at": "2025-09-22T03:04:05+00:00",
           "include_metadata": True}
LIST_KEYS = ["id", "name", "created_at", "attempts", "last_error", "failed_at", "payload_size"]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=300)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(300)
        folder = os.open(self.path.parent, os.O_PATH)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self.path.name}")
        finally:
            os.close(folder)


def clean_environment(without=()):
    return {k: v for k, v in os.environ.items() if not k.startswith(("BUSBRIDGE_", "NOVELER_")) and k not in without}


class CliTest(BusTest):
    needs_kafka = False

    def setUp(self):
        super().setUp()
        self.options["log.format"] = None
        self.options["health.worker"] = "optional"  # most of these look at an outbox alone
        self.options["log.level"] = None

    def dead_letter(self, entry_id="d-1", name=PUBLISHED, **over):
        return self.entry(name, PAYLOAD, place="dlq", id=entry_id, storage_key=entry_id, status="dlq", attempts=1,
                          last_error="payload.score: expected double", failed_at="2025-09-22T04:00:00.000000+00:00",
                          reason="schema_mismatch", **over)

    def json_of(self, *arguments, **more):
        return json.loads(self.run_cli(*arguments, **more).stdout())

    def worker(self, **more):
        worker = self.start_worker(options={"log.format": "json", **more})
        wait_until(lambda: (self.outbox / ".busbridge/control.sock").exists() or not worker.running(), what="control socket")
        wait_until(lambda: self.ask("GET", "/livez")[0] == 200, what="alive")
        return worker

    def ask(self, method, path, body=None):
        """(status, headers, body) of the control API; (0, {}, b"") when nobody listens."""
        connection = UnixConnection(self.outbox / ".busbridge/control.sock")
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except OSError:
            return 0, {}, b""
        finally:
            connection.close()


class WithoutWorker(CliTest):
    def test_list_json_has_the_contracts_keys_first(self):
        self.entry(PUBLISHED, PAYLOAD, id="p-1", storage_key="p-1")
        self.dead_letter()
        rows = self.json_of("list", "--format", "json", expect=0)
        self.assertEqual(sorted(r["id"] for r in rows), ["d-1", "p-1"])
        for row in rows:
            self.assertEqual(list(row)[:7], LIST_KEYS)
        dead = next(r for r in rows if r["id"] == "d-1")
        self.assertEqual(dead["last_error"], "payload.score: expected double")
        self.assertEqual(dead["payload_size"], len(json.dumps(PAYLOAD)))
        self.assertFalse((self.outbox / ".busbridge").exists(), "looking changes nothing")

    def test_list_in_every_form(self):
        self.dead_letter()
        self.entry("episode.published", {"episode_id": "星"}, id="p-1", storage_key="p-1")
        table = self.run_cli("bus", "list", "--type", "dlq", expect=0).stdout()
        self.assertIn("schema_mismatch", table)
        self.assertNotIn("p-1", table)
        self.assertIn("dlq/d-1.json", self.run_cli("list", "-o", "wide", expect=0).stdout())
        lines = self.run_cli("list", "-o", "jsonl", expect=0).stdout().splitlines()
        self.assertEqual({json.loads(line)["id"] for line in lines}, {"d-1", "p-1"})
        self.assertEqual(set(self.run_cli("list", "-o", "name", expect=0).stdout().split()), {"d-1", "p-1"})
        self.assertEqual(self.json_of("list", "--type", "pending", "-o", "json", expect=0)[0]["id"], "p-1")

    def test_an_empty_list_is_an_empty_array(self):
        self.assertEqual(self.json_of("list", "-o", "json", expect=0), [])
        nothing = self.run_cli("list", expect=0)
        self.assertEqual(nothing.stdout(), "")
        self.assertIn("no entries", nothing.stderr())

    def test_list_says_when_there_are_more(self):
        for number in range(60):
            self.entry(PUBLISHED, PAYLOAD, id=f"p-{number}", storage_key=f"p-{number}", mtime=1700000000 + number)
        some = self.run_cli("list", "-o", "name", expect=0)
        self.assertEqual(some.stdout().split(), [f"p-{n}" for n in range(50)])
        self.assertIn("50 of 60, use --limit 0", some.stderr())
        every = self.run_cli("list", "-o", "name", "--limit", "0", expect=0)
        self.assertEqual(len(every.stdout().split()), 60)
        self.assertNotIn("--limit", every.stderr())

    def test_no_data_moves_the_cursor(self):
        self.dead_letter(name="episode.\x1b[31mred")
        shown = self.run_cli("list", expect=0).stdout()
        self.assertNotIn("\x1b", shown)
        self.assertIn("\\x1b", shown)

    def test_replay_moves_under_the_same_id(self):
        self.dead_letter()
        done = self.run_cli("replay", "d-1", expect=0)
        self.assertIn("Replayed d-1 (episode.published)", done.stdout())
        self.assertEqual(self.pending(), ["d-1.json"])
        self.assertEqual(self.dead(), {})
        entry = json.loads((self.outbox / "d-1.json").read_bytes())
        self.assertEqual((entry["id"], entry["status"], entry["attempts"], entry["last_error"]), ("d-1", "pending", 0, None))

    def test_replay_of_several_is_partly_done_when_one_fails(self):
        for number in range(3):
            self.dead_letter(f"d-{number}")
        done = self.run_cli("replay", "d-0", "d-9", "d-2", "-o", "json", expect=4)
        self.assertEqual([r["id"] for r in json.loads(done.stdout())], ["d-0", "d-2"])
        self.assertIn("No dead letter \"d-9\"", done.stderr())
        self.assertEqual(list(self.dead()), ["d-1.json"])

    def test_replay_refuses_what_is_ambiguous_or_not_there(self):
        self.dead_letter("abc-1")
        self.dead_letter("abc-2")
        two = self.run_cli("replay", "abc", expect=1)
        self.assertIn("abc-1", two.stderr())
        self.assertIn("abc-2", two.stderr())
        nothing = self.run_cli("replay", "zzz", expect=3)
        self.assertIn("busbridge list --type dlq", nothing.stderr())
        self.assertEqual(len(self.dead()), 2)

    def test_replay_knows_what_kafka_has(self):
        redis = self.redis()
        self.dead_letter("d-1")
        self.options["redis.prefix"] = "mine:"
        redis.command("SET", "mine:d-1", "episode.events/0/42")
        refused = self.run_cli("replay", "d-1", expect=1)
        self.assertIn("is in Kafka already (episode.events/0/42); --force publishes it again", refused.stderr())
        self.assertEqual(list(self.dead()), ["d-1.json"])
        self.run_cli("replay", "--force", "d-1", expect=0)
        self.assertEqual(redis.keys("mine:*"), [])
        self.assertEqual(self.pending(), ["d-1.json"])

    def test_force_fails_while_redis_is_away(self):
        redis = self.redis()
        redis.kill()
        self.dead_letter("d-1")
        self.run_cli("replay", "--force", "d-1", expect=75)
        self.assertEqual(list(self.dead()), ["d-1.json"])
        self.run_cli("replay", "d-1", expect=0)  # the relay will ask again

    def test_replay_while_someone_holds_the_outbox(self):
        self.dead_letter("d-1")
        self.run_cli("metrics", "--reset", expect=0)  # makes .busbridge
        with open(self.outbox / ".busbridge/lock", "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            busy = self.run_cli("replay", "d-1", expect=75)
        self.assertEqual(list(self.dead()), ["d-1.json"])
        self.assertNotEqual(busy.stderr(), "")

    def test_health_says_what_is_wrong_and_what_next(self):
        fine = self.run_cli("health", expect=0)
        self.assertRegex(fine.stdout(), r"^OUTBOX OK - 0 pending \| pending=0;1000;10000;0 oldest=0s;60;300;0 dead=0;6;21;0 ")
        self.assertRegex(fine.stdout(), r"(?m)^Processed events: 0$")
        self.assertRegex(fine.stdout(), r"(?m)^Commands: total 0, P95 0.0 ms, failure rate 0.0 %$")
        self.assertRegex(fine.stdout(), r"(?m)^Events: total 0, P95 0.0 ms, failure rate 0.0 %$")
        self.entry(PUBLISHED, PAYLOAD, mtime=time.time() - 100)
        waiting = self.run_cli("health", expect=1).stdout()
        self.assertRegex(waiting, r"^OUTBOX WARNING - 1 pending, oldest [1-4]m \d+s; The oldest pending entry waits .*\|")
        self.assertIn("No worker runs", waiting)
        self.assertIn("next: busbridge-worker; or once: busbridge flush", waiting)
        for number in range(21):
            self.dead_letter(f"d-{number}")
        self.assertIn("21 dead letters", self.run_cli("health", expect=2).stdout())

    def test_health_tells_in_its_first_line_that_no_worker_runs(self):
        self.options["health.worker"] = None
        none = self.run_cli("health", expect=1).stdout()
        self.assertTrue(none.startswith("OUTBOX WARNING - 0 pending; No worker runs: nobody drains this outbox | pending=0;"), none)
        self.assertIn("health.worker = optional", none)
        self.run_cli("health", options={"health.worker": "required"}, expect=2)
        self.run_cli("health", options={"flush.background": "false"}, expect=0)
        self.run_cli("health", options={"flush.background": "false", "health.worker": "expected"}, expect=1)
        for number in range(21):
            self.dead_letter(f"d-{number}")
        self.assertIn("OUTBOX CRITICAL - 0 pending, 21 dead, no worker; 21 dead letters", self.run_cli("health", expect=2).stdout())
        shutil.rmtree(self.outbox / "dlq")
        self.assertIn("Note: No worker runs", self.run_cli("health", options={"health.worker": "optional"}, expect=0).stdout())
        (self.outbox / ".busbridge").mkdir()
        with open(self.outbox / ".busbridge/lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertIn("UNKNOWN: Process", self.run_cli("health", expect=3).stdout())
            self.assertIn("Note: Process", self.run_cli("health", options={"health.worker": "optional"}, expect=0).stdout())
        self.start_worker()
        wait_until(lambda: "No worker" not in self.run_cli("health").stdout(), what="a worker that is seen")

    def test_health_detailed_counts_errors(self):
        for number in range(3):
            self.dead_letter(f"d-{number}")
        text = self.run_cli("health", "--detailed", expect=0).stdout()
        self.assertRegex(text, r"(?m)^DLQ total: 3$")
        self.assertRegex(text, r"(?m)^Oldest error: 2025-09-22T04:00:00.000000\+00:00 ")
        self.assertRegex(text, r"(?m)^ +3  payload.score: expected double$")
        self.assertEqual(self.json_of("health", "--detailed", "-o", "json", expect=0)["dlq"]["errors"],
                         [{"error": "payload.score: expected double", "count": 3}])

    def test_health_answers_as_a_plugin_also_when_it_cannot(self):
        for options in ({"outbox.url": f"file:{self.dir}/none"}, {"outbox.urll": "x"}):
            lost = self.run_cli("health", options=options, expect=3)
            self.assertRegex(lost.stdout(), r"^OUTBOX UNKNOWN - ")
        self.run_cli("health", "--nonsense", expect=3)

    def test_health_sees_redis_away(self):
        self.redis().kill()
        self.assertIn("Redis is away", self.run_cli("health", expect=1).stdout())

    def test_metrics_have_the_contracts_lines(self):
        self.run_cli("replay", "x", expect=3)
        text = self.run_cli("metrics", expect=0).stdout()
        pattern = r"(?m)^{}: total {}, average \d+\.\d ms, P50 \d+\.\d ms, P95 \d+\.\d ms, failure rate 0\.0 %$"
        self.assertRegex(text, pattern.format("Commands", 1))
        self.assertRegex(text, pattern.format("Events", 0))
        self.run_cli("metrics", "--reset", expect=0)
        self.assertEqual(self.json_of("metrics", "-o", "json", expect=0)["commands"]["total"], 1)  # the reset itself

    def test_emit_writes_one_whole_entry(self):
        made = self.run_cli("emit", "episode.created", '{"episode_id": "ep-1", "title": "星の海", "episode_number": 1}', expect=0)
        entry_id = made.stdout().strip()
        self.assertEqual(self.pending(), [f"{entry_id}.json"])
        text = (self.outbox / f"{entry_id}.json").read_text()
        entry = json.loads(text)
        self.assertEqual(list(entry), ["id", "name", "payload", "created_at", "attempts", "dispatched_at", "last_error",
                                       "failed_at", "status", "storage_key"])
        self.assertEqual((entry["id"], entry["storage_key"], entry["status"]), (entry_id, entry_id, "pending"))
        self.assertIn("星の海", text)
        self.assertEqual(os.listdir(self.outbox), [f"{entry_id}.json"], "nothing but the entry is made")

    def test_emit_from_stdin(self):
        done = subprocess.run([str(BUILD / "busbridge"), "emit", "-X", f"outbox.url=file:{self.outbox}", "--id", "e-1",
                               "plot.updated", "-"], input=b'{"plot_id": "p"}\n', capture_output=True, env=clean_environment(), timeout=300)
        self.assertEqual((done.returncode, done.stdout), (0, b"e-1\n"))
        self.assertEqual(json.loads((self.outbox / "e-1.json").read_bytes())["payload"], {"plot_id": "p"})

    def test_emit_refuses_and_warns(self):
        self.assertIn("byte 1", self.run_cli("emit", "episode.created", "{nope", expect=2).stderr())
        self.assertIn("must be a JSON object", self.run_cli("emit", "episode.created", "[]", expect=2).stderr())
        self.assertEqual(self.pending(), [])
        self.assertIn("unknown_namespace", self.run_cli("emit", "weather.changed", expect=0).stderr())
        unfit = self.run_cli("emit", PUBLISHED, '{"episode_id": 7}', expect=0).stderr()
        self.assertRegex(unfit, r"warning: It will become a dead letter \(schema_mismatch: payload\.episode_id: expected string.*\. Fix the field")
        self.assertNotIn("warning", self.run_cli("emit", PUBLISHED, json.dumps(PAYLOAD), expect=0).stderr())

    def test_flush_dry_run_changes_nothing(self):
        self.entry(PUBLISHED, PAYLOAD)
        self.entry("weather.changed", {})
        before = self.pending()
        text = self.run_cli("flush", "--dry-run", expect=0).stdout()
        self.assertIn("Would try 2 entries", text)
        self.assertIn(self.topic("episode.events"), text)
        self.assertIn("unknown_namespace", text)
        self.entry(PUBLISHED, {"episode_id": 7})
        before = self.pending()
        told = self.json_of("flush", "--dry-run", "-o", "json", expect=0)
        self.assertEqual((told["count"], told["reasons"]), (3, {"unknown_namespace": 1, "schema_mismatch": 1}))
        self.assertEqual(sum(told["topics"].values()), 1)
        self.assertEqual(self.pending(), before)

    def test_ctrl_c_ends_a_flush_that_waits_for_kafka(self):
        self.entry(PUBLISHED, PAYLOAD)
        flush = self.start("busbridge", "flush")
        wait_until(lambda: (self.outbox / ".busbridge/lock").exists(), what="the flush holds the outbox")
        for _ in range(3):
            flush.signal(signal.SIGINT)
            time.sleep(0.1)
        self.assertEqual(flush.wait(), 130)
        self.assertEqual(len(self.pending()), 1)

    def test_an_outbox_that_is_not_there(self):
        for words in (["list"], ["replay", "x"], ["metrics"], ["flush"], ["emit", "episode.created"]):
            lost = self.run_cli(*words, options={"outbox.url": f"file:{self.dir}/none"}, expect=1)
            self.assertIn(f"{self.dir}/none", lost.stderr())
            self.assertFalse((self.dir / "none").exists())


class CommandLine(CliTest):
    def test_help_opens_with_examples(self):
        text = self.run_cli("--help", options={"outbox.url": None}, expect=0).stdout()
        self.assertTrue(text.startswith("Examples:"))
        for name in ("flush", "list", "replay", "health", "metrics", "emit", "tail"):
            self.assertRegex(text, rf"(?m)^  {name} ")
            self.assertTrue(self.run_cli(name, "--help", expect=0).stdout().startswith("Examples:"))
            self.assertEqual(self.run_cli("help", name, expect=0).stdout(), self.run_cli(name, "-h", expect=0).stdout())
        self.assertRegex(self.run_cli("--version", expect=0).stdout(), r"^busbridge \d+\.\d+")

    def test_mistyped_words_are_answered_with_the_nearest(self):
        self.assertIn("did you mean flush?", self.run_cli("fluhs", expect=2).stderr())
        self.assertIn("did you mean list --type dlq?", self.run_cli("dlq", expect=2).stderr())
        self.assertIn("did you mean --limit?", self.run_cli("list", "--limti", "3", expect=2).stderr())
        self.assertIn("see: busbridge --help", self.run_cli("somethingelse", expect=2).stderr())
        self.assertEqual(self.run_cli(expect=2).stdout(), "")
        self.run_cli("list", "--type", "both", expect=2)
        self.run_cli("list", "word", expect=2)
        self.run_cli("replay", expect=2)
        self.run_cli("tail", "--new", "--from-beginning", expect=2)

    def test_settings_come_from_file_variable_and_override(self):
        file = self.dir / "busbridge.conf"
        file.write_text(f"outbox.url = file:{self.outbox}\nredis.url = off\n")
        self.dead_letter()
        bare = {key: None for key in self.options}
        for arguments, env in ((["-c", str(file), "list"], {}), (["list", "-c", str(file)], {}),
                               (["list"], {"BUSBRIDGE_CONFIG": str(file)}),
                               (["list"], {"BUSBRIDGE_OUTBOX_URL": f"file:{self.outbox}"})):
            listed = self.run_cli(*arguments, "-o", "name", options=bare, env=env, expect=0)
            self.assertEqual((listed.stdout(), listed.stderr()), ("d-1\n", ""))
        wrong = self.run_cli("list", options={"outbox.urll": "x"}, expect=2)
        self.assertIn("outbox.url", wrong.stderr())
        self.run_cli("list", "-c", str(self.dir / "none.conf"), expect=2)

    def test_a_full_disk_behind_stdout_is_a_failure(self):
        self.dead_letter()
        with open("/dev/full", "wb") as full:
            done = subprocess.run([str(BUILD / "busbridge"), "list", "-X", f"outbox.url=file:{self.outbox}"], stdout=full,
                                  stderr=subprocess.PIPE, env=clean_environment(), timeout=300)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output", done.stderr)

    def test_emit_that_cannot_print_its_id_has_written_the_event_and_is_not_to_be_repeated(self):
        before = []
        command = f"'{BUILD}/busbridge' emit episode.created -X 'outbox.url=file:{self.outbox}'"
        for number, more in enumerate((">&-", ">/dev/full", "| true", ">&- 2>&-", "<&- >&- 2>&-")):
            done = subprocess.run(["bash", "-o", "pipefail", "-c", f"{command} {more}"], capture_output=True, text=True, env=clean_environment(), timeout=300)
            self.assertEqual((done.returncode, len(self.pending())), (0, number + 1), (more, done.stderr))
            (written,) = [name for name in self.pending() if name not in before]
            if "2>" not in more and more != "| true":
                self.assertIn(f"under the id {written[:-5]}", done.stderr)
            before = self.pending()
        for entry in self.pending():
            json.loads((self.outbox / entry).read_text())

    def test_words_for_people_never_go_into_a_file_that_took_a_closed_descriptors_place(self):
        self.dead_letter()
        done = subprocess.run(["bash", "-c", f"'{BUILD}/busbridge' list -X 'outbox.url=file:{self.outbox}' >&-"], capture_output=True, text=True,
                              env=clean_environment(), timeout=300)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard output", done.stderr)
        self.entry(PUBLISHED, {"episode_id": 7})
        worker = subprocess.Popen(["bash", "-c", f"exec '{BUILD}/busbridge-worker' -X 'outbox.url=file:{self.outbox}' -X redis.url=off "
                                   f"-X kafka.bootstrap.servers=127.0.0.1:1 -X 'encoding.schemas={harness.ROOT}/schemas' <&- >&- 2>&-"],
                                  env=clean_environment())
        wait_until(lambda: (self.outbox / ".busbridge/control.sock").exists() or worker.poll() is not None, what="a worker")
        worker.terminate()
        self.assertEqual(worker.wait(), 0)
        for path in self.outbox.rglob("*"):
            if path.is_file():
                self.assertNotIn(b'"level"', path.read_bytes(), path)
                self.assertNotIn(b"level=", path.read_bytes(), path)

    def test_a_reader_that_leaves_ends_it_by_sigpipe(self):
        self.dead_letter()
        read_end, write_end = os.pipe()
        os.close(read_end)
        done = subprocess.run([str(BUILD / "busbridge"), "list", "-X", f"outbox.url=file:{self.outbox}"], stdout=write_end,
                              stderr=subprocess.PIPE, env=clean_environment(), timeout=300)
        os.close(write_end)
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGPIPE, b""))

    def test_colour_only_where_it_is_wanted(self):
        self.assertNotIn("\x1b", self.run_cli("health", expect=0).stdout())
        self.assertIn("\x1b[32mOK", self.run_cli("health", "--color", "always", expect=0).stdout())
        for env, expected in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
            self.assertEqual("\x1b[32mOK" in self.on_terminal(["health"], env), expected, env)

    def on_terminal(self, words, env):
        """What the command shows on a terminal of 100 columns."""
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        pairs = (f"outbox.url=file:{self.outbox}", "redis.url=off", "health.worker=optional")
        program = subprocess.Popen([str(BUILD / "busbridge"), *words, *(word for pair in pairs for word in ("-X", pair))], stdin=child, stdout=child, stderr=child, env={**clean_environment(('NO_COLOR', 'TERM')), **env})
        os.close(child)
        shown = b""
        while True:
            try:
                part = os.read(parent, 4096)
            except OSError:
                break
            if not part:
                break
            shown += part
        program.wait()
        os.close(parent)
        return shown.decode(errors="replace")


class WithWorker(CliTest):
    """A worker without a broker: its control API and the commands that go through it."""

    def setUp(self):
        super().setUp()
        self.options["flush.background"] = "false"

    def test_both_ways_answer_the_same(self):
        self.dead_letter("d-1")
        self.entry(PUBLISHED, PAYLOAD, id="p-1", storage_key="p-1")
        alone = self.json_of("list", "-o", "json", expect=0)
        alone_health = self.json_of("health", "-o", "json", expect=0)
        worker = self.worker()
        self.assertEqual(self.json_of("list", "-o", "json", expect=0), alone)
        health = wait_until(lambda: (h := self.json_of("health", "-o", "json"))["pending"] == 1 and h, what="the first scan")
        self.assertEqual(set(health), set(alone_health))
        self.assertEqual((health["dead"], health["worker"], alone_health["worker"]), (1, True, False))
        self.assertEqual(self.run_cli("replay", "nowhere", expect=3).stderr().count("No dead letter"), 1)
        self.run_cli("replay", "d-1", expect=0)
        self.assertEqual(self.pending(), ["d-1.json", "p-1.json"])
        verbose = self.run_cli("-v", "metrics", "-o", "json", expect=0)
        self.assertIn("asking the worker", verbose.stderr())
        self.assertGreaterEqual(json.loads(verbose.stdout())["commands"]["total"], 4)
        self.assertEqual(worker.stop(), 0)
        self.assertFalse((self.outbox / ".busbridge/control.sock").exists())
        self.assertGreaterEqual(self.json_of("metrics", "-o", "json", expect=0)["commands"]["total"], 4, "figures outlive it")

    def test_a_list_of_all_does_not_go_through_the_worker(self):
        for number in range(700):
            self.entry(PUBLISHED, PAYLOAD, id=f"p-{number:03}", storage_key=f"p-{number:03}", mtime=1700000000 + number)
        self.worker()
        ids = [f"p-{number:03}" for number in range(700)]
        for form in ("json", "jsonl", "name"):
            listed = self.run_cli("-v", "list", "--limit", "0", "-o", form, expect=0)
            asked = self.run_cli("-v", "list", "--limit", "1000", "-o", form, expect=0)
            self.assertIn("a long list; opening the outbox itself", listed.stderr())
            self.assertIn("asking the worker", asked.stderr())
            self.assertEqual(listed.stdout(), asked.stdout())
        self.assertEqual(listed.stdout().split(), ids)
        self.assertEqual(self.run_cli("list", "--limit", "0", "-o", "json", "--type", "dlq", expect=0).stdout(), "[]\n")
        self.assertIn("nothing matches", self.run_cli("list", "-n", "0", "-o", "name", "--name", "x", expect=3).stderr())
        code, _, body = self.ask("GET", "/v1/metrics")
        self.assertEqual((code, json.loads(body)["commands"]["total"]), (200, 3), "only those with a limit")

    def test_the_api_refuses_in_problem_json(self):
        self.worker()
        for method, path, status in (("GET", "/nothing", 404), ("PUT", "/v1/status", 405), ("GET", "/v1/entries?limit=x", 400),
                                     ("GET", "/v1/entries?colour=red", 400), ("POST", "/v1/replay?id=nowhere", 404)):
            code, headers, body = self.ask(method, path)
            self.assertEqual((code, headers["Content-Type"]), (status, "application/problem+json"), path)
            self.assertEqual(json.loads(body)["status"], status)
        self.assertEqual(self.ask("PUT", "/v1/status")[1]["Allow"], "GET")
        self.assertEqual(self.ask("POST", "/v1/metrics?reset=1", b"x" * 65537)[0], 413)
        self.assertEqual(self.ask("POST", "/v1/metrics?reset=1", b"x" * 65536)[0], 200)

    def test_probes_and_prometheus(self):
        self.worker()
        self.assertEqual(self.ask("GET", "/livez")[0::2], (200, b"ok\n"))
        self.assertEqual(self.ask("GET", "/readyz")[0], 503)
        code, headers, body = self.ask("GET", "/metrics")
        self.assertEqual((code, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        self.assertIn(b"# TYPE busbridge_pending_events gauge", body)
        self.assertEqual(json.loads(self.ask("GET", "/v1/version")[2])["api"], "v1")

    def test_the_socket_is_for_owner_and_group_alone(self):
        self.worker()
        self.assertEqual((self.outbox / ".busbridge/control.sock").stat().st_mode & 0o777, 0o660)

    def test_a_path_longer_than_a_socket_address(self):
        deep = self.dir / ("long" * 30) / "outbox"
        deep.mkdir(parents=True)
        self.outbox = deep
        self.options["outbox.url"] = f"file:{deep}"
        self.worker()
        self.assertIn("asking the worker", self.run_cli("-v", "list", expect=0).stderr())

    def test_a_stale_socket_is_no_worker(self):
        worker = self.worker()
        worker.kill()
        self.assertTrue((self.outbox / ".busbridge/control.sock").exists())
        self.dead_letter("d-1")
        self.assertIn("no worker runs", self.run_cli("-v", "list", "-o", "name", expect=0).stderr())
        self.worker()
        self.assertIn("asking the worker", self.run_cli("-v", "list", expect=0).stderr())

    def test_flush_without_a_broker_is_unreachable_and_stops_by_ctrl_c(self):
        self.entry(PUBLISHED, PAYLOAD)
        self.worker()
        flush = self.start("busbridge", "flush")
        wait_until(lambda: b"finished" in self.ask("GET", "/v1/flush/1")[2], what="the flush began")
        flush.signal(signal.SIGINT)
        flush.signal(signal.SIGINT)
        self.assertEqual(flush.wait(), 130)
        self.assertEqual(len(self.pending()), 1)


class WithBroker(CliTest):
    needs_kafka = True

    def fill(self, count, first=0):
        for number in range(first, first + count):
            self.entry(PUBLISHED, {**PAYLOAD, "episode_id": f"ep-{number % 3}"}, id=f"e-{number}", storage_key=f"e-{number}",
                       mtime=1700000000 + number)

    def test_flush_without_a_worker(self):
        self.fill(12)
        self.entry("weather.changed", {}, id="w", storage_key="w", mtime=1)
        part = self.run_cli("flush", "--limit", "5", expect=0)
        self.assertIn("busbridge flush --limit 0", part.stderr())
        self.assertEqual(len(self.pending()), 8)
        rest = self.run_cli("bus", "flush", "--limit", "0", expect=0)
        self.assertRegex(rest.stdout(), r"^Flushed: 8 published, 0 duplicates, 0 dead, 0 retried, 0 held, 0 left\n$")
        self.assertEqual((self.pending(), list(self.dead())), ([], ["w.json"]))
        self.assertEqual(len(self.drain("episode.events")), 12)
        again = self.json_of("flush", "-o", "json", expect=0)
        self.assertEqual((again["finished"], again["published"], again["left"]), (True, 0, 0))

    def test_flush_with_a_worker(self):
        self.options["flush.background"] = "false"
        worker = self.worker()
        self.fill(12)
        done = self.run_cli("flush", "--limit", "0", expect=0)
        self.assertRegex(done.stdout(), r"^Flushed: 12 published, ")
        self.assertEqual(len(self.drain("episode.events")), 12)
        self.assertEqual(self.json_of("health", "-o", "json", expect=0)["processed"], 12)
        self.assertEqual(worker.stop(), 0)

    def test_replay_of_what_was_no_json(self):
        self.write("broken.json", b"{nope", mtime=1700000000)
        self.run_cli("flush", options={"outbox.settle": "0s"}, expect=0)
        self.assertEqual(self.dead()["broken.json"]["reason"], "not_json")
        self.run_cli("replay", "broken", expect=0)
        self.assertEqual((self.outbox / "broken.json").read_bytes(), b"{nope")
        self.assertEqual(os.listdir(self.outbox / "dlq"), [])

    def test_replay_and_flush_publish_what_was_mended(self):
        self.entry("quality.checked", {"content_id": "c", "score": "A", "check_types": [], "passed": True}, id="q", storage_key="q")
        self.run_cli("flush", expect=0)
        self.assertEqual(self.dead()["q.json"]["reason"], "schema_mismatch")
        entry = self.dead()["q.json"]
        entry["payload"]["score"] = 1.5
        (self.outbox / "dlq/q.json").write_text(json.dumps(entry))
        self.run_cli("replay", "q", expect=0)
        self.run_cli("flush", expect=0)
        values = [json.loads(line) for line in self.run_cli("tail", "-o", "value", expect=0).stdout().splitlines()]
        self.assertEqual(values[0]["score"], 1.5)

    def test_tail_shows_records_as_json(self):
        self.fill(7)
        self.run_cli("flush", expect=0)
        rows = [json.loads(line) for line in self.run_cli("tail", expect=0).stdout().splitlines()]
        self.assertEqual({r["headers"]["ce_id"] for r in rows}, {f"e-{n}" for n in range(7)})
        for row in rows:
            self.assertEqual(list(row), ["topic", "partition", "offset", "timestamp", "key", "headers", "value"])
            self.assertEqual(row["topic"], self.topic("episode.events"))
            self.assertEqual(row["value"], {**PAYLOAD, "episode_id": row["key"]})
            self.assertEqual(row["headers"]["ce_type"], PUBLISHED)
        topic = self.topic("episode.events")
        self.assertEqual(len(self.json_of("tail", topic, "-n", "3", "-o", "json", expect=0)), 3)
        missing = self.run_cli("tail", self.topic("nothing.events"), expect=3)
        self.assertIn(self.topic("nothing.events"), missing.stderr())
        self.assertIn("busbridge doctor", missing.stderr())

    def test_tail_shows_the_newest_and_what_is_asked_for(self):
        topic = self.topic("episode.events")
        self.fill(14)
        self.run_cli("flush", expect=0)
        def ids(*args): return [json.loads(line)["headers"]["ce_id"] for line in self.run_cli("tail", topic, *args, expect=0).stdout().splitlines()]
        everything = ids("--from-beginning")
        self.assertEqual(len(everything), 14)
        self.assertEqual(len(ids()), 10)
        self.assertEqual(len(ids("-n", "3")), 3)
        self.assertEqual(set(ids("--last", "3")) <= set(ids()), True)
        self.assertEqual(ids("--id", "e-13"), ["e-13"])
        self.assertEqual(len(ids("--id", "e-1")), 5)
        self.assertEqual(sorted(ids("--since", "1h")), sorted(everything))
        self.assertEqual(ids("--since", "1h", "--key", "ep-2", "--limit", "1"), ["e-2"])
        first = json.loads(self.run_cli("tail", topic, "--partition", "0", "--from-beginning", expect=0).stdout().splitlines()[1])
        (again,) = map(json.loads, self.run_cli("tail", topic, "--partition", "0", "--offset", str(first["offset"]), "-n", "1", expect=0).stdout().splitlines())
        self.assertEqual(again, first)
        for wrong in (("--last", "3", "--since", "1h"), ("--offset", "3"), ("--partition", "x"), ("--since", "soon")):
            self.run_cli("tail", topic, *wrong, expect=2)

    def test_tail_new_shows_what_was_emitted_a_moment_ago(self):
        self.create_topic("episode.events", 1)
        id = self.run_cli("emit", PUBLISHED, json.dumps({**PAYLOAD, "episode_id": "ep-1"}), expect=0).stdout().strip()
        self.run_cli("flush", expect=0)
        tail = self.start("busbridge", "tail", self.topic("episode.events"), "--new")
        wait_until(lambda: len(tail.stdout().splitlines()) == 1, what="the record")
        self.assertEqual(json.loads(tail.stdout())["headers"]["ce_id"], id)
        tail.signal(signal.SIGINT)
        self.assertEqual(tail.wait(), 130)

    def test_tail_shows_what_it_cannot_decode(self):
        self.create_topic("plot.events", 1)
        subprocess.run(["kcat", "-P", "-b", self.bootstrap, "-t", self.topic("plot.events")], input=b"\x00\xff", check=True, timeout=300)
        odd = self.run_cli("tail", expect=1)
        row = json.loads(odd.stdout())
        self.assertEqual(row["value_base64"], "AP8=")
        self.assertTrue(row["error"])

    def test_tail_follows_until_ctrl_c(self):
        self.create_topic("episode.events", 1)
        tail = self.start("busbridge", "tail", "--follow", self.topic("episode.events"))
        self.fill(2)
        self.run_cli("flush", expect=0)
        wait_until(lambda: len(tail.stdout().splitlines()) == 2, what="two records")
        tail.signal(signal.SIGINT)
        self.assertEqual(tail.wait(), 130)
        for line in tail.stdout().splitlines():
            json.loads(line)

    def test_tail_of_a_broker_that_is_away(self):
        away = self.run_cli("tail", "--timeout", "1s", "x", options={"kafka.bootstrap.servers": "127.0.0.1:1"}, expect=75)
        self.assertEqual(away.stdout(), "")


if __name__ == "__main__":
    harness.main()
