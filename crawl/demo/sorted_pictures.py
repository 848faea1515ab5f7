"""Drawn pictures in two folders, with a tree and without, for a classifier to learn from.

python -m crawl.demo.sorted_pictures FOLDER
"""

import sys
from pathlib import Path
from typing import Final

from crawl.demo.gallery import as_png, draw_without_tree
from crawl.demo.trees import draw_picture, survey

SEED: Final = 100  # far from the arboretum's, whose pictures are none of these
COUNT: Final = 600


def write_sorted(folder: Path, seed: int = SEED, count: int = COUNT) -> None:
    """Draws `count` pictures with a tree and as many without, every second of those with a bench."""
    for label in ("drawn-tree", "no-tree"):
        (folder / label).mkdir(parents=True)
    for number, view in enumerate(survey(seed, count)):
        without = draw_without_tree(view.scene, view.seed, bench=number % 2 == 0)
        (folder / f"drawn-tree/{number:03d}.png").write_bytes(as_png(draw_picture(view), level=1))
        (folder / f"no-tree/{number:03d}.png").write_bytes(as_png(without, level=1))


if __name__ == "__main__":
    write_sorted(Path(sys.argv[1]))
