#!/usr/bin/python3
"""Events that the bridge of the older typed bus wrote to the flat outbox: lifted out of their envelope, on a real broker.

The cases of integration/typed, one a row of expected.jsonl: what lies in its typed bus here comes as that bridge would copy it."""

import json
import re
import unittest
from pathlib import Path

import harness
from relay_test import decode, without_null

CASES = Path(__file__).resolve().parent / "typed"
ADDRESS = "saved_140234567890123"


def bridged(type):
    """The name that their bridge makes of a class."""
    name = type.lower().removesuffix("event")
    return next((f"{ns}.{name}" for ns in ("episode", "quality", "plot") if ns in name), name)


def envelope(type, data, **over):
    whole = {"event_type": type, "event_id": None, "occurred_at": "2025-11-03T07:15:42.250000+00:00", "aggregate_id": None,
             "aggregate_type": None, "version": 1, "metadata": {}, "data": data, **over}
    return {key: value for key, value in whole.items() if value is not ...}


def cases():
    """(file, the flat entry, row) of each case that their bridge copies: whole messages with an envelope that it can name."""
    for line in (CASES / "expected.jsonl").read_text().splitlines():
        row = json.loads(line)
        try:
            entry = json.loads((CASES / row["file"]).read_text())
        except ValueError:
            continue
        data = entry["payload"].get("data")
        if row["place"] == "flat":
            yield entry, row
        elif isinstance(data, dict) and "event_type" in entry and row["result"] in ("published", "dead"):
            name = data["event_name"] if entry["event_type"] == "GenericEvent" else bridged(entry["event_type"])
            yield {"id": entry["message_id"], "name": name, "payload": entry["payload"], "created_at": entry["created_at"],
                   "attempts": entry["attempts"], "dispatched_at": None, "last_error": entry["last_error"], "failed_at": None,
                   "status": "pending", "storage_key": entry["message_id"]}, row


class Lifted(harness.BusTest):
    maxDiff = None

    def put(self, entry, at=0):
        self.write(entry["storage_key"] + ".json", json.dumps(entry, ensure_ascii=False, indent=2), mtime=1700000000 + at)

    def headers(self, record):
        return {name: value.decode() for name, value in record.headers.items()}

    def rest(self, record):
        return json.loads(record.headers["busbridge-envelope"])

    def test_each_case_is_published_as_it_would_be_from_the_typed_bus(self):
        expected, dead, count = {}, {}, 0
        for at, (entry, row) in enumerate(cases()):
            self.put(entry, at)
            count += 1
            if row["result"] == "published":
                expected[row["id"]] = entry, row
            elif row["result"] == "dead":
                dead[entry["storage_key"] + ".json"] = row
        self.assertGreaterEqual(len(expected), 11)
        worker = self.run_worker("--once", expect=0)
        records = {record.headers["ce_id"].decode(): record for record in self.drain()}
        self.assertEqual(len(self.drain()), len(records))
        self.assertEqual(set(records), set(expected))
        for id, (entry, row) in expected.items():
            with self.subTest(file=row["file"]):
                self.compare(records[id], entry, row)
        self.assertEqual(set(self.dead()), set(dead))
        for file, row in dead.items():
            letter = self.dead()[file]
            self.assertEqual(letter["reason"], row["reason"])
            self.assertRegex(letter["last_error"], "^" + re.escape(row["path"]) + ": ")
        self.assertEqual(self.pending(), [])
        self.assertEqual(len(worker.logs("event_duplicate")), count - len(expected) - len(dead))
        self.assertEqual(worker.logs("id_reused"), [], "twins of the two buses are one event")

    def compare(self, record, entry, row):
        headers = self.headers(record)
        self.assertEqual(record.topic, self.topic(row["topic"]))
        self.assertEqual(record.key.decode(), row["key"])
        self.assertEqual(headers["ce_type"], row["name"])
        self.assertEqual(headers["ce_time"], row["ce_time"])
        self.assertEqual(headers.get("traceparent"), row.get("traceparent"))
        self.assertEqual(headers.get("ce_subject"), entry["payload"]["aggregate_id"])
        defaults = {"issues": []} if row["name"] == "quality.checked" else {}
        self.assertEqual(without_null(decode(record)), without_null({**defaults, **row["payload"]}))
        for member, text in row.get("raw", {}).items():
            self.assertIn(text.encode(), record.value, member)
        rest = self.rest(record)
        self.assertEqual(rest["entry"], {"id": entry["id"], "name": entry["name"]})
        self.assertEqual(rest["envelope"], {key: entry["payload"][key]
                                            for key in ("event_type", "aggregate_type", "version", "metadata")})

    def test_a_foreign_payload_of_that_shape_is_published_untouched(self):
        payload = envelope("OrderShipped", {"plot_id": "inside"}, event_id="inside", aggregate_id="g", plot_id="p-1")
        id = self.entry("plot.validated", payload)
        self.run_worker("--once", expect=0)
        (record,) = self.drain()
        headers = self.headers(record)
        self.assertEqual((headers["ce_id"], headers["ce_type"], record.key), (id, "plot.validated", b"p-1"))
        self.assertEqual(decode(record), payload)
        self.assertFalse({"ce_subject", "busbridge-envelope"} & set(headers))

    def test_nothing_is_lifted_where_it_is_off(self):
        id = self.entry("plot.plotsaved", envelope("PlotSaved", {"file_path": "f"}, event_id="in-1"))
        self.run_worker("--once", expect=0, options={"outbox.lift": "off"})
        (record,) = self.drain()
        headers = self.headers(record)
        self.assertEqual((headers["ce_id"], record.key.decode()), (id, id))
        self.assertEqual(decode(record)["data"], {"file_path": "f"})

    def test_the_header_tells_what_was_not_published(self):
        id = self.entry("episode.episodecreated", envelope(
            "EpisodeCreatedEvent", {"episode_id": "e", "title": "題", "episode_number": 1}, event_id=ADDRESS, aggregate_id="agg",
            aggregate_type="Episode", version=7, metadata={"user": "u \"9\"\n"}, origin="本"), tenant="t-1")
        self.run_worker("--once", expect=0)
        (record,) = self.drain()
        self.assertEqual(self.headers(record)["ce_id"], id)
        self.assertEqual(self.headers(record)["ce_subject"], "agg")
        self.assertEqual(record.key, b"e")
        self.assertNotIn(b"\n", record.headers["busbridge-envelope"])
        self.assertEqual(self.rest(record), {
            "entry": {"name": "episode.episodecreated", "tenant": "t-1"},
            "envelope": {"event_type": "EpisodeCreatedEvent", "event_id": ADDRESS, "aggregate_type": "Episode", "version": 7,
                         "metadata": {"user": "u \"9\"\n"}, "origin": "本"}})

    def test_what_is_too_large_for_the_header_is_dead_unless_it_is_dropped(self):
        fits = 32 * 1024 - len('{"entry":{"id":"","name":"plot.plotsaved"},"envelope":'
                               '{"event_type":"PlotSaved","aggregate_type":null,"version":1,"metadata":{"x":""}}}') - 36
        for i, more in enumerate((0, 1)):
            self.entry("plot.plotsaved", envelope("PlotSaved", {"file_path": "f"}, event_id=f"in-{i}",
                                                  metadata={"x": "y" * (fits + more)}), mtime=1700000000 + i)
        self.run_worker("--once", expect=0)
        self.assertEqual([len(r.headers["busbridge-envelope"]) for r in self.drain()], [32768])
        ((file, letter),) = self.dead().items()
        self.assertEqual(letter["reason"], "header_too_large")
        self.assertIn("32769 bytes", letter["last_error"])
        self.assertIn("encoding.envelope=drop", letter["last_error"])
        self.run_cli("replay", "in-1", expect=0)
        self.run_worker("--once", expect=0, options={"encoding.envelope": "drop"})
        dropped = self.drain()[-1] if self.drain()[-1].headers["ce_id"] == b"in-1" else self.drain()[0]
        self.assertNotIn("busbridge-envelope", dropped.headers)
        self.assertEqual(self.dead(), {})

    def test_it_is_shown_and_replayed_by_both_its_ids(self):
        id = self.entry("episode.episodecreated", envelope("EpisodeCreated", {"episode_id": "e", "episode_number": 1},
                                                           event_id="in-1"))
        self.run_worker("--once", expect=0)
        self.assertEqual(self.drain(), [])
        for word in (id, "in-1"):
            shown = json.loads(self.run_cli("show", word, "-o", "json", expect=0).stdout())
            self.assertEqual((shown["id"], shown["name"], shown["reason"]), ("in-1", "episode.created", "schema_mismatch"))
            self.assertRegex(shown["last_error"], r"^payload\.data\.title: ")
        (listed,) = json.loads(self.run_cli("list", "--type", "dlq", "--name", "episode.created", "-o", "json", expect=0).stdout())
        self.assertEqual(listed["id"], "in-1")
        self.run_cli("replay", "in-1", expect=0)
        self.assertEqual(self.pending(), [id + ".json"])
        self.assertEqual(self.dead(), {})

    def test_names_that_nothing_is_left_of_are_dead_and_say_where(self):
        for type, name, reason in (("OrderShipped", "order.ordershipped", "unknown_namespace"), ("Plot", "plot.plot", "bad_name")):
            self.entry(name, envelope(type, {"a": 1}, event_id=reason))
            self.run_worker("--once", expect=0)
            shown = json.loads(self.run_cli("show", reason, "-o", "json", expect=0).stdout())
            self.assertEqual(shown["reason"], reason)
            self.assertIn("payload.event_type: ", shown["last_error"])
            self.assertTrue(shown["fault"]["after"].startswith(f'"{type}"'), shown["fault"])
        self.assertEqual(self.drain(), [])

    def test_an_update_without_changes_is_published_with_none(self):
        self.entry("episode.episodecontentupdated", envelope("EpisodeContentUpdated", {"episode_id": "e", "words": 12}, event_id="in-1"))
        self.run_worker("--once", expect=0)
        (record,) = self.drain()
        self.assertEqual(record.headers["ce_type"], b"episode.updated")
        self.assertEqual(decode(record), {"episode_id": "e", "changes": {}, "words": 12})

    def test_a_second_folder_turns_on_the_schemas_of_the_plot_classes(self):
        data = {"file_path": "f", "size": 3}
        both = {"encoding.schemas": f"{harness.ROOT}/schemas {harness.ROOT}/schemas/.typed"}
        for i, options in enumerate(({}, both)):
            self.entry("plot.plotsaved", envelope("PlotSaved", data, event_id=f"in-{i}"))
            self.run_worker("--once", expect=0, options=options)
        records = {r.headers["ce_id"]: r for r in self.drain()}
        self.assertEqual(decode(records[b"in-0"]), data)
        self.assertNotEqual(records[b"in-0"].value[2:10], records[b"in-1"].value[2:10], "another schema")
        told = [json.loads(line) for line in self.run_cli("tail", "--from-beginning", self.topic("plot.events"), expect=0,
                                                          options=both).stdout().splitlines()]
        self.assertEqual([line["value"] for line in told], [data, data])

    def test_a_bad_id_in_the_envelope_is_dead(self):
        self.entry("plot.plotsaved", envelope("PlotSaved", {"a": 1}, event_id="a b"), file="x.json")
        self.run_worker("--once", expect=0)
        letter = self.dead()["x.json"]
        self.assertEqual(letter["reason"], "bad_id")
        self.assertTrue(letter["last_error"].startswith("payload.event_id: "))


if __name__ == "__main__":
    harness.main()
