"""For pictures, the nearest of many others: by their pixels, and by what a network sees in them.

By pixels, the distance is the root of the mean squared difference, in levels of 0 to 255; by features, it is that
between the 1,280 features of EfficientNet-Lite0. Each picture is compared as it is and mirrored, since a denoiser is
trained on both, and the lesser distance counts.

Source: Meehan et al. 2020, "A non-parametric test to detect data-copying in generative models" (arXiv:2004.05675),
for the comparison with pictures held out; Carlini et al. 2023 (arXiv:2301.13188), section 4, for what pixels miss.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.efficientnet import SIDE, load_network, picture_features
from models.judging import area_under_curve
from models.nearest_sheet import Row, draw_nearest
from models.runs import RunError
from models.training_pictures import each_picture, open_triplets
from shards.dataset import TripletDataset

HELD_OUT = 100
"""Pictures held out that are compared too, at most."""

Pictures = NDArray[np.uint8]

Describe = Callable[[Pictures], Tensor]
"""Makes vectors (N, D) of pictures (N, S, S, C); the distance of two pictures is that of their vectors."""


class Near(NamedTuple):
    """The nearest to each of Q pictures.

    Attributes:
        distances: float64 (Q,).
        numbers: of the nearest, as they were told, int64 (Q,).
        pictures: the nearest, (Q, S, S, C), mirrored where that is nearer.
    """

    distances: NDArray[np.float64]
    numbers: NDArray[np.int64]
    pictures: Pictures


def choose_ways(has_features: bool) -> dict[str, Describe]:
    """Return what pictures are compared by: pixels, and features where they are wanted and can be had."""
    ways: dict[str, Describe] = {"pixels": by_pixels}
    if has_features:
        try:
            ways["features"] = by_features()
        except RunError as error:
            print(f"pictures are compared by pixels alone: {error}", flush=True)
    return ways


def compare_pictures(
    grown: Pictures, path: str, training: TripletDataset, ways: Mapping[str, Describe]
) -> tuple[dict[str, Any], bytes]:
    """Print how near pictures (N, S, S, C) are to training pictures; return the numbers, and the sheet, a PNG.

    Args:
        grown: the pictures.
        path: of the dataset.
        training: its training split.
        ways: what they are compared by, by name.
    """
    held_out = read_held_out(path, training)
    every = np.concatenate([grown, held_out])
    near = {name: find_nearest(every, each_picture(training), describe) for name, describe in ways.items()}
    found = {name: describe_nearest(way, len(grown), training) for name, way in near.items()}
    for name, told in found.items():
        print(tell(name, told), flush=True)
    rows = [
        Row(picture, {name: (way.pictures[place], float(way.distances[place])) for name, way in near.items()})
        for place, picture in enumerate(every)
    ]
    return found, draw_nearest(rows[: len(grown)], rows[len(grown) : 2 * len(grown)])


def read_held_out(path: str, training: TripletDataset) -> Pictures:
    """Return up to `HELD_OUT` pictures of val and test, evenly out of all, (N, S, S, C); none where none are."""
    splits = [split for split in ("val", "test") if training.manifest.splits.get(split)]
    found = [pictures for split in splits for _, pictures in each_picture(open_triplets(path, split))]
    if not found:
        print("no pictures are held out (no split val or test): nothing says how near is near", flush=True)
        return np.zeros((0, *training.spec.shape), np.uint8)
    every = np.concatenate(found)
    chosen: Pictures = every[np.linspace(0, len(every) - 1, min(HELD_OUT, len(every))).astype(int)]
    return chosen


def describe_nearest(near: Near, num_grown: int, training: TripletDataset) -> dict[str, Any]:
    """Return what was found of the first `num_grown` pictures, and of the others, which were held out.

    Returns:
        `grown`: for each its `distance` to the `nearest` picture, which is from `url`. `held_out`, where there are
        some: their `distances`, how many of the grown are `nearer_than_all` of them, and `nearer_than_one`.
    """
    grown, held_out = near.distances[:num_grown], near.distances[num_grown:]
    samples = [training[number] for number in near.numbers[:num_grown].tolist()]
    told: dict[str, Any] = {
        "grown": [
            {"distance": distance, "nearest": sample["key"].partition("-")[0], "url": sample["meta"]["url"]}
            for distance, sample in zip(grown.tolist(), samples, strict=True)
        ]
    }
    if len(held_out):
        told["held_out"] = {
            "distances": held_out.tolist(),
            "nearer_than_all": int((grown < held_out.min()).sum()),
            "nearer_than_one": nearer_than(grown, held_out),
        }
    return told


def tell(name: str, told: Mapping[str, Any]) -> str:
    """Return what `describe_nearest` returned as one line or two."""
    grown = np.array([each["distance"] for each in told["grown"]])
    line = f"by {name}: the nearest training picture is {np.median(grown):.2f} away (median; least {grown.min():.2f})"
    if "held_out" not in told:
        return line
    real = np.array(told["held_out"]["distances"])
    all_of, one = told["held_out"]["nearer_than_all"], told["held_out"]["nearer_than_one"]
    return (
        f"{line}; from {len(real)} pictures held out, {np.median(real):.2f} (least {real.min():.2f})\n"
        f"  {all_of} of {len(grown)} are nearer than every one held out; than any one of them {one:.0%} of the time "
        "(50 %: like pictures never seen, 100 %: copies)"
    )


def by_pixels(pictures: Pictures) -> Tensor:
    """Return vectors (N, S · S · C); the distance of two is the root mean squared difference, in levels of 0 to 255."""
    values: Tensor = torch.from_numpy(pictures).flatten(1).double()
    return values / float(np.sqrt(values.shape[1]))


def by_features() -> Describe:
    """Return what makes vectors (N, 1280) of pictures, enlarged to what the network was trained on.

    Raises:
        RunError: the package with the network's weights is not installed.
    """
    network = load_network()

    def describe(pictures: Pictures) -> Tensor:
        images = (Image.fromarray(picture if picture.shape[-1] == 3 else picture[:, :, 0]) for picture in pictures)
        return torch.from_numpy(np.stack([picture_features(network, image, SIDE) for image in images])).double()

    return describe


def find_nearest(asked: Pictures, others: Iterable[tuple[NDArray[np.int64], Pictures]], describe: Describe) -> Near:
    """Return the nearest of `others` to each of the pictures `asked` (Q, S, S, C).

    Args:
        asked: one at least.
        others: numbers (B,) and pictures (B, S, S, C), batch by batch.
        describe: what they are compared by.
    """
    Q = len(asked)
    known = torch.cat([describe(asked), describe(np.ascontiguousarray(asked[:, :, ::-1]))])
    near = Near(np.full(Q, np.inf), np.full(Q, -1), np.zeros_like(asked))
    for numbers, pictures in others:
        distances = torch.cdist(known, describe(pictures), compute_mode="donot_use_mm_for_euclid_dist")
        least, which = distances.min(dim=1)
        for place, (distance, row) in enumerate(zip(least.tolist(), which.tolist(), strict=True)):
            one, is_mirrored = place % Q, place >= Q
            if distance < near.distances[one]:
                near.distances[one], near.numbers[one] = distance, numbers[row]
                near.pictures[one] = pictures[row, :, ::-1] if is_mirrored else pictures[row]
    return near


def nearer_than(grown: NDArray[np.float64], held_out: NDArray[np.float64]) -> float:
    """Return how often a grown picture is nearer to a training picture than one held out is, ties counted half.

    About a half where the grown are like pictures never seen; toward 1 the more they are copies.

    >>> nearer_than(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.875
    """
    labels = np.concatenate([np.ones(len(grown)), np.zeros(len(held_out))])
    return area_under_curve(-np.concatenate([grown, held_out]), labels)
