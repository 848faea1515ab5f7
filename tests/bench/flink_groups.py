"""What the programs of a test cluster take while something runs there: CPU seconds and memory, by kind of program."""

import json
import os
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from tests.bench.watching import looking
from tests.cluster import faults, network, services
from tests.cluster.layout import Cluster

POLL_S = 2.0
"""Python workers are kept for a minute after their job, so that none goes unseen."""

HEAD = ("jobmanager", "jobserver", "store")
WORKER = ("taskmanager", "pool", "unit")
PYTHON = "python"
"""The workers that a pool starts for jobs."""

JAVA = ("taskmanager", "jobmanager", "jobserver")
"""Whose CPU seconds are the JVMs'."""


@dataclass
class Taken:
    """What was taken between the begin and the end of a block.

    Attributes:
        cpu_s: CPU seconds by kind; "caller" is the command line with its children, and the looking itself; "others"
            whatever else ran here.
        peak_bytes: the most memory that one process of a kind held on a worker.
        load: the mean of the machine's load, seen every few seconds.
        link_bytes: that crossed the workers' links into the cluster, both ways.
    """

    cpu_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    peak_bytes: Counter[str] = field(default_factory=Counter)
    load: float = 0.0
    link_bytes: int = 0


@contextmanager
def taking(cluster: Cluster) -> Iterator[Taken]:
    """Watches a cluster for the block; what it took is known when the block ends."""
    taken, loads = Taken(), [os.getloadavg()[0]]
    seen: dict[int, tuple[str, float]] = {}
    _look(cluster, seen, Counter())
    before = {pid: cpu_s for pid, (_, cpu_s) in seen.items()}
    machine, own, crossed = _machine_s(), _below_s(), _link_bytes(cluster)

    def look(_: psutil.Process) -> None:
        _look(cluster, seen, taken.peak_bytes)
        loads.append(os.getloadavg()[0])

    with looking(look, POLL_S):
        yield taken
    look(psutil.Process())
    for pid, (kind, cpu_s) in seen.items():
        taken.cpu_s[kind] += cpu_s - before.get(pid, 0.0)
    taken.cpu_s["caller"] = _below_s() - own
    taken.cpu_s["others"] = max(_machine_s() - machine - sum(taken.cpu_s.values()), 0.0)
    taken.link_bytes = _link_bytes(cluster) - crossed
    taken.load = sum(loads) / len(loads)


def _look(cluster: Cluster, seen: dict[int, tuple[str, float]], peak: Counter[str]) -> None:
    for role in HEAD:
        for process in services.running(cluster, "head", role):
            _look_at(process, role, seen)
    for worker in cluster.workers:
        for role in WORKER:
            for process in services.running(cluster, worker, role):
                kind = PYTHON if role == "pool" and faults.is_sdk(process) else role
                peak[kind] = max(peak[kind], _look_at(process, kind, seen))


def _look_at(process: psutil.Process, kind: str, seen: dict[int, tuple[str, float]]) -> int:
    """Notes what a process has used so far; returns what memory it holds."""
    with suppress(psutil.NoSuchProcess):
        used = process.cpu_times()
        seen[process.pid] = (kind, used.user + used.system)
        return int(process.memory_info().rss)
    return 0


def _link_bytes(cluster: Cluster) -> int:
    """Bytes that have crossed the workers' links into the cluster."""
    total = 0
    for worker in cluster.workers:
        command = ["ip", "-n", cluster.namespace(worker), "-j", "-s", "link", "show", network.CLUSTER]
        (link,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        total += link["stats64"]["rx"]["bytes"] + link["stats64"]["tx"]["bytes"]
    return total


def _below_s() -> float:
    """CPU seconds of the ended children of this process."""
    used = os.times()
    return used.children_user + used.children_system


def _machine_s() -> float:
    """CPU seconds that all cores were busy."""
    used = psutil.cpu_times()
    return float(used.user + used.nice + used.system + used.irq + used.softirq)
