"""What a terminal is shown: pictures in coloured half blocks or letters, and text, at any width."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from pipelines.harmless import MAX_CHARACTERS, harmless

RAMP = " .:-=+*#%@"
"""Letters from dark to bright, for terminals without colours or without half blocks."""

HALF_BLOCK = "▀"

MAX_COLUMNS = 64
"""Of one picture, however wide the terminal is."""

GAP = 2
"""Columns between two pictures."""

THREE_FIT, TWO_FIT = 60, 24
"""Columns from which on three pictures, or two, stand side by side."""

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue. Source: ITU-R BT.601."""


class Screen:
    """A terminal, or a file in its place, and what it can show.

    Args:
        console: where it is printed.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._has_blocks = (
            console.color_system in ("256", "truecolor")
            and not console.no_color
            and not console.options.ascii_only
            and not console.is_dumb_terminal
        )

    @property
    def num_abreast(self) -> int:
        """How many pictures stand side by side."""
        return 3 if self.console.width >= THREE_FIT else 2 if self.console.width >= TWO_FIT else 1

    @property
    def columns(self) -> int:
        """The most columns that a picture takes where as many as fit stand side by side."""
        each = (self.console.width - GAP * (self.num_abreast - 1)) // self.num_abreast
        return max(2, min(each, MAX_COLUMNS))

    def say(self, text: str, style: str = "", most: int = MAX_CHARACTERS, indent: int = 0) -> None:
        """Prints what may come from the web, wrapped at the terminal's width; nothing where it is empty."""
        if told := harmless(text, self.console.encoding, most):
            self.say_text(Text(told, style), indent)

    def say_text(self, text: Text, indent: int = 0) -> None:
        """Prints text that is harmless, wrapped at the terminal's width, without blanks at the ends of lines."""
        for line in text.wrap(self.console, max(1, self.console.width - indent)):
            line.rstrip()
            self.console.print(Text(" " * indent) + line, soft_wrap=True)

    def say_address(self, address: str, indent: int = 0) -> None:
        """Prints an address on a line of its own, which the terminal breaks: it can be copied whole."""
        told = Text(" " * indent + harmless(address, self.console.encoding), "dim")
        self.console.print(told, soft_wrap=True)

    def draw(self, pictures: Sequence[tuple[str, NDArray[np.uint8]]], columns: int = 0) -> None:
        """Prints pictures, uint8 (H, W, C), under their labels, as many side by side as fit.

        Args:
            pictures: each with its label.
            columns: the most that one takes; what fits if 0.
        """
        limit = min(columns or self.columns, self.columns)
        for start in range(0, len(pictures), self.num_abreast):
            self._draw_row(pictures[start : start + self.num_abreast], limit)

    def _draw_row(self, pictures: Sequence[tuple[str, NDArray[np.uint8]]], limit: int) -> None:
        encoding = self.console.encoding
        labels = [harmless(label, encoding)[:limit].ljust(limit) for label, _ in pictures]
        self.console.print(Text((" " * GAP).join(labels).rstrip(), "bold"), no_wrap=True, overflow="crop")
        drawn = [self._lines(fitted(pixels, limit)) for _, pixels in pictures]
        for line in zip_longest(*drawn):
            segments: list[Segment] = []
            for number, part in enumerate(line):
                segments += [Segment(" " * GAP)] * (number > 0)
                segments += _padded(part or [], limit if number < len(line) - 1 else 0)
            self.console.print(Segments([*segments, Segment.line()]), end="", soft_wrap=True)

    def _lines(self, pixels: NDArray[np.uint8]) -> list[list[Segment]]:
        return _half_blocks(pixels) if self._has_blocks else _letters(pixels)


def fitted(pixels: NDArray[np.uint8], limit: int) -> NDArray[np.uint8]:
    """The picture in colour, uint8 (H, W, 3), at most `limit` pixels wide, and as high as twice that, H even.

    A small one is enlarged by a whole number. Of a larger one single pixels are taken, not averages of them: those
    would show less static than there is.
    """
    height, width = pixels.shape[:2]
    coloured = np.broadcast_to(pixels, (height, width, 3))
    scale = min(limit / width, 2 * limit / height)
    if scale >= 1:
        coloured = coloured.repeat(int(scale), axis=0).repeat(int(scale), axis=1)
    else:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        coloured = np.asarray(Image.fromarray(coloured.copy()).resize(size, Image.Resampling.NEAREST))
    return np.pad(coloured, ((0, len(coloured) % 2), (0, 0), (0, 0)), mode="edge")


def _half_blocks(pixels: NDArray[np.uint8]) -> list[list[Segment]]:
    """Lines of half blocks, two pixels in each: the upper in its own colour, the lower in that behind it."""
    return [
        [
            Segment(HALF_BLOCK, Style(color=_color(upper), bgcolor=_color(lower)))
            for upper, lower in zip(*pair, strict=True)
        ]
        for pair in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True)
    ]


def _color(rgb: Sequence[int]) -> Color:
    return Color.from_rgb(*rgb)


def _letters(pixels: NDArray[np.uint8]) -> list[list[Segment]]:
    """Lines of letters by how bright two pixels are, one above the other."""
    bright = (pixels.astype(np.float32) @ _LUMINANCE).reshape(len(pixels) // 2, 2, -1).mean(axis=1)
    places = np.minimum((bright / 256 * len(RAMP)).astype(int), len(RAMP) - 1)
    return [[Segment("".join(RAMP[place] for place in row))] for row in places.tolist()]


def _padded(line: list[Segment], columns: int) -> list[Segment]:
    blank = columns - sum(segment.cell_length for segment in line)
    return [*line, Segment(" " * blank)] if blank > 0 else line
