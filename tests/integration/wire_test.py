#!/usr/bin/python3
"""The wire stays: topic, partition, key, headers and value of each event are the bytes that were recorded.

`wire_test.py record` writes them anew, by the worker of BUSBRIDGE_BUILD: only where deploy/CHANGELOG.md says what differs.
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


class Wire(harness.BusTest):
    maxDiff = None

    def relayed(self):
        """What became of each case: {id: {...}}."""
        runs = {}
        for id, (name, payload, members, options) in cases().items():
            runs.setdefault(json.dumps(options), []).append((id, name, payload, members))
        for options, entries in runs.items():
            for id, name, payload, members in entries:
                self.entry(name, payload, id=id, **{"created_at": CREATED, **members})
            self.run_worker("--once", options={**OPTIONS, **json.loads(options)}, expect=0)
        found = {record.headers["ce_id"].decode(): self.told(record) for record in self.drain()}
        found.update({dead["id"]: {"reason": dead["reason"]} for dead in self.dead().values()})
        return found

    def told(self, record):
        return {"topic": record.topic.removeprefix(self.prefix), "partition": record.partition, "key": record.key.decode(),
                "headers": {name: value.decode() for name, value in record.headers.items()}, "value": record.value.hex()}

    def test_each_event_is_the_bytes_it_was(self):
        found, recorded = self.relayed(), json.loads(RECORDED.read_text())
        self.assertEqual(set(recorded), set(cases()))
        for id in recorded:
            self.assertEqual(found.get(id), recorded[id], id)

    def test_the_page_shows_the_bytes_that_are_sent(self):
        page = (harness.ROOT / "schemas/WIRE.md").read_text()
        shown = "".join(re.findall(r"^    ((?:[0-9a-f]{2} )+)", page, re.M)).replace(" ", "")
        self.assertEqual(shown, json.loads(RECORDED.read_text())["plain-0"]["value"])
        for header in (*json.loads(RECORDED.read_text())["traced"]["headers"], "ce_extra"):
            self.assertIn(f"| `{header}` |", page)

    def record(self):
        rows = (f"{json.dumps(id)}: {json.dumps(row, ensure_ascii=False)}" for id, row in sorted(self.relayed().items()))
        RECORDED.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["record"]:
        sys.exit(not unittest.TextTestRunner().run(Wire("record")).wasSuccessful())
    harness.main()
