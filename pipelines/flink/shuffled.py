"""What Flink made of a pipeline: its tasks, how many of them run our code, and what crossed each shuffle."""

import re
from typing import Any, NamedTuple

_SHUFFLE = re.compile(r"^(?:GroupReduce \(GroupReduce at (.+?)(?:/CoGroupByKeyImpl/GroupByKey|/Group)?\)|Partition)$")
_OURS = re.compile(r"MapPartition \(MapPartition at \[\d+\]")


class Shuffle(NamedTuple):
    """A shuffle of a finished job: the step that groups, "" where work is dealt out, and what came in over it."""

    name: str
    bytes: int
    elements: int


def shuffles(job: dict[str, Any]) -> list[Shuffle]:
    """The shuffles of a job, as `FlinkRest.job` gives it, in their order."""
    found = []
    for vertex in job["vertices"]:
        match = _SHUFFLE.match(vertex["name"])
        if match:
            read = vertex["metrics"]
            found.append(Shuffle(match[1] or "", read["read-bytes"], read["read-records"]))
    return found


def num_steps(job: dict[str, Any]) -> int:
    """How many tasks of a job run steps of ours, fused."""
    return sum(map(is_ours, job["vertices"]))


def is_ours(vertex: dict[str, Any]) -> bool:
    """Whether a task of a job runs steps of ours."""
    return _OURS.search(vertex["name"]) is not None


def shuffles_line(job: dict[str, Any]) -> str:
    """How many tasks and shuffles a finished job had, and what crossed each, in one line."""
    found = shuffles(job)
    dealt = [shuffle.bytes for shuffle in found if not shuffle.name]
    each = [f"{shuffle.name} {shuffle.bytes:,}" for shuffle in found if shuffle.name]
    each += [f"dealing out work ({len(dealt)}) {sum(dealt):,}"] if dealt else []
    return (
        f"Flink: {num_steps(job)} fused steps in {len(job['vertices'])} tasks, {job['duration'] / 1000:.1f} s; "
        f"{len(found)} shuffles of {sum(shuffle.bytes for shuffle in found):,} bytes: {', '.join(each) or 'none'}"
    )
