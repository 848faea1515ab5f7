"""Numbers of payment cards."""

import re
from collections.abc import Iterator

NUMBER = re.compile(r"(?<![\w.,+-])\d(?:[ \u00a0-]?\d){12,18}(?![\d.,-]*\d)(?!\w)")
# First digits and lengths. Source: ISO/IEC 7812 as the issuers publish their ranges: Visa, Mastercard, American
# Express, Discover, JCB, Diners Club, UnionPay, Maestro.
ISSUERS = (
    (re.compile("4"), (13, 16, 19)),
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile("3[47]"), (15,)),
    (re.compile("6011|65|64[4-9]"), (16, 19)),
    (re.compile("352[89]|35[3-8]"), (16, 17, 18, 19)),
    (re.compile("2131|1800"), (15,)),
    (re.compile("30[0-5]|3095|36|3[89]"), (14,)),
    (re.compile("62"), (16, 17, 18, 19)),
    (re.compile("50|5[6-9]|63|67"), (16, 18, 19)),
)
# In groups of four, or as American Express and Diners Club print them, or in one piece.
GROUPS = re.compile(r"\d+|(\d{4}([ \u00a0-]))(\d{4}\2){2,3}\d{1,4}|\d{4}([ \u00a0-])\d{6}\4\d{4,5}")


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield where a card number stands whose issuer, length, grouping and check digit are right.

    >>> list(find("Cards 4111 1111 1111 1111 and 4111 1111 1111 1112."))
    [(6, 25)]
    """
    for number in NUMBER.finditer(text):
        digits = re.sub(r"\D", "", number[0])
        issued = any(issuer.match(digits) and len(digits) in lengths for issuer, lengths in ISSUERS)
        if issued and GROUPS.fullmatch(number[0]) and _checks(digits):
            yield number.span()


def _checks(digits: str) -> bool:
    """Source: ISO/IEC 7812-1, annex B (Luhn)."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0
