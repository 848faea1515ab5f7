"""Triplets: a grid of them, and one with its ladder, its noise and where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.inspect.catalogue import Filter, learned_pictures, picture_facts
from pipelines.inspect.charts import Curve, counted, noise_curve
from pipelines.inspect.ladders import PERCENT, exact_percent, is_recomputed, percent_of
from pipelines.inspect.places import key_or_none
from pipelines.inspect.query import Query
from pipelines.inspect.selection import choose, sample_number
from pipelines.inspect.sources import READING, Source, Trouble
from pipelines.strips import level
from shards.dataset import TripletDataset
from shards.triplet import parse_triplet_key, triplet_key

ON_A_PAGE = 24
ZOOMS = ("1", "2", "4", "8")
NUM_OFFERED = 40
"""Licences and hosts that a filter offers, the commonest first."""


@dataclass(frozen=True)
class Tile:
    """One triplet of the grid; `wrong` says why it cannot be shown, where it cannot."""

    key: str
    caption: str
    told: str
    licence: str
    wrong: str = ""


@dataclass(frozen=True)
class Grid:
    """A page of triplets.

    Attributes:
        split: shown; `splits` are all there are.
        steps: of the ladder with their names.
        step: shown, 0 for all.
        wanted: the filter.
        licences: offered.
        hosts: offered.
        tiles: of this page.
        first: how many come before it.
        total: how many match, None where it is not known.
        before: what `first` is on the page before, None on the first.
        after: the same behind, None on the last.
        troubles: what could not be read.
    """

    split: str
    splits: list[str]
    steps: list[tuple[int, str]]
    step: int
    wanted: Filter
    licences: list[str]
    hosts: list[str]
    tiles: list[Tile]
    first: int
    total: int | None
    before: int | None
    after: int | None
    troubles: list[Trouble]


@dataclass(frozen=True)
class Single:
    """One triplet.

    Attributes:
        split: it belongs to.
        key: of the sample.
        picture: key of its picture.
        draw: which static.
        step: k of K steps.
        steps: all rungs: step, name, level in per cent and key.
        percent: level of this rung.
        shown_percent: level that the ladder stands at.
        told_percent: the same as it is told: of a rung that no whole per cent is, with its fraction.
        zoom: screen pixels to one of the picture.
        caption: of the picture.
        facts: what its record says.
        curve: histogram of its noise; None where that is no static.
        is_virtual: whether noise and noisy are made when it is read.
        is_same: whether noise and noisy made anew are what is stored.
        side: of the picture in pixels.
        before: key of the sample before it, "" where there is none; `after` likewise.
        troubles: what could not be read.
    """

    split: str
    key: str
    picture: str
    draw: int
    step: int
    steps: list[tuple[int, str, int, str]]
    percent: int
    shown_percent: int
    told_percent: str
    zoom: int
    caption: str
    facts: Mapping[str, Any]
    curve: Curve | None
    is_virtual: bool
    is_same: bool
    side: int
    before: str
    after: str
    troubles: list[Trouble]


def triplets(source: Source, query: Query) -> Grid:
    """A page of the grid.

    Raises:
        QueryError: a parameter is impossible.
        DatasetError: there are no triplets.
    """
    splits = source.splits("triplets")
    split = query.choice("split", splits)
    dataset = source.triplets(split)
    step = query.whole("step", 0, 0, dataset.spec.steps)
    wanted = Filter(query.text("licence"), query.text("host"), query.text("word"))
    first = query.whole("first", 0, 0, len(dataset))
    chosen = choose(source, split, step, wanted._replace(host=wanted.host.lower()), first, ON_A_PAGE)
    facts = picture_facts(source, learned_pictures(source))
    steps = [(each, level(dataset.spec, each)) for each in range(1, dataset.spec.steps + 1)]
    return Grid(
        split,
        splits,
        steps,
        step,
        wanted,
        [bar.value for bar in counted(facts.licences, most=NUM_OFFERED) if bar.value],
        [bar.value for bar in counted(facts.hosts, most=NUM_OFFERED) if bar.value],
        [_tile(dataset, number) for number in chosen.numbers],
        first,
        chosen.total,
        max(0, first - ON_A_PAGE) if first else None,
        chosen.after,
        list(facts.troubles),
    )


def triplet(source: Source, query: Query) -> Single:
    """One triplet.

    Raises:
        QueryError: there is none with that key.
        DatasetError: it is damaged, or there are no triplets.
    """
    split = query.choice("split", source.splits("triplets"))
    dataset = source.triplets(split)
    number = sample_number(dataset, query.text("key"))
    sample = dataset[number]
    spec, (picture, _, draw) = dataset.spec, parse_triplet_key(sample["key"])
    steps = [
        (step, level(spec, step), percent_of(spec, step), triplet_key(picture, step, draw))
        for step in range(1, spec.steps + 1)
    ]
    percent = percent_of(spec, sample["step"])
    shown_percent = query.whole("percent", percent, 0, PERCENT)
    return Single(
        split,
        sample["key"],
        picture,
        draw,
        sample["step"],
        steps,
        percent,
        shown_percent,
        f"{exact_percent(spec, sample['step']):.3g}" if shown_percent == percent else str(shown_percent),
        int(query.choice("zoom", ZOOMS, "4")),
        sample["caption"],
        sample["meta"],
        noise_curve(sample["noise"]) if spec.corruption == "gaussian" else None,
        dataset.is_virtual,
        is_recomputed(spec, sample),
        spec.size,
        key_or_none(dataset, number - 1),
        key_or_none(dataset, number + 1),
        [],
    )


def _tile(dataset: TripletDataset, number: int) -> Tile:
    try:
        sample = dataset[number]
    except READING as error:
        return Tile(key_or_none(dataset, number), "", "", "", str(error))
    told = level(dataset.spec, sample["step"])
    return Tile(sample["key"], sample["caption"], told, str(sample["meta"]["licence"]))
