"""Where the pipelines of a stage run; it decides nothing but the speed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Runner:
    """The embedded engine, or a Beam job service whose workers a pool starts: its own, or a Flink cluster's.

    Attributes:
        job_service: `HOST:PORT` of the job service, "" for the embedded engine.
        worker_pool: `HOST:PORT` where the job service, or a Flink TaskManager, asks for workers, which must have
            Seedbed installed.
        rest: `HOST:PORT` of Flink's REST interface, "" where the job service is not Flink's.
        job_name: what Flink's jobs are called, so that those of a build can be found and ended.
        is_tried: whether the workers have shown that they can run this Seedbed and see the build's folder.
        stuck_s: seconds without a finished part and, on Flink, without a task that changes its state or takes or gives
            a record, after which a job is stuck.
        retries: how often a stage is begun again on a cluster.
    """

    job_service: str = ""
    worker_pool: str = ""
    rest: str = ""
    job_name: str = "seedbed"
    is_tried: bool = False
    stuck_s: float = 600.0
    retries: int = 5

    @property
    def is_embedded(self) -> bool:
        """Whether pipelines run in the stage's own process, and workers that it forks."""
        return not self.job_service

    @property
    def is_flink(self) -> bool:
        """Whether pipelines run on a Flink cluster."""
        return bool(self.rest)


EMBEDDED = Runner()
LOCAL = "local"
"""What a person calls it."""
FLINK = "flink"
"""What a person calls a Flink cluster."""
REST_PORT = 8081
"""Of Flink's REST interface, unless told otherwise. Source: Flink 1.19, `rest.port`."""
SIDECAR = "localhost:50000"
"""The worker pool beside each TaskManager. Source: Beam, `worker_pool_main`, `--service_port`."""


def is_address(text: str) -> bool:
    """Whether it may be the address of a service.

    >>> is_address("localhost:8099"), is_address("flink"), is_address("http://host/")
    (True, False, False)
    """
    host, _, port = text.rpartition(":")
    return bool(host) and "/" not in host and port.isdigit()
