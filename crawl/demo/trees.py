"""Tree pictures, drawn: a branching model grown from a seed, in a season, under a sky.

Limbs leave the stem at golden angles, their lengths follow the outline of the species, twigs leave the limbs, and
leaves the twigs. Source: Weber and Penn, "Creation and Rendering of Realistic Trees", SIGGRAPH 1995 (shape ratios and
the levels of branching, section 4), here with straight stems and seen from the front.

A tree's own coordinates have the foot of the stem at the origin, x to the right, y up, z towards the viewer; the top is
at y = 1.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from crawl.demo.brush import Brush, Points, Skeleton
from crawl.demo.form import Form
from crawl.demo.scenes import SKIES, Scene, foot_line, paint_foreground, paint_scene
from crawl.demo.species import SPECIES, Rgb, Season, Species

SUPERSAMPLING: Final = 3  # drawn this many times larger, then reduced: antialiasing
GOLDEN_ANGLE: Final = 2.399963  # radians between neighbouring limbs round the stem
UP: Final = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, slots=True)
class View:
    """One picture to draw: which tree, when, under which sky, and in what size (pixels)."""

    species: Species
    scene: Scene
    width: int
    height: int
    seed: int


def survey(seed: int, count: int) -> tuple[View, ...]:
    """`count` views: species in turn, each through the seasons (winter one time in eight), skies drawn."""
    rng = np.random.default_rng([seed, 1])
    views = []
    for number in range(count):
        species = SPECIES[number % len(SPECIES)]
        season = _YEAR[(number // len(SPECIES)) % len(_YEAR)]
        scene = _choose_scene(season, rng)
        width, height = _SIZES[int(rng.choice(len(_SIZES), p=_SIZE_WEIGHTS))]
        views.append(View(species, scene, width, height, int(rng.integers(2**31))))
    return tuple(views)


def draw_picture(view: View) -> Image.Image:
    """The picture of a view, RGB, `view.width` × `view.height`; the same view gives the same pixels."""
    rng = np.random.default_rng([view.seed, 2])
    skeleton = grow(view.species.form, rng)
    image = paint_scene(view.scene, view.width, view.height, rng)
    canvas = (view.width * SUPERSAMPLING, view.height * SUPERSAMPLING)
    image = image.resize(canvas, Image.Resampling.BICUBIC)
    image = _cast_shadow(image, view, skeleton)
    paint_foreground(image, view.scene, _fallen(view), rng)
    Brush(image, view.species, view.scene, rng).paint(skeleton)
    return image.reduce(SUPERSAMPLING)


def grow(form: Form, rng: np.random.Generator) -> Skeleton:
    """A tree of this form; another state of `rng` gives another tree."""
    stem = _grow_stem(rng)
    heights = _limb_heights(form, rng)
    limbs, lengths = _grow_limbs(form, stem, heights, rng)
    twigs = _grow_twigs(form, limbs, lengths, rng)
    scale = 1 / twigs[..., 1].max()
    widest = 0.47 / form.height  # keeps the crown inside the picture
    spread = min(1.0, widest / (np.abs(twigs[..., 0]).max() * scale))
    factors = np.array([scale * spread, scale, scale])
    top = min(1.0, 0.96 / (stem[-1, 1] * scale))
    return Skeleton(stem * factors * [1, top, 1], limbs * factors, twigs * factors, lengths)


_YEAR: Final[tuple[Season, ...]] = ("spring", "summer", "autumn", "winter", "summer", "autumn", "spring", "autumn")
_SIZES: Final = ((128, 128), (112, 112), (144, 144), (96, 96), (160, 120), (120, 152), (160, 160))
_SIZE_WEIGHTS: Final = (0.5, 0.1, 0.1, 0.06, 0.1, 0.1, 0.04)
_SKY_WEIGHTS: Final = (0.3, 0.27, 0.11, 0.12, 0.12, 0.08)


def _choose_scene(season: Season, rng: np.random.Generator) -> Scene:
    sky = SKIES[int(rng.choice(len(SKIES), p=_SKY_WEIGHTS))]
    sun = float(rng.choice((-1, 1)) * rng.uniform(0.45, 1.0))
    return Scene(season, sky, sun, snow=season == "winter" and bool(rng.random() < 0.6))


def _fallen(view: View) -> tuple[Rgb, ...]:
    """Colours of the leaves or petals under the tree, none where it sheds none in this season."""
    sheds = view.species.is_bare("winter") and view.scene.season == "autumn"
    petals = view.species.slug == "wild-cherry" and view.scene.season == "spring"
    return view.species.leaves[view.scene.season] if sheds or petals else ()


def _shape_ratio(profile: str, ratio: Points) -> Points:
    """Length of a limb over the longest, for `ratio` 0 (top of the crown) to 1 (its base).

    Source: Weber and Penn 1995, section 4.3, ShapeRatio.
    """
    if profile == "conical":
        return 0.06 + 0.94 * ratio
    if profile == "spherical":
        return 0.2 + 0.8 * np.sin(np.pi * ratio)
    if profile == "hemispherical":
        return 0.2 + 0.8 * np.sin(0.5 * np.pi * ratio)
    if profile == "rounded":
        return 0.2 + 0.8 * np.sin(np.pi * (0.1 + 0.68 * ratio))
    if profile == "tapered":
        return 0.5 + 0.5 * ratio
    if profile == "layered":
        return 0.45 + 0.55 * np.sin(0.5 * np.pi * ratio)
    flame = np.where(ratio <= 0.7, ratio / 0.7, (1 - ratio) / 0.3)
    return 0.12 + 0.88 * flame if profile == "flame" else 0.5 + 0.5 * flame


def _grow_stem(rng: np.random.Generator) -> Points:
    heights = np.linspace(0, 1, 9)
    lean = rng.normal(0, 0.02, 2)
    sway = np.cumsum(rng.normal(0, 0.006, (9, 2)), axis=0) * (heights > 0)[:, None]
    across = lean * heights[:, None] + sway
    return np.stack([across[:, 0], heights, across[:, 1]], axis=1)


def _limb_heights(form: Form, rng: np.random.Generator) -> Points:
    """Where on the stem each limb sits, from the crown's base to the top; tiers where the form is layered."""
    steps = (np.arange(form.num_limbs) + rng.random(form.num_limbs)) / form.num_limbs
    if form.profile == "layered":
        steps = (np.floor(steps * 4) + 0.5 + rng.normal(0, 0.07, form.num_limbs)) / 4
    return form.crown_base + (1 - form.crown_base) * np.clip(steps, 0, 1) * 0.97


def _grow_limbs(form: Form, stem: Points, heights: Points, rng: np.random.Generator) -> tuple[Points, Points]:
    ratio = (1 - heights) / (1 - form.crown_base)
    lengths = form.reach * _shape_ratio(form.profile, ratio) * rng.uniform(0.8, 1.15, len(heights))
    angles = np.radians(form.angles[1] + (form.angles[0] - form.angles[1]) * ratio + rng.normal(0, 6, len(heights)))
    round_stem = np.arange(len(heights)) * GOLDEN_ANGLE + rng.normal(0, 0.35, len(heights)) + rng.random() * 6.28
    directions = np.stack(
        [np.sin(angles) * np.cos(round_stem), np.cos(angles), np.sin(angles) * np.sin(round_stem)], axis=1
    )
    starts = np.stack([np.interp(heights, stem[:, 1], stem[:, axis]) for axis in range(3)], axis=1)
    along = np.array([0, 1 / 3, 2 / 3, 1])[None, :, None]
    bend = along * directions[:, None] + form.rise * along**2 * UP
    return starts[:, None] + lengths[:, None, None] * bend, lengths


def _grow_twigs(form: Form, limbs: Points, lengths: Points, rng: np.random.Generator) -> Points:
    """Twigs (M, 2, 3): `form.num_twigs` on each limb, the last one carrying the limb on."""
    count = (len(limbs), form.num_twigs)
    along = np.linspace(0.28, 1.0, form.num_twigs)[None] + rng.normal(0, 0.03, count)
    along = np.clip(along, 0.1, 1.0)
    segment = np.minimum((along * 3).astype(int), 2)
    rows = np.arange(len(limbs))[:, None]
    first, last = limbs[rows, segment], limbs[rows, segment + 1]
    start = first + (last - first) * (along * 3 - segment)[..., None]
    forward = (last - first) * 3 / lengths[:, None, None]
    sideways = rng.normal(0, 0.75, (*count, 3)) + np.array([0, 0.12 if form.rise > 0 else -0.25, 0])
    heading = forward + sideways
    heading /= np.linalg.norm(heading, axis=-1, keepdims=True)
    size = form.twig * lengths[:, None] * (1.15 - 0.6 * along) * rng.uniform(0.75, 1.2, count)
    return np.stack([start, start + heading * size[..., None]], axis=2).reshape(-1, 2, 3)


def _cast_shadow(image: Image.Image, view: View, skeleton: Skeleton) -> Image.Image:
    """The picture with the tree's soft shadow on the grass, away from the sun."""
    size = (view.width, view.height)
    reach = float(np.abs(skeleton.twigs[..., 0]).max()) * view.species.form.height * min(size)
    strength = int(120 * view.scene.contrast * (0.5 if view.species.is_bare(view.scene.season) else 1))
    mask = Image.new("L", size, 0)
    x = view.width / 2 - view.scene.sun * reach * 0.35
    y = foot_line(*size) + min(size) * 0.008
    draw = ImageDraw.Draw(mask)
    for layer in range(4):
        grown = 1.05 - 0.12 * layer
        box = (x - reach * grown, y - reach * grown * 0.16, x + reach * grown, y + reach * grown * 0.16)
        draw.ellipse(box, fill=strength * (layer + 1) // 4)
    tone = (74, 86, 122) if view.scene.snow else (26, 40, 34)
    mask = mask.resize(image.size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", image.size, tone), image, mask)
