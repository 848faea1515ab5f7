"""Where the pipelines of a stage run; it decides nothing but the speed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Runner:
    """The embedded engine, or a Beam job service whose workers a pool starts.

    Attributes:
        job_service: `HOST:PORT` of the job service, "" for the embedded engine.
        worker_pool: `HOST:PORT` where the job service asks for workers, which must have Seedbed installed.
    """

    job_service: str = ""
    worker_pool: str = ""

    @property
    def is_embedded(self) -> bool:
        """Whether pipelines run in the stage's own process, and workers that it forks."""
        return not self.job_service


EMBEDDED = Runner()
LOCAL = "local"
"""What a person calls it."""


def is_address(text: str) -> bool:
    """Whether it may be the address of a service.

    >>> is_address("localhost:8099"), is_address("flink"), is_address("http://host/")
    (True, False, False)
    """
    host, _, port = text.rpartition(":")
    return bool(host) and "/" not in host and port.isdigit()
