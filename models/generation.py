"""Pictures grown by a trained denoiser, and the sheets that show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from models.captions import hash_words
from models.denoising import Denoiser, DenoiserShape
from models.devices import choose_device, enough_memory
from models.efficientnet import middle_square
from models.pixels import to_pixels, to_values
from models.replacing import lay_bare, still_replaced
from models.runs import RunError, RunFolder, exit_status
from models.settings import parse_settings, refuse_below
from models.sheets import save_film, save_sheet
from models.solvers import SOLVERS, Growth, Hold, Level, Predict, StepDown, grow, levels_down, static_steps
from shards.corruption import WHITE
from shards.noise import static

COLUMNS = 8
"""Pictures in a row of the sheet."""


@dataclass(frozen=True)
class GenerateSettings:
    """What `python -m models.denoiser generate` takes."""

    run: Annotated[Path, "folder of a training run"]
    count: Annotated[int, "pictures to grow"] = 8
    seed: Annotated[int, "of the static; another seed grows other pictures"] = 0
    steps: Annotated[int, "steps from static to picture; 0 takes as many as the ladder has"] = 0
    solver: Annotated[
        str, "how to step: ladder, ddim or multistep; auto: multistep, or ladder where it knows no other"
    ] = "auto"
    caption: Annotated[str, "what to show, of a model that learned captions"] = ""
    guidance: Annotated[float, "how much more than it learned the caption counts; 1 is as learned"] = 2.0
    from_: Annotated[str, "picture to begin with, noised, instead of static alone"] = ""
    step: Annotated[float, "step of the ladder that the picture is noised to; 0 takes the last"] = 0.0
    inpaint: Annotated[str, "mask of the picture: black pixels are kept, white ones grown anew"] = ""
    out: Annotated[Path, "sheet to write; how each grew goes beside it, as …-steps.png and …-steps.gif"] = Path(
        "trees.png"
    )
    device: Annotated[str, "cpu, cuda, or auto"] = "auto"

    def __post_init__(self) -> None:
        refuse_below(1, self, ("count",))
        refuse_below(0, self, ("seed", "steps", "step", "guidance"))
        if self.solver not in ("auto", *SOLVERS):
            raise ValueError(f"--solver {self.solver}: must be one of auto, {', '.join(SOLVERS)}")
        if not self.from_ and (self.inpaint or self.step):
            raise ValueError("--inpaint and --step are about a picture: give --from PICTURE too")


def generate_main(argv: Sequence[str]) -> int:
    """Grow pictures and write them and how they grew as PNG and GIF; return the exit status."""
    settings = parse_settings(GenerateSettings, argv, "python -m models.denoiser generate", "Grow pictures.")

    def work() -> None:
        growth = grow_pictures(settings)
        strips = settings.out.with_name(f"{settings.out.stem}-steps.png")
        film = strips.with_suffix(".gif")
        try:
            save_sheet(to_pixels(growth.noisy[-1]), min(settings.count, COLUMNS), settings.out)
            save_sheet(to_pixels(growth.noisy.transpose(0, 1).flatten(0, 1)), len(growth.noisy), strips)
            save_film(to_pixels(growth.noisy), min(settings.count, COLUMNS), film)
        except (OSError, ValueError) as error:
            raise RunError(f"{settings.out}: cannot be written ({error}); give another --out") from error
        print(f"{settings.out}: {settings.count} pictures\n{strips}, {film}: each from static to picture")

    return exit_status(work)


def generate(run: Path, count: int, seed: int, steps: int = 0, solver: str = "auto") -> NDArray[np.uint8]:
    """Return pictures grown by a trained denoiser, uint8 (count, S, S, C).

    Args:
        run: folder of the training run.
        count: pictures.
        seed: of the static.
        steps: from static to picture; 0 takes as many as the ladder has.
        solver: one of `models.solvers.SOLVERS`, or `auto`.

    Raises:
        RunError: there is no trained denoiser, or its ladder has fewer steps.
    """
    settings = GenerateSettings(run=run, count=count, seed=seed, steps=steps, solver=solver)
    return to_pixels(grow_pictures(settings).noisy[-1])


def load_denoiser(run: Path, device: torch.device) -> Denoiser:
    """Return a run's denoiser, with the averaged weights of its last checkpoint.

    Raises:
        RunError: there is none.
    """
    state = RunFolder(run).load()
    if "denoiser_shape" not in state:
        raise RunError(f"{run}: not the run of a denoiser")
    model = Denoiser(DenoiserShape(**state["denoiser_shape"]))
    model.load_state_dict(state["average"])
    return model.to(device).eval()


def statics(seed: int, count: int, shape: tuple[int, int, int], draw: int = 0) -> Tensor:
    """Return (count, C, S, S) of standard normal static; picture i always has the same one for the same seed.

    Args:
        seed: 0 to 2⁶³ − 1.
        count: pictures.
        shape: (S, S, C), as the shards store pictures.
        draw: which static of each.
    """
    drawn = np.stack([static(seed, number, draw, shape) for number in range(count)])
    return torch.from_numpy(drawn.astype(np.float32)).permute(0, 3, 1, 2)


def grow_pictures(settings: GenerateSettings) -> Growth:
    """Return pictures grown as the settings say.

    Raises:
        RunError: there is no trained denoiser, it cannot do what is asked, or a picture cannot be read.
    """
    device = choose_device(settings.device)
    model = load_denoiser(settings.run, device)
    S, C = model.shape.size, model.shape.channels
    try:
        solver = _solver(model, settings.solver)
        top = settings.step or float(model.num_steps)
        if top > model.num_steps:
            raise ValueError(f"step {top:g}: the ladder has the steps 1 to {model.num_steps}")
        levels = levels_down(model, solver, top, settings.steps or max(1, round(top)))
        predict = predictor(model, settings.caption, settings.guidance)
    except ValueError as error:
        raise RunError(f"{settings.run}: {error}") from error
    with enough_memory(f"--count {settings.count}", device):
        noise, other = (statics(settings.seed, settings.count, (S, S, C), draw).to(device) for draw in (0, 1))
        picture = read_picture(settings.from_, S, C).to(device) if settings.from_ else None
        is_kept = ~read_mask(settings.inpaint, S).to(device) if settings.inpaint else None
        begin = model.pictures.draw(other) if picture is None else picture
        if picture is not None and is_kept is not None and not settings.step:
            begin = torch.where(is_kept, picture, model.pictures.draw_around(other, picture, is_kept))
            # Static tells nothing of what is kept; from it, the first step would go anywhere.
            levels = levels[1:] if levels[0].a == 0 and len(levels) > 2 else levels
        start = noised(model, begin.expand_as(noise), noise, levels[0], settings.seed)
        hold: Hold = lambda x, level: x  # noqa: E731 - nothing is known
        if picture is not None and is_kept is not None:
            predict, hold = keeping(model, picture.expand_as(noise), is_kept, noise, settings.seed, predict)
        step_down: StepDown = lay_bare(model, settings.seed)
        if model.shape.corruption == "gaussian":
            step_down = static_steps(solver, model.mean, float(model.spread))
        return grow(model, start, levels, step_down, predict, hold)


def predictor(model: Denoiser, caption: str, guidance: float) -> Predict:
    """Return the denoiser's prediction, led by a caption where there is one.

    What the caption makes of the picture, beside what it would be untold, is taken `guidance` times.

    Source: Ho and Salimans 2022, "Classifier-free diffusion guidance" (arXiv:2207.12598), equation 6, w = guidance − 1.

    Raises:
        ValueError: the model has learned no captions.
    """
    if caption and not model.shape.has_words:
        raise ValueError("has learned no captions: train with --captions, or leave --caption out")
    told = hash_words([caption]).to(model.a.device) if caption else None

    def predict(x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        step = torch.full((len(x),), level.step, dtype=torch.float64, device=x.device)
        clean, noise = model.predict(x, step)
        if told is None:
            return clean, noise
        led = model.predict(x, step, told.expand(len(x), -1))
        return clean + guidance * (led[0] - clean), noise + guidance * (led[1] - noise)

    return predict


def noised(model: Denoiser, picture: Tensor, noise: Tensor, level: Level, seed: int) -> Tensor:
    """Return pictures (B, C, S, S) at a level, as the model's training pictures were noised; static of that shape."""
    if model.shape.corruption == "gaussian":
        return level.a * picture + level.b * noise
    hit = picture + noise if model.shape.corruption == "sparse" else torch.full_like(picture, float(WHITE))
    return torch.where(still_replaced(model, seed, len(picture), int(level.step)), hit, picture)


def keeping(
    model: Denoiser, picture: Tensor, is_kept: Tensor, noise: Tensor, seed: int, predict: Predict
) -> tuple[Predict, Hold]:
    """Return a prediction that knows some pixels of the picture, and what holds noisy pictures to them.

    Args:
        model: the denoiser.
        picture: (B, C, S, S).
        is_kept: which pixels are known, bool (1, 1, S, S).
        noise: (B, C, S, S), the static they are noised with all the way.
        seed: of the order of replaced pixels.
        predict: the prediction of one who knows none.
    """

    def predict_knowing(x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        clean, told = predict(x, level)
        return torch.where(is_kept, picture, clean), torch.where(is_kept, noise, told)

    def hold(x: Tensor, level: Level) -> Tensor:
        return torch.where(is_kept, noised(model, picture, noise, level, seed), x)

    return predict_knowing, hold


def read_picture(name: str, size: int, channels: int) -> Tensor:
    """Return the middle square of a picture file as values, float32 (1, C, S, S).

    Raises:
        RunError: it cannot be read.
    """
    square = middle_square(_open(name), size)
    pixels = np.asarray(square if channels == 3 else square.convert("L")).reshape(1, size, size, channels)
    return to_values(pixels)


def read_mask(name: str, size: int) -> Tensor:
    """Return which pixels of a mask's middle square are white, bool (1, 1, S, S).

    Raises:
        RunError: it cannot be read.
    """
    grey = np.asarray(middle_square(_open(name), size).convert("L"))
    return torch.from_numpy(grey >= 128)[None, None]


def _open(name: str) -> Image.Image:
    try:
        with Image.open(name) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RunError(f"{name}: cannot be read as a picture ({error}); give another file") from error


def _solver(model: Denoiser, asked: str) -> str:
    """Return which solver to take.

    Raises:
        ValueError: the model's noise is of another kind than the solver's.
    """
    if model.shape.corruption == "gaussian":
        return asked if asked != "auto" else "multistep" if model.shape.is_between else "ladder"
    if asked not in ("auto", "ladder"):
        raise ValueError(f"--solver {asked} is for static: pictures with {model.shape.corruption} pixels take ladder")
    return "ladder"
