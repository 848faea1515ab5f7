"""The sink: references in, numbered files out, the same whatever the order and the number of workers."""

import functools
import random
from pathlib import Path

import pytest

from pipelines.engine import run_pipeline
from pipelines.errors import StageError
from pipelines.explain import explain
from pipelines.fates import Fates
from pipelines.receipts import Receipt, all_receipts, finish_part, read_receipt
from pipelines.sink import cut_bucket, pack_by_bucket
from pipelines.sorting import RUN_SAMPLES, SampleRef, sort_samples, unpack
from pipelines.tables import write_file
from shards.writer import order_hash
from tests.small_shards import MAX_BYTES, build_shards, contents, some_samples


def cut(parts: list[list[SampleRef]]) -> list[list[SampleRef]]:
    return [list(shard) for shard in cut_bucket("train/00000", parts, MAX_BYTES)]


def test_the_same_files_in_any_order_and_with_any_number_of_workers(tmp_path: Path):
    samples = some_samples(200)
    written = []
    for attempt, (order, workers) in enumerate([(samples, 1), (samples[::-1], 1), (samples, 2)]):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        run_pipeline(functools.partial(build_shards, samples=order, folder=folder), workers)
        written.append(contents(folder))
    assert written[0] == written[1] == written[2]
    assert sorted(written[0])[:2] == ["train-000000.txt", "train-000001.txt"]


def test_files_hold_every_sample_once_in_the_order_of_the_keys_hashes(tmp_path: Path):
    samples = some_samples(200)
    run_pipeline(functools.partial(build_shards, samples=samples, folder=tmp_path), workers=1)
    for split in ("train", "val"):
        keys = [
            line.split()[0]
            for name, text in contents(tmp_path).items()
            if name.startswith(split)
            for line in text.decode().splitlines()
        ]
        assert keys == sorted((s.key for s in samples if s.split == split), key=order_hash)
    assert Fates().add_all(receipt.fates for _, receipt in all_receipts(tmp_path)).kept == 200


def test_no_file_passes_the_limit_and_none_could_hold_one_more():
    samples = [sample._replace(split="train") for sample in some_samples(100)]
    shards = cut([samples])
    sizes = [sum(sample.num_bytes for sample in shard) + 1024 for shard in shards]
    assert max(sizes) <= MAX_BYTES
    for after, size in zip(shards[1:], sizes, strict=False):
        assert size + after[0].num_bytes > MAX_BYTES


def test_packed_references_take_few_bytes_and_come_out_as_they_went_in():
    samples = [
        sample._replace(source=("part-000000.tar", 4096 * i, 4096, i % 5, 0))
        for i, sample in enumerate(some_samples(1000))
    ]
    packed = dict(pack_by_bucket(samples, 2))
    assert sum(map(len, packed.values())) < 50 * len(samples)
    assert sorted(sample for part in packed.values() for sample in unpack(part)) == sorted(samples)


def test_one_key_for_two_sources_fails_the_build():
    sample = some_samples(1)[0]
    with pytest.raises(ValueError, match=f"train/00000: key {sample.key} stands for two samples"):
        cut([[sample], [sample._replace(source=("elsewhere",))]])


def test_a_sample_above_the_limit_fails_the_build():
    with pytest.raises(StageError, match="takes 5120 bytes as a file of its own, above the limit of 4096"):
        cut([[some_samples(1)[0]._replace(num_bytes=MAX_BYTES)]])


def test_a_failing_transform_is_explained_in_its_own_words(tmp_path: Path):
    sample = some_samples(1)[0]
    twice = [sample, sample._replace(source=("elsewhere",))]
    with pytest.raises(Exception, match="two samples") as error:
        run_pipeline(functools.partial(build_shards, samples=twice, folder=tmp_path), workers=1)
    told = explain(error.value, "triplets", tmp_path)
    assert told.startswith(f"triplets: ValueError: val/00001: key {sample.key} stands for two samples")
    assert told.endswith(f"; the log says where: {tmp_path}/_work/log.txt")
    assert "while running" not in told


def test_what_a_person_can_mend_is_told_without_the_log(tmp_path: Path):
    large = some_samples(1)[0]._replace(num_bytes=MAX_BYTES)
    with pytest.raises(Exception, match="above the limit") as error:
        run_pipeline(functools.partial(build_shards, samples=[large], folder=tmp_path), workers=1)
    told = explain(error.value, "triplets", tmp_path)
    assert told == (
        f"triplets: sample {large.key} takes 5120 bytes as a file of its own, above the limit of 4096; "
        "raise max_shard_bytes, or max_part_bytes, of the stage"
    )


def test_a_finished_part_is_not_made_again(tmp_path: Path):
    calls: list[str] = []

    def make() -> Receipt:
        calls.append("made")
        return Receipt((write_file(tmp_path, "a.txt", b"oak", 1),), Fates(kept=1))

    first = finish_part(tmp_path, "a", make)
    assert finish_part(tmp_path, "a", make) == first
    assert calls == ["made"]


def test_a_part_whose_file_is_torn_or_gone_is_made_again(tmp_path: Path):
    def make() -> Receipt:
        return Receipt((write_file(tmp_path, "a.txt", b"oak", 1),), Fates(kept=1))

    finish_part(tmp_path, "a", make)
    (tmp_path / "a.txt").write_bytes(b"o")
    assert read_receipt(tmp_path, "a") is None
    finish_part(tmp_path, "a", make)
    assert (tmp_path / "a.txt").read_bytes() == b"oak"
    (tmp_path / "a.txt").unlink()
    assert read_receipt(tmp_path, "a") is None


def test_random_orders_give_one_cut():
    samples = some_samples(60)
    expected = cut([samples])
    for seed in range(5):
        shuffled = random.Random(seed).sample(samples, len(samples))
        assert cut([shuffled[: 10 * seed], shuffled[10 * seed :]]) == expected


def test_more_than_a_run_is_sorted_all_the_same(tmp_path: Path):
    samples = some_samples(2 * RUN_SAMPLES + 7)
    expected = sorted(samples, key=lambda sample: order_hash(sample.key))
    assert list(sort_samples(samples, tmp_path)) == expected
    assert list(tmp_path.iterdir()) == []
