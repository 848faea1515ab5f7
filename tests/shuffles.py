"""What workers are handed by a pipeline that runs in this process, measured: shuffles, side inputs and the graph."""

import itertools
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders.coder_impl import create_InputStream
from apache_beam.runners.portability.fn_api_runner.execution import GroupingBuffer

_side_inputs: Counter[int] = Counter()


def _measure_side(element: Any, number: int) -> Any:
    _side_inputs[number] += len(pickle.dumps(element))
    return element


@contextmanager
def measured_shuffles() -> Iterator[list[list[int]]]:
    """Yield a list that holds, at the end of the block, for each shuffle the bytes of each element that crossed it.

    They are counted where the embedded engine, in memory, groups what its workers send, encoded as they send it: of
    what a combiner sums up before it crosses, only the sums.
    """
    group, shuffles = GroupingBuffer.append, dict[Any, list[int]]()

    def measure_first(self: Any, sent: bytes) -> None:
        sizes, stream = shuffles.setdefault(self, []), create_InputStream(sent)
        coder = self._pre_grouped_coder.get_impl()
        while stream.size():
            before = stream.size()
            coder.decode_from_stream(stream, True)
            sizes.append(before - stream.size())
        group(self, sent)

    found: list[list[int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GroupingBuffer, "append", measure_first)
        yield found
    found.extend(shuffles.values())


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
