#!/usr/bin/python3
"""An outbox in a database speaks of rows and tables: every command, asked in every state, and the log of the worker name no folder and
no file but the database, the settings and the schemas."""

import json
import re
import sqlite3

import harness

FILES = re.compile(r"\b(files?|folders?|director(y|ies)|inodes?|fsync\w*|renamed?|file systems?|\.json|\.busbridge|keys-due)\b|\b(pending|dlq|sent)/", re.I)
# These are in files, whatever the outbox is kept in.
IN_FILES = re.compile(r"\.conf|settings|-c FILE|sqlite3 FILE|schema|encoding\.|state\.dir|open files|socket", re.I)


class Words(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.file = self.dir / "app.db"
        self.options |= {"outbox.url": f"sqlite:{self.file}", "state.dir": str(self.dir / "state"), "ledger.topic": self.topic("ledger"),
                         "flush.interval": "1s", "outbox.max_entry_bytes": "16KiB"}
        self.seen = 0

    def init(self):
        self.run_cli("outbox", "init", expect=0)
        self.db = sqlite3.connect(self.file, timeout=60, isolation_level=None)
        self.addCleanup(self.db.close)

    def insert(self, id, payload=None, name="quality.checked"):
        payload = payload or json.dumps({"content_id": "c-1", "score": 1.0, "check_types": [], "passed": True, "issues": []})
        self.db.execute("INSERT INTO busbridge_outbox (id, name, key, payload) VALUES (?, ?, 'c-1', ?)", (id, name, payload))

    def look(self, text, where):
        text = text.replace(str(self.dir), "DIR").replace("DIR/app.db", "DATABASE")
        for line in text.splitlines():
            # answers of the API keep their members' names, which programs read
            said = re.sub(r'"(file|place|folder)": ?', "", line)
            if not IN_FILES.search(said):
                self.assertIsNone(FILES.search(said), f"{where}: {line}")
            self.seen += 1

    def ask(self, *command):
        program = self.run_cli(*command)
        self.look(program.stdout() + program.stderr(), " ".join(command))
        return program

    def ask_all(self):
        for command in (("list",), ("list", "-o", "wide"), ("list", "--type", "dlq"), ("list", "--type", "dlq", "-o", "wide"),
                        ("list", "--type", "aside"), ("list", "-o", "json"), ("show", "a"), ("show", "wrong"), ("show", "twin"),
                        ("show", "nobody"), ("show", "--raw", "wrong"), ("show", "t"), ("flush", "--dry-run"), ("health",),
                        ("health", "-o", "json"), ("doctor",), ("verify",), ("verify", "--full"), ("metrics",), ("route", "quality.checked"),
                        ("replay", "--dry-run", "--reason", "schema_mismatch"), ("replay", "twin"), ("replay", "nobody"),
                        ("purge", "--dry-run", "--older-than", "1s"), ("purge", "nobody"), ("pause", "--reason", "a look"), ("health",),
                        ("doctor",), ("resume",), ("emit", "quality.checked", "{}"), ("emit", "quality.checked", "[")):
            self.ask(*command)

    def ask_worker(self, *arguments):
        program = self.run_worker(*arguments)
        self.look(program.stdout() + program.stderr(), "busbridge-worker " + " ".join(arguments))
        return program

    def test_nothing_speaks_of_files_and_folders(self):
        self.ask_all()  # there is no database
        self.ask_worker("--once")
        sqlite3.connect(self.file).execute("CREATE TABLE orders (id)").connection.close()
        self.ask_all()  # it has no journal that an outbox needs
        self.ask_worker("--once")
        sqlite3.connect(self.file).execute("PRAGMA journal_mode=WAL").connection.close()
        self.ask_all()  # it has no tables of ours
        self.ask("outbox", "migrate")
        self.ask_worker("--once")
        self.ask("outbox", "init", "--dry-run")
        self.init()
        self.ask("outbox", "init")
        self.ask_all()  # nothing is in it
        self.db.execute("PRAGMA ignore_check_constraints = ON")
        for id in ("a", "b", "twin"):
            self.insert(id)
        for id, payload in (("wrong", '{"content_id": 1}'), ("not", '{"content_id": '), ("empty", ""), ("nul", '{"content_id": "a\0b"}'),
                            ("large", json.dumps({"content_id": "x" * 100000})), ("twin", '{"content_id": 2}')):
            self.insert(id, payload)
        self.ask_all()  # entries wait, no worker runs
        self.ask_worker("--once")
        self.ask_all()  # some of them are dead letters
        worker = self.start_worker(options={"log.level": "debug"})
        harness.wait_until(lambda: worker.logs("started"), what="it relays")
        self.insert("a")
        self.insert("wrong")
        harness.wait_until(lambda: not self.db.execute("SELECT count(*) FROM busbridge_outbox").fetchone()[0], what="all rows are out")
        self.ask_all()  # a worker runs
        self.ask_worker("--once")  # beside it
        self.db.execute("BEGIN IMMEDIATE")
        self.ask("emit", "quality.checked", "{}")  # the application holds the database
        self.db.execute("ROLLBACK")
        worker.stop()
        self.look(worker.stdout() + worker.stderr(), "the log")
        self.file.write_bytes(self.file.read_bytes()[:100] + b"\xff" * 200000)
        self.ask_all()  # it is damaged
        self.ask_worker("--once")
        self.assertGreater(self.seen, 500)


if __name__ == "__main__":
    harness.main()
