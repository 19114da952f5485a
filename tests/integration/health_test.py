"""Never green while nothing moves: each trouble, and what health, /livez and /readyz say of it, the exit code, the reason in words
and the next command; and green again when it is over. Threads that hang: tests/crash/hang_test.py."""

import os
import os
import signal
import subprocess
import unittest

import harness
from cli_test import CliTest
from harness import wait_until

WORDS = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]
EVENT = ("plot.updated", {"plot_id": "p", "word_count": 1})


class HealthTest(CliTest):
    needs_kafka = True

    def setUp(self):
        super().setUp()
        # A loaded machine is slow, and that is another trouble than those looked for here.
        self.options |= {"health.worker": "required", "health.event_p95_warning": "1h", "health.event_p95_critical": "1h", "health.command_p95_warning": "1h",
                         "health.command_p95_critical": "1h", "health.disk_warning": "0"}

    def event(self, **more):
        return self.entry(*EVENT, **more)

    def health(self):
        """(word, {reason: next}) after a look at its form."""
        done = self.run_cli("health")
        lines = done.stdout().splitlines()
        self.assertRegex(lines[0], r"^OUTBOX (OK|WARNING|CRITICAL|UNKNOWN) - .+ \| pending=\d+;1000;10000;0 oldest=\d+s;")
        word = lines[0].split()[1]
        self.assertEqual(done.status, WORDS.index(word), done.stdout())
        reasons, last = {}, None
        for line in lines[1:]:
            state, _, text = line.partition(": ")
            if state in WORDS[1:]:
                reasons[last := text] = ""
            elif line.startswith("  next: "):
                reasons[last] = line[8:]
            else:
                last = None
        if word != "OK":
            self.assertIn(next(iter(reasons)).replace("|", "/"), lines[0], "the worst reason stands in the first line")
        return word, reasons

    def says(self, reason, following, word=None):
        """Health comes to say this, is not green then, and has a next step."""
        def told():
            now, reasons = self.health()
            found = next((r for r in reasons if reason in r), None)
            return (now, found, reasons[found]) if found and now in ([word] if word else WORDS[1:]) else None
        _, found, then = wait_until(told, what=f"health says {reason!r}, not {self.health()}")
        self.assertIn(following, then, found)

    def green(self):
        wait_until(lambda: self.health()[0] == "OK", what=f"green again, not {self.health()}")

    def worker(self, **more):
        """One that is ready."""
        worker = super().worker(**more)
        wait_until(lambda: self.ask("GET", "/readyz")[0] == 200, what="ready")
        return worker

    def probe(self, path, code, text="ok"):
        status, _, body = self.ask("GET", path)
        self.assertEqual(status, code, body)
        self.assertIn(text, body.decode())

    def moves(self):
        wait_until(lambda: not self.pending(), what="what is pending moves")
        self.green()


class Broker(HealthTest):
    def test_a_broker_that_is_killed_or_stopped(self):
        broker = self.own_broker()
        worker = self.worker(**{"kafka.socket.timeout.ms": "3000"})
        self.event()
        self.moves()
        broker.kill9()
        self.event()
        self.says("Nothing goes to kafka", "kafka.bootstrap.servers")
        self.probe("/livez", 200)
        self.probe("/readyz", 200)
        broker.start()
        self.moves()
        # Its connections stay open, and nobody answers on them.
        broker.suspend()
        try:
            self.event()
            self.says("Nothing goes to kafka", "goes on by itself")
            self.probe("/livez", 200)
        finally:
            broker.resume()
        self.moves()
        self.assertEqual(worker.stop(), 0)

    def test_a_worker_that_never_reached_a_broker_is_not_ready(self):
        self.options["kafka.bootstrap.servers"] = f"127.0.0.1:{harness.free_port()}"
        self.start_worker()
        wait_until(lambda: self.ask("GET", "/livez")[0] == 200, what="it lives")
        self.says("Nothing goes to kafka", "kafka.bootstrap.servers")
        self.probe("/livez", 200)
        self.probe("/readyz", 503, "Kafka has not answered")


class Disk(HealthTest):
    def test_a_full_disk(self):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(self.outbox)], capture_output=True, text=True)
        if mounted.returncode:
            print(f"SKIPPED: no small tmpfs can be mounted here: {mounted.stderr.strip()}", flush=True)
            self.skipTest("no small tmpfs can be mounted")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.outbox)])
        worker = self.worker()
        self.run_cli("pause", expect=0)
        for _ in range(120):  # their manifest needs more than the block that the end of the pause gives back
            self.event()
        filler = self.outbox / "filler"
        out = os.open(filler, os.O_WRONLY | os.O_CREAT)
        with self.assertRaises(OSError):
            while True:
                os.write(out, b"x" * 4096)
        os.close(out)
        # The pause cannot be ended by writing: it is a removal, which a full disk allows.
        self.run_cli("resume", expect=0)
        self.says("No space left", "Free space", "CRITICAL")
        self.assertEqual(len(self.pending()), 120)
        self.probe("/livez", 200)
        filler.unlink()
        self.moves()
        self.assertEqual(worker.stop(), 0)

    def test_an_outbox_that_is_gone_for_a_while(self):
        worker = self.worker(**{"flush.interval": "500ms"})
        self.green()
        away = self.dir / "away"
        self.outbox.rename(away)
        link, self.outbox = self.outbox, away  # to find the socket
        self.addCleanup(setattr, self, "outbox", link)
        wait_until(lambda: b"outbox" in self.ask("GET", "/v1/status")[2] and b'"word": "CRITICAL"' in self.ask("GET", "/v1/status")[2],
                   what="critical")
        away.rename(link)
        self.outbox = link
        self.green()
        self.assertEqual(worker.stop(), 0)


class Others(HealthTest):
    def test_a_worker_that_is_stopped(self):
        worker = self.worker()
        self.green()
        worker.signal(signal.SIGSTOP)
        self.says(f"Process {worker.pid} holds the outbox and does not answer", "start busbridge-worker")
        worker.signal(signal.SIGCONT)
        self.green()

    def test_an_old_pending_entry_without_and_with_a_worker(self):
        self.options |= {"health.oldest_warning": "1s", "health.oldest_critical": "1h"}
        self.event(mtime=1700000000)
        self.says("oldest pending entry", "busbridge-worker", "CRITICAL")
        self.worker(**{"flush.background": "false"})
        self.says("oldest pending entry", "busbridge flush", "CRITICAL")
        self.probe("/readyz", 200)
        self.run_cli("flush", expect=0)
        self.green()

    def test_dead_letters_over_the_threshold(self):
        self.worker()
        for number in range(5):
            self.dead_letter(f"d-{number}")
        self.green()
        self.dead_letter("d-5")
        self.run_cli("flush", expect=0)
        self.says("6 dead letters (limit 6)", "busbridge list --type dlq", "WARNING")
        for number in range(6, 21):
            self.dead_letter(f"d-{number}")
        self.run_cli("flush", expect=0)
        self.says("21 dead letters (limit 21)", "busbridge list --type dlq", "CRITICAL")
        self.probe("/livez", 200)
        self.probe("/readyz", 200)

    def test_redis_away_and_required(self):
        redis = self.redis()
        worker = self.worker(**{"redis.required": "true"})
        self.green()
        redis.kill()
        self.event()
        self.says("redis.required is true: everything waits", "Start Redis")
        self.assertEqual(len(self.pending()), 1)
        self.probe("/livez", 200)
        redis.start()
        self.moves()
        self.assertEqual(worker.stop(), 0)

    def test_a_pause(self):
        worker = self.worker()
        self.run_cli("pause", "--reason", "night", expect=0)
        self.says("Publishing is paused since", "busbridge resume", "WARNING")
        self.probe("/livez", 200)
        self.probe("/readyz", 200)
        worker.stop()
        self.says("Publishing is paused since", "busbridge resume", "CRITICAL")
        self.says("No worker runs", "busbridge-worker", "CRITICAL")
        self.run_cli("resume", expect=0)
        self.options["health.worker"] = "optional"
        self.green()


if __name__ == "__main__":
    harness.main()
