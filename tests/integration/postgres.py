#!/usr/bin/python3
"""A real PostgreSQL of Debian's package, and a pgbouncer before it, for tests: on free loopback ports and a socket of their own, in a folder
of their own.

    postgres.py start FILE    start a server (without fsync: it is never killed), write {"dir", "port", "pid", "version", "url", "psql"} to FILE
                              as JSON, return when it answers
    postgres.py stop FILE     end that server and remove its folder
    postgres.py serve         likewise, but written to standard output, and until standard input ends

`start` and `serve` exit 77 with "SKIPPED: why" where no server is installed, or 1 if CI=true is set. As a module: class Server, for tests that kill
theirs, and class Pooler. The superuser is `postgres`; whoever comes from this machine is believed to be who he says, unless a test asks
for passwords.
"""

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import kafka_wire  # noqa: E402
from broker import Unavailable, cache_folder, free_port  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = kafka_wire.PATIENCE
SQL = ROOT / "schemas/sql/postgres"

CONFIG = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{dir}'
max_connections = 200
shared_buffers = 32MB
max_wal_size = 256MB
log_line_prefix = '%m [%p] %q%u@%d '
lc_messages = 'C'
"""


def binaries():
    """Folder of the newest server's programs."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found:
        raise Unavailable("no PostgreSQL server is installed (Debian's package postgresql)")
    return max(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))


def somebody():
    """Whom a server runs as: itself refuses root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        except KeyError:
            continue
    raise Unavailable("a PostgreSQL server does not run as root, and there is no user postgres or nobody")


def own_folder(name, parent=None):
    folder = Path(tempfile.mkdtemp(prefix=f"busbridge-{name}-", dir=parent))
    who = somebody()
    if who:
        os.chown(folder, who["user"], who["group"])
    return folder


def alive(pid, folder):
    """Is pid still the server of that folder (and not a zombie, nor another process under the same number)?"""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z" and str(folder).encode() in line


def end(pid, folder):
    """At once (SIGQUIT), then KILL. Only ever that server."""
    for sig, seconds in ((signal.SIGQUIT, 20), (signal.SIGKILL, 10)):
        if alive(pid, folder):
            os.kill(pid, sig)
        deadline = time.monotonic() + seconds
        while alive(pid, folder) and time.monotonic() < deadline:
            time.sleep(0.02)


# Told a folder; waits until standard input ends, as it does with whoever holds the other end, by SIGKILL too. The server is the one that
# works in its data folder, not whoever has its number by then.
WATCH = """
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
[ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ] && kill -QUIT "$pid"
while [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; do sleep 0.1; done
rm -rf "$1"
"""


def run(command, **more):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=2 * PATIENCE, **more)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout.decode(errors='replace')[-2000:]}")


class SqlError(Exception):
    """What psql said; .state: the SQLSTATE."""

    def __init__(self, text):
        super().__init__(text)
        found = re.search(r"(?:ERROR|FATAL): +([0-9A-Z]{5}):", text)
        self.state = found.group(1) if found else None


class Server:
    """A server of one's own. start() again after stop() or kill9(): same port, same data. close() removes everything, and so does the
    end of the test, unless the server is to outlive it."""

    def __init__(self, config="", fsync=True, hba=None, outlives=False, parent=None):
        self.config = config + ("" if fsync else "\nfsync = off\nfull_page_writes = off\nsynchronous_commit = off\n")
        self.hba = hba  # pg_hba.conf's text, or nobody is asked for a password
        self.dir = self.process = self.port = self.bin = self.watch = None
        self.outlives, self.parent = outlives, parent  # parent: where its folder is to lie

    @property
    def version(self):
        return int(re.sub(r"\D", "", self.bin.parent.name))

    def url(self, user="postgres", database="postgres", more=""):
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}{more}"

    def _prepare(self):
        self.bin = binaries()
        self.dir, self.port = own_folder("postgres", self.parent), free_port()
        if not self.outlives:
            self.watch = subprocess.Popen(["sh", "-c", WATCH, "watch", str(self.dir)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL, start_new_session=True)
        run([self.bin / "initdb", "--no-sync", "-D", self.dir / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
            cwd=self.dir, **somebody())
        with open(self.dir / "data/postgresql.conf", "a", encoding="utf-8") as file:
            file.write(CONFIG.format(port=self.port, dir=self.dir) + self.config)
        if self.hba:
            (self.dir / "data/pg_hba.conf").write_text(self.hba)

    def start(self):
        if self.dir is None:
            self._prepare()
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen([str(self.bin / "postgres"), "-D", str(self.dir / "data")], cwd=self.dir, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True, **somebody())
        deadline = time.monotonic() + 2 * PATIENCE
        while subprocess.run([str(self.bin / "pg_isready"), "-q", "-h", str(self.dir), "-p", str(self.port)], check=False,
                             timeout=PATIENCE).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL does not answer: " + (self.dir / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)
        return self

    def sql(self, text, user="postgres", database="postgres", **variables):
        """Run by psql in one session; the rows of its answers as text, columns divided by |."""
        pairs = [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
        done = subprocess.run([str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-h", str(self.dir), "-p", str(self.port), "-U", user, "-d", database,
                               "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", *pairs, "-f", "-"],
                              input=text, capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
                              env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"})
        if done.returncode:
            raise SqlError(done.stderr)
        return done.stdout.strip()

    def migrate(self, database="postgres", schema="busbridge", application="application", relay="relay"):
        """An outbox, as our own SQL makes it, and its two roles."""
        for file in sorted(SQL.glob("[0-9]*.sql")):
            self.sql(file.read_text(), database=database, schema=schema)
        self.migrate_roles(database, schema, application, relay)

    def migrate_roles(self, database="postgres", schema="busbridge", application="application", relay="relay"):
        self.sql((SQL / "roles.sql").read_text(), database=database, schema=schema, application=application, relay=relay)

    def log(self):
        return (self.dir / "log").read_text(errors="replace")

    def stop(self):
        if self.process:
            end(self.process.pid, self.dir)
            self.process.wait()

    def kill9(self):
        """All its processes die at once: what they had not written is gone, asynchronous commits among it."""
        self.process.kill()
        for pid in self.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        deadline = time.monotonic() + PATIENCE
        while self.children() and time.monotonic() < deadline:
            time.sleep(0.01)

    def children(self):
        """Whoever works in its data folder, as all processes of a server do."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and os.readlink(folder / "cwd") == str(self.dir / "data"):
                    found.append(int(folder.name))
            except OSError:
                continue
        return [pid for pid in found if pid != self.process.pid]

    def close(self):
        self.stop()
        if self.watch:
            self.watch.stdin.close()
            self.watch.wait()
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()


class Pooler:
    """A pgbouncer in transaction mode before a Server, for these users. Nothing of what it may be told to ignore is ignored."""

    def __init__(self, server, *users, patient=True):
        """patient: as it comes, it tries a server that was away again after a quarter of a minute only."""
        self.server, self.users, self.retry = server, users, 15 if patient else 1
        self.dir = self.process = self.port = None

    @staticmethod
    def fetched():
        """None: it is installed. Else the folder where tests/tools/fetch put the program out of its package, with its libraries."""
        folder = cache_folder() / "pgbouncer"
        if shutil.which("pgbouncer"):
            return None
        if (folder / "pgbouncer").exists():
            return folder
        raise Unavailable("there is no pgbouncer (tests/tools/fetch pgbouncer)")

    def _program(self):
        """The cache may be nobody else's to look into: a copy of it is run."""
        fetched = self.fetched()
        if fetched is None:
            return "pgbouncer", {}
        shutil.copytree(fetched, self.dir / "program")
        os.chmod(self.dir / "program", 0o755)
        return str(self.dir / "program/pgbouncer"), {"LD_LIBRARY_PATH": str(self.dir / "program")}

    def url(self, user, database="postgres"):
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self):
        self.dir, self.port = own_folder("pgbouncer"), free_port()
        program, environment = self._program()
        (self.dir / "users").write_text("".join(f'"{user}" ""\n' for user in self.users))
        (self.dir / "ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\n"
            f"unix_socket_dir =\nauth_type = trust\nauth_file = {self.dir}/users\npool_mode = transaction\n"
            f"default_pool_size = 5\nserver_login_retry = {self.retry}\n")
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen([program, "-q", str(self.dir / "ini")], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **environment}, **somebody())
        deadline = time.monotonic() + PATIENCE
        while subprocess.run([str(self.server.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False,
                             timeout=PATIENCE).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("pgbouncer does not answer: " + (self.dir / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)
        return self

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)


def facts(server):
    return {"dir": str(server.dir), "port": server.port, "pid": server.process.pid, "version": server.version, "url": server.url(),
            "psql": str(server.bin / "psql")}


def serve():
    """A server as long as standard input is open: it ends with whoever asked for it, however that ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # who ends a test that hangs ends its whole group
    with Server(fsync=False) as server:
        server.migrate()
        print(json.dumps(facts(server)), flush=True)
        sys.stdin.read()


def command_stop(file):
    try:
        known = json.loads(Path(file).read_text())
    except (OSError, ValueError):
        return
    if Path(known["dir"]).name.startswith("busbridge-postgres-"):
        end(known["pid"], known["dir"])
        shutil.rmtree(known["dir"], ignore_errors=True)
        os.unlink(file)


def command_start(file):
    command_stop(file)  # what an interrupted run left
    server = Server(fsync=False, outlives=True)
    try:
        server.start().migrate()
    except BaseException:
        server.close()
        raise
    Path(file + ".tmp").write_text(json.dumps(facts(server)))
    os.replace(file + ".tmp", file)
    print(f"PostgreSQL {server.version} on port {server.port}, pid {server.process.pid}")


def main(arguments):
    commands = {("start", 2): command_start, ("stop", 2): command_stop, ("serve", 1): serve}
    command = commands.get((arguments[0] if arguments else "", len(arguments)))
    if not command:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        command(*arguments[1:])
    except Unavailable as why:
        print(f"SKIPPED: {why}", flush=True)
        return 1 if os.environ.get("CI") == "true" else 77
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
