"""A shuffle that is computed, not stored: any element of it without the others."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 8
"""Of the Feistel network; each mixes one coordinate into the other. FF3, for as small domains, takes 8."""

Words = NDArray[np.uint64]


def permute(numbers: NDArray[np.int64], size: int, keys: Sequence[int]) -> NDArray[np.int64]:
    """Return where a permutation of the numbers below `size` takes these, in constant memory.

    A number is a place in a grid of `a × b ≥ size` with both sides near the root of `size`. Each round shifts one
    coordinate, around its side, by a hash of the other; that can be undone, so that the whole is a bijection of the
    grid. What falls behind the `size`-th place goes round again until it does not ("cycle walking"), and since
    the grid is hardly larger than `size`, that is rare.

    Source: Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, section 5, "Generalized-Feistel
    Cipher" and "Cycle-Walking Cipher"; the hash is the finaliser of splitmix64, Steele et al., OOPSLA 2014.

    Args:
        numbers: Each below `size`, any shape.
        size: 1 to 2**62.
        keys: `ROUNDS` random numbers below 2**64: which permutation.
    """
    width = math.isqrt(size - 1) + 1 if size > 1 else 1
    height = -(-size // width)
    found = _encipher(numbers.astype(np.uint64), width, height, keys)
    outside = np.flatnonzero(found >= size)
    while len(outside):
        found[outside] = _encipher(found[outside], width, height, keys)
        outside = outside[found[outside] >= size]
    return found.astype(np.int64)


def _encipher(numbers: Words, width: int, height: int, keys: Sequence[int]) -> Words:
    """One pass over the grid of `width × height`."""
    sides = (np.uint64(width), np.uint64(height))
    row, column = np.divmod(numbers, sides[1])
    for number, key in enumerate(keys):
        if number % 2 == 0:
            row = (row + _hash(column, key) % sides[0]) % sides[0]
        else:
            column = (column + _hash(row, key) % sides[1]) % sides[1]
    return row * sides[1] + column


def _hash(values: Words, key: int) -> Words:
    """Return 64 bits that depend on every bit of value and key."""
    mixed = values ^ np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
