#!/usr/bin/python3
"""The example consumers of deploy/examples/consumers, as they stand there, read what the worker published: Python, Java, JavaScript."""

import json
import os
import shutil
import subprocess
import unittest

import harness
from broker import cache_folder
from relay_test import PAYLOADS

EXAMPLES = harness.ROOT / "deploy/examples/consumers"
FETCHED = cache_folder() / "consumers"  # by tests/tools/fetch


def first_lines(command, count, scratch, folder, more=None):
    """What it has printed when these are so many lines: consumers have no end, so it is ended."""
    out, err = scratch / "consumer.out", scratch / "consumer.err"
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=folder,
                                   env={"PATH": os.environ["PATH"], "HOME": str(scratch), **(more or {})})

    def whole():
        lines = out.read_text().split("\n")[:-1]
        if len(lines) >= count:
            return lines
        if process.poll() is not None:
            raise AssertionError(f"{command} ended: {err.read_text()[-2000:]}")
        return None

    try:
        return harness.wait_until(whole, 2 * harness.PATIENCE, lambda: err.read_text()[-2000:])
    finally:
        process.kill()
        process.wait()


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
        """What it prints, by id."""
        if not shutil.which(program) or not FETCHED.exists():
            self.skipTest(f"{program}, or what its consumer needs, is not there: tests/tools/fetch consumers")
        command = [program, *map(str, arguments), self.bootstrap, self.topic("events"), str(harness.ROOT / "schemas")]
        lines = first_lines(command, len(self.sent), self.dir, FETCHED, {"NODE_PATH": str(FETCHED / "node_modules")})
        return {event["id"]: event for event in map(json.loads, lines)}

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
