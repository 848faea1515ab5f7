"""A trained head: what turns the features of a picture or text into how likely it is of a topic. A small JSON file.

    {"topic": "tree", "features": "efficientnet-lite0", "side": 224, "bias": 0.1, "weights": "base64 of float32 …",
     "about": {"command": …, "data": …, "seed": …, "figures": …}}

Reading one needs numpy alone.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.runs import RunError
from shards.manifest import canonical_json

KINDS = ("efficientnet-lite0", "pixels", "ngrams")
"""Kinds of features: of pictures the first two, of texts the last."""

SCORE_DIGITS = 4
"""Digits of a score that stand: a network's sums differ in the sixth between machines."""


@dataclass(frozen=True)
class Head:
    """What was learnt.

    Attributes:
        topic: what it tells.
        features: what it is told by, one of `KINDS`.
        side: of the pictures that the features were taken of, in pixels; 0 of texts.
        weights: float32 (D,), one for each feature.
        bias: the log odds where all features are 0.
        about: how it was made: command, data, seed, figures.
    """

    topic: str
    features: str
    side: int
    weights: NDArray[np.float32]
    bias: float
    about: Mapping[str, Any] = field(default_factory=dict)

    def score(self, features: NDArray[np.float32]) -> float:
        """Return how likely an example with features (D,) is of the topic, in [0, 1], in `SCORE_DIGITS` digits."""
        log_odds = float(features.astype(np.float64) @ self.weights.astype(np.float64)) + self.bias
        return round(float(np.exp(-np.logaddexp(0, -log_odds))), SCORE_DIGITS)

    def to_bytes(self) -> bytes:
        """Return the file."""
        weights = base64.b64encode(self.weights.astype("<f4").tobytes()).decode()
        held = {"topic": self.topic, "features": self.features, "side": self.side, "bias": self.bias}
        return canonical_json({**held, "weights": weights, "about": dict(self.about)}).encode()


def read_head(path: Path) -> Head:
    """Return the head in the file that `Head.to_bytes` gave.

    Raises:
        RunError: it cannot be read, or is none.
    """
    try:
        held = json.loads(path.read_bytes())
        weights = np.frombuffer(base64.b64decode(held["weights"], validate=True), "<f4")
        head = Head(
            topic=str(held["topic"]),
            features=str(held["features"]),
            side=int(held["side"]),
            weights=weights,
            bias=float(held["bias"]),
            about=dict(held["about"]),
        )
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); train one: seedbed train classifier") from error
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise RunError(f"{path}: no trained head ({type(error).__name__}: {error})") from error
    if head.features not in KINDS or not np.isfinite(weights).all() or not np.isfinite(head.bias):
        raise RunError(f"{path}: no trained head (features '{head.features}', {len(weights)} weights)")
    return head
