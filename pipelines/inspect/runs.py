"""Training runs: what they came to beside what they must beat, their curves, and what they grew."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.inspect.sources import Source, Trouble
from pipelines.verdicts import verdict

OF_A_STEP = ("step", "noise_share", "model", "noisy", "mean")
"""What the results of a denoiser say of each step."""


@dataclass(frozen=True)
class RunLine:
    """One training run, as far as it got.

    Attributes:
        name: of its folder.
        model: `denoiser`, `language` or another, "" where its configuration cannot be read.
        results: what `results.json` holds, None of a run that has not finished.
        told: what it came to in a sentence, "" of one that has not finished.
        curves: steps and losses by name, as a chart takes them.
        pictures: names of pictures in its folder.
        text: what it wrote, "" where it wrote nothing.
    """

    name: str
    model: str
    results: Mapping[str, Any] | None
    told: str
    curves: Mapping[str, Any]
    pictures: tuple[str, ...]
    text: str


def run_lines(source: Source) -> tuple[list[RunLine], list[Trouble]]:
    """All training runs, and which of them cannot be read."""
    lines, troubles = [], []
    for folder in source.runs():
        try:
            lines.append(_run_line(folder))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            told = f"cannot be read ({error}); train again, or remove {folder}"
            troubles.append(Trouble(f"runs/{folder.name}", told))
    return lines, troubles


def runs_of(source: Source, model: str) -> list[str]:
    """The names of the runs of a model that have a checkpoint."""
    return [path.name for path in source.runs() if _config(path).get("model") == model and _has_checkpoint(path)]


def _has_checkpoint(folder: Path) -> bool:
    return (folder / "checkpoints" / "latest").exists()


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _run_line(folder: Path) -> RunLine:
    results = _read_results(folder / "results.json")
    text = folder / "sample.txt"
    pictures = sorted((path for path in folder.iterdir() if path.suffix == ".png"), key=lambda p: (len(p.stem), p.stem))
    return RunLine(
        name=folder.name,
        model=str(_config(folder).get("model", results["model"] if results else "")),
        results=results,
        told=verdict(results) if results and results.get("model") in ("denoiser", "language") else "",
        curves=_curves(folder / "metrics.jsonl"),
        pictures=tuple(path.name for path in pictures if path.name != "loss.png"),
        text=text.read_text("utf-8", errors="replace") if text.exists() else "",
    )


def _read_results(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path.name}: not JSON: {error}") from error
    try:
        numbers = [row[name] for row in found.get("steps", ()) for name in OF_A_STEP]
        numbers += found.get("losses", {}).values()
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: not what a trainer writes") from error
    if not all(isinstance(number, int | float) for number in numbers):
        raise ValueError(f"{path.name}: a step or a loss is no number")
    return found


def _curves(path: Path) -> dict[str, Any]:
    """Steps and losses of a run: training and held out, None where one was not taken at a step."""
    lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    names = [name for name in ("train", "held_out") if any(name in row for row in rows)]
    by_step: dict[int, dict[str, Any]] = {}
    for row in rows:
        by_step.setdefault(row["step"], {}).update(row)
    steps = sorted(by_step)
    return {"step": steps, **{name: [by_step[step].get(name) for step in steps] for name in names}} if names else {}
