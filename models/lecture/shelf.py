"""What came of each idea, kept in the run's folder: nothing that stands there is made again."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.runs import RunError
from shards.manifest import atomic_write, canonical_json

Facts = dict[str, Any]


class Entry(NamedTuple):
    """What came of an idea.

    Attributes:
        name: of the idea.
        says: one sentence: what it shows.
        facts: by the names of the table's columns.
        pictures: uint8 (n, S, S, C); none of an idea about text.
    """

    name: str
    says: str
    facts: Facts
    pictures: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Shelf:
    """Where entries are kept.

    Attributes:
        folder: of them.
        config: what decides all of them; kept ones of another are made anew.
    """

    folder: Path
    config: Mapping[str, Any]

    def keep(self, name: str, says: str, make: Callable[[], tuple[Facts, NDArray[np.uint8] | None]]) -> Entry:
        """Return the entry of that name as it stands there, or made now.

        Raises:
            RunError: the folder cannot be read or written.
        """
        print(f"\n{name}: {says}", flush=True)
        file = self.folder / f"{name.replace(' ', '-').replace(',', '')}.json"
        made = self._kept(file)
        if made is not None:
            print("as it was made before", flush=True)
        else:
            made = make()
            self._write(file, *made)
        return Entry(name, says, *made)

    def _kept(self, file: Path) -> tuple[Facts, NDArray[np.uint8] | None] | None:
        try:
            if not file.exists():
                return None
            held = json.loads(file.read_bytes())
            if held["config"] != json.loads(canonical_json(dict(self.config))):
                return None
            return held["facts"], np.load(file.with_suffix(".npy")) if held["has_pictures"] else None
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise RunError(f"{file}: damaged ({error}); remove it and replay again") from error

    def _write(self, file: Path, facts: Facts, pictures: NDArray[np.uint8] | None) -> None:
        held = {"config": dict(self.config), "has_pictures": pictures is not None, "facts": facts}
        buffer = io.BytesIO()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if pictures is not None:
                np.save(buffer, pictures)
                atomic_write(file.with_suffix(".npy"), buffer.getvalue())
            atomic_write(file, canonical_json(held).encode())
        except OSError as error:
            raise RunError(f"{file}: cannot be written ({error.strerror}); give --out another folder") from error
