"""What the two dataset stages, triplets and windows, say when their shards are written."""

from collections import Counter
from typing import Any

from pipelines.receipts import all_receipts
from pipelines.stages import Job, Outcome
from pipelines.tables import write_file
from shards.manifest import FileEntry
from shards.writer import SHARDS_NAME, TAR_SUFFIX, shards_json, split_of


def dataset_outcome(job: Job, records_in: int, spec: dict[str, Any]) -> Outcome:
    """The outcome of a dataset of this kind (`spec` as a reader needs it), with its `shards.json` written."""
    shards = [f for _, receipt in all_receipts(job.folder) for f in receipt.files if f.path.endswith(TAR_SUFFIX)]
    splits: Counter[str] = Counter()
    for shard in shards:
        splits[split_of(shard.path)] += shard.records
    return Outcome(records_in, splits, {"spec": spec}, (_write_shards_json(job, shards),))


def _write_shards_json(job: Job, shards: list[FileEntry]) -> FileEntry:
    text = shards_json(f"{job.recipe.name}-{job.stage}", shards)
    return write_file(job.folder, SHARDS_NAME, text.encode(), records=len(shards))
