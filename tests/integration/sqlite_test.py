#!/usr/bin/python3
"""An outbox in a SQLite database: rows of business transactions are published once, in order per key, whatever is killed; what is wrong
with a row or with the database is told, and the row is kept."""

import json
import os
import random
import sqlite3
import unittest
from pathlib import Path

import harness


class Sqlite(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.file = self.dir / "app.db"
        self.options |= {"outbox.url": f"sqlite:{self.file}", "state.dir": str(self.dir / "state"),
                         "ledger.topic": self.topic("ledger"), "flush.interval": "1s"}

    def init(self):
        self.run_cli("outbox", "init", expect=0)
        self.db = sqlite3.connect(self.file, timeout=60, isolation_level=None)
        self.addCleanup(self.db.close)
        self.db.execute("CREATE TABLE orders (k TEXT PRIMARY KEY, v INTEGER)")

    def insert(self, id, key="c-1", payload=None, name="quality.checked", headers=None):
        payload = payload or json.dumps({"content_id": key, "score": 1.0, "check_types": [], "passed": True, "issues": []})
        self.db.execute("INSERT INTO busbridge_outbox (id, name, key, payload, headers) VALUES (?, ?, ?, ?, ?)",
                        (id, name, key, payload, headers))

    def records(self):
        return [(r.key.decode(), r.headers["ce_id"].decode()) for r in self.drain("quality.events")]

    def left(self):
        return self.db.execute("SELECT count(*) FROM busbridge_outbox").fetchone()[0]

    def wait_empty(self):
        harness.wait_until(lambda: not self.left(), what="all rows are out")

    def letters(self):
        return json.loads(self.run_cli("list", "--type", "dlq", "-o", "json").stdout())

    def test_committed_rows_are_published_once_in_order_and_rolled_back_ones_never(self):
        self.init()
        chance, want, made = random.Random(5), [], 0
        worker = self.start_worker()
        for kill in range(4):
            for _ in range(60):
                self.db.execute("BEGIN IMMEDIATE")
                ids = [(f"k-{chance.randrange(5)}", f"e-{made + i}") for i in range(chance.randrange(1, 4))]
                made += len(ids)
                for key, id in ids:
                    self.insert(id, key)
                if chance.random() < 0.1:
                    self.db.execute("ROLLBACK")
                    continue
                self.db.execute("COMMIT")
                want += ids
            worker.kill()
            worker = self.start_worker()
        self.wait_empty()
        worker.stop()
        got = self.records()
        self.assertEqual(sorted(got), sorted(want))
        for key in {key for key, _ in want}:
            self.assertEqual([r for r in got if r[0] == key], [w for w in want if w[0] == key])
        self.assertEqual(self.db.execute("PRAGMA quick_check").fetchone()[0], "ok")
        self.assertEqual(self.db.execute("PRAGMA user_version").fetchone()[0], 0)

    def test_what_is_wrong_dies_with_its_bytes_and_comes_back(self):
        self.init()
        self.db.execute("PRAGMA ignore_check_constraints = ON")
        self.insert("no-json", payload='{"content_id": ')
        self.insert("nul", payload='{"content_id": "a\0b"}')
        self.insert("half", payload='{"content_id": "\\ud800"}')
        self.insert("two", payload='{}, "name": "quality.other"')
        self.insert("wrong", payload='{"content_id": 1}')
        self.insert("large", payload=json.dumps({"content_id": "x" * (50 << 20)}))
        self.insert("good")
        self.insert("bad id")
        worker = self.start_worker()
        self.wait_empty()
        self.assertEqual(self.records(), [("c-1", "good")])
        letters = {letter["id"]: letter["reason"] for letter in self.letters()}
        self.assertEqual(letters, {"no-json": "not_json", "nul": "not_json", "half": "lone_surrogate", "two": "not_json",
                                   "wrong": "schema_mismatch", "large": "too_large", "bad id": "bad_id"})
        kept = dict(self.db.execute("SELECT id, payload FROM busbridge_dead"))
        self.assertEqual(kept["nul"], '{"content_id": "a\0b"}')
        self.assertEqual(kept["no-json"], '{"content_id": ')
        self.db.execute("UPDATE busbridge_dead SET payload = ? WHERE id = 'wrong'",
                        (json.dumps({"content_id": "c-1", "score": 1.0, "check_types": [], "passed": True}),))
        self.run_cli("replay", "wrong", expect=0)
        self.wait_empty()
        self.assertEqual(self.records(), [("c-1", "good"), ("c-1", "wrong")])
        self.run_cli("purge", "no-json", "--yes", expect=0)
        self.assertNotIn("no-json", [letter["id"] for letter in self.letters()])

    def test_memory_stays_flat_whatever_dies(self):
        self.init()
        for id in ("l-1", "l-2", "l-3"):
            self.insert(id, payload=json.dumps({"content_id": "x" * (50 << 20)}))
        self.insert("good")
        worker = self.start_worker()
        self.wait_empty()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines())
        self.assertLess(int(status["VmHWM"].split()[0]), 48 << 10)
        worker.stop()
        self.assertEqual(self.db.execute("SELECT count(*), min(length(payload)) > 50 << 20 FROM busbridge_dead").fetchone(), (3, 1))

    def test_commands_and_the_key_column(self):
        self.init()
        self.insert("a", key="the key", payload='{"usecase_name": "u"}', name="usecase.executed",
                    headers='{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}')
        self.run_cli("pause", "--reason", "look", expect=0)
        worker = self.start_worker()
        harness.wait_until(lambda: json.loads(self.run_cli("health", "-o", "json").stdout())["pending"] == 1, what="it is counted")
        self.assertIn("usecase.executed", self.run_cli("list").stdout())
        self.assertIn("u", self.run_cli("show", "a", expect=0).stdout())
        self.run_cli("resume", expect=0)
        self.wait_empty()
        record, = self.drain("usecase.events")
        self.assertEqual(record.key, b"the key")
        self.assertEqual(record.headers["traceparent"], b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        self.run_cli("emit", "usecase.executed", '{"usecase_name": "v"}', expect=0)
        self.wait_empty()
        self.assertNotIn("failed", {check["verdict"] for check in self.examine("verify")})
        self.assertNotIn("failed", {check["verdict"] for check in self.examine("doctor")})
        self.assertNotEqual(self.run_worker("--once").status, 0, "there is one worker")
        worker.stop()

    def refused(self, *words):
        program = self.run_worker("--once")
        self.assertNotEqual(program.status, 0)
        for word in words:
            self.assertIn(word, program.stderr())

    def test_what_a_backup_restored_beside_a_running_worker_brings_back_is_not_published_again(self):
        self.init()
        worker = self.start_worker()
        self.insert("a")
        self.wait_empty()
        backup = sqlite3.connect(self.dir / "backup.db", isolation_level=None)
        self.addCleanup(backup.close)
        self.db.backup(backup)
        self.insert("b")
        self.wait_empty()
        backup.execute("INSERT INTO busbridge_outbox (id, name, key, payload) VALUES ('b', 'quality.checked', 'c-1', ?)",
                       (json.dumps({"content_id": "c-1", "score": 1.0, "check_types": [], "passed": True, "issues": []}),))
        backup.backup(self.db)
        self.assertEqual(worker.wait(), 75, worker.stderr())
        self.assertIn("went back", worker.stderr())
        self.assertEqual([id for _, id in self.records()], ["a", "b"])

    def test_a_worker_ends_when_another_database_is_put_in_the_place_of_its_own(self):
        self.init()
        worker = self.start_worker()
        self.insert("a")
        self.wait_empty()
        with sqlite3.connect(self.dir / "backup.db") as backup:
            self.db.backup(backup)
        os.rename(self.dir / "backup.db", self.file)
        self.assertEqual(worker.wait(), 75, worker.stderr())
        self.assertIn("put in its place", worker.stderr())

    def test_a_database_that_cannot_be_an_outbox_is_refused_with_the_remedy(self):
        self.refused("there is no database")
        self.assertFalse(self.file.exists())
        sqlite3.connect(self.file).execute("CREATE TABLE t (x)").connection.close()
        self.refused("PRAGMA journal_mode=WAL")
        sqlite3.connect(self.file).execute("PRAGMA journal_mode=WAL").connection.close()
        self.refused("busbridge outbox init")
        dry = self.run_cli("outbox", "init", "--dry-run", expect=0)
        self.assertIn("CREATE TABLE busbridge_outbox", dry.stdout())
        self.init()
        os.link(self.file, self.dir / "other.db")
        self.refused("hard links")
        (self.dir / "other.db").unlink()
        self.options["outbox.url"] = f"sqlite:{self.dir / 'link.db'}"
        (self.dir / "link.db").symlink_to(self.file)
        self.refused("symbolic link")
        self.options["outbox.url"] = f"sqlite:{self.file}"
        self.db.execute("UPDATE busbridge_state SET value = '9' WHERE name = 'migration'")
        self.refused("newer program")


if __name__ == "__main__":
    harness.main()
