"""What was asked of a view: the parameters of an address, each checked when it is read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

MAX_TEXT = 2_000
"""Characters of a parameter: longer ones are no address and no key."""


class QueryError(ValueError):
    """A parameter is impossible; the message names it."""


@dataclass(frozen=True)
class Query:
    """The parameters of an address.

    Attributes:
        values: by name.
    """

    values: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        """A text of bounded length."""
        return self.values.get(name, default)[:MAX_TEXT]

    def whole(self, name: str, default: int = 0, least: int = 0, most: int = 2**62) -> int:
        """A whole number within bounds.

        Raises:
            QueryError: it is none.
        """
        value = self.values.get(name, "")
        if not value:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 20 and least <= int(value) <= most):
            raise QueryError(f"{name} is {value[:40]!r}: it must be a whole number from {least} to {most}")
        return int(value)

    def choice(
        self, name: str, known: Sequence[str], default: str | None = None, elsewhere: Collection[str] = ()
    ) -> str:
        """One of the values known; the default, or the first of them, where none is given; "" where none is known.

        Args:
            name: of the parameter.
            known: values that it may have.
            default: what stands for none.
            elsewhere: values of other choices of the same form, which is sent as one: they stand for none too.

        Raises:
            QueryError: it is another.
        """
        value = self.values.get(name, "")
        if not value or (value not in known and value in elsewhere):
            return default if default is not None else next(iter(known), "")
        if value not in known:
            raise QueryError(f"{name} is {value[:40]!r}: it is one of {', '.join(known) or 'none'}")
        return value
