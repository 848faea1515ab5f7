"""What triplets and windows have in common as datasets: places, batches, single samples."""

import bisect
import copy
import io
import itertools
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shards.committed import Committed
from shards.loader import Batch, Loader, Noise, OnError
from shards.manifest import MANIFEST_NAME, FileEntry
from shards.order import BLOCK_SHARDS, Places
from shards.promise import Promise
from shards.reader import Shards
from shards.shard import DamageError, Shard, list_shards
from shards.store import Store
from shards.writer import TAR_SUFFIX, shard_name

logger = logging.getLogger(__name__)


class Dataset(ABC):
    """One split of a committed dataset.

    Attributes:
        where: Its folder, as it is named to people.
        manifest: What was committed.
        manifest_sha256: Of the manifest's file, in hex.
        split: The split's name.
        sizes: How many samples each shard has.
        fields: The names of the arrays in a batch.
        more_fields: Those of arrays that are read only where a loader is asked for them by name.
    """

    fields: tuple[str, ...] = ()
    more_fields: tuple[str, ...] = ()

    def __init__(self, committed: Committed, split: str, promise: Promise, samples_per_record: int = 1) -> None:
        self.where = committed.store.where
        self.manifest = committed.manifest
        self.manifest_sha256 = committed.sha256
        self.split = split
        files = list_shards(self.where, self.manifest, split)
        self.shards = Shards(committed.store, files, promise=promise)
        self.shards.keep(2 * BLOCK_SHARDS)
        self.sizes = tuple(shard.tar.records * samples_per_record for shard in files)
        self._ends = list(itertools.accumulate(self.sizes))
        self._samples_per_record = samples_per_record

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return one sample: its arrays, without the batch's axis, and `meta`, its decoded JSON.

        Raises:
            IndexError: There is no such sample.
            DamageError: It is damaged.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"sample {number} of {len(self)}")
        shard = bisect.bisect_right(self._ends, number)
        row = number - self._ends[shard] + self.sizes[shard]
        record = row // self._samples_per_record
        opened = self.shards.only(shard, record)
        try:
            return self._sample(opened, row)
        except DamageError:
            if self.shards.is_renewed(shard, opened):
                return self._sample(self.shards.only(shard, record), row)
            raise
        except (ValueError, LookupError, TypeError) as error:
            key, what = opened.index.keys[record].decode(), f"{type(error).__name__}: {error}"
            raise DamageError(f"{opened.path}: sample {key} is damaged: it cannot be read ({what})") from error

    @abstractmethod
    def read(self, places: Places, noise: Noise, fields: Collection[str]) -> Batch:
        """Return the batch of the samples at these places; see `Loader`."""

    @abstractmethod
    def are_whole(self, places: Places, noise: Noise, fields: Collection[str]) -> NDArray[np.bool_]:
        """Return which of the samples at these places `read` finds undamaged, bool `(B,)`."""

    def check_count(self, is_tolerant: bool) -> None:
        """Check that the split's shards hold as many samples as the manifest says; say so where it is tolerated.

        Raises:
            DamageError: They do not: a shard is missing from the manifest's list, or a number in it is wrong.
        """
        told = self.manifest.splits.get(self.split, 0)
        found = sum(files.tar.records for files in self.shards.files)
        if found == told:
            return
        what = (
            f"{self.where}/{MANIFEST_NAME}: splits has {told} samples of {self.split}, the shards in files {found}: "
            f"{', '.join(self._unlisted()) or 'a shard'} is not listed, or a number is wrong"
        )
        if not is_tolerant:
            raise DamageError(f"{what}; copy the dataset again, or build it again")
        logger.warning("%s; what the files list is read", what)

    def _unlisted(self) -> list[str]:
        """Return the shards between those that the manifest lists."""
        listed = {files.tar.path for files in self.shards.files}
        last = max(int(path.removesuffix(TAR_SUFFIX)[-6:]) for path in listed)
        return [name for name in (shard_name(self.split, number) for number in range(last)) if name not in listed]

    @property
    def is_tolerant(self) -> bool:
        """Whether a shard that was cut short is read as far as it goes."""
        return self.shards.is_tolerant

    def tolerant(self) -> Self:
        """Return this dataset, for a reader that replaces what is damaged."""
        shards = Shards(self.shards.store, self.shards.files, is_tolerant=True, promise=self.shards.promise)
        shards.keep(2 * BLOCK_SHARDS)
        return self._over(shards)

    def as_webdataset(self) -> Iterable[dict[str, Any]]:
        """Return webdataset's own pipeline over the split's shards, decoded: for those who have theirs already.

        Shards behind a URL are read as this dataset reads them, with its `storage_options`, but straight from the
        store, past the disk cache.

        What a dataset holds is decoded here (arrays, JSON and text): webdataset's own `decode()` also unpickles what
        calls itself a pickle, and a shard may come from anywhere.

        Raises:
            ModuleNotFoundError: webdataset is not installed.
        """
        import webdataset  # noqa: PLC0415 - only who asks for it needs it

        tars = {self.shards.path(number): files.tar for number, files in enumerate(self.shards.files)}
        samples = webdataset.FluidWrapper(webdataset.SimpleShardList(list(tars))).compose(
            webdataset.single_node_only,
            webdataset.split_by_worker,
            partial(_opened, self.shards.store, tars),
            webdataset.tariterators.tar_file_expander,
            webdataset.tariterators.group_by_keys,
        )
        pipeline: Iterable[dict[str, Any]] = samples.map(_decoded)
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
    def _sample(self, shard: Shard, row: int) -> dict[str, Any]:
        """Return one sample of a shard; the row is the sample's, which a record may hold several of."""

    def _over(self, shards: Shards) -> Self:
        """Return this dataset over other shards."""
        other = copy.copy(self)
        other.shards = shards
        return other

    def _rows(self, places: Places) -> NDArray[np.int64]:
        """Return the rows of the index that samples are stored in, int64 `(B,)`."""
        return places.rows // self._samples_per_record


def _opened(store: Store, tars: Mapping[str, FileEntry], shards: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield webdataset's shards, each with the stream of its tar."""
    for shard in shards:
        with store.open(tars[shard["url"]]) as stream:
            yield shard | {"stream": stream}


def _decoded(sample: dict[str, Any]) -> dict[str, Any]:
    """Return a sample of webdataset's with its arrays, JSON and text decoded, anything else as bytes."""
    return {name: _decode(name, value) if isinstance(value, bytes) else value for name, value in sample.items()}


def _decode(name: str, content: bytes) -> Any:  # noqa: ANN401 - whatever JSON may hold
    match name.rpartition(".")[2]:
        case "npy":
            return np.load(io.BytesIO(content), allow_pickle=False)
        case "json":
            return json.loads(content)
        case "txt":
            return content.decode()
    return content
