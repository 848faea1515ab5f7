"""Names, addresses and folders of a cluster: all follow from its name, so that two clusters stand side by side."""

import hashlib
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError

ROOT = Path(__file__).parents[2]
JARS = ROOT / "build" / "flink"
CLASS_PATH = JARS / "gradle" / "wrapper"
"""Beam ships its job server's whole class path, 160 MB, to every worker with every job, but for such a path: all hosts
have these jars. Source: Beam 2.70, PipelineResources.isStageable."""
REST_PORT, JOB_PORT, ARTIFACT_PORT, EXPANSION_PORT, STORE_PORT = 8081, 8099, 8098, 8097, 8333
MAX_WORKERS = 60


@dataclass(frozen=True)
class Cluster:
    """What a cluster is made of.

    Attributes:
        name: up to eleven lower-case letters and digits; begins the names of its namespaces and of its link.
        num_workers: hosts with a TaskManager.
        slots: of each TaskManager.
        disk_mb: size of each worker's /tmp, its only disk, in MB.
        source: the checkout whose Seedbed the workers run.
    """

    name: str = "seedbed"
    num_workers: int = 2
    slots: int = 1
    disk_mb: int = 512
    source: Path = ROOT

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,10}", self.name):
            raise ClusterError(f"cluster name {self.name!r}: up to 11 lower-case letters and digits, a letter first")
        if not 1 <= self.num_workers <= MAX_WORKERS:
            raise ClusterError(f"{self.num_workers} workers: at least 1, at most {MAX_WORKERS}")
        if self.slots < 1:
            raise ClusterError(f"{self.slots} slots: at least 1")

    @property
    def folder(self) -> Path:
        """Logs, Flink's configuration and the S3 server's files."""
        return Path(tempfile.gettempdir()) / f"seedbed-cluster-{self.name}"

    @property
    def network(self) -> str:
        """The first three bytes of all addresses: hosts of the cluster from .1 on, the way to the site from .129 on."""
        first, second = hashlib.sha256(self.name.encode()).digest()[:2]
        return f"10.{64 + first % 128}.{second}"

    @property
    def hosts(self) -> list[str]:
        """The names of all hosts."""
        return ["head", "site", *self.workers]

    @property
    def workers(self) -> list[str]:
        """The names of the workers' hosts."""
        return [f"w{number}" for number in range(1, self.num_workers + 1)]

    def namespace(self, host: str) -> str:
        """The network namespace of a host."""
        return f"{self.name}-{host}"

    def address(self, host: str) -> str:
        """A host's address within the cluster, and the site's within its own network."""
        last = {"head": 1, "site": 129}.get(host) or 10 + int(host[1:])
        return f"{self.network}.{last}"

    @property
    def here(self) -> str:
        """The address of the machine itself, beyond the cluster's hosts."""
        return f"{self.network}.126"

    @property
    def rest(self) -> str:
        """Flink's page and REST interface."""
        return f"http://{self.address('head')}:{REST_PORT}"

    @property
    def job_endpoint(self) -> str:
        """Beam's job server."""
        return f"{self.address('head')}:{JOB_PORT}"

    @property
    def store(self) -> str:
        """The S3 server, from every host and from the machine itself."""
        return f"http://{self.address('head')}:{STORE_PORT}"

    @property
    def python(self) -> str:
        """The interpreter of the workers' environment: the one of this process."""
        return sys.executable
