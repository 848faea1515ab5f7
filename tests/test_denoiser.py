"""The denoiser learns from triplets, every way they can be made, and goes on where it was interrupted."""

import json
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models import denoiser
from models.budget import learning_rate
from models.levels import ladder_shares
from models.ranks import Ranks
from models.runs import RunError, RunFolder
from models.sessions import git_commit
from models.training_pictures import open_triplets
from shards.triplet import TripletSpec
from tests.builds import wait_for
from tests.tiny_datasets import draw_tree, write_triplets
from tests.trainers import end_with_two_what_one_began, has_reached

SIZE = 10  # no multiple of what the U-Net's scales divide by
TINY = ["--width", "16", "--batch-size", "8", "--report-steps", "1", "--num-directions", "8", "--precision", "float32"]
MEASURED = {"seconds", "samples_per_s", "data_wait", "peak_memory_mb"}


def trees(first: int, count: int, size: int = SIZE) -> list[NDArray[np.uint8]]:
    return [draw_tree(seed, size) for seed in range(first, first + count)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stage = tmp_path_factory.mktemp("build") / "triplets"
    write_triplets(stage, TripletSpec(SIZE, steps=5, seed=3), {"train": trees(0, 24), "val": trees(100, 6)})
    return stage.parent


def train(dataset: Path, out: Path, *more: str) -> dict[str, Any]:
    assert denoiser.main([str(dataset), "--out", str(out), *TINY, *more]) == 0
    results = RunFolder(out).results()
    assert results is not None
    return results


def losses(out: Path) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row.keys() - MEASURED} for row in RunFolder(out).metrics()]


def test_learning_rate_rises_and_falls_to_zero() -> None:
    assert learning_rate(0.0, 0, 1.0, 4) == 0.25
    assert learning_rate(0.0, 3, 1.0, 4) == 1.0
    assert learning_rate(0.5, 100, 1.0, 4) == pytest.approx(0.5)
    assert learning_rate(1.0, 100, 1.0, 0) == 0.0


def test_same_seed_gives_the_same_losses_and_another_seed_others(dataset: Path, tmp_path: Path) -> None:
    for name, seed in (("one", "1"), ("two", "1"), ("three", "2")):
        train(dataset, tmp_path / name, "--num-steps", "4", "--seed", seed)
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert losses(tmp_path / "one") != losses(tmp_path / "three")
    assert [row["step"] for row in losses(tmp_path / "one") if "train" in row] == [1, 2, 3, 4]


def states(out: Path) -> dict[str, Any]:
    state = RunFolder(out).load()
    return {**state["model"], **{f"average {name}": value for name, value in state["average"].items()}}


def test_a_run_killed_at_any_step_ends_as_if_it_had_never_been(dataset: Path, tmp_path: Path) -> None:
    settings = ["--num-steps", "12", "--report-steps", "5", "--checkpoint-s", "0"]
    whole = train(dataset, tmp_path / "whole", *settings)
    argv = [str(dataset), "--out", str(tmp_path / "killed"), *TINY, *settings]
    latest = tmp_path / "killed" / "checkpoints" / "latest"
    for at_least in (2, 7):
        process = subprocess.Popen([sys.executable, "-m", "models.denoiser", *argv], stdout=subprocess.DEVNULL)
        wait_for(partial(has_reached, latest, at_least), "a checkpoint")
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = train(dataset, tmp_path / "killed", *settings)
    one, other = states(tmp_path / "whole"), states(tmp_path / "killed")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert RunFolder(tmp_path / "whole").load()["loader"] == RunFolder(tmp_path / "killed").load()["loader"]
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert resumed["steps"] == whole["steps"]
    sessions = (tmp_path / "killed" / "sessions.jsonl").read_text().splitlines()
    assert len(sessions) == 3


def test_a_finished_run_is_not_trained_again(dataset: Path, tmp_path: Path) -> None:
    first = train(dataset, tmp_path, "--num-steps", "2")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()}
    assert train(dataset, tmp_path, "--num-steps", "2") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()} == written


def test_after_a_while_it_beats_the_noisy_and_the_mean_picture(dataset: Path, tmp_path: Path) -> None:
    results = train(dataset, tmp_path, "--num-steps", "120", "--report-steps", "50")
    assert results["split"] == "val"
    assert results["num_samples"] == 30
    assert results["beats"]
    for row in results["steps"][:4]:
        assert row["model"] < min(row["noisy"], row["mean"])
    assert [row["step"] for row in results["steps"]] == [1, 2, 3, 4, 5]
    assert results["steps"][4]["model"] == pytest.approx(results["steps"][4]["mean"], rel=0.3)
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_says_what_it_was_trained_on_and_what_it_measured(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path, "--num-steps", "3", "--num-validations", "1")
    config = RunFolder(tmp_path).config()
    assert config["fingerprint"] == "0123456789ab"
    assert config["target"] == "v"
    *reports, held_out = RunFolder(tmp_path).metrics()
    assert [row["step"] for row in reports] == [1, 2, 3]
    assert held_out.keys() == {"step", "held_out"}
    for row in reports:
        assert row.keys() == {"step", "train"} | MEASURED
        assert 0 <= row["data_wait"] <= 1
        assert row["samples_per_s"] > 0
        assert row["peak_memory_mb"] > 50


@pytest.mark.parametrize("corruption", ["sparse", pytest.param("whiteout", marks=pytest.mark.slow)])
def test_replaced_pixels_are_learned_too(tmp_path: Path, corruption: str) -> None:
    spec = TripletSpec(SIZE, steps=5, corruption=corruption)
    write_triplets(tmp_path / "triplets", spec, {"train": trees(0, 24), "val": trees(100, 6)})
    for target in ("clean", "noise"):
        results = train(tmp_path, tmp_path / target, "--num-steps", "60", "--target", target, "--report-steps", "50")
        for row in results["steps"][:3]:
            assert row["model"] < min(row["noisy"], row["mean"])
    assert np.allclose(ladder_shares(spec)[1] ** 2, [0.2, 0.4, 0.6, 0.8, 1])


def test_grey_pictures_of_a_virtual_dataset_without_held_out_ones_train_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = [tree[:, :, :1] for tree in trees(0, 3)]
    stage = write_triplets(tmp_path / "triplets", TripletSpec(SIZE, 1, 2, mode="virtual"), {"train": grey})
    results = train(stage, tmp_path / "run", "--num-steps", "2", "--no-fresh-noise", "--no-flip", "--levels", "ladder")
    assert "no pictures are held out" in capsys.readouterr().out
    assert results["split"] == "train"
    assert results["num_samples"] == 6


def test_bad_data_stops_the_training_and_the_samples_are_named(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(dataset), "--out", str(tmp_path), *TINY, "--num-steps", "40", "--learning-rate", "1e30"]
    assert denoiser.main([*argv, "--warmup-steps", "0"]) == 1
    error = capsys.readouterr().err
    named = re.search(r"is (?:nan|inf) on the samples (.*), … \(8 in all\); train anew with a smaller", error)
    assert named is not None, error
    keys = {open_triplets(dataset, "train")[number]["key"] for number in range(120)}
    assert set(named[1].split(", ")) <= keys
    assert not (tmp_path / "results.json").exists()


def test_the_newest_checkpoints_are_kept_and_a_damaged_one_is_named_with_the_one_before(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(dataset, tmp_path, "--num-steps", "4", "--checkpoint-s", "0")
    folder = tmp_path / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["latest", "step-00000003.pt", "step-00000004.pt"]
    newest = folder / "step-00000004.pt"
    newest.write_bytes(newest.read_bytes()[:2000])
    capsys.readouterr()
    assert denoiser.generate_main([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"seedbed: {newest}: damaged (")
    assert "write step-00000003.pt into" in error
    assert error.count("\n") == 1
    (folder / "latest").write_text("step-00000003.pt\n")
    assert RunFolder(tmp_path).load()["step"] == 3


@pytest.mark.skipif(not shutil.which("git"), reason="no git here")
def test_a_run_notes_the_commit_it_was_made_from(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path, "--num-steps", "1")
    session = json.loads((tmp_path / "sessions.jsonl").read_text())
    assert session.keys() == {"started_at", "command", "data", "git_commit", "python", "torch"}
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", git_commit(Path(__file__).parent))
    assert git_commit(tmp_path) == "unknown"


def test_two_processes_see_the_batches_of_one_and_go_on_with_what_one_began(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*TINY, "--num-steps", "8", "--report-steps", "2", "--num-validations", "2", "--checkpoint-s", "0"]
    train(dataset, tmp_path / "one", *settings)
    told = end_with_two_what_one_began(denoiser, dataset, tmp_path, settings, monkeypatch)
    assert told.count("denoiser of") == told.count("goes on from step 3") == 1


def test_a_batch_is_dealt_out_evenly_or_not_at_all() -> None:
    ranks = [Ranks(rank, 2, torch.device("cpu")) for rank in range(2)]
    assert [rank.share_of(8) for rank in ranks] == [4, 4]
    with pytest.raises(RunError, match="--batch-size 9: 2 processes share it; give a multiple of 2"):
        ranks[0].share_of(9)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--device", "cuda:99"], "--device cuda:99: "),
        (["--batch-size", "50000000000"], "--batch-size 50000000000: too large for the memory of"),
        (["--target", "previous"], "with whiteout pixels, give --levels ladder and --target clean, noise or v"),
        (["--levels", "between"], "with whiteout pixels, give --levels ladder and --target clean, noise or v"),
        (["--levels", "last"], "with whiteout pixels, give --levels ladder and --target clean, noise or v"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: list[str], said: str
) -> None:
    write_triplets(tmp_path / "triplets", TripletSpec(SIZE, steps=2, corruption="whiteout"), {"train": trees(0, 2)})
    assert denoiser.main([str(tmp_path), "--out", str(tmp_path / "run"), *TINY, *settings]) == 1
    error = capsys.readouterr().err
    assert error.startswith("seedbed: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("mode", ["materialised", "virtual"])
def test_another_corruption_trains_as_from_shards_that_were_written_with_it(tmp_path: Path, mode: str) -> None:
    pictures = {"train": trees(0, 8), "val": trees(100, 3)}
    for name, corruption in (("static", "gaussian"), ("white", "whiteout")):
        spec = TripletSpec(SIZE, steps=3, corruption=corruption, mode=mode)
        write_triplets(tmp_path / name / "triplets", spec, pictures)
    settings = ("--num-steps", "2", "--num-validations", "1", "--corruption", "whiteout")
    results = [train(tmp_path / name, tmp_path / f"run-{name}", *settings) for name in ("static", "white")]
    assert losses(tmp_path / "run-static") == losses(tmp_path / "run-white")
    for name in ("steps", "average"):
        assert results[0][name] == results[1][name]


def test_one_that_is_not_told_the_step_gives_one_answer_at_all_steps(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path, "--num-steps", "3", "--no-told", "--target", "clean")
    model = denoiser.load_denoiser(tmp_path, torch.device("cpu"))
    noisy = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    first, last = (model.predict(noisy, torch.full((2,), step))[0] for step in (1, 5))
    assert torch.allclose(first, last, atol=1e-6)
    assert not torch.allclose(first[0], first[1], atol=1e-3)


def test_a_damaged_sample_stops_the_training_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = write_triplets(tmp_path / "triplets", TripletSpec(SIZE, steps=2), {"train": trees(0, 20)})
    shard = stage / "0123456789ab" / "train-000000.tar"
    content = bytearray(shard.read_bytes())
    content[content.index(b"NUMPY", len(content) // 2) + 200] ^= 1
    shard.write_bytes(content)
    assert denoiser.main([str(tmp_path), "--out", str(tmp_path / "run"), *TINY, "--num-steps", "20"]) == 1
    error = capsys.readouterr().err
    assert re.match(r"seedbed: .*train-000000\.tar.*[0-9a-f]{32}", error), error
    assert error.count("\n") == 1
