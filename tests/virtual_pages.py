"""Pages that were never fetched: addresses, titles, texts and captions, with hostile strings where they are wanted."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

PICTURES_PER_PAGE = 5
SPLIT_OF_TWENTY = ("train",) * 18 + ("val", "test")
HOSTS = 40
KINDS = ("oak", "beech", "lime", "birch", "maple", "ash", "elm", "rowan", "larch", "pine", "yew", "willow")
PLACES = ("by the river", "in the park", "on the hill", "at dusk", "in snow", "behind the house", "in bloom")


@dataclass(frozen=True)
class Page:
    """A page, and the pictures on it: what the tables of every stage are made from."""

    number: int
    url: str
    title: str
    text: str
    captions: tuple[str, ...]
    author: str
    is_planted: bool

    @property
    def host(self) -> str:
        """As the ledger has it."""
        return urlsplit(self.url).hostname or "nowhere.example"

    @property
    def split(self) -> str:
        """By its number: 18 of 20 are for training."""
        return SPLIT_OF_TWENTY[self.number % 20]

    def picture_url(self, number: int) -> str:
        """The address of one of its pictures."""
        return f"{self.url.removesuffix('.html')}/{number}.png"


def make_pages(count: int, num_words: int, planted: Sequence[str]) -> Iterator[Page]:
    """Pages with their words drawn from a seed; the first say what is planted, one string each."""
    rng = np.random.default_rng(7)
    made = sorted({"".join(syllables) for syllables in itertools.product(("ba", "no", "ri", "tel", "mu"), repeat=4)})
    vocabulary = np.array([*KINDS, "the", "a", "of", "and", "old", "tree", *made])
    for number in range(count):
        hostile = planted[number] if number < len(planted) else ""
        kind, place = KINDS[number % len(KINDS)], PLACES[number % len(PLACES)]
        words = vocabulary[rng.integers(0, len(vocabulary), num_words)]
        address = f"https://trees-{number % HOSTS:02d}.example/{kind}/{number}.html"
        yield Page(
            number,
            hostile if hostile.startswith("javascript:") else f"{address}?{hostile}&page" if hostile else address,
            hostile or f"The {kind} {place}",
            f"{hostile} {' '.join(words)}".strip(),
            tuple(hostile or f"An old {kind} {place}, {n + 1}" for n in range(PICTURES_PER_PAGE)),
            hostile or f"Gardener {number % 90}",
            bool(hostile),
        )
