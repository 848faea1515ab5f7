"""Have we copied? What a trained model grows, beside the nearest there is in what it was trained on.

    python -m models.nearest RUN                     8 pictures, or 8 texts
    python -m models.nearest RUN --count 24 --seed 1

Pictures are compared by pixels and by features, texts by their longest run of words that a training document holds
word for word. A distance or a length says little by itself: as many pictures or texts that were held out, which nobody
can have copied, are compared with the same training data.

RUN/nearest.json    what was found, where it stands, and how the held-out ones fare
RUN/nearest.png     the pictures, each beside its nearest
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from models.devices import choose_device
from models.documents import Tokens
from models.drawing import Drawing
from models.generation import GenerateSettings, grow_pictures
from models.nearest_pictures import choose_ways, compare_pictures
from models.nearest_texts import compare_texts
from models.pixels import to_pixels
from models.runs import RunError, RunFolder, exit_status
from models.settings import parse_settings, refuse_below
from models.training_pictures import open_triplets
from models.training_windows import open_windows
from models.writing import LEAST_TEMPERATURE, continue_words, load_writer
from shards.dataset import TripletDataset, WindowDataset
from shards.manifest import canonical_json
from shards.tokenizer import WordTokenizer

FOUND, SHEET = "nearest.json", "nearest.png"


@dataclass(frozen=True)
class Settings:
    """What `python -m models.nearest` takes."""

    run: Annotated[Path, "folder of a training run, of a denoiser or a language model"]
    dataset: Annotated[str, "what it was trained on; as noted in the run, if not given"] = ""
    count: Annotated[int, "pictures or texts to grow"] = 8
    seed: Annotated[int, "of what is grown"] = 0
    features: Annotated[bool, "compare pictures by what a network sees too; it takes some 20 ms a picture"] = True
    words: Annotated[int, "most words of a text"] = 200
    temperature: Annotated[float, "of the drawing of words"] = 0.8
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"

    def __post_init__(self) -> None:
        refuse_below(1, self, ("count", "words"))
        refuse_below(0, self, ("seed",))
        refuse_below(LEAST_TEMPERATURE, self, ("temperature",))


def main(argv: Sequence[str] | None = None) -> int:
    """Grow, compare and tell; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    settings = parse_settings(Settings, argv, "python -m models.nearest", __doc__.splitlines()[0])
    return exit_status(lambda: _look(settings))


def _look(settings: Settings) -> None:
    run = RunFolder(settings.run)
    config = run.config()
    if config["model"] not in ("denoiser", "language"):
        raise RunError(f"{settings.run}: the run of a {config['model']}, which grows nothing")
    path = settings.dataset or run.data()
    look = _look_at_pictures if config["model"] == "denoiser" else _look_at_texts
    found = look(settings, path, config)
    chosen = {name: value for name, value in dataclasses.asdict(settings).items() if name not in ("run", "device")}
    run.write(FOUND, canonical_json({**chosen, "fingerprint": config["fingerprint"], **found}).encode())
    print(f"{settings.run / FOUND}: all of it", flush=True)


def _look_at_pictures(settings: Settings, path: str, config: Mapping[str, Any]) -> dict[str, Any]:
    training = open_triplets(path, "train")
    _refuse_another(training, config)
    asked = GenerateSettings(run=settings.run, count=settings.count, seed=settings.seed, device=settings.device)
    grown = to_pixels(grow_pictures(asked).noisy[-1])
    found, sheet = compare_pictures(grown, path, training, choose_ways(settings.features))
    RunFolder(settings.run).write(SHEET, sheet)
    print(f"{settings.run / SHEET}: each beside its nearest", flush=True)
    return found


def _look_at_texts(settings: Settings, path: str, config: Mapping[str, Any]) -> dict[str, Any]:
    training = open_windows(path, "train")
    _refuse_another(training, config)
    return compare_texts(write_texts(settings), path, training)


def _refuse_another(dataset: TripletDataset | WindowDataset, config: Mapping[str, Any]) -> None:
    """Check that a run was trained on this dataset.

    Raises:
        RunError: it was another.
    """
    if dataset.manifest_sha256 != config["manifest_sha256"]:
        held, wanted = dataset.manifest_sha256[:12], config["manifest_sha256"][:12]
        raise RunError(f"{dataset.where}: not what the run was trained on ({held}, that was {wanted}); give --dataset")


def write_texts(settings: Settings) -> list[Tokens]:
    """Return texts of a trained language model, as tokens (n,), without what ends them.

    Raises:
        RunError: there is no trained language model.
    """
    writer = load_writer(settings.run, choose_device(settings.device))
    tokenizer, texts = writer.tokenizer, []
    banned = (tokenizer.unk_id,) if isinstance(tokenizer, WordTokenizer) else ()
    for number in range(settings.count):
        drawing = Drawing(settings.seed + number, settings.temperature, banned=banned)
        drawn = continue_words(writer.model, [tokenizer.eos_id], settings.words, drawing, tokenizer.eos_id)
        texts.append(np.array([each.word for each in drawn if each.word != tokenizer.eos_id], np.int64))
    return texts


if __name__ == "__main__":
    sys.exit(main())
