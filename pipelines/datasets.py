"""What the two dataset stages, triplets and windows, say when their shards are written."""

from collections import Counter
from typing import Any

from pipelines.receipts import all_receipts
from pipelines.stages import Job, Outcome
from pipelines.tables import write_file
from shards.writer import TAR_SUFFIX, shards_files, split_of


def dataset_outcome(job: Job, records_in: int, spec: dict[str, Any]) -> Outcome:
    """The outcome of a dataset of this kind (`spec` as a reader needs it), with the lists of its shards written."""
    shards = [f for _, receipt in all_receipts(job.folder) for f in receipt.files if f.path.endswith(TAR_SUFFIX)]
    splits: Counter[str] = Counter()
    for shard in shards:
        splits[split_of(shard.path)] += shard.records
    lists = shards_files(f"{job.recipe.name}-{job.stage}", shards)
    files = tuple(write_file(job.folder, name, text.encode(), records=0) for name, text in lists.items())
    return Outcome(records_in, splits, {"spec": spec}, files)
