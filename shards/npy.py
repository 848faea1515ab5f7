"""The bytes of a `.npy` file, the same under every numpy version."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY\x01\x00"
_ALIGNMENT = 64


@cache
def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return what stands before the data of a C-ordered array; its length is a multiple of 64.

    Source: NEP 1, "A Simple File Format for NumPy Arrays", version 1.0.

    Args:
        dtype: A type string with its byte order, such as `"<f2"` or `"|u1"`.
        shape: The array's shape.
    """
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape!r}, }}"
    room = -(len(_MAGIC) + 2 + len(text) + 1) % _ALIGNMENT
    line = text.encode("latin-1") + b" " * room + b"\n"
    return _MAGIC + len(line).to_bytes(2, "little") + line


def npy_bytes(array: NDArray[np.generic]) -> bytes:
    """Return an array as a little-endian `.npy` file."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return b"".join((npy_header(little.dtype.str, array.shape), little.data))


def npy_length(dtype: str, shape: tuple[int, ...]) -> int:
    """Return how many bytes `npy_bytes` makes of such an array."""
    return len(npy_header(dtype, shape)) + math.prod(shape) * np.dtype(dtype).itemsize
