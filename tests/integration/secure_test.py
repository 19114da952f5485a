#!/usr/bin/python3
"""TLS and SASL fail in every way: nothing is published, dead or charged, no secret is told, and nothing leaves in clear where TLS was
asked for. With what was wrong put right, everything drains."""

import json
import socket
import subprocess
import threading

import harness

USER, SECRET, WRONG = "relay", "canary-secret-8831", "canary-wrong-4417"
CANARY = "canary-payload-2290"
SASL = "org.apache.kafka.common.security.plain.PlainLoginModule required user_relay"
PROPERTIES = """\
listeners=PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{ssl},MUTUAL://127.0.0.1:{mutual},SASL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{through},MUTUAL://127.0.0.1:{mutual},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,MUTUAL:SSL,SASL:SASL_SSL,CONTROLLER:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:{controller}
ssl.keystore.type=PEM
ssl.keystore.location={dir}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={dir}/ca.crt
listener.name.mutual.ssl.client.auth=required
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config={sasl_line}="{secret}";
"""


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)


def certificate(folder, name, authority, alternative="IP:127.0.0.1"):
    """name.key and name.crt, signed by authority."""
    (folder / "extensions").write_text(f"subjectAltName={alternative}\n")
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", f"{name}.crt")


def authority(folder, name):
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2", "-subj", f"/CN={name}")


class Listener:
    """What a client says: kept, and passed on to a port or, without one, answered by nothing."""

    def __init__(self, target=None, port=0):
        self.target, self.heard, self.all = target, bytearray(), []
        self.server = socket.create_server(("127.0.0.1", port))
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            self.all.append(client)
            other = None
            if self.target:
                other = socket.create_connection(("127.0.0.1", self.target))
                self.all.append(other)
                threading.Thread(target=self.copy, args=(other, client, None), daemon=True).start()
            threading.Thread(target=self.copy, args=(client, other, self.heard), daemon=True).start()

    def copy(self, source, sink, heard):
        try:
            while piece := source.recv(65536):
                if heard is not None:
                    heard += piece
                if sink:
                    sink.sendall(piece)
        except OSError:
            pass
        for s in (source, sink):
            if s:
                s.close()

    def close(self):
        self.server.close()
        for s in self.all:
            s.close()


class Secure(harness.BusTest):
    needs_kafka = False

    def setUp(self):
        super().setUp()
        harness.shared_bootstrap()  # skips where there is no Kafka
        names = ("plain", "ssl", "mutual", "sasl", "controller", "through")
        self.ports = {name: harness.free_port() for name in names}
        for name in ("ca", "other"):
            authority(self.dir, name)
        certificate(self.dir, "broker", "ca")
        certificate(self.dir, "stranger", "other")
        (self.dir / "broker.pem").write_text((self.dir / "broker.key").read_text() + (self.dir / "broker.crt").read_text())
        self.own_broker(PROPERTIES.format(dir=self.dir, sasl_line=SASL, secret=SECRET, **self.ports))

    def own_broker(self, extra=""):
        """As usual, but what is asked directly is asked on the plain listener."""
        broker = harness.Broker(extra)
        self.addCleanup(broker.close)
        prepare = broker._prepare

        def prepared():
            prepare()
            broker.bootstrap = f"127.0.0.1:{self.ports['plain']}"
        broker._prepare = prepared
        self.bootstrap = broker.start().bootstrap
        return broker

    def at(self, listener):
        return f"127.0.0.1:{self.ports[listener]}"

    def cases(self):
        """{what is wrong: (a word of what is told, where, settings)}"""
        tls = {"kafka.security.protocol": "ssl", "kafka.ssl.ca.location": f"{self.dir}/ca.crt"}
        sasl = {**tls, "kafka.security.protocol": "sasl_ssl", "kafka.sasl.mechanism": "PLAIN", "kafka.sasl.username": USER, "kafka.sasl.password": SECRET}
        stranger = {"kafka.ssl.certificate.location": f"{self.dir}/stranger.crt", "kafka.ssl.key.location": f"{self.dir}/stranger.key"}
        self.mute = Listener()
        self.addCleanup(self.mute.close)
        return {
            "an authority that did not sign it": ("certificate verify failed", self.at("ssl"), {**tls, "kafka.ssl.ca.location": f"{self.dir}/other.crt"}),
            "another host's certificate": ("certificate verify failed", f"localhost:{self.ports['ssl']}", tls),
            "TLS where the broker speaks plainly": ("SSL handshake failed", self.at("plain"), tls),
            "plain words where the broker speaks TLS": ("incorrect security.protocol", self.at("ssl"), {}),
            "no certificate of ours": ("alert", self.at("mutual"), tls),
            "a certificate of ours that nobody knows": ("alert", self.at("mutual"), {**tls, **stranger}),
            "a wrong password": ("Authentication failed", self.at("sasl"), {**sasl, "kafka.sasl.password": WRONG}),
            "an unknown user": ("Authentication failed", self.at("sasl"), {**sasl, "kafka.sasl.username": "nobody"}),
            "a mechanism that is not offered": ("mechanism", self.at("sasl"), {**sasl, "kafka.sasl.mechanism": "SCRAM-SHA-256"}),
            "TLS without a login": ("SASL", self.at("sasl"), tls),
            "somebody who never answers": ("SSL_HANDSHAKE", self.mute.address, {**sasl, "kafka.socket.connection.setup.timeout.ms": 2000}),
        }

    def start_case(self, name, where, settings):
        """A worker on an outbox of its own."""
        self.outbox = self.dir / f"outbox {name}"
        self.outbox.mkdir()
        ids = [self.entry("plot.updated", {"plot_id": CANARY}) for _ in range(3)]
        worker = self.start_worker(options={"outbox.url": f"file:{self.outbox}", "kafka.bootstrap.servers": where, **settings})
        return self.outbox, ids, worker

    def test_whatever_fails_nothing_is_published_charged_or_told(self):
        cases = self.cases()
        self.assertGreaterEqual(len(cases), 10)
        started = {name: self.start_case(name, *case[1:]) for name, case in cases.items()}
        for name, (outbox, ids, worker) in started.items():
            with self.subTest(case=name):
                harness.wait_until(lambda: worker.logs("kafka_away") and cases[name][0] in worker.stderr(), what=f"{name} is told")
                self.assertTrue(worker.running())
                for id in ids:
                    self.assertEqual(json.loads((outbox / f"{id}.json").read_text())["attempts"], 0)
                self.assertEqual(list((outbox / "dlq").iterdir()), [])
                worker.kill()
        for program in self.programs:
            said = program.stdout() + program.stderr()
            for secret in (SECRET, WRONG, CANARY):
                self.assertNotIn(secret, said)
        for secret in (SECRET, CANARY, "busbridge", "plot"):
            self.assertNotIn(secret.encode(), bytes(self.mute.heard))
        self.assertTrue(self.mute.heard)
        self.assertEqual(self.drain(), [])
        print(f"{len(cases)} failures", flush=True)
        self.put_right(*started["an authority that did not sign it"][:2])

    def put_right(self, outbox, ids):
        """The same outbox, the right authority, and every byte on the way is heard."""
        spy = Listener(self.ports["ssl"], self.ports["through"])
        self.addCleanup(spy.close)
        self.outbox = outbox
        tls = {"kafka.security.protocol": "ssl", "kafka.ssl.ca.location": f"{self.dir}/ca.crt", "kafka.bootstrap.servers": self.at("through")}
        self.run_worker("--once", expect=0, options={"outbox.url": f"file:{outbox}", **tls})
        self.assertEqual(sorted(r.headers["ce_id"].decode() for r in self.drain("plot.events")), sorted(ids))
        self.assertTrue(spy.heard)
        for word in (CANARY, "plot", "busbridge", *ids):
            self.assertNotIn(word.encode(), bytes(spy.heard))


if __name__ == "__main__":
    harness.main()
