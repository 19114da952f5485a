#!/usr/bin/python3
"""The example producers of deploy/examples/producers, as they stand there: a payment and its event are committed together, or neither is."""

import json
import os
import shutil
import sqlite3
import subprocess
import unittest
from datetime import datetime, timezone

import harness
from broker import Unavailable, cache_folder

EXAMPLES = harness.ROOT / "deploy/examples/producers"
FETCHED = cache_folder() / "producers"  # by tests/tools/fetch
SHOP = (EXAMPLES / "shop.sql").read_text()
MONO = "Mono.Data.Sqlite.SqliteFactory, Mono.Data.Sqlite, Version=4.0.0.0, Culture=neutral, PublicKeyToken=0738eb9f132ed756"
ENVIRONMENT = {"PATH": os.environ["PATH"], "NODE_PATH": str(FETCHED / "node_modules"), "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOPROXY": "off",
               "GOMODCACHE": str(FETCHED / "go"), "GOCACHE": str(FETCHED / "built"), "LC_ALL": "C.UTF-8"}
PAID, AGAIN = "paid o'1 \"章\" \\", "never"  # the first key has to be bound, and written as JSON, with care

SQLITE_OUTBOX = """
CREATE TABLE busbridge_outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, payload TEXT NOT NULL CHECK (json_valid(payload)), headers TEXT,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))) STRICT;
"""


class Sqlite:
    """A database that the programs know by its file."""

    table = "busbridge_outbox"

    def __init__(self, folder):
        self.file = folder / "shop.db"
        self.db = sqlite3.connect(self.file, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.executescript(SQLITE_OUTBOX + SHOP)

    def rows(self, sql):
        answer = self.db.execute(sql)
        return [dict(zip([column[0] for column in answer.description], row)) for row in answer]

    def run(self, sql):
        self.db.executescript(sql)

    def close(self):
        self.db.close()


class Producers(harness.BusTest):
    needs_kafka = False

    def setUp(self):
        super().setUp()
        for program in ("node", "java", "go", "mcs", "mono", "cc"):
            if not shutil.which(program) or not FETCHED.exists():
                self.skipTest(f"{program}, or what an example needs, is not there: tests/tools/fetch producers")

    def build(self, *command, folder=EXAMPLES):
        done = subprocess.run([str(word) for word in command], cwd=folder, env={**ENVIRONMENT, "HOME": str(self.dir)}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=10 * harness.PATIENCE)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout[-1000:]}{done.stderr[-3000:]}")

    def produce(self, command, order, reference):
        """Its exit status and its words."""
        done = subprocess.run([*map(str, command), order, reference], cwd=self.dir, env={**ENVIRONMENT, "HOME": str(self.dir)}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=4 * harness.PATIENCE)
        return done.returncode, done.stdout + done.stderr

    def compiled(self):
        """Go's and C's, built once."""
        flags = ["-std=c17", "-Wall", "-Wextra", "-Werror", "-O2", "-I/usr/include/postgresql"]
        self.build("cc", *flags, "-o", self.dir / "c-sqlite", "c/sqlite_producer.c", "-lsqlite3")
        self.build("cc", *flags, "-o", self.dir / "c-postgres", "c/postgres_producer.c", "-lpq")
        self.build("mcs", "-r:System.Data.dll", f"-out:{self.dir / 'Producer.exe'}", "csharp/Producer.cs")
        self.build("go", "build", "-tags", "libsqlite3", "-o", self.dir / "go", ".", folder=EXAMPLES / "go")

    def tries(self, database, language, command):
        """One payment, and one whose last step fails: the reference served before."""
        paid, never = f"{PAID} {language}", f"never {language}"
        quoted = paid.replace("'", "''")
        database.run(f"INSERT INTO orders (id) VALUES ('{quoted}'), ('{never}')")
        before = self.events(database)
        status, words = self.produce(command, paid, language)
        self.assertEqual(status, 0, f"{language}: {words}")
        written = self.events(database)
        self.assertEqual(written[:-1], before, language)
        self.looks_right(written[-1], paid, language)
        status, words = self.produce(command, never, language)
        self.assertNotEqual(status, 0, f"{language}: it did not tell that it failed")
        self.assertRegex(words, r"(?i)unique|duplicate", language)  # it came as far as that: the event had been inserted
        self.assertEqual(self.events(database), written, f"{language}: the event of a payment that was rolled back stayed")
        orders = database.rows(f"SELECT id, status FROM orders WHERE id IN ('{quoted}', '{never}') ORDER BY id")
        self.assertEqual([(o["id"], o["status"]) for o in orders], [(never, "open"), (paid, "paid")], language)

    def events(self, database):
        return database.rows(f"SELECT id, name, key, CAST(payload AS text) AS payload, headers, CAST(created_at AS text) AS created_at "
                             f"FROM {database.table} ORDER BY seq")

    def looks_right(self, row, order, language):
        payload = json.loads(row["payload"])
        self.assertEqual((row["name"], row["key"], row["headers"]), ("order.paid", order, None), language)
        self.assertRegex(row["id"], r"^[A-Za-z0-9._-]{1,128}$", language)
        self.assertEqual((set(payload), payload["order_id"]), ({"order_id", "paid_at"}, order), language)
        for time in (payload["paid_at"], row["created_at"]):
            self.assertLess(abs((datetime.fromisoformat(time) - datetime.now(timezone.utc)).total_seconds()), 3600, language)

    def test_sqlite(self):
        self.compiled()
        database = Sqlite(self.dir)
        self.addCleanup(database.close)
        for language, command in {
                "python": ("/usr/bin/python3", EXAMPLES / "python/sqlite_producer.py", database.file),
                "node": ("node", EXAMPLES / "javascript/sqlite_producer.js", database.file),
                "java": ("java", "-cp", FETCHED / "jars/*", EXAMPLES / "java/Producer.java", f"jdbc:sqlite:{database.file}"),
                "go": (self.dir / "go", database.file),
                "csharp": ("mono", self.dir / "Producer.exe", MONO, f"Data Source={database.file};Journal Mode=Wal"),
                "c": (self.dir / "c-sqlite", database.file)}.items():
            self.tries(database, language, command)


if __name__ == "__main__":
    harness.main()
