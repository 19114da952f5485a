"""`edit`, `replay --payload`, `purge --export` and `import`: dead letters are mended where they lie, and come back from a copy; without a
worker and with one, in files and in a database."""

import json
import os
import sqlite3
import subprocess
import types

import harness
from show_list_test import NOW, ShowListTest, iso

GOOD = {"content_id": "c-1", "score": 1.5, "check_types": ["grammar"], "passed": True, "issues": []}
BAD = {**GOOD, "score": "A"}


class EditTest(ShowListTest):
    needs_kafka = False

    def editor(self, script):
        """An editor that is a script: $1 is the file."""
        path = self.dir / f"editor-{len(os.listdir(self.dir))}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return {"EDITOR": str(path), "TMPDIR": str(self.dir), "VISUAL": ""}

    def fed(self, text, *arguments, expect):
        pairs = [word for key, value in self.options.items() if value is not None for word in ("-X", f"{key}={value}")]
        done = subprocess.run([str(self.build / "busbridge"), *pairs, *map(str, arguments)], input=text, text=True, capture_output=True, timeout=300)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return types.SimpleNamespace(stdout=lambda: done.stdout, stderr=lambda: done.stderr)

    def audit(self):
        return [json.loads(line) for line in (self.outbox / ".busbridge/audit.log").read_text().splitlines()]

    def bad_letter(self, id, **over):
        return self.letter(id, name="quality.checked", payload=BAD, error="payload.score: expected double, found string", **over)

    def payload_of(self, id):
        return self.shown(id)["payload"]


class Edit(EditTest):
    def test_a_payload_is_edited_checked_and_kept(self):
        for n, remote in enumerate(self.both_ways()):
            with self.subTest(worker=remote):
                self.bad_letter(f"q-{n}")
                done = self.run_cli("edit", f"q-{n}", env=self.editor("sed -i 's/\"A\"/1.5/' $1"), expect=0)
                self.assertEqual(done.stdout(), f"Changed q-{n}\n")
                self.assertIn(f"busbridge replay q-{n}", done.stderr())
                shown = self.shown(f"q-{n}")
                self.assertEqual((shown["payload"], shown["state"], shown["reason"]), (GOOD, "dead", "schema_mismatch"))
                (line,) = [a for a in self.audit() if a["command"] == "edit" and a["what"].startswith(f"q-{n}: ")]
                self.assertEqual(line["what"], f'q-{n}: payload.score: "A" -> 1.5')
                self.assertEqual((line["uid"], line["counts"]), (os.getuid(), {"changed": 1}))
                self.assertNotIn("\n", (self.outbox / f"dlq/q-{n}.json").read_text())
                self.assertEqual([f for f in os.listdir(self.dir) if f.startswith("busbridge-") and f.endswith(".json")], [])

    def test_what_would_die_again_is_not_taken_and_not_lost(self):
        self.bad_letter("q")
        before = (self.outbox / "dlq/q.json").read_bytes()
        done = self.run_cli("edit", "q", env=self.editor("sed -i 's/\"A\"/\"B\"/' $1"), expect=1)
        self.assertIn("it would die again: schema_mismatch: payload.score: expected double", done.stderr())
        (kept,) = [f for f in os.listdir(self.dir) if f.startswith("busbridge-") and f.endswith(".json")]
        self.assertIn(f"--payload {self.dir}/{kept}", done.stderr())
        self.assertEqual(json.loads((self.dir / kept).read_text())["score"], "B")
        broken = self.run_cli("edit", "q", env=self.editor("echo '{' > $1"), expect=1)
        self.assertIn("not JSON", broken.stderr())
        self.assertEqual((self.outbox / "dlq/q.json").read_bytes(), before)
        forced = self.run_cli("edit", "q", "--force", env=self.editor("sed -i 's/\"A\"/\"B\"/' $1"), expect=0)
        self.assertIn("Changed q", forced.stdout())
        self.assertEqual(self.payload_of("q")["score"], "B")

    def test_nothing_happens_without_a_change_or_an_editor(self):
        self.bad_letter("q")
        before = (self.outbox / "dlq/q.json").read_bytes()
        self.assertIn("nothing was changed", self.run_cli("edit", "q", env=self.editor("true"), expect=0).stderr())
        self.assertIn("nothing was changed", self.run_cli("edit", "q", env=self.editor("exit 3"), expect=130).stderr())
        none = self.run_cli("edit", "q", env={"EDITOR": "", "VISUAL": ""}, expect=1)
        self.assertIn("busbridge replay ID --payload", none.stderr())
        self.assertEqual((self.outbox / "dlq/q.json").read_bytes(), before)
        self.assertIn("No dead letter", self.run_cli("edit", "nobody", env=self.editor("true"), expect=3).stderr())

    def test_the_bytes_of_what_is_no_json_become_an_entry(self):
        self.raw_letter("r", '{"id": "r", "name": "quality.checked", "payload": {"content_id": "c-1", "score": 1.5, "check_types": [], '
                             '"passed": true, "issues": []}, "created_at": "2025-01-01T00:00:00+00:00"')
        self.run_cli("edit", "r", env=self.editor("echo '}' >> $1"), expect=0)
        self.assertTrue(self.shown("r")["mended"])
        self.run_cli("replay", "r", expect=0)
        self.assertEqual(json.loads((self.outbox / "r.json").read_text())["name"], "quality.checked")

    def test_edited_and_replayed_in_one_go(self):
        self.bad_letter("q")
        self.run_cli("edit", "q", "--replay", env=self.editor("sed -i 's/\"A\"/2/' $1"), expect=0)
        self.assertEqual(json.loads((self.outbox / "q.json").read_text())["payload"]["score"], 2)


class Payload(EditTest):
    def test_a_dead_letter_goes_back_with_another_payload(self):
        for n, remote in enumerate(self.both_ways()):
            with self.subTest(worker=remote):
                for kind in ("text", "file", "stdin"):
                    id = f"{kind}-{n}"
                    self.bad_letter(id)
                    (self.dir / "good.json").write_text(json.dumps(GOOD))
                    what = {"text": json.dumps(GOOD), "file": str(self.dir / "good.json"), "stdin": "-"}[kind]
                    done = self.fed(json.dumps(GOOD), "replay", id, "--payload", what, expect=0)
                    self.assertEqual(done.stdout(), f"Replayed {id} (quality.checked)\n")
                    self.assertEqual(json.loads((self.outbox / f"{id}.json").read_text())["payload"], GOOD)

    def test_one_that_does_not_fit_stays_as_it_was(self):
        self.bad_letter("q")
        before = (self.outbox / "dlq/q.json").read_bytes()
        wrong = self.run_cli("replay", "q", "--payload", '{"content_id": 1}', expect=1)
        self.assertIn("it would die again: schema_mismatch: payload.content_id", wrong.stderr())
        self.run_cli("replay", "q", "--payload", "[1]", expect=2)
        self.run_cli("replay", "--payload", "{}", expect=2)
        self.run_cli("replay", "q", "other", "--payload", "{}", expect=2)
        self.assertEqual((self.outbox / "dlq/q.json").read_bytes(), before)


class Foreseen(EditTest):
    def test_what_fits_now_is_told_before_it_is_replayed(self):
        for n, remote in enumerate(self.both_ways()):
            with self.subTest(worker=remote):
                if not remote:
                    self.bad_letter("bad")
                    self.letter("good", name="quality.checked", payload=GOOD)
                    self.letter("other", name="weather.changed", reason="unknown_namespace")
                shown = self.shown("good")
                self.assertEqual((shown["fits"], shown["fits_reason"], shown["fits_error"]), (True, None, None))
                shown = self.shown("bad")
                self.assertEqual((shown["fits"], shown["fits_reason"]), (False, "schema_mismatch"))
                self.assertIn("payload.score: expected double", shown["fits_error"])
                self.assertRegex(self.run_cli("show", "bad", expect=0).stdout(), r"\nfits now +no: schema_mismatch: payload.score")
                self.assertRegex(self.run_cli("show", "good", expect=0).stdout(), r"\nfits now +yes\n")
                told = json.loads(self.run_cli("replay", "--all", "--dry-run", "-o", "json", expect=0).stdout())
                self.assertEqual((told["count"], told["fits"], told["would_die"]), (3, 1, {"schema_mismatch": 1, "unknown_namespace": 1}))
                text = self.run_cli("replay", "--all", "--dry-run", expect=0).stdout()
                self.assertIn("Would fit now: 1\nWould die again:\n", text)
                self.assertNotIn("fits", json.loads(self.run_cli("purge", "--all", "--dry-run", "-o", "json", expect=0).stdout()))

    def test_dead_letters_that_died_alike_are_one_group(self):
        for n, remote in enumerate(self.both_ways()):
            with self.subTest(worker=remote):
                if not remote:
                    for number in range(3):
                        self.letter(f"a-{number}", error=f'byte {number}: expected long, found "x{number}"', failed=NOW - 60 * number)
                    self.letter("b", name="plot.generated")
                groups = json.loads(self.run_cli("list", "--group", "-o", "json", expect=0).stdout())
                self.assertEqual([(g["count"], g["reason"], g["name"]) for g in groups],
                                 [(3, "schema_mismatch", "plot.updated"), (1, "schema_mismatch", "plot.generated")])
                self.assertEqual(groups[0]["error"], 'byte N: expected long, found "..."')
                self.assertEqual((groups[0]["first"][:19], groups[0]["last"][:19]), (iso(NOW - 120)[:19], iso(NOW)[:19]))
                self.assertIn(groups[0]["sample"], {"a-0", "a-1", "a-2"})
                (one,) = json.loads(self.run_cli("list", "--group", "--name", "plot.generated", "-o", "json", expect=0).stdout())
                self.assertEqual(one["sample"], "b")
                self.run_cli("list", "--group", "--name", "none.such", expect=3)
                self.assertIn("By cause:\n      3  schema_mismatch  plot.updated  byte N:", self.run_cli("health", "--detailed").stdout())


class Import(EditTest):
    def fill(self):
        self.bad_letter("a")
        self.letter("b", payload={"plot_id": "星"}, failed=NOW - 3600)
        self.raw_letter("r", '{"id": broken')
        self.write("dlq_n.json", json.dumps({"id": "n", "message_type": "event", "message_name": "plot.updated", "payload": {"plot_id": "p"},
                   "original_error": "boom", "attempt_count": 4, "first_failed_at": None, "last_failed_at": None, "metadata": {}}), "dlq")

    def folder(self):
        texts = {}
        for name in sorted(os.listdir(self.outbox / "dlq")):
            text = (self.outbox / "dlq" / name).read_bytes()
            if name == "r.json":
                text = {**json.loads(text), "inode": None}
            texts[name] = text
        return texts

    def test_what_was_purged_comes_back_as_it_was(self):
        for n, remote in enumerate(self.both_ways()):
            with self.subTest(worker=remote):
                if not remote:
                    self.fill()
                before, copy = self.folder(), self.dir / f"copy-{n}.jsonl"
                self.run_cli("purge", "--all", "--yes", "--export", str(copy), expect=0)
                self.assertEqual(self.folder(), {})
                done = self.run_cli("import", str(copy), expect=0)
                self.assertEqual(done.stdout(), "Imported 4 of 4\n")
                self.assertEqual(self.folder(), before)
                again = self.run_cli("import", str(copy), expect=3)
                self.assertEqual(again.stdout(), "Imported 0 of 4\n")
                self.assertIn("line 1: ", again.stderr())
                self.assertEqual(self.folder(), before)
                self.assertEqual(self.audit()[-1]["counts"], {"imported": 4, "there": 0, "failed": 0})

    def test_a_copy_goes_to_standard_output(self):
        self.fill()
        before = self.folder()
        purged = self.run_cli("purge", "--all", "--yes", "--export", "-", expect=0)
        self.assertEqual(len(purged.stdout().splitlines()), 4)
        self.assertIn("Purged 4 of 4", purged.stderr())
        self.assertEqual(self.folder(), {})
        self.fed(purged.stdout(), "import", "-", expect=0)
        self.assertEqual(self.folder(), before)

    def test_what_is_no_copy_is_told_and_the_rest_comes(self):
        self.bad_letter("a")
        copy = self.run_cli("purge", "--all", "--yes", "--export", "-", expect=0).stdout()
        mixed = "[1]\n" + copy + '{"file": "x.json", "entry": {"id": "x"}}\n{"file": "../y.json", "entry": {"id": "y", "status": "dlq"}}\n'
        done = self.fed(mixed, "import", "-", expect=4)
        self.assertEqual(done.stdout(), "Imported 2 of 4\n")
        self.assertIn("line 1: not a line of purge --export", done.stderr())
        self.assertIn("line 3: ", done.stderr())
        self.assertEqual(sorted(os.listdir(self.outbox / "dlq")), ["a.json", "y.json"])
        self.run_cli("import", str(self.dir / "none.jsonl"), expect=1)

    def test_large_bytes_come_back_whole(self):
        self.raw_letter("r", "x" * (7 << 20))
        purged = self.run_cli("purge", "--all", "--yes", "--export", "-", expect=0).stdout()
        self.assertGreater(len(purged.splitlines()), 1)
        self.assertEqual(self.fed(purged, "import", "-", expect=0).stdout(), "Imported 1 of 1\n")
        self.assertEqual((self.outbox / "dlq/r.raw").read_text(), "x" * (7 << 20))


class InADatabase(EditTest):
    def setUp(self):
        super().setUp()
        self.file = self.dir / "app.db"
        self.options |= {"outbox.url": f"sqlite:{self.file}", "state.dir": str(self.dir / "state")}
        self.run_cli("outbox", "init", expect=0)
        self.db = sqlite3.connect(self.file, timeout=60, isolation_level=None)
        self.addCleanup(self.db.close)

    def die(self, id, payload, reason="schema_mismatch", key="k-1"):
        self.db.execute("INSERT INTO busbridge_dead (seq, id, name, key, payload, created_at, arrived_ms, reason, error, error_code, attempts, "
                        "failed_us, since_us) VALUES ((SELECT count(*) + 1 FROM busbridge_dead), ?, 'quality.checked', ?, ?, ?, 0, ?, 'wrong', 0, 1, ?, 0)",
                        (id, key, payload, iso(NOW), reason, NOW * 1000000))

    def test_edited_replayed_purged_and_back(self):
        self.die("a", json.dumps(BAD))
        self.die("b", json.dumps(BAD))
        self.die("raw", '{"content_id": ', "not_json")
        self.run_cli("edit", "a", env=self.editor("sed -i 's/\"A\"/1.5/' $1"), expect=0)
        self.run_cli("replay", "b", "--payload", json.dumps(GOOD), expect=0)
        rows = self.db.execute("SELECT id, key, payload FROM busbridge_outbox").fetchall()
        self.assertEqual([(id, key, json.loads(payload)) for id, key, payload in rows], [("b", "k-1", GOOD)])
        copy = self.run_cli("purge", "--all", "--yes", "--export", "-", expect=0).stdout()
        self.assertEqual(self.db.execute("SELECT count(*) FROM busbridge_dead").fetchone()[0], 0)
        self.assertEqual(self.fed(copy, "import", "-", expect=0).stdout(), "Imported 2 of 2\n")
        self.assertEqual(self.fed(copy, "import", "-", expect=3).stdout(), "Imported 0 of 2\n")
        rows = self.db.execute("SELECT id, key, reason, error, attempts, failed_us FROM busbridge_dead ORDER BY id").fetchall()
        self.assertEqual(rows, [("a", "k-1", "schema_mismatch", "wrong", 1, NOW * 1000000),
                                ("raw", "", "not_json", "wrong", 1, NOW * 1000000)])
        self.assertEqual(self.payload_of("a"), GOOD)
        self.run_cli("replay", "a", expect=0)
        self.assertEqual(self.db.execute("SELECT id, key FROM busbridge_outbox ORDER BY id").fetchall(), [("a", "k-1"), ("b", "k-1")])


if __name__ == "__main__":
    harness.main()
