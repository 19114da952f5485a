#!/usr/bin/python3
"""An outbox in PostgreSQL: rows of business transactions are published once, in order per key, whatever is killed; what is wrong with a
row, a role or a server is told, and the row is kept. Directly, and through pgbouncer in transaction mode.

The relay's role has the least rights, a search_path that means harm and synchronous_commit = off.
"""

import json
import random
import unittest
from pathlib import Path

import harness
import postgres

EVIL = """
CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil''; END';
CREATE FUNCTION evil.octet_length(text) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil''; END';
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
ALTER ROLE relay SET search_path = evil, pg_catalog; ALTER ROLE relay SET synchronous_commit = off;
"""


class Rows(harness.BusTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.server = postgres.Server().start()
        except postgres.Unavailable as why:
            raise unittest.SkipTest(str(why)) from None
        cls.addClassCleanup(cls.server.close)
        cls.server.sql("CREATE ROLE application LOGIN; CREATE ROLE relay LOGIN;")
        cls.server.sql(EVIL, database="template1")

    def setUp(self):
        super().setUp()
        self.database = self.prefix
        self.server.sql(f"CREATE DATABASE {self.database}")
        self.options |= {"outbox.url": self.url("relay"), "state.dir": str(self.dir / "state"), "ledger.topic": self.topic("ledger"),
                         "flush.interval": "1s"}

    def url(self, user):
        return self.server.url(user, self.database)

    def init(self):
        self.server.migrate(self.database)
        self.sql("CREATE TABLE public.orders (k text PRIMARY KEY, v int)")

    def sql(self, text, user="postgres"):
        return self.server.sql(text, user=user, database=self.database)

    @staticmethod
    def row(id, key="c-1", payload=None, name="quality.checked"):
        payload = payload or json.dumps({"content_id": key, "score": 1.0, "check_types": [], "passed": True, "issues": []})
        return f"INSERT INTO busbridge.outbox (id, name, key, payload) VALUES ('{id}', '{name}', '{key}', $x${payload}$x$);"

    def records(self):
        return [(r.key.decode(), r.headers["ce_id"].decode()) for r in self.drain("quality.events")]

    def left(self):
        return int(self.sql("SELECT pg_catalog.count(*) FROM busbridge.outbox"))

    def wait_empty(self):
        harness.wait_until(lambda: not self.left(), what="all rows are out")

    def letters(self):
        return {letter["id"]: letter["reason"] for letter in json.loads(self.run_cli("list", "--type", "dlq", "-o", "json").stdout())}

    def next_transaction(self, chance, made):
        """SQL, and what is published of it."""
        ids = [(f"k-{chance.randrange(5)}", f"e-{made + i}") for i in range(chance.randrange(1, 4))]
        undone = chance.random() < 0.1
        return f"BEGIN; {''.join(self.row(id, key) for key, id in ids)} {'ROLLBACK' if undone else 'COMMIT'};", [] if undone else ids, len(ids)

    def write_some(self, chance, want, made):
        text = ""
        for _ in range(60):
            sql, ids, count = self.next_transaction(chance, made)
            text, made, want = text + sql, made + count, want.extend(ids) or want
        self.sql(text, user="application")
        return made

    def answers(self):
        import psycopg  # nobody else needs it
        try:
            with psycopg.connect(self.url("relay")) as one:
                return one.execute("SELECT 1").fetchone()
        except psycopg.OperationalError:  # a pooler takes a while to try again
            return None

    def restart_server(self, how):
        how()
        self.server.start()
        harness.wait_until(self.answers, what="the server answers")

    def committed_rows_are_published_once_in_order_and_rolled_back_ones_never(self):
        self.init()
        chance, want, made = random.Random(5), [], 0
        worker = self.start_worker()
        immediate, server = self.server.stop, self.server
        for trouble in (None, immediate, server.kill9, "kill"):
            made = self.write_some(chance, want, made)
            if trouble == "kill":
                worker.kill()
                worker = self.start_worker()
            elif trouble:
                self.restart_server(trouble)
        self.wait_empty()
        worker.stop()
        got = self.records()
        self.assertEqual(sorted(got), sorted(want))
        for key in {key for key, _ in want}:
            self.assertEqual([r for r in got if r[0] == key], [w for w in want if w[0] == key])

    def commands_and_the_key_column(self):
        self.init()
        self.sql("INSERT INTO busbridge.outbox (id, name, key, payload, headers) VALUES ('a', 'usecase.executed', 'the key', '{\"usecase_name\": \"u\"}', "
                 "'{\"traceparent\": \"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}')", user="application")
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
        refused = self.run_worker("--once")
        self.assertNotEqual(refused.status, 0, "there is one worker")
        self.assertIn(f"pid {worker.pid}", refused.stderr())
        self.assertEqual(worker.stop(), 0)
        self.run_worker("--once", expect=0)  # its lease was given back


class Postgres(Rows):
    test_committed = Rows.committed_rows_are_published_once_in_order_and_rolled_back_ones_never
    test_commands = Rows.commands_and_the_key_column

    def test_a_row_that_becomes_visible_late_is_published_too(self):
        self.init()
        import psycopg  # nobody else needs it
        with psycopg.connect(self.url("application")) as late:
            late.execute(self.row("late", "k-late"))
            worker = self.start_worker()
            self.sql(self.row("early", "k-early"), user="application")
            harness.wait_until(lambda: self.records() == [("k-early", "early")], what="the one behind it is out")
            late.commit()
        harness.wait_until(lambda: len(self.records()) == 2, what="the late one is out")
        self.assertEqual(worker.stop(), 0)

    def test_what_is_wrong_dies_with_its_bytes_and_comes_back(self):
        self.init()
        rows = {"nul": '{"content_id": "a\\u0000b"}', "half": '{"content_id": "\\ud800"}', "wrong": '{"content_id": 1}',
                "twice": '{"content_id":  "a", "content_id": "a"}'}
        for id, payload in rows.items():
            self.sql(self.row(id, payload=payload), user="application")
        self.sql("INSERT INTO busbridge.outbox (id, name, key, payload) VALUES ('large', 'quality.checked', 'c-1', "
                 "('{\"content_id\": \"' || repeat('x', 50 << 20) || '\"}')::json)", user="application")
        self.sql(self.row("good") + self.row("bad id"), user="application")
        worker = self.start_worker()
        self.wait_empty()
        most = int(next(line for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines() if line.startswith("VmHWM")).split()[1])
        print(f"a row of 50 MB: {most / 1024:.0f} MB at most")
        self.assertEqual(self.records(), [("c-1", "good")])
        letters = self.letters()
        self.assertEqual(letters, {"nul": letters["nul"], "half": "lone_surrogate", "wrong": "schema_mismatch", "twice": letters["twice"],
                                   "large": "too_large", "bad id": "bad_id"})
        for id, payload in rows.items():
            self.assertEqual(self.sql(f"SELECT payload FROM busbridge.dead WHERE id = '{id}'"), payload)
        self.assertEqual(self.sql("SELECT pg_catalog.octet_length(payload::text) > 50 << 20 FROM busbridge.dead WHERE id = 'large'"), "t")
        fixed = json.dumps({"content_id": "c-1", "score": 1.0, "check_types": [], "passed": True})
        self.sql(f"UPDATE busbridge.dead SET payload = '{fixed}' WHERE id = 'wrong'")
        self.run_cli("replay", "wrong", expect=0)
        self.wait_empty()
        self.assertEqual(self.records(), [("c-1", "good"), ("c-1", "wrong")])
        self.run_cli("purge", "half", "--yes", expect=0)
        self.assertNotIn("half", self.letters())
        self.assertEqual(worker.stop(), 0)

    def test_rows_that_cannot_be_deleted_are_published_once_and_hold_up_no_other(self):
        self.init()
        self.sql("""CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $f$ BEGIN
                      IF OLD.id = 'silent' THEN RETURN NULL; END IF;
                      IF OLD.id = 'loud' THEN RAISE EXCEPTION 'kept' USING ERRCODE = 'P0042'; END IF;
                      RETURN OLD; END $f$;
                    CREATE TRIGGER keep BEFORE DELETE ON busbridge.outbox FOR EACH ROW EXECUTE FUNCTION public.keep();
                    CREATE TABLE public.audit (seq int8 REFERENCES busbridge.outbox (seq))""")
        self.sql("".join(self.row(id, f"k-{id}") for id in ("silent", "a", "loud", "b", "tied", "c")), user="application")
        self.sql("INSERT INTO public.audit SELECT seq FROM busbridge.outbox WHERE id = 'tied'")
        ids = ["a", "b", "c", "loud", "silent", "tied"]
        for _ in range(2):
            worker = self.start_worker()
            harness.wait_until(lambda: self.left() == 3 and "aside" in self.run_cli("health").stdout(), what="they are set aside")
            self.assertEqual(worker.stop(), 0)
            self.assertEqual(sorted(id for _, id in self.records()), ids)
        self.sql("DROP TRIGGER keep ON busbridge.outbox; DROP TABLE public.audit")
        worker = self.start_worker()
        self.wait_empty()
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(id for _, id in self.records()), ids)

    def refused(self, *words):
        program = self.run_worker("--once")
        self.assertNotEqual(program.status, 0)
        for word in words:
            self.assertIn(word, program.stderr())

    def test_what_cannot_be_an_outbox_is_refused_with_the_remedy(self):
        self.refused("busbridge outbox init")
        owner = {"outbox.url": self.server.url("postgres", self.database)}
        dry = self.run_cli("outbox", "init", "--dry-run", expect=0, options=owner)
        self.assertIn('CREATE TABLE "busbridge".outbox', dry.stdout())
        self.assertIn("let the owner of the database run this command once", self.run_cli("outbox", "init").stderr())
        self.refused("busbridge outbox init")
        self.assertNotEqual(self.run_cli("outbox", "migrate", options=owner).status, 0)
        self.run_cli("outbox", "init", expect=0, options=owner)
        self.run_cli("outbox", "init", expect=0, options=owner)  # there is nothing to do
        self.run_cli("outbox", "migrate", expect=0, options=owner)
        self.refused("permission denied", "roles.sql")
        self.server.migrate_roles(self.database)
        self.run_worker("--once", expect=0)
        self.sql("REVOKE DELETE ON busbridge.outbox FROM relay")
        self.sql(self.row("a"))
        worker = self.start_worker()
        harness.wait_until(lambda: "roles.sql" in self.run_cli("health").stdout(), what="health says which right is missing")
        self.sql("GRANT DELETE ON busbridge.outbox TO relay")
        self.wait_empty()
        self.assertEqual(worker.stop(), 0)
        self.sql(self.row("b") + "ALTER TABLE busbridge.outbox ENABLE ROW LEVEL SECURITY")
        self.refused("row-level security", "BYPASSRLS")
        self.sql("ALTER TABLE busbridge.outbox DISABLE ROW LEVEL SECURITY; UPDATE busbridge.state SET value = '9' WHERE name = 'migration'")
        self.refused("newer")
        self.sql("UPDATE busbridge.state SET value = '1' WHERE name = 'migration'")
        self.assertEqual(self.left(), 1)
        self.run_worker("--once", expect=0)
        self.assertEqual(self.records(), [("c-1", "a"), ("c-1", "b")])

    def test_one_that_takes_no_changes_is_waited_for(self):
        self.init()
        worker = self.start_worker()
        harness.wait_until(lambda: worker.logs("started"), what="it is at work")
        self.sql(f"ALTER DATABASE {self.database} SET default_transaction_read_only = on")
        self.sql("SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = 'relay'")
        self.sql("SET default_transaction_read_only = off; " + self.row("a"))
        harness.wait_until(lambda: "read-only" in self.run_cli("health").stdout(), what="health says why nothing moves")
        self.sql(f"SET default_transaction_read_only = off; ALTER DATABASE {self.database} SET default_transaction_read_only = off")
        self.sql("SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = 'relay'")
        harness.wait_until(lambda: self.records() == [("c-1", "a")], what="it is published")
        self.assertEqual(worker.stop(), 0)


class Pooled(Rows):
    """With every connection of ours through pgbouncer in transaction mode."""

    test_committed = Rows.committed_rows_are_published_once_in_order_and_rolled_back_ones_never
    test_commands = Rows.commands_and_the_key_column

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.pooler = postgres.Pooler(cls.server, "postgres", "application", "relay")
            cls.addClassCleanup(cls.pooler.close)
            cls.pooler.start()
        except postgres.Unavailable as why:
            raise unittest.SkipTest(str(why)) from None

    def url(self, user):
        return self.pooler.url(user, self.database)


if __name__ == "__main__":
    harness.main()
