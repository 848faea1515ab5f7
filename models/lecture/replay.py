"""Replay the lecture: every idea on the way to a denoiser and to a language model, on the same shards.

    python -m models.lecture OUT --out OUT/runs/lecture                 75 seconds of training for each idea that trains
    python -m models.lecture OUT --out RUN --head pipelines/heads/tree.json --seconds 900

OUT is what a build wrote. Where it holds triplets, the ideas about pictures are replayed, and where it holds windows,
those about text. Each trains as long as the others, unless --idea-seconds says less, with one seed; the table tells
how long, and how many steps. Run again, what is finished is not made again.

RUN/pictures.json, .md    a row for each idea: Fréchet distance from pictures held out, and more
RUN/pictures.png          a labelled row of pictures of each
RUN/texts.json, .md       a row for each idea: nats a word of text held out, and a sample
RUN/entries/              what came of each
RUN/denoiser/, …          the trainings, each a run as any other
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from models.frechet import features_of
from models.lecture.nearest import nearest_pictures
from models.lecture.pictures import Material, replay_pictures
from models.lecture.shelf import Shelf
from models.lecture.tables import SAMPLE, number, save_labelled_sheet, write_table
from models.lecture.texts import Library, replay_texts
from models.pixels import to_values
from models.runs import RunError, RunFolder, exit_status
from models.settings import parse_settings, refuse_below
from models.training_pictures import held_out_pictures, open_triplets, survey
from models.training_windows import held_out_of, open_windows
from shards.committed import stage_folder

MAX_TRAINING_PICTURES = 20_000
"""Read for the ideas that look at all of them."""

PICTURE_COLUMNS: Sequence[tuple[str, Callable[[dict[str, Any]], str]]] = (
    ("trained, s", number("seconds", 0)),
    ("steps", number("train_steps", 0)),
    ("parameters", number("num_parameters", 0)),
    ("Fréchet distance", number("frechet", 0)),
    ("kernel distance", number("kernel", 3)),
    ("±", number("kernel_error", 3)),
    ("variety", number("variety", 2)),
    ("nearest copy", number("nearest", 1)),
)
TEXT_COLUMNS: Sequence[tuple[str, Callable[[dict[str, Any]], str]]] = (
    ("trained, s", number("seconds", 0)),
    ("steps", number("train_steps", 0)),
    ("parameters", number("num_parameters", 0)),
    ("nats a word", number("nats", 3)),
    ("perplexity", lambda facts: f"{math.exp(facts['nats']):,.1f}"),
    (SAMPLE, lambda facts: " ".join(str(facts["sample"]).replace("|", "¦").split())),
)


@dataclass(frozen=True)
class Settings:
    """What `python -m models.lecture` takes."""

    dataset: Annotated[str, "what a build wrote; a folder or a URL"]
    out: Annotated[Path, "folder of this replay"] = Path("runs/lecture")
    seconds: Annotated[float, "seconds that each idea trains"] = 75.0
    idea_seconds: Annotated[float, "those of all ideas about pictures but the denoiser told its step; 0: as many"] = 0.0
    num_steps: Annotated[int, "optimiser steps that each trains instead; 0 goes by the clock"] = 0
    count: Annotated[int, "most pictures that each idea makes; as many are held out beside them"] = 500
    head: Annotated[str, "trained classifier to run in reverse; without one, that idea is left out"] = ""
    seed: Annotated[int, "of all chance"] = 0
    device: Annotated[str, "what trains: cpu, cuda, or auto"] = "auto"

    def __post_init__(self) -> None:
        refuse_below(3, self, ("count",))
        refuse_below(0, self, ("idea_seconds", "num_steps", "seed"))
        if self.seconds <= 0:
            raise ValueError(f"--seconds {self.seconds}: must be above 0")


def main(argv: Sequence[str] | None = None) -> int:
    """Replay the lecture; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    settings = parse_settings(Settings, argv, "python -m models.lecture", __doc__.splitlines()[0])
    return exit_status(lambda: replay(settings))


def replay(settings: Settings) -> None:
    """Replay what there is something for: pictures, text, or both.

    Raises:
        RunError: there is neither, or an idea cannot be tried.
    """
    run = RunFolder(settings.out)
    has = {stage: stage_folder(settings.dataset, stage) != settings.dataset for stage in ("triplets", "windows")}
    if not any(has.values()):
        raise RunError(f"{settings.dataset}: give the folder that a build wrote, in which triplets or windows lie")
    if has["triplets"]:
        _replay_pictures(settings, run)
    if has["windows"]:
        _replay_texts(settings, run)


def _replay_pictures(settings: Settings, run: RunFolder) -> None:
    train = open_triplets(settings.dataset, "train")
    real = held_out_pictures(settings.dataset, settings.count)
    try:
        features = features_of(real)
    except RunError as error:
        print(f"Fréchet distances are left out: {error}", flush=True)
        features = None
    material = Material(
        dataset=settings.dataset,
        folder=settings.out,
        train=survey(train, MAX_TRAINING_PICTURES),
        real=real,
        features=features,
        num_steps=train.spec.steps,
        seconds=settings.seconds,
        idea_seconds=settings.idea_seconds or settings.seconds,
        optimiser_steps=settings.num_steps,
        head=Path(settings.head) if settings.head and features is not None else None,
        seed=settings.seed,
        device=settings.device,
        grown_steps=(5, 10, 20),
    )
    chosen = {"fingerprint": train.manifest.fingerprint, "count": len(real), "is_judged": features is not None}
    entries = replay_pictures(material, Shelf(run.path / "entries", chosen | _budget(settings)))
    write_table(run, "pictures", _title(material), entries, PICTURE_COLUMNS)
    save_labelled_sheet(entries, run.path / "pictures.png")
    print(f"{run.path / 'pictures.png'}: pictures of each", flush=True)


def _title(material: Material) -> str:
    _, apart = nearest_pictures(to_values(material.real), material.train)
    return (
        f"Ideas about pictures: {len(material.train):,} to learn from; distances are from {material.count} held out, "
        f"by features of EfficientNet-Lite0, n = {material.count} of each; they compare with no published FID. "
        "Variety is how far pictures scatter about their mean, in those held out as 1; the nearest copy is how many "
        f"grey levels the nearest training picture is off, at the median ({np.median(apart):.1f} of those held out)."
    )


def _replay_texts(settings: Settings, run: RunFolder) -> None:
    train = open_windows(settings.dataset, "train")
    held_out = held_out_of(settings.dataset, train, ("test", "val"))
    library = Library(
        dataset=settings.dataset,
        folder=settings.out,
        train=train,
        held_out=held_out,
        seconds=settings.seconds,
        optimiser_steps=settings.num_steps,
        seed=settings.seed,
        device=settings.device,
    )
    chosen = {"fingerprint": train.manifest.fingerprint}
    entries = replay_texts(library, Shelf(run.path / "entries", chosen | _budget(settings)))
    title = f"Ideas about text: the next of {entries[0].facts['num_words']:,} words of split {held_out.split}."
    write_table(run, "texts", title, entries, TEXT_COLUMNS)


def _budget(settings: Settings) -> dict[str, Any]:
    names = ("seconds", "idea_seconds", "num_steps", "seed", "head")
    return {name: getattr(settings, name) for name in names}
