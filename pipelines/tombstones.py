"""What was forgotten, and must not come back: `OUT/tombstones.jsonl`.

Each line is a JSON object with one of `url`, `host` or `sha256` (of the file as fetched). A record that any line
matches is rejected as `forgotten` wherever it turns up.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.errors import TombstoneError

FILE = "tombstones.jsonl"
_KINDS = frozenset({"url", "host", "sha256"})
_FORM = 'a line holds one of url, host or sha256, as in {"url": "https://example.org/a"}'


@dataclass(frozen=True)
class Tombstones:
    """Everything that was forgotten.

    Attributes:
        urls: canonical URLs.
        hosts: host names.
        sha256s: hex digests of files as fetched.
        digest: hex SHA-256 of the file, "" where there is none; part of every fingerprint.
    """

    urls: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    sha256s: frozenset[str] = frozenset()
    digest: str = ""

    def cover(self, url: str, sha256: str = "") -> bool:
        """Whether the record fetched from `url`, with this content, was forgotten."""
        return url in self.urls or sha256 in self.sha256s or (bool(self.hosts) and urlsplit(url).hostname in self.hosts)


def read_tombstones(out: Path) -> Tombstones:
    """The tombstones of the builds in `out`.

    Raises:
        TombstoneError: a line is not of the form above.
    """
    path = out / FILE
    if not path.exists():
        return Tombstones()
    content = path.read_bytes()
    found: dict[str, set[str]] = {kind: set() for kind in _KINDS}
    for number, line in enumerate(content.splitlines(), start=1):
        kind, value = _read_line(line, f"{path}:{number}")
        found[kind].add(value)
    digest = hashlib.sha256(content).hexdigest()
    return Tombstones(frozenset(found["url"]), frozenset(found["host"]), frozenset(found["sha256"]), digest)


def _read_line(line: bytes, place: str) -> tuple[str, str]:
    try:
        entry = json.loads(line)
    except ValueError as error:  # JSON or UTF-8
        raise TombstoneError(f"{place}: not JSON ({error}); mend the line: {_FORM}") from error
    kinds = _KINDS & entry.keys() if isinstance(entry, dict) else frozenset()
    if len(kinds) != 1 or not isinstance(entry[(kind := next(iter(kinds)))], str):
        raise TombstoneError(f"{place}: {_FORM}")
    return kind, entry[kind]
