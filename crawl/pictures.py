"""Which of the URLs an img element offers is asked for: one, as wide as needed and no wider.

Source: HTML Standard, "parsing a srcset attribute" and "selecting an image source".
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from bs4.element import Tag

READABLE_TYPES = frozenset(
    {
        "image/jpeg",
        "image/jpg",
        "image/pjpeg",
        "image/png",
        "image/x-png",
        "image/webp",
        "image/gif",
        "image/bmp",
        "image/x-ms-bmp",
        "image/tiff",
        "image/avif",
    }
)
"""Media types of pictures that are asked for and kept."""

# Where scripts that load pictures late keep what belongs in src and srcset.
_LATE_SRC = ("data-src", "data-lazy-src", "data-original")
_LATE_SRCSET = ("data-srcset", "data-lazy-srcset")

_CANDIDATE = re.compile(r"[\s,]*(?P<url>[^\s]+)(?P<rest>\s*)", re.S)
_DESCRIPTOR = re.compile(r"(?P<number>\d{1,6}(?:\.\d{1,6})?)(?P<unit>[wx])")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One URL of a srcset, its width in pixels (0 unknown) and pixel density (1 where none is given)."""

    url: str
    width: int
    density: float


def picture_reference(element: Tag, sources: Sequence[Tag], picture_width: int) -> str | None:
    """Return the URL, as written, to ask for an img element: exactly one, or None where it names none.

    That is the narrowest candidate of its srcset, and of the sources that suit any screen and that we can read,
    which is at least `picture_width` pixels wide; else the widest; else its src.

    Args:
        element: the img element.
        sources: source elements of the picture element it stands in.
        picture_width: width wanted, in pixels.
    """
    candidates = list(_candidates(element, sources))
    measured = sorted((item for item in candidates if item.width), key=lambda item: item.width)
    for candidate in measured:
        if candidate.width >= picture_width:
            return candidate.url
    if measured:
        return measured[-1].url
    if source := _src(element):
        return source
    return max(candidates, key=lambda item: item.density).url if candidates else None


def parse_srcset(text: str) -> list[Candidate]:
    """Return the candidates of a srcset attribute, in order; malformed ones are left out.

    >>> [item.width for item in parse_srcset("oak-320.jpg 320w, oak,old.jpg 1024w")]
    [320, 1024]
    """
    candidates = []
    position = 0
    while match := _CANDIDATE.match(text, position):
        url, position = match["url"], match.end()
        descriptor = ""
        if not url.endswith(","):
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            descriptor, position = text[position:end].strip(), end
        candidate = _candidate(url.rstrip(","), descriptor)
        if candidate is not None:
            candidates.append(candidate)
    return candidates


def _candidate(url: str, descriptor: str) -> Candidate | None:
    if not url:
        return None
    if not descriptor:
        return Candidate(url, 0, 1.0)
    parsed = _DESCRIPTOR.fullmatch(descriptor.split(maxsplit=1)[0])
    if parsed is None:
        return None
    if parsed["unit"] == "w":
        return Candidate(url, int(float(parsed["number"])), 1.0)
    return Candidate(url, 0, float(parsed["number"]))


def _candidates(element: Tag, sources: Sequence[Tag]) -> Iterator[Candidate]:
    shown_width = _pixels(_text(element, "width"))
    own = parse_srcset(_first(element, ("srcset", *_LATE_SRCSET)))
    source = _src(element)
    if source and not any(candidate.width for candidate in own):
        own.append(Candidate(source, 0, 1.0))
    others = (parse_srcset(_first(owner, ("srcset", *_LATE_SRCSET))) for owner in sources if _suits_any_screen(owner))
    for candidate in chain(own, *others):
        yield replace(candidate, width=candidate.width or round(candidate.density * shown_width))


def _suits_any_screen(source: Tag) -> bool:
    """Return whether a source may be chosen without knowing the screen, and is of a type we can read."""
    media_type = _text(source, "type").strip().lower()
    return not source.has_attr("media") and (not media_type or media_type in READABLE_TYPES)


def _src(element: Tag) -> str | None:
    """Return the src, or what is to take its place where there is none or only a placeholder within the page."""
    source = _text(element, "src").strip()
    if source and not source.lower().startswith("data:"):
        return source
    return _first(element, _LATE_SRC).strip() or None


def _first(element: Tag, names: tuple[str, ...]) -> str:
    """Return the first of the attributes that is there and no placeholder."""
    for name in names:
        value = _text(element, name)
        if value.strip() and not value.strip().lower().startswith("data:"):
            return value
    return ""


def _text(element: Tag, name: str) -> str:
    value = element.get(name)
    return value if isinstance(value, str) else ""


def _pixels(text: str) -> int:
    return int(text) if text.strip().isdecimal() and len(text) < 7 else 0
