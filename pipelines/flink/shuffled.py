"""What Flink made of a pipeline: its tasks, how many of them run our code, and what crossed each shuffle."""

import re
from typing import Any, NamedTuple

_SHUFFLE = re.compile(r"^(?:GroupReduce \(GroupReduce at (?P<group>.+)\)|(?P<spread>Partition))$")
_OURS = re.compile(r"MapPartition \(MapPartition at \[\d+\]")


class Shuffle(NamedTuple):
    """A shuffle of a finished job: the step that groups, and what came in over it."""

    name: str
    bytes: int
    elements: int


def shuffles(job: dict[str, Any]) -> list[Shuffle]:
    """The shuffles of a job, as `FlinkRest.job` gives it, in their order; what is spread has no name of its own."""
    found = []
    for vertex in job["vertices"]:
        match = _SHUFFLE.match(vertex["name"])
        if match:
            read = vertex["metrics"]
            name = (match["group"] or "spread").removesuffix("/CoGroupByKeyImpl/GroupByKey")
            found.append(Shuffle(name, read["read-bytes"], read["read-records"]))
    return found


def num_steps(job: dict[str, Any]) -> int:
    """How many tasks of a job run steps of ours, fused."""
    return sum(_OURS.search(vertex["name"]) is not None for vertex in job["vertices"])


def shuffles_line(job: dict[str, Any]) -> str:
    """How many tasks and shuffles a finished job had, and what crossed each, in one line."""
    found = shuffles(job)
    each = ", ".join(f"{shuffle.name} {shuffle.bytes:,}" for shuffle in found)
    total = sum(shuffle.bytes for shuffle in found)
    return (
        f"Flink: {num_steps(job)} fused steps in {len(job['vertices'])} tasks, {job['duration'] / 1000:.1f} s; "
        f"{len(found)} shuffles of {total:,} bytes: {each or 'none'}"
    )
