"""A committed dataset written anew without what was forgotten: its shards, what describes them, and its dictionary."""

import hashlib
from collections import Counter

from pipelines.fates import Fates
from pipelines.redaction import Redaction, redact_attribution
from pipelines.tables import write_file
from shards.describe import describing_files
from shards.forget import forget_words
from shards.manifest import FileEntry
from shards.tokenizer import TOKENIZER_NAME, WordTokenizer, load_tokenizer
from shards.writer import TAR_SUFFIX, split_of


def redact_dataset(work: Redaction) -> None:
    """Rewrites the shards that hold anything forgotten, and whatever speaks of them."""
    splits: Counter[str] = Counter()
    for tar in work.entries("", TAR_SUFFIX):
        splits[split_of(tar.path)] += tar.records - work.shard(tar).num_removed
    work.redacted.splits = {split: splits[split] for split in work.manifest.splits}
    work.settle(Fates(kept=len(work.items)))
    kept = {entry.path: entry.sha256 for entry in work.manifest.files}
    texts = describing_files(work.manifest.configuration, work.redacted.splits, work.redacted.files)
    for name, text in texts.items():
        if kept.get(name) == hashlib.sha256(text.encode()).hexdigest():
            work.link(*work.entries(name))
        else:
            work.write(write_file(work.target, name, text.encode(), records=0))
    for entry in work.entries(TOKENIZER_NAME):
        _redact_tokenizer(work, entry)
    redact_attribution(work)


def _redact_tokenizer(work: Redaction, entry: FileEntry) -> None:
    """Blanks the words that stood only in windows that went."""
    tokenizer = load_tokenizer(work.source)
    if not work.redacted.num_removed or not isinstance(tokenizer, WordTokenizer):
        work.link(entry)
        return
    context = work.manifest.configuration["spec"]["context"]
    left = forget_words(work.target, work.redacted.files, tokenizer, context)
    if left is tokenizer:
        work.link(entry)
    else:
        work.write(write_file(work.target, entry.path, left.to_json().encode(), entry.records))
