"""What crosses the shuffles of a pipeline that runs in this process: every element of every GroupByKey, measured."""

import itertools
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
import pytest

_sizes: list[int] = []


def _measure(element: Any) -> Any:
    _sizes.append(len(pickle.dumps(element)))
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
