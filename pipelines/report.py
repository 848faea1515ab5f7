"""The build report: one static page that shows what went in, what came out, and what was grown from it.

Everything on the page comes from the web and is treated so: text is escaped, pictures are our own PNG copies.
"""

import itertools
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.parquet as pq

from crawl.image_settings import EXTENSIONS
from pipelines.drawn import GONE
from pipelines.errors import StageError
from pipelines.folders import STAGE_NAMES, current_manifest
from pipelines.prose_report import gather_prose
from pipelines.strips import ShownWindow, save_strips, shown_split, windows
from shards.index import decode_index
from shards.manifest import Manifest, atomic_write
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX

NUM_PICTURES, NUM_STRIPS, NUM_WINDOWS, NUM_REJECTS = 24, 4, 4, 5


@dataclass(frozen=True)
class Reason:
    """One line of the funnel."""

    fate: str
    reason: str
    number: int
    examples: tuple[tuple[str, str], ...]
    """A few records that met it: URL and detail."""


@dataclass(frozen=True)
class Run:
    """One training run, as far as it got.

    Attributes:
        name: of its folder.
        results: what `results.json` holds, None of a run that has not finished.
        pictures: pictures in its folder, relative to the page.
        text: what it wrote, "" where it wrote nothing.
    """

    name: str
    results: Mapping[str, Any] | None
    pictures: Mapping[str, str]
    text: str


def write_report(out: Path) -> Path:
    """Writes `out/report/index.html` about the stages in force in `out` and the runs under `out/runs`; returns it.

    Raises:
        StageError: nothing was built in `out`, or a run's results cannot be read.
    """
    manifests = [m for m in (current_manifest(out, stage) for stage in STAGE_NAMES) if m is not None]
    if not manifests:
        raise StageError(f"{out}: nothing was built there; run 'seedbed build RECIPE --out {out}'")
    report = out / "report"
    for pictures in ("pictures", "strips"):
        shutil.rmtree(report / pictures, ignore_errors=True)
    report.mkdir(parents=True, exist_ok=True)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"exp": math.exp, "verdict": verdict, "thousands": "{:,}".format}
    environment.filters["chart_length"] = lambda bar: bar.kept + bar.away
    page = environment.get_template("report.html").render(
        manifests=manifests,
        widest=max((manifest.counts.records_in for manifest in manifests), default=1),
        reasons={manifest.stage: list(_reasons(out, manifest)) for manifest in manifests},
        pictures=_save_pictures(out, report / "pictures"),
        strips=_save_strips(out, report),
        prose=gather_prose(out),
        windows=_windows(out),
        runs=list(_runs(out, report)),
    )
    atomic_write(report / "index.html", page.encode())
    return report / "index.html"


def verdict(results: Mapping[str, Any]) -> str:
    """What a training run came to beside what it must beat, in a sentence."""
    if results["model"] == "denoiser":
        errors = results["average"]
        rivals = f"{errors['noisy']:.4f} of the noisy picture itself and {errors['mean']:.4f} of the mean picture"
        told = f"squared error over all steps {errors['model']:.4f}, beside {rivals}"
    else:
        losses = results["losses"]
        rivals = f"{losses['bigram']:.2f} of counts of pairs and {losses['unigram']:.2f} of counts of words"
        told = f"{losses['model']:.2f} nats a word, beside {rivals}"
    return f"{'beats' if results['beats'] else 'does not beat'} what stands beside it: {told}"


def _reasons(out: Path, manifest: Manifest) -> Iterator[Reason]:
    """What was rejected and failed in one stage, the commonest first, with a few examples each."""
    examples = _examples(out / manifest.stage / manifest.fingerprint, manifest)
    for fate, counts in (("rejected", manifest.counts.rejected), ("failed", manifest.counts.failed)):
        for reason, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            yield Reason(fate, reason, number, tuple(examples.get(reason, ())[:NUM_REJECTS]))


def _examples(folder: Path, manifest: Manifest) -> dict[str, list[tuple[str, str]]]:
    """URLs and details by reason, from the tables of rejects, or a crawl's ledger."""
    found: dict[str, list[tuple[str, str]]] = {}
    for file in manifest.files:
        if not file.path.startswith(("rejects-", "ledger-")):
            continue
        names = ["key" if file.path.startswith("rejects-") else "url", "reason", "detail"]
        columns = pq.read_table(folder / file.path, columns=names)
        for url, reason, detail in zip(*(columns[name].to_pylist() for name in names), strict=True):
            if reason and reason != GONE and len(found.setdefault(reason, [])) < NUM_REJECTS:
                found[reason].append((url, detail))
    return found


def _save_pictures(out: Path, folder: Path) -> list[tuple[str, str]]:
    """Copies a few clean pictures out of each part; returns path and caption of each."""
    manifest = current_manifest(out, "images")
    parts = [file.path for file in manifest.files if file.path.endswith(TAR_SUFFIX)] if manifest else []
    if manifest is None or not parts:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    images = out / "images" / manifest.fingerprint
    found = [pictures for part in parts if (pictures := _first_pictures(images / part))]
    shown = [picture for turn in itertools.zip_longest(*found) for picture in turn if picture is not None]
    for name, picture, _ in shown[:NUM_PICTURES]:
        atomic_write(folder / name, picture)
    return [(f"pictures/{name}", caption) for name, _, caption in shown[:NUM_PICTURES]]


def _first_pictures(part: Path) -> list[tuple[str, bytes, str]]:
    """File name, file and caption of the first pictures of a part, as many as a page shows."""
    pictures = []
    with part.open("rb") as file:
        index = decode_index(part.with_suffix(INDEX_SUFFIX).read_bytes())
        (extension,) = set(index.extensions) & set(EXTENSIONS.values())
        for row in range(min(len(index), NUM_PICTURES)):
            members = []
            for column in map(index.extensions.index, (extension, "txt")):
                file.seek(int(index.offsets[row, column]))
                members.append(file.read(int(index.lengths[row, column])))
            pictures.append((f"{index.keys[row].decode()}.{extension}", members[0], members[1].decode()))
    return pictures


def _save_strips(out: Path, report: Path) -> list[str]:
    split = shown_split(out, "triplets")
    if split is None:
        return []
    return [os.path.relpath(path, report) for path in save_strips(out, report / "strips", split, NUM_STRIPS)]


def _windows(out: Path) -> list[ShownWindow]:
    split = shown_split(out, "windows")
    return [] if split is None else list(windows(out, split, NUM_WINDOWS))


def _by_length(path: Path) -> tuple[int, str]:
    """`trees` before `trees-steps`: the result before how it came about."""
    return len(path.stem), path.stem


def _read_results(path: Path) -> Mapping[str, Any] | None:
    if not path.exists():
        return None
    try:
        results: Mapping[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise StageError(f"{path}: not JSON ({error}); train again, or remove {path.parent}") from error
    return results


def _runs(out: Path, report: Path) -> Iterator[Run]:
    for folder in sorted(path for path in (out / "runs").glob("*") if path.is_dir()):
        text = folder / "sample.txt"
        yield Run(
            name=folder.name,
            results=_read_results(folder / "results.json"),
            pictures={
                path.stem: os.path.relpath(path, report) for path in sorted(folder.glob("*.png"), key=_by_length)
            },
            text=text.read_text("utf-8") if text.exists() else "",
        )
