"""One start of a training run: when, from which code, by which command, on what."""

import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shards.store import is_url


def describe_session(data: str | Path) -> dict[str, Any]:
    """Return what a run's folder says of this start of it.

    Args:
        data: where what it is trained on lies.
    """
    return {
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": sys.argv,
        "data": str(data) if is_url(data) else str(Path(data).absolute()),
        "git_commit": git_commit(Path(__file__).parent),
        "python": sys.version.split()[0],
        "torch": version("torch"),
    }


def git_commit(folder: Path) -> str:
    """Return the commit of the checkout that a folder lies in, with `-dirty` where files differ; else `unknown`."""
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
