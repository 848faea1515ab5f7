"""What one side of a comparison does: warm up, work for a while, say what it took. Standard library only.

A side is a function that yields the number of units (samples, tokens, bytes) of each piece of work as it is done. It
runs in a process of its own, in the environment of whichever tool it measures.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

Side = Callable[[Path], Iterator[int]]

WARM_UP_S, MEASURED_S = 1.0, 3.0


def measure(side: Side, data: Path) -> dict[str, float]:
    """Runs a side until it is warm, then for a while; returns the units done, wall-clock and CPU seconds."""
    work = side(data)
    _work_for(work, WARM_UP_S)
    wall, cpu = time.perf_counter(), time.process_time()
    units = _work_for(work, MEASURED_S)
    return {"units": units, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def _work_for(work: Iterator[int], seconds: float) -> int:
    end, units = time.perf_counter() + seconds, 0
    for done in work:
        units += done
        if time.perf_counter() > end:
            break
    return units


def run_side_once(sides: Mapping[str, Side]) -> None:
    """Runs the side that the command line names (SIDE DATA) to its end and prints all it yields as JSON."""
    name, data = sys.argv[1:]
    print(json.dumps({"yielded": list(sides[name](Path(data)))}))


def run_side(sides: Mapping[str, Side]) -> None:
    """Runs the side that the command line names (SIDE DATA) and prints what it took as one line of JSON."""
    name, data = sys.argv[1:]
    print(json.dumps(measure(sides[name], Path(data))))
