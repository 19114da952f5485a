#!/usr/bin/python3
"""Files that no producer makes: links, FIFOs, sockets, devices, odd names, sparse giants, and files that are exchanged while the worker
looks. It never blocks, never reads or moves what lies outside, and relays what is good beside them.

BUSBRIDGE_FULL=1 exchanges for a minute instead of two seconds."""

import ctypes
import json
import os
import socket
import threading
import time

import harness

FULL = os.environ.get("BUSBRIDGE_FULL") == "1"
IN_ACCESS, IN_MODIFY, IN_OPEN = 1, 2, 0x20


class Watch:
    """Tells whether anybody opens, reads or writes what lies in a folder."""

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, os.fsencode(folder), IN_ACCESS | IN_MODIFY | IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def told(self):
        try:
            return os.read(self.fd, 65536)
        except BlockingIOError:
            return b""

    def close(self):
        os.close(self.fd)


class OddFiles(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.box = os.fsencode(self.outbox)
        self.outside = self.dir / "outside"
        self.outside.mkdir()
        self.secrets = [self.outside / f"secret-{i}.json" for i in range(3)]
        for path in self.secrets:
            path.write_bytes(self.text(path.stem))
        self.before = self.look_outside()
        self.watch = Watch(self.outside)
        self.addCleanup(self.watch.close)

    def text(self, id):
        return json.dumps({"id": id, "name": "plot.updated", "payload": {"plot_id": "p"}, "status": "pending", "storage_key": id}).encode()

    def put(self, name, id):
        """A good entry under any name, of bytes too; whole at once."""
        temporary = self.box + b"/.writing"
        with open(temporary, "wb") as f:
            f.write(self.text(id))
        os.rename(temporary, self.box + b"/" + name)

    def look_outside(self):
        return {p.name: (p.stat().st_ino, p.stat().st_nlink, p.stat().st_mtime_ns, p.read_bytes()) for p in self.outside.iterdir()}

    def judge_outside(self):
        self.assertEqual(self.watch.told(), b"", "something outside was opened")
        self.assertEqual(self.look_outside(), self.before)

    def published(self):
        return [r.headers["ce_id"].decode() for r in self.drain("plot.events")]

    # ---- what lies there ----------------------------------------------------------------------------------------------------------

    def links(self):
        """Every kind of link; all stay as they are."""
        far = os.fsencode(self.secrets[0])
        targets = [far, b"../outside/secret-1.json", os.fsencode(self.outside), b"/nowhere/x.json", b"loop.json", b"link0.json", b"fifo.json",
                   b"/dev/zero", b"/dev/tty", b"/proc/self/mem", b"/proc/self/fd/0", b"/etc/shadow", b".", b"x" * 4000]
        for n, target in enumerate(targets):
            os.symlink(target, self.box + b"/link%d.json" % n)
        os.symlink(b"loop.json", self.box + b"/loop.json")
        os.makedirs(self.box + b"/dlq", exist_ok=True)
        os.symlink(far, self.box + b"/dlq/link.json")
        self.put(b"two.json", "two")
        os.link(self.box + b"/two.json", self.box + b"/names.json")
        self.put(b"three.json", "three")
        os.link(self.box + b"/three.json", self.box + b"/three.kept")
        return [b"link%d.json" % n for n in range(len(targets))] + [b"loop.json", b"dlq/link.json", b"two.json", b"names.json", b"three.json"]

    def specials(self):
        """What may block or have no end; all stay."""
        names = [b"fifo.json", b"held.json", b"socket.json", b"folder.json", b"dlq/fifo.json"]
        for name in (b"fifo.json", b"held.json", b"dlq/fifo.json"):
            os.mkfifo(self.box + b"/" + name)
        writer = os.open(self.box + b"/held.json", os.O_RDWR)  # a reader of it would wait for its words
        self.addCleanup(os.close, writer)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        here = os.open(self.box, os.O_RDONLY)
        self.addCleanup(os.close, here)
        listener.bind(f"/proc/self/fd/{here}/socket.json")
        os.makedirs(self.box + b"/folder.json/inner.json")
        for number, (name, mode, device) in enumerate(((b"null", 0o020666, (1, 3)), (b"zero", 0o020666, (1, 5)), (b"disk", 0o060666, (7, 9)))):
            try:
                os.mknod(self.box + b"/%s.json" % name, mode, os.makedev(*device))
                names.append(b"%s.json" % name)
            except PermissionError:
                if number == 0:
                    print("not root: no devices", flush=True)
        return names

    def names(self):
        """Odd names: of entries, which are published, and of other files, which stay."""
        entries = [b" .json", b"-rf.json", b"--.json", b"*.json", b"%s%n.json", b"a\nb.json", b"\x1b[31mred.json", b"\xff\xfe.json", "筋.json".encode(),
                   "\u202egpj.json".encode(), b"$(reboot).json", b"'; rm -rf x;'.json", b"con.json", b"a..json", b"a\\b.json", b"~.json", b"x" * 250 + b".json"]
        others = [b".json", b"..json", b".hidden.json", b"a.JSON", b"a.json~", b"a.json.tmp", b"a.json ", b"json", b"x" * 255, b"core", b"a.jsonl"]
        for n, name in enumerate(entries):
            self.put(name, f"name-{n}")
        for n, name in enumerate(others):
            self.put(name, f"other-{n}")
        return [f"name-{n}" for n in range(len(entries))], others

    def giants(self):
        """Sparse files: set aside unread, or read up to the limit and set aside; {stem: reason}"""
        sizes = {"tera": 1 << 40, "giga": 1 << 30, "above": (1 << 20) + 1, "limit": 1 << 20}
        for stem, size in sizes.items():
            with open(self.outbox / f"{stem}.json", "wb") as f:
                f.truncate(size)
        return {stem: "not_json" if stem == "limit" else "too_large" for stem in sizes}

    def status_of(self, name):
        s = os.lstat(self.box + b"/" + name)
        return s.st_ino, s.st_mode, s.st_nlink, s.st_size, s.st_mtime_ns

    def test_odd_files_stay_or_are_set_aside_and_the_good_beside_them_are_published(self):
        stay = self.links() + self.specials()
        good, others = self.names()
        giants = self.giants()
        stay += others
        before = {name: self.status_of(name) for name in stay}
        count = len(stay) + len(good) + len(giants)
        self.assertGreaterEqual(count, 45)
        worker = self.start_worker(options={"outbox.settle": "100ms", "flush.interval": "500ms"})
        last = self.entry("plot.updated", {"plot_id": "p"})
        harness.wait_until(lambda: len(self.published()) == len(good) + 1 and len(self.dead_giants()) == len(giants), what="the good ones are published")
        for command in (("list",), ("list", "--dlq"), ("health",), ("doctor",), ("verify",)):  # they meet the same files
            self.run_cli(*command)
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(self.published()), sorted([*good, last]))
        self.assertEqual({name: self.status_of(name) for name in stay}, before)
        self.assertEqual(self.dead_giants(), giants)
        self.assertTrue(worker.logs("entry_odd"))
        self.assertNotIn("\x1b", worker.stderr())
        self.judge_outside()
        print(f"{count} odd files", flush=True)

    def dead_giants(self):
        folder = self.outbox / "dlq"
        return {p.stem: json.loads(p.with_suffix(".json").read_bytes())["reason"] for p in folder.glob("*.raw")}

    # ---- races ----------------------------------------------------------------------------------------------------------------------

    def swaps(self):
        """One name after the other becomes an entry, a link, a FIFO, a folder, nothing; and so does the folder pending/."""
        pending, away = self.box + b"/pending", self.box + b"/.away"
        while not self.stop.is_set():
            self.serial = serial = self.serial + 1
            name, temporary = self.box + b"/swap%d.json" % (serial % 7), self.box + b"/.swap"
            kind = serial % 5
            if kind == 0:
                self.written.append(f"good-{serial}")
                self.put(os.path.basename(name), self.written[-1])
            elif kind == 1:
                os.symlink(os.fsencode(self.secrets[serial % 3]), temporary)
                os.rename(temporary, name)
            elif kind == 2:
                os.mkfifo(temporary)
                os.rename(temporary, name)
            elif kind == 3:
                self.change_pending(pending, away, serial)
            else:
                try:
                    os.unlink(name)
                except OSError:
                    pass
            time.sleep(self.rest * (serial % 3))

    def change_pending(self, pending, away, serial):
        """The folder goes, a link to one outside stands in its place for a moment, it comes back with an entry in it."""
        os.makedirs(pending, exist_ok=True)
        os.rename(pending, away)
        os.symlink(os.fsencode(self.outside), pending)
        time.sleep(self.rest)
        os.unlink(pending)
        os.rename(away, pending)
        self.written.append(f"inner-{serial}")
        with open(away + b"-new", "wb") as f:
            f.write(self.text(self.written[-1]))
        os.rename(away + b"-new", pending + b"/inner-%d.json" % serial)

    def test_nothing_outside_is_read_or_moved_while_files_are_exchanged(self):
        self.written, self.serial, self.rest, self.stop, failed = [], 0, 0.0005, threading.Event(), []

        def work():
            try:
                self.swaps()
            except BaseException as why:
                failed.append(why)
        worker = self.start_worker(options={"flush.interval": "100ms", "outbox.settle": "50ms", "log.level": "info"})
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(60 if FULL else 2)
        self.stop.set()
        thread.join()
        self.assertEqual(failed, [])
        for name in os.listdir(self.box):  # what is not an entry goes, so that the end can be seen
            path = self.box + b"/" + name
            if name.startswith(b"swap") and not (os.path.isfile(path) and not os.path.islink(path)):
                os.unlink(path)
        self.written.append(self.entry("plot.updated", {"plot_id": "p"}))
        harness.wait_until(lambda: not self.pending() or not worker.running(), what="everything is relayed")
        self.assertEqual(worker.stop(), 0)
        published = self.published()
        self.assertEqual(len(published), len(set(published)), "one was published twice")
        self.assertEqual(set(published) - set(self.written), set())
        inner = {id for id in self.written if not id.startswith("good-")}  # nobody replaced those
        self.assertEqual(inner - set(published), set())
        self.assertEqual(self.dead(), {})
        self.judge_outside()
        print(f"{self.serial} exchanges, {len(self.written)} entries, {len(published)} published", flush=True)


if __name__ == "__main__":
    harness.main()
