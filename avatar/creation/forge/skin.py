"""Skin: what it is made of, how light sits in it, and the splats that cover it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar.creation.forge.facemarks import FaceMarks, region_mask
from avatar.creation.forge.lighting import DensityGrid, MeshOccluder, Studio, diffuse, irradiance
from avatar.creation.forge.noise import bumped, fbm, gradient_noise, smoothstep
from avatar.creation.forge.shading import shade_surface
from avatar.creation.forge.splats import Splats, frames_from_axes
from avatar.creation.forge.surface import SkinSurface, SurfacePoints

__all__ = [
    "BakedSkin",
    "SkinMaterial",
    "SkinRecipe",
    "bake_skin",
    "creases",
    "mirrored",
    "skin_material",
    "skin_radius",
    "skin_splats",
    "skin_tone",
    "spot",
]

_TONES = np.array(
    [
        [0.640, 0.445, 0.360],
        [0.530, 0.345, 0.262],
        [0.440, 0.268, 0.190],
        [0.335, 0.180, 0.112],
        [0.225, 0.106, 0.060],
        [0.140, 0.062, 0.035],
        [0.085, 0.040, 0.026],
    ]
)
"""Linear reflectance from the fairest to the darkest skin, evenly spaced in the `melanin` slider."""

_SCATTER_M = (0.0046, 0.0021, 0.0013)
"""How far red, green and blue light wander under the skin."""


@dataclass(frozen=True)
class SkinRecipe:
    """Sliders of the skin, each 0..1 unless said otherwise.

    Attributes:
        melanin: fair to dark.
        redness: blood under the cheeks, nose and ears (-0.5 .. 1).
        warmth: -1 rosy .. 1 golden or olive.
        freckles, lines: how many freckles; how deep the lines of age.
        stubble: shaved beard showing through.
        lip_tint: linear RGB factor on the lips.
        gloss: strength of the sheen.
    """

    melanin: float = 0.2
    redness: float = 0.5
    warmth: float = 0.0
    freckles: float = 0.0
    lines: float = 0.0
    stubble: float = 0.0
    lip_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gloss: float = 0.5


@dataclass(frozen=True)
class SkinMaterial:
    """Per point: linear albedo, sheen, roughness, normals with pores and lines, thinness (for light from behind)."""

    albedo: Float[np.ndarray, "n 3"]
    specular: Float[np.ndarray, " n"]
    roughness: Float[np.ndarray, " n"]
    normals: Float[np.ndarray, "n 3"]
    inside: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class BakedSkin:
    """Light on the dense surface: visibility of every studio direction, and the scattered light per unit albedo."""

    visibility: Float[np.ndarray, "n d"]
    light: Float[np.ndarray, "n 3"]


def spot(
    p: np.ndarray, centre: tuple[float, float, float] | np.ndarray, size: tuple[float, float, float]
) -> np.ndarray:
    """A soft ellipsoid around a point, 0..1."""
    return np.exp(-0.5 * (((p - np.asarray(centre)) / np.asarray(size)) ** 2).sum(1))


def mirrored(p: np.ndarray) -> np.ndarray:
    """Mirror to the left half of the face."""
    return np.stack([np.abs(p[:, 0]), p[:, 1], p[:, 2]], 1)


def skin_tone(recipe: SkinRecipe) -> np.ndarray:
    """Linear RGB of the plain skin."""
    x = np.clip(recipe.melanin, 0, 1) * (len(_TONES) - 1)
    tone = np.array([np.interp(x, np.arange(len(_TONES)), _TONES[:, c]) for c in range(3)])
    return tone * np.array([1.0, 1 + 0.035 * recipe.warmth, 1 - 0.10 * recipe.warmth])


def creases(p: np.ndarray, marks: FaceMarks, seed: int) -> np.ndarray:
    """Depth of the lines of age, 0..1: forehead, between the brows, crow's feet, under the eye, beside the mouth."""
    w = marks.width
    x, y = np.abs(p[:, 0]) / w, p[:, 1]
    front = smoothstep(p[:, 2], -0.005, 0.02)
    wobble = 0.0016 * gradient_noise(p, 55, seed) + 0.0005 * gradient_noise(p, 240, seed + 1)
    out = np.zeros(len(p))
    for k, height in enumerate((0.36, 0.53, 0.70)):
        line = (
            marks.brow_y
            + height * (marks.hairline_y - marks.brow_y)
            + 0.0035 * np.cos(x / 0.045 * np.pi) * (1 - 0.3 * k)
            + 1.4 * wobble
        )
        reach = 1 - smoothstep(x, 0.026 - 0.003 * k, 0.042)
        broken = smoothstep(gradient_noise(p * [1, 0.3, 0.3], 60, seed + 7 + k), -0.45, 0.15)
        out += 0.8 * np.exp(-0.5 * ((y - line) / 0.00085) ** 2) * reach * broken
    frown = np.exp(-0.5 * ((x - 0.0085 - 0.10 * (y - marks.brow_y) + wobble) / 0.0008) ** 2)
    out += 0.5 * frown * np.exp(-0.5 * ((y - marks.brow_y - 0.001) / 0.006) ** 2)
    corner = np.array([marks.eye[0] / w + 0.0175, marks.eye[1] - 0.0015])
    dx, dy = x - corner[0], y - corner[1]
    ray = np.arctan2(dy, np.maximum(dx, 1e-4))
    far = np.hypot(dx, dy)
    for angle in (0.62, 0.22, -0.18, -0.55):
        off = (ray - angle - 40 * wobble * far / 0.01) * far
        out += (
            0.8
            * np.exp(-0.5 * (off / 0.00075) ** 2)
            * smoothstep(dx, 0.0008, 0.004)
            * (1 - smoothstep(far, 0.008, 0.017))
        )
    bag = marks.eye[1] - 0.0165 - 0.0045 * np.cos((x - marks.eye[0] / w) / 0.02 * np.pi / 2) + wobble
    out += 0.7 * np.exp(-0.5 * ((y - bag) / 0.0010) ** 2) * np.exp(-0.5 * ((x - marks.eye[0] / w + 0.004) / 0.010) ** 2)
    along = np.clip((marks.subnasale[1] + 0.006 - y) / (marks.subnasale[1] + 0.006 - marks.mouth[1] + 0.006), 0, 1.3)
    fold_x = 0.0175 + 0.0135 * along**0.85
    fade = smoothstep(along, 0.01, 0.2) * (1 - smoothstep(along, 0.75, 1.15))
    out += 0.9 * np.exp(-0.5 * ((x - fold_x - 0.6 * wobble) / 0.0014) ** 2) * fade
    return out * front


def skin_material(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    uv: Float[np.ndarray, "n 2"],
    marks: FaceMarks,
    recipe: SkinRecipe,
    seed: int,
    scalp: Float[np.ndarray, " n"] | float = 0.0,
    scalp_colour: np.ndarray | tuple[float, float, float] = (0.05, 0.03, 0.02),
    beard: Float[np.ndarray, " n"] | float = 0.0,
) -> SkinMaterial:
    """The skin at points of the neutral head.

    Args:
        scalp: 0..1, how thickly hair grows there; the skin takes on the colour of the roots.
        beard: 0..1, where a beard would grow.
    """
    p = mirrored(points)
    w = marks.width
    lips = region_mask("lips", uv)
    lids = region_mask("eyelids", uv)
    ears = region_mask("ears", uv)
    inside = region_mask("inside-mouth", uv)
    fair = 1 - np.clip(recipe.melanin, 0, 1)
    eye, nose, mouth = marks.eye, marks.nose_tip, marks.mouth

    # Blood and pigment: both vary on the scale of centimetres and of millimetres.
    cheek = spot(p, (0.040 * w, nose[1] - 0.006, 0.032), (0.014, 0.013, 0.04))
    tip = spot(p, nose, (0.011, 0.008, 0.02))
    wing = spot(p, (0.016 * w, marks.subnasale[1] + 0.008, nose[2] - 0.014), (0.006, 0.007, 0.012))
    chin = spot(p, (0, marks.menton[1] + 0.013, mouth[2]), (0.014, 0.008, 0.03))
    forehead = spot(p, (0, marks.hairline_y - 0.012, 0.05), (0.045, 0.022, 0.05))
    blood = 0.62 * cheek + 0.62 * tip + 0.45 * wing + 0.22 * chin + 0.38 * ears - 0.18 * forehead
    blood *= 1 + 0.5 * fbm(points, 110, seed + 1, 3)
    blood += 0.22 * fbm(points, 60, seed + 2, 3) + 0.34 * fbm(points, 330, seed + 3, 3)
    blood *= 0.55 + 0.9 * recipe.redness
    pigment = 0.10 * fbm(points, 45, seed + 4, 3) + 0.14 * fbm(points, 450, seed + 5, 3)
    socket = spot(p, (eye[0] - 0.006, eye[1] - 0.0135, eye[2] + 0.008), (0.010, 0.0048, 0.02))
    inner = spot(p, (eye[0] - 0.016, eye[1] - 0.001, eye[2] + 0.004), (0.005, 0.009, 0.02))
    lid_shade = lids * 0.16 + 0.10 * spot(p, (eye[0], eye[1] + 0.012, eye[2] + 0.008), (0.014, 0.005, 0.02))
    tired = 0.42 * socket + 0.35 * inner

    albedo = np.tile(skin_tone(recipe), (len(points), 1))
    red = np.array([0.035, 0.30, 0.30]) * (0.45 + 0.55 * fair)
    albedo *= np.exp(-blood[:, None] * red)
    albedo *= np.exp(-pigment[:, None] * np.array([0.35, 0.55, 0.70]))
    albedo *= np.exp(-tired[:, None] * np.array([0.20, 0.34, 0.26]))
    albedo *= np.exp(-lid_shade[:, None] * np.array([0.12, 0.42, 0.42]))

    if recipe.freckles > 0:
        where = spot(p, (0.026 * w, nose[1] + 0.008, 0.05), (0.026, 0.014, 0.03)) + 0.25 * spot(
            p, (0, marks.brow_y + 0.02, 0.05), (0.05, 0.02, 0.05)
        )
        spots = smoothstep(gradient_noise(points, 380, seed + 8), 0.28, 0.42) + 0.7 * smoothstep(
            gradient_noise(points, 640, seed + 9), 0.30, 0.44
        )
        size = smoothstep(gradient_noise(points, 130, seed + 10), -0.25, 0.3)
        albedo *= np.exp(-(recipe.freckles * where * spots * size)[:, None] * np.array([0.30, 0.52, 0.72]))
    if recipe.lines > 0:
        age_spots = smoothstep(gradient_noise(points, 120, seed + 12), 0.40, 0.55) * smoothstep(
            points[:, 1], marks.nose_tip[1], marks.brow_y + 0.02
        )
        albedo *= np.exp(-(0.18 * recipe.lines * age_spots)[:, None] * np.array([0.5, 0.8, 1.0]))
    if recipe.stubble > 0:
        grain = 0.75 + 0.55 * gradient_noise(points, 900, seed + 11)
        albedo *= np.exp(
            -(recipe.stubble * beard * grain)[:, None] * (np.array([0.62, 0.55, 0.46]) * (0.5 + 0.5 * fair))
        )

    # Lips: a soft, slightly uneven border, the upper one darker, fine vertical lines.
    edge = np.clip(lips + 0.06 * gradient_noise(points, 350, seed + 13), 0, 1)
    lip = smoothstep(edge, 0.30, 0.74)
    tone = skin_tone(recipe)
    flesh = tone * np.array([0.90, 0.56, 0.60]) * (0.55 + 0.45 * fair) + np.array([0.060, 0.006, 0.008])
    upper = smoothstep(points[:, 1], mouth[1] - 0.001, mouth[1] + 0.002)
    flesh = flesh * np.array(recipe.lip_tint) * (1 - 0.16 * upper[:, None])
    lines = gradient_noise(points * np.array([1.0, 0.16, 0.3]), 950, seed + 14)
    flesh = flesh * (1 + 0.14 * lines + 0.12 * fbm(points, 300, seed + 15, 2))[:, None]
    albedo = albedo * (1 - lip[:, None]) + flesh * lip[:, None]
    albedo = albedo * (1 - inside[:, None]) + np.array([0.20, 0.055, 0.050]) * inside[:, None]

    # Nostrils swallow light; so do the ear canals, which the baked occlusion sees well enough.
    nostril = spot(p, (0.0065 * w, marks.subnasale[1] + 0.0035, marks.subnasale[2] + 0.002), (0.0034, 0.0022, 0.0050))
    albedo *= np.exp(-1.1 * nostril * smoothstep(-normals[:, 1], 0.1, 0.7))[:, None]

    def height(q: np.ndarray) -> np.ndarray:
        h = 5e-5 * gradient_noise(q, 700, seed + 20) + 1.1e-4 * gradient_noise(q, 260, seed + 21)
        if recipe.lines > 0:
            h = h - 5.5e-4 * recipe.lines * creases(q, marks, seed + 30)
        return h + 6e-5 * lip * gradient_noise(q * np.array([1.0, 0.16, 0.3]), 950, seed + 14)

    fine = bumped(normals, points, height)
    if recipe.lines > 0:
        albedo *= np.exp(-0.42 * recipe.lines * creases(points, marks, seed + 30))[:, None] ** np.array([0.7, 1.0, 1.0])

    t_zone = spot(p, (0, nose[1] + 0.008, 0.065), (0.009, 0.020, 0.03)) + 0.6 * spot(
        p, (0, marks.brow_y + 0.02, 0.05), (0.032, 0.018, 0.04)
    )
    cheekbone = spot(p, (0.042 * w, eye[1] - 0.017, 0.03), (0.015, 0.008, 0.03))
    specular = (0.55 + 0.75 * t_zone + 0.40 * cheekbone) * (0.55 + 0.9 * recipe.gloss)
    specular *= 1 - 0.35 * np.clip(recipe.melanin, 0, 1)
    specular *= np.clip(1 + 0.55 * fbm(points, 480, seed + 16, 3), 0.2, 2)
    specular = specular * (1 - lip) + 1.25 * lip * np.clip(1 + 0.5 * lines, 0.3, 2)
    rough = 0.50 - 0.07 * t_zone - 0.15 * lip
    scalp = np.broadcast_to(np.asarray(scalp, float), (len(points),))
    albedo = albedo * (1 - scalp[:, None]) + np.array(scalp_colour) * scalp[:, None]
    specular = specular * (1 - 0.9 * scalp)
    return SkinMaterial(np.clip(albedo, 0.003, 0.9), specular, np.clip(rough, 0.3, 0.6), fine, inside)


def bake_skin(
    surface: SkinSurface,
    studio: Studio,
    occluder: MeshOccluder,
    albedo: Float[np.ndarray, "n 3"],
    thin: Float[np.ndarray, " n"],
    fibres: DensityGrid | None = None,
    where: np.ndarray | None = None,
    otherwise: BakedSkin | None = None,
) -> BakedSkin:
    """Sum the studio over a dense surface and let the light scatter.

    Args:
        occluder: the head with eyes and clothes, in the surface's pose.
        albedo: of the dense vertices; light that bounces out of a crease takes its colour.
        thin: 0..1 where light from behind shines through (ears).
        fibres: the hair's density.
        where: bake only these vertices (a mask), and take the rest from `otherwise`.
    """
    if where is not None and otherwise is not None:
        visibility, light = otherwise.visibility.copy(), otherwise.light.copy()
        visibility[where], light[where] = _direct(surface, studio, occluder, albedo, thin, fibres, where)
    else:
        visibility, light = _direct(surface, studio, occluder, albedo, thin, fibres, np.ones(len(albedo), bool))
    return BakedSkin(visibility, diffuse(light, surface.vertices, surface.edges, _SCATTER_M))


def _direct(
    surface: SkinSurface,
    studio: Studio,
    occluder: MeshOccluder,
    albedo: np.ndarray,
    thin: np.ndarray,
    fibres: DensityGrid | None,
    where: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Visibility and arriving light, before scattering, of the vertices `where`."""
    vertices, normals, albedo = surface.vertices[where], surface.normals[where], albedo[where]
    visibility = occluder.visibility(vertices, normals, studio.directions)
    if fibres is not None:
        visibility *= fibres.transmittance(vertices + 0.002 * normals, studio.directions)
    light = irradiance(studio, normals, visibility, wrap=(0.10, 0.04, 0.02))
    cosine = np.clip(normals @ studio.directions.T, 0, None).astype(np.float32)
    open_ = ((cosine * visibility).sum(1) / np.maximum(cosine.sum(1), 1e-6))[:, None]
    a, b, c = 2.0404 * albedo - 0.3324, -4.7951 * albedo + 0.6417, 2.7552 * albedo + 0.6903
    bounced = np.maximum(open_, ((open_ * a + b) * open_ + c) * open_)
    light = light * bounced / np.maximum(open_, 0.03)
    behind = irradiance(studio, -normals, np.ones_like(visibility))
    return visibility, light + thin[where, None] * behind * np.array([0.20, 0.034, 0.018])


def skin_radius(
    surface: SkinSurface,
    marks: FaceMarks,
    scalp: Float[np.ndarray, " n"],
    hidden: Float[np.ndarray, " n"],
    detail_m: float,
) -> Float[np.ndarray, " n"]:
    """How far apart splats may be on each dense vertex: `detail_m` on the cheek, closer on features, wide under hair.

    Args:
        hidden: 1 where clothes cover the skin for good; no splats there.
    """
    p = mirrored(surface.vertices)
    n = len(p)
    uv = np.zeros((n, 2))
    uv[surface.triangles.ravel()] = surface.uv.reshape(-1, 2)
    radius = np.full(n, 1.75)
    face = smoothstep(p[:, 2], -0.045, -0.01) * smoothstep(p[:, 1], marks.menton[1] - 0.012, marks.menton[1] + 0.006)
    radius = radius * (1 - face) + 1.0 * face
    eye = spot(p, (marks.eye[0], marks.eye[1], marks.eye[2] + 0.012), (0.017, 0.011, 0.02))
    nose = spot(p, (0, marks.nose_tip[1] - 0.004, marks.nose_tip[2]), (0.014, 0.012, 0.03))
    radius -= 0.36 * eye + 0.22 * nose
    lips = smoothstep(region_mask("lips", uv), 0.01, 0.30)
    radius = radius * (1 - lips) + 0.62 * lips
    ears = region_mask("ears", uv)
    radius = radius * (1 - ears) + 1.05 * ears
    inside = region_mask("inside-mouth", uv)
    radius = radius * (1 - inside) + 2.0 * inside
    radius = radius * (1 - scalp) + 3.2 * scalp
    return np.where(hidden > 0.99, 0.0, radius * detail_m)


def skin_splats(
    points: SurfacePoints,
    material: SkinMaterial,
    visibility: Float[np.ndarray, "n d"],
    light: Float[np.ndarray, "n 3"],
    studio: Studio,
    spread: float = 0.62,
    sink_m: float = 0.0,
    opacity: float | np.ndarray = 0.97,
) -> Splats:
    """Flat round splats on points of the skin.

    Args:
        spread: standard deviation of a splat in units of the points' spacing.
        sink_m: how far below the surface they lie.
    """
    n = len(points)
    sh = shade_surface(
        studio, material.albedo, material.normals, visibility, light, material.specular, material.roughness
    )
    helper = np.where(np.abs(points.normals[:, :1]) < 0.8, np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]]))
    frames = frames_from_axes(np.cross(points.normals, helper), points.normals)
    sigma = points.radius_m * spread
    scales = np.stack([sigma, sigma, 0.16 * sigma], 1)
    return Splats(
        points.positions - points.normals * sink_m,
        frames,
        scales,
        np.broadcast_to(np.asarray(opacity, float), (n,)).copy(),
        sh,
        points.carrier,
    )
