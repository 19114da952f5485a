#!/usr/bin/python3
"""Standbys of an outbox in a database: one takes over when its owner is killed, paused beyond its lease, cut off or told to stop; each event once, in order."""

import json
import signal
import sqlite3
import unittest
import urllib.error

import harness
import postgres
import standbys
from harness import wait_until

class Rows(standbys.Standbys):
    """What holds for each kind; first(sql) answers with the first column of the first row."""

    def put(self, key):
        id = f"e-{len(self.written)}"
        self.execute(f"INSERT INTO {self.table} (id, name, key, payload) VALUES ('{id}', 'plot.updated', '{key}', '{{\"plot_id\": \"{key}\"}}')")
        return id

    def left(self):
        return self.first(f"SELECT count(*) FROM {self.table}")

    def dead(self):
        return {letter["id"]: letter for letter in json.loads(self.run_cli("list", "--type", "dlq", "-o", "json").stdout())}

    def relayed(self, more=20):
        """So many are out that were not yet."""
        before = len(self.written)
        wait_until(lambda: len(self.written) - self.left() > before + more, what="it relays")

    def lost_it(self, owner, successor):
        """Whoever slept ends by itself, and says who has it."""
        self.assertEqual(owner.wait(), 75, owner.stderr())
        self.assertIn(f"pid {successor.pid} ", owner.logs("stopped")[-1]["msg"] + owner.stderr())

    def killed_and_stopped(self):
        owner, standby = self.pair()
        self.write_on()
        for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            self.relayed()
            owner.signal(how)
            self.assertEqual(owner.wait(), 0 if how == signal.SIGTERM else -9)
            self.relays(standby)
            self.assertIn(f"pid {owner.pid} ", standby.logs("took_over")[0]["msg"])
            owner, standby = standby, self.waits(self.worker())
        self.all_is_relayed()
        self.assertEqual((standby.stop(), owner.stop()), (0, 0))

    def says_who(self):
        owner, standby = self.pair()
        said = rf"pid {owner.pid}( on \S+)? since \d{{4}}-\d\d-\d\dT[\d:]+ UTC"
        (line,) = standby.logs("standby")
        self.assertRegex(line["msg"], said)
        code, body = standby.ask("/readyz")
        self.assertEqual((code, body.splitlines()[0], len(body.splitlines())), (200, "standby", 2))
        self.assertRegex(body, said)
        health = json.loads(standby.ask("/v1/status")[1])
        self.assertEqual((health["word"], health["worker"], health["standby"]["pid"]), ("OK", False, owner.pid))
        self.assertIn("Worker: running", self.run_cli("health", "--detailed").stdout())
        refused = self.run_worker(expect=75)
        self.assertRegex(refused.stderr(), rf"(held by pid|owned by process) {owner.pid}( on \S+)? since \d{{4}}-\d\d-\d\dT[\d:]+")
        self.assertEqual((standby.stop(), standby.logs("started"), owner.stop()), (0, [], 0))


class Sqlite(Rows):
    table = "busbridge_outbox"

    def setUp(self):
        super().setUp()
        self.file = self.dir / "app.db"
        self.options |= {"outbox.url": f"sqlite:{self.file}", "state.dir": str(self.dir / "state"), "ledger.topic": self.topic("ledger")}
        self.run_cli("outbox", "init", expect=0)
        self.db = sqlite3.connect(self.file, timeout=harness.PATIENCE, isolation_level=None, check_same_thread=False)
        self.addCleanup(self.db.close)

    def execute(self, sql):
        self.db.execute(sql)

    def first(self, sql):
        return self.db.execute(sql).fetchone()[0]

    def test_it_says_whom_it_waits_for_and_others_are_refused(self):
        self.says_who()

    def test_it_takes_over_from_owners_that_are_killed_and_stopped(self):
        self.killed_and_stopped()

    def test_a_paused_owner_keeps_it_and_one_whose_lock_is_another_ends(self):
        owner, standby = self.pair()
        self.write_on()
        self.relayed()
        owner.signal(signal.SIGSTOP)
        self.assertEqual(standby.ask("/readyz")[1].splitlines()[0], "standby")
        owner.kill()
        self.relays(standby)
        self.all_is_relayed()
        self.assertEqual(standby.stop(), 0)


class Postgres(Rows):
    table = "busbridge.outbox"

    @classmethod
    def setUpClass(cls):
        try:
            cls.server = postgres.Server("fsync = off\nfull_page_writes = off\n").start()  # what is committed survives all but a loss of power
        except harness.Unavailable as why:
            raise unittest.SkipTest(str(why)) from None
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        super().setUp()
        self.server.sql(f"CREATE DATABASE {self.prefix}")
        self.server.migrate(self.prefix)
        self.options |= {"outbox.url": self.server.url("relay", self.prefix), "state.dir": str(self.dir / "state"), "ledger.topic": self.topic("ledger"),
                         "kafka.transaction.timeout.ms": "8000", "kafka.message.timeout.ms": "7000", "kafka.socket.timeout.ms": "6000"}
        self.connect()

    def connect(self):
        import psycopg  # nobody else needs it
        self.db = psycopg.connect(self.server.url("application", self.prefix), autocommit=True)
        self.root = psycopg.connect(self.server.url(database=self.prefix), autocommit=True)
        self.addCleanup(self.db.close)
        self.addCleanup(self.root.close)

    def execute(self, sql):
        self.db.execute(sql)

    def first(self, sql):
        return self.root.execute(sql).fetchone()[0]

    def lane(self, columns):
        return self.first(f"SELECT {columns} FROM busbridge.lane")

    def lapsed(self):
        return self.lane("lease_until < clock_timestamp()")

    def behind_a_wire(self):
        """(the wire, options of a worker that reaches the server through it)"""
        wire = standbys.Wire(self.server.port)
        self.addCleanup(wire.close)
        return wire, {"outbox.url": self.options["outbox.url"].replace(f":{self.server.port}/", f":{wire.port}/")}

    def test_it_says_whom_it_waits_for_and_others_are_refused(self):
        self.says_who()

    def test_owner_and_operator_are_told_who_waits(self):
        owner, standby = self.pair()
        said = rf"1 standby waits: pid {standby.pid} on \S+"
        self.assertRegex(json.dumps(json.loads(owner.ask("/v1/status")[1])["reasons"]), said)
        self.assertRegex(self.run_cli("health").stdout(), said)
        self.assertRegex(self.run_cli("doctor", "-o", "json").stdout(), rf"pid {owner.pid} holds the outbox on \S+ since [^;]*; " + said)
        owner.kill()
        self.relays(standby)
        self.assertNotIn("standby", json.dumps(json.loads(standby.ask("/v1/status")[1])["reasons"]))
        third = self.waits(self.worker())
        self.assertEqual(third.stop(), 0)
        self.assertEqual((self.first("SELECT count(*) FROM busbridge.worker"), standby.stop()), (0, 0))

    def test_it_takes_over_from_owners_that_are_killed_and_stopped(self):
        self.killed_and_stopped()

    def test_who_is_told_to_stop_gives_the_lease_back(self):
        owner, standby = self.pair()
        self.assertEqual(owner.stop(), 0)
        self.assertNotIn(f"{owner.pid}@", self.lane("coalesce(owner, '')"))  # not when it runs out: by now
        self.relays(standby)
        self.assertEqual(standby.stop(), 0)
        self.assertEqual(self.lane("token IS NULL AND owner IS NULL"), True)

    def test_an_owner_that_is_paused_beyond_its_lease_ends_when_it_wakes(self):
        owner, standby = self.pair()
        self.write_on()
        self.relayed()
        owner.signal(signal.SIGSTOP)
        self.relays(standby)
        self.relayed()
        owner.signal(signal.SIGCONT)
        self.lost_it(owner, standby)
        self.relayed()
        self.all_is_relayed()
        self.assertEqual(standby.stop(), 0)

    def test_an_owner_that_is_paused_beyond_its_lease_goes_on_where_nobody_waits(self):
        owner = self.relays(self.worker())
        self.write_on()
        self.relayed()
        owner.signal(signal.SIGSTOP)
        wait_until(self.lapsed)
        owner.signal(signal.SIGCONT)
        self.relayed()
        self.assertFalse(self.lapsed())
        self.all_is_relayed()
        self.assertEqual(owner.stop(), 0)

    def test_an_owner_that_is_cut_off_loses_it_and_one_that_is_back_in_time_keeps_it(self):
        wire, through = self.behind_a_wire()
        owner = self.relays(self.worker(options=through))
        standby = self.waits(self.worker())
        self.write_on()
        self.relayed()
        wire.cut()
        wire.mend()
        self.relayed()
        self.assertTrue(owner.running() and not standby.logs("started"))
        wire.hold()
        self.relays(standby)
        self.relayed()
        wire.mend()
        self.lost_it(owner, standby)
        self.all_is_relayed()
        self.assertEqual(standby.stop(), 0)

    def test_a_database_that_is_away_is_waited_for_by_owner_and_standby(self):
        owner, standby = self.pair()
        self.write_on()
        self.relayed()
        self.stop_writing()
        self.server.stop()
        wait_until(lambda: any("postgres" in line["msg"].lower() for line in standby.logs("standby")), what="the standby says that it cannot ask")
        wait_until(lambda: owner.logs("lease_late"), what="the owner cannot renew its lease")
        self.server.start()
        self.connect()
        self.write_on()
        self.relayed()
        self.all_is_relayed()
        self.assertTrue(standby.running())
        if standby.logs("started"):  # the lease had run out, and it asked first
            self.lost_it(owner, standby)
        else:
            self.assertEqual(owner.stop(), 0)
        self.assertEqual(standby.stop(), 0)

    def test_of_two_and_of_four_one_relays_at_a_time(self):
        for count in (2, 4):
            workers = [self.worker() for _ in range(count)]
            if count == 2:
                self.write_on()
            while workers:
                owner = wait_until(lambda: next((w for w in workers if w.logs("started")), None), what="one has it")
                self.relayed()
                self.assertEqual([w for w in workers if w.logs("started")], [owner])
                workers.remove(owner)
                owner.kill() if len(workers) % 2 else self.assertEqual(owner.stop(), 0)
        last = self.relays(self.worker())
        self.all_is_relayed()
        self.assertEqual(last.stop(), 0)

    def test_a_rolling_update_goes_on(self):
        """As a Deployment of two replicas with maxSurge 1 and maxUnavailable 0: a new one is ready, then an old one ends."""
        replicas = list(self.pair())
        self.write_on()
        for _ in range(2 * len(replicas)):
            fresh = self.worker(options={"state.dir": str(self.dir / "fresh")})
            wait_until(lambda w=fresh: self.ready(w), what=fresh.stderr)
            old = replicas.pop(0)
            self.assertEqual(old.stop(), 0)
            replicas.append(fresh)
            self.relayed()
        self.assertEqual(len([w for w in replicas if w.logs("started")]), 1)
        self.all_is_relayed()
        self.assertEqual([w.stop() for w in replicas], [0, 0])

    @staticmethod
    def ready(worker):
        try:
            return worker.ask("/readyz")[0] == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def test_a_row_that_is_seen_late_is_published(self):
        import psycopg
        worker = self.relays(self.worker(options={"flush.interval": "1h"}))  # no scan from the start finds it
        with psycopg.connect(self.server.url("application", self.prefix)) as late:
            late.execute("INSERT INTO busbridge.outbox (id, name, key, payload) VALUES ('late', 'plot.updated', 'k', '{\"plot_id\": \"k\"}')")
            self.written.append((self.put("k2"), "k2"))
            wait_until(lambda: not self.left(), what="the one behind it is out")
        self.written.append(("late", "k"))
        self.all_is_relayed()
        self.assertEqual(worker.stop(), 0)

    def test_a_row_that_is_seen_late_is_not_overtaken_by_one_of_its_key(self):
        """What lies behind it in its key is written once it is committed: here while the worker sleeps, so that both are there in one moment."""
        import psycopg
        worker = self.relays(self.worker(options={"flush.interval": "1h"}))
        for number in range(3):
            with psycopg.connect(self.server.url("application", self.prefix)) as late:
                late.execute(f"INSERT INTO busbridge.outbox (id, name, key, payload) VALUES ('late-{number}', 'plot.updated', 'k', '{{\"plot_id\": \"k\"}}')")
                self.written.append((self.put("k2"), "k2"))
                wait_until(lambda: not self.left(), what="the one behind it is out")
                worker.signal(signal.SIGSTOP)
            self.written.append((f"late-{number}", "k"))
            self.written.append((self.put("k"), "k"))
            worker.signal(signal.SIGCONT)
            wait_until(lambda: not self.left(), what="both are out")
        self.all_is_relayed()
        self.assertEqual(worker.stop(), 0)

    def test_one_whose_transaction_began_behind_those_that_have_ended_is_not_overtaken_either(self):
        """Of two that are open at once the first one to begin writes its row behind that of the second one, and ends first."""
        import psycopg
        row = "INSERT INTO busbridge.outbox (id, name, key, payload) VALUES (%s, 'plot.updated', %s, %s)"
        worker = self.relays(self.worker(options={"flush.interval": "1h"}))
        with psycopg.connect(self.server.url("application", self.prefix)) as first, psycopg.connect(self.server.url("application", self.prefix)) as late:
            first.execute(row, ("first-0", "k1", '{"plot_id": "k1"}'))
            late.execute(row, ("late", "k", '{"plot_id": "k"}'))
            first.execute(row, ("first-1", "k1", '{"plot_id": "k1"}'))
            first.commit()
            wait_until(lambda: not self.left(), what="the one that ended is out")
            self.written += [("first-0", "k1"), ("first-1", "k1")]
            self.written.append((self.put("k2"), "k2"))
            wait_until(lambda: not self.left(), what="another page was read")
            worker.signal(signal.SIGSTOP)
        self.written.append(("late", "k"))
        self.written.append((self.put("k"), "k"))
        worker.signal(signal.SIGCONT)
        wait_until(lambda: not self.left(), what="both are out")
        self.all_is_relayed()
        self.assertEqual(worker.stop(), 0)


if __name__ == "__main__":
    harness.main()
