"""The server of the database is killed -9, or ended at once, and started again while events flow, transactions held and rolled back among them (fault 30)."""

import postgres
from world import signal, time

STORES = {"postgres": (4, 150)}  # of the other kinds none has a server
KILLS = 2  # of a trial at most


def run(row):
    postgres.binaries()  # there is no server: the row is skipped
    row.trials = -(-row.trials // KILLS)
    row.each(trial)  # one at a time: all have one server


def end(t, server):
    if t.rng.random() < 0.6:
        t.row.note("times killed")
        return server.kill9()
    t.row.note("times ended at once")
    server.process.send_signal(signal.SIGQUIT)  # as pg_ctl stop -m immediate does
    return server.process.wait(postgres.PATIENCE)


def trial(t):
    world = t.world(redis="off", options={"batch.max_events": t.rng.choice((3, 40, 5000))})
    world.produce(rate=t.rng.choice((50, 150)), keys=t.rng.choice((2, 20)), seed=t.number, poison=t.rng.choice((0, 0.02)))
    worker, server = world.worker(), world.store.server
    for _ in range(KILLS):
        time.sleep(t.rng.uniform(0.4, 3))
        end(t, server)
        time.sleep(t.rng.choice((0, 0, 1)))
        server.start()
    t.tries = KILLS
    world.stop_producing()
    ended = not worker.running()  # commits that nobody waited for were lost: then another start settles them again
    t.check("I8", not ended or "went back" in worker.stderr(), f"it had ended by itself with {worker.process.returncode}: {worker.stderr()[-1500:]}")
    if ended:
        t.row.note("times it ended because the database went back")
    began = time.monotonic()
    worker.stop()
    world.settle()
    t.took(began, f"the recovery after {KILLS} ends of the server")
    t.judge(world)
