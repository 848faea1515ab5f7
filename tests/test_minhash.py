"""Which texts may be near duplicates, and how alike they really are."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.minhash import hash_bands, hash_shingles, jaccard
from crawl.word_hashes import hash_n_grams, plain_words

WORDS = [f"word{number}" for number in range(20_000)]


def with_changes(words: list[str], num_changes: int, draw: random.Random) -> str:
    """The text with single words replaced, each so far from the next that it changes five 5-grams."""
    changed = list(words)
    for place in draw.sample(range(4, len(words) - 4, 5), num_changes):
        changed[place] = f"other{draw.randrange(10**9)}"
    return " ".join(changed)


def share_of_candidates(num_changes: int, num_pairs: int) -> tuple[float, float]:
    """How alike texts of 500 words are on average after changes, and how many pairs have an equal band."""
    draw = random.Random(5)
    similarities, num_candidates = [], 0
    for _ in range(num_pairs):
        words = draw.choices(WORDS, k=500)
        one, other = hash_shingles(" ".join(words)), hash_shingles(with_changes(words, num_changes, draw))
        similarities.append(jaccard(one, other))
        num_candidates += bool((hash_bands(one) == hash_bands(other)).any())
    return float(np.mean(similarities)), num_candidates / num_pairs


@pytest.mark.parametrize(("num_changes", "similarity", "least", "most"), [(11, 0.8, 0.92, 1), (32, 0.51, 0, 0.1)])
def test_candidates_are_as_likely_as_the_bands_make_them(
    num_changes: int, similarity: float, least: float, most: float
) -> None:
    measured, share = share_of_candidates(num_changes, num_pairs=1_000)
    assert measured == pytest.approx(similarity, abs=0.005)
    assert least <= share <= most
    assert share == pytest.approx(1 - (1 - measured**8) ** 14, abs=0.03)


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
    assert f"{hash_bands(shingles)[13]:016x}" == "9efbc405637e595d"


def test_bands_of_nothing_are_an_error() -> None:
    assert len(hash_shingles("... !")) == 0
    with pytest.raises(ValueError, match="without words"):
        hash_bands(hash_shingles(""))


def test_n_grams_heed_the_order_of_words() -> None:
    forth, back = (hash_n_grams(words, 3) for words in (["a", "b", "c"], ["c", "b", "a"]))
    assert forth.shape == back.shape == (1,)
    assert forth != back
    assert hash_n_grams(["a", "b"], 3).shape == (0,)
