#!/usr/bin/python3
"""A thread of the relay hangs: health says which, and the probes tell whether a restart helps."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
import harness  # noqa: E402
from harness import wait_until  # noqa: E402
from health_test import HealthTest  # noqa: E402


class Hang(HealthTest):
    def hanging(self, **env):
        worker = self.start_worker(env=env, options={"log.format": "json", "health.heartbeat": "3s"})
        wait_until(lambda: self.ask("GET", "/readyz")[0] == 200, what="ready")
        self.green()
        self.event(id="poisoned", storage_key="poisoned")
        return worker

    def test_the_publisher(self):
        self.hanging(BUSBRIDGE_HANG_AT="point/before_commit:1")
        self.says("publisher has not turned", "Restart busbridge-worker", "CRITICAL")
        wait_until(lambda: self.ask("GET", "/livez")[0] == 503, what="/livez fails: a restart helps")

    def test_the_reader(self):
        self.hanging(BUSBRIDGE_POISON="poisoned:reader:hang")
        self.says("reader has not turned", "disk", "WARNING")
        self.assertEqual(self.ask("GET", "/livez")[0], 200, "a long listing is no reason to be ended")
        self.says("reader has not turned", "disk", "CRITICAL")
        wait_until(lambda: self.ask("GET", "/livez")[0] == 503, what="/livez fails in the end")

    def test_the_finisher(self):
        self.hanging(BUSBRIDGE_HANG_AT="unlink/poisoned:1")
        self.says("finisher has not turned", "disk", "WARNING")
        self.says("finisher has not turned", "disk", "CRITICAL")


if __name__ == "__main__":
    harness.main()
