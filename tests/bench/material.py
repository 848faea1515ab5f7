"""What the benchmarks read: made once below `build/bench`, the same bytes every time."""

import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from shards import open_dataset
from shards.manifest import atomic_write
from shards.store import DatasetError
from shards.tokenizer import ByteTokenizer
from shards.triplet import PROVENANCE, TripletSpec, picture_key, record_bytes
from shards.writer import write_shard
from tests.tiny_datasets import draw_tree, write_triplets, write_windows

SIZE, NUM_PICTURES, NUM_WRITTEN, NUM_WINDOWS, CONTEXT = 64, 2_000, 256, 8_000, 1_024
SAMPLES_PER_SHARD = 2_000


def make_material(data: Path) -> None:
    """Writes what is not there yet: triplets of both modes, windows, and the windows' tokens in one file."""
    for mode, name in (("materialised", "triplets"), ("virtual", "virtual")):
        if not _is_readable(data / name):
            shutil.rmtree(data / name, ignore_errors=True)
            pictures = [draw_tree(seed, SIZE) for seed in range(NUM_PICTURES)]
            write_triplets(data / name, TripletSpec(SIZE, mode=mode), {"train": pictures}, SAMPLES_PER_SHARD)
    if not (data / "pictures-2.tar").exists():
        _write_pictures(data / "pictures-2.tar")
    if not _is_readable(data / "windows"):
        shutil.rmtree(data / "windows", ignore_errors=True)
        letters = np.random.default_rng(0).integers(ord("a"), ord("z"), NUM_WINDOWS * CONTEXT).astype(np.uint8)
        text = letters.tobytes().decode()
        write_windows(data / "windows", CONTEXT, {"train": [text]}, ByteTokenizer(), SAMPLES_PER_SHARD)
        _write_tokens(data)


def _is_readable(stage: Path) -> bool:
    """Whether a dataset stands there, and in today's format."""
    try:
        open_dataset(stage)
    except DatasetError:
        return False
    return True


def _write_pictures(part: Path) -> None:
    """A part as the images stage writes it: PNG, caption and where it came from."""
    provenance = {name: kind() for name, kind in PROVENANCE.items()}
    samples = []
    for seed in range(NUM_WRITTEN):
        pixels = draw_tree(seed, SIZE)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")
        record = {"key": picture_key(pixels), **provenance, "original_width": SIZE, "original_height": SIZE}
        samples.append((record["key"], {"png": file.getvalue(), "txt": b"a tree", "json": record_bytes(record)}))
    write_shard(part, samples, ("png", "txt", "json"))


def _write_tokens(data: Path) -> None:
    """The windows' tokens side by side, as nanoGPT keeps them."""
    batches = open_dataset(data / "windows").loader(64, finite=True, shuffle=False, fields=("tokens",))
    tokens = np.concatenate([batch["tokens"][batch["valid"], :-1].reshape(-1) for batch in batches])
    atomic_write(data / "tokens.bin", tokens.astype("<u2").tobytes())
