"""The recipes of the default avatars: named sliders, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from avatar.creation.forge.brows import BeardRecipe, BrowRecipe
from avatar.creation.forge.clothing import ClothingRecipe
from avatar.creation.forge.eyes import IRIS_COLOURS
from avatar.creation.forge.hair import HairRecipe
from avatar.creation.forge.makehuman import Phenotype
from avatar.creation.forge.mouth import MouthRecipe
from avatar.creation.forge.skin import SkinRecipe
from avatar.errors import UserError

__all__ = ["AvatarRecipe", "recipe_named", "recipes"]


@dataclass(frozen=True)
class AvatarRecipe:
    """Everything that makes one avatar.

    Attributes:
        name: of the asset, lower case.
        description: one line for lists.
        phenotype: build of the head; its `details` shape the face.
        skin, hair, brows, beard, clothing, mouth: sliders of each.
        eyes: a name in `eyes.IRIS_COLOURS`.
        detail_m: distance between the splats on the cheek.
        seed: of everything random.
    """

    name: str
    description: str = ""
    phenotype: Phenotype = field(default_factory=Phenotype)
    skin: SkinRecipe = field(default_factory=SkinRecipe)
    eyes: str = "brown"
    hair: HairRecipe = field(default_factory=HairRecipe)
    brows: BrowRecipe = field(default_factory=BrowRecipe)
    beard: BeardRecipe = field(default_factory=BeardRecipe)
    clothing: ClothingRecipe = field(default_factory=ClothingRecipe)
    mouth: MouthRecipe = field(default_factory=MouthRecipe)
    detail_m: float = 0.00115
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name != self.name.lower():
            raise UserError(f"avatar recipe: expected a short lower-case name, got {self.name!r}")
        if self.eyes not in IRIS_COLOURS:
            raise UserError(f"unknown eye colour {self.eyes!r}: choose one of {', '.join(IRIS_COLOURS)}")


_CHESTNUT = (0.072, 0.033, 0.015)
_BLACK = (0.016, 0.012, 0.010)
_COILS = (0.014, 0.0095, 0.0075)
_PEPPER = (0.062, 0.055, 0.050)

_CLARA = AvatarRecipe(
    name="clara",
    description="a woman of about thirty, fair and lightly freckled, long chestnut hair",
    phenotype=Phenotype(
        masculinity=0.0,
        age_years=27.0,
        caucasian=0.85,
        asian=0.10,
        african=0.05,
        proportions=0.9,
        details={
            "mouth/mouth-angles-up": 0.75,
            "mouth/mouth-cupidsbow-incr": 0.3,
            "head/head-oval": 0.5,
            "cheek/*-cheek-bones-incr": 0.3,
            "nose/nose-scale-horiz-decr": 0.35,
            "eyes/*-eye-height2-incr": 0.35,
            "eyes/*-eye-scale-incr": 0.25,
            "cheek/*-cheek-volume-decr": 0.3,
            "chin/chin-width-decr": 0.6,
            "head/head-fat-decr": 0.35,
            "head/head-invertedtriangular": 0.25,
        },
    ),
    skin=SkinRecipe(melanin=0.13, redness=0.55, freckles=0.55, gloss=0.5),
    eyes="green",
    hair=HairRecipe(style="long", colour=_CHESTNUT, wave=0.75, strands=2150, parting_m=0.024),
    brows=BrowRecipe(thickness=0.85, density=0.85, arch=0.5, colour=(0.055, 0.030, 0.017)),
    clothing=ClothingRecipe(garment="jumper", colour=(0.045, 0.115, 0.120), heather=0.35),
    seed=11,
)

_KENJI = AvatarRecipe(
    name="kenji",
    description="a man in his thirties, East Asian, short black hair",
    phenotype=Phenotype(
        masculinity=1.0,
        age_years=32.0,
        caucasian=0.05,
        asian=0.95,
        african=0.0,
        proportions=0.9,
        details={
            "mouth/mouth-angles-up": 0.7,
            "eyes/*-eye-height2-incr": 0.3,
            "chin/chin-bones-incr": 0.4,
            "neck/neck-scale-horiz-incr": 0.3,
            "nose/nose-curve-convex": 0.2,
        },
    ),
    skin=SkinRecipe(melanin=0.24, redness=0.35, warmth=0.6, stubble=0.40, gloss=0.5, lip_tint=(0.84, 1.02, 1.0)),
    eyes="dark brown",
    hair=HairRecipe(style="short", colour=_BLACK, wave=0.15, strands=4000, parting_m=0.028),
    brows=BrowRecipe(thickness=1.0, density=1.0, arch=-0.2, colour=_BLACK, lash_length=0.8, lash_density=0.8),
    beard=BeardRecipe(style="stubble", colour=_BLACK),
    clothing=ClothingRecipe(garment="shirt", colour=(0.30, 0.37, 0.46), heather=0.12),
    seed=23,
)

_AMARA = AvatarRecipe(
    name="amara",
    description="a woman of about thirty, dark skin, natural curls",
    phenotype=Phenotype(
        masculinity=0.0,
        age_years=29.0,
        caucasian=0.05,
        asian=0.0,
        african=0.95,
        proportions=0.9,
        details={
            "mouth/mouth-angles-up": 0.8,
            "head/head-oval": 0.5,
            "head/head-fat-decr": 0.2,
            "chin/chin-width-decr": 0.6,
            "eyes/*-eye-height2-incr": 0.3,
            "eyes/*-eye-scale-incr": 0.3,
            "cheek/*-cheek-bones-incr": 0.4,
            "nose/nose-scale-horiz-decr": 0.35,
            "neck/neck-scale-horiz-decr": 0.4,
        },
    ),
    skin=SkinRecipe(melanin=0.70, redness=0.4, warmth=0.35, gloss=0.6, lip_tint=(1.02, 0.88, 0.92)),
    eyes="dark brown",
    hair=HairRecipe(style="curly", colour=_COILS, wave=1.0, strands=2500),
    brows=BrowRecipe(thickness=0.75, density=0.8, arch=0.6, colour=(0.010, 0.008, 0.007)),
    clothing=ClothingRecipe(garment="jumper", colour=(0.42, 0.20, 0.035), heather=0.35),
    seed=37,
)

_RAVI = AvatarRecipe(
    name="ravi",
    description="a man in his sixties, brown skin, receding grey hair and a short beard",
    phenotype=Phenotype(
        masculinity=1.0,
        age_years=66.0,
        caucasian=0.70,
        asian=0.15,
        african=0.15,
        proportions=0.7,
        details={"mouth/mouth-angles-up": 0.7},
    ),
    skin=SkinRecipe(melanin=0.47, redness=0.35, warmth=0.35, lines=1.0, gloss=0.45, lip_tint=(0.86, 1.02, 1.0)),
    eyes="brown",
    hair=HairRecipe(style="short", colour=_PEPPER, grey=0.65, wave=0.2, strands=3600, recession=0.34, length=0.75),
    brows=BrowRecipe(
        thickness=1.0, density=0.9, arch=-0.2, colour=_PEPPER, grey=0.35, lash_length=0.7, lash_density=0.7
    ),
    beard=BeardRecipe(style="short", colour=_PEPPER, grey=0.65),
    clothing=ClothingRecipe(garment="shirt", colour=(0.42, 0.40, 0.36), heather=0.15),
    seed=41,
)


def recipes() -> dict[str, AvatarRecipe]:
    """The recipes of the avatars that ship, by name."""
    return {recipe.name: recipe for recipe in (_AMARA, _CLARA, _KENJI, _RAVI)}


def recipe_named(name: str) -> AvatarRecipe:
    """One of `recipes()`.

    Raises:
        UserError: for an unknown name.
    """
    known = recipes()
    if name not in known:
        raise UserError(f"no recipe named {name!r}: choose one of {', '.join(known)}")
    return known[name]
