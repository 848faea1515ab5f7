"""What the two dataset stages, triplets and windows, say when their shards are written."""

from collections import Counter
from typing import Any

from pipelines.errors import StageError
from pipelines.receipts import all_receipts
from pipelines.stages import Job, Outcome
from pipelines.tables import write_file
from shards.describe import describing_files
from shards.writer import TAR_SUFFIX, split_of


def count_kept(job: Job, source: str, records: str) -> int:
    """How many records (`pictures`, `pages`) the input stage `source` kept.

    Raises:
        StageError: none; the message says what became of them.
    """
    counts = job.inputs[source].counts
    if counts.kept:
        return counts.kept
    why = ", ".join(f"{number} {reason}" for reason, number in sorted({**counts.rejected, **counts.failed}.items()))
    told = (
        f"kept none of {counts.records_in} {records} ({why}); relax its limits, crawl more"
        if why
        else (f"was given no {records}; begin the crawl where there are some")
    )
    raise StageError(f"{job.stage}: the stage '{source}' {told}, or leave this one out: --set {job.stage}=null")


def dataset_outcome(job: Job, records_in: int, spec: dict[str, Any]) -> Outcome:
    """The outcome of a dataset of this kind (`spec` as a reader needs it), with the lists of its shards written."""
    shards = [f for _, receipt in all_receipts(job.folder) for f in receipt.files if f.path.endswith(TAR_SUFFIX)]
    splits: Counter[str] = Counter()
    for shard in shards:
        splits[split_of(shard.path)] += shard.records
    configuration = {**job.recipe.stage_configuration(job.stage), "spec": spec}
    texts = describing_files(configuration, splits, shards)
    files = tuple(write_file(job.folder, name, text.encode(), records=0) for name, text in texts.items())
    return Outcome(records_in, splits, {"spec": spec}, files)
