#!/usr/bin/python3
"""Operating an outbox in a database: what doctor finds amiss in it, and what the worker tells of it in its metrics, from the start."""

import json
import re
import sqlite3
import time
import unittest
import urllib.request

import harness
import postgres

PAYLOAD = json.dumps({"content_id": "c-1", "score": 1.0, "check_types": [], "passed": True, "issues": []})
STEPS = {"poll", "read", "sweep", "list", "settle"}


class Operating(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.port = postgres.free_port()
        self.options |= {"state.dir": str(self.dir / "state"), "ledger.topic": self.topic("ledger"), "flush.interval": "1s",
                         "http.listen": f"127.0.0.1:{self.port}"}

    def doctor(self, **more):
        return {check["check"]: check for check in self.examine("doctor", **more)}

    def finding(self, check, verdict, *words, **more):
        found = self.doctor(**more)[check]
        self.assertEqual(found["verdict"], verdict, found)
        for word in words:
            self.assertIn(word, f"{found['found']} {found['next']}")

    def figures(self):
        """{name with labels: value} of GET /metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=harness.PATIENCE) as answer:
            text = answer.read().decode()
        return {name: float(value) for name, value in re.findall(r"^busbridge_(\S+) (\S+)$", text, re.M)}

    def counts(self):
        figures = self.figures()
        return {step: figures[f'outbox_step_duration_seconds_count{{step="{step}"}}'] for step in STEPS}

    def started(self):
        worker = self.start_worker()
        harness.wait_until(lambda: worker.logs("started"), what="it relays")
        return worker


class InSqlite(Operating):
    def setUp(self):
        super().setUp()
        self.file = self.dir / "app.db"
        self.options["outbox.url"] = f"sqlite:{self.file}"
        self.run_cli("outbox", "init", expect=0)
        self.db = sqlite3.connect(self.file, timeout=60, isolation_level=None)
        self.addCleanup(self.db.close)

    def insert(self, count):
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("INSERT INTO busbridge_outbox (name, key, payload) VALUES ('quality.checked', 'c', ?)", [(PAYLOAD,)] * count)
        self.db.execute("COMMIT")

    def test_doctor_tells_of_a_log_that_a_reader_keeps_and_of_unused_pages(self):
        for check in ("outbox", "database", "sqlite", "write-ahead log", "database size"):
            self.finding(check, "ok")
        reader = sqlite3.connect(self.file, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM busbridge_outbox").fetchall()
        self.db.execute("CREATE TABLE filler (x)")
        for _ in range(30):
            self.db.execute("INSERT INTO filler VALUES (randomblob(8000000))")
        self.finding("write-ahead log", "warning", "a reader has stayed open")
        reader.execute("ROLLBACK")
        reader.close()
        self.db.execute("DROP TABLE filler")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.finding("write-ahead log", "ok")
        self.finding("database size", "warning", "are unused", "VACUUM")

    def test_each_step_is_measured_from_the_start_and_no_server_is_told_of(self):
        self.started()
        figures = self.figures()
        self.assertEqual({step for step in STEPS if f'outbox_step_duration_seconds_count{{step="{step}"}}' in figures}, STEPS)
        self.assertEqual(figures['outbox_step_duration_seconds_count{step="settle"}'], 0)
        self.assertFalse({name for name in figures if name.startswith(("outbox_connect", "outbox_lease", "outbox_dead"))})
        self.insert(20)
        harness.wait_until(lambda: not self.db.execute("SELECT count(*) FROM busbridge_outbox").fetchone()[0], what="all rows are out")
        counts = self.counts()
        for step in ("poll", "read", "list", "settle"):
            self.assertGreater(counts[step], 0, step)


class InPostgres(Operating):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.server = postgres.Server("max_prepared_transactions = 5\n").start()
        except postgres.Unavailable as why:
            raise unittest.SkipTest(str(why)) from None
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        super().setUp()
        self.schema = f"o{self.prefix}"
        self.server.migrate(schema=self.schema)
        self.options["outbox.url"] = self.server.url("relay", more=f"?schema={self.schema}")

    def sql(self, text, user="postgres"):
        return self.server.sql(text.replace("busbridge.", f"{self.schema}."), user=user)

    def insert(self, count):
        self.sql(f"INSERT INTO busbridge.outbox (name, key, payload) SELECT 'quality.checked', 'c', '{PAYLOAD}' FROM generate_series(1, {count})",
                 user="application")

    def as_superuser(self):
        return {**self.options, "outbox.url": self.server.url(more=f"?schema={self.schema}")}

    def test_doctor_judges_the_rights_of_the_role(self):
        self.finding("rights", "ok", "the role relay may do all")
        self.sql("REVOKE DELETE ON busbridge.outbox FROM relay")
        self.finding("rights", "failed", "DELETE on outbox", "roles.sql")
        self.sql("GRANT DELETE, UPDATE ON busbridge.outbox TO relay")
        self.finding("rights", "warning", "update rows of the application", "roles.sql")
        self.sql("REVOKE UPDATE ON busbridge.outbox FROM relay; CREATE TABLE public.orders (x int); GRANT DELETE ON public.orders TO relay")
        self.addCleanup(self.sql, "DROP TABLE public.orders")
        self.finding("rights", "warning", "write 1 tables of others")
        self.finding("rights", "warning", "superuser", options=self.as_superuser())

    def test_doctor_tells_of_rows_that_would_be_hidden(self):
        self.finding("row security", "ok")
        self.sql("ALTER TABLE busbridge.outbox ENABLE ROW LEVEL SECURITY")
        found = self.doctor()
        self.assertIn("failed", {check["verdict"] for check in found.values()})
        self.assertIn("row-level security", json.dumps(list(found.values())))

    def test_doctor_tells_what_server_it_is(self):
        version = self.server.version
        self.finding("server", "ok", f"PostgreSQL {version}", "libpq", "timeline 00000001")
        self.finding("outbox", "ok")
        self.finding("database", "ok")
        self.finding("clock", "ok", "database")
        self.finding("disk space", "skipped")

    def test_doctor_names_whoever_keeps_dead_rows(self):
        self.finding("old transactions", "skipped", "pg_read_all_stats")
        self.finding("old transactions", "ok", options=self.as_superuser())
        self.sql("GRANT pg_read_all_stats TO relay")
        self.addCleanup(self.sql, "REVOKE pg_read_all_stats FROM relay")
        self.finding("old transactions", "ok")
        self.sql("SELECT pg_create_physical_replication_slot('forgotten')")
        self.addCleanup(self.sql, "SELECT pg_drop_replication_slot('forgotten')")
        self.finding("old transactions", "ok")  # it holds nothing back

    def test_doctor_tells_of_numbers_that_are_given_by_the_dozen(self):
        self.finding("sequence", "ok", "one by one")
        self.sql("ALTER TABLE busbridge.outbox ALTER COLUMN seq SET CACHE 50")
        self.finding("sequence", "failed", "50 numbers", "SET CACHE 1")

    def test_doctor_tells_of_rows_that_are_dead(self):
        self.finding("dead rows", "ok", "about 0 rows")
        self.sql("ALTER TABLE busbridge.outbox SET (autovacuum_enabled = off)")
        self.insert(120000)
        self.sql("DELETE FROM busbridge.outbox")
        harness.wait_until(lambda: self.doctor()["dead rows"]["verdict"] == "warning", what="the server has counted them")
        self.finding("dead rows", "warning", "VACUUM")

    def test_each_step_connection_and_lease_are_told_from_the_start(self):
        self.started()
        figures = self.figures()
        self.assertEqual({step for step in STEPS if f'outbox_step_duration_seconds_count{{step="{step}"}}' in figures}, STEPS)
        self.assertEqual(figures["outbox_connected"], 1)
        self.assertGreaterEqual(figures["outbox_connects_total"], 2)
        self.assertLess(abs(figures["outbox_lease_renewed_timestamp_seconds"] - time.time()), 60)
        self.assertEqual(figures["outbox_dead_rows"], 0)
        self.insert(20)
        harness.wait_until(lambda: self.sql("SELECT count(*) FROM busbridge.outbox") == "0", what="all rows are out")
        counts = self.counts()
        for step in ("poll", "read", "list", "settle"):
            self.assertGreater(counts[step], 0, step)
        before = self.figures()["outbox_connects_total"]
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'relay'")
        harness.wait_until(lambda: self.figures()["outbox_connects_total"] > before and self.figures()["outbox_connected"],
                           what="it has connected again")


if __name__ == "__main__":
    harness.main()
