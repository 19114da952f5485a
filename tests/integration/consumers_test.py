#!/usr/bin/python3
"""The example consumers of deploy/examples/consumers, as they stand there, read what the worker published: Python, Java, JavaScript."""

import json
import shutil
import subprocess
import unittest

import harness
from broker import cache_folder
from relay_test import PAYLOADS

EXAMPLES = harness.ROOT / "deploy/examples/consumers"
FETCHED = cache_folder() / "consumers"  # by tests/tools/fetch


def plain(value):
    """Of a decoded field what the producer wrote: text that is JSON is read, members that no field had come out of the map `extra`."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(member) for name, member in {**value, **value.get("extra", {})}.items() if name != "extra"}
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


class Consumers(harness.BusTest):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.options["routing.topic"] = self.topic("events")  # one topic with events of many types
        self.sent = {self.entry(name, payload): payload for name, payload in PAYLOADS.items()}
        self.run_worker("--once", expect=0)
        self.records = {record.headers["ce_id"].decode(): record for record in self.drain("events")}
        self.assertEqual(set(self.records), set(self.sent))

    def read(self, program, *arguments):
        """What it prints, by id, when it has printed all there is: consumers have no end."""
        if not shutil.which(program) or not FETCHED.exists():
            self.skipTest(f"{program}, or what its consumer needs, is not there: tests/tools/fetch consumers")
        out, err = self.dir / "consumer.out", self.dir / "consumer.err"
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            process = subprocess.Popen([program, *map(str, arguments), self.bootstrap, self.topic("events"), harness.ROOT / "schemas"],
                                       stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=FETCHED,
                                       env={"PATH": "/usr/local/bin:/usr/bin:/bin", "NODE_PATH": str(FETCHED / "node_modules"),
                                            "HOME": str(self.dir)})
        try:
            lines = harness.wait_until(lambda: self.whole(process, out, err), 2 * harness.PATIENCE, lambda: err.read_text()[-2000:])
        finally:
            process.kill()
            process.wait()
        return {event["id"]: event for event in map(json.loads, lines)}

    def whole(self, process, out, err):
        lines = out.read_text().split("\n")[:-1]
        if len(lines) < len(self.sent):
            self.assertIsNone(process.poll(), err.read_text()[-2000:])
            return None
        return lines

    def assert_read(self, events):
        self.assertEqual(set(events), set(self.sent))
        for id, event in events.items():
            record, payload, fields = self.records[id], self.sent[id], event["event"]
            self.assertEqual((event["type"], event["key"]), (record.headers["ce_type"].decode(), record.key.decode()))
            if "payload" in fields:  # a name without a schema: the envelope
                self.assertEqual((fields["id"], json.loads(fields["payload"])), (id, payload))
                continue
            self.assertEqual({name: plain(fields)[name] for name in payload}, plain(payload))

    def test_python_reads_all_of_it(self):
        python = FETCHED / "python/bin/python"
        self.assert_read(self.read(str(python), EXAMPLES / "python/consumer.py"))

    def test_javascript_reads_all_of_it(self):
        self.assert_read(self.read("node", EXAMPLES / "javascript/consumer.js"))

    def test_java_reads_all_of_it(self):
        self.assert_read(self.read("java", "-cp", FETCHED / "jars/*", EXAMPLES / "java/Consumer.java"))


if __name__ == "__main__":
    harness.main()
