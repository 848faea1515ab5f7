"""What a manifest's spec promises of every sample, so that a shard that breaks it is found when it is opened."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shards import triplet, window
from shards.index import Index
from shards.npy import npy_header, npy_length
from shards.triplet import TripletSpec, rung_facts, spec_facts
from shards.window import WindowSpec

Numbers = NDArray[np.int64]


class Promise(ABC):
    """What the samples of a dataset have in common.

    Attributes:
        arrays: Type string and shape of each `.npy` member.
        extensions: The members that every sample has.
    """

    arrays: Mapping[str, tuple[str, tuple[int, ...]]]
    extensions: tuple[str, ...]

    @abstractmethod
    def are_keys(self, keys: NDArray[np.bytes_]) -> NDArray[np.bool_]:
        """Return which of N keys are those of such samples, bool `(N,)`."""

    @abstractmethod
    def facts(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what must stand in a sample's JSON."""

    def breaches(self, index: Index) -> Iterator[tuple[NDArray[np.bool_], str]]:
        """Yield which rows of an index, bool `(N,)`, break the promise, if any, and how."""
        yield ~self.are_keys(index.keys), "its key is none of this dataset's"
        for extension, (dtype, shape) in self.arrays.items():
            lengths = index.lengths[:, index.extensions.index(extension)]
            yield lengths != npy_length(dtype, shape), self.told(extension)

    def told(self, extension: str) -> str:
        """Return how an array of another type or shape breaks the promise."""
        promised = npy_header(*self.arrays[extension])[10:].decode("latin-1").strip()
        return f"{extension} is not what the manifest's spec promises, {promised}"

    def breach(self, extension: str, content: bytes) -> str:
        """Return how a member of one sample breaks the promise, empty if it does not."""
        if extension in self.arrays:
            return "" if content.startswith(npy_header(*self.arrays[extension])) else self.told(extension)
        try:
            record = json.loads(content)
            for name, value in self.facts(record).items():
                if record[name] != value:
                    return f"its samples have {name} {record[name]!r}, the manifest's configuration.spec {value!r}"
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            return f"its samples' {extension} cannot be read ({type(error).__name__}: {error})"
        return ""


@dataclass(frozen=True)
class TripletPromise(Promise):
    """What the triplets of a dataset have in common."""

    spec: TripletSpec

    @property
    def extensions(self) -> tuple[str, ...]:  # type: ignore[override]
        """The members of a triplet."""
        return triplet.extensions(self.spec)

    @property
    def arrays(self) -> Mapping[str, tuple[str, tuple[int, ...]]]:  # type: ignore[override]
        """The picture and, if they are stored, noise and noisy."""
        dtypes = {triplet.CLEAN: "|u1", triplet.NOISE: "<f2", triplet.NOISY: "<f2"}
        return {name: (dtype, self.spec.shape) for name, dtype in dtypes.items() if name in self.extensions}

    def are_keys(self, keys: NDArray[np.bytes_]) -> NDArray[np.bool_]:
        """Return which keys are a picture's or, of stored triplets, name a step and a draw that there are."""
        if self.spec.mode == "virtual":
            return _match(keys, r"^[0-9a-f]{32}$")
        step, draw = _rungs(keys, r"^[0-9a-f]{32}-k(?P<step>[1-9]\d{0,8})-d(?P<draw>0|[1-9]\d{0,8})$")
        is_rung: NDArray[np.bool_] = (step > 0) & (step <= self.spec.steps) & (draw < self.spec.draws)
        return is_rung

    def facts(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the spec says of the ladder and, of stored triplets, of the step."""
        facts = spec_facts(self.spec)
        is_stored = self.spec.mode != "virtual" and record["steps"] == self.spec.steps
        return facts | rung_facts(self.spec, record["step"], record["draw"]) if is_stored else facts


@dataclass(frozen=True)
class WindowPromise(Promise):
    """What the windows of a dataset have in common."""

    spec: WindowSpec

    extensions = window.EXTENSIONS

    @property
    def arrays(self) -> Mapping[str, tuple[str, tuple[int, ...]]]:  # type: ignore[override]
        """The tokens."""
        return {window.TOKENS: (self.spec.dtype, (self.spec.context + 1,))}

    def are_keys(self, keys: NDArray[np.bytes_]) -> NDArray[np.bool_]:
        """Return which keys are half a SHA-256 in hex."""
        return _match(keys, r"^[0-9a-f]{32}$")

    def facts(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the tokenizer's SHA-256 and, where windows are cut from one stream, a multiple of the stride."""
        stride = self.spec.stride if self.spec.packing == "concat" else 1
        position = record["position"] - record["position"] % stride
        return {"tokenizer_sha256": self.spec.tokenizer_sha256, "position": position}


def _rungs(keys: NDArray[np.bytes_], pattern: str) -> tuple[Numbers, Numbers]:
    """Return step and draw as a pattern finds them in keys; -1 where it does not."""
    parts = pc.extract_regex(pa.array(keys, pa.string()), pattern)
    # Copied, since arrow's memory is read-only and torch wants to own its tensors.
    step, draw = (np.array(pc.struct_field(parts, name).cast(pa.int64()).fill_null(-1)) for name in ("step", "draw"))
    return step, draw


def _match(keys: NDArray[np.bytes_], pattern: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.array(pc.match_substring_regex(pa.array(keys, pa.string()), pattern))
    return found
