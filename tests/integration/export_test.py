"""What `busbridge schema export` says is what the worker does: JSON Schema by the word of python's validator against that of the worker's own
encoder, AsyncAPI by that of its parser and by records."""

import concurrent.futures
import decimal
import json
import os
import subprocess
import unittest

import control_test
import harness
from broker import cache_folder

try:
    import jsonschema
except ImportError:
    raise unittest.SkipTest("no jsonschema: apt-get install python3-jsonschema") from None

PARSER = cache_folder() / "asyncapi"  # by tests/tools/fetch

# What is neither here nor there to most types: each is tried with each type.
ANY = ["null", "true", "0", "-1", "1.0", "1.5", '""', '"a"', '"1"', "[]", "{}", '{"a": 1}', '[1]', '"\\n"']
LINE = {"type": "record", "name": "x.Line", "fields": [
    {"name": "n", "type": "int"}, {"name": "note", "type": ["null", "string"], "default": None}]}
TREE = {"type": "record", "name": "x.Tree", "fields": [
    {"name": "v", "type": "int"}, {"name": "kids", "type": {"type": "array", "items": "x.Tree"}, "default": []}]}
BAG = {"type": "record", "name": "x.Bag", "fields": [
    {"name": "n", "type": "int"}, {"name": "extra", "type": {"type": "map", "values": "string"}, "json": True, "default": {}}]}


def logical(base, word, **more):
    return {"type": base, "logicalType": word, **more}


def fixed(size, **more):
    return {"type": "fixed", "name": "x.F", "size": size, **more}


DATES = ['"2025-09-22"', '"2024-02-29"', '"2025-02-29"', '"1900-02-29"', '"2000-02-29"', '"0000-01-01"', '"0001-01-01"', '"0004-02-29"',
         '"2025-04-31"', '"2025-13-01"', '"2025-9-22"', '"2025-09-22 "', '"2025-09-22\\n"', '"٢٠٢٥-09-22"', '"2025-09-22T00:00:00"',
         "2147483647", "2147483648", "-2147483648"]
TIMES = ['"03:04:05"', '"03:04:05.123"', '"03:04:05.123000"', '"03:04:05.1234"', '"03:04:05.123456"', '"03:04:05.123456000"', '"03:04:05.1234567"',
         '"23:59:59.999999999"', '"24:00:00"', '"03:60:00"', '"03:04:60"', '"03:04"', '"03:04:05."', '"03:04:05Z"', '"03:04:05\\n"',
         "86399999", "86400000", "86399999999", "86400000000"]
STAMPS = ['"2025-09-22T03:04:05%s"' % tail for tail in
          ("", "Z", "z", ".5", ".123Z", ".123456+00:00", ".1234567Z", ".1234560Z", ".123456000", ".1234560000", "+09", "+0900", "+09:00", "+09:0000",
           "+090000", "+09:00:30", "+24:00", "-23:59", "+9", " Z", ".Z", "Z\\n")]
STAMPS += ['"2025-09-22 03:04:05"', '"2025-09-22t03:04:05"', '"2025-09-22"', '"2025-02-30T03:04:05Z"', '"2025-09-22X03:04:05"', "9223372036854775807",
           "9223372036854775808", "-9223372036854775808"]
BASES = ['"YQ=="', '"YR=="', '"YWI="', '"YWJ="', '"YWJj"', '"YWJjZA=="', '"YQ"', '"YQ="', '"=Q=="', '"YQ==\\n"', '"YQ==YQ=="', '"Y-_j"', '"===="']
UUIDS = ['"123e4567-e89b-12d3-a456-426614174000"', '"123E4567-E89B-12D3-A456-42661417400F"', '"123e4567e89b12d3a456426614174000"',
         '"123e4567-e89b-12d3-a456-42661417400"', '"123e4567-e89b-12d3-a456-42661417400g"', '"123e4567-e89b-12d3-a456-426614174000\\n"']
DIGITS = ["19.90", "999.99", "1000", "1000.00", "-999.99", "1e2", "1e3", '"19.90"', '"19.900"', '"19.905"', '"999.99"', '"1000"', '"-0.5"', '"01.5"',
          '".5"', '"5."', '"+5"', '"1,5"', '"1 "', '"1.5\\n"', '"1e2"', '"0"', '"NaN"']
WHOLE = ["2147483647", "2147483648", "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
         "-9223372036854775809", "1e2", "1e-2", "100.5"]
REALS = ["1e308", "1e309", "-1e309", "3.4028234e38", "3.41e38", "-3.41e38", "1e-400", "179769313486231570000" + "0" * 290]
LINES = ['{"n": 1}', '{"n": 1, "note": null}', '{"n": 1, "note": 2}', '{"note": "x"}', '{"n": "1"}', '{"n": 1, "more": 1}', '[{"n": 1}]', '{"n": null}']

TYPES = {
    "null": ("null", []), "boolean": ("boolean", ["false"]), "int": ("int", WHOLE), "long": ("long", WHOLE), "float": ("float", REALS),
    "double": ("double", REALS), "string": ("string", ['"星\\u0000"']), "bytes": ("bytes", BASES),
    "fixed1": (fixed(1), BASES), "fixed2": (fixed(2), BASES), "fixed3": (fixed(3), BASES), "fixed4": (fixed(4), BASES),
    "uuid": (logical("string", "uuid"), UUIDS), "uuid_fixed": (fixed(16, logicalType="uuid"), UUIDS),
    "date": (logical("int", "date"), DATES), "time_millis": (logical("int", "time-millis"), TIMES), "time_micros": (logical("long", "time-micros"), TIMES),
    "stamp_millis": (logical("long", "timestamp-millis"), STAMPS), "stamp_micros": (logical("long", "timestamp-micros"), STAMPS),
    "local_millis": (logical("long", "local-timestamp-millis"), STAMPS), "local_micros": (logical("long", "local-timestamp-micros"), STAMPS),
    "decimal": (logical("bytes", "decimal", precision=5, scale=2), DIGITS),
    "decimal_whole": (logical("bytes", "decimal", precision=3), DIGITS + ['"1.0"', "1.0"]),
    "decimal_part": (logical("bytes", "decimal", precision=2, scale=2), DIGITS + ["0.5", '"0.55"', '"1.00"', '"0.555"']),
    "decimal_fixed": (fixed(3, logicalType="decimal", precision=5, scale=2), DIGITS),
    "enum": ({"type": "enum", "name": "x.E", "symbols": ["A", "B"]}, ['"A"', '"B"', '"C"', '"A\\n"']),
    "array": ({"type": "array", "items": "int"}, ["[1, 2]", "[1, null]", '["1"]', "[[1]]"]),
    "map": ({"type": "map", "values": "string"}, ['{"a": "b", "c": ""}', '{"a": null}']),
    "record": (LINE, LINES), "bag": (BAG, [*LINES, '{"n": 1, "extra": 5}', '{"n": 1, "extra": {"a": 1}}']),
    "lines": ({"type": "array", "items": LINE}, LINES + ['[{"n": 1}, {"n": 2, "note": "x"}]', '[{"n": 1}, {}]']),
    "tree": (TREE, ['{"v": 1}', '{"v": 1, "kids": [{"v": 2, "kids": [{"v": 3}]}]}', '{"v": 1, "kids": [{"v": 2, "kids": [{}]}]}', '{"v": 1, "kids": {}}']),
    "nullable": (["null", "long"], WHOLE), "nullable_last": (["string", "null"], []), "nullable_line": (["null", LINE], LINES),
    "union": (["null", "int", logical("bytes", "decimal", precision=9, scale=2), "boolean", LINE], WHOLE[:4] + DIGITS + LINES),
    "union_texts": (["int", {"type": "enum", "name": "x.E", "symbols": ["A"]}, logical("string", "uuid"), {"type": "array", "items": "string"}],
                    ['"A"', '["x"]', "[1]", *UUIDS]),
    "union_single": (["string"], []), "union_lines": ({"type": "map", "values": ["null", "string", LINE]}, ['{"a": {"n": 1}}', '{"a": {"n": "1"}, "b": null}']),
}
JSON_TYPES = {"json": "string", "json_list": {"type": "array", "items": "string"}, "json_map": {"type": "map", "values": ["null", "string"]}}

# schemas/README.md: what JSON Schema cannot say, in the worker's type and a payload that it refuses and the validator takes.
UNSAID = [("decimal", "19.905"), ("decimal", '"1.5e3"'), ("decimal", '"1e-9"'), ("long", "1e-400"), ("int", "1.00000000000000000001"),
          ("decimal_whole", "1.00000000000000000001"), ("decimal_part", '"1e2"')]


def schema_of(name, type, **more):
    return {"type": "record", "name": "t." + name.title().replace("_", ""), "fields": [{"name": "f", "type": type, **more}]}


def verdicts(schema, texts):
    validator = jsonschema.Draft202012Validator(schema)
    return [validator.is_valid(json.loads(text)) for text in texts]


class Schemas(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.folder = self.dir / "schemas" / "t"
        self.folder.mkdir(parents=True)
        self.options.update({"encoding.schemas": str(self.folder.parent), "routing.namespaces": "t", "redis.url": "off"})

    def put(self, name, schema):
        (self.folder / f"{name}.avsc").write_text(json.dumps(schema))

    def export(self, *words):
        return json.loads(self.run_cli("schema", "export", *words, expect=0).stdout())

    def encodes(self, pairs):
        """Does the worker's encoder take that payload under that name? Of each pair."""
        (self.dir / "x.conf").write_text("".join(f"{k} = {v}\n" for k, v in self.options.items()))
        command = [harness.BUILD / "busbridge", "-c", self.dir / "x.conf", "schema", "encode"]

        def one(pair):
            done = subprocess.run([*command, pair[0], "-"], input=pair[1].encode(), capture_output=True, check=False)
            self.assertIn(done.returncode, (0, 1), done.stderr)
            return done.returncode == 0
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(one, pairs))

    def publishes(self, pairs):
        """Does the worker publish that payload under that name? Of each pair; it runs once for all."""
        for n, (name, text) in enumerate(pairs):
            self.write(f"e-{n}.json", f'{{"id": "e-{n}", "name": "{name}", "payload": {text}, "status": "pending"}}')
        self.run_worker("--once", expect=0)
        published = {record.headers["ce_id"].decode() for record in self.drain("t.events")}
        self.assertEqual(len(published) + len(self.dead()), len(pairs))
        return [f"e-{n}" in published for n in range(len(pairs))]

    def agree(self, cases, ask):
        """cases: of each name the payloads as texts. ask: encodes or publishes."""
        schemas = self.export()["$defs"]
        pairs = [("t." + name, text) for name, texts in cases.items() for text in texts]
        taken = iter(ask(pairs))
        wrong, counts = [], [0, 0]
        for name, texts in cases.items():
            validator = jsonschema.Draft202012Validator({"$defs": schemas, "$ref": f"#/$defs/t.{name}"})
            for text in texts:
                own, theirs = next(taken), validator.is_valid(json.loads(text))
                counts[own] += 1
                if own != theirs:
                    wrong.append((name, text, "the encoder takes it" if own else "the JSON Schema takes it"))
        self.assertEqual(wrong, [])
        self.assertGreater(min(counts), 3)


class JsonSchema(Schemas):
    def test_it_takes_what_the_encoder_takes_and_refuses_what_it_refuses(self):
        for name, (type, _) in TYPES.items():
            self.put(name, schema_of(name, type))
        for name, type in JSON_TYPES.items():
            self.put(name, schema_of(name, type, json=True))
        cases = {name: list(dict.fromkeys([*ANY, *own])) for name, (_, own) in TYPES.items()}
        cases.update({name: [*ANY, '{"a": [1]}', '["x", {}]'] for name in JSON_TYPES})
        unsaid = set(UNSAID) | {("float", "1e-400"), ("double", "1e-400")}  # those two are no difference: 0.0
        self.agree({name: ["{}", "[]", "1", *(f'{{"f": {text}}}' for text in texts if (name, text) not in unsaid)] for name, texts in cases.items()},
                   self.publishes)

    def test_what_it_cannot_say_is_taken_by_it_and_refused_by_the_worker(self):
        for name in {name for name, _ in UNSAID}:
            self.put(name, schema_of(name, TYPES[name][0]))
        self.assertEqual(self.encodes([("t." + name, f'{{"f": {text}}}') for name, text in UNSAID]), [False] * len(UNSAID))
        for name, text in UNSAID:
            self.assertEqual(verdicts(self.export("t." + name), [f'{{"f": {text}}}']), [True], (name, text))

    def test_unknown_members_are_taken_unless_they_are_refused(self):
        self.put("line", {**LINE, "name": "t.Line"})
        self.put("bag", {**BAG, "name": "t.Bag"})
        self.put("deep", schema_of("deep", {"type": "array", "items": {**LINE, "name": "x.Deep"}}))
        cases = {"line": ['{"n": 1}', '{"n": 1, "a": {"b": 1}}', '{"n": ""}'], "bag": ['{"n": 1}', '{"n": 1, "a": 1}', '{"n": 1, "extra": 1}'],
                 "deep": ['{"f": [{"n": 1, "x": 1}]}', '{"f": [], "x": 1}', '{"f": []}', "{}", '{"f": 1}']}
        for more in ({"encoding.unknown_fields": "drop"}, {"encoding.strict": "true"}, {"routing.t.line.unknown_fields": "refuse"},
                     {"encoding.unknown_fields": "refuse", "routing.t.unknown_fields": "carry", "routing.t.deep.unknown_fields": "refuse"}):
            with self.subTest(more):
                for key in [k for k in self.options if k.startswith(("encoding.unknown", "encoding.strict", "routing.t."))]:
                    del self.options[key]
                self.options.update(more)
                self.agree({name: [*texts, "1"] for name, texts in cases.items()}, self.encodes)

    def test_one_event_stands_alone_and_its_recursion_ends_at_itself(self):
        self.put("tree", {**TREE, "name": "t.Tree", "fields": [*TREE["fields"][:1], {"name": "kids", "type": {"type": "array", "items": "t.Tree"}},
                                                               {"name": "line", "type": ["null", LINE], "default": None}]})
        schema = self.export("t.tree", "--format", "jsonschema")
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft7Validator.check_schema(schema)
        self.assertEqual(list(schema["$defs"]), ["x.Line"])
        self.assertEqual(schema["properties"]["kids"]["items"], {"$ref": "#"})
        texts = ['{"v": 1, "kids": [{"v": 2, "kids": []}]}', '{"v": 1, "kids": [{"v": 2}]}', '{"v": 1, "kids": [], "line": {"n": 1}}',
                 '{"v": 1, "kids": [], "line": {"n": ""}}']
        self.assertEqual(verdicts(schema, texts), [True, False, True, False])
        self.assertEqual(self.encodes([("t.tree", text) for text in texts]), [True, False, True, False])
        # With the numbers' own digits a validator knows more of decimals, and nothing else changes.
        self.assertTrue(jsonschema.Draft202012Validator(schema).is_valid(json.loads(texts[0], parse_float=decimal.Decimal)))

    def test_wrong_words_are_told(self):
        self.put("line", {**LINE, "name": "t.Line"})
        self.assertIn("did you mean t.line;", self.run_cli("schema", "export", "t.lime", expect=1).stderr())
        self.assertIn("usage", self.run_cli("schema", "list", "--format", "asyncapi", expect=2).stderr())
        self.assertIn("usage", self.run_cli("schema", "export", "t.line", "t.line", expect=2).stderr())


class AsyncApi(Schemas):
    def setUp(self):
        super().setUp()
        self.put("placed", {"type": "record", "name": "shop.Placed", "fields": [
            {"name": "order_id", "type": "string", "key": True}, {"name": "total", "type": logical("bytes", "decimal", precision=9, scale=2)},
            {"name": "lines", "type": {"type": "array", "items": LINE}, "default": []}]})
        self.put("tree", {**TREE, "name": "shop.Tree", "fields": [TREE["fields"][0], {"name": "kids", "type": {"type": "array", "items": "shop.Tree"}, "default": []}]})
        self.options.update({"routing.topic": self.topic("{namespace}.events"), "routing.t.placed.topic": self.topic("orders"),
                             "routing.t.placed.headers": "tenant=tenant order=order_id"})

    def test_its_parser_takes_it(self):
        if not (PARSER / "versions").exists():
            self.skipTest("no @asyncapi/parser: tests/tools/fetch asyncapi")
        script = ('const {Parser} = require("@asyncapi/parser"); new Parser().parse(require("fs").readFileSync(0, "utf8")).then(r => console.log('
                  'JSON.stringify({faults: r.diagnostics.filter(d => d.severity < 2).map(d => d.message), channels: r.document && Object.fromEntries('
                  'r.document.channels().all().map(c => [c.address(), c.messages().all().map(m => m.name())]))})))')
        for more in ({}, {"encoding.framing": "json"}, {"encoding.framing": "cloudevents"}, {"encoding.unknown_names": "refuse"}, {"encoding.unknown_fields": "refuse"}):
            self.options.update(more)
            document = self.run_cli("schema", "export", "--format", "asyncapi", expect=0).stdout()
            done = subprocess.run(["node", "-e", script], input=document, env={**os.environ, "NODE_PATH": str(PARSER / "node_modules")},
                                  capture_output=True, text=True, check=True)
            envelope = [] if "encoding.unknown_names" in more or "encoding.unknown_names" in self.options else ["envelope"]
            self.assertEqual(json.loads(done.stdout), {"faults": [], "channels": {
                self.topic("t.events"): [*envelope, "t.tree"], self.topic("orders"): ["t.placed"]}}, more)

    def test_records_are_as_it_says(self):
        api = self.export("--format", "asyncapi")
        self.entry("t.placed", {"order_id": "o-1", "total": 19.9, "tenant": "x", "lines": [{"n": 1}]})
        self.entry("t.tree", {"v": 1, "kids": [{"v": 2}]})
        self.entry("t.unknown", {"any": "thing"})
        self.run_worker("--once", expect=0)
        seen = []
        for record in self.drain("orders", "t.events"):
            channel = api["channels"][record.topic]
            name = record.headers["ce_type"].decode()
            seen.append(name)
            name = name if name in channel["messages"] else "envelope"
            self.assertEqual(channel["messages"][name], {"$ref": "#/components/messages/" + name})
            message = api["components"]["messages"][name]
            self.check(api, message["headers"], {key: value.decode() for key, value in record.headers.items()})
            self.assertEqual(message["contentType"], record.headers["content-type"].decode())
            self.assertEqual(message["x-avro"]["wire"], record.value[2:10].hex())
            shown = json.loads(self.run_cli("tail", "--from-beginning", record.topic, "-o", "value", expect=0).stdout().splitlines()[record.offset if name == "t.placed" else 0])
            if name == "t.placed":
                self.check(api, message["payload"], shown)
                self.assertEqual(message["bindings"]["kafka"]["key"]["description"], "order_id, else the event's id")
        self.assertEqual(sorted(seen), ["t.placed", "t.tree", "t.unknown"])
        for framing in ("json", "cloudevents"):
            self.options["encoding.framing"] = framing
            id = self.entry("t.placed", {"order_id": "o-2", "total": 19.9, "tenant": "x", "lines": [{"n": 1}]})
            self.run_worker("--once", expect=0)
            (record,) = [record for record in self.drain("orders") if record.headers["ce_id"].decode() == id]
            message = self.export("--format", "asyncapi")["components"]["messages"]["t.placed"]
            self.assertEqual(message["contentType"], record.headers["content-type"].decode())
            self.check(api, message["payload"], json.loads(record.value))
        one = self.export("t.placed", "--format", "asyncapi")
        self.assertEqual((list(one["channels"]), list(one["components"]["messages"])), ([self.topic("orders")], ["t.placed"]))

    def check(self, api, schema, value):
        errors = jsonschema.Draft7Validator({**schema, "components": api["components"]} if "$ref" not in schema else {
            "allOf": [schema], "components": api["components"]}).iter_errors(value)
        self.assertEqual([e.message for e in errors], [])


class Served(control_test.ControlTest):
    """By the control API of a running worker, and named by its records."""

    needs_kafka = True

    def test_a_record_names_its_schema_and_the_worker_serves_it(self):
        file = self.dir / "schemas/t/placed.avsc"
        file.parent.mkdir(parents=True)
        (self.dir / "schemas/.common").mkdir()
        (self.dir / "schemas/.common/line.avsc").write_text(json.dumps(LINE))
        old = {"type": "record", "name": "t.Placed", "fields": [{"name": "line", "type": "x.Line"}]}
        new = {**old, "fields": [*old["fields"], {"name": "at", "type": ["null", logical("long", "timestamp-micros")], "default": None}]}
        self.options.update({"encoding.schemas": str(self.dir / "schemas"), "routing.namespaces": "t", "redis.url": "off"})
        file.write_text(json.dumps(old))
        self.run_cli("schema", "freeze", "t.placed", expect=0)
        file.write_text(json.dumps(new))
        self.entry("t.placed", {"line": {"n": 1}})
        self.entry("t.other", {"n": 1})
        uri = f"http://127.0.0.1:{self.port}/v1/schemas/"
        self.worker(**{"flush.background": "true", "cloudevents.dataschema": uri})
        records = harness.wait_until(lambda: len(found := self.drain()) == 2 and found, what="records")
        for record in records:
            named = record.headers["ce_dataschema"].decode()
            self.assertTrue(named.startswith(uri), named)
            print_, wire = named[len(uri):], record.value[2:10].hex()
            self.assertEqual(bytes.fromhex(print_)[::-1].hex(), wire)
            for path in (print_, wire, print_.upper()):
                answer = self.served("/v1/schemas/" + path)
                self.assertEqual((answer["fingerprint"], answer["wire"], answer["frozen"]), (print_, wire, None))
            if record.headers["ce_type"] == b"t.placed":
                whole = {**new, "fields": [{"name": "line", "type": LINE}, new["fields"][1]]}
                self.assertEqual((answer["event"], answer["schema"]), ("t.placed", whole))
            else:
                self.assertEqual((answer["event"], answer["schema"]["name"]), ("envelope", "Envelope"))
        listed = self.served("/v1/schemas")["schemas"]
        self.assertEqual([(s["event"], s["frozen"]) for s in listed], [("envelope", None), ("t.placed", None), ("t.placed", 1)])
        frozen = self.served("/v1/schemas/" + listed[2]["wire"])
        self.assertEqual((frozen["frozen"], [f["name"] for f in frozen["schema"]["fields"]]), (1, ["line"]))
        self.assertEqual(self.ask("unix", "GET", "/v1/schemas/0123456789abcdef")[0], 404)
        for wrong in ("0123456789abcde", "0123456789abcdefa", "0123456789abcdeg"):
            self.assertEqual(self.ask("unix", "GET", "/v1/schemas/" + wrong)[0], 400)

    def served(self, path):
        code, _, body = self.ask("tcp", "GET", path)
        self.assertEqual(code, 200, body)
        return json.loads(body)


if __name__ == "__main__":
    harness.main()
