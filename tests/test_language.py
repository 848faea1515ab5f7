"""The language model learns from windows, writes from what it predicts, and is judged beside fair counts of words."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import language, word_losses, writing
from models.baselines import Bigram, WordCounts, count_words, unigram
from models.budget import learning_rate
from models.gpt import GPT, GPTShape, rotary_table, rotate
from models.runs import RunError, RunFolder
from models.writing import Writer, continue_words, load_writer, next_word_probabilities, unknown_words
from shards.tokenizer import ByteTokenizer, WordTokenizer
from tests.tiny_datasets import write_windows

TINY = [
    *("--width", "32", "--num-heads", "2", "--num-layers", "2", "--batch-size", "8", "--report-steps", "1"),
    *("--precision", "float32"),
]
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
    return [{name: value for name, value in row.items() if name != "seconds"} for row in RunFolder(out).metrics()]


def a_model(dropout: float = 0.0) -> GPT:
    torch.manual_seed(0)
    return GPT(GPTShape(num_words=11, context=6, width=16, num_layers=2, num_heads=2, dropout=dropout)).eval()


def test_no_word_is_foretold_from_the_words_after_it() -> None:
    model = a_model()
    tokens = torch.tensor([[3, 1, 4, 1, 5, 9]])
    changed = tokens.clone()
    changed[0, 4:] = 2
    with torch.no_grad():
        before, after = model(tokens)[0], model(changed)[0]
    assert torch.equal(before[:4], after[:4])
    assert not torch.allclose(before[4], after[4])


def test_rotated_channels_meet_by_how_far_apart_they_stand() -> None:
    cos, sin = rotary_table(8, 4)
    query, key = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    turned_query = rotate(query.expand(8, 4), cos, sin)
    turned_key = rotate(key.expand(8, 4), cos, sin)
    meetings = turned_query @ turned_key.T
    assert torch.allclose(meetings[2, 0], meetings[7, 5], atol=1e-5)
    assert torch.allclose(meetings[0, 0], query @ key, atol=1e-5)


def test_an_untrained_model_begins_near_the_counts_of_words() -> None:
    log_unigram = torch.tensor([0.5, 0.3, 0.2]).log()
    torch.manual_seed(0)
    model = GPT(GPTShape(3, 4, 16, 1, 2, 0.0), log_unigram).eval()
    with torch.no_grad():
        told = model(torch.tensor([[0, 1]])).softmax(dim=-1)
    assert torch.allclose(told[0, -1], log_unigram.exp(), atol=0.1)


def test_only_words_under_the_mask_are_judged() -> None:
    model = a_model()
    batch = {
        "tokens": np.array([[3, 1, 4, 1], [5, 9, 1, 1]], np.uint16),
        "mask": np.array([[True, True, True], [True, False, False]]),
    }
    entropies = word_losses.cross_entropy(model, batch, torch.device("cpu"))
    assert entropies.shape == (4,)
    with torch.no_grad():
        expected = -model(torch.tensor([[5]]))[0, 0].log_softmax(dim=0)[9]
    assert entropies[3].item() == pytest.approx(expected.item(), abs=1e-5)


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


def test_drawing_keeps_to_the_likeliest_and_leaves_out_the_banned() -> None:
    logits = torch.tensor([5.0, 1.0, 2.0, 0.0])
    told = next_word_probabilities(logits, temperature=1.0, top_k=2, banned=(0,))
    assert told.tolist() == pytest.approx([0, 1 / (1 + np.e), np.e / (1 + np.e), 0])
    assert torch.equal(next_word_probabilities(logits, 1.0, 0, ()), logits.softmax(dim=0))
    assert next_word_probabilities(logits, 0.1, 0, ())[0] > 0.999


def test_drawing_looks_back_a_context_at_most_and_ends_with_the_text() -> None:
    model = a_model()

    def draw(seed: int, eos_id: int = 99) -> list[int]:
        return continue_words(model, [1] * 20, 30, seed=seed, temperature=1.0, top_k=0, banned=(0,), eos_id=eos_id)

    assert len(draw(0)) == 30
    assert draw(0) == draw(0) != draw(1)
    assert 0 not in draw(0)
    third = draw(0)[2]
    shortened = draw(0, eos_id=third)
    assert shortened == draw(0)[: draw(0).index(third)]


def test_same_seed_gives_the_same_losses_and_another_seed_others(dataset: Path, tmp_path: Path) -> None:
    for name, seed in (("one", "1"), ("two", "1"), ("three", "2")):
        train(dataset, tmp_path / name, "--num-steps", "4", "--seed", seed)
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert losses(tmp_path / "one") != losses(tmp_path / "three")


def test_an_interrupted_run_ends_as_if_it_had_never_been(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(dataset, tmp_path / "whole", "--num-steps", "6")

    def interrupt_at_four(fraction: float, step: int, peak: float, warmup_steps: int) -> float:
        if step == 4:
            raise KeyboardInterrupt
        return learning_rate(fraction, step, peak, warmup_steps)

    settings = ["--num-steps", "6", "--checkpoint-s", "0"]
    with monkeypatch.context() as patch:
        patch.setattr(language, "learning_rate", interrupt_at_four)
        assert language.main([str(dataset), "--out", str(tmp_path / "broken"), *TINY, *settings]) == 130
    resumed = train(dataset, tmp_path / "broken", *settings)
    assert "goes on from step 4" in capsys.readouterr().out
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    assert resumed["losses"] == whole["losses"]


def test_it_beats_the_counts_of_pairs_where_a_text_keeps_to_its_tree(dataset: Path, tmp_path: Path) -> None:
    more = ("--num-steps", "150", "--learning-rate", "0.01", "--dropout", "0", "--report-steps", "50")
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


def test_words_unknown_are_said_and_the_prompt_stays_as_given(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(dataset, tmp_path / "run", "--num-steps", "1")
    capsys.readouterr()
    out = tmp_path / "text" / "sample.txt"
    argv = [str(tmp_path / "run"), "--prompt", "The xyzzy oak", "--words", "5", "--out", str(out)]
    assert language.main(["generate", *argv]) == 0
    printed = capsys.readouterr()
    assert printed.err == "not in the dictionary, read as <unk>: xyzzy\n"
    assert printed.out.startswith("The xyzzy oak")
    assert out.read_text(encoding="utf-8") == printed.out
    assert "<unk>" not in printed.out
    assert unknown_words(ByteTokenizer(), "xyzzy") == []


def test_a_dictionary_that_was_changed_is_refused(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path, "--num-steps", "1")
    run = RunFolder(tmp_path)
    run.save(run.load() | {"tokenizer": WordTokenizer(("oak",)).to_json()})
    with pytest.raises(RunError, match="not the one it was trained with"):
        load_writer(tmp_path, torch.device("cpu"))


def test_bytes_are_words_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = write_windows(tmp_path / "windows", 16, {"train": tales(0, 3)}, ByteTokenizer())
    results = train(stage, tmp_path / "run", "--num-steps", "2")
    assert results["split"] == "train"
    assert "no text is held out" in capsys.readouterr().out
    writer = load_writer(tmp_path / "run", torch.device("cpu"))
    assert isinstance(writer, Writer)
    assert writing.generate(tmp_path / "run", "Ä", 4, seed=0).startswith("Ä")
