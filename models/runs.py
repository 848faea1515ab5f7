"""A training run's folder, and how its command ends.

RUN/config.json      the settings, and what they were trained on: the dataset's fingerprint and the hash of its manifest
RUN/sessions.jsonl   one line each time it was started: when, the command, where the data lay, the git commit, versions
RUN/metrics.jsonl    one line per report: step, seconds, losses, speed
RUN/checkpoints/     the newest few, and `latest`, which names the newest; see `models.checkpoints`
RUN/results.json     what came out, beside what had to be beaten; written last
RUN/loss.png         the losses over the steps
"""

import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from models.sessions import describe_session
from shards.manifest import atomic_write, canonical_json
from shards.store import DatasetError

if TYPE_CHECKING:
    import torch

    from shards.dataset import TripletDataset, WindowDataset

CONFIG, SESSIONS, METRICS, RESULTS = "config.json", "sessions.jsonl", "metrics.jsonl", "results.json"
LATEST = "checkpoints/latest"

OF_DATA = {"tokenizer_sha256": "tokenizer", "examples": "set of examples", "manifest_sha256": "dataset"}
"""What a configuration says of the data, and what that is called."""


class RunError(Exception):
    """A run that cannot start, go on or be read; the message says what and where, and what would do."""


@dataclass(frozen=True)
class RunFolder:
    """Where one training run keeps what it has.

    Attributes:
        path: of the folder.
    """

    path: Path

    def start(self, config: Mapping[str, Any], data: str | Path) -> bool:
        """Make the folder and write its configuration; return whether there is a checkpoint of it to go on from.

        Args:
            config: what decides the run.
            data: where what it is trained on lies now, which decides nothing.

        Raises:
            RunError: the folder holds a run with another configuration, or a damaged one, or cannot be written.
        """
        file = self.path / CONFIG
        text = canonical_json(config)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            goes_on = file.exists() and (self.path / LATEST).exists()
            if goes_on:
                self._refuse_another(self.config(), json.loads(text))
            else:
                for stale in (SESSIONS, METRICS, RESULTS, LATEST):
                    (self.path / stale).unlink(missing_ok=True)
                atomic_write(file, text.encode())
            self._append(SESSIONS, describe_session(data))
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror}); give --out another folder") from error
        return goes_on

    def _refuse_another(self, held: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        differing = sorted(name for name in {*held, *asked} if held.get(name) != asked.get(name))
        for name, called in OF_DATA.items():
            if name in differing:
                was, now = (str(config.get(name))[:12] for config in (held, asked))
                told = f"was trained with another {called} ({was}) than this one ({now})"
                raise RunError(f"{self.path}: {told}; give --out another folder, or that {called}")
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

    def data(self) -> str:
        """Return where the data lay when the run was last started.

        Raises:
            RunError: it was never started, or that cannot be read, or is damaged.
        """
        rows = self._lines(SESSIONS)
        if not rows or "data" not in rows[-1]:
            raise RunError(f"{self.path}: does not say what it was trained on; give --dataset")
        return str(rows[-1]["data"])

    def report(self, row: Mapping[str, float | str]) -> None:
        """Append one line to the metrics.

        Raises:
            RunError: the disk does not take it.
        """
        try:
            self._append(METRICS, row)
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
        return self._lines(METRICS)

    def _lines(self, name: str) -> list[dict[str, Any]]:
        file = self.path / name
        try:
            lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except OSError as error:
            raise RunError(f"{file}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise _damaged(file, error) from error

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a checkpoint; see `models.checkpoints`.

        Raises:
            RunError: the disk does not take it.
        """
        from models.checkpoints import Checkpoints  # noqa: PLC0415 - torch: settings and metrics are read without it

        Checkpoints(self.path).save(state)

    def load(self) -> dict[str, Any]:
        """Return the newest checkpoint, tensors on the CPU.

        Raises:
            RunError: there is none, or it is damaged.
        """
        from models.checkpoints import Checkpoints  # noqa: PLC0415 - torch: settings and metrics are read without it

        return Checkpoints(self.path).load()

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

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

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
    outside = ("dataset", "out", "device", "workers", "compile", "report_steps", "checkpoint_s")
    chosen = {name: value for name, value in settings.items() if name not in outside}
    of_words = {"tokenizer_sha256": dataset.tokenizer.sha256()} if hasattr(dataset, "tokenizer") else {}
    return {
        "model": model,
        **of_words,
        "fingerprint": dataset.manifest.fingerprint,
        "manifest_sha256": dataset.manifest_sha256,
        "spec": dataset.spec.to_json(),
        **chosen,
    }


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
