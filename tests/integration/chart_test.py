#!/usr/bin/python3
"""deploy/helm: the chart, each combination that its README shows, by helm, the published schemas, promtool and the programs that read the settings."""

import json
import re
import runpy
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import harness
import yaml
from broker import cache_folder
from deploy_test import OLDEST, VALIDATOR, run, seconds

CHART = harness.ROOT / "deploy/helm/busbridge"
MONITORING = harness.ROOT / "deploy/monitoring"
HELM = re.search(r'^HELM="(\S+) ', (harness.ROOT / "deploy/quickstart/packages.sh").read_text(), re.M).group(1)
RELEASES = (OLDEST, "1.33.0", VALIDATOR)
LOCKED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


class Chart(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="busbridge-chart-"))
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.helm = cache_folder() / f"helm-{HELM}"
        if not self.helm.exists():
            self.skipTest("no helm: tests/tools/fetch helm")
        blocks = re.findall(r"```yaml\n(.*?)```", (CHART / "README.md").read_text(), re.S)
        self.files = []
        for number, block in enumerate(blocks):
            self.files.append(self.dir / f"{number}.yaml")
            self.files[-1].write_text(block)
        self.assertEqual(len(self.files), 5)

    def render(self, values, release="shop", *more):
        text = run(self.helm, "template", release, CHART, "-f", values, *more).stdout
        return text, [document for document in yaml.safe_load_all(text) if document]

    def refused(self, text, word):
        values = self.dir / "wrong.yaml"
        values.write_text(text)
        said = run(self.helm, "template", "shop", CHART, "-f", values, expect=None)
        self.assertNotEqual(said.returncode, 0, text)
        self.assertIn(word, said.stderr)

    @staticmethod
    def pod(objects):
        workload, = (o for o in objects if o["kind"] in ("StatefulSet", "Deployment"))
        return workload["spec"]["template"]["spec"], workload

    @staticmethod
    def conf(objects):
        return next(o["data"]["busbridge.conf"] for o in objects if o["kind"] == "ConfigMap" and "busbridge.conf" in o["data"])

    def test_helm_is_content_and_the_published_schemas_too(self):
        validator = cache_folder() / f"kubernetes-validate-{VALIDATOR}/bin/kubernetes-validate"
        if not validator.exists():
            self.skipTest("no kubernetes-validate: tests/tools/fetch kubernetes-validate")
        core = self.dir / "core.yaml"
        kinds = set()
        with core.open("w") as out:
            for values in self.files:
                run(self.helm, "lint", "--strict", CHART, "-f", values)
                for document in self.render(values)[1]:
                    kinds.add(document["kind"])
                    if "coreos" not in document["apiVersion"]:
                        out.write("---\n" + yaml.safe_dump(document))
        self.assertEqual(kinds, {"StatefulSet", "Deployment", "Service", "ServiceAccount", "ConfigMap", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor", "PrometheusRule"})
        for release in RELEASES:
            run(validator, "--strict", "-k", release, core)
        core.write_text(core.read_text().replace("serviceName", "serviceNaem"))
        self.assertNotEqual(run(validator, "--strict", core, expect=None).returncode, 0)

    def test_values_it_does_not_know_are_refused(self):
        good = "application: {image: shop:7}\n"
        for text, word in ((good + "replicas: 2\n", "replicas"), (good + "image: {name: x}\n", "name"), (good + "settings: {flush: 3s}\n", "settings"),
                           (good + "settings: {outbox.url: file:/x}\n", "settings"), (good + "drainSeconds: soon\n", "drainSeconds"),
                           (good + "settings: {log.level: \"info\\nredis.url = off\"}\n", "settings"), ("outbox: {size: 1Gi}\n", "image"),
                           (good + "outbox: {existingClaim: a}\n", "application"), ("outbox: {urlKey: u}\n", "value secret"),
                           ("secret: s\noutbox: {urlKey: u, existingClaim: a}\n", "two outboxes"), (good + "settings: {state.dir: /x}\n", "settings")):
            self.refused(text, word)
        for key, value in (("kafka.sasl.password", "geheim"), ("http.token", "geheim"), ("registry.oauth_secret", "geheim"), ("kafka.ssl.key.pem", "geheim"),
                           ("registry.key_password", "geheim"), ("redis.url", "redis://:geheim@redis:6379/0"), ("registry.url", "https://u:geheim@registry")):
            self.refused(good + f"settings: {{{key}: '{value}'}}\n", f"{key}_file: /etc/busbridge/")
        schema = json.loads((CHART / "values.schema.json").read_text())

        def closed(part, path):
            if "properties" in part:
                self.assertIs(part["additionalProperties"], False, path)
                self.assertEqual(part["type"], "object", path)
                for key, inner in part["properties"].items():
                    closed(inner, f"{path}.{key}")
        closed(schema, "values")

    def test_the_table_of_its_readme_is_that_of_the_schema(self):
        tool = runpy.run_path(str(harness.ROOT / "tests/tools/chart_values"))
        shown = re.search(tool["PLACE"], (CHART / "README.md").read_text()).group()
        self.assertEqual(shown, tool["table"](), "tests/tools/chart_values --update")
        self.assertGreater(len(shown.splitlines()), 30)

    def test_pods_are_restricted_and_end_in_time(self):
        for values in self.files:
            objects = self.render(values)[1]
            pod, workload = self.pod(objects)
            security = pod["securityContext"]
            self.assertEqual((security["runAsNonRoot"], security["runAsUser"], security["fsGroup"], security["seccompProfile"]),
                             (True, 65532, 65532, {"type": "RuntimeDefault"}))
            self.assertIs(pod["automountServiceAccountToken"], False)
            for container in pod.get("initContainers", []) + pod["containers"]:
                self.assertEqual(container["securityContext"], LOCKED)
                place = {"name": "outbox", "mountPath": "/outbox"} if workload["kind"] == "StatefulSet" else {"name": "state", "mountPath": "/run/busbridge"}
                self.assertIn(place, container["volumeMounts"])
            for volume in pod["volumes"]:
                self.assertLessEqual(set(volume), {"name", "projected", "configMap", "persistentVolumeClaim", "emptyDir"})
                self.assertTrue("emptyDir" not in volume or workload["kind"] == "Deployment", "an outbox that goes with its pod")
            given = yaml.safe_load(values.read_text())
            drain = seconds(re.search(r"^shutdown.drain_timeout = (\S+)", self.conf(objects), re.M).group(1))
            stop = 0 if "outbox" in given else 30
            self.assertEqual(pod["terminationGracePeriodSeconds"], stop + drain + 10)
            if stop:
                worker, = pod["initContainers"]
                self.assertEqual(worker["restartPolicy"], "Always")
                self.assertEqual(workload["spec"]["persistentVolumeClaimRetentionPolicy"], {"whenDeleted": "Retain", "whenScaled": "Retain"})
            else:
                self.assertNotIn("restartPolicy", pod["containers"][0])

    def test_a_database_is_relayed_by_one_of_two_workers(self):
        objects = self.render(self.files[4])[1]
        pod, workload = self.pod(objects)
        worker, = pod["containers"]
        self.assertEqual((workload["kind"], workload["spec"]["replicas"], workload["spec"]["strategy"]["rollingUpdate"]),
                         ("Deployment", 2, {"maxSurge": 1, "maxUnavailable": 0}))
        self.assertEqual(worker["args"][-1], "--standby")
        self.assertEqual(worker["readinessProbe"]["httpGet"]["path"], "/readyz")
        self.assertRegex(self.conf(objects), r"(?m)^outbox.url_file = /etc/busbridge/outbox.url\nstate.dir = /run/busbridge$")
        self.assertNotIn("outbox.url =", self.conf(objects))
        self.assertIn({"secret": {"name": "shop-busbridge"}}, pod["volumes"][0]["projected"]["sources"])

    def test_two_releases_in_one_namespace_do_not_meet(self):
        one, two = (self.render(self.files[2], release)[1] for release in ("shop", "desk"))
        self.assertEqual({(o["kind"], o["metadata"]["name"]) for o in one} & {(o["kind"], o["metadata"]["name"]) for o in two}, set())
        selectors = 0
        for objects, others in ((one, two), (two, one)):
            labels = [self.pod(x)[1]["spec"]["template"]["metadata"]["labels"] for x in (objects, others)]
            for document in objects:
                selector = document.get("spec", {}).get("selector") or document.get("spec", {}).get("podSelector")
                if selector:
                    wanted = selector.get("matchLabels", selector).items()
                    self.assertEqual([wanted <= pod.items() for pod in labels], [True, False], document["kind"])
                    selectors += 1
        self.assertEqual(selectors, 2 * 5)
        # Labels of one's own do not take the place of those by which pods are found.
        text = self.render(self.files[0], "shop", "--set", r"podLabels.app\.kubernetes\.io/part-of=all")[0]
        self.assertIn("app.kubernetes.io/part-of: all", text)

    def test_every_setting_is_one_of_the_worker_s(self):
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ca", "-keyout", self.dir / "ca.key", "-out", self.dir / "ca.crt")
        for values in self.files:
            text = self.conf(self.render(values)[1])
            for name in re.findall(r"/etc/busbridge/([\w.]+)", text):
                if not (self.dir / name).exists():
                    (self.dir / name).write_text("redis://127.0.0.1:6379/0\n" if name == "redis.url" else "postgresql://busbridge@127.0.0.1/shop\n")
                    (self.dir / name).chmod(0o400)
            schemas, outbox = self.dir / "etc-schemas/order", self.dir / "outbox"
            schemas.mkdir(parents=True, exist_ok=True)
            outbox.mkdir(exist_ok=True)
            shutil.copy(harness.ROOT / "deploy/examples/shop/schemas/order/placed.avsc", schemas)
            conf = self.dir / "busbridge.conf"
            conf.write_text(text.replace("/etc/busbridge-schemas", str(schemas.parent)).replace("/etc/busbridge/", f"{self.dir}/").replace("file:/outbox", f"file:{outbox}"))
            said = run(harness.BUILD / "busbridge", "config", "check", conf, expect=None)
            self.assertEqual(said.returncode, 0, f"{values.name}: {said.stdout}{said.stderr}\n{conf.read_text()}")
            conf.write_text(conf.read_text() + "kafka.no.such = 1\nno.such.setting = 1\n")
            self.assertNotEqual(run(harness.BUILD / "busbridge", "config", "check", conf, expect=None).returncode, 0)

    def test_a_changed_setting_restarts_the_pods(self):
        def sign(*more):
            return self.pod(self.render(self.files[0], "shop", *more)[1])[1]["spec"]["template"]["metadata"]["annotations"]
        self.assertEqual(sign(), sign())
        self.assertNotEqual(sign(), sign("--set", r"settings.flush\.interval=5s"))

    def test_rules_and_dashboard_are_those_of_deploy_monitoring(self):
        objects = self.render(self.files[2])[1]
        rule, = (o for o in objects if o["kind"] == "PrometheusRule")
        ours = yaml.safe_load((MONITORING / "busbridge.rules.yaml").read_text().replace("runbook_url: RUNBOOK" ".md#", "runbook_url: https://wiki.example.org/RUNBOOK" ".md#"))
        self.assertEqual(rule["spec"], ours)
        self.assertEqual(rule["metadata"]["labels"]["release"], "prometheus")
        rules = self.dir / "rules.yaml"
        rules.write_text(yaml.safe_dump(rule["spec"]))
        done = subprocess.run([harness.ROOT / "tests/tools/promtool", "check", "rules", rules], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        if done.returncode == 77:
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        dashboard, = (o for o in objects if o["kind"] == "ConfigMap" and "busbridge.json" in o["data"])
        self.assertEqual(json.loads(dashboard["data"]["busbridge.json"]), json.loads((MONITORING / "busbridge.dashboard.json").read_text()))
        monitor, = (o for o in objects if o["kind"] == "PodMonitor")
        endpoint, = monitor["spec"]["podMetricsEndpoints"]
        self.assertEqual((endpoint["port"], endpoint["honorLabels"]), (self.pod(objects)[0]["initContainers"][0]["ports"][0]["name"], True))
        job = self.pod(objects)[1]["spec"]["template"]["metadata"]["labels"][monitor["spec"]["jobLabel"]]
        self.assertRegex(job, re.search(r'up\{job=~"(.*?)"', (MONITORING / "busbridge.rules.yaml").read_text()).group(1))

    def test_its_version_is_the_project_s(self):
        version = re.search(r"project\(busbridge VERSION ([\d.]+)", (harness.ROOT / "CMakeLists.txt").read_text()).group(1)
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["version"], chart["appVersion"]), (version, version))


if __name__ == "__main__":
    harness.main()
