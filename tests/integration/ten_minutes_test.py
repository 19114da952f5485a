#!/usr/bin/python3
"""The ten minutes for another domain, from files and from a database, typed as they stand there: each command ends well and says what is shown."""

import os
import re
import shlex
import shutil
import subprocess

import harness
import postgres
from broker import cache_folder
from consumers_test import first_lines

README = harness.ROOT / "README.md", "## Ten minutes for another domain\n"
DATABASE = harness.ROOT / "deploy/examples/shop/POSTGRES.md", "# Ten minutes from a database\n"
PYTHON = cache_folder() / "consumers/python/bin/python"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def steps(page, title):
    """(command, the lines shown behind it)"""
    section = page.read_text().split(title)[1].split("\n## ")[0]
    found = []
    for block in re.findall(r"(?:^    .*\n)+", section, re.M):
        for line in block.replace("\n    ", "\n").removeprefix("    ").splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern(line):
    """Ids, ages and what stands for more differ from run to run."""
    text = re.escape(re.sub(r" ?\.\.\. ?", "@ANY@", re.sub(UUID, "@ID@", line))).replace("@ANY@", ".*").replace("@ID@", UUID)
    text = re.sub(r"(\\ )+\d+s(\\ )+", lambda _: r"\s+[\dms ]+s\s+", text)
    return re.sub(r"(\\ )+", lambda _: r"\s+", text)


class TenMinutes(harness.BusTest):
    def setUp(self):
        super().setUp()
        shutil.copytree(harness.ROOT / "deploy/examples", self.dir / "deploy/examples")
        self.folder = self.dir

    def typed(self, command, lines):
        """What it prints; topic and address are those of this test."""
        first = re.match(r"cd (\S+) && ", command)
        if first:
            self.folder = self.dir / first.group(1)
            command = command[first.end():]
        command = command.replace("127.0.0.1:9092", self.bootstrap).replace("order.events", self.topic("order.events"))
        if command.startswith("python "):
            words = shlex.split(command)
            return "\n".join(first_lines([str(PYTHON), *words[1:]], lines, self.dir, self.folder))
        command = re.sub(r"^(busbridge\S*) -c \S+", rf"{harness.BUILD}/\g<0> -X routing.topic={self.options['routing.topic']}", command)
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=4 * harness.PATIENCE,
                              env={"PATH": os.environ["PATH"], "BUSBRIDGE_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap, "LC_ALL": "C.UTF-8"})
        self.assertEqual(done.returncode, 0, (command, done.stderr))
        return (done.stdout + done.stderr).replace(self.topic("order.events"), "order.events")

    def test_the_page_is_what_happens(self):
        if not PYTHON.exists():
            self.skipTest("what the consumer needs is not there: tests/tools/fetch consumers")
        seen = 0
        for command, shown in steps(*README):
            printed = self.typed(command, len(shown))
            for line in shown:
                seen += 1
                self.assertRegex(printed, pattern(line), command)
        self.assertGreater(seen, 15)

    def test_so_is_the_one_of_a_database(self):
        try:
            server = postgres.Server(fsync=False).start()
        except postgres.Unavailable as why:
            self.skipTest(str(why))
        self.addCleanup(server.close)
        shutil.copytree(harness.ROOT / "schemas/sql", self.dir / "schemas/sql")
        conf = self.dir / "deploy/examples/shop/postgres.conf"
        conf.write_text(conf.read_text() + f"ledger.topic = {self.topic('ledger')}\n")
        self.folder, seen = conf.parent, 0
        steps_of_page = steps(*DATABASE)
        self.assertEqual(steps_of_page.pop(0)[0], "cd deploy/examples/shop")
        conf.write_text(conf.read_text().replace("127.0.0.1/shop", f"127.0.0.1:{server.port}/shop"))
        for command, shown in steps_of_page:
            command = command.replace("127.0.0.1/shop", f"127.0.0.1:{server.port}/shop").replace("psql -q", f"psql -q -v ON_ERROR_STOP=1 -p {server.port}")
            printed = self.typed(command, len(shown)).replace(f":{server.port}/", "/")
            for line in shown:
                seen += 1
                self.assertRegex(printed, pattern(line), command)
        self.assertGreater(seen, 8)


if __name__ == "__main__":
    harness.main()
