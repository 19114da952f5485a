#!/usr/bin/python3
"""What a role, a session or a row in PostgreSQL may be like without anybody meaning harm: defaults of the role that end statements and sessions,
sessions that are ended from outside, times and numbers at the edge of their types. Each row once, or dead with its bytes."""

import harness
import postgres_test

ROLE = """
ALTER ROLE relay SET statement_timeout = '20s'; ALTER ROLE relay SET lock_timeout = '1s'; ALTER ROLE relay SET idle_in_transaction_session_timeout = '1s';
ALTER ROLE relay SET idle_session_timeout = '300ms'; ALTER ROLE relay SET standard_conforming_strings = off;
ALTER ROLE relay SET default_transaction_isolation = 'serializable'; ALTER ROLE relay SET datestyle = 'German, DMY';
ALTER ROLE relay SET timezone = 'Asia/Kathmandu'; ALTER ROLE relay SET bytea_output = 'escape'; ALTER ROLE relay SET extra_float_digits = -15;
"""


class Odd(postgres_test.Rows):
    def setUp(self):
        super().setUp()
        self.init()

    def test_defaults_of_the_role_and_sessions_that_are_ended(self):
        self.sql(ROLE)
        worker, want = self.start_worker(), []
        for turn in range(5):
            ids = [f"e-{turn}-{n}" for n in range(20)]
            want += ids
            self.sql("".join(self.row(id) for id in ids), user="application")
            self.sql("SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = 'relay'")
            self.wait_empty()
        self.assertEqual(worker.stop(), 0)
        self.assertEqual([id for _, id in self.records()], want)

    def test_times_and_numbers_at_the_edge(self):
        rows = {"inf": "'infinity'", "minus": "'-infinity'", "bc": "'0044-03-15 12:00:00+00 BC'", "far": "'294276-12-31 23:59:59+00'"}
        for id, when in rows.items():
            self.sql(f"INSERT INTO busbridge.outbox (id, name, key, created_at, payload) SELECT '{id}', name, key, {when}, payload FROM "
                     "(VALUES ('quality.checked', 'c-1', '{\"content_id\": \"c-1\", \"score\": 1.0, \"check_types\": [], \"passed\": true, \"issues\": []}'::json)) "
                     "AS v (name, key, payload)")
        for id, seq in (("negative", -5), ("huge", 9223372036854775806)):
            self.sql(self.row(id).replace("(id,", "(seq, id,").replace("VALUES (", f"OVERRIDING SYSTEM VALUE VALUES ({seq}, "))
        self.sql(self.row("good"))
        worker = self.start_worker()
        harness.wait_until(lambda: "good" in [id for _, id in self.records()], what="the neighbours go on")
        harness.wait_until(lambda: self.left() <= 1, what="all but the negative one are out")
        harness.wait_until(lambda: len(self.records()) == 6, what="all that have a place are published")
        self.assertEqual({id for _, id in self.records()}, {*rows, "huge", "good"})
        self.assertEqual((self.letters(), self.sql("SELECT id FROM busbridge.outbox")), ({}, "negative"))  # it has no place: numbers begin at 1
        self.assertEqual(worker.stop(), 0)


if __name__ == "__main__":
    harness.main()
