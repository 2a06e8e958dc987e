"""People made up at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avatar.creation.forge.brows import BEARDS
from avatar.creation.forge.clothing import GARMENTS
from avatar.creation.forge.recipe import AvatarRecipe
from avatar.creation.forge.sliders import CLOTH_COLOURS, HAIR_COLOURS, SLIDERS, Slider, plain_recipe, with_value

__all__ = ["surprise"]


def surprise(name: str, seed: int) -> AvatarRecipe:
    """Somebody whom nobody has met: traits that go together in people, drawn at random.

    Args:
        seed: the same seed gives the same person.
    """
    rng = np.random.default_rng(seed)
    man = bool(rng.random() < 0.5)
    age = float(np.clip(25 + 18 * rng.gamma(1.4, 1.0), 25, 78))
    old = float(np.clip((age - 38) / 35, 0, 1))
    african, asian, caucasian = rng.dirichlet((0.45, 0.45, 0.55))
    melanin = float(np.clip(0.72 * african + 0.24 * asian + 0.12 * caucasian + rng.normal(0, 0.06), 0.05, 0.9))
    fair = bool(caucasian > 0.7 and rng.random() < 0.6)
    hair = str(rng.choice(list(HAIR_COLOURS)[3:8] if fair else ["black", "black", "dark brown", "chestnut"]))
    styles = ("short", "short", "cropped", "none") if man else ("long", "bob", "tied", "short")
    style = "curly" if african > 0.55 and rng.random() < 0.7 else str(rng.choice(styles))
    eyes = str(
        rng.choice(["blue", "green", "grey", "hazel", "brown"] if fair else ["dark brown", "dark brown", "brown"])
    )
    beard = str(rng.choice(BEARDS)) if man else "none"
    chosen: dict[str, float | str] = {
        "phenotype.masculinity": 1.0 if man else 0.0,
        "phenotype.age_years": age,
        "phenotype.african": float(african),
        "phenotype.asian": float(asian),
        "phenotype.caucasian": float(caucasian),
        "skin.melanin": melanin,
        "skin.freckles": float(rng.random()) ** 3 if fair else 0.0,
        "skin.lines": old,
        "skin.stubble": 0.4 * float(rng.random()) if man else 0.0,
        "phenotype.form.nasolabial": 0.2 + 0.5 * old,
        "phenotype.form.eyes.bag": 0.2 + 0.5 * old,
        "phenotype.form.eyes.crease_mm": float(rng.uniform(1.4, 2.4) if asian > 0.6 else rng.uniform(2.6, 3.8)),
        "phenotype.form.jaw_mm": float(rng.uniform(0.0, 1.5) if man else rng.uniform(2.5, 4.5)),
        "phenotype.form.brow_ridge": float(rng.uniform(0.0, 0.6) if man else rng.uniform(-0.5, 0.0)),
        "phenotype.form.asymmetry": float(rng.uniform(0.6, 1.2)),
        "eyes": eyes,
        "hair.style": style,
        "hair.colour": hair,
        "hair.grey": old * float(rng.random()),
        "hair.recession": old * float(rng.random()) * 0.5 if man else 0.0,
        "hair.length": 1.0,
        "hair.volume": 1.0,
        "hair.wave": float(rng.random()),
        "brows.thickness": float(rng.uniform(0.95, 1.15) if man else rng.uniform(0.7, 0.95)),
        "brows.arch": float(rng.uniform(-0.4, 0.1) if man else rng.uniform(0.1, 0.8)),
        "beard.style": beard,
        "clothing.garment": str(rng.choice(GARMENTS)),
        "clothing.colour": str(rng.choice(list(CLOTH_COLOURS))),
    }
    recipe = plain_recipe(name)
    for control in SLIDERS:
        value = chosen.get(control.paths[0])
        if value is None and isinstance(control, Slider):
            value = _near(control.value(recipe), control, rng)
        if value is not None:
            recipe = with_value(recipe, control, round(value, 3) if isinstance(value, float) else value)
    return replace(recipe, seed=int(rng.integers(1, 10_000)))


def _near(value: float, slider: Slider, rng: np.random.Generator) -> float:
    """A place not far from where a slider stands."""
    return float(np.clip(value + rng.normal(0, 0.12) * (slider.high - slider.low), slider.low, slider.high))
