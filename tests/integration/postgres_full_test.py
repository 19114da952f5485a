#!/usr/bin/python3
"""The disk of a database is full: the rows stay as they are, no attempt is charged, health says why and what to do, and when there is space
again all goes on by itself, each row once.
"""

import json
import os
import sys
import unittest
from pathlib import Path

import harness
import postgres

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import small  # noqa: E402

GOOD = {"content_id": "c-1", "score": 1.0, "check_types": [], "passed": True, "issues": []}


class PostgresFull(harness.BusTest):
    def setUp(self):
        super().setUp()
        try:
            small.private_mounts()
            self.server = postgres.Server()
            self.server._prepare()
            self.addCleanup(self.server.close)
            folder = self.server.dir / "disk"
            folder.mkdir()
            self.disk = small.Small(folder, "size=8m,mode=777")
        except harness.Unavailable as why:
            self.skipTest(str(why))
        self.addCleanup(self.disk.unmount)
        place = folder / "tables"
        place.mkdir(mode=0o700)
        os.chown(place, *[postgres.somebody().get(who, os.geteuid()) for who in ("user", "group")])
        self.server.start()
        self.server.migrate()
        self.server.sql(f"CREATE TABLESPACE small LOCATION '{place}'")
        self.server.sql("ALTER TABLE busbridge.dead SET TABLESPACE small")
        self.options |= {"outbox.url": self.server.url("relay"), "state.dir": str(self.dir / "state"), "ledger.topic": self.topic("ledger")}

    def insert(self, id, payload):
        self.server.sql(f"INSERT INTO busbridge.outbox (id, name, key, payload) VALUES ('{id}', 'quality.checked', '{id}', $x${json.dumps(payload)}$x$)",
                        user="application")

    def waiting(self):
        return self.server.sql("SELECT id FROM busbridge.outbox")

    def sent(self):
        return [r.headers["ce_id"] for r in self.drain("quality.events")]

    def test_it_waits_says_so_and_goes_on_by_itself(self):
        self.disk.fill_bytes()
        self.insert("bad", {"content_id": 1, "note": os.urandom(50000).hex()})  # a dead letter that takes space
        worker = self.start_worker()
        self.insert("good", GOOD)
        harness.wait_until(lambda: "No space left on device; free space on the disk of the database" in self.run_cli("health").stdout(),
                           what="it is told, with the remedy")
        self.assertIn("bad", self.waiting())
        self.assertEqual(self.server.sql("SELECT (SELECT pg_catalog.count(*) FROM busbridge.dead), (SELECT pg_catalog.count(*) FROM busbridge.attempt)"), "0|0")
        self.disk.free()
        harness.wait_until(lambda: not self.waiting(), what="there is space again")
        self.assertEqual(self.server.sql("SELECT id FROM busbridge.dead"), "bad")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.sent(), [b"good"])


if __name__ == "__main__":
    harness.main()
