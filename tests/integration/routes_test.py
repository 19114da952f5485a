#!/usr/bin/python3
"""Routes: topics, keys, headers and times of a namespace or of one event; and what becomes of them over a crash."""

import datetime
import json
import shutil
import signal

import harness
import kafka_wire

PLACED = {"type": "record", "name": "Placed", "namespace": "shop", "fields": [{"name": "id", "type": "string"}]}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Routes(harness.BusTest):
    def setUp(self):
        super().setUp()
        folder = self.dir / "schemas" / "order"
        folder.mkdir(parents=True)
        (folder / "placed.avsc").write_text(json.dumps(PLACED))
        (folder.parent / "envelope.avsc").write_text((harness.ROOT / "schemas/envelope.avsc").read_text())
        self.options |= {"encoding.schemas": str(folder.parent), "routing.namespaces": "order payment", "ledger.topic": self.topic("ledger")}

    def route(self, **attributes):
        """route(order_topic="x") sets routing.order.topic."""
        self.options |= {"routing." + key.replace("_", "."): value for key, value in attributes.items()}

    def ids(self, *topics):
        return sorted(r.headers["ce_id"].decode() for r in self.drain(*topics) if "ledger" not in r.topic)

    def test_each_event_goes_where_its_longest_route_says(self):
        self.route(order_topic=self.prefix + ".{event}", order_key="customer.id", order_headers="tenant=meta.tenant vip=vip",
                   order_gone_key="none", payment_made_topic=self.topic("paid"))
        self.entry("order.placed", {"id": "o", "customer": {"id": 7}, "vip": True, "meta": {"tenant": "Ä"}}, id="e-1",
                   traceparent=TRACE, tracestate="a=b")
        self.entry("order.gone", {"customer": {"id": 7}, "meta": {"tenant": None}}, id="e-2", headers={"traceparent": TRACE})
        self.entry("payment.made", {"vip": True}, id="e-3")
        self.entry("payment.lost", {}, id="e-4")
        self.entry("order.shipped", {}, id="e-5")
        self.entry("order.placed", {"id": "o", "meta": {"tenant": []}}, id="e-6")
        self.run_worker("--once", expect=0)
        records = {r.headers["ce_id"].decode(): r for r in self.drain() if "ledger" not in r.topic}
        self.assertEqual({id: (r.topic.removeprefix(self.prefix + "."), r.key.decode()) for id, r in records.items()},
                         {"e-1": ("placed", "7"), "e-2": ("gone", "e-2"), "e-3": ("paid", "e-3"), "e-4": ("payment.events", "e-4")})
        self.assertEqual({name: value for name, value in records["e-1"].headers.items() if not name.startswith(("ce_", "content-"))},
                         {"tenant": "Ä".encode(), "vip": b"true", "traceparent": TRACE.encode(), "tracestate": b"a=b"})
        self.assertEqual({name for name in records["e-2"].headers if not name.startswith(("ce_", "content-"))}, {"traceparent"})
        self.assertEqual({dead["id"]: dead["reason"] for dead in self.dead().values()}, {"e-5": "unknown_event", "e-6": "bad_header"})
        made = {t.removeprefix(self.prefix + ".") for t in kafka_wire.topics(self.bootstrap) if t.startswith(self.prefix + ".")}
        self.assertEqual(made, {"placed", "gone", "paid", "payment.events", "ledger"}, "no other topic is made")
        tailed = {json.loads(line)["topic"] for line in self.run_cli("tail", "--from-beginning", expect=0).stdout().splitlines()}
        self.assertEqual(tailed, {r.topic for r in records.values()}, "tail without a topic reads all of them")

    def test_a_wrong_route_is_told_alike_everywhere(self):
        said = f"routing.order.topic: {self.topic('ledger')} is the topic of the ledger"
        wrong = {"routing.order.topic": self.topic("ledger")}
        self.assertIn(said, self.run_worker("--once", expect=2, options=wrong).stderr())
        self.assertTrue(any(said in check["found"] for check in self.examine("doctor", options=wrong)))
        file = self.dir / "bus.conf"
        file.write_text("".join(f"{key} = {value}\n" for key, value in {**self.options, **wrong}.items() if not key.startswith("log")))
        self.assertRegex(self.run_cli("config", "check", str(file), expect=2).stderr(), r"bus\.conf:\d+: " + said)
        shown = self.run_cli("config", "routing.order", "-o", "json", expect=0, options=wrong)
        self.assertEqual([row["value"] for row in json.loads(shown.stdout())], [self.topic("ledger")])

    def test_route_tells_the_way_that_an_event_then_takes(self):
        self.route(order_topic=self.topic("{event}"), order_key="customer.id", order_headers="tenant=meta.tenant", order_timestamp="event")
        self.create_topic("placed", 7)
        payload = {"id": "o", "customer": {"id": 7}, "meta": {"tenant": "Ä"}}
        file = self.dir / "payload.json"
        file.write_text(json.dumps(payload))
        told = json.loads(self.run_cli("route", "--format", "json", "order.placed", str(file), expect=0).stdout())
        self.entry("order.placed", payload)
        self.run_worker("--once", expect=0)
        (record,) = self.drain("placed")
        self.assertEqual([told["topic"], told["key"], told["partition"], told["partitions"]],
                         [record.topic, record.key.decode(), record.partition, 7])
        self.assertEqual({h["name"]: h["value"].encode() for h in told["headers"]}, {"tenant": record.headers["tenant"]})
        self.assertEqual([told[part + "_by"] for part in ("topic", "key", "headers", "timestamp")],
                         ["routing.order." + part for part in ("topic", "key", "headers", "timestamp")])
        self.assertEqual((told["published"], told["timestamp"], told["content_type"]),
                         (True, "event", record.headers["content-type"].decode()))
        self.assertTrue(told["schema"].endswith("order/placed.avsc"))
        text = self.run_cli("route", "order.placed", expect=0).stdout()
        self.assertIn("key of     customer.id (routing.order.key)", text)
        self.assertIn("one of 7, by its key", text)
        away = {"kafka.bootstrap.servers": "127.0.0.1:1"}
        told = json.loads(self.run_cli("route", "-o", "json", "order.placed", options=away, expect=0, seconds=60).stdout())
        self.assertEqual((told["topic"], told["partitions"]), (record.topic, None))
        self.assertTrue(told["kafka"])
        self.assertIn("unknown_event", self.run_cli("route", "order.shipped", expect=1).stdout())
        typed = self.run_cli("route", "-o", "json", "order.placed", " " + json.dumps(payload), expect=0).stdout()
        self.assertEqual(json.loads(typed)["key"], "7")
        file.write_text(json.dumps({**payload, "meta": {"tenant": []}}))
        self.assertIn("bad_header", self.run_cli("route", "order.placed", str(file), expect=1).stdout())

    def test_commands_are_a_namespace_like_another_and_off_until_it_is_listed(self):
        self.options["encoding.schemas"] = str(harness.ROOT / "schemas")
        del self.options["routing.namespaces"]
        self.assertIn("unknown_namespace", self.run_cli("route", "commands.update_plot", expect=1).stdout())
        self.options["routing.namespaces"] = "commands"
        payload = {"plot_id": "p-1", "plot_content": "t", "note": 7}
        self.entry("commands.update_plot", payload)
        self.run_worker("--once", expect=0)
        (record,) = self.drain("commands.events")
        self.assertEqual((record.key, record.headers["ce_type"]), (b"p-1", b"commands.update_plot"))
        (shown,) = map(json.loads, self.run_cli("tail", "--from-beginning", "--limit", "1", expect=0).stdout().splitlines())
        self.assertEqual({name: shown["value"][name] for name in payload}, payload)
        self.assertEqual(shown["value"]["consistency_check"], True)

    def test_unknown_fields_of_one_event(self):
        self.options |= {"routing.order.unknown_fields": "drop", "routing.order.placed.unknown_fields": "refuse", "routing.payment.unknown_fields": "carry"}
        (self.dir / "schemas/order/gone.avsc").write_text(json.dumps({**PLACED, "name": "Gone"}))
        (self.dir / "schemas/payment").mkdir()
        (self.dir / "schemas/payment/made.avsc").write_text(json.dumps({**PLACED, "name": "Made"}))
        for name in ("order.placed", "order.gone", "payment.made"):
            self.entry(name, {"id": "o", "more": 1}, id=name)
        self.run_worker("--once", expect=0)
        carried = {r.headers["ce_id"].decode(): "ce_extra" in r.headers for r in self.drain() if "ledger" not in r.topic}
        self.assertEqual(carried, {"order.gone": False, "payment.made": True})
        self.assertEqual([dead["reason"] for dead in self.dead().values()], ["schema_mismatch"])

    # ---- over a crash -----------------------------------------------------------------------------------------------------------

    def cut_short(self):
        """As a crash between commit and settling leaves it."""
        saved = self.dir / "saved"
        shutil.copytree(self.outbox, saved)
        self.run_worker("--once", expect=0)
        for file in saved.glob("*.json"):
            shutil.copy2(file, self.outbox / file.name)
        shutil.rmtree(saved)
        state = self.outbox / ".busbridge"
        (manifest,) = state.glob("settled-*")
        manifest.rename(state / manifest.name.replace("settled", "batch", 1))

    def lose_position(self):
        kafka_wire.delete_topic(self.bootstrap, self.options["ledger.topic"])
        harness.wait_until(lambda: self.options["ledger.topic"] not in kafka_wire.topics(self.bootstrap))

    def test_route_names_what_a_running_worker_has_otherwise(self):
        self.route(order_topic=self.topic("here"))
        self.assertNotIn("of the worker", self.run_cli("route", "order.placed", expect=0).stderr())
        worker = self.start_worker()
        harness.wait_until((self.outbox / ".busbridge/control.sock").exists)
        self.assertNotIn("of the worker", self.run_cli("route", "order.placed", expect=0).stderr())
        other = {"routing.order.topic": self.topic("there"), "routing.order.placed.key": "id", "health.dead_warning": "7"}
        told = self.run_cli("route", "order.placed", options=other, expect=0)
        self.assertIn(self.topic("there"), told.stdout())
        self.assertIn(f"routing.order.topic of the worker is {self.topic('here')} (-X); here it is {self.topic('there')} (-X); "
                      "it takes over what its file says by a restart", told.stderr())
        self.assertIn("routing.order.placed.key of the worker is not set; here it is id", told.stderr())
        self.assertNotIn("health.", told.stderr())
        worker.signal(signal.SIGSTOP)
        self.addCleanup(worker.signal, signal.SIGCONT)
        told = self.run_cli("route", "order.placed", expect=0)
        self.assertIn(self.topic("here"), told.stdout())
        self.assertIn("the worker does not answer on its socket", told.stderr())

    def test_route_warns_of_a_key_field_that_no_schema_has(self):
        self.route(order_placed_key="idd")
        told = self.run_cli("route", "order.placed", expect=0)
        self.assertIn("warning: routing.order.placed.key names idd, which no schema of order has; did you mean id?", told.stderr())
        told = json.loads(self.run_cli("route", "-o", "json", "order.placed", expect=0).stdout())
        self.assertIn("did you mean id?", told["key_doubt"])
        self.route(order_placed_key="id")
        self.assertNotIn("warning", self.run_cli("route", "order.placed", expect=0).stderr())

    def test_routes_changed_between_a_crash_and_the_restart_double_nothing(self):
        """By the position, and where that is lost by the topics that were written down."""
        ids = []
        for turn, lost in enumerate((False, True)):
            ids += [self.entry("order.placed", {"id": f"o{i}"}) for i in range(10)]
            self.cut_short()
            if lost:
                self.lose_position()
            self.route(order_topic=self.topic(f"turn{turn}"), order_placed_key="id")
            ids += [self.entry("order.placed", {"id": f"n{i}"}) for i in range(5)]
            worker = self.run_worker("--once", expect=0)
            self.assertEqual(len(worker.logs("position_lost")), int(lost))
            self.assertEqual((self.pending(), self.ids()), ([], sorted(ids)))

    # ---- the event's own time ---------------------------------------------------------------------------------------------------

    def aged(self, days, **over):
        at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
        return self.entry("order.placed", {"id": "o"}, created_at=at.isoformat(), **over), int(at.timestamp() * 1000)

    def stamps(self):
        return {r.headers["ce_id"].decode(): r.timestamp for r in self.drain("order.events")}

    def test_the_record_bears_the_events_time_if_the_route_says_so(self):
        self.route(order_timestamp="event", order_gone_timestamp="publish")
        id, at = self.aged(2)
        other = self.entry("order.gone", {})
        self.run_worker("--once", expect=0)
        stamps = self.stamps()
        self.assertEqual(stamps[id], at)
        self.assertGreater(stamps[other], at + 86400000)

    def test_a_lost_position_is_decided_by_ids_whatever_the_times_of_the_events(self):
        for guarantee_of_time in ("event", "publish"):  # what the restart's route says is not what was written down
            self.route(order_timestamp="event")
            ids = [self.aged(2)[0] for _ in range(5)]
            before = self.ids()
            self.cut_short()
            self.lose_position()
            self.route(order_timestamp=guarantee_of_time)
            self.assertTrue(self.run_worker("--once", expect=0).logs("position_lost"))
            self.assertEqual((self.pending(), self.ids()), ([], sorted(before + ids)))

    def test_verify_finds_the_last_batches_whatever_their_times(self):
        self.route(order_timestamp="event")
        for _ in range(5):
            self.aged(2)
        self.run_worker("--once", expect=0)
        checks = {check["check"]: check for check in self.examine("verify", "--sample", "1")}
        self.assertEqual(checks["last batches"]["verdict"], "ok", checks["last batches"])

    def test_a_time_that_the_topic_does_not_take_is_the_events_fault(self):
        for guarantee in ("exactly_once", "at_least_once"):
            name = guarantee.replace("_", "-")
            self.create_topic(name, 1, {"message.timestamp.before.max.ms": 86400000})
            self.route(order_timestamp="event", order_topic=self.topic(name))
            good = [self.aged(0)[0] for _ in range(3)]
            bad, _ = self.aged(2)
            ancient = self.entry("order.placed", {"id": "o"}, created_at="1969-12-31T23:59:59Z")
            self.run_worker("--once", options={"delivery.guarantee": guarantee, "dlq.max_attempts": 1})
            self.assertEqual(self.ids(name), sorted(good))
            dead = {letter["id"]: letter for letter in self.dead().values()}
            self.assertEqual((dead[bad]["reason"], dead[ancient]["reason"], self.pending()), ("broker_refused", "bad_time", []))
            self.assertIn("imestamp", dead[bad]["last_error"])

    def test_doctor_warns_of_a_retention_that_is_shorter_than_what_waits_is_old(self):
        self.create_topic("order.events", 1, {"retention.ms": 3600000})
        self.route(order_timestamp="event")
        self.aged(0.01)
        found = [check for check in self.examine("doctor") if check["check"] == "retention"]
        self.assertEqual(found, [])
        self.aged(2)
        found = [check for check in self.examine("doctor") if check["check"] == "retention"]
        self.assertEqual([check["verdict"] for check in found], ["warning"], found)
        self.assertIn(self.topic("order.events"), found[0]["found"])


if __name__ == "__main__":
    harness.main()
