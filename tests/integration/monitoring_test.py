#!/usr/bin/python3
"""deploy/monitoring/: the rules by promtool, their links, and each panel's query asked of a real Prometheus that scrapes a real worker."""

import json
import re
import subprocess
import unittest
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import harness
import postgres
import yaml
from broker import cache_folder
from metrics_test import BAD, PAYLOAD, PUBLISHED

FOLDER = harness.ROOT / "deploy/monitoring"
RULES = FOLDER / "busbridge.rules.yaml"
CASES = sorted(FOLDER.glob("*.test.yaml"))
RUNBOOK = harness.ROOT / "deploy/monitoring/RUNBOOK.md"


def promtool(*words):
    done = subprocess.run([harness.ROOT / "tests/tools/promtool", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        raise unittest.SkipTest(done.stderr.strip().splitlines()[-1])
    return done


def alerts():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


class Rules(unittest.TestCase):
    def setUp(self):
        self.dir = harness.Path(harness.tempfile.mkdtemp(prefix="busbridge-monitoring-"))
        self.addCleanup(harness.shutil.rmtree, self.dir, True)

    def test_promtool_takes_them_and_each_fires_does_not_fire_and_recovers(self):
        checked = promtool("check", "rules", RULES)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        tested = promtool("test", "rules", *CASES)
        self.assertEqual(tested.returncode, 0, tested.stdout + tested.stderr)
        for name in {rule["alert"] for rule in alerts()}:
            stories = ["".join("+" if check["exp_alerts"] else "-" for check in group["alert_rule_test"] if check["alertname"] == name)
                       for file in CASES for group in yaml.safe_load(file.read_text())["tests"]]
            self.assertTrue(any(re.search(r"\+.*-", story) for story in stories), f"{name}: fires and recovers: {stories}")
            self.assertTrue(any("-+" in story for story in stories) or name == "SloBurnSlow", f"{name}: does not fire before: {stories}")

    def mistaken(self, name, changed):
        """What becomes of the tests of this alert with these rules."""
        folder = harness.Path(harness.tempfile.mkdtemp(dir=self.dir))
        (folder / RULES.name).write_text(changed)
        for file in CASES:
            cases = yaml.safe_load(file.read_text())
            cases["tests"] = [group for group in cases["tests"] if any(check["alertname"] == name for check in group["alert_rule_test"])]
            (folder / file.name).write_text(json.dumps(cases))
        return promtool("test", "rules", *(folder / file.name for file in CASES)).returncode

    def test_a_rule_that_never_or_always_fires_is_noticed(self):
        promtool("--version")
        rules, changes = yaml.safe_load(RULES.read_text()), []
        for rule in (rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule):
            right = dict(rule)
            for wrong in ("vector(1) > 2", f"({right['expr']}) or vector(1)"):
                rule["expr"] = wrong
                changes.append((rule["alert"], json.dumps(rules)))
            rule["expr"] = right["expr"]
        self.assertEqual(len(changes), 2 * len(alerts()))
        with ThreadPoolExecutor(2) as pool:
            for (name, _), status in zip(changes, pool.map(lambda change: self.mistaken(*change), changes)):
                self.assertNotEqual(status, 0, name)

    def test_each_has_its_section_and_each_section_its_alert(self):
        runbook = RUNBOOK.read_text()
        sections = re.findall(r"^## (\w+)$", runbook, re.M)
        self.assertEqual(set(sections), {rule["alert"] for rule in alerts()})
        for rule in alerts():
            self.assertEqual(rule["annotations"]["runbook_url"], f"{RUNBOOK.name}#{rule['alert'].lower()}")
            self.assertIn(rule["labels"]["severity"], ("warning", "critical"))

    def test_the_bound_of_the_objective_is_one_of_the_histogram_s(self):
        grid = re.search(r"seconds_grid\[GRID\] = \{(.*?)\}", (harness.ROOT / "bridge/metrics/metrics_prometheus.c").read_text(), re.S).group(1)
        bounds = {int(number) / 1e6 for number in re.findall(r"\d+", grid)}
        used = re.findall(r'le="([\d.]+)"', RULES.read_text())
        self.assertEqual(len(used), 7)
        self.assertLessEqual({float(le) for le in used}, bounds)


class Dashboard(harness.BusTest):
    ROWS = ["Overview", "Throughput by result", "Oldest age and pending", "Latency", "Dead letters by reason", "Kafka client", "Redis", "Database",
            "Process"]

    def setUp(self):
        super().setUp()
        self.dashboard = json.loads((FOLDER / "busbridge.dashboard.json").read_text())
        self.panels = [panel for panel in self.dashboard["panels"] if panel["type"] != "row"]

    def test_rows_are_those_of_the_conventions_and_nothing_lies_over_another(self):
        self.assertEqual([panel["title"] for panel in self.dashboard["panels"] if panel["type"] == "row"], self.ROWS)
        taken, ids = set(), [panel["id"] for panel in self.dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in self.dashboard["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertEqual((cells & taken, max(x for x, _ in cells) < 24), (set(), True), panel["title"])
            taken |= cells
        named = set(re.findall(r"RUNBOOK: ([\w, ]+)", json.dumps(self.dashboard)))
        self.assertLessEqual({word for words in named for word in words.split(", ")}, {rule["alert"] for rule in alerts()})

    def prometheus(self, *targets):
        """One that scrapes these addresses; its own."""
        program = harness.shutil.which("prometheus") or cache_folder() / "prometheus"
        if not harness.os.access(program, harness.os.X_OK):
            self.skipTest("no prometheus: tests/tools/fetch prometheus")
        config, port = self.dir / "prometheus.yml", harness.free_port()
        config.write_text(json.dumps({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}, "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "busbridge", "honor_labels": True, "static_configs": [{"targets": targets}]}]}))
        self.programs.append(harness.Program([str(program), f"--config.file={config}", f"--storage.tsdb.path={self.dir}/tsdb",
                                              f"--web.listen-address=127.0.0.1:{port}"], dict(harness.os.environ), self.dir))
        self.api = f"http://127.0.0.1:{port}/api/v1"
        harness.wait_until(lambda: self.ask('up == 1') or not self.programs[-1].running(), what="the first scrape")
        self.assertTrue(self.programs[-1].running(), self.programs[-1].stderr()[-2000:])

    def ask(self, expression):
        """The numbers that are the answer, not those that are NaN; none while the server does not answer yet."""
        url = f"{self.api}/query?{urllib.parse.urlencode({'query': expression})}"
        try:
            with urllib.request.urlopen(url, timeout=harness.PATIENCE) as answer:
                result = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as refused:
            if refused.code == 503:  # it is starting
                return []
            raise AssertionError(f"{expression}: {refused.read().decode()}") from None
        except urllib.error.URLError:
            return []
        return [sample["value"][1] for sample in result if sample["value"][1] != "NaN"]

    def queries(self):
        variables = {"$job": ".+", "$instance": ".+", "$__rate_interval": "1m"}
        for panel in self.panels:
            self.assertTrue(panel["targets"], panel["title"])
            for target in panel["targets"]:
                expression = re.sub(r"\$\w+", lambda found: variables[found.group()], target["expr"])
                yield f"{panel['title']}: {expression}", expression

    def beside_a_database(self):
        """Another worker, whose outbox is in PostgreSQL."""
        server, port = postgres.Server(fsync=False), harness.free_port()
        self.addCleanup(server.close)
        server.start().migrate()
        server.sql("INSERT INTO busbridge.outbox (name, key, payload) VALUES ('quality.checked', 'c', '{}')", user="application")
        self.start_worker(options={"outbox.url": server.url("relay"), "http.listen": f"127.0.0.1:{port}", "state.dir": str(self.dir / "state"),
                                   "ledger.topic": self.topic("ledger")})
        return f"127.0.0.1:{port}"

    def test_no_panel_is_empty(self):
        self.redis()
        self.create_topic("usecase.events", config={"max.message.bytes": "1000"})  # refuses what is larger: one waits for ever
        port = harness.free_port()
        self.start_worker(options={"http.listen": f"127.0.0.1:{port}", "kafka.statistics.interval.ms": "200", "dlq.max_attempts": "1000"})
        self.prometheus(f"127.0.0.1:{port}", self.beside_a_database())
        self.entry("usecase.executed", {"usecase_name": "u", "request_data": {"x": "y" * 3000}}, id="large")
        for n in range(20):
            self.entry(PUBLISHED, PAYLOAD, id=f"good-{n}")
        self.entry(PUBLISHED, BAD, id="bad")
        empty = dict(self.queries())
        self.assertGreater(len(empty), 50)

        def all_filled():
            for name in [name for name, expression in empty.items() if self.ask(expression)]:
                del empty[name]
            return not empty
        harness.wait_until(all_filled, what=lambda: "empty: " + "\n".join(empty))
        with urllib.request.urlopen(f"{self.api}/rules", timeout=harness.PATIENCE) as answer:
            rules = [rule for group in json.load(answer)["data"]["groups"] for rule in group["rules"]]
        self.assertEqual([(rule["name"], rule["lastError"]) for rule in rules if rule.get("lastError")], [])
        ringing = {rule["name"] for rule in rules if rule["type"] == "alerting" and rule["state"] == "firing"}
        self.assertLessEqual(ringing, {"DeadLetters", "SchemaErrors", "SloBurnFast", "SloBurnSlow", "OldestPendingHigh", "DiskAlmostFull"})
        harness.wait_until(lambda: self.ask('ALERTS{alertname="SchemaErrors", alertstate="firing", namespace="episode"}'), what="it rings")


if __name__ == "__main__":
    harness.main()
