"""Datasets open, read bit for bit what was meant, in the promised order, and say what is wrong."""

import hashlib
import itertools
import json
import pickle
import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shards import open_dataset
from shards.corruption import mix
from shards.dataset import TripletDataset, WindowDataset
from shards.loader import Loader
from shards.manifest import Counts, FileEntry, Manifest, atomic_write, write_current, write_manifest
from shards.noise import sample_id, static
from shards.shard import DamageError
from shards.store import DatasetError
from shards.tokenizer import TOKENIZER_NAME, WordTokenizer, build_vocabulary, split_words
from shards.triplet import (
    TripletSpec,
    encode_triplet,
    encode_virtual,
    extensions,
    picture_key,
    rungs,
    triplet_key,
)
from shards.window import EXTENSIONS, Piece, WindowSpec, encode_window, num_windows, place_pieces
from shards.writer import order_hash, shard_name, write_shard
from tests.test_triplet import PROVENANCE

PICTURES = 7
TEXTS = {
    "train": ["The old oak stands. The oak is old.", "An ash.", "A birch in the wind, a beech in the rain."],
    "val": ["The elm is tall."],
}


def pictures(spec: TripletSpec) -> dict[str, NDArray[np.uint8]]:
    drawn = np.random.default_rng(0).integers(0, 256, (PICTURES, *spec.shape), dtype=np.uint8)
    return {picture_key(clean): clean for clean in drawn}


def commit(folder: Path, spec: dict[str, Any], splits: dict[str, int], files: list[FileEntry]) -> Path:
    manifest = Manifest(
        stage=spec["kind"],
        fingerprint=folder.name,
        configuration={"spec": spec},
        inputs=(),
        counts=Counts(),
        splits=splits,
        files=tuple(files),
    )
    write_manifest(folder, manifest)
    write_current(folder.parent, folder.name)
    return folder.parent


def write_triplets(stage: Path, spec: TripletSpec, per_shard: int) -> Path:
    samples = []
    for number, (key, clean) in enumerate(pictures(spec).items()):
        caption = f"tree {number}"
        if spec.mode == "virtual":
            samples.append(encode_virtual(spec, key, clean, caption=caption, provenance=PROVENANCE))
        else:
            for step, draw in rungs(spec):
                samples.append(encode_triplet(spec, key, clean, step, draw, caption=caption, provenance=PROVENANCE))
    samples.sort(key=lambda sample: order_hash(sample[0]))
    folder = stage / "0123456789ab"
    folder.mkdir(parents=True)
    files: list[FileEntry] = []
    for number, start in enumerate(range(0, len(samples), per_shard)):
        path = folder / shard_name("train", number)
        files += write_shard(path, samples[start : start + per_shard], extensions(spec))
    return commit(folder, spec.to_json(), {"train": len(samples), "val": 0}, files)


def write_windows(stage: Path, context: int = 6) -> Path:
    words = Counter(word for text in TEXTS["train"] for word in split_words(text))
    tokenizer = WordTokenizer(build_vocabulary(words, 1000))
    spec = WindowSpec.of(tokenizer, context, context)
    folder = stage / "0123456789ab"
    folder.mkdir(parents=True)
    data = tokenizer.to_json().encode()
    atomic_write(folder / TOKENIZER_NAME, data)
    files = [FileEntry(TOKENIZER_NAME, len(data), tokenizer.sha256(), tokenizer.vocab_size)]
    splits = {}
    for split, texts in TEXTS.items():
        end = np.array([tokenizer.eos_id], np.uint16)
        documents = [np.concatenate([tokenizer.encode(text), end]).astype(np.uint16) for text in texts]
        samples = list(cut_windows(spec, split, documents))
        splits[split] = len(samples)
        files += write_shard(folder / shard_name(split, 0), samples, EXTENSIONS)
    return commit(folder, spec.to_json(), splits, files)


def cut_windows(
    spec: WindowSpec, split: str, documents: list[NDArray[np.uint16]]
) -> Iterator[tuple[str, dict[str, bytes]]]:
    stream = np.concatenate(documents)
    pieces: dict[int, list[Piece]] = {}
    start = 0
    for number, document in enumerate(documents):
        for placed in place_pieces(start, len(document), spec.context, spec.stride, len(stream)):
            piece = Piece(f"{number:032x}", "https://a.example/", placed.start, placed.length, placed.offset)
            pieces.setdefault(placed.window, []).append(piece)
        start += len(document)
    for number, parts in sorted(pieces.items()):
        position = number * spec.stride
        yield encode_window(spec, split, position, parts, stream[position : position + spec.context + 1])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("datasets")
    spec = {"size": 4, "steps": 3, "draws": 2, "seed": 11}
    return {
        "materialised": write_triplets(root / "materialised", TripletSpec(**spec), per_shard=5),  # type: ignore[arg-type]
        "virtual": write_triplets(root / "virtual", TripletSpec(**spec, mode="virtual"), per_shard=2),  # type: ignore[arg-type]
        "windows": write_windows(root / "windows"),
    }


def triplets(path: Path) -> TripletDataset:
    dataset = open_dataset(path)
    assert isinstance(dataset, TripletDataset)
    return dataset


def by_key(loader: Loader) -> dict[str, dict[str, Any]]:
    """One finite pass, sample by sample."""
    samples = {}
    for batch in loader:
        for row in np.flatnonzero(batch["valid"]).tolist():
            sample = {name: value[row] for name, value in batch.items() if name != "valid"}
            assert str(sample["key"]) not in samples
            samples[str(sample["key"])] = sample
    return samples


def assert_same_samples(one: dict[str, dict[str, Any]], other: dict[str, dict[str, Any]]) -> None:
    assert one.keys() == other.keys()
    for key, sample in one.items():
        for name, value in sample.items():
            assert np.asarray(value).dtype == np.asarray(other[key][name]).dtype
            assert np.array_equal(value, other[key][name]), (key, name)


def test_materialised_triplets_are_as_defined(folders: dict[str, Path]) -> None:
    dataset = triplets(folders["materialised"])
    found = by_key(dataset.loader(4, finite=True))
    assert len(dataset) == len(found) == PICTURES * 3 * 2
    a, b = dataset.spec.factors
    for key, clean in pictures(dataset.spec).items():
        for step, draw in rungs(dataset.spec):
            sample = found[triplet_key(key, step, draw)]
            noise = static(11, sample_id(key), draw, (4, 4, 3))
            assert (sample["step"], sample["draw"]) == (step, draw)
            assert (sample["a"], sample["b"]) == (np.float32(a[step - 1]), np.float32(b[step - 1]))
            assert np.array_equal(sample["clean"], clean)
            assert np.array_equal(sample["noise"], noise)
            assert np.array_equal(sample["noisy"], mix(clean, noise, a[step - 1], b[step - 1]))


@pytest.mark.parametrize("noise", ["stored", "fresh"])
def test_virtual_and_materialised_hold_the_same_bits(folders: dict[str, Path], noise: Any) -> None:
    stored = by_key(triplets(folders["materialised"]).loader(4, finite=True))
    for name in ("materialised", "virtual"):
        assert_same_samples(by_key(triplets(folders[name]).loader(5, finite=True, noise=noise)), stored)


@pytest.mark.parametrize("name", ["materialised", "virtual"])
def test_fresh_noise_takes_the_draw_of_its_epoch(folders: dict[str, Path], name: str) -> None:
    dataset = triplets(folders[name])
    batches = islice(dataset.loader(len(dataset), noise="fresh"), 3)
    keys = [sorted(batch["key"].tolist()) for batch in batches]
    for epoch in range(3):
        assert keys[epoch] == sorted(
            triplet_key(key, step, epoch * 2 + draw)
            for key in pictures(dataset.spec)
            for step, draw in rungs(dataset.spec)
        )
    second = next(islice(dataset.loader(len(dataset), noise="fresh"), 1, None))
    for row, key in enumerate(second["key"].tolist()):
        noise = static(11, sample_id(key), int(second["draw"][row]), (4, 4, 3))
        assert np.array_equal(second["noise"][row], noise)
        step = second["step"][row] - 1
        factors = (factor[step] for factor in dataset.spec.factors)
        assert np.array_equal(second["noisy"][row], mix(second["clean"][row], noise, *factors))


@pytest.mark.parametrize("name", ["materialised", "virtual"])
@pytest.mark.parametrize("noise", ["stored", "fresh"])
@pytest.mark.parametrize("fields", [["clean"], ["noise"], ["noisy", "step"], ["a", "key"], []])
def test_only_the_fields_asked_for_come(folders: dict[str, Path], name: str, noise: Any, fields: list[str]) -> None:
    dataset = triplets(folders[name])
    whole = next(iter(dataset.loader(6, noise=noise)))
    part = next(iter(dataset.loader(6, noise=noise, fields=fields)))
    assert set(part) == set(fields)
    for field in fields:
        assert np.array_equal(part[field], whole[field])


@pytest.mark.parametrize("name", ["materialised", "virtual"])
def test_one_sample_has_its_caption_and_its_json(folders: dict[str, Path], name: str) -> None:
    dataset = triplets(folders[name])
    samples = [dataset[number] for number in range(len(dataset))]
    found = by_key(dataset.loader(4, finite=True))
    assert {sample["key"] for sample in samples} == found.keys()
    for sample in samples:
        for field in dataset.fields:
            assert np.array_equal(sample[field], found[sample["key"]][field])
        assert sample["caption"].startswith("tree ")
        assert (sample["meta"]["step"], sample["meta"]["a"]) == (sample["step"], sample["a"])
    with pytest.raises(IndexError):
        dataset[len(dataset)]


@pytest.mark.parametrize("name", ["materialised", "virtual"])
@pytest.mark.parametrize("noise", ["stored", "fresh"])
def test_captions_come_where_they_are_asked_for_by_name(folders: dict[str, Path], name: str, noise: Any) -> None:
    dataset = triplets(folders[name])
    told = {sample["key"][:32]: sample["caption"] for sample in (dataset[number] for number in range(len(dataset)))}
    assert "caption" not in next(iter(dataset.loader(6, noise=noise)))
    for fields in (["caption", "key"], ["clean", "caption", "key"]):
        batch = next(iter(dataset.loader(6, noise=noise, fields=fields)))
        assert set(batch) == set(fields)
        assert batch["caption"].tolist() == [told[key[:32]] for key in batch["key"].tolist()]


def test_json_of_virtual_and_materialised_samples_is_the_same(folders: dict[str, Path]) -> None:
    metas = []
    for name in ("materialised", "virtual"):
        dataset = triplets(folders[name])
        samples = [dataset[number] for number in range(len(dataset))]
        metas.append({sample["key"]: json.dumps(sample["meta"]) for sample in samples})
    assert metas[0] == metas[1]


COUNTS = (1, 2, 3, 5, 8)


@pytest.mark.parametrize(("world_size", "workers"), list(itertools.product(COUNTS, COUNTS)))
def test_stopped_anywhere_and_resumed_under_another_count_the_stream_is_that_of_an_uninterrupted_run(
    folders: dict[str, Path], world_size: int, workers: int
) -> None:
    dataset = triplets(folders["materialised"])
    assert all(len(dataset) % size for size in (5, 8, 9, 16)), "a size that nothing here divides"
    chance = random.Random(f"{world_size} {workers}")
    straight = [
        key for batch in islice(dataset.loader(1, seed=4, fields=["key"]), 400) for key in batch["key"].tolist()
    ]
    for epoch in range(len(straight) // len(dataset)):
        of_epoch = straight[epoch * len(dataset) : (epoch + 1) * len(dataset)]
        assert len(set(of_epoch)) == len(dataset), "over each epoch of the stream no sample twice and none missing"
    delivered: list[str] = []
    state: dict[str, Any] = {}
    others = [(world_size, workers), (chance.choice(COUNTS), chance.choice(COUNTS)), (world_size, workers)]
    for ranks, threads in others:
        size, steps = chance.randint(1, 4), chance.randint(1, 5)
        loaders = [
            dataset.loader(size, seed=4, rank=rank, world_size=ranks, workers=threads, fields=["key"])
            for rank in range(ranks)
        ]
        for loader in loaders if state else []:
            loader.load_state_dict(state)
        batches = [list(islice(loader, steps)) for loader in loaders]
        assert {len(of_rank) for of_rank in batches} == {steps}
        delivered += [key for step in range(steps) for of_rank in batches for key in of_rank[step]["key"].tolist()]
        states = [json.loads(json.dumps(loader.state_dict())) for loader in loaders]
        assert all(found == states[0] for found in states)
        state = states[0]
    assert delivered == straight[: len(delivered)]


@settings(deadline=None)
@given(
    batch_size=st.integers(1, 9),
    world_size=st.integers(1, 5),
    steps=st.integers(0, 6),
    resumed_size=st.integers(1, 9),
    resumed_world=st.integers(1, 5),
    seed=st.integers(0, 3),
)
def test_any_ranks_share_one_stream_and_resume_under_others(
    folders: dict[str, Path],
    batch_size: int,
    world_size: int,
    steps: int,
    resumed_size: int,
    resumed_world: int,
    seed: int,
) -> None:
    dataset = triplets(folders["virtual"])
    fields = ["key", "draw"]

    def deliver(size: int, world: int, count: int, state: dict[str, Any] | None) -> tuple[list[Any], dict[str, Any]]:
        ranks = [
            dataset.loader(size, seed=seed, rank=r, world_size=world, noise="fresh", fields=fields)
            for r in range(world)
        ]
        for loader in ranks if state else []:
            loader.load_state_dict(state or {})
        batches = [list(islice(loader, count)) for loader in ranks]
        keys = [key for step in range(count) for rank in range(world) for key in batches[rank][step]["key"].tolist()]
        states = [loader.state_dict() for loader in ranks]
        assert all(found == states[0] for found in states)
        return keys, json.loads(json.dumps(states[0]))

    before, state = deliver(batch_size, world_size, steps, None)
    after, _ = deliver(resumed_size, resumed_world, 4, state)
    straight = deliver(len(before) + len(after), 1, 1, None)[0]
    assert before + after == straight
    assert len(json.dumps(state)) < 1000
    assert (state["position"], state["epoch"]) == (len(before), len(before) // len(dataset))


@settings(deadline=None)
@given(batch_size=st.integers(1, 50), world_size=st.integers(1, 4), shuffle=st.booleans())
def test_finite_pass_gives_every_sample_once_and_every_rank_as_many_steps(
    folders: dict[str, Path], batch_size: int, world_size: int, shuffle: bool
) -> None:
    dataset = triplets(folders["materialised"])
    keys: list[str] = []
    steps = set()
    for rank in range(world_size):
        loader = dataset.loader(
            batch_size, rank=rank, world_size=world_size, shuffle=shuffle, finite=True, fields=["key"]
        )
        batches = list(loader)
        steps.add(len(batches))
        assert all(len(batch["key"]) == len(batch["valid"]) == batch_size for batch in batches)
        keys += [key for batch in batches for key in batch["key"][batch["valid"]].tolist()]
    assert steps == {-(-len(dataset) // (batch_size * world_size))}
    assert len(keys) == len(set(keys)) == len(dataset)


def test_finite_pass_can_be_repeated_and_resumed(folders: dict[str, Path]) -> None:
    dataset = triplets(folders["materialised"])
    loader = dataset.loader(8, finite=True, fields=["key"])
    whole = [batch["key"].tolist() for batch in loader]
    assert [batch["key"].tolist() for batch in loader] == whole
    for batch in loader:
        state = loader.state_dict()
        assert batch["key"].tolist() == whole[0]
        break
    assert [batch["key"].tolist() for batch in loader] == whole
    loader.load_state_dict(state)
    assert [batch["key"].tolist() for batch in loader] == whole[1:]


def test_state_counts_what_was_delivered(folders: dict[str, Path]) -> None:
    loader = triplets(folders["virtual"]).loader(4, world_size=3, fields=[])
    positions = [loader.state_dict()["position"] for _ in islice(loader, 3)]
    assert positions == [12, 24, 36]


def test_state_of_another_order_is_refused(folders: dict[str, Path]) -> None:
    state = triplets(folders["virtual"]).loader(4, seed=1).state_dict()
    with pytest.raises(DatasetError, match="state has manifest_sha256"):
        triplets(folders["materialised"]).loader(4, seed=1).load_state_dict(state)
    with pytest.raises(DatasetError, match="state has seed 1, this loader 2"):
        triplets(folders["virtual"]).loader(4, seed=2).load_state_dict(state)


def test_state_of_another_noise_is_refused(folders: dict[str, Path]) -> None:
    dataset = triplets(folders["virtual"])
    state = dataset.loader(4, noise="fresh").state_dict()
    with pytest.raises(DatasetError, match="state has noise 'fresh', this loader 'stored'"):
        dataset.loader(4).load_state_dict(state)
    with pytest.raises(DatasetError, match="state has version 2, this loader 3"):
        dataset.loader(4).load_state_dict({"version": 2, "position": 3})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": -1}, r"position is -1: it must be a whole number from 0"),
        ({"position": 2**70}, r"position is 1180591620717411303424: it must be a whole number"),
        ({"position": "12"}, r"position is '12': it must be a whole number"),
        ({"position": 12.0}, r"position is 12\.0: it must be a whole number"),
        ({"position": True}, r"position is True: it must be a whole number"),
        ({"position": None}, r"position is None: it must be a whole number"),
        ({"epoch": 1}, r"epoch is 1, but position 12 of epochs of 42 samples lies in epoch 0"),
        ({"epoch": "0"}, r"epoch is '0': it must be a whole number"),
        ({"speed": 3}, r"missing keys: none; unknown keys: speed"),
    ],
)
def test_what_is_no_state_is_refused_by_name_in_one_line(
    folders: dict[str, Path], change: dict[str, Any], message: str
) -> None:
    loader = triplets(folders["virtual"]).loader(4)
    state = loader.state_dict() | {"position": 12}
    with pytest.raises(ValueError, match=rf"^the loader's state: {message}") as caught:
        loader.load_state_dict(state | change)
    assert "\n" not in str(caught.value)
    assert loader.state_dict()["position"] == 0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {},
            "missing keys: epoch, lane_samples, lanes, manifest_sha256, noise, position, seed, shuffle, split, version",
        ),
        ([], r"the loader's state is \[\]: it must be an object"),
        (None, "the loader's state is None: it must be an object"),
    ],
)
def test_what_is_no_object_is_refused(folders: dict[str, Path], state: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        triplets(folders["virtual"]).loader(4).load_state_dict(state)


def test_windows_come_with_the_mask_of_their_targets(folders: dict[str, Path]) -> None:
    for split, texts in TEXTS.items():
        dataset = open_dataset(folders["windows"], split)
        assert isinstance(dataset, WindowDataset)
        stream = [token for text in texts for token in [*dataset.tokenizer.encode(text).tolist(), 1]]
        assert len(dataset) == num_windows(len(stream), 6, 6)
        batch = next(iter(dataset.loader(len(dataset), shuffle=False)))
        assert batch["tokens"].dtype == np.uint16
        targets = batch["tokens"][:, 1:][batch["mask"]].tolist()
        assert targets == stream[1:]
        assert batch["tokens"][:, :-1][batch["mask"]].tolist() == stream[:-1]
        assert [dataset[row]["key"] for row in range(len(dataset))] == batch["key"].tolist()
        assert sum(dataset[row]["length"] - 1 for row in range(len(dataset))) == len(targets)


def test_windows_say_which_document_each_next_word_stands_in(folders: dict[str, Path]) -> None:
    dataset = open_dataset(folders["windows"], "train")
    assert isinstance(dataset, WindowDataset)
    batch = next(iter(dataset.loader(len(dataset), shuffle=False, fields=("tokens", "documents", "mask"))))
    assert batch["documents"].shape == batch["mask"].shape
    assert batch["documents"].dtype == np.int32
    assert np.array_equal(batch["documents"] >= 0, batch["mask"])
    ends = batch["tokens"] == dataset.tokenizer.eos_id
    for row, documents in enumerate(batch["documents"].tolist()):
        # A document begins behind each <eos>, and the word that an <eos> foretells is the next one's first.
        number = np.cumsum(ends[row, :-1])
        expected = [int(n) if counts else -1 for n, counts in zip(number, batch["mask"][row], strict=True)]
        assert documents == expected
    assert batch["documents"].max() > 0
    assert "documents" not in next(iter(dataset.loader(1)))


def test_a_window_that_does_not_name_its_documents_is_damaged(folders: dict[str, Path], tmp_path: Path) -> None:
    stage = write_windows(tmp_path / "windows")
    shard = stage / "0123456789ab" / "train-000000.tar"
    content = bytearray(shard.read_bytes())
    content[content.index(b'"documents"') + 3] ^= 1
    shard.write_bytes(content)
    dataset = open_dataset(stage, "train")
    whole = next(iter(dataset.loader(len(dataset), shuffle=False, fields=("tokens",))))
    assert len(whole["tokens"]) == len(dataset)
    with pytest.raises(DamageError, match=r"train-000000\.tar"):
        next(iter(dataset.loader(len(dataset), shuffle=False, fields=("tokens", "documents"))))
    loader = dataset.loader(len(dataset), shuffle=False, fields=("tokens", "documents"), on_error="quarantine")
    assert (next(iter(loader))["documents"] >= -1).all()


def test_windows_have_no_fresh_noise(folders: dict[str, Path]) -> None:
    with pytest.raises(DatasetError, match="windows, which have no noise"):
        next(iter(open_dataset(folders["windows"]).loader(1, noise="fresh")))


def test_dataset_goes_to_another_process(folders: dict[str, Path]) -> None:
    dataset = triplets(folders["materialised"])
    first = dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(copy[0]["noisy"], first["noisy"])


def test_missing_uncommitted_and_foreign_folders_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="absent is not a folder"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(DatasetError, match="nothing was committed there"):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="no samples in the split 'dev': it has train"):
        open_dataset(folders["virtual"], "dev")
    with pytest.raises(DatasetError, match="no samples in the split 'val': it has train"):
        open_dataset(folders["virtual"], "val")
    (tmp_path / "images").mkdir()
    other = commit(tmp_path / "images", {"kind": "pictures"}, {}, [])
    with pytest.raises(DatasetError, match="no dataset of triplets or windows"):
        open_dataset(other)


@pytest.mark.parametrize("member", ["clean.npy", "noise.npy", "noisy.npy", "txt", "json"])
def test_damaged_sample_is_named_by_shard_and_key(tmp_path: Path, member: str) -> None:
    stage = write_triplets(tmp_path / "triplets", TripletSpec(size=4, steps=2), per_shard=3)
    shard = triplets(stage).shards[1]
    row, column = 2, shard.column(member)
    key, path = shard.index.keys[row].decode(), Path(shard.path)
    data = bytearray(path.read_bytes())
    data[shard.index.offsets[row, column] + shard.index.lengths[row, column] - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=rf"train-000001\.tar: sample {key} is damaged: {member} has another CRC"):
        triplets(stage)[5]


def test_changed_shard_files_are_named(tmp_path: Path) -> None:
    stage = write_triplets(tmp_path / "triplets", TripletSpec(size=4, steps=2), per_shard=20)
    folder = Path(triplets(stage).where)
    tar, index = folder / "train-000000.tar", folder / "train-000000.idx"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:-512])
    with pytest.raises(DatasetError, match=r"train-000000\.tar has \d+ bytes, the manifest says \d+"):
        triplets(stage)[0]
    tar.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"train-000000\.tar has 0 bytes"):
        triplets(stage)[0]
    tar.unlink()
    with pytest.raises(DatasetError, match=r"train-000000\.tar is missing"):
        triplets(stage)[0]
    tar.write_bytes(whole)
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"train-000000\.idx is damaged"):
        triplets(stage)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 1, "rank": 2, "world_size": 2}, "rank is 2"),
        ({"batch_size": 1, "seed": -1}, "seed is -1"),
        ({"batch_size": 1, "lane_samples": 0}, "of 0 samples"),
        ({"batch_size": 1, "noise": "loud"}, "noise is 'loud'"),
        ({"batch_size": 1, "fields": ["colour"]}, r"fields: \['colour'\]"),
    ],
)
def test_impossible_arguments_are_refused_by_name(
    folders: dict[str, Path], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        triplets(folders["virtual"]).loader(**arguments)


def test_integers_of_numpy_serve_and_leave_a_state_of_json(folders: dict[str, Path]) -> None:
    one = np.int64(1)
    loader = triplets(folders["virtual"]).loader(one, seed=one, world_size=one, lanes=one, lane_samples=one)  # type: ignore[arg-type]
    next(iter(loader))
    state = json.loads(json.dumps(loader.state_dict()))
    plain = triplets(folders["virtual"]).loader(1, seed=1)
    plain.load_state_dict(state)
    assert plain.state_dict() == state


@pytest.mark.parametrize("name", ["batch_size", "seed", "rank", "world_size", "workers", "lanes", "lane_samples"])
def test_what_counts_must_be_an_integer(folders: dict[str, Path], name: str) -> None:
    arguments: dict[str, Any] = {"batch_size": 1} | {name: 1.0}
    with pytest.raises(TypeError, match="integer"):
        triplets(folders["virtual"]).loader(**arguments)


def test_manifest_hash_in_the_state_is_the_files(folders: dict[str, Path]) -> None:
    dataset = triplets(folders["virtual"])
    digest = hashlib.sha256(Path(dataset.where, "manifest.json").read_bytes()).hexdigest()
    assert dataset.loader(1).state_dict()["manifest_sha256"] == digest


def test_a_batch_that_is_held_keeps_its_values_and_one_that_is_not_lends_its_memory(tmp_path: Path):
    dataset = open_dataset(write_triplets(tmp_path / "triplets", TripletSpec(64, steps=2), per_shard=20))
    loader = dataset.loader(30, fields=("clean", "noisy"))  # large enough for memory to be used again
    batches = iter(loader)
    held = next(batches)["clean"][3:, :, ::2]  # a view alone is held
    tensor = torch.from_numpy(next(batches)["noisy"])[1]
    expected = held.copy(), tensor.clone()
    addresses = [next(batches)["clean"].ctypes.data for _ in range(6)]
    assert len(set(addresses)) == 2, "the last batch is held until the next is made"
    assert (held == expected[0]).all()
    assert (tensor == expected[1]).all()
    kept = [next(batches)["clean"] for _ in range(6)]
    assert len({array.ctypes.data for array in kept}) == 6
