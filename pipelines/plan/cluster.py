"""What a Flink cluster would take for pictures by the million: a few measured numbers, and how they add up.

    hours = starting + pictures · core time / (cores · share of the time a core is kept busy), or what the network takes
            + the search for near duplicates, whose work grows with the square of the pictures

Sizes beyond what was measured are extrapolated; `Cluster` says from what, and `cluster_table.assumptions` says it to
people.
"""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from pydantic import Field

from crawl.similar_pairs import MAX_AMONG, count_tasks
from pipelines.section import MAX_BUCKETS, Section

SIZES = (10**6, 10**8, 10**9)
"""Pictures that are planned for unless told otherwise."""

MAX_MACHINES = 10**9
"""More are never tried."""

HOURS = 24.0
"""That machines are sought for unless told otherwise."""

SHARD_BUCKET_BYTES = 5e9
"""That a key bucket is to hold at most; see `triplets.buckets`."""


class FlinkStage(Section):
    """What a stage took on the cluster; all but the seconds for each picture that went in."""

    overhead_s: float = Field(ge=0, description="of the whole command, with next to nothing to do")
    flink_s: float = Field(ge=0, description="of those, from Flink's first task to its last")
    tasks: int = Field(ge=1, description="Flink's, each scheduled by itself")
    python_ms: float = Field(ge=0, description="CPU, of the Python workers")
    taskmanager_ms: float = Field(ge=0, description="CPU, of the JVMs beside them")
    store_ms: float = Field(ge=0, description="CPU, of the S3 server")
    shuffled_bytes: float = Field(ge=0, description="over all shuffles together")
    largest_shuffle_bytes: float = Field(ge=0, description="over the largest of them")
    link_bytes: float = Field(ge=0, description="over the networks of the workers, shuffles and store, both ways")
    written_bytes: float = Field(ge=0)
    kept: float = Field(ge=0, le=1, description="share that went on")

    @property
    def core_ms(self) -> float:
        """CPU of a worker's core, for Python and the JVM beside it."""
        return self.python_ms + self.taskmanager_ms


class Search(Section):
    """What the search for near duplicates takes of N pictures: CPU seconds N · (a · pieces + b · N), and serial c · N.

    The first are those of tasks side by side; the pieces, of `MAX_AMONG` pictures, are those among which each picture
    is looked up.
    """

    pictures: int = Field(ge=1, description="of the largest that was measured")
    linear_us: float = Field(ge=0, description="a, microseconds a picture and piece")
    square_ps: float = Field(ge=0, description="b, picoseconds a pair of pictures")
    serial_us: float = Field(ge=0, description="c, of one task: who stands for whom")

    def core_s(self, pictures: float) -> float:
        """CPU seconds of all tasks that are done side by side."""
        pieces = math.ceil(pictures / MAX_AMONG)
        return pictures * (self.linear_us * 1e-6 * pieces + self.square_ps * 1e-12 * pictures)

    def hours(self, pictures: float, slots: int) -> float:
        """Hours that it takes on so many slots.

        >>> round(Search(pictures=9, linear_us=100, square_ps=0, serial_us=0).hours(144_000, 2), 6)
        0.002
        """
        at_once = min(slots, count_tasks(math.ceil(pictures)))
        return (self.core_s(pictures) / at_once + self.serial_us * 1e-6 * pictures) / 3600


class Cluster(Section):
    """A cluster's measured costs, and where they were measured."""

    date: str
    machine: str
    command: str
    pictures: int = Field(ge=1, description="of the larger run")
    picture_bytes: int = Field(ge=1, description="of each as fetched, on average")
    load: float = Field(ge=0, description="of the machine, meanwhile")
    busy: float = Field(gt=0, le=1, description="share of its time that a slot kept a core busy, two workers at work")
    python_mb: float = Field(ge=0, description="the most that a Python worker held")
    pool_mb: float = Field(ge=0, description="the most that what starts them held")
    taskmanager_mb: float = Field(ge=0, description="the most that a TaskManager held")
    jvm_share: float = Field(ge=0, le=1, description="of all CPU time of the build that all JVMs took")
    stages: dict[str, FlinkStage]
    search: Search


@dataclass(frozen=True)
class Machines:
    """The machines that are planned with; each core has one TaskManager of one slot.

    Attributes:
        cores: of each.
        gigabits: a second that each sends and receives together, and that the store gives each of them.
    """

    cores: int = 16
    gigabits: float = 10.0


@dataclass(frozen=True)
class ClusterPlan:
    """What images and triplets of so many pictures would take.

    Attributes:
        pictures: that were fetched.
        machines: of the workers; the store and the JobManager come beside them.
        hours: of images and triplets.
        search_hours: those of them in which near duplicates are sought.
        core_hours: of CPU time, of the workers.
        shuffled_bytes: over all shuffles.
        link_bytes: over the workers' networks.
        written_bytes: into the store.
        buckets: that the recipe's stages need, lest slots stay idle or shards' buckets grow too large; never more
            than a recipe takes.
    """

    pictures: int
    machines: int
    hours: float
    search_hours: float
    core_hours: float
    shuffled_bytes: int
    link_bytes: int
    written_bytes: int
    buckets: int


def read_cluster() -> Cluster:
    """The costs that come with the package."""
    return Cluster.model_validate_json((resources.files(__package__) / "cluster.json").read_text("utf-8"))


def plan_cluster(
    cost: Cluster, pictures: int, machine: Machines, machines: int | None = None, hours: float = HOURS
) -> ClusterPlan:
    """What it would take on so many machines; if None, on as few as do it in `hours`.

    Raises:
        ValueError: no number of machines does it in `hours`.
    """
    going_in = list(_going_in(cost, pictures))
    num = machines or _machines_for(cost, pictures, machine, hours)
    slots = num * machine.cores
    written = sum(stage.written_bytes * records for stage, records in going_in)
    core_s = cost.search.core_s(pictures) + sum(stage.core_ms * records for stage, records in going_in) / 1e3
    return ClusterPlan(
        pictures=pictures,
        machines=num,
        hours=_hours(cost, pictures, machine, num),
        search_hours=cost.search.hours(pictures, slots),
        core_hours=core_s / 3600,
        shuffled_bytes=round(sum(stage.shuffled_bytes * records for stage, records in going_in)),
        link_bytes=round(sum(stage.link_bytes * records for stage, records in going_in)),
        written_bytes=round(written),
        buckets=min(max(slots, math.ceil(written / SHARD_BUCKET_BYTES)), MAX_BUCKETS),
    )


def starting_hours(cost: Cluster) -> float:
    """What the stages take however little there is to do."""
    return sum(stage.overhead_s for stage in cost.stages.values()) / 3600


def _hours(cost: Cluster, pictures: int, machine: Machines, machines: int) -> float:
    searching = cost.search.hours(pictures, machines * machine.cores)
    return starting_hours(cost) + _machine_hours(cost, pictures, machine) / machines + searching


def _going_in(cost: Cluster, pictures: int) -> Iterator[tuple[FlinkStage, float]]:
    """Each stage with what the ones before it let through."""
    records = float(pictures)
    for stage in cost.stages.values():
        yield stage, records
        records *= stage.kept


def _machine_hours(cost: Cluster, pictures: int, machine: Machines) -> float:
    """Hours that one machine would take, by its cores or by its network, whichever is slower in each stage."""
    byte_s = machine.gigabits * 1e9 / 8
    return (
        sum(
            records * max(stage.core_ms / 1e3 / machine.cores / cost.busy, stage.link_bytes / byte_s)
            for stage, records in _going_in(cost, pictures)
        )
        / 3600
    )


def _machines_for(cost: Cluster, pictures: int, machine: Machines, hours: float) -> int:
    """The fewest machines that do it in `hours`: more never take longer."""
    if (least := _hours(cost, pictures, machine, MAX_MACHINES)) > hours:
        raise ValueError(f"{hours:g} hours cannot be: {pictures:,} pictures take {least:.3f} on any number of machines")
    return 1 + bisect.bisect_left(
        range(1, MAX_MACHINES), -hours, key=lambda number: -_hours(cost, pictures, machine, number)
    )
