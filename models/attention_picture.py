"""A picture of what a network looks at: one field for each word and each word before it."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_NAMED = 48
"""Words, up to which each stands beside its row and below its column."""


def draw_attention(weights: NDArray[np.float32], words: Sequence[str]) -> bytes:
    """Return a PNG: for each layer, downwards, and each of its heads, how much each word looks at those so far.

    Args:
        weights: (num_layers, num_heads, T, T), in [0, 1]; row t is of the prediction behind word t.
        words: T of them.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes 0.5 s, and only drawing needs it

    num_layers, num_heads, T, _ = weights.shape
    is_named = T <= MAX_NAMED
    side = max(2.5, 0.16 * T) if is_named else 4.0
    figure = Figure(figsize=(side * num_heads + 1, side * num_layers + 1), dpi=100, layout="constrained")
    panels = figure.subplots(num_layers, num_heads, squeeze=False)
    named = [_readable(word) for word in words]
    for (layer, head), axes in np.ndenumerate(panels):
        shown = axes.imshow(weights[layer, head], vmin=0, vmax=1, cmap="Greens", interpolation="nearest")
        axes.set_title(f"layer {layer + 1}, head {head + 1}" if num_layers * num_heads > 1 else "attention", fontsize=8)
        axes.set_xticks(range(T) if is_named else [], named if is_named else [], rotation=90, fontsize=6)
        axes.set_yticks(range(T) if is_named else [], named if is_named else [], fontsize=6)
    figure.colorbar(shown, ax=panels, shrink=0.6, label="attention")
    figure.supxlabel("looked at")
    figure.supylabel("looking, to guess the word behind it")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()


def _readable(word: str) -> str:
    """A word as it can be drawn: white space told apart, and nothing that the font lacks or reads as a formula."""
    told = "".join(letter if letter.isprintable() and _is_drawn(ord(letter)) else "·" for letter in word)
    return {"\n": "¶", "\n\n": "¶¶", " ": "_"}.get(word, told).replace("$", r"\$")


def _is_drawn(code: int) -> bool:
    """Whether matplotlib's own font has it: Latin, Greek, Cyrillic, Hebrew, and the punctuation of print."""
    return code < 0x0600 or 0x2010 <= code < 0x2040
