"""Addresses of machines on the internet; those of private networks and of documentation say nothing of anybody."""

import ipaddress
import re
from collections.abc import Iterator

IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\w)")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:|::)[0-9A-Fa-f:]{2,38}(?![\w:]|\.\w)")
# What may stand before an address that a colon or slash parts from it: a word, the beginning of a URL, another address.
INTRODUCED = re.compile(r"(?:[^\W\d_]:|//|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}/)$")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# A number of four parts behind one of these is a version, a chapter or a clause.
NUMBERED = re.compile(
    r"(?:\b(?:v|ver|version|release|rel|build|firmware|driver|chapter|section|sect|clause|figure|fig|table|article|art|"
    r"paragraph|par|page|step|appendix|oid|chapitre|abschnitt|kapitel|absatz|sección|capítulo|sezione|capitolo|"
    r"seção|paragraaf|hoofdstuk|rozdział)\b\.?|\b(?:no|nr)\.|§|#)\s*$",
    re.IGNORECASE,
)
# So is what begins a line and is followed by a full stop and a title, as in "14.5.3.2. Managing Identities".
LINE_START = re.compile(r"(?:^|\n)[ #-]*$")
TITLE = re.compile(r"\.[ \u00a0]{1,3}[^\W\d_]")
CONTEXT_CHARACTERS = 18


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield where a public IPv4 or IPv6 address stands.

    >>> list(find("From 8.8.8.8, not 127.0.0.1; version 1.2.3.4 of 12:30:15."))
    [(5, 12)]
    """
    for candidate in IPV4.finditer(text):
        before = text[max(0, candidate.start() - CONTEXT_CHARACTERS) : candidate.start()]
        is_heading = TITLE.match(text, candidate.end()) and LINE_START.search(before)
        if before.endswith((":", "/")) and not INTRODUCED.search(before):
            continue
        if _is_public(candidate[0]) and not is_heading and not NUMBERED.search(before):
            yield candidate.span()
    if "::" in text or text.count(":") >= 7:
        for candidate in IPV6.finditer(text):
            if _is_public(candidate[0].rstrip(":")):
                yield candidate.start(), candidate.start() + len(candidate[0].rstrip(":"))


def _is_public(written: str) -> bool:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and (address.version == 4 or address in GLOBAL_UNICAST)
