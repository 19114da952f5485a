"""What may not be read or reached is never taken for absent: each program names the path, whose it is, and what to do."""

import json
import os
import shutil
import subprocess
import unittest

import harness
from cli_test import CliTest

NOBODY = 65534


@unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
class AccessTest(CliTest):
    def setUp(self):
        super().setUp()
        self.dir.chmod(0o711)
        shutil.copy(harness.BUILD / "busbridge", self.dir / "busbridge")  # where the sources lie others may not go
        shutil.copy(harness.BUILD / "busbridge-worker", self.dir / "busbridge-worker")
        self.etc = self.dir / "etc"
        (self.etc / "busbridge").mkdir(parents=True)
        for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache"):
            shutil.copy(f"/etc/{name}", self.etc)
        self.conf = self.etc / "busbridge/busbridge.conf"
        self.conf.write_text("".join(f"{key} = {value}\n" for key, value in self.options.items() if value is not None))

    def nobody(self, program, *words, env=None):
        """A program run by nobody, with our folder as /etc."""
        script = 'mount --bind "$0" /etc && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"'
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, self.etc, self.dir / program, *words], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=300, cwd="/", env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(env or {})})
        if "mount:" in done.stderr or "unshare:" in done.stderr:
            self.skipTest("no file system can be mounted: " + done.stderr.strip())
        return done

    def refused(self, path, owner, mode, remedy):
        """Every program says the same, and none of them looks at an outbox that nobody named."""
        words = f"{path} belongs to {owner}, mode {mode}, and this is uid {NOBODY}). {remedy}"
        health = self.nobody("busbridge", "health")
        self.assertEqual(health.returncode, 3, health.stdout)
        self.assertTrue(health.stdout.startswith("OUTBOX UNKNOWN - /etc/busbridge/busbridge.conf: Permission denied ("), health.stdout)
        self.assertIn(words, health.stdout)
        for program, arguments in (("busbridge", ["list"]), ("busbridge", ["config"]), ("busbridge-worker", ["--once"])):
            done = self.nobody(program, *arguments)
            self.assertEqual((done.returncode, words in done.stderr), (2, True), done.stderr)
            self.assertNotIn("temp/bus_outbox", done.stdout + done.stderr)
        found = json.loads(self.nobody("busbridge", "doctor", "-o", "json").stdout)
        self.assertNotIn("temp/bus_outbox", json.dumps(found))
        self.assertIn(words, json.dumps(found))

    def test_a_settings_file_that_may_not_be_read_is_no_absent_one(self):
        self.conf.chmod(0o640)
        self.refused("/etc/busbridge/busbridge.conf", "root:root", "0640", "Run this as that user: sudo -u root ...")

    def test_nor_is_one_in_a_folder_where_nobody_may_look(self):
        self.conf.chmod(0o644)
        os.chown(self.conf.parent, 1, 1)
        self.conf.parent.chmod(0o750)
        self.refused("/etc/busbridge", "daemon:daemon", "0750", "Run this as that user: sudo -u daemon ...; or become a member of the group daemon")

    def test_nor_is_a_link_to_nowhere(self):
        self.conf.unlink()
        self.conf.symlink_to("/mnt/config-that-is-not-mounted")
        health = self.nobody("busbridge", "health")
        self.assertEqual((health.returncode, health.stdout), (3, "OUTBOX UNKNOWN - /etc/busbridge/busbridge.conf: No such file or directory\n"))

    def test_the_doctor_names_the_folder_of_the_typed_outbox_that_may_not_be_written(self):
        typed = self.dir / "typed"
        folders = [typed, *(typed / name for name in ("pending", "errored", ".busbridge", ".busbridge/tmp"))]
        for folder in folders:
            folder.mkdir()
        for folder in (self.outbox, *folders):
            os.chown(folder, NOBODY, NOBODY)
        with self.conf.open("a") as conf:
            conf.write(f"outbox.typed = {typed}\nkafka.no.such.setting = 1\n")  # so that no broker is waited for
        for folder in folders:
            os.chown(folder, 0, 0)
            found = {check["check"]: check for check in json.loads(self.nobody("busbridge", "doctor", "-o", "json").stdout)["checks"]}
            os.chown(folder, NOBODY, NOBODY)
            self.assertEqual((found["outbox"]["verdict"], found["typed outbox"]["verdict"]), ("ok", "failed"))
            self.assertIn(f"{folder} is not writable", found["typed outbox"]["found"])
            self.assertTrue(found["typed outbox"]["next"])
        found = {check["check"]: check for check in json.loads(self.nobody("busbridge", "doctor", "-o", "json").stdout)["checks"]}
        self.assertEqual(found["typed outbox"]["verdict"], "ok")

    def test_without_a_file_the_defaults_hold(self):
        shutil.rmtree(self.conf.parent)
        health = self.nobody("busbridge", "health").stdout
        self.assertIn("temp/bus_outbox", health)
        self.assertIn("no settings file was read (-c FILE, BUSBRIDGE_CONFIG, /etc/busbridge/busbridge.conf), so this is the default outbox", health)
        self.assertNotIn("settings file", self.nobody("busbridge", "list", env={"BUSBRIDGE_OUTBOX_URL": "file:/none"}).stderr)

    def test_a_secret_that_may_not_be_read_is_named_too(self):
        secret = self.etc / "busbridge/redis.url"
        secret.write_text("off\n")
        secret.chmod(0o600)
        self.conf.write_text("redis.url_file = /etc/busbridge/redis.url\n")
        done = self.nobody("busbridge", "list")
        self.assertEqual(done.returncode, 2)
        self.assertIn("/etc/busbridge/redis.url belongs to root:root, mode 0600", done.stderr)

    def test_a_socket_that_may_not_be_used_is_named_with_its_owner(self):
        self.outbox.chmod(0o755)
        self.start_worker()
        socket = self.outbox / ".busbridge/control.sock"
        harness.wait_until(socket.is_socket, what="the control socket")
        os.chown(socket, 1, 1)
        (self.outbox / ".busbridge").chmod(0o755)
        (self.outbox / ".busbridge/id").chmod(0o660)
        self.assertIn(f"reading {self.outbox}/.busbridge/id: Permission denied ({self.outbox}/.busbridge/id belongs to root:root, mode 0660",
                      self.nobody("busbridge", "health").stdout)
        (self.outbox / ".busbridge/id").chmod(0o644)
        done = self.nobody("busbridge", "health")
        self.assertEqual(done.returncode, 3)
        self.assertIn(f"connecting to {socket}: Permission denied ({socket} belongs to daemon:daemon, mode 0660, and this is uid {NOBODY}). "
                      "Run this as that user: sudo -u daemon ...; or become a member of the group daemon", done.stdout)
        (self.outbox / ".busbridge").chmod(0o700)
        done = self.nobody("busbridge", "list")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{self.outbox}/.busbridge belongs to root:root, mode 0700", done.stderr)

    def test_an_entry_that_may_not_be_read_is_named_by_list_show_and_health(self):
        self.outbox.chmod(0o755)
        self.entry("plot.updated", {"plot_id": "p"}, id="good", storage_key="good")
        self.entry("plot.updated", {"plot_id": "p"}, id="secret", storage_key="secret")
        path = self.outbox / "secret.json"
        path.chmod(0o600)
        words = f"reading secret.json: Permission denied ({path} belongs to root:root, mode 0600, and this is uid {NOBODY})"
        listed = {e["id"]: e for e in json.loads(self.nobody("busbridge", "list", "-o", "json").stdout)}
        self.assertEqual(set(listed), {"good", "secret"})
        self.assertIn(words, listed["secret"]["last_error"])
        shown = self.nobody("busbridge", "show", "secret")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(words, shown.stdout)
        self.assertIn(f"1 file cannot be read: {words}", self.nobody("busbridge", "health").stdout)

    def test_doctor_never_advises_to_give_an_outbox_away(self):
        os.chown(self.outbox, 1, 1)
        self.outbox.chmod(0o775)
        (self.outbox / "dlq").mkdir()
        found = json.loads(self.nobody("busbridge", "doctor", "-o", "json").stdout)
        text = json.dumps(found)
        self.assertNotIn("chown", text)
        self.assertIn(f"{self.outbox} is not writable: {self.outbox} belongs to daemon:daemon, mode 0775, and this is uid {NOBODY}", text)
        self.assertIn("sudo -u daemon ...; or become a member of the group daemon", text)


if __name__ == "__main__":
    harness.main()
