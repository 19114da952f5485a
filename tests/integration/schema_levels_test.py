"""busbridge schema check: the seven compatibility levels, against a folder and against a revision of git, with file and line."""

import json
import subprocess

import harness
from cli_test import CliTest

LEVELS = ["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"]
FIELDS = {
    "first": ['{"name": "id", "type": "int"}'],
    "second": ['{"name": "id", "type": "int"}', '{"name": "note", "type": "string"}'],
    "third": ['{"name": "id", "type": "int"}', '{"name": "note", "type": "string"}', '{"name": "more", "type": "int", "default": 0}'],
    "other": ['{"name": "id", "type": "string"}'],
}


def text(fields):
    return '{"type": "record", "name": "Placed", "fields": [\n' + ",\n".join(FIELDS[fields]) + "]}\n"


class Levels(CliTest):
    maxDiff = None

    def check(self, *words, **more):
        return self.run_cli("schema", "check", *map(str, words), **more)

    def folder(self, name, now, *frozen):
        folder = self.dir / name
        (folder / "order").mkdir(parents=True)
        (folder / "order/placed.avsc").write_text(text(now))
        (folder / ".history/order").mkdir(parents=True)
        for number, fields in enumerate(frozen, 1):
            (folder / f".history/order/placed.{number}.avsc").write_text(text(fields))
        return folder

    def fits(self, now, before):
        """The levels that hold, of all of them."""
        held = []
        for level in LEVELS:
            run = self.check(now, "--against", before, "--compatibility", level, "-o", "json")
            answer = json.loads(run.stdout())
            self.assertEqual((run.status, answer["level"], answer["against"]), (0 if answer["compatible"] else 1, level, str(before)))
            self.assertEqual(answer["compatible"], not answer["incompatible"])
            held += [level] if answer["compatible"] else []
        return held

    def test_each_level_means_what_it_says(self):
        three, two, one, other = (self.folder(name, name) for name in ("third", "second", "first", "other"))
        self.assertEqual(self.fits(three, two), LEVELS)
        self.assertEqual(self.fits(two, one), ["NONE", "FORWARD", "FORWARD_TRANSITIVE"])  # a field without a default
        self.assertEqual(self.fits(one, two), ["NONE", "BACKWARD", "BACKWARD_TRANSITIVE"])
        self.assertEqual(self.fits(other, one), ["NONE"])
        past = self.folder("past", "second", "first")  # frozen ones, of either side, are the transitive levels' alone
        self.assertEqual(self.fits(three, past), ["NONE", "BACKWARD", "FORWARD", "FORWARD_TRANSITIVE", "FULL"])
        own = self.folder("own", "third", "first")
        self.assertEqual(self.fits(own, two), ["NONE", "BACKWARD", "FORWARD", "FORWARD_TRANSITIVE", "FULL"])
        both = json.loads(self.check(self.folder("both", "third", "first"), "--against", past, "--compatibility",
                                       "BACKWARD_TRANSITIVE", "-o", "json", expect=1).stdout())
        self.assertEqual((both["checked"], len(both["incompatible"])), (3, 1))  # one frozen on both sides is compared once

    def test_file_and_line_of_both_sides(self):
        now, before = self.folder("now", "second"), self.folder("before", "first")
        (before / "order/gone.avsc").write_text(text("first").replace("Placed", "Gone"))
        run = self.check(now, "--against", before, expect=1)
        self.assertEqual(run.stdout(), f"{now}/order/placed.avsc:3: backward: payload.note: the writer's record has no note, and the reader's has no "
                                       f"default [READER_FIELD_MISSING_DEFAULT_VALUE] ({before}/order/placed.avsc:1)\n"
                                       f"{now}: not compatible with {before} (BACKWARD, 2 schemas compared)\n")
        self.assertIn("order.gone has no schema any more", run.stderr())
        self.options["encoding.schemas"] = str(now)
        for words in ((), ("--all",), ("order.placed",)):
            self.check(*words, "--against", before, expect=1)
        self.assertIn("(BACKWARD, 1 schema compared)", self.check("order.placed", "--against", before, expect=1).stdout())
        self.assertIn("no schema for order.x", self.check("order.x", "--against", before, expect=3).stderr())
        self.assertIn("No such file", self.check("--against", self.dir / "nowhere", expect=1).stderr())
        for words in (("--compatibility", "FULL"), ("--against", before, "--against-git", "HEAD"), ("--against", before, "--compatibility", "SOME"),
                      ("order.placed", "file.json", "--against", before)):
            self.check(*words, expect=2)

    def test_a_type_of_another_file_is_named(self):
        sides = []
        for name, kind in (("now", "string"), ("before", "int")):
            folder = self.dir / name
            (folder / "order").mkdir(parents=True)
            (folder / ".common").mkdir()
            (folder / ".common/money.avsc").write_text('{"type": "record", "name": "s.Money", "fields": [\n\n{"name": "c", "type": "%s"}]}' % kind)
            (folder / "order/placed.avsc").write_text('{"type": "record", "name": "P", "fields": [\n{"name": "m", "type": "s.Money"}]}')
            sides.append(folder)
        out = self.check(sides[0], "--against", sides[1], expect=1).stdout()
        self.assertIn(f"{sides[0]}/.common/money.avsc:3: backward: payload.m.c: the reader has string, the writer has int [TYPE_MISMATCH] "
                      f"({sides[1]}/.common/money.avsc:3)", out)

    def git(self, *words):
        subprocess.run(["git", "-C", str(self.dir / "repository"), "-c", "user.name=t", "-c", "user.email=t@t", *words], check=True, stdout=subprocess.DEVNULL)

    def test_a_revision_of_git(self):
        folder = self.folder("repository/some schemas", "first")
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "first")
        (folder / "order/placed.avsc").write_text(text("second"))
        out = self.check(folder, "--against-git", "HEAD", expect=1).stdout()
        self.assertIn(f"{folder}/order/placed.avsc:3: backward: payload.note: ", out)
        self.assertIn(f"(HEAD:{folder}/order/placed.avsc:1)\n{folder}: not compatible with HEAD:{folder} (BACKWARD, 2 schemas compared)\n", out)
        self.check(folder, "--against-git", "HEAD", "--compatibility", "FORWARD", expect=0)
        self.git("commit", "-q", "-a", "-m", "second")
        self.check(folder, "--against-git", "HEAD", expect=0)
        self.check(folder, "--against-git", "HEAD~1", expect=1)
        for revision in ("nope", "-o/tmp/x", ""):
            self.assertIn("revision", self.check(folder, "--against-git", revision).stderr())
        (folder / "order/placed.avsc").write_text("{")
        self.git("commit", "-q", "-a", "-m", "broken")
        (folder / "order/placed.avsc").write_text(text("second"))
        self.assertIn(f"HEAD:{folder}/order/placed.avsc: line 1: ", self.check(folder, "--against-git", "HEAD", expect=1).stderr())


if __name__ == "__main__":
    harness.main()
