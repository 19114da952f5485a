#!/usr/bin/python3
"""The harness itself: what it writes and what it reads back, so that other tests may rely on it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import harness
import kafka_wire
import postgres


class OutboxTest(harness.BusTest):
    needs_kafka = False

    def test_an_entry_has_the_keys_of_a_producer(self):
        name = self.entry("episode.created", {"title": "日本"}, mtime=1000, attempts=2, failed_at=...)
        path = self.outbox / f"{name}.json"
        written = json.loads(path.read_text())
        self.assertEqual(list(written), ["id", "name", "payload", "created_at", "attempts", "dispatched_at", "last_error", "status",
                                         "storage_key"])
        self.assertEqual((written["attempts"], written["storage_key"]), (2, name))
        self.assertIn("日本", path.read_text())
        self.assertEqual(path.stat().st_mtime, 1000)

    def test_pending_names_files_of_both_places_but_no_temporary_ones(self):
        a, b = self.entry("x.y", {}), self.entry("x.y", {}, place="pending")
        (self.outbox / ".hidden.json").write_text("")
        (self.outbox / "x.tmp").write_text("")
        self.assertEqual(self.pending(), sorted([f"{a}.json", f"{b}.json"]))

    def test_redis_comes_back_empty_on_the_same_port(self):
        redis = self.redis()
        redis.command("SET", "a", "1")
        self.assertEqual(redis.keys(), ["a"])
        redis.kill()
        redis.start()
        self.assertEqual(redis.keys(), [])


class KafkaTest(harness.BusTest):
    def produce(self, lines, *options):
        subprocess.run(["kcat", "-P", "-b", self.bootstrap, "-t", self.topic("a.events"), *options], input=lines, check=True, timeout=300)

    def test_drain_gives_keys_values_and_headers_back(self):
        self.create_topic("a.events", 1)
        self.produce(b"k1|one\n|empty\n", "-K|", "-H", "ce_id=1", "-H", "ce_source=/a,b")
        self.produce(os.urandom(50).replace(b"\n", b"x") + b"\n")
        records = self.drain("a.events")
        self.assertEqual([r.key for r in records], [b"k1", b"", None])
        self.assertEqual([r.value for r in records][:2], [b"one", b"empty"])
        self.assertEqual(len(records[2].value), 50)
        self.assertEqual(records[0].headers, {"ce_id": b"1", "ce_source": b"/a,b"})
        self.assertEqual(records, self.drain())
        self.assertEqual(kafka_wire.end_offset(self.bootstrap, self.topic("a.events"), 0), 3)

    def test_a_missing_topic_has_no_records(self):
        self.assertEqual(self.drain("none.events"), [])

    def test_topics_of_tests_are_apart(self):
        self.assertEqual(self.drain(), [])

    def test_creating_a_topic_twice_is_an_error(self):
        self.create_topic("a.events")
        with self.assertRaises(kafka_wire.KafkaError) as caught:
            self.create_topic("a.events")
        self.assertEqual(caught.exception.code, 36)


class OwnBrokerTest(harness.BusTest):
    def test_a_killed_broker_comes_back_with_its_topics(self):
        broker = self.own_broker()
        self.create_topic("a.events", 2)
        broker.kill9()
        with self.assertRaises(OSError):
            kafka_wire.topics(self.bootstrap)
        broker.start()
        self.assertEqual(kafka_wire.topics(self.bootstrap)[self.topic("a.events")], 2)


class PostgresTest(harness.BusTest):
    needs_kafka = False

    def test_a_server_ends_with_its_test_however_that_ends(self):
        try:
            postgres.binaries(), postgres.somebody()
        except postgres.Unavailable as why:
            self.skipTest(str(why))
        test = subprocess.Popen([sys.executable, "-c", "import postgres, sys; print(postgres.Server(fsync=False).start().dir, flush=True); sys.stdin.read()"],
                                cwd=Path(postgres.__file__).parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(test.communicate)
        folder = Path(test.stdout.readline().strip())
        pid = int((folder / "data/postmaster.pid").read_text().split()[0])
        test.kill()
        harness.wait_until(lambda: not folder.exists(), what="its folder is gone")
        self.assertFalse(postgres.alive(pid, folder))


if __name__ == "__main__":
    harness.main()
