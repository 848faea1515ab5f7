"""Sentences, counted by the marks that end them, in any language that has such marks.

Source: Raffel et al. 2020 (C4), section 2.2: "discarded any page with fewer than 3 sentences".
"""

import re
from collections.abc import Iterable

from crawl.text_rules.measured import Measured, reject_below
from crawl.verdict import Verdict

MIN_SENTENCES = 3

# Marks that end a sentence, with the brackets and quotation marks that may close behind them. The wide ones need no
# blank to follow.
SENTENCE_END = re.compile(r"[.!?…؟।။።]+[\"'”’»)\]]*(?=\s|$)|[。！？]")


def judge(text: Measured, min_sentences: int) -> Verdict | None:
    """Reject menus, forms and lists of names as `too_few_sentences`."""
    if not min_sentences:
        return None
    return reject_below("too_few_sentences", count_sentence_ends(text.lines), min_sentences)


def count_sentence_ends(lines: Iterable[str]) -> int:
    """Return how many sentences end in `lines`.

    >>> count_sentence_ends(["An oak. An ash!", "Menu"])
    2
    """
    return sum(len(SENTENCE_END.findall(line)) for line in lines)
