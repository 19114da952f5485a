#!/usr/bin/python3
"""Many files at once: what inotify could not tell is found by a scan, and files of the producer's own do not hide the one that waits.

BUSBRIDGE_FULL=1: 300,000 files that the producer dispatched itself instead of 3,000. A million entries: tests/bench/run."""

import os
import signal
import unittest
from pathlib import Path

import harness

FULL = os.environ.get("BUSBRIDGE_FULL") == "1"
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
OVERFLOWS = 10


class Flood(harness.BusTest):
    def drown(self):
        """More notices than the kernel keeps for one who does not read them: the same file under two names in turn."""
        a, b = self.outbox / ".a", self.outbox / ".b"
        a.touch()
        for _ in range(int(QUEUE.read_text()) // 2 + 100):
            a.rename(b)
            b.rename(a)
        a.unlink()

    def test_ten_overflows_of_notices_lose_nothing_and_keep_the_order(self):
        if int(QUEUE.read_text()) > 100000:
            raise unittest.SkipTest(f"{QUEUE} is too large to be filled in a moment")
        worker, order, serial = self.start_worker(options={"flush.interval": "1h"}), {}, 0  # nothing but an overflow makes it scan
        for round in range(OVERFLOWS):
            worker.signal(signal.SIGSTOP)
            if round % 2:
                self.drown()
            for _ in range(20):  # told before the overflow, or never
                serial += 1
                id = self.entry("plot.updated", {"plot_id": f"p{serial % 3}"}, created_at=f"2025-09-22T03:{serial // 60:02}:{serial % 60:02}+00:00")
                order.setdefault(f"p{serial % 3}", []).append(id)
            if not round % 2:
                self.drown()
            worker.signal(signal.SIGCONT)
            harness.wait_until(lambda: not self.pending(), what=f"all is relayed after overflow {round + 1}")
        self.assertEqual(worker.stop(), 0)
        got = {}
        for r in self.drain("plot.events"):
            got.setdefault(r.key.decode(), []).append(r.headers["ce_id"].decode())
        self.assertEqual(got, order)
        print(f"{OVERFLOWS} overflows, {serial} entries", flush=True)

    def test_one_pending_behind_files_that_the_producer_dispatched_itself(self):
        count, window = (300000, {}) if FULL else (3000, {"outbox.window": 1000})
        for n in range(count):
            fd = os.open(self.outbox / f"{n:06}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(fd, b'{"id": "%d", "name": "plot.updated", "payload": {"plot_id": "p"}, "attempts": 1, "status": "dispatched"}' % n)
            os.close(fd)
        before = self.look()
        self.assertEqual(len(before), count)
        waiting = self.entry("plot.updated", {"plot_id": "p"})
        worker = self.start_worker(options={"flush.interval": "1s", "log.level": "info", **window})
        harness.wait_until(lambda: not (self.outbox / f"{waiting}.json").exists(), what="the one that waits is published")
        late = self.entry("plot.updated", {"plot_id": "p"})
        harness.wait_until(lambda: not (self.outbox / f"{late}.json").exists(), what="and one that comes later")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual([r.headers["ce_id"].decode() for r in self.drain("plot.events")], [waiting, late])
        self.assertEqual(self.look(), before)
        self.assertEqual(self.dead(), {})
        print(f"{count} files of the producer's own", flush=True)

    def look(self):
        """Inode and times of every file of the producer's own."""
        found = {}
        with os.scandir(self.outbox) as folder:
            for item in folder:
                if item.name.endswith(".json"):
                    s = item.stat(follow_symlinks=False)
                    found[item.name] = (s.st_ino, s.st_nlink, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
        return found


if __name__ == "__main__":
    harness.main()
