#!/usr/bin/python3
"""A registry on its worst days: each kind of answer, lies, a reset, none at all. What must not be, ever: a record under an id whose schema
is another, an event dead or charged for it, an event lost."""

import json
import signal
import time
import unittest
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import harness
from scripted_registry import ScriptedRegistry, error

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
OTHER = '{"type":"record","name":"Other","fields":[]}'
MISSING = (404, error(40401), {})


def schema(name, amount=None):
    fields = [{"name": "id", "type": "string"}, {"name": "amount", "type": amount or DECIMAL}]
    return {"type": "record", "name": name.capitalize(), "namespace": "shop", "fields": fields}


def text(name, amount=None):
    return json.dumps(schema(name, amount), separators=(",", ":"))


class Faults(harness.BusTest):
    maxDiff = None
    names = ("placed", "paid", "gone")

    def setUp(self):
        super().setUp()
        self.registry = ScriptedRegistry().start()
        self.addCleanup(self.registry.close)
        (self.dir / "schemas/order").mkdir(parents=True)
        for name in self.names:
            self.put(name)
        self.options |= {"encoding.schemas": str(self.dir / "schemas"), "routing.namespaces": "order plain", "ledger.topic": self.topic("ledger"),
                         "routing.plain.framing": "single-object", "registry.url": self.registry.url}
        self.sent = 0

    # ---- what there is ----------------------------------------------------------------------------------------------------------

    def put(self, name):
        (self.dir / f"schemas/order/{name}.avsc").write_text(json.dumps(schema(name), indent=1))

    def subject(self, name):
        return f"{self.topic('order.events')}-shop.{name.capitalize()}"

    def path(self, name):
        return "/subjects/" + urllib.parse.quote(self.subject(name), safe="")

    def register(self, *names):
        """Ids by name, given in this order."""
        return {name: self.registry.register(self.subject(name), text(name)) for name in names or self.names}

    def send(self, *names):
        """One event of each; their ids."""
        self.sent += 1
        return [self.entry(f"order.{name}", {"id": f"{name}{self.sent}", "amount": 1.25}) for name in names]

    def published(self):
        """(event, id of its schema) by the id of the event"""
        found = {}
        for record in self.drain("order.events"):
            self.assertEqual(record.value[:1], b"\0")
            found[record.headers["ce_id"].decode()] = (record.headers["ce_type"].decode().removeprefix("order."),
                                                       int.from_bytes(record.value[1:5], "big"))
        return found

    def gone(self, *ids):
        """Until these are no longer in the outbox."""
        harness.wait_until(lambda: not set(self.pending()) & {f"{id}.json" for id in ids}, 2 * harness.PATIENCE)

    def assert_waiting(self, *ids):
        """These are there, nothing else; nothing is dead, nothing charged."""
        self.assertEqual(self.dead(), {})
        self.assertEqual(self.pending(), sorted(f"{id}.json" for id in ids))
        for file in self.pending():
            self.assertEqual(json.loads((self.outbox / file).read_bytes())["attempts"], 0)

    def assert_looked_up_only(self):
        """Nothing was registered, deleted or configured."""
        for method, path, _, _ in self.registry.asked:
            self.assertTrue(method == "GET" or (method == "POST" and path.split("?")[0].count("/") == 2), (method, path))

    def health(self):
        """(state, its lines)"""
        told = self.run_cli("health")
        return told.status, told.stdout()

    def wait_health(self, words):
        return harness.wait_until(lambda: next((told for told in [self.health()] if words in told[1]), None), what=lambda: self.health())


# What no registry says, or only one that is in trouble: (status, body, headers), and what health says of it.
NOWHERE = {
    "404 without a code": ((404, {"message": "no"}, {}), "404"),
    "404 with code 0": ((404, error(0), {}), "404"),
    "404 with code 404": ((404, error(404), {}), "404"),
    "404 of a web server": ((404, b"<html>404</html>", {"Content-Type": "text/html"}), "404"),
    "401": ((401, error(401), {}), "401"),
    "403": ((403, error(403), {}), "403"),
    "405": ((405, error(405), {}), "405"),
    "406": ((406, error(406), {}), "406"),
    "408": ((408, error(408), {}), "408"),
    "409": ((409, error(409), {}), "409"),
    "415": ((415, error(415), {}), "415"),
    "418": ((418, b"", {}), "418"),
    "429": ((429, error(429), {"Retry-After": "1"}), "429"),
    "301": ((301, b"", {"Location": "http://127.0.0.1:1/"}), "301"),
    "500": ((500, error(50001), {}), "500"),
    "503": ((503, b"<html>", {}), "503"),
    "no JSON": ((200, b"{", {}), "not the JSON of a registry"),
    "JSON of something else": ((200, [1], {}), "no"),
    "a page": ((200, b"<html>welcome</html>", {"Content-Type": "text/html"}), "not the JSON of a registry"),
    "nothing": ((200, b"", {}), "not the JSON of a registry"),
    "huge": ((200, b'{"schema": "' + b"x" * (9 << 20) + b'"}', {}), ""),
    "closed": ((None, b"", {}), ""),
}


class Answers(Faults):
    names = ("placed", "paid")

    def one(self, what):
        """A worker of its own, whose outbox remembers the id of one of two types."""
        case = Answers()
        case.setUp()
        try:
            case.stands(*NOWHERE[what], known=case.register("placed"))
        finally:
            case.kill_programs()
            case.doCleanups()

    def stands(self, answer, words, known):
        ids = self.send("placed")
        self.run_worker("--once", expect=0)
        status, body, headers = answer
        self.registry.say(status, body, headers)
        worker = self.start_worker()
        ids += self.send("placed")
        (waits,) = self.send("paid")
        self.gone(*ids)
        _, told = self.wait_health("no registry there")
        self.assertIn(self.registry.url, told)
        self.assertIn(words, told)
        self.assertEqual(self.published(), {id: ("placed", known["placed"]) for id in ids})
        self.assert_waiting(waits)
        self.assertEqual(worker.stop(), 0)
        self.registry.hush()
        known |= self.register("paid")
        self.run_worker("--once", expect=0)
        self.assertEqual(self.published()[waits], ("paid", known["paid"]))
        self.assert_looked_up_only()

    def test_what_is_no_registry_s_answer_stops_no_type_whose_id_is_known(self):
        with ThreadPoolExecutor(4) as pool:
            found = {what: pool.submit(self.one, what) for what in NOWHERE}
        for what, result in found.items():
            with self.subTest(answer=what):
                result.result()

    def test_a_slow_registry(self):
        self.registry.say(200, {}, delay=600)
        self.options["registry.timeout"] = "300ms"
        worker = self.start_worker()
        (waits,) = self.send("placed")
        free = self.entry("plain.made", {})
        self.gone(free)
        self.wait_health("no registry there")
        self.assert_waiting(waits)
        self.registry.hush()
        self.register("placed")
        self.gone(waits)
        self.assertEqual(worker.stop(), 0)


def answer(**more):
    """What a look-up says, as a function of the subject's own text and id."""
    return lambda own, id: {key: value(own, id) if callable(value) else value
                            for key, value in {"subject": "s", "version": 1, "id": id, "schema": own, **more}.items() if value is not ...}


# A look-up's lies: what it answers, and what stands under the id that it gives then (None: what does in truth).
LIES = {
    "another": (answer(schema=OTHER), None),
    "swapped": (answer(id=lambda _, id: id + 1), None),
    "silent": (answer(id=lambda _, id: id + 1, schema=...), None),
    "broken": (answer(schema="{"), None),
    "json": (answer(schemaType="JSON"), None),
    "plain": (answer(schema=text("plain", "bytes")), None),
    "finer": (answer(schema=text("finer", {**DECIMAL, "scale": 3})), None),
    "negative": (answer(id=-1), None),
    "large": (answer(id=1 << 31), None),
    "worded": (answer(id="7"), None),
    "half": (answer(id=1.5), None),
    "none": (answer(id=...), None),
    "changed": (answer(), {"schema": OTHER}),
    "wrongtype": (answer(), {"schema": text("wrongtype"), "schemaType": "PROTOBUF"}),
    "unknown": (answer(), error(40403)),
    "empty": (answer(), {}),
}


class Lies(Faults):
    names = ("placed", *LIES)

    def test_no_id_is_taken_whose_schema_is_not_ours(self):
        known = self.register()
        for name, (said, behind) in LIES.items():
            self.registry.say(200, said(text(name), known[name]), path=self.path(name))
            if behind is not None:
                self.registry.say(404 if "error_code" in behind else 200, behind, path=f"/schemas/ids/{known[name]}")
        for name in LIES:  # what stands among the versions is no better
            self.registry.say(200, [1], path=self.path(name) + "/versions")
            self.registry.say(200, {**LIES[name][0](text(name), known[name]), "schema": OTHER}, path=self.path(name) + "/versions/")
        worker = self.start_worker()
        (honest,) = self.send("placed")
        waiting = self.send(*LIES)
        self.gone(honest)
        for name in LIES:
            harness.wait_until(lambda: self.registry.requests(self.path(name)), what=name)
        (again,) = self.send("placed")
        self.gone(again)
        harness.wait_until(lambda: len(worker.logs("schema_unregistered")) >= 5)
        self.assertEqual(self.published(), {honest: ("placed", known["placed"]), again: ("placed", known["placed"])})
        self.assert_waiting(*waiting)
        self.assertEqual(worker.stop(), 0)
        self.registry.hush()
        self.run_worker("--once", expect=0)
        self.assertEqual({name: id for name, id in self.published().values()}, known)
        self.assert_looked_up_only()

    def test_eight_at_a_time_one_of_a_subject(self):
        self.registry.say(404, error(40401), delay=0.2)
        self.start_worker()
        for name in self.names:
            harness.wait_until(lambda: self.registry.requests(self.path(name)), what=name)
        self.assertLessEqual(self.registry.most_at_once, 8)
        self.assertGreater(self.registry.most_at_once, 1)


class Days(Faults):
    def test_away_at_the_start_with_nothing_remembered(self):
        self.registry.stop()
        worker = self.start_worker("-X", f"http.listen=127.0.0.1:{harness.free_port()}")
        waiting = self.send("placed", "paid")
        free = self.entry("plain.made", {})
        self.gone(free)
        status, told = self.wait_health("no registry there")
        self.assertIn(self.registry.url, told)
        self.assertEqual(status, 1)
        self.assert_waiting(*waiting)
        self.registry.start()
        known = self.register()
        self.gone(*waiting)
        self.assertEqual(self.published(), {waiting[0]: ("placed", known["placed"]), waiting[1]: ("paid", known["paid"])})
        self.assertEqual(len(worker.logs("registry_back")), 1)
        self.assertEqual(worker.stop(), 0)

    def test_known_ids_go_on_while_it_is_away_and_are_looked_at_when_it_is_back(self):
        known = self.register("placed", "paid")
        ids = self.send("placed", "paid")
        worker = self.start_worker()
        self.gone(*ids)
        self.registry.stop()
        ids += self.send("placed", "paid")
        self.gone(*ids)
        self.put("new")
        worker.signal(signal.SIGHUP)  # it is asked for, in vain
        harness.wait_until(lambda: worker.logs("registry_away"))
        ids += self.send("placed", "paid")
        self.gone(*ids)
        asked = len(self.registry.asked)
        self.registry.reset()
        swapped = self.register("paid", "placed", "new")
        self.assertEqual([swapped["paid"], swapped["placed"]], [known["placed"], known["paid"]])
        for name in ("placed", "paid"):  # for the time being
            self.registry.say(404, error(40403), path=self.path(name))
        self.registry.start()
        harness.wait_until(lambda: len(worker.logs("id_wrong")) == 2, 2 * harness.PATIENCE)
        self.assertTrue(self.registry.requests("/schemas/ids/", since=asked))
        harness.wait_until(lambda: self.health()[0] == 2, what=self.health)
        for name in ("placed", "paid"):
            (line,) = [line for line in worker.logs("id_wrong") if line["name"] == f"order.{name}"]
            self.assertRegex(line["error"], r"3 records .*partition \d offsets \d+ to \d+")
        before = self.published()
        self.assertEqual(before, {id: (name, known[name]) for id, name in zip(ids, ("placed", "paid") * 3)})
        self.assertEqual(worker.stop(), 0)
        self.registry.hush()
        late = self.send("placed", "paid")
        self.run_worker("--once", expect=0)
        after = self.published()
        self.assertEqual([after[id] for id in late], [("placed", swapped["placed"]), ("paid", swapped["paid"])])
        self.assertEqual(self.dead(), {})
        self.assert_looked_up_only()

    def test_reset_between_two_lives(self):
        """What is remembered serves while the registry is away, and is looked at as soon as it is there."""
        known = self.register("placed", "paid")
        ids = self.send("placed")
        self.run_worker("--once", expect=0)
        self.registry.stop()
        ids += self.send("placed")
        worker = self.start_worker()
        self.gone(*ids)
        self.assertEqual(self.published(), {id: ("placed", known["placed"]) for id in ids})
        self.registry.reset()
        self.register("gone", "paid")  # the second has its id as before
        self.registry.start()
        harness.wait_until(lambda: worker.logs("id_wrong"), 2 * harness.PATIENCE)
        waiting = self.send("placed")
        self.gone(*self.send("paid"))
        self.assert_waiting(*waiting)
        self.assertIn("order.placed", self.health()[1])
        self.assertEqual(self.health()[0], 2)
        self.assertEqual(worker.stop(), 0)

    def test_the_next_url_is_for_the_world_s_fault_only(self):
        second = ScriptedRegistry("/behind/a/path").start()
        self.addCleanup(second.close)
        self.registry.say(503)
        self.options["registry.url"] = f"{self.registry.url} {second.url}"
        id = second.register(self.subject("placed"), text("placed"))
        (event,) = self.send("placed")
        self.run_worker("--once")
        self.assertEqual(self.published(), {event: ("placed", id)})
        self.registry.hush()
        asked = len(second.asked)
        (waits,) = self.send("paid")
        self.run_worker("--once")
        self.assert_waiting(waits)
        self.assertEqual(second.requests(self.path("paid"), since=asked), [])

    def test_the_newest_50_versions_are_compared(self):
        """Where the registry finds it by no text, though it is there."""
        def fill(name, place):
            for version in range(1, 61):
                spelt = {"doc": "spelt otherwise", **schema(name)} if version == place else schema(f"{name}{version}")
                id = self.registry.register(self.subject(name), json.dumps(spelt))
                found[name] = id if version == place else found.get(name)
        found = {}
        fill("placed", 12)
        fill("paid", 10)
        self.registry.say(404, error(40403), method="POST")
        ids = self.send("placed", "paid")
        self.run_worker("--once")
        self.assertEqual(self.published(), {ids[0]: ("placed", found["placed"])})
        self.assert_waiting(ids[1])
        self.assertEqual(self.registry.requests(self.path("paid") + "/versions/10"), [])
        self.assert_looked_up_only()


class Waited(Faults):
    """What is missing is asked for again after 30 s: begun before all others, judged after them."""

    @classmethod
    def begin(cls):
        cls.early = case = cls()
        case.setUp()
        case.known = case.register("placed")
        case.registry.register(case.subject("gone"), OTHER)
        case.registry.say(422, error(42201), path=case.path("paid"))
        case.began = time.monotonic()
        case.worker = case.start_worker()
        case.free, *case.waiting = case.send("placed", "paid", "gone")

    def test_types_start_as_they_resolve(self):
        case = self.early
        case.gone(case.free)
        case.assert_waiting(*case.waiting)
        for name in ("paid", "gone"):
            state, told = case.wait_health(f"busbridge schema register order.{name}")
            self.assertIn(state, (1, 2))
        case.registry.hush()
        case.known |= case.register("paid", "gone")
        case.gone(*case.waiting)
        rounds = len([one for one in case.registry.requests(case.path("paid"), "POST") if "normalize" not in one[1]])
        self.assertLessEqual(rounds, 2 + (time.monotonic() - case.began) // 30, "asked for once in 30 s")
        self.assertEqual(case.published(), {id: (name, case.known[name]) for id, name in zip([case.free, *case.waiting], ("placed", "paid", "gone"))})
        self.assertEqual(case.dead(), {})
        self.assertEqual(case.health()[0], 0, case.health()[1])
        self.assertEqual(case.worker.stop(), 0)
        case.assert_looked_up_only()


def setUpModule():
    Waited.begin()
    unittest.addModuleCleanup(Waited.early.doCleanups)
    unittest.addModuleCleanup(Waited.early.kill_programs)


if __name__ == "__main__":
    harness.main()
