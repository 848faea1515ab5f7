"""What was forgotten, and must not come back: `OUT/tombstones.jsonl`.

Each line is a JSON object with one of `url`, `host` or `sha256` (of the file as fetched). A record that any line
matches is rejected as `forgotten` wherever it turns up. URLs and hosts are read as browsers read them, so that every
spelling of an address forgets the same.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from crawl.urls import canonical_url, host_of
from pipelines.errors import TombstoneError
from shards.manifest import atomic_write
from shards.object_path import AnyPath

FILE = "tombstones.jsonl"
_KINDS = frozenset({"url", "host", "sha256"})
_EXAMPLES = {"url": "https://example.org/a", "host": "example.org", "sha256": "64 hex digits"}
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
        return url in self.urls or sha256 in self.sha256s or (bool(self.hosts) and host_of(url) in self.hosts)


def read_tombstones(out: AnyPath) -> Tombstones:
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


def add_tombstones(out: AnyPath, wanted: Iterable[tuple[str, str]]) -> None:
    """Writes a line for each kind and value that is not there yet.

    Raises:
        TombstoneError: a value is none of its kind, or the file there cannot be read.
    """
    known = read_tombstones(out)
    there = {"url": known.urls, "host": known.hosts, "sha256": known.sha256s}
    path = out / FILE
    content = path.read_bytes() if path.exists() else b""
    lines = [content.rstrip(b"\n")] if content.strip() else []
    added: set[tuple[str, str]] = set()
    for kind, value in wanted:
        spelt = _canonical(kind, value)
        if not spelt:
            raise TombstoneError(f"--{kind} {value!r} is no {kind}; give one as in {_EXAMPLES[kind]}")
        if spelt not in there[kind] and (kind, spelt) not in added:
            added.add((kind, spelt))
            lines.append(json.dumps({kind: spelt}, ensure_ascii=False).encode())
    if added:
        atomic_write(path, b"\n".join(lines) + b"\n")


def _read_line(line: bytes, place: str) -> tuple[str, str]:
    try:
        entry = json.loads(line)
    except ValueError as error:  # JSON or UTF-8
        raise TombstoneError(f"{place}: not JSON ({error}); mend the line: {_FORM}") from error
    kinds = _KINDS & entry.keys() if isinstance(entry, dict) else frozenset()
    if len(kinds) != 1 or not isinstance(entry[(kind := next(iter(kinds)))], str):
        raise TombstoneError(f"{place}: {_FORM}")
    value = _canonical(kind, entry[kind])
    if not value:
        raise TombstoneError(f"{place}: {entry[kind]!r} is no {kind}; {_FORM}")
    return kind, value


def _canonical(kind: str, value: str) -> str | None:
    """The one spelling of a value, or None where it cannot be meant."""
    if kind == "sha256":
        return value.lower() if re.fullmatch("[0-9a-fA-F]{64}", value) else None
    url = canonical_url(f"http://{value}/" if kind == "host" else value)
    if kind == "url" or url is None:
        return url
    return host_of(url) if url.count("/") == 3 and "?" not in url else None
