"""How a kind of tree grows: the numbers the branching model works from."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Form:
    """How a tree grows; lengths are fractions of the tree's own height, angles are degrees.

    Attributes:
        profile: the outline its limbs fill, one of `trees.PROFILES`.
        height: of the tree, in picture heights.
        crown_base: where on the stem the lowest limb sits.
        reach: length of the longest limb.
        angles: between stem and limb, (lowest limb, highest limb).
        num_limbs: limbs on the stem.
        num_twigs: twigs on each limb.
        twig: length of a twig, as a fraction of its limb.
        rise: how far a limb bends upward along its length; negative droops.
        girth: width of the stem at the ground.
        foliage: "leaves" are round tufts, "sprays" are needled twigs, "strands" hang.
        tuft: radius of a tuft of leaves.
        flatness: height of a tuft over its width.
        density: tufts on each twig.
    """

    profile: str
    height: float
    crown_base: float
    reach: float
    angles: tuple[float, float]
    num_limbs: int = 26
    num_twigs: int = 7
    twig: float = 0.45
    rise: float = 0.15
    girth: float = 0.06
    foliage: Literal["leaves", "sprays", "strands"] = "leaves"
    tuft: float = 0.05
    flatness: float = 0.8
    density: int = 3
