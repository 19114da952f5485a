"""What each kind of outbox is to a benchmark: how entries are laid, what moves them without a relay, what is left."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import postgres  # of tests/integration

TICKS = os.sysconf("SC_CLK_TCK")


def process_times(pid):
    """Of its own, and of its children that have ended: user and system, in ticks. One that is gone by now is its parent's to tell."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]]
    except FileNotFoundError:
        return [0, 0, 0, 0]


class Files:
    noun, loop, paced = "file", "raw read+unlink", True

    def __init__(self, build, folder):
        self.build, self.folder = build, folder

    def close(self):
        pass

    def tool(self, program, *words):
        done = subprocess.run([self.build / "tests" / program, *map(str, words)], stdout=subprocess.PIPE, check=False)
        if done.returncode:
            sys.exit(f"{program} {words[0]} failed: {done.stdout.decode()}")
        return json.loads(done.stdout)

    def home(self, name):
        folder = self.folder / name
        folder.mkdir()
        return folder

    def settings(self, name):
        return {"outbox.url": f"file:{self.folder / name}"}

    def lay(self, name, events, kind="lay"):
        return self.tool("bench-outbox", kind, self.home(name), events)

    def raw(self, name):
        return self.tool("bench-outbox", "raw", self.folder / name)

    def left(self, name):
        """(entries, dead letters)"""
        outbox = self.folder / name
        return sum(1 for _ in outbox.glob("*.json")), sum(1 for _ in (outbox / "dlq").glob("*.json"))

    def spent(self):
        """Seconds of CPU a server of it has taken, bytes it has logged."""
        return 0, 0


class Rows(Files):
    """Of a database: its file or its own server; the worker's state lies beside."""
    noun, loop, paced = "row", "bare loop", False

    def settings(self, name):
        return {"outbox.url": self.url(name), "state.dir": self.folder / name}

    def url(self, name):
        raise NotImplementedError

    def init(self, name):
        subprocess.run([self.build / "busbridge", "-X", f"outbox.url={self.url(name)}", "outbox", "init"], check=True, stdout=subprocess.DEVNULL)


class Sqlite(Rows):
    def file(self, name):
        return self.folder / name / "app.db"

    def url(self, name):
        return f"sqlite:{self.file(name)}"

    def lay(self, name, events, kind="lay"):
        self.home(name)
        self.init(name)
        return self.tool("bench-sqlite", "lay", self.file(name), events)

    def raw(self, name):
        return self.tool("bench-sqlite", "raw", self.file(name))

    def left(self, name):
        with closing(sqlite3.connect(self.file(name))) as db:
            return db.execute("SELECT (SELECT count(*) FROM busbridge_outbox), (SELECT count(*) FROM busbridge_dead)").fetchone()


class Postgres(Rows):
    """A server of its own, durable as packaged, on the same file system."""

    def __init__(self, build, folder):
        super().__init__(build, folder)
        self.server = postgres.Server(config="autovacuum_naptime = 5s\n", parent=folder.parent).start()

    def close(self):
        self.server.close()

    def url(self, name):
        return self.server.url(database=name)

    def lay(self, name, events, kind="lay"):
        self.home(name)
        self.server.sql(f"CREATE DATABASE {name}")
        self.init(name)
        return self.tool("bench-postgres", "lay", self.url(name), events)

    def raw(self, name):
        return self.tool("bench-postgres", "raw", self.url(name))

    def left(self, name):
        return map(int, self.server.sql("SELECT (SELECT count(*) FROM busbridge.outbox), (SELECT count(*) FROM busbridge.dead)",
                                        database=name).split("|"))

    def spent(self):
        wal = int(self.server.sql("SELECT pg_current_wal_insert_lsn() - '0/0'"))
        ticks = sum(process_times(self.server.process.pid)) + sum(sum(process_times(pid)[:2]) for pid in self.server.children())
        return ticks / TICKS, wal


KINDS = {"file": Files, "sqlite": Sqlite, "postgres": Postgres}
