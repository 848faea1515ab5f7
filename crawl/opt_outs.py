"""What owners say against use in data sets: one vocabulary for all ways to say it, and what follows; strictest wins.

A statement for use never takes back one against it, wherever the two stand: header, page, file of the site or picture.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from crawl.records import Kind

TDM_RESERVED: Final = "tdm_reserved"
"""Rights to text and data mining are reserved, in a header, a page or tdmrep.json."""

AI_TXT_DISALLOWED: Final = "ai_txt_disallowed"
"""The site's ai.txt disallows the URL."""

XMP_PROHIBITED: Final = "xmp_prohibited"
"""The picture's own metadata prohibit data mining or training."""

# The gravest first, and the reason each gives.
_REASONS: Final = {
    "noai": "opted_out_noai",
    "noimageai": "opted_out_noai",
    TDM_RESERVED: "opted_out_tdm",
    AI_TXT_DISALLOWED: "opted_out_ai_txt",
    XMP_PROHIBITED: "opted_out_xmp",
    "noindex": "opted_out_noindex",
    "noimageindex": "opted_out_noindex",
}
_OF_PICTURES_ONLY: Final = frozenset({"noimageai", "noimageindex", XMP_PROHIBITED})


@dataclass(frozen=True, slots=True)
class OptOuts:
    """Which opt-outs keep something out; all are recorded, respected or not.

    Attributes:
        noai: "noai" and "noimageai" of X-Robots-Tag and robots meta.
        noindex: "noindex", "noimageindex" and "none" there; they speak of search engines, so a crawl whose owner has
            leave from a site may set this aside.
        tdm: the TDM Reservation Protocol.
        ai_txt: ai.txt.
        xmp: PLUS data mining in a picture's XMP.
    """

    noai: bool = True
    noindex: bool = True
    tdm: bool = True
    ai_txt: bool = True
    xmp: bool = True

    @classmethod
    def of(cls, names: Collection[str]) -> "OptOuts":
        """Return the opt-outs that are named as the attributes are, all others set aside."""
        return cls("noai" in names, "noindex" in names, "tdm" in names, "ai_txt" in names, "xmp" in names)

    def respects(self, signal: str) -> bool:
        """Return whether a signal keeps something out."""
        return signal in _REASONS and bool(getattr(self, _REASONS[signal].removeprefix("opted_out_")))


ALL_RESPECTED: Final = OptOuts()


@dataclass(frozen=True, slots=True)
class OptOutDecision:
    """What follows from all that was said.

    Attributes:
        recorded: the signals seen, sorted, joined with commas; "none" where there were none.
        reason: why the page or picture itself is not used, None where it may be.
        withholds_pictures: whether the pictures shown on the page are not to be used from there.
        against_pictures: what of it speaks against them wherever they are shown, "none" where nothing. "noindex" does
            not: it is said of the page, and sites say it of lists of what their other pages show.
    """

    recorded: str
    reason: str | None
    withholds_pictures: bool
    against_pictures: str


def decide_opt_outs(said: Iterable[str], kind: Kind, opt_outs: OptOuts) -> OptOutDecision:
    """Return what follows from signals and directives, of which those that are no opt-outs are passed over.

    Args:
        said: robots directives in lower case, and the signals of this module, from everywhere they may stand.
        kind: what they were said of; a sitemap is not used itself, and may be left out of indexes as most are.
        opt_outs: which of them are respected.

    >>> decide_opt_outs({"noai", "nofollow"}, "page", ALL_RESPECTED)
    OptOutDecision(recorded='noai', reason='opted_out_noai', withholds_pictures=True, against_pictures='noai')
    """
    return _decide(frozenset(_REASONS.keys() & said), kind, opt_outs)


@lru_cache(maxsize=256)
def _decide(signals: frozenset[str], kind: Kind, opt_outs: OptOuts) -> OptOutDecision:
    respected = [signal for signal in _REASONS if signal in signals and opt_outs.respects(signal)]
    ours = {"page": _REASONS.keys() - _OF_PICTURES_ONLY, "image": _REASONS.keys(), "sitemap": frozenset()}[kind]
    against_itself = [signal for signal in respected if signal in ours]
    return OptOutDecision(
        recorded=_joined(signals),
        reason=_REASONS[against_itself[0]] if against_itself else None,
        withholds_pictures=kind == "page" and bool(respected),
        against_pictures=_joined(set(respected) - {"noindex"} if kind == "page" else ()),
    )


def tdm_signals(values: Iterable[str]) -> frozenset[str]:
    """Return the signal of tdm-reservation headers or meta elements: 1 reserves, anything else says nothing.

    Source: TDM Reservation Protocol, W3C Community Group Final Report (2024), sections 5.1 and 6.1.
    """
    # Two headers of one name may have been joined on the way.
    reserved = any(part.strip() == "1" for value in values for part in value.split(","))
    return frozenset({TDM_RESERVED}) if reserved else frozenset()


def _joined(signals: Iterable[str]) -> str:
    return ",".join(sorted(signals)) or "none"
