"""busbridge top in a real terminal (tmux): what it shows, that it follows, and that it leaves the terminal as it was."""

import json
import os
import shlex
import signal
import subprocess
import uuid
from pathlib import Path

import harness
from harness import BUILD, BusTest, wait_until

PAYLOAD = {"plot_id": "p"}


class Terminal:
    """A tmux server of one's own with a shell in it."""

    def __init__(self, folder, columns, rows, env=None):
        self.socket = str(Path(folder) / f"tmux-{uuid.uuid4().hex[:8]}")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BUSBRIDGE_", "TMUX")) and k != "NO_COLOR"}
        self.env = {**clean, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **(env or {})}
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "env PS1='ready> ' sh")
        wait_until(lambda: "ready>" in self.screen(), what="a shell in tmux")

    def tmux(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, *words], env=self.env, stdin=subprocess.DEVNULL, check=True,
                              capture_output=True, text=True, timeout=300).stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def screen(self, *options):
        return self.tmux("capture-pane", "-p", *options)

    def fact(self, name):
        return self.tmux("display-message", "-p", f"#{{{name}}}").strip()

    def wait(self, *words):
        """The screen once it shows all of them."""
        def shown():
            text = self.screen()
            return text if all(word in text for word in words) else None
        try:
            return wait_until(shown)
        except AssertionError:
            raise AssertionError(f"{words} are not on the screen:\n{self.screen()}") from None

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], stdin=subprocess.DEVNULL, capture_output=True, timeout=300)


class TopTest(BusTest):
    needs_kafka = False

    def terminal(self, columns=80, rows=24, env=None):
        terminal = Terminal(self.dir, columns, rows, env)
        self.addCleanup(terminal.close)
        return terminal

    def command(self, *arguments):
        words = [str(BUILD / "busbridge")]
        for key, value in self.options.items():
            words += ["-X", f"{key}={value}"]
        return shlex.join([*words, "top", *arguments])

    def top(self, *arguments, terminal=None, **more):
        """A terminal in which it runs; the command is in a file, so that the line typed is short."""
        terminal = terminal or self.terminal(**more)
        script = self.dir / "top.sh"
        # The shell waits for it when both get Ctrl-C, and tmux has a TERM of its own.
        script.write_text(f"trap : INT\nTERM=${{TOP_TERM:-$TERM}}\n{self.command('--interval', '300ms', *arguments)}\necho \"left with $?\"\n")
        terminal.keys(f"sh {script}", "Enter")
        return terminal

    def pid(self):
        """Of the busbridge that runs under our own tmux."""
        for stat in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = stat.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0] == str(BUILD / "busbridge").encode() and f"outbox.url=file:{self.outbox}".encode() in words:
                return int(stat.parent.name)
        return None

    def assert_restored(self, terminal, code):
        terminal.wait(f"left with {code}", "ready>")
        self.assertEqual((terminal.fact("alternate_on"), terminal.fact("cursor_flag")), ("0", "1"))
        terminal.keys("echo typed $((40 + 2))", "Enter")  # the terminal echoes again
        self.assertIn("echo typed $((40 + 2))", terminal.wait("typed 42"))


class Alone(TopTest):
    def setUp(self):
        super().setUp()
        self.options["health.worker"] = "optional"  # what the outbox tells is looked at

    def test_without_a_worker_it_shows_what_the_outbox_tells_and_q_leaves_a_clean_terminal(self):
        self.entry("plot.updated", PAYLOAD)
        terminal = self.top()
        text = terminal.wait("OUTBOX", "1 pending", "No worker answers", "Redis off", "q quit")
        self.assertEqual(terminal.fact("alternate_on"), "1")
        self.assertEqual(terminal.fact("cursor_flag"), "0")
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()))
        self.entry("plot.updated", PAYLOAD)
        terminal.wait("2 pending")
        terminal.keys("?")
        terminal.wait("up, down", "Nothing is changed here")
        terminal.keys("?")
        terminal.wait("2 pending")
        terminal.keys("q")
        self.assert_restored(terminal, 0)

    def test_signals_leave_a_clean_terminal(self):
        terminal = self.top()
        terminal.wait("OUTBOX")
        terminal.keys("C-c")
        self.assert_restored(terminal, 130)
        terminal.keys("clear", "Enter")
        self.top(terminal=terminal)
        terminal.wait("OUTBOX")
        os.kill(wait_until(self.pid), signal.SIGTERM)
        self.assert_restored(terminal, 130)

    def test_an_error_at_the_start_and_one_later(self):
        self.options["outbox.url"] = f"file:{self.dir}/late"
        terminal = self.top()
        terminal.wait("late")
        (self.dir / "late").mkdir()
        terminal.wait("0 pending")
        (self.dir / "late").rename(self.dir / "away")
        terminal.wait(f"{self.dir}/late")
        terminal.keys("q")
        self.assert_restored(terminal, 0)

    def test_it_fits_a_small_terminal_and_follows_its_size(self):
        for n in range(3):
            self.entry("plot.updated", PAYLOAD, place="dlq", status="dlq", reason="bad_name", file=f"{n}.json")
        terminal = self.top(columns=40, rows=10)
        text = terminal.wait("OUTBOX", "Per second", "q quit")
        self.assertTrue(all(len(line) <= 40 for line in text.splitlines()))
        self.assertLessEqual(len(text.splitlines()), 10)
        terminal.tmux("resize-window", "-x", "120", "-y", "30")
        terminal.wait("Events/s   published", "end to end")
        terminal.tmux("resize-window", "-x", "20", "-y", "3")
        wait_until(lambda: len(terminal.screen().splitlines()) <= 3 and "OUTBOX" in terminal.screen())
        terminal.keys("q")
        wait_until(lambda: terminal.fact("alternate_on") == "0")

    def test_lines_that_do_not_fit_are_reached_by_the_arrows(self):
        terminal = self.top(columns=80, rows=4)
        self.assertNotIn("Redis", terminal.wait("OUTBOX", "up/down"))
        terminal.keys(*["Down"] * 6)
        terminal.wait("Redis off")
        terminal.keys(*["Up"] * 6)
        terminal.wait("OUTBOX")

    def test_colour_only_where_it_is_wanted(self):
        terminal = self.top()
        terminal.wait("OUTBOX")
        self.assertIn("\x1b[3", terminal.screen("-e").split("OUTBOX")[0])
        terminal.close()
        terminal = self.top(env={"NO_COLOR": "1"})
        terminal.wait("OUTBOX")
        self.assertNotRegex(terminal.screen("-e"), "\x1b\\[[0-9;]*3[0-7]m")

    def test_a_worker_that_was_here_and_set_nothing_aside_is_no_problem(self):
        (self.outbox / ".busbridge/tmp").mkdir(parents=True)
        (self.outbox / ".busbridge/id").write_text(f"{uuid.uuid4()}\n")
        self.entry("plot.updated", PAYLOAD)
        self.assertRegex(self.run_cli("top", "--once", expect=0).stdout(), r"^OUTBOX \w+ - 1 pending")

    def test_without_a_terminal_it_prints_once(self):
        self.entry("plot.updated", PAYLOAD)
        for arguments, env in (([], None), (["--once"], None), ([], {"TERM": "dumb"})):
            text = self.run_cli("top", *arguments, env=env, expect=0).stdout()
            self.assertRegex(text, r"^OUTBOX \w+ - 1 pending")
            self.assertNotIn("\x1b", text)
        answer = json.loads(self.run_cli("top", "-o", "json", expect=0).stdout())
        self.assertEqual((answer["version"], answer["worker"], answer["health"]["pending"]), (1, False, 1))
        terminal = self.top(env={"TOP_TERM": "dumb"})
        terminal.wait("1 pending", "left with 0")
        self.run_cli("top", "--interval", "1ms", expect=2)
        self.run_cli("top", options={"outbox.url": f"file:{self.dir}/nowhere"}, expect=1)


class WithWorker(TopTest):
    needs_kafka = True

    def test_figures_change_and_a_worker_that_dies_is_said_and_found_again(self):
        self.redis()
        worker = self.start_worker()
        terminal = self.top()
        terminal.wait("OUTBOX", "Events/s", "Redis")
        wait_until(lambda: "No worker" not in terminal.screen(), what="the worker answers")
        for _ in range(20):
            self.entry("plot.updated", PAYLOAD)
        self.entry("plot.updated", [])  # no object: dead
        terminal.wait("plot  ", "1 in dlq/", "p99", "IN DLQ, BY REASON", "payload_not_object")
        wait_until(lambda: any(line.split()[2:3] == ["20"] for line in terminal.screen().splitlines() if line.startswith("plot ")),
                   what="20 published events of plot")
        self.assertNotIn("published 0 ", terminal.wait("Events/s"))  # over the last ten seconds
        self.run_cli("pause", expect=0)
        terminal.wait("Paused", "busbridge resume")
        self.run_cli("resume", expect=0)
        wait_until(lambda: "Paused" not in terminal.screen())
        worker.kill()
        terminal.wait("No worker answers")
        self.entry("plot.updated", PAYLOAD)
        terminal.wait("1 pending")
        self.start_worker()
        wait_until(lambda: "No worker" not in terminal.screen() and "0 pending" in terminal.screen())
        answer = json.loads(self.run_cli("top", "-o", "json", expect=0).stdout())
        self.assertTrue(answer["worker"])
        self.assertEqual([row["namespace"] for row in answer["namespaces"]], ["plot"])
        terminal.keys("q")
        self.assert_restored(terminal, 0)

    def test_a_worker_that_is_stopped_does_not_hold_the_keys_for_ever(self):
        worker = self.start_worker()
        terminal = self.top()
        terminal.wait("OUTBOX", "Events/s")
        wait_until(lambda: "No worker" not in terminal.screen(), what="the worker answers")
        worker.signal(signal.SIGSTOP)
        terminal.wait("No worker answers")
        terminal.keys("q")
        self.assert_restored(terminal, 0)
        worker.signal(signal.SIGCONT)
        self.assertEqual(worker.stop(), 0)

    def test_an_open_breaker_is_shown_with_its_remedy(self):
        self.start_worker(options={"topics.create": "never"})
        self.entry("plot.updated", PAYLOAD)
        terminal = self.top()
        terminal.wait("Breaker " + self.topic("plot.events") + " open", "kafka-topics.sh", "--create")


if __name__ == "__main__":
    if not harness.shutil.which("tmux"):
        raise SystemExit(77)
    harness.main()
