"""International bank account numbers."""

import re
from collections.abc import Iterator

# Source: SWIFT IBAN registry, release 99: country and length in characters.
LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "FK", "FO", "GL", "NL", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "MN", "XK"), 20),
    **dict.fromkeys(("CH", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "CR", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "OM", "SO", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HN", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
    **dict.fromkeys(("RU",), 33),
}
START = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})\d{2}(?=[ \u00a0-]?[A-Za-z0-9])")
NEXT = re.compile(r"[ \u00a0-]?([A-Za-z0-9])")


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield where an IBAN stands, in one piece or in groups, whose check digits are right.

    >>> list(find("Pay to DE89 3704 0044 0532 0130 00, not to DE89 3704 0044 0532 0130 01."))
    [(7, 34)]
    """
    for start in START.finditer(text):
        length = LENGTHS.get(start[1].upper())
        number, end = _read(text, start.start(), length) if length else ("", 0)
        if number and _is_written_as_one(number) and _remainder(number) == 1:
            yield start.start(), end


def _is_written_as_one(number: str) -> bool:
    """Whether it is in capitals, or at least half of it digits: words of small letters are no account."""
    return number.isupper() or 2 * sum(map(str.isdigit, number)) >= len(number)


def _read(text: str, start: int, length: int) -> tuple[str, int]:
    """The next `length` letters and digits and where they end; "" where there are fewer, or more follow."""
    characters: list[str] = []
    end = start
    while len(characters) < length and (following := NEXT.match(text, end)):
        characters.append(following[1])
        end = following.end()
    goes_on = end < len(text) and text[end].isalnum()
    return ("", end) if len(characters) < length or goes_on else ("".join(characters), end)


def _remainder(number: str) -> int:
    """Source: ISO 7064, MOD 97-10; the first four characters go last, a letter counts from A = 10."""
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97
