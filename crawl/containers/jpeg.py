"""JPEG: markers up to the first scan. Source: ITU-T T.81, annex B."""

import re

from crawl.containers.stripped import BombError, DamagedError, Stripped

MAX_SEGMENTS = 2_000
"""Photographs have some 10 to 60; an ICC profile or Photoshop data may add a few hundred of 64 kB."""

MAX_SCANS = 100
"""A progressive picture has about 10. Each scan visits every block of the picture, however few bytes it has.

Source: libjpeg-turbo, "Two issues with the JPEG standard", which advises applications to set a limit."""

_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_START_OF_SCAN, _END = 0xDA, 0xD9
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD})
_WITH_LENGTH = frozenset(range(0xC0, 0xFF)) - _STANDALONE - {_END}
_JFIF, _EXIF, _ICC, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
_NEEDED = _FRAMES | _TABLES | {_JFIF, _ADOBE}
_EXIF_HEAD, _ICC_HEAD = b"Exif\0\0", b"ICC_PROFILE\0"


def strip(payload: bytes) -> Stripped:
    """Return the file without comments and application data, but for the colour profile.

    Raises:
        DamagedError: no scan is reached.
        BombError: too many segments or scans.
    """
    kept: list[bytes] = [payload[:2]]
    exif, coefficients, frame, num_components, at = b"", 0.0, 0, 0, 2
    for _ in range(MAX_SEGMENTS):
        marker, start, end = _next_segment(payload, at)
        if marker == _START_OF_SCAN:
            num_coded = payload[start + 4] if end > start + 4 else 0
            is_buffered = frame in _PROGRESSIVE or num_coded < num_components  # else libjpeg refuses a second scan
            if is_buffered:
                _check_scans(payload, start)
            return Stripped(b"".join([*kept, memoryview(payload)[start:]]), exif, coefficients * is_buffered)
        if marker in _FRAMES:
            frame, num_components = marker, payload[start + 9] if end > start + 9 else 0
            coefficients = _coefficient_bytes(payload[start:end])
        if marker == _EXIF and not exif and payload.startswith(_EXIF_HEAD, start + 4):
            exif = payload[start + 10 : end]
        if _is_needed(marker, payload, start):
            kept.append(payload[start:end])
        at = end
    raise BombError(f"more than {MAX_SEGMENTS} segments")


def _next_segment(payload: bytes, at: int) -> tuple[int, int, int]:
    """The next marker that has a length, where it begins and where its segment ends; bytes before it are skipped."""
    if at + 4 <= len(payload) and payload[at] == 0xFF and payload[at + 1] in _WITH_LENGTH:  # as nearly always
        end = at + 2 + int.from_bytes(payload[at + 2 : at + 4], "big")
        if at + 4 <= end <= len(payload):
            return payload[at + 1], at, end
    for found in _MARKER.finditer(payload, at):
        marker = found[1][0]
        if marker == _END:
            break
        if marker in _STANDALONE:
            continue
        start, length = found.end() - 2, int.from_bytes(payload[found.end() : found.end() + 2], "big")
        if length < 2 or found.end() + length > len(payload):
            break
        return marker, start, found.end() + length
    raise DamagedError("no scan is reached")


def _is_needed(marker: int, payload: bytes, start: int) -> bool:
    if marker == _ICC:
        return payload.startswith(_ICC_HEAD, start + 4)
    return marker in _NEEDED


def _check_scans(payload: bytes, start: int) -> None:
    """Count scans from the first on, pictures behind this one included; in coded data every FF is followed by 00."""
    num_scans = payload.count(b"\xff\xda", start)
    if num_scans > MAX_SCANS:
        raise BombError(f"{num_scans} scans")


def _coefficient_bytes(frame: bytes) -> float:
    """Bytes a pixel that all coefficients take: 16 bits each, as many as the components are sampled."""
    num_components = frame[9] if len(frame) > 9 else 0
    sampling = [(byte >> 4, byte & 15) for byte in frame[11 : 11 + 3 * num_components : 3]]
    most = max((across for across, _ in sampling), default=0) * max((down for _, down in sampling), default=0)
    return 2 * sum(across * down for across, down in sampling) / most if most else 0.0
