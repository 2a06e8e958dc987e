"""The head on which an avatar is made: its hair, clothes and light, and the splats of every part."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree

from avatar.binding import triangle_frames
from avatar.creation.forge.anatomy import Anatomy, build_anatomy, extreme_poses
from avatar.creation.forge.brows import beard_density, brow_density, grow_beard, grow_brows, grow_lashes
from avatar.creation.forge.clothing import Garment, cut_garment, garment_splats
from avatar.creation.forge.eyes import IRIS_COLOURS, eye_splats
from avatar.creation.forge.facemarks import FaceMarks, region_mask
from avatar.creation.forge.fibres import DistanceField, Strands, fibre_splats
from avatar.creation.forge.hair import Hair, grow_hair
from avatar.creation.forge.hair_recipe import hair_density
from avatar.creation.forge.lighting import DensityGrid, MeshOccluder, Studio, diffuse
from avatar.creation.forge.mesh import triangulate
from avatar.creation.forge.mouth import mouth_splats
from avatar.creation.forge.noise import smoothstep
from avatar.creation.forge.recipe import AvatarRecipe
from avatar.creation.forge.skin import BakedSkin, SkinMaterial, bake_skin, skin_material, skin_radius, skin_splats
from avatar.creation.forge.splats import Splats
from avatar.creation.forge.surface import SkinSurface, SurfacePoints

__all__ = ["Layer", "Stage"]

_WIDEST_M = 0.008
"""No splat of the mouth may be wider, or its edge shows through lips and chin from the side."""

_HAIR_SHADOW = 0.5
"""How much of a strand's area blocks light; the rest is scattered on through the hair."""


@dataclass(frozen=True)
class Layer:
    """Splats that share a place in the order of importance.

    Attributes:
        splats: in the part's own order of importance.
        first, last: where in the order the first and the last of them come; layers interleave where these overlap.
        vertices: the pose of the head in which the splats were laid.
    """

    splats: Splats
    first: float
    last: float
    vertices: np.ndarray


class Stage:
    """The head on which an avatar is made, with everything that the parts share.

    A draft is coarser in its surface, its light and what hair is kept out of; it is ready in a sixth of the time.
    """

    def __init__(self, recipe: AvatarRecipe, studio: Studio, draft: bool = False) -> None:
        self.recipe = recipe
        self.studio = studio
        self.draft = draft
        self.anatomy: Anatomy = build_anatomy(recipe.phenotype)
        self.poses = extreme_poses(self.anatomy)
        self.vertices = self.poses["neutral"]
        self.faces = triangulate(self.anatomy.quads)
        self.quads = quads = np.flatnonzero(np.isin(self.anatomy.quad_parts, ["skin", "mouth", "socket"]))
        levels = 1 if draft else 2
        self.surface = SkinSurface.from_head(
            self.vertices, self.faces, quads, self.anatomy.uv, triangulate(self.anatomy.quads_uv), levels
        )
        quad_of = np.arange(len(self.surface.triangles)) // self.surface.children
        self.marks = FaceMarks.of(self.surface, self.vertices[self.anatomy.regions["eye_left"]].mean(0))
        self.uv = np.zeros((len(self.surface.vertices), 2))
        self.uv[self.surface.triangles.ravel()] = self.surface.uv.reshape(-1, 2)
        self.part = self.anatomy.quad_parts[quads][quad_of]
        regions = self.anatomy.regions
        lids = np.concatenate(
            [regions[f"{row}_lid_{side}"] for row in ("upper", "lower") for side in ("left", "right")]
        )
        lid_quad = np.isin(self.anatomy.quads[quads], lids).all(1) & (self.anatomy.quad_parts[quads] != "socket")
        self.on_lid = lid_quad[quad_of]

    def on(self, recipe: AvatarRecipe, vertices: Float[np.ndarray, "v 3"]) -> Stage:
        """The same stage with another head before it: its skin, not what has been grown, cut and lit on it."""
        other = copy(self)
        other.recipe, other.vertices = recipe, vertices
        other.surface = self.surface.posed(vertices)
        other.marks = FaceMarks.of(other.surface, vertices[self.anatomy.regions["eye_left"]].mean(0))
        return other

    # --- geometry ---------------------------------------------------------------------------------------------------

    def dress(self) -> None:
        """Grow the hair and cut the clothes; nothing is lit yet."""
        recipe, surface, marks = self.recipe, self.surface, self.marks
        self.garment: Garment = cut_garment(surface, marks, self.anatomy.lbs_weights, recipe.clothing)
        self.field = DistanceField.of(
            np.where(self.garment.cover[:, None] > 0.5, self.garment.vertices, surface.vertices),
            surface.normals,
            (-0.22, -0.27, -0.24),
            (0.22, 0.21, 0.15),
            cell_m=0.009 if self.draft else 0.005,
        )
        corners = surface.vertices[surface.triangles]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = np.linalg.norm(cross, axis=1) / 2
        normal = cross / np.maximum(2 * area[:, None], 1e-20)
        centre = corners.mean(1)
        high = (centre[:, 1] > marks.menton[1] - 0.02) & (self.part == "skin")
        self.hair: Hair | None = grow_hair(
            centre[high],
            normal[high],
            area[high],
            self.field,
            marks,
            recipe.hair,
            self.anatomy.skull(self.vertices),
            recipe.seed,
        )
        self.density: DensityGrid | None = None
        if self.hair is not None:
            solid = (self.hair.base, self.hair.detail)
            self.density = DensityGrid.from_points(
                np.concatenate([s.centres for s in solid]),
                np.concatenate([s.shadow_area_m2() for s in solid]),
                gain=_HAIR_SHADOW,
            )
        self.scalp = hair_density(surface.vertices, marks, recipe.hair, recipe.seed)

    # --- light ------------------------------------------------------------------------------------------------------

    def cast_shadows(self) -> None:
        """Let skin, eyeballs and cloth at rest block the light; a coarser skin than the lit one does it for less."""
        skin = SkinSurface.from_head(
            self.vertices, self.faces, self.quads, self.anatomy.uv, triangulate(self.anatomy.quads_uv), levels=1
        )
        eyes = np.isin(np.repeat(self.anatomy.quad_parts, 2), ["eye_left", "eye_right"])
        cloth = self.garment.occluder()
        n, m = len(skin.vertices), len(self.vertices)
        self.occluder = MeshOccluder(
            np.concatenate([skin.vertices, self.vertices, cloth.vertices]),
            np.concatenate([skin.triangles, self.faces[eyes] + n, cloth.faces + n + m]),
        )

    def light(self) -> None:
        """Bake the skin at rest, but the lids as if closed and the inside of the lips as if parted."""
        surface = self.surface
        self.cast_shadows()
        albedo = self.material(surface.vertices, surface.normals, self.uv).albedo
        ears = region_mask("ears", self.uv)
        rest = bake_skin(surface, self.studio, self.occluder, albedo, ears, self.density)
        if self.draft:
            self.baked = rest
            return
        # A closed lid lies in front of everything at rest, so the shadows at rest are right for it too.
        self.closed = surface.posed(self.poses["blink"])
        soft = self._softened(self._lid_vertices(), 0.008)
        near = soft > 0.02
        shut = bake_skin(self.closed, self.studio, self.occluder, albedo, 0 * ears, self.density, near, rest)
        part = (0.75 * soft * near)[:, None].astype(np.float32)
        visibility = rest.visibility + part * (shut.visibility - rest.visibility)
        light = rest.light + part * (shut.light - rest.light)
        # What of the lips touches at rest is dark there, but shows when they part.
        lips = region_mask("lips", self.uv)
        open_ = rest.visibility.mean(1)
        typical = np.median(rest.light[(lips > 0.5) & (open_ > 0.25)], axis=0)
        touching = np.clip(region_mask("inside-mouth", self.uv) + lips, 0, 1) * (1 - smoothstep(open_, 0.08, 0.20))
        self.baked = BakedSkin(visibility, np.maximum(light, 0.75 * touching[:, None] * typical))

    def material(self, points: np.ndarray, normals: np.ndarray, uv: np.ndarray) -> SkinMaterial:
        """Of places of the skin, with what hair, brows and beard do to its colour."""
        recipe, marks = self.recipe, self.marks
        scalp = 0.9 * hair_density(points, marks, recipe.hair, recipe.seed)
        brow = 0.38 * brow_density(points, marks, recipe.brows) * recipe.brows.density
        style = "short" if recipe.beard.style == "none" else recipe.beard.style
        beard = beard_density(points, uv, marks, style, recipe.seed)
        under = 0.45 * beard if recipe.beard.style not in ("none", "stubble") else 0.0 * beard
        weights = np.stack([scalp, brow, under], 1)
        tints = np.stack([_root_colour(r.colour, r.grey) for r in (recipe.hair, recipe.brows, recipe.beard)])
        total = np.clip(weights.max(1), 0, 1)
        colour = weights @ tints / np.maximum(weights.sum(1, keepdims=True), 1e-9)
        return skin_material(points, normals, uv, marks, recipe.skin, recipe.seed, total, colour, beard)

    # --- parts ------------------------------------------------------------------------------------------------------

    def skin_layers(self) -> list[Layer]:
        """A coarse layer just below the surface that leaves no holes, the fine skin, the lids and the lips."""
        recipe, surface, marks = self.recipe, self.surface, self.marks
        rng = np.random.default_rng(recipe.seed)
        radius = skin_radius(surface, marks, self.scalp, self.garment.hidden, recipe.detail_m)
        inside = region_mask("inside-mouth", self.uv)
        ears = region_mask("ears", self.uv)
        features = np.clip(region_mask("lips", self.uv) + inside, 0, 1)
        # Wide flat splats would stand out where the surface curves sharply: closer around the mouth and on the ears.
        tight = np.maximum(self._softened(features > 0.2, 0.016), ears)
        wide = (2.1 - 0.9 * tight) * radius
        coarse = np.where((radius > 0) & (features < 0.2), np.maximum(wide, 0.0013 - 0.0004 * tight), 0.0)
        layers = []

        def lay(points: SurfacePoints, baked: BakedSkin, first: float, last: float, **look: float) -> None:
            material = self.material(points.positions, points.normals, points.uv)
            splats = skin_splats(
                points,
                material,
                surface.carry(baked.visibility, points),
                surface.carry(baked.light, points),
                self.studio,
                **look,
            )
            layers.append(Layer(splats, first, last, self.vertices))

        def without(points: SurfacePoints, *, lids: bool) -> SurfacePoints:
            lid = self.on_lid[points.dense]
            drop = np.isin(self.part[points.dense], ["socket", "mouth"]) | (lid if not lids else ~lid)
            return points.select(~drop)

        lay(without(surface.sample(coarse, rng), lids=False), self.baked, 0.0, 0.1, spread=1.0, sink_m=0.0010)
        fine = without(surface.sample(radius, rng), lids=False)
        self.fine = fine
        mouth = surface.carry(features, fine) > 0.3
        face = surface.carry(smoothstep(surface.vertices[:, 2], -0.04, 0.0), fine) > 0.5
        lay(fine.select(mouth), self.baked, 0.0, 0.1, spread=0.95)
        lay(fine.select(face & ~mouth), self.baked, 0.1, 0.55, spread=0.78)
        lay(fine.select(~face & ~mouth), self.baked, 0.2, 1.0, spread=0.78)

        # Lids are laid closed, where they are largest; open, the same splats only overlap more.
        lid_radius = np.full(len(surface.vertices), 0.00072)
        lid_points = without(self.closed.sample(np.where(self._lid_vertices(), lid_radius, 0.0), rng), lids=True)
        rest = surface.points(lid_points.dense, lid_points.barycentric, lid_points.radius_m)
        material = self.material(rest.positions, rest.normals, rest.uv)
        material = SkinMaterial(
            material.albedo, material.specular, material.roughness, lid_points.normals, material.inside
        )
        splats = skin_splats(
            lid_points,
            material,
            surface.carry(self.baked.visibility, lid_points),
            surface.carry(self.baked.light, lid_points),
            self.studio,
            spread=0.90,
        )
        layers.append(Layer(splats, 0.0, 0.1, self.poses["blink"]))
        return layers

    def _softened(self, mask: np.ndarray, radius_m: float) -> np.ndarray:
        """A vertex mask with soft edges, 0..1."""
        spread = diffuse(
            np.repeat(mask[:, None].astype(float), 3, 1), self.surface.vertices, self.surface.edges, (radius_m,) * 3
        )
        return smoothstep(spread[:, 0], 0.02, 0.6)

    def _lid_vertices(self) -> np.ndarray:
        mask = np.zeros(len(self.surface.vertices), bool)
        mask[self.surface.triangles[self.on_lid].ravel()] = True
        return mask

    def feature_layers(self) -> list[Layer]:
        """Eyes, teeth, tongue, brows, lashes and beard."""
        return [*self.eye_layers(), *self.mouth_layers(), *self.brow_layers(), *self.beard_layers()]

    def eye_layers(self) -> list[Layer]:
        """Both eyes."""
        colour = IRIS_COLOURS[self.recipe.eyes]
        return [Layer(eye_splats(self.anatomy, colour, self.studio, self.recipe.seed), 0.0, 0.1, self.vertices)]

    def mouth_layers(self) -> list[Layer]:
        """Teeth, gums, tongue and the lining of the mouth."""
        mouth = mouth_splats(self.anatomy, self.recipe.mouth, self.studio, self.recipe.seed)
        return [Layer(replace(mouth, scales=np.minimum(mouth.scales, _WIDEST_M)), 0.0, 0.08, self.vertices)]

    def brow_layers(self) -> list[Layer]:
        """Brows and lashes."""
        recipe, marks, regions = self.recipe, self.marks, self.anatomy.regions
        layers = []
        brows = self._steady(grow_brows(self.fine, marks, recipe.brows, recipe.seed))
        upper, lower = grow_lashes(self.surface, regions, marks, recipe.brows, recipe.seed)
        for strands, opacity, gloss, first, last in (
            (brows, 0.55, 0.35, 0.0, 0.1),
            (upper, 0.38, 0.15, 0.0, 0.1),
            (lower, 0.13, 0.15, 0.05, 0.15),
        ):
            splats = self._fibres(strands, self._outward(strands.centres), opacity, gloss, 0.7, None)
            layers.append(Layer(splats, first, last, self.vertices))
        return layers

    def beard_layers(self) -> list[Layer]:
        """The beard, if there is one."""
        beard = grow_beard(self.fine, self.marks, self.recipe.beard, self.recipe.seed)
        if beard is None:
            return []
        splats = self._fibres(beard, self._outward(beard.centres), 0.62, 0.4, 0.6, None)
        return [Layer(splats, 0.05, 0.5, self.vertices)]

    def _steady(self, strands: Strands) -> Strands:
        """Hang hairs on nearby triangles that turn little when the brows move: a folding one would throw them about."""
        rest = _rotations(self.vertices, self.faces)
        turn = np.zeros(len(self.faces))
        for pose in ("sneer", "brows"):
            trace = np.einsum("fij,fij->f", rest, _rotations(self.poses[pose], self.faces))
            turn = np.maximum(turn, 1 - (trace - 1) / 2)  # one less the cosine of the angle
        ids = np.flatnonzero(np.repeat(self.anatomy.quad_parts == "skin", 2))
        distance, near = cKDTree(self.vertices[self.faces[ids]].mean(1)).query(strands.points[:, 0], k=8)
        cost = distance / 0.006 + turn[ids][near] / 0.04
        return replace(strands, carrier=ids[near[np.arange(len(strands)), cost.argmin(1)]])

    def hair_layers(self) -> list[Layer]:
        """Ribbons that hide the scalp, then the strands."""
        if self.hair is None:
            return []
        layers = []
        shine = 0.45 if self.recipe.hair.style == "curly" else 1.0  # coils turn their highlights every way
        # Ribbons lie in the shade of the strands, but are lit almost as these: they stand in for them from afar.
        for strands, opacity, gloss, overlap, scattered, first, last in (
            (self.hair.base, 0.97, 0.5 * shine, 0.40, 0.22, 0.0, 0.1),
            (self.hair.detail, 0.90, shine, 0.46, 0.60, 0.05, 0.75),
            (self.hair.fine, 0.55, shine, 0.46, 0.60, 0.5, 1.0),
        ):
            centre = np.array([0.0, self.marks.brow_y, self.marks.ear[2] - 0.012])
            outward = strands.centres - centre
            outward /= np.linalg.norm(outward, axis=1, keepdims=True)
            splats = self._fibres(strands, outward, opacity, gloss, 0.6, self.density, overlap, scattered)
            layers.append(Layer(splats, first, last, self.vertices))
        return layers

    def clothing_layers(self) -> list[Layer]:
        """The cloth, coarse and fine."""
        density = self.density

        def transmittance(points: np.ndarray, directions: np.ndarray) -> np.ndarray | float:
            return 1.0 if density is None else density.transmittance(points, directions)

        coarse, fine, collar = garment_splats(
            self.surface,
            self.garment,
            self.marks,
            self.recipe.clothing,
            self.studio,
            self.occluder,
            transmittance,
            0.0030,
            self.recipe.seed,
        )
        return [
            Layer(coarse, 0.0, 0.1, self.vertices),
            Layer(collar, 0.08, 0.12, self.vertices),
            Layer(fine, 0.20, 1.0, self.vertices),
        ]

    def _outward(self, points: np.ndarray) -> np.ndarray:
        return self.field.gradient(points)

    def _fibres(
        self,
        strands: Strands,
        outward: np.ndarray,
        opacity: float,
        gloss: float,
        taper: float,
        density: DensityGrid | None,
        overlap: float = 0.46,
        scattered: float = 0.6,
    ) -> Splats:
        return fibre_splats(
            strands, self.studio, outward, self.occluder, density, opacity, gloss, taper, overlap, scattered
        )


def _rotations(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The frames of triangles that Gaussians are carried by: (f, 3, 3)."""
    return triangle_frames(torch.from_numpy(vertices), torch.from_numpy(faces)).rotations.numpy()


def _root_colour(colour: tuple[float, float, float], grey: float) -> np.ndarray:
    """What a dense stand of hairs looks like from above, where their roots stand in their own shade."""
    return 0.75 * np.array(colour) * (1 - grey) + 0.09 * grey
