"""Our schemas, bytes and judgements beside those of Apache Avro's Python library and of fastavro, as tests/tools/fetch brings them: random schemas
with fixed seeds. Where we mean to differ stands here, in DIFFERENCES, each with a pair that shows it."""

import decimal
import io
import json
import os
import random
import subprocess
import sys
import unittest

import harness
from avro_shapes import Shapes
from broker import cache_folder

if not (cache_folder() / "avro/versions").exists():
    print("SKIPPED: Avro's libraries are not there: tests/tools/fetch avro")
    sys.exit(77)
for folder in (cache_folder() / "avro/lib").glob("python3*/site-packages"):
    sys.path.insert(0, str(folder))
import avro.compatibility  # noqa: E402
import avro.io  # noqa: E402
import avro.schema  # noqa: E402
import fastavro  # noqa: E402
import fastavro.schema  # noqa: E402

PROGRAM = harness.BUILD / "tests/avro_oracle"
MANY = 10 if os.environ.get("BUSBRIDGE_FULL") else 1
R = '{"type": "record", "name": "%s", %s "fields": [%s]}'
MONEY = '{"type": "bytes", "logicalType": "decimal", "precision": %d, "scale": 2}'

# (what, reader, writer, ours, avro's)
DIFFERENCES = [
    ("decimals match where precision and scale do (the specification); avro looks at the bytes alone", MONEY % 9, MONEY % 8, False, True),
    ("an alias without a namespace has that of its type (the specification); avro compares it as it is written",
     R % ("New", '"namespace": "a", "aliases": ["Old"],', ""), R % ("Old", '"namespace": "a",', ""), True, False),
    ("the specification does not let long and float be read as each other's int, and float may lose a long's digits: both agree", '"float"', '"long"', True, True),
]


def lines(requests):
    """One answer for each request, a list of words."""
    out = subprocess.run([PROGRAM], input="".join("\t".join(request) + "\n" for request in requests), stdout=subprocess.PIPE, text=True, check=True).stdout
    answers = [line.split("\t") for line in out.split("\n")[:-1]]
    assert len(answers) == len(requests), (len(answers), len(requests))
    return answers


def reference(reader, writer):
    checker = avro.compatibility.ReaderWriterCompatibilityChecker()
    verdict = checker.get_compatibility(avro.schema.parse(reader), avro.schema.parse(writer)).compatibility
    return verdict is avro.compatibility.SchemaCompatibilityType.compatible


def sound(text):
    """What became of a schema may name a type whose definition is gone."""
    try:
        return avro.schema.parse(text)
    except avro.errors.AvroException:
        return None


def decimals(schema, found):
    """Do two decimals of other precision or scale meet? They are judged by the list of differences."""
    if isinstance(schema, list):
        return any([decimals(branch, found) for branch in schema])
    if isinstance(schema, dict):
        if schema.get("logicalType") == "decimal":
            found.add((schema["precision"], schema["scale"]))
        for key in ("items", "values", "type"):
            decimals(schema.get(key), found)
        for field in schema.get("fields", []):
            decimals(field["type"], found)
    return len(found) > 1


def exact(value):
    """Floats as the decimals that they are written as."""
    if isinstance(value, float):
        return decimal.Decimal(repr(value))
    if isinstance(value, list):
        return [exact(item) for item in value]
    return {key: exact(item) for key, item in value.items()} if isinstance(value, dict) else value


class Compatibility(unittest.TestCase):
    def pairs(self, seed, count):
        by, pairs = random.Random(seed), []
        while len(pairs) < count:
            reader, writer = Shapes(by, readable=False).pair()
            found = set()
            decimals(json.loads(reader), found)
            if not decimals(json.loads(writer), found) and sound(reader) and sound(writer):
                pairs.append((reader, writer))
        return pairs

    def test_avro_gives_the_same_verdicts(self):
        pairs = self.pairs(12, 2000 * MANY)
        told = {"yes": 0, "no": 0}
        for (reader, writer), answer in zip(pairs, lines([("compatible", *pair) for pair in pairs])):
            with self.subTest(reader=reader, writer=writer):
                self.assertIn(answer[0], told, answer)
                self.assertEqual(answer[0] == "yes", reference(reader, writer), answer)
                self.assertEqual(answer[0] == "no", len(answer) > 1, "each no has its reasons")
            told[answer[0]] += 1
        self.assertGreater(min(told.values()), len(pairs) // 10, told)

    def test_what_is_compatible_is_read_by_fastavro(self):
        by, tried = random.Random(13), 0
        shapes, pairs = [], []
        for _ in range(600 * MANY):
            shape = Shapes(by, readable=True, texts=True)
            old, names = shape.schema(3), {}
            made = dict(shape.made)
            if not sound(json.dumps(old)):
                continue
            new = shape.renamed(shape.changed(old, names), names)
            shape.made = made
            if not sound(json.dumps(new)):
                continue
            shapes.append((shape, old, new))
            pairs.append((json.dumps(new), json.dumps(old)))
        for (shape, old, new), answer in zip(shapes, lines([("compatible", *pair) for pair in pairs])):
            if answer[0] != "yes":
                continue
            with self.subTest(reader=json.dumps(new), writer=json.dumps(old)):
                for _ in range(3):
                    out = io.BytesIO()
                    fastavro.schemaless_writer(out, old, shape.value(old)[0])
                    out.seek(0)
                    fastavro.schemaless_reader(out, old, new)
                    tried += 1
        self.assertGreater(tried, 300)

    def test_differences_are_these(self):
        for (what, reader, writer, ours, theirs), answer in zip(DIFFERENCES, lines([("compatible", d[1], d[2]) for d in DIFFERENCES])):
            with self.subTest(what):
                self.assertEqual((answer[0] == "yes", reference(reader, writer)), (ours, theirs))


class Encoding(unittest.TestCase):
    maxDiff = None

    def schemas(self, seed, count):
        by = random.Random(seed)
        for _ in range(count):
            shape = Shapes(by, readable=True)
            yield shape, shape.named("record", 4)

    def test_canonical_form_and_fingerprint(self):
        schemas, plain = [schema for _, schema in self.schemas(14, 500 * MANY)], 0
        for schema, answer in zip(schemas, lines([("canonical", json.dumps(schema)) for schema in schemas])):
            with self.subTest(json.dumps(schema)):
                canonical = fastavro.schema.to_parsing_canonical_form(schema)
                self.assertEqual(answer[0], canonical)
                wire = bytes.fromhex(answer[1])[::-1]  # as its bytes stand in a record
                self.assertEqual(wire.hex(), fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
                # avro leaves {"type":"int"} of a logical type, and defines a fixed anew at each place: not as its specification has it
                if not any(word in json.dumps(schema) for word in ("logicalType", '"fixed"')):
                    plain += 1
                    parsed = avro.schema.parse(json.dumps(schema))
                    self.assertEqual(answer[0], parsed.canonical_form)
                    self.assertEqual(wire, parsed.fingerprint("CRC-64-AVRO"))
        self.assertGreater(plain, len(schemas) // 20)

    def test_values_both_ways(self):
        cases = []
        for shape, schema in self.schemas(15, 500 * MANY):
            text = json.dumps(schema)
            for _ in range(3):
                value, payload, back = shape.value(schema)
                out = io.BytesIO()
                fastavro.schemaless_writer(out, schema, value)
                cases.append((text, value, payload, back, out.getvalue()))
        encoded = lines([("encode", case[0], case[2]) for case in cases])
        decoded = lines([("decode", case[0], case[4].hex()) for case in cases])
        for (text, value, payload, back, octets), ours, read in zip(cases, encoded, decoded):
            with self.subTest(schema=text, payload=payload):
                self.assertEqual(ours[0], octets.hex())
                self.assertEqual(json.loads(read[0], parse_float=decimal.Decimal), exact(back))


if __name__ == "__main__":
    harness.main()
