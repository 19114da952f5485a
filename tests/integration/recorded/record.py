#!/usr/bin/python3
"""Records the outboxes that a release leaves when its worker dies: a line of all texts, then one of JSON for each state that differs.

    BUSBRIDGE_BUILD=<that release built with preset faults> record.py BOOTSTRAP >outboxes-VERSION.jsonl

A worker drains a few entries of every fate and ends before its n-th call, for every n. Kept of each outbox: its files with inode and
mtime, the position in the ledger, and what was committed by then. Names of topics begin with @PREFIX@, @FILL@ is a text of FILL bytes.
"""

import json
import os
import re
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "chaos"), str(HERE.parent)]
sys.dont_write_bytecode = True
import kafka_wire  # noqa: E402
import oracle  # noqa: E402
from world import Topics, World  # noqa: E402

OF_THE_MACHINE = re.compile(r"(control.sock|lock|reserve|id|(metrics|hands|cluster)(.[0-9]+.tmp)?)$")
FILL = "x" * 1200
MTIME = 1_700_000_000_000_000_000


def fill(outbox):
    def entry(id, payload, file=None):
        text = json.dumps({"id": id, "name": "plot.updated", "payload": payload, "created_at": "2025-09-22T03:04:05+00:00", "attempts": 0,
                           "dispatched_at": None, "last_error": None, "failed_at": None, "status": "pending", "storage_key": id})
        write(file or f"{id}.json", text)

    def write(file, text):
        (outbox / file).write_text(text)
        fill.serial += 1
        os.utime(outbox / file, ns=(MTIME, MTIME + fill.serial * 10**9))
    fill.serial = 0
    entry("good-1", {"plot_id": "p1", "word_count": 1})
    entry("refused", {"plot_id": "p2", "note": FILL})
    entry("good-1", {"plot_id": "p1", "word_count": 1}, "good-1__1.json")
    entry("unfit", {"plot_id": "p3", "word_count": "many"})
    write("cut.json", '{"id": "cut", "name": ')
    entry("good-2", {"plot_id": "p2", "word_count": 2})
    entry("good-3", {"plot_id": "p1", "word_count": 3})


def position(bootstrap, group):
    """[number, digest] that the group stands at, number -1: at none. OffsetFetch, version 1."""
    body = kafka_wire.string(group) + kafka_wire.array([kafka_wire.string("busbridge.ledger") + kafka_wire.array([struct.pack(">i", 0)])])
    answer = kafka_wire.ask(bootstrap, 9, 1, body)
    answer.take("i"), answer.string(), answer.take("i"), answer.take("i")
    return [answer.take("q"), answer.string()]


def snapshot(world, bootstrap):
    files = {}
    for path in sorted(world.outbox.rglob("*")):
        if path.is_file() and not OF_THE_MACHINE.match(path.name):
            stat = path.stat()
            text = path.read_text().replace(world.topics.prefix, "@PREFIX@").replace(FILL, "@FILL@")
            files[str(path.relative_to(world.outbox))] = {"text": text, "inode": stat.st_ino, "mtime": stat.st_mtime_ns}
    id = (world.outbox / ".busbridge/id").read_text().strip()
    harness.wait_stable(bootstrap, world.topics.names, 1)
    committed = sorted(oracle.record_id(r) for r in world.topics.drain())
    return {"files": files, "position": position(bootstrap, f"busbridge-{id}"), "committed": committed}


def shape(state):
    """Two states differ when this does: numbers and times of a run aside."""
    def plain(text):
        return re.sub(r"[0-9a-f]{16,}|\d{4,}[^ ]*", "#", text)
    return json.dumps([sorted((plain(p), plain(f["text"]) if "/batch-" not in p and "/settled-" not in p else "") for p, f in state["files"].items()),
                       state["position"][0], state["committed"]])


def main(bootstrap):
    seen, states, texts = set(), [], {}
    for n in range(1, 1000):
        topics = Topics(bootstrap)
        kafka_wire.set_topic(bootstrap, f"{topics.prefix}.plot", "max.message.bytes", "1000")
        world = World(topics, options={"batch.max_events": 3})
        fill(world.outbox)
        status = world.once(env={"BUSBRIDGE_CRASH_AT": str(n)}).status
        if (world.outbox / ".busbridge/id").exists():
            state = snapshot(world, bootstrap)
            if shape(state) not in seen:
                seen.add(shape(state))
                for file in state["files"].values():
                    file["text"] = texts.setdefault(file["text"], len(texts))
                states.append({"crash": n, **state})
        world.close()
        topics.delete()
        if status == 0:
            break
    for line in (list(texts), *states):
        print(json.dumps(line))


if __name__ == "__main__":
    main(sys.argv[1])
