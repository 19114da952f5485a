#!/usr/bin/python3
"""The wire of 0.1.0 stays: topic, partition, key, headers and value of each event are the bytes that 0.1.0 sends, but for the cases of
DIFFERENT, each of which deploy/CHANGELOG.md tells.

`wire_test.py record` writes them anew: BUSBRIDGE_BUILD is then a build of 0.1.0.
"""

import json
import re
import sys
import unittest

import harness
from relay_test import CREATED, PAYLOADS

RECORDED = harness.ROOT / "tests/integration/recorded/wire.json"
OPTIONS = {"topics.partitions": "3", "cloudevents.source": "/frozen"}
TRACED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

OLD = {"encoding.unknown_fields": "drop", "encoding.envelope": "drop"}
BRIDGED = {"event_type": "PlotSaved", "event_id": "bridged", "occurred_at": "2025-09-22T03:04:06+00:00", "aggregate_id": "a-1",
           "version": 1, "metadata": {}, "data": {"plot_id": "p-1"}}
NEW = {"encoding.unknown_fields", "encoding.envelope", "outbox.lift"}  # settings that 0.1.0 has not

# A folder of schemas as 0.1.0 takes it: no map `extra`, and a field that says "key".
SCHEMAS = {
    "envelope": (harness.ROOT / "schemas/envelope.avsc").read_text(),
    "episode/noted": json.dumps({"type": "record", "name": "Noted", "fields": [
        {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [{"name": "text", "type": "string"}]}}}]}),
    "episode/rated": json.dumps({"type": "record", "name": "Rated", "fields": [
        {"name": "rater", "type": "string", "key": True}, {"name": "episode_id", "type": "string"}]}),
}

# What producers write beside the plain cases: id -> (name, payload, other members of the entry, settings).
ODD = {
    "second-field": ("episode.published", {"id": "ep-9"}, {}, {}),
    "number-as-key": ("plot.updated", {"plot_id": 12, "word_count": 1.0}, {}, {}),
    "no-key-field": ("usecase.other", {"usecase_name": "w"}, {}, {}),
    "without-its-key": ("plot.validated", {"ok": True}, {}, {}),
    "null-as-key": ("plot.validated", {"plot_id": None}, {}, {}),
    "empty-key": ("quality.improved", {"content_id": "", "episode_id": "e-4"}, {}, {}),
    "bool-as-key": ("plot.validated", {"plot_id": True}, {}, {}),
    "list-as-key": ("plot.validated", {"plot_id": ["a"]}, {}, {}),
    "object-as-key": ("quality.improved", {"content_id": {"x": 1}, "episode_id": "e-5"}, {}, {}),
    "escaped-key": ("plot.validated", {"plot_id": "第\"一\n章"}, {}, {}),
    "extra-named-extra": ("episode.created", {"episode_id": "e", "title": "t", "episode_number": 2, "extra": {"a": 1}}, {}, {}),
    "traced": ("plot.validated", {"plot_id": "p", "metadata": {"traceparent": TRACED}}, {}, {}),
    "naive-time": ("plot.validated", {"plot_id": "p"}, {"created_at": "2025-09-22 03:04:05"}, {}),
    "unknown-members": ("plot.validated", {"plot_id": "p"}, {"tenant": "t-1"}, {}),
    "offset-without-colon": ("plot.validated", {"plot_id": "p"}, {"created_at": "2025-09-22T03:04:05+0900"}, {}),
    "traced-beside": ("plot.validated", {"plot_id": "p"}, {"traceparent": TRACED}, {}),
    "traced-in-headers": ("plot.validated", {"plot_id": "p"}, {"headers": {"traceparent": TRACED}}, {}),
    "whole-as-real": ("plot.updated", {"plot_id": "p", "word_count": 1e2}, {}, {}),
    "beyond-a-double": ("quality.checked", {"content_id": "c", "score": 9007199254740993, "check_types": [], "passed": True}, {}, {}),
    "no-place": ("episode.noted", {"lines": [{"text": "a", "note": 1}], "more": {"x": 1.50}}, {}, {"encoding.schemas": "@"}),
    "no-place-dropped": ("episode.noted", {"lines": [{"text": "a", "note": 1}], "more": {"x": 1.50}}, {}, {"encoding.schemas": "@", **OLD}),
    "members-dropped": ("plot.validated", {"plot_id": "p"}, {"tenant": "t-1"}, OLD),
    "strict": ("episode.noted", {"lines": [], "more": 1}, {}, {"encoding.schemas": "@", "encoding.strict": "true"}),
    "key-of-schema": ("episode.rated", {"rater": "r", "episode_id": "e"}, {}, {"encoding.schemas": "@"}),
    "list-as-own-key": ("plot.validated", {"plot_id": ["a"], "other": "o"}, {}, {"routing.keys": "plot=plot_id,other"}),
    "nested-own-key": ("plot.validated", {"plot_id": "p", "customer": {"id": "c"}}, {}, {"routing.keys": "plot=customer.id"}),
    "none-as-own-key": ("plot.validated", {"plot_id": "p", "none": "n"}, {}, {"routing.keys": "plot=none"}),
    "bridged": ("plot.plotsaved", BRIDGED, {}, {}),
    "bridged-not-lifted": ("plot.plotsaved", BRIDGED, {}, {"outbox.lift": "off"}),
    "raw": ("quality.check_failed", {"episode_id": "e", "error": "x", "via_usecase": False}, {}, {"encoding.framing": "raw"}),
    "json": ("quality.check_failed", {"episode_id": "e", "error": "x", "more": 1}, {}, {"encoding.framing": "json"}),
    "own-key": ("usecase.executed", {"usecase_name": "u", "success": True, "request_data": {}, "response_data": None}, {},
                {"routing.keys": "usecase=absent,usecase_name"}),
    "own-alias": ("UsecaseFailed", {"usecase_name": "u", "error": "e", "request_data": {}}, {},
                  {"routing.aliases": "UsecaseFailed=usecase.failed"}),
    "unknown-namespace": ("order.placed", {"order_id": 1}, {}, {}),
    "bad-name": ("Order", {}, {}, {}),
    "unfit": ("quality.checked", {"content_id": "c", "score": "A"}, {}, {}),
}


def cases():
    plain = {f"plain-{i}": (name, payload, {}, {}) for i, (name, payload) in enumerate(PAYLOADS.items())}
    return {**plain, **ODD}


def enveloped(*texts):
    """The value of an event in the envelope: id, name, created_at, payload; each shorter than 64 bytes."""
    return ENVELOPE + "".join(f"{2 * len(text):02x}" + text.encode().hex() for text in texts)


ENVELOPE = "c301d50c5d883323c472"
FIELDS = ("topic", "partition", "key", "headers", "value")
# Cases that are another record now: words of the changelog, and what of the record is different (None: it is not there).
DIFFERENT = {
    "bridged": ("are lifted out of the envelope", {
        "key": "p-1", "value": enveloped("bridged", "plot.saved", "2025-09-22T03:04:06.000000+00:00", '{"plot_id": "p-1"}'),
        "headers": {"ce_time": "2025-09-22T03:04:06.000000+00:00", "ce_subject": "a-1", "busbridge-envelope":
                    '{"entry":{"name":"plot.plotsaved"},"envelope":{"event_type":"PlotSaved","version":1,"metadata":{}}}'}}),
    "key-of-schema": ('`"key": true` on a field of a schema makes it the key', {"key": "r", "partition": 0}),
    "list-as-own-key": ("the event is a dead letter (`bad_key`)", {"reason": "bad_key", **dict.fromkeys(FIELDS)}),
    "nested-own-key": ("`order=customer.id` is `id` of `customer`", {"key": "c", "partition": 1}),
    "no-place": ("rides in the header `ce_extra`", {"headers": {"ce_extra": '{"/lines/0/note": 1, "/more": {"x": 1.5}}'}}),
    "none-as-own-key": ("`order=none` means no field", {"key": "none-as-own-key", "partition": 2}),
    "offset-without-colon": ("An offset without a colon (`+0900`) is read", {
        "value": enveloped("offset-without-colon", "plot.validated", "2025-09-22T03:04:05+0900", '{"plot_id": "p"}'),
        "headers": {"ce_time": "2025-09-21T18:04:05.000000+00:00"}}),
    "traced-beside": ("`traceparent` is taken from the entry's top level", {"headers": {"traceparent": TRACED}}),
    "traced-in-headers": ("from its member `headers` too", {"headers": {"traceparent": TRACED}}),
    "unknown-members": ("ride in the header `busbridge-envelope`", {"headers": {"busbridge-envelope": '{"entry":{"tenant":"t-1"}}'}}),
    "whole-as-real": ("A whole number is an integer however it is written", {
        "reason": None, "topic": ".plot.events", "partition": 2, "key": "p", "value": "c301503f523d5811e88002700002c80100000000",
        "headers": {"ce_specversion": "1.0", "ce_id": "whole-as-real", "ce_type": "plot.updated", "ce_source": "/frozen",
                    "ce_time": "2025-09-22T03:04:05.123456+00:00", "content-type": "application/avro"}}),
}


def changed(row, difference):
    """The row with the differences, those of its headers one by one."""
    headers = {**row.get("headers", {}), **(difference.get("headers") or {})}
    row = {**row, **difference, "headers": None if difference.get("reason") else headers}
    return {name: value for name, value in row.items() if value is not None}


class Wire(harness.BusTest):
    maxDiff = None

    def setUp(self):
        super().setUp()
        for name, text in SCHEMAS.items():
            file = self.dir / "schemas" / f"{name}.avsc"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def options_of(self, options, without=()):
        return {**OPTIONS, **{key: str(self.dir / "schemas") if value == "@" else value
                              for key, value in json.loads(options).items() if key not in without}}

    def relayed(self, without=()):
        """What became of each case: {id: {...}}."""
        runs = {}
        for id, (name, payload, members, options) in cases().items():
            runs.setdefault(json.dumps(options), []).append((id, name, payload, members))
        for options, entries in runs.items():
            for id, name, payload, members in entries:
                self.entry(name, payload, id=id, **{"created_at": CREATED, **members})
            self.run_worker("--once", options=self.options_of(options, without), expect=0)
        found = {record.headers["ce_id"].decode(): self.told(record) for record in self.drain()}
        found.update({dead["id"]: {"reason": dead["reason"]} for dead in self.dead().values()})
        return found

    def told(self, record):
        return {"topic": record.topic.removeprefix(self.prefix), "partition": record.partition, "key": record.key.decode(),
                "headers": {name: value.decode() for name, value in record.headers.items()}, "value": record.value.hex()}

    def test_each_event_is_the_bytes_it_was(self):
        found, recorded = self.relayed(), self.recorded()
        self.assertEqual(set(recorded), set(cases()))
        for id, row in recorded.items():
            if id in DIFFERENT:
                self.assertNotEqual(found.get(id), row, f"{id} is as it was")
                row = changed(row, DIFFERENT[id][1])
            self.assertEqual(found.get(id), row, id)

    def test_what_is_different_stands_in_the_changelog(self):
        unreleased = (harness.ROOT / "deploy/CHANGELOG.md").read_text().split("\n## ")[1]
        words = " ".join(unreleased.split())
        for id, (said, _) in DIFFERENT.items():
            self.assertIn(said, words, id)

    def recorded(self):
        record = json.loads(RECORDED.read_text())
        self.assertEqual(record.pop("release"), "0.1.0")
        return record

    def test_the_page_shows_the_bytes_that_are_sent(self):
        page = (harness.ROOT / "schemas/WIRE.md").read_text()
        blocks = re.findall(r"(?:^    (?:[0-9a-f]{2} )+.*\n)+", page, re.M)
        shown = ["".join(re.findall(r"^    ((?:[0-9a-f]{2} )+)", block, re.M)).replace(" ", "") for block in blocks]
        sent, head = self.recorded()["plain-0"]["value"], 2 * (2 + 8)
        self.assertEqual(shown, [sent, "0000000007" + sent[head:], "0000000008" + b'{"id": "ep-7"}'.hex()],
                         "single-object, confluent with the id 7, confluent-json with the id 8")
        for header in (*self.recorded()["traced"]["headers"], "tracestate", "ce_subject", "ce_extra", "busbridge-envelope"):
            self.assertIn(f"| `{header}` |", page)

    def record(self):
        rows = (f"{json.dumps(id)}: {json.dumps(row, ensure_ascii=False)}" for id, row in sorted(self.relayed(without=NEW).items()))
        RECORDED.write_text('{\n"release": "0.1.0",\n' + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["record"]:
        sys.exit(not unittest.TextTestRunner().run(Wire("record")).wasSuccessful())
    harness.main()
