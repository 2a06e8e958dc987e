"""The recipes of the default avatars: named sliders, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from avatar.creation.forge.brows import BeardRecipe, BrowRecipe
from avatar.creation.forge.clothing import ClothingRecipe
from avatar.creation.forge.eyes import IRIS_COLOURS
from avatar.creation.forge.face_form import EyeForm, FaceForm
from avatar.creation.forge.hair_recipe import HairRecipe
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
    description="a woman of about thirty, fair and lightly freckled, chestnut hair tied back",
    phenotype=Phenotype(
        masculinity=0.0,
        age_years=26.0,
        caucasian=0.9,
        asian=0.08,
        african=0.02,
        proportions=1.0,
        weight=0.5,
        details={
            "cheek/*-cheek-bones-incr": 0.3,
            "chin/chin-width-decr": 0.85,
            "chin/chin-bones-decr": 0.45,
            "chin/chin-triangle": 0.3,
            "mouth/mouth-cupidsbow-incr": 0.3,
            "mouth/mouth-angles-up": 0.35,
            "mouth/mouth-scale-horiz-incr": 0.3,
            "mouth/mouth-trans-down": 0.2,
            "mouth/mouth-lowerlip-volume-incr": 0.3,
            "mouth/mouth-upperlip-volume-incr": 0.25,
            "mouth/mouth-lowerlip-height-incr": 0.1,
            "nose/nose-scale-vert-decr": 0.12,
            "nose/nose-base-up": 0.1,
            "nose/nose-point-width-decr": 0.45,
            "nose/nose-width3-decr": 0.15,
            "nose/nose-trans-down": 0.2,
            "nose/nose-nostrils-angle-up": 0.2,
            "eyes/*-eye-scale-incr": 0.55,
            "eyes/*-eye-trans-out": 0.45,
            "eyebrows/eyebrows-trans-up": 0.5,
            "head/head-scale-vert-incr": 0.07,
            "head/head-oval": 0.2,
            "neck/neck-scale-horiz-decr": 0.3,
        },
        form=FaceForm(
            EyeForm(open_mm=0.3, longer_mm=0.8, crease_mm=3.6, fold=0.6, peak=0.1, tilt_mm=1.0),
            cheekbone=0.5,
            cheek=0.15,
            apple=0.6,
            nasolabial=0.15,
            tear_trough=0.2,
            brow_ridge=-0.5,
            socket=0.0,
            temple=0.1,
            forehead=0.4,
            bridge_mm=0,
            wings_mm=0.8,
            tip=0.4,
            crease=0.5,
            philtrum=0.45,
            bow=0.3,
            lip_border=0.25,
            lips_mm=0.1,
            chin=0.25,
            chin_groove=0.35,
            jaw_mm=2.0,
            chin_mm=0.5,
            jaw_line=0.35,
            neck=0.35,
            folds=0.5,
            asymmetry=0.6,
            asymmetry_seed=3,
        ),
    ),
    skin=SkinRecipe(melanin=0.13, redness=0.45, freckles=0.75, gloss=0.5, lip_tint=(0.98, 1.06, 1.04)),
    eyes="green",
    hair=HairRecipe(style="tied", colour=_CHESTNUT, volume=0.2, wave=0.9, strands=2150, parting_m=0.016),
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
        african=0,
        proportions=0.9,
        muscle=0.6,
        details={
            "cheek/*-cheek-bones-incr": 0.35,
            "chin/chin-prominent-incr": 0.25,
            "chin/chin-height-incr": 0.3,
            "chin/chin-bones-decr": 0.35,
            "nose/nose-hump-incr": 0.1,
            "nose/nose-scale-vert-decr": 0.1,
            "nose/nose-flaring-incr": 0.1,
            "mouth/mouth-angles-up": 0.3,
            "mouth/mouth-scale-horiz-incr": 0.5,
            "mouth/mouth-trans-down": 0.1,
            "mouth/mouth-upperlip-height-decr": 0.35,
            "head/head-scale-horiz-incr": 0.15,
            "head/head-scale-vert-incr": 0.12,
            "eyes/*-eye-scale-incr": 0.5,
            "eyes/*-eye-trans-out": 0.1,
        },
        form=FaceForm(
            EyeForm(open_mm=0.3, longer_mm=1.5, crease_mm=1.6, fold=0.8, tilt_mm=0.3, bag=0.35),
            cheekbone=0.6,
            cheek=-0.2,
            apple=0.4,
            nasolabial=0.35,
            tear_trough=0.35,
            brow_ridge=0.0,
            socket=0.1,
            temple=0.2,
            wings_mm=0.3,
            tip=0.3,
            crease=0.7,
            philtrum=0.6,
            bow=0.2,
            lip_border=0.25,
            lips_mm=0.3,
            chin=0.4,
            jaw_mm=1.5,
            chin_mm=0,
            jaw_line=0.6,
            neck=0.6,
            throat=0.7,
            folds=0.6,
            asymmetry=0.9,
            asymmetry_seed=5,
        ),
    ),
    skin=SkinRecipe(
        melanin=0.24, redness=0.4, warmth=0.6, freckles=0.2, stubble=0.55, gloss=0.5, lip_tint=(0.84, 1.02, 1.0)
    ),
    eyes="dark brown",
    hair=HairRecipe(style="short", colour=_BLACK, volume=1.1, wave=0.3, strands=7000, parting_m=0.12),
    brows=BrowRecipe(thickness=1.0, density=1.0, arch=-0.2, colour=_BLACK, lash_length=0.8, lash_density=0.8),
    beard=BeardRecipe(style="stubble", colour=_BLACK),
    clothing=ClothingRecipe(garment="tshirt", colour=(0.035, 0.045, 0.075), heather=0.3),
    seed=23,
)

_AMARA = AvatarRecipe(
    name="amara",
    description="a woman of about thirty, dark skin, natural curls cropped short",
    phenotype=Phenotype(
        masculinity=0.0,
        age_years=28.0,
        caucasian=0.15,
        african=0.85,
        asian=0,
        proportions=0.9,
        details={
            "cheek/*-cheek-bones-incr": 0.5,
            "chin/chin-width-decr": 0.5,
            "chin/chin-height-incr": 0.3,
            "chin/chin-bones-decr": 0.5,
            "chin/chin-prominent-incr": 0.15,
            "mouth/mouth-cupidsbow-incr": 0.3,
            "mouth/mouth-angles-up": 0.3,
            "mouth/mouth-scale-horiz-incr": 0.45,
            "mouth/mouth-trans-down": 0.45,
            "mouth/mouth-trans-backward": 0.15,
            "nose/nose-scale-vert-decr": 0.09,
            "nose/nose-hump-incr": 0.15,
            "nose/nose-trans-down": 0.24,
            "nose/nose-width3-decr": 0.2,
            "nose/nose-point-width-decr": 0.2,
            "eyes/*-eye-scale-incr": 0.5,
            "eyes/*-eye-trans-out": 0.5,
            "eyebrows/eyebrows-trans-up": 0.35,
            "neck/neck-scale-horiz-decr": 0.3,
            "head/head-oval": 0.2,
        },
        form=FaceForm(
            EyeForm(open_mm=0.3, crease_mm=3.2, fold=0.6, tilt_mm=1.4, longer_mm=0.8),
            cheekbone=0.6,
            cheek=0.0,
            apple=0.6,
            nasolabial=0.2,
            tear_trough=0.2,
            brow_ridge=-0.35,
            socket=0.1,
            forehead=0.5,
            wings_mm=1.0,
            tip=0.5,
            crease=0.6,
            philtrum=0.5,
            bow=0.3,
            lip_border=0.25,
            chin=0.4,
            jaw_mm=4.0,
            chin_mm=1.0,
            jaw_line=0.4,
            neck=0.4,
            folds=0.5,
            asymmetry=0.8,
            asymmetry_seed=8,
        ),
    ),
    skin=SkinRecipe(melanin=0.70, redness=0.4, warmth=0.35, freckles=0.3, gloss=0.6, lip_tint=(1.02, 0.88, 0.92)),
    eyes="dark brown",
    hair=HairRecipe(style="curly", colour=_COILS, length=0.38, wave=0.36, strands=3600),
    brows=BrowRecipe(thickness=0.88, density=0.85, arch=0.45, colour=(0.010, 0.008, 0.007)),
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
        details={
            "nose/nose-hump-incr": 0.35,
            "eyes/*-eye-bag-incr": 0.3,
            "mouth/mouth-laugh-lines-in": 0.2,
            "chin/chin-height-incr": 0.4,
            "chin/chin-bones-decr": 0.4,
            "mouth/mouth-angles-up": 0.3,
            "mouth/mouth-scale-horiz-incr": 0.5,
            "mouth/mouth-trans-down": 0.2,
            "mouth/mouth-upperlip-height-decr": 0.35,
            "nose/nose-scale-vert-decr": 0.25,
            "nose/nose-scale-horiz-incr": 0.15,
            "nose/nose-flaring-incr": 0.2,
            "nose/nose-trans-up": 0.2,
            "eyes/*-eye-scale-incr": 0.5,
            "eyes/*-eye-trans-out": 0.2,
            "head/head-scale-vert-incr": 0.1,
        },
        form=FaceForm(
            EyeForm(open_mm=0.4, longer_mm=0.8, crease_mm=2.4, fold=1.0, hood_mm=1.6, bag=0.9),
            cheekbone=0.4,
            cheek=-0.3,
            apple=0.4,
            nasolabial=0.7,
            tear_trough=0.7,
            brow_ridge=0.5,
            socket=0.6,
            temple=0.6,
            tip=0.5,
            crease=0.8,
            philtrum=0.4,
            bow=0,
            lip_border=0.25,
            chin=0.3,
            jaw_mm=1.0,
            jaw_line=0.3,
            neck=0.8,
            throat=0.8,
            folds=1.0,
            asymmetry=1.3,
            asymmetry_seed=11,
        ),
    ),
    skin=SkinRecipe(melanin=0.47, redness=0.35, warmth=0.35, lines=1.0, gloss=0.45, lip_tint=(0.86, 1.02, 1.0)),
    eyes="brown",
    hair=HairRecipe(style="short", colour=_PEPPER, grey=0.65, wave=0.2, strands=3600, recession=0.20, length=0.75),
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
