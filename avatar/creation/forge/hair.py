"""Hair of the head: where it grows, how it falls, and its splats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from avatar.creation.forge.facemarks import FaceMarks
from avatar.creation.forge.fibres import DistanceField, Strands
from avatar.creation.forge.noise import fbm, gradient_noise, smoothstep
from avatar.errors import UserError

__all__ = ["STYLES", "Hair", "HairRecipe", "grow_hair", "hair_density", "hairline_m"]


@dataclass(frozen=True)
class HairRecipe:
    """Sliders of the hair.

    Attributes:
        style: one of `STYLES`.
        colour: linear RGB.
        length: factor on the style's own length.
        volume: factor on the style's own height above the scalp.
        wave: 0 straight .. 1 wavy.
        grey: share of grey strands.
        recession: 0 full hairline .. 1 bald on top.
        parting_m: sideways place of the parting; positive is the subject's left.
        strands: detail strands.
    """

    style: str = "bob"
    colour: tuple[float, float, float] = (0.055, 0.030, 0.016)
    length: float = 1.0
    volume: float = 1.0
    wave: float = 0.3
    grey: float = 0.0
    recession: float = 0.0
    parting_m: float = 0.022
    strands: int = 3000


@dataclass(frozen=True)
class Hair:
    """Grown hair: wide soft ribbons that hide the scalp, and fine strands over them."""

    base: Strands
    detail: Strands
    fine: Strands


@dataclass(frozen=True)
class _Head:
    """What strands need to know about the head they grow on."""

    marks: FaceMarks
    field: DistanceField
    centre: np.ndarray


@dataclass(frozen=True)
class _Style:
    """How a style is laid.

    Attributes:
        points: points of a strand.
        lift_m: height above the scalp of the outermost layer.
        flow: (positions, skull normals, roots, recipe, head) -> wanted directions.
        length: (roots, recipe, head) -> metres.
        clump, frizz: pull of locks together, and scatter, 0..1.
        stiff: how slowly a strand turns towards the flow, 0..1.
        width_m, base_width_m: standard deviations of strands and ribbons.
        wave_m, wavelength_m: of the waves at `wave` = 1.
    """

    points: int
    lift_m: float
    flow: Callable[[np.ndarray, np.ndarray, np.ndarray, HairRecipe, _Head], np.ndarray]
    length: Callable[[np.ndarray, HairRecipe, _Head], np.ndarray]
    clump: float
    frizz: float
    stiff: float
    width_m: float
    base_width_m: float
    wave_m: float = 0.004
    wavelength_m: float = 0.07


def _height(p: np.ndarray, marks: FaceMarks) -> np.ndarray:
    """Height on the head: 0 at the eyes, 1 at the crown."""
    return (p[:, 1] - marks.eye[1]) / (marks.crown[1] - marks.eye[1])


def _azimuth(p: np.ndarray, marks: FaceMarks) -> np.ndarray:
    """Angle around the skull, 0 in front .. pi at the back, about an axis between the ears."""
    return np.arctan2(np.abs(p[:, 0]), p[:, 2] - marks.ear[2] + 0.010)


def hairline_m(points: np.ndarray, marks: FaceMarks, recipe: HairRecipe, seed: int) -> Float[np.ndarray, " n"]:
    """How far points of the scalp lie behind the uneven edge of the hair, metres; negative on bare skin."""
    az = _azimuth(points, marks)
    size = (marks.hairline_y - marks.eye[1]) / 0.068
    knots = np.array([0.0, 0.30, 0.55, 0.78, 0.98, 1.16, 1.32, 1.47, 1.60, 1.76, 2.0, 2.2, 3.15])
    line = np.array([0.068, 0.0675, 0.062, 0.044, 0.034, 0.008, -0.012, 0.010, 0.014, -0.016, -0.040, -0.048, -0.056])
    y = marks.eye[1] + np.interp(az, knots, line) * size
    corner = np.exp(-0.5 * ((az - 0.62) / 0.20) ** 2)
    y = y + recipe.recession * (0.030 * np.exp(-0.5 * (az / 0.5) ** 2) + 0.045 * corner + 0.02 * (az < 1.1))
    y = y + 0.0045 * gradient_noise(points, 75, seed) + 0.0030 * gradient_noise(points, 240, seed + 1)
    return points[:, 1] - y


def hair_density(points: np.ndarray, marks: FaceMarks, recipe: HairRecipe, seed: int) -> Float[np.ndarray, " n"]:
    """How thickly hair grows at points of the scalp, 0..1, with an uneven edge that thins out."""
    if recipe.style == "none":
        return np.zeros(len(points))
    density = smoothstep(hairline_m(points, marks, recipe, seed), -0.0035, 0.0090)
    if recipe.recession > 0:
        top = smoothstep(_height(points, marks), 0.72, 0.92) * smoothstep(-points[:, 2], -0.06, 0.10)
        density = density * (1 - np.clip(1.5 * recipe.recession, 0, 1) * top)
    return density


# --- styles ---------------------------------------------------------------------------------------------------------


def _side(p: np.ndarray, recipe: HairRecipe, roots: np.ndarray) -> np.ndarray:
    """-1 or 1: the side of the parting that a strand falls to, a little ragged."""
    return np.sign(roots[:, 0] - recipe.parting_m + 0.0015 * np.sin(roots[:, 2] * 300))


def _falling(p: np.ndarray, normals: np.ndarray, roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    """From a parting over the head, then straight down; the front swept aside, off the face."""
    marks = head.marks
    side = _side(p, recipe, roots)
    n = len(p)
    flow = np.stack([side * 0.95, np.full(n, -0.45), np.full(n, -0.30)], 1)
    front = smoothstep(roots[:, 2], marks.ear[2] + 0.045, marks.ear[2] + 0.085)
    flow += front[:, None] * np.stack([side * 0.35, np.full(n, 0.12), np.full(n, -0.75)], 1)
    back = smoothstep(marks.ear[2] - p[:, 2], 0.035, 0.075)
    flow = flow * (1 - back[:, None]) + back[:, None] * np.stack([side * 0.15, np.full(n, -1.0), np.full(n, -0.05)], 1)
    low = smoothstep(marks.brow_y + 0.035 - p[:, 1], 0.0, 0.05)
    forward = np.clip((roots[:, 2] - marks.ear[2]) / 0.08, -0.3, 1.0)
    down = np.stack([0.10 * side, np.full(n, -1.0), 0.10 * forward], 1)
    return flow * (1 - low[:, None]) + down * low[:, None]


def _long_length(roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    top = np.clip(_height(roots, head.marks), 0, 1)
    return 0.20 + 0.13 * top


def _bob_length(roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    marks = head.marks
    hem = marks.mouth[1] - 0.022 + 0.012 * smoothstep(marks.ear[2] - roots[:, 2], 0.0, 0.08)
    over = np.clip(marks.crown[1] - roots[:, 1], 0, 0.05) * 0.2
    return np.clip((roots[:, 1] - hem) * 1.02 + 0.035 * np.clip(_height(roots, marks), 0, 1) - over, 0.02, None)


def _swept(p: np.ndarray, normals: np.ndarray, roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    """Short sides lying down and back, a longer top combed from the parting up, over and back."""
    marks = head.marks
    n = len(p)
    height = _height(roots, marks)
    side = _side(p, recipe, roots)
    front = smoothstep(roots[:, 2], marks.ear[2] + 0.055, marks.ear[2] + 0.09)
    top = smoothstep(height + 0.28 * front, 0.60, 0.82)
    lying = np.stack([0 * side, np.full(n, -0.9), np.full(n, -0.45)], 1)
    away = np.where(side == np.sign(recipe.parting_m), side, -np.sign(recipe.parting_m))
    combed = np.stack([away * 0.75, np.full(n, 0.30), np.full(n, -0.25)], 1)
    combed += front[:, None] * np.stack([0.0 * side, np.full(n, 0.55), np.full(n, -0.35)], 1)
    return lying * (1 - top[:, None]) + combed * top[:, None]


def _swept_length(roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    height = _height(roots, head.marks)
    return np.interp(height, [-0.5, 0.1, 0.45, 0.75, 1.0], [0.006, 0.010, 0.018, 0.042, 0.048])


def _crop(p: np.ndarray, normals: np.ndarray, roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    """Very short, standing off the skin and leaning away from the crown's whorl."""
    whorl = head.marks.crown + np.array([0.012, 0.0, -0.035])
    away = roots - whorl
    away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-9
    return normals * 0.35 + away * 0.9 + np.array([0.0, -0.15, 0.1])


def _crop_length(roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    height = _height(roots, head.marks)
    return np.interp(height, [-0.5, 0.1, 0.6, 1.0], [0.004, 0.006, 0.011, 0.014])


def _tied(p: np.ndarray, normals: np.ndarray, roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    """Combed tight to a knot at the back of the head."""
    return _knot(head) - p


def _knot(head: _Head) -> np.ndarray:
    marks = head.marks
    return np.array([0.0, marks.brow_y + 0.030, marks.ear[2] - 0.115])


def _tied_length(roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    return 1.12 * np.linalg.norm(roots - _knot(head), axis=1) + 0.01


def _curly(p: np.ndarray, normals: np.ndarray, roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    """Outwards, but bent this way and that by a field of a curl's size: coils that crowd each other."""
    out = p - head.centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    swirl = np.stack([gradient_noise(p, 105, 900 + c) + 0.8 * gradient_noise(p, 230, 930 + c) for c in range(3)], 1)
    return 0.60 * out + 1.7 * swirl + np.array([0.0, 0.03, -0.03])


def _curly_length(roots: np.ndarray, recipe: HairRecipe, head: _Head) -> np.ndarray:
    height = np.clip(_height(roots, head.marks), -0.6, 1)
    front = smoothstep(roots[:, 2], head.marks.ear[2] + 0.05, head.marks.ear[2] + 0.10)
    return np.interp(height, [-0.6, 0.0, 0.6, 1.0], [0.020, 0.040, 0.060, 0.064]) * (1 - 0.35 * front)


STYLES: dict[str, _Style] = {
    "long": _Style(19, 0.020, _falling, _long_length, 0.58, 0.24, 0.62, 0.00025, 0.0027, 0.0075, 0.085),
    "bob": _Style(15, 0.014, _falling, _bob_length, 0.50, 0.22, 0.62, 0.00032, 0.0020, 0.004, 0.07),
    "tied": _Style(11, 0.006, _tied, _tied_length, 0.35, 0.10, 0.30, 0.00030, 0.0020, 0.002, 0.06),
    "short": _Style(10, 0.018, _swept, _swept_length, 0.50, 0.20, 0.50, 0.00017, 0.0015, 0.002, 0.04),
    "cropped": _Style(4, 0.010, _crop, _crop_length, 0.15, 0.45, 0.40, 0.00020, 0.0016, 0.0, 0.04),
    "curly": _Style(15, 0.060, _curly, _curly_length, 0.0, 0.30, 0.35, 0.00034, 0.0036, 0.0026, 0.012),
    "none": _Style(2, 0.0, _crop, _crop_length, 0.0, 0.0, 0.5, 0.0002, 0.001),
}
"""Hair styles by name."""


def grow_hair(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    area_m2: Float[np.ndarray, " n"],
    field: DistanceField,
    marks: FaceMarks,
    recipe: HairRecipe,
    carriers: tuple[Float[np.ndarray, "c 3"], Int[np.ndarray, " c"]],
    seed: int,
) -> Hair | None:
    """Grow a head of hair.

    Args:
        points, normals, area_m2: samples of the skin with the area that each stands for.
        field: distance to head and shoulders, which strands keep out of.
        carriers: (centroids, triangle numbers) of triangles that move with the skull only.

    Returns:
        None for the style "none".
    """
    if recipe.style not in STYLES:
        raise UserError(f"unknown hair style {recipe.style!r}: choose one of {', '.join(STYLES)}")
    if recipe.style == "none":
        return None
    style = STYLES[recipe.style]
    rng = np.random.default_rng(seed)
    centre = np.array([0.0, marks.brow_y, marks.ear[2] - 0.012])
    head = _Head(marks, field, centre)
    density = hair_density(points, marks, recipe, seed)
    tree = cKDTree(carriers[0])

    def roots_of(count: int, floor: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weight = np.where(density > floor, density, 0.0) * area_m2
        index = rng.choice(len(points), count, p=weight / weight.sum())
        jitter = rng.normal(0, np.sqrt(area_m2[index])[:, None] * 0.4, (count, 3))
        jitter -= (jitter * normals[index]).sum(1, keepdims=True) * normals[index]
        return points[index] + jitter, normals[index], density[index]

    def colours(count: int, k: int, depth: np.ndarray, spread: float) -> np.ndarray:
        shade = np.exp(rng.normal(0, spread, (count, 1)))
        base = np.array(recipe.colour) * shade * np.array([1.0, 1.0, 1.0]) ** rng.normal(1, 0.02, (count, 1))
        warm = np.exp(rng.normal(0, 0.10, (count, 1)) * np.array([[1.0, 0.1, -0.7]]))
        grey = rng.random((count, 1)) < recipe.grey
        silver = np.array([0.215, 0.213, 0.212]) * np.exp(rng.normal(0, 0.20, (count, 1)))
        colour = np.where(grey, silver, base * warm)
        tips = 1 + (0.55 * (1 - recipe.grey)) * np.linspace(0, 1, k)[None, :, None] ** 1.5
        return colour[:, None] * tips * depth[:, None, None]

    def make(
        count: int, floor: float, width: float, layer: np.ndarray, shrink: float, spread: float, flat: float
    ) -> Strands:
        roots, root_normals, d = roots_of(count, floor)
        strands = _lay(roots, root_normals, d, layer, style, recipe, head, rng, seed, shrink)
        k = style.points - 1
        thin = 0.35 + 0.65 * smoothstep(d, 0.0, 0.8)
        return Strands(
            strands,
            width * thin * rng.uniform(0.8, 1.25, count),
            colours(count, k, 0.75 + 0.35 * layer, spread),
            carriers[1][tree.query(roots)[1]],
            flat,
        )

    n_base = {"cropped": 1100, "short": 900, "curly": 360}.get(recipe.style, 330)
    base_layer = rng.uniform(0.02, 0.45, n_base)
    # Ribbons are wide, so they need fewer points than strands.
    base = make(n_base, 0.55, style.base_width_m, base_layer, 0.9 if recipe.style != "curly" else 0.72, 0.10, 0.45)
    base = base.thinned(2) if 8 < style.points < 14 else base
    detail = make(recipe.strands, 0.03, style.width_m, rng.beta(1.6, 1.1, recipe.strands), 1.0, 0.24, 1.0)
    n_fine = max(1, recipe.strands // 7)
    fine = make(n_fine, 0.005, style.width_m * 0.45, rng.uniform(0.9, 1.35, n_fine), 0.9, 0.3, 1.0)
    return Hair(base, detail, fine)


def _lay(
    roots: np.ndarray,
    normals: np.ndarray,
    density: np.ndarray,
    layer: np.ndarray,
    style: _Style,
    recipe: HairRecipe,
    head: _Head,
    rng: np.random.Generator,
    seed: int,
    shrink: float,
) -> np.ndarray:
    """Follow the flow from each root, keep off the head, gather into locks, add waves: (n, k, 3)."""
    n, k = len(roots), style.points
    length = style.length(roots, recipe, head) * recipe.length * rng.uniform(0.86, 1.06, n) * shrink
    length *= 0.30 + 0.70 * smoothstep(density, 0.05, 0.75)  # baby hairs along the edge
    step = length / (k - 1)
    rise = style.lift_m * recipe.volume * layer * (0.35 + 0.65 * np.clip(_height(roots, head.marks), 0, 1)) + 0.0012
    if recipe.style in ("long", "bob", "short"):
        rise = rise * (0.30 + 0.70 * smoothstep(np.abs(roots[:, 0] - recipe.parting_m), 0.0, 0.038))
    scatter = style.frizz * np.stack([gradient_noise(roots, 160, seed + 40 + c) for c in range(3)], 1)
    wild = style.frizz * 0.5 * rng.normal(size=(n, 3))
    position, velocity = roots.copy(), normals.copy()
    if recipe.style not in ("curly", "cropped"):
        combed = style.flow(position, normals, roots, recipe, head)
        combed = combed - np.minimum((combed * normals).sum(1, keepdims=True), 0) * normals
        velocity = 0.45 * normals + 0.55 * combed / (np.linalg.norm(combed, axis=1, keepdims=True) + 1e-9)
    path = [position.copy()]
    marks = head.marks
    clinging = recipe.style not in ("curly", "cropped")
    for i in range(1, k):
        away = head.field.gradient(position)
        wanted = style.flow(position, away, roots, recipe, head)
        wanted = wanted / (np.linalg.norm(wanted, axis=1, keepdims=True) + 1e-9)
        wanted = wanted + 0.30 * scatter + 0.05 * wild
        if clinging:
            # On the skull a strand glides at its own height above it; beyond, it hangs and only keeps out.
            on_skull = smoothstep(away[:, 1], -0.45, 0.0) * smoothstep(
                position[:, 1], marks.ear[1] - 0.015, marks.ear[1] + 0.03
            )
            gap = rise * min(1.0, i / 3.0) - head.field.at(position)
            climb = np.clip(0.7 * gap / step, -1.0, 1.0) * np.maximum(on_skull, gap > 0)
            along = (wanted * away).sum(1)
            wanted = wanted + ((climb - along) * np.maximum(on_skull, (gap > 0) & (along < climb)))[:, None] * away
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True) + 1e-9
        turn = (1 - style.stiff) * min(1.0, 0.35 + i / 4)
        velocity = velocity * (1 - turn) + wanted * turn
        velocity /= np.linalg.norm(velocity, axis=1, keepdims=True) + 1e-9
        position = position + velocity * step[:, None]
        if clinging:
            gap = rise * min(1.0, i / 3.0) - head.field.at(position)
            fix = np.where(gap > 0, 0.8 * gap, 0.6 * np.clip(gap, -0.006, 0) * on_skull)
            position += head.field.gradient(position) * fix[:, None]
        path.append(position.copy())
    strands = np.stack(path, 1)
    for _ in range(2 if clinging else 0):  # the field's cells leave small kinks
        strands[:, 1:-1] = 0.5 * strands[:, 1:-1] + 0.25 * (strands[:, 2:] + strands[:, :-2])
    t = np.linspace(0, 1, k)[None, :, None]
    if style.clump > 0:
        n_locks = max(1, n // 16)
        lock = cKDTree(roots[:n_locks]).query(roots)[1]
        gather = style.clump * t**0.8 * rng.uniform(0.4, 1.0, (n_locks, 1, 1))[lock]
        if recipe.parting_m and recipe.style in ("long", "bob", "short"):
            same = _side(roots, recipe, roots) == _side(roots, recipe, roots)[lock]
            gather = gather * same[:, None, None]
        strands = strands + gather * (strands[lock] - strands)
    else:
        lock = np.arange(n)
    if recipe.wave > 0 and style.wave_m > 0:
        phase = (fbm(roots[lock], 30, seed + 60, 2) * 7 + 0.2 * rng.normal(size=n))[:, None]
        run = t[:, :, 0] * length[:, None]
        bend = 2 * np.pi * run / style.wavelength_m + phase
        tangent = np.gradient(strands, axis=1)
        tangent /= np.linalg.norm(tangent, axis=2, keepdims=True) + 1e-9
        out = strands - head.centre
        out /= np.linalg.norm(out, axis=2, keepdims=True)
        across = np.cross(tangent, out)
        grow = (
            smoothstep(run, 0.01, 0.10)[..., None]
            if recipe.style in ("long", "bob")
            else smoothstep(run, 0.0, 0.012)[..., None]
        )
        amount = style.wave_m * recipe.wave * grow
        normal = np.cross(across, tangent)
        strands = strands + amount * (
            across * np.sin(bend)[..., None]
            + (0.6 if recipe.style != "curly" else 1.0) * normal * np.cos(bend)[..., None]
        )
    flat = strands.reshape(-1, 3)
    for _ in range(3):  # the way out bends where the head does
        inside = np.clip(0.0006 - head.field.at(flat), 0, None)
        flat = flat + head.field.gradient(flat) * inside[:, None]
    return flat.reshape(n, k, 3)
