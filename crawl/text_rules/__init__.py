"""Rules that a text must pass, under their published names and numbers, one family a file.

Every rule returns a verdict, or None where it has nothing to say; C4's rules also leave lines out. `judge_text` runs
the families that `RuleSettings` holds, the cheapest first.
"""

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

from crawl.text_rules import c4, fineweb, gopher_quality, gopher_repetition, sentences
from crawl.text_rules.c4 import C4
from crawl.text_rules.fineweb import FineWeb
from crawl.text_rules.gopher_quality import GopherQuality
from crawl.text_rules.gopher_repetition import GopherRepetition
from crawl.text_rules.measured import measure
from crawl.verdict import Verdict

__all__ = ["C4", "FineWeb", "GopherQuality", "GopherRepetition", "RuleSettings", "judge_text"]


@dataclass(frozen=True)
class RuleSettings:
    """Which families of rules a text must pass; None leaves one out.

    Attributes:
        min_sentences: fewest sentences, see `sentences`; 0 asks for none.
        gopher_quality: words, symbols, lines and stop words.
        gopher_repetition: repeated lines, paragraphs and n-grams.
        c4: lines that are no sentences are left out, and texts with too little left.
        fineweb: punctuation, length and repetition of lines.
    """

    min_sentences: int = sentences.MIN_SENTENCES
    gopher_quality: GopherQuality | None = field(default_factory=GopherQuality)
    gopher_repetition: GopherRepetition | None = field(default_factory=GopherRepetition)
    c4: C4 | None = None
    fineweb: FineWeb | None = None

    def names(self) -> tuple[str, ...]:
        """Return the families that are in force."""
        families = ("gopher_quality", "gopher_repetition", "c4", "fineweb")
        sentence_rule = ("min_sentences",) if self.min_sentences else ()
        return (*sentence_rule, *(name for name in families if getattr(self, name)))

    @cached_property
    def lenient(self) -> "tuple[RuleSettings, RuleSettings]":
        """The rules for a quick text, which may miss some and still holds boilerplate: the cheap ones, then the others.

        Half as many words and sentences will do, three times as much may be repeated, and lines may come again. On the
        181 pages of the article-extraction benchmark these reject no page whose main text passes.
        """
        quality = self.gopher_quality and replace(self.gopher_quality, min_words=self.gopher_quality.min_words // 2)
        repetition = self.gopher_repetition and GopherRepetition(
            **{name: min(1.0, 3 * most) for name, most in asdict(self.gopher_repetition).items()}
        )
        c4 = self.c4 and replace(self.c4, min_sentences=self.c4.min_sentences // 2)
        fineweb = self.fineweb and replace(self.fineweb, duplicate_line_character_ratio=1.0)
        cheap = RuleSettings(self.min_sentences // 2, quality, None, c4, fineweb)
        return cheap, RuleSettings(0, None, repetition)


def judge_text(text: str, language: str, settings: RuleSettings) -> str | Verdict:
    """Return the text, less the lines that C4's rules leave out, or the verdict of the first rule that rejects it.

    Args:
        text: paragraphs parted by a blank line.
        language: BCP 47, as `en`; rules that know some languages only pass over the others.
        settings: the families of rules.

    >>> judge_text("An oak stands in the meadow.", "en", RuleSettings())
    Verdict(fate='rejected', reason='too_few_words', detail='6 < 50')
    """
    measured = measure(text)
    verdict = None
    if settings.gopher_quality:
        verdict = gopher_quality.judge(measured, language, settings.gopher_quality)
    verdict = verdict or sentences.judge(measured, settings.min_sentences)
    if not verdict and settings.gopher_repetition:
        verdict = gopher_repetition.judge(measured, settings.gopher_repetition)
    if not verdict and settings.c4:
        kept = c4.clean(measured, settings.c4)
        if isinstance(kept, Verdict):
            return kept
        if kept != text:
            text, measured = kept, measure(kept)
    if not verdict and settings.fineweb:
        verdict = fineweb.judge(measured, settings.fineweb)
    return verdict or text
