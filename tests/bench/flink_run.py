"""A stage that ran on a test cluster, and what it took there."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from pipelines.flink.shuffled import Shuffle, shuffles
from tests.bench.flink_groups import Taken


@dataclass(frozen=True)
class Run:
    """A stage that ran on the cluster.

    Attributes:
        stage: which.
        pictures: that were fetched for it.
        records: that went in.
        kept: of them.
        workers: tasks side by side.
        is_small: whether the files are.
        wall_s: of the command.
        job: as Flink's REST interface tells it when it is finished.
        taken: while the command ran.
        bytes: of the files that it wrote.
    """

    stage: str
    pictures: int
    records: int
    kept: int
    workers: int
    is_small: bool
    wall_s: float
    job: dict[str, Any]
    taken: Taken
    bytes: int

    @property
    def job_s(self) -> float:
        """Seconds that Flink worked on the job."""
        return float(self.job["duration"]) / 1e3

    @property
    def shuffled_bytes(self) -> int:
        """Over all shuffles together."""
        return sum(shuffle.bytes for shuffle in shuffles(self.job))

    @property
    def largest_shuffle(self) -> Shuffle:
        """The one over which the most bytes came."""
        return max(shuffles(self.job), key=attrgetter("bytes"))
