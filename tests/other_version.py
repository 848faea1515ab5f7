"""A Seedbed of another version, which writes other titles."""

import shutil
from pathlib import Path

from pipelines.identity import ROOMS
from tests.job_service import ROOT

_TITLE = '"title": text.title'
ADDED = " (by another version)"


def another_version(folder: Path) -> Path:
    """Put one into a folder, for workers whose path begins with it."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "pipelines/text.py"
    said = module.read_text()
    assert said.count(_TITLE) == 1
    module.write_text(said.replace(_TITLE, f"{_TITLE} + {ADDED!r}"))
    return folder
