"""Triplets have the promised bits, size and schema."""

import hashlib
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shards import triplet
from shards.corruption import PIXEL_VALUES, mix
from shards.noise import static
from shards.npy import npy_bytes, npy_length
from shards.tar import sample_bytes
from shards.triplet import TripletSpec

PROVENANCE: dict[str, Any] = {
    "url": "https://pictures.example/oak.jpg",
    "page_url": "https://arboretum.example/oak",
    "sha256": "ab" * 32,
    "caption_source": "alt",
    "licence": "CC-BY-4.0",
    "licence_url": "https://creativecommons.org/licenses/by/4.0/",
    "author": "unknown",
    "warc_file": "part-000000.warc.gz",
    "warc_offset": 4711,
    "fetched_at": "2026-01-02T03:04:05Z",
    "robots_rule": "none",
    "opt_out": "none",
    "width": 160,
    "height": 120,
    "tree_score": 0.0,
    "cluster": "00" * 16,
    "split": "train",
}


def picture(spec: TripletSpec, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, spec.shape, dtype=np.uint8)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((64, 64, 3), np.uint8),
        np.arange(129, dtype=np.uint16),
        np.ones((2, 2, 1), np.float16),
        np.zeros(0, "<u4"),
    ],
)
def test_npy_bytes_read_back_and_have_the_promised_length(array: NDArray[Any]) -> None:
    data = npy_bytes(array)
    assert len(data) == npy_length(array.dtype.str, array.shape)
    read = np.load(io.BytesIO(data), allow_pickle=False)
    assert read.dtype == array.dtype
    assert np.array_equal(read, array)
    assert (len(data) - array.nbytes) % 64 == 0


def test_pixel_values_are_exact() -> None:
    assert PIXEL_VALUES[[0, 127, 128, 255]].tolist() == [-255 / 256, -1 / 256, 1 / 256, 255 / 256]


def test_mix_is_the_exact_sum_rounded_to_float32_then_float16() -> None:
    generator = np.random.default_rng(0)
    clean = generator.integers(0, 256, 4096, dtype=np.uint8)
    noise = generator.standard_normal(4096).astype(np.float16)
    a, b = TripletSpec(size=1).factors
    for k in range(5):
        # In float64 the sum of the two exact products is exact too.
        exact = float(a[k]) * (2.0 * clean - 255) / 256 + float(b[k]) * noise.astype(np.float64)
        assert np.array_equal(mix(clean, noise, a[k], b[k]), exact.astype(np.float32).astype(np.float16))


def test_torch_mixes_the_same_bits() -> None:
    torch = pytest.importorskip("torch")
    spec = TripletSpec(size=64)
    clean, noise = picture(spec), static(3, 4, 0, spec.shape)
    x = (2 * torch.from_numpy(clean).float() - 255) / 256
    for a, b in zip(*spec.factors, strict=True):
        noisy = (float(a) * x + float(b) * torch.from_numpy(noise).float()).half()
        assert np.array_equal(noisy.numpy(), mix(clean, noise, a, b))


def test_mix_of_the_last_step_is_the_static() -> None:
    spec = TripletSpec(size=4)
    clean, noise = picture(spec), static(1, 2, 0, spec.shape)
    assert np.array_equal(mix(clean, noise, spec.factors[0][-1], spec.factors[1][-1]), noise)


def test_mix_of_a_batch_is_that_of_each_picture() -> None:
    spec = TripletSpec(size=3, steps=2)
    clean = np.stack([picture(spec, seed) for seed in range(2)])
    noise = np.stack([static(0, seed, 0, spec.shape) for seed in range(2)])
    a, b = spec.factors
    batch = mix(clean, noise, a.reshape(2, 1, 1, 1), b.reshape(2, 1, 1, 1))
    for row in range(2):
        assert np.array_equal(batch[row], mix(clean[row], noise[row], a[row], b[row]))


def test_known_triplet_never_changes() -> None:
    spec = TripletSpec(size=2, seed=7)
    clean = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    key = triplet.picture_key(clean)
    assert key == "fff3a9bcdd37363d703c1c4f95125336"
    sample_key, members = triplet.encode_triplet(spec, key, clean, 2, 0, caption="an oak", provenance=PROVENANCE)
    assert sample_key == f"{key}-k2-d0"
    assert list(members) == list(triplet.extensions(spec))
    arrays = {name: np.load(io.BytesIO(members[name])) for name in ("clean.npy", "noise.npy", "noisy.npy")}
    assert np.array_equal(arrays["clean.npy"], clean)
    assert np.array_equal(arrays["noise.npy"], static(7, int(key[:16], 16), 0, (2, 2, 3)))
    a, b = spec.factors
    assert np.array_equal(arrays["noisy.npy"], mix(clean, arrays["noise.npy"], a[1], b[1]))
    assert members["txt"] == b"an oak"
    assert {name: hashlib.sha256(data).hexdigest()[:16] for name, data in members.items()} == {
        "clean.npy": "195fd6fd2ea36dfc",
        "noise.npy": "b0e675d4c152581f",
        "noisy.npy": "bc2ab99ed1f52691",
        "txt": "6d73d95543d920e1",
        "json": "40f4f81e50624cad",
    }


def test_json_has_one_schema_with_floats_as_floats() -> None:
    spec = TripletSpec(size=2)
    clean = picture(spec)
    key = triplet.picture_key(clean)
    records = []
    for step, draw in triplet.rungs(spec):
        _, members = triplet.encode_triplet(spec, key, clean, step, draw, caption="", provenance=PROVENANCE)
        records.append(json.loads(members["json"]))
        assert b'"tree_score":0.0' in members["json"]
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5]
    assert {tuple((name, type(value)) for name, value in record.items()) for record in records} == {
        tuple((name, type(value)) for name, value in records[0].items())
    }
    assert (records[-1]["a"], records[-1]["b"]) == (0.0, 1.0)
    assert (type(records[-1]["a"]), records[0]["sample_id"]) == (float, key[:16])
    assert list(records[0])[-len(PROVENANCE) :] == list(PROVENANCE)


@given(
    caption=st.text(st.characters(codec="utf-8"), max_size=600),
    author=st.text(st.characters(codec="utf-8"), max_size=600),
    step=st.integers(1, 12),
    draw=st.integers(0, 2),
    mode=st.sampled_from(triplet.MODES),
)
def test_size_in_the_tar_is_known_without_the_pixels(
    caption: str, author: str, step: int, draw: int, mode: str
) -> None:
    spec = TripletSpec(size=3, channels=1, steps=12, draws=3, mode=mode)
    clean = picture(spec)
    key = triplet.picture_key(clean)
    provenance = PROVENANCE | {"author": author}
    if mode == "virtual":
        _, members = triplet.encode_virtual(spec, key, clean, caption=caption, provenance=provenance)
        promised = triplet.virtual_bytes(spec, key, caption=caption, provenance=provenance)
    else:
        _, members = triplet.encode_triplet(spec, key, clean, step, draw, caption=caption, provenance=provenance)
        promised = triplet.triplet_bytes(spec, key, step, draw, caption=caption, provenance=provenance)
    assert promised == sample_bytes(len(data) for data in members.values())
    assert tuple(members) == triplet.extensions(spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tree_score": 1}, "tree_score is 1, it must be of type float"),
        ({"url": None}, "url is None"),
        ({"warc_offset": True}, "warc_offset is True"),
        ({"colour": "green"}, "unknown fields: colour"),
    ],
)
def test_provenance_outside_the_schema_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        triplet.checked_provenance(PROVENANCE | change)


def test_missing_provenance_is_named() -> None:
    with pytest.raises(ValueError, match="missing fields: author"):
        triplet.checked_provenance({name: value for name, value in PROVENANCE.items() if name != "author"})


def test_picture_of_another_key_or_shape_is_refused() -> None:
    spec = TripletSpec(size=2)
    clean = picture(spec)
    with pytest.raises(ValueError, match="has the pixels of"):
        triplet.encode_virtual(spec, "0" * 32, clean, caption="", provenance=PROVENANCE)
    with pytest.raises(ValueError, match=r"the dataset's are uint8 \(2, 2, 3\)"):
        triplet.encode_virtual(spec, "0" * 32, clean[:1], caption="", provenance=PROVENANCE)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0}, {"steps": 0}, {"draws": 0}, {"channels": 4}, {"schedule": "cosine"},
        {"corruption": "fog"}, {"seed": -1}, {"seed": 2**63}, {"mode": "half"},
    ],
)  # fmt: skip
def test_impossible_specs_are_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(change))} is "):
        TripletSpec(**{"size": 8} | change)


def test_spec_makes_a_round_trip() -> None:
    spec = TripletSpec(size=8, seed=3, mode="virtual")
    assert TripletSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    with pytest.raises(ValueError, match="not a specification of triplets"):
        TripletSpec.from_json({"kind": "windows"})
