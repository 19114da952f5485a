#!/usr/bin/python3
"""A database of an outbox that went back: to a copy of its server's files, or of its file, taken while rows were pending. What was published
since is not published again, what was not is, what the database lost is told by its ids, and numbers that are given again lead nobody astray.
"""

import json
import shutil
import sqlite3
import unittest
from contextlib import closing

import harness
import postgres_test


class WentBack(postgres_test.Rows):
    """Rows of the application: before (published, then copied), pending (in the copy, then published), lost (behind it), fresh (after it)."""

    def insert(self, *ids):
        raise NotImplementedError

    def left(self):
        raise NotImplementedError

    def health(self):
        return self.run_cli("health").stdout()

    def ids(self):
        return [record.headers["ce_id"].decode() for record in self.drain("quality.events")]

    def relay_all(self):
        self.run_worker("--once", expect=0)
        self.assertEqual(self.left(), 0)

    def resolved(self, log):
        told, = log
        self.assertEqual((told["by"], told["already_published"], told["phantoms"]), ("topics", 3, 2))
        self.assertEqual(sorted(told["ids"].split()), ["lost-0", "lost-1"])
        self.assertIn("the database went back", self.health())
        self.assertIn("lost-1", self.health())

    def went_back(self, copy, restore):
        self.insert("before-0", "before-1")
        self.relay_all()
        self.insert("pending-0", "pending-1", "pending-2")
        copy()
        self.relay_all()
        self.insert("lost-0", "lost-1")
        self.relay_all()
        restore()
        self.assertEqual(self.left(), 3)
        self.insert("fresh-0", "fresh-1", "fresh-2")
        doctor = self.run_cli("doctor").stdout()
        self.assertIn("went back", doctor)
        worker = self.start_worker()
        harness.wait_until(lambda: not self.left(), what="all rows are out")
        self.assertEqual(worker.stop(), 0)
        self.resolved(worker.logs("outbox_went_back"))
        self.assertEqual(sorted(self.ids()), sorted(
            ["before-0", "before-1", "pending-0", "pending-1", "pending-2", "lost-0", "lost-1", "fresh-0", "fresh-1", "fresh-2"]))
        again = self.run_worker("--once", expect=0)
        self.assertFalse(again.logs("outbox_went_back"))
        self.assertEqual([check for check in self.examine("verify") if check["verdict"] == "failed"], [])


class Postgres(WentBack):
    def setUp(self):
        super().setUp()
        self.copy = self.server.dir / f"{self.prefix}.copy"
        self.addCleanup(shutil.rmtree, self.copy, ignore_errors=True)

    def insert(self, *ids):
        self.sql("".join(self.row(id) for id in ids), user="application")

    left = postgres_test.Rows.left

    def take_copy(self):
        self.server.stop()
        shutil.copytree(self.server.dir / "data", self.copy, symlinks=True, copy_function=shutil.copy2)
        self.own(self.copy)
        self.server.start()

    def own(self, folder):
        who = self.server.dir.stat()
        for path in [folder, *folder.rglob("*")]:
            shutil.chown(path, who.st_uid, who.st_gid)

    def restore(self):
        self.server.stop()
        shutil.rmtree(self.server.dir / "data")
        self.copy.rename(self.server.dir / "data")
        self.server.start()

    def test_what_was_published_since_the_copy_is_not_published_again(self):
        self.init()
        self.went_back(self.take_copy, self.restore)

    def test_a_copy_from_before_the_first_start_of_a_worker(self):
        self.init()
        self.insert("pending-0", "pending-1")
        self.take_copy()
        self.relay_all()
        self.restore()
        self.relay_all()
        self.assertEqual(sorted(self.ids()), ["pending-0", "pending-1"])

    def test_a_worker_that_meets_it_while_it_runs_ends_and_the_next_one_resolves_it(self):
        self.init()
        self.insert("before-0", "before-1")
        self.relay_all()
        self.insert("pending-0", "pending-1", "pending-2")
        self.take_copy()
        worker = self.start_worker()
        harness.wait_until(lambda: not self.left(), what="all rows are out")
        self.insert("lost-0", "lost-1")
        harness.wait_until(lambda: not self.left(), what="all rows are out")
        self.restore()
        self.insert("fresh-0")
        harness.wait_until(lambda: not worker.running(), what="it ends")
        self.assertEqual(worker.wait(), 75)
        after = self.start_worker()
        harness.wait_until(lambda: not self.left(), what="all rows are out")
        self.assertEqual(after.stop(), 0)
        self.resolved(after.logs("outbox_went_back"))
        self.assertEqual(sorted(self.ids()), ["before-0", "before-1", "fresh-0", "lost-0", "lost-1", "pending-0", "pending-1", "pending-2"])


class Sqlite(WentBack):
    def setUp(self):
        super().setUp()
        self.file, self.copy = self.dir / "app.db", self.dir / "copy.db"
        self.options["outbox.url"] = f"sqlite:{self.file}"

    def insert(self, *ids):
        with closing(sqlite3.connect(self.file)) as db, db:
            for id in ids:
                db.execute("INSERT INTO busbridge_outbox (id, name, key, payload) VALUES (?, 'quality.checked', 'c-1', ?)", (id, json.dumps(
                    {"content_id": "c-1", "score": 1.0, "check_types": [], "passed": True, "issues": []})))

    def left(self):
        with closing(sqlite3.connect(self.file)) as db:
            return db.execute("SELECT count(*) FROM busbridge_outbox").fetchone()[0]

    def take_copy(self):
        with closing(sqlite3.connect(self.file)) as db, closing(sqlite3.connect(self.copy)) as copy:
            db.backup(copy)

    def restore(self):
        for end in ("", "-wal", "-shm"):
            (self.dir / f"app.db{end}").unlink(missing_ok=True)
        self.copy.rename(self.file)
        with closing(sqlite3.connect(self.file)) as db:
            db.execute("PRAGMA journal_mode = WAL")

    def test_a_file_that_was_restored_from_a_copy(self):
        self.run_cli("outbox", "init", expect=0)
        self.went_back(self.take_copy, self.restore)


if __name__ == "__main__":
    unittest.main(verbosity=2)
