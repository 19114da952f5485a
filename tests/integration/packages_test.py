#!/usr/bin/python3
"""deploy/packages/: what CPack makes of this build, and that building for use asks for no test's library. Installing it, in bare roots of both
releases, is tests/packages/run."""

import gzip
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

import harness

PACKAGES = harness.ROOT / "deploy/packages"


def run(*command, expect=0, **more):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200, **more)
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done


def need(tool):
    if not shutil.which(tool):
        raise unittest.SkipTest(f"no {tool}")


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for tool in ("dpkg-deb", "dpkg-shlibdeps", "file", "lintian"):
            need(tool)
        cls.dir = Path(tempfile.mkdtemp(prefix="busbridge-packages-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, True)
        run("cpack", "--config", harness.BUILD / "CPackConfig.cmake", "-B", cls.dir)
        cls.deb, = cls.dir.glob("*.deb")
        cls.root = cls.dir / "root"
        run("dpkg-deb", "-x", cls.deb, cls.root)

    def field(self, name):
        return run("dpkg-deb", "-f", self.deb, name).stdout.strip()

    def test_lintian_finds_no_error(self):
        said = run("lintian", "--fail-on", "error", *(["--allow-root"] if os.geteuid() == 0 else []), self.deb, expect=None)
        self.assertEqual((said.returncode, re.findall(r"^E: .*", said.stdout, re.M)), (0, []), said.stdout + said.stderr)

    def test_everything_is_where_debian_has_it(self):
        manuals = [page for folder in ("worker", "admin") for page in (harness.ROOT / folder).glob("*.[1-8]")]
        self.assertGreater(len(manuals), 3)
        schemas = [path.relative_to(harness.ROOT) for path in (harness.ROOT / "schemas").rglob("*.avsc")]
        wanted = ["usr/bin/busbridge", "usr/bin/busbridge-worker", "etc/busbridge/busbridge.conf", "usr/lib/sysusers.d/busbridge.conf",
                  "usr/lib/tmpfiles.d/busbridge.conf", "usr/lib/systemd/system/busbridge.service", "usr/lib/systemd/system/busbridge@.service",
                  "usr/share/bash-completion/completions/busbridge", "usr/share/zsh/site-functions/_busbridge",
                  "usr/share/fish/vendor_completions.d/busbridge.fish", "usr/share/doc/busbridge/copyright", "usr/share/doc/busbridge/changelog.gz",
                  *(f"usr/share/doc/busbridge/{page}" for page in ("README" ".md", "UPGRADING" ".md")), "usr/share/doc/busbridge/examples/shop/schemas/order/placed.avsc",
                  *(f"usr/share/busbridge/monitoring/busbridge.{what}" for what in ("rules.yaml", "dashboard.json")),
                  *(f"usr/share/man/man{page.suffix[1:]}/{page.name}.gz" for page in manuals), *(f"usr/share/busbridge/{path}" for path in schemas)]
        self.assertEqual([path for path in wanted if not (self.root / path).is_file()], [])
        self.assertFalse((self.root / "usr/bin/busbridge-devbroker").exists())
        self.assertEqual([path for path in self.root.rglob("*") if path.is_dir() and not any(path.iterdir())], [])
        self.assertEqual(gzip.open(self.root / "usr/share/doc/busbridge/changelog.gz", "rt").read(), (harness.ROOT / "deploy/CHANGELOG.md").read_text())

    def test_the_settings_are_the_example_but_for_the_outbox(self):
        ours = (harness.ROOT / "deploy/config/busbridge.conf").read_text().splitlines()
        packed = (self.root / "etc/busbridge/busbridge.conf").read_text().splitlines()
        self.assertEqual([(a, b) for a, b in zip(ours, packed) if a != b],
                         [("#outbox.url = file:temp/bus_outbox", "outbox.url = file:/var/lib/busbridge/outbox")])
        self.assertEqual(len(ours), len(packed))
        run("dpkg-deb", "-e", self.deb, self.dir / "control")
        self.assertEqual((self.dir / "control/conffiles").read_text(), "/etc/busbridge/busbridge.conf\n")
        for script in ("postinst", "prerm", "postrm"):
            run("sh", "-n", self.dir / "control" / script)
        judged = run(self.root / "usr/bin/busbridge", "config", "check", self.root / "etc/busbridge/busbridge.conf", expect=None)
        self.assertNotIn("no setting", judged.stdout + judged.stderr)

    def test_the_example_has_every_setting_with_its_default(self):
        text = (harness.ROOT / "deploy/config/busbridge.conf").read_text()
        set_all = re.sub(r"^#(?=[a-z0-9_.]+ = .)", "", text, flags=re.M)
        self.assertGreater(set_all.count("\n"), 150)
        (self.dir / "all.conf").write_text(set_all)
        keys = [row["key"] for row in json.loads(run(harness.BUILD / "busbridge", "config", "-o", "json", cwd=self.dir).stdout)]
        shown = re.findall(r"^#?([a-z0-9_.]+) =", set_all, re.M)
        self.assertEqual(sorted(set(keys) - set(shown)), [])
        changed = run(harness.BUILD / "busbridge", "-c", self.dir / "all.conf", "config", "-o", "json", cwd=self.dir)
        self.assertEqual([row for row in json.loads(changed.stdout) if row["default"] is not None and row["value"] != row["default"]], [])

    def test_a_later_commit_is_a_later_version(self):
        version = re.search(r"project\(busbridge VERSION ([\d.]+)", (harness.ROOT / "CMakeLists.txt").read_text()).group(1)
        packed = self.field("Version")
        self.assertRegex(packed, rf"^{re.escape(version)}(\+\d{{12}}\.[0-9a-f]{{7,}})?-1~deb\d+$")
        run("dpkg", "--compare-versions", packed, "ge", f"{version}-1~deb{packed.rsplit('deb', 1)[1]}")
        self.assertIn("librdkafka1", self.field("Depends"))

    def test_the_units_are_understood_and_the_second_differs_in_its_outbox_alone(self):
        need("systemd-analyze")
        units = self.root / "usr/lib/systemd/system"
        one, many = ((units / f"busbridge{at}.service").read_text().splitlines() for at in ("", "@"))
        changed = [b for a, b in zip(one, many) if a != b and not b.startswith("#")]
        self.assertEqual(changed, ["Description=busbridge: relay the outbox %i of events to Kafka", "ExecStart=busbridge-worker -c /etc/busbridge/%i.conf",
                                   "StateDirectory=busbridge/%i busbridge/%i/outbox", "StateDirectoryMode=2770", "WorkingDirectory=/var/lib/busbridge/%i"])
        self.assertEqual(len(one), len(many))
        folder = self.dir / "units"
        folder.mkdir()
        for name, lines in (("busbridge.service", one), ("busbridge@.service", many)):
            (folder / name).write_text("\n".join(lines).replace("ExecStart=busbridge-worker", f"ExecStart={self.root}/usr/bin/busbridge-worker") + "\n")
        run("cp", folder / "busbridge@.service", folder / "busbridge@shop.service")
        for name in ("busbridge.service", "busbridge@shop.service"):
            verified = run("systemd-analyze", "verify", "--man=no", folder / name)
            self.assertEqual(verified.stdout + verified.stderr, "", name)

    def test_a_purge_spares_events_and_nothing_else(self):
        state = self.dir / "state"
        script = (PACKAGES / "postrm").read_text().replace("/var/lib/busbridge", str(state))
        run("dpkg-deb", "-e", self.deb, self.dir / "again")
        self.assertEqual((self.dir / "again/postrm").read_text().replace("/var/lib/busbridge", str(state)), script)
        for event in ("outbox/a.json", "outbox/pending/a.json", "outbox/dlq/a.json", "outbox/sent/a.json", "outbox/.busbridge/tmp/gone-a.json", "shop/outbox/a.json"):
            shutil.rmtree(state, ignore_errors=True)
            (state / "outbox/.busbridge/tmp").mkdir(parents=True)
            (state / "outbox/.busbridge/id").write_text("x")
            (state / event).parent.mkdir(parents=True, exist_ok=True)
            (state / event).write_text("{}")
            self.assertIn(str(state / event), run("sh", "-c", script, "postrm", "purge").stderr)
            self.assertTrue((state / event).exists() and (state / "outbox/.busbridge/id").exists(), event)
            (state / event).unlink()
            run("sh", "-c", script, "postrm", "remove")
            self.assertTrue(state.exists())
            self.assertEqual(run("sh", "-c", script, "postrm", "purge").stderr, "")
            self.assertFalse(state.exists(), event)


class Sources(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="busbridge-sources-"))
        self.addCleanup(shutil.rmtree, self.dir, True)

    def test_building_for_use_asks_for_no_library_of_the_tests(self):
        packages = (harness.ROOT / "deploy/quickstart/packages.sh").read_text()
        self.assertIn("cmocka", re.search(r'^UNIT_PACKAGES="(.*)"', packages, re.M).group(1))
        asked = self.dir / "asked"
        (self.dir / "pkg-config").write_text(f'#!/bin/sh\necho "$*" >>{asked}\ncase "$*" in *cmocka*) exit 1 ;; esac\nexec {shutil.which("pkg-config")} "$@"\n')
        (self.dir / "pkg-config").chmod(0o755)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CMAKE_")}
        run("cmake", "--preset", "release", "-B", self.dir / "build", cwd=harness.ROOT, env={**environment, "PKG_CONFIG": str(self.dir / "pkg-config")})
        self.assertIn("rdkafka", asked.read_text())
        self.assertNotIn("cmocka", asked.read_text())

    def test_the_tarball_is_the_commit_and_the_same_each_time(self):
        if run("git", "rev-parse", expect=None, cwd=harness.ROOT).returncode:
            self.skipTest("no git repository")
        first, second = ((self.dir / name) for name in "ab")
        for folder in (first, second):
            folder.mkdir()
            made = Path(run(PACKAGES / "source_tarball", folder).stdout.strip())
        self.assertEqual(made.read_bytes(), (first / made.name).read_bytes())
        with tarfile.open(made) as tar:
            names = {name.split("/", 1)[1] for name in tar.getnames() if "/" in name and not tar.getmember(name).isdir()}
        committed = set(run("git", "ls-tree", "-r", "--name-only", "-z", "HEAD", cwd=harness.ROOT).stdout.split("\0")) - {""}
        self.assertEqual(names, committed | {"deploy/packages/revision"})


if __name__ == "__main__":
    harness.main()
