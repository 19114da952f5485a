"""Canaries: what is in a payload, and what opens a door, is in no log, no answer and no list of processes; a name cannot forge a line."""

import http.client
import json
import re
import unittest
from pathlib import Path

import harness
from broker import free_port
from harness import BusTest, wait_until

CANARY = "canary"
PAYLOAD = {"episode_id": "ep-1", "publication_id": "p-1", "format_type": "epub", "published_at": "2025-09-22T03:04:05+00:00",
           "include_metadata": True, "note": "canary-published"}
FORGED = "episode.published\nlevel=error msg=forged event=forged"


class SecretsTest(BusTest):
    def secret(self, name, value):
        path = self.dir / f"{name}.secret"
        path.write_text(value + "\n")
        path.chmod(0o600)
        return str(path)

    def ready(self, worker):
        wait_until(lambda: (self.outbox / ".busbridge/control.sock").exists() or not worker.running(), what="control socket")
        return worker

    def dead_ends(self):
        """Payloads with canaries that end in every way."""
        self.create_topic("quality.events", 1, {"max.message.bytes": 2000})
        self.create_topic("episode.events", 1)
        self.entry("episode.published", PAYLOAD, id="fine")
        self.entry("episode.published", {**PAYLOAD, "publication_id": ["canary-in-list"]}, id="mismatch")
        self.entry("episode.created", {"episode_id": "e", "title": "t", "episode_number": "canary-number"}, id="string")
        self.entry("episode.published", "canary-for-a-payload", id="no-object")
        self.entry("weather.changed", {"x": "canary-unknown"}, id="unknown")
        self.entry("quality.checked", {"content_id": "c", "score": 1, "check_types": [], "passed": True, "issues": [],
                                       "detailed_scores": {"a": "canary" * 1000}}, id="large")
        self.write("half.json", '{"id": "half", "payload": {"a": "canary-cut')
        self.write("twice.json", '{"id": "twice", "payload": {"a": "canary-twice", "a": 1}}')
        self.write("nan.json", '{"id": "nan", "payload": {"a": "canary-nan", "b": NaN}}')
        self.entry(FORGED, PAYLOAD, id="forged")
        return 10

    def answers(self, port, token):
        """All that the API tells, over TCP with the token and by the commands."""
        for path in ("/v1/status?detailed=1", "/v1/entries?limit=0", "/v1/metrics", "/metrics", "/v1/config", "/v1/topics", "/v1/version",
                     "/v1/openapi.json"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Host": f"127.0.0.1:{port}"})
            answer = connection.getresponse()
            yield path, answer.read().decode()
            self.assertEqual(answer.status, 200, path)
            connection.close()
        for words in (("health", "--detailed"), ("list", "--type", "all", "-o", "json"), ("metrics",), ("doctor", "-o", "json"), ("config",)):
            done = self.run_cli(*words)
            yield " ".join(words), done.stdout() + done.stderr()

    def check(self, where, text):
        found = re.search(r".{0,60}" + CANARY + r".{0,30}", text, re.S)
        self.assertIsNone(found, f"{where}: {found and found.group(0)}")

    def test_canaries_are_nowhere(self):
        redis, port, token = self.redis("--requirepass", "canary-redis"), free_port(), "canary-token-" + "0" * 40
        self.options.update({"redis.url": None, "redis.url_file": self.secret("redis", redis.url.replace("//", "//:canary-redis@")),
                             "kafka.sasl.password_file": self.secret("kafka", "canary-sasl"), "kafka.sasl.username": "u",
                             "kafka.debug": "all", "http.listen": f"127.0.0.1:{port}", "http.token_file": self.secret("token", token),
                             "outbox.settle": "100ms", "dlq.max_attempts": "1", "encoding.strict": "false"})
        count = self.dead_ends()
        worker = self.ready(self.start_worker())
        wait_until(lambda: not self.pending(), what="nothing is pending")
        wait_until(lambda: len(self.dead()) >= count - 1, what="the others are dead")
        for where, text in self.answers(port, token):
            self.check(where, text)
        self.check("cmdline", Path(f"/proc/{worker.pid}/cmdline").read_text())
        self.assertEqual(worker.stop(), 0)
        self.check("log", worker.stderr())
        for path in (self.outbox / ".busbridge").iterdir():
            if path.is_file():
                self.check(path, path.read_bytes().decode(errors="replace"))
        self.assertIn("canary-redis", Path(self.options["redis.url_file"]).read_text())  # they were planted
        self.assertTrue(worker.logs("event_dead") and worker.logs("event_published"))

    def test_refused_passwords_are_not_told(self):
        redis = self.redis("--requirepass", "another")
        self.options.update({"redis.url": None, "redis.url_file": self.secret("redis", redis.url.replace("//", "//:canary-redis@")),
                             "kafka.sasl.password_file": self.secret("kafka", "canary-sasl"), "kafka.sasl.username": "u",
                             "kafka.sasl.mechanisms": "PLAIN", "kafka.security.protocol": "sasl_plaintext", "kafka.debug": "security,broker,conf"})
        self.entry("episode.published", PAYLOAD)
        worker = self.ready(self.start_worker())
        wait_until(lambda: worker.logs("kafka_away") or worker.logs("librdkafka"), what="Kafka refuses")
        for words in (("health", "--detailed"), ("doctor",), ("doctor", "-o", "json")):
            done = self.run_cli(*words)
            self.check(words, done.stdout() + done.stderr())
        worker.kill()
        self.check("log", worker.stderr())

    def test_a_name_forges_no_line(self):
        for form in ("json", "logfmt"):
            self.entry(FORGED, PAYLOAD, id=f"forged-{form}")
            worker = self.start_worker("--once", options={"log.format": form, "delivery.guarantee": "at_least_once"})
            worker.wait()
            lines = [line for line in worker.stderr().splitlines() if f"forged-{form}" in line]
            self.assertTrue(lines)
            for line in worker.stderr().split("\n")[:-1]:
                self.assertRegex(line, r'^\{"ts":.*\}$' if form == "json" else r"^ts=\S+ level=\w+ msg=")
                if form == "json":
                    json.loads(line)
            self.assertFalse([line for line in lines if re.search("[\x00-\x1f\x7f]", line)])


if __name__ == "__main__":
    harness.main()
