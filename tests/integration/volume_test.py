#!/usr/bin/python3
"""A whole backlog through a real broker that goes away in the middle, judged by an independent reader.

Every id once, in order per key, decoded (python's avro library, the schema files) equal to the JSON; nothing dead, no attempt counted.
BUSBRIDGE_VOLUME=100000 BUSBRIDGE_OUTAGE=60 runs the full size; the defaults keep a test run short.
"""

import json
import os
import random
import time

import harness
import relay_test

COUNT = int(os.environ.get("BUSBRIDGE_VOLUME", "12000"))
OUTAGE = float(os.environ.get("BUSBRIDGE_OUTAGE", "3"))


def payload(i, rng):
    key = f"k{rng.randrange(COUNT // 50 + 1)}"
    kind = i % 4
    if kind == 0:
        return "episode.created", key, {"episode_id": key, "title": f"第{i}話 😀", "episode_number": i, "mood": {"n": [i, None]}}
    if kind == 1:
        return "quality.checked", key, {"content_id": key, "score": rng.random() * 100, "check_types": ["文法", "x" * (i % 300)],
                                        "passed": i % 3 == 0, "issues": [{"type": "t", "description": f"d{i}"}],
                                        "detailed_scores": {"a": i / 7}}
    if kind == 2:
        return "plot.updated", key, {"plot_id": key, "episode_number": None, "word_count": 2**40 + i, "updated_at": relay_test.CREATED,
                                     "consistency_checked": False, "consistency_issues": []}
    return "usecase.executed", None, {"usecase_name": f"u{i}", "success": True, "request_data": {"i": i, "x": 1.50}, "response_data": {}}


class Volume(harness.BusTest):
    def lay(self, rng):
        """{id: payload without nulls}, {(namespace, key): [ids in order]}"""
        written, order = {}, {}
        for i in range(COUNT):
            name, key, data = payload(i, rng)
            id = self.entry(name, data, mtime=1700000000 + i / 1000)
            written[id] = relay_test.without_null(data)
            order.setdefault((name.split(".")[0], key or id), []).append(id)
        return written, order

    def test_every_id_once_in_order_and_equal_though_the_broker_goes_away(self):
        broker = self.own_broker()
        seed = int(os.environ.get("BUSBRIDGE_SEED") or harness.new_seed())
        print(f"seed {seed}, {COUNT} entries, outage {OUTAGE} s")
        written, order = self.lay(random.Random(seed))
        worker = self.start_worker(options={"log.level": "info"})
        harness.wait_until(lambda: len(self.pending()) < COUNT * 0.8, what="the relay is under way")
        broker.stop()
        left = len(self.pending())
        time.sleep(OUTAGE)  # the outage itself, not a wait for something
        self.assertTrue(all(json.loads((self.outbox / n).read_text())["attempts"] == 0 for n in self.pending()[:200]))
        broker.start()
        harness.wait_until(lambda: not self.pending(), seconds=300, what="everything drains")
        self.assertEqual(worker.stop(), 0)
        got, decoded = {}, {}
        for r in self.drain():
            id = r.headers["ce_id"].decode()
            got.setdefault((r.topic.split(".")[1], r.key.decode()), []).append(id)
            decoded[id] = relay_test.decode(r)
        lost, doubled = set(written) - set(decoded), sum(map(len, got.values())) - len(decoded)
        print(f"accepted {COUNT} committed {len(decoded)} dead {len(self.dead())} pending 0 lost {len(lost)} doubled {doubled}"
              f" (in flight when the broker went: of {left} left)")
        self.assertEqual((len(lost), doubled, self.dead()), (0, 0, {}))
        self.assertEqual(got, order)
        self.assertEqual(decoded, written)


if __name__ == "__main__":
    harness.main()
