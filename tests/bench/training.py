"""How fast a GPU trains, and how long it waits for data: `python -m tests.bench.training [--small]`.

`gpt`: the transformer of 124 M parameters, context 1,024, on windows over 50,257 words. `denoiser`: pictures
of 64×64 from virtual triplets, of which the loader reads the clean picture alone and the GPU makes the static.
`--small` takes networks and batches that a CPU trains too, to see that all of it runs; it says nothing of speed.
"""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from models import denoiser, language
from models.runs import RunFolder
from shards.tokenizer import WordTokenizer
from shards.triplet import TripletSpec
from tests.tiny_datasets import draw_tree, write_triplets, write_windows

MIN_TOKENS_PER_S, MIN_MFU, MAX_WAIT = 490_000, 0.40, 0.01
"""Of the transformer on one H200, and of the time that either waits for data."""

NUM_WORDS, CONTEXT = 50_257, 1_024
BIG_GPT = [
    *("--width", "768", "--num-layers", "12", "--num-heads", "12", "--batch-size", "32", "--num-steps", "600"),
    *("--precision", "bfloat16", "--compile", "--device", "cuda", "--report-steps", "50"),
]
BIG_DENOISER = [
    *("--batch-size", "256", "--num-steps", "1500", "--precision", "bfloat16", "--compile", "--device", "cuda"),
    *("--report-steps", "100"),
]
SMALL = ["--width", "16", "--batch-size", "2", "--num-steps", "6", "--report-steps", "1"]
ONCE = ["--num-validations", "1", "--workers", "2", "--checkpoint-s", "600"]


def main() -> int:
    """Trains both; returns 1 where a limit is not kept, which only a GPU can."""
    is_small = "--small" in sys.argv[1:]
    if not is_small and not torch.cuda.is_available():
        print("no CUDA device here; --small runs on a CPU")
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        words = _write_words(folder / "windows", is_small)
        gpt = ["--dropout", "0", *([*SMALL, "--num-layers", "1"] if is_small else BIG_GPT)]
        of_words = _measured(language, [str(words), *gpt, *ONCE], folder / "gpt")
        pictures = _write_pictures(folder / "triplets", is_small)
        of_pictures = _measured(denoiser, [str(pictures), *(SMALL if is_small else BIG_DENOISER), *ONCE], folder / "d")
    print(json.dumps({"device": _device(), "gpt": of_words, "denoiser": of_pictures}))
    return 0 if is_small or _are_kept(of_words, of_pictures) else 1


def _write_words(stage: Path, is_small: bool) -> Path:
    """Windows of words drawn at random, which are as slow to read as any."""
    tokenizer = WordTokenizer(tuple(f"w{number}" for number in range(100 if is_small else NUM_WORDS - 2)))
    num_texts, length, context = (8, 40, 16) if is_small else (400, 5_000, CONTEXT)
    drawn = np.random.default_rng(0).integers(0, len(tokenizer.words), (num_texts, length))
    texts = [" ".join(f"w{word}" for word in row) for row in drawn.tolist()]
    return write_windows(stage, context, {"train": texts, "val": texts[:2]}, tokenizer, samples_per_shard=500)


def _write_pictures(stage: Path, is_small: bool) -> Path:
    side, count = (8, 8) if is_small else (64, 2_000)
    pictures = [draw_tree(number, side) for number in range(count)]
    splits = {"train": pictures, "val": pictures[:4]}
    return write_triplets(stage, TripletSpec(side, steps=5, mode="virtual"), splits, samples_per_shard=500)


def _measured(trainer: Any, argv: list[str], out: Path) -> dict[str, float]:
    """What a training says of itself, the median over its reports but the first third, while things warm up."""
    assert trainer.main([*argv, "--out", str(out)]) == 0
    rows = [row for row in RunFolder(out).metrics() if "samples_per_s" in row]
    settled = rows[len(rows) // 3 :]
    names = [
        name for name in ("samples_per_s", "tokens_per_s", "mfu", "data_wait", "peak_memory_mb") if name in rows[0]
    ]
    return {name: median(row[name] for row in settled) for name in names}


def _are_kept(of_words: dict[str, float], of_pictures: dict[str, float]) -> bool:
    is_fast = of_words["tokens_per_s"] >= MIN_TOKENS_PER_S and of_words.get("mfu", 0) >= MIN_MFU
    return is_fast and max(of_words["data_wait"], of_pictures["data_wait"]) <= MAX_WAIT


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    sys.exit(main())
