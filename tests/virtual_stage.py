"""A stage that is written directly, file by file, and committed as a build commits it."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.fates import Fates
from pipelines.folders import manifest_sha256
from pipelines.tables import write_file
from shards.describe import describing_files
from shards.manifest import Counts, FileEntry, InputEntry, Manifest, atomic_write, write_current, write_manifest
from shards.writer import order_hash, shard_name, write_shard
from tests.tiny_datasets import Sample

SAMPLES_PER_SHARD = 10_000


class Stage:
    """A stage in the making: its folder, what it reads, and how it is committed.

    Attributes:
        folder: where its files go.
        places: of a crawl, WARC file and offset of each URL.
    """

    def __init__(self, out: Path, name: str, *inputs: "Stage") -> None:
        self.name, self.inputs, self.places = name, inputs, dict[str, tuple[str, int]]()
        self.fingerprint = hashlib.sha256(f"{name} {out.name}".encode()).hexdigest()[:12]
        self.folder = out / name / self.fingerprint
        self.folder.mkdir(parents=True)

    def commit(
        self,
        files: Iterable[FileEntry],
        fates: Fates,
        splits: Mapping[str, int] | None = None,
        configuration: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes the manifest and puts the stage in force."""
        inputs = (InputEntry(each.name, each.fingerprint, manifest_sha256(each.folder)) for each in self.inputs)
        counts = Counts(fates.total, **fates.to_json())
        listed = tuple(sorted(files, key=lambda file: file.path))
        given = (configuration or {}, tuple(inputs), counts, splits or {}, listed)
        write_manifest(self.folder, Manifest(self.name, self.fingerprint, *given))
        atomic_write(self.folder / "run.json", b'{"finished_at": "2026-11-01T12:00:00+00:00", "seconds": 1.0}')
        write_current(self.folder.parent, self.fingerprint)

    def commit_dataset(
        self,
        samples: Iterable[tuple[str, str, Callable[[], Sample]]],
        members: tuple[str, ...],
        spec: dict[str, Any],
        fates: Fates,
        files: Sequence[FileEntry] = (),
    ) -> None:
        """Writes shards of samples, each given as split, key and what makes it, and commits them."""
        ordered = sorted(samples, key=lambda sample: order_hash(sample[1]))
        counts, written = Counter(split for split, _, _ in ordered), [*files]
        for split in counts:
            of_split = [make for each, _, make in ordered if each == split]
            for number, start in enumerate(range(0, len(of_split), SAMPLES_PER_SHARD)):
                part = (make() for make in of_split[start : start + SAMPLES_PER_SHARD])
                written += write_shard(self.folder / shard_name(split, number), part, members)
        configuration = {"name": "virtual", "published": "2026-11-01", "spec": spec}
        texts = describing_files(configuration, counts, written)
        written += (write_file(self.folder, name, text.encode(), records=0) for name, text in texts.items())
        self.commit(written, fates, dict(counts), configuration)
