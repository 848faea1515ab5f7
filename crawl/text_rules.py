"""Rules that a text must pass, one small function each.

Every rule returns a verdict, or None where it has nothing to say. `judge_text` runs them, cheapest first. The
thresholds stand in `TextSettings`, with the paper they come from.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crawl.verdict import Verdict

# Marks that end a sentence, with the brackets and quotation marks that may close behind them. The wide ones need no
# blank to follow.
SENTENCE_END = re.compile(r"[.!?…؟।။።]+[\"'”’»)\]]*(?=\s|$)|[。！？]")


@dataclass(frozen=True, slots=True)
class TextSettings:
    """What a text must be.

    A word is what stands between white space, a line what stands between line breaks; shares lie in 0 to 1.

    Source: Rae et al. 2021 (Gopher), appendix A1.1, for every threshold on words, symbols and lines; the shares of
    repeated lines stand in its Table A1. Its stop-word rule is left out, since it knows English only, and so are its
    repeated n-grams.

    Attributes:
        min_words: fewest words.
        max_words: most words.
        min_mean_word_length: fewest characters a word on average.
        max_mean_word_length: most characters a word on average.
        min_alphabetic_share: least share of words with at least one letter in them.
        max_symbol_ratio: most `#` signs, or ellipses, per word.
        max_bullet_line_share: most of the lines that may begin with a bullet.
        max_ellipsis_line_share: most of the lines that may end in an ellipsis.
        min_sentences: fewest full stops, question marks and the like that end a word. Source: Raffel et al. 2020
            (C4), section 2.2.
        max_repeated_line_share: most of the lines that may have stood before.
        max_repeated_character_share: most of the characters that may stand in such lines.
        max_bytes: largest page looked at, in bytes.
        max_nodes: most elements in a page looked at.
    """

    min_words: int = 50
    max_words: int = 100_000
    min_mean_word_length: float = 3.0
    max_mean_word_length: float = 10.0
    min_alphabetic_share: float = 0.8
    max_symbol_ratio: float = 0.1
    max_bullet_line_share: float = 0.9
    max_ellipsis_line_share: float = 0.3
    min_sentences: int = 3
    max_repeated_line_share: float = 0.3
    max_repeated_character_share: float = 0.2
    max_bytes: int = 5_000_000
    max_nodes: int = 30_000

    def __post_init__(self) -> None:
        for low, high in (("min_words", "max_words"), ("min_mean_word_length", "max_mean_word_length")):
            if not 0 <= getattr(self, low) <= getattr(self, high):
                raise ValueError(f"{low} is {getattr(self, low)} and {high} {getattr(self, high)}; want 0 ≤ min ≤ max")
        for name in ("max_bytes", "max_nodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; a page has at least 1")
        for name in ("min_alphabetic_share", "max_symbol_ratio", "max_bullet_line_share", "max_ellipsis_line_share"):
            _check_share(name, getattr(self, name))
        for name in ("max_repeated_line_share", "max_repeated_character_share"):
            _check_share(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class Measured:
    """A text cut up once for all rules: its words, and its lines that are not blank, stripped."""

    words: Sequence[str]
    lines: Sequence[str]


Rule = Callable[[Measured, TextSettings], Verdict | None]


def judge_text(text: str, settings: TextSettings) -> Verdict | None:
    """Return the verdict of the first rule that rejects the text, or None where it passes all.

    >>> judge_text("An oak stands in the meadow.", TextSettings())
    Verdict(fate='rejected', reason='too_few_words', detail='6 < 50')
    """
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    measured = Measured(text.split(), lines)
    return next((verdict for rule in RULES if (verdict := rule(measured, settings))), None)


def too_few_words(text: Measured, settings: TextSettings) -> Verdict | None:
    """Captions and error pages."""
    return _reject_below("too_few_words", len(text.words), settings.min_words)


def too_many_words(text: Measured, settings: TextSettings) -> Verdict | None:
    """Dumps and lists of everything."""
    return _reject_above("too_many_words", len(text.words), settings.max_words)


def words_too_short(text: Measured, settings: TextSettings) -> Verdict | None:
    """Tables of numbers, text spaced out letter by letter."""
    return _reject_below("words_too_short", _mean_word_length(text), settings.min_mean_word_length)


def words_too_long(text: Measured, settings: TextSettings) -> Verdict | None:
    """Lists of addresses, encoded data."""
    return _reject_above("words_too_long", _mean_word_length(text), settings.max_mean_word_length)


def too_few_alphabetic_words(text: Measured, settings: TextSettings) -> Verdict | None:
    """Numbers, prices, punctuation."""
    alphabetic = sum(any(map(str.isalpha, word)) for word in text.words)
    share = _divide(alphabetic, len(text.words))
    return _reject_below("too_few_alphabetic_words", share, settings.min_alphabetic_share)


def too_many_symbols(text: Measured, settings: TextSettings) -> Verdict | None:
    """Hash tags, and teasers that break off."""
    hashes = sum(word.count("#") for word in text.words)
    ellipses = sum(word.count("...") + word.count("…") for word in text.words)
    return _reject_above("too_many_symbols", _divide(max(hashes, ellipses), len(text.words)), settings.max_symbol_ratio)


def mostly_bullets(text: Measured, settings: TextSettings) -> Verdict | None:
    """Link lists and tables of contents."""
    share = _divide(sum(line.startswith(("-", "•", "*", "‣", "◦")) for line in text.lines), len(text.lines))
    return _reject_above("mostly_bullets", share, settings.max_bullet_line_share)


def mostly_ellipses(text: Measured, settings: TextSettings) -> Verdict | None:
    """Search results and overviews of articles."""
    share = _divide(sum(line.endswith(("...", "…")) for line in text.lines), len(text.lines))
    return _reject_above("mostly_ellipses", share, settings.max_ellipsis_line_share)


def too_few_sentences(text: Measured, settings: TextSettings) -> Verdict | None:
    """Menus, forms and lists of names."""
    num_sentences = sum(len(SENTENCE_END.findall(line)) for line in text.lines)
    return _reject_below("too_few_sentences", num_sentences, settings.min_sentences)


def repeated_lines(text: Measured, settings: TextSettings) -> Verdict | None:
    """Templates filled in again and again, counted by lines."""
    share = _divide(len(text.lines) - len(set(text.lines)), len(text.lines))
    return _reject_above("repeated_lines", share, settings.max_repeated_line_share)


def repeated_characters(text: Measured, settings: TextSettings) -> Verdict | None:
    """Templates filled in again and again, counted by the characters of the lines that stood before."""
    total = sum(map(len, text.lines))
    share = _divide(total - sum(map(len, set(text.lines))), total)
    return _reject_above("repeated_characters", share, settings.max_repeated_character_share)


RULES: tuple[Rule, ...] = (
    too_few_words,
    too_many_words,
    words_too_short,
    words_too_long,
    too_few_alphabetic_words,
    too_many_symbols,
    mostly_bullets,
    mostly_ellipses,
    too_few_sentences,
    repeated_lines,
    repeated_characters,
)


def _mean_word_length(text: Measured) -> float:
    return _divide(sum(map(len, text.words)), len(text.words))


def _divide(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}; a share lies in 0 to 1")


def _reject_below(reason: str, value: float, least: float) -> Verdict | None:
    return Verdict("rejected", reason, f"{value:.4g} < {least:g}") if value < least else None


def _reject_above(reason: str, value: float, most: float) -> Verdict | None:
    return Verdict("rejected", reason, f"{value:.4g} > {most:g}") if value > most else None
