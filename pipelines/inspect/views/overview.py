"""Overview: what was built from what, and what came of it; its charts, which read tables, come behind."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.inspect.catalogue import drawn_records, hosts_of, picture_facts, value_counts
from pipelines.inspect.charts import Bar, bits_of, by_powers, counted
from pipelines.inspect.query import Query
from pipelines.inspect.runs import RunLine, run_lines
from pipelines.inspect.sources import READING, Source, StageState, Trouble
from pipelines.strips import level
from shards.describe import SPLITS
from shards.manifest import Counts, Manifest
from shards.triplet import TripletSpec

NUM_DRAWN = 2_000
"""Windows whose length is looked up: of more, so many evenly spread stand for all."""


@dataclass(frozen=True)
class StageLine:
    """One version of a stage.

    Attributes:
        stage: its name.
        fingerprint: of the version.
        counts: fates of what went in.
        num_files: it has.
        num_bytes: of them.
        splits: samples in each.
        made_from: stage and fingerprint of each input.
        note: what the stage has to say.
    """

    stage: str
    fingerprint: str
    counts: Counts
    num_files: int
    num_bytes: int
    splits: dict[str, int]
    made_from: tuple[tuple[str, str], ...]
    note: str

    @property
    def num_rejected(self) -> int:
        """Records that were not wanted."""
        return sum(self.counts.rejected.values())

    @property
    def num_failed(self) -> int:
        """Records that could not be had."""
        return sum(self.counts.failed.values())


@dataclass(frozen=True)
class Overview:
    """What the overview shows; `versions` are those of stages that have more than one."""

    stages: list[StageLine]
    widest: int
    versions: dict[str, list[StageLine]]
    runs: list[RunLine]
    troubles: list[Trouble]


@dataclass(frozen=True)
class Charts:
    """Charts by title, and of how many records those of triplets were drawn, 0 where all were counted."""

    charts: dict[str, list[Bar]]
    num_drawn: int
    troubles: list[Trouble]


def overview(source: Source, query: Query) -> Overview:
    """What stands in the manifests."""
    states, troubles = source.stages()
    lines = [_line(state) for state in states if state.manifest]
    all_versions = {line.stage: source.versions(line.stage) for line in lines}
    versions = {stage: [_line(state) for state in found] for stage, found in all_versions.items() if len(found) > 1}
    runs, wrong = run_lines(source)
    return Overview(
        lines, max((line.counts.records_in for line in lines), default=1) or 1, versions, runs, [*troubles, *wrong]
    )


def charts(source: Source, query: Query) -> Charts:
    """Counts that take reading tables: licences, hosts and languages, levels and lengths."""
    return source.kept.of(("charts", source.in_force()), lambda: _charts(source))


def _charts(source: Source) -> Charts:
    facts = picture_facts(source, source.stage("images"))
    troubles = list(facts.troubles)
    found = {
        "Licences of the pictures": counted(facts.licences, "unknown"),
        "Hosts of the pictures": counted(facts.hosts, "no host"),
        "Levels of the triplets": _levels(source),
    }
    text = source.stage("text")
    if text is not None:
        columns = source.columns(text, "documents-", ("language", "licence", "num_words", "url"))
        troubles += columns.troubles
        table = columns.table
        found["Languages of the documents"] = counted(value_counts(table["language"]), "unknown")
        found["Licences of the documents"] = counted(value_counts(table["licence"]), "unknown")
        found["Hosts of the documents"] = counted(value_counts(hosts_of(table["url"])), "no host")
        found["Words a document"] = by_powers(bits_of(table["num_words"].to_numpy())) if len(table) else []
    try:
        found |= _lengths(source)
    except READING as error:
        troubles.append(Trouble("windows", str(error)))
    return Charts({title: bars for title, bars in found.items() if bars}, facts.num_drawn, troubles)


def _line(state: StageState) -> StageLine:
    manifest = state.manifest
    assert manifest is not None
    made_from = tuple((entry.stage, entry.fingerprint) for entry in manifest.inputs)
    size = sum(file.bytes for file in manifest.files)
    note = str(manifest.configuration.get("note", ""))
    order = (*SPLITS, *manifest.splits)
    each = _samples_of_each(manifest)
    splits = {split: manifest.splits[split] * each for split in dict.fromkeys(order) if manifest.splits.get(split)}
    num_files = len(manifest.files)
    return StageLine(manifest.stage, state.folder.name, manifest.counts, num_files, size, splits, made_from, note)


def _samples_of_each(manifest: Manifest) -> int:
    """How many samples each of those that a manifest counts stands for: of virtual triplets it counts the pictures."""
    spec = manifest.configuration.get("spec", {}) if manifest.stage == "triplets" else {}
    try:
        return TripletSpec.from_json(spec).samples_per_picture if spec.get("mode") == "virtual" else 1
    except ValueError:  # of another version: the views of the triplets tell
        return 1


def _levels(source: Source) -> list[Bar]:
    """Samples at each step: every picture has each as often."""
    state = source.stage("triplets")
    if state is None or state.manifest is None:
        return []
    spec = TripletSpec.from_json(state.manifest.configuration["spec"])
    each = spec.draws if spec.mode == "virtual" else 1
    number = sum(state.manifest.splits.values()) * each // (1 if spec.mode == "virtual" else spec.steps)
    steps = range(1, spec.steps + 1)
    return [Bar(f"step {step}: {level(spec, step)}", number, value=str(step)) for step in steps]


def _lengths(source: Source) -> dict[str, list[Bar]]:
    """How many windows hold how many tokens, by powers of two; of many windows, of some evenly spread, as is told."""
    lengths: list[int] = []
    number = sum(len(source.windows(split)) for split in source.splits("windows"))
    for split in source.splits("windows"):
        records: list[dict[str, Any]] = drawn_records(source.windows(split), NUM_DRAWN)
        lengths += [record["length"] for record in records]
    drawn = f", {len(lengths):,} of {number:,} drawn" if len(lengths) < number else ""
    return {f"Tokens a window{drawn}": by_powers(bits_of(np.array(lengths))) if lengths else []}
