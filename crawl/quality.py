"""How good a text is by a trained head: logistic regression on hashed n-grams, as `models.classifier` trains it.

The head is a small JSON file, `models.heads` says which; here it is read and asked with numpy alone, so that texts are
scored where they are cleaned. No sum depends on its order, as a network's do: each is rounded once.

Source: Brown et al. 2020, "Language Models are Few-Shot Learners" (arXiv:2005.14165), appendix A: a logistic regression
on hashed words tells good texts from the rest of a crawl.
"""

import base64
import binascii
import json
import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_WORDS = 2
"""Words in the longest n-gram, as in training."""

SCORE_DIGITS = 4

_WORD = re.compile(r"\w+|[^\w\s]")
_SIGN = 1 << 31


@dataclass(frozen=True, slots=True, eq=False)
class QualityHead:
    """What was learnt.

    Attributes:
        topic: the label of good texts.
        weights: float64 (D,), one for each place that an n-gram can fall to.
        bias: the log odds of a text without words.
    """

    topic: str
    weights: npt.NDArray[np.float64]
    bias: float


def parse_head(content: bytes) -> QualityHead:
    """Return the head in a file that `seedbed train classifier` wrote.

    Raises:
        ValueError: it is none, or was trained on pictures.
    """
    try:
        held = json.loads(content)
        weights = np.frombuffer(base64.b64decode(held["weights"], validate=True), "<f4").astype(np.float64)
        topic, features, bias = str(held["topic"]), str(held["features"]), float(held["bias"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise ValueError(f"no trained head ({type(error).__name__}: {error})") from error
    if features != "ngrams":
        raise ValueError(f"a head trained on '{features}'; give one trained on texts")
    if not len(weights) or not np.isfinite(weights).all() or not math.isfinite(bias):
        raise ValueError(f"no trained head ({len(weights)} weights, not all finite)")
    return QualityHead(topic, weights, bias)


def score_text(text: str, head: QualityHead) -> float:
    """Return how likely a text is good, in [0, 1], in `SCORE_DIGITS` digits.

    >>> score_text("", QualityHead("good", np.zeros(8), 0.0))
    0.5
    """
    places, values = ngram_features(text, len(head.weights))
    log_odds = math.fsum((values.astype(np.float64) * head.weights[places]).tolist()) + head.bias
    return round(float(np.exp(-np.logaddexp(0, -log_odds))), SCORE_DIGITS)


def ngram_features(text: str, num_places: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return where the words and pairs of words of a text fall, in order, and what stands there, of length 1 in all.

    A hash gives each n-gram its place and its sign; counts go in as 1 + log(count).

    Source: Weinberger et al. 2009, "Feature hashing for large scale multitask learning" (arXiv:0902.2206), section 2.
    """
    sums: defaultdict[int, float] = defaultdict(float)
    for ngram, count in Counter(_ngrams(_WORD.findall(text.lower()))).items():
        code = zlib.crc32(ngram.encode(errors="replace"))
        sums[code % num_places] += (1 + math.log(count)) * (1 if code & _SIGN else -1)
    places = np.array(sorted(sums), np.int64)
    values = np.array([sums[place] for place in places.tolist()], np.float64)
    length = math.sqrt(math.fsum((values * values).tolist()))
    return places, (values / (length or 1.0)).astype(np.float32)


def _ngrams(words: list[str]) -> Iterator[str]:
    for length in range(1, MAX_WORDS + 1):
        runs = zip(*(words[start:] for start in range(length)), strict=False)
        yield from map(" ".join, runs)
