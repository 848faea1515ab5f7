"""What a site asks of crawlers: robots.txt text in, a decision and the rule behind it out.

Follows RFC 9309 and, where it is silent, Google's open-source parser. Where an escaped and a plain spelling of
one path could be told apart, the cautious reading holds: a Disallow covers both, an Allow only its own.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from crawl.sitemaps import sitemaps_of
from crawl.urls import origin_of

MAX_ROBOTS_BYTES = 512_000
"""Bytes of robots.txt that are read; the rest is ignored. Source: RFC 9309, section 2.5 (at least 500 KiB)."""

MAX_ROBOTS_REDIRECTS = 5
"""Redirects followed on the way to a robots.txt. Source: RFC 9309, section 2.3.1.2."""

_MAX_LINE_LENGTH = 2083 * 8
"""Characters of one line that are read. Source: Google's robots.cc, kMaxLineLen."""

# Source: Google's robots.cc, which measured these misspellings on the web.
_DISALLOW = ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw")
_USER_AGENT = ("user-agent", "useragent", "user agent")
_CRAWL_DELAY = ("crawl-delay", "crawldelay", "crawl delay")

_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")
_KEPT_ESCAPES = frozenset({"%2F", "%2A", "%24"})  # "/", "*" and "$" mean something in a pattern

_VALUED_DIRECTIVES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One Allow or Disallow line.

    Attributes:
        allow: whether it allows.
        pattern: its path pattern, escaped as in URLs; "*" stands for anything, a closing "$" for the end.
        text: the line as evidence, such as "Disallow: /private/".
    """

    allow: bool
    pattern: str
    text: str

    def matches(self, path: str) -> bool:
        """Return whether the rule covers a path (with query, as in the URL)."""
        if _glob_matches(self.pattern, path):
            return True
        if self.allow:
            # Google reads an allowed index page as an allowed folder.
            folder = self.pattern.removesuffix("index.html")
            return folder != self.pattern and folder.endswith("/") and _glob_matches(folder + "$", path)
        return _glob_matches(_unescaped(self.pattern), _unescaped(path))


@dataclass(slots=True)
class Group:
    """All rules that one product token has in a robots.txt, and the longest crawl delay asked of it, in seconds."""

    rules: list[Rule] = field(default_factory=list)
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class RobotsDecision:
    """Whether a URL may be asked for, the rule that decided ("none" where none did), and the delay asked for."""

    allowed: bool
    rule: str
    delay_s: float | None


@dataclass(frozen=True, slots=True)
class Robots:
    """What one origin asks of crawlers.

    Attributes:
        state: "rules" where a robots.txt was read, "absent" where there is none (all is allowed), "unavailable"
            where it could not be had (nothing is allowed, for now).
        groups: rules by lower-case product token, "*" for everybody else.
        sitemaps: canonical URLs of the sitemaps it names.
    """

    state: Literal["rules", "absent", "unavailable"]
    groups: Mapping[str, Group] = field(default_factory=dict)
    sitemaps: tuple[str, ...] = ()

    def decide(self, agent: str, url: str) -> RobotsDecision:
        """Return the decision for a URL: the longest matching pattern wins, Allow before Disallow.

        Args:
            agent: product token of the crawler, such as "seedbed"; case does not matter.
            url: canonical URL.

        Source: RFC 9309, section 2.2.2.
        """
        if self.state == "unavailable":
            return RobotsDecision(False, "unavailable", None)
        group = self.groups.get(agent.lower()) or self.groups.get("*") or Group()
        path = _path_of(url)
        matching = [rule for rule in group.rules if rule.matches(path)]
        if not matching or path == "/robots.txt":
            return RobotsDecision(True, "none", group.delay_s)
        best = max(matching, key=lambda rule: (len(rule.pattern), rule.allow))
        return RobotsDecision(best.allow, best.text, group.delay_s)


def parse_robots(status: int | None, body: bytes) -> Robots:
    """Return the rules in a robots.txt, as its HTTP status lets them count.

    Args:
        status: status of the last answer; None where there was none (timeout, name server, TLS, redirects).
        body: its first `MAX_ROBOTS_BYTES`, in any encoding: paths are compared byte by byte.

    Source: RFC 9309, section 2.3.1, and 429 as Google does: "too many requests" is no permission.
    """
    if status is None or status == 429 or not 200 <= status < 500:
        return Robots("unavailable")
    if status >= 300:
        return Robots("absent") if status >= 400 else Robots("unavailable")
    groups: dict[str, Group] = {}
    for agents, key, value in _lines_with_agents(_robots_lines(body)):
        for agent in agents:
            _add_line(groups.setdefault(agent, Group()), key, value)
    return Robots("rules", groups, tuple(sitemaps_of(body)))


def robots_directives(values: Iterable[str], agent: str) -> frozenset[str]:
    """Return the directives of X-Robots-Tag headers or robots meta elements that are meant for us, in lower case.

    "none" is spelled out as "noindex" and "nofollow". A token with a colon names the crawler which it and all
    that follow in the same value are for.

    >>> sorted(robots_directives(["noai, seedbed: nofollow", "otherbot: noindex"], "seedbed"))
    ['noai', 'nofollow']

    Source: Google's robots meta tag specification; "noai" and "noimageai" as introduced by DeviantArt (2022).
    """
    directives: set[str] = set()
    for value in values:
        for_us = True
        for token in value.lower().split(","):
            name, colon, rest = token.partition(":")
            if colon and name.strip() not in _VALUED_DIRECTIVES:
                for_us, token = name.strip() == agent.lower(), rest  # noqa: PLW2901 - the rest is the directive
            if for_us and token.strip():
                directives.add(token.strip())
    return frozenset(directives | ({"noindex", "nofollow"} if "none" in directives else set()))


def _robots_lines(body: bytes) -> Iterable[tuple[str, str]]:
    """Yield (key, value) of each line, the key in lower case; the value's bytes as Latin-1 characters."""
    text = body[:MAX_ROBOTS_BYTES].removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    for line in re.split(r"[\r\n]+", text):
        content = line[:_MAX_LINE_LENGTH].partition("#")[0].strip()
        key, colon, value = content.partition(":")
        if not colon:
            # Google forgives a missing colon where the line is exactly two words.
            words = content.split()
            if len(words) != 2:
                continue
            key, value = words
        yield key.strip().lower(), value.strip()


def _lines_with_agents(lines: Iterable[tuple[str, str]]) -> Iterable[tuple[frozenset[str], str, str]]:
    """Yield each line that counts, under canonical key, with the product tokens of the group it stands in.

    Agent lines that follow one another share a group; only a rule ends the list, so that unknown lines between
    two agent lines do not. Source: RFC 9309, section 2.2.4.
    """
    agents: frozenset[str] = frozenset()
    rule_seen = False
    for key, value in lines:
        if key.startswith(_USER_AGENT):
            agents = (frozenset() if rule_seen else agents) | {_product_token(value)}
            rule_seen = False
            yield agents, "user-agent", value
        elif key == "allow" or key.startswith(_DISALLOW):
            rule_seen = True
            yield agents, "allow" if key == "allow" else "disallow", value
        elif key in _CRAWL_DELAY:
            yield agents, "crawl-delay", value


def _product_token(value: str) -> str:
    """Return what of an agent line names a crawler; values are read up to the first character no token has."""
    if re.match(r"\*(\s|$)", value):
        return "*"
    token = re.match(r"[a-zA-Z_-]*", value)
    return token.group().lower() if token else ""


def _add_line(group: Group, key: str, value: str) -> None:
    if key == "crawl-delay" and _SECONDS.fullmatch(value):
        group.delay_s = max(float(value), group.delay_s or 0.0)
    elif key in ("allow", "disallow") and value:
        text = f"{key.capitalize()}: {value}"
        group.rules.append(Rule(key == "allow", _escaped(value), text))


def _path_of(url: str) -> str:
    """Return path and query of a URL with its escapes in upper case, "/" where it has none."""
    path = url.removeprefix(origin_of(url)) if url else ""
    return _ESCAPE.sub(lambda escape: escape.group().upper(), path) or "/"


def _escaped(pattern: str) -> str:
    """Return a pattern with bytes beyond ASCII escaped, and all escapes in upper case."""
    ascii_only = "".join(character if character < "\x80" else f"%{ord(character):02X}" for character in pattern)
    return _ESCAPE.sub(lambda escape: escape.group().upper(), ascii_only)


def _unescaped(text: str) -> str:
    """Return a path or pattern with every escape resolved that a pattern does not give a meaning."""
    return _ESCAPE.sub(
        lambda escape: escape.group() if escape.group() in _KEPT_ESCAPES else chr(int(escape.group()[1:], 16)), text
    )


def _glob_matches(pattern: str, path: str) -> bool:
    """Return whether a pattern covers a path, in time linear in both (no regular expression of a stranger's)."""
    anchored = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    position = len(first)
    last = others.pop() if others and anchored else None
    for part in others:
        found = path.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    if last is not None:
        return path.endswith(last) and len(path) - len(last) >= position
    return not anchored or position == len(path)
