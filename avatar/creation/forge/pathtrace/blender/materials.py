"""What a person is made of. Lengths in metres, colours linear; `rest` is the place on the undeformed head."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .graph import Graph

__all__ = ["MATERIALS"]

RGB = Sequence[float]


_IN_MOUTH = 0.10
"""Light in the mouth: of what wanders in between the lips a path of two bounces brings next to nothing."""
_THROAT = (0.46, 0.13, 0.11)


def skin(
    freckles: float, scalp: RGB, oil: float, scatter_m: float, redness: float, dark: float, age: float, shave: RGB
) -> Any:
    """Skin that light wanders through, with blood, pigment, pores and grease; lips and lid margins are parts of it.

    Args:
        freckles, oil, redness, dark, age: 0..1.
        scalp: colour of the skin among hairs.
        scatter_m: how far red light wanders.
        shave: tint where a shaved beard shows through.
    """
    g = Graph.material("skin")
    place = g.attribute("rest", "Vector")
    lips, wet, inside, crease = (g.attribute(name) for name in ("lips", "wet", "inside", "crease"))
    tzone, nose, cheek, ears = (g.attribute(name) for name in ("tzone", "nose", "cheek", "ears"))
    beard = g.attribute("beard")

    lip = (lips + 0.22 * (g.noise(place, 330, 2) - 0.5)).ramp(0.22, 0.78)
    face = 1.0 - lip
    colour = g.attribute("albedo", "Color")
    # Haemoglobin in patches of a centimetre and of a millimetre, most on cheeks, nose and ears.
    flush = (0.40 + 0.9 * cheek + 0.9 * nose + 0.7 * ears) * redness * (1.0 - 0.55 * dark)
    colour = g.tinted(colour, (0.96, 0.74, 0.72), g.noise(place, 85, 4, 0.6).ramp(0.36, 0.66) * flush * face)
    colour = g.tinted(colour, (0.95, 0.66, 0.63), g.noise(place, 330, 3, 0.6).ramp(0.44, 0.64) * flush * face)
    # Pigment: blotches, freckles of two sizes, spots of age.
    colour = g.tinted(
        colour, (0.86, 0.76, 0.66), g.noise(place, 55, 3, 0.6).ramp(0.46, 0.74) * face * (0.45 + 0.3 * age)
    )
    crowd = g.noise(place, 140, 1, 0.5).ramp(0.36, 0.62)
    spots = g.noise(place, 430, 1, 0.4).ramp(0.59, 0.70).max(0.8 * g.noise(place, 760, 1, 0.4).ramp(0.63, 0.71))
    colour = g.tinted(
        colour, (0.62, 0.42, 0.29), spots * crowd * (0.9 * g.attribute("freckle") + 0.12) * face * freckles
    )
    if age > 0:
        old = g.noise(place, 120, 2, 0.5).ramp(0.64, 0.74) * g.attribute("upper")
        colour = g.tinted(colour, (0.72, 0.55, 0.42), old * (0.6 * age))
    # Thin skin around the eyes, and what lies in the shade of itself.
    colour = g.tinted(colour, (0.80, 0.66, 0.68), g.attribute("socket") * 0.5)
    colour = g.tinted(colour, (0.88, 0.70, 0.66), g.attribute("lids") * 0.15)
    colour = g.tinted(colour, (0.94, 0.66, 0.62), wet * 0.55)
    colour = g.tinted(colour, (0.80, 0.62, 0.56), crease * (0.12 + 0.30 * age))
    # A shaved or growing beard lies blue-grey under the skin, in single dots.
    dots = g.cells(place, 1100).ramp(0.12, 0.34, 1.0, 0.45)
    colour = g.tinted(colour, shave, beard * dots * face)
    colour = g.blended(colour, scalp, g.attribute("scalp") * 0.75)
    colour = g.tinted(colour, (0.62, 0.50, 0.44), g.attribute("brow") * 0.35)
    pores = g.cells(place, 900)
    colour = g.tinted(
        colour, (0.82, 0.68, 0.62), pores.ramp(0.10, 0.26, 1.0, 0.0) * (0.08 + 0.3 * nose + 0.16 * cheek) * face
    )
    colour = g.blended(colour, g.attribute("lip_colour", "Color"), lip)
    colour = g.tinted(colour, (0.50, 0.40, 0.42), inside)
    colour = g.blended(colour, (0.42, 0.25, 0.22), g.attribute("behind"))

    # Heights: pores, grain of the skin, its unevenness; the lips' fine vertical lines; creases.
    pore = pores.ramp(0.0, 0.34, -1.0, 0.0) * (6e-5 + 9e-5 * nose + 8e-5 * cheek + 3e-5 * age)
    grain = 2.4e-5 * g.cells(place, 1500, "DISTANCE_TO_EDGE").ramp(0.0, 0.16)
    uneven = 2.4e-4 * g.noise(place, 330, 2, 0.6) + (2.2e-4 + 2.0e-4 * age) * g.noise(place, 110, 2)
    lines = 3.0e-4 * g.noise(g.stretched(place, (1.0, 0.24, 0.14)), 1000, 2, 0.6) + 2.0e-4 * g.noise(place, 260)
    height = (pore + grain + uneven) * face + lines * lip - crease * (1.2e-4 + 4.5e-4 * age)
    normal = g.bump(height)

    patchy = g.noise(place, 380, 3, 0.6) - 0.5
    roughness = 0.49 - 0.10 * tzone - 0.12 * lip - 0.26 * wet + 0.24 * patchy
    coat = (0.22 + 0.70 * tzone) * oil + 0.60 * lip + 0.75 * wet
    return g.finish(
        g.principled(
            {
                "Base Color": colour,
                "Roughness": roughness,
                "IOR": 1.42,
                "Normal": normal,
                "Specular IOR Level": 0.46,
                "Subsurface Weight": 1.0 if scatter_m > 0 else 0.0,
                "Subsurface Radius": (1.0, 0.36, 0.18),
                "Subsurface Scale": scatter_m,
                "Coat Weight": coat,
                "Coat Roughness": 0.27 - 0.18 * wet,
                "Coat IOR": 1.40,
                "Coat Normal": normal,
                "Emission Color": _THROAT,
                "Emission Strength": inside * _IN_MOUTH,
            }
        )
    )


def hair(melanin: float, redness: float, tip: float, variety: float, roughness: float = 0.34, grey: float = 0.0) -> Any:
    """Hair by its pigment, darker where `tone` of the hair is above 0; a share `grey` of the hairs has none.

    Reference: M. Chiang et al., "A Practical and Controllable Hair and Fur Model for Production Path Tracing" (2016).
    """
    g = Graph.material("hair")
    g.mark_fibre()
    along = g.node("ShaderNodeHairInfo", output="Intercept")
    chance = g.node("ShaderNodeHairInfo", output="Random")
    pigment = melanin - tip * along + g.attribute("tone") * variety
    if grey > 0:
        pigment = pigment * g.math("FRACT", chance * 7.31, 0.0).ramp(grey - 0.02, grey + 0.02, 0.04, 1.0)
    inputs = {
        "Melanin": pigment,
        "Melanin Redness": redness,
        "Roughness": roughness,
        "Radial Roughness": 0.38,
        "Random Color": variety,
        "Random Roughness": 0.25,
        "Random": chance,
        "IOR": 1.55,
        "Coat": 0.0,
    }
    return g.finish(g.node("ShaderNodeBsdfHairPrincipled", inputs, model="CHIANG", parametrization="MELANIN"))


def lash(colour: RGB) -> Any:
    """Dark and dull: the white highlight of a hair's own model makes thin lashes look pale against the lid."""
    g = Graph.material("lash")
    g.mark_fibre()
    inputs = {"Base Color": colour, "Roughness": 0.55, "Specular IOR Level": 0.12}
    return g.finish(g.principled(inputs))


def fibre(colour: RGB) -> Any:
    """Peach fuzz or loose wool: a coloured, rough, translucent hair."""
    g = Graph.material("fibre")
    inputs = {"Color": colour, "Roughness": 0.5, "Radial Roughness": 0.6}
    return g.finish(g.node("ShaderNodeBsdfHairPrincipled", inputs, model="CHIANG", parametrization="COLOR"))


def eyeball() -> Any:
    """Sclera and iris, coloured per vertex; the sclera lets a little light in."""
    g = Graph.material("eyeball")
    white = g.attribute("sclera")
    height = 5e-5 * g.noise(g.attribute("rest", "Vector"), 500, 3, 0.6) * white
    return g.finish(
        g.principled(
            {
                "Base Color": g.attribute("colour", "Color"),
                "Roughness": 0.55,
                "Specular IOR Level": 0.15,
                "Normal": g.bump(height),
                "Subsurface Weight": 0.9 * white,
                "Subsurface Radius": (1.0, 0.6, 0.45),
                "Subsurface Scale": 0.0012,
            }
        )
    )


def cornea(window: Sequence[float], window_deg: float, catchlight: float) -> Any:
    """A clear wet shell. Shadow and diffuse rays pass it unbent: otherwise the iris would be lit by caustics alone.

    Args:
        window: direction of the lamp that is reflected, the program's axes.
        window_deg: half of its apparent size.
        catchlight: brightness of its reflection. It is drawn, not traced: one ray in forty is reflected, and what a
            few samples catch of a lamp so bright is taken for noise.
    """
    g = Graph.material("cornea")
    height = 0.8e-5 * g.noise(g.attribute("rest", "Vector"), 260)
    glass = g.node("ShaderNodeBsdfGlass", {"Roughness": 0.015, "IOR": 1.376, "Normal": g.bump(height)})
    clear = g.node("ShaderNodeBsdfTransparent")
    shadow = g.node("ShaderNodeLightPath", output="Is Shadow Ray")
    diffuse = g.node("ShaderNodeLightPath", output="Is Diffuse Ray")
    shell = g.node("ShaderNodeMixShader", {0: shadow.max(diffuse), 1: glass, 2: clear})
    length = math.sqrt(sum(c * c for c in window))
    x, y, z = (c / length for c in window)
    mirrored = g.node("ShaderNodeTexCoord", output="Reflection")
    along = g.node("ShaderNodeVectorMath", {0: mirrored, 1: (x, -z, y)}, "Value", operation="DOT_PRODUCT")
    edge = math.cos(math.radians(window_deg))
    seen = along.ramp(edge - 0.012, edge + 0.012) * g.node("ShaderNodeLightPath", output="Is Camera Ray")
    light = g.node("ShaderNodeEmission", {"Color": (1.0, 0.98, 0.96), "Strength": seen * catchlight})
    g.owner.cycles.emission_sampling = "NONE"
    return g.finish(g.node("ShaderNodeAddShader", {0: shell, 1: light}))


_ON_TEETH = 0.30
"""Light that is on the front teeth wherever the lips are, as from a screen or a ring light close in front."""


def tooth(colour: RGB) -> Any:
    """Enamel: yellower towards the neck, translucent at the edge, wet."""
    g = Graph.material("tooth")
    place = g.attribute("rest", "Vector")
    enamel = g.tinted(colour, (0.90, 0.80, 0.62), g.attribute("neck") * 0.7)
    enamel = g.tinted(enamel, (0.88, 0.83, 0.74), g.noise(place, 300, 3, 0.6))
    enamel = g.tinted(enamel, (0.80, 0.83, 0.88), g.attribute("edge") * 0.5)
    normal = g.bump(4e-5 * g.noise(g.stretched(place, (0.4, 1.0, 0.4)), 900))
    return g.finish(
        g.principled(
            {
                "Base Color": enamel,
                "Roughness": 0.24,
                "IOR": 1.54,
                "Normal": normal,
                "Subsurface Weight": 1.0,
                "Subsurface Radius": (1.0, 0.75, 0.6),
                "Subsurface Scale": 0.0009,
                "Coat Weight": 0.6,
                "Coat Roughness": 0.07,
                "Emission Color": enamel,
                "Emission Strength": g.attribute("front") * _ON_TEETH,
            }
        )
    )


def flesh(colour: RGB, lit: float) -> Any:
    """Tongue, gums and the corner of the eye.

    Args:
        lit: share of the light in the mouth that it gets.
    """
    g = Graph.material("flesh")
    place = g.attribute("rest", "Vector")
    normal = g.bump(1.5e-4 * g.noise(place, 650, 3, 0.6))
    return g.finish(
        g.principled(
            {
                "Base Color": g.tinted(colour, (0.80, 0.62, 0.62), g.noise(place, 240, 3, 0.6)),
                "Roughness": 0.38,
                "Normal": normal,
                "Subsurface Weight": 1.0,
                "Subsurface Radius": (1.0, 0.3, 0.2),
                "Subsurface Scale": 0.0018,
                "Coat Weight": 0.7,
                "Coat Roughness": 0.12,
                "Emission Color": colour,
                "Emission Strength": lit * _IN_MOUTH,
            }
        )
    )


def cloth(colour: RGB, fuzz: float, relief_m: float, pattern: str) -> Any:
    """Fabric whose threads are counted by `weave_x` and `weave_y`.

    Args:
        fuzz: 0..1, how woolly.
        relief_m: height of its threads.
        pattern: "knit" (stocking stitch), "rib" or "woven".
    """
    g = Graph.material("cloth")
    place = g.attribute("rest", "Vector")
    x, y = g.attribute("weave_x"), g.attribute("weave_y")
    if pattern == "knit":  # columns of Vs
        leg = g.math("ABSOLUTE", g.math("FRACT", x, 0.0) - 0.5, 0.0) * 2.0
        loop = 0.5 + 0.5 * g.math("COSINE", (y + leg * 0.9) * 6.2832, 0.0)
        ridge = 1.0 - (leg - 0.5) * (leg - 0.5) * 3.6
        weave = ridge * (0.4 + 0.6 * loop)
    elif pattern == "rib":
        ridge = g.math("ABSOLUTE", g.math("COSINE", x * 3.14159, 0.0), 0.0)
        weave = ridge * (0.75 + 0.25 * g.math("COSINE", y * 6.2832, 0.0))
    else:
        weave = 0.5 + 0.5 * g.math("SINE", x * 30.0, 0.0) * g.math("SINE", y * 30.0, 0.0)
    worn = g.noise(place, 900, 3, 0.7)
    shade = g.tinted(colour, (0.62, 0.64, 0.66), worn.ramp(0.3, 0.7) * (0.25 + 0.5 * fuzz))
    shade = g.tinted(shade, (0.84, 0.86, 0.88), g.noise(place, 40, 3, 0.6).ramp(0.3, 0.7))
    shade = g.tinted(shade, (0.50, 0.52, 0.54), (1.0 - weave) * (0.25 if pattern == "woven" else 0.85))
    height = relief_m * weave + (0.4 * relief_m) * worn
    return g.finish(
        g.principled(
            {
                "Base Color": shade,
                "Roughness": 0.88,
                "Specular IOR Level": 0.18,
                "Normal": g.bump(height),
                "Sheen Weight": 0.15 + 0.3 * fuzz,
                "Sheen Roughness": 0.5,
            }
        )
    )


def horn(colour: RGB) -> Any:
    """Buttons."""
    g = Graph.material("horn")
    place = g.attribute("rest", "Vector")
    shade = g.tinted(colour, (0.7, 0.65, 0.6), g.noise(place, 600, 2))
    return g.finish(g.principled({"Base Color": shade, "Roughness": 0.32, "Coat Weight": 0.3}))


MATERIALS: Mapping[str, Callable[..., Any]] = {
    "skin": skin,
    "hair": hair,
    "lash": lash,
    "fibre": fibre,
    "eyeball": eyeball,
    "cornea": cornea,
    "tooth": tooth,
    "flesh": flesh,
    "cloth": cloth,
    "horn": horn,
}
"""Every kind of material by name, called with the numbers that the scene gives."""
