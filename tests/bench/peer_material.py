"""The same arrays in the peers' formats, in their own environment: `python -m tests.bench.peer_material DATA`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ARRAYS = ("clean", "noise", "noisy")


def samples(data: Path) -> Iterator[dict[str, Any]]:
    """The three arrays of each triplet, read from our tars by webdataset."""
    import webdataset  # noqa: PLC0415

    shards = sorted(str(path) for path in data.glob("triplets/*/train-*.tar"))
    for sample in webdataset.WebDataset(shards, shardshuffle=False).decode():
        yield {name: sample[f"{name}.npy"] for name in ARRAYS}


def write_streaming(data: Path) -> None:
    """MDS, arrays of a known shape and type, no compression, shards of 64 MB as is the default."""
    from streaming import MDSWriter  # noqa: PLC0415

    columns = {"clean": "ndarray:uint8:64,64,3", "noise": "ndarray:float16:64,64,3", "noisy": "ndarray:float16:64,64,3"}
    with MDSWriter(out=str(data / "streaming"), columns=columns) as writer:
        for sample in samples(data):
            writer.write(sample)


def write_litdata(data: Path) -> None:
    """litdata's chunks of 64 MB."""
    import litdata  # noqa: PLC0415

    held = list(samples(data))
    litdata.optimize(
        fn=held.__getitem__,
        inputs=list(range(len(held))),
        output_dir=str(data / "litdata"),
        chunk_bytes="64MB",
        num_workers=1,
        start_method="fork",
    )


def main() -> None:
    """Writes what is not there yet."""
    data = Path(sys.argv[1])
    for name, write in (("streaming", write_streaming), ("litdata", write_litdata)):
        if not (data / name / "index.json").exists():
            write(data)


if __name__ == "__main__":
    main()
