#!/usr/bin/python3
"""One cause, one remedy: what keeps everything from Kafka is told alike by the log, health, /readyz, --once and doctor, and no command
waits for ever."""

import json
import socket
import subprocess

import harness
import kafka_wire

SECRET = "canary-secret-5512"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
PROPERTIES = """\
listeners=PLAINTEXT://127.0.0.1:{plain},LOST://127.0.0.1:{lost},CLOSED://127.0.0.1:{closed},MUTE://127.0.0.1:{mute},SASL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},LOST://kafka-internal.invalid:9092,CLOSED://127.0.0.1:{nobody},MUTE://127.0.0.1:{silent},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LOST:PLAINTEXT,CLOSED:PLAINTEXT,MUTE:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:{controller}
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.sasl.plain.sasl.jaas.config={jaas} user_poor="{secret}" user_relay="{secret}";
listener.name.sasl.scram-sha-256.sasl.jaas.config={scram}
transaction.max.timeout.ms=70000
super.users=User:ANONYMOUS;User:relay
"""


class Causes(harness.BusTest):
    needs_kafka = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        harness.shared_bootstrap()  # skips where there is no Kafka
        cls.silent = socket.create_server(("127.0.0.1", 0))  # takes connections and says nothing
        cls.addClassCleanup(cls.silent.close)
        cls.ports = {name: harness.free_port() for name in ("plain", "lost", "closed", "mute", "sasl", "controller", "nobody")}
        text = PROPERTIES.format(silent=cls.silent.getsockname()[1], jaas=PLAIN, secret=SECRET, scram=SCRAM, **cls.ports)
        cls.broker = harness.Broker(text + kafka_wire.AUTHORIZER, scram={"relay": SECRET})
        cls.addClassCleanup(cls.broker.close)
        prepare = cls.broker._prepare

        def prepared():
            prepare()
            cls.broker.bootstrap = cls.at("plain")
        cls.broker._prepare = prepared
        cls.broker.start()
        kafka_wire.forbid_transactions(cls.at("plain"), "poor", "busbridge-")

    @classmethod
    def at(cls, listener):
        return f"127.0.0.1:{cls.ports[listener]}"

    def begin(self, name, *arguments, **settings):
        """A worker on an outbox of its own with one entry; (worker, its options)."""
        self.outbox = self.dir / name
        self.outbox.mkdir()
        self.entry("plot.updated", {"plot_id": "p"})
        options = {"outbox.url": f"file:{self.outbox}", **{key.replace("__", "."): value for key, value in settings.items()}}
        return self.start_worker(*arguments, options=options), options

    def sasl(self, mechanism="PLAIN", user="relay", password=SECRET, **more):
        return {"kafka.bootstrap.servers": self.at("sasl"), "kafka.security.protocol": "sasl_plaintext", "kafka.sasl.mechanism": mechanism,
                "kafka.sasl.username": user, "kafka.sasl.password": password, **more}

    def readyz(self, outbox):
        done = subprocess.run(["curl", "-s", "-H", "Accept: application/json", "--unix-socket", f"{outbox}/.busbridge/control.sock",
                               "http://localhost/readyz"], stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
        return {check["check"]: check for check in json.loads(done.stdout)["checks"]}

    def health(self, options):
        return json.loads(self.run_cli("health", "-o", "json", options=options).stdout())

    def told(self, started, cause, remedy):
        """By the log, health and /readyz; the remedy in health's words."""
        worker, options = started
        harness.wait_until(lambda: any(cause in line.get("error", "") for line in worker.logs("kafka_away")), what=f"{cause}\n{worker.stderr()[-3000:]}")
        self.assertTrue(any(remedy in line["msg"] for line in worker.logs("kafka_away")), worker.stderr())
        line = harness.wait_until(lambda: next((r for r in self.health(options)["reasons"] if cause in r["text"]), None), what="health tells it")
        self.assertIn(remedy, line["next"])
        ready = self.readyz(options["outbox.url"].removeprefix("file:"))["kafka"]
        self.assertFalse(ready["ok"])
        self.assertIn(cause, ready["text"])
        self.assertIn(line["next"], ready["text"])
        self.assertTrue(worker.running())
        return line["next"]

    def doctors(self, options, check, expect=None):
        found = json.loads(self.run_cli("doctor", "-o", "json", expect=expect, options=options).stdout())["checks"]
        return next(c for c in found if c["check"] == check)

    def test_a_broker_that_names_an_address_nobody_can_reach(self):
        names = {"lost": "kafka-internal.invalid:9092", "closed": f"127.0.0.1:{self.ports['nobody']}",
                 "mute": f"127.0.0.1:{self.silent.getsockname()[1]}"}
        once, _ = self.begin("once", "--once", kafka__bootstrap__servers=self.at("closed"))
        redis, _ = self.begin("redis", "--once", kafka__bootstrap__servers=self.at("plain"), redis__url="redis://127.0.0.1:1/0", redis__required="true")
        started = {(listener, guarantee): self.begin(f"{listener} {guarantee}", kafka__bootstrap__servers=self.at(listener), delivery__guarantee=guarantee)
                   for listener in names for guarantee in ("exactly_once", "at_least_once")}
        for (listener, guarantee), one in started.items():
            with self.subTest(listener=listener, guarantee=guarantee):
                cause = f"the broker names itself {names[listener]}, which cannot be reached from here: advertised.listeners"
                remedy = self.told(one, cause, "advertised.listeners of the broker")
                one[0].kill()
                broker = self.doctors(one[1], "broker", 75)
                self.assertIn(cause, broker["found"])
                self.assertTrue(remedy.startswith(broker["next"] + ". "))
                self.assertIn(cause, self.run_cli("verify", expect=75, options=one[1]).stdout())
        self.assertEqual(once.wait(), 75)
        self.assertIn(f"names itself {names['closed']}", once.logs("once_unreachable")[0]["msg"])
        self.assertEqual(redis.wait(), 69)
        self.assertIn("redis", redis.logs("once_stopped")[0]["msg"])
        self.assertNotIn("Publishing goes on", redis.stderr())

    def test_a_tail_of_topics_that_cannot_be_reached_ends(self):
        kafka_wire.create_topic(self.at("plain"), self.topic("plot.events"), 1)
        done = self.run_cli("tail", options={"kafka.bootstrap.servers": self.at("closed")})
        self.assertNotEqual(done.status, 0)
        self.assertIn("advertised.listeners", done.stderr())

    def test_who_may_not_log_in_or_not_use_transactions_is_told_alike_everywhere(self):
        old = harness.re.search(r"librdkafka (\d+)[.](\d+)[.](\d+)", self.run_cli("doctor").stdout())
        old = tuple(map(int, old.groups())) < (2, 6, 1)
        cases = {
            "password": (self.sasl(password="wrong-7731"), "Authentication failed", "kafka.sasl.password", "broker"),
            "rights": (self.sasl(user="poor"), "Transactional Id authorization failed", "--allow-principal User:poor", "transactions"),
            "timeout": (self.sasl(**{"kafka.transaction.timeout.ms": 80000}), "timeout", "transaction.max.timeout.ms", "transactions"),
        }
        if old:
            cases["scram"] = (self.sasl("SCRAM-SHA-256"), "credentials", "2.6.1", "broker")
        started = {name: self.begin(name, **case[0]) for name, case in cases.items()}
        for name, one in started.items():
            with self.subTest(case=name):
                _, cause, remedy, check = cases[name]
                said = self.told(one, cause, remedy)
                found = self.doctors(one[1], check)
                self.assertIn(cause, found["found"])
                self.assertTrue(said.startswith(found["next"] + ". "), f"{said} is not {found['next']}")
                self.assertEqual(bool(one[0].logs("kafka_scram_old")), name == "scram")
        self.assertNotIn(SECRET, "".join(p.stdout() + p.stderr() for p in self.programs))
        if not old:
            worker, _ = self.begin("scram", "--once", **self.sasl("SCRAM-SHA-256"))
            self.assertEqual(worker.wait(), 0, worker.stderr())


if __name__ == "__main__":
    harness.main()
