#!/usr/bin/python3
"""The steps of an outbox in PostgreSQL through pgbouncer in transaction mode, where each statement may meet another server process: the
programs of unit.postgres_steps and unit.postgres_texts once more, with every connection through it. Kafka has no part in it.
"""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import harness
import postgres


class PoolerTest(unittest.TestCase):
    def test_each_step_is_the_same_through_a_pooler(self):
        try:
            postgres.Pooler.fetched()
            server = postgres.Server(fsync=False).start()
        except postgres.Unavailable as why:
            self.skipTest(str(why))
        self.addCleanup(server.close)
        server.migrate()
        pooler = postgres.Pooler(server, "postgres", "application", "relay")
        self.addCleanup(pooler.close)
        pooler.start()
        folder = tempfile.TemporaryDirectory(prefix="busbridge-pooler-")
        self.addCleanup(folder.cleanup)
        known = Path(folder.name) / "postgres.json"
        known.write_text(json.dumps({**postgres.facts(server), "port": pooler.port}))
        for program in ("steps", "texts"):
            done = subprocess.run([str(harness.BUILD / f"tests/unit-postgres_{program}")], env={**os.environ, "BUSBRIDGE_POSTGRES": str(known)},
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=2 * harness.PATIENCE, check=False)
            said = done.stdout.decode(errors="replace")
            self.assertEqual(done.returncode, 0, said[-4000:])
            self.assertIn("PASSED", said)


if __name__ == "__main__":
    harness.main()
