"""Text is drawn word by word, as it is asked for, and what the model thought of each word can be looked at."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models import language
from models.drawing import Drawing, draw_words, next_word_probabilities
from models.runs import RunError, RunFolder
from models.writing import continue_words, load_writer, unknown_words
from shards.tokenizer import ByteTokenizer, WordTokenizer
from tests.test_language import tales, train
from tests.test_word_networks import WORDS, a_gpt
from tests.tiny_datasets import write_windows


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_windows(tmp_path_factory.mktemp("build") / "windows", 24, {"train": tales(0, 12)})


def test_drawing_keeps_to_the_likeliest_and_leaves_out_the_banned() -> None:
    scores = torch.tensor([5.0, 1.0, 2.0, 0.0])

    def told(**more: Any) -> list[float]:
        values: list[float] = next_word_probabilities(scores, Drawing(**more)).tolist()
        return values

    assert told(top_k=2, banned=(0,)) == pytest.approx([0, 1 / (1 + np.e), np.e / (1 + np.e), 0])
    assert told() == pytest.approx(scores.softmax(dim=0).tolist())
    assert told(temperature=0.1)[0] > 0.999
    assert told(top_k=1) == [1, 0, 0, 0]
    assert told(top_k=9) == told()


def test_top_p_leaves_the_fewest_words_that_reach_it() -> None:
    scores = torch.tensor([0.1, 0.5, 0.1, 0.3]).log()

    def left(top_p: float) -> list[float]:
        values: list[float] = next_word_probabilities(scores, Drawing(top_p=top_p)).tolist()
        return values

    assert left(0.4) == [0, 1, 0, 0]
    assert left(0.7) == pytest.approx([0, 0.625, 0, 0.375])
    assert left(0.85) == pytest.approx([1 / 9, 5 / 9, 0, 3 / 9]), "of two as likely, the first"
    assert left(1.0) == pytest.approx([0.1, 0.5, 0.1, 0.3])


def test_words_are_drawn_as_often_as_they_are_likely() -> None:
    network = a_gpt()
    drawing = Drawing(seed=1, temperature=0.7, top_k=3)
    first = [next(draw_words(network, [1], Drawing(seed, 0.7, 3))) for seed in range(400)]
    told = first[0].probabilities
    shares = np.bincount([drawn.word for drawn in first], minlength=WORDS) / 400
    assert np.allclose(shares, told, atol=0.08)
    assert drawing.top_k == int((told > 0).sum())


def test_drawing_looks_back_a_context_at_most_and_ends_with_the_text() -> None:
    network = a_gpt()

    def draw(seed: int, eos_id: int = 99, **more: Any) -> list[int]:
        drawing = Drawing(seed, banned=(0,), **more)
        return [drawn.word for drawn in continue_words(network, [1] * 20, 30, drawing, eos_id)]

    assert len(draw(0)) == 30
    assert draw(0) == draw(0) != draw(1)
    assert draw(0, is_greedy=True) == draw(1, is_greedy=True)
    assert 0 not in draw(0)
    third = draw(0)[2]
    assert draw(0, eos_id=third) == draw(0)[: draw(0).index(third) + 1]


@pytest.mark.parametrize("model", ["gpt", "attention", "no-attention"])
def test_the_likeliest_words_and_the_attention_are_shown(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    train(dataset, tmp_path / "run", "--num-steps", "2", "--model", model)
    capsys.readouterr()
    picture = tmp_path / "new" / "attention.png"
    argv = ["generate", str(tmp_path / "run"), "--prompt", "The oak", "--words", "6", "--greedy", "--show", "3"]
    assert language.main([*argv, "--attention", str(picture)]) == 0
    text, *shown = capsys.readouterr().out.splitlines()
    assert text.startswith("The oak")
    assert len(shown) == 6
    for line in shown:
        word, best = re.split(r"\s+of ", line)
        assert best.startswith(word), "the likeliest is taken"
        assert len(re.findall(r"'[^']+' \d+\.\d%", best)) == 3
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"
        assert len(np.unique(np.asarray(drawn.convert("L")))) > 10
    assert language.main([*argv, "--attention", str(tmp_path / "run" / "config.json" / "a.png")]) == 1
    assert "give another --attention" in capsys.readouterr().err


def test_every_way_of_choosing_the_next_word_is_a_setting(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(dataset, tmp_path, "--num-steps", "2")
    said = []
    for more in ([], ["--greedy"], ["--top-k", "1"], ["--top-p", "1e-9"], ["--temperature", "1e-4"]):
        capsys.readouterr()
        assert language.main(["generate", str(tmp_path), "--prompt", "The", "--words", "8", *more]) == 0
        said.append(capsys.readouterr().out)
    drawn, *greedy = said
    assert len(set(greedy)) == 1
    assert drawn != greedy[0]


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
