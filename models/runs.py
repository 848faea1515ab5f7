"""A training run's folder, its clock, and how its command ends.

RUN/config.json      the settings, and what they were trained on
RUN/metrics.jsonl    one line per report: step, seconds, losses
RUN/checkpoint.pt    state dicts and plain values, renamed into place
RUN/results.json     what came out, beside what had to be beaten; written last
RUN/loss.png         the losses over the steps
"""

import io
import json
import math
import pickle
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from shards.manifest import atomic_write, canonical_json
from shards.store import DatasetError

if TYPE_CHECKING:
    import torch

    from shards.dataset import TripletDataset, WindowDataset

CONFIG, METRICS, CHECKPOINT, RESULTS = "config.json", "metrics.jsonl", "checkpoint.pt", "results.json"


class RunError(Exception):
    """A run that cannot start, go on or be read; the message says what and where, and what would do."""


@dataclass(frozen=True)
class RunFolder:
    """Where one training run keeps what it has.

    Attributes:
        path: of the folder.
    """

    path: Path

    def start(self, config: Mapping[str, Any]) -> bool:
        """Make the folder and write its configuration; return whether there is a checkpoint of it to go on from.

        Raises:
            RunError: the folder holds a run with another configuration, or a damaged one, or cannot be written.
        """
        file = self.path / CONFIG
        text = canonical_json(config)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if file.exists() and (self.path / CHECKPOINT).exists():
                self._refuse_another(self.config(), json.loads(text))
                return True
            for stale in (METRICS, RESULTS):
                (self.path / stale).unlink(missing_ok=True)
            atomic_write(file, text.encode())
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror}); give --out another folder") from error
        return False

    def _refuse_another(self, held: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        differing = sorted(name for name in {*held, *asked} if held.get(name) != asked.get(name))
        if differing:
            told = ", ".join(f"{name} {held.get(name)!r} (now {asked.get(name)!r})" for name in differing)
            raise RunError(f"{self.path} holds a run with other settings: {told}; give --out another folder")

    def config(self) -> dict[str, Any]:
        """Return the configuration the run was started with.

        Raises:
            RunError: there is none, or it cannot be read, or is damaged.
        """
        if not (self.path / CONFIG).exists():
            raise RunError(f"{self.path}: no training run there")
        return self._read_json(CONFIG)

    def report(self, row: Mapping[str, float | str]) -> None:
        """Append one line to the metrics.

        Raises:
            RunError: the disk does not take it.
        """
        try:
            with (self.path / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise RunError(f"{self.path / METRICS}: cannot be written ({error.strerror})") from error

    def forget_after(self, step: int) -> None:
        """Drop the metrics of steps that no checkpoint holds.

        Raises:
            RunError: the metrics are damaged, or the disk does not take them.
        """
        kept = [json.dumps(row) for row in self.metrics() if row["step"] <= step]
        self.write(METRICS, "".join(line + "\n" for line in kept).encode())

    def metrics(self) -> list[dict[str, Any]]:
        """Return every complete line of the metrics, oldest first.

        Raises:
            RunError: they cannot be read, or are damaged.
        """
        file = self.path / METRICS
        try:
            lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except OSError as error:
            raise RunError(f"{file}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise _damaged(file, error) from error

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the checkpoint: flushed under a temporary name, then renamed.

        Raises:
            RunError: the disk does not take it.
        """
        import torch  # noqa: PLC0415 - settings and metrics are read without it

        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        self.write(CHECKPOINT, buffer.getvalue())

    def load(self) -> dict[str, Any]:
        """Return the checkpoint, tensors on the CPU.

        Raises:
            RunError: there is none, or it is damaged.
        """
        import torch  # noqa: PLC0415 - settings and metrics are read without it

        file = self.path / CHECKPOINT
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise RunError(f"{file}: no such checkpoint; train first") from error
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise _damaged(file, error) from error
        assert isinstance(state, dict)
        return state

    def finish(self, results: Mapping[str, Any]) -> None:
        """Write the results, which say that the run is complete."""
        self.write(RESULTS, canonical_json(results).encode())

    def results(self) -> dict[str, Any] | None:
        """Return the results, or None of a run that has not finished.

        Raises:
            RunError: they cannot be read, or are damaged.
        """
        return self._read_json(RESULTS) if (self.path / RESULTS).exists() else None

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file into the folder.

        Raises:
            RunError: the disk does not take it.
        """
        try:
            atomic_write(self.path / name, data)
        except OSError as error:
            raise RunError(f"{self.path / name}: cannot be written ({error.strerror})") from error

    def _read_json(self, name: str) -> dict[str, Any]:
        file = self.path / name
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"{file}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise _damaged(file, error) from error
        if not isinstance(found, dict):
            raise _damaged(file, "no JSON object")
        return found


def _damaged(file: Path, error: object) -> RunError:
    return RunError(f"{file}: damaged ({error}); remove the folder and train again")


def configuration(model: str, settings: Mapping[str, Any], dataset: "TripletDataset | WindowDataset") -> dict[str, Any]:
    """Return everything that decides a run: its settings, but where it stands and runs, and its data.

    Args:
        model: name of the kind of model.
        settings: of the trainer, by name.
        dataset: training samples.
    """
    outside = ("dataset", "out", "device", "report_steps", "checkpoint_s")
    chosen = {name: value for name, value in settings.items() if name not in outside}
    return {"model": model, "manifest_sha256": dataset.manifest_sha256, "spec": dataset.spec.to_json(), **chosen}


def num_parameters(model: "torch.nn.Module") -> int:
    """Return how many numbers a model learns."""
    return sum(parameter.numel() for parameter in model.parameters())


def exit_status(work: Callable[[], None]) -> int:
    """Do some work; return 0, or 1 after printing what is wrong, or 130 where it was interrupted."""
    try:
        work()
    except (RunError, DatasetError) as error:
        print(f"seedbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("seedbed: interrupted; run again to go on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


class Interruption:
    """Hears Ctrl-C and SIGTERM, so that a run stops between two steps with what it has on disk; a second one kills."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def stop_if_asked(self) -> None:
        """End the run here if somebody asked.

        Raises:
            KeyboardInterrupt: somebody did.
        """
        if self.asked:
            raise KeyboardInterrupt

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


@dataclass
class Budget:
    """How much training there is to do, and how much is done.

    Attributes:
        seconds: of training, reading and reports included; counts where `num_steps` is 0.
        num_steps: optimiser steps; 0 trains by the clock.
        step: steps done.
        spent_s: seconds trained before this process.
    """

    seconds: float
    num_steps: int
    step: int = 0
    spent_s: float = 0.0

    def __post_init__(self) -> None:
        self._started = time.monotonic()

    def elapsed_s(self) -> float:
        """Return the seconds trained, those before an interruption included."""
        return self.spent_s + time.monotonic() - self._started

    def fraction(self) -> float:
        """Return how much of the training is done, in [0, 1]."""
        done = self.step / self.num_steps if self.num_steps else self.elapsed_s() / self.seconds
        return min(1.0, done)


def learning_rate(fraction: float, step: int, peak: float, warmup_steps: int) -> float:
    """Return the learning rate: a linear rise over the first steps, then half a cosine from `peak` down to zero.

    Source: Loshchilov and Hutter 2017, "SGDR" (arXiv:1608.03983), without restarts.

    Args:
        fraction: of the training done, in [0, 1].
        step: optimiser steps done.
        peak: the highest rate.
        warmup_steps: steps of the rise.
    """
    rise = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return peak * rise * (1 + math.cos(math.pi * fraction)) / 2


def refuse_divergence(loss: float, step: int) -> None:
    """Check that a loss is a number.

    Raises:
        RunError: it is infinite or none.
    """
    if not math.isfinite(loss):
        raise RunError(f"step {step}: the loss is {loss}; train anew with a smaller --learning-rate")
