"""Metrics: they add up whatever happens, Prometheus takes them, percentiles outlive the worker."""

import json
import re
import subprocess

import harness
from harness import ROOT, BusTest, wait_until

PUBLISHED = "episode.published"
PAYLOAD = {"episode_id": "ep-1", "publication_id": "p-1", "format_type": "epub", "published_at": "2025-09-22T03:04:05+00:00",
           "include_metadata": True}
BAD = {"episode_id": "ep-1", "publication_id": 7, "format_type": [], "published_at": 1, "include_metadata": "no"}
SAMPLE = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')


def parse(text):
    """{(name, ((label, value), ...)): number}, strictly: HELP and TYPE once and first, families together, no doubles, histograms whole."""
    samples, types, current, ended = {}, {}, None, set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in ended and name != current, line
            ended.add(current)
            current = name
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current and name not in types and kind in ("counter", "gauge", "histogram"), line
            assert (kind == "counter") == name.endswith("_total"), line
            types[name] = kind
            continue
        match = SAMPLE.match(line)
        assert match, line
        name, raw, number = match.groups()
        family = re.sub("_(bucket|sum|count)$", "", name) if types.get(current) == "histogram" else name
        assert family == current and family in types, line
        labels = LABEL.findall(raw or "")
        assert "".join(f'{k}="{v}",' for k, v in labels).rstrip(",") == (raw or "").rstrip(","), line
        key = (name, tuple(sorted(labels)))
        assert key not in samples, line
        samples[key] = float(number)
    for name, kind in types.items():
        if kind == "histogram":
            check_histogram(name, samples)
    return samples


def check_histogram(name, samples):
    buckets = [(float(dict(labels)["le"]), n) for (n_, labels), n in samples.items() if n_ == name + "_bucket"]
    assert buckets == sorted(buckets) and buckets[-1][0] == float("inf"), name
    assert [n for _, n in buckets] == sorted(n for _, n in buckets), name
    assert buckets[-1][1] == samples[(name + "_count", ())] and (name + "_sum", ()) in samples, name


class MetricsTest(BusTest):
    def scrape(self):
        return parse(self.run_cli("metrics", "-o", "prometheus", expect=0).stdout())

    def total(self, samples, name, **labels):
        wanted = set(labels.items())
        return sum(n for (n_, have), n in samples.items() if n_ == "busbridge_" + name and wanted <= set(have))

    def terms(self, samples=None):
        samples = samples or self.scrape()
        results = {r: self.total(samples, "events_total", result=r) for r in ("published", "duplicate", "dead", "vanished")}
        return {"found": self.total(samples, "found_total"), "replayed": self.total(samples, "replayed_total"),
                "pending": self.total(samples, "pending_events"), **results}

    def balance(self, then=None):
        """The terms; they must add up, as growth since `then`."""
        now, then = self.terms(), then or {}
        grown = {key: value - then.get(key, 0) for key, value in now.items()}
        self.assertEqual(grown["found"] + grown["replayed"], sum(grown[k] for k in ("published", "duplicate", "dead", "vanished", "pending")),
                         grown)
        return now

    def account(self):
        return self.json("metrics")["account"]

    def json(self, *arguments):
        return json.loads(self.run_cli(*arguments, "-o", "json", expect=0).stdout())

    def ready(self, worker):
        wait_until(lambda: (self.outbox / ".busbridge/control.sock").exists() or not worker.running(), what="control socket")
        return worker

    def settled(self, count=0):
        wait_until(lambda: len(self.pending()) == count, what=f"{count} pending")

    def expect(self, **wanted):
        """The terms come to be these, and add up: an entry is counted a moment after its file is gone."""
        def terms():
            now = self.terms()
            return {key: now[key] for key in wanted}
        wait_until(lambda: terms() == wanted, what=lambda: f"{terms()} is not {wanted}")
        self.balance()


class Balance(MetricsTest):
    def good(self, n=1, **over):
        return [self.entry(PUBLISHED, PAYLOAD, **over) for _ in range(n)]

    def test_they_add_up_whatever_becomes_of_the_entries(self):
        self.redis()
        self.good(20)
        twin = self.good()[0]
        self.entry(PUBLISHED, BAD, id="bad-1")
        self.entry("nowhere.thing", {}, id="bad-2")
        self.write("half.json", b'{"id": ')
        self.create_topic("usecase.events", config={"max.message.bytes": "1000"})  # the broker refuses what is larger
        self.entry("usecase.executed", {"usecase_name": "u", "request_data": {"x": "y" * 3000}}, id="large")
        worker = self.ready(self.start_worker(options={"outbox.settle": "100ms", "dlq.max_attempts": "2", "flush.interval": "1s"}))
        self.settled()
        self.expect(found=25, published=21, dead=4, duplicate=0, vanished=0, pending=0)
        self.assertEqual(self.total(self.scrape(), "events_total", result="retried"), 1)
        # a duplicate, by Redis
        self.entry(PUBLISHED, PAYLOAD, id=twin, storage_key="again")
        self.settled()
        self.expect(found=26, duplicate=1)
        # replayed, and dead again; purged (also behind its back)
        self.run_cli("replay", "bad-1", expect=0)
        wait_until(lambda: self.terms()["dead"] == 5, what="dead again")
        self.expect(found=26, replayed=1, dead=5, pending=0)
        (self.outbox / "dlq" / "bad-2.json").unlink(missing_ok=True)
        self.expect(dead=5)
        self.run_cli("flush", expect=0)
        self.assertTrue(self.account()["balanced"])
        # a clean end: the account goes on, also with what comes and goes while no worker is there
        self.assertEqual(worker.stop(), 0)
        since = self.account()["since"]
        self.good(3)
        self.expect(found=29, pending=3)
        self.ready(self.start_worker())
        self.settled()
        self.expect(found=29, published=24, vanished=0, pending=0)
        self.assertEqual(self.account()["since"], since)

    def test_what_others_take_away_has_vanished(self):
        ids = self.good(6)
        away = {"flush.interval": "1s", "kafka.bootstrap.servers": "127.0.0.1:1", "delivery.guarantee": "at_least_once",
                "shutdown.drain_timeout": "1s"}
        worker = self.ready(self.start_worker(options=away))
        wait_until(lambda: self.terms()["pending"] == 6, what="six pending")
        self.run_cli("replay", "--force", ids[0], expect=None)  # pending already: nothing comes back
        self.expect(found=6, replayed=0, published=0, pending=6)
        for entry in ids[:2]:
            (self.outbox / f"{entry}.json").unlink()
        wait_until(lambda: self.terms()["vanished"] == 2, what="two vanished")
        self.expect(found=6, pending=4)
        self.assertEqual(worker.stop(), 0)
        self.ready(self.start_worker())
        self.settled()
        wait_until(lambda: self.terms()["published"] == 4, what="the rest is published")
        self.expect(found=6, vanished=2, pending=0)

    def test_a_new_account_begins_after_a_kill(self):
        self.good(5)
        worker = self.ready(self.start_worker())
        self.settled()
        self.expect(published=5)
        before = self.balance()
        since = self.account()["since"]
        worker.kill()
        (self.outbox / ".busbridge/control.sock").unlink()
        self.assertIsNone(self.account())
        self.good(4)
        self.ready(self.start_worker(options={"flush.background": "false"}))
        self.run_cli("flush", "--limit", "1", expect=None)
        account = wait_until(lambda: self.account(), what="the account")
        self.assertNotEqual(account["since"], since)
        self.assertTrue(account["balanced"], account)
        self.assertEqual(account["pending_then"], 4)
        then = {"found": self.terms()["found"] - account["found"], "published": before["published"] if account["published"] == 1 else -1,
                "pending": 4}
        self.run_cli("flush", expect=0)
        account = self.account()
        self.assertEqual((account["pending_then"], account["published"], account["pending"], account["balanced"]), (4, 4, 0, True), then)


class FromTheStart(MetricsTest):
    COUNTERS = ("busbridge_events_total", "busbridge_dead_total", "busbridge_commands_total", "busbridge_redis_operations_total")

    def counters(self):
        return {key: n for key, n in self.scrape().items() if key[0] in self.COUNTERS}

    def test_every_counter_stands_at_0_before_its_first_event_and_none_appears_with_one(self):
        self.redis()
        self.options["routing.namespaces"] = "episode quality shop-2"
        reasons = set(re.findall(r'X\([A-Z0-9_]+,\s*"(\w+)"', (ROOT / "bridge/event/event.h").read_text())) - {"none"}
        self.assertGreater(len(reasons), 15)
        self.ready(self.start_worker(options={"outbox.settle": "100ms", "flush.interval": "1s"}))
        first = self.counters()
        for ns in ("episode", "quality", "shop-2", "none"):
            results = {dict(labels)["result"]: n for (name, labels), n in first.items() if name == "busbridge_events_total" and dict(labels)["namespace"] == ns}
            self.assertEqual(results, dict.fromkeys(("published", "duplicate", "retried", "dead", "vanished"), 0.0), ns)
            dead = {dict(labels)["reason"]: n for (name, labels), n in first.items() if name == "busbridge_dead_total" and dict(labels)["namespace"] == ns}
            self.assertEqual(dead, dict.fromkeys(reasons, 0.0), ns)
        self.entry(PUBLISHED, PAYLOAD, id="a")
        self.entry(PUBLISHED, BAD, id="bad")
        self.entry("bogus.created", {}, id="c")
        self.write("half.json", b'{"id": ')
        self.settled()
        self.entry(PUBLISHED, PAYLOAD, id="a", file="again.json")
        self.settled()
        wait_until(lambda: self.total(self.scrape(), "events_total", result="duplicate") == 1, what="it is counted")
        for words in (["list"], ["show", "bad"], ["replay", "bad"], ["flush"], ["health"], ["metrics"], ["config"], ["pause"], ["resume"],
                      ["purge", "--all", "--yes"], ["replay", "nobody"]):
            self.run_cli(*words)
        last = self.counters()
        self.assertEqual(set(last) - set(first), set())
        self.assertGreaterEqual(sum(last.values()) - sum(first.values()), 12)
        self.assertEqual(self.total(last, "events_total", result="duplicate"), 1)


class Form(MetricsTest):
    def test_prometheus_takes_them(self):
        self.entry(PUBLISHED, PAYLOAD)
        self.entry(PUBLISHED, BAD)
        self.redis()
        self.ready(self.start_worker(options={"kafka.statistics.interval.ms": "100"}))
        self.settled()
        wait_until(lambda: self.total(self.scrape(), "kafka_topic_messages_total") >= 1, what="librdkafka's figures")
        self.run_cli("list", expect=0)
        text = self.run_cli("metrics", "-o", "prometheus", expect=0).stdout()
        samples = parse(text)
        self.assertTrue([n for (name, _), n in samples.items() if name == "busbridge_dlq_events"])
        self.assertEqual({name for name, _ in samples if "kafka_broker_up" in name}, {"busbridge_kafka_broker_up"})
        self.assertEqual([n for (name, _), n in samples.items() if name == "busbridge_build_info"], [1])
        wanted = re.findall(r'X\(\w+, "(\w+)"', (ROOT / "bridge/metrics/metrics.h").read_text())
        shown = {re.sub("^busbridge_", "", name) for name, _ in samples} | {re.sub("^busbridge_|_count$", "", name) for name, _ in samples}
        elsewhere = {name for name in wanted if re.match("outbox_(step|dead|lease|connect)", name)}  # of databases: integration.operating
        self.assertEqual(set(wanted) - shown - elsewhere - {"oldest_pending_timestamp_seconds", "registry_requests_total"}, set())  # no entry waits, no registry is set
        done = subprocess.run([ROOT / "tests/tools/promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=300)
        if done.returncode == 77:
            self.skipTest(done.stderr.strip().splitlines()[-1])
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_promtool_that_is_not_there_is_told_and_nothing_is_fetched(self):
        for name in ("bash", "env", "dirname", "readlink"):
            (self.dir / name).symlink_to(harness.shutil.which(name))
        done = subprocess.run([ROOT / "tests/tools/promtool", "check", "metrics"], input="", capture_output=True, text=True,
                              env={"PATH": str(self.dir), "BUSBRIDGE_CACHE": str(self.dir / "cache")})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (77, "", "no promtool: tests/tools/fetch promtool\n"))

    def test_dead_letters_are_counted_by_namespace_and_reason_whoever_takes_them_away(self):
        for n in range(3):
            self.entry(PUBLISHED, BAD, id=f"b{n}")
        self.write("half.json", b'{"id": ')
        dead = lambda **labels: self.total(self.scrape(), "dlq_events", **labels)  # noqa: E731
        worker = self.ready(self.start_worker(options={"outbox.settle": "100ms", "flush.interval": "1s"}))
        wait_until(lambda: (dead(namespace="episode", reason="schema_mismatch"), dead(namespace="none", reason="not_json"), dead()) == (3, 1, 4),
                   what="four dead letters")
        self.run_cli("purge", "b0", "--yes", expect=0)
        self.run_cli("replay", "half", expect=0)  # and dead again
        (self.outbox / "dlq/b1.json").unlink()  # by nobody we know
        wait_until(lambda: dead() == len(self.dead()) and len(self.dead()) <= 3, what="what is there")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(dead(), len(self.dead()))  # read without a worker

    def test_percentiles_outlive_the_worker_and_reset_leaves_the_counters(self):
        for _ in range(5):
            self.entry(PUBLISHED, PAYLOAD)
        worker = self.ready(self.start_worker())
        self.settled()
        self.expect(published=5)
        before = self.json("metrics")
        self.assertEqual((before["events"]["total"], before["counters"]["published"]), (5, 5))
        self.assertGreater(before["events"]["p95_ms"], 0)
        self.assertEqual(worker.stop(), 0)
        for again in (self.json("metrics"), self.ready(self.start_worker()) and self.json("metrics")):
            self.assertEqual((again["since"], again["events"]), (before["since"], before["events"]))
        self.assertEqual(self.json("metrics", "--reset")["events"], before["events"])
        after = self.json("metrics")
        self.assertEqual((after["events"]["total"], after["events"]["p95_ms"], after["counters"]["published"]), (0, 0, 5))
        self.assertGreater(after["since"], before["since"])


if __name__ == "__main__":
    harness.main()
