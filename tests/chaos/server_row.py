"""The server of the database is killed -9, or ended at once, and started again while events flow, transactions held and rolled back among them (fault 30)."""

import postgres
from world import harness, oracle, signal, time

STORES = {"postgres": (4, 200)}  # of the other kinds none has a server
KILLS = 2  # of a trial at most


def run(row):
    postgres.binaries()  # there is no server: the row is skipped
    row.trials = -(-row.trials // KILLS)
    row.each(trial)  # one at a time: all have one server


def end(t, server, asynchronous):
    producers = " with asynchronous producers" if asynchronous else ""
    if t.rng.random() < 0.6:
        t.row.note("times killed" + producers)
        return server.kill9()
    t.row.note("times ended at once" + producers)
    server.process.send_signal(signal.SIGQUIT)  # as pg_ctl stop -m immediate does
    return server.process.wait(postgres.PATIENCE)


def trial(t):
    """What is lost of asynchronous commits was never published, and what was published is not lost: the database's own register tells."""
    world = t.world(redis="off", options={"batch.max_events": t.rng.choice((3, 40, 5000))})
    asynchronous = t.number % 2 == 1
    world.produce(rate=t.rng.choice((50, 150)), keys=t.rng.choice((2, 20)), seed=t.number, poison=t.rng.choice((0, 0.02)),
                  **({"asynchronous": True} if asynchronous else {}))
    worker, server = world.worker(), world.store.server
    for _ in range(KILLS):
        harness.wait_until(lambda: worker.logs("started") or not worker.running(), what="it has the outbox")
        time.sleep(t.rng.uniform(0.4, 3))
        end(t, server, asynchronous)
        time.sleep(t.rng.choice((0, 0, 1)))
        server.start()
        if not worker.running():
            worker = again(t, world, worker)
    t.tries = KILLS
    world.stop_producing()
    began = time.monotonic()
    if worker.running():
        worker.stop()
    told(t, worker)
    world.settle()
    t.took(began, f"the recovery after {KILLS} ends of the server")
    accepted = {entry["file"] for entry in oracle.read_list(world.list) if entry["accepted"]}
    lost = accepted - world.store.register()
    t.check("I1", asynchronous or not lost, f"the server lost commits that waited for its disk: {sorted(lost)[:5]}")
    t.row.notes["rows the server lost"] += len(lost)
    t.judge(world, registered=True)


def told(t, worker):
    """It ended by itself only because commits that nobody waited for were lost; then another start settles them again."""
    ended = worker.process.returncode != 0
    t.check("I8", not ended or "went back" in worker.stderr(), f"it had ended by itself with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    if ended:
        t.row.note("times it ended because the database went back")


def again(t, world, worker):
    told(t, worker)
    return world.worker()
