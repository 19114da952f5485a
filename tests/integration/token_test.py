#!/usr/bin/python3
"""OAUTHBEARER over TLS with tokens from a file. They expire while events are relayed, and the broker ends connections whose token did: nothing
is lost or doubled. Without a token that is good everything waits, the cause and the remedy are told, and the file's next token is taken without
a restart. The broker judges a token's form, subject and end; signatures are between it and an issuer, and it is not told of one here."""

import base64
import json
import os
import threading
import time
import uuid

import harness
from secure_test import authority, certificate

PROPERTIES = """\
listeners=PLAINTEXT://127.0.0.1:{plain},TOKEN://127.0.0.1:{token},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},TOKEN://127.0.0.1:{token}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,TOKEN:SASL_SSL,CONTROLLER:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:{controller}
ssl.keystore.type=PEM
ssl.keystore.location={dir}/broker.pem
sasl.enabled.mechanisms=OAUTHBEARER
listener.name.token.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.token.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
listener.name.token.oauthbearer.sasl.server.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.token.oauthbearer.connections.max.reauth.ms={most_ms}
"""
LASTS_S, EVENTS = 6, 120


def base64url(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def jwt(lasts=LASTS_S, subject="relay"):
    now = int(time.time())
    claims = {"iss": "https://issuer.example", "sub": subject, "iat": now, "exp": now + lasts, "jti": str(uuid.uuid4())}
    return ".".join(base64url(part) for part in (b'{"alg":"RS256","typ":"JWT"}', json.dumps(claims).encode(), os.urandom(64)))


class Token(harness.BusTest):
    needs_kafka = False

    def setUp(self):
        super().setUp()
        harness.shared_bootstrap()  # skips where there is no Kafka
        authority(self.dir, "ca")
        certificate(self.dir, "broker", "ca")
        (self.dir / "broker.pem").write_text((self.dir / "broker.key").read_text() + (self.dir / "broker.crt").read_text())
        self.ports = {name: harness.free_port() for name in ("plain", "token", "controller")}
        self.own_broker(PROPERTIES.format(dir=self.dir, most_ms=LASTS_S * 1000, **self.ports))
        self.file, self.written = self.dir / "token", []
        self.options.update({
            "kafka.bootstrap.servers": f"127.0.0.1:{self.ports['token']}", "kafka.security.protocol": "sasl_ssl",
            "kafka.ssl.ca.location": f"{self.dir}/ca.crt", "kafka.sasl.mechanism": "OAUTHBEARER",
            "kafka.sasl.oauthbearer.token.location": self.file})

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

    def write_token(self, text):
        """Put in place whole, through a link, as a volume of Kubernetes is renewed."""
        name = f"token-{len(self.written)}"
        self.written.append(text)
        (self.dir / name).write_text(text + "\n")
        link = self.dir / "token.new"
        link.symlink_to(name)
        os.replace(link, self.file)

    def renew(self):
        """A new token each second, until the test ends."""
        over = threading.Event()

        def renewing():
            while not over.wait(1):
                self.write_token(jwt())
        self.write_token(jwt())
        thread = threading.Thread(target=renewing, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(over.set)

    def published(self):
        return sorted(r.headers["ce_id"].decode() for r in self.drain("plot.events"))

    def check_nothing_told(self):
        said = "".join(program.stdout() + program.stderr() for program in self.programs)
        for text in self.written:
            for part in text.split(".")[1:]:
                self.assertNotIn(part, said)

    def test_tokens_expire_in_the_middle_of_a_relay(self):
        self.renew()
        worker, ids, began = self.start_worker(), [], time.monotonic()
        for n in range(EVENTS):
            ids.append(self.entry("plot.updated", {"plot_id": str(n)}))
            time.sleep(3 * LASTS_S / EVENTS)
        self.assertGreater(time.monotonic() - began, 2.5 * LASTS_S)
        harness.wait_until(lambda: len(self.published()) >= EVENTS, what=lambda: worker.stderr()[-3000:])
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.published(), sorted(ids))
        self.assertGreaterEqual(worker.stderr().count("Disconnected"), 2)  # by the broker, whenever a token was over
        self.check_nothing_told()

    def test_without_a_token_that_is_good_all_waits_and_the_remedy_is_told(self):
        ids = [self.entry("plot.updated", {"plot_id": "1"}) for _ in range(3)]
        worker = self.start_worker()
        harness.wait_until(lambda: "token.location" in worker.stderr() and "No such file" in worker.stderr(), what=lambda: worker.stderr()[-3000:])
        doctor = self.run_cli("doctor")
        self.assertIn("Put a token that lasts", doctor.stdout() + doctor.stderr())
        self.write_token(jwt(lasts=-90))
        harness.wait_until(lambda: "holds a token that expired at" in worker.stderr(), what=lambda: worker.stderr()[-3000:])
        self.write_token(jwt(lasts=3 * LASTS_S, subject=""))
        harness.wait_until(lambda: "invalid_token" in worker.stderr(), what=lambda: worker.stderr()[-3000:])
        self.assertTrue(worker.running())
        self.renew()
        harness.wait_until(lambda: len(self.published()) >= len(ids), what=lambda: worker.stderr()[-3000:])
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.published(), sorted(ids))
        self.check_nothing_told()


if __name__ == "__main__":
    harness.main()
