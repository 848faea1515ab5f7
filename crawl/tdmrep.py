"""The rights a site reserves by path: /.well-known/tdmrep.json of the TDM Reservation Protocol.

Source: TDM Reservation Protocol, W3C Community Group Final Report (2024), section 6.2.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from crawl.path_patterns import PatternIndex, escaped, path_of, unescaped

MAX_TDMREP_BYTES = 512_000
"""Bytes of a tdmrep.json that are read, as many as of a robots.txt."""

_ORIGIN = re.compile(r"https?://[^/]*", re.I)
_PLAIN_RESERVATION = re.compile(rb"""["']?tdm-reservation["']?\s*:\s*["']?1\b""", re.I)
_VALUES = {"0": False, "1": True, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class TdmRule:
    """One rule of a tdmrep.json.

    Attributes:
        location: pattern of the paths it is for, escaped as in URLs.
        reserved: whether rights are reserved there.
    """

    location: str
    reserved: bool


@dataclass(frozen=True)
class TdmRep:
    """The rules of a tdmrep.json, in their order; none where nothing is stated."""

    rules: tuple[TdmRule, ...] = ()

    def reserves(self, url: str) -> bool:
        """Return whether rights are reserved for a URL; where no rule is for it, they are not.

        "The most specific match", which the report asks for and calls "the first in sequence", need not be the first:
        rights are reserved where either the first match or one with the longest pattern reserves them.
        """
        if not self.rules:
            return False
        path = path_of(url)
        covering = sorted({*self._as_written.covering(path), *self._widened.covering(unescaped(path))})
        matches = [self.rules[position] for position in covering]
        length = max((len(rule.location) for rule in matches), default=0)
        return any(
            rule.reserved for rule in (*matches[:1], *(rule for rule in matches if len(rule.location) == length))
        )

    @cached_property
    def _as_written(self) -> PatternIndex[int]:
        return PatternIndex((rule.location, position) for position, rule in enumerate(self.rules))

    @cached_property
    def _widened(self) -> PatternIndex[int]:
        """Positions of what is reserved, in whichever spelling."""
        return PatternIndex(
            (unescaped(rule.location), position) for position, rule in enumerate(self.rules) if rule.reserved
        )


def parse_tdmrep(body: bytes) -> TdmRep:
    """Return the rules in a tdmrep.json; those without a location or a known value are left out.

    A file that is no JSON, such as a page in its place, states nothing. Where it says `"tdm-reservation": 1` all
    the same (a comma too many, a file cut off), rights are taken to be reserved for the whole site.
    """
    body = body[:MAX_TDMREP_BYTES]
    try:
        content = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return TdmRep((TdmRule("/", True),) if _PLAIN_RESERVATION.search(body) else ())
    # One rule without the list around it is a mistake the report itself warns of.
    items = content if isinstance(content, list) else [content]
    return TdmRep(tuple(rule for item in items if isinstance(item, dict) and (rule := _rule(item)) is not None))


def _rule(item: dict[str, Any]) -> TdmRule | None:
    location, value = item.get("location"), item.get("tdm-reservation")
    reserved = _VALUES.get(str(value).strip().lower())
    if not isinstance(location, str) or reserved is None:
        return None
    path = _ORIGIN.sub("", location.strip(), count=1) or "/"
    path = path if path.startswith(("/", "*")) else f"/{path}"
    return TdmRule(escaped(path.encode("utf-8", "replace").decode("latin-1")), reserved)
