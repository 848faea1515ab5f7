"""Pictures grown by a trained denoiser: from static, from a picture, around what is kept of one, by a caption."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from models import denoiser
from models.denoising import Denoiser, DenoiserShape
from models.generation import GenerateSettings, generate, generate_main, grow_pictures, statics
from models.pixels import to_pixels
from models.replacing import still_replaced
from models.runs import RunError
from models.solvers import SOLVERS, steps_down
from shards.triplet import TripletSpec
from tests.tiny_datasets import draw_tree, write_triplets

SIZE = 10
TINY = ["--width", "16", "--batch-size", "16", "--num-directions", "8", "--precision", "float32", "--num-steps", "40"]


def trees(first: int, count: int) -> list[NDArray[np.uint8]]:
    return [draw_tree(seed, SIZE) for seed in range(first, first + count)]


def trained(folder: Path, spec: TripletSpec, *settings: str) -> Path:
    """The run of a denoiser that has seen 24 trees."""
    channels = spec.channels
    write_triplets(folder / "triplets", spec, {"train": [tree[:, :, :channels] for tree in trees(0, 24)]})
    assert denoiser.main([str(folder), "--out", str(folder / "run"), *TINY, *settings]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("between"), TripletSpec(SIZE, steps=5), "--captions")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "tree.png"
    Image.fromarray(draw_tree(500, SIZE)).save(path)
    return path


@pytest.mark.parametrize("target", ["clean", "noise", "previous", "v"])
@pytest.mark.parametrize("levels", ["ladder", "between"])
def test_another_seed_grows_another_tree_whatever_is_predicted(tmp_path: Path, target: str, levels: str) -> None:
    run = trained(tmp_path, TripletSpec(SIZE, steps=3), "--target", target, "--levels", levels)
    grown = generate(run, count=3, seed=0)
    assert grown.shape == (3, SIZE, SIZE, 3)
    assert grown.dtype == np.uint8
    assert np.array_equal(grown[:2], generate(run, count=2, seed=0))
    assert not np.array_equal(grown, generate(run, count=3, seed=1))
    assert len({tree.tobytes() for tree in grown}) == 3
    distance = np.abs(grown.astype(float).mean(axis=0) - np.mean(trees(0, 24), axis=0)).mean()
    assert distance < 60, "nothing like a tree"


def test_a_model_that_learned_the_ladder_alone_takes_no_more_steps_than_it_has(tmp_path: Path) -> None:
    run = trained(tmp_path, TripletSpec(SIZE, steps=5), "--levels", "ladder")
    assert generate(run, count=1, seed=0, steps=2).shape == (1, SIZE, SIZE, 3)
    with pytest.raises(RunError, match="6 steps: a model that learned the ladder's steps alone allows 1 to 5"):
        generate(run, count=1, seed=0, steps=6)


@pytest.mark.parametrize("wanted", [0, 6])
def test_a_ladder_has_no_more_steps_than_it_has(wanted: int) -> None:
    with pytest.raises(ValueError, match="allows 1 to 5"):
        steps_down(5, wanted)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [1, 5, 12])
def test_growing_climbs_down_from_static_to_the_last_clean_picture(run: Path, solver: str, steps: int) -> None:
    growth = grow_pictures(GenerateSettings(run=run, count=2, seed=5, steps=steps, solver=solver))
    assert growth.noisy.shape == (steps + 1, 2, 3, SIZE, SIZE)
    assert growth.clean.shape == (steps, 2, 3, SIZE, SIZE)
    assert torch.allclose(growth.noisy[0], statics(5, 2, (SIZE, SIZE, 3)), atol=1e-6)
    assert growth.noisy.isfinite().all()
    if solver != "multistep" or steps == 1:
        assert torch.allclose(growth.noisy[-1], growth.clean[-1], atol=1e-5)


def test_the_three_solvers_agree_with_many_steps_and_differ_with_few(run: Path) -> None:
    def apart(steps: int) -> float:
        grown = [generate(run, 4, 0, steps, solver).astype(float) for solver in ("ddim", "multistep")]
        return float(np.abs(grown[0] - grown[1]).mean())

    assert apart(200) < apart(5) / 4


def test_a_static_depends_on_its_seed_and_number_alone() -> None:
    assert torch.equal(statics(0, 2, (4, 4, 3)), statics(0, 5, (4, 4, 3))[:2])
    assert not torch.equal(statics(0, 1, (4, 4, 3)), statics(1, 1, (4, 4, 3)))
    assert not torch.equal(statics(0, 1, (4, 4, 3), 1), statics(0, 1, (4, 4, 3)))


def test_a_picture_hardly_noised_stays_itself_and_one_wholly_noised_becomes_another(run: Path, picture: Path) -> None:
    original = draw_tree(500, SIZE).astype(float)

    def distance(step: float) -> float:
        settings = GenerateSettings(run=run, count=4, from_=str(picture), step=step, steps=4)
        return float(np.abs(to_pixels(grow_pictures(settings).noisy[-1]) - original).mean())

    assert distance(0.01) < 6
    assert distance(0.01) < distance(1) < distance(5)
    begun = grow_pictures(GenerateSettings(run=run, count=1, from_=str(picture), step=2, steps=4)).noisy[0]
    assert float((begun - statics(0, 1, (SIZE, SIZE, 3)) * 0.4**0.5).std()) < float(begun.std())


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_is_kept_of_a_picture_stays_and_the_rest_is_grown_anew(
    run: Path, picture: Path, tmp_path: Path, solver: str
) -> None:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[:, SIZE // 2 :] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    chosen = GenerateSettings(
        run=run, count=3, from_=str(picture), inpaint=str(tmp_path / "mask.png"), steps=6, solver=solver
    )
    growth = grow_pictures(chosen)
    grown, original = to_pixels(growth.noisy[-1]), draw_tree(500, SIZE)
    assert np.array_equal(grown[:, :, : SIZE // 2], np.stack([original] * 3)[:, :, : SIZE // 2])
    halves = {half.tobytes() for half in grown[:, :, SIZE // 2 :]}
    assert len(halves | {original[:, SIZE // 2 :].tobytes()}) == 4


def test_a_caption_leads_and_guidance_leads_further(run: Path) -> None:
    def grown(caption: str, guidance: float) -> NDArray[np.float64]:
        settings = GenerateSettings(run=run, count=2, caption=caption, guidance=guidance)
        return grow_pictures(settings).noisy[-1].double().numpy()

    untold, told, further = grown("", 1), grown("a tree", 1), grown("a tree", 3)
    assert np.array_equal(grown("a tree", 0), untold)
    assert 0 < np.abs(told - untold).mean() < np.abs(further - untold).mean()


def test_white_outs_trees_are_all_one_guess_and_those_of_sparse_pixels_are_not(tmp_path: Path) -> None:
    guessed, grown = {}, {}
    for corruption in ("whiteout", "sparse"):
        run = trained(tmp_path / corruption, TripletSpec(SIZE, steps=5, corruption=corruption), "--target", "clean")
        growth = grow_pictures(GenerateSettings(run=run, count=6))
        guessed[corruption], grown[corruption] = (
            float(pictures.std(dim=0).mean()) for pictures in (growth.clean[0], growth.noisy[-1])
        )
        if corruption == "whiteout":
            assert torch.equal(growth.noisy[0], torch.full_like(growth.noisy[0], 255 / 256))
        with pytest.raises(RunError, match="--solver ddim is for static"):
            generate(run, 1, 0, solver="ddim")
    assert guessed["whiteout"] < 1e-6
    assert guessed["sparse"] > 0.02
    assert grown["whiteout"] < grown["sparse"]


def test_a_pixel_laid_bare_is_not_replaced_again() -> None:
    model = Denoiser(DenoiserShape(SIZE, 3, (1.0,) * 5, (1.0,) * 5, "clean", 16, 1, 1, 2, 0, "sparse"))
    masks = [still_replaced(model, 0, 3, step) for step in range(6)]
    assert [int(mask[0].sum()) for mask in masks] == [0, 20, 40, 60, 80, 100]
    assert all(bool((below <= above).all()) for below, above in itertools.pairwise(masks))
    assert not torch.equal(masks[2][0], masks[2][1])


def test_grey_pictures_grow_and_a_sheet_strips_and_a_film_are_written(tmp_path: Path) -> None:
    run = trained(tmp_path, TripletSpec(SIZE, channels=1, steps=2))
    out = tmp_path / "new" / "trees.png"
    assert generate_main([str(run), "--count", "3", "--steps", "4", "--out", str(out)]) == 0
    with Image.open(out) as sheet, Image.open(out.with_name("trees-steps.png")) as strips:
        assert (sheet.width - 4) * 5 == (strips.width - 4) * 3
    with Image.open(out.with_name("trees-steps.gif")) as film:
        assert len(list(ImageSequence.Iterator(film))) == 5
        assert film.size == (sheet.width, sheet.height)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--from", "nowhere.png"], "nowhere.png: cannot be read as a picture"),
        (["--from", "PICTURE", "--step", "7"], "step 7: the ladder has the steps 1 to 5"),
        (["--device", "cuda:99"], "--device cuda:99"),
        (["--out", "PICTURE/trees.png"], "trees.png: cannot be written"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    run: Path, picture: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    assert generate_main([str(run), *(part.replace("PICTURE", str(picture)) for part in argv)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("seedbed: ")
    assert said in error
    assert error.count("\n") == 1


def test_captions_are_asked_only_of_a_model_that_learned_them(tmp_path: Path) -> None:
    run = trained(tmp_path, TripletSpec(SIZE, steps=2))
    with pytest.raises(RunError, match="has learned no captions: train with --captions"):
        grow_pictures(GenerateSettings(run=run, count=1, caption="an oak"))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--solver", "euler"], "--solver euler: must be one of auto, ladder, ddim, multistep"),
        (["--inpaint", "mask.png"], "--inpaint and --step are about a picture: give --from PICTURE too"),
    ],
)
def test_a_setting_that_cannot_be_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    with pytest.raises(SystemExit):
        generate_main(["RUN", *argv])
    assert said in capsys.readouterr().err
