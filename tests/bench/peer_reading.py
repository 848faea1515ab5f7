"""The peers' side of reading, in their own environment: `python -m tests.bench.peer_reading SIDE DATA`.

Each as its own documentation shows it, one process, no worker; the shards lie in the page cache.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.timing import run_side

TRIPLET_BATCH, WINDOW_BATCH, CONTEXT = 256, 64, 1024
ARRAYS = ("clean", "noise", "noisy")


def webdataset_triplets(data: Path) -> Iterator[int]:
    """The usual pipeline of webdataset over our own tars: decode, to_tuple, batched."""
    import webdataset  # noqa: PLC0415

    shards = sorted(str(path) for path in data.glob("triplets/*/train-*.tar"))
    names = [f"{name}.npy" for name in ARRAYS]
    while True:
        pipeline = webdataset.WebDataset(shards, shardshuffle=False).decode().to_tuple(*names).batched(TRIPLET_BATCH)
        for clean, _, _ in pipeline:
            yield len(clean)


def streaming_iterated(data: Path) -> Iterator[int]:
    """mosaicml-streaming's own iterator, shuffled, stacked into batches; through torch's `DataLoader` it is slower."""
    import numpy as np  # noqa: PLC0415
    from streaming import StreamingDataset  # noqa: PLC0415

    dataset = StreamingDataset(local=str(data / "streaming"), shuffle=True, batch_size=TRIPLET_BATCH)
    while True:
        batch: list[Any] = []
        for sample in dataset:
            batch.append(sample)
            if len(batch) == TRIPLET_BATCH:
                stacked = {name: np.stack([sample[name] for sample in batch]) for name in ARRAYS}
                yield len(stacked["clean"])
                batch.clear()


def streaming_indexed(data: Path) -> Iterator[int]:
    """mosaicml-streaming's fastest way: `dataset[i]` in the order of torch's random sampler, collated by torch."""
    import torch  # noqa: PLC0415
    from streaming import StreamingDataset  # noqa: PLC0415
    from torch.utils.data import BatchSampler, RandomSampler, default_collate  # noqa: PLC0415

    torch.set_num_threads(1)
    dataset = StreamingDataset(local=str(data / "streaming"), shuffle=False, batch_size=TRIPLET_BATCH)
    while True:
        for places in BatchSampler(RandomSampler(range(len(dataset))), TRIPLET_BATCH, drop_last=True):
            batch = default_collate([dataset[place] for place in places])
            yield len(batch["clean"])


def litdata_triplets(data: Path) -> Iterator[int]:
    """litdata's loader over the same arrays, shuffled."""
    import litdata  # noqa: PLC0415

    dataset = litdata.StreamingDataset(str(data / "litdata"), shuffle=True)
    while True:
        for batch in litdata.StreamingDataLoader(dataset, batch_size=TRIPLET_BATCH, num_workers=0):
            yield len(batch["clean"])


def nanogpt_windows(data: Path) -> Iterator[int]:
    """nanoGPT's `get_batch`: random places of a memory map, two slices each made int64, stacked."""
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    while True:
        tokens = np.memmap(data / "tokens.bin", dtype=np.uint16, mode="r")
        places = torch.randint(len(tokens) - CONTEXT, (WINDOW_BATCH,))
        x = torch.stack([torch.from_numpy((tokens[i : i + CONTEXT]).astype(np.int64)) for i in places])
        y = torch.stack([torch.from_numpy((tokens[i + 1 : i + 1 + CONTEXT]).astype(np.int64)) for i in places])
        assert x.shape == y.shape
        yield y.numel()


def webdataset_windows(data: Path) -> Iterator[int]:
    """The usual pipeline of webdataset over our own windows, made int64 tensors."""
    import torch  # noqa: PLC0415
    import webdataset  # noqa: PLC0415

    torch.set_num_threads(1)
    shards = sorted(str(path) for path in data.glob("windows/*/train-*.tar"))
    while True:
        pipeline = webdataset.WebDataset(shards, shardshuffle=False).decode().to_tuple("tokens.npy")
        for (tokens,) in pipeline.batched(WINDOW_BATCH):
            whole = torch.from_numpy(tokens).long()
            yield whole[:, 1:].numel()


if __name__ == "__main__":
    run_side(
        {
            side.__name__: side
            for side in (
                webdataset_triplets,
                streaming_iterated,
                streaming_indexed,
                litdata_triplets,
                nanogpt_windows,
                webdataset_windows,
            )
        }
    )
