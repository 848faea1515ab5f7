"""An idea: show the training picture that the static resembles most; and what that idea tells of any other: its copies.

Between static n and picture x the squared distance is |n|² + |x|² − 2 n·x. The last term alone is about what the
static looks like, and it is small: the picture that is greyest, with the least |x|², is nearest to nearly every static.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.pixels import to_values

LEVELS = 128
"""Grey levels of a pixel, 0 to 255, in a value's range of one."""


def nearest_pictures(values: Tensor, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each of B pictures or statics the nearest of N pictures (N, S, S, C), and how far it is.

    Args:
        values: (B, C, S, S), as `models.pixels` has them.
        pictures: to choose from.

    Returns:
        its number, and the root mean square distance of a pixel's value in grey levels, (B,) each.
    """
    apart = torch.cdist(values.flatten(1).double(), to_values(pictures).flatten(1).double())
    least, number = apart.min(dim=1)
    return number.numpy(), (least * LEVELS / values[0].numel() ** 0.5).numpy()
