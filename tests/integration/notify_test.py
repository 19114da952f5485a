#!/usr/bin/python3
"""What a service manager is told (sd_notify) by the real worker: ready, alive, how it is, reloading, stopping."""

import fcntl
import signal
import socket
from pathlib import Path

import harness


class Manager(harness.BusTest):
    """self.manager is the socket that NOTIFY_SOCKET names; told() the messages so far, as {variable: value} each."""

    def setUp(self):
        super().setUp()
        self.messages = []
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.setblocking(False)
        self.manager.bind(str(self.dir / "notify"))

    def told(self, *variables):
        while True:
            try:
                text = self.manager.recv(65536).decode()
            except BlockingIOError:
                break
            self.messages.append(dict(line.split("=", 1) for line in text.splitlines()))
        return [m for m in self.messages if all(v in m for v in variables)]

    def managed(self, watchdog_ms=None, **options):
        env = {"NOTIFY_SOCKET": str(self.dir / "notify")}
        if watchdog_ms:
            env["WATCHDOG_USEC"] = str(watchdog_ms * 1000)
        return self.start_worker(env=env, options={k.replace("__", "."): v for k, v in options.items()})

    def test_ready_status_and_stopping(self):
        worker = self.managed(shutdown__drain_timeout="40s")
        harness.wait_until(lambda: self.told("READY"))
        # Ready means: it answers. The socket is bound before, so this needs no waiting.
        answer = self.run_cli("health")
        self.assertEqual((answer.status, answer.stdout()[:12]), (0, "OUTBOX OK - "), answer.stderr())
        harness.wait_until(lambda: [m for m in self.told("STATUS") if m["STATUS"].startswith("OK - 0 pending")])
        self.write("broken.json", "{")
        harness.wait_until(lambda: [m for m in self.told("STATUS") if "1 dead" in m["STATUS"]])
        self.assertEqual(self.told("STOPPING"), [])
        self.assertEqual(worker.stop(), 0)
        (stopping,) = self.told("STOPPING")
        self.assertEqual(self.messages[-1], stopping)
        self.assertGreaterEqual(int(stopping["EXTEND_TIMEOUT_USEC"]), 40_000_000)  # more than the drain may take
        self.assertEqual(self.told("WATCHDOG"), [])  # nobody asked for it

    def test_the_status_says_what_is_wrong(self):
        self.options["kafka.bootstrap.servers"] = "127.0.0.1:1"
        worker = self.managed(retry__max_retries="0", health__oldest_warning="1s", health__oldest_critical="1s",
                              shutdown__drain_timeout="1s")
        status = harness.wait_until(lambda: [m for m in self.told("STATUS") if m["STATUS"].startswith("CRITICAL - ")])
        self.assertIn("Nothing goes to kafka", status[-1]["STATUS"])
        self.assertEqual(len(self.told("READY")), 1)  # a broker that is away keeps nobody from starting
        worker.stop()

    def test_not_ready_while_another_holds_the_outbox(self):
        (self.outbox / ".busbridge").mkdir()
        with open(self.outbox / ".busbridge" / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            worker = self.managed()
            self.assertEqual(worker.wait(), 75)
        self.assertEqual(self.told("READY"), [])

    def test_a_reload_is_announced_and_ended(self):
        worker = self.managed()
        harness.wait_until(lambda: self.told("READY"))
        worker.signal(signal.SIGHUP)
        harness.wait_until(lambda: len(self.told("READY")) == 2)
        reloading, = self.told("RELOADING")
        self.assertGreater(int(reloading["MONOTONIC_USEC"]), 0)
        self.assertLess(self.messages.index(reloading), self.messages.index(self.told("READY")[1], self.messages.index(reloading)))
        self.assertEqual(worker.stop(), 0)

    def test_the_watchdog_is_pinged_by_a_loop_that_turns_and_not_by_one_that_does_not(self):
        worker = self.managed(watchdog_ms=200)
        harness.wait_until(lambda: len(self.told("WATCHDOG")) >= 3)
        worker.signal(signal.SIGSTOP)
        harness.wait_until(lambda: "State:\tT" in Path(f"/proc/{worker.pid}/status").read_text())
        before = len(self.told("WATCHDOG"))
        with self.assertRaises(AssertionError):
            harness.wait_until(lambda: len(self.told("WATCHDOG")) > before, seconds=1)
        worker.signal(signal.SIGCONT)
        harness.wait_until(lambda: len(self.told("WATCHDOG")) > before)
        self.assertEqual(worker.stop(), 0)

    def test_a_socket_that_is_no_address_is_said_and_changes_nothing(self):
        worker = self.start_worker(env={"NOTIFY_SOCKET": "vsock:2:1"})
        (line,) = harness.wait_until(lambda: worker.logs("notify"))
        self.assertIn("vsock:2:1", line["error"])
        harness.wait_until(lambda: worker.logs("started"))
        self.assertEqual(worker.stop(), 0)


if __name__ == "__main__":
    harness.main()
