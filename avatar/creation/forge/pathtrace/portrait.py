"""From a recipe to everything that a path tracer needs to take the person's portrait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree

from avatar.binding import triangle_frames
from avatar.creation.forge.anatomy import Anatomy, build_anatomy
from avatar.creation.forge.brows import beard_density, grow_beard, grow_brows
from avatar.creation.forge.clothing import cut_garment
from avatar.creation.forge.eyes import IRIS_COLOURS
from avatar.creation.forge.facemarks import FaceMarks, region_mask
from avatar.creation.forge.fibres import DistanceField, Strands
from avatar.creation.forge.groom.bundle import Bundle
from avatar.creation.forge.groom.face import grow_down, grow_stubble, tufted_lashes
from avatar.creation.forge.groom.scalp import Scalp
from avatar.creation.forge.groom.styles import comb
from avatar.creation.forge.hair_recipe import hair_density
from avatar.creation.forge.mesh import catmull_clark, triangulate
from avatar.creation.forge.noise import smoothstep
from avatar.creation.forge.pathtrace.complexion import skin_maps
from avatar.creation.forge.pathtrace.eyeball import eye_of
from avatar.creation.forge.pathtrace.garment import garment_objects
from avatar.creation.forge.pathtrace.scene import Fibres, Material, Mesh
from avatar.creation.forge.recipe import AvatarRecipe, BeardRecipe, BrowRecipe, HairRecipe
from avatar.creation.forge.surface import SkinSurface
from avatar.flame.arkit import weights_from_dict

__all__ = ["Portrait"]

_LEVELS = 3
_HAIRS_A_STRAND = 14
"""A strand of the quick way stands for so many hairs."""

_EAR = 0.3
"""From this share of the ear's region on skin is an ear: no hair of the head grows there."""
_BEARD_HAIRS = 14_000
_WHITE, _DARKEST = 0.22, 0.016
"""Linear albedo of hair without pigment, and of hair full of it."""
_GUM = Material("flesh", {"colour": (0.52, 0.22, 0.20), "lit": 1.0})
_CARUNCLE = Material("flesh", {"colour": (0.62, 0.36, 0.32), "lit": 0.0})
_PARTS = {
    "upper_teeth": Material("tooth", {"colour": (0.86, 0.82, 0.73)}),
    "lower_teeth": Material("tooth", {"colour": (0.84, 0.79, 0.69)}),
    "upper_gum": _GUM,
    "lower_gum": _GUM,
    "tongue": Material("flesh", {"colour": (0.50, 0.19, 0.17), "lit": 1.0}),
    "caruncle_left": _CARUNCLE,
    "caruncle_right": _CARUNCLE,
}
"""Parts of the head beside skin and eyes."""


class Portrait:
    """A person before the camera: objects at rest, and where they are in an expression."""

    def __init__(self, recipe: AvatarRecipe) -> None:
        self.recipe = recipe
        self.anatomy: Anatomy = build_anatomy(recipe.phenotype)
        self.head = self.anatomy.head(torch.float64)
        self.rest: np.ndarray = self.anatomy.v_template
        self.faces = triangulate(self.anatomy.quads)
        anatomy = self.anatomy
        self._quads = np.flatnonzero(np.isin(anatomy.quad_parts, ["skin", "mouth", "socket"]))
        self.surface = self._refined(2)
        self.skin = self._refined(_LEVELS)
        self.marks = FaceMarks.of(self.surface, self.rest[anatomy.regions["eye_left"]].mean(0))
        part = anatomy.quad_parts[self._quads][np.arange(len(self.surface.triangles)) // (2 * 4**2)]
        self.garment = cut_garment(self.surface, self.marks, anatomy.lbs_weights, recipe.clothing)
        cloth = self.garment.cover[:, None] > 0.5
        self.field = DistanceField.of(
            np.where(cloth, self.garment.vertices, self.surface.vertices),
            self.surface.normals,
            (-0.22, -0.27, -0.24),
            (0.22, 0.21, 0.15),
            0.004,
        )
        ears = region_mask("ears", self.surface.uv.reshape(-1, 2)).reshape(-1, 3).max(1)
        self.scalp = Scalp(self.surface, (part == "skin") & (ears < _EAR), self.marks, self.field)
        self._eyes = [
            eye_of(anatomy, side, IRIS_COLOURS[recipe.eyes], 0.3 + 0.4 * recipe.skin.lines, recipe.seed)
            for side in ("left", "right")
        ]

    def _refined(self, levels: int) -> SkinSurface:
        anatomy = self.anatomy
        return SkinSurface.from_head(
            self.rest, self.faces, self._quads, anatomy.uv, triangulate(anatomy.quads_uv), levels=levels
        )

    # --- at rest ----------------------------------------------------------------------------------------------------

    @cached_property
    def objects(self) -> list[Mesh | Fibres]:
        """Everything, on the neutral head."""
        out: list[Mesh | Fibres] = [self._skin(), *self._clothes]
        for eye in self._eyes:
            out += eye.meshes()
        out += [mesh for mesh, _ in self._parts]
        out += [_fibres(b, _pigmented(self.recipe.hair, 0.06, 0.18)) for b in self._hair]
        out += [fibres for fibres, _ in self._face_hair]
        return out

    @cached_property
    def _clothes(self) -> list[Mesh | Fibres]:
        return garment_objects(self.garment, self.marks, self.recipe.clothing, self.field, self.recipe.seed)

    @cached_property
    def _uv(self) -> np.ndarray:
        uv = np.zeros((len(self.skin.vertices), 2))
        uv[self.skin.triangles.ravel()] = self.skin.uv.reshape(-1, 2)
        return uv

    def _skin(self) -> Mesh:
        recipe, anatomy = self.recipe, self.anatomy
        margins = np.concatenate(
            [anatomy.regions[f"{row}_lid_margin_{side}"] for row in ("upper", "lower") for side in ("left", "right")]
        )
        scalp = hair_density(self.skin.vertices, self.marks, recipe.hair, recipe.seed)
        scalp = scalp * (region_mask("ears", self._uv) < _EAR)
        maps = skin_maps(self.skin.vertices, self._uv, self.marks, recipe, self.rest[np.unique(margins)], scalp)
        part = anatomy.quad_parts[self._quads][np.arange(len(self.skin.triangles)) // (2 * 4**_LEVELS)]
        behind = np.zeros(len(self.skin.vertices))
        behind[self.skin.triangles[part == "socket"].ravel()] = 1
        maps["behind"] = behind
        maps["rest"] = self.skin.vertices
        skin = recipe.skin
        grey = recipe.beard.grey
        parameters = {
            "freckles": skin.freckles,
            "scalp": [0.4 * c + 0.25 * t for c, t in zip(recipe.hair.colour, _mean(maps["albedo"]), strict=True)],
            "oil": skin.gloss,
            "scatter_m": 0.0022 - 0.0010 * skin.melanin,
            "redness": skin.redness,
            "dark": skin.melanin,
            "age": skin.lines,
            "shave": [1 - skin.stubble * (1 - c) * (1 - 0.5 * grey) for c in (0.50, 0.56, 0.62)],
        }
        # What clothes hide for good need not be there, and cannot show through them.
        hidden = self.garment.hidden[cKDTree(self.surface.vertices).query(self.skin.vertices)[1]]
        shown = ~(hidden[self.skin.triangles] > 0.6).all(1)
        return Mesh("skin", Material("skin", parameters), self.skin.vertices, self.skin.triangles[shown], maps)

    @cached_property
    def _parts(self) -> list[tuple[Mesh, sp.csr_matrix]]:
        out = []
        for part, material in _PARTS.items():
            quads = self.anatomy.quads[self.anatomy.quad_parts == part]
            refine = sp.identity(len(self.rest), format="csr")
            for _ in range(2):
                step, quads = catmull_clark(quads, refine.shape[0])
                refine = step @ refine
            used, quads = np.unique(quads, return_inverse=True)
            refine = refine[used]
            vertices = refine @ self.rest
            attributes = {"rest": vertices}
            if material.kind == "tooth":
                # From the cutting edge to the neck, whichever way the teeth point.
                rise = np.abs(
                    vertices[:, 1] - (vertices[:, 1].min() if part.startswith("upper") else vertices[:, 1].max())
                )
                attributes |= {"neck": smoothstep(rise, 0.0045, 0.0095), "edge": 1 - smoothstep(rise, 0.0010, 0.0032)}
                depth = vertices[:, 2].max() - vertices[:, 2]
                attributes["front"] = 1 - smoothstep(depth, 0.004, 0.026)
            out.append((Mesh(part, material, vertices, quads.reshape(-1, 4), attributes), refine))
        return out

    @cached_property
    def _hair(self) -> list[Bundle]:
        hair = self.recipe.hair
        return comb(self.scalp, replace(hair, strands=_HAIRS_A_STRAND * hair.strands), self.recipe.seed)

    @cached_property
    def _face_hair(self) -> list[tuple[Fibres, np.ndarray]]:
        recipe, marks, surface = self.recipe, self.marks, self.surface
        high = (surface.vertices[:, 2] > marks.ear[2]) & (surface.vertices[:, 1] > marks.menton[1] - 0.03)
        points = surface.sample(np.where(high, 0.0011, 0.0), np.random.default_rng(1))
        brows = grow_brows(points, marks, replace(recipe.brows, density=recipe.brows.density * 1.5), recipe.seed)
        shut = self._vertices({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
        upper, lower = tufted_lashes(self.rest, shut, self.faces, self.anatomy.regions, recipe.brows, recipe.seed)
        down = grow_down(self.scalp, 14_000, recipe.seed)
        rng = np.random.default_rng(recipe.seed)
        brow = _pigmented(recipe.brows, 0.0, 0.35)
        fuzz = [0.25 + 0.55 * (1 - recipe.skin.melanin) * c for c in (1.0, 0.87, 0.72)]
        lash = Material("lash", {"colour": (0.010, 0.007, 0.006)})
        out = [
            self._carried_fibres("brows", brows, brow, rng.uniform(2.2e-5, 4.0e-5, len(brows)), 0.8),
            self._carried_fibres("lashes_upper", upper, lash, rng.uniform(6.0e-5, 9.0e-5, len(upper)), 0.85),
            self._carried_fibres("lashes_lower", lower, lash, rng.uniform(3.4e-5, 5.0e-5, len(lower)), 0.85),
            self._carried_fibres("vellus", down, Material("fibre", {"colour": fuzz}), down.width_m, 0.8),
        ]
        if recipe.skin.stubble > 0:
            uv = np.zeros((len(surface.vertices), 2))
            uv[surface.triangles.ravel()] = surface.uv.reshape(-1, 2)
            density = beard_density(surface.vertices, uv, marks, "short", recipe.seed)
            stubble = grow_stubble(self.scalp, density, int(9000 * recipe.skin.stubble), 0.0011, recipe.seed)
            out.append(self._carried_fibres("stubble", stubble, brow, stubble.width_m, 0.3))
        beard = grow_beard(points, marks, recipe.beard, recipe.seed, _BEARD_HAIRS)
        if beard is not None:
            width_m = rng.uniform(3.5e-5, 5.5e-5, len(beard))
            out.append(self._carried_fibres("beard", beard, _pigmented(recipe.beard, 0.0, 0.4), width_m, 0.6))
        return out

    def _carried_fibres(
        self, name: str, strands: Strands, material: Material, radius_m: np.ndarray, taper: float
    ) -> tuple[Fibres, np.ndarray]:
        return _fibres(Bundle(name, strands.points, radius_m, taper), material), strands.carrier

    @property
    def carriers(self) -> dict[str, np.ndarray]:
        """The triangle of the head that carries each hair of the face, by the name of the object."""
        return {fibres.name: carrier for fibres, carrier in self._face_hair}

    # --- in an expression -------------------------------------------------------------------------------------------

    def places(self, weights: Mapping[str, float]) -> dict[str, np.ndarray]:
        """Where everything that moves is for ARKit weights; what is not named stays at rest."""
        vertices = self._vertices(weights)
        out: dict[str, np.ndarray] = {"skin": self.skin.refine @ vertices}
        for eye in self._eyes:
            out |= eye.places(vertices)
        for mesh, refine in self._parts:
            out[mesh.name] = refine @ vertices
        for fibres, carrier in self._face_hair:
            out[fibres.name] = self._carried(fibres.points, carrier, vertices)
        return {name: values.astype(np.float32) for name, values in out.items()}

    def _vertices(self, weights: Mapping[str, float]) -> np.ndarray:
        return self.head.vertices(self.anatomy.arkit.params(weights_from_dict(weights))).numpy()

    def _carried(self, points: np.ndarray, carrier: np.ndarray, vertices: np.ndarray) -> np.ndarray:
        """Hairs turned with their triangles."""
        faces = torch.from_numpy(self.faces)
        before, after = (triangle_frames(torch.from_numpy(v), faces) for v in (self.rest, vertices))
        turn = after.rotations.numpy()[carrier] @ before.rotations.numpy()[carrier].transpose(0, 2, 1)
        offset = points - before.origins.numpy()[carrier][:, None]
        return np.einsum("nij,nkj->nki", turn, offset) + after.origins.numpy()[carrier][:, None]


def _fibres(bundle: Bundle, material: Material) -> Fibres:
    t = np.linspace(0, 1, bundle.curves.shape[1])
    return Fibres(bundle.name, material, bundle.curves, bundle.radius_m, 1 - bundle.taper * t**2, bundle.tone)


def _pigmented(recipe: HairRecipe | BrowRecipe | BeardRecipe, tip: float, variety: float) -> Material:
    """Hair as dark and red as the colour asks that all hairs have together in daylight, the grey share among them."""
    mixed = np.asarray(recipe.colour)
    kept = np.maximum((mixed - recipe.grey * _WHITE) / max(1 - recipe.grey, 0.05), np.minimum(mixed, _DARKEST))
    light = 55 * float(kept.mean())
    black = 1 / (1 + light**4)
    melanin = float(np.clip(0.985 - 0.33 * (1 - black) * np.log1p(light), 0.15, 0.985))
    red = float(np.clip((kept[0] - kept[2]) / max(kept[0], 1e-6) * 0.75, 0.0, 0.9))
    return Material("hair", {"melanin": melanin, "redness": red, "tip": tip, "variety": variety, "grey": recipe.grey})


def _mean(colours: Float[np.ndarray, "n 3"]) -> list[float]:
    return colours.mean(0).tolist()
