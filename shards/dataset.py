"""Committed datasets of triplets and of windows, opened for reading: `open_dataset`."""

import copy
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shards import triplet, window
from shards.base_dataset import Dataset
from shards.committed import Committed, open_committed
from shards.json_values import members, whole
from shards.loader import Batch, Noise
from shards.manifest import MANIFEST_NAME, ManifestError
from shards.noise import sample_id
from shards.order import Places
from shards.promise import TripletPromise, WindowPromise
from shards.remote_store import open_store
from shards.shard import DamageError, Shard
from shards.store import DatasetError
from shards.tokenizer import TOKENIZER_NAME, from_json
from shards.tokens import Tokenizer
from shards.triplet import PICTURE_KEY_LETTERS, PROVENANCE, TripletSpec, parse_triplet_key, triplet_key, triplet_record
from shards.window import WindowSpec, target_mask


class TripletDataset(Dataset):
    """Triplets; a virtual dataset counts each picture's every step and draw, and makes the static itself.

    Attributes:
        spec: What they are.
        is_virtual: Whether each picture is stored once.
        is_made: Whether static and mix are made here, whatever is stored.
    """

    fields = ("clean", "noise", "noisy", "step", "draw", "a", "b", "key")
    more_fields = ("caption",)

    def __init__(self, committed: Committed, split: str, spec: TripletSpec) -> None:
        self.spec = spec
        self.is_virtual = self.is_made = spec.mode == "virtual"
        super().__init__(committed, split, TripletPromise(spec), spec.samples_per_picture if self.is_virtual else 1)

    def corrupted(self, corruption: str) -> Self:
        """Return the same pictures, steps and draws under another corruption: one of `CORRUPTIONS`."""
        other = copy.copy(self)
        other.spec, other.is_made = replace(self.spec, corruption=corruption), True
        return other

    def read(self, places: Places, noise: Noise, fields: Collection[str]) -> Batch:
        """Return the batch of the samples at these places; see `Loader`."""
        wanted = frozenset(fields)
        stored = replace(places, rows=self._rows(places))
        batch: Batch = {}
        if noise == "stored" and not self.is_made:
            batch |= {name: self._gather(stored, name) for name in ("clean", "noise", "noisy") if name in wanted}
        elif wanted & {"clean", "noise", "noisy"}:
            batch["clean"] = self._gather(stored, "clean")
        if "caption" in wanted:
            batch["caption"] = self._captions(stored)
        if wanted <= batch.keys():
            return {name: batch[name] for name in batch if name in wanted}
        keys = self.shards.keys(stored.shards, stored.rows)
        step, draw = self._rungs(places.rows, keys)
        if noise == "fresh":
            draw = draw + places.epochs * self.spec.draws
        a, b = (factor[step - 1].astype(np.float32) for factor in self.spec.factors)
        batch |= {"step": step, "draw": draw, "a": a, "b": b}
        if "key" in wanted:
            batch["key"] = _triplet_keys(keys, step, draw)
        if wanted & {"noise", "noisy"} - batch.keys():
            identities = [sample_id(key) for key in keys.astype(np.str_).tolist()]
            made = triplet.corrupt(self.spec, batch["clean"], identities, draw.tolist(), step)
            batch["noise"], batch["noisy"] = made
        return {name: batch[name] for name in (*self.fields, *self.more_fields) if name in wanted}

    def are_whole(self, places: Places, noise: Noise, fields: Collection[str]) -> NDArray[np.bool_]:
        """Return which of the samples at these places `read` finds undamaged, bool `(B,)`."""
        arrays = {"clean", "noise", "noisy"} & set(fields)
        if arrays and (noise == "fresh" or self.is_made):
            arrays = {"clean"}
        members = [f"{name}.npy" for name in sorted(arrays)] + [triplet.CAPTION] * ("caption" in fields)
        return self.shards.are_whole(places.shards, self._rows(places), members)

    def _captions(self, stored: Places) -> NDArray[np.str_]:
        """Return the captions of B samples, `(B,)`."""
        places = zip(stored.shards.tolist(), stored.rows.tolist(), strict=True)
        return np.array([self.shards.read(*place, triplet.CAPTION).decode(errors="replace") for place in places])

    def _gather(self, stored: Places, name: str) -> NDArray[Any]:
        dtype = "|u1" if name == "clean" else "<f2"
        return self.shards.gather(stored.shards, stored.rows, f"{name}.npy", dtype, self.spec.shape)

    def _rungs(self, rows: NDArray[np.int64], keys: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return step and draw of each sample as stored."""
        if self.is_virtual:
            draw, step = np.divmod(rows % self.spec.samples_per_picture, self.spec.steps)
            return step + 1, draw
        # Few rungs stand behind many keys: each is read once.
        letters = np.ascontiguousarray(keys.view(np.uint8).reshape(len(keys), -1)[:, PICTURE_KEY_LETTERS:])
        tails, where = np.unique(letters.view(f"S{letters.shape[1]}")[:, 0], return_inverse=True)
        rungs = np.array([parse_triplet_key(tail.decode())[1:] for tail in tails.tolist()])
        return rungs[where, 0], rungs[where, 1]

    def _sample(self, shard: Shard, row: int) -> dict[str, Any]:
        record, rung = divmod(row, self._samples_per_record)
        key, meta = shard.index.keys[record].decode(), json.loads(shard.read(record, triplet.RECORD))
        sample: dict[str, Any] = {"clean": shard.array(record, triplet.CLEAN, "|u1", self.spec.shape)}
        if self.is_virtual:
            draw, step = rung // self.spec.steps, rung % self.spec.steps + 1
            key = triplet_key(key, step, draw)
        else:
            _, step, draw = parse_triplet_key(key)
        if self.is_made:
            made = triplet.corrupt(self.spec, sample["clean"][None], [sample_id(key)], [draw], np.array([step]))
            sample["noise"], sample["noisy"] = made[0][0], made[1][0]
            meta = triplet_record(self.spec, key, step, draw, {name: meta[name] for name in PROVENANCE})
        else:
            for name in ("noise", "noisy"):
                sample[name] = shard.array(record, f"{name}.npy", "<f2", self.spec.shape)
        a, b = (float(factor[step - 1]) for factor in self.spec.factors)
        caption = shard.read(record, triplet.CAPTION).decode()
        return sample | {"step": step, "draw": draw, "a": a, "b": b, "key": key, "caption": caption, "meta": meta}


class WindowDataset(Dataset):
    """Windows of words.

    Attributes:
        tokenizer: The one in the dataset's folder.
        spec: What they are.
    """

    fields = ("tokens", "mask", "key")
    more_fields = ("documents",)

    def __init__(self, committed: Committed, split: str, tokenizer: Tokenizer, spec: WindowSpec) -> None:
        super().__init__(committed, split, WindowPromise(spec))
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
        if "documents" in fields:
            rows = zip(places.shards.tolist(), places.rows.tolist(), strict=True)
            batch["documents"] = np.stack([self._documents(*place) for place in rows])
        return {name: batch[name] for name in (*self.fields, *self.more_fields) if name in fields}

    def are_whole(self, places: Places, noise: Noise, fields: Collection[str]) -> NDArray[np.bool_]:
        """Return which of the samples at these places `read` finds undamaged, bool `(B,)`."""
        read = (window.TOKENS, window.RECORD) if "documents" in fields else (window.TOKENS,)
        are_whole = self.shards.are_whole(places.shards, places.rows, read)
        if "mask" in fields:
            end = np.array(self.spec.eos_id, self.spec.dtype).tobytes()
            for number in np.flatnonzero(are_whole).tolist():
                shard, row = int(places.shards[number]), int(places.rows[number])
                if self.shards.read(shard, row, window.TOKENS).endswith(end):
                    are_whole[number] = self._has_length(shard, row)
        return are_whole

    def _lengths(self, places: Places, tokens: NDArray[Any]) -> NDArray[np.int64]:
        """Return how many tokens of each window are text.

        Only a window that ends with `<eos>` may be filled up; only its JSON is read, and only its damage counts.
        """
        lengths = np.full(len(tokens), self.spec.context + 1, np.int64)
        for number in np.flatnonzero(tokens[:, -1] == self.spec.eos_id).tolist():
            lengths[number] = self._length(int(places.shards[number]), int(places.rows[number]))
        return lengths

    def _has_length(self, shard: int, row: int) -> bool:
        try:
            return self._length(shard, row) > 0
        except DamageError:
            return False

    def _length(self, shard: int, row: int) -> int:
        """Return how many tokens of a window are text.

        Raises:
            DamageError: Its JSON is damaged, or does not say.
        """
        try:
            return whole(
                members(json.loads(self.shards.read(shard, row, window.RECORD)), "json").get("length"),
                "length",
                1,
                self.spec.context + 1,
            )
        except ValueError as error:
            raise self.shards[shard].damage(row, window.RECORD, f"does not say how long it is ({error})") from error

    def _documents(self, shard: int, row: int) -> NDArray[np.int32]:
        """Return in which of its documents each next word of a window stands, `(T,)`.

        Raises:
            DamageError: Its JSON is damaged, or does not say.
        """
        try:
            record = members(json.loads(self.shards.read(shard, row, window.RECORD)), "json")
            most = self.spec.context + 1
            lengths = [whole(piece["length"], "documents.length", 1, most) for piece in record["documents"]]
            return window.document_numbers(lengths, self.spec.context)
        except (ValueError, LookupError, TypeError) as error:
            raise self.shards[shard].damage(row, window.RECORD, f"does not name its documents ({error})") from error

    def _sample(self, shard: Shard, row: int) -> dict[str, Any]:
        meta = json.loads(shard.read(row, window.RECORD))
        mask = target_mask(np.array([meta["length"]]), self.spec.context)[0]
        tokens = shard.array(row, window.TOKENS, self.spec.dtype, (self.spec.context + 1,))
        key = shard.index.keys[row].decode()
        return {"tokens": tokens, "mask": mask, "key": key, "length": meta["length"], "meta": meta}


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
            with _named(committed):
                triplets = TripletSpec.from_json(spec)
            return TripletDataset(committed, split, triplets)
        if spec.get("kind") == window.KIND:
            tokenizer = _read_tokenizer(committed)
            with _named(committed):
                windows = WindowSpec.from_json(spec, tokenizer)
            return WindowDataset(committed, split, tokenizer, windows)
    except (ManifestError, ValueError) as error:
        raise DatasetError(str(error)) from error
    where, stage = committed.store.where, committed.manifest.stage
    if stage in (triplet.KIND, window.KIND):
        raise DatasetError(f"{where}/{MANIFEST_NAME}: configuration.spec is missing or of no kind: build it again")
    raise DatasetError(f"{where} holds {stage}, no dataset of triplets or windows: give a dataset's folder")


@contextmanager
def _named(committed: Committed) -> Iterator[None]:
    """Name the manifest where what it says is impossible."""
    try:
        yield
    except ValueError as error:
        raise DatasetError(f"{committed.store.where}/{MANIFEST_NAME}: {error}: build it again") from error


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
