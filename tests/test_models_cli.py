"""The trainers' commands: what they take, what they say when something is wrong, and what they need to be installed."""

import dataclasses
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch

from models import denoiser, devices, language
from models.devices import choose_device, choose_precision
from models.runs import RunError, RunFolder
from models.threads import KEPT_STEPS, TRIAL_STEPS, Threads
from shards.tokenizer import ByteTokenizer
from shards.triplet import TripletSpec
from tests.builds import SEEDBED, wait_for
from tests.tiny_datasets import draw_tree, write_triplets, write_windows

Main = Callable[[Sequence[str]], int]

TINY = {
    "denoiser": ["--num-steps", "1", "--batch-size", "2", "--width", "16"],
    "language": ["--num-steps", "1", "--batch-size", "2", "--width", "16", "--num-layers", "1"],
}
MAINS: dict[str, Main] = {"denoiser": denoiser.main, "language": language.main}


def checkpoint_of(run: Path) -> Path:
    """The newest checkpoint of a run."""
    return run / "checkpoints" / (run / "checkpoints" / "latest").read_text().strip()


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build")
    write_triplets(out / "triplets", TripletSpec(8, steps=2), {"train": [draw_tree(seed, 8) for seed in range(4)]})
    write_windows(out / "windows", 8, {"train": ["The oak stands. The elm stands. The ash is old."]})
    return out


@pytest.mark.parametrize("model", ["denoiser", "language"])
def test_a_build_its_stage_and_its_dataset_all_name_the_dataset(build: Path, tmp_path: Path, model: str) -> None:
    stage = build / {"denoiser": "triplets", "language": "windows"}[model]
    for number, path in enumerate((build, stage, stage / "0123456789ab")):
        assert MAINS[model]([str(path), "--out", str(tmp_path / str(number)), *TINY[model]]) == 0
    assert len({(tmp_path / str(number) / "config.json").read_bytes() for number in range(3)}) == 1


def test_generating_writes_a_sheet_and_how_each_picture_grew(build: Path, tmp_path: Path) -> None:
    assert denoiser.main([str(build), "--out", str(tmp_path / "run"), *TINY["denoiser"]]) == 0
    out = tmp_path / "new" / "trees.png"
    assert denoiser.generate_main([str(tmp_path / "run"), "--count", "3", "--out", str(out)]) == 0
    sheet, steps = out.read_bytes(), (tmp_path / "new" / "trees-steps.png").read_bytes()
    assert sheet.startswith(b"\x89PNG")
    assert steps.startswith(b"\x89PNG")
    assert denoiser.main(["generate", str(tmp_path / "run"), "--count", "3", "--out", str(out)]) == 0
    assert out.read_bytes() == sheet


@pytest.mark.parametrize(("model", "number"), [("language", signal.SIGINT), ("denoiser", signal.SIGTERM)])
def test_interrupted_it_saves_what_it_has_and_goes_on_from_there(
    build: Path, tmp_path: Path, model: str, number: signal.Signals
) -> None:
    run = RunFolder(tmp_path)
    settings = ["--num-steps", "1000000", "--report-steps", "1"]
    command = [SEEDBED, "train", model, str(build), "--out", str(tmp_path), *TINY[model][2:], *settings]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(run.metrics()) > 3, "a few steps")
    process.send_signal(number)
    said, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "seedbed: interrupted; run again to go on from the last checkpoint\n")
    done = run.load()["step"]
    assert f"step {done:6d}" in said.splitlines()[-1], "not one step is lost"


@pytest.mark.parametrize(
    ("model", "argv", "said"),
    [
        ("denoiser", ["BUILD/nowhere"], "nowhere is not a folder"),
        ("denoiser", ["BUILD/windows"], "holds no triplets"),
        ("language", ["BUILD/triplets"], "holds no windows"),
        ("language", ["OTHER"], "OTHER: holds no windows, only triplets; build them, or give another dataset"),
        ("language", ["BUILD", "--out", "BUILD/triplets/current"], "cannot be written"),
        ("denoiser", ["BUILD", "--device", "abacus"], "--device abacus"),
        ("language", ["BUILD", "--precision", "float9"], "--precision float9: give one of auto, float32, bfloat16"),
        ("language", ["BUILD", "--device", "cuda:99"], "--device cuda:99: "),
        ("language", ["BUILD", "--batch-size", "50000000000"], "--batch-size 50000000000: too large for the memory of"),
        ("denoiser", ["generate", "BUILD/nowhere"], "no such checkpoint; train first"),
        ("language", ["generate", "BUILD/nowhere"], "no such checkpoint; train first"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, argv: list[str], said: str
) -> None:
    other = write_triplets(tmp_path / "other" / "triplets", TripletSpec(8, steps=2), {"train": [draw_tree(0, 8)]})
    filled = [argument.replace("BUILD", str(build)).replace("OTHER", str(other.parent)) for argument in argv]
    said = said.replace("OTHER", str(other.parent))
    if "generate" not in filled and "--out" not in filled:
        filled += ["--out", str(tmp_path / "run")]
    assert MAINS[model](filled) == 1
    error = capsys.readouterr().err
    assert error.startswith("seedbed: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("model", "argv", "said"),
    [
        ("denoiser", ["BUILD", "--target", "both"], "--target both: must be one of clean, noise, previous, v"),
        ("denoiser", ["BUILD", "--batch-size", "0"], "--batch-size 0: must be 1 or more"),
        ("denoiser", ["BUILD", "--seconds", "0"], "--seconds 0.0: must be above 0"),
        ("denoiser", ["BUILD", "--seconds", "nan"], "argument --seconds: nan: must be a finite number"),
        ("denoiser", ["BUILD", "--learning-rate", "inf"], "argument --learning-rate: inf: must be a finite number"),
        ("denoiser", ["BUILD", "--weight-decay", "-1"], "--weight-decay -1.0: must be 0 or more"),
        ("denoiser", ["generate", "RUN", "--seed", "99999999999999999999"], "must be below 2⁶³"),
        ("language", ["generate", "RUN", "--temperature", "1e-320"], "must be 0.0001 or more"),
        ("denoiser", ["BUILD", "--colour", "red"], "unrecognized arguments: --colour red"),
        ("denoiser", [], "required: dataset"),
        ("denoiser", ["generate", "RUN", "--count", "0"], "--count 0: must be 1 or more"),
        ("denoiser", ["generate", "RUN", "--seed", "-1"], "--seed -1: must be 0 or more"),
        ("denoiser", ["BUILD", "--no-told"], "--no-told --target v: only clean is the same at every step"),
        ("denoiser", ["BUILD", "--corruption", "snow"], "--corruption snow: must be one of gaussian, sparse, whiteout"),
        ("language", ["BUILD", "--dropout", "1"], "--dropout 1.0: must be at least 0 and below 1"),
        ("language", ["BUILD", "--width", "50"], "--width 50: must be a multiple of twice --num-heads 4"),
        ("language", ["BUILD", "--model", "oracle"], "--model oracle: must be one of gpt, attention, no-attention"),
        ("language", ["BUILD", "--activation", "relu"], "--activation relu: must be one of tanh, sigmoid, linear"),
        ("language", ["generate", "RUN", "--top-p", "0"], "--top-p 0.0: must be above 0, and 1 at most"),
        ("language", ["generate", "RUN", "--show", "-1"], "--show -1: must be 0 or more"),
        ("language", ["generate", "RUN", "--temperature", "0"], "--temperature 0.0: must be 0.0001 or more"),
    ],
)
def test_a_setting_that_cannot_be_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], model: str, argv: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        MAINS[model](argv)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("model", [denoiser, language])
def test_help_names_every_setting(capsys: pytest.CaptureFixture[str], model: ModuleType) -> None:
    with pytest.raises(SystemExit) as ended:
        model.main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for field in dataclasses.fields(model.Settings)[1:]:
        assert f"--{field.name.replace('_', '-')}" in told


def test_a_run_with_other_settings_is_not_overwritten(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(build), "--out", str(tmp_path), *TINY["denoiser"]]
    assert denoiser.main(argv) == 0
    written = checkpoint_of(tmp_path).read_bytes()
    assert denoiser.main([*argv, "--seed", "5"]) == 1
    assert "holds a run with other settings: seed 0 (now 5)" in capsys.readouterr().err
    assert checkpoint_of(tmp_path).read_bytes() == written


def test_a_run_goes_on_with_its_own_data_and_tokenizer_alone(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["The oak stands. The elm stands. The ash is old."]
    others = {
        "tokenizer": write_windows(tmp_path / "bytes", 8, {"train": texts}, ByteTokenizer()),
        "dataset": write_windows(tmp_path / "words", 8, {"train": texts * 2}),
    }
    assert language.main([str(build), "--out", str(tmp_path / "run"), *TINY["language"]]) == 0
    for called, other in others.items():
        capsys.readouterr()
        assert language.main([str(other), "--out", str(tmp_path / "run"), *TINY["language"]]) == 1
        error = capsys.readouterr().err
        assert f"{tmp_path / 'run'}: was trained with another {called} (" in error
        assert error.count("\n") == 1


def test_a_damaged_checkpoint_is_named(build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert language.main([str(build), "--out", str(tmp_path), *TINY["language"]]) == 0
    file = checkpoint_of(tmp_path)
    file.write_bytes(file.read_bytes()[:1000])
    capsys.readouterr()
    assert language.generate_main([str(tmp_path)]) == 1
    assert f"seedbed: {file}: damaged" in capsys.readouterr().err


def test_one_models_run_is_not_the_others(build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert language.main([str(build), "--out", str(tmp_path), *TINY["language"]]) == 0
    assert denoiser.generate_main([str(tmp_path)]) == 1
    assert "not the run of a denoiser" in capsys.readouterr().err


def test_a_loss_that_runs_away_ends_the_training(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*TINY["language"], "--num-steps", "9", "--learning-rate", "1e30", "--warmup-steps", "0"]
    assert language.main([str(build), "--out", str(tmp_path), *argv]) == 1
    error = capsys.readouterr().err
    assert re.search(r"the (loss|gradient's length) is (nan|inf) on the samples [0-9a-f]{32}", error), error
    assert "train anew with a smaller --learning-rate" in error
    assert not (tmp_path / "results.json").exists()


def test_threads_that_hinder_each_other_are_left_out_and_tried_again_later() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        threads, used = Threads(), []
        for _ in range(2 * TRIAL_STEPS + KEPT_STEPS + 1):
            used.append(torch.get_num_threads())
            time.sleep(0.004 if torch.get_num_threads() == 2 else 0)
            threads.next_step()
    finally:
        torch.set_num_threads(before)
    assert used == [2] * TRIAL_STEPS + [1] * (TRIAL_STEPS + KEPT_STEPS) + [2]


def test_training_by_the_clock_ends_on_time(build: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    assert language.main([str(build), "--out", str(tmp_path), "--seconds", "0.5", "--width", "16"]) == 0
    torch.set_num_threads(threads)
    results = RunFolder(tmp_path).results()
    assert results is not None
    assert results["train_steps"] > 0
    assert 0.5 <= results["seconds"] < 5


def test_a_torn_line_of_metrics_is_left_out(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.report({"step": 1, "train": 0.5})
    run.report({"step": 2, "train": 0.25})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "tra')
    assert run.metrics() == [{"step": 1, "train": 0.5}, {"step": 2, "train": 0.25}]
    run.forget_after(1)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "train": 0.5}\n'


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "results.json"])
@pytest.mark.parametrize("content", [b'{"step": 1,\n', b"\xff\n"])
def test_a_damaged_file_of_a_run_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / name).write_bytes(content)
    read = {"config.json": run.config, "metrics.jsonl": run.metrics, "results.json": run.results}[name]
    with pytest.raises(RunError, match=rf"{name}: damaged \(.*\); remove the folder and train again"):
        read()


def test_metrics_that_the_disk_does_not_take_are_said(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written"):
        RunFolder(tmp_path).report({"step": 1, "train": 0.5})
    with pytest.raises(RunError, match=r"nowhere/metrics\.jsonl: cannot be written"):
        RunFolder(tmp_path / "nowhere").forget_after(1)


def test_device_and_number_type_are_chosen_by_name() -> None:
    cpu = choose_device("cpu")
    assert str(cpu) == "cpu"
    assert str(choose_precision("float32", cpu)) == "torch.float32"
    assert str(choose_precision("auto", cpu)) in ("torch.float32", "torch.bfloat16")
    with pytest.raises(RunError, match="--device abacus"):
        choose_device("abacus")


def test_training_needs_neither_beam_nor_pydantic_nor_plotting() -> None:
    program = (
        "import models.denoiser, models.language, sys;"
        "print(sorted({'apache_beam', 'pydantic', 'matplotlib', 'crawl', 'pipelines'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_same_command_trains_on_a_gpu(build: Path, tmp_path: Path) -> None:
    for model in ("denoiser", "language"):
        out = tmp_path / model
        assert MAINS[model]([str(build), "--out", str(out), *TINY[model], "--device", "cuda"]) == 0
        generate = ["generate", str(out), "--device", "cuda"]
        assert MAINS[model](generate + (["--out", str(tmp_path / "trees.png")] if model == "denoiser" else [])) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems grant no memory that is not there")
def test_a_batch_that_would_be_granted_and_is_not_there_is_said_in_one_line(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "memory_left", lambda: 20_000_000)
    argv = [str(build), "--out", str(tmp_path / "run"), *TINY["denoiser"][2:], "--batch-size", "30000"]
    assert MAINS["denoiser"](argv) == 1
    assert capsys.readouterr().err.startswith("seedbed: --batch-size 30000: too large for the memory of")
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY
