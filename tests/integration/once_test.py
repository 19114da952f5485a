#!/usr/bin/python3
"""--once gives the true cause of what stopped it, each with its own exit status: log, health and the manual agree."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import unittest

import harness

NOBODY = 65534


def manual():
    """{exit status: what busbridge-worker(8) says of it}"""
    text = (harness.ROOT / "worker/busbridge-worker.8").read_text()
    rows = re.split(r"^[.]It (\d+)\n", text.partition(".Sh EXIT STATUS")[2].partition("\n.El")[0], flags=re.M)[1:]
    return {int(code): " ".join(re.sub(r"^[.]\w+ ", "", line) for line in words.splitlines())
            for code, words in zip(rows[::2], rows[1::2], strict=True)}


class Once(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.options |= {"ledger.topic": self.topic("ledger"), "flush.interval": "1s", "log.level": "info"}

    def events(self, count=3):
        return [self.entry("plot.updated", {"plot_id": f"p-{i}"}) for i in range(count)]

    def published(self):
        return sorted(r.headers["ce_id"].decode() for r in self.drain("plot.events"))

    def health(self):
        return self.run_cli("health").stdout()

    def ends(self, worker, code, event, *words):
        """With that status, which the manual knows, and these words in its last line; returns that line."""
        self.assertEqual(worker.wait(), code, worker.stderr()[-3000:])
        self.assertEqual(worker.logs("stopped")[-1]["exit"], code)
        self.assertIn(code, manual())
        (line,) = worker.logs(event)
        for word in words:
            self.assertIn(word, line["msg"])
        return line

    def says_alike(self, worker, cause, log_event):
        """While it waits: one line in the log, and health has its cause and its remedy, which is returned."""
        harness.wait_until(lambda: worker.logs(log_event), what=worker.stderr)
        remedy = harness.wait_until(lambda: self.remedy_of(cause), what=f"health tells {cause}")
        (said,) = worker.logs(log_event)
        self.assertIn(remedy.partition(". ")[0], said["msg"])
        return remedy

    def remedy_of(self, cause):
        lines = self.health().splitlines()[1:]
        at = next((i for i, line in enumerate(lines) if cause in line), None)
        return None if at is None else lines[at + 1].strip().removeprefix("next: ")

    def test_redis_required_and_away(self):
        self.events()
        worker = self.start_worker("--once", options={"redis.url": "redis://127.0.0.1:1/0", "redis.required": "true"})
        cause = "Redis is away (127.0.0.1:1: Connection refused) and redis.required is true: everything waits for it"
        self.options |= {"redis.url": "redis://127.0.0.1:1/0", "redis.required": "true"}
        remedy = self.says_alike(worker, cause, "redis_away")
        self.assertIn(cause, worker.logs("redis_away")[0]["msg"])
        doctor = self.run_cli("doctor").stdout()
        self.assertIn(re.sub(r"\s+", " ", cause), re.sub(r"\s+", " ", doctor))
        self.assertIn(re.sub(r"\s+", " ", remedy), re.sub(r"\s+", " ", doctor))
        self.ends(worker, 69, "once_stopped", cause, remedy)
        self.assertIn("redis.required", manual()[69])
        self.assertEqual(len(self.pending()), 3)

    def test_no_descriptor_for_kafka(self):
        """Whichever it is that cannot be opened: Kafka is not to blame, and nobody is told to start a broker."""
        self.run_worker("--once", expect=0)  # topics are there
        ids = self.events()
        for limit in (19, 22, 24):  # no socket; no note of the outbox beside the sockets; no second socket, to the coordinator
            with self.subTest(limit=limit):
                worker = self.limited(limit)
                remedy = "Raise the worker's limit of open files"
                line = self.ends(worker, 71, "once_stopped", "Too many open files", remedy)
                self.assertNotIn("broker", line["msg"].lower().replace("bootstrap", ""))
                told = worker.logs("kafka_away") + worker.logs("outbox_write_failed")  # which of them differs by a descriptor or two
                self.assertTrue(any(remedy in away["msg"] for away in told), worker.stderr())
                self.assertIn("open files", manual()[71])
                self.assertEqual(len(self.pending()), 3)
        self.run_worker("--once", expect=0)
        self.assertEqual(self.published(), sorted(ids))

    def limited(self, files):
        pairs = [word for key, value in self.options.items() for word in ("-X", f"{key}={value}")]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BUSBRIDGE_")}
        command = ["prlimit", f"--nofile={files}:{files}", str(harness.BUILD / "busbridge-worker"), *pairs, "--once"]
        self.programs.append(harness.Program(command, clean, self.dir))
        return self.programs[-1]

    def test_names_too_long_cost_nothing(self):
        """Names of 255 bytes, twice the same, and no room for a number behind them: nothing waits, all is told."""
        long = "x" * 250 + ".json"
        for turn in range(2):
            good = {"id": f"good-{turn}", "name": "plot.updated", "payload": {"plot_id": "p"}, "status": "pending"}
            for name, text in ((long, "no JSON"), ("y" + long[1:], json.dumps(good))):
                (self.outbox / name).write_text(text)
                os.utime(self.outbox / name, (1700000000, 1700000000))
            worker = self.start_worker("--once", options={"outbox.sent": "keep"})
            self.ends(worker, 0, "once_done", "1 published")
        self.assertEqual(self.pending(), [])
        self.assertEqual(len(self.dead()), 2)
        self.assertEqual(len(list((self.outbox / "sent").iterdir())), 2)

    @contextlib.contextmanager
    def small_disk(self):
        command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(self.outbox)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"SKIPPED: no small tmpfs can be mounted here: {done.stderr.strip()}", flush=True)
            self.skipTest("no small tmpfs can be mounted")
        try:
            yield
        finally:
            for program in self.programs:
                program.kill()
            subprocess.run(["umount", str(self.outbox)], check=True)

    def fill(self):
        """Not even the space that the worker keeps in reserve is left to it."""
        (self.outbox / ".busbridge/reserve").unlink(missing_ok=True)
        with open(self.outbox / "filler", "ab", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(b"x" * 4096):
                pass

    def test_the_disk_is_full(self):
        with self.small_disk():
            self.run_worker("--once", expect=0)
            ids = self.events()
            (self.outbox / "filler").touch()
            self.fill()
            worker = self.start_worker("--once")
            remedy = self.says_alike(worker, "No space left on device", "outbox_write_failed")
            self.assertIn("Free space there", remedy)
            self.ends(worker, 74, "once_stopped", "No space left on device", remedy)
            self.assertIn("outbox cannot be read or changed", manual()[74])
            self.assertFalse(worker.logs("kafka_away"))
            (self.outbox / "filler").unlink()
            self.run_worker("--once", expect=0)
            self.assertEqual(self.published(), sorted(ids))

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_somebody_elses_file_in_a_sticky_folder(self):
        """The event was published; what stays is its file, which is named with what to do."""
        self.dir.chmod(0o711)
        for program in ("busbridge", "busbridge-worker"):  # where the sources lie others may not go
            shutil.copy(harness.BUILD / program, self.dir)
        shutil.copytree(harness.ROOT / "schemas", self.dir / "schemas")
        subprocess.run(["chmod", "-R", "a+rX", self.dir / "schemas"], check=True)
        self.options |= {"encoding.schemas": str(self.dir / "schemas")}
        for name in (".busbridge", "dlq"):
            (self.outbox / name).mkdir()
            os.chown(self.outbox / name, NOBODY, NOBODY)
        self.outbox.chmod(0o1777)
        ids = self.events(2)
        for again in range(2):
            worker = self.as_nobody("busbridge-worker", "--once")
            line = self.ends(worker, 1, "once_done", f"{0 if again else 2} published, 0 dead, 0 left", "2 set aside: ",
                             ", published: Operation not permitted, ...", "in a sticky folder make it the worker's (chown)")
            self.assertEqual(line["level"], "warning")
            self.assertFalse(worker.logs("kafka_away") + worker.logs("outbox_write_failed"))
            self.assertIn("set aside", manual()[1])
        health = self.health()
        self.assertIn(line["reason"].removeprefix("2 set aside: "), health)
        self.assertIn("in a sticky folder make it the worker's (chown)", health)
        self.assertEqual(self.published(), sorted(ids))
        for entry_id in ids:
            os.chown(self.outbox / f"{entry_id}.json", NOBODY, NOBODY)
        self.assertEqual(self.as_nobody("busbridge-worker", "--once").wait(), 0)
        self.assertEqual(self.pending(), [])
        self.assertEqual(self.published(), sorted(ids))

    def as_nobody(self, program, *words):
        pairs = [word for key, value in self.options.items() for word in ("-X", f"{key}={value}")]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BUSBRIDGE_")}
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = [*become, str(self.dir / program), *pairs, *words]
        self.programs.append(harness.Program(command, clean, self.dir))
        return self.programs[-1]


if __name__ == "__main__":
    harness.main()
