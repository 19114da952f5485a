"""Replays and purges of many: chosen by filters or ids, asked about, stopped and gone on with, whatever ends the command or the
worker in the middle. Each dead letter is afterwards dead or pending (or published), never both and never neither."""

import base64
import fcntl
import json
import os
import resource
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections import Counter
from datetime import datetime

import harness
from harness import BUILD, wait_until

PAYLOAD = {"episode_id": "ep-1", "title": "星", "episode_number": 1}


class Terminal:
    """A command on a terminal of its own: what it shows, typing, Ctrl-C."""

    def __init__(self, test, *arguments):
        self.main, child = pty.openpty()
        pairs = [word for key, value in test.options.items() for word in ("-X", f"{key}={value}")]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("BUSBRIDGE_", "NOVELER_"))}
        self.process = subprocess.Popen(
            [str(BUILD / "busbridge"), *pairs, *arguments], stdin=child, stdout=child, stderr=child, cwd=test.dir, start_new_session=True,
            env={**env, "TERM": "xterm"}, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(child)
        self.shown = ""
        test.addCleanup(self.close)

    def read(self, seconds=0.1):
        if select.select([self.main], [], [], seconds)[0]:
            try:
                self.shown += os.read(self.main, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                return False
        return True

    def until(self, text, seconds=harness.PATIENCE):
        deadline = time.monotonic() + seconds
        while not re.search(text, self.shown):
            if time.monotonic() > deadline or not self.read():
                raise AssertionError(f"no {text!r} in:\n{self.shown}")

    def type(self, text):
        os.write(self.main, text.encode())

    def end(self, seconds=harness.PATIENCE):
        deadline = time.monotonic() + seconds
        while self.read() and self.process.poll() is None and time.monotonic() < deadline:
            pass
        while self.read(0) and select.select([self.main], [], [], 0)[0]:
            pass
        return self.process.wait(seconds)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.main)


class BulkTest(harness.BusTest):
    needs_kafka = False

    def letter(self, id, name="episode.created", reason="schema_mismatch", failed="2025-09-22T04:00:00.000000+00:00", **over):
        return self.entry(name, PAYLOAD, place="dlq", id=id, storage_key=id, status="dlq", attempts=5, last_error="x", failed_at=failed,
                          reason=reason, **over)

    def letters(self, count, **over):
        return [self.letter(f"d-{i:03}", **over) for i in range(count)]

    def everything(self):
        """Every file of the outbox and its bytes, but for what any command touches."""
        return {str(p.relative_to(self.outbox)): p.read_bytes() for p in self.outbox.rglob("*")
                if p.is_file() and p.name not in ("metrics", "lock", "id")}

    def audit(self):
        path = self.outbox / ".busbridge/audit.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def selections(self):
        return sorted(p.name for p in (self.outbox / ".busbridge").glob("replay-*"))

    def assertPlaces(self, pending, dead):
        self.assertEqual(sorted(self.pending()), sorted(f"{i}.json" for i in pending))
        self.assertEqual(sorted(self.dead()), sorted(f"{i}.json" for i in dead))


class WithoutWorker(BulkTest):
    def test_filters_choose_and_a_dry_run_changes_nothing(self):
        self.letter("a", name="plot.created")
        self.letter("b", name="plot.changed", reason="broker_refused")
        self.letter("c", failed="2025-09-23T04:00:00.000000+00:00")
        self.entry("plot.created", PAYLOAD, id="p", storage_key="p")
        self.run_cli("list", expect=0)
        before = self.everything()
        told = json.loads(self.run_cli("replay", "--namespace", "plot", "--dry-run", "-o", "json", expect=0).stdout())
        self.assertEqual((told["count"], told["topics"], told["reasons"]),
                         (2, {self.topic("plot.events"): 2}, {"schema_mismatch": 1, "broker_refused": 1}))
        shown = self.run_cli("purge", "--all", "--dry-run", expect=0).stdout()
        self.assertIn("Would purge 3 dead letters", shown)
        self.assertEqual(self.everything(), before)
        self.run_cli("replay", "--reason", "too_large", expect=3)
        self.run_cli("replay", "--name", "plot.*", "--reason", "schema_mismatch", expect=0)
        self.assertPlaces(["p", "a"], ["b", "c"])
        self.run_cli("replay", "--until", "2025-09-22T12:00Z", expect=0)
        self.assertPlaces(["p", "a", "b"], ["c"])
        self.run_cli("purge", "--all", "--yes", expect=0)
        self.assertPlaces(["p", "a", "b"], [])
        lines = [(line["command"], line["what"].partition(": ")[2], line["counts"]) for line in self.audit()]
        self.assertEqual([line[:2] for line in lines], [
            ("replay", "type=dlq name=plot.* reason=schema_mismatch"), ("replay", "type=dlq until=2025-09-22T12:00:00.000000+00:00"),
            ("purge", "all")])
        self.assertEqual(lines[0][2], {"replayed": 1, "of": 1, "refused": 0, "busy": 0, "failed": 0, "vanished": 0})
        self.assertEqual({line["uid"] for line in self.audit()}, {os.getuid()})
        self.assertEqual(self.selections(), [])

    def test_what_is_meant_must_be_said(self):
        self.letters(2)
        for words in (["purge"], ["replay"], ["purge", "--yes"], ["replay", "d-000", "--all"], ["replay", "--all", "--reason", "nonsense"],
                      ["replay", "--resume", "--all"], ["replay", "--resume", "x"], ["purge", "--all", "--dry-run", "--export", "x"]):
            self.run_cli(*words, expect=2)
        self.run_cli("replay", "--resume", expect=3)
        self.run_cli("purge", "--resume", "7", expect=3)
        self.assertPlaces([], ["d-000", "d-001"])

    def test_more_than_a_hundred_and_every_purge_need_a_yes(self):
        ids = self.letters(101)
        refused = self.run_cli("replay", "--all", expect=2)
        self.assertIn("more than 100 need --yes", refused.stderr())
        self.assertIn("say --yes", self.run_cli("purge", "d-000", expect=2).stderr())
        self.assertPlaces([], ids)
        self.assertEqual(self.selections(), [])
        self.run_cli("replay", "--all", "--yes", expect=0)
        self.assertPlaces(ids, [])

    def test_on_a_terminal_the_count_is_typed(self):
        ids = self.letters(120)
        for wrong in ("yes\n", "12\n", "\n", "\x03"):
            asked = Terminal(self, "replay", "--all")
            asked.until("Type 120 to replay them")
            asked.type(wrong)
            self.assertEqual(asked.end(), 130 if wrong == "\x03" else 1)
            self.assertIn("nothing was changed", asked.shown)
        self.assertPlaces([], ids)
        self.assertEqual(self.selections(), [])
        asked = Terminal(self, "replay", "--all")
        asked.until("Type 120")
        self.assertRegex(asked.shown, r"By reason:\s+120  schema_mismatch")
        asked.type("120\n")
        self.assertEqual(asked.end(), 0, asked.shown)
        self.assertPlaces(ids, [])
        one = Terminal(self, "purge", "d-000")
        self.assertEqual(one.end(), 3)  # it is pending

    def test_ids_from_standard_input(self):
        ids = self.letters(3)
        command = [str(BUILD / "busbridge"), *(w for k, v in self.options.items() for w in ("-X", f"{k}={v}")), "replay", "-"]
        done = subprocess.run(command, input="d-002\n\n d-000\nnowhere\nd-002\n", text=True, capture_output=True, timeout=300)
        self.assertEqual((done.returncode, done.stdout), (4, "Replayed 2 of 2\n"))
        self.assertIn("1 of the ids belongs to no dead letter: nowhere", done.stderr)
        self.assertPlaces([ids[0], ids[2]], [ids[1]])
        self.assertEqual(subprocess.run(command, input="nowhere\n", text=True, capture_output=True, timeout=300).returncode, 3)

    def test_ctrl_c_stops_after_a_step_and_resume_goes_on(self):
        ids = self.letters(150)
        running = Terminal(self, "replay", "--all", "--yes", "--rate", "5")
        running.until(r"replay \[[=> ]+\] \d+ of 150")
        running.type("\x03")
        self.assertEqual(running.end(), 130, running.shown)
        said = re.search(r"interrupted: (\d+) of 150 replayed, .* go on by: busbridge replay --resume (\d+)", running.shown)
        self.assertTrue(said, running.shown)
        self.assertEqual(len(self.pending()), int(said[1]))
        self.assertLess(int(said[1]), 150)
        self.assertEqual(self.audit(), [])
        self.letter("later")
        self.run_cli("replay", "--resume", said[2], expect=0)
        self.assertPlaces(ids, ["later"])
        self.assertEqual([line["counts"]["replayed"] for line in self.audit()], [150])

    def test_a_command_that_is_killed_leaves_a_selection_to_go_on_with(self):
        ids = self.letters(40)
        for _ in range(3):
            before = len(self.pending())
            running = self.start("busbridge", "replay", *(["--resume"] if self.selections() else ["--all"]), "--rate", "2")
            wait_until(lambda: len(self.pending()) > before or not running.running(), what="a step")
            running.kill()
            self.assertEqual(sorted(self.pending() + list(self.dead())), [f"{i}.json" for i in ids])
        last = self.run_cli("replay", "--resume", "-o", "json", expect=0)
        self.assertPlaces(ids, [])
        told = json.loads(last.stdout())
        self.assertEqual((told["replayed"], told["vanished"], told["finished"]), (40, 0, True))
        self.assertEqual(len(self.audit()), 1)

    def test_a_selection_can_be_given_up(self):
        ids = self.letters(90)
        running = self.start("busbridge", "replay", "--all", "--rate", "2")
        wait_until(lambda: self.pending(), what="a step")
        running.signal(signal.SIGTERM)
        self.assertEqual(running.wait(), 130)
        self.assertIn("given up", self.run_cli("replay", "--give-up", expect=0).stderr())
        self.assertEqual(self.selections(), [])
        self.assertEqual(sorted(self.pending() + list(self.dead())), [f"{i}.json" for i in ids])
        self.assertIn("(given up)", self.audit()[0]["what"])

    def test_an_export_at_the_limit_of_a_files_size_is_an_error_and_purges_nothing(self):
        self.letters(5)
        limit, copy = resource.getrlimit(resource.RLIMIT_FSIZE), self.dir / "copy.jsonl"
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))  # the program's too
        try:
            refused = self.run_cli("purge", "--all", "--yes", "--export", str(copy), expect=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        self.assertIn("nothing was purged; --export copy.jsonl: appending: File too large", refused.stderr())
        self.assertEqual((len(self.dead()), copy.exists()), (5, False))

    def test_an_export_has_every_byte_before_anything_goes(self):
        ids = self.letters(5)
        self.write("odd.json", '{\n "id": "odd", "status": "dlq"}\n', place="dlq")
        raw = bytes(range(256)) * 20000  # more than a part
        self.write("raw.json", json.dumps({"id": "raw", "name": "", "payload": {}, "failed_at": None, "status": "dlq", "inode": 1}), place="dlq")
        self.write("raw.raw", raw, place="dlq")
        before = {p.name: p.read_bytes() for p in (self.outbox / "dlq").iterdir()}
        copy = self.dir / "copy.jsonl"
        copy.write_text("mine")
        self.assertIn("is there already", self.run_cli("purge", "--all", "--yes", "--export", str(copy), expect=1).stderr())
        self.run_cli("purge", "--all", "--yes", "--export", str(self.dir / "no/such/folder/x"), expect=1)
        self.assertEqual({p.name: p.read_bytes() for p in (self.outbox / "dlq").iterdir()}, before)
        self.assertEqual((copy.read_text(), self.selections()), ("mine", []))
        copy.unlink()
        self.run_cli("purge", "--all", "--yes", "--export", "copy.jsonl", expect=0)
        self.assertEqual(list((self.outbox / "dlq").iterdir()), [])
        found, raws = {}, b""
        for line in copy.read_bytes().splitlines():
            element = json.loads(line)
            if "entry" in element:
                found[element["file"]] = line[line.index(b'"entry": ') + 9:].partition(b', "raw_size"')[0]
                found[element["file"]] = found[element["file"]].removesuffix(b"}") if b"raw_size" not in line else found[element["file"]]
            elif "bytes" in element:
                found[element["file"]] = base64.b64decode(element["bytes"])
            raws += base64.b64decode(element.get("raw", ""))
        self.assertEqual(raws, raw)
        self.assertEqual(found, {name: text for name, text in before.items() if name != "raw.raw"})
        self.assertEqual(len(found), len(ids) + 2)

    def test_what_cannot_be_moved_is_told_and_left(self):
        self.letters(3)
        self.write("d-001.json", '{"not": "ours"}')
        done = self.run_cli("replay", "--all", expect=4)
        self.assertEqual(done.stdout(), "Replayed 2 of 3: 1 failed\n")
        self.assertIn("has an entry d-001.json already", done.stderr())
        self.assertEqual(list(self.dead()), ["d-001.json"])


class WithWorker(BulkTest):
    needs_kafka = True

    def worker(self, *arguments, **more):
        worker = self.start_worker(*arguments, **more)
        wait_until(lambda: worker.logs("started") or not worker.running(), what="started")
        return worker

    def settle(self, ids, times=1):
        """Everything is published, each so often."""
        wait_until(lambda: not self.pending(), what="all are published")
        for program in self.programs:
            if program.name == "busbridge-worker" and program.running():
                program.stop()
        published = Counter(record.headers["ce_id"].decode() for record in self.drain())
        self.assertEqual(published, {id: times for id in ids})

    def test_a_worker_that_is_killed_in_the_middle_is_gone_on_with(self):
        ids = self.letters(60)
        worker = self.worker()
        running = self.start("busbridge", "replay", "--all", "--rate", "40")
        wait_until(lambda: worker.logs("replayed_some") or not running.running(), what="a step")
        worker.kill()
        self.assertIn(running.wait(), (75, 0), running.stderr())
        left = len(self.dead())
        self.worker()
        if running.process.returncode:
            self.assertRegex(running.stderr(), r"stopped: .* go on by: busbridge replay --resume 1")
            self.run_cli("replay", "--resume", "1", expect=0)
        else:
            self.assertEqual(left, 0)
        self.assertEqual(self.dead(), {})
        self.assertEqual(self.selections(), [])
        self.settle(ids)
        self.assertEqual([line["counts"]["replayed"] for line in self.audit()], [60])

    def test_two_commands_may_go_through_one_selection(self):
        ids = self.letters(90)
        worker = self.worker()
        first = self.start("busbridge", "replay", "--all", "--rate", "200")
        wait_until(lambda: self.selections() or not first.running(), what="a selection")
        others = [self.start("busbridge", "replay", "--resume", "--rate", "200") for _ in range(2)]
        self.assertEqual(first.wait(), 0, first.stderr())
        for other in others:
            self.assertIn(other.wait(), (0, 3), other.stderr())  # 3: it came too late
        self.assertEqual(self.dead(), {})
        self.assertTrue(worker.running())
        self.settle(ids)
        self.assertEqual([line["counts"]["replayed"] for line in self.audit()], [90])

    def test_a_rate_makes_small_steps(self):
        self.letters(10)
        worker = self.worker()
        began = time.time()
        self.run_cli("replay", "--all", "--rate", "12", expect=0)
        steps = worker.logs("replayed_some")
        self.assertEqual([line["count"] for line in steps], [3, 3, 3, 1])
        # The tenth is due 0.75 s after the first, which may itself be late.
        self.assertGreater(datetime.fromisoformat(steps[-1]["ts"]).timestamp() - began, 0.7)
        self.settle([f"d-{i:03}" for i in range(10)])

    def test_what_kafka_has_is_refused_unless_forced(self):
        redis = self.redis()
        ids = self.letters(2)
        self.worker()
        self.run_cli("replay", "--all", expect=0)
        wait_until(lambda: not self.pending() and len(redis.keys()) == 2, what="published, and known to Redis")
        self.letters(2)
        self.letter("new")
        wait_until(lambda: self.run_cli("replay", "--all", "--dry-run", "-o", "json").stdout().count('"count": 3'), what="three")
        done = self.run_cli("replay", "--all", expect=4)
        self.assertEqual(done.stdout(), "Replayed 1 of 3: 2 in Kafka already (--force publishes again)\n")
        self.assertRegex(done.stderr(), r"d-00\d is in Kafka already \(" + self.prefix + r"\.episode\.events/\d/\d+\)")
        self.assertEqual(sorted(self.dead()), ["d-000.json", "d-001.json"])
        self.run_cli("replay", "--all", expect=1)
        self.run_cli("replay", "--all", "--force", expect=0)
        wait_until(lambda: not self.pending(), what="published again")
        published = Counter(record.headers["ce_id"].decode() for record in self.drain())
        self.assertEqual(published, {**{id: 2 for id in ids}, "new": 1})

    def test_both_ways_answer_the_same(self):
        self.letters(5)
        here = [json.loads(self.run_cli(c, "--all", "--dry-run", "-o", "json", expect=0).stdout()) for c in ("replay", "purge")]
        self.worker()
        there = [json.loads(self.run_cli(c, "--all", "--dry-run", "-o", "json", expect=0).stdout()) for c in ("replay", "purge")]
        self.assertEqual(here, there)
        self.run_cli("purge", "d-000", "nowhere", "--yes", "--export", "x.jsonl", expect=4)
        self.assertEqual((self.dir / "x.jsonl").read_text().count("\n"), 1)
        self.assertEqual(len(self.dead()), 4)
        self.assertEqual(self.audit()[-1]["uid"], os.getuid())


if __name__ == "__main__":
    harness.main()
