"""The language model learns from windows, writes from what it predicts, and is judged beside fair counts of words."""

import math
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import language, writing
from models.baselines import Bigram, WordCounts, count_words, unigram
from models.gpt import GPT, GPTShape
from models.ranks import Ranks
from models.runs import RunFolder, num_parameters
from models.threads import one_thread
from models.training_windows import count_training_words, open_windows
from models.utilisation import device_utilisation, utilisation
from models.writing import Writer, load_writer
from shards.tokenizer import ByteTokenizer, WordTokenizer, split_words
from tests.builds import wait_for
from tests.tiny_datasets import write_windows
from tests.trainers import end_with_two_what_one_began, has_reached

TINY = [
    *("--width", "32", "--num-heads", "2", "--num-layers", "2", "--batch-size", "8", "--report-steps", "1"),
    *("--precision", "float32"),
]
MEASURED = {"seconds", "samples_per_s", "tokens_per_s", "data_wait", "peak_memory_mb"}
TREES = ("oak", "elm", "ash", "yew", "fir", "box")


def tales(seed: int, count: int) -> list[str]:
    """Texts that name their tree again and again, which a count of pairs cannot know."""
    chance = random.Random(seed)
    sentences = ("The {0} stands here.", "A bird loves the {0}.", "Rain falls on the {0}.", "In autumn the {0} waits.")
    texts = []
    for _ in range(count):
        tree = chance.choice(TREES)
        texts.append(" ".join(chance.choice(sentences).format(tree) for _ in range(8)))
    return texts


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """One thread, whose sums are the same wherever there are more, and which waits for no other."""
    with one_thread():
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stage = tmp_path_factory.mktemp("build") / "windows"
    write_windows(stage, 24, {"train": tales(0, 40), "val": tales(1, 6), "test": tales(2, 6)})
    return stage.parent


def train(dataset: Path, out: Path, *more: str) -> dict[str, Any]:
    assert language.main([str(dataset), "--out", str(out), *TINY, *more]) == 0
    results = RunFolder(out).results()
    assert results is not None
    return results


def losses(out: Path) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row.keys() - MEASURED} for row in RunFolder(out).metrics()]


def test_words_and_pairs_are_counted_where_the_mask_says() -> None:
    windows = [
        (np.array([[0, 1, 2, 1]], np.uint16), np.array([[True, True, True]])),
        (np.array([[1, 2, 0, 0]], np.uint16), np.array([[True, False, False]])),
    ]
    counts = count_words(windows, 3)
    assert counts.words.tolist() == [0, 2, 2]
    assert counts.pairs.tolist() == [0 * 3 + 1, 1 * 3 + 2, 2 * 3 + 1]
    assert counts.pair_counts.tolist() == [1, 2, 1]


def test_kneser_ney_by_hand() -> None:
    # Pairs: 0→1 twice, 0→2 once, 1→0 once. Two ones, one two: the discount is 2 / (2 + 2·1) = ½.
    counts = WordCounts(3, np.array([1, 2, 1]), np.array([1, 2, 3]), np.array([2, 1, 1]))
    # Each word follows one other word; those three counts of one hold no two: discount ¾, ¼·⅓ + ¾·⅓ = ⅓ each.
    bigram = Bigram(counts)
    told = bigram.probability(np.array([0, 0, 0, 1, 2]), np.array([1, 2, 0, 0, 0]))
    freed = 0.5 * 2 / 3
    assert told == pytest.approx([1.5 / 3 + freed / 3, 0.5 / 3 + freed / 3, freed / 3, 0.5 + 0.5 / 3, 1 / 3])


@given(st.lists(st.integers(0, 6), min_size=2, max_size=60))
def test_counted_probabilities_sum_to_one_after_every_word(stream: list[int]) -> None:
    tokens = np.array([stream], np.uint16)
    counts = count_words([(tokens, np.ones((1, len(stream) - 1), bool))], 7)
    assert unigram(counts).sum() == pytest.approx(1)
    assert (unigram(counts) > 0).all()
    before, after = np.divmod(np.arange(49), 7)
    told = Bigram(counts).probability(before, after).reshape(7, 7)
    assert told.sum(axis=1) == pytest.approx(np.ones(7))
    assert (told > 0).all()


def test_same_seed_gives_the_same_losses_and_another_seed_others(dataset: Path, tmp_path: Path) -> None:
    for name, seed in (("one", "1"), ("two", "1"), ("three", "2")):
        train(dataset, tmp_path / name, "--num-steps", "4", "--seed", seed)
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert losses(tmp_path / "one") != losses(tmp_path / "three")


@pytest.mark.parametrize("model", ["gpt", "attention"])
def test_a_run_killed_at_any_step_ends_as_if_it_had_never_been(dataset: Path, tmp_path: Path, model: str) -> None:
    settings = ["--num-steps", "12", "--report-steps", "5", "--checkpoint-s", "0", "--model", model]
    whole = train(dataset, tmp_path / "whole", *settings)
    argv = [str(dataset), "--out", str(tmp_path / "killed"), *TINY, *settings]
    command = [sys.executable, "-m", "models.language", *argv]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    wait_for(partial(has_reached, tmp_path / "killed" / "checkpoints" / "latest", 4), "a checkpoint")
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = train(dataset, tmp_path / "killed", *settings)
    one, other = (RunFolder(tmp_path / name).load() for name in ("whole", "killed"))
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in one["model"])
    assert one["loader"] == other["loader"]
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert resumed["losses"] == whole["losses"]


def test_two_processes_see_the_batches_of_one_and_go_on_with_what_one_began(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*TINY, "--num-steps", "8", "--report-steps", "2", "--num-validations", "2", "--checkpoint-s", "0"]
    settings += ["--dropout", "0", "--separate-documents"]
    train(dataset, tmp_path / "one", *settings)
    told = end_with_two_what_one_began(language, dataset, tmp_path, settings, monkeypatch)
    assert told.count("language model (gpt)") == told.count("goes on from step 3") == 1


def test_words_that_fill_a_window_up_weigh_nothing_in_any_process(tmp_path: Path) -> None:
    """Two processes with few and with many words that count make the step that one makes of them all."""
    stage = write_windows(tmp_path / "windows", 24, {"train": ["The oak.", *tales(0, 3)]})
    dataset = open_windows(stage, "train")
    settings = language.Settings(str(stage), width=16, num_heads=2, num_layers=1, dropout=0.0, precision="float32")
    alone = Ranks(0, 1, torch.device("cpu"))
    batch = next(iter(dataset.loader(4, shuffle=False, fields=("tokens", "mask"))))
    batch["mask"][0, 1:] = False
    counts = count_training_words(dataset)
    halves = [{name: array[part] for name, array in batch.items()} for part in (slice(2), slice(2, 4))]
    mean = float(batch["mask"].sum()) / 2

    class Half(Ranks):
        def mean(self, value: float) -> float:
            return mean

    def loss(share: dict[str, Any], ranks: Ranks) -> float:
        torch.manual_seed(0)
        training = language.prepare(settings, dataset, counts, alone)
        return language.descend(training, share, 0.0, settings, ranks)[0].item()

    together = loss(batch, alone)
    shared = [loss(half, Half(0, 1, torch.device("cpu"))) for half in halves]
    assert np.mean(shared) == pytest.approx(together, abs=1e-6)
    assert abs(np.mean([loss(half, alone) for half in halves]) - together) > 1e-3


@pytest.mark.parametrize("model", ["gpt", "attention", "no-attention"])
def test_a_run_says_what_it_measured(dataset: Path, tmp_path: Path, model: str) -> None:
    results = train(dataset, tmp_path, "--num-steps", "3", "--num-validations", "1", "--model", model)
    config = RunFolder(tmp_path).config()
    assert (config["model"], config["network"]) == ("language", model)
    assert results["network"] == model
    *reports, held_out = RunFolder(tmp_path).metrics()
    assert held_out.keys() == {"step", "held_out"}
    for row in reports:
        assert row.keys() == {"step", "train"} | MEASURED, "no MFU on a CPU"
        assert 0 <= row["data_wait"] <= 1
        assert row["tokens_per_s"] == pytest.approx(24 * row["samples_per_s"], abs=2)
        assert row["peak_memory_mb"] > 50


def test_bits_per_byte_and_perplexity_are_of_the_text_whatever_its_tokens(tmp_path: Path) -> None:
    texts = {"train": tales(0, 40), "test": tales(2, 4)}
    results = {}
    for name, tokenizer in (("words", None), ("bytes", ByteTokenizer())):
        stage = write_windows(tmp_path / name, 24, texts, tokenizer)
        results[name] = train(stage, tmp_path / f"{name}-run", "--num-steps", "2")
    text = "".join(texts["test"])
    first = len(texts["test"][0].split()[0])
    assert results["bytes"]["num_bytes"] == len(text) - 1
    assert results["words"]["num_bytes"] == len(text) - first
    num_words = sum(len(split_words(tale)) + 1 for tale in texts["test"])
    for result in results.values():
        assert result["num_text_words"] == num_words - 1
        nats = result["losses"]["model"] * result["num_words"]
        assert result["bits_per_byte"]["model"] == pytest.approx(nats / math.log(2) / result["num_bytes"])
        assert result["word_perplexity"]["model"] == pytest.approx(math.exp(nats / (num_words - 1)))
    assert results["words"]["word_perplexity"]["bigram"] == pytest.approx(
        math.exp(results["words"]["losses"]["bigram"])
    )


def test_utilisation_is_what_was_asked_for_over_what_the_gpu_could() -> None:
    assert utilisation(98.9e12, "NVIDIA H200") == pytest.approx(0.1)
    assert utilisation(31.2e12, "NVIDIA A100-SXM4-80GB") == pytest.approx(0.1)
    assert utilisation(1e12, "Abacus") is None
    assert device_utilisation(1e12, torch.device("cpu"), torch.bfloat16) == {}
    shape = GPTShape(50_257, 1024, 768, 12, 12, 0.0)
    with torch.device("meta"):
        gpt = GPT(shape)
    assert num_parameters(gpt) == pytest.approx(124e6, rel=0.01)
    assert gpt.flops_per_word(1024) == pytest.approx(6 * 124e6 + 12 * 12 * 768 * 1024, rel=0.01)


def test_data_that_is_damaged_stops_the_training_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = write_windows(tmp_path / "windows", 16, {"train": tales(0, 3)})
    shard = stage / "0123456789ab" / "train-000000.tar"
    content = bytearray(shard.read_bytes())
    content[content.index(b"NUMPY", len(content) // 2) + 130] ^= 1
    shard.write_bytes(content)
    assert language.main([str(tmp_path), "--out", str(tmp_path / "run"), *TINY, "--num-steps", "20"]) == 1
    error = capsys.readouterr().err
    assert re.match(r"seedbed: .*train-000000\.tar.*[0-9a-f]{32}", error), error
    assert error.count("\n") == 1


@pytest.mark.parametrize("model", ["gpt", "attention"])
def test_it_beats_the_counts_of_pairs_where_a_text_keeps_to_its_tree(dataset: Path, tmp_path: Path, model: str) -> None:
    more = ("--model", model, "--num-steps", "150", "--learning-rate", "0.01", "--dropout", "0", "--report-steps", "50")
    results = train(dataset, tmp_path, *more)
    assert results["split"] == "test"
    assert results["beats"]
    assert results["losses"]["model"] < results["losses"]["bigram"] - 0.1
    assert results["losses"]["bigram"] < results["losses"]["unigram"]
    text = language.generate(tmp_path, "The yew", 30, seed=0)
    assert text.startswith("The yew")
    assert text == language.generate(tmp_path, "The yew", 30, seed=0)
    assert text != language.generate(tmp_path, "The yew", 30, seed=1)


def test_every_next_word_of_a_split_is_judged_once(dataset: Path, tmp_path: Path) -> None:
    results = train(dataset, tmp_path, "--num-steps", "1")
    words = sum(len(WordTokenizer(()).encode(text)) + 1 for text in tales(2, 6))
    assert results["num_words"] == words - 1


def test_bytes_are_words_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = write_windows(tmp_path / "windows", 16, {"train": tales(0, 3)}, ByteTokenizer())
    results = train(stage, tmp_path / "run", "--num-steps", "2")
    assert results["split"] == "train"
    assert "no text is held out" in capsys.readouterr().out
    writer = load_writer(tmp_path / "run", torch.device("cpu"))
    assert isinstance(writer, Writer)
    assert writing.generate(tmp_path / "run", "Ä", 4, seed=0).startswith("Ä")
