"""Language models on a CPU beside what is known of them: `python -m tests.bench.growing_text [shakespeare] [wikitext]`.

`shakespeare`: the transformer on the bytes of tinyshakespeare, with nanoGPT's settings for a CPU: 4 layers, 128 wide,
context 64, 12 windows a step, 2,000 steps, nothing dropped. Its README says 1.88 nats a character of its validation
text, the last tenth, and so it is here.

`wikitext`: attention with a state beside the same without attention, on WikiText-2's words, once with equal words and
once with equal time, that of the processor; whatever comes of it is said. Only validation and test text are at hand:
the first nine tenths of the one are learned, its last tenth chooses when to stop, and the other judges.

Source: https://github.com/karpathy/nanoGPT, README, "I only have a macbook"; Merity et al. 2016 (arXiv:1609.07843).
"""

import sys
import tarfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from models import language
from models.ranks import Ranks
from models.runs import RunFolder
from models.settings import parse_settings
from models.threads import one_thread
from models.training_windows import count_training_words, open_windows
from shards.tokenizer import ByteTokenizer, WordTokenizer, build_vocabulary
from tests.bench.harness import ROOT
from tests.tiny_datasets import write_windows

FOLDER = ROOT / "build" / "bench" / "text"
ARCHIVE = ROOT.parent / "shared" / "data" / "text" / "text.tar.gz"
SHAKESPEARE = "char-rnn/data/tinyshakespeare/input.txt"
WIKITEXT = "wikitext2-partial/word_language_model/data/wikitext-2"

MAX_LOSS = 1.88
"""Nats a character of tinyshakespeare held out, that nanoGPT's README names."""

NANOGPT = [
    *("--num-steps", "2000", "--num-layers", "4", "--num-heads", "4", "--width", "128", "--batch-size", "12"),
    *("--dropout", "0", "--learning-rate", "2e-3", "--warmup-steps", "100", "--num-validations", "8"),
]
ATTENTION = [
    *("--width", "64", "--batch-size", "16", "--learning-rate", "3e-3", "--dropout", "0.3", "--report-steps", "100"),
    *("--num-validations", "4", "--precision", "float32"),
]
CONTEXT, NUM_STEPS = 32, 600
"""Of the comparison on WikiText-2: words looked back at, and steps with equal words."""

TIMED_STEPS = 30
"""By which the time of a step is measured."""


def main() -> int:
    """Trains what is asked for, all if nothing is; returns 1 where the limit is not kept."""
    return 0 if measure_text(sys.argv[1:] or ("shakespeare", "wikitext"), Console(highlight=False, width=132)) else 1


def measure_text(wanted: Sequence[str], console: Console) -> bool:
    """Says what the wanted trainings come to; whether the limit is kept, where it was looked at."""
    if not ARCHIVE.exists():
        console.print(f"language models are left out: no {ARCHIVE}")
        return True
    is_kept = print_shakespeare(console) if "shakespeare" in wanted else True
    if "wikitext" in wanted:
        print_wikitext(console)
    return is_kept


def print_shakespeare(console: Console) -> bool:
    """Says what the transformer comes to on tinyshakespeare; whether that is enough."""
    text = _read(SHAKESPEARE)
    cut = len(text) * 9 // 10
    data = FOLDER / "shakespeare"
    if not (data / "current").exists():
        write_windows(data, 64, {"train": [text[:cut]], "val": [text[cut:]]}, ByteTokenizer())
    results = _train(data, FOLDER / "run-shakespeare", NANOGPT)
    loss = results["losses"]["model"]
    console.print(f"tinyshakespeare: {loss:.3f} nats a character held out (at most {MAX_LOSS}), {_told(results)}")
    return bool(loss <= MAX_LOSS)


def print_wikitext(console: Console) -> None:
    """Says what attention with a state comes to beside its baseline, with equal words and in equal time."""
    data = FOLDER / "wikitext"
    if not (data / "current").exists():
        _write_wikitext(data)
    steps = ["--num-steps", str(NUM_STEPS)]
    attention, equal_words = (
        _train(data, FOLDER / f"run-{model}", [*ATTENTION, *steps, "--model", model])
        for model in ("attention", "no-attention")
    )
    num_steps = round(NUM_STEPS * _step_s(data, "attention") / _step_s(data, "no-attention"))
    longer = ["--num-steps", str(num_steps), "--model", "no-attention"]
    equal_time = _train(data, FOLDER / "run-equal-time", [*ATTENTION, *longer])
    rows = {"attention": attention, "without, equal words": equal_words, "without, equal time": equal_time}
    for name, results in rows.items():
        perplexity, bits = results["word_perplexity"]["model"], results["bits_per_byte"]["model"]
        console.print(f"WikiText-2, {name}: perplexity {perplexity:.1f}, {bits:.3f} bits a byte, {_told(results)}")
    counts = " and ".join(f"{attention['word_perplexity'][name]:.1f} ({name})" for name in ("bigram", "unigram"))
    console.print(f"WikiText-2, counts of words: perplexity {counts}")


def _write_wikitext(data: Path) -> None:
    learned = _read(f"{WIKITEXT}/valid.txt").split("\n")
    cut = len(learned) * 9 // 10
    splits = {"train": learned[:cut], "val": learned[cut:], "test": _read(f"{WIKITEXT}/test.txt").split("\n")}
    lines = {split: [line.strip() for line in texts if line.strip()] for split, texts in splits.items()}
    counts = Counter(word for line in lines["train"] for word in line.split())
    tokenizer = WordTokenizer(build_vocabulary(counts, 10_000, min_count=2), spaced=True)
    write_windows(data, CONTEXT, lines, tokenizer)


def _read(name: str) -> str:
    with tarfile.open(ARCHIVE) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read().decode()


def _train(data: Path, out: Path, settings: list[str]) -> dict[str, Any]:
    argv = [str(data), "--out", str(out / f"{time.time_ns()}"), *settings]
    with one_thread():  # the same sums on every machine, and no waiting where others want its cores
        assert language.main(argv) == 0
    results = RunFolder(Path(argv[2])).results()
    assert results is not None
    return results


def _step_s(data: Path, model: str) -> float:
    """Processor time of a training step, in seconds, of the network alone: no reading, judging or saving."""
    settings = parse_settings(language.Settings, [str(data), *ATTENTION, "--model", model], "", "")
    dataset = open_windows(data, "train")
    alone = Ranks(0, 1, torch.device("cpu"))
    with one_thread():
        training = language.prepare(settings, dataset, count_training_words(dataset), alone)
        batch = next(iter(training.loader))
        language.descend(training, batch, 0.0, settings, alone)
        started = time.process_time()
        for _ in range(TIMED_STEPS):
            language.descend(training, batch, 0.0, settings, alone)
    return (time.process_time() - started) / TIMED_STEPS


def _told(results: dict[str, Any]) -> str:
    return f"{results['num_parameters']:,} parameters, {results['train_steps']} steps, {results['seconds']:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
