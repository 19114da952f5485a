"""What must be true of a run, judged from outside: the producer's own list against the topics, dlq/ and the outbox.

The list (writer.py) says what was attempted and what was accepted: an entry is accepted once it was renamed into its place and
the folder was synced. One that its producer itself replaced by a newer one of the same name may be there once, or not at all. The
topics are read by kcat, read_committed, up to their ends. Invariants, by the names the project gives them:

  I1  accepted = committed + dead + pending: nothing is lost
  I2  each entry is committed once (each id, where ids_once says that something remembers them)
  I3  no entry is both committed and dead
  I4  per key, the order of commits is the order of writing; ids that were replayed, or whose file times others changed, aside
  I5  nothing unexpected: no strange id, no poison published, no good event dead, no strange file
  I6  the decoded value equals the payload that was written; all records of one id are the same; a dead letter has the bytes that were written
  I7  a refused event is dead after max_attempts counted ones, others are never charged
  I9  everything is settled in the end (drained=True: nothing may be pending)
  I10 a batch is committed whole or not at all: see judge_whole()
"""

import json
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
import harness  # noqa: E402
import writer  # noqa: E402
from relay_test import decode, without_null  # noqa: E402

PUBLISHED, CHARGED = ("good", "large"), ("refused", "large")  # kinds of entries, see writer.py
DECODED = 500  # values decoded a judgement: a sample of more
FIGURES = ("attempted", "accepted", "committed", "dead", "pending", "lost", "duplicated", "reordered")


def drain(bootstrap, topics):
    """All committed records of these topics by topic, partition and offset, as another client sees them."""
    records = []
    for topic in topics:
        records += sorted(harness.parse_kcat(harness.kcat(bootstrap, topic)), key=lambda r: (r.partition, r.offset))
    return records


def record_id(record):
    return record.headers.get("ce_id", b"").decode()


def read_list(path):
    """The producer's list: its entries in the order of writing."""
    entries = {}
    for line in Path(path).read_text().splitlines():
        said = json.loads(line)
        if said["do"] == "attempt":
            entries[said["file"], said["id"]] = {**said, "accepted": False, "replaced": False, "rolled": False}
        else:
            entries[said["file"], said["id"]][{"accept": "accepted"}.get(said["do"], said["do"])] = True
    return list(entries.values())


def name_of(file, content):
    """The id an entry stands for; files that do not parse are known by their stem, events in an envelope by its id."""
    inside = isinstance(content, dict) and isinstance(content.get("payload"), dict) and content["payload"].get("event_id")
    if inside:
        return inside
    own = isinstance(content, dict) and (content.get("id") or content.get("message_id"))
    return own or file[:-5]


class Judgement:
    def __init__(self):
        self.figures = Counter()
        self.faults = []  # (invariant, words)

    def fault(self, invariant, words):
        self.faults.append((invariant, words))

    def add(self, other):
        self.figures.update(other.figures)
        self.faults += other.faults

    def line(self):
        return " ".join(f"{word}={self.figures[word]}" for word in FIGURES)

    def complain(self, most=20):
        rows = [f"  {invariant}: {words}" for invariant, words in self.faults[:most]]
        return "\n".join(rows + [f"  ... and {len(self.faults) - most} more"] * (len(self.faults) > most))


class Case:
    """One outbox (stores.py) and what was found of it."""

    def __init__(self, entries, records, store, tag):
        self.entries, self.store = entries, store
        self.records = [r for r in records if record_id(r).startswith(tag + "-")]
        self.by_id = defaultdict(list)
        for entry in entries:
            self.by_id[entry["id"]].append(entry)
        self.committed = Counter(record_id(r) for r in self.records)
        self.waiting, self.letters = store.waiting(), store.letters()
        self.pending = Counter(name_of(*item) for item in self.waiting.items())
        self.dead = Counter(name_of(*item) for item in self.letters.items())

    def go_by(self, register):
        """What the database has of the producer's transactions, once it lost what it may lose: these were committed, all others never."""
        for entry in self.entries:
            entry["accepted"] = entry["file"] in register
            entry["rolled"] = not entry["accepted"]


def judge(case, *, ids_once=True, max_attempts=5, drained=True, replayed=(), unordered=(), again=None, older=(), destroyed=(), seed=0):
    """again: how often others brought an entry of that id back when none was there. older: ids of entries and dead letters of a backup that came
    back, after which it was found out what had been published. destroyed: ids that others took away."""
    j = Judgement()
    j.figures.update(attempted=len(case.entries), accepted=sum(e["accepted"] for e in case.entries), lost=0, duplicated=0, reordered=0,
                     committed=sum(case.committed.values()), dead=sum(case.dead.values()), pending=sum(case.pending.values()))
    judge_fates(case, j, ids_once, set(replayed), again or Counter(), set(older), set(destroyed))
    judge_order(case, j, {*replayed, *unordered})
    judge_content(case, j)
    judge_values(case, j, random.Random(seed))
    judge_attempts(case, j, max_attempts)
    judge_files(case, j)
    if drained and case.pending:
        j.fault("I9", f"{sum(case.pending.values())} entries are still pending: {sorted(case.pending)[:5]}")
    return j


def judge_fates(case, j, ids_once, replayed, again, older, destroyed):
    for id, entries in case.by_id.items():
        accepted = [e for e in entries if e["accepted"] and not e["replaced"]]
        committed, dead, pending = case.committed[id], case.dead[id], case.pending[id]
        kind = entries[0]["kind"]
        if all(e["rolled"] for e in entries) and committed + dead + pending:
            j.fault("I5", f"{id} ({kind}) was rolled back and is {committed} times committed, {dead} times dead, {pending} times pending")
        if accepted and id not in destroyed and not committed + dead + pending:
            j.figures["lost"] += 1
            j.fault("I1", f"{id} ({kind}) was accepted and is nowhere")
        written = sum(not e["rolled"] for e in entries) + again[id]
        most = 1 if ids_once else written
        if committed > most and id not in replayed:
            j.figures["duplicated"] += committed - most
            j.fault("I2", f"{id} ({kind}) is committed {committed} times, {written} entries had it")
        if committed and dead and written == 1 or dead > written + (id in older):
            j.fault("I3", f"{id} is {committed} times committed and {dead} times dead")
        if committed and kind not in PUBLISHED:
            j.fault("I5", f"{id} ({kind}) was published")
        if dead and kind in PUBLISHED:
            j.fault("I5", f"{id} is dead: " + next(str((c or {}).get("last_error")) for f, c in case.letters.items() if name_of(f, c) == id))
    for id in {*case.committed, *case.dead, *case.pending} - set(case.by_id):
        j.fault("I5", f"{id} was never written by the producer")


def judge_order(case, j, aside):
    seen, last, homes = set(), {}, {}
    for r in case.records:
        id = record_id(r)
        if id not in case.by_id or id in aside:
            continue
        entry = case.by_id[id][0]
        if r.key != entry["key"].encode():
            j.fault("I6", f"{id} has the key {r.key}, not {entry['key']}")
        place, chain = (r.topic, r.partition), (r.topic, entry["key"])
        if homes.setdefault(chain, place) != place:
            j.fault("I4", f"key {entry['key']} is in partitions {homes[chain]} and {place}")
        if id in seen:
            continue
        seen.add(id)
        if entry["seq"] < last.get(chain, (-1, ""))[0]:
            j.figures["reordered"] += 1
            j.fault("I4", f"key {entry['key']}: {id} at {r.topic}/{r.partition}/{r.offset} comes after {last[chain][1]}")
        last[chain] = max(last.get(chain, (-1, "")), (entry["seq"], id))


def judge_content(case, j):
    """Every record and every dead letter, by hashes of their bytes."""
    first = {}
    for r in case.records:
        what = r.key, r.headers.get("ce_type"), hash(r.value)
        if first.setdefault(record_id(r), what) != what:
            j.fault("I6", f"{record_id(r)} was published with two contents, {first[record_id(r)]} and {what}")
    for file, content in case.letters.items():
        known = {e["content"] for e in case.by_id.get(name_of(file, content), [])}
        if known and case.store.content_of(file, content) not in known:
            j.fault("I6", f"dead letter {file} has not the content that was written")


def judge_values(case, j, rng):
    known = [r for r in case.records if case.by_id.get(record_id(r), [{}])[0].get("payload")]
    for r in known if len(known) <= DECODED else rng.sample(known, DECODED):
        written = case.by_id[record_id(r)][0]["payload"]
        read = decode(r)
        if read != without_null(written):
            j.fault("I6", f"{record_id(r)}: {str(read)[:200]} is not what was written, {str(written)[:200]}")


def judge_attempts(case, j, max_attempts):
    kinds = {id: entries[0]["kind"] for id, entries in case.by_id.items()}
    for file, content in case.letters.items():
        wanted = max_attempts if kinds.get(name_of(file, content)) == "refused" else 1
        if not content or content.get("attempts") != wanted:
            j.fault("I7", f"dead letter {file}: {(content or {}).get('attempts')} attempts, not {wanted}")
    for file, content in case.waiting.items():
        id = name_of(file, content)
        if content and kinds.get(id) not in CHARGED and content.get("attempts"):
            j.fault("I7", f"{file} was charged {content['attempts']} attempts: {content.get('last_error')}")


def judge_files(case, j):
    for words in case.store.strange(case.letters):
        j.fault("I5", words)


def judge_logs(case, j, programs):
    """What workers say of themselves: nobody but a refused event was charged, no crash (I7, I8)."""
    kinds = {id: entries[0]["kind"] for id, entries in case.by_id.items()}
    for program in programs:
        for line in program.logs("event_refused"):
            if "repeated" in line:  # a sum of lines that were left out
                continue
            if kinds.get(line.get("id")) not in CHARGED:
                j.fault("I7", f"{line.get('id')} was charged: {line.get('error')}")
        if program.process.returncode is not None and program.process.returncode in (-6, -7, -8, -11):
            j.fault("I8", f"{program.name} {program.pid} ended by signal {-program.process.returncode}: {program.stderr()[-800:]}")


def judge_whole(case, j):
    """I10: of the ids of one batch all are committed, or none. For a dead worker's outbox, before the next one starts; a commit
    that is under way is not seen in all partitions at once."""
    for name, ids in case.store.batches().items():
        found = set(case.committed) & set(ids)
        if found and found != set(ids):
            j.fault("I10", f"{name}: of {len(ids)} only {len(found)} are committed, not {sorted(set(ids) - found)[:5]}")
