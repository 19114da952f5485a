#!/usr/bin/python3
"""The main job on a real broker: every event once, in its topic, decoded equal to what the producer wrote; bad ones set aside."""

import json
import os
import unittest
from pathlib import Path

import avro.io
import avro.schema
import io
import harness

CREATED = "2025-09-22T03:04:05.123456+00:00"

# One payload for each event name in use (contract: names emitted, names with a published schema), real fields and extras.
PAYLOADS = {
    "episode_written": {"id": "ep-7"},
    "episode.published": {"episode_id": "ep-1", "publication_id": "p-9", "format_type": "epub", "published_at": CREATED,
                          "include_metadata": True},
    "quality.checked": {"content_id": "c-1", "score": 82.5, "check_types": ["grammar", "文体"], "passed": True,
                        "issues": [{"type": "style", "description": "長すぎる文 😀"}], "detailed_scores": {"grammar": 82.5}},
    "plot.updated": {"plot_id": "pl-1", "episode_number": None, "word_count": 3000, "updated_at": CREATED,
                     "consistency_checked": True,
                     "consistency_issues": [{"type": "time", "description": "矛盾", "severity": "high"}]},
    "plot.generated": {"plot_id": "pl-2", "episode_number": 3, "word_count": 9223372036854775807 // 4, "ai_enhanced": False,
                       "genre": "SF", "generated_at": CREATED, "chapter_title": "第一章 \"始まり\"\n"},
    "usecase.executed": {"usecase_name": "write", "success": True, "request_data": {"a": [1, 2.50, {"b": None}]},
                         "response_data": {"ok": 1e3}},
    "usecase.failed": {"usecase_name": "write", "error": "tab\there", "request_data": {}},
    "quality.checked_via_usecase": {"episode_id": "ep-1", "check_id": "k-1", "score": 0.1, "passed": False, "via_usecase": True},
    "quality.check_failed": {"episode_id": "ep-2", "error": "暗号", "via_usecase": True},
    "episode.created": {"episode_id": "ep-1", "title": "はじまり", "episode_number": 1, "mood": {"x": [True]}, "note": "more"},
    "episode.updated": {"episode_id": "ep-1", "changes": {"title": {"old": "a", "new": "b"}}},
    "quality.improved": {"content_id": "c-9", "delta": 1.25},
    "PlotGeneratedEvent": {"plot_id": "pl-3", "episode_number": 1, "word_count": 1, "ai_enhanced": True},
}
CANONICAL = {"episode_written": "episode.written", "PlotGeneratedEvent": "plot.generated"}
KEYS = {"episode_written": "ep-7", "episode.published": "ep-1", "quality.checked": "c-1", "plot.updated": "pl-1",
        "plot.generated": "pl-2", "quality.checked_via_usecase": "ep-1", "quality.check_failed": "ep-2", "episode.created": "ep-1",
        "episode.updated": "ep-1", "quality.improved": "c-9", "PlotGeneratedEvent": "pl-3"}


def json_fields(schema):
    """Names of the fields that hold JSON text."""
    return {f["name"] for f in schema["fields"] if f.get("json")}


def plain(value):
    """A decoded record as the producer's payload: extras beside the other fields, what is null left out."""
    if isinstance(value, dict):
        merged = {k: plain(v) for k, v in value.items() if k != "extra" and v is not None}
        merged.update({k: json.loads(v) for k, v in (value.get("extra") or {}).items()})
        return merged
    return [plain(v) for v in value] if isinstance(value, list) else value


def decode(record, framed=True):
    """Independent of ours: python's avro library and the schema file that the header ce_type names."""
    path = harness.ROOT / "schemas" / (record.headers["ce_type"].decode().replace(".", "/") + ".avsc")
    if not path.exists():
        path = harness.ROOT / "schemas/envelope.avsc"
    text = path.read_text()
    raw = record.value[10:] if framed else record.value
    if framed:
        assert record.value[:2] == b"\xc3\x01", record.value[:2]
    stream = io.BytesIO(raw)
    value = avro.io.DatumReader(avro.schema.parse(text)).read(avro.io.BinaryDecoder(stream))
    assert stream.read() == b"", "bytes after the value"
    texts = {n: json.loads(value.pop(n)) for n in json_fields(json.loads(text)) if isinstance(value.get(n), str)}
    return texts["payload"] if path.name == "envelope.avsc" else {**plain(value), **texts}


def without_null(value):
    return {k: v for k, v in value.items() if v is not None}


class MainJob(harness.BusTest):
    def test_every_event_name_arrives_decoded_equal_to_its_payload(self):
        ids = {self.entry(name, payload, place="pending" if i % 2 else "flat"): name
               for i, (name, payload) in enumerate(PAYLOADS.items())}
        self.run_worker("--once", expect=0)
        records = self.drain()
        self.assertEqual(sorted(r.headers["ce_id"].decode() for r in records), sorted(ids))
        for r in records:
            name = ids[r.headers["ce_id"].decode()]
            canonical = CANONICAL.get(name, name)
            with self.subTest(name=name):
                self.assertEqual(r.topic, self.topic(canonical.split(".")[0] + ".events"))
                self.assertEqual(r.headers["ce_type"].decode(), canonical)
                self.assertEqual(r.headers["ce_specversion"], b"1.0")
                self.assertEqual(r.headers["ce_time"].decode(), CREATED)
                self.assertRegex(r.headers["ce_source"].decode(), "^/busbridge/[0-9a-f-]{36}$")
                self.assertEqual(r.headers["content-type"], b"application/avro")
                self.assertEqual(r.key.decode(), KEYS.get(name, r.headers["ce_id"].decode()))
                self.assertEqual(decode(r), without_null(PAYLOADS[name]))
        self.assertEqual(self.pending(), [])
        self.assertEqual(self.dead(), {})

    def test_events_of_a_key_keep_the_order_of_their_arrival(self):
        order = {}
        for i in range(300):
            key = f"ep-{i % 7}"
            id = self.entry("episode.updated", {"episode_id": key, "changes": {"n": i}}, mtime=1700000000 + i // 50,
                            created_at=f"2025-09-22T03:{i // 60:02}:{i % 60:02}+00:00")
            order.setdefault(key, []).append(id)
        self.run_worker("--once", expect=0, options={"batch.max_events": 40})
        got = {}
        for r in self.drain("episode.events"):
            got.setdefault(r.key.decode(), []).append(r.headers["ce_id"].decode())
        self.assertEqual(got, order)

    def test_a_running_worker_relays_what_is_written_meanwhile(self):
        worker = self.start_worker()
        for i in range(20):
            id = self.entry("plot.updated", {"plot_id": f"p{i}"})
            if i % 5 == 0:
                harness.wait_until(lambda: f"{id}.json" not in self.pending(), what="the entry is relayed")
        harness.wait_until(lambda: not self.pending())
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(r.key for r in self.drain("plot.events")), sorted(b"p%d" % i for i in range(20)))

    def test_an_id_is_published_once_within_a_batch_and_across_runs_by_redis(self):
        redis = self.redis()
        id = self.entry("plot.updated", {"plot_id": "p"}, mtime=1700000000)
        self.entry("plot.updated", {"plot_id": "p"}, id=id, storage_key=id + "__1", mtime=1700000001)
        self.run_worker("--once", expect=0)
        self.assertEqual([r.headers["ce_id"].decode() for r in self.drain("plot.events")], [id])
        self.assertEqual(self.pending(), [])
        (key,) = redis.keys()
        self.assertRegex(key, f"^busbridge:[0-9a-f-]{{36}}:{id}$")
        self.assertRegex(redis.command("GET", key), f"^{self.topic('plot.events')}/[0-9]+/0$")
        self.assertGreater(int(redis.command("TTL", key)), 7 * 86400 - 600)
        self.entry("plot.updated", {"plot_id": "p"}, id=id)
        worker = self.run_worker("--once", expect=0)
        self.assertEqual(len(self.drain("plot.events")), 1)
        self.assertEqual(self.pending(), [])
        self.assertEqual(len(worker.logs("event_duplicate")), 1)

    def test_other_statuses_and_other_files_are_left_byte_for_byte(self):
        kept = {}
        for status in ("dispatched", "dlq", "odd"):
            id = self.entry("plot.updated", {"plot_id": "p"}, status=status)
            kept[f"{id}.json"] = (self.outbox / f"{id}.json").read_bytes()
        self.write("notes.txt", "mine")
        self.entry("plot.updated", {"plot_id": "q"}, status=..., place="pending")
        self.run_worker("--once")
        for name, content in kept.items():
            self.assertEqual((self.outbox / name).read_bytes(), content)
        self.assertTrue((self.outbox / "notes.txt").exists())
        self.assertEqual([r.key for r in self.drain("plot.events")], [b"q"])

    def test_sent_entries_are_kept_when_asked_for(self):
        id = self.entry("plot.updated", {"plot_id": "p"})
        before = (self.outbox / f"{id}.json").read_bytes()
        self.run_worker("--once", expect=0, options={"outbox.sent": "keep"})
        self.assertEqual((self.outbox / "sent" / f"{id}.json").read_bytes(), before)
        self.assertEqual(self.pending(), [])

    def test_json_and_raw_framing(self):
        payload = {"content_id": "c", "score": 1, "check_types": [], "passed": False, "x": 0.1000}
        for framing, content_type in (("json", b"application/json"), ("raw", b"application/avro")):
            self.entry("quality.checked", payload)
            self.run_worker("--once", expect=0, options={"encoding.framing": framing, "routing.topic": f"{self.prefix}.{framing}.{{namespace}}"})
            (record,) = self.drain(f"{framing}.quality")
            self.assertEqual(record.headers["content-type"], content_type)
            if framing == "json":
                self.assertEqual(record.value.decode(), json.dumps(payload))
            else:
                self.assertEqual(decode(record, framed=False), {**payload, "issues": []})  # the schema's default


class BadInput(harness.BusTest):
    """Each has a stable reason word, words that name the place, and its bytes are kept."""

    GOOD = {"content_id": "c", "score": 1.0, "check_types": ["a"], "passed": True}

    def text(self, **over):
        entry = {"id": "bad-1", "name": "quality.checked", "payload": self.GOOD, "created_at": CREATED, "attempts": 0,
                 "dispatched_at": None, "last_error": None, "failed_at": None, "status": "pending", "storage_key": "bad-1"}
        entry.update(over)
        return json.dumps({k: v for k, v in entry.items() if v is not ...})

    def test_each_bad_file_becomes_a_dead_letter_with_its_bytes(self):
        cases = {  # file -> (bytes, reason, words, kept as .raw)
            "cut": (b'{"id": "a", "name', "not_json", "byte", True),
            "empty": (b"", "empty_file", "byte 0", True),
            "nan": (self.text(payload={**self.GOOD, "score": float("nan")}).encode(), "not_a_number", "score", True),
            "inf": (self.text(payload={**self.GOOD, "score": float("-inf")}).encode(), "not_a_number", "Infinity", True),
            "half": (self.text().replace('"c"', '"\\ud800"').encode(), "lone_surrogate", "content_id", True),
            "utf8": (self.text().encode().replace(b'"c"', b'"\xff"'), "invalid_utf8", "byte", True),
            "twice": (self.text().replace('"id"', '"name": "x", "id"', 1).encode(), "duplicate_key", "name", True),
            "deep": (self.text().replace('"c"', "[" * 70 + "]" * 70).encode(), "too_deep", "64", True),
            "large": (self.text(payload={**self.GOOD, "pad": "x" * 70000}).encode(), "too_large", "outbox.max_entry_bytes", True),
            "noid": (self.text(id=...).encode(), "missing_id", "id", None),
            "badid": (self.text(id="../../etc/passwd").encode(), "bad_id", "id", None),
            "noname": (self.text(name=...).encode(), "missing_name", "name", None),
            "odd_ns": (self.text(name="weather.changed").encode(), "unknown_namespace", "routing.namespaces", None),
            "list": (self.text(payload=[1]).encode(), "payload_not_object", "payload", None),
            "score": (self.text(payload={**self.GOOD, "score": "A"}).encode(), "schema_mismatch",
                      'payload.score: expected double, found string', None),
            "wide": (self.text(name="episode.created", payload={"episode_id": "e", "title": "t", "episode_number": 2**63}).encode(),
                     "integer_out_of_range", "payload.episode_number", None),
        }
        for file, (content, *_) in cases.items():
            if b'"id": "bad-1"' in content:
                content = content.replace(b'"id": "bad-1"', f'"id": "{file}"'.encode()).replace(b'"storage_key": "bad-1"', f'"storage_key": "{file}"'.encode())
                cases[file] = (content, *cases[file][1:])
            self.write(f"{file}.json", content)
        good = self.entry("quality.checked", self.GOOD)
        self.run_worker("--once", expect=0, options={"outbox.settle": "100ms", "outbox.max_entry_bytes": "64KiB"})
        self.assertEqual([r.headers["ce_id"].decode() for r in self.drain("quality.events")], [good])
        dead = self.dead()
        self.assertEqual(sorted(dead), sorted(f"{file}.json" for file in cases))
        for file, (content, reason, words, raw) in cases.items():
            with self.subTest(file=file):
                letter = dead[f"{file}.json"]
                self.assertEqual(letter["reason"], reason)
                self.assertEqual(letter["status"], "dlq")
                self.assertEqual(letter["attempts"], 1)
                self.assertIn(words, letter["last_error"])
                self.assertRegex(letter["failed_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$")
                if raw:
                    self.assertEqual((self.outbox / "dlq" / f"{file}.raw").read_bytes(), content)
                else:
                    self.assertEqual(letter.get("payload"), json.loads(content).get("payload"))

    def test_a_half_written_file_is_left_alone_until_it_is_finished(self):
        worker = self.start_worker(options={"outbox.settle": "1h"})
        text = self.text()
        with open(self.outbox / "bad-1.json", "w") as f:
            f.write(text[:100])
            f.flush()
            other = self.entry("quality.checked", self.GOOD)
            harness.wait_until(lambda: f"{other}.json" not in self.pending(), what="the other entry is relayed")
            self.assertEqual(self.dead(), {})
            f.write(text[100:])
        harness.wait_until(lambda: not self.pending(), what="the finished entry is relayed")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(len(self.drain("quality.events")), 2)

    def test_odd_names_are_left_alone_and_never_block(self):
        target = self.dir / "secret.json"
        target.write_text(self.text(id="secret"))
        os.symlink(target, self.outbox / "link.json")
        os.mkfifo(self.outbox / "fifo.json")
        (self.outbox / "folder.json").mkdir()
        two = self.write("two.json", self.text(id="two"))
        os.link(two, self.outbox / "names.json")
        good = self.entry("quality.checked", self.GOOD)
        worker = self.run_worker("--once")
        self.assertEqual([r.headers["ce_id"].decode() for r in self.drain()], [good])
        self.assertEqual(self.dead(), {})
        for name in ("link.json", "fifo.json", "folder.json", "two.json", "names.json"):
            self.assertTrue(os.path.lexists(self.outbox / name), name)
        self.assertTrue(worker.logs("entry_odd"))


class TheBrokerRefuses(harness.BusTest):
    def test_only_the_culprit_pays_and_is_dead_after_five_attempts(self):
        self.create_topic("quality.events", 1, {"max.message.bytes": 2000})
        good = {"content_id": "c", "score": 1.0, "check_types": [], "passed": True}
        ids = []
        for i in range(60):
            payload = dict(good, pad=os.urandom(3000).hex()) if i == 31 else good
            ids.append(self.entry("quality.checked", payload, mtime=1700000000 + i))
        other = self.entry("plot.updated", {"plot_id": "p"})
        worker = self.start_worker(options={"flush.interval": "200ms", "kafka.linger.ms": 20, "kafka.batch.size": 1900})
        harness.wait_until(lambda: self.dead(), what="the culprit is dead")
        harness.wait_until(lambda: not self.pending(), what="all others are published")
        self.assertEqual(worker.stop(), 0)
        (letter,) = self.dead().values()
        self.assertEqual((letter["id"], letter["attempts"], letter["reason"]), (ids[31], 5, "broker_refused"))
        self.assertIn("quality.events", letter["last_error"])
        self.assertEqual(letter["topic"], self.topic("quality.events"))
        self.assertEqual(list(letter)[:10], ["id", "name", "payload", "created_at", "attempts", "dispatched_at", "last_error",
                                             "failed_at", "status", "storage_key"])
        del ids[31]
        self.assertEqual(sorted(r.headers["ce_id"].decode() for r in self.drain("quality.events")), sorted(ids))
        self.assertEqual([r.headers["ce_id"].decode() for r in self.drain("plot.events")], [other])

    def test_larger_than_our_own_limit_is_dead_at_once(self):
        self.entry("quality.checked", {"content_id": "c", "score": 1.0, "check_types": [], "passed": True, "pad": "x" * 5000})
        self.run_worker("--once", expect=0, options={"kafka.message.max.bytes": 2000})
        (letter,) = self.dead().values()
        self.assertEqual((letter["attempts"], letter["reason"]), (1, "record_too_large"))

    def test_a_missing_topic_holds_back_its_own_events_only_and_drains_by_itself(self):
        for ns in ("episode", "quality", "usecase"):
            self.create_topic(f"{ns}.events")
        waiting = [self.entry("plot.updated", {"plot_id": "p", "word_count": i}, mtime=1700000000 + i) for i in range(30)]
        worker = self.start_worker(options={"topics.create": "never"})
        for i in range(5):
            id = self.entry("episode.updated", {"episode_id": "e", "changes": {}})
            harness.wait_until(lambda: f"{id}.json" not in self.pending(), what="other topics go on")
        self.assertEqual(len(self.pending()), 30)
        (line,) = harness.wait_until(lambda: worker.logs("topic_missing"))[:1]
        self.assertEqual(line["topic"], self.topic("plot.events"))
        self.assertIn("--create", line["msg"])
        self.create_topic("plot.events")
        harness.wait_until(lambda: not self.pending(), what="the topic is there and its events drain")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual([r.headers["ce_id"].decode() for r in self.drain("plot.events")], waiting)
        self.assertEqual(self.dead(), {})


if __name__ == "__main__":
    harness.main()
