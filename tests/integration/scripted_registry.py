"""A schema registry that says what it is told to: every answer that a real one gives only on its worst day, or never.

    registry = ScriptedRegistry().start()
    registry.register("order.Placed", text)              as a real one, and its id
    registry.say(429, headers={"Retry-After": "1"})      to every request, until hush()
    registry.say(404, b"<html>", path="/subjects")       to those whose path begins so, only
    registry.asked                                       (method, path, headers, body) of each request so far
    registry.reset(first=7)                              empty; ids begin at 7
"""

import json
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from broker import free_port
from registry import Subjects

TYPE = "application/vnd.schemaregistry.v1+json"


def error(code, message="no"):
    return {"error_code": code, "message": message}


def plain(schema):
    """What normalize=true leaves of a schema: no doc, no order of keys, no white space."""
    if isinstance(schema, dict):
        return {name: plain(value) for name, value in schema.items() if name not in ("doc", "aliases")}
    return [plain(item) for item in schema] if isinstance(schema, list) else schema


def same(left, right, normalize):
    if left == right:
        return True
    try:
        return normalize and plain(json.loads(left)) == plain(json.loads(right))
    except ValueError:
        return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        registry = self.server.registry
        if self.server.gate.is_set():  # it was stopped: what is still open is no way to it
            self.close_connection = True
            return
        with registry.lock:
            registry.asked.append((self.command, self.path, dict(self.headers), body))
            registry.at_once += 1
            registry.most_at_once = max(registry.most_at_once, registry.at_once)
        try:
            self.say(registry, body)
        finally:
            with registry.lock:
                registry.at_once -= 1

    def say(self, registry, body):
        said = registry.told(self.path, self.command)
        if registry.tokens is not None and self.headers.get("Authorization") not in {f"Bearer {token}" for token in registry.tokens}:
            said = 401, error(401), {}, 0
        status, value, more, delay = said or (*registry.real(self.command, self.path, body), {}, 0)
        if callable(value):  # it needs to know what was asked
            status, value = value(self.command, self.path, body)
        if delay:
            self.server.gate.wait(delay)
        if status is None:  # closed without a word
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        try:
            self.send_response(status)
            for name, text in {"Content-Type": TYPE, "Content-Length": str(len(raw)), **more}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(raw)
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = answer


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


class ScriptedRegistry(Subjects):
    def __init__(self, prefix=""):
        self.port, self.prefix = free_port(), prefix
        self.url = f"http://127.0.0.1:{self.port}{prefix}"
        self.server = self.thread = None
        self.lock = threading.Lock()
        self.tokens = None  # those that open it; None: it is open
        self.asked, self.rules, self.cluster, self.at_once, self.most_at_once = [], [], None, 0, 0
        self.reset()

    # ---- its life ---------------------------------------------------------------------------------------------------------------

    def start(self):
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.registry, self.server.gate = self, threading.Event()
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        if self.server:
            self.server.gate.set()
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    close = stop

    def reset(self, first=1):
        with self.lock:
            self.next, self.texts, self.versions = first, {}, {}  # (text, kind) by id; ids by subject

    def register(self, subject, text, kind="AVRO"):
        """Its id. Not by a request: those in `asked` are others'."""
        with self.lock:
            return self._register(subject, {"schema": text, "schemaType": kind})[1]["id"]

    # ---- what it was told to say ------------------------------------------------------------------------------------------------

    def say(self, status, body=b"", headers=None, path="", method=None, times=None, delay=0):
        """status None: the connection is closed. body: bytes, a value that becomes JSON, or a function of method, path and body that
        gives both status and body. times: so often, then as before."""
        with self.lock:
            self.rules.insert(0, [path, method, times, (status, body, headers or {}, delay)])

    def hush(self):
        with self.lock:
            self.rules = []

    def told(self, path, method):
        path = path.removeprefix(self.prefix)
        with self.lock:
            for rule in self.rules:
                if path.startswith(rule[0]) and rule[1] in (None, method) and rule[2] != 0:
                    rule[2] = rule[2] - 1 if rule[2] is not None else None
                    return rule[3]
        return None

    def requests(self, path="", method=None, since=0):
        return [one for one in self.asked[since:] if one[1].removeprefix(self.prefix).startswith(path) and method in (None, one[0])]

    # ---- as a real one ----------------------------------------------------------------------------------------------------------

    def real(self, method, path, body):
        """(status, value) as Confluent's API has it, of those requests that clients make."""
        if not path.startswith(self.prefix + "/"):
            return 404, error(404, "HTTP 404 Not Found")
        parts = urllib.parse.urlsplit(path.removeprefix(self.prefix))
        words = [urllib.parse.unquote(word) for word in parts.path.split("/")[1:]]
        try:
            asked = json.loads(body) if body else {}
        except ValueError:
            return 400, error(400, "no JSON")
        with self.lock:
            return self._real(method, words, dict(urllib.parse.parse_qsl(parts.query)), asked)

    def _real(self, method, words, query, asked):
        match method, *words:
            case "GET", "subjects":
                return 200, sorted(self.versions)
            case "POST", "subjects", subject:
                return self._look_up(subject, asked, query.get("normalize") == "true")
            case "POST", "subjects", subject, "versions":
                return self._register(subject, asked)
            case "GET", "subjects", subject, "versions":
                known = self.versions.get(subject)
                return (200, list(range(1, len(known) + 1))) if known else (404, error(40401, f"Subject '{subject}' not found."))
            case "GET", "subjects", subject, "versions", version:
                return self._version(subject, version)
            case "DELETE", "subjects", subject:
                return 200, list(range(1, len(self.versions.pop(subject, [])) + 1))
            case "GET", "schemas", "ids", id:
                text = self.texts.get(int(id))
                return (200, {"schema": text[0], **kind(text)}) if text else (404, error(40403, "Schema not found"))
            case "GET", "v1", "metadata", "id" if self.cluster:
                return 200, {"scope": {"path": [], "clusters": {"schema-registry-cluster": self.cluster}}, "id": ""}
        return 404, error(404, "HTTP 404 Not Found")

    def _register(self, subject, asked):
        text = (asked["schema"], asked.get("schemaType", "AVRO"))
        id = next((id for id, known in self.texts.items() if known == text), None)
        if id is None:
            id, self.next = self.next, self.next + 1
            self.texts[id] = text
        known = self.versions.setdefault(subject, [])
        if id not in known:
            known.append(id)
        return 200, {"id": id}

    def _look_up(self, subject, asked, normalize):
        for version, id in enumerate(self.versions.get(subject, []), 1):
            text, schema_type = self.texts[id]
            if schema_type == asked.get("schemaType", "AVRO") and same(text, asked.get("schema"), normalize):
                return 200, {"subject": subject, "id": id, "version": version, "schema": text, **kind(self.texts[id])}
        if subject in self.versions:
            return 404, error(40403, "Schema not found")
        return 404, error(40401, f"Subject '{subject}' not found.")

    def _version(self, subject, version):
        known = self.versions.get(subject)
        if not known:
            return 404, error(40401, f"Subject '{subject}' not found.")
        number = len(known) if version == "latest" else int(version)
        if not 1 <= number <= len(known):
            return 404, error(40402, "Version not found")
        id = known[number - 1]
        return 200, {"subject": subject, "id": id, "version": number, "schema": self.texts[id][0], **kind(self.texts[id])}


def kind(text):
    return {} if text[1] == "AVRO" else {"schemaType": text[1]}


def wait_asked(registry, path, count, seconds=60):
    """Until so many requests of that path came."""
    deadline = time.monotonic() + seconds
    while len(registry.requests(path)) < count:
        if time.monotonic() > deadline:
            raise AssertionError(f"{path}: {len(registry.requests(path))} of {count} requests within {seconds} s")
        time.sleep(0.02)
