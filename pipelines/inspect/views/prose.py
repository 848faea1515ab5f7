"""Prose: what the documents come to, by language, host, length and split, and what the tokenizer makes of them."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.inspect.catalogue import drawn_records, hosts_of
from pipelines.inspect.charts import MOST_BARS, Bar, bits_of, by_powers
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.sources import READING, Source, StageState, Trouble
from pipelines.inspect.views.funnel import fate_bars
from shards.describe import SPLITS

NUM_COUNTED = 2_000
"""Windows of a split whose tokens are counted; of more, so many evenly spread stand for all."""

COLUMNS = ("url", "num_words", "language", "private_data", "quality_score", "split")


class SplitLine(NamedTuple):
    """What a split holds; what its windows hold is 0 where none were made.

    Attributes:
        split: its name.
        documents: in it.
        words: in it, parted by white space.
        windows: made of it.
        tokens: in the windows; where two overlap, twice.
        filled: share of the windows' places that hold text.
        unknown: share of its tokens that the dictionary does not hold.
        is_drawn: whether tokens were counted in some windows and stand for all.
    """

    split: str
    documents: int
    words: int
    windows: int
    tokens: int
    filled: float
    unknown: float
    is_drawn: bool


@dataclass(frozen=True)
class Prose:
    """What the documents come to.

    Attributes:
        documents: kept.
        pages: that went in.
        words: in the documents.
        num_languages: of the documents.
        num_hosts: of the pages.
        charts: each with its title.
        private_data: placeholders by kind, the commonest first.
        splits: what each holds.
        tokenizer: of the windows, "" where none were made.
        troubles: what could not be read.
    """

    documents: int
    pages: int
    words: int
    num_languages: int
    num_hosts: int
    charts: dict[str, list[Bar]]
    private_data: dict[str, int]
    splits: list[SplitLine]
    tokenizer: str
    troubles: list[Trouble]


def prose(source: Source, query: Query) -> Prose:
    """What the text stage in force comes to.

    Raises:
        QueryError: there is none.
    """
    state = source.stage("text")
    if state is None or state.manifest is None:
        raise QueryError("no text was built here")
    return source.kept.of(("prose", source.in_force()), lambda: _prose(source, state))


def _prose(source: Source, state: StageState) -> Prose:
    assert state.manifest is not None
    held, away = source.columns(state, "documents-", COLUMNS), source.columns(state, "rejects-", ("key",))
    table = held.table
    if not len(table):
        table = pa.table({name: pa.array([], pa.int64() if name == "num_words" else pa.string()) for name in COLUMNS})
    hosts, languages = (
        _amounts(hosts_of(table["url"]), table["num_words"]),
        _amounts(table["language"], table["num_words"]),
    )
    turned_away = Counter(hosts_of(away.table["key"]).to_pylist())
    troubles = [*held.troubles, *away.troubles]
    charts = {
        "What became of the pages": fate_bars(state.manifest.counts),
        "Words a document": by_powers(bits_of(table["num_words"].to_numpy())) if len(table) else [],
        "Languages": _bars(languages, Counter(), "unknown"),
        "Quality": _tenths(table["quality_score"].to_numpy() if len(table) else np.empty(0)),
        "Hosts": _bars(hosts, turned_away, "no host"),
    }
    return Prose(
        len(table),
        len(table) + len(away.table),
        pc.sum(table["num_words"]).as_py() or 0,
        len(languages),
        len({*hosts, *turned_away}),
        {title: bars for title, bars in charts.items() if bars},
        _private_data(table),
        _splits(source, table, troubles),
        _tokenizer(source.stage("windows")),
        troubles,
    )


class Amount(NamedTuple):
    """Documents, and the words in them."""

    documents: int
    words: int


def _amounts(groups: pa.ChunkedArray, words: pa.ChunkedArray) -> dict[str, Amount]:
    table = (
        pa.table({"group": groups, "words": words}).group_by("group").aggregate([("words", "count"), ("words", "sum")])
    )
    rows = table.to_pylist()
    return {row["group"]: Amount(row["words_count"], row["words_sum"]) for row in rows}


def _bars(amounts: dict[str, Amount], away: Counter[str], nameless: str) -> list[Bar]:
    """A line for each of the largest, and one for all others."""
    names = sorted({*amounts, *away}, key=lambda n: (-amounts.get(n, Amount(0, 0)).documents, -away[n], n))
    bars = [_bar(name or nameless, [name], amounts, away) for name in names[:MOST_BARS]]
    rest = names[MOST_BARS:]
    return [*bars, _bar(f"{len(rest):,} more", rest, amounts, away)] if rest else bars


def _bar(label: str, names: list[str], amounts: dict[str, Amount], away: Counter[str]) -> Bar:
    found = [amounts.get(name, Amount(0, 0)) for name in names]
    words = sum(amount.words for amount in found)
    note = f"{words:,} words" if words else ""
    return Bar(label, sum(amount.documents for amount in found), sum(away[name] for name in names), note)


def _tenths(scores: NDArray[np.float64]) -> list[Bar]:
    """A line for each tenth; none where no document has a score of 0.1 or more, as where none were scored."""
    counts = np.bincount(np.minimum((10 * scores).astype(int), 9), minlength=10).tolist()
    return [Bar(f"{each / 10} – {(each + 1) / 10}", counts[each]) for each in range(10)] if any(counts[1:]) else []


def _private_data(table: pa.Table) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    for row in pc.value_counts(table["private_data"]).to_pylist():
        for kind, number in json.loads(row["values"]).items():
            kinds[kind] += number * row["counts"]
    return dict(kinds.most_common())


def _tokenizer(state: StageState | None) -> str:
    return str(state.manifest.configuration.get("tokenizer", "")) if state and state.manifest else ""


def _splits(source: Source, table: pa.Table, troubles: list[Trouble]) -> list[SplitLine]:
    """A line for each split that has documents; its windows are those in force."""
    amounts = _amounts(table["split"], table["num_words"])
    lines = []
    for split in (split for split in SPLITS if split in amounts):
        try:
            windows = _windows(source, split)
        except READING as error:
            troubles.append(Trouble("windows", str(error)))
            windows = (0, 0, 0.0, 0.0, False)
        lines.append(SplitLine(split, amounts[split].documents, amounts[split].words, *windows))
    return lines


def _windows(source: Source, split: str) -> tuple[int, int, float, float, bool]:
    """Windows of a split, their tokens, the shares that are text and unknown, and whether some stand for all."""
    state = source.stage("windows")
    if state is None or state.manifest is None or split not in source.splits("windows"):
        return 0, 0, 0.0, 0.0, False
    dataset = source.windows(split)
    records = drawn_records(dataset, NUM_COUNTED)
    tokens, places = sum(record["length"] for record in records), len(records) * (dataset.spec.context + 1)
    unknown = float(state.manifest.configuration.get("unknown_rate", {}).get(split, 0.0))
    is_drawn = len(records) < len(dataset)
    every = round(tokens * len(dataset) / len(records)) if is_drawn and records else tokens
    return len(dataset), every, tokens / places if places else 0.0, unknown, is_drawn
