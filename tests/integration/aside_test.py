#!/usr/bin/python3
"""One entry that cannot be changed costs nothing else: it is set aside, named, never sent again, and settled when it can be."""

import contextlib
import json
import os
import shutil
import subprocess
import unittest

import harness

NOBODY = 65534  # uid and gid


class Aside(harness.BusTest):
    def setUp(self):
        super().setUp()
        self.options |= {"ledger.topic": self.topic("ledger"), "flush.interval": "1s"}
        self.hindered = []
        self.addCleanup(self.free)

    def hinder(self, file, how="immutable"):
        """Nobody can remove or rename it: immutable, or something is mounted on it."""
        path = self.outbox / file
        commands = {"immutable": [["chattr", "+i", path]],
                    "mount": [["mount", "--bind", path, path]],
                    "read-only": [["mount", "--bind", path, path], ["mount", "-o", "remount,bind,ro", path]]}[how]
        for command in commands:
            if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
                raise unittest.SkipTest(f"this machine cannot do: {' '.join(map(str, command))}")
        self.hindered.append((path, how))

    def free(self):
        while self.hindered:
            path, how = self.hindered.pop()
            subprocess.run(["chattr", "-i", path] if how == "immutable" else ["umount", path], check=True)

    def event(self, key, n, **more):
        return self.entry("quality.checked", {"content_id": key, "score": 1.0, "check_types": [], "passed": True, "issues": []},
                          id=f"{key}-{n}", mtime=1700000000 + n, **more)

    def ids(self):
        return [r.headers["ce_id"].decode() for r in self.drain("quality.events")]

    def wait_left(self, count, what):
        harness.wait_until(lambda: len(self.pending()) == count, what=what)

    def health(self):
        return json.loads(self.run_cli("health", "-o", "json").stdout())

    def aside_count(self):
        return int(next(line.split()[1] for line in self.run_cli("metrics", "-o", "prometheus").stdout().splitlines()
                        if line.startswith("busbridge_aside_events")))

    def goes_on_and_heals(self, **first):
        """Of 4 batches three entries cannot be removed; all others go on, over kill -9 and a change of the guarantee too."""
        self.options |= {"batch.max_events": "50", **first}
        want = {self.event("bad", 1), self.event("worse", 2), self.event("worst", 3)}
        self.hinder("bad-1.json")
        self.hinder("worse-2.json", "mount")
        self.hinder("worst-3.json", "read-only")
        want |= {self.event(f"k{i % 7}", 10 + i) for i in range(200)}
        worker = self.start_worker()
        self.wait_left(3, "all but the three are out")
        harness.wait_until(lambda: len(worker.logs("entry_aside")) == 3, what="they are named")
        self.assertEqual({(line["id"], line["file"]) for line in worker.logs("entry_aside")},
                         {("bad-1", "bad-1.json"), ("worse-2", "worse-2.json"), ("worst-3", "worst-3.json")})
        said = self.health()
        self.assertEqual(said["pending"], 0)
        self.assertIn("3 entries are set aside", json.dumps(said["reasons"]))
        self.assertIn("bad-1.json, published: ", json.dumps(said["reasons"]))
        self.assertIn("chattr", json.dumps(said["reasons"]))
        self.is_told()
        worker.kill()
        self.is_told()
        for guarantee in ("at_least_once", "exactly_once"):
            worker = self.start_worker(options={"delivery.guarantee": guarantee})
            want |= {self.event(f"{guarantee}{i % 7}", 300 + i) for i in range(60)}
            self.wait_left(3, "a restart goes on")
            self.assertFalse(worker.logs("relay_failed"))
            worker.kill()
        self.assertEqual(sorted(self.ids()), sorted(want))
        verify = self.run_cli("verify", "-o", "json").stdout()
        self.assertIn("3 are set aside", verify)
        self.assertEqual(self.aside_count(), 3)
        worker = self.start_worker()
        self.free()
        self.wait_left(0, "they are removed when they can be")
        harness.wait_until(lambda: "set aside" not in json.dumps(self.health()), what="health forgets them")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(self.ids()), sorted(want))

    def is_told(self):
        """Which, why, and what to do, by list and doctor, with and without a worker."""
        rows = json.loads(self.run_cli("list", "--type", "aside", "-o", "json").stdout())
        self.assertEqual([(r["file"], r["id"], r["status"], r["reason"]) for r in rows],
                         [(f"{stem}.json", stem, "aside", "published") for stem in ("bad-1", "worse-2", "worst-3")])
        self.assertIn("not permitted", rows[0]["last_error"])
        self.assertIn("chattr", rows[0]["next"])
        self.assertIn("umount", rows[1]["next"])
        table = self.run_cli("list", "--type", "aside")
        self.assertEqual([line.split()[0] for line in table.stdout().splitlines()], ["ID", "bad-1", "worse-2", "worst-3"])
        self.assertEqual(table.stderr().count("chattr"), 1)
        self.assertEqual(table.stderr().count("umount"), 1)
        self.assertIn("3 entries are set aside", self.run_cli("list").stderr())
        self.assertIn("no other filter", self.run_cli("list", "--type", "aside", "--name", "x", expect=2).stderr())
        checks = json.loads(self.run_cli("doctor", "-o", "json").stdout())["checks"]
        (check,) = (c for c in checks if c["check"] == "set aside")
        self.assertEqual(check["verdict"], "warning")
        self.assertIn("bad-1.json, published: ", check["found"])
        self.assertIn("chattr", check["next"])

    def test_what_cannot_be_removed_exactly_once(self):
        self.goes_on_and_heals()

    def test_what_cannot_be_removed_at_least_once(self):
        self.goes_on_and_heals(**{"delivery.guarantee": "at_least_once"})

    def test_a_batch_that_was_cut_short_is_settled_at_the_next_start_though_one_of_it_cannot_be_removed(self):
        """It was committed, and only then it cannot be removed: the next start goes on, and does not blame Kafka."""
        first = self.event("k", 1)
        self.run_worker("--once", expect=0)
        (manifest,) = (self.outbox / ".busbridge").glob("settled-*")
        path = self.outbox / "k-1.json"
        self.event("k", 1)  # as the crash would have left it: the same id, the manifest not settled
        manifest.rename(manifest.with_name(manifest.name.replace("settled", "batch", 1)))
        self.hinder(path.name)
        worker = self.start_worker()
        second = self.event("k", 2)
        self.wait_left(1, "the next one goes on")
        self.assertEqual(sorted(self.ids()), [first, second])
        self.assertFalse(worker.logs("kafka_away"))
        self.free()
        self.wait_left(0, "it is removed")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(self.ids()), [first, second])

    def manifests(self):
        return sorted(p.name.rsplit("-", 1)[0] for kind in ("batch", "settled") for p in (self.outbox / ".busbridge").glob(f"{kind}-*"))

    def test_a_manifest_that_cannot_be_renamed_or_removed_costs_nothing_else(self):
        """One is that of the position and was never settled, one is older: both stay, and everything goes on over kill -9."""
        want = [self.event("k", 1)]
        self.run_worker("--once", expect=0)
        (old,) = (self.outbox / ".busbridge").glob("settled-*")
        self.hinder(old.relative_to(self.outbox), "mount")
        want.append(self.event("k", 2))
        worker = self.start_worker()
        self.wait_left(0, "the batch after it is settled")
        harness.wait_until(lambda: worker.logs("manifest_stuck"), what="it is named")
        self.assertEqual([line["file"] for line in worker.logs("manifest_stuck")], [old.name])
        self.assertEqual(self.manifests(), ["settled-1", "settled-2"])
        worker.kill()
        newest = next(p for p in (self.outbox / ".busbridge").glob("settled-2-*"))
        stuck = newest.rename(newest.with_name(newest.name.replace("settled", "batch", 1)))  # its settling was cut short
        self.hinder(stuck.relative_to(self.outbox))
        for n in (3, 4):
            want.append(self.event("k", n))
            worker = self.start_worker()
            self.wait_left(0, "a start goes on, and what comes then")
            self.assertEqual({line["file"] for line in worker.logs("manifest_stuck")}, {old.name, stuck.name})
            self.assertFalse(worker.logs("kafka_away") + worker.logs("outbox_write_failed"))
            said = json.dumps(self.health()["reasons"])
            self.assertIn("2 manifests cannot be changed", said)
            self.assertRegex(said, "batch-2-|settled-1-")
            self.assertIn("busbridge_stuck_manifests 2", self.run_cli("metrics", "-o", "prometheus").stdout())
            harness.wait_until(lambda: self.manifests() == ["batch-2", "settled-1", f"settled-{n}"], what="its own is settled")
            worker.kill()
        worker = self.start_worker()
        harness.wait_until(lambda: len(worker.logs("manifest_stuck")) == 2, what="both are named again")
        self.free()
        harness.wait_until(lambda: self.manifests() == ["settled-4"], what="both are gone when they can be")
        harness.wait_until(lambda: "manifest" not in json.dumps(self.health()["reasons"]), what="health forgets them")
        self.assertEqual(len(worker.logs("manifest_freed")), 2)
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.ids(), want)

    def start_as_nobody(self):
        """The worker as a user who owns nothing here; programs and schemas may lie where that one cannot go."""
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            raise unittest.SkipTest("only root can run the worker as somebody else, by setpriv")
        self.dir.chmod(0o755)
        program = self.dir / "busbridge-worker"
        if not program.exists():
            shutil.copy(harness.BUILD / program.name, program)
            shutil.copytree(harness.ROOT / "schemas", self.dir / "schemas")
            self.options["encoding.schemas"] = str(self.dir / "schemas")
        pairs = [word for key, value in self.options.items() for word in ("-X", f"{key}={value}")]
        user = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        self.programs.append(harness.Program([*user, str(program), *pairs], dict(os.environ), self.dir))
        return self.programs[-1]

    def test_another_users_entries_in_a_sticky_folder(self):
        """The worker may remove its own user's only: the others are set aside, and settled once the folder lets it."""
        self.outbox.chmod(0o1777)
        theirs = [self.event("theirs", n) for n in (1, 2)]
        self.entry("unknown.name", {}, id="lost", mtime=1700000003)
        ours = [self.event("k", n) for n in range(10, 40)]
        for path in self.outbox.glob("k-*.json"):
            os.chown(path, NOBODY, NOBODY)
        worker = self.start_as_nobody()
        self.wait_left(3, "all but the other user's are out")
        harness.wait_until(lambda: len(worker.logs("entry_aside")) == 3, what="they are named")
        self.assertIn("sticky folder", json.dumps(self.health()["reasons"]))
        worker.kill()
        worker = self.start_as_nobody()
        ours.append(self.event("k", 50))
        os.chown(self.outbox / "k-50.json", NOBODY, NOBODY)
        harness.wait_until(lambda: len(self.ids()) == len(theirs + ours), what="a restart goes on")
        self.assertEqual(sorted(self.ids()), sorted(theirs + ours))
        self.outbox.chmod(0o777)
        self.wait_left(0, "they are removed when they can be")
        harness.wait_until(lambda: self.dead_names() == ["lost.json"], what="and the dead one moved")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(self.ids()), sorted(theirs + ours))

    def test_a_dead_letter_that_cannot_be_moved_waits_named_and_is_moved_later(self):
        (self.outbox / "bad.json").write_text("no JSON")
        self.entry("unknown.name", {}, id="lost", mtime=1700000000)
        os.utime(self.outbox / "bad.json", (1700000000, 1700000000))
        self.hinder("bad.json")
        self.hinder("lost.json", "mount")
        want = [self.event("k", n) for n in range(5)]
        worker = self.start_worker()
        self.wait_left(2, "the others go on")
        harness.wait_until(lambda: len(worker.logs("entry_aside")) == 2, what="they are named")
        worker.kill()
        worker = self.start_worker()
        want.append(self.event("k", 9))
        self.wait_left(2, "a restart too")
        self.assertEqual(self.dead_names(), [])
        self.free()
        harness.wait_until(lambda: self.dead_names() == ["bad.json", "lost.json"], what="they are moved")
        self.wait_left(0, "and gone from the outbox")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.ids(), want)

    def dead_names(self):
        """Of whole ones."""
        with contextlib.suppress(FileNotFoundError):
            raw = {p.stem for p in (self.outbox / "dlq").glob("*.raw")}
            return sorted(name for name, letter in self.dead().items() if "inode" not in letter or name[:-5] in raw)
        return []

    def test_a_refused_event_that_cannot_be_rewritten_dies_after_its_attempts(self):
        self.create_topic("quality.events", 1, {"max.message.bytes": "2000"})
        self.options |= {"dlq.max_attempts": "3", "flush.interval": "200ms", "encoding.framing": "json"}
        self.entry("quality.checked", {"content_id": "big", "text": os.urandom(3000).hex()}, id="big", mtime=1700000000)
        self.hinder("big.json")
        want = [self.event("k", n) for n in range(5)]
        worker = self.start_worker(options={"flush.interval": "1h"})  # it is not tried again before the kill
        self.wait_left(1, "the others go on")
        written = self.outbox / ".busbridge/aside"
        harness.wait_until(lambda: written.exists() and "retry flat big.json" in written.read_text(), what="it is refused")
        worker.kill()  # the attempts are not forgotten
        before = len(worker.logs("event_refused"))
        self.assertLess(before, 3)
        worker = self.start_worker()
        harness.wait_until(lambda: worker.logs("event_dead"), what="it died")
        self.assertEqual(before + len(worker.logs("event_refused")), 2)
        self.assertEqual(worker.logs("event_dead")[0]["attempt"], 3)
        self.free()
        harness.wait_until(lambda: "big.json" in self.dead(), what="it is moved")
        self.assertEqual(self.dead()["big.json"]["attempts"], 3)
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.ids(), want)


if __name__ == "__main__":
    harness.main()
