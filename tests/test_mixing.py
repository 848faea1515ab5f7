"""Several datasets make one stream: by weight, the same for all ranks, resumable."""

import itertools
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards import open_dataset
from shards.mixing import MixedLoader, spread
from shards.store import DatasetError
from shards.triplet import TripletSpec
from tests.builds import wait_for
from tests.file_server import serve_files
from tests.tiny_datasets import draw_tree, write_triplets, write_windows

Fields = dict[str, Any]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("datasets")
    sizes = (3, 5, 2)
    return [
        write_triplets(
            root / str(number),
            TripletSpec(4, steps=2),
            {"train": [draw_tree(100 * number + seed, 4) for seed in range(size)]},
            samples_per_shard=3,
        )
        for number, size in enumerate(sizes)
    ]


def mixture(folders: list[Path], weights: list[int], batch_size: int, rank: int = 0, world: int = 1) -> MixedLoader:
    loaders = [open_dataset(folder).loader(1, seed=7, fields=("key", "clean")) for folder in folders]
    return MixedLoader(loaders, weights, batch_size, rank=rank, world_size=world)


def stream(loaders: list[MixedLoader], steps: int) -> list[tuple[int, str]]:
    """What all ranks together deliver, in order."""
    batches = [list(itertools.islice(loader, steps)) for loader in loaders]
    ordered = (batches[rank][step] for step in range(steps) for rank in range(len(loaders)))
    return [pair for batch in ordered for pair in zip(batch["dataset"].tolist(), batch["key"].tolist(), strict=True)]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=7))
def test_no_dataset_is_ever_a_whole_sample_from_its_quota(weights: list[int]) -> None:
    turns = spread(weights)
    counts = np.cumsum(turns[:, None] == np.arange(len(weights)), axis=0)
    quotas = np.arange(1, len(turns) + 1)[:, None] * np.array(weights) / sum(weights)
    assert np.abs(counts - quotas).max() < 1
    assert counts[-1].tolist() == weights


@given(
    weights=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    batch_size=st.integers(1, 8),
    world=st.integers(1, 3),
    steps=st.integers(0, 5),
    other_size=st.integers(1, 8),
    other_world=st.integers(1, 3),
)
def test_any_ranks_share_one_stream_and_resume_under_others(
    folders: list[Path],
    weights: list[int],
    batch_size: int,
    world: int,
    steps: int,
    other_size: int,
    other_world: int,
) -> None:
    before = [mixture(folders, weights, batch_size, rank, world) for rank in range(world)]
    first = stream(before, steps)
    state = json.loads(json.dumps(before[0].state_dict()))
    after = [mixture(folders, weights, other_size, rank, other_world) for rank in range(other_world)]
    for loader in after:
        loader.load_state_dict(state)
    whole = first + stream(after, 3)
    assert len(json.dumps(state)) < 1000
    assert whole == stream([mixture(folders, weights, len(whole))], 1)


def test_each_dataset_goes_through_its_own_stream(folders: list[Path]) -> None:
    found = stream([mixture(folders, [2, 1, 4], 35)], 4)
    for number, folder in enumerate(folders):
        own = [key for dataset, key in found if dataset == number]
        batches = open_dataset(folder).loader(1, seed=7, fields=("key",))
        assert own == [str(batch["key"][0]) for batch in itertools.islice(batches, len(own))]
    assert [sum(dataset == number for dataset, _ in found) for number in range(3)] == [40, 20, 80]


def test_a_state_of_other_weights_is_refused(folders: list[Path]) -> None:
    state = mixture(folders, [1, 1, 2], 4).state_dict()
    with pytest.raises(DatasetError, match="weights_sha256"):
        mixture(folders, [1, 2, 1], 4).load_state_dict(state)
    mixture(folders, [2, 2, 4], 9).load_state_dict(state)


@pytest.mark.parametrize("position", [-1, 2**70, "3", 3.0, None])
def test_what_is_no_state_of_a_mixture_is_refused(folders: list[Path], position: object) -> None:
    loader = mixture(folders, [1, 1, 2], 4)
    with pytest.raises(ValueError, match=r"^the loader's state: position is "):
        loader.load_state_dict(loader.state_dict() | {"position": position})
    with pytest.raises(ValueError, match="missing keys: datasets_sha256, position, version, weights_sha256"):
        loader.load_state_dict({})


@pytest.mark.parametrize("workers", [1, 3])
def test_reading_ahead_changes_nothing_and_happens(folders: list[Path], workers: int) -> None:
    loaders = [open_dataset(folder).loader(1, seed=7, workers=workers, fields=("key",)) for folder in folders]
    ahead = MixedLoader(loaders, [2, 1, 3], 4)
    assert ahead.workers == workers
    assert stream([ahead], 20) == stream([mixture(folders, [2, 1, 3], 4)], 20)
    batches = ahead.batches()
    threads = threading.active_count()
    next(batches)
    assert threading.active_count() > threads
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == threads
    assert ahead.state_dict()["position"] == 80
    assert MixedLoader(loaders, [2, 1, 3], 4, workers=0).workers == 0


def test_what_a_mixture_reads_soon_is_fetched_ahead(folders: list[Path], tmp_path: Path) -> None:
    with serve_files(folders[0].parent) as served:
        urls = [f"{served.url}/{folder.name}" for folder in folders]
        loaders = [open_dataset(url, cache_dir=tmp_path).loader(1, seed=7, fields=("key", "clean")) for url in urls]
        mixed = iter(MixedLoader(loaders, [1, 10_000, 1], 1))
        found = [next(mixed)["key"][0] for _ in range(3)]
        local = stream([mixture(folders, [1, 10_000, 1], 1)], 3)
        assert found == [key for _, key in local]
        shards = sum(len(loader.dataset.sizes) for loader in loaders)
        wait_for(lambda: len({path for path, _ in served.requests if path.endswith(".tar")}) == shards, "all shards")


def test_damage_in_one_of_several_counts_as_it_is_delivered(tmp_path: Path) -> None:
    damaged, whole = (
        write_triplets(
            tmp_path / name, TripletSpec(4, steps=2), {"train": [draw_tree(seed, 4) for seed in range(8)]}, 4
        )
        for name in ("damaged", "whole")
    )
    Path(open_dataset(damaged).shards.path(1)).unlink()
    loaders = [open_dataset(folder).loader(1, on_error="quarantine") for folder in (damaged, whole)]
    mixed = MixedLoader(loaders, [1, 1], 4, workers=3)
    assert [mixed.num_quarantined for _ in itertools.islice(mixed, 8)][-1] == 4


def test_what_cannot_be_mixed_is_named(folders: list[Path], tmp_path: Path) -> None:
    loaders = [open_dataset(folders[0]).loader(1)]
    for weights, message in (([0], "weights are"), ([1, 1], "weights are"), ([], "weights are")):
        with pytest.raises(ValueError, match=message):
            MixedLoader(loaders, weights, 4)
    with pytest.raises(ValueError, match="no end"):
        MixedLoader([open_dataset(folders[0]).loader(1, finite=True)], [1], 4)
    larger = write_triplets(tmp_path / "larger", TripletSpec(6, steps=2), {"train": [draw_tree(0, 6)]})
    with pytest.raises(DatasetError, match=r"only equal arrays can be mixed"):
        next(iter(MixedLoader([*loaders, open_dataset(larger).loader(1)], [1, 1], 4)))
    words = write_windows(tmp_path / "words", 4, {"train": ["An oak and an elm stand there."]})
    with pytest.raises(DatasetError, match=r"ask for equal fields|only equal arrays"):
        next(iter(MixedLoader([*loaders, open_dataset(words).loader(1)], [1, 1], 4)))
