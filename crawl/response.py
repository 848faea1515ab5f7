"""One HTTP answer, and what its headers say."""

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")
_LONGEST_S = 1e9


@dataclass(frozen=True, slots=True)
class Response:
    """One answer.

    Attributes:
        status: HTTP status.
        head: status line and headers as received, ending with an empty line.
        headers: names in lower case and values, in the order received.
        body: decoded body, None where it was not wanted.
    """

    status: int
    head: bytes
    headers: tuple[tuple[str, str], ...]
    body: bytes | None = None

    def header(self, name: str) -> str | None:
        """Return the first value of a header, None where it is absent."""
        return next(iter(self.header_values(name)), None)

    def header_values(self, name: str) -> list[str]:
        """Return all values of a header, in order."""
        return [value for key, value in self.headers if key == name.lower()]

    @property
    def media_type(self) -> str:
        """Media type without parameters, lower case, "" where none was sent."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """Character encoding named by the Content-Type header, None where it names none."""
        return charset_of(self.header("content-type") or "")


def charset_of(content_type: str) -> str | None:
    """Return the charset parameter of a Content-Type header, None where it has none.

    >>> charset_of('text/html; Charset="UTF-8"')
    'UTF-8'
    """
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'") or None
    return None


def retry_delay_s(retry_after: str | None, default_s: float, now: float) -> float:
    """Return the seconds a Retry-After header asks for, the default where it asks for less or cannot be read.

    Args:
        retry_after: value of the header, seconds or a date; None where there is none.
        default_s: the least that is waited.
        now: seconds since 1970.

    Seconds with a fraction are read too, as some servers send them; numbers beyond any use count as 31 years.

    Source: RFC 9110, section 10.2.3.

    >>> retry_delay_s("120", 1.0, now=0.0), retry_delay_s("Thu, 01 Jan 1970 00:01:00 GMT", 1.0, now=20.0)
    (120.0, 40.0)
    """
    text = (retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        return max(min(float(text), _LONGEST_S), default_s)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for numbers that no date has
        return default_s
    return max(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now, default_s)
