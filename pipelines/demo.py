"""The embedded demo: a small arboretum, served on this machine, built, trained on and shown like any other site."""

import itertools
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from crawl.demo.server import DemoServer, serve
from crawl.demo.site import FORBIDDEN_PAGES, FORBIDDEN_PICTURES
from pipelines.build import build
from pipelines.errors import StageError
from pipelines.folders import current_manifest, manifest_sha256
from pipelines.inspect.report import write_report
from pipelines.load_recipe import load_recipe
from pipelines.progress import StageResult, closing_table
from pipelines.verdicts import verdict

SEED = 0
PROMPT = "The old oak"

SAVE_S = 10.0
"""How long a training may take to end that was interrupted with the demo; if it was not, it is told then."""

MODELS = {"denoiser": "triplets", "language": "windows"}
"""What is trained on what."""


def run_demo(out: Path, train_seconds: float, console: Console) -> None:
    """Builds the demo in `out`, trains both models, lets them grow something, and writes the report.

    Args:
        out: folder of the build.
        train_seconds: of training, for each model.
        console: where progress goes.

    Raises:
        StageError: a stage, a training or a check failed, or a model does not beat what stands beside it.
    """
    started = time.monotonic()
    results = build_demo(out, console)
    console.print(closing_table(results))
    for model, stage in MODELS.items():
        console.rule(f"training: {model}", align="left")
        _move_other_run(out, model, stage, train_seconds, console)
        _run_model(model, [str(out), "--out", str(out / "runs" / model), "--seconds", f"{train_seconds:g}"])
    console.rule("growing", align="left")
    _run_model("denoiser", ["generate", str(out / "runs/denoiser"), "--out", str(out / "runs/denoiser/trees.png")])
    _run_model(
        "language",
        ["generate", str(out / "runs/language"), "--prompt", PROMPT, "--out", str(out / "runs/language/sample.txt")],
    )
    report = write_report(out).page
    console.rule(f"done in {time.monotonic() - started:.0f} s", align="left")
    verdicts = list(_verdicts(out))
    for _, said in verdicts:
        console.print(said, highlight=False, soft_wrap=True)
    console.print(_farewell(out, report), highlight=False, soft_wrap=True)
    if not all(beats for beats, _ in verdicts):
        raise StageError(f"a model does not beat what stands beside it after {train_seconds:g} s of training")


def build_demo(out: Path, console: Console, overrides: Sequence[str] = ()) -> list[StageResult]:
    """Serves the arboretum, builds every stage from it, and says what the server saw."""
    with serve(SEED) as server:
        console.print(f"an arboretum is being served on 127.0.0.1:{server.port}", highlight=False)
        connect_to = f"crawl.connect_to={json.dumps(server.connect_to)}"
        recipe = load_recipe("demo", [connect_to, *overrides])
        results = build(recipe, out, recipe.stages(), 0, console)
        console.print(_server_log(server), highlight=False)
    return results


def _server_log(server: DemoServer) -> str:
    """What the site's owner sees of the visit."""
    asked = Counter("forbidden" if _is_forbidden(request.path) else "open" for request in server.log)
    return f"the server's own log: {asked.total()} requests, {asked['forbidden']} of them to its forbidden folders"


def _is_forbidden(path: str) -> bool:
    return path.startswith((FORBIDDEN_PAGES, FORBIDDEN_PICTURES))


def _move_other_run(out: Path, model: str, stage: str, train_seconds: float, console: Console) -> None:
    """Moves a run of a model aside if it was trained on other samples or for another time."""
    manifest = current_manifest(out, stage)
    assert manifest is not None, f"{stage} was just built"
    config = out / "runs" / model / "config.json"
    if not config.exists():
        return
    held = json.loads(config.read_bytes())
    expected = (manifest_sha256(out / stage / manifest.fingerprint), train_seconds)
    if (held["manifest_sha256"], held["seconds"]) != expected:
        names = (config.parent.with_name(f"{model}-{number}") for number in itertools.count(1))
        aside = next(path for path in names if not path.exists())
        config.parent.rename(aside)
        console.print(f"the {model} trained before is now {aside}", highlight=False, soft_wrap=True)


def _run_model(model: str, arguments: Sequence[str]) -> None:
    """Runs a model's own command, as a person would.

    Raises:
        StageError: it failed; it has said why.
    """
    with subprocess.Popen([sys.executable, "-m", f"models.{model}", *arguments]) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SAVE_S)  # a terminal has told it as well, and it saves what it has
            process.terminate()
            raise
    if status:
        raise StageError(f"{model}: python -m models.{model} {' '.join(arguments)} ended with status {status}")


def _verdicts(out: Path) -> Iterator[tuple[bool, str]]:
    """Whether each model beats what stands beside it, and a line that says so."""
    for model in MODELS:
        results = json.loads((out / "runs" / model / "results.json").read_bytes())
        yield results["beats"], f"{model}: {verdict(results)}"


def _farewell(out: Path, report: Path) -> str:
    seedbed = _command()
    lines = (
        "Look at",
        f"  {report}",
        f"  {out / 'runs/denoiser/trees.png'}",
        f"  {out / 'runs/language/sample.txt'}",
        "Go on with",
        f"  {seedbed} inspect {out}",
        f"  {seedbed} show {out}",
        f'  {seedbed} generate language {out / "runs/language"} --prompt "In autumn the maple"',
        f"  {seedbed} generate denoiser {out / 'runs/denoiser'} --seed 7 --out trees.png",
    )
    return "\n".join(lines)


def _command() -> str:
    """What to type for this command line: its name where the shell finds it, else the path it was started by."""
    return "seedbed" if shutil.which("seedbed") == sys.argv[0] else sys.argv[0]
