"""busbridge doctor: what it finds and what it tells to do, beside a worker and without; the two changes it makes."""

import json
import os
import shutil
import struct

import harness
import kafka_wire
from harness import BusTest, wait_until

PAYLOAD = {"plot_id": "p"}


class DoctorTest(BusTest):
    def doctor(self, *arguments, expect=0, **more):
        """Its findings by check; those of topics by topic, those of keys as "key of NAMESPACE"."""
        found = {}
        for check in self.examine("doctor", *arguments, expect=expect, **more):
            name = check["check"] if check["check"] != "topic" else check["found"].split(" ")[0]
            if name == "key":
                name = "key of " + check["found"].split(":")[0]
            self.assertNotIn(name, found)
            found[name] = check
        return found

    def verdicts(self, found):
        return {name: check["verdict"] for name, check in found.items() if check["verdict"] != "ok"}

    def snapshot(self):
        return {str(p.relative_to(self.outbox)): (p.stat().st_ino, p.stat().st_mtime_ns, p.read_bytes())
                for p in self.outbox.rglob("*") if p.is_file()}

    def started(self):
        """An outbox that a worker has drained once."""
        self.entry("plot.updated", PAYLOAD)
        self.run_worker("--once", expect=0)


class Keys(DoctorTest):
    def test_a_key_field_that_no_schema_has_is_a_warning_of_doctor_and_log(self):
        options = {"routing.keys": "plot=plotid"}
        self.entry("plot.updated", PAYLOAD)
        worker = self.run_worker("--once", expect=0, options=options)
        self.assertIn("did you mean plot_id?", worker.logs("key_field_unknown")[0]["msg"])
        self.assertEqual(len(worker.logs("key_rule")), 4)
        key = self.doctor(expect=None, options=options)["key of plot"]
        self.assertEqual(key["verdict"], "warning")
        self.assertIn("no schema of plot has; did you mean plot_id?", key["found"])


class Well(DoctorTest):
    def test_all_is_well_and_nothing_is_changed(self):
        redis = self.redis()
        self.started()
        keys = redis.keys()
        before = self.snapshot()
        found = self.doctor()
        self.assertEqual(self.verdicts(found), {})
        self.assertEqual((self.verdict, self.unreachable), ("ok", False))
        self.assertRegex(found["broker version"]["found"], "Kafka 4.1 or newer")
        self.assertRegex(found["position"]["found"], "stands at batch [1-9]")
        self.assertRegex(found["clock"]["found"], "file system agrees.*Redis agrees.*broker agrees")
        self.assertIn(self.topic("plot.events"), found)
        self.assertEqual(found["key of plot"]["found"], "plot: the key is plot_id (built in)")
        self.assertIn("no key is configured, so nothing is ordered", found["key of usecase"]["found"])
        self.assertEqual(self.snapshot(), before)
        self.assertEqual(redis.keys(), keys)

    def test_the_table_says_the_same(self):
        done = self.run_cli("doctor", expect=0)
        lines = done.stdout().splitlines()
        self.assertRegex(lines[0], "^CHECK +VERDICT FOUND$")
        self.assertTrue(any(line.startswith("broker ") and " ok " in line for line in lines))
        self.assertTrue(any("what to do: " in line and "kafka-topics.sh" in line for line in lines))

    def test_a_running_worker_is_not_disturbed(self):
        worker = self.start_worker()
        self.entry("plot.updated", PAYLOAD)
        wait_until(lambda: not self.pending())
        for _ in range(3):
            found = self.doctor()
            self.assertIn(f"pid {worker.pid}", found["worker"]["found"])
            self.assertEqual({n: v for n, v in self.verdicts(found).items() if n not in ("redis", "position")}, {})
            self.entry("plot.updated", PAYLOAD)
            wait_until(lambda: not self.pending())
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(len(self.drain("plot.events")), 4)
        self.assertNotIn("fenced", worker.stderr().lower())

    def test_settings_that_differ_from_those_of_the_worker_are_told(self):
        self.start_worker()
        wait_until((self.outbox / ".busbridge/control.sock").is_socket, what="the control socket")
        self.assertNotIn("of the worker is", self.run_cli("doctor").stderr())
        told = self.run_cli("doctor", options={"flush.interval": "7s"}).stderr()
        self.assertIn("flush.interval of the worker is ", told)
        self.assertIn("here it is 7s (-X)", told)

    def test_a_new_outbox_is_examined_without_making_anything_in_it(self):
        found = self.doctor()
        self.assertEqual(list(self.outbox.iterdir()), [])
        self.assertEqual(found["transactions"]["verdict"], "ok")
        self.assertEqual(found[self.topic("plot.events")]["verdict"], "warning")
        self.assertIn("the worker will create it", found[self.topic("plot.events")]["found"])

    def test_at_least_once_needs_no_transactions(self):
        found = self.doctor(options={"delivery.guarantee": "at_least_once"})
        self.assertEqual(found["transactions"]["verdict"], "skipped")
        self.assertNotIn("position", found)


class Wrong(DoctorTest):
    def test_a_broker_that_is_away_is_75_and_the_rest_is_skipped(self):
        found = self.doctor(expect=75, options={"kafka.bootstrap.servers": "127.0.0.1:1"})
        self.assertTrue(self.unreachable)
        self.assertEqual(found["broker"]["verdict"], "failed")
        self.assertIn("refused", found["broker"]["found"])
        self.assertIn("kafka.bootstrap.servers", found["broker"]["next"])
        self.assertEqual(found["topics"]["verdict"], "skipped")

    def test_with_something_else_wrong_it_is_1(self):
        self.doctor(expect=1, options={"kafka.bootstrap.servers": "127.0.0.1:1", "outbox.url": f"file:{self.dir}/nowhere"})
        self.assertFalse(self.unreachable)

    def test_settings_that_cannot_be_loaded_are_a_finding(self):
        found = self.doctor(expect=1, options={"flush.intervall": "3s"})
        self.assertIn("flush.interval", found["settings"]["found"])
        self.assertEqual(len(found), 1)
        found = self.doctor(expect=1, options={"kafka.no.such.key": "1"})
        self.assertEqual((found["kafka settings"]["verdict"], found["broker"]["verdict"]), ("failed", "skipped"))
        found = self.doctor(expect=1, options={"routing.namespaces": "Not/one"})
        self.assertEqual(found["routing"]["verdict"], "failed")
        found = self.doctor(expect=1, options={"encoding.schemas": f"{self.dir}/none"})
        self.assertEqual(found["schemas"]["verdict"], "failed")

    def test_topics_that_nobody_will_create_are_named_with_the_command(self):
        self.create_topic("episode.events")
        found = self.doctor(expect=1, options={"topics.create": "never"})
        plot = found[self.topic("plot.events")]
        self.assertEqual(plot["verdict"], "failed")
        self.assertIn(f"--bootstrap-server '{self.bootstrap}' --create --topic '{self.topic('plot.events')}'", plot["next"])
        self.assertEqual(found[self.topic("episode.events")]["verdict"], "ok")
        # the broker itself says that it would not
        found = self.doctor(expect=1, options={"topics.replication": "3"})
        self.assertIn("cannot create it", found[self.topic("plot.events")]["found"])

    def test_a_ledger_topic_that_is_missing_comes_with_its_command(self):
        topic = self.topic("ledger")
        found = self.doctor(options={"ledger.topic": topic})
        self.assertEqual(found["ledger topic"]["verdict"], "warning")
        self.assertIn(f"--create --topic '{topic}' --partitions 1", found["ledger topic"]["next"])
        found = self.doctor(expect=1, options={"ledger.topic": topic, "topics.create": "never"})
        self.assertEqual(found["ledger topic"]["verdict"], "failed")
        self.assertIn("topics.create is never", found["ledger topic"]["found"])

    def test_settings_that_give_something_up_are_a_warning_with_what_is_lost(self):
        options = {"delivery.guarantee": "at_least_once", "kafka.message.timeout.ms": 4500, "kafka.partitioner": "random"}
        found = self.doctor(options=options)["kafka settings"]
        self.assertEqual(found["verdict"], "warning")
        self.assertIn("published twice", found["found"])
        self.assertIn("order per key is lost", found["found"])

    def test_a_topic_that_takes_less_than_we_may_send_is_a_warning(self):
        self.create_topic("plot.events", 1, {"max.message.bytes": 2000})
        found = self.doctor()[self.topic("plot.events")]
        self.assertEqual(found["verdict"], "warning")
        self.assertIn("at most 2000 bytes", found["found"])
        self.assertIn("max.message.bytes=", found["next"])
        self.assertEqual(self.doctor(options={"kafka.message.max.bytes": "2000"})[self.topic("plot.events")]["verdict"], "ok")

    def test_a_redis_that_evicts_is_away_or_is_full(self):
        redis = self.redis("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
        found = self.doctor()
        self.assertEqual(found["redis"]["verdict"], "ok")
        self.assertEqual(found["redis memory"]["verdict"], "warning")
        self.assertIn("noeviction", found["redis memory"]["next"])
        redis.kill()
        found = self.doctor()
        self.assertEqual(found["redis"]["verdict"], "warning")
        found = self.doctor(expect=1, options={"redis.required": "true"})
        self.assertEqual(found["redis"]["verdict"], "failed")

    def test_folders_that_are_links_to_elsewhere_or_missing(self):
        found = self.doctor(expect=1, options={"outbox.url": f"file:{self.dir}/nowhere"})
        self.assertIn("mkdir -p", found["outbox"]["found"])
        self.assertNotIn("worker", found)
        (self.outbox / "pending").symlink_to("/proc")
        found = self.doctor(expect=1)
        self.assertIn("pending", found["outbox"]["found"])

    def test_rights_that_are_missing_come_with_the_command_that_grants_them(self):
        broker = self.own_broker(kafka_wire.AUTHORIZER)
        broker.create_topic(self.topic("plot.events"))
        kafka_wire.forbid_topic(self.bootstrap, self.topic("plot.events"))
        found = self.doctor(expect=1)
        plot = found[self.topic("plot.events")]
        self.assertEqual(plot["verdict"], "failed")
        self.assertIn("kafka-acls.sh", plot["next"])
        # transactions: everybody's right to any transactional id is taken away
        deny_transactions(self.bootstrap)
        found = self.doctor(expect=1)
        self.assertEqual(found["transactions"]["verdict"], "failed")
        self.assertRegex(found["transactions"]["next"],
                         "--operation Write --operation Describe --transactional-id busbridge-.* --resource-pattern-type prefixed")


def deny_transactions(bootstrap):
    transactional_id, any_operation, deny = 5, 2, 2
    acl = (struct.pack(">b", transactional_id) + kafka_wire.string("*") + struct.pack(">b", 3)
           + kafka_wire.string("User:ANONYMOUS") + kafka_wire.string("*") + struct.pack(">bb", any_operation, deny))
    kafka_wire.add_acls(bootstrap, acl)


class Changes(DoctorTest):
    def test_another_cluster_is_refused_until_it_is_accepted(self):
        self.started()
        file = self.outbox / ".busbridge/cluster"
        known = file.read_text()
        file.write_text("somewhere-else\n")
        self.entry("plot.updated", PAYLOAD)
        worker = self.run_worker("--once")
        self.assertNotEqual(worker.status, 0)
        self.assertIn("busbridge doctor --accept-cluster", worker.stderr())
        found = self.doctor(expect=1)
        self.assertEqual(found["cluster"]["verdict"], "failed")
        self.assertIn("--accept-cluster", found["cluster"]["next"])
        done = self.run_cli("doctor", "--accept-cluster", expect=0)
        self.assertIn(f"belongs to the cluster {known.strip()} now; it was somewhere-else", done.stdout())
        self.assertEqual(file.read_text().strip(), known.strip())
        self.assertEqual(self.doctor()["cluster"]["verdict"], "ok")
        self.run_worker("--once", expect=0)
        self.assertEqual(len(self.drain("plot.events")), 2)

    def test_changes_are_refused_while_a_worker_runs_and_where_none_ever_ran(self):
        for option in ("--accept-cluster", "--new-id"):
            self.assertIn("No worker was started", self.run_cli("doctor", option, expect=1).stderr())
        self.assertEqual(list(self.outbox.iterdir()), [])
        self.started()
        before = {name: (self.outbox / ".busbridge" / name).read_text() for name in ("id", "cluster")}
        worker = self.start_worker()
        wait_until(lambda: (self.outbox / ".busbridge/control.sock").exists())
        for option in ("--accept-cluster", "--new-id"):
            self.assertIn(str(worker.pid), self.run_cli("doctor", option, expect=75).stderr())
        self.assertEqual(worker.stop(), 0)
        self.run_cli("doctor", "--accept-cluster", expect=75, options={"kafka.bootstrap.servers": "127.0.0.1:1"})
        self.run_cli("doctor", "--accept-cluster", "--new-id", expect=2)
        self.assertEqual({name: (self.outbox / ".busbridge" / name).read_text() for name in before}, before)

    def test_a_copy_is_refused_until_it_has_an_id_of_its_own_and_then_both_go_on(self):
        self.started()
        shutil.copytree(self.outbox, self.dir / "copy")
        copy = {"outbox.url": f"file:{self.dir}/copy"}
        for _ in range(2):
            self.entry("plot.updated", PAYLOAD)
            self.run_worker("--once", expect=0)
        worker = self.run_worker("--once", options=copy)
        self.assertNotEqual(worker.status, 0)
        self.assertIn("busbridge doctor --new-id", worker.stderr())
        found = self.doctor(expect=1, options=copy)
        self.assertIn("--new-id", found["position"]["next"])
        was = (self.dir / "copy/.busbridge/id").read_text()
        answer = json.loads(self.run_cli("doctor", "--new-id", "-o", "json", expect=0, options=copy).stdout())
        self.assertEqual(answer["was"], was.strip())
        self.assertEqual(answer["id"], (self.dir / "copy/.busbridge/id").read_text().strip())
        self.assertNotEqual(answer["id"], answer["was"])
        here, self.outbox = self.outbox, self.dir / "copy"
        self.entry("plot.updated", PAYLOAD)
        self.run_worker("--once", expect=0, options=copy)
        self.assertEqual(self.verdicts(self.doctor(options=copy)), {"redis": "skipped"})
        self.outbox = here
        self.entry("plot.updated", PAYLOAD)
        self.run_worker("--once", expect=0)
        self.assertEqual(len(self.drain("plot.events")), 5)

    def test_what_a_copy_names_as_sent_is_not_sent_again_under_its_new_id(self):
        """A copy taken between commit and settle: its manifest stands, its entries too, and they are in Kafka."""
        id = self.entry("plot.updated", PAYLOAD)
        kept = self.dir / "kept.json"
        shutil.copy2(self.outbox / f"{id}.json", kept)
        self.run_worker("--once", expect=0)
        copy = self.dir / "copy"
        shutil.copytree(self.outbox, copy)
        shutil.copy2(kept, copy / f"{id}.json")
        (settled,) = (copy / ".busbridge").glob("settled-*")
        settled.rename(settled.with_name(settled.name.replace("settled-", "batch-")))
        self.run_cli("doctor", "--new-id", expect=0, options={"outbox.url": f"file:{copy}"})
        self.run_worker("--once", expect=0, options={"outbox.url": f"file:{copy}"})
        self.assertFalse((copy / f"{id}.json").exists())
        self.assertEqual([r.headers["ce_id"].decode() for r in self.drain("plot.events")], [id])


class Restored(DoctorTest):
    """An outbox that a backup put back: 5 published before it was made, 10 pending in it, of which 7 were published after it."""

    def setUp(self):
        super().setUp()
        self.create_topic("plot.events", 1)

    def write(self, *arguments, **more):
        path = super().write(*arguments, **more)
        self.written = getattr(self, "written", []) + [path.name]
        return path

    def ids(self):
        return [r.headers["ce_id"].decode() for r in self.drain("plot.events")]

    def restore(self):
        """Returns the ids that are published already, and those that are not."""
        for _ in range(5):
            self.entry("plot.updated", PAYLOAD)
        self.run_worker("--once", expect=0)
        published = [self.entry("plot.updated", PAYLOAD) for _ in range(7)]
        waits = [self.entry("plot.updated", PAYLOAD) for _ in range(3)]
        backup = self.dir / "backup"
        shutil.copytree(self.outbox, backup)
        for id in waits:
            (self.outbox / f"{id}.json").unlink()
        self.run_worker("--once", expect=0)
        self.outbox.rename(self.dir / "lost")
        backup.rename(self.outbox)
        self.assertEqual(self.run_worker("--once").status, 2)
        return published, waits

    def new_id(self, *arguments, expect=0):
        done = self.run_cli("doctor", "--new-id", "-o", "json", *arguments, expect=expect)
        answer = json.loads(done.stdout())
        return [answer[key] for key in ("changed", "published", "fresh", "unknown")], answer

    def asked_for(self, published, unknown):
        """Nothing is changed and nothing sent until the count of those is typed."""
        before = self.snapshot()
        counts, answer = self.new_id(expect=1)
        self.assertEqual(counts, [False, len(published), 10 - len(published) - len(unknown), len(unknown)])
        self.assertEqual(sorted(e["id"] for e in answer["unknown_entries"]), sorted(unknown))
        self.new_id("--send", str(len(unknown) + 1), expect=1)
        told = self.run_cli("doctor", "--new-id", expect=1)
        self.assertIn(f"nothing was changed. {len(unknown)} entries", told.stderr())
        self.assertIn(f"busbridge doctor --new-id --send {len(unknown)}", told.stderr())
        kept = {name: file for name, file in self.snapshot().items() if not name.startswith((".busbridge/metrics", ".busbridge/lock"))}
        self.assertEqual(kept, {name: file for name, file in before.items() if not name.startswith((".busbridge/metrics", ".busbridge/lock"))})
        counts, _ = self.new_id("--send", str(len(unknown)))
        self.assertEqual(counts[0], True)
        self.run_worker("--once", expect=0)
        return answer["topics"]

    def test_what_the_topics_hold_is_settled_and_the_rest_is_sent(self):
        published, waits = self.restore()
        counts, answer = self.new_id()
        self.assertEqual(counts, [True, 7, 3, 0])
        self.assertEqual(answer["topics"], [{"topic": self.topic("plot.events"), "tells_from": None, "why": "from its beginning"}])
        self.assertEqual(self.pending(), sorted(f"{id}.json" for id in waits))
        self.run_worker("--once", expect=0)
        self.assertEqual(sorted(self.ids()), sorted(name[:-5] for name in self.written))

    def test_what_was_published_is_not_passed_over_because_it_has_a_second_link(self):
        published, _ = self.restore()
        os.link(self.outbox / f"{published[0]}.json", self.dir / "second")
        self.assertEqual(self.new_id()[0], [True, 7, 3, 0])
        (self.dir / "second").unlink()
        self.run_worker("--once", expect=0)
        self.assertEqual(sorted(self.ids()), sorted(name[:-5] for name in self.written))

    def test_what_retention_removed_is_asked_for_by_its_count(self):
        published, waits = self.restore()
        ids = self.ids()
        kafka_wire.delete_records(self.bootstrap, self.topic("plot.events"), 0, self.drain("plot.events")[9].offset)
        known = [id for id in published if id in ids[9:]]
        (topic,) = self.asked_for(known, [id for id in published + waits if id not in known])
        self.assertTrue(topic["tells_from"])
        self.assertIn("retention", topic["why"])
        self.assertEqual(len(self.ids()), len(ids[9:]) + 10 - len(known))

    def test_what_redis_knows_is_settled_though_the_topics_do_not(self):
        self.redis()
        published, waits = self.restore()
        kafka_wire.delete_records(self.bootstrap, self.topic("plot.events"), 0, -1)
        (topic,) = self.asked_for(published, waits)
        self.assertIn("all was removed by its retention", topic["why"])
        self.assertEqual(sorted(self.ids()), sorted(waits))

    def test_a_topic_that_is_compacted_or_was_made_anew_cannot_tell(self):
        published, waits = self.restore()
        kafka_wire.set_topic(self.bootstrap, self.topic("plot.events"), "cleanup.policy", "compact")
        counts, answer = self.new_id(expect=1)
        self.assertEqual((counts, answer["topics"][0]["why"]), ([False, 7, 0, 3], "nothing for certain: it is compacted"))
        kafka_wire.delete_topic(self.bootstrap, self.topic("plot.events"))
        wait_until(lambda: self.topic("plot.events") not in kafka_wire.topics(self.bootstrap))
        self.assertIn("missing", self.new_id(expect=1)[1]["topics"][0]["why"])
        self.create_topic("plot.events", 1)
        self.assertIn("made anew", self.new_id(expect=1)[1]["topics"][0]["why"])
        self.asked_for([], published + waits)

    def test_a_copy_beside_its_original_sends_only_what_is_typed(self):
        published, waits = self.restore()
        counts, answer = self.new_id("--beside", expect=1)
        self.assertEqual(counts, [False, 7, 0, 3])
        told = self.run_cli("doctor", "--new-id", "--beside", expect=1)
        self.assertIn("busbridge doctor --new-id --beside --send 3", told.stderr())
        for id in waits:
            (self.outbox / f"{id}.json").unlink()  # the original's
        self.assertEqual(self.new_id("--beside")[0], [True, 7, 0, 0])
        fresh = self.entry("plot.updated", PAYLOAD)
        self.run_worker("--once", expect=0)
        self.assertEqual((len(self.ids()), self.ids()[-1]), (13, fresh))

    def test_without_a_broker_nothing_is_changed(self):
        self.restore()
        before = (self.outbox / ".busbridge/id").read_text()
        self.run_cli("doctor", "--new-id", expect=75, options={"kafka.bootstrap.servers": "127.0.0.1:1"})
        self.run_cli("doctor", "--beside", expect=2)
        self.assertEqual((self.outbox / ".busbridge/id").read_text(), before)


if __name__ == "__main__":
    harness.main()
