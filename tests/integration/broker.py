#!/usr/bin/python3
"""One real Apache Kafka broker for tests: KRaft mode, from its jars, on free loopback ports, in a folder of its own.

    broker.py start FILE    start it, write {"bootstrap", "pid", "dir", "log"} to FILE as JSON, return when it answers
    broker.py stop FILE     end that broker and remove its folder
    broker.py fetch         its jars into the cache folder, where they are not there yet

`start` and `fetch` exit 77 with "SKIPPED: why" where Kafka cannot be had (no java, mvn or kcat; no jars), or 1 if CI=true is set. As a
module: class Broker, for tests that take a broker away.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import kafka_wire  # noqa: E402

VERSION, LOG4J = "4.1.1", "2.24.3"
ARTIFACTS = [("org.apache.kafka", "kafka_2.13", VERSION), ("org.apache.kafka", "kafka-tools", VERSION)] + [
    ("org.apache.logging.log4j", name, LOG4J)  # left out by the published POM
    for name in ("log4j-api", "log4j-core", "log4j-slf4j-impl", "log4j-1.2-api")]

SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={dir}/data
num.partitions=3
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
"""

LOG4J2 = """\
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=OUT
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m (%c)%n
"""


class Unavailable(Exception):
    """Kafka cannot be had on this machine."""


taken = []  # what marks the ports that this process was given, as long as it runs


def free_port():
    """A port on which nobody listens, for this process and what it starts alone: other suites look for ports at the same time. Those that the
    kernel gives to outgoing connections are left out, or one of these might have it before it is bound."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port, mark = random.randrange(min(10000, first // 2), first), socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0busbridge-test-port-{port}")  # goes with the process
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        taken.append(mark)
        return port


def cache_folder():
    base = os.environ.get("BUSBRIDGE_CACHE")
    if not base:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "busbridge"
    return Path(base)


def pom():
    dependencies = "".join(
        f"<dependency><groupId>{g}</groupId><artifactId>{a}</artifactId><version>{v}</version></dependency>"
        for g, a, v in ARTIFACTS)
    return ('<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>busbridge</groupId>'
            f"<artifactId>broker</artifactId><version>1</version><dependencies>{dependencies}</dependencies></project>")


def jars():
    """Folder with Kafka's jars, fetched once. Made under another name and renamed: it is whole or not there."""
    for tool in ("java", "mvn", "kcat"):
        if not shutil.which(tool):
            raise Unavailable(f"{tool} is not installed")
    target = cache_folder() / f"kafka-{VERSION}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="fetch-", dir=target.parent))
    try:
        (work / "pom.xml").write_text(pom())
        done = subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"], cwd=work,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
        if done.returncode:
            raise Unavailable("mvn could not fetch Kafka: " + done.stdout.decode(errors="replace")[-600:])
        try:
            (work / "jars").rename(target)
        except OSError:
            if not target.is_dir():  # else somebody else was quicker
                raise
    except subprocess.TimeoutExpired:
        raise Unavailable("mvn did not fetch Kafka within 900 s") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def alive(pid, folder):
    """Is pid still the broker of that folder (and not a zombie, nor another process under the same number)?"""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z" and str(folder).encode() in line


def end(pid, folder, patience=20):
    """TERM, then KILL. Only ever that broker."""
    for sig, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10)):
        if alive(pid, folder):
            os.kill(pid, sig)
        deadline = time.monotonic() + seconds
        while alive(pid, folder) and time.monotonic() < deadline:
            time.sleep(0.05)


class Broker:
    """A broker of one's own. start() again after stop() or kill9(): same port, same data. close() removes everything."""

    HEAP = "512m"

    def __init__(self, extra="", scram=None):
        self.extra = extra  # more lines of server.properties
        self.scram = scram or {}  # password by name, for SCRAM-SHA-256
        self.dir = self.process = self.bootstrap = self.log = None

    def _java(self, main, *arguments):
        return ["java", f"-Xmx{self.HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars()}/*",
                f"-Dlog4j2.configurationFile={self.dir}/log4j2.properties", main, *arguments]

    def _prepare(self):
        jars()
        self.dir = Path(tempfile.mkdtemp(prefix="busbridge-kafka-"))
        self.log = self.dir / "broker.log"
        port = free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        text = SERVER_PROPERTIES.format(port=port, controller=free_port(), dir=self.dir)
        (self.dir / "server.properties").write_text(text + self.extra)
        (self.dir / "log4j2.properties").write_text(LOG4J2)
        users = [word for name, password in self.scram.items() for word in ("-S", f"SCRAM-SHA-256=[name={name},password={password}]")]
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", "busbridgetestbroker000", "-c", f"{self.dir}/server.properties", *users),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=kafka_wire.PATIENCE)
        if done.returncode:
            raise RuntimeError("formatting failed: " + done.stdout.decode(errors="replace"))

    def start(self, wait=True):
        if self.dir is None:
            self._prepare()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self._java("kafka.Kafka", f"{self.dir}/server.properties"), cwd=self.dir,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=kafka_wire.PATIENCE):
        """Until it answers; topics that were there must have their leaders back."""
        deadline = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the broker ended: {self.log.read_text(errors='replace')[-2000:]}")
            try:
                if all(kafka_wire.topics(self.bootstrap, 5).values()):
                    return
            except (OSError, ConnectionError):
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"the broker does not answer after {seconds} s")
            time.sleep(0.1)

    def stop(self):
        if self.process:
            self.resume()
            end(self.process.pid, self.dir)
            self.process.wait()

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def suspend(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def create_topic(self, name, partitions=3, config=None):
        kafka_wire.create_topic(self.bootstrap, name, partitions, config)

    def close(self):
        self.stop()
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)


def read_file(file):
    try:
        return json.loads(Path(file).read_text())
    except (OSError, ValueError):
        return None


def command_stop(file):
    facts = read_file(file)
    if facts and Path(facts["dir"]).name.startswith("busbridge-kafka-"):
        end(facts["pid"], facts["dir"])
        shutil.rmtree(facts["dir"], ignore_errors=True)
        os.unlink(file)


def command_start(file):
    command_stop(file)  # what an interrupted run left
    broker = Broker()
    try:
        broker.start()
    except BaseException:
        broker.close()
        raise
    facts = {"bootstrap": broker.bootstrap, "pid": broker.process.pid, "dir": str(broker.dir), "log": str(broker.log)}
    Path(file + ".tmp").write_text(json.dumps(facts))
    os.replace(file + ".tmp", file)
    print(f"Kafka {VERSION} on {broker.bootstrap}, pid {broker.process.pid}")


def main(arguments):
    commands = {("start", 2): command_start, ("stop", 2): command_stop, ("fetch", 1): jars}
    command = commands.get((arguments[0] if arguments else "", len(arguments)))
    if not command:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        command(*arguments[1:])
    except Unavailable as why:
        print(f"SKIPPED: {why}", flush=True)
        return 1 if os.environ.get("CI") == "true" else 77
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
