"""busbridge schema infer: the proposal loads, is clean, and takes all that it was made of whole."""

import json
import random
import uuid

import harness
from cli_test import CliTest

FIRST = {"id": "21636369-8b52-9b4a-97b7-50923ceb3ffd", "n": 1, "big": 2**40, "f": 1.0, "mix": 1, "when": "2025-09-22T03:04:05.123456+00:00",
         "day": "2025-09-22", "at": "03:04:05.5", "price": "12.50", "code": "007", "nine": "2025-09-22T03:04:05.123456789Z",
         "lines": [{"sku": "a", "qty": 1, "note": None}, {"sku": "b", "qty": 2.5}], "tags": [], "meta": {"a b": 1, "c": [1]},
         "who": {"name": "x", "address": {"zip": "1", "extra": {"z": {}}}}, "empty": {}, "nul": None, "odd key": 1, "extra": "e",
         "huge": 123456789012345678901234567890, "matrix": [[1, 2], [3.5]], "any": [1, "a", None], "t": True, "some": [None, 1]}
SECOND = {"id": str(uuid.UUID(int=5)), "n": -2**31, "big": 3, "f": 0.1, "mix": "x", "when": "2025-09-22 03:04:05", "day": "2024-02-29", "at": "23:59:59",
          "price": "-0.05", "code": "8.10", "nine": "2025-09-22T03:04:05Z", "lines": [], "tags": [], "meta": {},
          "who": {"name": "y", "address": {"zip": "1"}, "more": 7}, "empty": {}, "nul": None, "matrix": [], "any": [], "t": False, "some": []}
NULL = {"default": None}


def deep(levels):
    return {"a": deep(levels - 1)} if levels else {"b": 1}


class Infer(CliTest):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.options["routing.namespaces"] = "order"
        self.folder = self.dir / "schemas"
        (self.folder / "order").mkdir(parents=True)
        self.file = self.folder / "order/placed.avsc"

    def infer(self, *payloads, **more):
        for payload in payloads:
            self.entry("order.placed", payload, **more)
        self.run_cli("schema", "infer", "order.placed", "--write", self.file.as_posix(), *(["--type", "dlq"] if more else []), expect=0)
        self.options["encoding.schemas"] = str(self.folder)
        checked = self.run_cli("schema", "check", "--all", expect=0)
        self.assertNotIn("line", checked.stderr())
        for payload in payloads:
            one = self.dir / "payload.json"
            one.write_text(json.dumps(payload))
            said = json.loads(self.run_cli("schema", "check", "order.placed", str(one), "-o", "json", expect=0).stdout())
            self.assertEqual((said["own"], said["fits"], said["left_out"], said["cut_numbers"]), (True, True, 0, 0), said)
        return {field["name"]: {key: value for key, value in field.items() if key != "name"} for field in json.loads(self.file.read_text())["fields"]}

    def test_what_is_proposed(self):
        fields = self.infer(FIRST, SECOND)
        self.assertEqual({name: fields[name] for name in ("id", "n", "big", "f", "when", "day", "at", "code", "nine", "t")}, {
            "id": {"type": {"type": "string", "logicalType": "uuid"}}, "n": {"type": "int"}, "big": {"type": "long"}, "f": {"type": "double"},
            "when": {"type": {"type": "long", "logicalType": "timestamp-micros"}}, "day": {"type": {"type": "int", "logicalType": "date"}},
            "at": {"type": {"type": "long", "logicalType": "time-micros"}}, "code": {"type": "string"}, "nine": {"type": "string"},
            "t": {"type": "boolean"}})
        self.assertEqual(fields["price"], {"type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}})
        text = {"type": "string", "json": True}
        self.assertEqual({name: fields[name] for name in ("mix", "nul", "huge", "tags", "any")}, {
            "mix": text, "nul": {"type": ["null", "string"], "json": True, **NULL}, "huge": {"type": ["null", "string"], "json": True, **NULL},
            "tags": {"type": {"type": "array", "items": "string"}, "json": True}, "any": {"type": {"type": "array", "items": "string"}, "json": True}})
        self.assertEqual(fields["some"], {"type": {"type": "array", "items": ["null", "int"]}})
        self.assertEqual(fields["matrix"], {"type": {"type": "array", "items": {"type": "array", "items": "double"}}})
        self.assertEqual(fields["extra"], {"type": {"type": "map", "values": "string"}, "json": True, "default": {}})  # "odd key" is no name
        self.assertNotIn("odd key", fields)
        line = fields["lines"]["type"]["items"]
        self.assertEqual(line, {"type": "record", "name": "PlacedLines", "fields": [
            {"name": "sku", "type": "string"}, {"name": "qty", "type": "double"}, {"name": "note", "type": ["null", "string"], "json": True, **NULL}]})
        self.assertEqual([field["name"] for field in fields["who"]["type"]["fields"]], ["name", "address", "more"])
        whole = json.loads(self.file.read_text())
        self.assertEqual((whole["name"], whole["namespace"]), ("Placed", "order"))

    def test_it_is_printed_and_never_overwrites(self):
        self.entry("order.placed", {"a": 1})
        run = self.run_cli("schema", "infer", "order.placed", expect=0)
        self.assertEqual(json.loads(run.stdout())["fields"], [{"name": "a", "type": "int"}])
        self.assertIn("from 1 entry", run.stderr())
        self.file.write_text("mine")
        self.run_cli("schema", "infer", "order.placed", "--write", str(self.file), expect=1)
        self.assertEqual(self.file.read_text(), "mine")
        self.assertIn("No pending entry has a payload of order.other", self.run_cli("schema", "infer", "order.other", expect=3).stderr())
        self.assertIn("No dead letter", self.run_cli("schema", "infer", "order.placed", "--type", "dlq", expect=3).stderr())
        self.run_cli("schema", "show", "order.placed", "--type", "dlq", expect=2)

    def test_dead_letters(self):
        fields = self.infer({"a": 1}, {"b": "x"}, place="dlq", status="dlq", reason="schema_mismatch", last_error="x")
        self.assertEqual(fields, {"a": {"type": ["null", "int"], **NULL}, "b": {"type": ["null", "string"], **NULL}})

    def test_odd_ones(self):
        self.infer({}, {"": 1}, {"a": deep(30), "extra": {}}, {"a": deep(2), "b": {f"k{n}": n for n in range(1200)}}, {"a": {"extra": {}, "x": [[[]]]}},
                   {"c": [{"d": {"e-f": 1}}, {"d": {"g": [None, {"h": 9.5}]}}], "z": 0.1234567890123456789, "a_b": {"c": {}}, "a": {"b_c": {"q": 1}}})

    def test_random_ones(self):
        by = random.Random(16)

        def value(depth):
            kinds = [lambda: by.randint(-2**by.choice([8, 31, 33, 63, 70]), 2**by.choice([8, 31, 62])), lambda: by.uniform(-1e9, 1e9), lambda: None,
                     lambda: by.choice(["", "a", "2025-09-22", "12.5", "1.25", "2025-09-22T03:04:05", "é\n", str(uuid.UUID(int=by.getrandbits(128)))]),
                     lambda: by.random() < 0.5]
            if depth:
                kinds += [lambda: [value(depth - 1) for _ in range(by.randint(0, 3))],
                          lambda: {by.choice(["a", "b", "extra", "c d", "E"]): value(depth - 1) for _ in range(by.randint(0, 4))}] * 2
            return by.choice(kinds)()

        for turn in range(4):
            with self.subTest(turn):
                self.file.unlink(missing_ok=True)
                for old in self.outbox.glob("*.json"):
                    old.unlink()
                self.infer(*({name: value(4) for name in ("a", "b", "c", "extra", "d") if by.random() < 0.8} for _ in range(5)))


if __name__ == "__main__":
    harness.main()
