"""Runs a command to its end, with all processes it leaves behind: `python -m tests.bench.costs COMMAND…`.

Prints its status, wall-clock and CPU seconds, and the end of what it said. Standard library only, Linux only.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36
"""Makes whoever loses its parent a child of this process. Source: <linux/prctl.h>."""


def main() -> None:
    """Does it."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    since = time.perf_counter()
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    wall_s = time.perf_counter() - since
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    print(json.dumps({"status": done.returncode, "wall_s": wall_s, "cpu_s": cpu_s, "said": done.stderr[-2000:]}))


if __name__ == "__main__":
    main()
