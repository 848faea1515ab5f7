"""What people look at: strips, windows as text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from pipelines.strips import GAP, SHOWN_SIDE, draw_strip, save_strips, strips, windows
from shards import open_dataset
from shards.triplet import TripletSpec
from tests.builds import seedbed
from tests.tiny_datasets import draw_tree, write_triplets, write_windows


def test_a_strip_shows_the_picture_at_each_step_clean_and_its_static(built: Path):
    strip = next(strips(built, "train", 1))
    assert [label for label, _ in strip.panels] == [
        *(f"step {step}: {20 * step} % static" for step in range(1, 6)),
        "clean",
        "the static",
    ]
    clean = strip.panels[5][1].astype(float)
    distances = [float(np.abs(pixels - clean).mean()) for _, pixels in strip.panels[:5]]
    assert distances == sorted(distances), "each step lies further from the clean picture"
    assert draw_strip(strip).size == (6 + 7 * (128 + 6), 128 + 46)


@pytest.mark.parametrize(
    ("ladder", "levels", "noise"),
    [
        ({"schedule": "add", "sigma": 2.0}, ["variance 2", "variance 4"], "the static"),
        ({"schedule": "list", "variances": (0.01, 4.0)}, ["variance 0.01", "variance 4"], "the static"),
        ({"corruption": "sparse"}, ["50 % of pixels", "100 % of pixels"], "noise of step 2"),
        ({"corruption": "sparse", "schedule": "add"}, ["50 % of pixels", "100 % of pixels"], "noise of step 2"),
        ({"corruption": "whiteout"}, ["50 % white", "100 % white"], "noise of step 2"),
    ],
)
def test_a_strip_says_what_each_step_is_whatever_the_ladder(
    tmp_path: Path, ladder: dict[str, Any], levels: list[str], noise: str
):
    spec = TripletSpec(16, steps=2, **ladder)
    write_triplets(tmp_path / "triplets", spec, {"train": [draw_tree(0, 16)]})
    (strip,) = strips(tmp_path, "train", 4)
    assert [label for label, _ in strip.panels] == [
        *(f"step {step}: {level}" for step, level in enumerate(levels, 1)),
        "clean",
        noise,
    ]
    dataset = open_dataset(tmp_path / "triplets")
    last = next(sample for sample in (dataset[0], dataset[1]) if sample["step"] == 2)
    assert (strip.panels[3][1] == np.clip(np.rint(32 * last["noise"].astype(float) + 127.5), 0, 255)).all()
    font = ImageFont.load_default(size=13)
    assert all(font.getlength(label) <= SHOWN_SIDE + GAP for label, _ in strip.panels)


def test_an_empty_dataset_or_split_does_not_keep_the_rest_from_being_shown(tmp_path: Path):
    spec = TripletSpec(16, steps=1)
    write_triplets(tmp_path / "triplets", spec, {"train": [], "val": []})
    write_windows(tmp_path / "windows", 4, {"train": ["The old oak stands."], "val": ["The old oak stands."]})
    done = seedbed("show", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("triplets: no sample in any split")
    assert "The old oak" in done.stdout
    write_triplets(tmp_path / "triplets", spec, {"train": [draw_tree(0, 16)], "val": []})
    done = seedbed("show", tmp_path, "--split", "val")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "triplets: no sample in val")
    done = seedbed("show", tmp_path, "--split", "test")
    assert done.returncode == 1
    assert "triplets and windows have no sample in test" in done.stderr


def test_a_shown_window_ends_with_its_last_word(built: Path):
    dataset = open_dataset(built / "windows", "train")
    for number, window in enumerate(windows(built, "train", 3)):
        tokens = dataset[number]["tokens"][: dataset[number]["length"]].tolist()
        assert window.next == dataset.tokenizer.token(tokens[-1])  # type: ignore[union-attr]
        assert window.before == dataset.tokenizer.decode(tokens[:-1])  # type: ignore[union-attr]
        assert window.url.startswith("http://arboretum.example/")


def test_strips_are_written_as_pictures(built: Path, tmp_path: Path):
    paths = save_strips(built, tmp_path / "one", "train", 2)
    assert sorted((tmp_path / "one").iterdir()) == sorted(paths)
    assert len(paths) == 2
    for path in paths:
        with Image.open(path) as strip:
            assert (strip.mode, strip.width) == ("RGB", GAP + 7 * (SHOWN_SIDE + GAP))
