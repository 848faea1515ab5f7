"""What a site's ai.txt lets into data sets: the rules of robots.txt, mostly over file types such as "*.jpg".

Source: Spawning, ai.txt (https://site.spawning.ai/spawning-ai-txt): its generator writes one group for all agents, a
line for each file type, and "/" and "*" where the rest is meant too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crawl.path_patterns import path_of
from crawl.records import Kind
from crawl.robots import MAX_ROBOTS_BYTES, Group, Rule, parse_robots

MAX_AI_TXT_BYTES = MAX_ROBOTS_BYTES
"""Bytes of an ai.txt that are read."""

_FILE_TYPE = re.compile(r"/?\*(?P<type>\.[a-z0-9]{1,8})\$?", re.I)
_ENDING = re.compile(r"\.[a-z0-9]{1,8}$", re.I)

# Endings a URL of each kind usually has; one without any of them may be any of them.
_USUAL_ENDINGS: dict[Kind, tuple[str, ...]] = {
    "page": (".html", ".htm", ".xhtml"),
    "sitemap": (".xml",),
    "image": (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".tif", ".tiff", ".bmp"),
}


@dataclass(frozen=True, slots=True)
class AiTxt:
    """The rules of an ai.txt for us: those over file types, by ending, and those over paths."""

    by_type: Mapping[str, Rule]
    by_path: Group

    def disallows(self, url: str, kind: Kind) -> bool:
        """Return whether a URL is kept out of data sets: the longest rule decides, Disallow before Allow.

        A URL whose ending does not show its type (a page at "/trees/", a picture at "/image?id=7") may be of any that
        its kind usually has: one of them disallowed disallows it.
        """
        if not (self.by_type or self.by_path.rules):
            return False
        of_type = [self.by_type[ending] for ending in _endings(url, kind) if ending in self.by_type]
        strictest = [rule for rule in of_type if not rule.allow] or of_type
        of_path = self.by_path.deciding_rule(path_of(url))
        rules = strictest if of_path is None else [*strictest, of_path]
        best = max(rules, key=lambda rule: (len(rule.pattern), not rule.allow), default=None)
        return best is not None and not best.allow


NO_AI_TXT = AiTxt({}, Group())
"""What a site without an ai.txt says: nothing."""


def parse_ai_txt(body: bytes, agent: str) -> AiTxt:
    """Return the rules of an ai.txt that are meant for an agent; a page in its place, or prose, has none.

    Args:
        body: the file, in any encoding.
        agent: product token of the crawler; the rules for everybody are for it where it has none of its own.
    """
    groups = parse_robots(200, body).groups
    by_type: dict[str, Rule] = {}
    by_path: list[Rule] = []
    for rule in (groups.get(agent.lower()) or groups.get("*") or Group()).rules:
        match = _FILE_TYPE.fullmatch(rule.pattern)
        if match is None:
            by_path.append(rule)
        elif match["type"].lower() not in by_type or not rule.allow:
            by_type[match["type"].lower()] = rule
    return AiTxt(by_type, Group(tuple(by_path)))


def _endings(url: str, kind: Kind) -> tuple[str, ...]:
    match = _ENDING.search(path_of(url).partition("?")[0].lower())
    own = match.group() if match else ""
    return (own,) if own in _USUAL_ENDINGS[kind] else (own, *_USUAL_ENDINGS[kind])
