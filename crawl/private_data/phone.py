"""Telephone numbers, by the number plans of all countries."""

import re
from collections.abc import Iterator

import phonenumbers

# Digits in groups, as people write them: two blanks part columns. Plain digits are no number unless a plus or a word
# says so. A colon may stand before them where it ends a word, as in "Tel.:030".
NUMBER = re.compile(
    r"(?<![\w.,/@#+(-])(?<![^\w.]:)(?<![\d_]:)"
    r"(?:\+|00)?(?:\(\+?\d{1,6}\)[ \u00a0-]?)?\d(?:(?!  )[ \u00a0./()\u2010-\u2015-]{0,3}\d){4,16}"
    r"(?: ?(?:x|ext\.?) ?\d{1,6})?(?![\w@]|[.,:/-]\d)"
)
NAMED = re.compile(
    r"(?:\b(?:tel|telephone|telefon|téléphone|teléfono|telefono|phone|fon|call|mobile|mobil|handy|cell|portable|fax|"
    r"whatsapp|sms|hotline|ring|móvil|contact)\w{0,2}\b|☎|📞|电话|手机|传真|電話|전화)[^\w\n+(]{0,4}(?:(?:us|me|at|on|no|nr)\b[^\w\n+(]{0,3}){0,2}$",
    re.IGNORECASE,
)
CONTEXT_CHARACTERS = 24
# Dates, fractions such as 0.51769849, what ends in a date, as the size and date of a file do, and ISBNs of ten digits.
NO_NUMBER = re.compile(
    r"\d[.,]\d+|(?:.*[^\d.-])?\d{4}([-./])\d{1,2}\1\d{1,2}|\d{1,2}([-./])\d{1,2}\2\d{2,4}|\d{1,5}-\d{2,7}-\d{1,7}-\d"
)
# What numbers books and magazines.
NUMBERED = re.compile(r"\b(?:e?ISBN|e?ISSN|ISMN)(?:-?1[03])?\b[^\w\n]{0,4}$", re.IGNORECASE)
MIN_DIGITS_AFTER_0 = 9
"""Of a number that begins with a 0 on its own, the 0 included: 0 800 123 456 is one, 0 1 5061 are three."""

# Whose way of writing a number without a country code is known: the first whose plan has it decides nothing but that.
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "AU", "IN", "BR", "JP")


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield where a telephone number stands that a country's number plan has.

    Digits in one piece, without a plus, count only where a word such as "tel" stands before them.

    >>> list(find("Call +49 30 901820 or (212) 555-2368, not 2024-10-12 or 1234567890."))
    [(5, 18), (22, 36)]
    """
    for candidate in NUMBER.finditer(text):
        written = re.split("x|ext", candidate[0])[0].rstrip()
        before = text[max(0, candidate.start() - CONTEXT_CHARACTERS) : candidate.start()]
        named = NAMED.search(before)
        if (
            not NUMBERED.search(before)
            and not NO_NUMBER.fullmatch(written)
            and _is_in_a_plan(written, named is not None)
        ):
            yield candidate.span()


def _is_written_as_one(written: str) -> bool:
    """Whether it is written as only telephone numbers are: with a plus, or a leading 0 or bracket, and in groups."""
    if written.startswith(("+", "00")):
        return True
    groups = [group for group in re.split(r"\D+", written) if group]
    if written.startswith(("(", "0")):
        is_counted = groups[0] == "0" and written[0] == "0" and sum(map(len, groups)) < MIN_DIGITS_AFTER_0
        return len(groups) > 1 and not is_counted
    return [len(group) for group in groups] in ([3, 3, 4], [1, 3, 3, 4])


def _is_in_a_plan(written: str, named: bool) -> bool:
    """What a plus or a word says is a number need only be as long as a plan's; else the plan must have it."""
    international = written.startswith(("+", "00")) or "(+" in written
    if not (named or international or _is_written_as_one(written)):
        return False
    is_said_to_be = named or "+" in written
    is_one = phonenumbers.is_possible_number if is_said_to_be else phonenumbers.is_valid_number
    regions: tuple[str | None, ...] = (None,) if international else REGIONS
    if named:
        regions = (None, *REGIONS)
    number = "+" + written[2:] if written.startswith("00") else written
    parsed = [_parse(written if region else number, region) for region in regions]
    return any(is_one(each) for each in parsed if each)


def _parse(written: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
