"""What a picture's places are summed up to is the same however they come, and holds what its fate depends on."""

import random
from collections.abc import Sequence

import pytest
from apache_beam.coders import FastPrimitivesCoder
from hypothesis import given
from hypothesis import strategies as st

from crawl.picture_filters.settings import FilterSettings
from pipelines.found_pictures import Joined, best_place, join, key_of, pack_fetched, pack_seen
from pipelines.ledger import Fetched, RowRef
from pipelines.placeholders import Places, judge_copies
from pipelines.seen_places import Against, Place, Seen, sum_up

FILTERS = FilterSettings(max_pages=3, max_hosts=2)
URL = "https://trees.example/oak.png"
FETCHED = pack_fetched(Fetched(URL, "ab" * 32, RowRef("ledger-0.parquet", 3)))


def shown(page: str, row: int = 0, caption: str = "", claim: str = "unknown", opt_out: str = "none") -> Seen:
    """One place where a picture was found."""
    place = Place((not caption, claim == "unknown", 3, -len(caption), page), RowRef("links-0.parquet", row))
    against = Against(place, opt_out) if opt_out != "none" else None
    return sum_up([Seen(place, None, (claim,), Places.on(page, FILTERS), against)], FILTERS)


PLACES = st.lists(
    st.builds(
        shown,
        st.builds("https://{}.example/{}".format, st.sampled_from("abc"), st.integers(0, 4)),
        st.integers(0, 99),
        st.sampled_from(["", "An oak", "An old oak"]),
        st.sampled_from(["unknown", "CC-BY-4.0", "CC0-1.0"]),
        st.sampled_from(["none"] * 9 + ["noai"]),
    ),
    min_size=1,
    max_size=8,
)


def parted(items: Sequence[Joined], draw: random.Random) -> list[Sequence[Joined]]:
    """The items in another order, in bundles of any size."""
    shuffled, cuts = draw.sample(items, len(items)), sorted(draw.sample(range(1, len(items)), min(2, len(items) - 1)))
    return [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(items)], strict=True)]


@given(PLACES, st.randoms(use_true_random=False))
def test_the_sum_is_the_same_however_it_is_bundled(places: list[Seen], draw: random.Random):
    parts: list[Joined] = [FETCHED, *(pack_seen(place) for place in places)]
    whole = join(parts, FILTERS)
    assert join([join(bundle, FILTERS) for bundle in parted(parts, draw)], FILTERS) == whole
    assert join([whole], FILTERS) == whole
    assert join([whole, *parts[1:]], FILTERS) == whole


@given(PLACES)
def test_the_sum_tells_what_all_places_together_tell(places: list[Seen]):
    (found,) = best_place(b"", join([FETCHED, *(pack_seen(place) for place in places)], FILTERS))
    ranked = sorted(place.best for place in places if place.best)
    pages = {place.best.rank[-1] for place in places if place.best}
    if any(place.against for place in places):
        first = min(place.against for place in places if place.against)
        assert (found.value.reason, found.value.detail) == ("opted_out_by_page", f"noai on {first.place.rank[-1]}")
    elif verdict := judge_copies([found], FILTERS):
        assert verdict.detail == ("more than 3 pages" if len(pages) > 3 else "more than 2 hosts")
    else:
        named = [place.link for place in ranked if not place.rank[1]]
        assert (found.rank, found.link) == ranked[0]
        assert found.licensed == (named or [found.link])[0]
        assert found.claims == tuple(sorted({claim for place in places for claim in place.claims}))
        assert len(found.places.pages) == len(pages) <= 3


@pytest.mark.parametrize(
    ("most_pages", "most_hosts", "reason"), [(0, 0, ""), (3, 0, "3 pages"), (0, 2, "2 hosts"), (3, 2, "3 pages")]
)
def test_only_what_a_filter_asks_for_is_counted(most_pages: int, most_hosts: int, reason: str):
    filters = FilterSettings(max_pages=most_pages, max_hosts=most_hosts)
    places = [Places.on(f"https://{host}.example/{page}", filters) for host in "abcde" for page in range(9)]
    seen = sum_up((Seen(shown("p").best, None, (), place) for place in places), filters)
    (found,) = best_place(b"", join([FETCHED, pack_seen(seen)], filters))
    verdict = judge_copies([found, found], filters)
    assert (verdict.detail if verdict else "") == (f"more than {reason}" if reason else "")


def test_a_sum_takes_few_bytes_whatever_it_sums_up():
    filters = FilterSettings()

    def crossing(num_pages: int) -> int:
        """Bytes of the sum of places on so many pages of 75 letters, the best of which does not name the licence."""
        places = []
        for number in range(num_pages):
            page = f"https://{number % 4}.example/".ljust(73, "x") + f"{number:02}"
            is_last = number == num_pages - 1
            place = Place((is_last, not is_last, 3, -100, page), RowRef("links-001-00-00000.parquet", 10**6 + number))
            claims = ("CC-BY-SA-4.0",) if is_last else ("unknown",)
            places.append(Seen(place, None, claims, Places.on(page, filters)))
        return len(FastPrimitivesCoder().encode((key_of(URL), pack_seen(sum_up(places, filters)))))

    assert crossing(1) <= 200
    assert max(map(crossing, range(1, 21))) <= 500
    assert crossing(21) <= 50
