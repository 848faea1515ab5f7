"""Pictures side by side in one PNG, or one after another in a GIF."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GAP = 4
"""White pixels between two pictures."""

SHOWN_SIDE = 128
"""Pictures are enlarged by the whole number that brings their side nearest to this many pixels."""

FRAME_MS, LAST_FRAME_MS = 400, 3000
"""How long each sheet of a film is seen, in milliseconds."""


def contact_sheet(pictures: NDArray[np.uint8], columns: int) -> Image.Image:
    """Return pictures (N, S, S, C), row by row, as one image on white."""
    N, S, _, C = pictures.shape
    rows = -(-N // columns)
    scale = max(1, round(SHOWN_SIDE / S))
    pitch = S * scale + GAP
    sheet = Image.new("RGB", (columns * pitch + GAP, rows * pitch + GAP), "white")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        image = Image.fromarray(picture if C == 3 else picture[:, :, 0]).convert("RGB")
        enlarged = image.resize((S * scale, S * scale), Image.Resampling.BICUBIC)
        sheet.paste(enlarged, (GAP + column * pitch, GAP + row * pitch))
    return sheet


def save_sheet(pictures: NDArray[np.uint8], columns: int, path: Path) -> None:
    """Write pictures (N, S, S, C), row by row, as one PNG; folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(pictures, columns).save(path, format="PNG")


def save_film(frames: NDArray[np.uint8], columns: int, path: Path) -> None:
    """Write pictures (N, B, S, S, C) as a GIF of N sheets, the last of which stays for a while."""
    sheets = [contact_sheet(pictures, columns) for pictures in frames]
    times = [FRAME_MS] * (len(sheets) - 1) + [LAST_FRAME_MS]
    sheets[0].save(path, format="GIF", save_all=True, append_images=sheets[1:], duration=times, loop=0)
