"""What workers are handed by a pipeline that runs in this process, measured: shuffles, side inputs and the graph."""

import itertools
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
import pytest

_sizes: list[int] = []


_side_inputs: Counter[int] = Counter()


def _measure(element: Any) -> Any:
    _sizes.append(len(pickle.dumps(element)))
    return element


def _measure_side(element: Any, number: int) -> Any:
    _side_inputs[number] += len(pickle.dumps(element))
    return element


@contextmanager
def measured_shuffles() -> Iterator[list[int]]:
    """Yield a list that holds, at the end of the block, the pickled bytes of each element that crossed a shuffle.

    `CoGroupByKey` groups by key as well; what a combiner sums up before it crosses is left out.
    """
    apply, numbers = beam.Pipeline.apply, itertools.count()

    def measure_first(self: beam.Pipeline, transform: Any, value: Any = None, label: str | None = None) -> Any:
        if label is None and isinstance(transform, (beam.GroupByKey, beam.Reshuffle)):  # a label makes it call itself
            value = apply(self, beam.Map(_measure), value, f"Measure {next(numbers)}")
        return apply(self, transform, value, label)

    _sizes.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam.Pipeline, "apply", measure_first)
        yield _sizes


@contextmanager
def measured_side_inputs() -> Iterator[Counter[int]]:
    """Yield a counter that holds, at the end of the block, the pickled bytes of each side input."""
    begin, numbers = beam.pvalue.AsSideInput.__init__, itertools.count()

    def measure_first(self: Any, collection: beam.PCollection) -> None:
        number = next(numbers)
        begin(self, collection | f"Measure side {number}" >> beam.Map(_measure_side, number))

    _side_inputs.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam.pvalue.AsSideInput, "__init__", measure_first)
        yield _side_inputs


def payloads(build: Callable[[beam.Pipeline], object]) -> dict[str, bytes]:
    """Return what each step of a graph, and each environment, carries to whoever runs it, by name."""
    pipeline = beam.Pipeline()
    build(pipeline)
    parts = pipeline.to_runner_api().components
    steps = {each.unique_name: each.spec.payload for each in parts.transforms.values() if not each.subtransforms}
    return steps | {f"environment {name}": each.SerializeToString() for name, each in parts.environments.items()}
