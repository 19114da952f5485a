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
import postgres
from broker import Unavailable, cache_folder

EXAMPLES = harness.ROOT / "deploy/examples/producers"
FETCHED = cache_folder() / "producers"  # by tests/tools/fetch
SHOP = (EXAMPLES / "shop.sql").read_text()
MONO = "Mono.Data.Sqlite.SqliteFactory, Mono.Data.Sqlite, Version=4.0.0.0, Culture=neutral, PublicKeyToken=0738eb9f132ed756"
ENVIRONMENT = {"PATH": os.environ["PATH"], "NODE_PATH": str(FETCHED / "node_modules"), "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOPROXY": "off",
               "GOMODCACHE": str(FETCHED / "go"), "GOCACHE": str(FETCHED / "built"), "LC_ALL": "C.UTF-8"}
PAID = "paid o'1 \"章\" \\"  # a key that has to be bound, and written as JSON, with care
SQL = harness.ROOT / "schemas/sql"


class Sqlite:
    """A database that the programs know by its file."""

    table = "busbridge_outbox"

    def __init__(self, folder):
        self.file = folder / "shop.db"
        self.db = sqlite3.connect(self.file, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        for script in sorted((SQL / "sqlite").glob("[0-9]*.sql")):
            self.db.executescript(script.read_text())
        self.db.executescript(SHOP)

    def rows(self, sql):
        answer = self.db.execute(sql)
        return [dict(zip([column[0] for column in answer.description], row)) for row in answer]

    def run(self, sql):
        self.db.executescript(sql)

    def close(self):
        self.db.close()


class Postgres:
    """Likewise, by its url; the programs may do no more than insert into the outbox."""

    table = "busbridge.outbox"

    def __init__(self):
        self.server = postgres.Server(fsync=False).start()
        self.server.migrate()
        self.run(SHOP + "GRANT SELECT, INSERT, UPDATE ON orders, payments TO application")
        self.url = self.server.url("application")

    def rows(self, sql):
        return json.loads(self.server.sql(f"SELECT coalesce(json_agg(rows), '[]') FROM ({sql}) AS rows"))

    def run(self, sql):
        self.server.sql(sql)

    def close(self):
        self.server.close()


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

    def compiled(self, kind, library):
        """Go's, and C's for this kind."""
        self.build("cc", "-std=c17", "-Wall", "-Wextra", "-Werror", "-O2", "-I/usr/include/postgresql", "-o", self.dir / "c", f"c/{kind}_producer.c", library)
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
        self.compiled("sqlite", "-lsqlite3")
        self.build("mcs", "-r:System.Data.dll", f"-out:{self.dir / 'Producer.exe'}", "csharp/Producer.cs")
        database = Sqlite(self.dir)
        self.addCleanup(database.close)
        for language, command in {
                "python": ("/usr/bin/python3", EXAMPLES / "python/sqlite_producer.py", database.file),
                "node": ("node", EXAMPLES / "javascript/sqlite_producer.js", database.file),
                "java": ("java", "-cp", FETCHED / "jars/*", EXAMPLES / "java/Producer.java", f"jdbc:sqlite:{database.file}"),
                "go": (self.dir / "go", database.file),
                "csharp": ("mono", self.dir / "Producer.exe", MONO, f"Data Source={database.file};Journal Mode=Wal"),
                "c": (self.dir / "c", database.file)}.items():
            self.tries(database, language, command)

    def test_postgres(self):
        try:
            database = Postgres()
        except Unavailable as why:
            self.skipTest(str(why))
        self.addCleanup(database.close)
        self.compiled("postgres", "-lpq")
        jdbc = database.url.replace("application@", "") + "?user=application"
        for language, command in {
                "python": ("/usr/bin/python3", EXAMPLES / "python/postgres_producer.py", database.url),
                "node": ("node", EXAMPLES / "javascript/postgres_producer.js", database.url),
                "java": ("java", "-cp", FETCHED / "jars/*", EXAMPLES / "java/Producer.java", f"jdbc:{jdbc}"),
                "go": (self.dir / "go", database.url + "?sslmode=disable"),
                "c": (self.dir / "c", database.url)}.items():
            self.tries(database, language, command)


if __name__ == "__main__":
    harness.main()
