"""What the tables say of all pictures and documents at once: counts by licence and host, and which have what is asked.

Where a dataset came without the tables that it was made from, the records of some samples, evenly spread, stand in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.inspect.places import record_of
from pipelines.inspect.sources import READING, Source, StageState, Trouble
from shards.base_dataset import Dataset

_HOST = r"^[a-zA-Z][a-zA-Z0-9+.\-]*://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/:?#]*)"

NUM_DRAWN = 400
"""Records read of a dataset that has no tables."""


class Filter(NamedTuple):
    """What pictures are asked for; what is empty allows all."""

    licence: str = ""
    host: str = ""
    word: str = ""

    @property
    def is_any(self) -> bool:
        """Whether all are asked for."""
        return not any(self)


@dataclass(frozen=True)
class Facts:
    """Licence and host of pictures.

    Attributes:
        licences: how many have each.
        hosts: how many came from each.
        num_drawn: of how many, where not of all; else 0.
        troubles: tables that could not be read.
    """

    licences: Mapping[str, int]
    hosts: Mapping[str, int]
    num_drawn: int
    troubles: tuple[Trouble, ...] = ()


def hosts_of(urls: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """The host of each URL, "" where it has none."""
    found = pc.struct_field(pc.extract_regex(urls, pattern=_HOST), "host")
    return pc.utf8_lower(pc.fill_null(found, ""))


def value_counts(values: pa.ChunkedArray | pa.Array) -> dict[str, int]:
    """How often each value stands in a column."""
    return {str(row["values"]): int(row["counts"]) for row in pc.value_counts(values).to_pylist()}


def learned_pictures(source: Source) -> StageState | None:
    """The version of the clean pictures that the triplets were made from, which need not be the one in force."""
    return source.input_of(source.stage("triplets"), "images")


def learned_scores(source: Source) -> StageState | None:
    """The scores by which pictures were chosen for the triplets; None where all became triplets."""
    return source.input_of(source.stage("triplets"), "score")


def picture_facts(source: Source, state: StageState | None) -> Facts:
    """Licences and hosts of a version of the clean pictures, or of the triplets drawn where there are no tables."""
    if state is None:
        return source.kept.of((source.out, "drawn facts"), lambda: _drawn_facts(source))
    return source.kept.of((state.folder, "facts"), lambda: _table_facts(source, state))


def chosen_keys(source: Source, split: str, wanted: Filter) -> list[str] | None:
    """The keys of the pictures of a split of triplets that a filter lets through; None where no tables tell."""
    state, scored = learned_pictures(source), learned_scores(source)
    if state is None:
        return None
    key = (state.folder, scored and scored.folder, "chosen", split, wanted)
    return source.kept.of(key, lambda: _chosen_keys(source, state, scored, split, wanted))


def has_words(column: pa.ChunkedArray | pa.Array, word: str) -> pa.ChunkedArray | pa.Array:
    """Which texts have a word, or a part of one, in them; case does not count."""
    return pc.match_substring(column, word, ignore_case=True)


def _table_facts(source: Source, state: StageState) -> Facts:
    columns = source.columns(state, "images-", ("licence", "url"))
    counts = (value_counts(columns.table["licence"]), value_counts(hosts_of(columns.table["url"])))
    return Facts(*counts, 0, columns.troubles)


def _chosen_keys(source: Source, state: StageState, scored: StageState | None, split: str, wanted: Filter) -> list[str]:
    names = ("key", "split", "licence", "url", *(("caption",) if wanted.word else ()))
    table = source.columns(state, "images-", names).table
    mask = pc.equal(table["split"], split)
    if wanted.licence:
        mask = pc.and_(mask, pc.equal(table["licence"], wanted.licence))
    if wanted.host:
        mask = pc.and_(mask, pc.equal(hosts_of(table["url"]), wanted.host))
    if wanted.word:
        mask = pc.and_(mask, has_words(table["caption"], wanted.word))
    if scored is not None:
        scores = source.columns(scored, "scores-", ("key",)).table["key"]
        mask = pc.and_(mask, pc.is_in(table["key"], value_set=scores.combine_chunks()))
    keys: list[str] = table["key"].filter(mask).to_pylist()
    return sorted(keys)


def _drawn_facts(source: Source) -> Facts:
    licences: dict[str, int] = {}
    urls: list[str] = []
    for split in source.splits("triplets"):
        for record in drawn_records(source.triplets(split), NUM_DRAWN):
            licences[str(record["licence"])] = licences.get(str(record["licence"]), 0) + 1
            urls.append(str(record["url"]))
    return Facts(licences, value_counts(hosts_of(pa.array(urls, pa.string()))), len(urls))


def drawn_records(dataset: Dataset, count: int) -> list[dict[str, Any]]:
    """The records of some samples, evenly spread over a split; damaged ones are passed over."""
    records = []
    for number in np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)).tolist():
        try:
            records.append(record_of(dataset, number))
        except READING:
            continue
    return records
