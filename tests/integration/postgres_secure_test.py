#!/usr/bin/python3
"""A PostgreSQL that asks for a password over TLS: who it is is proved (verify-full, channel binding), nothing is said in clear and no secret is
told, whatever is wrong; while it is wrong every row waits. Several servers: the one that may write is found.
"""

import json
import os
import shutil
import unittest

import harness
import postgres
import secure_test

PASSWORD, WRONG = "canary/p@ss:8831?", "canary-wrong-4417"
WRITTEN = PASSWORD.replace("/", "%2F").replace("@", "%40").replace("?", "%3F")  # as a url has it; the : may stand
HBA = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
CONFIG = "ssl = on\nssl_cert_file = '{dir}/{name}.crt'\nssl_key_file = '{dir}/{name}.key'\n"
PAYLOAD = {"content_id": "c-1", "score": 1.0, "check_types": [], "passed": True, "issues": []}


class PostgresSecure(harness.BusTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = postgres.Server(hba=HBA)
        try:
            cls.server._prepare()
        except postgres.Unavailable as why:
            raise unittest.SkipTest(str(why)) from None
        cls.addClassCleanup(cls.server.close)
        folder = cls.server.dir
        for name in ("ca", "other"):
            secure_test.authority(folder, name)
        secure_test.certificate(folder, "here", "ca")
        secure_test.certificate(folder, "elsewhere", "ca", "DNS:db.example")
        for path in folder.glob("*.key"):
            path.chmod(0o600)
            shutil.chown(path, *[postgres.somebody().get(who, os.geteuid()) for who in ("user", "group")])
        for path in (folder, *folder.glob("*.crt")):
            path.chmod(0o755)  # clients read them
        cls.show("here")
        cls.server.start()
        cls.server.sql(f"CREATE ROLE application LOGIN; CREATE ROLE relay LOGIN PASSWORD '{PASSWORD}'")

    @classmethod
    def show(cls, certificate):
        """With this certificate, from its next start on."""
        file = cls.server.dir / "data/postgresql.conf"
        with open(file, "a", encoding="utf-8") as conf:
            conf.write(CONFIG.format(dir=cls.server.dir, name=certificate))

    def setUp(self):
        super().setUp()
        self.server.sql(f"CREATE DATABASE {self.prefix}")
        self.server.migrate(self.prefix)
        self.server.sql(f"INSERT INTO busbridge.outbox (id, name, key, payload) VALUES ('a', 'quality.checked', 'c-1', '{json.dumps(PAYLOAD)}')",
                        database=self.prefix)
        self.options |= {"outbox.url": self.url(), "state.dir": str(self.dir / "state"), "ledger.topic": self.topic("ledger")}

    def url(self, password=f":{WRITTEN}", hosts=None, **more):
        words = {"sslmode": "verify-full", "sslrootcert": self.server.dir / "ca.crt", **more}
        return (f"postgresql://relay{password}@{hosts or f'127.0.0.1:{self.server.port}'}/{self.prefix}?" +
                "&".join(f"{name}={value}" for name, value in words.items() if value is not None))

    def secret(self, name, text):
        path = self.dir / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return str(path)

    def kept(self):
        """It waits, and no attempt was charged."""
        self.assertEqual(self.server.sql("SELECT (SELECT pg_catalog.count(*) FROM busbridge.outbox), (SELECT pg_catalog.count(*) FROM busbridge.attempt)",
                                         database=self.prefix), "1|0")

    def silent(self, *programs):
        for program in programs:
            for text in (program.stdout(), program.stderr()):
                for secret in ("canary", "p@ss", WRITTEN):
                    self.assertNotIn(secret, text, program.command)

    def published(self):
        return [r.headers["ce_id"].decode() for r in self.drain("quality.events")]

    def test_who_the_server_is_is_proved_and_bound_to_the_password(self):
        self.options["outbox.url"] = self.url(channel_binding="require")
        worker = self.start_worker()
        harness.wait_until(lambda: self.published() == ["a"], what="it is published")
        sides = self.server.sql("SELECT DISTINCT ssl, version FROM pg_catalog.pg_stat_ssl JOIN pg_catalog.pg_stat_activity USING (pid) "
                                f"WHERE usename = 'relay' AND datname = '{self.prefix}'")
        self.assertRegex(sides, r"^t\|TLSv1\.[23]$")
        asked = [self.run_cli(*words) for words in (("health", "--detailed"), ("config",), ("config", "-o", "json"), ("doctor",), ("list",),
                                                    ("doctor", "-o", "json"), ("verify",), ("metrics",))]
        self.assertEqual(worker.stop(), 0)
        asked += [self.run_cli(*words) for words in (("health",), ("doctor",), ("verify",))]
        self.silent(worker, *asked)
        self.assertIn("postgresql://***@", asked[1].stdout())

    def test_what_a_start_refuses_names_the_outbox_without_its_password(self):
        self.run_worker("--once", expect=0)
        id = self.server.sql("SELECT value FROM busbridge.state WHERE name = 'id'", database=self.prefix)
        harness.kafka_wire.commit_offset(self.bootstrap, f"busbridge-{id}", self.options["ledger.topic"], 0)
        refused = [self.run_worker("--once", expect=2), self.run_cli("doctor", expect=1), self.run_cli("verify", expect=1)]
        for program in refused:
            self.assertIn(f"'outbox.url=postgresql://relay:***@127.0.0.1:{self.server.port}/{self.prefix}?",
                          " ".join((program.stdout() + program.stderr()).split()))
        self.silent(*refused)

    def test_a_password_comes_from_a_file(self):
        files = {"outbox.url": None, "outbox.url_file": self.secret("url", self.url())}
        self.run_worker("--once", expect=0, options=files)
        self.assertEqual(self.published(), ["a"])
        pass_file = self.secret("pgpass", f"127.0.0.1:*:*:relay:{PASSWORD.replace(':', chr(92) + ':')}")
        self.run_worker("--once", expect=0, options={"outbox.url": self.url("", passfile=pass_file)})
        self.silent(*self.programs)

    def refusals(self):
        """What is wrong: what is told of it, by which url."""
        plain = postgres.Server().start()
        self.addCleanup(plain.close)
        return {
            "password": ("password authentication failed", self.url(f":{WRONG}")),
            "authority": ("certificate verify failed", self.url(sslrootcert=self.server.dir / "other.crt")),
            "no authority": ("root certificate file", self.url(sslrootcert=self.dir / "nowhere.crt")),
            "clear": ("pg_hba.conf", self.url(sslmode="disable")),
            "no TLS": ("does not support SSL", self.url(hosts=f"127.0.0.1:{plain.port}")),
            "not bound": ("channel binding", self.url(hosts=f"127.0.0.1:{plain.port}", sslmode="disable", channel_binding="require")),
        }

    def test_whatever_is_wrong_is_told_and_everything_waits(self):
        for what, (words, url) in self.refusals().items():
            with self.subTest(what):
                options = {"outbox.url": url}
                told = [self.run_worker("--once", options=options), self.run_cli("doctor", options=options), self.run_cli("health", options=options)]
                for program in told:
                    self.assertNotEqual(program.status, 0)
                    self.assertIn(words, " ".join((program.stdout() + program.stderr()).split()))
                self.silent(*told)
                self.kept()
        self.run_worker("--once", expect=0)
        self.assertEqual(self.published(), ["a"])

    def test_a_server_under_another_name_is_none_of_ours(self):
        self.show("elsewhere")
        self.server.stop()
        self.server.start()
        try:
            refused = self.run_worker("--once")
            self.assertNotEqual(refused.status, 0)
            self.assertIn("does not match host name", refused.stderr())
            self.kept()
            self.run_worker("--once", expect=0, options={"outbox.url": self.url(hosts=f"db.example:{self.server.port}", hostaddr="127.0.0.1")})
        finally:
            self.show("here")
            self.server.stop()
            self.server.start()
        self.silent(*self.programs)
        self.assertEqual(self.published(), ["a"])

    def test_nothing_is_said_in_clear(self):
        ear = secure_test.Listener()
        self.addCleanup(ear.close)
        refused = self.run_worker("--once", options={"outbox.url": self.url(hosts=ear.address)})
        self.assertNotEqual(refused.status, 0)
        self.assertTrue(ear.heard)
        self.assertEqual(set(bytes(ear.heard[at:at + 8]) for at in range(0, len(ear.heard), 8)), {b"\x00\x00\x00\x08\x04\xd2\x16\x2f"})  # "TLS?"
        self.kept()

    def test_of_several_servers_the_one_that_may_write_is_found(self):
        reader = postgres.Server("default_transaction_read_only = on\n").start()
        self.addCleanup(reader.close)
        reader.sql(f"SET default_transaction_read_only = off; CREATE ROLE relay LOGIN; CREATE DATABASE {self.prefix}")
        hosts = f"127.0.0.1:{harness.free_port()},127.0.0.1:{reader.port},127.0.0.1:{self.server.port}"
        self.run_worker("--once", expect=0, options={"outbox.url": self.url(hosts=hosts, sslmode="prefer")})
        self.assertEqual(self.published(), ["a"])


if __name__ == "__main__":
    harness.main()
