"""The environment that the peers run in, apart from the project's: they are never dependencies."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PEERS = ("webdataset==1.0.2", "mosaicml-streaming==0.13.0", "litdata==0.2.76")


class PeersError(RuntimeError):
    """The peers cannot be installed here; the message says why."""


def peers_python(folder: Path) -> str:
    """The Python of the environment in `folder` of those who read shards, made if it is not there.

    Raises:
        PeersError: it cannot be made.
    """
    return make_environment(folder, PEERS)


def make_environment(folder: Path, packages: Sequence[str]) -> str:
    """The Python of an environment in `folder` that has these packages, made if it is not there.

    Raises:
        PeersError: it cannot be made.
    """
    python, installed = folder / "bin" / "python", folder / ".installed"
    wanted = "\n".join(packages)
    if not installed.exists() or installed.read_text() != wanted:
        uv = str(Path(sys.executable).with_name("uv"))
        _call(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _call(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *packages)
        installed.write_text(wanted)
    return str(python)


def write_material(python: str, data: Path, root: Path) -> None:
    """Writes the peers' own formats of the same arrays.

    Raises:
        PeersError: one of the peers fails.
    """
    _call(python, "-W", "ignore", "-m", "tests.bench.peer_material", str(data), cwd=root)


def _call(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise PeersError(f"{' '.join(command)} ended with status {done.returncode}: {last}")
