#!/usr/bin/python3
"""The framing confluent-json: each record names the JSON Schema that a registry has for it, and is as that says."""

import base64
import json
import re
import struct
import unittest

import harness
from scripted_registry import ScriptedRegistry, error

try:
    import jsonschema
except ImportError:
    raise unittest.SkipTest("no jsonschema: apt-get install python3-jsonschema") from None

LINE = {"type": "record", "name": "Line", "fields": [{"name": "sku", "type": "string"}, {"name": "price", "type": ["null", "double"], "default": None}]}
PLACED = {"type": "record", "name": "Placed", "namespace": "shop", "fields": [
    {"name": "order_id", "type": "string", "key": True},
    {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "uid", "type": ["null", {"type": "string", "logicalType": "uuid"}], "default": None},
    {"name": "lines", "type": {"type": "array", "items": LINE}, "default": []},
    {"name": "parent", "type": ["null", "Placed"], "default": None},
    {"name": "meta", "type": "string", "json": True, "default": "{}"}]}
PAID = {"type": "record", "name": "Paid", "namespace": "shop", "fields": [{"name": "order_id", "type": "string", "key": True}]}
SENT = {"placed": '{ "order_id":"o-1 星",  "total": 19.90, "at": "2026-11-30T10:00:00Z", "lines": [{"sku": "a", "price": 1e2}, {"sku": "b"}],'
                  ' "parent": {"order_id": "o-0", "total": "1.00", "at": 7, "more": 1}, "meta": [1, 2.50], "more": {"a": 1.50}}',
        "paid": '{"order_id": "o-1 星", "note": null}', "unheard": '{"any": ["thing"]}'}


class RegistryJson(harness.BusTest):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.registry = ScriptedRegistry().start()
        self.addCleanup(self.registry.close)
        self.folder = self.dir / "schemas/order"
        self.folder.mkdir(parents=True)
        for name, schema in (("placed", PLACED), ("paid", PAID)):
            (self.folder / f"{name}.avsc").write_text(json.dumps(schema, indent=2))
        self.options |= {"encoding.schemas": str(self.folder.parent), "routing.namespaces": "order", "registry.url": self.registry.url,
                         "encoding.framing": "confluent-json"}

    def subject(self, record):
        return f"{self.topic('order.events')}-{record}"

    def register(self):
        self.run_cli("schema", "register", "--all", expect=0)
        return {subject.rsplit(".", 1)[1].lower(): ids[0] for subject, ids in self.registry.versions.items()}

    def send(self, name, payload=None, id=None):
        id = id or name
        (self.outbox / f"{id}.json").write_text(f'{{"id": "{id}", "name": "order.{name}", "created_at": "2025-09-22T03:04:05", "status": "pending", '
                                                f'"attempts": 0, "payload": {payload or SENT[name]}}}')
        return id

    def published(self):
        return {record.headers["ce_id"].decode(): record for record in self.drain("order.events") if "ce_id" in record.headers}

    def export(self, name):
        return json.loads(self.run_cli("schema", "export", name, expect=0).stdout())

    def test_what_is_registered_is_what_export_prints(self):
        would = json.loads(self.run_cli("schema", "register", "order.paid", "-o", "json", expect=0).stdout())
        self.assertEqual([(one["event"], one["framing"], one["outcome"]) for one in would["schemas"]], [("order.paid", "confluent-json", "registered")])
        told = json.loads(self.run_cli("schema", "register", "--all", "-o", "json", expect=0).stdout())
        self.assertEqual({one["event"]: (one["subject"], one["outcome"]) for one in told["schemas"]},
                         {"envelope": (self.subject("busbridge.Payload"), "registered"), "order.placed": (self.subject("shop.Placed"), "registered"),
                          "order.paid": (self.subject("shop.Paid"), "there")})
        for event, record in (("envelope", "busbridge.Payload"), ("order.placed", "shop.Placed"), ("order.paid", "shop.Paid")):
            (id,) = self.registry.versions[self.subject(record)]
            text, kind = self.registry.texts[id]
            self.assertEqual(kind, "JSON")
            self.assertEqual(json.loads(text), self.export(event))
            self.assertEqual(json.loads(text)["title"], record, "what Confluent's serializer names the record by")
            self.assertNotRegex(re.sub(r'"(?:[^"\\]|\\.)*"', '""', text), r"\s", "minified")
        (id,) = self.registry.versions[self.subject("shop.Paid")]
        self.registry.say(200, {"id": 99, "version": 9, "schema": "{}"}, path=f"/subjects/{self.subject('shop.Paid')}", times=1)  # not what was asked for
        self.assertRegex(self.run_cli("schema", "register", "order.paid", expect=0).stdout(), f"order.paid: (registered|is there already,) under .* as {id}\n")
        self.assertIn("2 schemas are in the registry as JSON Schema", self.run_cli("schema", "check", "--against-registry", expect=0).stderr())
        for naming, subject in (("record", "shop.Paid"), ("topic", f"{self.topic('paid')}-value")):
            self.run_cli("schema", "register", "order.paid", options={"routing.order.paid.subject": naming, "routing.order.paid.topic": self.topic("paid")},
                         expect=0)
            self.assertEqual(self.registry.texts[self.registry.versions[subject][0]][1], "JSON")
        self.assertNotIn("additionalProperties", json.dumps(self.export("order.paid")))
        self.options["routing.order.paid.unknown_fields"] = "refuse"
        self.assertIs(self.export("order.paid")["additionalProperties"], False)

    def test_a_record_is_an_id_and_the_payload_as_it_was_written(self):
        ids = self.register()
        for name in SENT:
            self.send(name)
        self.options["cloudevents.dataschema"] = "http://h/v1/schemas/"
        self.run_worker("--once", expect=0)
        records = self.published()
        self.assertEqual({id: record.value for id, record in records.items()},
                         {name: struct.pack(">bI", 0, ids["payload" if name == "unheard" else name]) + text.encode() for name, text in SENT.items()})
        listed = {one["event"]: one["fingerprint"] for one in json.loads(self.run_cli("schema", "list", "-o", "json", expect=0).stdout())}
        for name, record in records.items():
            text = self.registry.texts[int.from_bytes(record.value[1:5], "big")][0]
            jsonschema.Draft202012Validator(json.loads(text)).validate(json.loads(record.value[5:]))
            headers = {key: value.decode() for key, value in record.headers.items()}
            self.assertEqual(headers["content-type"], "application/json")
            self.assertEqual(headers.get("ce_dataschema"), None if name == "unheard" else "http://h/v1/schemas/" + listed[f"order.{name}"])
            self.assertLess(headers.keys(), {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "content-type", "ce_dataschema", "x"})
        for options in ({}, {"registry.url": None, "encoding.framing": None}):  # no registry is needed to read them
            told = [json.loads(line) for line in self.run_cli("tail", "--from-beginning", self.topic("order.events"), options=options, expect=0).stdout().splitlines()]
            self.assertEqual({one["headers"]["ce_id"]: one["value"] for one in told}, {name: json.loads(text) for name, text in SENT.items()})
        (self.dir / "value").write_bytes(base64.b64encode(records["paid"].value))
        self.assertEqual(self.run_cli("schema", "decode", self.dir / "value", expect=0).stdout().strip(), SENT["paid"])
        self.assertEqual(self.run_cli("verify").status, 0)

    def test_what_the_schema_refuses_is_dead_and_what_it_has_no_place_for_is_told(self):
        self.register()
        self.send("placed", '{"order_id": "o-1", "total": 19.905, "at": 1}', "bad")
        self.send("paid", id="more")
        shown = self.run_cli("doctor", "-o", "json").stdout()
        self.assertNotIn("ce_extra", shown, "the payload carries it")
        (self.dir / "payload").write_text(SENT["paid"])
        said = self.run_cli("schema", "check", "order.paid", self.dir / "payload", expect=0)
        self.assertIn("stay in the value", said.stdout() + said.stderr())
        (self.dir / "payload").write_text(json.dumps({**json.loads(SENT["paid"]), "note": "n" * 40000}))  # no header has room for it
        said = self.run_cli("schema", "check", "order.paid", self.dir / "payload", expect=0)
        self.assertIn("stay in the value", said.stdout() + said.stderr())
        (self.dir / "payload").write_text("{}")
        self.assertIn("goes as it is", self.run_cli("schema", "check", "order.unheard", self.dir / "payload", expect=0).stderr())
        told = json.loads(self.run_cli("route", "order.paid", SENT["paid"], "-o", "json", expect=0).stdout())
        self.assertEqual((told["framing"], told["content_type"], told["published"]), ("confluent-json", "application/json", True))
        refused = json.loads(self.run_cli("route", "order.placed", '{"order_id": 1}', "-o", "json", expect=1).stdout())
        self.assertEqual((refused["published"], refused["reason"]), (False, "schema_mismatch"))
        self.run_worker("--once")
        self.assertEqual((set(self.published()), list(self.dead())), ({"more"}, ["bad.json"]))
        self.options["encoding.unknown_fields"] = "refuse"
        self.send("paid", id="strict")
        self.assertIn("payload.note", self.run_cli("doctor", "-o", "json").stdout())
        self.register()  # another JSON Schema
        self.run_worker("--once")
        self.assertEqual((set(self.published()), sorted(self.dead())), ({"more"}, ["bad.json", "strict.json"]))

    def test_doctor_tells_json_from_json_with_an_id(self):
        self.send("paid", id="e-1")
        self.run_worker("--once", expect=0, options={"encoding.framing": "json"})
        found = {one["check"]: one["found"] for one in self.examine("doctor") if one["check"] == "framing"}
        self.assertIn("is framed as json, the next will be as confluent-json", found["framing"])
        missing = [one["next"] for one in self.examine("doctor") if one["check"] == "registry"]
        self.assertIn("busbridge schema register order.paid", missing)
        self.register()
        self.assertIn("3 of 3 schemas are registered", str([one["found"] for one in self.examine("doctor") if one["check"] == "registry"]))
        self.send("paid", id="e-2")
        self.run_worker("--once", expect=0)
        self.assertEqual([one for one in self.examine("doctor") if one["check"] == "framing"], [])

    def test_no_id_is_taken_whose_schema_is_not_ours(self):
        """What is registered for it, then each lie about that; at last another spelling of it, which is the same."""
        id = self.register()["paid"]
        text = self.registry.texts[id][0]
        asked, path, by_id = len(self.registry.asked), f"/subjects/{self.subject('shop.Paid')}", f"/schemas/ids/{id}"
        other, spelt = json.loads(text), json.dumps(dict(reversed(json.loads(text).items())), indent=1)
        other["required"] = []
        self.send("paid", id="waits")
        lies = {"an Avro schema": (by_id, 200, {"schema": text}), "of another type": (by_id, 200, {"schema": text, "schemaType": "PROTOBUF"}),
                "another JSON Schema": (by_id, 200, {"schema": json.dumps(other), "schemaType": "JSON"}),
                "no JSON": (by_id, 200, {"schema": text + "}", "schemaType": "JSON"}),
                "the look-up's text": (path, 200, {"id": id, "version": 1, "schema": json.dumps(other), "schemaType": "JSON"}),
                "the look-up's type": (path, 200, {"id": id, "version": 1, "schema": text, "schemaType": "AVRO"}),
                "unprocessable": (path, 422, error(42201)), "unknown": (by_id, 404, error(40403))}
        for what, (where, status, body) in lies.items():
            with self.subTest(lie=what):
                self.registry.say(status, body, path=where)
                self.registry.say(200, [], path=path + "/versions")
                (done,) = self.run_worker("--once").logs("once_done")
                self.registry.hush()
                self.assertRegex(done["msg"], "order.paid: the registry has another schema under the id" if where == by_id and status == 200
                                 else "busbridge schema register order.paid")
                self.assertEqual((self.pending(), self.dead(), self.published()), (["waits.json"], {}, {}))
        self.assertEqual(json.loads((self.outbox / "waits.json").read_bytes())["attempts"], 0)
        self.registry.say(200, {"schema": spelt, "schemaType": "JSON"}, path=by_id)
        self.run_worker("--once", expect=0)
        self.assertEqual(self.published()["waits"].value[:5], struct.pack(">bI", 0, id))
        for method, request, _, body in self.registry.asked[asked:]:  # and nothing was registered
            self.assertTrue(method == "GET" or (request.split("?")[0].count("/") == 2 and json.loads(body)["schemaType"] == "JSON"), (method, request))

    def test_an_id_is_remembered_and_stops_where_it_is_anothers(self):
        id = self.register()["paid"]
        text = self.registry.texts[id][0]
        self.send("paid", id="e-1")
        self.run_worker("--once", expect=0)
        self.registry.stop()
        self.send("paid", id="e-2")
        self.run_worker("--once", expect=0)
        self.assertEqual({record.value[:5] for record in self.published().values()}, {struct.pack(">bI", 0, id)})
        self.registry.reset(first=id)
        self.assertEqual(self.registry.register(self.subject("shop.Paid"), text, "AVRO"), id)
        self.registry.start()
        self.send("paid", id="e-3")
        worker = self.run_worker("--once")
        self.assertEqual([line["name"] for line in worker.logs("id_wrong")], ["order.paid"])
        self.assertEqual((set(self.published()), self.pending(), self.dead()), ({"e-1", "e-2"}, ["e-3.json"], {}))


if __name__ == "__main__":
    harness.main()
