"""What the tests of all trainers do: a run that one process begins and two end, beside one that nothing happened to."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from models.runs import RunFolder


class Trainer(Protocol):
    """A trainer's module."""

    __name__: str

    def main(self, argv: Sequence[str]) -> int:
        """Train, and return the exit status."""


def has_reached(latest: Path, step: int) -> bool:
    """Whether the newest checkpoint, which `latest` names, was left at a step or behind it."""
    return latest.exists() and int(latest.read_text()[5:13]) >= step


def end_with_two_what_one_began(
    trainer: Trainer, dataset: Path, folder: Path, settings: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    """Checks that `folder/two`, begun by one process and ended by two, is as `folder/one`, which stands already.

    The first is stopped after three steps. Returns what the two print.
    """
    descend: Callable[..., Any] = trainer.descend  # type: ignore[attr-defined]

    def stop_at_three(training: Any, *more: Any) -> Any:
        if training.budget.step == 3:
            raise KeyboardInterrupt
        return descend(training, *more)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "descend", stop_at_three)
        assert trainer.main([str(dataset), "--out", str(folder / "two"), *settings]) == 130
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    argv = ["-m", trainer.__name__, str(dataset), "--out", str(folder / "two"), *settings]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *argv], capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    one, two = (RunFolder(folder / name).metrics() for name in ("one", "two"))
    assert [row["step"] for row in one] == [row["step"] for row in two]
    for ours, theirs in zip(one, two, strict=True):
        name = "train" if "train" in ours else "held_out"
        assert ours[name] == pytest.approx(theirs[name], abs=1e-5)
    assert RunFolder(folder / "one").load()["loader"] == RunFolder(folder / "two").load()["loader"]
    return done.stdout
