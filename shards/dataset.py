"""A committed dataset, opened for reading: `open_dataset`."""

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shards import triplet, window
from shards.loader import Batch, Loader, Noise, OnError
from shards.manifest import Manifest, ManifestError, manifest_sha256, read_manifest, resolve_dataset
from shards.noise import sample_id
from shards.order import Places
from shards.reader import DatasetError, Shards, list_shards
from shards.tokenizer import ByteTokenizer, WordTokenizer, load_tokenizer
from shards.triplet import PROVENANCE, TripletSpec, triplet_key, triplet_record
from shards.window import WindowSpec, target_mask


class Dataset(ABC):
    """One split of a committed dataset.

    Attributes:
        folder: Where it lies.
        manifest: What was committed.
        manifest_sha256: Of the manifest's file, in hex.
        split: The split's name.
        sizes: How many samples each shard has.
        fields: The names of the arrays in a batch.
    """

    fields: tuple[str, ...] = ()

    def __init__(self, folder: Path, manifest: Manifest, split: str, samples_per_record: int = 1) -> None:
        self.folder = folder
        self.manifest = manifest
        self.manifest_sha256 = manifest_sha256(folder)
        self.split = split
        files = list_shards(folder, manifest, split)
        self.shards = Shards(folder, files)
        self.sizes = tuple(shard.tar.records * samples_per_record for shard in files)
        self._ends = np.cumsum(self.sizes)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return one sample: its arrays, without the batch's axis, and `meta`, its decoded JSON."""
        places = self._place(number)
        batch = self.read(places, "stored", self.fields)
        sample = {name: value[0] if value.ndim > 1 else value[0].item() for name, value in batch.items()}
        return sample | self._texts(int(places.shards[0]), int(places.rows[0]), sample)

    @abstractmethod
    def read(self, places: Places, noise: Noise, fields: Collection[str]) -> Batch:
        """Return the batch of the samples at these places; see `Loader`."""

    @abstractmethod
    def are_whole(self, places: Places, noise: Noise, fields: Collection[str]) -> NDArray[np.bool_]:
        """Return which of the samples at these places `read` finds undamaged, bool `(B,)`."""

    @property
    def is_tolerant(self) -> bool:
        """Whether a shard that was cut short is read as far as it goes."""
        return self.shards.is_tolerant

    def tolerant(self) -> Self:
        """Return this dataset, for a reader that replaces what is damaged."""
        other = copy.copy(self)
        other.shards = Shards(self.folder, self.shards.files, is_tolerant=True)
        return other

    def as_webdataset(self) -> Iterable[dict[str, Any]]:
        """Return webdataset's own pipeline over the split's shards, decoded: for those who have theirs already.

        Raises:
            ModuleNotFoundError: webdataset is not installed.
        """
        import webdataset  # noqa: PLC0415 - only who asks for it needs it

        paths = [str(self.shards.path(number)) for number in range(len(self.sizes))]
        pipeline: Iterable[dict[str, Any]] = webdataset.WebDataset(paths, shardshuffle=False).decode()
        return pipeline

    def loader(
        self,
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        shuffle: bool = True,
        finite: bool = False,
        noise: Noise = "stored",
        fields: Collection[str] | None = None,
        on_error: OnError = "fail",
        lanes: int = 1,
        lane_samples: int | None = None,
    ) -> Loader:
        """Return batches of this split; see `Loader` for the arguments."""
        return Loader(
            self,
            batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
            workers=workers,
            shuffle=shuffle,
            finite=finite,
            noise=noise,
            fields=fields,
            on_error=on_error,
            lanes=lanes,
            lane_samples=lane_samples,
        )

    @abstractmethod
    def _texts(self, shard: int, row: int, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a sample has beside its arrays, its record as `meta` among it."""

    def _place(self, number: int) -> Places:
        if not 0 <= number < len(self):
            raise IndexError(f"sample {number} of {len(self)}")
        shard = int(np.searchsorted(self._ends, number, side="right"))
        row = number - int(self._ends[shard]) + self.sizes[shard]
        return Places(np.array([shard]), np.array([row]), np.zeros(1, np.int64))


class TripletDataset(Dataset):
    """Triplets; a virtual dataset counts each picture's every step and draw, and makes the static itself.

    Attributes:
        spec: What they are.
    """

    fields = ("clean", "noise", "noisy", "step", "draw", "a", "b", "key")

    def __init__(self, folder: Path, manifest: Manifest, split: str, spec: TripletSpec) -> None:
        self.spec = spec
        self.is_virtual = spec.mode == "virtual"
        super().__init__(folder, manifest, split, spec.samples_per_picture if self.is_virtual else 1)

    def read(self, places: Places, noise: Noise, fields: Collection[str]) -> Batch:
        """Return the batch of the samples at these places; see `Loader`."""
        wanted = frozenset(fields)
        stored = replace(places, rows=places.rows // self.spec.samples_per_picture) if self.is_virtual else places
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
        rows = places.rows // self.spec.samples_per_picture if self.is_virtual else places.rows
        return self.shards.are_whole(places.shards, rows, [f"{name}.npy" for name in sorted(arrays)])

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
        if self.is_virtual:
            row //= self.spec.samples_per_picture
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

    def __init__(
        self, folder: Path, manifest: Manifest, split: str, tokenizer: WordTokenizer | ByteTokenizer, spec: WindowSpec
    ) -> None:
        super().__init__(folder, manifest, split)
        self.tokenizer = tokenizer
        self.spec = spec

    def read(self, places: Places, noise: Noise, fields: Collection[str]) -> Batch:
        """Return the batch of the samples at these places; see `Loader`."""
        if noise != "stored":
            raise DatasetError(f"{self.folder} holds windows, which have no noise: leave noise at 'stored'")
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


def open_dataset(path: str | Path, split: str = "train") -> TripletDataset | WindowDataset:
    """Return one split of a committed dataset.

    Args:
        path: The dataset's folder, or the stage's, whose `current` names it.
        split: `train`, `val` or `test`.

    Raises:
        DatasetError: There is no such folder, nothing was committed in it, it is no dataset, or it has no such split.
    """
    try:
        folder = resolve_dataset(Path(path))
        manifest = read_manifest(folder)
        spec = manifest.configuration.get("spec", {})
        if spec.get("kind") == triplet.KIND:
            return TripletDataset(folder, manifest, split, TripletSpec.from_json(spec))
        if spec.get("kind") == window.KIND:
            tokenizer = load_tokenizer(folder)
            return WindowDataset(folder, manifest, split, tokenizer, WindowSpec.from_json(spec, tokenizer))
    except (ManifestError, ValueError) as error:
        raise DatasetError(str(error)) from error
    raise DatasetError(f"{folder} holds {manifest.stage}, no dataset of triplets or windows: give a dataset's folder")


def _triplet_keys(keys: NDArray[np.bytes_], step: NDArray[np.int64], draw: NDArray[np.int64]) -> NDArray[np.str_]:
    rungs = zip(keys.tolist(), step.tolist(), draw.tolist(), strict=True)
    return np.array([triplet_key(key[:32].decode(), k, d) for key, k, d in rungs])
