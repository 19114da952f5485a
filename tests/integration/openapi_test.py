"""worker/openapi.json against the worker: every path and parameter of its table (--help-api) is in the file and the other way round,
and what a live worker answers, each operation with each of its parameters' examples, on both listeners, fits the file's schemas.

To add a path: describe it there with an example for each parameter and, where it takes one, of its body; nothing is to be done here
but, where an operation needs something in the outbox, in refill()."""

import json
import subprocess
import unittest
import uuid
from urllib.parse import urlencode

import control_test
import harness
from harness import BUILD, ROOT, wait_until

try:
    import jsonschema
except ImportError:
    raise unittest.SkipTest("no jsonschema: apt-get install python3-jsonschema") from None

API = json.loads((ROOT / "worker/openapi.json").read_text())
METHODS = ("get", "post", "delete", "put", "patch")
EXAMPLE = API["components"]["parameters"]["entry"]["example"]


def follow(thing):
    while "$ref" in thing:
        at = API
        for word in thing["$ref"].removeprefix("#/").split("/"):
            at = at[word]
        thing = at
    return thing


def operations():
    """(METHOD, path, operation, {query parameter: its description}, {path parameter: ...})"""
    for path, item in API["paths"].items():
        for method in METHODS:
            if method in item:
                all_of = [follow(p) for p in item.get("parameters", []) + item[method].get("parameters", [])]
                yield method.upper(), path, item[method], *({p["name"]: p for p in all_of if p["in"] == where} for where in ("query", "path"))


def check(value, schema):
    """The schema's $refs point into the whole file."""
    document = {**API, **schema} if "$ref" in schema else {"components": API["components"], **schema}
    errors = list(jsonschema.Draft202012Validator(document).iter_errors(value))
    return ["/".join(map(str, e.absolute_path)) + ": " + e.message for e in errors]


class Table(unittest.TestCase):
    def test_the_file_has_each_path_and_parameter_of_the_worker_and_no_others(self):
        told = {}
        for line in subprocess.run([BUILD / "busbridge-worker", "--help-api"], check=True, text=True, capture_output=True).stdout.splitlines():
            method, path, *words = line.split()
            told[method, path] = sorted(words)
        described = {}
        for method, path, operation, query, _ in operations():
            marks = ["(body)"] * ("requestBody" in operation) + ["(token)"] * ("security" in operation)
            described[method, path] = sorted([*query, *marks])
        self.assertEqual(described, told)

    def test_it_can_be_used(self):
        ids = [operation["operationId"] for _, _, operation, _, _ in operations()]
        self.assertEqual(sorted(set(ids)), sorted(ids))
        for method, path, operation, query, holes in operations():
            self.assertTrue(operation["summary"])
            self.assertIn("default", operation["responses"], path)
            for name, parameter in {**query, **holes}.items():
                self.assertEqual(check(str(parameter["example"]) if "enum" in parameter["schema"] else parameter["example"],
                                       parameter["schema"]), [], (path, name))
        for name, schema in API["components"]["schemas"].items():
            jsonschema.Draft202012Validator.check_schema(schema)
            self.closed(schema, name)

    def closed(self, schema, name):
        """A schema that lets any member pass proves nothing."""
        if isinstance(schema, list):
            for part in schema:
                self.closed(part, name)
        if isinstance(schema, dict):
            if schema.get("type") == "object":
                self.assertIn("additionalProperties", schema, name)
            for part in schema.values():
                self.closed(part, name)

    def test_an_answer_that_does_not_fit_is_noticed(self):
        entry = {"$ref": "#/components/schemas/Version"}
        good = {"version": 1, "busbridge": "0", "api": "v1"}
        self.assertEqual(check(good, entry), [])
        for wrong in ({**good, "more": 1}, {**good, "busbridge": None}, {"version": 1, "api": "v1"}, [good]):
            self.assertEqual(len(check(wrong, entry)), 1)


class Answers(control_test.ControlTest):
    needs_kafka = True

    def refill(self):
        """What the examples name: a dead letter, an entry that waits, a flush."""
        if not (self.outbox / "dlq" / f"{EXAMPLE}.json").exists() and not (self.outbox / f"{EXAMPLE}.json").exists():
            self.dead_letter(EXAMPLE)

    def dead_letter(self, id):
        self.entry(control_test.PUBLISHED, control_test.PAYLOAD, place="dlq", id=id, storage_key=id, status="dlq", attempts=1,
                   last_error="x", failed_at="2025-09-22T04:00:00.000000+00:00", reason="schema_mismatch")

    def validate(self, method, path, operation, answer):
        code, headers, body = answer
        what = (method, path, code, body[:2000])
        self.assertTrue(code, what)
        response = follow(operation["responses"].get(str(code)) or operation["responses"]["default"])
        self.assertIn(headers.get("content-type"), response["content"], what)
        if headers["content-type"].endswith("json"):
            self.assertEqual(check(json.loads(body), response["content"][headers["content-type"]]["schema"]), [], what)
        if code >= 400 and str(code) not in operation["responses"]:
            self.assertEqual((headers["content-type"], json.loads(body)["status"]), ("application/problem+json", code), what)
        return code

    def requests(self, path, operation, query, holes):
        """Each as (path with its query, body): bare, with each parameter alone, with all."""
        needed = {n: p["example"] for n, p in query.items() if p.get("required")}
        body = operation.get("requestBody", {}).get("content", {})
        text = next(iter(body.values()))["example"] if body else ""
        text = text if isinstance(text, str) else json.dumps(text)
        for chosen in [{}, *({n: p["example"]} for n, p in query.items())]:
            kind, target = path.split("/")[2] if path.startswith("/v1/") else "", path
            if kind in ("replay", "purge") and holes:
                self.begun[kind] = self.freeze(kind)
            for name, parameter in holes.items():
                target = target.replace("{%s}" % name, str(self.begun.get(kind, parameter["example"])))
            yield target + ("?" + urlencode({**needed, **chosen}) if needed or chosen else ""), text.encode()

    def freeze(self, kind):
        """A selection that is not finished, with something in it; its number."""
        self.dead_letter(str(uuid.uuid4()))
        return json.loads(self.ask("unix", "POST", f"/v1/{kind}?all=1")[2])["selection"]

    def test_what_a_worker_answers_is_what_the_file_says(self):
        self.begun = {}  # {"flush": 1}: what was begun last, for /v1/flush/{id}
        worker = self.worker(**{"http.token": control_test.TOKEN})
        rights = {"Authorization": "Bearer " + control_test.TOKEN}
        wait_until(lambda: self.ask("tcp", "GET", "/readyz")[0] == 200, what="ready")
        self.entry(control_test.PUBLISHED, control_test.PAYLOAD)
        for method, path, operation, query, holes in operations():
            worked = False
            for number, (target, body) in enumerate(self.requests(path, operation, query, holes)):
                self.refill()
                where = control_test.BOTH[number % 2]
                answer = self.ask(where, method, target, body, **(rights if where == "tcp" else {}))
                worked = self.validate(method, target, operation, answer) < 300 or worked
                self.assertLess(answer[0], 500, (method, target, answer))
                self.note_begun(answer)
            self.assertTrue(worked, f"{method} {path}: no example was answered well")
            for accept in ("application/json", "text/plain"):
                answer = self.ask("tcp", method, self.bare(path), Accept=accept, **rights)
                self.validate(method, path, operation, answer)
                self.note_begun(answer)
        self.assertTrue(worker.running())

    def note_begun(self, answer):
        """The latest flush alone is known."""
        if answer[0] < 300 and answer[2].startswith(b"{"):
            self.begun.update((k, v) for k, v in json.loads(answer[2]).items() if f"/v1/{k}/{{id}}" in API["paths"])

    def bare(self, path):
        return path.replace("{id}", "999999").replace("{name}", "no-such")

    def test_what_it_refuses_is_a_problem(self):
        """Wrong parameters, wrong methods, no token, no such path; and the same of probes that do not succeed."""
        self.options["kafka.bootstrap.servers"] = "127.0.0.1:1"
        self.worker(**{"http.token": control_test.TOKEN})
        for method, path, operation, query, _ in operations():
            target = self.bare(path)
            self.validate(method, target, operation, self.ask("tcp", method, target, host="evil.example"))
            self.validate(method, target, operation, self.ask("tcp", method, target, Authorization="Bearer x"))
            if path.startswith("/v1/"):
                self.assertEqual(self.validate(method, target, operation, self.ask("unix", method, target + "?no_such=1")), 400, path)
            for name in query:
                self.validate(method, target, operation, self.ask("unix", method, target + "?" + urlencode({name: "\x01\x7f\u20ac" * 60})))
            for other in {"PUT", "PATCH", "OPTIONS", "FOO"} - {m for m, p, *_ in operations() if p == path}:
                answer = self.ask("unix", other, target)
                self.assertEqual(self.validate(other, target, operation, answer), 405)
                self.assertIn(method, answer[1]["allow"])
        self.validate("GET", "/readyz", API["paths"]["/readyz"]["get"], self.ask("tcp", "GET", "/readyz"))

    def test_it_tells_the_file_itself(self):
        self.worker()
        self.assertEqual(json.loads(self.ask("tcp", "GET", "/v1/openapi.json")[2]), API)


if __name__ == "__main__":
    harness.main()
