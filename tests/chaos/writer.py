#!/usr/bin/python3
"""A producer that keeps a list: what it attempted, and what was accepted (renamed into its place, the folder synced).

    writer.py OUTBOX LIST [--tag T] [--rate N] [--count N] [--first N] [--keys N] [--seed S] [--poison P] [--twins P] [--latest P] [--even] [--namespaces A,B]

As a module: Writer. The list is a file of JSON lines, written before and after each entry, and never lost by killing workers. Of an
entry under a name that is used again and again it says, when the next one is renamed over it, whether that is what destroyed it.
"""

import argparse
import hashlib
import json
import os
import random
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

# large: refused too, until somebody lets the topic take it; crasher: BUSBRIDGE_POISON names it
GOOD, LARGE, REFUSED, MISMATCH, GARBAGE, CRASHER = "good", "large", "refused", "mismatch", "garbage", "crasher"
CLASS = {"plot": "PlotUpdated", "episode": "EpisodeContentUpdated"}  # what the older typed bus calls their `updated`
KEY_FIELD = {"plot": "plot_id", "episode": "episode_id"}
REFUSED_SIZE = 60000  # the topics take records of 50000 bytes
EVEN_SIZE = 2048
LATEST = {f"latest-{n}.json": f"latest{n}" for n in range(3)}  # with the key of each: a newer one has the place of the one it replaces


class Writer:
    """Entries of some keys, written one by one. Nothing of it is thread-safe but stopping it."""

    def __init__(self, outbox, list_path, tag="w", *, keys=5, seed=0, namespaces=("plot", "episode"), even=False, typed=None):
        self.typed = typed and Path(typed) / "pending"  # of the older typed bus's own outbox
        self.outbox, self.tag, self.keys = Path(outbox), tag, keys
        self.rng, self.namespaces, self.even = random.Random(seed), namespaces, even
        self.list = open(list_path, "a")
        self.count, self.last_stamp = 0, 0
        self.folder = os.open(self.outbox, os.O_RDONLY)
        self.latest = {}  # the entry that was put under such a name last: its open file and its line

    def say(self, **what):
        self.list.write(json.dumps(what, ensure_ascii=False) + "\n")
        self.list.flush()

    def stamp(self):
        """A created_at later than every one before it: a scan goes by it where file times are equal."""
        self.last_stamp = max(self.last_stamp + 1, time.time_ns() // 1000)
        return datetime.fromtimestamp(self.last_stamp / 1e6, timezone.utc).isoformat(timespec="microseconds")

    def payload(self, ns, key, kind):
        if kind == MISMATCH:
            # no number there; episodes need their episode_id, and go by `id` where it is missing
            return {"id" if ns == "episode" else KEY_FIELD[ns]: key, "word_count": "many"}
        size = REFUSED_SIZE if kind in (REFUSED, LARGE) else self.rng.randrange(5, 300)
        body = {"text": "".join(self.rng.choices("abcdefghij 章話", k=size)), "n": self.count}
        if ns == "episode":
            return {KEY_FIELD[ns]: key, "changes": body}
        return {KEY_FIELD[ns]: key, "word_count": self.count, "note": body, "consistency_issues": []}

    def enveloped(self, ns, entry):
        """The same event as the bridge of the older typed bus copies it: in its envelope, the entry with an id of its own."""
        outer = f"{self.tag}-entry-{self.count:06}"
        envelope = {"event_type": CLASS[ns], "event_id": entry["id"], "occurred_at": entry["created_at"], "aggregate_id": None,
                    "aggregate_type": None, "version": 1, "metadata": {}, "data": entry["payload"]}
        entry.update(id=outer, name=f"{ns}.{CLASS[ns].lower()}", payload=envelope, storage_key=outer)

    def message(self, entry):
        """The same as it lies in that bus's own outbox."""
        envelope = entry["payload"]
        return {"message_id": entry["id"], "event_type": envelope["event_type"], "payload": envelope, "occurred_at": entry["created_at"],
                "aggregate_id": None, "status": "pending", "attempts": 0, "last_error": None, "created_at": entry["created_at"]}

    def write(self, kind=GOOD, *, twin_of=None, key=None, ns=None, file=None, enveloped=False, typed=False):
        """One entry; its line of the list, or None when the disk refused it. file: replaces one of that name. typed: the envelope lies in the
        typed bus's own outbox."""
        id, key, entry = self.compose(kind, twin_of, key, ns)
        payload = entry["payload"]
        stem, name = entry["storage_key"], entry["name"]
        if enveloped or typed:
            self.enveloped(name.partition(".")[0], entry)
            stem, name = entry["storage_key"], entry["name"]
        if typed:
            entry = self.message(entry)
            stem = id if kind == GARBAGE else stem  # by which it is known then
        text = json.dumps(entry, ensure_ascii=False)
        if kind == GARBAGE:
            text = text[:self.rng.randrange(2, len(text) - 2)]
        line = {"id": twin_of["id"] if twin_of else id, "key": key, "seq": self.count, "kind": kind, "file": file or stem + ".json",
                "payload": payload if kind in (GOOD, LARGE) else None, "content": content_of(entry, text, kind)}
        if self.even and file:
            text = text.ljust(EVEN_SIZE)
        return self.place(line, text, name, self.typed if typed else self.outbox)

    def compose(self, kind, twin_of=None, key=None, ns=None):
        """(its own id, its key, the entry)"""
        self.count += 1
        ns = ns or self.rng.choice(self.namespaces)
        key = key or f"{ns[0]}{self.rng.randrange(self.keys)}"
        id = f"{self.tag}-{self.count:06}"
        entry = {"id": id, "name": f"{ns}.updated", "payload": self.payload(ns, key, kind), "created_at": self.stamp(), "attempts": 0,
                 "dispatched_at": None, "last_error": None, "failed_at": None, "status": "pending", "storage_key": id}
        if twin_of:
            entry.update(id=twin_of["id"], name=twin_of["name"], payload=twin_of["payload"], storage_key=f"{twin_of['id']}__{self.count}")
            key = twin_of["key"]
        return id, key, entry

    def place(self, line, text, name, folder):
        temporary = folder / f".writing-{line['file']}"
        try:
            with open(temporary, "w") as f:
                f.write(text)
                f.flush()
                if self.even and line["file"] in LATEST:  # as a program that sets its files' times to whole minutes
                    os.utime(f.fileno(), (time.time() // 60 * 60,) * 2)
                os.fsync(f.fileno())
            self.say(do="attempt", **line)
            self.rename(temporary, line, folder)
            os.fsync(self.folder)
            if folder != self.outbox:
                sync_folder(folder)
        except OSError:
            temporary.unlink(missing_ok=True)
            return None
        self.say(do="accept", file=line["file"], id=line["id"])
        return {**line, "name": name if line["kind"] != GARBAGE else ""}

    def rename(self, temporary, line, folder):
        target, before, hand = folder / line["file"], self.latest.get(line["file"]), -1
        if line["file"] in LATEST:
            hand = os.open(temporary, os.O_RDONLY)
        try:
            was_there = before and path_of(before[0]) == str(target)
            temporary.rename(target)
        except OSError:
            if hand >= 0:
                os.close(hand)
            raise
        if was_there and path_of(before[0]) == f"{target} (deleted)":
            self.say(do="replaced", file=line["file"], id=before[1]["id"])
        if before:
            os.close(before[0])
        if hand >= 0:
            self.latest[line["file"]] = hand, line

    def close(self):
        os.close(self.folder)
        for hand, _ in self.latest.values():
            os.close(hand)
        self.list.close()


def sync_folder(folder):
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def content_of(entry, text, kind):
    """A hash by which its bytes are known again: of name and payload, or of the text where that is none of JSON."""
    name = entry.get("name") or entry.get("event_type")
    return hash_of(text) if kind == GARBAGE else hash_of(json.dumps([name, entry["payload"]], sort_keys=True))


def hash_of(text):
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def path_of(fd):
    """Where the open file lies now, or lay when its last name went."""
    return os.readlink(f"/proc/self/fd/{fd}")


def parse(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("outbox")
    parser.add_argument("list")
    parser.add_argument("--tag", default="w")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--first", type=int, default=0, help="goes on after so many of the same tag")
    parser.add_argument("--keys", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--poison", type=float, default=0, help="share of entries that can never be published")
    parser.add_argument("--twins", type=float, default=0, help="share of entries that carry an id once more")
    parser.add_argument("--latest", type=float, default=0, help="share of entries that are renamed over the one before under the same name")
    parser.add_argument("--even", action="store_true", help="those have one size and a time of whole minutes")
    parser.add_argument("--namespaces", default="plot,episode")
    return parser.parse_args(arguments)


def main(arguments):
    """Until the count is reached or its standard input is closed."""
    o = parse(arguments)
    writer = Writer(o.outbox, o.list, o.tag, keys=o.keys, seed=o.seed, namespaces=o.namespaces.split(","), even=o.even)
    os.set_blocking(0, False)
    writer.count = o.first
    began, last = time.monotonic(), None
    while writer.count < o.first + o.count and not stopped():
        dice = writer.rng.random()
        if dice < o.poison:
            writer.write(writer.rng.choice((REFUSED, MISMATCH, GARBAGE)))
        elif last and dice < o.poison + o.twins:
            writer.write(twin_of=last)
        elif dice < o.poison + o.twins + o.latest:
            file, key = writer.rng.choice(list(LATEST.items()))
            writer.write(file=file, key=key, ns=writer.namespaces[0])
        else:
            last = writer.write()
        time.sleep(max(0, began + (writer.count - o.first) / o.rate - time.monotonic()))
    writer.close()


def stopped():
    try:
        return os.read(0, 1) == b""
    except BlockingIOError:
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
