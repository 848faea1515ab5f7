"""Committed datasets of triplets and of windows, opened for reading: `open_dataset`."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shards import triplet, window
from shards.base_dataset import Dataset
from shards.committed import Committed, open_committed
from shards.loader import Batch, Noise
from shards.manifest import ManifestError
from shards.noise import sample_id
from shards.order import Places
from shards.remote_store import open_store
from shards.store import DatasetError
from shards.tokenizer import TOKENIZER_NAME, from_json
from shards.tokens import Tokenizer
from shards.triplet import PROVENANCE, TripletSpec, triplet_key, triplet_record
from shards.window import WindowSpec, target_mask


class TripletDataset(Dataset):
    """Triplets; a virtual dataset counts each picture's every step and draw, and makes the static itself.

    Attributes:
        spec: What they are.
    """

    fields = ("clean", "noise", "noisy", "step", "draw", "a", "b", "key")

    def __init__(self, committed: Committed, split: str, spec: TripletSpec) -> None:
        self.spec = spec
        self.is_virtual = spec.mode == "virtual"
        super().__init__(committed, split, spec.samples_per_picture if self.is_virtual else 1)

    def read(self, places: Places, noise: Noise, fields: Collection[str]) -> Batch:
        """Return the batch of the samples at these places; see `Loader`."""
        wanted = frozenset(fields)
        stored = replace(places, rows=self._rows(places))
        keys = self.shards.keys(stored.shards, stored.rows)
        step, draw = self._rungs(places.rows, keys)
        if noise == "fresh":
            draw = draw + places.epochs * self.spec.draws
        a, b = (factor[step - 1] for factor in self.spec.factors)
        batch: Batch = {"step": step, "draw": draw, "a": a.astype(np.float32), "b": b.astype(np.float32)}
        if "key" in wanted:
            batch["key"] = _triplet_keys(keys, step, draw)
        if noise == "stored" and not self.is_virtual:
            batch |= {name: self._gather(stored, name) for name in ("clean", "noise", "noisy") if name in wanted}
        else:
            if wanted & {"clean", "noise", "noisy"}:
                batch["clean"] = self._gather(stored, "clean")
            if wanted & {"noise", "noisy"}:
                identities = [sample_id(key) for key in keys.astype(np.str_).tolist()]
                made = triplet.corrupt(self.spec, batch["clean"], identities, draw.tolist(), step)
                batch["noise"], batch["noisy"] = made
        return {name: batch[name] for name in self.fields if name in wanted}

    def are_whole(self, places: Places, noise: Noise, fields: Collection[str]) -> NDArray[np.bool_]:
        """Return which of the samples at these places `read` finds undamaged, bool `(B,)`."""
        arrays = {"clean", "noise", "noisy"} & set(fields)
        if arrays and (noise == "fresh" or self.is_virtual):
            arrays = {"clean"}
        return self.shards.are_whole(places.shards, self._rows(places), [f"{name}.npy" for name in sorted(arrays)])

    def _rows(self, places: Places) -> NDArray[np.int64]:
        return places.rows // self.spec.samples_per_picture if self.is_virtual else places.rows

    def _gather(self, stored: Places, name: str) -> NDArray[Any]:
        dtype = "|u1" if name == "clean" else "<f2"
        return self.shards.gather(stored.shards, stored.rows, f"{name}.npy", dtype, self.spec.shape)

    def _rungs(self, rows: NDArray[np.int64], keys: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return step and draw of each sample as stored."""
        if self.is_virtual:
            draw, step = np.divmod(rows % self.spec.samples_per_picture, self.spec.steps)
            return step + 1, draw
        parts = pc.extract_regex(pa.array(keys, pa.string()), r"-k(?P<step>\d+)-d(?P<draw>\d+)$")
        # Copied, since arrow's memory is read-only and torch wants to own its tensors.
        step, draw = (np.array(pc.struct_field(parts, name).cast(pa.int64())) for name in ("step", "draw"))
        return step, draw

    def _texts(self, shard: int, row: int, sample: Mapping[str, Any]) -> dict[str, Any]:
        caption = self.shards[shard].read(row, triplet.CAPTION).decode()
        meta = json.loads(self.shards[shard].read(row, triplet.RECORD))
        if self.is_virtual:
            provenance = {name: meta[name] for name in PROVENANCE}
            meta = triplet_record(self.spec, sample["key"], sample["step"], sample["draw"], provenance)
        return {"caption": caption, "meta": meta}


class WindowDataset(Dataset):
    """Windows of words.

    Attributes:
        tokenizer: The one in the dataset's folder.
        spec: What they are.
    """

    fields = ("tokens", "mask", "key")

    def __init__(self, committed: Committed, split: str, tokenizer: Tokenizer, spec: WindowSpec) -> None:
        super().__init__(committed, split)
        self.tokenizer = tokenizer
        self.spec = spec

    def read(self, places: Places, noise: Noise, fields: Collection[str]) -> Batch:
        """Return the batch of the samples at these places; see `Loader`."""
        if noise != "stored":
            raise DatasetError(f"{self.where} holds windows, which have no noise: leave noise at 'stored'")
        shape = (self.spec.context + 1,)
        tokens = self.shards.gather(places.shards, places.rows, window.TOKENS, self.spec.dtype, shape)
        batch: Batch = {"tokens": tokens}
        if "mask" in fields:
            batch["mask"] = target_mask(self._lengths(places, tokens), self.spec.context)
        if "key" in fields:
            batch["key"] = self.shards.keys(places.shards, places.rows).astype(np.str_)
        return {name: batch[name] for name in self.fields if name in fields}

    def are_whole(self, places: Places, noise: Noise, fields: Collection[str]) -> NDArray[np.bool_]:
        """Return which of the samples at these places `read` finds undamaged, bool `(B,)`."""
        members = (window.TOKENS, window.RECORD) if "mask" in fields else (window.TOKENS,)
        return self.shards.are_whole(places.shards, places.rows, members)

    def _lengths(self, places: Places, tokens: NDArray[Any]) -> NDArray[np.int64]:
        """Return how many tokens of each window are text.

        Only a window that ends with `<eos>` may be filled up; only its JSON need be decoded.
        """
        lengths = np.full(len(tokens), self.spec.context + 1, np.int64)
        for number in np.flatnonzero(tokens[:, -1] == self.spec.eos_id).tolist():
            lengths[number] = self._meta(int(places.shards[number]), int(places.rows[number]))["length"]
        return lengths

    def _meta(self, shard: int, row: int) -> dict[str, Any]:
        meta: dict[str, Any] = json.loads(self.shards[shard].read(row, window.RECORD))
        return meta

    def _texts(self, shard: int, row: int, sample: Mapping[str, Any]) -> dict[str, Any]:
        meta = self._meta(shard, row)
        return {"length": meta["length"], "meta": meta}


def open_dataset(
    path: str | Path,
    split: str = "train",
    *,
    storage_options: Mapping[str, Any] | None = None,
    cache_dir: str | Path | None = None,
    cache_bytes: int | None = None,
) -> TripletDataset | WindowDataset:
    """Return one split of a committed dataset.

    Args:
        path: The dataset's folder, or the stage's, whose `current` names it: of this machine, or a URL that fsspec
            opens, such as `s3://bucket/OUT/triplets` or `https://example.org/triplets`.
        split: `train`, `val` or `test`.
        storage_options: Of a URL: what its file system of fsspec takes, such as keys and an endpoint.
        cache_dir: Of a URL: where fetched shards lie, `~/.cache/seedbed` if None. Processes of one machine that name
            the same one fetch each shard once.
        cache_bytes: Of a URL: the most that may lie there of this dataset; if None, room for two blocks of shards in
            each lane that is read. With room for all of it a second epoch fetches nothing.

    Raises:
        DatasetError: There is no such folder, nothing was committed in it, it is no dataset, it has no such split, or
            `cache_bytes` is too little.
    """
    try:
        committed = open_committed(open_store(path, storage_options, cache_dir, cache_bytes))
        spec = committed.manifest.configuration.get("spec", {})
        if spec.get("kind") == triplet.KIND:
            return TripletDataset(committed, split, TripletSpec.from_json(spec))
        if spec.get("kind") == window.KIND:
            tokenizer = _read_tokenizer(committed)
            return WindowDataset(committed, split, tokenizer, WindowSpec.from_json(spec, tokenizer))
    except (ManifestError, ValueError) as error:
        raise DatasetError(str(error)) from error
    where, stage = committed.store.where, committed.manifest.stage
    raise DatasetError(f"{where} holds {stage}, no dataset of triplets or windows: give a dataset's folder")


def _read_tokenizer(committed: Committed) -> Tokenizer:
    """Return a dataset's tokenizer.

    Raises:
        DatasetError: It is missing, or something else.
    """
    where = f"{committed.store.where}/{TOKENIZER_NAME}"
    try:
        return from_json(committed.store.read(TOKENIZER_NAME).decode())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{where} cannot be read ({error}): copy the dataset again, or build it again") from error


def _triplet_keys(keys: NDArray[np.bytes_], step: NDArray[np.int64], draw: NDArray[np.int64]) -> NDArray[np.str_]:
    rungs = zip(keys.tolist(), step.tolist(), draw.tolist(), strict=True)
    return np.array([triplet_key(key[:32].decode(), k, d) for key, k, d in rungs])
