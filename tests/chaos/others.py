#!/usr/bin/python3
"""Others' hands on an outbox that a worker drains: what chmod -R, a backup, rsync or an operator do to its files and folders.

    others.py OUTBOX ASIDE SAID --deeds A,B,... [--seed S] [--pause SECONDS] [--whole]

Until its standard input is closed; a byte there makes it answer with a line and wait for another byte, between two deeds. ASIDE: a folder on
the same file system. SAID gets a line of JSON for each name whose place in the order the deed may have changed (its file time is new, or it was
not to be read for a while), with "again" where an entry was brought back although none lay at its name; and at the end the counts.

No deed destroys an entry: a copy is exchanged with what lies at the name, or put there where nothing does. Only `restore` does the latter: each
accepted event is still to be published exactly once, and once more, at most, for each "again" where nothing remembers its id.
"""

import argparse
import ctypes
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]
import small  # noqa: E402
from writer import LATEST  # noqa: E402

FOREIGN_USER = 12345
NOT_OVER, EXCHANGE = 1, 2
REMEMBERED, RESTORED = 200, 10  # entries of a backup that may come back; so many in one go
FULL_FOR = 0.7  # seconds at most
LARGEST_DISK = 1 << 28  # a disk that is not a trial's own is never filled
libc = ctypes.CDLL(None, use_errno=True)


def exchange(a, b, how=EXCHANGE):
    """Two names change places (NOT_OVER: a becomes b, which is free), or OSError: neither is touched."""
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), how):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(a))


class Others:
    def __init__(self, outbox, aside, said, seed, whole):
        self.whole = whole
        self.outbox, self.aside, self.rng = Path(outbox), Path(aside), random.Random(seed)
        self.said, self.counts, self.serial = open(said, "a"), Counter(), 0
        self.older, self.filler, self.full_until = {}, self.aside / "filler", None

    def fresh(self, what):
        self.serial += 1
        return f"{what}-{os.getpid()}-{self.serial}"

    def tell(self, path, **more):
        self.said.write(json.dumps({"file": path.name, **more}) + "\n")
        self.said.flush()

    def entries(self, dead=True):
        """All that lie there, or a few of them; now and then none."""
        found = []
        for folder in (self.outbox, self.outbox / "pending", *([self.outbox / "dlq"] if dead else [])):
            try:
                found += [e.path for e in os.scandir(folder) if e.name.endswith(".json") and not e.name.startswith(".")]
            except OSError:
                continue
        if self.rng.random() < 0.7 and len(found) > 20:
            found = self.rng.sample(found, 20)
        return [Path(p) for p in found]

    def each(self, deed, dead=True):
        for path in self.entries(dead):
            try:
                deed(path)
            except OSError:
                continue  # it went while we looked at it

    # ---- metadata --------------------------------------------------------------------------------------------------------------

    def chmod(self):
        mode = self.rng.choice((0o600, 0o640, 0o660, 0o666))
        self.each(lambda p: os.chmod(p, mode))

    def chown(self):
        user = self.rng.choice((0, FOREIGN_USER))
        self.each(lambda p: os.chown(p, user, user))

    def setxattr(self):
        value = str(self.rng.random()).encode()
        self.each(lambda p: os.setxattr(p, "user.seen", value))

    def touch_read(self):
        def deed(path):
            os.utime(path, ns=(time.time_ns(), os.stat(path).st_mtime_ns))
        self.each(deed)

    def touch(self):
        def deed(path):
            self.tell(path)
            os.utime(path)
        self.each(deed)

    def link(self):
        """A backup of hard links, which are removed a little later."""
        links = []

        def deed(path):
            self.tell(path)
            links.append(self.aside / self.fresh("link"))
            os.link(path, links[-1])
        self.each(deed)
        time.sleep(self.rng.uniform(0, 0.05))
        for path in links:
            path.unlink(missing_ok=True)

    # ---- the same bytes again --------------------------------------------------------------------------------------------------

    def rsync(self):
        """A copy under a temporary name takes the place of the file, with its times; what came out is removed."""
        self.each(lambda p: self.replace_by_copy(p, keep_time=True), dead=False)

    def replace_by_copy(self, path, keep_time):
        if path.name in LATEST:  # a newer event may come in between, and an old copy over it would destroy it: our doing, not the relay's
            return
        temporary = path.with_name("." + self.fresh(path.name))
        try:
            text, was = path.read_bytes(), os.stat(path)
            self.tell(path)  # with its old time too: a name that is written again comes at the place of the later file
            temporary.write_bytes(text)
            if keep_time:
                os.utime(temporary, ns=(was.st_atime_ns, was.st_mtime_ns))
            if path.read_bytes() != text:  # the relay rewrote it meanwhile: nobody copies over that
                return
            exchange(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def save_again(self):
        """As an editor saves: a new file of the same bytes, of now."""
        self.each(lambda p: self.replace_by_copy(p, keep_time=False), dead=False)

    def overwrite(self):
        """The same bytes into the same file."""
        def deed(path):
            self.tell(path)
            fd = os.open(path, os.O_RDWR)
            try:
                os.pwrite(fd, os.pread(fd, 1 << 20, 0), 0)
            finally:
                os.close(fd)
        self.each(deed, dead=False)

    def cp_p(self):
        """cp -p of the file to a backup and back: cut to nothing, filled, its time as before. In two steps it is half for a moment."""
        if self.full_until or self.whole:  # on a full disk it might not be filled again: our doing, not the relay's
            return

        def deed(path):
            fd = os.open(path, os.O_RDWR)
            try:
                was, text = os.fstat(fd), os.pread(fd, 1 << 20, 0)
                self.tell(path)
                os.ftruncate(fd, 0)
                if self.rng.random() < 0.1:
                    os.pwrite(fd, text[:len(text) // 2], 0)
                    time.sleep(self.rng.uniform(0, 0.02))
                os.pwrite(fd, text, 0)
                os.utime(fd, ns=(was.st_atime_ns, was.st_mtime_ns))
            finally:
                os.close(fd)
        self.each(deed, dead=False)

    # ---- folders ---------------------------------------------------------------------------------------------------------------

    def dlq_moved(self):
        """mv dlq dlq.old, and a new one at once, a little later or not at all."""
        os.rename(self.outbox / "dlq", self.aside / self.fresh("dlq"))
        self.made_again(self.outbox / "dlq")

    def sent_emptied(self):
        for path in (self.outbox / "sent").iterdir():
            os.rename(path, self.aside / self.fresh("sent"))

    def sent_moved(self):
        os.rename(self.outbox / "sent", self.aside / self.fresh("sentfolder"))
        self.made_again(self.outbox / "sent")

    def pending_removed(self):
        os.rmdir(self.outbox / "pending")  # only an empty one: what lay there would be taken away with it
        self.made_again(self.outbox / "pending")

    def tmp_removed(self):
        os.rmdir(self.outbox / ".busbridge/tmp")
        self.made_again(self.outbox / ".busbridge/tmp")

    def made_again(self, folder):
        how = self.rng.random()
        if how < 0.3:
            return
        if how < 0.6:
            time.sleep(self.rng.uniform(0, 0.2))
        folder.mkdir(exist_ok=True)

    # ---- a backup comes back ---------------------------------------------------------------------------------------------------

    def restore(self):
        """Some entries of a backup made earlier, with their old times; beside a worker or while none runs, as it happens."""
        if not self.older or self.rng.random() < 0.2:
            self.each(self.remember, dead=False)
            return
        for path in self.rng.sample(list(self.older), min(RESTORED, len(self.older))):
            by_rename = self.full_until or self.whole or self.rng.random() < 0.5
            (self.as_rsync if by_rename else self.as_cp)(path, *self.older[path])

    def remember(self, path):
        text, was = path.read_bytes(), os.stat(path)
        try:
            json.loads(text)
        except ValueError:
            return  # half of it, as it may be while cp_p has it in hand
        if path.name not in LATEST:  # the copy of an older one under its name would destroy the newer
            if len(self.older) == REMEMBERED:
                self.older.pop(next(iter(self.older)))
            self.older[path] = text, (was.st_atime_ns, was.st_mtime_ns)

    def as_rsync(self, path, text, times):
        temporary = path.with_name("." + self.fresh(path.name))
        try:
            temporary.write_bytes(text)
            os.utime(temporary, ns=times)
            self.tell(path)
            try:
                exchange(temporary, path)
            except FileNotFoundError:
                self.tell(path, again=True)
                exchange(temporary, path, NOT_OVER)
        finally:
            temporary.unlink(missing_ok=True)

    def as_cp(self, path, text, times):
        try:
            self.tell(path)
            fd = os.open(path, os.O_WRONLY)
            os.ftruncate(fd, 0)
        except FileNotFoundError:
            self.tell(path, again=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            os.pwrite(fd, text, 0)
            os.utime(fd, ns=times)
        finally:
            os.close(fd)

    # ---- the disk --------------------------------------------------------------------------------------------------------------

    def fill(self):
        """The next deeds, the producer and the worker find it full, until a later one or a clock frees it."""
        disk = os.statvfs(self.aside)
        if self.full_until:
            self.free()
        elif disk.f_blocks * disk.f_frsize <= LARGEST_DISK:
            small.fill(self.filler)
            self.full_until = time.monotonic() + FULL_FOR

    def free(self):
        self.filler.unlink(missing_ok=True)
        self.full_until = None

    # ---- looking ---------------------------------------------------------------------------------------------------------------

    def backup(self):
        """A copy of everything while it changes, thrown away."""
        copy = self.aside / self.fresh("backup")
        try:
            shutil.copytree(self.outbox, copy, ignore=shutil.ignore_patterns("*.sock"))
        except (OSError, shutil.Error):
            pass
        shutil.rmtree(copy, ignore_errors=True)

    # ---- the run ---------------------------------------------------------------------------------------------------------------

    def do(self, deed):
        try:
            getattr(self, deed)()
            self.counts[deed] += 1
        except OSError:
            self.counts[deed + " not possible"] += 1

    def run(self, deeds, pause):
        os.set_blocking(0, False)
        while not ended():
            self.do(self.rng.choice(deeds))
            time.sleep(self.rng.uniform(0, 2 * pause))
            if self.full_until and time.monotonic() > self.full_until:
                self.free()
        self.free()
        self.said.write(json.dumps({"counts": self.counts}) + "\n")
        self.said.close()


METADATA = ("chmod", "chown", "setxattr", "touch_read", "touch", "link")
SAME_BYTES = ("rsync", "save_again", "overwrite", "cp_p")
FOLDERS = ("dlq_moved", "sent_emptied", "sent_moved", "pending_removed", "tmp_removed")
LOOKING = ("backup",)
BACK = ("restore",)
DISK = ("fill",)


def ended():
    try:
        word = os.read(0, 1)
    except BlockingIOError:
        return False
    if word:
        print("held", flush=True)
        os.set_blocking(0, True)
        word = os.read(0, 1)
        os.set_blocking(0, False)
    return word == b""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("outbox")
    parser.add_argument("aside")
    parser.add_argument("said")
    parser.add_argument("--deeds", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.02)
    parser.add_argument("--whole", action="store_true", help="no file is cut to nothing and filled again")
    o = parser.parse_args()
    Others(o.outbox, o.aside, o.said, o.seed, o.whole).run(o.deeds.split(","), o.pause)


if __name__ == "__main__":
    main()
