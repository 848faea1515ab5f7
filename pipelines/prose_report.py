"""What the build report says of prose: the funnel, what the documents come to, and kept beside turned away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.folders import current_manifest
from pipelines.prose_samples import Reason, pair_samples
from pipelines.prose_stats import (
    NUM_HOSTS,
    NUM_LANGUAGES,
    Amount,
    Bar,
    SplitLine,
    amount_bars,
    count_prose,
    fate_bars,
    length_bars,
    score_bars,
    split_lines,
)


@dataclass(frozen=True)
class Prose:
    """What a page needs to know.

    Attributes:
        total: documents, words, and pages turned away.
        num_languages: of the documents.
        num_hosts: of the pages.
        charts: each with its title.
        private_data: placeholders by kind, the commonest first.
        splits: what each holds.
        tokenizer: of the windows, "" where none were made.
        reasons: why pages were turned away, with some of them beside documents.
    """

    total: Amount
    num_languages: int
    num_hosts: int
    charts: Mapping[str, Sequence[Bar]]
    private_data: Mapping[str, int]
    splits: Sequence[SplitLine]
    tokenizer: str
    reasons: Sequence[Reason]


def gather_prose(out: Path) -> Prose | None:
    """What there is to say of the text stage in force in `out`, None where there is none.

    Raises:
        DatasetError: a shard of the windows cannot be read.
    """
    manifest = current_manifest(out, "text")
    if manifest is None:
        return None
    stats = count_prose(out / "text" / manifest.fingerprint, manifest)
    charts = {
        "What became of the pages": fate_bars(manifest.counts),
        "Words a document": length_bars(stats.lengths),
        "Languages": amount_bars(stats.languages, NUM_LANGUAGES, "unknown"),
        "Quality": score_bars(stats.scores),
        "Hosts": amount_bars(stats.hosts, NUM_HOSTS, "no host"),
    }
    return Prose(
        total=stats.total,
        num_languages=len(stats.languages),
        num_hosts=len(stats.hosts),
        charts=charts,
        private_data=dict(stats.private_data.most_common()),
        splits=split_lines(out, stats),
        tokenizer=_tokenizer(out),
        reasons=list(pair_samples(out, manifest)),
    )


def _tokenizer(out: Path) -> str:
    manifest = current_manifest(out, "windows")
    return str(manifest.configuration["tokenizer"]) if manifest else ""
