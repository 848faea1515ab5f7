"""A host's file systems: the machine's own, read only, and a /tmp that nobody else sees. Then a program runs there.

    unshare --mount --uts python -m tests.cluster.room w1 512 /opt/seedbed /var/store -- COMMAND …

The arguments are the host's name, the size of /tmp in MB, and folders, which stay visible where /tmp would hide them: a
path that begins with `+` is written to as well.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

PRIVATE = ("/tmp", "/dev/shm")
"""What every host has for itself."""
_KERNEL = ("/proc", "/sys", "/dev")
"""What is below these is no disk."""


def main(arguments: list[str]) -> None:
    """Arrange the mounts of this process, which must have a mount namespace of its own, and become the command."""
    at = arguments.index("--")
    (host, disk_mb, *folders), command = arguments[:at], arguments[at + 1 :]
    socket.sethostname(host)
    visible = {folder: os.open(folder.removeprefix("+"), os.O_PATH | os.O_DIRECTORY) for folder in folders}
    os.chdir("/")
    for place in PRIVATE:
        _mount("-t", "tmpfs", "-o", f"size={disk_mb}m,mode=1777", host, place)
    for folder, descriptor in visible.items():
        path = folder.removeprefix("+")
        if path != folder or path.startswith("/tmp/"):
            Path(path).mkdir(parents=True, exist_ok=True)
            _mount("--no-canonicalize", "--bind", f"/proc/self/fd/{descriptor}", path, descriptor=descriptor)
        os.close(descriptor)
    writable = {folder[1:] for folder in folders if folder.startswith("+")}
    for path in sorted({*_mount_points()} - writable - {*PRIVATE}):
        _mount("-o", "remount,bind,ro", path)
    os.execvp(command[0], command)


def _mount_points() -> list[str]:
    """Where file systems are mounted that may be written to. Source: proc_pid_mountinfo(5)."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    paths = [fields[4].encode().decode("unicode_escape") for fields in lines if "rw" in fields[5].split(",")]
    return [path for path in paths if not any(path == top or path.startswith(f"{top}/") for top in _KERNEL)]


def _mount(*arguments: str, descriptor: int | None = None) -> None:
    passed = () if descriptor is None else (descriptor,)
    done = subprocess.run(["mount", *arguments], pass_fds=passed, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"mount {' '.join(arguments)}: {done.stderr.strip()}")


if __name__ == "__main__":
    main(sys.argv[1:])
