"""The static of a triplet, defined bit by bit.

A picture's noise is a pure function of (seed, picture, draw): Philox words, four
16-bit words to each 64-bit output, each looked up in a table of standard-normal
quantiles. No machine, library version or batch size may change a bit of it.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

QUANTILES_SHA256 = "c84e2ee9a90a7a594e0c266c687ccb9dbfe20d0c0040f95fe05e2511d533ad11"
"""SHA-256 of the quantile table's little-endian bytes."""

STATIC_STREAM, PIXEL_STREAM = 0, 1
"""Fourth counter word of the static, and of the words that rank the pixels for masks."""


class NoiseError(RuntimeError):
    """This machine computes another quantile table than every other one."""


@cache
def quantile_table() -> NDArray[np.float16]:
    """Return the 65,536 standard-normal quantiles of (i + 1/2) / 65536.

    The upper half is the exact negation of the lower. Float16, ascending, within
    ±4.324, standard deviation 0.99999; read-only.

    Source: Wichura, "Algorithm AS241: The Percentage Points of the Normal
    Distribution", Applied Statistics 37 (1988), as in Python's `statistics`.

    Raises:
        NoiseError: The table's SHA-256 is not `QUANTILES_SHA256`.
    """
    inverse = NormalDist().inv_cdf
    lower = np.array([inverse((i + 0.5) / 65536) for i in range(32768)]).astype(np.float16)
    table = np.concatenate([lower, -lower[::-1]])
    digest = hashlib.sha256(table.astype("<f2").tobytes()).hexdigest()
    if digest != QUANTILES_SHA256:
        raise NoiseError(
            f"the noise table has SHA-256 {digest}, expected {QUANTILES_SHA256}: "
            "this machine's floating-point arithmetic would make other noise"
        )
    table.flags.writeable = False
    return table


def sample_id(key: str) -> int:
    """Return the 64-bit id of a picture: the first 16 hex digits of its key.

    >>> sample_id("00000000000000090123456789abcdef-k2-d0")
    9
    """
    return int(key[:16], 16)


def random_words(seed: int, identity: int, draw: int, stream: int, count: int) -> NDArray[np.uint16]:
    """Return `count` 16-bit words of the Philox 4x64-10 stream, lowest word of each output first.

    The key is `[seed, identity]`; block j = 0, 1, … has counter `(j + 1, 0, draw, stream)`.

    Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
    """
    # Python integers would pass through float64 and lose their low 11 bits.
    key = np.array([seed, identity], np.uint64)
    counter = np.array([0, 0, draw, stream], np.uint64)
    outputs = np.random.Philox(key=key, counter=counter).random_raw(-(-count // 4))
    return np.asarray(outputs, dtype="<u8").view("<u2")[:count]


def static(seed: int, identity: int, draw: int, shape: tuple[int, ...]) -> NDArray[np.float16]:
    """Return the standard-normal static of one picture and draw, in C order.

    Args:
        seed: The dataset's seed, 0 to 2**64 - 1.
        identity: The picture's id, see `sample_id`.
        draw: Which static of this picture, 0 or more.
        shape: The picture's shape, `(S, S, C)`.

    Returns:
        Float16 of `shape`, within ±4.324.
    """
    only: NDArray[np.float16] = statics(seed, [identity], [draw], shape)[0]
    return only


def statics(seed: int, identities: Sequence[int], draws: Sequence[int], shape: tuple[int, ...]) -> NDArray[np.float16]:
    """Return the statics of B pictures, float16 `(B, *shape)`; see `static`."""
    words = random_rows(seed, identities, draws, STATIC_STREAM, int(np.prod(shape)))
    values: NDArray[np.float16] = quantile_table().take(words.reshape(len(identities), *shape))
    return values


@cache
def wide_quantile_table() -> NDArray[np.float32]:
    """Return `quantile_table` as float32, exactly: to look a value up takes a third of widening it."""
    table = quantile_table().astype(np.float32)
    table.flags.writeable = False
    return table


def random_rows(
    seed: int, identities: Sequence[int], draws: Sequence[int], stream: int, count: int
) -> NDArray[np.uint16]:
    """Return the words of B pictures, uint16 `(B, count)`; see `random_words`."""
    words = np.empty((len(identities), count), np.uint16)
    for row, (identity, draw) in enumerate(zip(identities, draws, strict=True)):
        words[row] = random_words(seed, identity, draw, stream, count)
    return words
