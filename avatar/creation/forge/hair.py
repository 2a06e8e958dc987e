"""Grown hair of the head: ribbons and strands, laid in a style."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from avatar.creation.forge.facemarks import FaceMarks
from avatar.creation.forge.fibres import DistanceField, Strands
from avatar.creation.forge.hair_recipe import HairRecipe, hair_density, scalp_height
from avatar.creation.forge.hair_styles import STYLES, HairHead, HairStyle, parting_side
from avatar.creation.forge.noise import fbm, gradient_noise, smoothstep
from avatar.errors import UserError

__all__ = ["Hair", "grow_hair"]


@dataclass(frozen=True)
class Hair:
    """Grown hair: wide soft ribbons that hide the scalp, and fine strands over them."""

    base: Strands
    detail: Strands
    fine: Strands


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
    head = HairHead(marks, field, centre)
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
    style: HairStyle,
    recipe: HairRecipe,
    head: HairHead,
    rng: np.random.Generator,
    seed: int,
    shrink: float,
) -> np.ndarray:
    """Follow the flow from each root, keep off the head, gather into locks, add waves: (n, k, 3)."""
    n, k = len(roots), style.points
    length = style.length(roots, recipe, head) * recipe.length * rng.uniform(0.86, 1.06, n) * shrink
    length *= 0.30 + 0.70 * smoothstep(density, 0.05, 0.75)  # baby hairs along the edge
    step = length / (k - 1)
    rise = (
        style.lift_m * recipe.volume * layer * (0.35 + 0.65 * np.clip(scalp_height(roots, head.marks), 0, 1)) + 0.0012
    )
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
            same = parting_side(roots, recipe, roots) == parting_side(roots, recipe, roots)[lock]
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
