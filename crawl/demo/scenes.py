"""Everything in a picture but the tree: sky, hills and ground, in the light of an hour and a season."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from crawl.demo.species import Rgb, Season

Sky = Literal["clear", "clouds", "overcast", "sunrise", "sunset", "mist"]
Pixels = NDArray[np.float32]

SKIES: tuple[Sky, ...] = ("clear", "clouds", "overcast", "sunrise", "sunset", "mist")
HORIZON = 0.74  # of the picture's height, from the top
FOOT = 0.38  # where the tree stands, below the middle, in sides of the central square

# Each sky: colour overhead, colour at the horizon, colour of its clouds, how much of them.
_SKIES: dict[Sky, tuple[Rgb, Rgb, Rgb, float]] = {
    "clear": ((84, 146, 214), (198, 224, 240), (255, 255, 255), 0.0),
    "clouds": ((104, 158, 214), (204, 224, 238), (250, 250, 252), 0.85),
    "overcast": ((158, 168, 180), (208, 212, 216), (226, 228, 232), 0.55),
    "sunrise": ((136, 166, 212), (252, 214, 176), (255, 226, 206), 0.55),
    "sunset": ((108, 104, 162), (252, 170, 104), (244, 142, 118), 0.60),
    "mist": ((196, 204, 208), (226, 228, 226), (236, 238, 238), 0.35),
}
# Each sky: tint of what it lights, contrast between lit and shaded sides.
_LIGHTS: dict[Sky, tuple[tuple[float, float, float], float]] = {
    "clear": ((1.04, 1.02, 0.96), 1.0),
    "clouds": ((1.0, 1.0, 0.99), 0.8),
    "overcast": ((0.92, 0.93, 0.95), 0.45),
    "sunrise": ((1.08, 0.99, 0.88), 1.0),
    "sunset": ((1.05, 0.88, 0.80), 1.1),
    "mist": ((0.96, 0.97, 0.98), 0.4),
}
_GRASS: dict[Season, tuple[Rgb, Rgb]] = {  # far, near
    "spring": ((150, 190, 92), (98, 152, 58)),
    "summer": ((146, 172, 84), (94, 130, 52)),
    "autumn": ((168, 160, 90), (120, 118, 54)),
    "winter": ((152, 150, 118), (108, 108, 78)),
}
_SNOW: tuple[Rgb, Rgb] = ((226, 232, 240), (244, 246, 250))


@dataclass(frozen=True, slots=True)
class Scene:
    """Season, sky and light of one picture.

    Attributes:
        sun: where the light comes from, −1 (left) to 1 (right).
        snow: whether snow lies.
    """

    season: Season
    sky: Sky
    sun: float
    snow: bool

    @property
    def tint(self) -> NDArray[np.float32]:
        """Colour of the light, (3,) factors near 1."""
        return np.asarray(_LIGHTS[self.sky][0], np.float32)

    @property
    def contrast(self) -> float:
        """Strength of light and shade, 0.4 (mist) to 1.1 (sunset)."""
        return _LIGHTS[self.sky][1]

    @property
    def haze(self) -> Rgb:
        """Colour into which the distance fades."""
        return _SKIES[self.sky][1]


def foot_line(width: int, height: int) -> float:
    """Where the foot of the tree stands, in pixels from the top; a square cut from the middle holds it."""
    return height / 2 + FOOT * min(width, height)


def soft_noise(rng: np.random.Generator, width: int, height: int, cells: tuple[int, int]) -> Pixels:
    """Smooth noise (height, width) in [0, 1]: a few random cells (across, down), enlarged."""
    cells_wide, cells_high = cells
    coarse = Image.fromarray(rng.integers(0, 256, (cells_high, cells_wide), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32) / np.float32(255)


def paint_scene(scene: Scene, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """The picture without its tree, RGB (width, height)."""
    pixels = _paint_sky(scene, width, height, rng)
    _paint_hills(pixels, scene, rng)
    _paint_ground(pixels, scene, rng)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def paint_foreground(image: Image.Image, scene: Scene, fallen: tuple[Rgb, ...], rng: np.random.Generator) -> None:
    """Draw grass, spring flowers and fallen leaves over the ground of `image`, in place."""
    draw = ImageDraw.Draw(image)
    width, height = image.size
    _draw_grass(draw, scene, width, height, rng)
    colours = fallen
    if not fallen and scene.season == "spring":
        colours = ((250, 244, 196), (250, 250, 250), (214, 168, 214))
    count = 90 if fallen else 26
    spread = 0.28 if fallen else 0.6
    for _ in range(count if colours else 0):
        x = width / 2 + rng.normal(0, spread) * height
        below = 0.01 + abs(rng.normal(0, 0.035))
        y = foot_line(width, height) + height * below
        size = height * 0.006 * (1 + 6 * below)
        draw.ellipse(
            (x - size, y - size * 0.6, x + size, y + size * 0.6), fill=colours[int(rng.integers(len(colours)))]
        )


def _lerp(start: Rgb, end: Rgb, amount: Pixels) -> Pixels:
    """Colours between two, (…, 3), for amounts (…) in [0, 1]."""
    first, last = np.asarray(start, np.float32), np.asarray(end, np.float32)
    return first + (last - first) * amount[..., None]


def _paint_sky(scene: Scene, width: int, height: int, rng: np.random.Generator) -> Pixels:
    overhead, horizon, cloud, cover = _SKIES[scene.sky]
    rise = np.clip(np.linspace(0, 1 / HORIZON, height, dtype=np.float32), 0, 1) ** 1.2
    pixels = np.repeat(_lerp(overhead, horizon, rise)[:, None], width, axis=1)
    pixels += rng.normal(0, 4, 3).astype(np.float32)
    if cover:
        cells = soft_noise(rng, width, height, (5, 9)) * 0.65 + soft_noise(rng, width, height, (11, 20)) * 0.35
        amount = np.clip((cells - 0.46) * 3.2, 0, 1) * cover
        pixels += (np.asarray(cloud, np.float32) - pixels) * amount[..., None]
    if scene.sky in ("sunrise", "sunset"):
        _add_sun(pixels, scene)
    return pixels


def _add_sun(pixels: Pixels, scene: Scene) -> None:
    """Add the low sun's disc and glow to `pixels`, in place."""
    height, width = pixels.shape[:2]
    x = (np.arange(width, dtype=np.float32) - width * (0.5 + 0.36 * scene.sun)) / height
    y = (np.arange(height, dtype=np.float32) - height * (HORIZON - 0.13)) / height
    distance = np.sqrt(x[None] ** 2 + y[:, None] ** 2)
    glow = np.exp(-distance / 0.14) * 0.7 + (distance < 0.035)
    pixels += (np.asarray((255, 244, 214), np.float32) - pixels) * np.clip(glow, 0, 1)[..., None]


def _ridge(rng: np.random.Generator, width: int, base: float, relief: float) -> NDArray[np.float32]:
    """The upper edge (width,) of a line of hills, as a fraction of the picture's height."""
    x = np.linspace(0, 1, width, dtype=np.float32)
    edge = np.full(width, base, np.float32)
    for wave, size in ((1.1, 1.0), (2.7, 0.5), (7.3, 0.15)):
        edge += np.float32(relief * size) * np.sin(2 * np.pi * (np.float32(wave) * x + np.float32(rng.random())))
    return edge


def _fill_below(pixels: Pixels, edge: NDArray[np.float32], colour: Pixels) -> None:
    """Paint everything under `edge` with `colour`, broadcast to (height, width, 3), with a soft rim."""
    height = pixels.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    amount = np.clip(rows - edge[None] * height + 0.5, 0, 1)[..., None]
    pixels += (colour - pixels) * amount


def _paint_hills(pixels: Pixels, scene: Scene, rng: np.random.Generator) -> None:
    """Two far ridges, the farther nearly lost in the haze, the nearer a line of woods."""
    width = pixels.shape[1]
    woods: Rgb = (206, 212, 218) if scene.snow else {
        "spring": (122, 158, 92), "summer": (78, 116, 74), "autumn": (150, 112, 70), "winter": (112, 108, 104)
    }[scene.season]  # fmt: skip
    distances = (0.78, 0.42) if scene.sky != "mist" else (0.92, 0.74)
    for base, relief, distance in ((0.68, 0.022, distances[0]), (0.722, 0.010, distances[1])):
        colour = _lerp(woods, scene.haze, np.asarray(distance, np.float32)) * scene.tint
        edge = _ridge(rng, width, base, relief)
        if distance == distances[1]:
            edge -= 0.012 * soft_noise(rng, width, 1, (38, 1))[0]
        _fill_below(pixels, edge, colour)


def _paint_ground(pixels: Pixels, scene: Scene, rng: np.random.Generator) -> None:
    """The meadow, from a hazy edge to the near grass, mottled."""
    height, width = pixels.shape[:2]
    far, near = _SNOW if scene.snow else _GRASS[scene.season]
    depth = np.clip((np.arange(height, dtype=np.float32) / height - HORIZON) / (1 - HORIZON), 0, 1)
    meadow = np.repeat(_lerp(far, near, depth**0.8)[:, None], width, axis=1)
    meadow *= 1 + 0.20 * (soft_noise(rng, width, height, (7, 48)) - 0.5)[..., None] * (0.3 if scene.snow else 1)
    haze = np.asarray(scene.haze, np.float32)
    meadow += (haze - meadow) * ((1 - depth) ** 3 * (0.75 if scene.sky == "mist" else 0.35))[:, None, None]
    _fill_below(pixels, _ridge(rng, width, HORIZON + 0.008, 0.006), meadow * scene.tint)


def _draw_grass(draw: ImageDraw.ImageDraw, scene: Scene, width: int, height: int, rng: np.random.Generator) -> None:
    near = (_SNOW if scene.snow else _GRASS[scene.season])[1]
    y = foot_line(width, height) + height * (0.15 * rng.random(110) - 0.03)
    x = width * rng.random(110)
    blade = height * 0.022 * rng.random(110) * (0.4 if scene.snow else 1)
    shade = (0.78 + 0.5 * rng.random(110))[:, None] * np.asarray(near) * scene.tint
    if scene.snow:
        shade = np.minimum(shade, 255) * 0.9
    colours = np.clip(shade, 0, 255).astype(int)
    thickness = max(1, height // 260)
    for i in range(110):
        tip = (x[i] + blade[i] * 0.3, y[i] - blade[i])
        draw.line(((x[i], y[i]), tip), fill=tuple(colours[i].tolist()), width=thickness)
