"""The checkpoints of a run: state dicts and plain values, each renamed into place, and the name of the newest.

RUN/checkpoints/step-00001200.pt     the newest few; older ones are removed
RUN/checkpoints/latest               the name of the newest, replaced once it is whole
"""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.runs import LATEST, RunError
from shards.manifest import atomic_write

NUM_KEPT = 2
"""Checkpoints kept: the newest, and the one before it, should the newest be damaged."""


@dataclass(frozen=True)
class Checkpoints:
    """Where one run keeps its checkpoints.

    Attributes:
        run: the run's folder.
    """

    run: Path

    @property
    def latest(self) -> Path:
        """The file that names the newest."""
        return self.run / LATEST

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a checkpoint, name it the newest, and remove those that are too old.

        Args:
            state: state dicts and plain values; `step` among them.

        Raises:
            RunError: the disk does not take it.
        """
        file = self.latest.with_name(f"step-{state['step']:08d}.pt")
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        try:
            file.parent.mkdir(exist_ok=True)
            atomic_write(file, buffer.getvalue())
            atomic_write(self.latest, f"{file.name}\n".encode())
            for old in sorted(file.parent.glob("step-*.pt"))[:-NUM_KEPT]:
                old.unlink()
        except OSError as error:
            raise RunError(f"{file}: cannot be written ({error.strerror})") from error

    def load(self) -> dict[str, Any]:
        """Return the newest checkpoint, tensors on the CPU.

        Raises:
            RunError: there is none, or it is damaged.
        """
        file = self.latest
        try:
            file = file.with_name(file.read_text(encoding="utf-8").strip())
            state = torch.load(file, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise RunError(f"{file}: no such checkpoint; train first") from error
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise RunError(f"{file}: damaged ({_first_line(error)}); {self._what_would_do(file)}") from error
        if not isinstance(state, dict):
            raise RunError(f"{file}: damaged (it holds no state); {self._what_would_do(file)}")
        return state

    def _what_would_do(self, damaged: Path) -> str:
        others = sorted(set(damaged.parent.glob("step-*.pt")) - {damaged})
        if not others:
            return "remove the folder and train again"
        return f"write {others[-1].name} into {self.latest} to go on from there, or remove the folder and train again"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
