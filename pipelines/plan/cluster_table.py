"""What a cluster would take, as people and programs read it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crawl.likeness import LIKENESS
from crawl.similar_pairs import MAX_AMONG, TASK_BYTES
from pipelines.compact_table import compact_table
from pipelines.plan.cluster import Cluster, ClusterPlan, FlinkStage, Machines
from pipelines.plan.table import short
from pipelines.section import MAX_BUCKETS

MAX_WRITTEN_OUT = 10**5
"""Numbers from here on are told by two digits and a power of ten, so that a table fits into 80 columns."""


def print_cluster(plans: Sequence[ClusterPlan], cost: Cluster, machine: Machines, console: Console) -> None:
    """Prints a line for each size, then what was assumed."""
    console.print(_table(plans))
    console.print(
        Text(
            "Search: hours of these in which near duplicates are sought; images.near_duplicates: ignore saves them. "
            "Buckets: images.buckets and triplets.buckets, at least."
        ),
        soft_wrap=True,
    )
    for plan in plans:
        if plan.buckets == MAX_BUCKETS:
            console.print(Text(_most_buckets(plan)), soft_wrap=True)
    console.print("Assumed:")
    for line in assumptions(cost, machine):
        console.print(Text(f"- {line}"), soft_wrap=True)


def cluster_json(plans: Sequence[ClusterPlan], cost: Cluster, machine: Machines) -> str:
    """The plans and what they rest on as one JSON value."""
    value = {
        "plans": [asdict(plan) for plan in plans],
        "machines": asdict(machine),
        "measured": cost.model_dump(mode="json"),
        "assumptions": list(assumptions(cost, machine)),
    }
    return json.dumps(value, indent=1, ensure_ascii=False)


def assumptions(cost: Cluster, machine: Machines) -> Iterator[str]:
    """What the numbers rest on, a line each."""
    yield (
        f"measured on {cost.date}: {cost.machine}; {cost.pictures:,} pictures of "
        f"{cost.picture_bytes / 1e3:,.0f} kB to 64 pixels and five stored steps, two workers, "
        f"their cluster and its store all on that machine, load {cost.load:.0f}; {cost.command}"
    )
    yield from (_stage_assumed(name, stage) for name, stage in cost.stages.items())
    yield (
        "pictures stand on one page each; of one that many show, each slot that reads links to it shuffles one sum "
        "more, of up to 500 bytes, whether it was fetched or not"
    )
    yield from _machine_assumed(cost, machine)
    yield (
        f"near duplicates: each picture is looked up among all, {MAX_AMONG:,} at a time, which takes "
        f"{cost.search.linear_us:,.0f} µs each time and {cost.search.square_ps:,.1f} ps a pair of pictures, and "
        f"{cost.search.serial_us:,.1f} µs a picture in one task alone, measured up to {cost.search.pictures:,}; each "
        f"slot takes up to {TASK_BYTES / 1e6:,.0f} MB for it, and each machine {LIKENESS.itemsize} bytes a "
        "picture on its disk, which one task puts end to end: that time is not counted"
    )


def _stage_assumed(name: str, stage: FlinkStage) -> str:
    return (
        f"{name}: {stage.overhead_s:.0f} s to start and end, {stage.flink_s:.0f} of them for Flink's {stage.tasks} "
        f"tasks; for each picture {stage.python_ms:.2f} ms of CPU for Python, {stage.taskmanager_ms:.2f} for the "
        f"JVM beside it, {_bytes(stage.shuffled_bytes)} shuffled ({stage.largest_shuffle_bytes:,.0f} in the "
        f"largest shuffle), {stage.link_bytes / 1e3:,.0f} kB over the worker's network, "
        f"{stage.written_bytes / 1e3:,.0f} kB written; {stage.kept:.0%} go on"
    )


def _bytes(number: float) -> str:
    return f"{number:,.0f} byte{'' if round(number) == 1 else 's'}"


def _machine_assumed(cost: Cluster, machine: Machines) -> Iterator[str]:
    yield (
        f"{machine.cores} cores a machine, one slot a core, kept busy {cost.busy:.0%} of the time, as two workers "
        "were, whose two cores the whole cluster shared: more than two were not measured, and are taken to be as busy"
    )
    yield (
        f"a slot takes {cost.python_mb + cost.pool_mb + cost.taskmanager_mb:,.0f} MB: its Python worker "
        f"{cost.python_mb:,.0f}, its pool {cost.pool_mb:,.0f}, its TaskManager {cost.taskmanager_mb:,.0f}; all JVMs "
        f"took {cost.jvm_share:.0%} of the build's CPU time"
    )
    store = " and ".join(f"{stage.store_ms:.1f} ms ({name})" for name, stage in cost.stages.items())
    yield (
        f"{machine.gigabits:g} Gbit/s of network a machine, to a store that keeps up: both are assumed, not measured; "
        f"the store's own CPU, {store} a picture on SeaweedFS, is not counted"
    )


def _most_buckets(plan: ClusterPlan) -> str:
    """What becomes of a plan for which a recipe has not enough buckets."""
    each = plan.written_bytes / MAX_BUCKETS / 1e9
    return (
        f"{_millions(plan.pictures)} pictures: a recipe takes {MAX_BUCKETS:,} buckets at most, of {short(each)} GB "
        "each then; more slots than that stay idle while shards are written."
    )


def _table(plans: Sequence[ClusterPlan]) -> Table:
    table = compact_table("Images and triplets on a Flink cluster")
    columns = ("pictures", "machines", "hours", "search\nhours", "CPU\nhours", "GB\nshuffled", "store\nGB/s")
    for name in (*columns, "TB\nwritten", "buckets"):
        table.add_column(name, justify="right", no_wrap=True)
    for plan in plans:
        table.add_row(
            *(_millions(plan.pictures), _told(plan.machines)),
            *(_told(value) for value in (plan.hours, plan.search_hours, plan.core_hours)),
            *(_told(plan.shuffled_bytes / 1e9), _told(plan.link_bytes / plan.hours / 3.6e12)),
            *(_told(plan.written_bytes / 1e12), _told(plan.buckets)),
        )
    return table


def _millions(pictures: int) -> str:
    return f"{_told(pictures / 1e6)} M"


def _told(number: float) -> str:
    """A number that leaves room for its neighbours.

    >>> [_told(number) for number in (0.25, 1234, 99_999, 1.234e12)]
    ['0.25', '1,234', '99,999', '1.2e12']
    """
    return short(number) if number < MAX_WRITTEN_OUT else f"{number:.2g}".replace("e+", "e")
