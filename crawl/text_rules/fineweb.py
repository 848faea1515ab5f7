"""FineWeb's own rules: the lists, menus and templates that Gopher's and C4's rules let pass.

A line is what stands between line breaks; blank lines, which only part paragraphs here, do not count.

Source: Penedo et al. 2024, "The FineWeb Datasets", section 3.5, and the code that made the data set (datatrove,
`FineWebQualityFilter`), whose numbers these are; the paper gives 0.1 for the characters in duplicated lines.
"""

from dataclasses import dataclass

from crawl.text_rules.gopher_repetition import count_duplicates
from crawl.text_rules.measured import Measured, check_fraction, divide, reject_above
from crawl.verdict import Verdict

# Source: datatrove's set, cut down to the marks of scripts that end lines with one.
TERMINAL_MARKS = (".", "'", '"', "!", "?", "…", "”", "’", "»", "。", "！", "？", "؟", "।", "።", "။")


@dataclass(frozen=True, slots=True)
class FineWeb:
    """The thresholds.

    Attributes:
        line_punctuation_ratio: a text is rejected where at most this fraction of its lines ends in a terminal mark.
        short_line_ratio: and where at least this fraction of its lines is short.
        short_line_length: most characters of a short line.
        duplicate_line_character_ratio: and where at least this fraction of the characters stands in duplicated lines.
        line_break_ratio: and where there are more line breaks than this for each word.
    """

    line_punctuation_ratio: float = 0.12
    short_line_ratio: float = 0.67
    short_line_length: int = 30
    duplicate_line_character_ratio: float = 0.01
    line_break_ratio: float = 0.3

    def __post_init__(self) -> None:
        for name in ("line_punctuation_ratio", "short_line_ratio", "duplicate_line_character_ratio"):
            check_fraction(name, getattr(self, name))
        if self.short_line_length < 0 or self.line_break_ratio < 0:
            raise ValueError("short_line_length and line_break_ratio are 0 or more")


def judge(text: Measured, settings: FineWeb) -> Verdict | None:
    """Reject `few_punctuated_lines`, `mostly_short_lines`, `duplicate_line_characters` and `many_line_breaks`."""
    num_lines = len(text.lines)
    punctuated = divide(sum(line.endswith(TERMINAL_MARKS) for line in text.lines), num_lines)
    if punctuated <= settings.line_punctuation_ratio:
        return Verdict("rejected", "few_punctuated_lines", f"{punctuated:.4g} ≤ {settings.line_punctuation_ratio:g}")
    short = divide(sum(len(line) <= settings.short_line_length for line in text.lines), num_lines)
    if short >= settings.short_line_ratio:
        return Verdict("rejected", "mostly_short_lines", f"{short:.4g} ≥ {settings.short_line_ratio:g}")
    duplicate = divide(count_duplicates(text.lines)[1], len(text.text) - text.text.count("\n"))
    most = settings.duplicate_line_character_ratio
    if duplicate >= most:
        return Verdict("rejected", "duplicate_line_characters", f"{duplicate:.4g} ≥ {most:g}")
    return reject_above("many_line_breaks", divide(num_lines - 1, len(text.words)), settings.line_break_ratio)
