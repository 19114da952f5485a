"""What each kind of outbox is to a world: where it lies, who writes into it, what lies there. One that is asked while workers run tells a moment."""

import atexit
import itertools
import json
import os
import shutil
import sqlite3
import sys
import threading
import uuid
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
import postgres  # noqa: E402
import rows  # noqa: E402
import writer  # noqa: E402

SQL = HERE.parents[1] / "schemas/sql"


def look(folder):
    """{file name: object or None} of the *.json of one folder."""
    found = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            found[path.name] = json.loads(path.read_bytes())
        except FileNotFoundError:
            continue
        except ValueError:
            found[path.name] = None
    return found


class Files:
    """A folder; typed: that of the older typed bus, where that is an intake too."""

    def __init__(self, home, typed=None):
        self.home, self.outbox, self.typed = home, home / "outbox", typed
        self.outbox.mkdir()
        if typed:
            (typed / "pending").mkdir(parents=True)

    def options(self):
        return {"outbox.url": f"file:{self.outbox}", "outbox.settle": "50ms", **({"outbox.typed": str(self.typed)} if self.typed else {})}

    def writer(self, list_path, tag, **more):
        return writer.Writer(self.outbox, list_path, tag, typed=self.typed, **more)

    def producer(self):
        return [sys.executable, str(HERE / "writer.py"), str(self.outbox)]

    def replace_lock(self):
        (self.outbox / ".busbridge/lock").unlink(missing_ok=True)

    def lapse(self):
        """Whoever is dead holds it no longer: of this kind the moment he dies."""

    def locked(self, worker):
        """Could it not begin, because another program held the database's lock for too long?"""
        return False

    def pending(self):
        folders = [self.outbox, self.outbox / "pending"] + ([self.typed / "pending", self.typed / "processing"] if self.typed else [])
        return [p.name for folder in folders if folder.is_dir() for p in folder.glob("*.json")]

    def copy_to(self, other):
        """What a backup would take while the worker runs: files may go meanwhile."""
        def ignore_missing(src, dst):
            try:
                return shutil.copy2(src, dst)
            except FileNotFoundError:
                return dst
        other.outbox.rmdir()
        # Sockets, and what the producer has not given its name yet: in the copy nobody ever will.
        shutil.copytree(self.outbox, other.outbox, copy_function=ignore_missing,
                        ignore=lambda _, names: [n for n in names if n.endswith(".sock") or n.startswith(".writing-")])

    # ---- what the judge looks at ---------------------------------------------------------------------------------------------------

    def waiting(self):
        typed = {**look(self.typed / "pending"), **look(self.typed / "processing")} if self.typed else {}
        return {**look(self.outbox), **look(self.outbox / "pending"), **typed}

    def letters(self):
        return {**look(self.outbox / "dlq"), **(look(self.typed / "errored") if self.typed else {})}

    def content_of(self, file, letter):
        """The hash of what was written (writer.content_of) of a dead letter."""
        for folder in [self.outbox / "dlq"] + ([self.typed / "errored"] if self.typed else []):
            raw = folder / (file[:-5] + ".raw")
            if raw.exists():
                return writer.hash_of(raw.read_text())
        return letter and writer.content_of(letter, "", "")

    def strange(self, letters):
        raw = {f[:-5] + ".raw" for f in letters}
        folders = [(self.outbox, {"pending", "dlq", "sent", ".busbridge"}), (self.outbox / "pending", set()), (self.outbox / "dlq", raw)]
        if self.typed:
            folders += [(self.typed, {"pending", "processing", "sent", "errored", ".busbridge"}), (self.typed / "pending", set()), (self.typed / "errored", raw)]
        return [f"a strange file: {path}" for folder, kept in folders for path in (folder.iterdir() if folder.is_dir() else [])
                if path.suffix != ".json" and path.name not in kept and not path.name.startswith(".writing-")]

    def selections(self):
        """Numbers of those that are not finished."""
        return sorted(p.name.partition("-")[2] for p in (self.outbox / ".busbridge").glob("replay-*"))

    def batches(self):
        """{name: ids that it publishes} of the manifests that lie there."""
        found = {}
        for path in sorted((self.outbox / ".busbridge").glob("batch-*")):
            lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
            found[path.name] = [line[6] for line in lines if not line[9]]
        return found


class Sqlite:
    """A database file, and a folder for what is the worker's own beside it."""

    def __init__(self, home, typed=None):
        assert typed is None, "a database has no second intake"
        self.home, self.file, self.state = home, home / "outbox.db", home / "state"
        self.state.mkdir()
        with closing(self.open()) as db:
            db.execute("PRAGMA journal_mode = WAL")
            for script in sorted((SQL / "sqlite").glob("[0-9]*.sql")):
                db.executescript(script.read_text())
            db.execute("INSERT INTO busbridge_state (name, value) VALUES ('migration', ?)", (str(len(list((SQL / "sqlite").glob("[0-9]*.sql")))),))
            db.execute(rows.COUNTERS)

    def open(self):
        return sqlite3.connect(self.file, timeout=rows.PATIENCE, isolation_level=None)

    def ask(self, sql):
        with closing(self.open()) as db:
            answer = db.execute(sql)
            return [dict(zip([column[0] for column in answer.description], row)) for row in answer]

    def options(self):
        return {"outbox.url": f"sqlite:{self.file}", "state.dir": str(self.state)}

    def writer(self, list_path, tag, **more):
        return rows.RowWriter(f"sqlite:{self.file}", list_path, tag, **more)

    def producer(self):
        return [sys.executable, str(HERE / "rows.py"), f"sqlite:{self.file}"]

    def replace_lock(self):
        self.file.with_name(self.file.name + ".busbridge-lock").unlink(missing_ok=True)

    def lapse(self):
        """As with files."""

    def copy_to(self, other):
        """As sqlite3's .backup takes it while others write."""
        with closing(self.open()) as here, closing(other.open()) as there:
            here.backup(there)
            there.execute("PRAGMA journal_mode = WAL")

    def locked(self, worker):
        return "was locked by another program" in worker.stderr()

    def pending(self):
        return [row["name"] for row in self.ask("SELECT seq || '-' || id AS name FROM busbridge_outbox")]

    # ---- what the judge looks at ---------------------------------------------------------------------------------------------------

    def entries(self, sql):
        return {f"{row['seq']}-{row['id']}": {**row, "payload": json.loads(row["payload"])} for row in self.ask(sql)}

    def waiting(self):
        return self.entries("SELECT o.seq, o.id, o.name, o.payload, a.attempts, a.last_error FROM busbridge_outbox o "
                            "LEFT JOIN busbridge_attempt a ON a.seq = o.seq AND a.id = o.id")

    def letters(self):
        return self.entries("SELECT seq, id, name, payload, attempts, error AS last_error, reason FROM busbridge_dead")

    def content_of(self, file, letter):
        return writer.content_of(letter, "", "")

    def strange(self, letters):
        """What nobody knows any more, and what a crash may never do to the file."""
        found = self.ask("SELECT 'a note of attempts without its row: ' || seq || ' ' || id AS words FROM busbridge_attempt a "
                         "WHERE NOT EXISTS (SELECT 1 FROM busbridge_outbox o WHERE o.seq = a.seq AND o.id = a.id) UNION ALL "
                         "SELECT 'pending and dead at once: ' || d.seq || ' ' || d.id FROM busbridge_dead d JOIN busbridge_outbox o ON o.seq = d.seq AND o.id = d.id")
        check = self.ask("PRAGMA integrity_check")[0]["integrity_check"]
        mode = self.ask("PRAGMA journal_mode")[0]["journal_mode"]
        return [row["words"] for row in found] + [f"the database: {check}"] * (check != "ok") + [f"the journal mode is {mode}"] * (mode != "wal")

    def selections(self):
        return [row["n"] for row in self.ask("SELECT substr(name, 11) AS n FROM busbridge_text WHERE name LIKE 'selection/%' ORDER BY name")]

    def batches(self):
        found = self.ask("SELECT n, digest, entries FROM busbridge_batch WHERE NOT settled ORDER BY n")
        return {f"{row['n']}-{row['digest']}": list(Entries(row["entries"]).published()) for row in found}


class Postgres:
    """A database of a server that all of a run share, and a folder for what is the worker's own. BUSBRIDGE_THROUGH=pgbouncer: everybody gets there
    through one, in transaction mode. Commits that do not wait stay in the server's memory for up to ten seconds, and those of the relay's role are such."""

    server, pooler, starting, number = None, None, threading.Lock(), itertools.count(1)

    def __init__(self, home, typed=None):
        assert typed is None, "a database has no second intake"
        self.state, self.name = home / "state", f"world{next(Postgres.number)}"
        self.state.mkdir()
        with Postgres.starting:
            Postgres.server = Postgres.server or begun(postgres.Server("wal_writer_delay = 10s"))
            if os.environ.get("BUSBRIDGE_THROUGH") == "pgbouncer":
                Postgres.pooler = Postgres.pooler or begun(postgres.Pooler(Postgres.server, "relay", "application", patient=False))
        self.server.sql(f"CREATE DATABASE {self.name}")
        self.server.migrate(self.name)
        self.server.sql(f"{rows.COUNTERS}; {rows.REGISTER}; GRANT SELECT, INSERT, UPDATE ON counters, written TO application; "
                        f"ALTER ROLE relay IN DATABASE {self.name} SET synchronous_commit = off", database=self.name)

    @property
    def port(self):
        """Where workers and producers find it."""
        return (self.pooler or self.server).port

    def ask(self, sql):
        return json.loads(self.server.sql(f"SELECT coalesce(json_agg(found), '[]') FROM ({sql}) AS found", database=self.name))

    def url(self, role):
        return (self.pooler or self.server).url(role, self.name)

    def options(self):
        return {"outbox.url": self.url("relay"), "state.dir": str(self.state)}

    def writer(self, list_path, tag, **more):
        return rows.RowWriter(self.url("application"), list_path, tag, **more)

    def producer(self):
        return [sys.executable, str(HERE / "rows.py"), self.url("application")]

    def replace_lock(self):
        self.lapse()

    def lapse(self):
        """The lease has run out, as it does ten seconds after its owner was heard of last."""
        self.server.sql("UPDATE busbridge.lane SET lease_until = '-infinity'", database=self.name)

    def register(self):
        """The transactions that were committed, as the database knows it: the files of their events (rows.REGISTER)."""
        return {row["file"] for row in self.ask("SELECT file FROM written")}

    def locked(self, worker):
        return False

    def pending(self):
        return [row["name"] for row in self.ask("SELECT seq || '-' || id AS name FROM busbridge.outbox")]

    # ---- what the judge looks at ---------------------------------------------------------------------------------------------------

    def entries(self, sql):
        return {f"{row['seq']}-{row['id']}": row for row in self.ask(sql)}

    def waiting(self):
        return self.entries("SELECT o.seq, o.id, o.name, o.payload, a.attempts, a.last_error FROM busbridge.outbox o "
                            "LEFT JOIN busbridge.attempt a ON a.seq = o.seq AND a.id = o.id")

    def letters(self):
        return self.entries("SELECT seq, id, name, payload, attempts, error AS last_error, reason FROM busbridge.dead")

    def content_of(self, file, letter):
        return writer.content_of(letter, "", "")

    def strange(self, letters):
        return [row["words"] for row in self.ask(
            "SELECT 'a note of attempts without its row: ' || seq || ' ' || id AS words FROM busbridge.attempt a "
            "WHERE NOT EXISTS (SELECT 1 FROM busbridge.outbox o WHERE o.seq = a.seq AND o.id = a.id) UNION ALL "
            "SELECT 'pending and dead at once: ' || d.seq || ' ' || d.id FROM busbridge.dead d JOIN busbridge.outbox o ON o.seq = d.seq AND o.id = d.id")]

    def selections(self):
        return [row["n"] for row in self.ask("SELECT substr(name, 11) AS n FROM busbridge.text WHERE name LIKE 'selection/%' ORDER BY name")]

    def batches(self):
        found = self.ask("SELECT n, digest, encode(entries, 'hex') AS entries FROM busbridge.batch WHERE NOT settled ORDER BY n")
        return {f"{row['n']}-{row['digest']}": list(Entries(bytes.fromhex(row["entries"])).published()) for row in found}


def begun(server):
    """It ends with the run."""
    atexit.register(server.close)
    return server.start()


class Entries:
    """Those of a batch, in the form that bridge/outbox/database/journal.c tells."""

    def __init__(self, raw):
        self.raw, self.at = raw, 1
        self.topics = [self.text() for _ in range(self.number())]

    def byte(self):
        self.at += 1
        return self.raw[self.at - 1]

    def number(self):
        n, shift = 0, 0
        while (byte := self.byte()) & 128:
            n, shift = n | (byte & 127) << shift, shift + 7
        return n | byte << shift

    def text(self, length=None):
        length = self.number() if length is None else length
        self.at += length
        return self.raw[self.at - length:self.at]

    def published(self):
        """Ids, without duplicates."""
        for _ in range(self.number()):
            flags = self.byte()
            self.number()  # seq
            id = {1: lambda: str(uuid.UUID(bytes=self.text(16))), 2: lambda: self.text(16).hex()}.get(flags & 7, lambda: self.text().decode())()
            if flags & 8:
                id = self.text().decode()
            self.number()  # topic
            if not flags & 16:
                self.text()  # key
                yield id
            self.number(), self.number()  # times


KINDS = {"file": Files, "sqlite": Sqlite, "postgres": Postgres}
KIND = os.environ.get("BUSBRIDGE_STORE") or "file"


def make(home, typed=None):
    """By what stands in the environment now: a run may have rows of several kinds."""
    return KINDS[os.environ.get("BUSBRIDGE_STORE") or "file"](home, typed)
