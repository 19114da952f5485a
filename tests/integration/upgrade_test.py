#!/usr/bin/python3
"""An upgrade from an earlier release: the outbox that its worker left, however it died, is gone on with, each event once.

The outboxes were recorded from that release (recorded/record.py). They are laid out as they were, with inodes and ctimes of here.
"""

import json
import os
import re
import struct
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness
import kafka_wire
from ledger_test import siphash

RECORDED = Path(__file__).resolve().parent / "recorded"
GOOD, DEAD = {"good-1", "good-2", "good-3"}, {"refused", "unfit", "cut"}


def commit(bootstrap, group, topic, number, digest):
    """The position of a group: OffsetCommit, version 2, of nobody's member."""
    place = struct.pack(">iq", 0, number) + kafka_wire.string(digest)
    body = kafka_wire.string(group) + struct.pack(">i", -1) + kafka_wire.string("") + struct.pack(">q", -1)
    body += kafka_wire.array([kafka_wire.string(topic) + kafka_wire.array([place])])

    def committed():
        answer = kafka_wire.ask(kafka_wire.coordinator(bootstrap, 0, group)[1], 8, 2, body)
        answer.take("i"), answer.string(), answer.take("i"), answer.take("i")
        return answer.take("h") == 0
    harness.wait_until(committed, what="the position is committed: a topic that was made a moment ago is not known at once")


class Place:
    """Where one of them lies, and what its topics begin with: as long as it was."""

    def __init__(self, folder):
        self.outbox, self.prefix = folder / uuid.uuid4().hex, "t" + uuid.uuid4().hex[:10]


class Recorded:
    """One state, laid out in a folder."""

    def __init__(self, state, texts, outbox, prefix):
        self.texts, self.outbox, self.prefix, self.files = texts, outbox, prefix, state["files"]
        self.inodes, self.digests = {}, {"": ""}
        manifests = [p for p in self.files if p.startswith((".busbridge/batch-", ".busbridge/settled-"))]
        for path in sorted(set(self.files) - set(manifests)):
            self.lay(path)
        for path in sorted(self.files):  # a description names the inode of bytes beside it, a name in tmp those of both texts
            if path in manifests:
                continue
            self.lay(path, self.renamed(path), re.sub(r'"inode": (\d+)', lambda m: f'"inode": {self.inode(int(m[1]))}', self.text(path)))
        for path in sorted(manifests, key=lambda p: int(p.split("-")[1])):
            self.lay_manifest(path)
        self.number, digest = state["position"]
        self.digest = self.digests[digest or ""]

    def text(self, path):
        return self.texts[self.files[path]["text"]].replace("@PREFIX@", self.prefix).replace("@FILL@", "x" * 1200)

    def inode(self, recorded):
        return self.inodes.get(recorded, recorded)

    def renamed(self, path):
        def swap(m):
            return f"swap-{self.inode(int(m[1], 16)):x}-{self.inode(int(m[2], 16)):x}-"
        return re.sub(r"swap-([0-9a-f]+)-([0-9a-f]+)-", swap, path)

    def lay(self, path, name=None, text=None):
        target = self.outbox / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.text(path) if text is None else text)  # its inode stays when it is written again
        self.inodes[self.files[path]["inode"]] = target.stat().st_ino
        os.utime(target, ns=(self.files[path]["mtime"],) * 2)
        if name and name != path:
            target.rename(self.outbox / name)

    def lay_manifest(self, path):
        head, *rows = map(json.loads, self.text(path).splitlines())
        head["before"] = self.digests.get(head["before"], head["before"])
        for row in rows:
            row[2] = self.inode(row[2])
            lies = self.outbox / ("" if row[0] == "flat" else row[0]) / row[1]
            if lies.exists() and lies.stat().st_ino == row[2]:
                row[4] = lies.stat().st_ctime_ns
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in (head, *rows))
        kind, number, recorded = path.rsplit("/", 1)[1].split("-")
        self.digests[recorded] = siphash(text.encode()).hex()
        (self.outbox / f".busbridge/{kind}-{number}-{self.digests[recorded]}").write_text(text)


class Upgrade(harness.BusTest):
    def lay_out(self, state, texts, place):
        """An outbox of that state; the options of a worker for it."""
        (place.outbox / ".busbridge").mkdir(parents=True)
        for name, partitions, config in (("plot", 2, {"max.message.bytes": 1000}), ("episode", 1, None), ("ledger", 1, None)):
            kafka_wire.create_topic(self.bootstrap, f"{place.prefix}.{name}", partitions, config)
        recorded = Recorded(state, texts, place.outbox, place.prefix)
        id = str(uuid.uuid4())
        (place.outbox / ".busbridge/id").write_text(id + "\n")
        if recorded.number >= 0:
            commit(self.bootstrap, f"busbridge-{id}", f"{place.prefix}.ledger", recorded.number, recorded.digest)
        return {"outbox.url": f"file:{place.outbox}", "routing.topic": place.prefix + ".{namespace}", "routing.namespaces": "plot episode",
                "ledger.topic": f"{place.prefix}.ledger", "dlq.max_attempts": 2, "flush.interval": "100ms", "outbox.settle": "50ms"}

    def go_on(self, state, texts):
        """The worker of today on it; what is wrong then."""
        place = Place(self.dir)
        options = self.lay_out(state, texts, place)
        for _ in range(5):  # what is refused may be due only after the first one
            worker = self.start_worker("--once", options=options)
            if worker.wait() != 1:
                break
        if worker.wait():
            return f"--once ended with {worker.wait()}: {worker.stderr()[-1500:]}"
        published = [r.headers["ce_id"].decode() for r in harness.kcat_drain(self.bootstrap, f"{place.prefix}.plot")]
        dead = {json.loads(p.read_bytes())["id"] for p in (place.outbox / "dlq").glob("*.json")}
        state_of = place.outbox / ".busbridge"  # and nothing that a step back would have to know
        left = [p.name for p in (*place.outbox.glob("*.json"), *(state_of / "tmp").iterdir(), *state_of.glob("batch-*"), *state_of.glob("aside*"))]
        found = sorted(published + state["committed"]), dead, (place.outbox / "dlq/cut.raw").exists(), left
        return None if found == (sorted(GOOD), DEAD, True, []) else f"published, dead, bytes kept, left: {found}"

    def test_each_state_that_0_1_0_leaves_is_gone_on_with(self):
        texts, *states = map(json.loads, (RECORDED / "outboxes-0.1.0.jsonl").read_text().splitlines())
        self.assertGreater(len(states), 40)
        with ThreadPoolExecutor(6) as pool:
            for state, wrong in zip(states, pool.map(lambda s: self.go_on(s, texts), states)):
                with self.subTest(crash=state["crash"]):
                    self.assertIsNone(wrong)

    def test_an_outbox_of_a_later_form_is_refused_by_both_forms_and_nothing_is_touched(self):
        self.entry("plot.updated", {"plot_id": "p-1"})
        self.run_worker("--once", expect=0)
        self.entry("plot.updated", {"plot_id": "p-2"})
        later = self.outbox / ".busbridge/batch-1-00112233445566778899aabbccddeeff"
        later.write_text('{"busbridge-manifest": 3, "number": 1, "rows": "elsewhere"}\n')

        def there():  # but for who was here last, and the figures
            return {p: (p.stat().st_ino, p.stat().st_ctime_ns) for p in self.outbox.rglob("*") if p.is_file() and p.name not in ("lock", "metrics")}
        before = there()
        for guarantee in ("exactly_once", "at_least_once"):
            worker = self.run_worker("--once", options={"delivery.guarantee": guarantee}, expect=2)
            self.assertRegex(worker.stderr(), rf"\.busbridge/{later.name}: it has the form 3 of another release of busbridge; this one \([\d.]+\) reads the forms 1 and 2")
            self.assertEqual(there(), before)
        self.assertRegex(self.run_cli("doctor", expect=1).stdout(), r"position +failed +\S+: it has the form 3[^\n]+\n +what to do: Do what is said there")
        self.assertEqual(there(), before)
        later.unlink()
        self.run_worker("--once", expect=0)
        self.assertEqual(self.pending(), [])

    def test_an_outbox_of_a_later_format_is_refused_by_both_formats_and_nothing_is_touched(self):
        self.entry("plot.updated", {"plot_id": "p-1"})
        self.run_worker("--once", expect=0)
        marker = self.outbox / ".busbridge/format"
        self.assertRegex(marker.read_text(), r"\A2 [\d.]+\n\Z")
        self.entry("plot.updated", {"plot_id": "p-2"})

        def there():
            return {p: (p.stat().st_ino, p.stat().st_ctime_ns) for p in self.outbox.rglob("*")}
        later = {marker: ("7 9.9.9\n", r"the outbox has the format 7, of busbridge 9\.9\.9; this one \([\d.]+\) reads the formats 1 and 2"),
                 marker.with_name("metrics"): ("busbridge-metrics 2\n", r"metrics has the form 2 of another release of busbridge; this one \([\d.]+\) reads the form 1"),
                 marker.with_name("holds"): ("busbridge-holds 2\n", r"holds has the form 2 of another release of busbridge; this one \([\d.]+\) reads the form 1")}
        for path, (text, words) in later.items():
            with self.subTest(path.name):
                ours = path.read_text() if path.exists() else None
                path.write_text(text)
                before = there()
                self.assertRegex(self.run_worker("--once", expect=2).stderr(), words)
                for command in ("list", "show p-2", "health", "metrics", "verify", "doctor", "flush", "replay p-2", "pause", "resume"):
                    done = self.run_cli(*command.split())
                    self.assertNotEqual(done.status, 0, command)
                    self.assertRegex(done.stdout() + done.stderr(), words, command)
                self.assertEqual(there(), before)
                path.write_text(ours) if ours is not None else path.unlink()
        self.run_worker("--once", expect=0)
        self.assertEqual(self.pending(), [])


if __name__ == "__main__":
    harness.main()
