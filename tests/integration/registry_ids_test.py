#!/usr/bin/python3
"""The worker and the ids of a registry: what waits for one, what goes on without the registry, and that no record carries a wrong one."""

import base64
import json
import signal
import struct
import urllib.parse
from pathlib import Path

import harness
from scripted_registry import ScriptedRegistry, error

PLACED = {"type": "record", "name": "Placed", "namespace": "shop", "fields": [{"name": "order_id", "type": "string", "key": True}]}
PAID = {**PLACED, "name": "Paid"}
UNKEYED = {**PLACED, "fields": [{"name": "order_id", "type": "string"}]}
OTHER = {**PLACED, "fields": [{"name": "order_id", "type": "string"}, {"name": "more", "type": "long", "default": 0}]}


class RegistryIds(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.registry = ScriptedRegistry().start()
        self.addCleanup(self.registry.close)
        self.folder = self.dir / "schemas/order"
        self.folder.mkdir(parents=True)
        for name, schema in (("placed", PLACED), ("paid", PAID)):
            (self.folder / f"{name}.avsc").write_text(json.dumps(schema, indent=2))
        self.options |= {"encoding.schemas": str(self.folder.parent), "routing.namespaces": "order", "registry.url": self.registry.url}

    def register(self, schema):
        return self.registry.register(f"{self.topic('order.events')}-shop.{schema['name']}", json.dumps(schema, separators=(",", ":")))

    def place(self, number, name="order.placed", order=None):
        return self.entry(name, {"order_id": order or f"o-{number}"}, id=f"e-{number}")

    def published(self, *topics):
        """{id: value} of all records so far."""
        return {r.headers["ce_id"].decode(): r.value for r in self.drain(*topics) if "ce_id" in r.headers}

    def framed(self, id, order):
        return struct.pack(">bI", 0, id) + bytes([2 * len(order)]) + order.encode()

    def health(self):
        return json.loads(self.run_cli("health", "-o", "json").stdout())

    def reasons(self):
        return [(line["state"], line["text"], line["next"]) for line in self.health()["reasons"]]

    def test_a_type_waits_for_its_schema_and_the_others_go_on_in_the_order_of_their_keys(self):
        paid = self.register(PAID)
        self.place(1, order="o-1")
        self.place(2, "order.paid", order="o-2")
        self.place(3, "order.paid", order="o-1")  # behind the one that waits: of the same key
        worker = self.start_worker()
        harness.wait_until(lambda: self.published("order.events"))
        self.assertEqual(self.published("order.events"), {"e-2": self.framed(paid, "o-2")})
        harness.wait_until(lambda: any("busbridge schema register order.placed" in next for _, _, next in self.reasons()))
        self.assertEqual(len(self.pending()), 2)
        placed = self.register(PLACED)
        harness.wait_until(lambda: len(self.published("order.events")) == 3, 90)
        records = [r for r in self.drain("order.events") if r.key == b"o-1"]
        self.assertEqual([r.headers["ce_id"] for r in records], [b"e-1", b"e-3"])
        self.assertEqual([r.value for r in records], [self.framed(placed, "o-1"), self.framed(paid, "o-1")])
        self.assertEqual({r.headers["content-type"] for r in records}, {b"application/vnd.confluent.avro"})
        told = [json.loads(line) for line in self.run_cli("tail", "--from-beginning", self.topic("order.events"), expect=0).stdout().splitlines()]
        self.assertEqual(sorted(one["value"]["order_id"] for one in told), ["o-1", "o-1", "o-2"])
        harness.wait_until(lambda: not any("order.placed" in text for _, text, _ in self.reasons()))
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.dead(), {})

    def test_what_waits_for_a_schema_goes_on_with_the_one_that_replaced_it(self):
        (self.folder / "sent.avsc").write_text(json.dumps({**UNKEYED, "name": "Sent"}))
        self.place(1, "order.sent")
        worker = self.start_worker("-X", "flush.interval=1s")
        harness.wait_until(lambda: [line for line in worker.logs("schema_unregistered") if line["name"] == "order.sent"])
        changed = {**UNKEYED, "name": "Sent", "doc": "changed", "fields": [*UNKEYED["fields"], {"name": "more", "type": "long", "default": 7}]}
        id = self.register(changed)
        (self.folder / "sent.avsc").write_text(json.dumps(changed))
        worker.signal(signal.SIGHUP)
        harness.wait_until(lambda: not self.pending())
        self.assertEqual(self.published("order.events"), {"e-1": self.framed(id, "o-1") + b"\x0e"})
        harness.wait_until(lambda: not any("order.sent" in text for _, text, _ in self.reasons()))
        self.assertEqual((worker.stop(), self.dead()), (0, {}))

    def test_once_says_what_it_left_and_why(self):
        self.place(1)
        worker = self.run_worker("--once")
        self.assertEqual([line["subject"] for line in worker.logs("schema_unregistered") if line["name"] == "order.placed"],
                         [f"{self.topic('order.events')}-shop.Placed"])
        self.assertIn("schema register order.placed", worker.stderr())
        self.assertEqual(json.loads((self.outbox / "e-1.json").read_text())["attempts"], 0)
        self.register(PLACED)
        self.run_worker("--once", expect=0)
        self.assertEqual(set(self.published("order.events")), {"e-1"})

    def test_known_ids_go_on_whatever_the_registry_says_and_over_a_start_without_it(self):
        id, numbers = self.register(PLACED), iter(range(100))
        worker = self.start_worker()
        self.place(next(numbers))
        harness.wait_until(lambda: len(self.published("order.events")) == 1)
        for status, body in ((404, b"<html>"), (404, error(404)), (401, error(401)), (429, error(429)), (500, b""), (None, b"")):
            self.registry.hush()
            self.registry.say(status, body, headers={"Retry-After": "1"} if status == 429 else {})
            count = next(numbers)
            self.place(count)
            harness.wait_until(lambda: len(self.published("order.events")) == count + 1)
        self.assertEqual(worker.stop(), 0)
        self.registry.stop()
        count = next(numbers)
        self.place(count)
        self.run_worker("--once", expect=0)  # what is remembered serves
        values = self.published("order.events")
        self.assertEqual((len(values), {value[:5] for value in values.values()}), (count + 1, {struct.pack(">bI", 0, id)}))

    def test_the_start_names_topics_that_were_framed_otherwise(self):
        """By the records before it, though it publishes at once; and says nothing the next time."""
        for number in range(3):
            self.place(number, order="o")
        self.run_worker("--once", expect=0, options={"registry.url": None})
        self.register(PLACED)
        for number in range(40):
            self.place(100 + number, order="o")
        worker = self.start_worker()
        line = harness.wait_until(lambda: worker.logs("framing_changed"))[0]
        topic = self.topic("order.events")
        self.assertEqual((line["level"], line["topic"], line["name"]), ("warning", topic, "order.placed"))
        self.assertIn(f"The last record of {topic} (order.placed) is framed as single-object, the next will be as confluent. ", line["msg"])
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(len(self.published("order.events")), 43)
        # of two topics only the one that changed is named
        self.place(200, order="o")
        worker = self.start_worker(options={"routing.order.paid.framing": "json"})
        self.place(201, "order.paid")
        harness.wait_until(lambda: not self.pending())
        self.assertEqual(worker.stop(), 0)
        worker = self.start_worker(options={"routing.order.paid.framing": "raw"})
        self.assertIn("(order.paid) is framed as json, the next will be as raw", harness.wait_until(lambda: worker.logs("framing_changed"))[0]["msg"])
        self.assertEqual(worker.stop(), 0)

    def test_the_start_is_not_held_up_where_topics_cannot_be_read(self):
        worker = self.start_worker(options={"kafka.bootstrap.servers": f"127.0.0.1:{harness.free_port()}"})
        harness.wait_until(lambda: worker.logs("kafka_away"))
        self.assertEqual((worker.stop(), worker.logs("framing_changed")), (0, []))

    def test_doctor_names_what_is_not_registered_and_topics_that_were_framed_otherwise(self):
        self.place(1)
        self.run_worker("--once", expect=0, options={"registry.url": None})
        self.register(PAID)
        found = self.examine("doctor")
        said = {check: [(one["verdict"], one["found"], one["next"]) for one in found if one["check"] == check] for check in ("registry", "framing")}
        self.assertIn(("warning", f"order.placed is not registered under {self.topic('order.events')}-shop.Placed; its events wait",
                       "busbridge schema register order.placed"), said["registry"])
        self.assertIn(f"{self.registry.url} answers; 1 of 3 schemas are registered there", [text for _, text, _ in said["registry"]])
        ((verdict, text, _),) = said["framing"]
        self.assertEqual((verdict, text), ("warning", f"the last record of {self.topic('order.events')} (order.placed) is framed as single-object, "
                                                      "the next will be as confluent"))
        self.registry.stop()
        self.assertIn("failed", [one["verdict"] for one in self.examine("doctor") if one["check"] == "registry"])

    def test_doctor_finds_what_the_worker_finds_and_names_an_id_that_is_another_schemas(self):
        subject = f"{self.topic('order.events')}-shop."
        self.registry.register(subject + "Placed", json.dumps({"doc": "spelt otherwise", **PLACED}))
        self.registry.register(subject + "Paid", json.dumps(PAID, separators=(",", ":")))
        self.registry.say(404, error(40403), path=f"/subjects/{self.prefix}", method="POST")  # by no text, only among the versions
        self.assertIn(f"{self.registry.url} answers; 2 of 3 schemas are registered there",
                      [one["found"] for one in self.examine("doctor") if one["check"] == "registry"])
        self.registry.hush()
        self.registry.say(200, {"schema": json.dumps(OTHER)}, path="/schemas/ids/2")
        self.assertIn(("failed", f"order.paid under {subject}Paid: the registry has another schema under the id 2; its events wait"),
                      [(one["verdict"], one["found"]) for one in self.examine("doctor") if one["check"] == "registry"])

    def test_tail_asks_once_for_an_id_that_gives_no_schema(self):
        self.register(PLACED)
        for number in range(5):
            self.place(number)
        self.run_worker("--once", expect=0)
        for status, value in ((404, error(40403)), (200, {"schema": "{}"}), (500, error(500))):
            self.registry.hush()
            self.registry.say(status, value, path="/schemas/ids/")
            asked = len(self.registry.asked)
            told = [json.loads(line) for line in self.run_cli("tail", "--from-beginning", self.topic("order.events")).stdout().splitlines()]
            self.assertEqual([len(told), len({one["error"] for one in told}) <= 2, len(self.registry.requests("/schemas/ids/", since=asked))], [5, True, 1])

    def test_figures_of_the_registry_are_there_before_it_was_asked(self):
        self.registry.stop()
        worker = self.start_worker()
        harness.wait_until(lambda: worker.logs("registry_away"))
        figures = self.run_cli("metrics", "-o", "prometheus", expect=0).stdout()
        for asked in ("look_up", "versions", "version", "id", "cluster"):
            self.assertIn(f'busbridge_registry_requests_total{{op="{asked}",code="200"}} 0\n', figures)
        self.assertNotIn('op="token"', figures)

    def test_without_a_registry_and_a_memory_all_wait_for_nothing_but_that(self):
        self.registry.stop()
        self.place(1)
        told = self.run_worker("--once")
        self.assertIn("no registry there", told.stderr())
        self.assertIn(self.registry.url, told.stderr())
        self.assertEqual((self.pending(), self.dead()), (["e-1.json"], {}))
        self.registry.start()
        self.register(PLACED)
        self.run_worker("--once", expect=0)
        self.assertEqual(set(self.published("order.events")), {"e-1"})

    def test_an_id_that_is_another_schemas_stops_its_type_and_tells_what_bears_it(self):
        id = self.register(PLACED)
        self.place(1)
        self.run_worker("--once", expect=0)
        self.registry.reset(first=id)
        self.assertEqual(self.register(OTHER), id)
        self.place(2)
        worker = self.start_worker()
        harness.wait_until(lambda: worker.logs("id_wrong"))
        self.assertRegex(worker.logs("id_wrong")[0]["error"], r"id 1\. What was published from 20[-:.+T0-9]+, when it was right, to 20[-:.+T0-9]+ carries it$")
        harness.wait_until(lambda: any(state == 2 and "order.placed" in text for state, text, _ in self.reasons()))
        self.assertEqual(set(self.published("order.events")), {"e-1"})
        self.assertEqual((worker.stop(), self.pending(), self.dead()), (0, ["e-2.json"], {}))

    def test_routes_have_framings_and_subjects_of_their_own(self):
        (self.folder / "sent.avsc").write_text(json.dumps({**PLACED, "name": "Sent"}))
        self.options |= {"routing.order.framing": "confluent-header", "routing.order.subject": "record", "routing.order.sent.framing": "cloudevents",
                         "routing.order.paid.framing": "raw", "cloudevents.dataschema": "/"}
        id = self.registry.register("shop.Placed", json.dumps(PLACED, separators=(",", ":")))
        for number, name in enumerate(("order.placed", "order.sent", "order.paid")):
            self.place(number, name, order="o")
        self.run_worker("--once", expect=0)
        records = {r.headers["ce_type"].decode(): r for r in self.drain("order.events")}
        self.assertEqual({name: r.value for name, r in records.items() if name != "order.sent"},
                         {"order.placed": b"\x02o", "order.paid": b"\x02o"})
        told = [json.loads(line) for line in self.run_cli("tail", "--from-beginning", self.topic("order.events"), expect=0).stdout().splitlines()]
        self.assertEqual({one["headers"]["ce_type"]: one["headers"].get("__value_schema_id") for one in told},
                         {"order.placed": struct.pack(">bI", 0, id).decode(), "order.sent": None, "order.paid": None})
        self.assertEqual([one["value"] for one in told], [{"order_id": "o"}] * 3)
        self.assertEqual([records[name].headers["content-type"] for name in ("order.placed", "order.sent", "order.paid")],
                         [b"application/avro", b"application/cloudevents+json; charset=UTF-8", b"application/avro"])
        self.assertEqual({name for name, record in records.items() if "ce_dataschema" in record.headers}, {"order.placed", "order.paid"})
        event = json.loads(records["order.sent"].value)
        self.assertNotIn("dataschema", event)
        self.assertEqual([event[name] for name in ("specversion", "id", "type", "datacontenttype", "data")],
                         ["1.0", "e-1", "order.sent", "application/json", {"order_id": "o"}])
        self.assertEqual([event["source"].encode(), event["time"].encode()], [records["order.sent"].headers[h] for h in ("ce_source", "ce_time")])
        self.assertEqual(self.registry.requests("/subjects/shop.Paid"), [], "what needs no id is not asked for")

    def test_only_what_bears_an_id_is_registered_and_all_of_it_is_looked_up(self):
        """The envelope too wherever an event without a schema may come: by the namespace, and below a name that has a route of its own."""
        self.options |= {"routing.order.paid.framing": "json", "routing.order.placed.subject": "record"}
        told = json.loads(self.run_cli("schema", "register", "--all", "-o", "json", expect=0).stdout())
        subjects = sorted([f"{self.topic('order.events')}-busbridge.Envelope", "busbridge.Envelope", "shop.Placed"])
        self.assertEqual(sorted((one["event"], one["outcome"], one["framing"]) for one in told["schemas"]),
                         [("envelope", "registered", "confluent"), ("envelope", "registered", "confluent"), ("order.paid", "not_needed", "json"),
                          ("order.placed", "registered", "confluent")])
        self.assertEqual((told["registered"], told["not_needed"]), (3, 1))
        self.assertEqual(self.registry.subjects(), subjects)
        self.assertEqual(self.run_cli("schema", "register", "order.paid", expect=0).stdout(),
                         "order.paid: not registered, records carry no id of it: they are framed as json\n")
        self.assertEqual(self.registry.subjects(), subjects)
        asked = len(self.registry.asked)
        for number, name in enumerate(("order.placed", "order.unheard", "order.placed.late", "order.paid.late")):
            self.place(number, name)
        worker = self.run_worker("--once", expect=0)
        self.assertEqual(set(self.published("order.events")), {f"e-{number}" for number in range(4)})
        self.assertEqual({urllib.parse.unquote(path).split("/")[2] for _, path, _, _ in self.registry.requests("/subjects/", since=asked)}, set(subjects))
        self.assertEqual(worker.logs("schema_unregistered"), [])
        self.options |= {"routing.topic": self.topic("{namespace}.{event}"), "routing.order.placed.subject": None}  # a topic of one name has no others
        self.run_cli("schema", "register", "--all", expect=0)
        self.assertEqual(set(self.registry.subjects()) - set(subjects), {f"{self.topic('order.placed')}-shop.Placed"})

    # ---- client credentials -----------------------------------------------------------------------------------------------------

    def token_server(self):
        """One that gives a token after the other to whoever knows the secret; the registry takes those of self.registry.tokens."""
        def issue(method, path, body):
            self.given.append(f"canary-token-{len(self.given)}")
            if self.valid:
                self.registry.tokens.add(self.given[-1])
            return 200, {"access_token": self.given[-1], "token_type": "Bearer", "expires_in": self.seconds}
        server = ScriptedRegistry().start()
        self.addCleanup(server.close)
        self.given, self.seconds, self.valid, self.registry.tokens = [], 3600, True, set()
        server.say(200, issue, path="/oauth/token")
        secret = self.dir / "secret"
        secret.write_text("canary se:cret\n")
        secret.chmod(0o600)
        self.options |= {"registry.oauth_url": f"{server.url}/oauth/token", "registry.oauth_id": "the worker", "registry.oauth_scope": "read look",
                         "registry.oauth_secret_file": secret}
        return server

    def test_client_credentials_a_token_that_ends_or_is_refused_is_another_and_no_secret_is_told(self):
        server, placed = self.token_server(), self.register(PLACED)
        self.assertEqual({one["verdict"] for one in self.examine("doctor") if one["check"] == "registry"} & {"failed"}, set())
        self.assertEqual(len(self.given), 1)  # it serves for all
        method, path, headers, body = server.asked[0]
        self.assertEqual((method, urllib.parse.parse_qs(body.decode())), ("POST", {"grant_type": ["client_credentials"], "scope": ["read look"]}))
        self.assertEqual(base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode(), "the%20worker:canary%20se%3Acret")
        self.seconds = 5  # at its end before it was used
        self.given.clear()
        asked = len(self.registry.asked)
        self.examine("doctor")
        self.assertEqual(len(self.given), len(self.registry.asked) - asked)
        self.seconds = 3600
        worker = self.start_worker()
        self.place(1)
        harness.wait_until(lambda: not self.pending())
        self.registry.tokens.clear()  # they are refused from now on: 401, and another is asked for
        (self.folder / "sent.avsc").write_text(json.dumps({**UNKEYED, "name": "Sent"}))
        sent, given = self.register({**UNKEYED, "name": "Sent"}), len(self.given)
        worker.signal(signal.SIGHUP)
        harness.wait_until(lambda: worker.logs("schemas_reloaded"))
        self.place(2, "order.sent")
        harness.wait_until(lambda: not self.pending())
        self.assertGreater(len(self.given), given)
        self.assertEqual({value[:5] for value in self.published("order.events").values()}, {struct.pack(">bI", 0, id) for id in (placed, sent)})
        self.assertEqual(worker.logs("registry_away"), [])
        # a secret that is wrong: nobody is there, known ids go on
        server.hush()
        server.say(401, {"error": "invalid_client", "error_description": "canary of theirs"})
        self.registry.tokens.clear()
        (self.folder / "lost.avsc").write_text(json.dumps({**UNKEYED, "name": "Lost"}))
        worker.signal(signal.SIGHUP)
        harness.wait_until(lambda: len(worker.logs("schemas_reloaded")) == 2)
        self.place(3, "order.lost")
        self.place(4)
        harness.wait_until(lambda: self.pending() == ["e-3.json"])
        words = f"registry.oauth_url gives no token: POST {self.options['registry.oauth_url']}: HTTP 401"
        harness.wait_until(lambda: any(words in text for _, text, _ in self.reasons()), what=self.reasons)
        self.assertIn(words, worker.logs("registry_away")[0]["error"])
        self.assertEqual(json.loads((self.outbox / "e-3.json").read_text())["attempts"], 0)
        shown = [self.run_cli(*command).stdout() for command in (("config",), ("health", "--detailed"), ("doctor",), ("metrics", "-o", "prometheus"))]
        told = "".join(shown) + worker.stderr() + Path(f"/proc/{worker.pid}/cmdline").read_text()
        self.assertIn('busbridge_registry_requests_total{op="token",code="401"}', told)
        self.assertNotIn("canary", told)
        self.assertNotIn(base64.b64encode(b"the%20worker:canary%20se%3Acret").decode(), told)
        self.assertEqual((worker.stop(), self.dead()), (0, {}))

    def test_what_cannot_be_is_told_at_the_start(self):
        for options, said in (({"registry.subject": "topic"}, "several types of events (order.paid, order.placed)"),
                              ({"registry.url": None, "encoding.framing": "confluent"}, "needs a schema registry; set registry.url"),
                              ({"registry.url": None, "routing.order.paid.framing": "confluent-header"}, "confluent-header of order.paid needs"),
                              ({"registry.url": None, "routing.order.framing": "confluent-json"}, "the framing confluent-json of order needs"),
                              ({"registry.url": "ftp://x"}, "registry.url"),
                              ({"registry.password": "canary-4471"}, "registry.username")):
            with self.subTest(options=options):
                told = self.run_worker("--once", expect=2, options=options).stderr()
                self.assertIn(said, told)
                self.assertNotIn("canary-4471", told)
        self.register(PLACED)
        self.registry.register(f"{self.topic('paid')}-value", json.dumps(PAID, separators=(",", ":")))
        self.place(1, "order.paid")
        self.run_worker("--once", expect=0, options={"routing.order.paid.topic": self.topic("paid"), "routing.order.paid.subject": "topic"})
        self.assertEqual(set(self.published("paid")), {"e-1"})


if __name__ == "__main__":
    harness.main()
