"""busbridge schema diff: each change by its path, and who reads what after it; what it says agrees with schema check."""

import json
import os
import random
import subprocess

import harness
from avro_shapes import Shapes
from cli_test import CliTest

OLD = """{"type": "record", "name": "s.Placed", "fields": [
{"name": "id", "type": "int"},
{"name": "gone", "type": "string"},
{"name": "dropped", "type": ["null", "string"], "default": null},
{"name": "who", "type": "string"},
{"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
{"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["A", "B"]}},
{"name": "note", "type": "string"},
{"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
{"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}]}}},
{"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}}]}"""
NEW = """{"type": "record", "name": "s.Placed", "fields": [
{"name": "note", "type": ["null", "string"], "default": null},
{"name": "id", "type": "long", "key": true},
{"name": "buyer", "aliases": ["who"], "type": "string", "json": true},
{"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
{"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["A", "C"], "default": "A"}},
{"name": "more", "type": "int"},
{"name": "less", "type": "int", "default": 3},
{"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
{"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}}]}}},
{"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 8}}]}"""
EXPECTED = {  # (what, path): (message, new reads old, old reads new, line, line before)
    ("KEY_CHANGED", "payload"): ("the key was none and is id: events of one key may change their order", True, True, 1, 1),
    ("DEFAULT_CHANGED", "payload.note"): ("it has a default now", True, True, 2, 8),
    ("BRANCH_ADDED", "payload.note"): ("null is taken too now", True, False, 2, 8),
    ("TYPE_CHANGED", "payload.id"): ("int is long now", True, False, 3, 2),
    ("FIELD_RENAMED", "payload.buyer"): ("who has this name now", True, False, 4, 5),
    ("JSON_CHANGED", "payload.buyer"): ("its strings hold JSON text now", True, True, 4, 5),
    ("LOGICAL_TYPE_CHANGED", "payload.at"): ("timestamp-millis is timestamp-micros now", True, True, 5, 6),
    ("SYMBOLS_CHANGED", "payload.state"): ("C is new, B is gone", True, False, 6, 7),
    ("DEFAULT_CHANGED", "payload.state"): ("its default was none and is A", True, True, 6, 7),
    ("FIELD_ADDED", "payload.more"): ("int, without a default", False, True, 7, 1),
    ("FIELD_ADDED", "payload.less"): ("int, with a default", True, True, 8, 1),
    ("LOGICAL_TYPE_CHANGED", "payload.lines[].price"): ("decimal(9,2) is decimal(10,2) now", False, False, 10, 10),
    ("SIZE_CHANGED", "payload.hash"): ("4 bytes are 8 now", False, False, 11, 11),
    ("FIELD_REMOVED", "payload.gone"): ("string, had no default", True, False, 1, 3),
    ("FIELD_REMOVED", "payload.dropped"): ("[null, string], had a default", True, True, 1, 4),
    ("FIELDS_REORDERED", "payload"): ("its fields stand in another order", True, True, 1, 1),
}


class Diff(CliTest):
    maxDiff = None

    def folder(self, name, **texts):
        folder = self.dir / name
        (folder / "order").mkdir(parents=True)
        for event, text in texts.items():
            (folder / f"order/{event}.avsc").write_text(text)
        return str(folder)

    def diff(self, now, before, *words):
        return json.loads(self.run_cli("schema", "diff", now, "--against", before, "-o", "json", *words, expect=0).stdout())["differences"]

    def test_each_change_and_what_it_means(self):
        now, before = self.folder("now", placed=NEW, added=NEW.replace("Placed", "P")), self.folder("before", placed=OLD, removed=OLD.replace("Placed", "P"))
        told = self.diff(now, before)
        self.assertEqual({(one["what"], one["path"]): (one["message"], one["new_reads_old"], one["old_reads_new"], one["line"], one["against_line"])
                          for one in told if "path" in one}, EXPECTED)
        self.assertEqual([(one["event"], one["what"], one["file"]) for one in told if "path" not in one],
                         [("order.added", "EVENT_ADDED", f"{now}/order/added.avsc"), ("order.removed", "EVENT_REMOVED", f"{before}/order/removed.avsc")])
        text = self.run_cli("schema", "diff", now, "--against", before, expect=0).stdout()
        self.assertIn(f"order.placed: payload.id: int is long now [TYPE_CHANGED]; new readers read old records, old readers cannot read new ones "
                      f"({now}/order/placed.avsc:3)\n", text)
        self.options["encoding.schemas"] = now
        self.assertEqual(len(json.loads(self.run_cli("schema", "diff", "order.placed", "--against", before, "-o", "json", expect=0).stdout())["differences"]),
                         len(EXPECTED))
        self.run_cli("schema", "diff", "order.nothing", "--against", before, expect=3)
        self.assertIn("order.placed has no frozen version to compare with", self.run_cli("schema", "diff", "order.placed", expect=3).stderr())
        self.assertIn("None of the schemas has a frozen version to compare with", self.run_cli("schema", "diff", expect=3).stderr())
        self.assertEqual(self.diff(now, now), [])

    def test_two_files_and_the_last_frozen_version(self):
        now, before = (self.dir / f"{side}.avsc" for side in ("now", "before"))
        now.write_text(NEW)
        before.write_text(OLD)
        told = json.loads(self.run_cli("schema", "diff", str(before), str(now), "-o", "json", expect=0).stdout())["differences"]
        self.assertEqual({(one["what"], one["path"]): (one["message"], one["new_reads_old"], one["old_reads_new"], one["line"], one["against_line"])
                          for one in told}, EXPECTED)
        self.assertEqual({(one["event"], one["file"], one["against_file"]) for one in told}, {("now", str(now), str(before))})
        self.assertEqual(self.run_cli("schema", "diff", str(now), str(now), expect=0).stdout(), "")
        self.assertIn("nowhere.avsc", self.run_cli("schema", "diff", str(now), str(self.dir / "nowhere.avsc"), expect=1).stderr())
        before.write_text("{")
        self.assertIn(f"{before}: line 1: ", self.run_cli("schema", "diff", str(before), str(now), expect=1).stderr())
        folder = self.folder("frozen", placed=OLD, other=OLD.replace("Placed", "P"))
        self.options["encoding.schemas"] = folder
        self.run_cli("schema", "diff", expect=3)
        self.run_cli("schema", "freeze", "order.placed", expect=0)
        self.assertEqual(self.run_cli("schema", "diff", "order.placed", expect=0).stdout(), "")
        (self.dir / "frozen/order/placed.avsc").write_text(NEW)
        for words in (("order.placed",), (), (folder,)):
            told = json.loads(self.run_cli("schema", "diff", *words, "-o", "json", expect=0).stdout())["differences"]
            self.assertEqual(({one["event"] for one in told}, len(told)), ({"order.placed"}, len(EXPECTED)))
        self.assertEqual({one["against_file"] for one in told}, {f"{folder}/.history/order/placed.1.avsc"})
        self.run_cli("schema", "diff", "order.other", expect=3)
        self.run_cli("schema", "diff", "order.placed", str(now), "third", expect=2)

    def test_a_folder_may_have_any_name(self):
        """Bytes that are not UTF-8 and a quote, in git too: what is printed is JSON all the same."""
        folder = os.fsencode(self.dir) + b'/o"dd\xff'
        file = folder + b"/order/placed.avsc"
        os.makedirs(folder + b"/order")
        git = ["git", "-C", str(self.dir), "-c", "user.name=t", "-c", "user.email=t@localhost"]
        for text in (OLD, NEW):
            with open(file, "w") as f:
                f.write(text)
            if text == OLD:
                for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "old"]):
                    subprocess.run([*git, *words], check=True)
        done = subprocess.run([harness.BUILD / "busbridge", "schema", "diff", b'o"dd\xff', "--against-git", "HEAD", "-o", "json"],
                              cwd=self.dir, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout)["differences"]
        self.assertTrue(found and all(d["against_file"] == 'HEAD:o"dd\ufffd/order/placed.avsc' for d in found), found[:1])

    def test_check_without_words_looks_at_the_configured_folders(self):
        self.options["encoding.schemas"] = self.folder("now", placed=NEW)
        self.assertEqual(self.run_cli("schema", "check", expect=0).stdout(), self.run_cli("schema", "check", "--all", expect=0).stdout())
        (self.dir / "now/order/placed.avsc").write_text("{")
        self.assertIn("order/placed.avsc: line 1: ", self.run_cli("schema", "check", expect=1).stderr())

    def test_random_ones_agree_with_check(self):
        by, texts = random.Random(17), ({}, {})
        for number in range(150):
            shape = Shapes(by, readable=True)
            old, names = shape.named("record", 3), {}
            name = f"R{number}"
            old["name"], old["namespace"] = name, "x"
            for side, fields in ((0, old["fields"]), (1, shape.renamed(shape.changed(old, {}), {})["fields"])):
                texts[side][f"e{number}"] = json.dumps({"type": "record", "name": name, "namespace": "x", "fields": fields})
        # a change may leave a schema that is none, or that no JSON reaches
        asked = "".join(f"canonical\t{texts[at][event]}\n" for event in texts[0] for at in (0, 1))
        answers = iter(subprocess.run([harness.BUILD / "tests/avro_oracle"], input=asked, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines())
        sound = [event for event in texts[0] if not any(answer.startswith("error") for answer in (next(answers), next(answers)))]
        self.assertGreater(len(sound), 50)
        before, now = (self.folder(side, **{event: texts[at][event] for event in sound}) for at, side in enumerate(("before", "now")))
        differences = self.diff(now, before)
        run = json.loads(self.run_cli("schema", "check", now, "--against", before, "--compatibility", "FULL", "-o", "json").stdout())
        for direction, reads in (("backward", "new_reads_old"), ("forward", "old_reads_new")):
            broken = {one["event"] for one in run["incompatible"] if one["direction"] == direction}
            self.assertEqual({one["event"] for one in differences if not one.get(reads, True)}, broken, direction)
            self.assertTrue(broken)


if __name__ == "__main__":
    harness.main()
