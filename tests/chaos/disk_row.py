"""A full disk, or one without inodes: the worker says so, publishes on where it can, and goes on by itself (fault 11)."""

import small
from world import harness, time

TRIALS = (2, 50)


def run(row):
    small.private_mounts()
    row.each(trial, at_once=2)


def trial(t):
    """Full before the worker starts or while it runs; good events and poison, which needs space to be set aside."""
    inodes = t.rng.random() < 0.4
    # The reserve takes 2 MiB of it.
    world = t.world(disk="size=8m,nr_inodes=600" if inodes else "size=8m")
    trouble(t, world, world.disk, world.disk.fill_inodes if inodes else world.disk.fill_bytes)


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
        starting = before or not worker.logs("started")  # on a slow machine it was full before it ran
        t.check("I9", starting and worker.process.returncode == 1, f"the worker ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
        worker = world.worker()
    for _ in range(5):
        writer.write()
    writer.close()
    harness.wait_until(lambda: not world.pending() or not worker.running(), what="everything is relayed when there is space again")
    t.took(began, "going on after a full disk")
    t.check("I9", worker.running() and worker.stop() == 0, f"the worker ended with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    t.judge(world)
