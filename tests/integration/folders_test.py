#!/usr/bin/python3
"""Folders of the outbox that go, come back or are exchanged beside a running worker: each event once, nothing out of sight, and the relay goes
on by itself. An outbox that is unmounted, moved away or replaced ends its worker with 75, and the new one is not touched."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import harness

ONCE = {"flush.interval": "500ms", "outbox.settle": "100ms"}


class Folders(harness.BusTest):
    def event(self, key="p"):
        return self.entry("plot.updated", {"plot_id": key})

    def published(self):
        return [r.headers["ce_id"].decode() for r in self.drain("plot.events")]

    def names(self, folder):
        path = self.outbox / folder
        return sorted(p.name for p in path.iterdir()) if path.is_dir() else []

    def relayed(self, ids, what="everything is relayed"):
        harness.wait_until(lambda: not self.pending() and sorted(self.published()) == sorted(ids), what=what)

    def test_sent_that_goes_is_made_again_and_nothing_is_published_twice(self):
        worker = self.start_worker(options={**ONCE, "outbox.sent": "keep"})
        ids = [self.event()]
        self.relayed(ids)
        shutil.rmtree(self.outbox / "sent")
        ids.append(self.event())
        self.relayed(ids)
        self.assertEqual(self.names("sent"), [ids[1] + ".json"])
        (self.outbox / "sent").rename(self.outbox / "sent.old")
        (self.outbox / "sent").write_text("in the way")
        ids.append(self.event())
        harness.wait_until(lambda: worker.logs("outbox_write_failed"), what="it waits and says so")
        harness.wait_until(lambda: self.run_cli("health").status == 2 and "/sent/" in self.programs[-1].stdout(), what="health says so")
        time.sleep(2)  # four flush intervals, each of which would publish it again
        self.assertEqual(self.pending(), [ids[2] + ".json"])
        (self.outbox / "sent").unlink()
        self.relayed(ids)
        self.assertEqual(self.names("sent"), [ids[2] + ".json"])
        self.assertEqual(self.names("sent.old"), [ids[1] + ".json"])
        harness.wait_until(lambda: self.run_cli("health").status == 0, what="health is well again")
        self.assertEqual(worker.stop(), 0)
        self.assertTrue(worker.logs("folder_changed"))

    def test_dlq_and_tmp_that_go_cost_no_letter_and_do_not_stop_the_relay(self):
        worker = self.start_worker(options=ONCE)
        ids = [self.event()]
        self.relayed(ids)
        for turn, bad in enumerate((b'{"id": "x-1", "name": "nowhere.x", "payload": {}, "status": "pending"}', b"{ no json")):
            for deed in ("rename", "rmtree"):
                if (self.outbox / "dlq").exists():
                    shutil.rmtree(self.outbox / "dlq") if deed == "rmtree" else (self.outbox / "dlq").rename(self.outbox / f"dlq.{turn}")
                shutil.rmtree(self.outbox / ".busbridge/tmp")
                before = {f: self.names(f) for f in ("dlq.0", "dlq.1")}
                self.write(f"bad{turn}{deed}.json", bad)
                ids.append(self.event())
                self.relayed(ids)
                self.assertEqual(list(self.dead()), [f"bad{turn}{deed}.json"])
                self.assertEqual({f: self.names(f) for f in before}, before)
                listed = self.run_cli("list", "--type", "dlq", "-o", "jsonl", expect=0).stdout()
                self.assertEqual(len(listed.splitlines()), 1, listed)
        # What is moved while it is counted may be counted twice, until the next scan.
        harness.wait_until(lambda: "1 dead" in self.run_cli("health").stdout(), what="health counts one")
        self.assertEqual(worker.stop(), 0)

    def test_dlq_and_sent_may_lie_on_another_file_system_and_pending_may_not(self):
        for folder in ("dlq", "sent", "pending"):
            (self.outbox / folder).mkdir()
            self.mount(self.outbox / folder)
        refused = self.run_worker(options=ONCE, expect=2)
        self.assertIn("/pending is mounted from another file system", refused.stderr())
        subprocess.run(["umount", str(self.outbox / "pending")], check=True)
        worker = self.start_worker(options={**ONCE, "outbox.sent": "keep"})
        ids = [self.event()]
        self.write("bad.json", b"{ no json")
        self.write("lost.json", b'{"id": "x-1", "name": "nowhere.x", "payload": {}, "status": "pending"}')
        ids.append(self.event())
        self.relayed(ids)
        self.assertEqual(self.names("sent"), sorted(id + ".json" for id in ids))
        self.assertEqual(self.names("dlq"), ["bad.json", "bad.raw", "lost.json"])
        (self.outbox / "dlq/bad.raw").write_text(json.dumps({"id": "mended", "name": "plot.updated", "payload": {"plot_id": "p"},
                                                             "status": "pending"}))
        self.run_cli("replay", "bad", expect=0)
        self.relayed([*ids, "mended"])
        self.assertEqual(self.names("dlq"), ["lost.json"])
        self.run_cli("replay", "x-1", expect=0)
        harness.wait_until(lambda: self.dead() and not self.pending(), what="it is dead again")
        self.assertEqual(self.names(".busbridge/tmp"), [])
        self.assertEqual(worker.stop(), 0)

    # ---- ownership lost -----------------------------------------------------------------------------------------------------------

    def ends(self, worker, words):
        """With 75 within 10 s (a loaded machine is given more), saying why."""
        self.assertEqual(worker.wait(), 75, worker.stderr()[-2000:])
        (line,) = worker.logs("relay_failed")
        self.assertIn(words, line["msg"])

    def working(self):
        worker = self.start_worker(options=ONCE)
        self.ids = [*getattr(self, "ids", []), self.event()]
        self.relayed(self.ids)
        return worker

    def freeze(self, worker):
        """Each of its threads, so that none looks at what lies there in between."""
        worker.signal(signal.SIGSTOP)

        def stopped():
            try:
                states = [(task / "stat").read_text().rsplit(")", 1)[1].split()[0] for task in Path(f"/proc/{worker.pid}/task").iterdir()]
            except FileNotFoundError:  # one has just ended
                return False
            return set(states) == {"T"}
        harness.wait_until(stopped, what="it is stopped")

    def untouched(self, before=()):
        """What lies in the new outbox is as it was put there, and health does not call it well."""
        self.assertEqual(sorted(os.listdir(self.outbox)), sorted(before))
        health = self.run_cli("health")
        self.assertNotEqual(health.status, 0, health.stdout())
        self.assertIn("No worker runs", health.stdout())

    def test_without_its_busbridge_folder_it_ends(self):
        worker = self.working()
        (self.outbox / ".busbridge").rename(self.outbox / ".gone")
        self.ends(worker, ".busbridge is gone")
        self.assertFalse((self.outbox / ".busbridge").exists())

    def test_an_outbox_that_is_moved_away_or_replaced_is_not_worked_on(self):
        for words in ("is gone", "another folder lies in the place"):
            worker = self.working()
            self.freeze(worker)
            away = self.dir / f"away-{len(words)}"
            self.outbox.rename(away)
            if words != "is gone":
                self.outbox.mkdir()
                new = self.entry("plot.updated", {"plot_id": "new"})
            worker.signal(signal.SIGCONT)
            self.ends(worker, words)
            if words != "is gone":
                self.untouched([new + ".json"])
            else:
                self.assertEqual(self.run_cli("health").status, 3)
                self.outbox.mkdir()
            shutil.rmtree(self.outbox)
            away.rename(self.outbox)

    def test_also_while_the_broker_is_away(self):
        self.options["kafka.bootstrap.servers"] = f"127.0.0.1:{harness.free_port()}"
        self.event()
        worker = self.start_worker(options=ONCE)
        harness.wait_until(lambda: worker.logs("kafka_away"), what="the outage is told")
        self.outbox.rename(self.dir / "away")
        self.outbox.mkdir()
        self.ends(worker, "another folder lies in the place")
        self.untouched()

    def mount(self, folder):
        if subprocess.run(["mount", "-t", "tmpfs", "none", str(folder)], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no right to mount a file system")
        self.addCleanup(subprocess.run, ["umount", "-l", str(folder)], stderr=subprocess.DEVNULL)

    def test_an_outbox_that_is_unmounted_and_mounted_anew_is_not_taken_over(self):
        self.mount(self.outbox)
        for again in (False, True):
            worker = self.working()
            subprocess.run(["umount", "-l", str(self.outbox)], check=True)
            if again:
                self.mount(self.outbox)
            self.ends(worker, "another folder lies in the place")
            self.untouched()
            if not again:
                self.mount(self.outbox)


if __name__ == "__main__":
    harness.main()
