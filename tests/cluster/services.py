"""The programs of a cluster: what each is called with, and on which host it runs."""

import os
import subprocess
from pathlib import Path

import psutil

from pipelines.worker_unit import ROLE
from tests.cluster import network
from tests.cluster.layout import (
    ARTIFACT_PORT,
    CLASS_PATH,
    EXPANSION_PORT,
    JOB_PORT,
    REST_PORT,
    ROOT,
    STORE_PORT,
    Cluster,
)
from tests.object_store import keys, server_command

_OPENED = (
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.util", "java.util.concurrent", "java.nio"),
    *("java.net", "java.io", "java.text", "java.time", "sun.nio.ch"),
)
"""Packages of Java 17 that Flink 1.19 looks into."""
_SMALL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Java for a test machine of two cores: quick to begin, few threads."""
_LOGGED = ("showDateTime=true", "dateTimeFormat=HH:mm:ss.SSS", "showThreadName=false", "showShortLogName=true")
_FLINK = {
    "jobmanager.bind-host": "0.0.0.0",
    "jobmanager.memory.process.size": "1200m",
    "rest.bind-address": "0.0.0.0",
    "restart-strategy.type": "exponential-delay",
    "restart-strategy.exponential-delay.initial-backoff": "1 s",
    "restart-strategy.exponential-delay.max-backoff": "20 s",
    "restart-strategy.exponential-delay.attempts-before-reset-backoff": "10",
    "heartbeat.interval": "2000",
    "heartbeat.timeout": "12000",
    "cluster.evenly-spread-out-slots": "true",
    "web.submit.enable": "false",
    "io.tmp.dirs": "/tmp",
}
_NETWORK_MB = 96
"""For each slot of a TaskManager: 16 MB for each task that writes to a shuffle, and six of those at once."""
_MEMORY_MB = {
    "task.heap.size": 384,
    "task.off-heap.size": 64,
    "managed.size": 256,
    "framework.heap.size": 128,
    "framework.off-heap.size": 128,
    "jvm-metaspace.size": 256,
    "jvm-overhead.min": 192,
    "jvm-overhead.max": 192,
}
"""Of a TaskManager; heap 512 MB in all. Source: Flink 1.19, "Set up TaskManager Memory"."""


def write_configuration(cluster: Cluster) -> None:
    """Write Flink's configuration into the cluster's folder."""
    head = cluster.address("head")
    settings = _FLINK | {
        "jobmanager.rpc.address": head,
        "rest.address": head,
        "parallelism.default": str(cluster.num_workers * cluster.slots),
    }
    folder = cluster.folder / "conf"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))


def start_jobmanager(cluster: Cluster) -> None:
    """Start the JobManager."""
    entry = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    command = [*_java(400), entry, "--configDir", str(cluster.folder / "conf")]
    _start(cluster, "head", "jobmanager", command)


def start_jobserver(cluster: Cluster) -> None:
    """Start Beam's job server."""
    head = cluster.address("head")
    command = [
        *(*_java(400), "org.apache.beam.runners.flink.FlinkJobServerDriver", f"--job-host={head}"),
        *(f"--job-port={JOB_PORT}", f"--artifact-port={ARTIFACT_PORT}", f"--expansion-port={EXPANSION_PORT}"),
        *(f"--flink-master={head}:{REST_PORT}", f"--flink-conf-dir={cluster.folder / 'conf'}"),
        "--artifacts-dir=/tmp/artifacts",
    ]
    _start(cluster, "head", "jobserver", command)


def start_store(cluster: Cluster) -> None:
    """Start the S3 server over what it held before."""
    folder = cluster.folder / "store"
    folder.mkdir(exist_ok=True)
    _start(cluster, "head", "store", server_command(folder, STORE_PORT, cluster.address("head")), f"+{folder}")


def start_worker(cluster: Cluster, worker: str) -> None:
    """Start a worker: its TaskManager and its pool, and what watches over them."""
    memory_mb = _MEMORY_MB | dict.fromkeys(("network.min", "network.max"), _NETWORK_MB * cluster.slots)
    settings = {
        "taskmanager.host": cluster.address(worker),
        "taskmanager.bind-host": "0.0.0.0",
        "taskmanager.resource-id": f"{worker}-{os.urandom(3).hex()}",
        "taskmanager.numberOfTaskSlots": str(cluster.slots),
        "taskmanager.cpu.cores": "1",
        **{f"taskmanager.memory.{name}": f"{size}m" for name, size in memory_mb.items()},
    }
    options = [part for name, value in settings.items() for part in ("-D", f"{name}={value}")]
    entry = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
    taskmanager = [*_java(512, "-XX:MaxDirectMemorySize=512m"), entry, "--configDir", str(cluster.folder / "conf")]
    command = [cluster.python, "-m", "pipelines.worker_unit", "--", *taskmanager, *options]
    _start(cluster, worker, "unit", command)


def running(cluster: Cluster, host: str, role: str) -> list[psutil.Process]:
    """The processes of a service, and those below it that have no role of their own."""
    found = []
    for pid in network.pids(cluster.namespace(host)):
        try:
            process = psutil.Process(pid)
            if process.environ().get(ROLE) == role:
                found.append(process)
        except (psutil.NoSuchProcess, FileNotFoundError):
            continue
    return found


def log_of(cluster: Cluster, host: str, role: str) -> Path:
    """What a service printed."""
    return cluster.folder / "logs" / f"{host}-{role}.log"


def _java(heap_mb: int, *more: str) -> list[str]:
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED]
    logged = [f"-Dorg.slf4j.simpleLogger.{setting}" for setting in _LOGGED]
    return ["java", f"-Xmx{heap_mb}m", *_SMALL, *more, *opened, *logged, "-cp", f"{CLASS_PATH}/*"]


def _start(cluster: Cluster, host: str, role: str, command: list[str], *folders: str) -> None:
    """Start a service on a host."""
    log = log_of(cluster, host, role)
    log.parent.mkdir(parents=True, exist_ok=True)
    visible = [str(cluster.source), str(ROOT), str(Path(cluster.python).parents[1]), str(cluster.folder / "conf")]
    room = [cluster.python, "-m", "tests.cluster.room", host, str(cluster.disk_mb), *visible, *folders, "--", *command]
    # Forked once more, so that a test which starts it need not wait for its end.
    entered = ["setsid", "--fork", "ip", "netns", "exec", cluster.namespace(host), "unshare", "--mount", "--uts", *room]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST"))},
        "PYTHONPATH": os.pathsep.join(dict.fromkeys((str(cluster.source), str(ROOT)))),
        "PYTHONDONTWRITEBYTECODE": "1",
        **keys(cluster.store),
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        ROLE: role,
    }
    with log.open("ab") as output:
        subprocess.run(
            entered, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True
        )
