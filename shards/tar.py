"""The bytes of a USTAR archive, so that its size is known before it is written.

Every header is made by one function with owner, group and time 0: a shard's bytes
follow from its members alone.
"""

from collections.abc import Iterable, Iterator

BLOCK_BYTES = 512

TRAILER = bytes(2 * BLOCK_BYTES)
"""Two blocks of zeros, which end an archive."""

MAX_NAME_BYTES = 100
MAX_MEMBER_BYTES = 8**11 - 1
"""The largest size that eleven octal digits hold, 8 GiB less one byte."""

_OWNER_AND_GROUP = b"0000000\0" * 2
_MODE = b"0000644\0"
_NO_TIME = b"00000000000\0"
_MAGIC_AND_VERSION = b"ustar\x0000"
_DEVICE = b"0000000\0" * 2

_BEFORE_SIZE = _MODE + _OWNER_AND_GROUP
_AFTER_SIZE = b"\0" + _NO_TIME
_REST = b"0" + bytes(100) + _MAGIC_AND_VERSION + bytes(64) + _DEVICE + bytes(155 + 12)
_CONSTANT_SUM = sum(_BEFORE_SIZE) + sum(_AFTER_SIZE) + 8 * ord(" ") + sum(_REST)


def member_name(key: str, extension: str) -> str:
    """Return a member's name, `key.extension`.

    Raises:
        ValueError: The key is empty or holds a dot or a slash, or the extension is empty or holds a slash;
            readers would cut the name elsewhere.
    """
    if not key or "." in key or "/" in key:
        raise ValueError(f"{key!r} is no sample key: it must be neither empty nor hold a dot or a slash")
    if not extension or "/" in extension:
        raise ValueError(f"{extension!r} is no extension: it must be neither empty nor hold a slash")
    return f"{key}.{extension}"


def header(name: str, size: int) -> bytes:
    """Return the 512-byte USTAR header of a regular file.

    Source: POSIX.1-2017, pax, "ustar Interchange Format".

    Args:
        name: The member's name, at most 100 bytes of UTF-8.
        size: The member's length in bytes, below 8 GiB.

    Raises:
        ValueError: The name or the size does not fit.
    """
    encoded = name.encode()
    if not 0 < len(encoded) <= MAX_NAME_BYTES or b"\0" in encoded:
        raise ValueError(f"member name {name!r}: a name takes 1 to {MAX_NAME_BYTES} bytes, none of them zero")
    if not 0 <= size <= MAX_MEMBER_BYTES:
        raise ValueError(f"member {name!r} of {size} bytes: a member takes 0 to {MAX_MEMBER_BYTES} bytes")
    length = b"%011o" % size
    # The checksum counts its own eight bytes as spaces.
    checksum = _CONSTANT_SUM + sum(encoded) + sum(length)
    return b"%b%b%b%b%06o\0 %b" % (encoded.ljust(100, b"\0"), _BEFORE_SIZE, length, _AFTER_SIZE, checksum, _REST)


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each member in a run of whole members, such as one sample of a shard.

    Raises:
        ValueError: The bytes are no such run.
    """
    position = 0
    while position < len(data):
        start = position + BLOCK_BYTES
        block = data[position:start]
        if block[257:265] != _MAGIC_AND_VERSION:
            raise ValueError(f"no USTAR header at byte {position}")
        size = int(block[124:135], 8)
        if start + size > len(data):
            raise ValueError(f"the member at byte {position} is cut short")
        yield block[:MAX_NAME_BYTES].rstrip(b"\0").decode(), data[start : start + size]
        position += member_bytes(size)


def padding(size: int) -> bytes:
    """Return the zeros that fill a member of `size` bytes up to a whole block."""
    return bytes(-size % BLOCK_BYTES)


def member_bytes(size: int) -> int:
    """Return what a member of `size` bytes takes in an archive, header and padding included.

    >>> member_bytes(0), member_bytes(1), member_bytes(512)
    (512, 1024, 1024)
    """
    return BLOCK_BYTES + size + -size % BLOCK_BYTES


def sample_bytes(lengths: Iterable[int]) -> int:
    """Return what a sample with members of these lengths takes in an archive."""
    return sum(member_bytes(length) for length in lengths)
