"""The ladder: every rung trained once, its points written, the plots drawn, and what is too little said."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from models import language, scale
from models.runs import RunFolder
from models.scaling_picture import Point, fastest
from shards.tokenizer import ByteTokenizer
from shards.triplet import TripletSpec
from tests.tiny_datasets import draw_tree, write_triplets, write_windows

TINY = "--batch-size 4 --num-layers 1 --num-heads 2 --dropout 0 --precision float32 --learning-rate 0.01"
TEXT = "The oak stands. The elm stands. The ash is old. " * 20


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stage = tmp_path_factory.mktemp("words") / "windows"
    return write_windows(stage, 16, {"train": [TEXT] * 3, "val": ["The elm is old. The oak is old."]}, ByteTokenizer())


def climb(dataset: Path, out: Path, *more: str) -> int:
    return scale.main([str(dataset), "--out", str(out), "--widths", "8,16,24", "--steps", "2,6,18", *more])


def points_of(out: Path) -> list[dict[str, str]]:
    with (out / "points.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_ladder_of_words_is_trained_drawn_and_not_trained_again(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert climb(words, tmp_path, "--trainer", TINY) == 0
    points = points_of(tmp_path)
    assert [(point["width"], point["num_steps"]) for point in points] == [
        (width, steps) for width in ("8", "16", "24") for steps in ("2", "6", "18")
    ]
    assert [int(point["data"]) for point in points[:3]] == [2 * 4 * 16, 6 * 4 * 16, 18 * 4 * 16]
    for point in points:
        results = RunFolder(tmp_path / f"width-{int(point['width']):04d}-steps-{int(point['num_steps']):06d}").results()
        assert results is not None
        assert float(point["loss"]) == results["losses"]["model"]
        assert int(point["num_parameters"]) == results["num_parameters"]
    held = json.loads((tmp_path / "scaling.json").read_text())
    assert held["kind"] == "language"
    assert len(held["points"]) == held["size"]["num_points"] == len(held["size"]["residuals"]) == 9
    assert held["size"]["exponents"].keys() == {"parameters", "data"}
    with Image.open(tmp_path / "scaling.png") as picture:
        assert picture.size == (1650, 550)
    told = capsys.readouterr().out
    assert "loss by size: " in told
    assert "9 rungs for 5 numbers" in told

    written = (tmp_path / "points.csv").read_bytes(), (tmp_path / "scaling.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(language, "descend", None)  # nothing is trained
        assert climb(words, tmp_path, "--trainer", TINY) == 0
    assert ((tmp_path / "points.csv").read_bytes(), (tmp_path / "scaling.json").read_bytes()) == written


@pytest.mark.slow
def test_a_ladder_that_was_killed_goes_on_where_it_was(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    descend, done = language.descend, []

    def stop_later(*given: object) -> object:
        done.append(given)
        if len(done) == 2 + 6 + 2 + 4:
            raise KeyboardInterrupt
        return descend(*given)  # type: ignore[arg-type]

    rungs = ["--widths", "8,16", "--steps", "2,6", "--trainer", f"{TINY} --checkpoint-s 0"]
    with monkeypatch.context() as patch:
        patch.setattr(language, "descend", stop_later)
        assert climb(words, tmp_path / "killed", *rungs) == 130
    assert [point["num_steps"] for point in points_of(tmp_path / "killed")] == ["2", "6", "2"]
    capsys.readouterr()
    assert climb(words, tmp_path / "killed", *rungs) == 0
    assert capsys.readouterr().out.count("goes on from step 3") == 1
    assert climb(words, tmp_path / "whole", *rungs) == 0
    killed, whole = (
        [{name: point[name] for name in point if name != "seconds"} for point in points_of(tmp_path / name)]
        for name in ("killed", "whole")
    )
    assert killed == whole


def test_a_ladder_of_pictures_with_too_few_rungs_is_drawn_without_a_law(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = [draw_tree(seed, 8) for seed in range(6)]
    stage = write_triplets(tmp_path / "triplets", TripletSpec(8, steps=2), {"train": pictures[:4], "val": pictures[4:]})
    rungs = ["--widths", "16", "--steps", "1,2", "--trainer", "--batch-size 2 --precision float32"]
    assert scale.main([str(tmp_path), "--out", str(tmp_path / "run"), *rungs]) == 0
    told = capsys.readouterr().out
    assert "loss by size: not fitted" in told
    point = points_of(tmp_path / "run")[0]
    assert (point["data"], point["epochs"]) == ("2", "0.25"), f"2 of the 4 · 2 triplets in {stage}"
    results = RunFolder(tmp_path / "run" / "width-0016-steps-000001").results()
    assert results is not None
    assert float(point["loss"]) == results["average"]["model"]
    assert (tmp_path / "run" / "scaling.png").exists()


def test_the_fastest_are_those_that_none_beats_in_less_time() -> None:
    points = [Point(8, 1, 1, 1, 0.0, seconds, loss) for seconds, loss in ((3, 1.0), (1, 3.0), (2, 4.0), (4, 0.5))]
    assert [point.seconds for point in fastest(points)] == [1, 3, 4]


def test_what_no_ladder_can_be_made_of_is_said_in_one_line(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_triplets(words.parent / "triplets", TripletSpec(8, steps=2), {"train": [draw_tree(0, 8)]})
    for given, said in ((words.parent, "holds triplets and windows; give"), (tmp_path / "nowhere", "not a folder")):
        assert climb(given, tmp_path / "run") == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--widths", "8,x"], "--widths 8,x: must be whole numbers above 0"),
        (["--steps", ""], "--steps : must be whole numbers above 0"),
        (["--trainer", "--colour red"], "unrecognized arguments: --colour red"),
        (["--trainer=--model 'gpt"], "--trainer --model 'gpt: No closing quotation"),
    ],
)
def test_a_setting_that_cannot_be_is_a_usage_error(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        scale.main([str(words), "--out", str(tmp_path), *more])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("width-*"))
