"""What follows from what was said: the strictest statement, of the page or the picture, as configured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.opt_outs import ALL_RESPECTED, OptOutDecision, OptOuts, decide_opt_outs, tdm_signals

SIGNALS = ("noai", "noimageai", "noindex", "noimageindex", "tdm_reserved", "ai_txt_disallowed", "xmp_prohibited")

said = st.frozensets(st.sampled_from([*SIGNALS, "nofollow", "none", "max-snippet:5"]))
some_opt_outs = st.builds(OptOuts, *[st.booleans()] * 5)


@pytest.mark.parametrize(
    ("signal", "page", "picture", "withholds"),
    [
        ("noai", "opted_out_noai", "opted_out_noai", True),
        ("noimageai", None, "opted_out_noai", True),
        ("noindex", "opted_out_noindex", "opted_out_noindex", True),
        ("noimageindex", None, "opted_out_noindex", True),
        ("tdm_reserved", "opted_out_tdm", "opted_out_tdm", True),
        ("ai_txt_disallowed", "opted_out_ai_txt", "opted_out_ai_txt", True),
        ("xmp_prohibited", None, "opted_out_xmp", True),
        ("nofollow", None, None, False),
        ("index", None, None, False),
    ],
)
def test_each_signal_keeps_out_pages_pictures_and_the_pictures_of_a_page(
    signal: str, page: str | None, picture: str | None, withholds: bool
):
    recorded = signal if signal in SIGNALS else "none"
    against = recorded if signal != "noindex" else "none"
    assert decide_opt_outs({signal}, "page", ALL_RESPECTED) == OptOutDecision(recorded, page, withholds, against)
    assert decide_opt_outs({signal}, "image", ALL_RESPECTED) == OptOutDecision(recorded, picture, False, "none")
    assert decide_opt_outs({signal}, "sitemap", ALL_RESPECTED) == OptOutDecision(recorded, None, False, "none")


@pytest.mark.parametrize(
    ("name", "signals"),
    [
        ("noai", {"noai", "noimageai"}),
        ("noindex", {"noindex", "noimageindex"}),
        ("tdm", {"tdm_reserved"}),
        ("ai_txt", {"ai_txt_disallowed"}),
        ("xmp", {"xmp_prohibited"}),
    ],
)
def test_what_is_set_aside_is_recorded_and_keeps_nothing_out(name: str, signals: set[str]):
    recorded = ",".join(sorted(signals))
    others = OptOuts.of({"noai", "noindex", "tdm", "ai_txt", "xmp"} - {name})
    for kind in ("page", "image"):
        assert decide_opt_outs(signals, kind, others) == OptOutDecision(recorded, None, False, "none")
        assert decide_opt_outs(set(SIGNALS), kind, others).reason is not None
        assert decide_opt_outs(set(SIGNALS), kind, OptOuts.of(())).reason is None


def test_the_gravest_gives_the_reason_and_all_are_recorded():
    assert decide_opt_outs({"noindex", "tdm_reserved"}, "page", ALL_RESPECTED) == OptOutDecision(
        "noindex,tdm_reserved", "opted_out_tdm", True, "tdm_reserved"
    )
    assert decide_opt_outs({"noindex", "noimageai"}, "page", ALL_RESPECTED).reason == "opted_out_noindex"
    assert decide_opt_outs({"noindex", "noimageai"}, "image", ALL_RESPECTED).reason == "opted_out_noai"


@given(said, said, some_opt_outs, st.sampled_from(["page", "image"]))
def test_saying_more_never_lets_more_in(some: frozenset[str], more: frozenset[str], opt_outs: OptOuts, kind):
    less, all_of_it = decide_opt_outs(some, kind, opt_outs), decide_opt_outs(some | more, kind, opt_outs)
    assert less.reason is None or all_of_it.reason is not None
    assert all_of_it.withholds_pictures or not less.withholds_pictures


@given(said, some_opt_outs)
def test_a_page_kept_out_never_lends_its_pictures(signals: frozenset[str], opt_outs: OptOuts):
    decision = decide_opt_outs(signals, "page", opt_outs)
    assert decision.withholds_pictures or decision.reason is None


@pytest.mark.parametrize(
    ("values", "reserved"),
    [
        (["1"], True),
        ([" 1 "], True),
        (["0"], False),
        (["0", "1"], True),
        (["1, 0"], True),
        (["10"], False),
        (["true"], False),
        ([""], False),
        ([], False),
    ],
)
def test_tdm_rights_are_reserved_by_1_and_nothing_else(values: list[str], reserved: bool):
    assert tdm_signals(values) == ({"tdm_reserved"} if reserved else set())
