"""What each tree of the arboretum looks like: its form, its bark and its colours through the year."""

from dataclasses import dataclass
from typing import Literal

from crawl.demo.form import Form

Season = Literal["spring", "summer", "autumn", "winter"]
Rgb = tuple[int, int, int]

SEASONS: tuple[Season, ...] = ("spring", "summer", "autumn", "winter")


@dataclass(frozen=True, slots=True)
class Species:
    """One kind of tree: names, form, and colours as sRGB triples.

    `leaves` holds the shades of the foliage in each season; a season that is missing is bare.
    """

    slug: str
    name: str
    latin: str
    form: Form
    bark: Rgb
    leaves: dict[Season, tuple[Rgb, ...]]

    def is_bare(self, season: Season) -> bool:
        """True where the tree stands without leaves in this season."""
        return season not in self.leaves


SPECIES: tuple[Species, ...] = (
    Species(
        "english-oak",
        "English oak",
        "Quercus robur",
        Form("hemispherical", 0.70, 0.24, 0.50, (84, 22), num_limbs=26, girth=0.095, tuft=0.056, rise=0.20),
        (92, 76, 62),
        {
            "spring": ((146, 168, 62), (168, 178, 78), (128, 156, 58)),
            "summer": ((62, 104, 42), (78, 120, 48), (52, 92, 44)),
            "autumn": ((168, 104, 40), (188, 128, 48), (142, 84, 38)),
        },
    ),
    Species(
        "silver-birch",
        "silver birch",
        "Betula pendula",
        Form(
            "tend_flame",
            0.78,
            0.24,
            0.27,
            (52, 24),
            num_limbs=30,
            num_twigs=6,
            girth=0.034,
            tuft=0.027,
            rise=-0.10,
            density=3,
        ),
        (226, 222, 214),
        {
            "spring": ((164, 194, 84), (182, 206, 104), (146, 180, 78)),
            "summer": ((104, 148, 66), (122, 164, 78), (90, 134, 62)),
            "autumn": ((230, 188, 52), (240, 204, 84), (214, 166, 44)),
        },
    ),
    Species(
        "scots-pine",
        "Scots pine",
        "Pinus sylvestris",
        Form(
            "spherical",
            0.76,
            0.52,
            0.30,
            (92, 40),
            num_limbs=15,
            num_twigs=6,
            twig=0.40,
            girth=0.046,
            tuft=0.042,
            flatness=0.55,
            rise=0.22,
            density=2,
        ),
        (172, 106, 68),
        {
            "spring": ((72, 112, 74), (92, 128, 84), (58, 96, 70)),
            "summer": ((58, 98, 70), (76, 114, 78), (46, 84, 64)),
            "autumn": ((64, 98, 66), (82, 112, 72), (52, 84, 60)),
            "winter": ((54, 88, 68), (70, 102, 76), (44, 76, 62)),
        },
    ),
    Species(
        "norway-spruce",
        "Norway spruce",
        "Picea abies",
        Form(
            "conical",
            0.80,
            0.07,
            0.29,
            (98, 62),
            num_limbs=64,
            num_twigs=7,
            twig=0.42,
            girth=0.044,
            foliage="sprays",
            rise=-0.12,
            tuft=0.020,
        ),
        (96, 72, 56),
        {
            "spring": ((52, 98, 58), (82, 128, 68), (40, 82, 54)),
            "summer": ((38, 82, 54), (54, 98, 62), (30, 68, 48)),
            "autumn": ((38, 76, 50), (52, 90, 56), (30, 64, 46)),
            "winter": ((34, 70, 52), (48, 84, 60), (28, 58, 46)),
        },
    ),
    Species(
        "european-beech",
        "European beech",
        "Fagus sylvatica",
        Form("rounded", 0.74, 0.19, 0.46, (80, 20), num_limbs=28, girth=0.068, tuft=0.050, rise=0.22),
        (132, 130, 124),
        {
            "spring": ((150, 192, 76), (170, 206, 96), (132, 176, 70)),
            "summer": ((74, 122, 56), (90, 138, 64), (60, 106, 52)),
            "autumn": ((204, 116, 42), (222, 146, 58), (178, 92, 38)),
        },
    ),
    Species(
        "sugar-maple",
        "sugar maple",
        "Acer saccharum",
        Form("rounded", 0.72, 0.22, 0.42, (72, 18), num_limbs=28, girth=0.058, tuft=0.050, rise=0.16),
        (108, 98, 88),
        {
            "spring": ((172, 192, 78), (186, 200, 96), (154, 178, 70)),
            "summer": ((70, 124, 52), (88, 140, 58), (58, 108, 48)),
            "autumn": ((214, 68, 36), (232, 104, 44), (188, 48, 38)),
        },
    ),
    Species(
        "weeping-willow",
        "weeping willow",
        "Salix babylonica",
        Form(
            "hemispherical",
            0.62,
            0.30,
            0.46,
            (72, 20),
            num_limbs=22,
            num_twigs=6,
            twig=0.40,
            girth=0.085,
            foliage="strands",
            rise=0.10,
            tuft=0.012,
        ),
        (112, 98, 78),
        {
            "spring": ((196, 206, 92), (212, 218, 116), (176, 190, 82)),
            "summer": ((124, 158, 82), (142, 172, 98), (108, 142, 76)),
            "autumn": ((206, 186, 74), (218, 200, 96), (186, 164, 66)),
        },
    ),
    Species(
        "wild-cherry",
        "wild cherry",
        "Prunus avium",
        Form("hemispherical", 0.64, 0.26, 0.42, (68, 24), num_limbs=24, girth=0.052, tuft=0.044, rise=0.18),
        (116, 74, 66),
        {
            "spring": ((246, 214, 220), (252, 236, 236), (232, 184, 198)),
            "summer": ((80, 132, 62), (98, 148, 70), (66, 116, 56)),
            "autumn": ((182, 58, 58), (206, 92, 62), (150, 42, 56)),
        },
    ),
    Species(
        "lombardy-poplar",
        "Lombardy poplar",
        "Populus nigra 'Italica'",
        Form(
            "flame",
            0.80,
            0.06,
            0.23,
            (30, 10),
            num_limbs=52,
            num_twigs=5,
            twig=0.34,
            girth=0.046,
            tuft=0.030,
            flatness=1.4,
            rise=0.30,
        ),
        (104, 94, 80),
        {
            "spring": ((160, 182, 76), (178, 196, 92), (142, 166, 68)),
            "summer": ((82, 128, 58), (100, 144, 66), (68, 112, 54)),
            "autumn": ((222, 184, 56), (234, 202, 82), (200, 158, 48)),
        },
    ),
    Species(
        "european-larch",
        "European larch",
        "Larix decidua",
        Form(
            "conical",
            0.78,
            0.12,
            0.26,
            (88, 52),
            num_limbs=44,
            num_twigs=6,
            twig=0.40,
            girth=0.042,
            foliage="sprays",
            rise=0.06,
            tuft=0.015,
        ),
        (124, 92, 72),
        {
            "spring": ((138, 196, 92), (160, 210, 112), (118, 180, 84)),
            "summer": ((96, 148, 82), (114, 164, 94), (82, 132, 74)),
            "autumn": ((224, 164, 48), (236, 184, 72), (202, 140, 42)),
        },
    ),
    Species(
        "ginkgo",
        "ginkgo",
        "Ginkgo biloba",
        Form("tapered", 0.76, 0.16, 0.27, (50, 18), num_limbs=26, num_twigs=7, girth=0.046, tuft=0.034, rise=0.12),
        (138, 124, 104),
        {
            "spring": ((156, 202, 96), (174, 214, 114), (138, 186, 86)),
            "summer": ((98, 154, 84), (116, 168, 94), (84, 138, 76)),
            "autumn": ((246, 204, 40), (252, 218, 78), (230, 184, 34)),
        },
    ),
    Species(
        "cedar-of-lebanon",
        "cedar of Lebanon",
        "Cedrus libani",
        Form(
            "layered",
            0.70,
            0.26,
            0.50,
            (90, 78),
            num_limbs=20,
            num_twigs=8,
            twig=0.34,
            girth=0.080,
            tuft=0.050,
            flatness=0.30,
            rise=0.04,
            density=3,
        ),
        (106, 88, 74),
        {
            "spring": ((76, 112, 84), (94, 130, 98), (62, 96, 76)),
            "summer": ((62, 100, 80), (80, 116, 92), (50, 84, 70)),
            "autumn": ((64, 98, 76), (80, 112, 86), (52, 82, 66)),
            "winter": ((58, 90, 76), (74, 104, 86), (46, 76, 66)),
        },
    ),
)

BY_SLUG: dict[str, Species] = {species.slug: species for species in SPECIES}
