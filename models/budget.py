"""How long to train, and how fast to learn meanwhile."""

import math
import time
from dataclasses import dataclass


@dataclass
class Budget:
    """How much training there is to do, and how much is done.

    Attributes:
        seconds: of training, reading and reports included; counts where `num_steps` is 0.
        num_steps: optimiser steps; 0 trains by the clock.
        step: steps done.
        spent_s: seconds trained before this process.
    """

    seconds: float
    num_steps: int
    step: int = 0
    spent_s: float = 0.0

    def __post_init__(self) -> None:
        self._started = time.monotonic()

    def elapsed_s(self) -> float:
        """Return the seconds trained, those before an interruption included."""
        return self.spent_s + time.monotonic() - self._started

    def fraction(self) -> float:
        """Return how much of the training is done, in [0, 1]."""
        done = self.step / self.num_steps if self.num_steps else self.elapsed_s() / self.seconds
        return min(1.0, done)


def learning_rate(fraction: float, step: int, peak: float, warmup_steps: int) -> float:
    """Return the learning rate: a linear rise over the first steps, then half a cosine from `peak` down to zero.

    Source: Loshchilov and Hutter 2017, "SGDR" (arXiv:1608.03983), without restarts.

    Args:
        fraction: of the training done, in [0, 1].
        step: optimiser steps done.
        peak: the highest rate.
        warmup_steps: steps of the rise.
    """
    rise = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return peak * rise * (1 + math.cos(math.pi * fraction)) / 2
