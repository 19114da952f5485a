"""The control API against those who mean ill or know no better, on the Unix socket and on TCP: names and pages of others, no token,
a wrong user, requests that are malformed, too large, too slow. Nothing changes, the worker lives, its memory stays bounded."""

import json
import os
import random
import re
import select
import signal
import socket
import threading
import unittest
from pathlib import Path

import harness
from harness import free_port, wait_until

PUBLISHED = "episode.published"
PAYLOAD = {"episode_id": "ep-1", "publication_id": "p-1", "format_type": "epub", "published_at": "2025-09-22T03:04:05+00:00",
           "include_metadata": True}
TOKEN = "canary-token-0123456789"
BOTH = ("unix", "tcp")


class ControlTest(harness.BusTest):
    """A worker without a broker that relays nothing by itself, and a dead letter that a change would move."""

    needs_kafka = False

    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.options.update({"flush.background": "false", "http.listen": f"127.0.0.1:{self.port}"})
        self.socket = self.outbox / ".busbridge/control.sock"
        self.entry(PUBLISHED, PAYLOAD, place="dlq", id="d-1", storage_key="d-1", status="dlq", attempts=1, last_error="x",
                   failed_at="2025-09-22T04:00:00.000000+00:00", reason="schema_mismatch")

    def worker(self, **options):
        worker = self.start_worker(options=options)
        wait_until(lambda: not worker.running() or (self.socket.exists() and self.ask("tcp", "GET", "/livez")[0] == 200), what="worker")
        self.assertTrue(worker.running(), worker.stderr())
        return worker

    def connect(self, where):
        s = socket.socket(socket.AF_UNIX if where == "unix" else socket.AF_INET)
        s.settimeout(harness.PATIENCE)
        try:
            s.connect(str(self.socket) if where == "unix" else ("127.0.0.1", self.port))
        except OSError:
            s.close()
            raise
        return s

    def raw(self, where, request, patience=harness.PATIENCE):
        """What comes back for these bytes until the worker closes; the sending side is closed after them. patience: whoever sends
        nonsense may be left waiting, until the worker shows him out."""
        answer = b""
        with self.connect(where) as s:
            s.settimeout(patience)
            try:
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
                while part := s.recv(65536):
                    answer += part
            except TimeoutError:
                if patience == harness.PATIENCE:
                    raise
            except OSError:  # closed by the worker meanwhile
                pass
        return answer

    def ask(self, where, method, path, body=b"", host="localhost", **headers):
        """(status, headers by lower-case name, body); (0, {}, b"") when nobody listens or answers."""
        lines = [f"{method} {path} HTTP/1.1", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"Host: {host}"] if host is not None else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        try:
            answer = self.raw(where, "\r\n".join([*lines, "", ""]).encode() + body)
        except OSError:
            return 0, {}, b""
        head, _, rest = answer.partition(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")
        status = int(first.split(" ")[1]) if first.startswith("HTTP/") else 0
        return status, {n.lower(): v for n, v in (line.split(": ", 1) for line in fields)}, rest

    def problem(self, answer, status, *words):
        code, headers, body = answer
        self.assertEqual((code, headers.get("content-type")), (status, "application/problem+json"), body)
        problem = json.loads(body)
        self.assertEqual(problem["status"], status)
        for word in words:
            self.assertIn(word, problem["detail"])

    def in_place(self):
        return sorted(self.dead()) == ["d-1.json"] and self.pending() == []


class Rights(ControlTest):
    def test_without_a_token_tcp_answers_questions_and_changes_nothing(self):
        worker = self.worker()
        self.assertEqual([line["rights"] for line in wait_until(lambda: worker.logs("tcp_open"))], ["read"])
        for path in ("/livez", "/metrics", "/v1/status", "/v1/entries", "/v1/metrics", "/v1/config", "/v1/version"):
            self.assertEqual(self.ask("tcp", "GET", path)[0], 200, path)
            self.assertEqual(self.ask("tcp", "HEAD", path)[0::2], (200, b""), path)
        for method, path in (("POST", "/v1/replay?id=d-1"), ("POST", "/v1/flush"), ("POST", "/v1/metrics?reset=1"),
                             ("DELETE", "/v1/flush/1"), ("PUT", "/v1/status"), ("POST", "/nothing"), ("TRACE", "/")):
            for authorization in ({}, {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer "}):
                self.problem(self.ask("tcp", method, path, **authorization), 403, "http.token")
        self.assertTrue(self.in_place())
        self.assertEqual(self.ask("unix", "POST", "/v1/replay?id=d-1")[0], 200)

    def test_with_the_token_tcp_may_change_things(self):
        worker = self.worker(**{"http.token": TOKEN})
        self.assertEqual([line["rights"] for line in wait_until(lambda: worker.logs("tcp_open"))], ["token"])
        for wrong in ({}, {"Authorization": "Bearer x" + TOKEN}, {"Authorization": "Basic " + TOKEN}):
            answer = self.ask("tcp", "POST", "/v1/replay?id=d-1", **wrong)
            self.problem(answer, 401)
            self.assertEqual(json.loads(answer[2])["title"], "Unauthorized")
            self.assertEqual(answer[1]["www-authenticate"], 'Bearer realm="busbridge"')
        self.problem(self.ask("tcp", "GET", "/v1/status", Authorization="Bearer x"), 401, "http.token")
        self.assertTrue(self.in_place())
        self.assertEqual(self.ask("tcp", "GET", "/v1/status", Authorization="Bearer " + TOKEN)[0], 200)
        self.assertEqual(self.ask("tcp", "POST", "/v1/replay?id=d-1", Authorization="bearer " + TOKEN)[0], 200)
        self.assertNotIn(TOKEN, self.ask("tcp", "GET", "/v1/config")[2].decode() + worker.stderr())

    def test_the_token_may_come_from_a_file_and_is_read_again_by_sighup(self):
        token = self.dir / "token"
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
        worker = self.worker(**{"http.token_file": token})
        self.assertEqual(worker.logs("settings"), [])
        self.assertEqual(self.ask("tcp", "POST", "/v1/metrics?reset=1", Authorization="Bearer " + TOKEN)[0], 200)
        token.write_text("another-canary-token\n")
        worker.signal(signal.SIGHUP)
        wait_until(lambda: self.ask("tcp", "POST", "/v1/metrics?reset=1", Authorization="Bearer another-canary-token")[0] == 200)
        self.problem(self.ask("tcp", "POST", "/v1/metrics?reset=1", Authorization="Bearer " + TOKEN), 401)
        token.write_text("")
        worker.signal(signal.SIGHUP)
        wait_until(lambda: worker.logs("reload_refused"))
        self.assertEqual(self.ask("tcp", "POST", "/v1/metrics?reset=1", Authorization="Bearer another-canary-token")[0], 200)

    def test_settings_that_cannot_be_used_are_refused_before_anything_starts(self):
        empty = self.dir / "empty"
        empty.write_text("\n")
        for options, words in (({"http.listen": "9464"}, "write HOST:PORT"), ({"http.token": "two words"}, "http.token"),
                               ({"http.token_file": empty}, "the file is empty")):
            worker = self.start_worker(options=options)
            self.assertEqual(worker.wait(), 2)
            self.assertIn(words, worker.stderr())
        self.assertFalse((self.outbox / ".busbridge").exists())

    def test_a_port_that_is_taken_is_said_and_leaves_no_socket(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            worker = self.start_worker(options={"http.listen": f"127.0.0.1:{taken.getsockname()[1]}"})
            self.assertEqual(worker.wait(), 75)
        self.assertIn("another program listens there", worker.stderr())
        self.assertFalse(self.socket.exists())

    def test_a_foreign_name_or_page_is_refused_on_both_listeners(self):
        self.worker(**{"http.token": TOKEN, "http.hosts": "relay.example"})
        rights = {"Authorization": "Bearer " + TOKEN}
        for where in BOTH:
            for host in ("evil.example", f"evil.example:{self.port}", "localhost.evil.example", "127.0.0.1.evil.example", "0x7f.1", ""):
                self.problem(self.ask(where, "POST", "/v1/replay?id=d-1", host=host, **rights), 403, "http.hosts")
                self.problem(self.ask(where, "GET", "/v1/status", host=host), 403)
            for origin in ("http://evil.example", "null", f"http://localhost:{self.port}", "http://localhost.evil.example", "file://"):
                self.problem(self.ask(where, "POST", "/v1/replay?id=d-1", Origin=origin, **rights), 403, "Origin")
            twice = b"POST /v1/replay?id=d-1 HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
            self.assertIn(b" 400 ", self.raw(where, twice).split(b"\r\n")[0])
            for host in ("127.0.0.1", "10.9.8.7:9464", "[::1]:80", "LOCALHOST:1", "relay.example:8080"):
                code, headers, _ = self.ask(where, "GET", "/v1/status", host=host)
                self.assertEqual(code, 200, host)
                self.assertFalse([name for name in headers if name.startswith("access-control")])
            self.assertEqual(self.ask(where, "GET", "/v1/status", host="relay.example", Origin="http://relay.example")[0], 200)
            self.assertIn(b"200 OK", self.raw(where, b"GET /livez HTTP/1.0\r\n\r\n"))
        self.assertTrue(self.in_place())

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_another_user_is_refused_on_the_socket_even_where_its_mode_lets_him_in(self):
        self.worker()
        for folder in (self.dir, self.outbox, self.outbox / ".busbridge"):
            folder.chmod(0o711)
        self.socket.chmod(0o666)
        request = b"POST /v1/replay?id=d-1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        for gid, expected in ((65534, b"HTTP/1.1 403"), (self.socket.stat().st_gid, b"HTTP/1.1 200")):
            self.assertEqual(self.as_another(gid, request)[:12], expected)

    def as_another(self, gid, request):
        """The answer to a request of user 65534."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(gid)
                os.setuid(65534)
                os.write(writer, self.raw("unix", request))
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            answer = file.read()
        os.waitpid(child, 0)
        return answer


class Topics(ControlTest):
    def topics(self):
        code, _, body = self.ask("tcp", "GET", "/v1/topics")
        self.assertEqual(code, 200)
        answer = json.loads(body)
        return answer, {topic["namespace"]: topic for topic in answer["topics"]}

    def test_each_namespace_tells_its_topic_and_what_would_mend_it(self):
        self.bootstrap = self.options["kafka.bootstrap.servers"] = harness.shared_bootstrap()
        self.create_topic("plot.events", 3)
        self.worker(**{"topics.create": "never", "flush.background": "true", "delivery.guarantee": "at_least_once"})
        self.entry(PUBLISHED, PAYLOAD)
        wait_until(lambda: self.topics()[1]["episode"]["breaker"] != "closed", what="the breaker of episode")
        answer, topics = self.topics()
        self.assertEqual((answer["kafka"], list(topics)), ("up", ["episode", "quality", "plot", "usecase"]))
        plot, episode = topics["plot"], topics["episode"]
        self.assertEqual((plot["state"], plot["partitions"], plot["breaker"], plot["remedy"]), ("there", 3, "closed", None))
        self.assertEqual((episode["topic"], episode["state"], episode["partitions"]), (self.topic("episode.events"), "missing", None))
        self.assertIn("kafka-topics", episode["remedy"])
        self.assertIn("kafka-topics", topics["usecase"]["remedy"])

    def test_without_kafka_nothing_is_known_but_the_answer_comes(self):
        self.worker()
        answer, topics = self.topics()
        self.assertEqual((answer["kafka"], {topic["state"] for topic in topics.values()}), ("away", {"unknown"}))
        self.assertTrue(answer["error"])


class Probes(ControlTest):
    def checks(self, **headers):
        """(status, words, {check: text} of what is not well)"""
        code, headers, body = self.ask("tcp", "GET", "/readyz", Accept="application/json")
        answer = json.loads(body)
        self.assertEqual((code == 200, headers["content-type"]), (answer["ready"], "application/json"))
        words = self.ask("tcp", "GET", "/readyz")[2].decode()
        return code, words, {check["check"]: check["text"] for check in answer["checks"] if not check["ok"]}

    def test_without_kafka_it_lives_but_is_not_ready_and_says_why(self):
        self.worker()
        self.assertEqual(self.ask("tcp", "GET", "/livez")[0::2], (200, b"ok\n"))
        self.assertEqual(json.loads(self.ask("tcp", "GET", "/livez", Accept="application/json")[2])["alive"], True)
        code, words, wrong = self.checks()
        self.assertEqual((code, list(wrong)), (503, ["kafka"]))
        self.assertIn("Kafka has not answered yet", words)
        self.assertIn("kafka.bootstrap.servers", words)

    def test_a_folder_or_the_lock_that_is_gone_is_said(self):
        self.worker()
        (self.outbox / "dlq").rename(self.outbox / "dlq.old")
        (self.outbox / "dlq").write_text("in the way")
        self.assertIn("/dlq: ", self.checks()[2]["folders"])
        (self.outbox / "dlq").unlink()
        (self.outbox / "dlq.old").rename(self.outbox / "dlq")
        (self.outbox / ".busbridge/lock").rename(self.dir / "lock")
        self.assertEqual(sorted(self.checks()[2]), ["kafka", "lock"])


def malformed(rng):
    """Some 200 requests that no honest client sends; nothing in them may change anything."""
    ok = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    change = "POST /v1/replay?id=d-1 HTTP/1.1\r\nHost: localhost\r\n"
    yield from (b"", b"\r\n", b"\r\n" * 5000, b"\x00" * 1000, b"GET", b"GET ", b"GET /", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
                b"GET /livez\r\n\r\n", b"GET /livez HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"CONNECT evil:1 HTTP/1.1\r\n\r\n")
    for path in ("*", "http://evil.example/v1/status", "//evil.example/v1/status", "/../../etc/passwd", "/v1/../v1/config", "/%2e%2e/x", "/%00",
                 "/v1/entries/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/v1/entries/..", "/v1/entries/%00", "/v1/entries/" + "a" * 8000,
                 "/v1/entries/d-1%00/raw", "/v1/flush/18446744073709551616", "/v1/flush/-1", "/v1/flush/1/../../replay", "/" + "a" * 20000,
                 "/v1/entries?" + "&".join(f"limit={n}" for n in range(2000)), "/v1/entries?" + "type=all&" * 30, "/v1/entries?limit=99999999999999999999",
                 "/v1/entries?%6cimit=1&limit=2", "/v1/entries?type=%ff%fe", "/v1/entries?key=" + "%f0%9f" * 900, "/v1/status?detailed", "/v1/status?=1"):
        yield f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    for headers in (["X: " + "a" * 60000], ["A" * 60000 + ": x"], [f"X-{n}: y" for n in range(5000)], ["no colon"], [": empty"], [" folded: x", "  more"],
                    ["X: \x00\x01\x7f"], ["Content-Length: -1"], ["Content-Length: 99999999999999999999999"], ["Content-Length: 5", "Content-Length: 6"],
                    ["Content-Length: 0x10"], ["Transfer-Encoding: chunked", "Content-Length: 3"], ["Transfer-Encoding: gzip, chunked"], ["Expect: 100-continue"],
                    ["Expect: nonsense"], ["Upgrade: websocket", "Connection: Upgrade"], ["Cookie: " + "a=b; " * 3000], ["Range: bytes=0-"], ["Host: localhost"],
                    ["Authorization: Bearer"], ["Authorization: Bearer \x00"], ["Authorization: " + "B" * 9000], ["Accept: " + "application/json," * 600]):
        yield (ok + "".join(line + "\r\n" for line in headers) + "\r\n").encode("latin-1")
        yield (change.replace("id=d-1", "id=") + "".join(line + "\r\n" for line in headers) + "\r\n").encode("latin-1")
    for body in ("5\r\nab", "zz\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\n", "-1\r\n", "1;" + "x" * 20000 + "\r\na\r\n0\r\n\r\n", "0\r\nHost: evil\r\n\r\n"):
        yield f"POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}".encode()
    yield b"POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 300000
    yield b"POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300000
    yield ok.replace("Connection: close\r\n", "").encode() + b"\r\n" + (ok + "\r\n").encode() * 200   # pipelined
    good = (ok + "\r\n").encode()
    for _ in range(50):                                                                       # one honest request, bent
        bent = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(bent))
            bent[at:at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        yield bytes(bent)
    for _ in range(30):
        yield rng.randbytes(rng.randint(1, 3000))


class Long(ControlTest):
    """Answers that take long keep no other waiting, and are not gone on with when nobody wants them."""

    def test_probes_answer_while_many_questions_take_long(self):
        silent = socket.create_server(("127.0.0.1", 0))  # a Kafka that says nothing: asking it takes seconds
        self.addCleanup(silent.close)
        self.worker(**{"kafka.bootstrap.servers": f"127.0.0.1:{silent.getsockname()[1]}"})
        waiting = []
        for where in BOTH * 12:
            s = self.connect(where)
            self.addCleanup(s.close)
            s.sendall(b"GET /v1/topics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            waiting.append(s)
        for where in BOTH:
            self.assertEqual(self.ask(where, "GET", "/livez")[0], 200)
        self.assertLess(len(select.select(waiting, [], [], 0)[0]), len(waiting), "long ones are still under way")
        for s in waiting:
            self.assertTrue(s.recv(12).endswith(b"200"))

    def test_a_list_that_nobody_waits_for_is_not_finished(self):
        for number in range(1000):
            self.entry(PUBLISHED, PAYLOAD, id=f"p-{number}", storage_key=f"p-{number}")
        self.worker()

        def stopped():
            for where in BOTH:
                with self.connect(where) as s:
                    s.sendall(b"GET /v1/entries?limit=10&key=none HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return re.search(rb'busbridge_commands_total{command="list",result="refused"} [1-9]', self.ask("unix", "GET", "/metrics")[2])

        wait_until(stopped, what="a list that was stopped")
        half = b"GET /v1/entries?limit=1000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        self.assertIn(b'"total": 1001', self.raw("unix", half), "who only ends his sending gets his answer")


class Hostile(ControlTest):
    def resident(self, worker):
        text = Path(f"/proc/{worker.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])

    def entries(self):
        return {str(p.relative_to(self.outbox)): p.read_bytes() for p in self.outbox.rglob("*.json")}

    def test_what_is_malformed_changes_nothing_on_either_listener(self):
        worker = self.worker(**{"http.token": TOKEN})
        before, files = self.resident(worker), self.entries()
        seed = harness.new_seed()
        for where in BOTH:
            for number, request in enumerate(malformed(random.Random(seed))):
                answer = self.raw(where, request, patience=0.5)
                what = f"seed {seed}, {where}, request {number}: {request[:200]!r} -> {answer[:200]!r}"
                self.assertTrue(worker.running(), what)
                self.assertNotIn(b'"status": 500', answer, what)
                self.assertNotIn(b"root:", answer, what)
            self.assertGreater(number, 170)
            self.assertEqual(self.ask(where, "GET", "/livez")[0], 200)
        self.assertEqual(self.entries(), files)
        self.assertLess(self.resident(worker) - before, 32 * 1024, "kB more")

    def test_a_stranger_gets_only_so_much_and_no_payload(self):
        self.worker(**{"http.token": TOKEN})
        for limit in (0, 1001):
            self.problem(self.ask("tcp", "GET", f"/v1/entries?limit={limit}"), 403, "limit")
            self.assertEqual(self.ask("tcp", "GET", f"/v1/entries?limit={limit}", Authorization="Bearer " + TOKEN)[0], 200)
            self.assertEqual(self.ask("unix", "GET", f"/v1/entries?limit={limit}")[0], 200)
        self.problem(self.ask("tcp", "GET", "/v1/entries/d-1"), 401)
        self.assertEqual(self.ask("tcp", "GET", "/v1/entries/d-1", Authorization="Bearer " + TOKEN)[0], 200)

    def test_connections_that_say_nothing_keep_nobody_out_of_the_socket(self):
        worker = self.worker()
        before = self.resident(worker)
        idle = []
        self.addCleanup(lambda: [s.close() for s in idle])
        for number in range(300):
            s = socket.socket(socket.AF_INET)
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            idle.append(s)
        for s in idle:
            try:
                s.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
            except OSError:
                pass
        for _ in range(20):
            self.assertEqual(self.ask("unix", "GET", "/v1/status")[0], 200)
        self.assertIn("asking the worker", self.run_cli("-v", "list", expect=0).stderr())
        self.assertLess(len(os.listdir(f"/proc/{worker.pid}/fd")), 200)
        self.assertLess(self.resident(worker) - before, 16 * 1024, "kB more")
        while idle:
            idle.pop().close()
        wait_until(lambda: self.ask("tcp", "GET", "/livez")[0] == 200, what="TCP answers again")

    def test_half_open_requests_of_several_addresses_keep_no_probe_out(self):
        self.options["http.listen"] = f"0.0.0.0:{self.port}"
        self.worker()
        idle = []
        self.addCleanup(lambda: [s.close() for s in idle])

        def half_open(address, count):
            for _ in range(count):
                s = socket.socket(socket.AF_INET)
                idle.append(s)
                s.settimeout(harness.PATIENCE)
                s.bind((address, 0))
                s.connect(("127.0.0.1", self.port))
                s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")

        for address in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
            half_open(address, 32)
        for _ in range(10):  # of a third, and of one of them
            self.assertEqual(self.ask("tcp", "GET", "/livez")[0], 200)
            half_open("127.0.0.2", 8)
        with socket.socket() as s:
            s.settimeout(harness.PATIENCE)
            s.bind(("127.0.0.2", 0))
            s.connect(("127.0.0.1", self.port))
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.assertTrue(s.recv(12).endswith(b"200"))

    def test_a_body_whose_length_is_told_twice_is_refused_and_its_connection_closed(self):
        self.worker(**{"http.token": TOKEN})
        second = b"POST /v1/replay?id=d-1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\nContent-Length: 0\r\n\r\n"
        for lines in (["Transfer-Encoding: chunked", "Content-Length: 5"], ["Content-Length: 5", "Transfer-Encoding: chunked"],
                      ["Content-Length: 5", "Content-Length: 6"], ["Content-Length: 5", "Content-Length: 5"], ["Content-Length: 5, 6"],
                      ["Content-Length: +5"], ["Content-Length: 0x5"], ["Content-Length: -5"], ["Content-Length: 5 5"], ["Content-Length:"],
                      ["Transfer-Encoding: gzip, chunked"], ["Transfer-Encoding: identity"], ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
                      ["Transfer-Encoding: xchunked"], ["Transfer-Encoding:"], ["transfer-encoding: chunked", "content-length: 0"]):
            for where in BOTH:
                head = "POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + TOKEN + "\r\n" + "".join(f"{line}\r\n" for line in lines)
                answer = self.raw(where, head.encode() + b"\r\n0\r\n\r\n" + second)
                self.assertEqual(set(re.findall(rb"HTTP/1.1 (\d+)", answer)), {b"400"}, (lines, answer))
        self.assertTrue(self.in_place())

    def test_many_large_raw_files_at_once_are_refused_before_they_are_read(self):
        worker = self.worker()
        (self.outbox / "dlq/big.raw").write_bytes(b"x" * 50_000_000)
        description = json.loads((self.outbox / "dlq/d-1.json").read_text())
        inode = (self.outbox / "dlq/big.raw").stat().st_ino
        description |= {"id": "big", "name": "", "storage_key": "big", "payload": {}, "reason": "too_large", "inode": inode}
        (self.outbox / "dlq/big.json").write_text(json.dumps(description))
        before, answers = self.resident(worker), []
        threads = [threading.Thread(target=lambda: answers.append(self.ask("unix", "GET", "/v1/entries/big/raw"))) for _ in range(20)]
        for thread in threads:
            thread.start()
        most = 0
        while any(thread.is_alive() for thread in threads):
            most = max(most, self.resident(worker))
        for answer in answers:
            self.assertEqual(answer[0], 413, answer[2][:300])
            self.problem(answer, 413, "50000000 bytes")
        self.assertLess(max(most, self.resident(worker)) - before, 128 * 1024, "kB more")  # of 1000 MB

    def test_answers_that_nobody_takes_are_bounded(self):
        worker = self.worker(**{"http.token": TOKEN})
        before = self.resident(worker)
        idle = []
        self.addCleanup(lambda: [s.close() for s in idle])
        for _ in range(30):
            s = self.connect("tcp")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
            idle.append(s)
        self.assertEqual(self.ask("unix", "GET", "/livez")[0], 200)
        self.assertLess(self.resident(worker) - before, 32 * 1024, "kB more")


if __name__ == "__main__":
    harness.main()
