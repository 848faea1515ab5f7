"""AV1: how large the frames of a stream of OBUs may be, by its sequence headers.

A decoder believes them, whatever the file around the stream says of the picture's size.

Source: AV1 Bitstream & Decoding Process Specification, sections 4.10.5, 5.3.2, 5.5.1 to 5.5.5.
"""

from crawl.containers.stripped import DamagedError

MAX_OBUS = 10_000
_SEQUENCE_HEADER = 1
_READ_BYTES = 128
"""A sequence header with 32 operating points takes some 100."""


class _Bits:
    """Unsigned numbers read one after the other, most significant bit first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        """The next `count` bits."""
        self._left -= count
        if self._left < 0:
            raise DamagedError("an AV1 sequence header is cut off")
        return self._value >> self._left & (1 << count) - 1

    def skip_if(self, *counts: int) -> bool:
        """Reads a flag; where it is set, passes over numbers of so many bits."""
        is_set = bool(self.read(1))
        self.read(sum(counts) if is_set else 0)
        return is_set


def max_frame_pixels(payload: bytes, start: int, end: int) -> int:
    """Return width times height of the largest frame that the OBUs in `payload[start:end]` allow; 0 without a header.

    Raises:
        DamagedError: a sequence header cannot be read.
    """
    most, at = 0, start
    for _ in range(MAX_OBUS):
        if at + 2 > end or payload[at] & 0x80:
            break
        kind, has_extension, has_size = payload[at] >> 3 & 15, payload[at] & 4, payload[at] & 2
        body = at + 1 + bool(has_extension)
        length = end - body
        if has_size:
            length, body = _leb128(payload, body)
        if kind == _SEQUENCE_HEADER:
            most = max(most, _read_frame_pixels(payload[body : body + min(length, _READ_BYTES)]))
        at = body + length
    return most


def _leb128(payload: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = 0
    for place in range(8):
        byte = payload[at + place] if at + place < len(payload) else 0
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return value, at + place + 1
    return value, at + 8


def _read_frame_pixels(header: bytes) -> int:
    bits = _Bits(header)
    bits.read(4)  # profile, whether it is a still picture
    if bits.read(1):
        bits.read(5)  # level
    else:
        _skip_operating_points(bits)
    across, down = bits.read(4) + 1, bits.read(4) + 1
    return (bits.read(across) + 1) * (bits.read(down) + 1)


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.read(1):  # timing
        bits.read(64)
        if bits.read(1):
            _skip_uvlc(bits)
        if bits.read(1):  # decoder model
            delay_bits = bits.read(5) + 1
            bits.read(42)
    has_display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if delay_bits:
            bits.skip_if(delay_bits, delay_bits, 1)
        if has_display_delay:
            bits.skip_if(4)


def _skip_uvlc(bits: _Bits) -> None:
    zeros = 0
    while not bits.read(1):
        zeros += 1
    bits.read(zeros if zeros < 32 else 0)
