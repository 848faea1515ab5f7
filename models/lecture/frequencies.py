"""An idea: how often has each pixel which colour? Draw every pixel by its own frequencies."""

import numpy as np
from numpy.typing import NDArray


def draw_by_frequencies(pictures: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.uint8]:
    """Return pictures each of whose pixels has a colour as often as that pixel has in training pictures.

    To draw a colour by how often it was counted is to draw one of the pictures it was counted in, for each pixel anew.

    Args:
        pictures: (N, S, S, C).
        count: pictures to draw.
        seed: of the drawing.

    Returns:
        (count, S, S, C).
    """
    N, S = pictures.shape[:2]
    chosen = np.random.default_rng(seed).integers(0, N, (count, S, S))
    rows, columns = np.indices((S, S))
    return np.asarray(pictures[chosen, rows, columns])
