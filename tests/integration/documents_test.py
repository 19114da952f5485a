#!/usr/bin/python3
"""What the documents tell people to type, typed: every busbridge command line parses, and the manual's producers publish."""

import re
import shlex
import subprocess
import sys

import harness

MANUAL = harness.ROOT / "worker/busbridge-outbox.5"
# Told of in the runbook before they are there; each is held to its options as soon as `busbridge --help` lists it.
COMING = {"purge", "config", "schema", "top", "completion"}


def busbridge(*words):
    return subprocess.run([str(harness.BUILD / "busbridge"), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)


def command_lines():
    """(place, words behind `busbridge`) of code blocks and `code` in the Markdown pages."""
    for page in [harness.ROOT / "README.md", *sorted((harness.ROOT / "deploy").rglob("*.md"))]:
        for number, line in enumerate(page.read_text().splitlines(), 1):
            block = re.match(r"(?:    |\$ )+(?:\S.* -- )?(busbridge .*)", line)
            for text in [block.group(1)] if block else re.findall(r"`(busbridge [^`]+)`", line):
                lexer = shlex.shlex(text, posix=True, punctuation_chars="|>;&")
                lexer.whitespace_split, words = True, []
                for word in lexer:
                    if word[0] in "|>;&":
                        break
                    words.append(word)
                yield f"{page.relative_to(harness.ROOT)}:{number}", words[1:]


class Documents(harness.BusTest):
    def test_every_command_line_is_understood(self):
        known = set(re.findall(r"^  (\w+) {2,}", busbridge("--help").stdout.split("\nCommands:\n")[1].split("\n\n")[0], re.M))
        self.assertIn("health", known)
        seen, faults = 0, []
        bulk = "--dry-run" in busbridge("replay", "--help").stdout
        for place, words in command_lines():
            words = words[2:] if words[:1] == ["-c"] else words
            command = next((word for word in words if word[0] != "-"), None)
            if command in COMING - known or (command == "replay" and "--reason" in words and not bulk):
                continue
            # The program's own parser judges what stands in front of --help.
            done = busbridge(*(["help"] if not words else words), "--help")
            seen += 1
            if done.returncode != 0 or (command and f"busbridge {command}" not in done.stdout):
                faults.append(f"{place}: busbridge {' '.join(words)}: {done.stderr.strip()}")
        self.assertEqual(faults, [])
        self.assertGreater(seen, 50)
        self.assertNotEqual(busbridge("list", "--tpye", "dlq", "--help").returncode, 0)  # so this test can fail

    def test_every_alert_has_its_section_and_every_section_its_parts(self):
        text = (harness.ROOT / "deploy/monitoring/RUNBOOK.md").read_text()
        alerts = re.findall(r"^\| (\w+) \|.*\| \[below\]\(#(\w+)\) \|$", text, re.M)
        sections = re.split(r"^## ", text, flags=re.M)[1:]
        titles = [section.split("\n")[0] for section in sections]
        # What no alert tells of has a title of several words.
        self.assertEqual([name for name, _ in alerts], [title for title in titles if " " not in title])
        for name, anchor in alerts:
            self.assertEqual(anchor, name.lower())
        for section in sections:
            for part in ("**Means.**", "**Look first.**", "**Causes and cures.**", "**Do not**", "**Over when**"):
                self.assertEqual(section.count(part), 1, (section[:20], part))
        metrics = (harness.ROOT / "bridge/metrics/metrics.h").read_text()
        for metric in set(re.findall(r"busbridge_([a-z_]+?)(?:_bucket)?(?=[\s{`])", text)):
            self.assertIn(f'"{metric}"', metrics)

    def test_the_producers_of_the_manual_are_published(self):
        shell, python, *_ = re.findall(r"^\.Bd -literal\n(.*?)^\.Ed", MANUAL.read_text(), re.M | re.S)
        folder = self.dir / "temp" / "bus_outbox"
        folder.mkdir(parents=True)
        for command in (["sh", "-eu", "-c", shell], [sys.executable, "-c", python]):
            subprocess.run(command, cwd=self.dir, check=True, timeout=300)
        self.assertEqual([p.suffix for p in folder.iterdir()], [".json", ".json"])
        self.run_worker("--once", expect=0, options={"outbox.url": f"file:{folder}"})
        self.assertEqual(sorted(r.key for r in self.drain("episode.events")), [b"ep-1", b"ep-2"])


if __name__ == "__main__":
    harness.main()
