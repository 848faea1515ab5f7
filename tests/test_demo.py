"""The demo as a stranger runs it, with a few seconds of training; the full time is a slow test."""

import json
from pathlib import Path

import pytest
from PIL import Image

from pipelines.demo import MODELS
from tests.builds import SEEDBED, seedbed, seedbed_process


def _demo(out: Path, seconds: int) -> str:
    """What the demo prints; it fails just where a model does not beat what stands beside it."""
    done = seedbed_process("demo", "--out", out, "--train-seconds", str(seconds), timeout_s=600)
    beaten = all(_results(out, model)["beats"] for model in MODELS)
    said = f"seedbed: a model does not beat what stands beside it after {seconds} s of training\n"
    assert (done.returncode, done.stderr) == ((0, "") if beaten else (1, said)), done.stdout + done.stderr
    return done.stdout


def _results(out: Path, model: str) -> dict[str, object]:
    results = json.loads((out / "runs" / model / "results.json").read_bytes())
    assert isinstance(results, dict)
    return results


def test_the_demo_ends_with_what_to_look_at_and_what_to_do_next(tmp_path: Path):
    out = tmp_path / "demo"
    said = _demo(out, seconds=1)
    assert not _results(out, "language")["beats"], "a second is too little"
    assert "language: does not beat what stands beside it" in said
    assert "It does not beat what stands beside it" in (out / "report/index.html").read_text()
    assert "535 requests, 0 of them to its forbidden folders" in said
    last = said.strip().splitlines()[-9:]
    assert [line.strip() for line in last] == [
        "Look at",
        str(out / "report/index.html"),
        str(out / "runs/denoiser/trees.png"),
        str(out / "runs/language/sample.txt"),
        "Go on with",
        f"{SEEDBED} inspect {out}",
        f"{SEEDBED} show {out}",
        f'{SEEDBED} generate language {out / "runs/language"} --prompt "In autumn the maple"',
        f"{SEEDBED} generate denoiser {out / 'runs/denoiser'} --seed 7 --out trees.png",
    ]
    page = (out / "report/index.html").read_text()
    for path in ('alt="trees of the run denoiser"', "data-curves=", "triplets.html", "trainer.html", "funnel.html"):
        assert path in page
    assert len(list((out / "report" / "pictures").glob("ladder-*.png"))) == 12 * 11
    with Image.open(out / "runs/denoiser/trees.png") as trees:
        assert trees.width == 8 * (128 + 4) + 4
    assert (out / "runs/language/sample.txt").read_text().startswith("The old oak")
    shown = seedbed("show", out, "--count", "2", "--png", tmp_path / "strips")
    assert shown.returncode == 0, shown.stderr
    assert len(list((tmp_path / "strips").glob("*.png"))) == 2


@pytest.mark.slow
def test_both_models_beat_what_stands_beside_them_and_another_time_trains_again(tmp_path: Path):
    _demo(tmp_path, seconds=75)
    for model in MODELS:
        assert _results(tmp_path, model)["beats"] is True
    again = _demo(tmp_path, seconds=5)
    assert again.count("up to date") >= 5, "another training time trains again and builds nothing"
    assert json.loads((tmp_path / "runs/language/config.json").read_bytes())["seconds"] == 5
    assert json.loads((tmp_path / "runs/language-1/config.json").read_bytes())["seconds"] == 75, "moved aside, not lost"
