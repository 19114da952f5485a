#!/usr/bin/python3
"""A worker that is started while the database of its outbox is away waits for it as it waits for Kafka: says so, is alive and not ready, and
relays when the database is there. What waiting cannot mend ends it, with the remedy."""

import json
import unittest

import harness
import postgres
import standbys
from harness import wait_until

GOOD = json.dumps({"content_id": "c-1", "score": 1.0, "check_types": [], "passed": True, "issues": []})


class PostgresAway(standbys.Standbys):
    def setUp(self):
        super().setUp()
        try:
            self.server = postgres.Server()
            self.addCleanup(self.server.close)
            self.server.start().migrate()
        except postgres.Unavailable as why:
            self.skipTest(str(why))
        self.server.sql(f"INSERT INTO busbridge.outbox (id, name, key, payload) VALUES ('a', 'quality.checked', 'c-1', '{GOOD}')")
        self.options |= {"outbox.url": self.server.url("relay"), "state.dir": str(self.dir / "state"), "ledger.topic": self.topic("ledger")}

    def ids(self):
        return [r.headers["ce_id"].decode() for r in self.drain("quality.events")]

    def secret(self, name, text):
        path = self.dir / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return str(path)

    @staticmethod
    def listens(worker):
        try:
            return worker.ask("/livez")
        except OSError:
            return None

    def waits(self, worker, *words):
        """It says of everything that can be asked that it waits, and for what."""
        wait_until(lambda: worker.logs("outbox_away"), what="it says so")
        wait_until(lambda: self.listens(worker), what="it listens")
        code, body = worker.ask("/readyz")
        health = json.loads(worker.ask("/v1/status")[1])
        self.assertEqual(code, 503)
        self.assertEqual(worker.ask("/livez"), (200, "ok\n"))
        self.assertEqual((health["word"], health["worker"], health["standby"]), ("CRITICAL", False, None))
        self.assertIn("busbridge_standby 0", worker.ask("/metrics")[1])
        for said in (body, json.dumps(health["reasons"]), worker.logs("outbox_away")[0]["error"]):
            for word in words:
                self.assertIn(word, said)

    def relays_after(self, worker, mend):
        mend()
        wait_until(lambda: worker.logs("started"), what="it relays")
        wait_until(lambda: worker.ask("/readyz")[0] == 200, what="it is ready")
        wait_until(lambda: self.ids() == ["a"], what="it publishes")
        self.assertTrue(json.loads(worker.ask("/v1/status")[1])["worker"])
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(worker.logs("start_failed"), [])

    def test_the_server_is_away(self):
        self.server.stop()
        for arguments in ((), ("--standby",)):
            with self.subTest(arguments):
                worker = self.worker(*arguments, standby=None)
                self.waits(worker, "refused")
                wait_until(lambda w=worker: len(w.logs("outbox_away")) > 1, what="it is asked again")
                self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.run_worker("--once").status, 1)
        worker = self.worker(standby=None)
        self.waits(worker, "refused")
        self.relays_after(worker, self.server.start)

    def test_a_password_that_is_not_the_right_one_yet(self):
        self.server.sql("ALTER ROLE relay PASSWORD 'fresh'")
        hba = self.server.dir / "data/pg_hba.conf"
        hba.write_text("local all postgres trust\nhost all relay 127.0.0.1/32 scram-sha-256\n")
        self.server.sql("SELECT pg_catalog.pg_reload_conf()")
        file = self.secret("pgpass", "127.0.0.1:*:*:relay:old")
        self.options["outbox.url"] = self.server.url("relay", more=f"?passfile={file}")
        worker = self.worker(standby=None)
        self.waits(worker, "password authentication failed", "role and password of outbox.url")
        self.relays_after(worker, lambda: self.secret("pgpass", "127.0.0.1:*:*:relay:fresh"))

    def test_no_connection_is_left(self):
        self.server.sql("ALTER ROLE relay CONNECTION LIMIT 0")
        worker = self.worker(standby=None)
        self.waits(worker, "too many connections", "max_connections")
        self.relays_after(worker, lambda: self.server.sql("ALTER ROLE relay CONNECTION LIMIT -1"))

    def test_what_waiting_cannot_mend_ends_it(self):
        for url, words in ((self.server.url("relay", "nowhere"), "does not exist"), (self.server.url("relay", more="?schema=nowhere"), "outbox init"),
                           ("mysql://x", "unknown kind of outbox")):
            program = self.run_worker(options={"outbox.url": url})
            self.assertNotEqual(program.status, 0)
            self.assertIn(words, program.stderr())
        self.server.sql("UPDATE busbridge.state SET value = '9' WHERE name = 'migration'")
        program = self.run_worker()
        self.assertNotEqual(program.status, 0)
        self.assertIn("newer", program.stderr())


if __name__ == "__main__":
    harness.main()
