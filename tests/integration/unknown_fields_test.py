"""Payload members that the schema has no place for: carried in a header and put back by tail, refused or dropped, named everywhere."""

import json

import harness

PAYLOAD = {"order_id": "o-1", "lines": [{"sku": "a", "note/1": "星 \x7f\n"}, {"sku": "b", "gift": {"wrap": True, "card": None}}],
           "coupon": 1.5, "customer": {"name": "Ä"}}
PLACED = {"order_id": "o-1", "lines": [{"sku": "a"}, {"sku": "b"}]}
CARRIED = {"/lines/0/note~11": "星 \x7f\n", "/lines/1/gift": {"wrap": True, "card": None}, "/coupon": 1.5, "/customer": {"name": "Ä"}}
PATHS = ["payload.lines[].note/1", "payload.lines[].gift", "payload.coupon", "payload.customer"]
SCHEMA = {"type": "record", "name": "Placed", "namespace": "shop", "fields": [
    {"name": "order_id", "type": "string", "key": True},
    {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [{"name": "sku", "type": "string"}]}}}]}
BOTH = {"encoding.strict": "true", "encoding.unknown_fields": "refuse"}


class UnknownFields(harness.BusTest):
    def setUp(self):
        super().setUp()
        folder = self.dir / "schemas" / "order"
        folder.mkdir(parents=True)
        (folder / "placed.avsc").write_text(json.dumps(SCHEMA))
        (folder.parent / "envelope.avsc").write_text((harness.ROOT / "schemas/envelope.avsc").read_text())
        self.options.update({"encoding.schemas": str(folder.parent), "routing.namespaces": "order"})

    def relayed(self, payload, **options):
        """Its record, or None."""
        self.entry("order.placed", payload, id="e-1")
        self.run_worker("--once", options=options, expect=0)
        records = self.drain()
        self.assertLessEqual(len(records), 1)
        return records[0] if records else None

    def tailed(self):
        return json.loads(self.run_cli("tail", "-o", "value", self.topic("order.events"), expect=0).stdout())

    def finding(self, name, **more):
        return [check for check in self.examine("doctor", **more) if check["check"] == name]

    def unplaced(self):
        return json.loads(self.run_cli("health", "--detailed", "-o", "json").stdout())["unknown_fields"]

    def test_carried_in_a_header_and_put_back(self):
        record = self.relayed(PAYLOAD)
        header = record.headers["ce_extra"]
        self.assertEqual(json.loads(header), CARRIED)
        self.assertEqual(list(json.loads(header)), list(CARRIED), "in the payload's order")
        self.assertFalse(any(byte < 0x20 or byte == 0x7F for byte in header))
        self.assertEqual(self.tailed(), PAYLOAD)

    def test_an_event_that_fits_has_no_such_header(self):
        self.assertNotIn("ce_extra", self.relayed(PLACED).headers)

    def test_dropped(self):
        self.assertNotIn("ce_extra", self.relayed(PAYLOAD, **{"encoding.unknown_fields": "drop"}).headers)
        self.assertEqual(self.tailed(), PLACED)

    def test_refused_by_either_word(self):
        for options in ({"encoding.unknown_fields": "refuse"}, {"encoding.strict": "true"}):
            self.assertIsNone(self.relayed(PAYLOAD, **options))
            dead = self.dead()["e-1.json"]
            self.assertEqual(dead["reason"], "schema_mismatch")
            self.assertIn("payload.coupon: no such field", dead["last_error"])
            (self.outbox / "dlq/e-1.json").unlink()

    def test_more_than_a_header_takes_is_a_dead_letter(self):
        self.assertIsNone(self.relayed({**PLACED, "note": "x" * 32768}))
        dead = self.dead()["e-1.json"]
        self.assertEqual(dead["reason"], "header_too_large")
        self.assertIn("payload.note: 1 member without a place in the schema makes the header ce_extra larger than 32768 bytes",
                      dead["last_error"])
        self.assertIn("ce_extra", self.relayed({**PLACED, "note": "x" * 32000}).headers)

    def test_both_words_are_an_error_everywhere(self):
        said = "encoding.strict and encoding.unknown_fields are both set"
        self.assertIn(said, self.run_worker("--once", expect=2, options=BOTH).stderr())
        self.assertTrue(any(said in check["found"] for check in self.finding("settings", options=BOTH)))
        file = self.dir / "bus.conf"
        file.write_text("".join(f"{key} = {value}\n" for key, value in BOTH.items()))
        self.assertIn(said, self.run_cli("config", "check", str(file), expect=2).stderr())

    def test_members_beside_the_payload_ride_in_a_header_of_their_own(self):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        for id, members, options in (
                ("plain", {"reason": "x", "error_code": 1, "topic": "t", "first_failed_at": None}, {}),
                ("traced", {"headers": {"traceparent": trace}}, {}),
                ("other", {"tenant": {"a/b": [1.50, "\x7f"]}, "headers": {"traceparent": trace, "x": "y"}}, {}),
                ("dropped", {"tenant": 1}, {"encoding.envelope": "drop"})):
            self.entry("order.placed", PLACED, id=id, **members)
            self.run_worker("--once", options=options, expect=0)
        headers = {record.headers["ce_id"].decode(): record.headers for record in self.drain()}
        self.assertEqual({id for id in headers if "busbridge-envelope" in headers[id]}, {"other"})
        self.assertEqual(headers["other"]["busbridge-envelope"].decode(),
                         '{"entry":{"tenant":{"a/b":[1.5,"\\u007f"]},"headers":{"traceparent":"%s","x":"y"}}}' % trace)
        self.entry("order.placed", PLACED, id="large", tenant="x" * 32768)
        self.run_worker("--once", expect=0)
        self.assertEqual(self.dead()["large.json"]["reason"], "header_too_large")

    def test_named_before_and_after(self):
        self.entry("order.placed", PAYLOAD, id="e-1")
        self.assertEqual(set(json.loads(self.run_cli("show", "e-1", "-o", "json", expect=0).stdout())["unknown_fields"]), set(PATHS))
        self.assertIn("no place", self.run_cli("show", "e-1", expect=0).stdout())
        [found] = self.finding("unknown fields")
        self.assertEqual(found["verdict"], "warning")
        for path in PATHS:
            self.assertIn(path, found["found"])
        (self.dir / "payload.json").write_text(json.dumps(PAYLOAD))
        checked = self.run_cli("schema", "check", "order.placed", str(self.dir / "payload.json"), expect=0)
        emitted = self.run_cli("emit", "--id", "e-2", "order.placed", json.dumps(PAYLOAD), expect=0)
        worker = self.start_worker()
        harness.wait_until(lambda: self.unplaced() == [{"type": "order.placed", "count": 8, "fields": PATHS}])
        self.assertRegex(self.run_cli("health", "--detailed").stdout(), r"\n +8  order.placed: payload.lines\[\].note/1, ")
        for path in PATHS:
            self.assertIn(path, checked.stdout() + checked.stderr())
            self.assertIn(path, emitted.stderr())
        self.assertEqual(sorted(line["field"] for line in worker.logs("fields_left_out")), sorted(PATHS))


if __name__ == "__main__":
    harness.main()
