#!/usr/bin/python3
"""Exactly once over ends of every kind: what the ledger and the manifests say is what happens, and what is not ours is refused."""

import contextlib
import json
import os
import shutil
import subprocess

import harness
import kafka_wire


def siphash(data, key=bytes(range(16))):
    """SipHash-2-4 of 128 bits: what a manifest's name has of its content."""
    mask = 2 ** 64 - 1
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def turn(x, bits):
        return (x << bits | x >> (64 - bits)) & mask

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & mask
            v[1] = turn(v[1], 13) ^ v[0]
            v[0] = turn(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = turn(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = turn(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = turn(v[1], 17) ^ v[2]
            v[2] = turn(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    out = b""
    for lane, mark in ((2, 0xee), (1, 0xdd)):
        v[lane] ^= mark
        rounds(4)
        out += (v[0] ^ v[1] ^ v[2] ^ v[3]).to_bytes(8, "little")
    return out


class Ledger(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.options["ledger.topic"] = self.topic("ledger")
        self.state = self.outbox / ".busbridge"

    def fill(self, count, first=0):
        return [self.entry("plot.updated", {"plot_id": f"p{i % 5}", "word_count": i}, mtime=1700000000 + i)
                for i in range(first, first + count)]

    def ids(self):
        return [r.headers["ce_id"].decode() for r in self.drain("plot.events")]

    def manifests(self, kind):
        return sorted(p.name for p in self.state.glob(f"{kind}-*"))

    def cut_short(self):
        """The state that a crash between commit and settling leaves: the entries are there, their manifest is not settled."""
        saved = self.dir / "saved"
        shutil.copytree(self.outbox, saved)
        self.run_worker("--once", expect=0)
        for file in saved.glob("*.json"):
            # the same inode cannot be had again: the id decides then
            shutil.copy2(file, self.outbox / file.name)
        shutil.rmtree(saved)
        (manifest,) = self.manifests("settled")
        (self.state / manifest).rename(self.state / manifest.replace("settled", "batch", 1))

    def test_the_position_and_its_manifest_go_on_from_run_to_run(self):
        ids = self.fill(10)
        self.run_worker("--once", expect=0)
        self.assertRegex(self.manifests("settled")[0], "^settled-1-[0-9a-f]{32}$")
        ids += self.fill(10, 10)
        self.run_worker("--once", expect=0)
        self.assertEqual([n.split("-")[1] for n in self.manifests("settled")], ["2"])
        self.assertEqual(self.manifests("batch"), [])
        self.assertEqual(sorted(self.ids()), sorted(ids))

    def test_a_batch_that_was_committed_is_settled_and_not_sent_again(self):
        ids = self.fill(30)
        self.cut_short()
        worker = self.run_worker("--once", expect=0)
        self.assertEqual(self.pending(), [])
        self.assertEqual(sorted(self.ids()), sorted(ids))
        self.assertEqual(worker.logs("recovered")[0]["events"], 30)

    def test_an_id_of_a_batch_that_is_not_settled_is_busy(self):
        (id,) = self.fill(1)
        self.cut_short()
        cli = self.run_cli("replay", id, "--force", expect=75)
        self.assertIn("not settled", cli.stderr())
        self.assertEqual(self.pending(), [f"{id}.json"])
        self.run_cli("flush", expect=0)
        self.assertEqual((self.pending(), self.ids()), ([], [id]))

    def test_at_least_once_settles_first_what_exactly_once_left_and_exactly_once_goes_on_after_it(self):
        ids = self.fill(20)
        self.cut_short()
        self.run_worker("--once", expect=0, options={"delivery.guarantee": "at_least_once"})
        self.assertEqual(self.pending(), [])
        ids += self.fill(5, 20)
        self.run_worker("--once", expect=0, options={"delivery.guarantee": "at_least_once"})
        ids += self.fill(5, 25)
        self.run_worker("--once", expect=0)
        self.assertEqual(sorted(self.ids()), sorted(ids))

    def test_a_batch_whose_manifest_would_be_too_large_goes_in_parts(self):
        def name(letter, i):  # no UTF-8: two digits a byte
            return os.fsdecode(b"\xff" * 230 + f"{letter}{i}.json".encode())

        # a long key and so many of its id that even their names pass a manifest; long names; long keys
        twice = self.entry("plot.updated", {"plot_id": "K" * 61440}, file=name("a", 0))
        for i in range(1, 2500):
            self.entry("plot.updated", {"plot_id": "short"}, id=twice, file=name("a", i))
        ids = {twice}
        ids |= {self.entry("plot.updated", {"plot_id": f"p{i % 5}"}, file=name("b", i)) for i in range(2500)}
        ids |= {self.entry("plot.updated", {"plot_id": f"{i}" + "k" * 30000}) for i in range(100)}
        self.options |= {"batch.max_bytes": "64MiB", "log.level": "info"}
        worker = self.start_worker()
        largest = 0

        def drained():
            nonlocal largest
            for manifest in self.state.glob("*-*-*"):
                with contextlib.suppress(FileNotFoundError):
                    largest = max(largest, manifest.stat().st_size)
            return not self.pending()

        harness.wait_until(drained, what="all are drained")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(self.ids()), sorted(ids))
        self.assertGreater(largest, 500000)
        self.assertLessEqual(largest, 1 << 20)

    def test_without_a_position_the_topics_decide(self):
        ids = self.fill(20)
        self.cut_short()
        fresh = self.fill(5, 20)
        kafka_wire.delete_topic(self.bootstrap, self.options["ledger.topic"])
        harness.wait_until(lambda: self.options["ledger.topic"] not in kafka_wire.topics(self.bootstrap))
        worker = self.run_worker("--once", expect=0)
        self.assertTrue(worker.logs("position_lost"))
        self.assertEqual(self.pending(), [])
        self.assertEqual(sorted(self.ids()), sorted(ids + fresh))
        self.assertEqual([n.split("-")[1] for n in self.manifests("settled")], ["3"])

    def test_what_was_published_before_an_entry_came_again_is_not_taken_for_it(self):
        (id,) = self.fill(1)
        text = (self.outbox / f"{id}.json").read_bytes()
        self.run_worker("--once", expect=0)
        (settled,) = self.manifests("settled")
        (self.outbox / f"{id}.json").write_bytes(text)  # as a replay with --force leaves it
        s = (self.outbox / f"{id}.json").stat()
        lines = [{"busbridge-manifest": 1, "number": 2, "before": settled.split("-")[2], "nonce": "n", "count": 1},
                 ["flat", f"{id}.json", s.st_ino, s.st_size, s.st_ctime_ns, s.st_mtime_ns, id, self.topic("plot.events"), "p0", False]]
        manifest = "".join(json.dumps(line) + "\n" for line in lines).encode()
        (self.state / f"batch-2-{siphash(manifest).hex()}").write_bytes(manifest)  # of a transaction that was never committed
        kafka_wire.delete_topic(self.bootstrap, self.options["ledger.topic"])
        harness.wait_until(lambda: self.options["ledger.topic"] not in kafka_wire.topics(self.bootstrap))
        worker = self.run_worker("--once", expect=0)
        self.assertTrue(worker.logs("position_lost"))
        self.assertEqual((self.pending(), self.ids()), ([], [id, id]))

    def test_a_copied_outbox_is_recognised_and_touches_nothing(self):
        self.fill(5)
        self.run_worker("--once", expect=0)
        copy = self.dir / "copy"
        shutil.copytree(self.outbox, copy)
        ids = self.fill(5, 5)
        self.run_worker("--once", expect=0)
        before = self.ids()
        self.outbox, original = copy, self.outbox
        self.fill(3, 50)
        worker = self.run_worker("--once", options={"outbox.url": f"file:{copy}"})
        self.assertNotEqual(worker.status, 0)
        self.assertIn("copy", worker.stderr())
        self.assertEqual(len(self.pending()), 3)
        self.outbox = original
        self.assertEqual(self.ids(), before)
        self.run_worker("--once", expect=0)
        self.assertTrue(set(ids) <= set(before))

    def test_another_cluster_behind_the_same_address_is_refused(self):
        self.fill(5)
        self.run_worker("--once", expect=0)
        (self.state / "cluster").write_text("another-cluster")
        self.fill(5, 5)
        worker = self.run_worker("--once")
        self.assertNotEqual(worker.status, 0)
        self.assertIn("another-cluster", worker.stderr())
        self.assertEqual(len(self.pending()), 5)

    def test_a_missing_ledger_topic_that_may_not_be_made_names_the_command(self):
        for ns in ("episode", "quality", "plot", "usecase"):
            self.create_topic(f"{ns}.events")
        self.fill(2)
        worker = self.run_worker("--once", options={"topics.create": "never"})
        self.assertNotEqual(worker.status, 0)
        self.assertIn(self.options["ledger.topic"], worker.stderr())
        self.assertIn("--create", worker.stderr())
        self.assertEqual(len(self.pending()), 2)

    def test_the_mock_cluster_is_refused(self):
        port = self.dir / "port"
        broker = subprocess.Popen([harness.BUILD / "busbridge-devbroker", "--port-file", port], stdout=subprocess.DEVNULL)
        self.addCleanup(broker.wait)
        self.addCleanup(broker.terminate)
        address = harness.wait_until(lambda: port.exists() and port.read_text().strip())
        self.fill(2)
        worker = self.run_worker("--once", expect=2, options={"kafka.bootstrap.servers": address})
        self.assertIn("at_least_once", worker.stderr())
        self.assertEqual(len(self.pending()), 2)

    def test_a_refused_event_holds_back_its_key_and_no_other_until_it_is_dead(self):
        self.create_topic("plot.events", 1, {"max.message.bytes": 2000})
        order = []
        for i in range(12):
            big = {"pad": "x" * 4000} if i == 3 else {}
            order.append(self.entry("plot.updated", {"plot_id": f"p{i % 3}", "word_count": i, **big}, mtime=1700000000 + i))
        self.options |= {"dlq.max_attempts": "3", "kafka.compression.type": "none"}
        worker = self.start_worker(options={"flush.interval": "1h"})  # the culprit is not tried again
        waiting = sorted(f"{order[i]}.json" for i in (3, 6, 9))
        harness.wait_until(lambda: self.pending() == waiting, what="the other keys are published, the culprit's waits")
        self.assertEqual(worker.stop(), 0)
        worker = self.start_worker(options={"flush.interval": "300ms"})
        harness.wait_until(lambda: not self.pending(), what="the culprit is dead, its key goes on")
        self.assertEqual(worker.stop(), 0)
        (letter,) = self.dead().values()
        self.assertEqual((letter["id"], letter["attempts"], letter["reason"]), (order[3], 3, "broker_refused"))
        got = {}
        for r in self.drain("plot.events"):
            got.setdefault(r.key, []).append(r.headers["ce_id"].decode())
        self.assertEqual(got, {b"p0": [order[0], order[6], order[9]], b"p1": order[1::3], b"p2": order[2::3]})

    # ---- ledger.topic is changed ------------------------------------------------------------------------------------------------

    def memory(self):
        return (self.state / "ledger").read_text().split()

    def published_once(self, ids):
        """Each of these ids, and nothing else, in all topics of the test; nothing waits."""
        self.assertEqual(self.pending(), [])
        self.assertEqual(sorted(r.headers["ce_id"].decode() for r in self.drain() if "ledger" not in r.topic), sorted(ids))

    def delete_topic(self, name):
        kafka_wire.delete_topic(self.bootstrap, name)
        harness.wait_until(lambda: name not in kafka_wire.topics(self.bootstrap))

    def test_a_changed_ledger_topic_is_carried_out_and_so_is_the_change_back(self):
        here, there, ids = self.topic("ledger"), self.topic("other-ledger"), []
        for turn, topic in enumerate((here, there, here, here, there)):
            ids += self.fill(5, 5 * turn)
            worker = self.run_worker("--once", expect=0, options={"ledger.topic": topic})
            self.assertEqual(self.memory()[0], topic)
            self.assertEqual(len(worker.logs("ledger_moved")), int(turn in (1, 2, 4)))
        self.assertEqual([n.split("-")[1] for n in self.manifests("settled")], ["5"])
        self.published_once(ids)

    def test_all_topics_renamed_between_a_crash_and_the_restart_double_nothing(self):
        """By the old position; without the memory, as 0.1.0 left it; and with the old ledger gone too, by the old topics."""
        ids, renamed = [], {}
        for turn, lost in enumerate(("nothing", "memory", "both")):
            ids += self.fill(10, 10 * turn)
            self.options.update(renamed)
            self.cut_short()
            if lost != "nothing":
                (self.state / "ledger").unlink()
            if lost == "both":
                self.delete_topic(self.options["ledger.topic"])
            renamed = {"ledger.topic": self.topic(f"new{turn}-ledger"), "routing.topic": self.prefix + f".new{turn}.{{namespace}}.events"}
            ids += self.fill(5, 100 + 10 * turn)
            worker = self.run_worker("--once", expect=0, options=renamed)
            self.assertEqual((len(worker.logs("position_lost")), len(worker.logs("ledger_found"))),
                             (int(lost == "both"), int(lost == "memory")), lost)
            self.published_once(ids)

    def test_schemas_routes_and_keys_changed_between_a_crash_and_the_restart_double_nothing(self):
        """Under the new ones the events of the batch would go elsewhere, in another form, or die: it is settled by its own topics and ids."""
        ids, schemas = [], self.dir / "schemas"
        shutil.copytree(harness.ROOT / "schemas", schemas)
        schema = json.loads((schemas / "plot/updated.avsc").read_text())
        schema["fields"].insert(0, {"name": "never_written", "type": "string"})
        (schemas / "plot/updated.avsc").write_text(json.dumps(schema))
        changes = ({"routing.plot.updated.topic": self.topic("elsewhere"), "routing.plot.key": "word_count", "encoding.framing": "json"},
                   {"encoding.schemas": str(schemas)},
                   {"registry.url": f"http://127.0.0.1:{harness.free_port()}"},  # ids of a registry that is not there
                   {"routing.namespaces": "episode"})
        for turn, (changed, lost) in enumerate((changed, lost) for changed in changes for lost in (False, True)):
            ids += self.fill(10, 10 * turn)
            self.cut_short()
            if lost:
                (self.state / "ledger").unlink()
                self.delete_topic(self.options["ledger.topic"])
            worker = self.run_worker("--once", expect=0, options=changed)
            self.assertEqual(len(worker.logs("position_lost")), int(lost), changed)
            self.assertEqual(self.dead(), {}, changed)
            self.published_once(ids)

    def test_a_crash_in_the_middle_of_the_move_goes_on_either_way(self):
        """The position is committed under the new topic, and not remembered yet; then the change is carried out, or taken back."""
        ids = self.fill(5)
        self.run_worker("--once", expect=0)
        for turn, again in enumerate(("new-ledger", "ledger")):
            known = (self.state / "ledger").read_text()
            self.run_worker("--once", expect=0, options={"ledger.topic": self.topic("new-ledger" if turn == 0 else "newer-ledger")})
            (self.state / "ledger").write_text(known)
            ids += self.fill(5, 5 + 5 * turn)
            self.run_worker("--once", expect=0, options={"ledger.topic": self.topic(again)})
            self.assertEqual(self.memory()[0], self.topic(again))
            self.published_once(ids)

    def test_a_copy_of_before_the_ledger_moved_is_refused_under_either_topic(self):
        self.fill(5)
        self.run_worker("--once", expect=0)
        copy = self.dir / "copy"
        shutil.copytree(self.outbox, copy)
        self.fill(5, 5)
        self.run_worker("--once", expect=0, options={"ledger.topic": self.topic("new-ledger")})
        for topic in ("ledger", "new-ledger"):
            worker = self.run_worker("--once", expect=2, options={"outbox.url": f"file:{copy}", "ledger.topic": self.topic(topic)})
            self.assertIn("busbridge doctor --new-id", worker.stderr())
        self.assertEqual(len(self.ids()), 10)

    def test_at_least_once_in_between_does_not_lose_the_change(self):
        ids = self.fill(5)
        self.cut_short()
        moved = {"ledger.topic": self.topic("new-ledger")}
        ids += self.fill(5, 5)
        self.run_worker("--once", expect=0, options={"delivery.guarantee": "at_least_once", **moved})
        ids += self.fill(5, 10)
        self.run_worker("--once", expect=0, options=moved)
        self.published_once(ids)

    def test_an_old_ledger_topic_that_may_not_be_read_is_named_with_the_remedy(self):
        self.own_broker(kafka_wire.AUTHORIZER)
        ids = self.fill(5)
        self.cut_short()
        old = self.options["ledger.topic"]
        moved = {"ledger.topic": self.topic("new-ledger")}
        kafka_wire.forbid_topic(self.bootstrap, old)
        worker = self.run_worker("--once", expect=2, options=moved)
        self.assertRegex(worker.stderr(), f"kafka-acls.sh .*--operation Read.*{old}.*or set ledger.topic = {old}")
        doctor = self.run_cli("doctor", expect=1, options=moved)
        self.assertIn(f"or set ledger.topic = {old}", doctor.stdout())
        kafka_wire.permit_topic(self.bootstrap, old)
        self.run_worker("--once", expect=0, options=moved)
        self.published_once(ids)

    def test_a_ledger_topic_that_is_deleted_beside_a_worker_is_made_again_after_one_try(self):
        """librdkafka gives each try 15 s; four of them were needed."""
        worker = self.start_worker()
        ids = self.fill(3)
        harness.wait_until(lambda: not self.pending())
        self.delete_topic(self.options["ledger.topic"])
        ids += self.fill(5, 3)
        harness.wait_until(lambda: not self.pending() or not worker.running(), what="the relay goes on")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual((len(worker.logs("topic_missing")), worker.logs("kafka_unavailable")), (1, []))
        self.run_worker("--once", expect=0)
        self.published_once(ids)

    # ---- what a start refuses -----------------------------------------------------------------------------------------------------

    def test_a_reset_of_the_groups_offsets_has_one_cause_and_one_command_wherever_it_is_told(self):
        ids = self.fill(5)
        self.run_worker("--once", expect=0)
        group = "busbridge-" + (self.state / "id").read_text().strip()
        kafka_wire.commit_offset(self.bootstrap, group, self.options["ledger.topic"], 0)
        ids += self.fill(5, 5)
        cause = f"overwritten by somebody else (a reset of offsets?): group {group} stands at 0"
        command = f"busbridge doctor --new-id -X 'outbox.url=file:{self.outbox}'"
        for told in (self.run_worker("--once", expect=2).stderr(), self.run_cli("doctor", expect=1).stdout(),
                     self.run_cli("verify", expect=1).stdout()):
            self.assertIn(cause, " ".join(told.split()))
            self.assertIn(command, " ".join(told.split()))
        self.run_cli("doctor", "--new-id", expect=0)
        self.run_worker("--once", expect=0)
        self.published_once(ids)

    def test_a_damaged_manifest_that_nobody_needs_is_no_reason_to_refuse(self):
        self.run_worker("--once", expect=0)
        (first,) = self.manifests("settled")
        text = (self.state / first).read_bytes()
        ids = self.fill(5)
        self.cut_short()
        (self.state / first).write_bytes(text[:20])
        self.run_cli("verify", expect=0)
        self.run_worker("--once", expect=0)
        self.published_once(ids)

    def test_a_damaged_manifest_of_a_committed_batch_is_refused_with_the_next_step(self):
        ids = self.fill(5)
        self.cut_short()
        (manifest,) = self.manifests("batch")
        (self.state / manifest).write_bytes(b"{")
        command = f"busbridge doctor --new-id -X 'outbox.url=file:{self.outbox}'"
        self.assertIn(command, self.run_worker("--once", expect=2).stderr())
        self.assertIn(command, " ".join(self.run_cli("verify", expect=1).stdout().split()))
        self.run_cli("doctor", "--new-id", expect=0)
        self.run_worker("--once", expect=0)
        self.published_once(ids)

    def test_a_name_that_is_no_manifests_is_refused_with_the_next_step(self):
        self.run_worker("--once", expect=0)
        (self.state / "batch-x").write_bytes(b"")
        self.assertIn(f"move it out of {self.outbox}/.busbridge", self.run_worker("--once", expect=2).stderr())


if __name__ == "__main__":
    harness.main()
