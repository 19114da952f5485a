#!/usr/bin/python3
"""About 300 hostile JSON texts through a real worker: each is published as it was written, or dead with the reason it must have,
whole, and the memory stays small. The scanner's own list of texts is tests/unit/json_oracle_test.c."""

import json

import harness
from relay_test import CREATED, decode

SYNTAX, NAN, LONE, UTF8, TWICE, DEEP = "not_json", "not_a_number", "lone_surrogate", "invalid_utf8", "duplicate_key", "too_deep"
LIMIT = 1 << 20  # outbox.max_entry_bytes
CHANGED = ("attempts", "last_error", "failed_at", "status", "reason")  # by setting it aside
MOST_KB = 96 << 10  # resident, ever: the limit above several times over, beside the worker's own


def around(value, id="@"):
    """An entry whose payload has that value. @ becomes the id that the text gets."""
    return b'{"id": "%s", "name": "plot.updated", "payload": {"plot_id": "p", "note": %s}, "created_at": "%s", "attempts": 0, "status": ' \
           b'"pending", "storage_key": "%s"}' % (id.encode(), value, CREATED.encode(), id.encode())


def entry(**over):
    """An entry with other values of its keys, as JSON texts; None leaves the key out."""
    keys = {"id": b'"@"', "name": b'"plot.updated"', "payload": b'{"plot_id": "p"}', "created_at": b'"%s"' % CREATED.encode(),
            "attempts": b"0", "status": b'"pending"', **over}
    return b"{" + b", ".join(b'"%s": %s' % (key.encode(), value) for key, value in keys.items() if value is not None) + b"}"


GOOD_VALUES = [  # arrive as they are
    b"null", b"true", b"-0", b"-0.0", b"0e0", b"1E+2", b"0.1e1", b"1e-999", b"5e-324", b"1.7976931348623157e308", b"1e309", b"-1e999",
    b"9007199254740993", b"9223372036854775808", b"-9223372036854775809", b"1" * 400, b"0." + b"1" * 4000, b"1e" + b"0" * 4000 + b"1",
    b'""', b'"\\u0000"', b'"\\u0000\\u0001\\u001f"', b'"\x7f"', b'"\\"\\\\\\/\\b\\f\\n\\r\\t"', b'"\\ud83d\\ude00"', b'"\\uD800\\uDC00"',
    b'"\\uFFFE\\uFFFF"', b'"\xef\xbb\xbf"', b'"\xf4\x8f\xbf\xbf"', b'"\xed\x9f\xbf\xee\x80\x80"', b'"\xe2\x80\xa8\xe2\x80\xae"', b'"\\u202e"',
    b'"</script>"', b'"%s%n%x"', b'"\'; drop table x; --"', b'"$(reboot)`reboot`"', b'"../../../etc/passwd"', b'"{\\"id\\": \\"other\\"}"',
    b"[]", b"{}", b"[[],[[]],{}]", b'{"": {"": {"": 1}}}', b'{"__proto__": {"x": 1}, "constructor": 2}', b'{"a": 1, "A": 2, "\\u0042": 3}',
    b'{"\\u0000": 1, "": 2}', b" \t\r\n [ 1 \r\n, 2 ] \t", b"[" * 62 + b"]" * 62, b'{"a":' * 62 + b"1" + b"}" * 62, b'{"id": "x", "status": "dlq"}',
    b"[" + b"0," * 200000 + b"0]", b'"' + b"x" * 900000 + b'"', b'"' + b"\\u0000" * 150000 + b'"', b'"' + b"\\ud83d\\ude00" * 80000 + b'"',
    b"{" + b",".join(b'"%d":0' % i for i in range(80000)) + b"}", b"[" + b"[]," * 200000 + b"[]]", b" " * 1000000 + b"1",
]
BAD_VALUES = {
    SYNTAX: [b"", b"-", b"+1", b"01", b"-01", b"00", b"1.", b".5", b"-.5", b"1.e5", b"1e", b"1e+", b"1e5.5", b"1..2", b"0x10", b"0b1", b"0o7",
             b"1_000", b"--1", b"1-", b"1f", b"1L", b"0.1.2", b"1e1e1", b"\xc2\xb2", b"\xd9\xa1", b"True", b"None", b"NULL", b"nul", b"truee", b"undefined",
             b"nan", b"inf", b"-NaN", b"+Infinity", b"Inf", b"-Inf", b"'a'", b'"\\q"', b'"\\x41"', b'"\\\'"', b'"\\u12"', b'"\\u123g"', b'"\\U0041"',
             b'"\\u+123"', b'"\\0"', b'"a\nb"', b'"a\tb"', b'"a\0b"', b'"\x1f"', b'"a', b'"\\"', b'"a" "b"', b"[1,]", b"[,1]", b"[,]", b"[1,,2]",
             b"[1 2]", b"[1", b"[1}", b"[1]]", b"[1;2]", b"[...]", b"(1)", b"<a/>", b'{"a"}', b'{"a" 1}', b'{"a":}', b'{"a":1,}', b'{,}', b'{"a"::1}',
             b'{a:1}', b'{1:1}', b'{null:1}', b'{"a":1 "b":2}', b'{"a":1}}', b'["a":1]', b"1 /* c */", b"1 // c\n", b"# c\n1", b"\v1", b"\f1",
             b"\xc2\xa01", b"\0", b"\xef\xbb\xbf1", b"1\0", b'"\\ud800\\uzzzz"', b"\\u0031", b"`a`", b"\x80", b"[" * 30 + b"1" + b"]" * 29],
    NAN: [b"NaN", b"Infinity", b"-Infinity", b"[1,NaN]", b'{"a": -Infinity}', b"[[[NaN]]]"],
    LONE: [b'"\\ud800"', b'"\\udc00"', b'"\\udfff\\ud800"', b'"\\ud800\\ud800"', b'"\\ud800x"', b'"\\ud800\\n"', b'"\\ud83d\\u0041"',
           b'"\xed\xa0\x80"', b'"\xed\xbf\xbf"', b'"\xed\xa0\xbd\xed\xb8\x80"', b'{"\\ud800": 1}'],
    UTF8: [b'"\x80"', b'"\xbf"', b'"\xc0\xaf"', b'"\xc0\x80"', b'"\xc1\xbf"', b'"\xe0\x80\xaf"', b'"\xe0\x9f\xbf"', b'"\xf0\x8f\xbf\xbf"',
           b'"\xf4\x90\x80\x80"', b'"\xf5\x80\x80\x80"', b'"\xfe"', b'"\xff"', b'"\xc3"', b'"\xe2\x82"', b'"\xf0\x9f\x98"', b'"\xe9t\xe9"', b'"\xe2\x28\xa1"',
           b'"\xf8\x88\x80\x80\x80"', b'{"\xff": 1}'],
    TWICE: [b'{"a":1,"a":2}', b'{"":1,"":2}', b'{"a":1,"\\u0061":2}', b'{"\\u00e9":1,"\xc3\xa9":2}', b'{"\\/":1,"/":2}', b'[{"x":{"k":1,"l":2,"k":3}}]',
            b"{" + b",".join(b'"%d":0' % i for i in range(50000)) + b',"0":1}'],
    DEEP: [b"[" * 63 + b"]" * 63, b'{"a":' * 63 + b"1" + b"}" * 63, b"[" * 500000, b"[" * 450000 + b"]" * 450000, b'{"a":' * 180000, b"[{\"a\":" * 130000],
}
ENTRIES = [  # whole texts: what must become of them
    (b"", "empty_file"), (b" ", "empty_file"), (b"\n\n\t \r", "empty_file"), (b" " * 1000000, "empty_file"), (b"\0", SYNTAX), (b"\0" * 4096, SYNTAX),
    (b"null", "not_an_object"), (b"true", "not_an_object"), (b"0", "not_an_object"), (b'"@"', "not_an_object"), (b"[]", "not_an_object"),
    (b"NaN", NAN), (b"nan", SYNTAX), (b"\xef\xbb\xbf" + around(b"1"), SYNTAX), (around(b"1").decode().encode("utf-16"), SYNTAX),
    (around(b"1").decode().encode("utf-32-le"), SYNTAX), (around(b"1") * 2, SYNTAX), (around(b"1") + b"\n" + around(b"1"), SYNTAX), (around(b"1") + b"\0", SYNTAX),
    (around(b"1") + b"}", SYNTAX), (around(b"1") + b",", SYNTAX), (around(b"1") + b" " * 100000, None), (b"\r\n\t" + around(b"1") + b"\n", None),
    (around(b"1")[:-1], SYNTAX), (around(b"1")[1:], SYNTAX), (b"\x1f\x8b\x08\0\0", SYNTAX), (b"PK\x03\x04", SYNTAX), (b"\x7fELF", SYNTAX), (b"%PDF-1.4", SYNTAX),
    (b"---\nid: x\n", SYNTAX), (b"<?xml version='1.0'?>", SYNTAX), (b"x" * (LIMIT + 1), "too_large"), (b"[" * (LIMIT + 1), "too_large"),
    (around(b'"' + b"x" * (3 << 20) + b'"'), "too_large"),
    # ids
    (entry(id=None), "missing_id"), (entry(id=b"null"), "missing_id"), (entry(id=b"7"), "missing_id"), (entry(id=b"[]"), "missing_id"),
    (entry(id=b'""'), "bad_id"), (entry(id=b'"../../../etc/passwd"'), "bad_id"), (entry(id=b'"a/b"'), "bad_id"), (entry(id=b'"a b"'), "bad_id"),
    (entry(id=b'"a\\u0000b"'), "bad_id"), (entry(id=b'"a\\nb"'), "bad_id"), (entry(id='"é"'.encode()), "bad_id"), (entry(id=b'"%s"' % (b"a" * 129)), "bad_id"),
    (entry(id=b'"\\u001b[2J"'), "bad_id"), (entry(id=b'"a:b"'), "bad_id"), (entry(id=b'"%s"' % (b"a" * 500000)), "bad_id"),
    # names
    (entry(name=None), "missing_name"), (entry(name=b"null"), "missing_name"), (entry(name=b"7"), "missing_name"), (entry(name=b'""'), "missing_name"),
    (entry(name=b'"."'), "bad_name"), (entry(name=b'"plot"'), "bad_name"), (entry(name=b'"plot."'), "bad_name"), (entry(name=b'".updated"'), "bad_name"),
    (entry(name=b'"plot/updated"'), "bad_name"), (entry(name=b'"../plot.updated"'), "bad_name"), (entry(name=b'"PLOT.UPDATED"'), "bad_name"),
    (entry(name=b'"plot.updated\\u0000"'), "bad_name"), (entry(name=b'"plot.%s"' % (b"x" * 400)), "bad_name"), (entry(name='"筋.更新"'.encode()), "bad_name"),
    (entry(name=b'"weather.changed"'), "unknown_namespace"), (entry(name=b'"plots.updated"'), "unknown_namespace"), (entry(name=b'"__consumer_offsets.x"'), "unknown_namespace"),
    # payloads and what their schemas want
    (entry(payload=None), "payload_not_object"), (entry(payload=b"null"), "payload_not_object"), (entry(payload=b"[1]"), "payload_not_object"),
    (entry(payload=b'"{}"'), "payload_not_object"), (entry(payload=b"{}"), "schema_mismatch"), (entry(payload=b'{"plot_id": null}'), "schema_mismatch"),
    (entry(payload=b'{"plot_id": 7}'), "schema_mismatch"), (entry(payload=b'{"plot_id": {"a": 1}}'), "schema_mismatch"),
    (entry(payload=b'{"plot_id": "p", "word_count": "7"}'), "schema_mismatch"), (entry(payload=b'{"plot_id": "p", "word_count": 7.5}'), "schema_mismatch"),
    (entry(payload=b'{"plot_id": "p", "word_count": true}'), "schema_mismatch"), (entry(payload=b'{"plot_id": "p", "consistency_issues": {}}'), "schema_mismatch"),
    (entry(payload=b'{"plot_id": "p", "word_count": 9223372036854775808}'), "integer_out_of_range"),
    (entry(payload=b'{"plot_id": "p", "word_count": %s}' % (b"9" * 3000)), "integer_out_of_range"),
    (entry(payload=b'{"plot_id": "p", "word_count": 9223372036854775807}'), None), (entry(payload=b'{"plot_id": ""}'), None),
    (entry(payload=b'{"plot_id": "p\\u0000q"}'), None), (entry(payload=b'{"plot_id": "%s"}' % (b"k" * 100000)), None),
    (entry(payload=b'{"\\u0070lot_id": "p"}'), None), (entry(payload=b'{"plot_id": "p", "extra": {"extra": {}}}'), None),
    # what else stands in an entry is data
    (entry(created_at=None), None), (entry(created_at=b'"yesterday"'), None), (entry(created_at=b"1e309"), None), (entry(created_at=b'"9999999999-99-99T99:99:99"'), None),
    (entry(attempts=b"-1"), None), (entry(attempts=b"1e99"), None), (entry(attempts=b'"5"'), None), (entry(attempts=b"99999999999999999999"), None),
    (entry(last_error=b'"\\u0000"'), None), (entry(failed_at=b'"0000-00-00"'), None), (entry(storage_key=b'"../../x"'), None), (entry(dispatched_at=b"{}"), None),
    (entry(reason=b'"not_json"'), None), (entry(**{"\\u0061ttempts": b"0", "attempts": None}), None), (entry(zzz=b"[" * 60 + b"]" * 60), None),
    (entry(**{f"k{i}": b"0" for i in range(20000)}), "header_too_large"), (entry(**{f"k{i}": b"0" for i in range(2000)}), None), (entry(**{"\\u0069d": b'"other"'}), TWICE), (entry(**{"stat\\u0075s": b'"dlq"'}), TWICE),
]


def cuts():
    """One text that ends too early, in every way."""
    text = around(b'{"a": [-1.5e+3, true, "\\ud83d\\ude00 \xe6\x97\xa5"]}')
    return [(text[:n], SYNTAX) for n in range(1, len(text), 3)]


class HostileTexts(harness.BusTest):
    def cases(self):
        values = [(around(v), None, v) for v in GOOD_VALUES]
        values += [(around(v), reason, None) for reason, list_ in BAD_VALUES.items() for v in list_]
        values += [(text, reason, None) for text, reason in ENTRIES + cuts()]
        return {f"h{n:03}": (text.replace(b"@", b"h%03d" % n), reason, value) for n, (text, reason, value) in enumerate(values)}

    def test_each_is_published_or_dead_with_its_reason_and_memory_is_capped(self):
        cases = self.cases()
        self.assertGreaterEqual(len(cases), 300)
        for id, (text, _, _) in cases.items():
            self.write(f"{id}.json", text)
        worker = self.start_worker(options={"outbox.settle": "100ms", "log.level": "info"})
        harness.wait_until(lambda: not self.pending() or not worker.running(), what="none is left")
        self.assertTrue(worker.running())
        self.judge_memory(worker)
        self.assertEqual(worker.stop(), 0)
        self.judge(cases, {r.headers["ce_id"].decode(): r for r in self.drain("plot.events")}, self.dead())
        print(f"{len(cases)} texts", flush=True)

    def judge(self, cases, published, dead):
        self.assertEqual(set(published) & {file[:-5] for file in dead}, set())
        self.assertEqual(set(published) | {file[:-5] for file in dead}, set(cases))
        for id, (text, reason, value) in cases.items():
            with self.subTest(id=id, text=text[:120]):
                letter = dead.get(f"{id}.json", {})
                self.assertEqual(letter.get("reason"), reason, letter.get("last_error"))
                if reason is None and value is not None:
                    self.assertEqual(decode(published[id]).get("note"), json.loads(value))
                raw = self.outbox / "dlq" / f"{id}.raw"
                if raw.exists():
                    self.assertEqual(raw.read_bytes(), text)
                elif reason:
                    written = json.loads(text)
                    self.assertEqual({k: letter.get(k) for k in written if k not in CHANGED}, {k: v for k, v in written.items() if k not in CHANGED})

    def judge_memory(self, worker):
        with open(harness.BUILD / "CMakeCache.txt") as cache:
            if any(line.startswith("BUSBRIDGE_SANITIZE") and line.strip().rpartition("=")[2] for line in cache):
                return  # a sanitizer's shadow is not the worker's memory
        with open(f"/proc/{worker.pid}/status") as status:
            (most,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        print(f"{most} KiB resident at most", flush=True)
        self.assertLess(most, MOST_KB)


if __name__ == "__main__":
    harness.main()
