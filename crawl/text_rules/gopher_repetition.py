"""Gopher's repetition rules: texts that say the same again and again.

Exact, and cheap: words become numbers, n-grams of n words are numbered from those of n - 1, and a text in which no
n-gram comes twice has no longer one that does.

Source: Rae et al. 2021 (Gopher), appendix A1.1 and its Table A1, for every rule and number here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from crawl.text_rules.measured import Measured, check_fraction, divide, reject_above
from crawl.verdict import Verdict

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GopherRepetition:
    """The most that may be repeated. Every field is a fraction; of characters, where its name says so.

    Attributes:
        duplicate_line_fraction: of the lines, those that stood before.
        duplicate_line_character_fraction: of the characters, those in such lines.
        duplicate_paragraph_fraction: of the paragraphs, those that stood before.
        duplicate_paragraph_character_fraction: of the characters, those in such paragraphs.
        top_2_gram_character_fraction: of the characters, those in the most frequent 2-gram, if it comes twice.
        top_3_gram_character_fraction: the same of 3-grams.
        top_4_gram_character_fraction: the same of 4-grams.
        duplicate_5_gram_character_fraction: of the characters, those in 5-grams that stood before, each character
            counted once.
        duplicate_6_gram_character_fraction: the same of 6-grams, and so on.
        duplicate_7_gram_character_fraction: of 7-grams.
        duplicate_8_gram_character_fraction: of 8-grams.
        duplicate_9_gram_character_fraction: of 9-grams.
        duplicate_10_gram_character_fraction: of 10-grams.
    """

    duplicate_line_fraction: float = 0.30
    duplicate_line_character_fraction: float = 0.20
    duplicate_paragraph_fraction: float = 0.30
    duplicate_paragraph_character_fraction: float = 0.20
    top_2_gram_character_fraction: float = 0.20
    top_3_gram_character_fraction: float = 0.18
    top_4_gram_character_fraction: float = 0.16
    duplicate_5_gram_character_fraction: float = 0.15
    duplicate_6_gram_character_fraction: float = 0.14
    duplicate_7_gram_character_fraction: float = 0.13
    duplicate_8_gram_character_fraction: float = 0.12
    duplicate_9_gram_character_fraction: float = 0.11
    duplicate_10_gram_character_fraction: float = 0.10

    def __post_init__(self) -> None:
        for each in fields(self):
            check_fraction(each.name, getattr(self, each.name))

    def most(self, kind: str, n: int) -> float:
        """Return the most that the n-grams of `kind` ("top" or "duplicate") may fill."""
        fraction: float = getattr(self, f"{kind}_{n}_gram_character_fraction")
        return fraction


def judge(text: Measured, settings: GopherRepetition) -> Verdict | None:
    """Return the verdict of the first of the rules that rejects the text."""
    return judge_lines(text, settings) or judge_paragraphs(text, settings) or judge_n_grams(text, settings)


def judge_lines(text: Measured, settings: GopherRepetition) -> Verdict | None:
    """Reject templates filled in again and again as `duplicate_lines` or `duplicate_line_characters`."""
    most, most_characters = settings.duplicate_line_fraction, settings.duplicate_line_character_fraction
    return _judge_parts("line", text.lines, len(text.text), most, most_characters)


def judge_paragraphs(text: Measured, settings: GopherRepetition) -> Verdict | None:
    """Reject pages put together twice as `duplicate_paragraphs` or `duplicate_paragraph_characters`."""
    most, most_characters = settings.duplicate_paragraph_fraction, settings.duplicate_paragraph_character_fraction
    return _judge_parts("paragraph", text.paragraphs, len(text.text), most, most_characters)


def judge_n_grams(text: Measured, settings: GopherRepetition) -> Verdict | None:
    """Reject slogans as `top_N_gram`, and longer passages that come again as `duplicate_N_grams`."""
    for n, numbers, lengths in repeated_n_grams(text.words):
        kind = "top" if n < 5 else "duplicate"
        most = settings.most(kind, n)
        if kind == "top":
            verdict = reject_above(f"top_{n}_gram", divide(_top_characters(numbers, lengths), len(text.text)), most)
        elif divide(_again_at_most(numbers, lengths), len(text.text)) <= most:
            verdict = None
        else:
            duplicate = count_duplicate_characters(numbers.tolist(), lengths.tolist(), n)
            verdict = reject_above(f"duplicate_{n}_grams", divide(duplicate, len(text.text)), most)
        if verdict:
            return verdict
    return None


def _judge_parts(name: str, parts: Sequence[str], length: int, most: float, most_characters: float) -> Verdict | None:
    num_parts, num_characters = count_duplicates(parts)
    return reject_above(f"duplicate_{name}s", divide(num_parts, len(parts)), most) or reject_above(
        f"duplicate_{name}_characters", divide(num_characters, length), most_characters
    )


def count_duplicates(parts: Sequence[str]) -> tuple[int, int]:
    """Return how many of `parts` stood before, and how many characters they hold.

    >>> count_duplicates(["oak", "ash", "oak", "oak"])
    (2, 6)
    """
    distinct = set(parts)
    if len(distinct) == len(parts):
        return 0, 0
    return len(parts) - len(distinct), sum(map(len, parts)) - sum(map(len, distinct))


def repeated_n_grams(words: Sequence[str]) -> Iterator[tuple[int, Counts, Counts]]:
    """Yield n, the number of each n-gram and its length, for n of 2 to 10, while any n-gram comes twice.

    Yields:
        n; the n-grams in order as int64 (len(words) - n + 1,), equal numbers for equal n-grams; their lengths in
        characters, blanks between the words included, as int64 of the same shape.
    """
    known: dict[str, int] = {}
    singles = np.fromiter((known.setdefault(word, len(known)) for word in words), np.int64, len(words))
    ends = np.cumsum(np.fromiter(map(len, words), np.int64, len(words)) + 1)
    starts = np.concatenate(([0], ends[:-1])) if len(words) else ends
    numbers = singles
    for n in range(2, min(len(words), 10) + 1):
        # (number of the n - 1 words, number of the word behind them), as one number below 2⁶³: texts are far shorter.
        pairs = numbers[:-1] * len(known) + singles[n - 1 :]
        distinct, numbers = np.unique(pairs, return_inverse=True)
        if len(distinct) == len(pairs):
            return
        yield n, numbers, ends[n - 1 :] - starts[: len(pairs)] - 1


def count_duplicate_characters(numbers: Sequence[int], lengths: Sequence[int], n: int) -> int:
    """Return the characters in n-grams that stood before, reading on behind each one found, so that none counts twice.

    >>> count_duplicate_characters([7, 8, 7, 8, 7], [3, 3, 3, 3, 3], 2)
    6
    """
    seen: set[int] = set()
    total = place = 0
    while place < len(numbers):
        if numbers[place] in seen:
            total += lengths[place]
            place += n
        else:
            seen.add(numbers[place])
            place += 1
    return total


def _top_characters(numbers: Counts, lengths: Counts) -> int:
    """Of the n-grams that come most often, and at least twice, the characters in all occurrences of the longest."""
    counts = np.bincount(numbers)
    longest = lengths[counts[numbers] == counts.max()].max()
    return int(longest * counts.max()) if counts.max() > 1 else 0


def _again_at_most(numbers: Counts, lengths: Counts) -> int:
    """The characters in all n-grams that stood before, however they overlap: never less than what is counted once."""
    _, first = np.unique(numbers, return_index=True)
    return int(lengths.sum() - lengths[first].sum())
