#!/usr/bin/python3
"""deploy/: what is written there for systemd, Docker and Kubernetes, against the tools that judge it and the real programs."""

import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import harness
import postgres
import yaml
from broker import cache_folder

DEPLOY = harness.ROOT / "deploy"
# Of kubernetes-validate, which carries the published schemas of that release and the ones before.
VALIDATOR = re.search(r"^KUBERNETES_VALIDATE=(.*)$", (DEPLOY / "quickstart/packages.sh").read_text(), re.M).group(1)
OLDEST = "1.29.0"  # native sidecars


def run(*command, expect=0, **more):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, **more)
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def seconds(text):
    return float(re.fullmatch(r"([\d.]+)s?", text).group(1))


def need(tool):
    if not shutil.which(tool):
        raise unittest.SkipTest(f"no {tool}")
    return tool


class Systemd(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="busbridge-deploy-"))
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.text = (DEPLOY / "systemd/busbridge.service").read_text()

    def unit(self):
        """The unit with the program that was built, which stands on no search path."""
        self.assertIn("\nExecStart=busbridge-worker ", self.text)
        path = self.dir / "busbridge.service"
        path.write_text(self.text.replace("\nExecStart=busbridge-worker ", f"\nExecStart={harness.BUILD}/busbridge-worker "))
        return path

    def value(self, key):
        return re.search(rf"^{key}=(.*)$", self.text, re.M).group(1)

    def test_the_unit_is_understood_and_locked_down(self):
        need("systemd-analyze")
        verified = run("systemd-analyze", "verify", "--man=no", self.unit())
        self.assertEqual(verified.stdout + verified.stderr, "")
        run("systemd-analyze", "security", "--offline=yes", "--threshold=13", self.unit())

    def test_the_drop_ins_of_its_comment_are_understood(self):
        need("systemd-analyze")
        unit = self.unit()
        lines = [line[4:] for line in self.text.splitlines() if re.match(r"#   (\[|[A-Z]\w+=)", line)]
        self.assertGreater(len(lines), 4, lines)
        (self.dir / "busbridge.service.d").mkdir()
        (self.dir / "busbridge.service.d/override.conf").write_text("\n".join(lines) + "\n")
        verified = run("systemd-analyze", "verify", "--man=no", unit, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{self.dir}:"})
        self.assertEqual(verified.stdout + verified.stderr, "")

    def test_the_times_add_up(self):
        table = (harness.ROOT / "bridge/settings/settings_table.h").read_text()
        drain = seconds(re.search(r'"shutdown.drain_timeout", DURATION, "(\d+s)"', table).group(1))
        self.assertGreaterEqual(seconds(self.value("TimeoutStopSec")), drain + 15)
        self.assertEqual(self.value("WatchdogSignal"), "SIGKILL")

    def test_user_and_folders_can_be_made(self):
        need("systemd-sysusers")
        if os.geteuid() != 0:
            raise unittest.SkipTest("only root may give folders away")
        root = self.dir / "root"
        (root / "etc").mkdir(parents=True)
        run("systemd-sysusers", f"--root={root}", DEPLOY / "systemd/busbridge.sysusers")
        user = re.search(r"^busbridge:.*?:(\d+):(\d+):", (root / "etc/passwd").read_text(), re.M)
        run("systemd-tmpfiles", "--create", f"--root={root}", DEPLOY / "systemd/busbridge.tmpfiles")
        for folder in ("outbox", "outbox/pending", "outbox/dlq"):
            made = (root / "var/lib/busbridge" / folder).stat()
            self.assertEqual((oct(made.st_mode & 0o7777), made.st_uid, made.st_gid), ("0o2770", *map(int, user.groups())))

    def test_it_is_installed(self):
        into = self.dir / "install"
        run("cmake", "--install", harness.BUILD, "--prefix", "/usr", env={**os.environ, "DESTDIR": str(into)})
        for file in ("systemd/system/busbridge.service", "sysusers.d/busbridge.conf", "tmpfiles.d/busbridge.conf"):
            self.assertTrue((into / "usr/lib" / file).is_file(), file)


class Docker(unittest.TestCase):
    """The image is built where there is a network; here the parts of its recipe that can go wrong silently."""

    def setUp(self):
        self.lines = (DEPLOY / "docker/Dockerfile").read_text().replace("\\\n", " ").splitlines()

    def words(self, instruction):
        return [line.split(None, 1)[1] for line in self.lines if line.startswith(instruction + " ")]

    def test_every_library_of_the_programs_is_named(self):
        programs = [harness.BUILD / name for name in ("busbridge", "busbridge-worker")]
        named = run(DEPLOY / "docker/runtime-packages", *programs).stdout.split()
        for package in ("librdkafka1", "libc6"):
            self.assertIn(package, named)
        files = {os.path.realpath(file) for package in named for file in run("dpkg-query", "-L", package).stdout.splitlines()}
        loaded = re.findall(r"=> (/\S+) \(", run("ldd", *programs).stdout)
        self.assertGreater(len(loaded), 8)
        self.assertEqual([file for file in loaded if os.path.realpath(file) not in files], [])

    def test_what_the_build_needs_is_sent_and_nothing_else(self):
        ignored = [line for line in (harness.ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
        self.assertEqual(ignored[0], "*")
        sent = {line[1:] for line in ignored[1:]}
        cmake = (harness.ROOT / "CMakeLists.txt").read_text()
        needed = {name for name in os.listdir(harness.ROOT) if re.search(rf"(?<![\w.]){re.escape(name)}(?=[/\s\")])", cmake)}
        self.assertEqual(sent, (needed | {"CMakeLists.txt", "CMakePresets.json"}) - {"tests", "build", "README.md", "LICENSE", ".git"})

    def test_it_runs_as_nobody_in_particular_and_its_version_is_the_project_s(self):
        self.assertEqual(self.words("USER")[-1], "65532:65532")
        version = re.search(r"project\(busbridge VERSION ([\d.]+)", (harness.ROOT / "CMakeLists.txt").read_text()).group(1)
        text = "\n".join(self.lines)
        self.assertIn(f'image.version="{version}"', text)
        for file in [DEPLOY / "docker/Dockerfile", *(DEPLOY / "kubernetes").rglob("*.yaml")]:
            for used in re.findall(r"busbridge:(\d[\d.]*\d)", file.read_text()):
                self.assertEqual(used, version, file)
        self.assertNotIn(":latest", text)


class Kubernetes(harness.BusTest):
    needs_kafka = False

    @classmethod
    def setUpClass(cls):
        need("kubectl")
        cls.text = run("kubectl", "kustomize", DEPLOY / "kubernetes/base").stdout
        cls.objects = {o["kind"]: o for o in yaml.safe_load_all(cls.text)}
        cls.job = yaml.safe_load((DEPLOY / "kubernetes/examples/drain-job.yaml").read_text())
        cls.shared_text = run("kubectl", "kustomize", DEPLOY / "kubernetes/standby").stdout
        cls.shared = {o["kind"]: o for o in yaml.safe_load_all(cls.shared_text)}
        cls.database_text = run("kubectl", "kustomize", DEPLOY / "kubernetes/postgres").stdout
        cls.database = {o["kind"]: o for o in yaml.safe_load_all(cls.database_text)}
        cls.database_pod = cls.database["Deployment"]["spec"]["template"]["spec"]
        cls.shared_pod = cls.shared["Deployment"]["spec"]["template"]["spec"]
        cls.pod = cls.objects["StatefulSet"]["spec"]["template"]["spec"]
        (cls.sidecar,) = cls.pod["initContainers"]
        cls.conf = cls.objects["ConfigMap"]["data"]["busbridge.conf"]

    @staticmethod
    def validator():
        program = cache_folder() / f"kubernetes-validate-{VALIDATOR}/bin/kubernetes-validate"
        if not program.exists():
            raise unittest.SkipTest("no kubernetes-validate: tests/tools/fetch kubernetes-validate")
        return program

    def test_every_object_fits_the_published_schema(self):
        rendered = self.dir / "rendered.yaml"
        rendered.write_text(self.text)
        shared = self.dir / "shared.yaml"
        shared.write_text(self.shared_text)
        database = self.dir / "database.yaml"
        database.write_text(self.database_text)
        for release in (OLDEST, VALIDATOR):
            run(self.validator(), "--strict", "-k", release, rendered, shared, database, DEPLOY / "kubernetes/examples/drain-job.yaml")
        rendered.write_text(self.text.replace("maxUnavailable", "maxUnavailible"))
        self.assertNotEqual(run(self.validator(), "--strict", rendered, expect=None).returncode, 0)

    def test_pods_are_restricted(self):
        for pod in (self.pod, self.shared_pod, self.database_pod, self.job["spec"]["template"]["spec"]):
            security = pod["securityContext"]
            self.assertEqual((security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]), (True, 65532, 65532))
            self.assertEqual(security["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertIs(pod["automountServiceAccountToken"], False)
            for container in pod.get("initContainers", []) + pod["containers"]:
                self.assertEqual(container["securityContext"], {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                                "capabilities": {"drop": ["ALL"]}})
                self.assertIn("memory", container["resources"]["limits"])
                self.assertFalse(container["image"].endswith(":latest"))
            for volume in pod["volumes"]:
                self.assertLessEqual(set(volume), {"name", "projected", "persistentVolumeClaim"} if volume["name"] != "state" else {"name", "emptyDir"})
        self.assertIs(self.objects["ServiceAccount"]["automountServiceAccountToken"], False)
        self.assertNotIn("--token", self.text)

    def test_two_workers_share_a_claim_and_an_update_never_leaves_it_without_one(self):
        spec, (worker,) = self.shared["Deployment"]["spec"], self.shared_pod["containers"]
        conf = self.shared["ConfigMap"]["data"]["busbridge.conf"]
        self.assertEqual((spec["replicas"], spec["strategy"]["rollingUpdate"]), (2, {"maxSurge": 1, "maxUnavailable": 0}))
        self.assertIn("--standby", worker["args"])
        self.assertEqual(self.shared["PersistentVolumeClaim"]["spec"]["accessModes"], ["ReadWriteMany"])
        self.assertIn({"name": "outbox", "persistentVolumeClaim": {"claimName": self.shared["PersistentVolumeClaim"]["metadata"]["name"]}},
                      self.shared_pod["volumes"])
        drain = seconds(re.search(r"^shutdown.drain_timeout = (\S+)", conf, re.M).group(1))
        self.assertGreaterEqual(self.shared_pod["terminationGracePeriodSeconds"], drain + 10)
        labels = spec["template"]["metadata"]["labels"]
        for selector in (spec["selector"]["matchLabels"], self.shared["Service"]["spec"]["selector"],
                         self.shared["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                         self.shared["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
                         self.shared_pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]):
            self.assertLessEqual(selector.items(), labels.items())
        self.assertEqual({p["port"] for rule in self.shared["NetworkPolicy"]["spec"]["egress"] for p in rule["ports"]}, {53, 9092, 6379})
        self.assertEqual(worker["ports"][0]["containerPort"], int(re.search(r"^http.listen = :(\d+)", conf, re.M).group(1)))

    def test_the_second_worker_of_the_shared_claim_is_ready_as_a_standby(self):
        (container,) = self.shared_pod["containers"]
        folder = self.mounted(self.shared)
        args = [word.replace("/etc/busbridge", str(folder)) for word in container["args"]]
        workers, ports = [], [harness.free_port(), harness.free_port()]
        for port in ports:
            self.options = {"outbox.url": f"file:{self.outbox}", "http.listen": f":{port}", "kafka.bootstrap.servers": "127.0.0.1:1",
                            "redis.url_file": None}
            workers.append(self.start_worker(*args))
            harness.wait_until(lambda w=workers[-1]: w.logs("started") or w.logs("standby"), what=workers[-1].stderr)
        ready = f"http://127.0.0.1:{ports[1]}{container['readinessProbe']['httpGet']['path']}"
        with urllib.request.urlopen(ready, timeout=300) as answer:
            self.assertEqual((answer.status, answer.read().decode().splitlines()[0]), (200, "standby"))
        self.assertEqual([w.stop() for w in reversed(workers)], [0, 0])

    def test_two_workers_stand_before_a_database_without_a_claim(self):
        spec, (worker,) = self.database["Deployment"]["spec"], self.database_pod["containers"]
        self.assertEqual((spec["replicas"], spec["strategy"]["rollingUpdate"]), (2, {"maxSurge": 1, "maxUnavailable": 0}))
        self.assertIn("--standby", worker["args"])
        self.assertNotIn("PersistentVolumeClaim", self.database)
        self.assertIn({"name": "state", "mountPath": "/run/busbridge"}, worker["volumeMounts"])
        self.assertEqual([v for v in self.database_pod["volumes"] if "persistentVolumeClaim" in v], [])
        self.assertIn(5432, {p["port"] for rule in self.database["NetworkPolicy"]["spec"]["egress"] for p in rule["ports"]})
        conf = self.database["ConfigMap"]["data"]["busbridge.conf"]
        self.assertRegex(conf, r"(?m)^outbox.url_file = /etc/busbridge/outbox.url\nstate.dir = /run/busbridge$")
        self.assertNotIn("postgresql:", conf)

    def test_both_workers_before_a_database_are_ready(self):
        try:
            server = postgres.Server(fsync=False).start()
        except postgres.Unavailable as why:
            self.skipTest(str(why))
        self.addCleanup(server.close)
        server.migrate()
        (container,) = self.database_pod["containers"]
        folder = self.mounted(self.database)
        args = [word.replace("/etc/busbridge", str(folder)) for word in container["args"]]
        (folder / "outbox.url").write_text(server.url("relay"))
        workers, ports = [], [harness.free_port(), harness.free_port()]
        for port in ports:
            self.options = {"http.listen": f":{port}", "kafka.bootstrap.servers": "127.0.0.1:1", "redis.url_file": None,
                            "state.dir": str(self.dir / f"state-{port}")}
            workers.append(self.start_worker(*args))
            harness.wait_until(lambda w=workers[-1]: w.logs("started") or w.logs("standby"), what=workers[-1].stderr)
        ready = f"http://127.0.0.1:{ports[1]}{container['readinessProbe']['httpGet']['path']}"
        with urllib.request.urlopen(ready, timeout=300) as answer:
            self.assertEqual((answer.status, answer.read().decode().splitlines()[0]), (200, "standby"))
        self.assertEqual([w.stop() for w in reversed(workers)], [0, 0])

    def test_events_outlive_the_pod(self):
        spec = self.objects["StatefulSet"]["spec"]
        self.assertEqual(spec["persistentVolumeClaimRetentionPolicy"], {"whenDeleted": "Retain", "whenScaled": "Retain"})
        self.assertEqual(spec["volumeClaimTemplates"][0]["spec"]["accessModes"], ["ReadWriteOncePod"])
        self.assertEqual(self.objects["PodDisruptionBudget"]["spec"]["maxUnavailable"], 1)
        outbox = re.search(r"^outbox.url = file:(\S+)", self.conf, re.M).group(1)
        for container in [self.sidecar, *self.pod["containers"]]:
            self.assertIn({"name": "outbox", "mountPath": outbox}, container["volumeMounts"])

    def test_the_sidecar_ends_after_the_application_and_both_have_the_time(self):
        self.assertEqual(self.sidecar["restartPolicy"], "Always")
        drain = seconds(re.search(r"^shutdown.drain_timeout = (\S+)", self.conf, re.M).group(1))
        text = (DEPLOY / "kubernetes/base/stateful-set.yaml").read_text()
        application = int(re.search(r"# (\d+) s in which the application stops", text).group(1))
        self.assertEqual(self.pod["terminationGracePeriodSeconds"], application + drain + 10)
        self.assertGreaterEqual(self.job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], drain + 10)

    def test_the_overlay_of_the_readme_renders(self):
        release = re.search(r'(?:GitVersion:"|Version: )v1\.(\d+)', run("kubectl", "version", "--client").stdout)
        if int(release.group(1)) < 21:
            return  # the kubectl of Debian 12 takes no folder as a resource
        overlay, base = self.dir / "shop", self.dir / "base"
        shutil.copytree(DEPLOY / "kubernetes/base", base)
        overlay.mkdir()
        text = re.search(r"```yaml\n(.*?)```", (DEPLOY / "kubernetes" / "README.md").read_text(), re.S).group(1)
        (overlay / "kustomization.yaml").write_text(text)
        (overlay / "application.yaml").write_text(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: app}\nspec:\n  template:\n    spec:\n      containers:\n"
            "        - {name: app, command: [shop]}\n")
        for name in ("busbridge.conf", "redis.url", "kafka.sasl.password"):
            (overlay / name).write_text("mine\n")
        objects = {o["kind"]: o for o in yaml.safe_load_all(run("kubectl", "kustomize", overlay).stdout)}
        self.assertEqual(objects["ConfigMap"]["data"], {"busbridge.conf": "mine\n"})
        self.assertEqual(set(objects["Secret"]["data"]), {"redis.url", "kafka.sasl.password"})
        pod = objects["StatefulSet"]["spec"]["template"]["spec"]
        self.assertEqual([c["image"] for c in pod["initContainers"] + pod["containers"]],
                         ["images.example.org/busbridge:0.1.0", "images.example.org/shop:7"])
        self.assertEqual(pod["containers"][0]["command"], ["shop"])

    def test_two_overlays_of_the_readme_do_not_meet(self):
        release = re.search(r'(?:GitVersion:"|Version: )v1\.(\d+)', run("kubectl", "version", "--client").stdout)
        if int(release.group(1)) < 25:
            return  # the kubectl of Debian 12 knows no labels without selectors, nor the word
        text = re.findall(r"```yaml\n(.*?)```", (DEPLOY / "kubernetes" / "README.md").read_text(), re.S)[1]
        shutil.copytree(DEPLOY / "kubernetes/base", self.dir / "base")
        seen = {}
        for name in ("shop", "desk"):
            (self.dir / name).mkdir()
            (self.dir / name / "kustomization.yaml").write_text(text.replace("shop", name))
            seen[name] = list(yaml.safe_load_all(run("kubectl", "kustomize", self.dir / name).stdout))
        names = [{(o["kind"], o["metadata"]["name"]) for o in objects} for objects in seen.values()]
        self.assertEqual(names[0] & names[1], set())
        for one, other in (("shop", "desk"), ("desk", "shop")):
            labels = [next(o for o in seen[x] if o["kind"] == "StatefulSet")["spec"]["template"]["metadata"]["labels"] for x in (one, other)]
            selectors = [s.get("matchLabels", s) for o in seen[one] for s in [o.get("spec", {}).get("selector") or o.get("spec", {}).get("podSelector")] if s]
            self.assertEqual(len(selectors), 4)
            for selector in selectors:
                self.assertEqual([selector.items() <= pod.items() for pod in labels], [True, False], selector)
            pod = next(o for o in seen[one] if o["kind"] == "StatefulSet")["spec"]["template"]["spec"]
            self.assertEqual([list(s.values())[0]["name"] for v in pod["volumes"] for s in v["projected"]["sources"]], [f"{one}-busbridge"] * 2)

    def test_selectors_find_the_pods_and_the_budget_not_the_job(self):
        labels = self.objects["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
        drains = self.job["spec"]["template"]["metadata"]["labels"]

        def finds(selector, pod):
            return selector.items() <= pod.items()
        for kind, selector, job in (
                ("StatefulSet", self.objects["StatefulSet"]["spec"]["selector"]["matchLabels"], False),
                ("Service", self.objects["Service"]["spec"]["selector"], False),
                ("PodDisruptionBudget", self.objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"], False),
                ("NetworkPolicy", self.objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"], True)):
            self.assertEqual((finds(selector, labels), finds(selector, drains)), (True, job), kind)

    def test_ports_and_policy_let_out_what_the_settings_name(self):
        port = int(re.search(r"^http.listen = :(\d+)", self.conf, re.M).group(1))
        self.assertEqual([p["containerPort"] for p in self.sidecar["ports"]], [port])
        allowed = {p["port"] for rule in self.objects["NetworkPolicy"]["spec"]["egress"] for p in rule["ports"]}
        kafka = int(re.search(r"^kafka.bootstrap.servers = \S+:(\d+)", self.conf, re.M).group(1))
        redis = int(re.search(r":(\d+)/", self.secret()["redis.url"]).group(1))
        self.assertEqual(allowed, {53, kafka, redis})

    def secret(self, objects=None):
        return {key: base64.b64decode(value).decode() for key, value in (objects or self.objects)["Secret"]["data"].items()}

    def mounted(self, objects=None):
        """The folder /etc/busbridge as the pod sees it, with what differs here set otherwise: the port, and that nobody is there."""
        folder = self.dir / "etc"
        folder.mkdir()
        for name, text in {**(objects or self.objects)["ConfigMap"]["data"], **self.secret(objects)}.items():
            (folder / name).write_text(text.replace("/etc/busbridge/", f"{folder}/"))
            (folder / name).chmod(0o400)
        return folder

    def test_the_real_worker_takes_these_settings_and_answers_the_probes(self):
        port = harness.free_port()
        folder = self.mounted()
        args = [word.replace("/etc/busbridge", str(folder)) for word in self.sidecar["args"]]
        self.options = {"outbox.url": f"file:{self.outbox}", "http.listen": f":{port}", "kafka.bootstrap.servers": "127.0.0.1:1",
                        "redis.url_file": None}
        worker = self.start_worker(*args)
        harness.wait_until(lambda: worker.logs("started"))
        self.assertEqual(worker.logs("settings"), [])  # not a warning about them
        for probe in ("startupProbe", "livenessProbe"):
            path = self.sidecar[probe]["httpGet"]["path"]
            # As the kubelet asks: by the pod's address.
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": f"10.1.2.3:{port}", "User-Agent": "kube-probe/1.32"})
            with urllib.request.urlopen(request, timeout=300) as answer:
                self.assertEqual(answer.status, 200)
        ready = self.sidecar["readinessProbe"]["httpGet"]["path"]
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=300).close()
        except urllib.error.HTTPError as refused:
            self.assertEqual(refused.code, 503)
        worker.signal(signal.SIGTERM)
        self.assertEqual(worker.wait(), 0)

    def test_commented_settings_would_be_taken_too(self):
        text = re.sub(r"^#(\w+\.)", r"\1", self.conf, flags=re.M)
        self.assertNotEqual(text, self.conf)
        folder = self.mounted()
        (folder / "kafka.sasl.password").write_text("secret\n")
        (folder / "kafka.sasl.password").chmod(0o400)
        conf = folder / "all.conf"
        conf.write_text(text.replace("/etc/busbridge/", f"{folder}/"))
        self.options = {"outbox.url": f"file:{self.dir}/none", "redis.url": "off", "redis.url_file": None}
        worker = self.run_worker("-c", str(conf), "--once")
        self.assertIn("mkdir -p", worker.stderr())  # so far it came: the settings are right, that outbox is not there
        self.assertEqual(worker.status, 1)


if __name__ == "__main__":
    harness.main()
