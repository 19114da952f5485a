"""busbridge verify with a real worker, broker and Redis: what is made to disagree must be found, what only moves must not.
The rest of its findings stands in tests/unit/verify_test.c and verify_beside_test.c."""

import os
import re
import subprocess
import time

import harness
from harness import BusTest, wait_until

PAYLOAD = {"plot_id": "p"}


class VerifyTest(BusTest):
    def verify(self, *arguments, expect=0, **more):
        """Its findings: {check: [finding, ...]}."""
        found = {}
        for check in self.examine("verify", *arguments, expect=expect, **more):
            found.setdefault(check["check"], []).append(check)
        return found

    def wrong(self, found):
        return sorted((name, c["verdict"]) for name, checks in found.items() for c in checks
                      if c["verdict"] in ("failed", "warning"))

    def says(self, found, check, verdict, *words):
        """One finding of that check has that verdict and these words."""
        for one in found[check]:
            if one["verdict"] == verdict and all(word in one["found"] + (one["next"] or "") for word in words):
                return
        self.fail(f"{check} does not say {verdict} {words}: {found[check]}")

    def relayed(self, count=3, **over):
        ids = [self.entry("plot.updated", PAYLOAD, **over) for _ in range(count)]
        self.run_worker("--once", expect=0)
        return ids

    def manifest(self):
        return next((self.outbox / ".busbridge").glob("settled-*"))

    def plant(self, record_id, topic="plot.events", source=True):
        """A record by another producer under an id of ours."""
        outbox_id = (self.outbox / ".busbridge/id").read_text().strip()
        headers = ["-H", f"ce_id={record_id}"] + (["-H", f"ce_source=/busbridge/{outbox_id}"] if source else [])
        subprocess.run(["kcat", "-P", "-b", self.bootstrap, "-t", self.topic(topic), *headers], input=b"x\n", check=True,
                       timeout=300)

    def snapshot(self):
        return {str(p.relative_to(self.outbox)): (p.stat().st_ino, p.stat().st_mtime_ns, p.read_bytes())
                for p in self.outbox.rglob("*") if p.is_file()}


class Well(VerifyTest):
    def test_all_agrees_and_nothing_is_changed(self):
        redis = self.redis()
        self.relayed()
        self.entry("plot.none", [])  # no object: a dead letter
        self.run_worker("--once", expect=0)
        self.relayed(2)
        self.entry("plot.updated", PAYLOAD)
        before, keys = self.snapshot(), redis.keys()
        for arguments in ([], ["--full"], ["--sample", "2"]):
            found = self.verify(*arguments)
            self.assertEqual(self.wrong(found), [])
            self.assertEqual((self.verdict, self.unreachable), ("ok", False))
        self.says(found, "ledger", "ok", "stands at batch", "settled")
        self.says(found, "outbox", "ok", "1 pending and 1 dead")
        self.says(self.verify("--full"), "records", "ok", "5 read")
        self.assertEqual((self.snapshot(), redis.keys()), (before, keys))

    def test_an_outbox_that_nobody_relayed_yet_is_examined_without_making_anything(self):
        self.assertEqual(self.wrong(self.verify()), [])
        self.assertEqual(list(self.outbox.iterdir()), [])

    def test_the_table_says_the_same(self):
        self.relayed(1)
        lines = self.run_cli("verify", expect=0).stdout().splitlines()
        self.assertRegex(lines[0], "^CHECK +VERDICT FOUND$")
        self.assertRegex("\n".join(lines), r"(?m)^last batches +ok +each of the 1 ids")

    def test_beside_a_worker_that_works_nothing_is_complained_of(self):
        self.redis()
        worker = self.start_worker(options={"batch.max_events": "20"})
        self.entry("plot.updated", PAYLOAD)
        wait_until(lambda: not self.pending())  # of a topic made a moment ago the broker does not know its leader yet
        for turn in range(4):
            for _ in range(150):
                self.entry("plot.updated", PAYLOAD)
            self.assertEqual(self.wrong(self.verify("--full")), [])
        wait_until(lambda: not self.pending())
        self.assertEqual(self.wrong(self.verify("--full")), [])
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(len(self.drain("plot.events")), 601)

    def test_at_least_once_has_no_ledger_and_the_rest_is_compared(self):
        self.options["delivery.guarantee"] = "at_least_once"
        self.redis()
        ids = self.relayed()
        found = self.verify()
        self.assertEqual((self.wrong(found), found["ledger"][0]["verdict"]), ([], "skipped"))
        self.plant(ids[0])
        self.says(self.verify(expect=1), "records", "failed", ids[0])


class Ledger(VerifyTest):
    def test_a_manifest_that_was_deleted(self):
        self.relayed()
        self.manifest().unlink()
        found = self.verify(expect=1)
        self.says(found, "ledger", "failed", "whose manifest is not in this outbox", "--new-id")

    def test_a_position_that_is_gone(self):
        self.relayed()
        (self.outbox / ".busbridge/id").write_text("0e1c1f8a-0000-4000-8000-000000000000\n")
        self.says(self.verify(expect=1), "ledger", "failed", "holds no position", "the topics decide")

    def test_a_published_file_that_was_put_back(self):
        event_id = self.entry("plot.updated", PAYLOAD)
        file = self.outbox / f"{event_id}.json"
        text = file.read_bytes()
        self.run_worker("--once", expect=0)
        file.write_bytes(text)
        found = self.verify(expect=1)
        self.says(found, "settled", "failed", "1 of the 1", file.name)
        self.says(found, "pending entries", "failed", event_id, "a second time")

    def test_a_record_that_is_missing(self):
        event_id, = self.relayed(1)
        topic = self.topic("plot.events")
        manifest = self.manifest()
        self.assertIn(topic, manifest.read_text())
        # The topic as it would be if it had been made anew: another one under the routing, empty.
        found = self.verify(options={"routing.topic": self.prefix + ".other.{namespace}"})
        self.assertEqual(found["last batches"][0]["verdict"], "ok")  # where the manifest says, not the routing
        harness.kafka_wire.delete_topic(self.bootstrap, topic)
        wait_until(lambda: topic not in harness.kafka_wire.topics(self.bootstrap))
        self.says(self.verify(expect=1), "last batches", "failed", "1 of the 1", event_id)


class Outside(VerifyTest):
    def test_nothing_but_what_does_not_answer_is_75(self):
        found = self.verify(expect=75, options={"kafka.bootstrap.servers": "127.0.0.1:1", "redis.url": "redis://127.0.0.1:1"})
        self.assertTrue(self.unreachable)
        self.says(found, "broker", "failed", "refused")
        self.says(found, "keys", "failed", "refused")

    def test_an_outbox_that_is_not_there(self):
        done = self.run_cli("verify", options={"outbox.url": f"file:{self.dir}/nowhere"}, expect=1)
        self.assertIn("nowhere", done.stderr())


class Redis(VerifyTest):
    def test_a_key_that_was_removed(self):
        redis = self.redis()
        ids = self.relayed()
        redis.command("DEL", next(k for k in redis.keys() if k.endswith(ids[1])))
        found = self.verify(expect=1)
        self.says(found, "keys", "failed", "1 of the 3", ids[1])
        self.says(found, "record keys", "failed", ids[1], self.topic("plot.events") + "/")

    def test_keys_that_expired_are_not_missed(self):
        redis = self.redis()
        self.relayed()
        redis.command("FLUSHALL")
        time.sleep(1.1)  # the unit of redis.ttl
        found = self.verify(options={"redis.ttl": "1s"})
        self.assertEqual((self.wrong(found), found["keys"][0]["verdict"]), ([], "skipped"))

    def test_a_pending_id_that_redis_knows_is_told_with_its_place(self):
        redis = self.redis()
        self.relayed(1)
        event_id = self.entry("plot.updated", PAYLOAD)
        outbox_id = (self.outbox / ".busbridge/id").read_text().strip()
        redis.command("SET", f"busbridge:{outbox_id}:{event_id}", "some.topic/0/17")
        self.says(self.verify(), "pending ids", "warning", event_id, "some.topic/0/17", "--force")
        # the whole topics show that its twin is nowhere
        self.says(self.verify("--full", expect=1), "pending ids", "failed", event_id, "in no topic")


class Topics(VerifyTest):
    def test_an_id_that_is_there_twice(self):
        ids = self.relayed()
        self.plant(ids[2])
        found = self.verify(expect=1)
        self.says(found, "records", "failed", ids[2], self.topic("plot.events") + "/")
        self.says(found, "last batches", "failed", "more than once")
        self.assertIn(ids[2], self.run_cli("verify", expect=1).stdout())

    def test_one_far_back_is_found_by_full(self):
        self.create_topic("plot.events", partitions=1)
        old, = self.relayed(1)
        self.relayed(1)
        for _ in range(3):
            self.plant(harness.uuid.uuid4(), source=False)
        self.plant(old)
        self.relayed(1)
        later = time.time() + 60  # else the time of the last batch alone reaches as far back
        os.utime(self.manifest(), (later, later))
        self.assertEqual(self.wrong(self.verify("--sample", "3")), [])
        self.says(self.verify("--full", expect=1), "records", "failed", old)

    def test_an_id_that_is_published_and_dead(self):
        ids = self.relayed()
        self.entry("plot.updated", PAYLOAD, id=ids[0], place="dlq", status="dlq", reason="bad_name")
        self.says(self.verify(expect=1), "dead letters", "failed", ids[0], "purge")


class Account(VerifyTest):
    def test_figures_that_were_edited(self):
        self.relayed()
        self.says(self.verify(), "account", "ok", "3 found", "= 3 published", "0 pending")
        metrics = self.outbox / ".busbridge/metrics"
        text = metrics.read_text()
        edited = re.sub(r'(?m)^(.*events_total.*published.*\b)3\b', r"\g<1>5", text, count=1)
        self.assertNotEqual(text, edited, text)
        metrics.write_text(edited)
        self.says(self.verify(expect=1), "account", "failed", "2 more were accounted for", "= 5 published")

    def test_an_entry_that_came_and_went_unseen_is_not_missed(self):
        self.relayed()
        file = self.outbox / f"{self.entry('plot.updated', PAYLOAD)}.json"
        file.unlink()
        self.says(self.verify(), "account", "ok", "3 found", "0 vanished", "0 pending")

    def test_a_running_worker_is_asked(self):
        worker = self.start_worker()
        for _ in range(4):
            self.entry("plot.updated", PAYLOAD)
        wait_until(lambda: not self.pending())
        self.says(self.verify(), "account", "ok", "4 found", "= 4 published")
        worker.kill()
        self.assertEqual(self.verify()["account"][0]["verdict"], "skipped")  # cut short: the next start begins a new one


if __name__ == "__main__":
    harness.main()
