#!/usr/bin/env python3
"""The quickstart's sample outbox, and the check that all of it arrived.

    sample.py lay OUTBOX EXPECTED          lay out the entries as the existing producer writes them; what must come of them as JSON
    sample.py rows EXPECTED [TABLE]        the same as the transactions of an application that has its outbox in a database: SQL
    sample.py ask DATABASE                 runs SQL of its standard input in a SQLite database, prints what it answers
    sample.py grow OUTBOX EXPECTED         one more entry, written in two halves
    sample.py check EXPECTED RECORDS DEAD  records as `busbridge tail -o jsonl` and dead letters as `busbridge list --format json`
                                           print them, against what must have come; exit 1 when anything is missing or wrong
    sample.py show RECORDS                 records a topic, and six of them
"""

import json
import sqlite3
import sys
import time
import uuid
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

TITLES = ["星の海へ 🚀", "雨の日の約束 ☔", "静かな図書館", "最後の手紙 ✉️", "夜明け前 🌅", "帰り道"]
ALIASES = {"episode_written": "episode.written"}
KEY_FIELDS = {"episode": ["episode_id", "id"], "plot": ["plot_id"], "quality": ["content_id", "episode_id"]}


def payloads(number):
    """Every event name the producer emits, with a payload of its fields, for one episode."""
    episode, plot, title = f"ep-{number:03}", f"plot-{number:03}", TITLES[number % len(TITLES)]
    when = "2025-09-22T03:04:05.123456+00:00"
    grammar = {"type": "grammar", "description": f"『{title}』の助詞が重なっています"}
    return [
        ("episode.created", {"episode_id": episode, "title": title, "episode_number": number}),
        ("episode_written", {"id": episode}),
        ("episode.updated", {"episode_id": episode, "changes": {"title": [title, title + "（改）"], "words": 3200 + number}}),
        ("plot.generated", {"plot_id": plot, "episode_number": number, "word_count": 4000 + number, "ai_enhanced": number % 2 == 0,
                            "genre": "ファンタジー", "generated_at": when, "chapter_title": title}),
        ("plot.updated", {"plot_id": plot, "episode_number": None if number == 3 else number, "word_count": 4100 + number,
                          "updated_at": when, "consistency_checked": True,
                          "consistency_issues": [dict(grammar, type="timeline", severity="minor")]}),
        ("plot.validated", {"plot_id": plot, "valid": True, "note": "矛盾なし ✅"}),
        ("quality.checked", {"content_id": episode, "score": 82.5 + number, "check_types": ["grammar", "rhythm"], "passed": True,
                             "issues": [grammar], "detailed_scores": {"grammar": 82.5, "リズム": 90}}),
        ("quality.checked_via_usecase", {"episode_id": episode, "check_id": f"check-{number}", "score": 71.25, "passed": number > 1,
                                         "via_usecase": True}),
        ("quality.check_failed", {"episode_id": episode, "error": "検査器が応答しません", "via_usecase": True}),
        ("quality.improved", {"content_id": episode, "before": 71.25, "after": 82.5}),
        ("usecase.executed", {"usecase_name": "write_episode", "success": True, "request_data": {"episode": number, "tags": ["🌟", None]},
                              "response_data": {"path": f"原稿/{episode}.md"}}),
        ("usecase.failed", {"usecase_name": "publish_episode", "error": "タイムアウト", "request_data": {"episode": number}}),
        ("episode.published", {"episode_id": episode, "publication_id": f"pub-{number}", "format_type": "epub", "published_at": when,
                               "include_metadata": True}),
    ]


def entry(event_id, name, payload, created, storage_key=None):
    """One entry's text: the ten keys in the producer's order, UTF-8 left as it is, no newline at the end."""
    return json.dumps({
        "id": event_id, "name": name, "payload": payload, "created_at": created.isoformat(), "attempts": 0, "dispatched_at": None,
        "last_error": None, "failed_at": None, "status": "pending", "storage_key": storage_key or event_id}, ensure_ascii=False)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def record_of(event_id, name, payload):
    canonical = ALIASES.get(name, name)
    namespace = canonical.split(".")[0]
    fields = [field for field in KEY_FIELDS.get(namespace, []) if payload.get(field)]
    return {"name": canonical, "topic": namespace + ".events", "key": payload[fields[0]] if fields else event_id, "payload": payload}


def lay(outbox, expected_file):
    (outbox / "pending").mkdir(parents=True)
    created = datetime.now(timezone.utc) - timedelta(minutes=10)
    expected, last = {"records": {}, "dead": {}}, None
    for number in range(1, 6):
        for name, payload in payloads(number):
            event_id, created = str(uuid.uuid4()), created + timedelta(milliseconds=137)
            folder = outbox / "pending" if name == "plot.validated" else outbox
            write(folder / f"{event_id}.json", entry(event_id, name, payload, created))
            expected["records"][event_id] = record_of(event_id, name, payload)
            last = event_id, name, payload
    event_id, name, payload = last
    write(outbox / f"{event_id}__1.json", entry(event_id, name, payload, created, f"{event_id}__1"))
    write(outbox / "cut-short.json", '{"id": "cut-short", "name": "episode.created", "payload": {"episode_id": "ep-0')
    expected["dead"]["cut-short"] = "not_json"
    event_id = str(uuid.uuid4())
    write(outbox / f"{event_id}.json", entry(event_id, "quality.checked", {
        "content_id": "ep-001", "score": "とても良い", "check_types": [], "passed": True, "issues": []}, created))
    expected["dead"][event_id] = "schema_mismatch"
    expected_file.write_text(json.dumps(expected, ensure_ascii=False), encoding="utf-8")
    print(f"{len(expected['records'])} events of 13 names, one of them twice under one id, one file that is not JSON, "
          "one payload that does not fit its schema")


def insert(event_id, name, key, payload):
    values = ", ".join("'" + text.replace("'", "''") + "'" for text in (event_id, name, key, json.dumps(payload, ensure_ascii=False)))
    return f"INSERT INTO busbridge.outbox (id, name, key, payload) VALUES ({values});"


def ask(database):
    """With the patience that an application needs beside a worker."""
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as db:
        for statement in sys.stdin.read().split(";\n"):
            for row in db.execute(statement):
                print(*row)


def rows(expected_file, table="busbridge.outbox"):
    """A transaction for each episode; one under an id that was there, one that does not fit its schema, and one that is rolled back."""
    expected, lines = {"records": {}, "dead": {}}, []
    for number in range(1, 6):
        lines.append("BEGIN;")
        for name, payload in payloads(number):
            event_id, record = str(uuid.uuid4()), None
            expected["records"][event_id] = record = record_of(event_id, name, payload)
            lines.append(insert(event_id, name, record["key"], payload))
        lines.append("COMMIT;")
    lines.append(insert(event_id, name, record["key"], payload))
    event_id = str(uuid.uuid4())
    lines.append(insert(event_id, "quality.checked", "ep-001", {"content_id": "ep-001", "score": "とても良い", "check_types": [], "passed": True, "issues": []}))
    expected["dead"][event_id] = "schema_mismatch"
    lines += ["BEGIN;", insert("never-was", "episode.created", "ep-007", {"episode_id": "ep-007", "title": TITLES[0], "episode_number": 7}), "ROLLBACK;"]
    expected_file.write_text(json.dumps(expected, ensure_ascii=False), encoding="utf-8")
    print("\n".join(lines).replace("busbridge.outbox", str(table)))
    print(f"{len(expected['records'])} events of 13 names in 5 transactions, one of them twice under one id, one payload that does not fit "
          "its schema, one transaction rolled back", file=sys.stderr)


def grow(outbox, expected_file):
    """Not atomically, as the producer writes: half of it, a moment later the rest."""
    expected = json.loads(expected_file.read_text(encoding="utf-8"))
    event_id, payload = str(uuid.uuid4()), {"episode_id": "ep-006", "title": TITLES[0], "episode_number": 6}
    text = entry(event_id, "episode.created", payload, datetime.now(timezone.utc))
    with open(outbox / f"{event_id}.json", "w", encoding="utf-8") as file:
        file.write(text[:len(text) // 2])
        file.flush()
        time.sleep(0.5)
        file.write(text[len(text) // 2:])
    expected["records"][event_id] = record_of(event_id, "episode.created", payload)
    expected_file.write_text(json.dumps(expected, ensure_ascii=False), encoding="utf-8")


def read_records(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def event_id_of(record):
    return record["headers"]["ce_id"]


def without_nulls(value):
    return {key: item for key, item in value.items() if item is not None}


def wrong_records(expected, records):
    seen, order = {}, {}
    for record in records:
        event_id = event_id_of(record)
        want = expected.get(event_id)
        if want is None:
            yield f"{event_id}: nobody wrote it"
            continue
        if event_id in seen:
            yield f"{event_id}: came twice"
        seen[event_id] = record
        if (record["topic"], record["key"]) != (want["topic"], want["key"]):
            yield f"{event_id}: in {record['topic']} under {record['key']}, expected {want['topic']} under {want['key']}"
        if record["headers"].get("ce_type") != want["name"]:
            yield f"{event_id}: is called {record['headers'].get('ce_type')}, expected {want['name']}"
        if without_nulls(record["value"]) != without_nulls(want["payload"]):
            yield f"{event_id}: holds {record['value']}, expected {want['payload']}"
        order.setdefault((record["topic"], record["key"]), []).append((record["offset"], event_id))
    for event_id in expected.keys() - seen.keys():
        yield f"{event_id}: never arrived"
    place = {event_id: number for number, event_id in enumerate(expected)}
    for (topic, key), offsets in order.items():
        arrived = [place[event_id] for _, event_id in sorted(offsets)]
        if arrived != sorted(arrived):
            yield f"{topic}: the events of {key} are out of order"


def wrong_dead(expected, dead):
    seen = {letter["id"]: letter.get("reason") for letter in dead}
    for event_id in expected.keys() | seen.keys():
        if seen.get(event_id) != expected.get(event_id):
            yield f"dead letter {event_id}: {seen.get(event_id)}, expected {expected.get(event_id)}"


def check(expected_file, records_file, dead_file):
    expected = json.loads(expected_file.read_text(encoding="utf-8"))
    records, dead = read_records(records_file), json.loads(dead_file.read_text(encoding="utf-8"))
    faults = [*wrong_records(expected["records"], records), *wrong_dead(expected["dead"], dead)]
    for fault in faults:
        print(fault)
    print(f"Read back: {len(records)} records and {len(dead)} dead letters, of {len(expected['records'])} and "
          f"{len(expected['dead'])} expected; " + (f"{len(faults)} wrong" if faults else "each once, in order, equal to what was written"))
    return 1 if faults else 0


def show(records_file):
    records = read_records(records_file)
    topics = {}
    for record in records:
        topics.setdefault(record["topic"], []).append(record)
    for topic in sorted(topics):
        print(f"  {topic:16} {len(topics[topic]):3} records in {len({r['partition'] for r in topics[topic]})} partitions")
    print()
    for topic in sorted(topics):
        for record in {r["headers"]["ce_type"]: r for r in topics[topic]}.values():
            if record["headers"]["ce_type"] not in ("episode.created", "episode.written", "plot.updated", "quality.checked",
                                                    "quality.improved", "usecase.executed"):
                continue
            print(f"  {topic} partition {record['partition']} offset {record['offset']} key {record['key']}")
            print("    " + " ".join(f"{name}={value}" for name, value in record["headers"].items()))
            print("    " + json.dumps(record["value"], ensure_ascii=False))


def main(words):
    commands = {"lay": (lay, 2), "rows": (rows, 1), "ask": (ask, 1), "grow": (grow, 2), "check": (check, 3), "show": (show, 1)}
    command, count = commands.get(words[0] if words else "", (None, 0))
    if command is None or len(words) - (command is rows and len(words) == 3) != count + 1:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    return command(*map(Path, words[1:])) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
