"""A whole object, asked for in ranges, several at once."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

RANGE_BYTES = 8 * 2**20
"""Of an object that are asked for together."""

ASKED_AT_ONCE = 3
"""Ranges: one is written while others are on their way."""


def write_ranges(file: BinaryIO, num_bytes: int, read_range: Callable[[int, int], bytes]) -> None:
    """Write an object into a file, from its beginning to its end.

    Args:
        file: To write into.
        num_bytes: Of the object. A range is asked for even of a small one: else `s3fs` asks for the size first.
        read_range: Returns a range of the object, given its offset and length; raises what this raises.
    """
    wanted: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(ASKED_AT_ONCE) as asking:
        for start in range(0, num_bytes, RANGE_BYTES):
            wanted.append(asking.submit(read_range, start, min(RANGE_BYTES, num_bytes - start)))
            if len(wanted) == ASKED_AT_ONCE:
                file.write(wanted.popleft().result())
        for data in wanted:
            file.write(data.result())
    file.flush()
