"""Which split a record falls into: drawn by its cluster, so that near duplicates never stand on both sides."""

import hashlib

from pipelines.recipe import SplitConfig


def draw_split(cluster: str, fractions: SplitConfig) -> str:
    """The split of every record in `cluster`: "train", "val" or "test".

    A hash of the cluster's name, read as a fraction, is compared with the recipe's; no record moves when others come.

    >>> draw_split("0123456789abcdef0123456789abcdef", SplitConfig(train=1.0, val=0.0, test=0.0))
    'train'
    """
    digest = hashlib.sha256(f"split:{cluster}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < fractions.train:
        return "train"
    return "val" if place < fractions.train + fractions.val else "test"
