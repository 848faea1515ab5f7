"""Which texts may be near duplicates, and how alike they really are."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.minhash import hash_bands, hash_shingles, jaccard
from crawl.word_hashes import Hashes, hash_n_grams, plain_words


def pairs_alike(num_common: int, num_own: int, num_pairs: int) -> Iterator[tuple[Hashes, Hashes]]:
    """Pairs of random sets of which each holds some elements of its own."""
    draw = np.random.default_rng(5)
    for _ in range(num_pairs):
        elements = draw.integers(0, 2**64, num_common + 2 * num_own, dtype=np.uint64)
        common = elements[:num_common]
        yield (
            np.sort(np.append(common, elements[num_common : num_common + num_own])),
            np.sort(np.append(common, elements[num_common + num_own :])),
        )


@pytest.mark.parametrize(
    ("num_common", "num_own", "num_pairs", "least", "most"),
    [
        (400, 50, 1_000, 0.9, 0.95),
        (300, 150, 1_000, 0.03, 0.08),
        pytest.param(400, 50, 20_000, 0.92, 0.93, marks=pytest.mark.slow),
    ],
)
def test_candidates_are_as_likely_as_the_bands_make_them(
    num_common: int, num_own: int, num_pairs: int, least: float, most: float
) -> None:
    similarity = num_common / (num_common + 2 * num_own)
    found = [
        bool((hash_bands(one) == hash_bands(other)).any()) for one, other in pairs_alike(num_common, num_own, num_pairs)
    ]
    assert least <= np.mean(found) <= most
    assert np.mean(found) == pytest.approx(1 - (1 - similarity**8) ** 14, abs=0.03)


@given(st.text(alphabet="ab c.", max_size=60), st.text(alphabet="ab c.", max_size=60))
def test_jaccard_is_that_of_the_sets_of_5_grams(one: str, other: str) -> None:
    sets = []
    for text in (one, other):
        words = plain_words(text)
        size = min(5, len(words))
        sets.append({tuple(words[k : k + size]) for k in range(len(words) - size + 1)} if words else set())
    union = sets[0] | sets[1]
    expected = len(sets[0] & sets[1]) / len(union) if union else 0.0
    assert jaccard(hash_shingles(one), hash_shingles(other)) == pytest.approx(expected)


def test_hashes_are_the_same_on_every_machine() -> None:
    shingles = hash_shingles("The old oak stands at the edge of the meadow.")
    assert [f"{value:016x}" for value in shingles[:2].tolist()] == ["55af6ae0b7b8eb62", "a333cde6a6722e43"]
    assert f"{hash_bands(shingles)[13]:016x}" == "38228324ea288395"


def test_bands_of_nothing_are_an_error() -> None:
    assert len(hash_shingles("... !")) == 0
    with pytest.raises(ValueError, match="without words"):
        hash_bands(hash_shingles(""))


def test_n_grams_heed_the_order_of_words() -> None:
    forth, back = (hash_n_grams(words, 3) for words in (["a", "b", "c"], ["c", "b", "a"]))
    assert forth.shape == back.shape == (1,)
    assert forth != back
    assert hash_n_grams(["a", "b"], 3).shape == (0,)
