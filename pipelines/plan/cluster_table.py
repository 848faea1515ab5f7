"""What a cluster would take, as people and programs read it."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.compact_table import compact_table
from pipelines.plan.cluster import Cluster, ClusterPlan, Machines, assumptions
from pipelines.plan.table import short


def print_cluster(plans: Sequence[ClusterPlan], cost: Cluster, machine: Machines, console: Console) -> None:
    """Prints a line for each size, then what was assumed."""
    console.print(_table(plans))
    console.print(
        Text(
            f"Search: near duplicates are sought by {cost.search.tasks} tasks, whose hours come on top, and which more "
            "machines do not shorten. Buckets: images.buckets and triplets.buckets, at least."
        ),
        soft_wrap=True,
    )
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


def _table(plans: Sequence[ClusterPlan]) -> Table:
    table = compact_table("Images and triplets on a Flink cluster")
    columns = ("pictures", "machines", "hours", "search\nhours", "CPU\nhours", "GB\nshuffled", "store\nGB/s")
    for name in (*columns, "TB\nwritten", "buckets"):
        table.add_column(name, justify="right", no_wrap=True)
    for plan in plans:
        table.add_row(
            *(f"{plan.pictures / 1e6:,g} M", f"{plan.machines:,}"),
            *(short(value) for value in (plan.hours, plan.search_hours, plan.core_hours)),
            *(
                short(plan.shuffled_bytes / 1e9),
                short(plan.link_bytes / plan.hours / 3.6e12),
                short(plan.written_bytes / 1e12),
            ),
            f"{plan.buckets:,}",
        )
    return table
