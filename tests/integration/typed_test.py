#!/usr/bin/python3
"""The older typed bus's own outbox as a second intake (outbox.typed), on a real broker.

The cases of integration/typed, one a row of expected.jsonl, lie here where they lie in the field."""

import json
import os
import re
import time
import unittest
from pathlib import Path

import harness
from relay_test import decode, without_null

CASES = Path(__file__).resolve().parent / "typed"
ROWS = [json.loads(line) for line in (CASES / "expected.jsonl").read_text().splitlines()]


def message(id="m-1", type="PlotSaved", data=..., envelope=None, **over):
    """One message as that bus writes it; `...` leaves a key out."""
    inside = {"event_type": type, "event_id": f"e-{id}", "occurred_at": "2025-11-03T07:15:42.250000+00:00", "aggregate_id": None,
              "aggregate_type": None, "version": 1, "metadata": {}, "data": {"file_path": "f"} if data is ... else data, **(envelope or {})}
    whole = {"message_id": id, "event_type": type, "payload": {k: v for k, v in inside.items() if v is not ...},
             "occurred_at": "2025-11-03T07:15:42.250000+00:00", "aggregate_id": None, "status": "pending", "attempts": 0, "last_error": None,
             "created_at": "2025-11-03T07:15:42.251007+00:00", **over}
    return {k: v for k, v in whole.items() if v is not ...}


class Typed(harness.BusTest):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.typed = self.dir / "typed"
        for folder in ("pending", "processing", "sent", "errored"):
            (self.typed / folder).mkdir(parents=True)
        self.options["outbox.typed"] = str(self.typed)

    def put(self, entry, place="pending", file=None, at=0, age=None):
        text = entry if isinstance(entry, (str, bytes)) else json.dumps(entry, ensure_ascii=False, indent=2)
        path = self.write(file or f"{entry['message_id']}.json", text, os.path.relpath(self.typed / place, self.outbox))
        when = time.time() - age if age is not None else 1700000000 + at
        os.utime(path, (when, when))
        return path

    def names(self, folder):
        return sorted(p.name for p in (self.typed / folder).iterdir())

    def letter(self, file):
        return json.loads((self.typed / "errored" / file).read_bytes())

    def once(self, *arguments, **options):
        return self.run_worker("--once", *arguments, expect=0, options={k.replace("__", "."): v for k, v in options.items()})

    def cli(self, *arguments, expect=0):
        return self.run_cli(*arguments, expect=expect)

    def put_cases(self):
        for at, row in enumerate(ROWS):
            age = row.get("mtime_age_s")
            text = (CASES / row["file"]).read_bytes()
            if row["place"] == "flat":
                self.write(row["as"], text, mtime=1700000000 + at)
            else:
                self.put(text, row["place"].removeprefix("typed/"), row["as"], at, age)

    # ---- the cases --------------------------------------------------------------------------------------------------------------

    def test_each_case_has_its_result(self):
        self.put_cases()
        before = {row["as"]: (CASES / row["file"]).read_bytes() for row in ROWS}
        worker = self.once()
        drained = self.drain()
        records = {record.headers["ce_id"].decode(): record for record in drained}
        self.assertEqual(len(drained), len(records), "each once")
        published = {row["id"]: row for row in ROWS if row["result"] == "published"}
        self.assertEqual(set(records), set(published))
        for row in ROWS:
            with self.subTest(file=row["file"]):
                getattr(self, "is_" + row["result"])(row, records, before[row["as"]])
        duplicates = [row for row in ROWS if row["result"] == "duplicate"]
        self.assertEqual(len(worker.logs("event_duplicate")), len(duplicates))
        self.assertEqual(len(worker.logs("entry_left")), 1)
        self.assertEqual(self.pending(), [])
        self.assertEqual(self.dead(), {}, "none in the flat outbox")

    def place_of(self, row):
        return self.outbox if row["place"] == "flat" else self.dir / row["place"]

    def is_published(self, row, records, before):
        record = records[row["id"]]
        headers = {name: value.decode() for name, value in record.headers.items()}
        self.assertEqual((record.topic, record.key.decode()), (self.topic(row["topic"]), row["key"]))
        self.assertEqual((headers["ce_type"], headers["ce_time"]), (row["name"], row["ce_time"]))
        self.assertEqual(headers.get("traceparent"), row.get("traceparent"))
        defaults = {"issues": []} if row["name"] == "quality.checked" else {}
        self.assertEqual(without_null(decode(record)), without_null({**defaults, **row["payload"]}))
        for member, text in row.get("raw", {}).items():
            self.assertIn(text.encode(), record.value, member)
        entry = json.loads(before)
        rest = json.loads(headers["busbridge-envelope"])
        own = {"id": entry["id"], "name": entry["name"]} if row["place"] == "flat" else {
            **({} if entry["message_id"] == row["id"] else {"message_id": entry["message_id"]}), "event_type": entry["event_type"]}
        self.assertEqual(rest["entry"], own)
        self.is_gone(row)

    def is_gone(self, row):
        self.assertFalse((self.place_of(row) / row["as"]).exists())
        for folder in ("sent", "errored"):
            self.assertFalse((self.typed / folder / row["as"]).exists())

    def is_duplicate(self, row, records, before):
        self.assertIn(row["id"], records)
        self.is_gone(row)

    def is_left(self, row, records, before):
        self.assertEqual((self.place_of(row) / row["as"]).read_bytes(), before)

    def is_dead(self, row, records, before):
        self.assertFalse((self.place_of(row) / row["as"]).exists())
        letter = self.letter(row["as"])
        self.assertEqual((letter["status"], letter["reason"]), ("errored", row["reason"]))
        self.assertLessEqual({"message_id", "payload", "attempts", "last_error", "created_at", "failed_at"}, set(letter))
        if "path" in row:
            self.assertRegex(letter["last_error"], "^" + re.escape(row["path"]) + ": ")
        if row.get("raw_kept"):
            self.assertEqual((self.typed / "errored" / row["as"]).with_suffix(".raw").read_bytes(), before)
        else:
            self.assertEqual(letter["payload"], json.loads(before)["payload"])
        shown = json.loads(self.cli("show", row["as"].removesuffix(".json"), "-o", "json").stdout())
        self.assertEqual(shown["reason"], row["reason"])

    def test_nothing_is_read_where_it_is_off(self):
        self.put_cases()
        self.once(outbox__typed="")
        self.assertEqual(len(self.drain()), 2, "the two of the flat outbox")
        self.assertFalse((self.typed / ".busbridge").exists())

    # ---- what becomes of them ---------------------------------------------------------------------------------------------------

    def test_published_ones_are_kept_in_its_own_sent(self):
        text = self.put(message()).read_bytes()
        flat = self.entry("plot.saved", {"file_path": "g"})
        self.once(outbox__sent="keep")
        self.assertEqual((self.typed / "sent" / "m-1.json").read_bytes(), text)
        self.assertEqual([p.name for p in (self.outbox / "sent").iterdir()], [flat + ".json"])
        self.assertEqual(len(self.drain()), 2)
        self.once(outbox__sent="keep")
        self.assertEqual(len(self.drain()), 2, "sent/ is never read")

    def test_what_lies_elsewhere_is_never_read(self):
        for place in ("sent", "errored", "."):
            self.put(message("m-" + place.strip(".")), place)
        self.put({"seen": []}, ".", "idempotency.json")
        self.once()
        self.assertEqual(self.drain(), [])
        self.assertEqual(sorted(p.name for p in self.typed.iterdir() if p.is_file()), ["idempotency.json", "m-.json"])

    def test_processing_is_taken_when_it_was_left_there_whatever_its_status(self):
        for i, (status, age) in enumerate((("processing", 400), ("sent", 400), (..., 400), ("processing", 200))):
            self.put(message(f"m-{i}", status=status), "processing", age=age)
        self.once()
        self.assertEqual(sorted(r.headers["ce_id"] for r in self.drain()), [b"e-m-0", b"e-m-1", b"e-m-2"])
        self.assertEqual(self.names("processing"), ["m-3.json"])
        self.once(outbox__typed_timeout="100s")
        self.assertEqual(self.names("processing"), [])
        self.assertEqual(len(self.drain()), 4)

    def test_other_statuses_are_left_and_named_once(self):
        for i, status in enumerate(("sent", "processing", "errored", "dispatched", 7)):
            self.put(message(f"m-{i}", status=status))
        self.put(message("m-9", status=...))
        worker = self.start_worker(options={"flush.interval": "100ms"})
        harness.wait_until(lambda: self.drain())
        harness.wait_until(lambda: len(worker.logs("entry_left")) >= 5)
        for i in range(3):  # each a scan, and one is over when what came before it is published
            self.put(message(f"n-{i}"))
            harness.wait_until(lambda: f"n-{i}.json" not in self.names("pending"))
        self.assertIn("5 files are left alone in the typed outbox", self.run_cli("health").stdout())
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(line["file"] for line in worker.logs("entry_left")), [f"m-{i}.json" for i in range(5)])
        self.assertEqual(self.names("pending"), [f"m-{i}.json" for i in range(5)])

    def test_generic_events_may_be_left(self):
        inside = {"event_name": "quality_checked", "payload": {"content_id": "c", "score": 1, "check_types": [], "passed": True}}
        self.put(message("m-1", "GenericEvent", inside))
        self.put(message("m-2"))
        self.once(outbox__typed_generic="leave")
        self.assertEqual([r.headers["ce_id"] for r in self.drain()], [b"e-m-2"])
        self.assertEqual(self.names("pending"), ["m-1.json"])
        self.once()
        self.assertEqual(sorted(r.headers["ce_type"] for r in self.drain()), [b"plot.saved", b"quality.checked"])

    def test_a_dead_letter_is_shown_listed_and_replayed_by_both_its_ids(self):
        for i, word in enumerate(("m-0", "e-m-1", "typed/errored/m-2.json", "typed/errored/m-3")):
            self.put(message(f"m-{i}", "EpisodeCreated", {"episode_id": "e", "episode_number": i}), at=i)
        self.once()
        self.assertEqual(self.names("errored"), [f"m-{i}.json" for i in range(4)])
        listed = json.loads(self.cli("list", "--type", "dlq", "-o", "json").stdout())
        self.assertEqual(sorted((row["id"], row["file"]) for row in listed),
                         [(f"e-m-{i}", f"typed/errored/m-{i}.json") for i in range(4)])
        health = json.loads(self.run_cli("health", "-o", "json").stdout())
        self.assertEqual(health["dlq"]["total"], 4)
        for i, word in enumerate(("m-0", "e-m-1", "typed/errored/m-2.json", "typed/errored/m-3")):
            shown = json.loads(self.cli("show", word, "-o", "json").stdout())
            self.assertEqual((shown["id"], shown["name"], shown["reason"]), (f"e-m-{i}", "episode.created", "schema_mismatch"))
            self.assertEqual(Path(shown["path"]).resolve(), (self.typed / "errored" / f"m-{i}.json").resolve())
            self.assertRegex(shown["last_error"], r"^payload\.data\.title: ")
            path = Path(shown["path"])
            fixed = json.loads(path.read_bytes())
            fixed["payload"]["data"]["title"] = "T"
            path.write_text(json.dumps(fixed))
            self.cli("replay", word)
            self.assertIn(f"m-{i}.json", self.names("pending"))
            back = json.loads((self.typed / "pending" / f"m-{i}.json").read_bytes())
            self.assertEqual((back["status"], back["attempts"], back["last_error"]), ("pending", 0, None))
        self.once()
        self.assertEqual(sorted(r.headers["ce_id"] for r in self.drain()), [b"e-m-0", b"e-m-1", b"e-m-2", b"e-m-3"])
        self.assertEqual((self.names("errored"), self.names("pending")), ([], []))

    def test_two_of_one_stem_are_told_apart(self):
        bad = {"episode_id": "e", "episode_number": 1}
        self.put(message("same", "EpisodeCreated", bad))
        self.entry("episode.created", bad, id="same")
        self.once()
        self.assertEqual((self.names("errored"), list(self.dead())), (["same.json"], ["same.json"]))
        also = json.loads(self.cli("show", "same", "-o", "json").stdout())
        self.assertEqual([also["file"], *also["also"]], ["dlq/same.json", "typed/errored/same.json"])
        self.assertEqual(json.loads(self.cli("show", "e-same", "-o", "json").stdout())["file"], "typed/errored/same.json")
        self.assertIn("next          busbridge replay dlq/same.json", self.cli("show", "same").stdout())
        for word in (("same",), ("same", "--force")):
            self.assertIn("dlq/same, typed/errored/same", self.cli("replay", *word, expect=1).stderr())
        self.assertEqual((self.names("errored"), list(self.dead()), self.pending()), (["same.json"], ["same.json"], []))
        for command in ("purge", "replay"):
            self.assertIn("of both outboxes", self.cli(command, "--yes", *["same"] * 2, *["none"] * 100, expect=1).stderr())
        self.assertEqual((self.names("errored"), list(self.dead())), (["same.json"], ["same.json"]))
        self.cli("replay", "typed/errored/same")
        self.assertEqual((self.names("pending"), self.names("errored"), list(self.dead())), (["same.json"], [], ["same.json"]))
        self.cli("replay", "dlq/same.json")
        self.assertEqual((self.dead(), self.pending()), ({}, ["same.json"]))

    def test_an_id_that_it_does_not_go_by_finds_it_too(self):
        bad = {"episode_id": "e", "episode_number": 1}
        ids = {"m-1": "saved_140234567890123", "m-2": "a b", "m-3": "x/y", "m-4": 4711, "m-5": "twice_140234567890124", "m-6": "twice_140234567890124"}
        for at, (own, event) in enumerate(ids.items()):
            self.put(message(own, "EpisodeCreated", bad, {"event_id": event}), at=at)
        self.put(message("m 7", "EpisodeCreated", bad, {"event_id": "e-7"}), file="m-7.json", at=7)
        self.entry("episode.episodecreated", message("m-8", "EpisodeCreated", bad, {"event_id": "flat_140234567890125"})["payload"], id="m-8")
        words = {**{str(event): own for own, event in ids.items()}, "m 7": "m-7", "e-7": "m-7", "flat_140234567890125": "m-8", "saved_14": "m-1"}
        del words["twice_140234567890124"]
        for place in ("pending", "errored"):
            for word, stem in words.items():
                shown = json.loads(self.cli("show", word, "-o", "json").stdout())
                self.assertEqual(Path(shown["path"]).name, stem + ".json", word)
            self.assertRegex(self.cli("show", "twice_140234567890124", expect=1).stderr(), f"typed/{place}/m-5, typed/{place}/m-6")
            self.once()
        self.assertEqual(self.drain(), [])
        self.cli("replay", "saved_140234567890123", "x/y", "m 7", "flat_140234567890125")
        self.assertEqual((self.names("pending"), self.pending()), (["m-1.json", "m-3.json", "m-7.json"], ["m-8.json"]))

    def test_what_is_said_names_the_folder_where_it_lies(self):
        bad = {"episode_id": "e", "episode_number": 1}
        self.put(message("m-1", "EpisodeCreated", bad))
        self.entry("episode.created", bad, id="f-1")
        dead = {line["file"]: line["msg"] for line in self.once().logs("event_dead")}
        self.assertIn("Moved to typed/errored/. ", dead["m-1.json"])
        self.assertIn("Moved to dlq/. ", dead["f-1.json"])
        os.rename(self.typed / "errored" / "m-1.json", self.typed / "pending" / "m-1.json")
        (line,) = self.once().logs("move_finished")
        self.assertIn("typed/errored/", line["msg"])

    def test_many_are_replayed_by_either_id(self):
        bad = {"episode_id": "e", "episode_number": 1}
        for i in range(4):
            self.put(message(f"m-{i}", "EpisodeCreated", bad), file=f"x-{i}.json")
        self.once()
        self.cli("replay", "--yes", "m-0", "e-m-1", "x-2", "typed/errored/x-3.json", *["none"] * 100, expect=4)
        self.assertEqual((self.names("errored"), self.names("pending")), ([], [f"x-{i}.json" for i in range(4)]))

    def test_what_is_no_json_is_kept_as_it_was_and_comes_back(self):
        self.put(b'{"message_id": "m-1", ', file="m-1.json")
        self.once()
        self.assertEqual(self.names("errored"), ["m-1.json", "m-1.raw"])
        descriptor = self.letter("m-1.json")
        self.assertEqual((descriptor["message_id"], descriptor["event_type"], descriptor["payload"], descriptor["status"]),
                         ("m-1", "", {}, "errored"))
        self.assertEqual(self.cli("show", "m-1", "--raw").stdout(), '{"message_id": "m-1", ')
        (self.typed / "errored" / "m-1.raw").write_text(json.dumps(message()))
        self.cli("replay", "m-1")
        self.assertEqual((self.names("pending"), self.names("errored")), (["m-1.json"], []))
        self.once()
        self.assertEqual([r.headers["ce_id"] for r in self.drain()], [b"e-m-1"])

    def test_many_of_both_are_replayed_and_purged_together(self):
        bad = {"episode_id": "e", "episode_number": 1}
        for i in range(3):
            self.put(message(f"m-{i}", "EpisodeCreated", bad))
            self.entry("episode.created", bad)
        self.put(b"{", file="raw.json")
        self.once()
        self.assertEqual((len(self.dead()), len(self.names("errored"))), (3, 5))
        self.cli("replay", "--name", "episode.created", "--yes")
        self.assertEqual((len(self.dead()), self.names("errored")), (0, ["raw.json", "raw.raw"]))
        self.assertEqual((len(self.pending()), len(self.names("pending"))), (3, 3))
        self.once()
        self.assertEqual((len(self.dead()), len(self.names("errored"))), (3, 5))
        self.cli("purge", "--all", "--yes")
        self.assertEqual((self.dead(), self.names("errored")), ({}, []))

    # ---- settings ---------------------------------------------------------------------------------------------------------------

    def test_a_folder_that_is_or_holds_or_lies_in_the_outbox_is_refused(self):
        inside = self.outbox / "pending" / "typed"
        inside.mkdir(parents=True)
        link = self.dir / "link"
        link.symlink_to(self.outbox)
        for folder, word in ((self.outbox, "is"), (link, "is"), (self.outbox / "..", "holds"), (inside, "lies in"), (link / "pending", "lies in")):
            worker = self.run_worker("--once", options={"outbox.typed": str(folder)})
            self.assertNotEqual(worker.status, 0, folder)
            self.assertIn(f" {word} the outbox", worker.stderr())
            self.assertFalse((folder / ".busbridge" / "lock").exists() and word != "is", folder)
        (self.dir / "file").touch()
        for folder in ("missing", "file"):
            worker = self.run_worker("--once", options={"outbox.typed": str(self.dir / folder)})
            self.assertNotEqual(worker.status, 0)
            self.assertIn("outbox.typed: ", worker.stderr())
            self.assertNotIn("outbox.url", worker.stderr())

    def test_it_has_a_lock_of_its_own(self):
        first = self.start_worker()
        other = self.dir / "other"
        other.mkdir()
        harness.wait_until(lambda: first.logs("started"))
        second = self.run_worker("--once", options={"outbox.url": f"file:{other}"})
        self.assertNotEqual(second.status, 0)
        self.assertIn("outbox.typed", second.stderr())
        self.assertIn(str(first.pid), second.stderr())
        self.assertEqual(first.stop(), 0)

    def test_files_that_nothing_reads_are_named(self):
        outbox = self.dir / "temp" / "bus_outbox"
        outbox.mkdir(parents=True)
        pending = self.dir / "temp" / "outbox" / "pending"
        pending.mkdir(parents=True)
        for i in range(3):
            (pending / f"{i}.json").write_text(json.dumps(message(str(i))))
        self.options.update({"outbox.url": f"file:{outbox}", "outbox.typed": None})
        self.once()
        worker = self.programs[-1]
        (line,) = worker.logs("typed_unread")
        self.assertEqual(line["files"], 3)
        self.assertIn("outbox.typed", line["msg"])
        for command in ("health", "doctor"):
            told = self.run_cli(command).stdout()
            self.assertIn("3 files", told)
            self.assertIn("outbox.typed", told)
        self.assertEqual(self.drain(), [])
        link = self.dir / "deploy" / "bus_outbox"
        link.parent.mkdir()
        link.symlink_to(outbox)
        outbox.rename(self.dir / "temp" / "data")
        outbox.symlink_to("data")
        for called in (f"{link}", f"{outbox}/", f"{outbox}//"):
            found = {check["check"]: check for check in self.examine("doctor", options={"outbox.url": f"file:{called}"})}
            self.assertEqual("3 files wait" in found["typed outbox"]["found"], called != str(link), called)
        outbox.unlink()
        (self.dir / "temp" / "data").rename(outbox)
        found = {check["check"]: check for check in self.examine("doctor", options={"outbox.url": f"file:{link}/"})}
        self.assertIn("3 files wait", found["typed outbox"]["found"], "by what the link leads to")
        self.once(outbox__typed=str(pending.parent))
        self.assertEqual(self.programs[-1].logs("typed_unread"), [])
        self.assertEqual(len(self.drain()), 3)

    def doctor(self, **options):
        return {check["check"]: check for check in self.examine("doctor", options={k.replace("__", "."): v for k, v in options.items()})}

    def test_the_doctor_looks_at_it_as_at_the_outbox(self):
        self.once()
        found = self.doctor()
        self.assertEqual([found[check]["verdict"] for check in ("typed outbox", "typed file system", "typed twins")], ["ok", "ok", "warning"])
        self.assertIn(f"{self.typed}, writable", found["typed outbox"]["found"])
        self.assertIn("exchanged", found["typed file system"]["found"])
        self.assertEqual([f.name for f in (self.typed / ".busbridge" / "tmp").iterdir()], [])
        (self.typed / "processing").rmdir()
        (self.typed / "processing").symlink_to("/proc")
        self.assertIn("processing lies on another file system", self.doctor()["typed outbox"]["found"])
        (self.typed / "processing").unlink()
        (self.typed / "sent").rmdir()
        (self.typed / "sent").symlink_to("errored")
        self.assertIn(f"{self.typed}/sent is a symbolic link", self.doctor()["typed outbox"]["found"])
        (self.typed / "sent").unlink()
        told = self.doctor(outbox__typed=str(self.typed / "errored"))["typed outbox"]
        self.assertEqual((told["verdict"], told["found"]), ("warning", f"there is no pending/ in {self.typed / 'errored'}, so nothing of it is read"))

    def test_the_doctor_knows_who_has_it(self):
        other = self.dir / "other"
        other.mkdir()
        worker = self.start_worker(options={"outbox.typed": None})
        harness.wait_until(lambda: worker.logs("started"))
        told = self.doctor()["typed outbox"]
        self.assertEqual(told["verdict"], "warning")
        self.assertIn("was started without it", told["found"])
        self.assertEqual(worker.stop(), 0)
        worker = self.start_worker()
        harness.wait_until(lambda: worker.logs("started"))
        self.assertEqual(self.doctor()["typed outbox"]["verdict"], "ok")
        told = self.doctor(outbox__url=f"file:{other}")["typed outbox"]
        self.assertEqual(told["verdict"], "failed")
        self.assertIn(f"pid {worker.pid} holds {self.typed}", told["found"])
        self.assertEqual(worker.stop(), 0)

    def test_newer_dead_letters_are_listed_shown_replayed_and_purged_on_both_sides(self):
        def letter(id, name, payload):
            return json.dumps({"id": id, "message_type": "event", "message_name": name, "payload": payload, "original_error": "boom", "attempt_count": 3,
                               "first_failed_at": "2025-01-01T00:00:00+00:00", "last_failed_at": "2025-01-02T00:00:00+00:00", "metadata": {}})
        texts = {}
        for i in range(2):
            texts[self.typed / "errored" / f"dlq_t-{i}.json"] = letter(f"t-{i}", "PlotSaved", message(f"t-{i}")["payload"])
            texts[self.outbox / "dlq" / f"dlq_f-{i}.json"] = letter(f"f-{i}", "plot.saved", {"file_path": "g"})
        (self.outbox / "dlq").mkdir()
        for path, text in texts.items():
            path.write_text(text)
        self.once()
        for path, text in texts.items():
            self.assertEqual(path.read_text(), text)
        listed = json.loads(self.cli("list", "--type", "dlq", "-o", "json").stdout())
        self.assertEqual(sorted((row["id"], row["file"], row["name"]) for row in listed),
                         [("f-0", "dlq/dlq_f-0.json", "plot.saved"), ("f-1", "dlq/dlq_f-1.json", "plot.saved"),
                          ("t-0", "typed/errored/dlq_t-0.json", "PlotSaved"), ("t-1", "typed/errored/dlq_t-1.json", "PlotSaved")])
        for word in ("t-0", "dlq_t-0", "e-t-0", "typed/errored/dlq_t-0.json"):
            shown = json.loads(self.cli("show", word, "-o", "json").stdout())
            self.assertEqual((shown["id"], shown["last_error"], shown["attempts"]), ("t-0", "boom", 3), word)
        self.cli("replay", "t-0", "f-0")
        back = json.loads((self.typed / "pending" / "t-0.json").read_bytes())
        self.assertEqual((back["message_id"], back["event_type"], back["status"], back["attempts"]), ("t-0", "PlotSaved", "pending", 0))
        self.once()
        self.assertEqual(sorted(r.headers["ce_id"] for r in self.drain()), [b"e-t-0", b"f-0"])
        self.cli("purge", "--all", "--yes")
        self.assertEqual((self.names("errored"), self.dead()), ([], {}))

    def test_without_redis_it_is_warned_of(self):
        self.once()
        self.assertEqual(len(self.programs[-1].logs("typed_without_redis")), 1)
        self.redis()
        self.once()
        self.assertEqual(self.programs[-1].logs("typed_without_redis"), [])

    def test_twins_in_two_runs_are_one_event_while_redis_knows_it(self):
        self.redis()
        self.put(message("m-1"))
        self.once()
        twin = message("m-1")["payload"]
        self.entry("plot.plotsaved", twin, id="flat-twin")
        self.put(message("m-2", envelope={"event_id": "e-m-1"}))
        worker = self.once()
        self.assertEqual(len(self.drain()), 1)
        self.assertEqual(len(worker.logs("event_duplicate")), 2)
        self.assertEqual((self.pending(), self.names("pending")), ([], []))

    def test_a_running_worker_knows_both_folders(self):
        bad = {"episode_id": "e", "episode_number": 1}
        worker = self.start_worker()
        self.put(message("same", "EpisodeCreated", bad))
        self.entry("episode.created", bad, id="same")
        harness.wait_until(lambda: self.dead() and self.names("errored"))
        listed = json.loads(self.cli("list", "--type", "dlq", "-o", "json").stdout())
        self.assertEqual(sorted(row["file"] for row in listed), ["dlq/same.json", "typed/errored/same.json"])
        for place, id in (("dlq", "same"), ("typed/errored", "e-same")):
            for word in (f"{place}/same.json", f"{place}/same"):
                shown = json.loads(self.cli("show", word, "-o", "json").stdout())
                self.assertEqual((shown["id"], shown["file"]), (id, f"{place}/same.json"))
        self.assertIn('"message_id"', self.cli("show", "typed/errored/same", "--raw").stdout())
        self.cli("show", "typed/errored/none", expect=3)
        path = self.typed / "errored" / "same.json"
        path.write_text(path.read_text().replace('"episode_number"', '"title": "T", "episode_number"'))
        self.cli("replay", "typed/errored/same.json")
        harness.wait_until(lambda: self.drain())
        self.assertEqual(worker.stop(), 0)
        self.assertEqual((list(self.dead()), self.names("errored"), self.names("pending")), (["same.json"], [], []))

    def test_a_running_worker_is_told_of_arrivals(self):
        worker = self.start_worker(options={"flush.interval": "1h"})
        for i in range(3):
            self.put(message(f"m-{i}"))
            harness.wait_until(lambda: f"m-{i}.json" not in self.names("pending"))
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(len(self.drain()), 3)


if __name__ == "__main__":
    harness.main()
