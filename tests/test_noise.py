"""The static and the ladder give their known answers, bit for bit."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards import noise
from shards.schedule import ladder

UINT64 = st.integers(0, 2**64 - 1)


def test_first_words_are_the_known_answer() -> None:
    words = noise.random_words(seed=7, identity=9, draw=3, stream=0, count=4)
    assert [hex(word) for word in words] == ["0x1344", "0x146b", "0xf720", "0xb427"]


def test_quantile_table_has_the_known_hash_and_is_antisymmetric() -> None:
    table = noise.quantile_table()
    digest = hashlib.sha256(table.astype("<f2").tobytes()).hexdigest()
    assert digest == noise.QUANTILES_SHA256
    assert digest.startswith("c84e2ee9a90a7a59")
    assert np.array_equal(table, -table[::-1])
    assert float(table.max()) == pytest.approx(4.324, abs=1e-3)
    assert table.astype(np.float64).std() == pytest.approx(0.99999, abs=1e-5)


def test_another_table_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "QUANTILES_SHA256", "0" * 64)
    with pytest.raises(noise.NoiseError, match="would make other noise"):
        noise.quantile_table.__wrapped__()


def test_static_looks_its_words_up_in_the_table() -> None:
    table = noise.quantile_table()
    expected = table[[0x1344, 0x146B, 0xF720, 0xB427]].reshape(2, 2, 1)
    assert np.array_equal(noise.static(7, 9, 3, (2, 2, 1)), expected)


@given(seed=UINT64, identity=UINT64, draw=st.integers(0, 2**40))
def test_static_of_a_smaller_picture_begins_that_of_a_larger_one(seed: int, identity: int, draw: int) -> None:
    small = noise.static(seed, identity, draw, (3, 3, 1))
    large = noise.static(seed, identity, draw, (5, 5, 3))
    assert np.array_equal(small.ravel(), large.ravel()[:9])


def test_low_bits_of_seed_id_and_draw_all_count() -> None:
    shape = (4, 4, 3)
    base = noise.static(2**63, 2**63, 0, shape)
    for other in [(2**63 + 1, 2**63, 0), (2**63, 2**63 + 1, 0), (2**63, 2**63, 1)]:
        assert not np.array_equal(base, noise.static(*other, shape))


def test_statics_of_a_batch_are_those_of_each_picture() -> None:
    batch = noise.statics(5, [1, 2, 1], [0, 0, 4], (3, 3, 3))
    assert batch.shape == (3, 3, 3, 3)
    for row, (identity, draw) in enumerate([(1, 0), (2, 0), (1, 4)]):
        assert np.array_equal(batch[row], noise.static(5, identity, draw, (3, 3, 3)))


def test_interpolate_mixes_in_a_fifth_more_variance_each_step() -> None:
    a, b = ladder("interpolate", 5)
    assert a.dtype == b.dtype == np.float16
    assert b.astype(float) ** 2 == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0], abs=1e-3)
    assert a.astype(float) ** 2 + b.astype(float) ** 2 == pytest.approx(np.ones(5), abs=1e-3)
    assert (float(a[-1]), float(b[-1])) == (0.0, 1.0)


@pytest.mark.parametrize(("name", "steps", "message"), [("cosine", 5, "interpolate"), ("interpolate", 0, "steps")])
def test_impossible_ladders_are_refused(name: str, steps: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ladder(name, steps)


def test_the_static_is_standard_normal_and_independent() -> None:
    """Bounds of five standard errors: of a mean 1/√N, of a variance √(2/N), of a correlation 1/√N."""
    pictures, draws, shape = 64, 4, (32, 32, 3)
    ids = [picture * 0x9E3779B97F4A7C15 % 2**64 for picture in range(pictures)]
    static = np.stack([noise.statics(11, ids, [draw] * pictures, shape) for draw in range(draws)]).astype(np.float64)
    count = static.size
    assert abs(static.mean()) < 5 / count**0.5
    # The table's own variance is 0.99998: its quantiles stand for all beyond ±4.324.
    assert abs(static.var() - 0.99998) < 5 * (2 / count) ** 0.5
    neighbours = {
        "next draw": (static[1:], static[:-1]),
        "next picture": (static[:, 1:], static[:, :-1]),
        "pixel below": (static[:, :, 1:], static[:, :, :-1]),
        "pixel beside": (static[:, :, :, 1:], static[:, :, :, :-1]),
        "next channel": (static[..., 1:], static[..., :-1]),
    }
    for name, (one, other) in neighbours.items():
        assert abs((one * other).mean()) < 5 / one.size**0.5, name
