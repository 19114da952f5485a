"""One, two and four workers on an outbox in a database: its owner is paused or cut off for longer than its lease or less, killed, told to stop (fault 41)."""

import postgres
from standbys import Wire
from world import harness, signal, time

STORES = {"postgres": (3, 100)}  # files have no lease
LEASE = 10
BUSY = 75
SHORT = {"kafka.transaction.timeout.ms": 5000, "kafka.message.timeout.ms": 4500, "kafka.socket.timeout.ms": 4000}


def run(row):
    postgres.binaries()  # there is no server: the row is skipped
    row.each(trial, at_once=4)


class Workers:
    """Each reaches the database by a wire of its own; who ends is replaced."""

    def __init__(self, t, world, count):
        self.t, self.world, self.wires, self.running = t, world, {}, []
        for _ in range(count):
            self.add()

    def add(self):
        wire = Wire(self.world.store.port)
        url = self.world.options["outbox.url"].replace(f":{self.world.store.port}/", f":{wire.port}/")
        worker = self.world.worker(options={"outbox.url": url})
        self.running.append(worker)
        self.wires[worker.pid] = wire

    def owners(self):
        return [worker for worker in self.running if worker.logs("started") and worker.running()]

    def owner(self):
        """The one that has it, once nobody else believes that he has."""
        self.tidy()
        harness.wait_until(lambda: self.tidy() or len(self.owners()) == 1, what="one of them has the outbox")
        return self.owners()[0]

    def tidy(self):
        """Whoever ended by itself had lost it, and says to whom."""
        for worker in [w for w in self.running if not w.running()]:
            code = worker.process.returncode
            self.t.check("I5", code == BUSY and "pid" in worker.stderr(), f"one ended with {code}: {worker.stderr()[-1500:]}")
            self.t.row.note("ends of who had lost it")
            self.replace(worker)

    def replace(self, worker):
        self.running.remove(worker)
        self.wires.pop(worker.pid).close()
        self.add()

    def stop(self, worker):
        """It may have lost it a moment ago, and not know yet."""
        code = worker.stop()
        lost = code == BUSY and "is held by pid" in worker.stderr()
        self.t.check("I5", code == 0 or lost, f"one that was told to stop ended with {code}: {worker.stderr()[-1500:]}")

    def kill(self, worker):
        """Likewise."""
        code = worker.kill()
        lost = code == BUSY and "is held by pid" in worker.stderr()
        self.t.check("I8", code == -9 or lost, f"one that was killed had ended with {code}: {worker.stderr()[-1500:]}")

    def end(self):
        self.tidy()
        for worker in self.running:
            self.stop(worker)
        for wire in self.wires.values():
            wire.close()


def trial(t):
    rng = t.rng
    count = (2, 4, 1, 2, 4)[t.number % 5]
    world = t.world(options={"batch.max_events": rng.choice((3, 40, 5000)), "standby": "true", **SHORT}, lapses=False)
    world.produce(rate=rng.choice((50, 150)), keys=rng.choice((2, 20)), seed=t.number, poison=rng.choice((0, 0.02)))
    workers = Workers(t, world, count)
    for _ in range(2):
        owner = workers.owner()
        time.sleep(rng.uniform(0, 1.5))
        trouble(t, workers, owner, rng.choice(("pause", "pause", "cut", "kill", "stop")))
    workers.owner()
    world.stop_producing()
    harness.wait_until(lambda: workers.tidy() or not world.pending(), what="the last one goes on")
    workers.end()
    world.options["standby"] = "false"
    world.settle()
    t.judge(world)


def trouble(t, workers, owner, how):
    """How long it lasts says nothing of who has it then: the database does."""
    seconds = t.rng.choice((t.rng.uniform(0, LEASE / 2), t.rng.uniform(LEASE - 1, LEASE + 3)))
    t.row.note({"pause": "paused", "cut": "cut off", "kill": "killed", "stop": "told to stop"}[how] +
               (" beyond the lease" if seconds > LEASE and how in ("pause", "cut") else ""))
    if how == "pause":
        owner.signal(signal.SIGSTOP)
        time.sleep(seconds)
        owner.signal(signal.SIGCONT)
    elif how == "cut":
        wire = workers.wires[owner.pid]
        wire.hold() if t.rng.random() < 0.5 else wire.cut()
        time.sleep(seconds)
        wire.mend()
    else:
        workers.kill(owner) if how == "kill" else workers.stop(owner)
        workers.replace(owner)
