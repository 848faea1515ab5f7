"""What a Flink cluster would take for pictures by the million: a few measured numbers, and how they add up.

    hours = starting + pictures · core time / (cores · share of the time a core is kept busy), or what the network takes

and beside it the search for near duplicates, which is a few tasks however large the cluster. Sizes beyond what was
measured are extrapolated; `Cluster` says from what, and `cluster_table.assumptions` says it to people.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from pydantic import Field

from pipelines.section import MAX_BUCKETS, Section

SIZES = (10**6, 10**8, 10**9)
"""Pictures that are planned for unless told otherwise."""

HOURS = 24.0
"""That machines are sought for unless told otherwise."""

SHARD_BUCKET_BYTES = 5e9
"""That a key bucket is to hold at most; see `triplets.buckets`."""

LIKENESS_BYTES = 512
"""Of each picture in the file that the search for near duplicates reads whole. Source: `crawl.likeness.LIKENESS`."""


class FlinkStage(Section):
    """What a stage took on the cluster; all but the seconds for each picture that went in."""

    overhead_s: float = Field(ge=0, description="of the whole command, with next to nothing to do")
    flink_s: float = Field(ge=0, description="of those, from Flink's first task to its last")
    tasks: int = Field(ge=1, description="Flink's, each scheduled by itself")
    python_ms: float = Field(ge=0, description="CPU, of the Python workers")
    taskmanager_ms: float = Field(ge=0, description="CPU, of the JVMs beside them")
    store_ms: float = Field(ge=0, description="CPU, of the S3 server")
    shuffled_bytes: float = Field(ge=0, description="over all shuffles together")
    link_bytes: float = Field(ge=0, description="over the networks of the workers, shuffles and store, both ways")
    written_bytes: float = Field(ge=0)
    kept: float = Field(ge=0, le=1, description="share that went on")

    @property
    def core_ms(self) -> float:
        """CPU of a worker's core, for Python and the JVM beside it."""
        return self.python_ms + self.taskmanager_ms


class Search(Section):
    """What the search for near duplicates takes: CPU seconds a · N + b · N² over all its tasks, and serial c · N."""

    pictures: int = Field(ge=1, description="of the largest that was measured")
    tasks: int = Field(ge=1, description="side by side, whatever the cluster")
    linear_us: float = Field(ge=0, description="a, microseconds a picture")
    square_ps: float = Field(ge=0, description="b, picoseconds a pair of pictures")
    serial_us: float = Field(ge=0, description="c, of one task: who stands for whom")


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
        hours: of images and triplets, without the search.
        search_hours: for near duplicates, on the search's few cores, whatever the machines.
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
    """What it would take on so many machines; if None, on as few as do it in `hours`, the search not counted.

    Raises:
        ValueError: in `hours` the stages do not even start and end.
    """
    going_in = list(_going_in(cost, pictures))
    num = machines or _machines_for(cost, pictures, machine, hours)
    slots = num * machine.cores
    written = sum(stage.written_bytes * records for stage, records in going_in)
    return ClusterPlan(
        pictures=pictures,
        machines=num,
        hours=starting_hours(cost) + _machine_hours(cost, pictures, machine) / num,
        search_hours=search_hours(cost.search, pictures),
        core_hours=sum(stage.core_ms * records for stage, records in going_in) / 3.6e6,
        shuffled_bytes=round(sum(stage.shuffled_bytes * records for stage, records in going_in)),
        link_bytes=round(sum(stage.link_bytes * records for stage, records in going_in)),
        written_bytes=round(written),
        buckets=min(max(slots, math.ceil(written / SHARD_BUCKET_BYTES)), MAX_BUCKETS),
    )


def starting_hours(cost: Cluster) -> float:
    """What the stages take however little there is to do."""
    return sum(stage.overhead_s for stage in cost.stages.values()) / 3600


def search_hours(search: Search, pictures: int) -> float:
    """Hours of the search for near duplicates on its few cores.

    >>> round(search_hours(Search(pictures=9, tasks=4, linear_us=100, square_ps=0, serial_us=0), 144_000_000), 6)
    1.0
    """
    side_by_side = (search.linear_us * 1e-6 + search.square_ps * 1e-12 * pictures) / search.tasks
    return (side_by_side + search.serial_us * 1e-6) * pictures / 3600


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
    left = hours - starting_hours(cost)
    if left <= 0:
        told = f"the stages take {starting_hours(cost):.3f} hours to start and end, on any number of machines"
        raise ValueError(f"{hours:g} hours cannot be: {told}")
    return max(1, math.ceil(_machine_hours(cost, pictures, machine) / left))
