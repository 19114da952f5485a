"""`list` with its filters, and `show`: what they select and print, without a worker and with one, which must answer the same."""

import json
import os
import pty
import signal
import time
import unicodedata
import unittest

import harness
from cli_test import CliTest
from harness import BUILD, wait_until

NOW = int(time.time())
HOUR = 3600


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))


def columns(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


class ShowListTest(CliTest):
    def setUp(self):
        super().setUp()
        self.options["flush.background"] = "false"

    def both_ways(self):
        """False without a worker, then True with one."""
        yield False
        worker = self.worker()
        yield True
        self.assertEqual(worker.stop(), 0)

    def letter(self, entry_id, name="plot.updated", payload=None, reason="schema_mismatch", error="payload.word_count: expected long",
               failed=NOW, **over):
        return self.entry(name, payload if payload is not None else {"plot_id": f"plot-{entry_id}"}, place="dlq", id=entry_id,
                          storage_key=over.pop("storage_key", entry_id), status="dlq", attempts=1, last_error=error,
                          failed_at=iso(failed), first_failed_at=iso(failed - 60), reason=reason, **over)

    def raw_letter(self, stem, raw, reason="not_json", error="byte 0: as it was then"):
        self.write(f"{stem}.raw", raw, "dlq")
        self.write(f"{stem}.json", json.dumps({
            "id": stem, "name": "", "payload": {}, "created_at": iso(NOW), "attempts": 1, "dispatched_at": None, "last_error": error,
            "failed_at": iso(NOW), "status": "dlq", "storage_key": stem, "reason": reason, "error_code": None, "inode": 7}), "dlq")

    def ids(self, *filters, expect=0):
        return set(self.run_cli("list", "-o", "name", *filters, expect=expect).stdout().split())

    def shown(self, *arguments):
        return json.loads(self.run_cli("show", *arguments, "-o", "json", expect=0).stdout())


class List(ShowListTest):
    def fill(self):
        self.entry("plot.updated", {"plot_id": "k-1"}, id="p-old", storage_key="p-old", mtime=NOW - 5 * HOUR)
        self.entry("PlotUpdated", {"plot_id": "k 2&=%/星"}, id="p-new", storage_key="p-new", mtime=NOW - HOUR)
        self.entry("episode.created", {"episode_id": "k-1"}, id="e-1", storage_key="e-1", mtime=NOW - HOUR)
        self.letter("d-old", failed=NOW - 5 * HOUR, payload={"plot_id": "k-1"})
        self.letter("d-new", reason="unknown_namespace", name="epsiode.created", failed=NOW - HOUR)
        self.raw_letter("d-raw", "{]")

    def test_each_filter_and_several_together(self):
        self.fill()
        everything = {"p-old", "p-new", "e-1", "d-old", "d-new", "d-raw"}
        rows = [
            ([], everything), (["--type", "all"], everything),
            (["--type", "dlq"], {"d-old", "d-new", "d-raw"}),
            (["--namespace", "plot"], {"p-old", "p-new", "d-old"}),
            (["--namespace", "epsiode"], {"d-new"}),
            (["--name", "plot.updated"], {"p-old", "p-new", "d-old"}),
            (["--name", "PlotUpdated"], {"p-new"}),
            (["--name", "ep*"], {"e-1", "d-new"}),
            (["--key", "k-1"], {"p-old", "e-1", "d-old"}),
            (["--key", "k 2&=%/星"], {"p-new"}),
            (["--reason", "schema_mismatch"], {"d-old"}),
            (["--reason", "not_*"], {"d-raw"}),
            (["--reason", "none"], {"p-old", "p-new", "e-1"}),
            (["--since", "2h"], {"p-new", "e-1", "d-new", "d-raw"}),
            (["--older-than", "2h"], {"p-old", "d-old"}),
            (["--until", iso(NOW - 4 * HOUR)], {"p-old", "d-old"}),
            (["--since", iso(NOW - HOUR), "--until", iso(NOW - HOUR)], {"p-new", "e-1", "d-new"}),
            (["--type", "dlq", "--namespace", "plot", "--key", "k-1", "--reason", "schema*", "--older-than", "90m"], {"d-old"}),
        ]
        for _ in self.both_ways():
            for filters, expected in rows:
                self.assertEqual(self.ids(*filters), expected, filters)

    def test_local_times_are_those_of_the_one_who_asks(self):
        self.fill()
        for _ in self.both_ways():
            for zone, shift in (("UTC", 0), ("JST-9", 9 * HOUR)):
                text = iso(NOW - 2 * HOUR + shift)[:19]
                found = self.run_cli("list", "-o", "name", "--type", "pending", "--since", text, env={"TZ": zone}, expect=0)
                self.assertEqual(set(found.stdout().split()), {"p-new", "e-1"}, zone)

    def test_nothing_that_matches_is_exit_3_and_an_empty_outbox_is_not(self):
        for _ in self.both_ways():
            self.assertIn("no entries", self.run_cli("list", expect=0).stderr())
            self.run_cli("list", "--type", "dlq", expect=0)
            none = self.run_cli("list", "--reason", "not_json", "-o", "json", expect=3)
            self.assertEqual(json.loads(none.stdout()), [])
            self.assertIn("nothing matches type=all reason=not_json", none.stderr())

    def test_a_limit_tells_how_many_match(self):
        for number in range(7):
            self.letter(f"d-{number}", mtime=NOW - 100 + number)
        self.entry("episode.created", {"episode_id": "e"}, id="p-1", storage_key="p-1", mtime=NOW - 1000)
        for _ in self.both_ways():
            some = self.run_cli("list", "--namespace", "plot", "--limit", "3", "-o", "name", expect=0)
            self.assertEqual(some.stdout().split(), ["d-0", "d-1", "d-2"])
            self.assertIn("3 of 7, use --limit 0", some.stderr())
            self.assertEqual(len(self.ids("--namespace", "plot", "--limit", "0")), 7)

    def test_pending_and_dead_are_merged_by_arrival(self):
        for number in range(6):
            if number % 2:
                self.letter(f"n-{number}", mtime=NOW - 100 + number)
            else:
                self.entry("plot.updated", {"plot_id": "x"}, id=f"n-{number}", storage_key=f"n-{number}", mtime=NOW - 100 + number,
                           place="flat" if number % 4 else "pending")
        for _ in self.both_ways():
            for limit in ("0", "4"):
                listed = self.run_cli("list", "-o", "name", "--limit", limit, expect=0).stdout().split()
                self.assertEqual(listed, [f"n-{n}" for n in range(int(limit) or 6)])

    def test_a_wrong_filter_is_refused_with_what_was_meant(self):
        for arguments, says in [(["--reason", "shcema_mismatch"], "did you mean schema_mismatch?"),
                                (["--type", "dql"], "did you mean dlq?"), (["--since", "yesterday"], "2026-07-30T10:00"),
                                (["--older-than", "2026-01-01"], "an age such as"), (["--namespace", "plot.*"], "first dot"),
                                (["--name", "a*b"], "behind it"), (["--key", ""], "the key of the event"),
                                (["--since", "1h", "--older-than", "2h"], "nothing can be between"),
                                (["--reason", "not_json", "--reason", "bad_id"], "--reason is given twice"),
                                (["-t", "dlq", "--type=all"], "--type is given twice"),
                                (["--nmae", "x"], "did you mean --name?")]:
            self.assertIn(says, self.run_cli("list", *arguments, expect=2).stderr())

    def test_the_api_takes_the_same_filters_and_no_others(self):
        self.fill()
        self.worker()

        def ask(path):
            status, _, body = self.ask("GET", path)
            return status, json.loads(body)

        self.assertEqual({e["id"] for e in ask("/v1/entries?key=k%202%26%3D%25%2F%E6%98%9F")[1]["entries"]}, {"p-new"})
        self.assertEqual({e["id"] for e in ask("/v1/dead?older_than=2h")[1]["entries"]}, {"d-old"})
        self.assertEqual(ask("/v1/dead")[1]["total"], 3)
        for path, says in [("/v1/dead?type=pending", "not known here"), ("/v1/entries?colour=red", "not known here"),
                           ("/v1/entries?reason=x", "a reason such as"), ("/v1/entries?since=never", "an age such as"),
                           ("/v1/entries?name=a&name=b", "given twice")]:
            status, problem = ask(path)
            self.assertEqual((status, problem["code"]), (400, "invalid"))
            self.assertIn(says, problem["detail"])

    def test_wide_names_topic_key_and_file(self):
        self.fill()
        for _ in self.both_ways():
            wide = self.run_cli("list", "-o", "wide", "--key", "k-1", "--type", "pending", expect=0).stdout()
            self.assertRegex(wide, rf"(?m)^p-old +plot\.updated +pending .* {self.prefix}\.plot\.events +k-1 +p-old\.json ")
            row = json.loads(self.run_cli("list", "-o", "jsonl", "--name", "epsiode*", expect=0).stdout())
            self.assertEqual((row["topic"], row["namespace"], row["key"]), (None, "epsiode", None))


class Show(ShowListTest):
    def test_everything_about_a_dead_letter(self):
        self.letter("3f2b-1", payload={"plot_id": "p-1", "word_count": "many", "notes": ["星", {}]},
                    error="payload.word_count: expected long, found string")
        for _ in self.both_ways():
            text = self.run_cli("show", "3f2b", expect=0).stdout()
            for title, value in [("id", "3f2b-1"), ("name", "plot.updated"), ("namespace", "plot"),
                                 ("topic", f"{self.prefix}.plot.events"), ("key", "p-1"), ("file", f"{self.outbox}/dlq/3f2b-1.json"),
                                 ("state", "dead letter"), ("attempts", "1"), ("reason", "schema_mismatch"),
                                 ("error", "payload.word_count: expected long, found string"),
                                 ("remedy", "Fix the field named, or the schema and restart the worker; then replay it"), ("next", "busbridge replay 3f2b-1")]:
                self.assertRegex(text, rf"(?m)^{title} +{value}$")
            self.assertRegex(text, r"(?m)^first failed +.* ago\)$")
            self.assertIn('payload\n{\n  "plot_id": "p-1",\n  "word_count": "many",\n  "notes": [\n    "星",\n    {}\n  ]\n}\n', text)
            everything = self.shown("3f2b-1")
            self.assertEqual(everything["payload"], {"plot_id": "p-1", "word_count": "many", "notes": ["星", {}]})
            self.assertEqual((everything["version"], everything["state"], everything["status"]), (1, "dead", "dlq"))
            self.assertEqual(list(everything["fault"]), ["byte", "line", "column", "error", "before", "after"])

    def caret(self, entry_id):
        """What stands above the caret and behind it, by columns of a terminal."""
        lines = self.run_cli("show", entry_id, expect=0).stdout().splitlines()
        at = next(i for i, line in enumerate(lines) if line.strip() == "^")
        text, column = lines[at - 1], lines[at].index("^")
        begin = next((i for i in range(len(text)) if columns(text[:i + 1]) > column), len(text))
        self.assertEqual(columns(text[:begin]), column)
        return text[begin:]

    def test_the_caret_stands_under_the_fault(self):
        self.raw_letter("plain", '{"a": nope}')
        self.raw_letter("wide", '{"星の海": "第一話　はじまり", "b": nope}')
        self.raw_letter("combining", '{"e\u0301tude": nope}')
        self.raw_letter("second-line", '{"a": 1,\n\t"b": nope,\n"c": 2}')
        self.raw_letter("control", b'{"a\\u0001": "\x1b[31m"}')
        self.raw_letter("not-utf8", b'{"a": "\xff\xfe"}')
        self.raw_letter("cut", '{"a": "half')
        self.raw_letter("long", '{"' + "星" * 4000 + '": nope, "' + "x" * 4000 + '": 1}')
        self.letter("field", payload={"plot_id": "星", "word_count": "many"}, error="payload.word_count: expected long, found string")
        self.letter("deep", payload={"plot_id": "x", "issues": [1, {"a b": [0, 7]}]},
                    error='payload.issues[1]["a b"][1]: expected string, found number 7')
        self.letter("named", name="no dot", reason="bad_name", error='name "no dot" is not namespace.event')
        expected = {"plain": "nope}", "wide": "nope}", "combining": "nope}", "second-line": "nope,", "control": '\\x1b[31m"}',
                    "not-utf8": '\\xff\\xfe"}', "cut": "", "field": '"many"}', "deep": "7]}]", "named": '"no dot", '}
        for _ in self.both_ways():
            for entry_id, after in expected.items():
                above = self.caret(entry_id)
                self.assertEqual(above if entry_id == "cut" else above[:len(after)], after, entry_id)
            long = self.run_cli("show", "long", expect=0).stdout()
            self.assertTrue(self.caret("long").startswith('nope, "xx'))
            self.assertLess(max(map(columns, long.splitlines())), 160)
            self.assertIn("...星", long)
            fault = self.shown("wide")["fault"]
            raw = '{"星の海": "第一話　はじまり", "b": nope}'
            self.assertEqual((fault["byte"], fault["line"], fault["column"]), (len(raw[:raw.index("nope")].encode()), 1, raw.index("nope") + 1))
            self.assertEqual((self.shown("second-line")["fault"]["line"], self.shown("second-line")["fault"]["column"]), (2, 7))

    def test_a_mended_letter_is_said_to_be(self):
        self.raw_letter("d-1", '{"id": "d-1"')
        for _ in self.both_ways():
            self.assertFalse(self.shown("d-1")["mended"])
        (self.outbox / "dlq/d-1.raw").write_text('{"id": "d-1"}')
        for _ in self.both_ways():
            self.assertRegex(self.run_cli("show", "d-1", expect=0).stdout(), r"(?m)^next +its bytes are JSON now: busbridge replay d-1$")

    def test_what_ended_the_worker_is_not_parsed_and_what_is_too_large_not_read(self):
        self.options["outbox.max_entry_bytes"] = "1KiB"
        self.raw_letter("crash", '{"a": nope}', "crashes_worker", "it ended the worker twice")
        self.raw_letter("large", "[" * 5000, "too_large", "5000 bytes")
        for _ in self.both_ways():
            crash, large = self.shown("crash"), self.shown("large")
            self.assertEqual((crash["fault"], crash["beginning"], crash["mended"]), (None, '{"a": nope}', False))
            self.assertEqual((large["fault"], large["beginning"], large["size"]), (None, "[" * 160 + "...", 5000))
            self.assertIn('its bytes\n  {"a": nope}\n', self.run_cli("show", "crash", expect=0).stdout())
            self.assertEqual(self.run_cli("show", "large", "--raw", expect=0).stdout(), "[" * 5000)

    def test_raw_writes_the_very_bytes(self):
        hostile = b'\xff\x00{"a": \x1b[31m\r\n\x01'
        self.raw_letter("d-raw", hostile)
        self.letter("d-json")
        self.write("growing.json", hostile)
        for _ in self.both_ways():
            for entry_id, file in [("d-raw", "dlq/d-raw.raw"), ("d-json", "dlq/d-json.json"), ("growing", "growing.json")]:
                raw = self.run_cli("show", entry_id, "--raw", expect=0)
                self.assertEqual(raw.out.read_bytes(), (self.outbox / file).read_bytes())
            self.assertNotIn("\x1b", self.run_cli("show", "d-raw", expect=0).stdout())

    def test_pending_entries_tell_where_they_stand(self):
        self.entry("plot.updated", {"plot_id": "p"}, id="ready", storage_key="ready")
        self.entry("plot.updated", {"plot_id": "p"}, id="again", storage_key="again", attempts=2, last_error="refused",
                   failed_at=iso(NOW + 5))
        self.write("growing.json", '{"id": "growing", ')
        for _ in self.both_ways():
            self.assertEqual(self.shown("ready")["state"], "ready")
            again = self.shown("again")
            self.assertEqual((again["state"], again["attempts"], again["last_error"]), ("retrying", 2, "refused"))
            self.assertIsNotNone(again["due_at"])
            growing = self.shown("growing")
            self.assertEqual((growing["state"], growing["reason"], growing["fault"]["byte"]), ("unread", "not_json", 18))
            self.assertIn("cannot be read as it is", self.run_cli("show", "growing", expect=0).stdout())

    def test_a_closed_door_is_named(self):
        self.options["flush.background"] = None
        self.entry("plot.updated", {"plot_id": "p"}, id="p-1", storage_key="p-1")
        self.worker()
        door = wait_until(lambda: self.shown("p-1")["waits_for"], what="the door to close")
        self.assertEqual(door["target"], "kafka")
        self.assertRegex(self.run_cli("show", "p-1", expect=0).stdout(), r"(?m)^waits for +kafka$")

    def test_what_is_ambiguous_is_refused_with_the_candidates(self):
        self.letter("abc-1")
        self.entry("plot.updated", {"plot_id": "p"}, id="abc-2", storage_key="abc-2")
        self.letter("twin")
        self.letter("twin", storage_key="twin__1")
        self.letter("same")
        self.entry("plot.updated", {"plot_id": "p"}, id="same", storage_key="same")
        self.entry("plot.updated", {"plot_id": "p"}, id="inside", storage_key="other-stem")
        for _ in self.both_ways():
            two = self.run_cli("show", "abc", expect=1)
            self.assertEqual(two.stdout(), "")
            self.assertRegex(two.stderr(), r"may mean 2 entries: .*abc-")
            self.assertIn("dlq/abc-1", two.stderr())
            self.assertEqual(self.shown("abc", "--type", "dlq")["id"], "abc-1")
            self.assertEqual((self.shown("twin")["file"], self.shown("twin__1")["file"]), ("dlq/twin.json", "dlq/twin__1.json"))
            same = self.shown("same")
            self.assertEqual((same["file"], same["also"]), ("same.json", ["dlq/same.json"]))
            self.assertEqual(self.shown("same", "--type", "dlq")["file"], "dlq/same.json")
            self.assertEqual(self.shown("inside")["file"], "other-stem.json")

    def test_hostile_ids_find_nothing_and_harm_nothing(self):
        self.letter("d-1")
        secret = self.dir / "secret.json"
        secret.write_text('{"id": "secret"}')
        (self.outbox / "dlq/link.json").symlink_to(secret)
        os.link(secret, self.outbox / "dlq/hard.json")
        self.raw_letter("raw-link", "x")
        (self.outbox / "dlq/raw-link.raw").unlink()
        os.link(secret, self.outbox / "dlq/raw-link.raw")
        for _ in self.both_ways():
            for entry_id in ["../secret", "..", "d-1/raw", "%2e%2e%2fsecret", "d-1?type=dlq", "d-1#x", "d-1%00", "link", "x" * 300, "\x1b[31m",
                             "d-1 "]:
                refused = self.run_cli("show", entry_id, expect=3)
                self.assertEqual(refused.stdout(), "")
                self.assertIn("No entry", refused.stderr(), entry_id)
                self.assertNotIn("\x1b", refused.stderr())
            self.run_cli("show", "", expect=3)
            self.run_cli("show", expect=2)
            self.run_cli("show", "a", "b", expect=2)
            self.assertNotIn("secret", self.run_cli("show", "raw-link", expect=0).stdout())
            self.assertNotEqual(self.run_cli("show", "raw-link", "--raw").status, 0)
            hard = self.shown("hard")
            self.assertEqual((hard["id"], hard["payload"], hard["beginning"], hard["reason"]), ("hard", None, None, None))
            self.assertIn("dlq/hard.json has 3 names (hard links)", hard["last_error"])
            self.assertNotIn("secret", self.run_cli("show", "hard", expect=0).stdout())
            raw = self.run_cli("show", "hard", "--raw")
            self.assertNotEqual(raw.status, 0)
            self.assertEqual(raw.stdout(), "")

    def test_what_is_counted_is_listed_and_verified(self):
        """Also what is left alone: an operator can name it, and is told what to do."""
        self.letter("d-1")
        os.link(self.outbox / "dlq/d-1.json", self.dir / "backup")
        self.letter("d-2")
        (self.outbox / "dlq/link.json").symlink_to("d-2.json")
        for _ in self.both_ways():
            listed = self.json_of("list", "--type", "dlq", "-o", "json", expect=0)
            self.assertEqual(sorted(e["id"] for e in listed), ["d-1", "d-2"])
            self.assertEqual(self.json_of("health", "-o", "json")["dead"], 2)
            table = self.run_cli("list", "--type", "dlq", expect=0).stdout()
            self.assertIn("hard links", table)
            for command in ("replay", "purge"):
                refused = self.run_cli(command, "--yes", "d-1")
                self.assertNotEqual(refused.status, 0)
                self.assertIn("Remove the others (find / -samefile", refused.stdout() + refused.stderr())
        found = self.run_cli("verify").stdout()
        self.assertRegex(found, r"2 are not plain files with one link and are left alone: .*dlq/d-1")

    def test_hostile_texts_do_not_reach_the_terminal(self):
        self.letter("d-1", name="plot.\x1b[2J", payload={"plot_id": "\x1b]0;x\x07", "\x9b31m": "\x9b"}, error="\x1b[31mred\x07")
        for _ in self.both_ways():
            text = self.run_cli("show", "d-1", expect=0).stdout()
            self.assertFalse(set(text) & set("\x1b\x07\x9b"), text)
            self.assertIn("\\x1b[31mred\\x07", text)

    def test_an_outbox_that_is_not_there_is_a_failure(self):
        self.assertIn("none", self.run_cli("show", "x", options={"outbox.url": f"file:{self.dir}/none"}, expect=1).stderr())

    def test_on_a_terminal_the_caret_is_painted(self):
        self.raw_letter("d-1", '{"a": nope}')
        main, child = pty.openpty()
        self.addCleanup(os.close, main)
        pairs = [word for key, value in self.options.items() if value is not None for word in ("-X", f"{key}={value}")]
        pid = os.posix_spawn(BUILD / "busbridge", ["busbridge", *pairs, "show", "d-1"], {"TERM": "xterm"},
                             file_actions=[(os.POSIX_SPAWN_DUP2, child, 1)])
        os.close(child)
        text = b""
        try:
            while part := os.read(main, 65536):
                text += part
        except OSError:
            pass
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertIn(b"\x1b[31m^\x1b[0m", text)


class Held(ShowListTest):
    needs_kafka = True

    def test_an_entry_is_held_behind_the_one_that_its_key_waits_for(self):
        self.options["flush.background"] = None
        self.create_topic("plot.events", 1, {"max.message.bytes": 2000})
        self.entry("plot.updated", {"plot_id": "k", "notes": os.urandom(3000).hex()}, id="first", storage_key="first", mtime=NOW - 20)
        self.entry("plot.updated", {"plot_id": "k"}, id="second", storage_key="second", mtime=NOW - 10)
        self.worker()
        second = wait_until(lambda: (s := self.shown("second"))["held_behind"] and s, what="the second is held")
        self.assertEqual((second["state"], second["held_behind"], second["due_at"]), ("held", "first.json", None))
        self.assertRegex(self.run_cli("show", "second", expect=0).stdout(), r"(?m)^state +held behind first\.json, an earlier event of its key$")
        first = self.shown("first")
        self.assertEqual((first["state"], first["attempts"], first["held_behind"]), ("retrying", 1, None))
        self.assertGreater(first["due_at"], first["failed_at"])


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    harness.main()
