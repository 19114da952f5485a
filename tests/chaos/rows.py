#!/usr/bin/python3
"""A producer that writes rows into a database and keeps a list: what it attempted, what was committed, what was rolled back.

    rows.py URL LIST [--tag T] [--rate N] [--count N] [--keys N] [--seed S] [--poison P] [--twins P] [--threads N] [--asynchronous]

URL is that of the outbox. Each transaction has one to four events. Of each it raises the counter of its key, in a table of the application's,
and inserts then: so the counter is the order in which the key's events were committed, and its row lock what makes it so. One in ten
is rolled back, one in five is held open, up to 250 ms, so that others begin, insert and commit meanwhile, crosswise where the database
lets them. As a module: RowWriter, with the operations of writer.Writer.
"""

import argparse
import json
import os
import random
import sqlite3
import sys
import threading
import time

import writer
from writer import GARBAGE, GOOD, LARGE, MISMATCH, REFUSED, content_of, stopped

COUNTERS = "CREATE TABLE IF NOT EXISTS counters (k TEXT PRIMARY KEY, v BIGINT NOT NULL)"
REGISTER = "CREATE TABLE IF NOT EXISTS written (file TEXT PRIMARY KEY)"  # what was committed, and is never taken back
ROLLED, HELD, LONGEST = 0.1, 0.2, 0.25
PATIENCE = 120  # for a lock


class Sqlite:
    """One connection of the application's. Usable by one thread."""

    errors, outbox, mark = sqlite3.Error, "busbridge_outbox", "?"

    def __init__(self, url):
        self.db = sqlite3.connect(url.partition(":")[2], timeout=PATIENCE, isolation_level=None)
        self.db.execute("PRAGMA synchronous = NORMAL")

    def begin(self, waits=True):
        self.db.execute("BEGIN IMMEDIATE")

    def register(self, file):
        pass

    def run(self, sql, *values):
        return self.db.execute(sql.replace("?", self.mark), values).fetchall()

    def commit(self):
        self.db.execute("COMMIT")

    def rollback(self):
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")

    def close(self):
        self.db.close()


class Postgres:
    """Likewise."""

    outbox, mark = "busbridge.outbox", "%s"

    def __init__(self, url):
        import psycopg  # nobody else needs it
        self.url, self.errors, self.open = url, psycopg.Error, psycopg.connect
        self.again()

    def again(self):
        """As an application does that waits for its server."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.db = self.open(self.url, autocommit=True, connect_timeout=5, prepare_threshold=None)  # a pooler knows no names
                return
            except self.errors:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def begin(self, waits=True):
        """waits=False: its commit is answered before it is on the disk."""
        self.db.execute("BEGIN" if waits else "BEGIN; SET LOCAL synchronous_commit = off")

    def register(self, file):
        self.run("INSERT INTO written (file) VALUES (?)", file)

    def run(self, sql, *values):
        answer = self.db.execute(sql.replace("?", self.mark), values)
        return answer.fetchall() if answer.description else []

    def commit(self):
        self.db.execute("COMMIT")

    def rollback(self):
        try:
            self.db.execute("ROLLBACK")
        except self.errors:
            self.db.close()
        if self.db.closed:
            self.again()

    def close(self):
        self.db.close()


KINDS = {"sqlite": Sqlite, "postgresql": Postgres}


def connect(url):
    return KINDS[url.partition(":")[0]](url)


class RowWriter(writer.Writer):
    """Rows of some keys. Its calls are not thread-safe; several may share one list."""

    listing = threading.Lock()

    def __init__(self, url, list_path, tag="w", *, keys=5, seed=0, namespaces=("plot", "episode"), waits=True):
        self.db, self.tag, self.keys, self.waits = connect(url), tag, keys, waits
        self.rng, self.namespaces = random.Random(seed), namespaces
        self.list = open(list_path, "a")
        self.count, self.last_stamp, self.failed = 0, 0, None

    def row(self, kind=GOOD, twin_of=None, enveloped=False, ns=None):
        """An event that is not written yet: (key, entry, its line of the list)."""
        id, key, entry = self.compose(kind, twin_of, ns=ns)
        payload = entry["payload"]
        if enveloped:
            self.enveloped(entry["name"].partition(".")[0], entry)
        if kind == GARBAGE:  # JSON it has to be
            entry["payload"] = [entry["payload"]]
        return key, entry, {"id": twin_of["id"] if twin_of else id, "key": key, "kind": kind, "file": f"{entry['id']}__{self.count}", "name": entry["name"],
                            "payload": payload if kind in (GOOD, LARGE) else None, "content": content_of(entry, "", GOOD)}

    def write(self, kind=GOOD, *, twin_of=None, enveloped=False, typed=False, ns=None):
        """One event, committed; its line of the list."""
        assert not typed, "a database has no second intake"
        written = self.transact([self.row(kind, twin_of, enveloped, ns)])
        if not written:
            raise self.failed
        return written[0]

    def transact(self, rows, *, hold=0, rollback=False):
        """Several in one transaction, which is held open for so long. The lines of those that were committed."""
        lines = []
        try:
            self.db.begin(self.waits)
            for key, entry, line in sorted(rows, key=lambda row: row[0]):  # locks in one order: no deadlocks
                (seq,), = self.db.run("INSERT INTO counters (k, v) VALUES (?, 1) ON CONFLICT (k) DO UPDATE SET v = counters.v + 1 RETURNING v", key)
                self.db.run(f"INSERT INTO {self.db.outbox} (id, name, key, payload) VALUES (?, ?, ?, ?)", entry["id"], entry["name"], key,
                            json.dumps(entry["payload"], ensure_ascii=False))
                lines.append({**line, "seq": seq})
                self.db.register(line["file"])
                time.sleep(hold / len(rows))
            self.tell("attempt", lines)
            self.db.rollback() if rollback else self.db.commit()
        except self.db.errors as error:
            self.db.rollback()
            self.failed = error
            return []  # if its commit was sent, nobody knows; else the list has nothing of it either
        self.tell("rolled" if rollback else "accept", lines)
        return [] if rollback else lines

    def tell(self, what, lines):
        with RowWriter.listing:
            for line in lines:
                self.say(do=what, **(line if what == "attempt" else {"file": line["file"], "id": line["id"]}))

    def close(self):
        self.db.close()
        self.list.close()


def parse(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("list")
    parser.add_argument("--tag", default="w")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--keys", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--poison", type=float, default=0, help="share of events that can never be published")
    parser.add_argument("--twins", type=float, default=0, help="share of events that carry an id once more")
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--asynchronous", action="store_true", help="commits do not wait for the disk, where a database has such")
    return parser.parse_args(arguments)


def draw(w, o, last):
    """One event by the dice."""
    dice = w.rng.random()
    if dice < o.poison:
        return w.row(w.rng.choice((REFUSED, MISMATCH, GARBAGE)))
    return w.row(twin_of=last if dice < o.poison + o.twins else None)


def produce(o, number, end):
    w = RowWriter(o.url, o.list, f"{o.tag}-{number}", keys=o.keys, seed=f"{o.seed}.{number}", waits=not o.asynchronous)
    began, last, rate, count = time.monotonic(), None, o.rate / o.threads, o.count / o.threads
    while w.count < count and not end.is_set():
        rows = [draw(w, o, last) for _ in range(w.rng.choice((1, 1, 2, 4)))]
        hold = w.rng.uniform(0, LONGEST) if w.rng.random() < HELD else 0
        for line in w.transact(rows, hold=hold, rollback=w.rng.random() < ROLLED):
            last = line if line["kind"] == GOOD else last
        end.wait(max(0, began + w.count / rate - time.monotonic()))
    w.close()


def main(arguments):
    """Until the count is reached or its standard input is closed."""
    o = parse(arguments)
    os.set_blocking(0, False)
    end, failed = threading.Event(), []

    def guarded(number):
        try:
            produce(o, number, end)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(o.threads)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not stopped():
        time.sleep(0.02)
    end.set()
    for thread in threads:
        thread.join()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
