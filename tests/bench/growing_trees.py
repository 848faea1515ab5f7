"""Trees grown out of static beside the ideas that the lecture drops: `python -m tests.bench.growing_trees`.

The 1,396 forest pictures of `shared/data/photos/scenes.tar.gz` are built at 32 × 32, near duplicates left out, and the
lecture is replayed on them: the denoiser and each idea that trains for 15 minutes (`--seconds`, `--idea-seconds`), all
judged by the fifth of the pictures that is held out. At 5, 10 and 20 steps the denoiser must come clearly nearer to
those than any idea, with its better solvers.
"""

import argparse
import json
import math
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench.harness import ROOT

ARCHIVE = ROOT.parent / "shared" / "data" / "photos" / "scenes.tar.gz"
FOLDER = ROOT / "build" / "bench" / "trees"
SEEDBED = Path(sys.executable).with_name("seedbed")

RECIPE = """\
name: forest
contact: https://forest.example/about
crawl:
  sources:
    forest: {{source: folder, path: {photos}}}
images: {{size: 32}}
split: {{train: 0.75, val: 0.05, test: 0.2}}
triplets: {{mode: virtual, steps: 5}}
"""

CLEARLY = 3
"""Standard errors of the kernel distance by which the denoiser must be nearer."""

STEPS = (5, 10, 20)


def main() -> int:
    """Builds, replays and judges; returns 1 where the denoiser does not win clearly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=900, help="that the denoiser trains")
    parser.add_argument("--idea-seconds", type=float, default=0, help="that each idea trains; 0: as long")
    chosen = parser.parse_args()
    console = Console(highlight=False, width=132)
    if not ARCHIVE.exists():
        console.print(f"left out: no {ARCHIVE}")
        return 0
    _build()
    out = FOLDER / f"lecture-{chosen.seconds:g}-{chosen.idea_seconds:g}"
    settings = ["--seconds", f"{chosen.seconds:g}", "--idea-seconds", f"{chosen.idea_seconds:g}"]
    _seedbed("lecture", str(FOLDER / "out"), "--out", str(out), *settings)
    rows = json.loads((out / "pictures.json").read_text("utf-8"))["rows"]
    are_clear = [_is_clear(rows, steps, console) for steps in STEPS]
    return 0 if all(are_clear) else 1


def _build() -> None:
    photos = FOLDER / "photos"
    if not photos.exists():
        with tarfile.open(ARCHIVE) as archive:
            trees = [member for member in archive if member.isfile() and "/tree/" in member.name]
            archive.extractall(photos.with_name("unpacking"), trees, filter="data")
        photos.with_name("unpacking").rename(photos)
    recipe = FOLDER / "forest.yaml"
    recipe.write_text(RECIPE.format(photos=photos), "utf-8")
    _seedbed("build", str(recipe), "--out", str(FOLDER / "out"))


def _seedbed(*arguments: str) -> None:
    subprocess.run([str(SEEDBED), *arguments], check=True)


def _is_clear(rows: list[dict[str, Any]], steps: int, console: Console) -> bool:
    """Says how far the denoiser at so many steps is ahead of the best of the ideas; whether that is clear."""
    grown = [row for row in rows if row["name"].startswith(f"denoiser, {steps} steps, ")]
    ideas = [row for row in rows if not row["name"].startswith(("denoiser, ", "real"))]
    best, rival = (min(some, key=lambda row: float(row["kernel"])) for some in (grown, ideas))
    ahead = (rival["kernel"] - best["kernel"]) / math.hypot(rival["kernel_error"], best["kernel_error"])
    told = ", ".join(f"{row['solver']} {row['frechet']:.0f}" for row in grown)
    console.print(f"{steps} steps: Fréchet distance {told}; the best idea, {rival['name']}, {rival['frechet']:.0f}")
    console.print(f"  the kernel distance is nearer by {ahead:.1f} standard errors (at least {CLEARLY})")
    return bool(ahead >= CLEARLY and best["frechet"] < min(row["frechet"] for row in ideas))


if __name__ == "__main__":
    sys.exit(main())
