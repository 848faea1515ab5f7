"""Pictures beside the nearest of others, with the distances: one sheet."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Row(NamedTuple):
    """A picture (S, S, C), and by each way of comparing the nearest to it and how far that is."""

    picture: NDArray[np.uint8]
    nearest: Mapping[str, tuple[NDArray[np.uint8], float]]


def draw_nearest(grown: Sequence[Row], held_out: Sequence[Row]) -> bytes:
    """Return a PNG: each grown picture beside its nearest, and, for comparison, as many that were held out."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes 0.5 s, and only drawing needs it

    ways = list(grown[0].nearest)
    blocks = [("grown", grown), *([("held out", held_out)] if held_out else [])]
    columns = len(blocks) * (1 + len(ways))
    figure = Figure(figsize=(1.6 * columns, 1.75 * len(grown) + 0.4), dpi=100, layout="constrained")
    grid = figure.subplots(len(grown), columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for block, (name, rows) in enumerate(blocks):
        for number, row in enumerate(rows):
            cells = grid[number, block * (1 + len(ways)) :]
            _show(cells[0], row.picture, name)
            for cell, way in zip(cells[1:], ways, strict=False):
                picture, distance = row.nearest[way]
                _show(cell, picture, f"by {way}: {distance:.1f}")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()


def _show(axes: "Axes", picture: NDArray[np.uint8], title: str) -> None:
    shown = picture if picture.shape[-1] == 3 else picture.repeat(3, axis=-1)
    axes.imshow(shown, interpolation="nearest")
    axes.set_title(title, fontsize=8, pad=2)
