"""Real web archives, as they lie beside the project."""

import tarfile
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "warc" / "warc-samples.tar.gz"


def real_archives() -> dict[str, bytes]:
    """The files by their names; the test is skipped where they are not there."""
    if not SAMPLES.exists():
        pytest.skip(f"{SAMPLES} is not there")
    found = {}
    with tarfile.open(SAMPLES) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                found[Path(member.name).name] = file.read()
    return found
