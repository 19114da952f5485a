#!/usr/bin/python3
"""Against two real registries: what the worker publishes by their help, read back by the usual clients; and nginx before one of them."""

import json
import os
import subprocess
import unittest
from pathlib import Path

import harness
from consumers_test import first_lines
from registry import API, FETCHED, PASSWORD, TOKEN, USER, Front, Unavailable, start_both
from scripted_registry import ScriptedRegistry

READERS = Path(__file__).parent / "registry_readers"
LINE = {"type": "record", "name": "Line", "fields": [{"name": "sku", "type": "string"}, {"name": "count", "type": "int"},
                                                     {"name": "price", "type": ["null", "double"], "default": None}]}
PLACED = {"type": "record", "name": "Placed", "namespace": "shop", "doc": "An order.", "fields": [
    {"name": "order_id", "type": "string", "key": True},
    {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "due", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["GIFT", "PLAIN"]}},
    {"name": "lines", "type": {"type": "array", "items": LINE}},
    {"name": "tags", "type": {"type": "map", "values": "string"}},
    {"name": "either", "type": ["null", "long", "string"]},
    {"name": "meta", "type": "string", "json": True}]}
PAID = {"type": "record", "name": "Paid", "namespace": "shop", "fields": [{"name": "order_id", "type": "string"}]}

# confluent-kafka takes no bare value of 5 bytes or less, with the id in a header: it looks for the 5 bytes before it first.
SENT = {"placed": {"order_id": "o-1 星", "total": 19.90, "at": "2026-11-30T10:00:00Z", "due": "2026-12-24", "kind": "GIFT",
                         "lines": [{"sku": "a", "count": 2, "price": 1.25}, {"sku": "b", "count": -1}], "tags": {"x": "y"}, "either": "s",
                         "meta": {"a": [1, 2.50]}},
        "paid": {"order_id": "order-2"},
        "unheard": {"order_id": "o-3", "deep": {"a": [None]}}}
# What clients that know Avro's logical types make of the first one.
READ = {**SENT["placed"], "total": "19.90", "at": "2026-11-30 10:00:00+00:00", "meta": '{"a": [1, 2.5]}',
        "lines": [{"sku": "a", "count": 2, "price": 1.25}, {"sku": "b", "count": -1, "price": None}]}


def setUpModule():
    global two, three, front
    try:
        two, three = start_both()
        front = Front(two).start()
    except Unavailable as why:
        raise unittest.SkipTest(str(why)) from None
    for server in (two, three, front):
        unittest.addModuleCleanup(server.close)


class Double(unittest.TestCase):
    """The scripted registry of integration.registry_faults answers as the two real ones do, where it was not told otherwise."""

    def answers(self, registry):
        """Without the one thing in which the two differ: the newer one finds another spelling without being told to normalize."""
        text, pretty = json.dumps(PLACED, separators=(",", ":")), json.dumps({"doc": "d", **PLACED}, indent=1)
        said = [registry.ask("/subjects/d-none", "POST", {"schema": text}), registry.ask("/subjects/d-none/versions")]
        id = registry.register("d-a", text)
        self.assertEqual((registry.register("d-a", text), registry.register("d-b", text)), (id, id))
        said += [registry.ask("/subjects/d-a", "POST", {"schema": text}), registry.ask("/subjects/d-a", "POST", {"schema": '"int"'}),
                    registry.ask("/subjects/d-a?normalize=true", "POST", {"schema": pretty}),
                    registry.ask("/subjects/d-a/versions"), registry.ask("/subjects/d-a/versions/1"), registry.ask("/subjects/d-a/versions/2"),
                    registry.ask(f"/schemas/ids/{id}"), registry.ask("/schemas/ids/7777777")]
        registry.remove("d-a")
        said += [registry.ask("/subjects/d-a", "POST", {"schema": text})]
        found = []
        for status, answer in said:
            if isinstance(answer, dict):
                answer = {key: value for key, value in answer.items() if key in ("error_code", "subject", "version", "schema", "id")}
                if "id" in answer:
                    answer["id"] = answer["id"] == id
                if "schema" in answer:
                    answer["schema"] = json.loads(answer["schema"]) == PLACED
            found.append((status, answer))
        return found

    def test_it_is_like_the_real_ones(self):
        scripted = ScriptedRegistry().start()
        self.addCleanup(scripted.close)
        by_script = self.answers(scripted)
        self.assertEqual(self.answers(two), by_script)
        self.assertEqual(self.answers(three), by_script)


def read(*command, more=None):
    """Its lines, by way and topic, then by id, when it has read what it was asked for. One at a time: Apicurio 3, just started, may never
    answer one of several that ask at once, and these clients wait for ever; so one that hangs is ended, told, and started again."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **(more or {})}
    for tries_left in (3, 2, 1, 0):
        try:
            done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment,
                                  timeout=harness.PATIENCE / 2)
            break
        except subprocess.TimeoutExpired as hung:
            print(command[1:], "hung:", hung.stdout, hung.stderr, flush=True)
            if not tries_left:
                raise
    assert done.returncode == 0, (command[1], done.stderr[-2000:])
    found = {}
    for line in map(json.loads, done.stdout.splitlines()):
        found.setdefault((line["way"], line["topic"]), {})[line["id"]] = line["event"]
    return found


class ReadBack(harness.BusTest):
    """What was published in each framing is read by the usual clients, who know the registry and nothing of us."""

    maxDiff = None
    FRAMINGS = {"order": "auto", "head": "confluent-header", "cloud": "cloudevents", "plain": "json", "doc": "confluent-json"}

    def setUp(self):
        super().setUp()
        for space, framing in self.FRAMINGS.items():
            folder = self.dir / "schemas" / space
            folder.mkdir(parents=True)
            for name, schema in (("placed", PLACED), ("paid", PAID)):
                (folder / f"{name}.avsc").write_text(json.dumps({**schema, "namespace": "shop." + space}, indent=2))
            self.options[f"routing.{space}.framing"] = framing
        self.options |= {"encoding.schemas": str(folder.parent), "routing.namespaces": " ".join(self.FRAMINGS)}

    def publish(self, registry):
        """Ids by namespace and name; the records by id."""
        self.options |= {"routing.topic": self.topic(f"{{namespace}}{registry.version}"), "registry.url": registry.url}
        self.run_cli("schema", "register", "--all", expect=0)
        ids = {space: {name: self.entry(f"{space}.{name}", payload) for name, payload in SENT.items()} for space in self.FRAMINGS}
        self.run_worker("--once", expect=0)
        records = {record.headers["ce_id"].decode(): record for space in ids for record in self.drain(f"{space}{registry.version}")}
        self.assertEqual(set(records), {id for one in ids.values() for id in one.values()})
        return ids, records

    def assert_bytes(self, ids, records):
        for name in SENT:
            order, head, plain = (records[ids[space][name]] for space in ("order", "head", "plain"))
            self.assertEqual(order.value[:1], b"\0")
            if name != "unheard":  # an envelope has the event's id in it
                self.assertEqual(order.value[5:], head.value, "the id, then what is bare elsewhere")
            self.assertIn("__value_schema_id", head.headers)  # its bytes are the readers' to judge: kcat ends them at the first NUL
            self.assertNotIn("__value_schema_id", order.headers)
            self.assertEqual(json.loads(plain.value), SENT[name])
            self.assertEqual(records[ids["doc"][name]].value[5:], plain.value, "an id, and the payload as it was written")
        self.assertEqual(records[ids["head"]["paid"]].value, b"\x0eorder-2")

    def assert_avro(self, ids, events, way):
        self.assertEqual(set(events), set(ids.values()), way)
        placed, paid, unheard = (events[ids[name]] for name in SENT)
        self.assertEqual(paid, SENT["paid"], way)
        self.assertEqual(json.loads(unheard["payload"]), SENT["unheard"], way)
        if way in ("avro", "fastavro"):
            self.assertEqual(placed, READ, way)
            return
        self.assertEqual([placed[name] for name in ("order_id", "kind")], [READ["order_id"], "GIFT"], way)  # no logical types there
        self.assertEqual([(line["sku"], line["count"]) for line in placed["lines"]], [("a", 2), ("b", -1)], way)

    def assert_cloudevents(self, ids, events):
        self.assertEqual({id: event["data"] for id, event in events.items()}, {ids[name]: SENT[name] for name in SENT})
        for name, id in ids.items():
            self.assertEqual([events[id][part] for part in ("id", "type", "datacontenttype")], [id, f"cloud.{name}", "application/json"])
            self.assertEqual(events[id]["time"], "2025-09-22T03:04:05.123456+00:00")

    def read_by_all(self, registry):
        """What each of them read, by way and topic."""
        order, head, cloud, doc = (f"{self.topic(space)}{registry.version}:3" for space in ("order", "head", "cloud", "doc"))
        python = [FETCHED / "python/bin/python", READERS / "reader.py", self.bootstrap, registry.url]
        node = ["node", READERS / "reader.js", self.bootstrap, registry.url]
        java = ["java", "-cp", FETCHED / "jars/*", READERS / "Reader.java", self.bootstrap, registry.url.replace(API, "/apis/registry/v2")]
        return (read(*python, f"avro:{order}", f"fastavro:{order}", f"avro:{head}", f"fastavro:{head}", f"cloudevents:{cloud}",
                     f"json:{doc}")
                | read(*node, f"node:{order}", f"node:{head}", f"nodejson:{doc}", more={"NODE_PATH": str(FETCHED / "node_modules")}) | read(*java, order))

    def test_usual_clients_read_each_framing(self):
        for registry in (two, three):
            ids, records = self.publish(registry)
            self.assert_bytes(ids, records)
            for (way, topic), events in self.read_by_all(registry).items():
                with self.subTest(registry=registry.version, way=way, topic=topic):
                    space = topic.removeprefix(self.prefix + ".").rstrip("23")
                    if way == "cloudevents":
                        self.assert_cloudevents(ids[space], events)
                    elif way in ("json", "nodejson"):
                        self.assertEqual(events, {ids[space][name]: SENT[name] for name in SENT})
                    else:
                        self.assert_avro(ids[space], events, way)

    def test_the_example_reads_too(self):
        self.options |= {"routing.topic": self.topic("example"), "registry.url": three.url, "routing.namespaces": "order"}
        self.options = {key: value for key, value in self.options.items() if ".framing" not in key}
        self.run_cli("schema", "register", "--all", expect=0)
        id = self.entry("order.placed", SENT["placed"])
        self.run_worker("--once", expect=0)
        example = harness.ROOT / "deploy/examples/consumers/python/registry_consumer.py"
        command = [str(FETCHED / "python/bin/python"), str(example), self.bootstrap, self.topic("example"), three.url]
        (line,) = first_lines(command, 1, self.dir, self.dir)
        self.assertEqual(json.loads(line), {"id": id, "type": "order.placed", "key": SENT["placed"]["order_id"], "event": READ})

    def test_a_token_that_changes(self):
        """The worker reads the file again when it is refused; what it logs and shows has no secret in it."""
        token = self.dir / "token"
        token.write_text("canary-wrong-3081\n")
        self.options |= {"routing.topic": self.topic("token"), "routing.namespaces": "order", "registry.url": two.url, "routing.order.framing": "auto"}
        self.options = {key: value for key, value in self.options.items() if ".framing" not in key or key == "routing.order.framing"}
        self.run_cli("schema", "register", "--all", expect=0)
        self.options |= {"registry.url": front.url("bearer"), "registry.token_file": token}
        worker = self.start_worker()
        id = self.entry("order.paid", SENT["paid"])
        harness.wait_until(lambda: "401" in self.run_cli("health").stdout())
        self.assertEqual(self.pending(), [f"{id}.json"])
        token.write_text(TOKEN + "\n")
        harness.wait_until(lambda: not self.pending())
        shown = self.run_cli("config").stdout() + self.run_cli("health", "--detailed").stdout() + Path(f"/proc/{worker.pid}/cmdline").read_text()
        self.assertNotIn("canary", worker.stderr() + shown)
        self.assertEqual(worker.stop(), 0)


class Register(harness.BusTest):
    """busbridge schema register: what the registry holds afterwards, and what it says of what it refuses."""

    needs_kafka = False

    def setUp(self):
        super().setUp()
        self.folder = self.dir / "schemas/order"
        self.folder.mkdir(parents=True)
        self.put("placed", PLACED)
        self.put("paid", PAID)
        self.options |= {"encoding.schemas": str(self.folder.parent), "routing.namespaces": "order"}

    def put(self, name, schema):
        (self.folder / f"{name}.avsc").write_text(json.dumps(schema, indent=2))

    def subject(self, record):
        return f"{self.topic('order.events')}-{record}"

    def all_subjects(self):
        return sorted(map(self.subject, ("busbridge.Envelope", "shop.Paid", "shop.Placed")))

    def mine(self, registry):
        return [subject for subject in registry.subjects() if subject.startswith(self.prefix)]

    def register(self, *words, **more):
        return self.run_cli("schema", "register", *words, **more)

    def test_one_then_all_of_them(self):
        for registry in (two, three):
            self.options["registry.url"] = registry.url
            would = self.register("--all", "--dry-run", expect=0).stdout()
            self.assertEqual(self.mine(registry), [])
            self.assertIn(f"order.placed: would be registered under {self.subject('shop.Placed')}\n", would)
            self.assertEqual(would.count("would be registered"), 3)
            self.assertRegex(self.register("order.paid", expect=0).stdout(), rf"^order.paid: registered under {self.subject('shop.Paid')} as \d+\n$")
            self.assertEqual(self.mine(registry), [self.subject("shop.Paid")])
            told = json.loads(self.register("--all", "-o", "json", expect=0).stdout())
            self.assertEqual({one["subject"]: one["outcome"] for one in told["schemas"]},
                             {self.subject("busbridge.Envelope"): "registered", self.subject("shop.Paid"): "there",
                              self.subject("shop.Placed"): "registered"})
            self.assertEqual((told["registered"], told["there"], told["refused"], told["registry"]), (2, 1, 0, registry.url))
            self.assertEqual(self.mine(registry), self.all_subjects())
            for one in told["schemas"]:
                there = registry.ask(f"/subjects/{one['subject']}/versions/latest")[1]
                self.assertEqual((there["id"], there["version"]), (one["id"], 1))
            self.assertIn(" shop.Paid as ", self.register("order.paid", options={"registry.subject": "record"}, expect=0).stdout())
            registry.remove("shop.Paid")
            again = json.loads(self.register("--all", "-o", "json", expect=0).stdout())
            self.assertEqual((again["there"], again["registered"]), (3, 0))

    def test_json_schemas(self):
        """As Avro's, of a type that the registry tells by the id; one that changes is another version."""
        subjects = sorted(map(self.subject, ("busbridge.Payload", "shop.Paid", "shop.Placed")))
        self.options["encoding.framing"] = "confluent-json"
        for registry in (two, three):
            self.options["registry.url"] = registry.url
            self.put("paid", PAID)
            self.assertEqual(self.register("--all", "--dry-run", expect=0).stdout().count("would be registered"), 3)
            told = json.loads(self.register("--all", "-o", "json", expect=0).stdout())
            self.assertEqual((told["registered"], sorted(one["subject"] for one in told["schemas"])), (3, subjects))
            for one in told["schemas"]:
                there = registry.ask(f"/schemas/ids/{one['id']}")[1]
                self.assertEqual((there["schemaType"], json.loads(there["schema"])),
                                 ("JSON", json.loads(self.run_cli("schema", "export", one["event"], expect=0).stdout())))
            self.assertEqual(json.loads(self.register("--all", "-o", "json", expect=0).stdout())["there"], 3)
            self.put("paid", {**PAID, "fields": [*PAID["fields"], {"name": "amount", "type": "long", "default": 0}]})
            self.register("order.paid", expect=0)
            self.assertEqual(registry.ask(f"/subjects/{self.subject('shop.Paid')}/versions")[1], [1, 2])

    def test_what_the_registry_refuses_is_told_with_its_reason(self):
        self.options["registry.url"] = two.url
        self.register("--all", expect=0)
        two.compatibility(self.subject("shop.Paid"), "BACKWARD")
        self.put("paid", {**PAID, "fields": [*PAID["fields"], {"name": "amount", "type": "long"}]})
        self.put("placed", {**PLACED, "fields": PLACED["fields"][:3]})
        for words in (("--dry-run",), ()):
            told = self.register("--all", *words, expect=1)
            (line,) = [line for line in told.stdout().splitlines() if "refused" in line]
            self.assertRegex(line, rf"^order.paid: refused under {self.subject('shop.Paid')}: .*(amount|compatib)")
            self.assertIn("The registry refuses 1 schema", told.stderr())
        self.assertEqual(two.ask(f"/subjects/{self.subject('shop.Paid')}/versions")[1], [1])
        self.assertEqual(two.ask(f"/subjects/{self.subject('shop.Placed')}/versions")[1], [1, 2])

    def test_check_against_what_the_registry_has(self):
        def check(*words, **more):
            return self.run_cli("schema", "check", "--against-registry", *words, env={"TMPDIR": str(self.dir)}, **more)
        for registry in (two, three):
            self.options["registry.url"] = registry.url
            self.put("paid", PAID)
            check(expect=0)  # there is nothing yet
            self.register("--all", expect=0)
            check(expect=0)
            amount = {"name": "amount", "type": "long"}
            self.put("paid", {**PAID, "fields": [*PAID["fields"], {**amount, "default": 0}]})
            check(expect=0)
            self.register("order.paid", expect=0)
            self.put("paid", {**PAID, "fields": [*PAID["fields"], amount]})
            check(expect=0)  # the newest version has it
            told = check("--compatibility", "BACKWARD_TRANSITIVE", expect=1).stdout()
            self.assertIn(f"{self.folder}/paid.avsc:", told)
            self.assertIn("payload.amount", told)
            self.assertIn("(registry:subjects/.history/order/paid.1.avsc:1)", told)
            self.assertIn("not compatible with registry:subjects (BACKWARD_TRANSITIVE, ", told)
            self.assertNotIn("payload", check("order.placed", "--compatibility", "FULL_TRANSITIVE", expect=0).stdout())
        self.options["registry.url"] = f"http://127.0.0.1:{harness.free_port()}"
        self.assertIn(self.options["registry.url"], check(expect=75).stderr())
        self.assertIn("usage", check("--against", str(self.folder), expect=2).stderr())
        self.assertEqual(list(self.dir.glob("busbridge-schemas-*")), [])

    def test_where_there_is_none(self):
        self.options["registry.url"] = f"http://127.0.0.1:{harness.free_port()}"
        self.assertIn(self.options["registry.url"], self.register("--all", expect=75).stderr())
        self.options["registry.url"] = two.url.removesuffix("/v7")
        self.assertIn("no registry", self.register("--all", expect=75).stderr())
        self.options["registry.url"] = two.url
        self.assertIn("order.placed", self.register("order.place").stderr(), "which one may have been meant")
        self.assertEqual(self.mine(two), [])
        self.options["registry.url"] = None
        self.assertIn("registry.url", self.register("--all", expect=2).stderr())
        self.assertIn("register EVENT|--all", self.register(expect=2).stderr())

    def test_who_we_are_and_who_they_are(self):
        token, wrong = self.dir / "token", self.dir / "wrong"
        token.write_text(TOKEN + "\n")
        wrong.write_text("canary-wrong-3081\n")
        ours = {"registry.certificate_file": front.certificate, "registry.key_file": front.key}
        basic = {"registry.username": USER, "registry.password": PASSWORD}
        for url, options, said in (
                (front.url("plain"), {}, None),
                (front.url("basic"), basic, None), (front.url("basic"), {}, "401"),
                (front.url("basic"), {**basic, "registry.password": "canary-wrong-3081"}, "401"),
                (front.url("bearer"), {"registry.token_file": token}, None), (front.url("bearer"), {"registry.token_file": wrong}, "401"),
                (front.tls, {"registry.ca_file": front.ca}, None), (front.tls, {}, "certificate"),
                (front.mutual, {"registry.ca_file": front.ca, **ours}, None), (front.mutual, {"registry.ca_file": front.ca}, "400"),
                (front.url("away"), {}, "503"), (front.url("moved"), {}, "301"), (front.url("limited"), {}, "429"),
                (front.url("forbidden"), {}, "403")):
            with self.subTest(url=url, options=options):
                told = self.register("order.paid", options={"registry.url": url, **options}, env={"http_proxy": "http://127.0.0.1:1",
                                     "https_proxy": "http://127.0.0.1:1"}, expect=75 if said else 0)
                self.assertRegex(told.stderr(), said or "^$")
                if said:
                    self.assertIn(url, told.stderr())
                self.assertNotIn("canary", told.stderr() + told.stdout())
        self.assertEqual(self.mine(two), [self.subject("shop.Paid")])


if __name__ == "__main__":
    harness.main()
