#!/usr/bin/env python3
"""How long one payload takes to its record, against release 0.1.0 in the same run.

Compiles the same program with the sources of either, lets both run in turns, and prints nanoseconds an event and the ratio of
the fastest rounds. What it is built for: 1.05.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "6c21534"  # 0.1.0
MODULES = ("base", "json", "event", "encoding")


def build(tree, program):
    sources = [str(source) for module in MODULES for source in sorted((tree / "bridge" / module).glob("*.c"))]
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-O2", "-fno-strict-aliasing", "-D_GNU_SOURCE", '-DBUSBRIDGE_VERSION="bench"', f"-I{tree}",
                    str(ROOT / "tests/bench/encode/speed.c"), *sources, "-o", str(program), "-lavro", "-ljansson", "-lpthread", "-lm"], check=True)


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run encode", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="how often each of both runs (5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="busbridge-bench-") as scratch:
        old = Path(scratch) / "old"
        old.mkdir()
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", RELEASE, "bridge", "schemas"], stdout=subprocess.PIPE, check=False)
        if archive.returncode:
            sys.exit(f"the sources of {RELEASE} are not in this clone")
        subprocess.run(["tar", "-x", "-C", str(old)], input=archive.stdout, check=True)
        programs = {"0.1.0": (old, Path(scratch) / "before"), "now": (ROOT, Path(scratch) / "now")}
        for tree, program in programs.values():
            build(tree, program)
        best = {}
        for _ in range(options.turns):
            for which, (_, program) in programs.items():
                out = subprocess.run([program, old / "schemas"], stdout=subprocess.PIPE, check=True).stdout
                for line in map(json.loads, out.splitlines()):
                    key = line["event"], which
                    best[key] = min(best.get(key, line["ns"]), line["ns"])
    for event in dict.fromkeys(event for event, _ in best):
        before, now = best[event, "0.1.0"], best[event, "now"]
        print(f"{event:28} {before:8.1f} ns in 0.1.0 {now:8.1f} ns now   ratio {now / before:.2f}")


if __name__ == "__main__":
    main()
