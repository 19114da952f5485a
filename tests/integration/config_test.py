"""busbridge config and schema: what is in force and from where, nothing secret, and what would be refused."""

import json

import harness
from cli_test import CliTest
from harness import ROOT

SECRET = "hunter2"


class Config(CliTest):
    def file(self, text, name="bus.conf"):
        path = self.dir / name
        path.write_text(text)
        return str(path)

    def rows(self, *arguments, **more):
        return {r["key"]: r for r in self.json_of("config", *arguments, "-o", "json", expect=0, **more)}

    def test_each_value_says_where_it_comes_from(self):
        file = self.file("# comment\nflush.interval = 5s\nredis.ttl = 1d\n")
        rows = self.rows("-c", file, "--changed", env={"BUSBRIDGE_REDIS_TTL": "2d"})
        self.assertEqual((rows["flush.interval"]["value"], rows["flush.interval"]["source"]), ("5s", f"{file}:2"))
        self.assertEqual((rows["redis.ttl"]["value"], rows["redis.ttl"]["source"]), ("2d", "BUSBRIDGE_REDIS_TTL"))
        self.assertEqual(rows["redis.url"]["source"], "-X")
        self.assertNotIn("flush.background", rows)
        self.assertIn("flush.background", self.rows())
        self.assertFalse((self.outbox / ".busbridge").exists(), "looking changes nothing")

    def test_forms_and_keys(self):
        self.assertEqual(self.run_cli("config", "flush", "-o", "name", expect=0).stdout().split(),
                         ["flush.interval", "flush.background"])
        self.assertEqual(list(self.rows("redis.ttl", "flush.interval")), ["redis.ttl", "flush.interval"])
        table = self.run_cli("bus", "config", "flush.interval", "-o", "wide", expect=0).stdout().splitlines()
        self.assertRegex(table[0], "^KEY +VALUE +SOURCE +DEFAULT +TYPE +RELOAD +HELP$")
        self.assertRegex(table[1], "^flush.interval +30s +default +30s +duration +yes +How often")
        self.assertEqual(len(self.run_cli("config", "redis", "-o", "jsonl", expect=0).stdout().splitlines()), 5)
        self.assertIn("did you mean flush.interval?", self.run_cli("config", "flush.intervl", expect=2).stderr())
        self.assertIn("did you mean check?", self.run_cli("config", "chekc", expect=2).stderr())
        self.assertIn("did you mean --changed?", self.run_cli("config", "--changd", expect=2).stderr())
        self.assertIn("its default", self.run_cli("config", "flush", "--changed", expect=3).stderr())

    def test_no_secret_is_shown(self):
        file = self.file(f"kafka.sasl.password = {SECRET}\nredis.url = redis://u:{SECRET}@h/0\n")
        for form in ("table", "wide", "json", "jsonl", "name"):
            shown = self.run_cli("-c", file, "config", "-o", form, expect=0, options={"redis.url": None})
            self.assertNotIn(SECRET, shown.stdout() + shown.stderr())
        self.assertIn("***", self.run_cli("-c", file, "config", "kafka.sasl.password", expect=0).stdout())

    def test_a_worker_tells_its_own_and_what_differs_here_is_said(self):
        file = self.file("flush.interval = 5s\nredis.timeout = 300ms\n")
        self.worker(**{"encoding.strict": "true"})
        shown = self.run_cli("-c", file, "config", "flush.interval", "-o", "json", expect=0)
        self.assertEqual(json.loads(shown.stdout())[0]["value"], "30s")
        self.assertIn(f"flush.interval of the worker is 30s (default); here it is 5s ({file}:1); "
                      "it takes over what its file says by SIGHUP", shown.stderr())
        self.assertRegex(shown.stderr(), "redis.timeout of the worker is 250ms .* by a restart")
        self.assertRegex(shown.stderr(), "encoding.strict of the worker is true .-X.; here it is false .default.")

    def test_worker_doctor_and_check_agree_on_what_librdkafka_is_told(self):
        for guarantee in ("exactly_once", "at_least_once"):
            for key, value, said in (("delivery.report.only.error", "true", "published again"), ("topic.blacklist", ".*", "wait for ever"),
                                     ("internal.termination.signal", "9", "end the worker"), ("transaction.timeout.ms", "1000", "5000 to 900000")):
                options = {"delivery.guarantee": guarantee, f"kafka.{key}": value}
                self.assertIn(said, self.run_worker("--once", expect=2, options=options).stderr())
                found = {c["check"]: c for c in self.json_of("doctor", "-o", "json", expect=1, options=options)["checks"]}
                self.assertIn(said, found["kafka settings"]["found"])
                file = self.file(f"delivery.guarantee = {guarantee}\nkafka.{key} = {value}\n")
                self.assertIn(said, self.run_cli("config", "check", file, expect=2).stderr())
        self.assertFalse((self.outbox / ".busbridge").exists(), "nothing was started")

    def test_a_message_timeout_is_doubted_only_where_it_may_double(self):
        options = {"kafka.bootstrap.servers": "127.0.0.1:1", "kafka.message.timeout.ms": 4500}
        worker = self.start_worker(options={**options, "delivery.guarantee": "at_least_once"})
        harness.wait_until(lambda: worker.logs("kafka_guarantee_weakened"))
        worker.kill()
        worker = self.start_worker(options={**options, "delivery.guarantee": "exactly_once"})
        harness.wait_until(lambda: worker.logs("started"))
        self.assertEqual(worker.logs("kafka_guarantee_weakened"), [])

    def test_check_tells_file_and_line(self):
        good = self.file("flush.interval = 5s\nkafka.linger.ms = 5\n", "good.conf")
        self.assertEqual(self.run_cli("config", "check", good, expect=0).stdout(), f"{good}: valid\n")
        self.assertEqual(self.run_cli("-c", good, "config", "check", expect=0).stdout(), f"{good}: valid\n")
        for text, said in (("\nflush.intervall = 5s\n", ":2: flush.intervall: no such setting; did you mean flush.interval?"),
                           ("flush.interval = soon\n", ":1: flush.interval: "),
                           ("kafka.lingr.ms = 5\n", ":1: kafka.lingr.ms: No such configuration property"),
                           ("\n\nrouting.namespaces = episode A\n", ":3: routing.namespaces: ")):
            bad = self.file(text, "bad.conf")
            self.assertIn(bad + said, self.run_cli("config", "check", bad, expect=2).stderr())
        self.assertIn("No such file", self.run_cli("config", "check", "nowhere.conf", expect=2).stderr())
        many = self.file("flush.intervall = 5s\nredis.ttl = soon\n\nkafka.lingr.ms = 5\nrouting.namespaces = episode A\nkafka.acks = many\n"
                         "nonsense\nlog.level = info\n", "many.conf")
        lines = self.run_cli("config", "check", many, expect=2).stderr().splitlines()
        self.assertEqual(len(lines), 6, lines)
        for number in (1, 2, 4, 5, 6, 7):
            self.assertEqual(len([line for line in lines if f"{many}:{number}: " in line]), 1, (number, lines))
        # What stands around the file neither mends nor spoils it.
        self.run_cli("config", "check", good, expect=0, env={"BUSBRIDGE_FLUSH_INTERVAL": "soon"})


class SchemaTest(CliTest):
    def check(self, event, text, expect, *more):
        path = self.dir / "payload.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return self.run_cli("schema", "check", event, str(path), *more, expect=expect)


class Schema(SchemaTest):
    def test_list_and_show(self):
        rows = self.json_of("schema", "list", "-o", "json", expect=0)
        checked = next(r for r in rows if r["event"] == "quality.checked")
        self.assertEqual(checked["file"], str(ROOT / "schemas/quality/checked.avsc"))
        shown = json.loads(self.run_cli("schema", "show", "quality.checked", expect=0).stdout())
        self.assertEqual(shown, json.loads((ROOT / "schemas/quality/checked.avsc").read_text()))
        self.assertEqual(len(shown["fields"]), checked["fields"])
        self.assertEqual(json.loads(self.run_cli("schema", "show", "quality.checked", "-o", "json", expect=0).stdout()), shown)
        self.assertIn("did you mean quality.checked", self.run_cli("schema", "show", "quality.chekced", expect=3).stderr())
        self.assertIn("did you mean schema check?", self.run_cli("schema", "chek", expect=2).stderr())
        self.assertIn("envelope", self.run_cli("schema", "-o", "name", expect=0).stdout().split())

    def test_check_of_what_fits_and_of_what_is_no_json(self):
        schema = json.loads((ROOT / "schemas/episode/created.avsc").read_text())
        good = {"episode_id": "e", "title": "T", "episode_number": 1}
        self.assertLessEqual(set(good), {f["name"] for f in schema["fields"]})
        self.assertEqual(self.check("episode.created", good, 0).stdout(), f"episode.created: fits {ROOT}/schemas/episode/created.avsc\n")
        self.assertRegex(self.check("episode.created", '{"a": NaN}', 1).stdout(), "^episode.created: not_a_number: byte 6")
        self.assertIn("unknown_namespace", self.check("weather.x", {}, 1).stdout())
        self.assertIn("did you mean quality.checked?", self.check("quality.cheked", {}, 0).stderr())
        self.assertIn("No such file", self.run_cli("schema", "check", "a.b", "nowhere.json", expect=1).stderr())

    def test_check_of_a_folder_names_file_and_line(self):
        self.assertIn(" schemas, all sound", self.run_cli("schema", "check", "--all", expect=0).stdout())
        folder = self.dir / "schemas"
        (folder / "plot").mkdir(parents=True)
        (folder / "envelope.avsc").write_text((ROOT / "schemas/envelope.avsc").read_text())
        (folder / "plot/broken.avsc").write_text('{"type": "record", "name": "A",\n "fields": [{"name": "a", "type": "strng"}]}')
        said = self.run_cli("schema", "check", str(folder), expect=1).stderr()
        self.assertRegex(said, "plot/broken.avsc: line 2: ")
        self.assertIn("folder of schemas /nowhere", self.run_cli("schema", "check", "/nowhere", expect=1).stderr())


class SchemaAndRelay(SchemaTest):
    needs_kafka = True

    def test_check_says_what_the_dead_letter_says(self):
        payloads = {"d-1": '{"content_id": 7}', "d-2": "[]", "d-3": json.dumps({"episode_id": "x"})}
        for key, text in payloads.items():
            self.write(f"{key}.json", f'{{"id": "{key}", "name": "quality.checked", "payload": {text}, "status": "pending"}}')
        self.run_worker("--once", expect=0)
        for key, text in payloads.items():
            dead = self.dead()[f"{key}.json"]
            said = json.loads(self.check("quality.checked", text, 1, "-o", "json").stdout())
            self.assertEqual((said["fits"], said["reason"], said["error"]), (False, dead["reason"], dead["last_error"]))
            self.assertEqual(self.check("quality.checked", text, 1).stdout(),
                             f"quality.checked: {dead['reason']}: {dead['last_error']}\n")


if __name__ == "__main__":
    harness.main()
