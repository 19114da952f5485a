#!/usr/bin/python3
"""An outbox in PostgreSQL through pgbouncer in transaction mode, where each statement may meet another server process: the programs of
unit.postgres_steps, unit.postgres_texts and of the contract once more, with every connection through it. Kafka has no part in it.
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
    def programs(self):
        return [harness.BUILD / f"tests/unit-postgres_{name}" for name in ("steps", "texts")] + sorted(
            path for path in harness.BUILD.glob("tests/contract-*") if os.access(path, os.X_OK) and path.is_file())

    def test_all_is_the_same_through_a_pooler(self):
        try:
            postgres.Pooler.fetched()
            server = postgres.Server(fsync=False).start()
        except postgres.Unavailable as why:
            self.skipTest(str(why))
        self.addCleanup(server.close)
        server.migrate()
        pooler = postgres.Pooler(server, "postgres", "application", "relay", "busbridge")
        self.addCleanup(pooler.close)
        pooler.start()
        folder = tempfile.TemporaryDirectory(prefix="busbridge-pooler-")
        self.addCleanup(folder.cleanup)
        known = Path(folder.name) / "postgres.json"
        known.write_text(json.dumps({**postgres.facts(server), "port": pooler.port}))
        self.assertGreater(len(self.programs()), 10)
        for program in self.programs():
            done = subprocess.run([str(program)], env={**os.environ, "BUSBRIDGE_POSTGRES": str(known)},
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=2 * harness.PATIENCE, check=False)
            said = done.stdout.decode(errors="replace")
            self.assertEqual(done.returncode, 0, said[-4000:])
            self.assertIn("PASSED", said)


if __name__ == "__main__":
    harness.main()
