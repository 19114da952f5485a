#!/usr/bin/python3
"""A command ends, and says why, whatever the broker leaves unanswered: from the start, in the middle, or killed meanwhile."""

import os
import sys
import time

import harness

sys.path.insert(0, str(harness.ROOT / "tests/chaos"))
import proxy  # noqa: E402

FETCH, LIST_OFFSETS, METADATA = 1, 2, 3
APIS = {"Fetch": FETCH, "ListOffsets": LIST_OFFSETS, "Metadata": METADATA, "OffsetFetch": proxy.OFFSET_FETCH,
        "InitProducerId": proxy.INIT_PRODUCER_ID}
COMMANDS = {"verify": ("verify",), "doctor": ("doctor",), "tail": ("tail", "--timeout", "10s")}
CAUSE = "(?i)kafka|broker|timed out|did not answer|answers"
LIMIT = 600  # seconds: for hangs alone


class Ends(harness.BusTest):
    needs_kafka = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        harness.shared_bootstrap()  # skips where there is no Kafka
        cls.broker = proxy.ProxiedBroker()
        cls.addClassCleanup(lambda: cls.broker.close())
        cls.broker.start()

    def setUp(self):
        super().setUp()
        self.bootstrap = self.broker.bootstrap
        self.options |= {"ledger.topic": self.topic("ledger"), "kafka.bootstrap.servers": self.broker.proxy.bootstrap}
        self.addCleanup(self.broker.proxy.clear)
        for n in range(300):
            self.entry("plot.updated", {"plot_id": f"p{n % 5}"}, id=f"e{n}", mtime=1700000000 + n)
        self.run_worker("--once", expect=0)

    def ends(self, program, name, seconds=LIMIT):
        """Its words; it failed, and has said something of Kafka."""
        began = time.monotonic()
        try:
            status = program.wait(seconds)
        except Exception:
            raise AssertionError(f"{name} has not ended in {seconds} s") from None
        took, words = time.monotonic() - began, " ".join((program.stdout() + program.stderr()).split())
        if os.environ.get("BUSBRIDGE_SHOW_TIMES"):
            print(f"{name}: {took:.1f} s, {status}: {words[-300:]}", flush=True)
        return status, words

    def test_an_answer_that_never_comes(self):
        for api in APIS:
            self.broker.proxy.clear()
            rule = self.broker.proxy.rule(APIS[api], "answer_lost", times=10**9)
            started = {name: self.start("busbridge", *words) for name, words in COMMANDS.items()}
            for name, program in started.items():
                with self.subTest(api=api, command=name):
                    status, words = self.ends(program, f"{name} without an answer to {api}")
                    if status:
                        self.assertRegex(words, CAUSE)
            self.assertTrue(rule.done, api)

    def test_a_broker_that_is_killed_in_the_middle(self):
        """Each once it has asked for records (doctor, which reads one alone: once it has asked for an id)."""
        for name, words in COMMANDS.items():
            with self.subTest(command=name):
                self.broker.proxy.clear()
                rule = self.broker.proxy.rule(proxy.INIT_PRODUCER_ID if name == "doctor" else FETCH, "answer_lost", times=10**9)
                program = self.start("busbridge", *words)
                harness.wait_until(lambda: rule.done, what=f"{name} asks")
                self.broker.kill9()
                try:
                    status, said = self.ends(program, f"{name} of a broker that was killed")
                finally:
                    self.broker.start()
                self.assertNotEqual(status, 0)
                self.assertRegex(said, CAUSE)
        self.broker.proxy.clear()
        self.run_cli("verify", expect=0)

    def test_a_broker_that_was_never_there(self):
        nowhere = {"kafka.bootstrap.servers": f"127.0.0.1:{harness.free_port()}"}
        commands = {**COMMANDS, "schema": ("schema", "list"), "list": ("list",), "health": ("health",)}
        started = {name: self.start("busbridge", *words, options=nowhere) for name, words in commands.items()}
        for name, program in started.items():
            with self.subTest(command=name):
                status, said = self.ends(program, f"{name} without a broker")
                if name in COMMANDS:
                    self.assertEqual(status, 75)
                    self.assertRegex(said, CAUSE)


if __name__ == "__main__":
    harness.main()
