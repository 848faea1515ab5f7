"""What a page says of its pictures in JSON-LD, as schema.org names it.

Source: https://schema.org/ImageObject; Google, "Image metadata in Google Images", for the fields that pages fill in.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bs4 import BeautifulSoup

from crawl.urls import canonical_url

PICTURE_TYPES = frozenset({"imageobject", "photograph"})

_MAX_SCRIPTS, _MAX_BYTES, _MAX_NODES = 50, 1_000_000, 5_000
_ADDRESSES = ("contentUrl", "url", "@id")

Node = Mapping[str, Any]


def described_pictures(soup: BeautifulSoup, base: str) -> dict[str, list[Node]]:
    """Return the JSON-LD objects that are pictures, by the canonical URL of each; what cannot be read says nothing."""
    found: dict[str, list[Node]] = {}
    for script in soup.find_all("script", type="application/ld+json", limit=_MAX_SCRIPTS):
        for node in _nodes(script.string or ""):
            if is_picture(node.get("@type")):
                urls = {canonical_url(text, base) for name in _ADDRESSES for text in texts(node.get(name))}
                for url in urls - {None}:
                    found.setdefault(str(url), []).append(node)
    return found


def is_picture(kind: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Return whether a type, or one of a list of types, is that of a picture; prefixes do not count.

    >>> is_picture("schema:ImageObject"), is_picture(["Article"])
    (True, False)
    """
    names = (name for text in texts(kind) for name in text.split())
    return any(name.rpartition("/")[2].rpartition(":")[2].lower() in PICTURE_TYPES for name in names)


def texts(value: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    """Return the texts that a value is or lists, white space folded; an object's are none."""
    values = value if isinstance(value, list) else [value]
    return [" ".join(text.split()) for text in values if isinstance(text, str) and text.strip()]


def named(value: Any, *names: str) -> list[str]:  # noqa: ANN401 - any JSON value
    """Return the texts that a value is or lists, and of its objects the first of the fields `names` that they have."""
    found: list[str] = []
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            found += next((held for name in names if (held := texts(each.get(name)))), [])
        else:
            found += texts(each)
    return found


def _nodes(text: str) -> Iterator[Node]:
    """Yield every object in a JSON text, outermost first."""
    if len(text) > _MAX_BYTES:
        return
    try:
        due: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    for _ in range(_MAX_NODES):
        if not due:
            return
        value = due.pop()
        if isinstance(value, dict):
            yield value
            due += _inner(value.values())
        elif isinstance(value, list):
            due += _inner(value)


def _inner(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)][::-1]
