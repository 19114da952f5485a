#!/usr/bin/python3
"""What the SQL of schemas/sql/postgres makes: an application that may insert events and nothing else, a relay that touches no other table.

Kafka has no part in it. Each right is tried by the role itself on a real server.
"""

import unittest

import harness
import postgres

INSERT = "INSERT INTO busbridge.outbox (name, key, payload) VALUES ('episode.created', 'e1', '{}');"
TABLES = ("outbox", "lane", "batch", "attempt", "dead", "text", "due", "state")


class RolesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            cls.server = postgres.Server(fsync=False).start()
        except postgres.Unavailable as why:
            raise unittest.SkipTest(str(why)) from None
        cls.addClassCleanup(cls.server.close)
        cls.server.sql("CREATE TABLE public.orders (n int); INSERT INTO public.orders VALUES (1); CREATE SCHEMA other; CREATE TABLE other.t ()")
        cls.server.migrate()

    def refused(self, user, *statements, state="42501"):
        for statement in statements:
            with self.assertRaises(postgres.SqlError, msg=f"{user}: {statement}") as caught:
                self.server.sql(statement, user=user)
            self.assertEqual(caught.exception.state, state, f"{user}: {statement}: {caught.exception}")

    def setUp(self):
        self.server.sql("DELETE FROM busbridge.outbox; DELETE FROM busbridge.dead")

    def test_the_application_inserts_and_does_nothing_else(self):
        self.server.sql(INSERT + "INSERT INTO busbridge.outbox (id, name, key, payload, headers, created_at) "
                        "VALUES ('chosen', 'a.b', 'k', '{\"a\":1.0, \"a\":2}', '{}', '2025-01-01T00:00:00Z')", user="application")
        rows = self.server.sql("SELECT id, payload, slot BETWEEN 0 AND 255, created_at < now() FROM busbridge.outbox ORDER BY seq").split("\n")
        self.assertRegex(rows[0], r"^[0-9a-f-]{36}\|\{\}\|t\|")
        self.assertEqual(rows[1], 'chosen|{"a":1.0, "a":2}|t|t')
        self.refused("application", "SELECT 1 FROM busbridge.outbox", "SELECT count(*) FROM busbridge.outbox",
                     "UPDATE busbridge.outbox SET name = 'x'", "DELETE FROM busbridge.outbox", "TRUNCATE busbridge.outbox",
                     "BEGIN; LOCK busbridge.outbox IN ACCESS EXCLUSIVE MODE", "CREATE TABLE busbridge.mine (n int)",
                     "ALTER TABLE busbridge.outbox DISABLE TRIGGER ALL", "DROP TABLE busbridge.outbox",
                     INSERT.rstrip(";") + " RETURNING id",
                     # its place is the database's to choose
                     "INSERT INTO busbridge.outbox (seq, name, key, payload) OVERRIDING SYSTEM VALUE VALUES (1, 'a.b', 'k', '{}')")
        for table in TABLES[1:]:
            self.refused("application", f"SELECT 1 FROM busbridge.{table}", f"DELETE FROM busbridge.{table}", f"INSERT INTO busbridge.{table} DEFAULT VALUES")

    def test_what_is_no_json_is_refused_where_it_is_inserted(self):
        self.refused("application", INSERT.replace("{}", "{"), state="22P02")

    def test_a_rolled_back_transaction_leaves_nothing(self):
        self.server.sql(f"BEGIN; {INSERT} ROLLBACK", user="application")
        self.assertEqual(self.server.sql("SELECT count(*) FROM busbridge.outbox"), "0")

    def test_the_relay_has_its_tables_and_no_other(self):
        self.server.sql(INSERT, user="application")
        for table in TABLES:
            self.server.sql(f"SELECT * FROM busbridge.{table}", user="relay")
        self.refused("relay", "SELECT * FROM public.orders", "DELETE FROM public.orders", "INSERT INTO public.orders VALUES (2)",
                     "SELECT * FROM other.t", "UPDATE busbridge.outbox SET name = 'x'", "TRUNCATE busbridge.outbox", "TRUNCATE busbridge.batch",
                     "ALTER TABLE busbridge.outbox ADD COLUMN x int", "CREATE TABLE busbridge.mine (n int)", "DROP TABLE busbridge.batch",
                     "CREATE ROLE another", "SELECT * FROM pg_catalog.pg_authid")

    def test_the_relay_moves_a_dead_letter_and_puts_it_back_in_its_place(self):
        self.server.sql(INSERT, user="application")
        before = self.server.sql("SELECT * FROM busbridge.outbox")
        self.server.sql("WITH d AS (DELETE FROM busbridge.outbox RETURNING *) INSERT INTO busbridge.dead "
                        "SELECT d.*, 'schema_mismatch', 'x', 0, NULL, 1, NULL, 1, 1 FROM d", user="relay")
        self.assertEqual(self.server.sql("SELECT count(*) FROM busbridge.outbox"), "0")
        self.server.sql("WITH d AS (DELETE FROM busbridge.dead RETURNING *) INSERT INTO busbridge.outbox "
                        "(seq, id, name, key, payload, headers, created_at, arrived_at) OVERRIDING SYSTEM VALUE "
                        "SELECT seq, id, name, key, payload, headers, created_at, arrived_at FROM d", user="relay")
        self.assertEqual(self.server.sql("SELECT * FROM busbridge.outbox"), before)

    def test_roles_that_had_more_have_no_more_afterwards(self):
        self.server.sql("GRANT ALL ON ALL TABLES IN SCHEMA busbridge TO application, PUBLIC; GRANT CREATE ON SCHEMA busbridge TO PUBLIC")
        roles = (postgres.SQL / "roles.sql").read_text()
        self.server.sql(roles, schema="busbridge", application="application", relay="relay")
        self.refused("application", "DELETE FROM busbridge.outbox", "CREATE TABLE busbridge.mine (n int)")

    def test_a_schema_of_another_name_and_roles_of_odd_names(self):
        self.server.migrate(schema='out "box', application="an app", relay="Relay")
        self.server.sql('INSERT INTO "out ""box".outbox (name, key, payload) VALUES (\'a.b\', \'k\', \'{}\')', user="an app")
        self.assertEqual(self.server.sql('SELECT name FROM "out ""box".outbox', user="Relay"), "a.b")
        self.refused("Relay", "SELECT * FROM busbridge.outbox")

    def test_made_under_a_hostile_search_path_it_is_the_same(self):
        server = self.server
        server.sql("CREATE DATABASE hostile")
        server.sql("""CREATE SCHEMA evil; ALTER DATABASE hostile SET search_path = evil, pg_catalog;
            CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::pg_catalog.timestamptz';
            CREATE FUNCTION evil.gen_random_uuid() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::pg_catalog.uuid';
            CREATE FUNCTION evil.hashtextextended(text, bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT 99::pg_catalog.int8';
            CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false); CREATE DOMAIN evil.json AS pg_catalog.json CHECK (false);""", database="hostile")
        server.migrate(database="hostile", application="hostile_app", relay="hostile_relay")
        server.sql(INSERT, user="hostile_app", database="hostile")
        self.assertEqual(server.sql("SELECT pg_catalog.length(id) OPERATOR(pg_catalog.=) 36, slot OPERATOR(pg_catalog.<>) 99 FROM busbridge.outbox",
                                    database="hostile"), "t|t")


if __name__ == "__main__":
    harness.main()
