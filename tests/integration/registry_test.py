#!/usr/bin/python3
"""Against two real registries: what the worker publishes by their help, read back by the usual clients; and nginx before one of them."""

import json
import unittest

import harness
from registry import Front, Unavailable, start_both
from scripted_registry import ScriptedRegistry

FIELD = {"name": "order_id", "type": "string"}
PLACED = {"type": "record", "name": "Placed", "namespace": "shop", "fields": [FIELD]}


def setUpModule():
    global two, three, front
    try:
        two, three = start_both()
        front = Front(two).start()
    except Unavailable as why:
        raise unittest.SkipTest(str(why)) from None
    for server in (two, three, front):
        unittest.addModuleCleanup(server.close)


class Double(unittest.TestCase):
    """The scripted registry of integration.registry_faults answers as the two real ones do, where it was not told otherwise."""

    def answers(self, registry):
        """Without the one thing in which the two differ: the newer one finds another spelling without being told to normalize."""
        text, pretty = json.dumps(PLACED, separators=(",", ":")), json.dumps({"doc": "d", **PLACED}, indent=1)
        said = [registry.ask("/subjects/d-none", "POST", {"schema": text}), registry.ask("/subjects/d-none/versions")]
        id = registry.register("d-a", text)
        self.assertEqual((registry.register("d-a", text), registry.register("d-b", text)), (id, id))
        said += [registry.ask("/subjects/d-a", "POST", {"schema": text}), registry.ask("/subjects/d-a", "POST", {"schema": '"int"'}),
                    registry.ask("/subjects/d-a?normalize=true", "POST", {"schema": pretty}),
                    registry.ask("/subjects/d-a/versions"), registry.ask("/subjects/d-a/versions/1"), registry.ask("/subjects/d-a/versions/2"),
                    registry.ask(f"/schemas/ids/{id}"), registry.ask("/schemas/ids/7777777")]
        registry.remove("d-a")
        said += [registry.ask("/subjects/d-a", "POST", {"schema": text})]
        found = []
        for status, answer in said:
            if isinstance(answer, dict):
                answer = {key: value for key, value in answer.items() if key in ("error_code", "subject", "version", "schema", "id")}
                if "id" in answer:
                    answer["id"] = answer["id"] == id
                if "schema" in answer:
                    answer["schema"] = json.loads(answer["schema"]) == PLACED
            found.append((status, answer))
        return found

    def test_it_is_like_the_real_ones(self):
        scripted = ScriptedRegistry().start()
        self.addCleanup(scripted.close)
        by_script = self.answers(scripted)
        self.assertEqual(self.answers(two), by_script)
        self.assertEqual(self.answers(three), by_script)


if __name__ == "__main__":
    harness.main()
