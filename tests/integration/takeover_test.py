#!/usr/bin/python3
"""Standbys of an outbox in a database: one takes over when its owner is killed, paused beyond its lease, cut off or told to stop; each event once, in order."""

import json
import signal
import sqlite3

import harness
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


if __name__ == "__main__":
    harness.main()
