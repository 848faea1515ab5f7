"""Every schedule and corruption has the promised bits, however it is read."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from shards import open_dataset
from shards.corruption import CORRUPTIONS, PIXEL_VALUES, corrupted_pixels, mix, num_corrupted
from shards.dataset import TripletDataset
from shards.noise import quantile_table, random_words, sample_id, static
from shards.schedule import SCHEDULES, ladder
from shards.triplet import TripletSpec, picture_key, rungs, triplet_key
from tests.tiny_datasets import draw_tree, write_triplets

SIZE, NUM_PICTURES = 8, 5
VARIANCES = {"list": (0.01, 0.5, 9.0)}


def a_spec(schedule: str, corruption: str, mode: str, draws: int = 2) -> TripletSpec:
    more: dict[str, Any] = {"sigma": 2.5, "variances": VARIANCES.get(schedule, ()), "draws": draws}
    return TripletSpec(SIZE, steps=3, seed=2**63 - 1, schedule=schedule, corruption=corruption, mode=mode, **more)


def pictures() -> dict[str, NDArray[np.uint8]]:
    drawn = [draw_tree(seed, SIZE) for seed in range(NUM_PICTURES)]
    return {picture_key(picture): picture for picture in drawn}


def expected(spec: TripletSpec, key: str, step: int, draw: int) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Noise and noisy of one triplet, pixel by pixel, in Python's own floats: exact until they are rounded."""
    clean, noise = pictures()[key], static(spec.seed, sample_id(key), draw, spec.shape)
    x = (2.0 * clean.astype(np.float64) - 255) / 256
    if spec.corruption == "gaussian":
        a, b = (float(factor[step - 1]) for factor in spec.factors)
        return noise, (a * x + b * noise.astype(np.float64)).astype(np.float32).astype(np.float16)
    noisy = x.astype(np.float16)
    words = random_words(spec.seed, sample_id(key), draw, 1, SIZE * SIZE).tolist()
    ranked = sorted(range(SIZE * SIZE), key=lambda place: (words[place], place))
    for place in ranked[: int(step * SIZE * SIZE / spec.steps + 0.5)]:
        row, column = divmod(place, SIZE)
        pixel = x[row, column] + noise[row, column].astype(np.float64)
        noisy[row, column] = 255 / 256 if spec.corruption == "whiteout" else pixel.astype(np.float32)
    return (noisy.astype(np.float64) - x).astype(np.float16), noisy


def read(folder: Path, noise: Any, corruption: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    dataset = open_dataset(folder)
    assert isinstance(dataset, TripletDataset)
    dataset = dataset.corrupted(corruption) if corruption else dataset
    for batch in dataset.loader(7, finite=True, noise=noise):
        for row in np.flatnonzero(batch["valid"]).tolist():
            yield str(batch["key"][row]), {name: batch[name][row] for name in ("clean", "noise", "noisy", "a", "b")}


@pytest.mark.parametrize(("schedule", "corruption"), list(itertools.product(SCHEDULES, CORRUPTIONS)))
def test_stored_virtual_and_fresh_are_the_same_bits_and_those_defined(
    tmp_path: Path, schedule: str, corruption: str
) -> None:
    found = {}
    for mode in ("materialised", "virtual"):
        spec = a_spec(schedule, corruption, mode)
        folder = write_triplets(tmp_path / mode, spec, {"train": list(pictures().values())})
        for noise in ("stored", "fresh"):
            found[mode, noise] = dict(read(folder, noise))
    wanted = {triplet_key(key, k, d): (key, k, d) for key in pictures() for k, d in rungs(spec)}
    for samples in found.values():
        assert samples.keys() == wanted.keys()
        for name, sample in samples.items():
            static_there, noisy = expected(spec, *wanted[name])
            assert np.array_equal(sample["clean"], pictures()[wanted[name][0]])
            assert sample["noise"].tobytes() == static_there.tobytes()
            assert sample["noisy"].tobytes() == noisy.tobytes()


@pytest.mark.parametrize("mode", ["materialised", "virtual"])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize("stored", CORRUPTIONS)
def test_any_dataset_is_read_under_any_corruption(tmp_path: Path, mode: str, corruption: str, stored: str) -> None:
    spec = a_spec("interpolate", stored, mode)
    folder = write_triplets(tmp_path, spec, {"train": list(pictures().values())})
    dataset = open_dataset(folder)
    assert isinstance(dataset, TripletDataset)
    wanted = {triplet_key(key, k, d): (key, k, d) for key in pictures() for k, d in rungs(spec)}
    under = dataset.corrupted(corruption)
    samples = dict(read(folder, "stored", corruption)) | {
        sample["key"]: sample for sample in map(under.__getitem__, (0, 9))
    }
    assert samples.keys() == wanted.keys()
    for name, sample in samples.items():
        noise, noisy = expected(a_spec("interpolate", corruption, mode), *wanted[name])
        assert sample["noise"].tobytes() == noise.tobytes()
        assert sample["noisy"].tobytes() == noisy.tobytes()
        assert sample.get("meta", {"corruption": corruption})["corruption"] == corruption
    assert dataset.spec.corruption == stored


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_ladder_mixes_in_more_of_one_static(tmp_path: Path, corruption: str) -> None:
    spec = a_spec("interpolate", corruption, "materialised", draws=1)
    samples = dict(read(write_triplets(tmp_path, spec, {"train": list(pictures().values())}), "stored"))
    for key in pictures():
        ladder_of = [samples[triplet_key(key, step, 0)]["noise"] for step in (1, 2, 3)]
        for before, after in itertools.pairwise(ladder_of):
            touched = before != 0
            assert np.array_equal(before[touched], after[touched]), "what was noise stays the same noise"
    if corruption != "gaussian":
        shares = [np.mean([np.any(samples[triplet_key(key, k, 0)]["noise"], axis=2).mean() for key in pictures()])
                  for k in (1, 2, 3)]  # fmt: skip
        assert shares == pytest.approx([1 / 3, 2 / 3, 1], abs=0.05)


def test_add_and_list_keep_the_picture_and_add_static_of_known_variance() -> None:
    for name, sigma, variances in (("add", 2.0, ()), ("list", 1.0, (1.0, 2.0, 3.0, 4.0))):
        a, b = ladder(name, 4, sigma, variances)
        assert a.tolist() == [1.0] * 4
        assert (b.astype(float) ** 2).tolist() == pytest.approx([1, 2, 3, 4], rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "add", "sigma": 0.0}, "sigma is 0.0: it must be above 0 and at most 1000"),
        ({"name": "add", "sigma": float("nan")}, "sigma is nan"),
        ({"name": "add", "sigma": 1e4}, "sigma is 10000.0"),
        ({"name": "list"}, r"variances is \[\]: give 2, one for each step"),
        ({"name": "list", "variances": (1.0, 1.0)}, "they must rise from above 0"),
        ({"name": "list", "variances": (0.0, 1.0)}, "they must rise from above 0"),
        ({"name": "list", "variances": (1.0, float("inf"))}, "they must rise from above 0 to at most 1e[+]06"),
        ({"name": "interpolate", "variances": (1.0, 2.0)}, "only the schedule 'list' takes them"),
    ],
)
def test_impossible_ladders_say_what_would_do(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ladder(**{"steps": 2} | change)


@given(arrays(np.uint16, (3, 16), elements=st.integers(0, 5)), st.integers(1, 7))
def test_pixels_turn_one_after_the_other_by_word_then_place(words: NDArray[np.uint16], steps: int) -> None:
    before = np.zeros(words.shape, bool)
    for step in range(1, steps + 1):
        mask = corrupted_pixels(words, np.full(3, step), steps)
        assert (mask.sum(axis=1) == num_corrupted(np.array(step), steps, 16)).all()
        assert (mask >= before).all()
        for row in range(3):
            hit = {(int(words[row, place]), place) for place in np.flatnonzero(mask[row]).tolist()}
            rest = {(int(words[row, place]), place) for place in np.flatnonzero(~mask[row]).tolist()}
            assert not hit or not rest or max(hit) < min(rest)
        before = mask
    assert before.all()


@given(st.integers(0, 255), st.integers(0, 65535), st.integers(1, 65535), st.integers(1, 65535))
def test_the_mix_is_the_exact_sum_rounded_twice(u: int, word: int, numerator: int, other: int) -> None:
    noise = quantile_table()[[word]]
    a, b = (np.float16(value / 65535) for value in (numerator, other))
    exact = float(a) * float(PIXEL_VALUES[u]) + float(b) * float(noise[0])
    mixed = mix(np.array([u], np.uint8), noise, a, b)
    assert mixed.tobytes() == np.array([exact]).astype(np.float32).astype(np.float16).tobytes()
