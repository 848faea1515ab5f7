"""Pictures grown by a trained denoiser, and the sheets that show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from models.denoising import Denoiser, DenoiserShape
from models.devices import choose_device
from models.pixels import to_pixels
from models.runs import RunError, RunFolder, exit_status
from models.sampler import Growth, grow, statics, steps_down
from models.settings import parse_settings, refuse_below
from models.sheets import save_sheet


@dataclass(frozen=True)
class GenerateSettings:
    """What `python -m models.denoiser generate` takes."""

    run: Annotated[Path, "folder of a training run"]
    count: Annotated[int, "pictures to grow"] = 8
    seed: Annotated[int, "of the static; another seed grows other pictures"] = 0
    steps: Annotated[int, "steps from static to picture; 0 takes every step of the ladder"] = 0
    out: Annotated[Path, "sheet to write; how each grew goes beside it, as …-steps.png"] = Path("trees.png")
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"

    def __post_init__(self) -> None:
        refuse_below(1, self, ("count",))
        refuse_below(0, self, ("seed", "steps"))


def generate_main(argv: Sequence[str]) -> int:
    """Grow pictures and write them and how they grew as PNG; return the exit status."""
    settings = parse_settings(GenerateSettings, argv, "python -m models.denoiser generate", "Grow pictures.")

    def work() -> None:
        growth = _grow(settings)
        path = settings.out.with_name(f"{settings.out.stem}-steps{settings.out.suffix or '.png'}")
        columns = min(settings.count, 8)
        ladder = to_pixels(growth.noisy.transpose(0, 1).flatten(0, 1))
        try:
            save_sheet(to_pixels(growth.noisy[-1]), columns, settings.out)
            save_sheet(ladder, len(growth.noisy), path)
        except OSError as error:
            raise RunError(f"{settings.out}: cannot be written ({error.strerror}); give another --out") from error
        print(f"{settings.out}: {settings.count} pictures\n{path}: each from static to picture")

    return exit_status(work)


def generate(run: Path, count: int, seed: int, steps: int = 0) -> NDArray[np.uint8]:
    """Return pictures grown by a trained denoiser, uint8 (count, S, S, C).

    Args:
        run: folder of the training run.
        count: pictures.
        seed: of the static.
        steps: from static to picture; 0 takes every step of the ladder.

    Raises:
        RunError: there is no trained denoiser, or its ladder has fewer steps.
    """
    return to_pixels(_grow(GenerateSettings(run=run, count=count, seed=seed, steps=steps)).noisy[-1])


def load_denoiser(run: Path, device: torch.device) -> Denoiser:
    """Return a run's denoiser as its last checkpoint has it.

    Raises:
        RunError: there is none.
    """
    state = RunFolder(run).load()
    if "denoiser_shape" not in state:
        raise RunError(f"{run}: not the run of a denoiser")
    model = Denoiser(DenoiserShape(**state["denoiser_shape"]))
    model.load_state_dict(state["model"])
    return model.to(device).eval()


def _grow(settings: GenerateSettings) -> Growth:
    device = choose_device(settings.device)
    model = load_denoiser(settings.run, device)
    S, C = model.shape.size, model.shape.channels
    try:
        steps = steps_down(model.num_steps, settings.steps or model.num_steps)
    except ValueError as error:
        raise RunError(f"{settings.run}: {error}") from error
    return grow(model, statics(settings.seed, settings.count, (S, S, C)).to(device), steps)
