"""Memory of a reader from its first epoch to its twentieth: `python -m tests.bench.memory flat DATA`."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from shards import open_dataset
from tests.bench.timing import run_side_once

NUM_EPOCHS, BATCH = 20, 256


def flat(data: Path) -> Iterator[int]:
    """The most bytes in use in each epoch over the materialised triplets, mapped files not counted."""
    dataset = open_dataset(data / "triplets")
    batches = iter(dataset.loader(BATCH))
    for _ in range(NUM_EPOCHS):
        yield max(_anonymous_bytes() for _ in itertools.islice(batches, len(dataset) // BATCH))


def _anonymous_bytes() -> int:
    """Memory of this process that is no file's, as Linux tells it."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    run_side_once({"flat": flat})
