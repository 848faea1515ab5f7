"""C4's rules: lines that are no sentences are left out, and texts with too little left.

Two variants are in use. `C4.paper()` is what the paper states: lines of at least 5 words that end in a terminal mark,
pages of at least 3 sentences. `C4.common()` is what later pipelines run, datatrove and FineWeb among them: lines of at
least 3 words, pages of at least 5 sentences (the numbers of the paper's first version), and lines need not end in a
mark. Its list of bad words is not part of either here.

Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer"
(JMLR 21), section 2.2; its code (tensorflow_datasets, `text/c4_utils.py`) for policies, citations and the longest word;
datatrove's `C4QualityFilter` as FineWeb calls it for the common variant. Both part words by white space; here a lone
`-` or `|`, which main-text extraction writes before an item and between cells, is no word, as in the other rules.
"""

import re
from dataclasses import dataclass
from typing import Self

from crawl.text_rules.measured import Measured, reject_below, split_words
from crawl.text_rules.sentences import SENTENCE_END, count_sentence_ends
from crawl.verdict import Verdict

TERMINAL_MARKS = (".", "?", "!", '"', "'", "”", "’", "。", "！", "？")
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICIES = re.compile("terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies")


@dataclass(frozen=True, slots=True)
class C4:
    """The thresholds; the defaults are the common variant.

    Attributes:
        min_sentences: fewest sentences in the lines that are kept.
        min_words_per_line: a line with fewer is left out.
        max_word_length: a line with a longer word, in characters, is left out.
        terminal_punctuation: whether a line must end in a mark that ends a sentence, and not in an ellipsis.
        javascript: whether lines that name JavaScript are left out.
        policies: whether lines that name terms of use or cookies are left out.
        citations: whether `[1]`, `[edit]` and `[citation needed]` are taken out of lines.
        curly_bracket: whether a text with `{` is rejected.
        lorem_ipsum: whether a text with "lorem ipsum" is rejected.
    """

    min_sentences: int = 5
    min_words_per_line: int = 3
    max_word_length: int = 1000
    terminal_punctuation: bool = False
    javascript: bool = True
    policies: bool = True
    citations: bool = True
    curly_bracket: bool = True
    lorem_ipsum: bool = True

    def __post_init__(self) -> None:
        if self.min_sentences < 0 or self.min_words_per_line < 0 or self.max_word_length < 1:
            raise ValueError("min_sentences and min_words_per_line are 0 or more, max_word_length is 1 or more")

    @classmethod
    def paper(cls) -> Self:
        """Return the variant of the paper."""
        return cls(min_sentences=3, min_words_per_line=5, terminal_punctuation=True)

    @classmethod
    def common(cls) -> Self:
        """Return the variant of later pipelines."""
        return cls()


def clean(text: Measured, settings: C4) -> str | Verdict:
    """Return the text less its lines that are no sentences.

    Paragraphs stay parted by a blank line. Rejects `curly_bracket`, `lorem_ipsum` and `too_few_sentences`.
    """
    lowered = text.text.lower()
    if settings.curly_bracket and "{" in text.text:
        return Verdict("rejected", "curly_bracket", "{")
    if settings.lorem_ipsum and "lorem ipsum" in lowered:
        return Verdict("rejected", "lorem_ipsum", "lorem ipsum")
    kept_paragraphs: list[str] = []
    num_sentences = 0
    for paragraph in text.paragraphs:
        lines = [line for whole in paragraph.split("\n") if (line := _clean_line(whole, settings))]
        num_sentences += sum(map(count_sentences, lines))
        if lines:
            kept_paragraphs.append("\n".join(lines))
    verdict = reject_below("too_few_sentences", num_sentences, settings.min_sentences)
    return verdict or "\n\n".join(kept_paragraphs)


def count_sentences(line: str) -> int:
    """Return the sentences in a line; what follows the last mark is one too.

    >>> count_sentences("An oak. An ash! And so on")
    3
    """
    ends = count_sentence_ends([line])
    return ends if ends and SENTENCE_END.split(line)[-1].strip() == "" else ends + 1


def _clean_line(line: str, settings: C4) -> str:
    """Return the line without citations, indentation kept, or "" where it is left out."""
    words = split_words(line)
    if len(words) < settings.min_words_per_line or max(map(len, words), default=0) > settings.max_word_length:
        return ""
    if settings.citations and "[" in line:
        line = CITATION.sub("", line)
    lowered = line.lower()
    if settings.javascript and "javascript" in lowered:
        return ""
    if settings.policies and POLICIES.search(lowered):
        return ""
    if settings.terminal_punctuation and not _is_closed(line.rstrip()):
        return ""
    return line.rstrip()


def _is_closed(line: str) -> bool:
    return line.endswith(TERMINAL_MARKS) and not line.endswith("...")
