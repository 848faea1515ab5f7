"""The ladder of one picture at any level from 0 to 100 %, by the one definition that the shards have of it."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.inspect.pixels import Pixels, values_to_pixels
from shards.noise import sample_id
from shards.triplet import TripletSpec, corrupt, picture_key

PERCENT = 100


def percent_spec(spec: TripletSpec) -> TripletSpec:
    """Returns the spec of the same ladder in a hundred steps; where it has a rung too, the bits are those of the rung.

    A ladder of variances given one by one is gone up evenly to the last of them.
    """
    if spec.schedule == "list":
        sigma = float(np.sqrt(spec.variances[-1]))
        return replace(spec, steps=PERCENT, schedule="add", sigma=sigma, variances=())
    return replace(spec, steps=PERCENT)


def noisy_at(spec: TripletSpec, key: str, clean: Pixels, draw: int, percent: int) -> NDArray[np.float16]:
    """Returns the noisy picture (S, S, C) at a level, from 1 to 100 %."""
    fine = percent_spec(spec)
    noisy: NDArray[np.float16] = corrupt(fine, clean[None], [sample_id(key)], [draw], np.array([percent]))[1][0]
    return noisy


def pixels_at(spec: TripletSpec, key: str, clean: Pixels, draw: int, percent: int) -> Pixels:
    """Returns the picture as it looks at a level, from 0 to 100 %."""
    return clean if percent == 0 else values_to_pixels(noisy_at(spec, key, clean, draw, percent))


def percent_of(spec: TripletSpec, step: int) -> int:
    """Returns the level of a rung, to a whole per cent.

    >>> percent_of(TripletSpec(8), 3), percent_of(TripletSpec(8, steps=3, schedule="list", variances=(1, 2, 4)), 1)
    (60, 25)
    """
    return round(exact_percent(spec, step))


def exact_percent(spec: TripletSpec, step: int) -> float:
    """Returns the level of a rung.

    >>> exact_percent(TripletSpec(8, steps=8), 5)
    62.5
    """
    if spec.schedule == "list" and spec.corruption == "gaussian":
        return PERCENT * spec.variances[step - 1] / spec.variances[-1]
    return PERCENT * step / spec.steps


def is_recomputed(spec: TripletSpec, sample: dict[str, Any]) -> bool:
    """Returns whether noise and noisy, made anew from picture, seed, step and draw, are what stands in a sample."""
    key = picture_key(sample["clean"])
    step = np.array([sample["step"]])
    noise, noisy = corrupt(spec, sample["clean"][None], [sample_id(key)], [sample["draw"]], step)
    same = (noise[0].tobytes(), noisy[0].tobytes()) == (sample["noise"].tobytes(), sample["noisy"].tobytes())
    return same and str(sample["key"]).startswith(key)
