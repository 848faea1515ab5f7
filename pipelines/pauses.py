"""What hosts have asked for, kept on disk: a crawl that starts again after a crash breaks no promise."""

import json
from collections import UserDict
from contextlib import suppress
from pathlib import Path

from crawl.gates import Pause
from pipelines.receipts import WORK

FOLDER = f"{WORK}/pauses"


class PausesFile(UserDict[str, Pause]):
    """Pauses by host, those of all lanes before; what is set is on disk before anything else is asked.

    Args:
        folder: the crawl's folder.
        name: of the file that is written here, and by nobody else.
    """

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        for path in (folder / FOLDER).glob("*.jsonl"):
            for line in path.read_text().splitlines():
                with suppress(ValueError):  # cut off by a crash: it was not acted upon
                    host, *found = json.loads(line)
                    known = self.data.get(host, Pause())
                    self.data[host] = Pause(*map(max, known, found))
        self._path = folder / FOLDER / f"{name}.jsonl"

    def __setitem__(self, host: str, pause: Pause) -> None:
        """Remembers a pause."""
        super().__setitem__(host, pause)
        with self._path.open("a") as file:
            file.write(json.dumps([host, *pause]) + "\n")
