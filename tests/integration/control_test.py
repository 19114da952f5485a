"""The control API against those who mean ill or know no better, on the Unix socket and on TCP: names and pages of others, no token,
a wrong user, requests that are malformed, too large, too slow. Nothing changes, the worker lives, its memory stays bounded."""

import json
import os
import random
import signal
import socket
import unittest

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
        s.settimeout(30)
        try:
            s.connect(str(self.socket) if where == "unix" else ("127.0.0.1", self.port))
        except OSError:
            s.close()
            raise
        return s

    def raw(self, where, request):
        """What comes back for these bytes until the worker closes; the sending side is closed after them."""
        answer = b""
        with self.connect(where) as s:
            try:
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
                while part := s.recv(65536):
                    answer += part
            except (ConnectionResetError, BrokenPipeError):
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
        self.assertEqual([line["rights"] for line in worker.logs("tcp_open")], ["read"])
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
        self.assertEqual([line["rights"] for line in worker.logs("tcp_open")], ["token"])
        for wrong in ({}, {"Authorization": "Bearer x" + TOKEN}, {"Authorization": "Basic " + TOKEN}):
            answer = self.ask("tcp", "POST", "/v1/replay?id=d-1", **wrong)
            self.problem(answer, 401)
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
        (self.outbox / ".busbridge/tmp").rmdir()
        self.assertIn(".busbridge/tmp: No such file", self.checks()[2]["folders"])
        (self.outbox / ".busbridge/tmp").mkdir()
        (self.outbox / ".busbridge/lock").rename(self.dir / "lock")
        self.assertEqual(sorted(self.checks()[2]), ["kafka", "lock"])


if __name__ == "__main__":
    harness.main()
