"""GIF: its blocks up to the first frame. Source: GIF89a specification, sections 15 to 26."""

from crawl.containers.stripped import BombError, DamagedError, Stripped

MAX_BLOCKS = 300_000
"""Comments of 32 MiB in full blocks of 255 bytes are 131,586 of them."""

_SCREEN_END, _EXTENSION, _FRAME, _GRAPHIC_CONTROL = 13, 0x21, 0x2C, 0xF9


def strip(payload: bytes) -> Stripped:
    """Return the file without the comments and application data before its first frame.

    Raises:
        DamagedError: no frame is reached.
        BombError: too many blocks before it.
    """
    if len(payload) < _SCREEN_END:
        raise DamagedError("the logical screen is cut off")
    at = _SCREEN_END + (3 << (payload[10] & 7) + 1 if payload[10] & 0x80 else 0)
    kept, control, budget = payload[:at], b"", MAX_BLOCKS
    while at + 2 < len(payload) and payload[at] == _EXTENSION:
        end, budget = _skip_blocks(payload, at + 2, budget)
        if payload[at + 1] == _GRAPHIC_CONTROL:
            control = payload[at:end]
        at = end
    if payload[at : at + 1] != bytes([_FRAME]):
        raise DamagedError(f"no frame at byte {at}")
    return Stripped(kept + control + payload[at:])


def _skip_blocks(payload: bytes, at: int, budget: int) -> tuple[int, int]:
    """Where the sub-blocks from `at` end, and what is left of the budget of blocks."""
    while at < len(payload) and payload[at]:
        at += 1 + payload[at]
        budget -= 1
        if not budget:
            raise BombError(f"more than {MAX_BLOCKS} blocks before the first frame")
    return at + 1, budget
