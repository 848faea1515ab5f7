"""JSON values, checked and named: what is read may have been written by anybody."""

from collections.abc import Mapping
from typing import Any

MAX_WHOLE = 2**53 - 1
"""The largest integer that every reader of JSON keeps exactly. Source: RFC 8259, section 6."""


def whole(value: object, name: str, least: int = 0, most: int = MAX_WHOLE) -> int:
    """Return an integer; `true` and 1.0 are none.

    >>> whole(3, "records")
    3

    Raises:
        ValueError: It is something else, or lies outside the bounds.
    """
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is {_told(value)}: it must be a whole number from {least} to {most}")
    return value


def number(value: object, name: str) -> float:
    """Return a number as a float.

    Raises:
        ValueError: It is something else.
    """
    if type(value) not in (int, float):
        raise ValueError(f"{name} is {_told(value)}: it must be a number")
    return float(value)  # type: ignore[arg-type]


def text(value: object, name: str) -> str:
    """Return a string.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} is {_told(value)}: it must be text")
    return value


def elements(value: object, name: str) -> list[Any]:
    """Return a list.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, list):
        raise ValueError(f"{name} is {_told(value)}: it must be a list")
    return value


def members(value: object, name: str, keys: frozenset[str] | None = None) -> dict[str, Any]:
    """Return an object, with these keys and no others if they are given.

    Raises:
        ValueError: It is something else, or its keys are others.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {_told(value)}: it must be an object")
    if keys is not None and value.keys() != keys:
        missing, unknown = ", ".join(sorted(keys - value.keys())), ", ".join(sorted(map(str, value.keys() - keys)))
        raise ValueError(f"{name}: missing keys: {missing or 'none'}; unknown keys: {unknown or 'none'}")
    return dict(value)


def _told(value: object) -> str:
    """Return a value as an error shows it: on one line that is not too long."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
