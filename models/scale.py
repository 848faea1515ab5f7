"""Train a ladder of sizes and budgets, and draw how the loss falls with parameters, data and time.

    python -m models.scale OUT/windows --out RUN                                  a language model
    python -m models.scale OUT/triplets --out RUN --widths 16,32,64               a denoiser
    python -m models.scale OUT/windows --out RUN --trainer='--model attention'    whatever the trainer takes

Each rung is a run of its own, in a folder of RUN named after it: a budget is a whole training, since a learning rate
that falls over many steps has not fallen yet where few are over. Started again, finished rungs are not trained again,
and one that was killed goes on; other widths or budgets add to the ladder.

RUN/points.csv      one line a rung: size, data, time, loss
RUN/scaling.json    the same, and the fitted curves, their intervals and residuals; see `models.power_law`
RUN/scaling.png     the plots

Source: Hoffmann et al. 2022 (arXiv:2203.15556), section 3.1 and appendix B (the learning rate falls over the budget).
"""

import csv
import dataclasses
import io
import itertools
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np

from models import denoiser, language
from models.open_stage import open_stage
from models.power_law import INTERVAL, Fit, fit_with_intervals, num_numbers
from models.runs import RunFolder, exit_status
from models.scaling_picture import Curves, Point, draw_scaling, fastest
from models.settings import parse_settings
from models.text_size import unit_of
from shards.dataset import TripletDataset, WindowDataset
from shards.manifest import canonical_json

POINTS, FITS, PICTURE = "points.csv", "scaling.json", "scaling.png"

WIDTHS = {"denoiser": "16,32,64", "language": "32,64,128"}
"""Sizes unless told otherwise; a language model's heads must divide them."""

TRAINERS: dict[str, ModuleType] = {"denoiser": denoiser, "language": language}

TrainerSettings = denoiser.Settings | language.Settings

METHOD = "log L = log(E + Σ A (x / unit)^−α): least Huber loss, δ = 0.001 (Hoffmann et al. 2022); bootstrap intervals"


@dataclass(frozen=True)
class Settings:
    """What `python -m models.scale` takes."""

    dataset: Annotated[str, "of triplets or of windows: a stage's folder, a dataset, or a build that has one of them"]
    out: Annotated[Path, "folder of the ladder"] = Path("runs/scale")
    widths: Annotated[str, "channels of each size, with commas; 16,32,64 of a denoiser, 32,64,128 of words"] = ""
    steps: Annotated[str, "optimiser steps of each budget, with commas"] = "100,200,400,800"
    trainer: Annotated[str, "what else each training takes, as in --trainer='--batch-size 16 --seed 1'"] = ""

    def __post_init__(self) -> None:
        for name in ("widths", "steps"):
            written = getattr(self, name)
            if written or name == "steps":
                numbers = written.split(",")
                if not all(number.strip().isdecimal() and int(number) > 0 for number in numbers):
                    raise ValueError(f"--{name} {written}: must be whole numbers above 0, with commas between them")
        try:
            shlex.split(self.trainer)
        except ValueError as error:
            raise ValueError(f"--trainer {self.trainer}: {error}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing of the ladder, fit and draw; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    settings = parse_settings(Settings, argv, "python -m models.scale", __doc__.splitlines()[0])
    return exit_status(lambda: _climb(settings))


def _climb(settings: Settings) -> None:
    dataset = open_stage(settings.dataset, None, "train")
    kind = "denoiser" if isinstance(dataset, TripletDataset) else "language"
    rungs = [
        (width, steps, read_trainer(settings, kind, width, steps))
        for width, steps in itertools.product(_numbers(settings.widths or WIDTHS[kind]), _numbers(settings.steps))
    ]
    points = []
    for place, (width, steps, chosen) in enumerate(rungs, 1):
        print(f"rung {place} of {len(rungs)}: width {width}, {steps} steps", flush=True)
        TRAINERS[kind].train_once(chosen)
        points.append(read_point(width, steps, chosen, dataset))
        RunFolder(settings.out).write(POINTS, _table(points))
    curves = fit_curves(points)
    ladder = RunFolder(settings.out)
    ladder.write(FITS, canonical_json({"kind": kind, **describe(points, curves)}).encode())
    ladder.write(PICTURE, draw_scaling(points, curves, *units_of(dataset)))
    print(tell(points, curves))
    print(f"{settings.out / PICTURE}: the plots; {POINTS} and {FITS} beside it hold the numbers", flush=True)


def read_trainer(settings: Settings, kind: str, width: int, steps: int) -> TrainerSettings:
    """Return the settings of one rung, as its trainer has them."""
    folder = settings.out / f"width-{width:04d}-steps-{steps:06d}"
    rung = ["--width", str(width), "--num-steps", str(steps), "--out", str(folder)]
    argv = [settings.dataset, "--num-validations", "1", *shlex.split(settings.trainer), *rung]
    taken: TrainerSettings = parse_settings(TRAINERS[kind].Settings, argv, "python -m models.scale … --trainer", "")
    return taken


def read_point(width: int, steps: int, chosen: TrainerSettings, dataset: TripletDataset | WindowDataset) -> Point:
    """Return what a finished rung came to."""
    results = RunFolder(chosen.out).results()
    assert results is not None
    is_words = isinstance(dataset, WindowDataset)
    seen = steps * chosen.batch_size
    return Point(
        width=width,
        num_steps=steps,
        num_parameters=results["num_parameters"],
        data=seen * (dataset.spec.context if isinstance(dataset, WindowDataset) else 1),
        epochs=round(seen / len(dataset), 3),
        seconds=results["seconds"],
        loss=results["losses"]["model"] if is_words else results["average"]["model"],
    )


def units_of(dataset: TripletDataset | WindowDataset) -> tuple[str, str]:
    """Return what the loss of what learns from a dataset is measured in, and what its data are."""
    if isinstance(dataset, TripletDataset):
        return "squared error in the clean picture", "triplets seen"
    unit = unit_of(dataset.tokenizer)
    return f"nats a {unit}", f"{unit}s seen"


def fit_curves(points: Sequence[Point]) -> Curves:
    """Return the laws that there are enough points for: one more, at least, than the law has numbers."""
    losses = np.array([point.loss for point in points])
    sizes = np.array([(point.num_parameters, point.data) for point in points], float)
    varied = [column for column in (0, 1) if len(np.unique(sizes[:, column])) > 2]
    front = fastest(points)
    return Curves(
        columns=tuple(varied),
        size=_fit(sizes[:, varied], losses),
        time=_fit(np.array([[point.seconds] for point in front]), np.array([point.loss for point in front])),
    )


def _fit(x: np.ndarray[Any, np.dtype[np.float64]], losses: np.ndarray[Any, np.dtype[np.float64]]) -> Fit | None:
    enough = x.shape[1] and len(x) > num_numbers(x.shape[1])
    return fit_with_intervals(x, losses) if enough else None


def describe(points: Sequence[Point], curves: Curves) -> dict[str, Any]:
    """Return points and curves as `scaling.json` holds them."""
    names = {"size": [("parameters", "data")[column] for column in curves.columns], "time": ["seconds"]}
    return {
        "points": [dataclasses.asdict(point) for point in points],
        "method": METHOD,
        **{name: _plain(fit, names[name]) for name, fit in (("size", curves.size), ("time", curves.time))},
    }


def _plain(fit: Fit | None, names: Sequence[str]) -> dict[str, Any] | None:
    if fit is None:
        return None
    return {
        "floor": fit.law.floor,
        "floor_interval": list(fit.floor_interval),
        "factors": dict(zip(names, fit.law.factors.tolist(), strict=True)),
        "units": dict(zip(names, fit.law.units.tolist(), strict=True)),
        "exponents": dict(zip(names, fit.law.exponents.tolist(), strict=True)),
        "exponent_intervals": dict(zip(names, fit.exponent_intervals.tolist(), strict=True)),
        "interval": list(INTERVAL),
        "num_points": len(fit.residuals),
        "num_fitted": num_numbers(len(names)),
        "residuals": fit.residuals.tolist(),
    }


def tell(points: Sequence[Point], curves: Curves) -> str:
    """Return the points as a table, and what was fitted, or why nothing was."""
    rows = ["   width    steps   parameters         data  epochs   seconds      loss"]
    for point in points:
        told = f"{point.width:8d} {point.num_steps:8d} {point.num_parameters:12,d} {point.data:12,d}"
        rows.append(f"{told} {point.epochs:7.2f} {point.seconds:9.1f} {point.loss:9.4f}")
    names = [("parameters", "data")[column] for column in curves.columns]
    rows += _told("loss by size", curves.size, names, "rungs")
    rows += _told("least loss by time", curves.time, ["seconds"], "rungs that none beat in less time")
    return "\n".join(rows)


def _told(label: str, fit: Fit | None, names: Sequence[str], what: str) -> list[str]:
    if fit is None:
        return [f"{label}: not fitted; it takes more {what} than the curve has numbers: add --widths or --steps"]
    law, (low, high) = fit.law, fit.floor_interval
    terms = "".join(
        f" + {factor:.3g}·({name} / {unit:.3g})^({-exponent:.3f})"
        for name, factor, exponent, unit in zip(names, law.factors, law.exponents, law.units, strict=True)
    )
    said = [f"{label}: {law.floor:.4f}{terms}"]
    share = f"{INTERVAL[0]:.0%} to {INTERVAL[1]:.0%} of refits"
    ranges = ", ".join(
        f"its exponent by {name} {-high:.3f} … {-low:.3f}"
        for name, (low, high) in zip(names, fit.exponent_intervals, strict=True)
    )
    said.append(f"  {share}: floor {low:.4f} … {high:.4f}, {ranges}")
    off, numbers = np.expm1(np.abs(fit.residuals)), num_numbers(len(names))
    spread = f"off by {off.mean():.2%} on average, {off.max():.2%} at most"
    said.append(f"  {len(off)} {what} for {numbers} numbers; {spread}")
    if (law.exponents <= 0).any():
        said.append("  an exponent is not above 0: here the loss did not fall with it, and the curve foretells nothing")
    return said


def _numbers(written: str) -> list[int]:
    return sorted({int(number) for number in written.split(",")})


def _table(points: Sequence[Point]) -> bytes:
    written = io.StringIO()
    table = csv.DictWriter(written, [field.name for field in dataclasses.fields(Point)], lineterminator="\n")
    table.writeheader()
    table.writerows(dataclasses.asdict(point) for point in points)
    return written.getvalue().encode()


if __name__ == "__main__":
    sys.exit(main())
