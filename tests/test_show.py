"""A triplet as people look at it, and datasets without samples."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageFont

from pipelines.strips import GAP, LABEL_HEIGHT, SHOWN_SIDE, draw_strip, triptych
from shards import open_dataset
from shards.dataset import TripletDataset
from shards.triplet import TripletSpec
from tests.builds import seedbed
from tests.tiny_datasets import draw_tree, write_triplets, write_windows


def test_a_strip_shows_the_sample_noisy_clean_and_its_noise(built: Path):
    dataset = open_dataset(built / "triplets")
    assert isinstance(dataset, TripletDataset)
    strip = triptych(dataset[0], dataset.spec)
    step = dataset[0]["step"]
    assert [label for label, _ in strip.panels] == [f"step {step}: {20 * step} % static", "clean", "the static"]
    assert (strip.panels[1][1] == dataset[0]["clean"]).all()
    assert draw_strip(strip).size == (GAP + 3 * (SHOWN_SIDE + GAP), SHOWN_SIDE + 2 * LABEL_HEIGHT + GAP)


@pytest.mark.parametrize(
    ("ladder", "levels", "noise"),
    [
        ({"schedule": "add", "sigma": 2.0}, ["variance 2", "variance 4"], "the static"),
        ({"schedule": "list", "variances": (0.01, 4.0)}, ["variance 0.01", "variance 4"], "the static"),
        ({"corruption": "sparse"}, ["50 % of pixels", "100 % of pixels"], "noise of step {}"),
        ({"corruption": "sparse", "schedule": "add"}, ["50 % of pixels", "100 % of pixels"], "noise of step {}"),
        ({"corruption": "whiteout"}, ["50 % white", "100 % white"], "noise of step {}"),
    ],
)
def test_a_strip_says_what_each_step_is_whatever_the_ladder(
    tmp_path: Path, ladder: dict[str, Any], levels: list[str], noise: str
):
    spec = TripletSpec(16, steps=2, **ladder)
    write_triplets(tmp_path / "triplets", spec, {"train": [draw_tree(0, 16)]})
    dataset = open_dataset(tmp_path / "triplets")
    font = ImageFont.load_default(size=13)
    for sample in (dataset[0], dataset[1]):
        strip, step = triptych(sample, spec), sample["step"]
        labels = [label for label, _ in strip.panels]
        assert labels == [f"step {step}: {levels[step - 1]}", "clean", noise.format(step)]
        assert (strip.panels[2][1] == np.clip(np.rint(32 * sample["noise"].astype(float) + 127.5), 0, 255)).all()
        assert all(font.getlength(label) <= SHOWN_SIDE + GAP for label in labels)


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
