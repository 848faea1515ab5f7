"""Painting a grown tree: wood in tapering lines, leaves as shaded tufts, needled sprays or hanging strands."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from crawl.demo.scenes import Scene, foot_line
from crawl.demo.species import Rgb, Species

Points = NDArray[np.float64]

_SNOW = (244, 247, 252)


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The wood of a tree in its own coordinates (foot of the stem at the origin, top at y = 1).

    Attributes:
        stem: (P, 3) from the foot to the top.
        limbs: (N, 4, 3), four points along each limb.
        twigs: (M, 2, 3), start and end.
        limb_lengths: (N,).
    """

    stem: Points
    limbs: Points
    twigs: Points
    limb_lengths: Points


class Brush:
    """Paints one tree on an image, in place, in the colours of its species and the light of its scene."""

    def __init__(self, image: Image.Image, species: Species, scene: Scene, rng: np.random.Generator) -> None:
        self.draw = ImageDraw.Draw(image)
        self.species, self.form, self.scene, self.rng = species, species.form, scene, rng
        side = min(image.size)
        self.scale = self.form.height * side * rng.uniform(0.96, 1.08)
        self.foot = (image.width / 2 + rng.normal(0, 0.012) * side, foot_line(*image.size) + 0.012 * side)
        sun = np.array([scene.sun * 0.8, 0.7, 0.35])
        self.sun = sun / np.linalg.norm(sun)

    def paint(self, skeleton: Skeleton) -> None:
        """The whole tree: what stands behind, the wood, what stands in front."""
        if self.species.is_bare(self.scene.season):
            self._paint_wood(skeleton, fine=True)
            return
        paint = {"leaves": self._paint_tufts, "sprays": self._paint_sprays, "strands": self._paint_strands}
        layer = paint[self.form.foliage]
        order = np.argsort(skeleton.twigs[:, 1, 2], kind="stable")
        back, front = np.split(skeleton.twigs[order], [len(order) * 2 // 5])
        layer(back, skeleton, 0.80)
        self._paint_wood(skeleton, fine=False)
        layer(front, skeleton, 1.0)

    def _project(self, points: Points) -> Points:
        """Points (…, 3) of the tree as pixels (…, 2)."""
        return np.stack([self.foot[0] + points[..., 0] * self.scale, self.foot[1] - points[..., 1] * self.scale], -1)

    def _light(self, points: Points, skeleton: Skeleton) -> Points:
        """Brightness near 1 of each point (…): sunny side and top lit, inside and far side in shade."""
        low, high = skeleton.twigs[:, 1].min(axis=0), skeleton.twigs[:, 1].max(axis=0)
        around: Points = (points - (low + high) / 2) / np.maximum((high - low) / 2, 1e-6)
        return 1 + 0.34 * self.scene.contrast * np.asarray(np.clip(around @ self.sun, -1.2, 1.0))

    def _colours(self, shades: tuple[Rgb, ...], light: Points) -> list[tuple[int, int, int]]:
        """One sRGB colour for each brightness (N,), its shade drawn from `shades`."""
        picked = np.asarray(shades, np.float64)[self.rng.integers(len(shades), size=len(light))]
        lit = picked * light[:, None] * self.scene.tint
        lit += (np.asarray(self.scene.haze) - lit) * (0.28 if self.scene.sky == "mist" else 0.03)
        return [(r, g, b) for r, g, b in np.clip(lit, 0, 255).astype(int).tolist()]

    def _paint_wood(self, skeleton: Skeleton, *, fine: bool) -> None:
        """Twigs (only where `fine`), limbs and stem, thicker and in front as they near the ground."""
        girth = self.form.girth * self.scale
        if fine:
            self._paint_fine_twigs(skeleton)
        lit = 1 + 0.25 * self.scene.contrast * np.clip(skeleton.limbs[:, 3] @ self.sun, -1, 1)
        colours = self._colours((self.species.bark,), lit * 0.86)
        ends = self._project(skeleton.limbs)
        thick = girth * 0.42 * np.clip(skeleton.limb_lengths / max(skeleton.limb_lengths.max(), 1e-6), 0.25, 1)
        for i in np.argsort(skeleton.limbs[:, 3, 2], kind="stable").tolist():
            for step in range(3):
                width = max(1, round(float(thick[i]) * (1 - 0.3 * step)))
                self._stroke(ends[i, step], ends[i, step + 1], width, colours[i])
        self._paint_stem(skeleton, girth)

    def _stroke(self, start: Points, end: Points, width: int, colour: Rgb) -> None:
        line = (float(start[0]), float(start[1]), float(end[0]), float(end[1]))
        self.draw.line(line, fill=colour, width=width)
        if self.scene.snow and width > 1:
            lift = width * 0.45
            raised = (line[0], line[1] - lift, line[2], line[3] - lift)
            self.draw.line(raised, fill=_SNOW, width=max(1, width // 3))

    def _paint_fine_twigs(self, skeleton: Skeleton) -> None:
        """Bare twigs, each forking twice, light enough to let the sky through."""
        shade = np.clip(self._light(skeleton.twigs[:, 1], skeleton), 0.8, 1.2)
        bark = np.asarray(self.species.bark) * 0.7 + np.asarray((96, 84, 84)) * 0.3
        if self.form.foliage == "strands":
            bark = np.asarray((178, 150, 84))
        colours = self._colours(((int(bark[0]), int(bark[1]), int(bark[2])),), shade)
        run = skeleton.twigs[:, 1] - skeleton.twigs[:, 0]
        size = np.linalg.norm(run, axis=1, keepdims=True)
        hang = np.array([0, -1.5 if self.form.foliage == "strands" else 0.1, 0])
        starts = self._project(skeleton.twigs[:, 0])
        middles = self._project(skeleton.twigs[:, 1])
        width = max(1, round(self.scale / 130))
        forks = [
            self._project(skeleton.twigs[:, 1] + run * 0.45 + size * (self.rng.normal(0, 0.32, run.shape) + hang))
            for _ in range(3)
        ]
        for i, colour in enumerate(colours):
            for fork in forks:
                self.draw.line((*middles[i], *fork[i]), fill=colour, width=max(1, width // 2))
            self.draw.line((*starts[i], *middles[i]), fill=colour, width=width)

    def _paint_stem(self, skeleton: Skeleton, girth: float) -> None:
        """The stem as three tapering ribbons, shaded, middle and lit, with a flare at the foot."""
        stem = self._project(skeleton.stem)
        taper = np.clip(1 - skeleton.stem[:, 1] / skeleton.stem[-1, 1], 0.08, 1) ** 0.8
        taper[0] *= 1.35
        half = girth / 2 * taper
        side = float(np.sign(self.scene.sun)) or 1.0
        shades = self._colours((self.species.bark,), np.array([0.66, 0.9, 1.12]))
        for colour, (inner, outer) in zip(shades, ((-1, 1), (-0.35, 1), (0.3, 1)), strict=True):
            left = np.stack([stem[:, 0] + side * half * inner, stem[:, 1]], 1)
            right = np.stack([stem[:, 0] + side * half * outer, stem[:, 1]], 1)
            self.draw.polygon([(float(x), float(y)) for x, y in [*left, *right[::-1]]], fill=colour)
        if self.species.slug == "silver-birch":
            self._paint_birch_bark(stem, half)

    def _paint_birch_bark(self, stem: Points, half: Points) -> None:
        """Dark bands across the white stem."""
        for place in self.rng.uniform(0.0, 0.7, 26).tolist():
            at = place * (len(stem) - 1)
            x = float(np.interp(at, np.arange(len(stem)), stem[:, 0]))
            y = float(np.interp(at, np.arange(len(stem)), stem[:, 1]))
            reach = float(np.interp(at, np.arange(len(stem)), half)) * self.rng.uniform(0.3, 0.9)
            side = float(self.rng.choice((-1, 1))) * reach * 0.5
            box = (x + side - reach * 0.5, y, x + side + reach * 0.5, y + max(1.0, self.scale / 200))
            self.draw.rectangle(box, fill=(58, 54, 52))

    def _paint_tufts(self, twigs: Points, skeleton: Skeleton, dim: float) -> None:
        """Leaves: several tufts along each twig, each of five dabs, the upper ones lighter."""
        along = np.linspace(0.35, 1.0, self.form.density)[None, :, None]
        centres = twigs[:, :1] + (twigs[:, 1:] - twigs[:, :1]) * along
        spread = self.form.tuft * 0.55 * np.array([1, self.form.flatness, 1])
        dabs = (centres[:, :, None] + self.rng.normal(0, 1, (*centres.shape[:2], 5, 3)) * spread).reshape(-1, 3)
        light = self._light(dabs, skeleton) * self.rng.normal(1, 0.07, len(dabs)) * dim
        order = np.argsort(dabs[:, 2] + dabs[:, 1] * 0.5 + light * 0.25, kind="stable")
        colours = self._colours(self.species.leaves[self.scene.season], light[order])
        radius = self.form.tuft * self.scale * self.rng.uniform(0.26, 0.55, len(dabs))
        places = self._project(dabs[order])
        for (x, y), r, colour in zip(places.tolist(), radius.tolist(), colours, strict=True):
            tall = r * self.form.flatness
            self.draw.ellipse((x - r, y - tall, x + r, y + tall), fill=colour)
        if self.scene.snow:
            self._lay_snow(places[light[order] > np.quantile(light, 0.55)], self.form.tuft * self.scale * 0.42)

    def _lay_snow(self, places: Points, size: float) -> None:
        """Snow on the lit half of the foliage."""
        for x, y in places[:: 2 if size > 4 else 1].tolist():
            self.draw.ellipse((x - size, y - size * 0.75, x + size, y - size * 0.1), fill=_SNOW)

    def _paint_sprays(self, twigs: Points, skeleton: Skeleton, dim: float) -> None:
        """Needles: each twig a brush of short strokes, hanging a little."""
        strokes = 4
        along = np.linspace(0.0, 0.85, strokes)[None, :, None]
        starts = (twigs[:, :1] + (twigs[:, 1:] - twigs[:, :1]) * along).reshape(-1, 3)
        heading = np.repeat(twigs[:, 1] - twigs[:, 0], strokes, axis=0)
        droop = np.array([0, -0.022 if self.form.rise < 0 else -0.006, 0])
        ends = starts + heading * 0.5 + self.rng.normal(0, 0.013, starts.shape) + droop
        light = self._light(ends, skeleton) * self.rng.normal(1, 0.10, len(ends)) * dim
        order = np.argsort(-ends[:, 1] * 0.8 + ends[:, 2], kind="stable")
        colours = self._colours(self.species.leaves[self.scene.season], light[order])
        width = max(2, round(self.form.tuft * self.scale))
        first, last = self._project(starts[order]), self._project(ends[order])
        for (x, y), (u, v), colour in zip(first.tolist(), last.tolist(), colours, strict=True):
            self.draw.line((x, y, u, v), fill=colour, width=width)
        if self.scene.snow:
            self._lay_snow(last[light[order] > np.quantile(light, 0.62)], width * 0.8)

    def _paint_strands(self, twigs: Points, skeleton: Skeleton, dim: float) -> None:
        """A weeping crown: from each twig five strands fall in a curve, ending above the grass."""
        tops = np.repeat(twigs[:, 1], 5, axis=0) + self.rng.normal(0, 0.028, (len(twigs) * 5, 3))
        fall = np.minimum(self.rng.uniform(0.22, 0.62, len(tops)), tops[:, 1] - self.rng.uniform(0.05, 0.16, len(tops)))
        fall = np.maximum(fall, 0.03)
        sway = self.rng.normal(0, 0.02, len(tops)) + tops[:, 0] * 0.10
        light = self._light(tops, skeleton) * self.rng.normal(1, 0.09, len(tops)) * dim
        colours = self._colours(self.species.leaves[self.scene.season], light)
        width = max(2, round(self.form.tuft * self.scale))
        steps = np.linspace(0, 1, 5)
        for top, drop, drift, colour in zip(tops, fall, sway, colours, strict=True):
            curve = np.stack(
                [top[0] + drift * np.sqrt(steps), top[1] + 0.03 * np.sin(steps * 3) - drop * steps**1.3], 1
            )
            line = self._project(np.column_stack([curve, np.zeros(5)]))
            self.draw.line([(float(x), float(y)) for x, y in line], fill=colour, width=width)
