"""Gopher's quality rules: the document-level filters of MassiveWeb.

Source: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix A1.1,
for every rule and number here. A word is what stands between white space.

The numbers are those of a corpus of English. Prose that puts no blanks between words, as Japanese, Chinese and Thai,
has few and long "words" by this count: by the defaults it is rejected as `too_few_words` or `words_too_long`. Who wants
such prose raises `max_mean_word_length` and lowers `min_words`, or leaves this family out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from crawl.text_rules.measured import Measured, check_fraction, divide, reject_above, reject_below
from crawl.verdict import Verdict

# The paper says "bullet point" and names no signs; Markdown and main-text extraction write the last two.
BULLETS = ("•", "‣", "◦", "-", "*")
ELLIPSES = ("...", "…")
STOP_WORDS = {"en": ("the", "be", "to", "of", "and", "that", "have", "with")}


@dataclass(frozen=True, slots=True)
class GopherQuality:
    """The thresholds.

    Attributes:
        min_words: fewest words.
        max_words: most words.
        min_mean_word_length: fewest characters a word on average.
        max_mean_word_length: most characters a word on average.
        max_symbol_to_word_ratio: most `#`, or most ellipses, for each word.
        max_bullet_line_fraction: most of the lines that may begin with a bullet.
        max_ellipsis_line_fraction: most of the lines that may end in an ellipsis.
        min_alphabetic_word_fraction: least of the words that must hold a letter.
        min_stop_words: fewest occurrences of stop words, in languages that have a list.
        stop_words: by language, in lower case.
    """

    min_words: int = 50
    max_words: int = 100_000
    min_mean_word_length: float = 3.0
    max_mean_word_length: float = 10.0
    max_symbol_to_word_ratio: float = 0.1
    max_bullet_line_fraction: float = 0.9
    max_ellipsis_line_fraction: float = 0.3
    min_alphabetic_word_fraction: float = 0.8
    min_stop_words: int = 2
    stop_words: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(STOP_WORDS))

    def __post_init__(self) -> None:
        for low, high in (("min_words", "max_words"), ("min_mean_word_length", "max_mean_word_length")):
            if not 0 <= getattr(self, low) <= getattr(self, high):
                raise ValueError(f"{low} is {getattr(self, low)} and {high} {getattr(self, high)}; want 0 ≤ min ≤ max")
        if self.max_symbol_to_word_ratio < 0 or self.min_stop_words < 0:
            raise ValueError("max_symbol_to_word_ratio and min_stop_words are 0 or more")
        for name in ("max_bullet_line_fraction", "max_ellipsis_line_fraction", "min_alphabetic_word_fraction"):
            check_fraction(name, getattr(self, name))


def judge(text: Measured, language: str, settings: GopherQuality) -> Verdict | None:
    """Return the verdict of the first of the rules that rejects the text."""
    return (
        judge_num_words(text, settings)
        or judge_word_length(text, settings)
        or judge_symbols(text, settings)
        or judge_lines(text, settings)
        or judge_alphabetic_words(text, settings)
        or judge_stop_words(text, language, settings)
    )


def judge_num_words(text: Measured, settings: GopherQuality) -> Verdict | None:
    """Reject captions and error pages as `too_few_words`, dumps and lists of everything as `too_many_words`."""
    num_words = len(text.words)
    return reject_below("too_few_words", num_words, settings.min_words) or reject_above(
        "too_many_words", num_words, settings.max_words
    )


def judge_word_length(text: Measured, settings: GopherQuality) -> Verdict | None:
    """Reject text spaced out letter by letter as `words_too_short`, encoded data as `words_too_long`."""
    mean_length = divide(len("".join(text.words)), len(text.words))
    return reject_below("words_too_short", mean_length, settings.min_mean_word_length) or reject_above(
        "words_too_long", mean_length, settings.max_mean_word_length
    )


def judge_symbols(text: Measured, settings: GopherQuality) -> Verdict | None:
    """Reject hash tags, and teasers that break off, as `too_many_symbols`."""
    ellipses = text.text.count("...") + text.text.count("…")
    num_symbols = max(text.text.count("#"), ellipses)
    return reject_above("too_many_symbols", divide(num_symbols, len(text.words)), settings.max_symbol_to_word_ratio)


def judge_lines(text: Measured, settings: GopherQuality) -> Verdict | None:
    """Reject link lists as `mostly_bullets`, search results and overviews of articles as `mostly_ellipses`."""
    bullets = divide(sum(line.startswith(BULLETS) for line in text.lines), len(text.lines))
    ellipses = divide(sum(line.endswith(ELLIPSES) for line in text.lines), len(text.lines))
    return reject_above("mostly_bullets", bullets, settings.max_bullet_line_fraction) or reject_above(
        "mostly_ellipses", ellipses, settings.max_ellipsis_line_fraction
    )


def judge_alphabetic_words(text: Measured, settings: GopherQuality) -> Verdict | None:
    """Reject numbers, prices and punctuation as `too_few_alphabetic_words`."""
    alphabetic = sum(word.isalpha() or any(map(str.isalpha, word)) for word in text.words)
    fraction = divide(alphabetic, len(text.words))
    return reject_below("too_few_alphabetic_words", fraction, settings.min_alphabetic_word_fraction)


def judge_stop_words(text: Measured, language: str, settings: GopherQuality) -> Verdict | None:
    """Reject lists of names and key words as `too_few_stop_words`, where the language has a list of them."""
    stop_words = frozenset(settings.stop_words.get(language.partition("-")[0], ()))
    if not stop_words:
        return None
    found = (word for word in text.words if word.lower() in stop_words)
    num_found = sum(1 for _ in islice(found, settings.min_stop_words))
    return reject_below("too_few_stop_words", num_found, settings.min_stop_words)
