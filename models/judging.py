"""How good a classifier's probabilities are: accuracy, order, and whether they mean what they say."""

import io

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 10
"""Of the calibration plot, each a tenth wide."""

Floats = NDArray[np.float64]


def judge(log_odds: Floats, labels: Floats) -> dict[str, float]:
    """Return what log odds (N,) are worth beside labels (N,), both kinds of which must be there.

    Returns:
        `accuracy` at one half, `auc`, `recall` of the topic, `precision`, `loss` in nats, and `calibration_error`.
    """
    said, is_topic = log_odds > 0, labels > 0.5
    return {
        "accuracy": float((said == is_topic).mean()),
        "auc": area_under_curve(log_odds, labels),
        "recall": float(said[is_topic].mean()),
        "precision": float(is_topic[said].mean()) if said.any() else 0.0,
        "loss": float((np.logaddexp(0, log_odds) - labels * log_odds).mean()),
        "calibration_error": calibration_error(log_odds, labels),
    }


def area_under_curve(log_odds: Floats, labels: Floats) -> float:
    """Return the chance that an example of the topic scores above one of the rest, ties counted half.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic curve".

    >>> area_under_curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0]))
    0.75
    """
    _, place, counts = np.unique(log_odds, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # the mean rank of those that tie
    num_topic = labels.sum()
    above = ranks[labels > 0.5].sum() - num_topic * (num_topic + 1) / 2
    return float(above / (num_topic * (len(labels) - num_topic)))


def calibration(log_odds: Floats, labels: Floats) -> tuple[Floats, Floats, Floats]:
    """Return of each bin the mean probability said, the share that was of the topic, and how many: (NUM_BINS,) each.

    A bin with nothing in it has zeros.
    """
    said = np.exp(-np.logaddexp(0, -log_odds))
    bins = np.minimum((said * NUM_BINS).astype(int), NUM_BINS - 1)
    counts = np.bincount(bins, minlength=NUM_BINS).astype(np.float64)
    sums = (np.bincount(bins, weights=values, minlength=NUM_BINS) for values in (said, labels))
    mean_said, share = (total / np.maximum(counts, 1) for total in sums)
    return mean_said, share, counts


def calibration_error(log_odds: Floats, labels: Floats) -> float:
    """Return how far off the probabilities are, in the mean over examples, bin by bin.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599), equation 3.
    """
    said, share, counts = calibration(log_odds, labels)
    return float((counts * np.abs(said - share)).sum() / counts.sum())


def draw_calibration(log_odds: Floats, labels: Floats, topic: str) -> bytes:
    """Return a PNG: the share that was of the topic over the probability said, above how often that was said."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes 0.5 s, and only drawing needs it

    said, share, counts = calibration(log_odds, labels)
    figure = Figure(figsize=(5, 6), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot((0, 1), (0, 1), linestyle="--", color="grey", label="what it says is what happens")
    above.plot(said[counts > 0], share[counts > 0], marker="o", label="held out")
    above.set(ylabel=f"share that is '{topic}'", title=f"{int(counts.sum())} examples held out")
    above.legend()
    below.bar((np.arange(NUM_BINS) + 0.5) / NUM_BINS, counts, width=0.9 / NUM_BINS)
    below.set(xlabel=f"probability of '{topic}' that it says", ylabel="examples", yscale="symlog")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()
