"""A full disk, or one without inodes: the worker says so, publishes on where it can, and goes on by itself (fault 11)."""

import os
import shutil
import subprocess

from row import Skipped
from world import harness, time

TRIALS = (2, 50)


def run(row):
    if os.geteuid() != 0:
        raise Skipped("a small tmpfs can be mounted by root alone")
    row.each(trial, at_once=2)


class Small:
    """A tmpfs of its own over the outbox."""

    def __init__(self, folder, options):
        self.folder = folder
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise Skipped(f"mount: {done.stderr.strip()}")

    def fill_bytes(self):
        try:
            with open(self.folder / "filler", "wb", buffering=0) as f:
                while f.write(b"x" * 4096):
                    pass
        except OSError:
            pass

    def fill_inodes(self):
        (self.folder / "fillers").mkdir(exist_ok=True)
        try:
            for n in range(100000):
                (self.folder / f"fillers/{n}").touch()
        except OSError:
            pass

    def free(self):
        subprocess.run(["rm", "-rf", str(self.folder / "filler"), str(self.folder / "fillers")], check=True)

    def unmount(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


def trial(t):
    """Full before the worker starts or while it runs; good events and poison, which needs space to be set aside."""
    world = t.world()
    inodes = t.rng.random() < 0.4
    # The reserve takes 2 MiB of it.
    disk = Small(world.outbox, "size=8m,nr_inodes=600" if inodes else "size=8m")
    try:
        fill = disk.fill_inodes if inodes else disk.fill_bytes
        trouble(t, world, disk, fill)
    finally:
        for program in world.programs:
            program.kill()
        shutil.copytree(world.outbox, world.dir / "as-it-was", ignore=shutil.ignore_patterns("*.sock", "filler*"))
        disk.unmount()


def trouble(t, world, disk, fill):
    writer = world.writer(keys=3, seed=t.number)
    if t.rng.random() < 0.7:
        world.once()  # its own folder and reserve are made while there is space
    for _ in range(t.rng.randrange(20, 60)):
        writer.write(t.rng.choices(("good", "mismatch", "garbage", "refused"), (20, 1, 1, 1))[0])
    before = t.rng.random() < 0.5
    if before:
        fill()
    worker = world.worker()
    if not before:
        time.sleep(t.rng.uniform(0, 0.4))
        fill()
    time.sleep(1.5)
    for _ in range(5):
        writer.write()  # mostly not accepted: the disk is full for the producer too
    def fine():
        said = "space" in worker.stderr() or "outbox_write_failed" in worker.stderr()
        return said or not world.pending() or not worker.running()
    try:
        harness.wait_until(fine, 10)
    except AssertionError:
        t.check("I9", False, f"a full disk is not told: {worker.stderr()[-1500:]}")
    disk.free()
    began = time.monotonic()
    if not worker.running():  # a start without space may fail, with words; one that runs may not end
        t.row.note("starts refused by a full disk")
        t.check("I9", before and worker.process.returncode == 1, f"the worker ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
        worker = world.worker()
    for _ in range(5):
        writer.write()
    writer.close()
    harness.wait_until(lambda: not world.pending() or not worker.running(), 60, "everything is relayed when there is space again")
    t.within(began, "going on after a full disk")
    t.check("I9", worker.running() and worker.stop() == 0, f"the worker ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    t.judge(world)
