"""Judges picture files in a process of its own: `python -m tests.judge_pictures FOLDER [MAX_DECODED_BYTES]`.

Prints one JSON line a file: its name, the reason it is turned away for ("" for a picture), CPU seconds, and the most
memory this process has had so far, in bytes. A minute of CPU ends it, and so does memory without end.
"""

import json
import resource
import sys
import time
from pathlib import Path

from crawl.image_settings import ImageSettings
from crawl.images import clean_image
from crawl.verdict import Verdict

CPU_S, ADDRESS_SPACE = 60, 4 << 30


def main() -> None:
    """Does it."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    Path("/proc/self/clear_refs").write_text("5")  # a child begins with the peak of its parent
    settings = ImageSettings(max_decoded_bytes=int(sys.argv[2])) if len(sys.argv) > 2 else ImageSettings()
    for path in sorted(Path(sys.argv[1]).iterdir()):
        payload, since = path.read_bytes(), time.process_time()
        result = clean_image(payload, settings)
        reason = result.reason if isinstance(result, Verdict) else ""
        print(json.dumps([path.name, reason, time.process_time() - since, _most_bytes()]))


def _most_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main()
