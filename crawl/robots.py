"""What a site asks of crawlers: robots.txt text in, a decision and the rule behind it out.

Follows RFC 9309 and, where it is silent, Google's open-source parser. Where an escaped and a plain spelling of
one path could be told apart, the cautious reading holds: a Disallow covers both, an Allow only its own.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from crawl.path_patterns import PatternIndex, escaped, path_of, unescaped
from crawl.sitemaps import sitemaps_of

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

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")
_PRODUCT_TOKEN = re.compile(r"[a-z0-9_.-]+")
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


@dataclass(frozen=True)
class Group:
    """All rules that one product token has in a robots.txt, and the longest crawl delay asked of it, in seconds."""

    rules: tuple[Rule, ...] = ()
    delay_s: float | None = None

    def deciding_rule(self, path: str) -> Rule | None:
        """Return the rule with the longest pattern that covers a path (with query): Allow first, then as they stand."""
        covering = (*self._as_written.covering(path), *self._widened.covering(unescaped(path)))
        best = max(covering, key=self._rank, default=None)
        return None if best is None else self.rules[best]

    def _rank(self, position: int) -> tuple[int, bool, int]:
        rule = self.rules[position]
        return len(rule.pattern), rule.allow, -position

    @cached_property
    def _as_written(self) -> PatternIndex[int]:
        """Positions of all rules; an allowed index page counts as an allowed folder too, as Google reads it."""
        patterns = [(rule.pattern, position) for position, rule in enumerate(self.rules)]
        folders = [
            (f"{rule.pattern.removesuffix('index.html')}$", position)
            for position, rule in enumerate(self.rules)
            if rule.allow and rule.pattern.endswith("/index.html")
        ]
        return PatternIndex(patterns + folders)

    @cached_property
    def _widened(self) -> PatternIndex[int]:
        """Positions of what is disallowed, in whichever spelling."""
        return PatternIndex(
            (unescaped(rule.pattern), position) for position, rule in enumerate(self.rules) if not rule.allow
        )


_NO_RULES = Group()
"""What a robots.txt asks of us that names neither us nor everybody."""


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
        group = self.groups.get(agent.lower()) or self.groups.get("*") or _NO_RULES
        path = path_of(url)
        rule = group.deciding_rule(path)
        if rule is None or path == "/robots.txt":
            return RobotsDecision(True, "none", group.delay_s)
        return RobotsDecision(rule.allow, rule.text, group.delay_s)


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
    return Robots("rules", _groups(body), tuple(sitemaps_of(body)))


def robots_directives(values: Iterable[str], agent: str, *, may_name_crawlers: bool = True) -> frozenset[str]:
    """Return the directives of X-Robots-Tag headers or robots meta elements that are meant for us, in lower case.

    "none" is spelled out as "noindex" and "nofollow". In a header, a token with a colon names the crawler which it and
    all that follow in the same value are for, but where it is part of a date, which may have a comma in it; in an
    element, whose own name says whom it is for, it is a directive with a value.

    >>> sorted(robots_directives(["noai, seedbed: nofollow", "otherbot: noindex"], "seedbed"))
    ['noai', 'nofollow']

    Source: Google's robots meta tag specification; "noai" and "noimageai" as introduced by DeviantArt (2022).
    """
    directives: set[str] = set()
    for value in values:
        for_us = True
        for token in value.lower().split(","):
            name, colon, rest = token.partition(":")
            if may_name_crawlers and colon and _is_crawler(name.strip()):
                for_us, token = name.strip() == agent.lower(), rest  # noqa: PLW2901 - the rest is the directive
            if for_us and token.strip():
                directives.add(token.strip())
    return frozenset(directives | ({"noindex", "nofollow"} if "none" in directives else set()))


def _is_crawler(name: str) -> bool:
    """Return whether what stands before a colon is a product token, and not a directive or the middle of a date."""
    return name not in _VALUED_DIRECTIVES and _PRODUCT_TOKEN.fullmatch(name) is not None


def _groups(body: bytes) -> dict[str, Group]:
    rules: dict[str, list[Rule]] = {}
    delays_s: dict[str, float] = {}
    for agents, key, value in _lines_with_agents(_robots_lines(body)):
        rule = None
        if key in ("allow", "disallow") and value:
            rule = Rule(key == "allow", escaped(value), f"{key.capitalize()}: {value}")
        for agent in agents:
            of_agent = rules.setdefault(agent, [])
            if rule is not None:
                of_agent.append(rule)
            elif key == "crawl-delay" and _SECONDS.fullmatch(value):
                delays_s[agent] = max(float(value), delays_s.get(agent, 0.0))
    return {agent: Group(tuple(of_agent), delays_s.get(agent)) for agent, of_agent in rules.items()}


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
