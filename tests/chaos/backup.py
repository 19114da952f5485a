"""A backup of a whole outbox, made while it is in use, and its return as busbridge-outbox(5) allows it: all of it comes back while no worker
runs, or it takes the place of an outbox whose worker then ends with 75; `busbridge doctor --new-id` comes before the next worker.

Then nothing that was published comes again, for the topics hold it all. What was written after the backup is lost where the outbox
was replaced, by whoever replaced it; destroyed() says what that is.
"""

import json
import re
import signal
import subprocess

from oracle import name_of
from writer import LATEST

WAYS = ("over", "instead", "beside its worker")
PULLED = re.compile(r"^(?:swap|gone|sent|back)-(?:[0-9a-f]+-){4}\d+-")  # bridge/outbox/file/moves/leftover.h
DOCTOR_TRIES, UNDISTURBED = 100, 10  # what is written meanwhile may change the count that it asks for: later the producer has to wait


class Backup:
    """Made at once. Left out, as a backup might leave them out: temporary files, what is half written, and what its producer replaces
    by newer ones (of which nobody could say afterwards whether it was the backup's that it replaced)."""

    def __init__(self, world):
        self.world, self.folder, self.lost = world, world.dir / "backup", world.home / "lost"
        subprocess.run(["cp", "-a", f"{world.outbox}", f"{self.folder}"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for folder in (self.folder, self.folder / "pending"):
            for path in folder.glob("*") if folder.is_dir() else []:
                if path.is_file() and (path.name.startswith(".") or path.name in LATEST or not whole(path)):
                    path.unlink()
        self.ids = ids_in(self.folder)

    def bring_back(self, way):
        if way != "over":
            self.world.outbox.rename(self.lost)
            self.world.outbox.mkdir()
        done = subprocess.run(["cp", "-a", f"{self.folder}/.", f"{self.world.outbox}"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"cp: {done.stderr}")

    def destroyed(self):
        return ids_in(self.lost) - self.ids if self.lost.exists() else set()


def whole(path):
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def ids_in(outbox):
    """Of whatever lies there as an entry, a dead letter, or on its way between them."""
    found = set()
    for place in (".", "pending", "dlq", ".busbridge/tmp"):
        folder = outbox / place
        for path in folder.glob("*.json") if folder.is_dir() else []:
            try:
                content = json.loads(path.read_bytes())
            except ValueError:
                content = None
            found.add(name_of(PULLED.sub("", path.name), content))
    return found


def new_id(t, world):
    """What the manual says to do before a worker starts on it."""
    try:
        ask_for_new_id(t, world)
    finally:
        world.producer.send_signal(signal.SIGCONT)


def ask_for_new_id(t, world):
    answer = {}
    for tried in range(DOCTOR_TRIES):
        if tried == UNDISTURBED:
            world.producer.send_signal(signal.SIGSTOP)
        send = ["--send", str(answer["unknown"])] if answer.get("unknown") else []
        done = world.cli("doctor", "--new-id", "-o", "json", *send)
        try:
            answer = json.loads(done.stdout())
        except ValueError:
            t.check("I9", False, f"doctor --new-id ended with {done.status}: {done.stderr()[-1500:]}")
            return
        if answer["changed"]:
            t.row.notes.update({"published known to doctor --new-id": answer["published"]})
            return
    t.check("I9", False, f"doctor --new-id asks again and again: {answer}")
