"""Landmarks of MakeHuman's base mesh: the rings around mouth and eyes, and the named regions built on them.

The base mesh is made of concentric edge rings around the mouth (38 vertices each) and around each eye (28
each), so a few vertex numbers and straight walks give the lips, the line where they meet, the lids and
their margins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from avatar.creation.forge.makehuman import load_base_mesh
from avatar.creation.forge.topology import QuadTopology, mirror_map

__all__ = ["PARTS", "EyeRings", "Landmarks", "MouthRings", "landmarks", "named_regions"]

PARTS: dict[str, tuple[str, ...]] = {
    "eye_left": ("helper-l-eye",),
    "eye_right": ("helper-r-eye",),
    "upper_teeth": ("helper-upper-teeth",),
    "lower_teeth": ("helper-lower-teeth",),
    "tongue": ("helper-tongue",),
}
"""Parts of the base mesh beside the skin, with its groups that they are made of. All but the tongue say only where the
forge's own parts belong."""

# Upper-lip midline, from above the vermilion border inwards; each starts a ring around the mouth.
_MOUTH_RING_STARTS = (362, 455, 466, 467, 509, 468, 474, 520, 537, 554, 571, 588)
_VERMILION, _CONTACT, _BAG = 455, 520, 537
# Left upper lid above the pupil, from the crease inwards; each starts a ring around the eye.
_EYE_RING_STARTS = (6874, 11515, 6789, 6787, 11465, 6785, 13352, 7748)
_LID_MARGIN, _SOCKET = 6785, 7748
_INSIDE_BAG, _INSIDE_SOCKET = 605, 7800
_WING = 7098
_SOCKET_ROWS = 3  # of the pocket behind the lids, as much as is kept; behind them is the ball
_PROFILE = {
    "nasion": 132, "nose_tip": 5054, "subnasale": 343, "upper_lip": 455, "stomion": 520, "lower_lip": 492,
    "sublabiale": 724, "pogonion": 733, "gnathion": 5296,
}  # fmt: skip

# The part of the neutral generic head that counts as the face: an ellipse seen from the front, metres.
_FACE_CENTRE, _FACE_RADII, _FACE_BACK_Z = (0.0, -0.002), (0.068, 0.092), -0.012


@dataclass(frozen=True)
class MouthRings:
    """Edge rings around the mouth, outermost first; each starts at the upper midline and goes to the
    subject's left.

    Attributes:
        rings: (r, 38) vertices.
        contact: which row is the line where the lips meet.
        vermilion: which row is the border between lip and skin.
        bag: which row begins the mouth's interior.
    """

    rings: Int[np.ndarray, "r 38"]
    contact: int
    vermilion: int
    bag: int

    def corner(self, vertices: np.ndarray, row: int) -> int:
        """The column of the left corner of the mouth in a ring (the right one is its mirror image)."""
        return int(vertices[self.rings[row], 0].argmax())

    def halves(self, vertices: np.ndarray, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Upper and lower vertices of a ring, each from the right corner to the left, both corners in
        both."""
        ring = self.rings[row]
        left = self.corner(vertices, row)
        right = len(ring) - left
        upper = np.concatenate([ring[right:], ring[: left + 1]])
        lower = ring[left : right + 1][::-1]
        return upper, lower


@dataclass(frozen=True)
class EyeRings:
    """Edge rings around the left eye, outermost first; `mirror` of the landmarks gives the right eye's.

    Attributes:
        rings: (r, 28) vertices.
        margin: which row is the outer edge of the lid margin.
    """

    rings: Int[np.ndarray, "r 28"]
    margin: int

    def halves(self, vertices: np.ndarray, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Upper and lower vertices of a ring, each from the inner corner to the outer, both corners in
        both."""
        ring = self.rings[row]
        x = vertices[ring, 0]
        ring = np.roll(ring, -int(x.argmin()))
        outer = int(vertices[ring, 0].argmax())
        one, other = ring[: outer + 1], np.concatenate([ring[outer:], ring[:1]])[::-1]
        return (one, other) if vertices[one, 1].mean() > vertices[other, 1].mean() else (other, one)


@dataclass(frozen=True)
class Landmarks:
    """What is known about the base mesh, in its own vertex numbers.

    Attributes:
        mouth, eye: the rings.
        bag: vertices of the mouth's interior (its border ring excluded).
        sockets: skin vertices behind the lids (border rings excluded), both eyes.
        deep: those of them that are too far back to be seen.
        mirror: the vertex on the other side of the body.
        profile: points on the midline: "nasion", "nose_tip", "subnasale", "upper_lip" and "lower_lip" (borders of the
            red), "stomion" (where the lips meet), "sublabiale", "pogonion" and "gnathion" (front and underside of the
            chin).
        wing: outermost point of the left wing of the nose.
    """

    mouth: MouthRings
    eye: EyeRings
    bag: Int[np.ndarray, " b"]
    sockets: Int[np.ndarray, " s"]
    deep: Int[np.ndarray, " d"]
    mirror: Int[np.ndarray, " n"]
    profile: Mapping[str, int]
    wing: int

    def within(self, place: Int[np.ndarray, " n"], mirror: Int[np.ndarray, " v"]) -> Landmarks:
        """The same in another numbering.

        Args:
            place: for each vertex of this numbering its number in the other, -1 where it is left out.
            mirror: the vertex on the other side, in the other numbering.
        """

        def kept(members: np.ndarray) -> np.ndarray:
            found = place[members]
            return found[found >= 0]

        return Landmarks(
            replace(self.mouth, rings=place[self.mouth.rings]),
            replace(self.eye, rings=place[self.eye.rings]),
            kept(self.bag),
            kept(self.sockets),
            kept(self.deep),
            mirror,
            {name: int(place[vertex]) for name, vertex in self.profile.items()},
            int(place[self.wing]),
        )


@lru_cache(maxsize=1)
def landmarks() -> Landmarks:
    """Landmarks of the base mesh."""
    base = load_base_mesh()
    topology = QuadTopology(base.groups["body"][0])

    def rings(starts: tuple[int, ...], length: int) -> np.ndarray:
        out = []
        for start in starts:
            paths = [topology.walk(start, n, length + 1) for n in topology.neighbours(start)]
            closed = [p for p in paths if len(p) == length and start in topology.neighbours(p[-1])]
            out.append(max(closed, key=lambda p: base.vertices[p[1], 0]))  # the one that sets out to the left
        return np.array(out)

    mouth = rings(_MOUTH_RING_STARTS, 38)
    eye = rings(_EYE_RING_STARTS, 28)
    mirror = mirror_map(base.vertices)
    border = eye[_EYE_RING_STARTS.index(_SOCKET)].tolist()
    socket = topology.flood(_INSIDE_SOCKET, border)
    seen, row = set(border), set(border)
    for _ in range(_SOCKET_ROWS):
        row = {n for vertex in row for n in topology.neighbours(vertex)} & socket - seen
        seen |= row

    def both(members: set[int]) -> np.ndarray:
        return np.array(sorted(members | set(mirror[list(members)].tolist())))

    return Landmarks(
        MouthRings(
            mouth,
            _MOUTH_RING_STARTS.index(_CONTACT),
            _MOUTH_RING_STARTS.index(_VERMILION),
            _MOUTH_RING_STARTS.index(_BAG),
        ),
        EyeRings(eye, _EYE_RING_STARTS.index(_LID_MARGIN)),
        np.array(sorted(topology.flood(_INSIDE_BAG, mouth[_MOUTH_RING_STARTS.index(_BAG)].tolist()))),
        both(socket),
        both(socket - seen),
        mirror,
        _PROFILE,
        _WING,
    )


def _lip_pairs(vertices: np.ndarray, marks: Landmarks) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the contact line facing each other, right to left, the corners left out."""
    upper, lower = marks.mouth.halves(vertices, marks.mouth.contact)
    # Next to the corners the lower ring has one vertex with no upper vertex facing it on every person.
    lower = np.delete(lower[2:-2], [1, -2])
    offset = np.abs(vertices[lower, 0][:, None] - vertices[upper[1:-1], 0][None])
    return upper[1:-1][offset.argmin(1)], lower


def named_regions(
    vertices: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    skin: Int[np.ndarray, " s"],
    marks: Landmarks,
    inherited: Callable[[np.ndarray], np.ndarray],
) -> dict[str, np.ndarray]:
    """The named vertex sets of the skin of a head.

    Args:
        vertices: the generic neutral head in metres, in the head model's frame.
        normals: its vertex normals.
        skin: vertices of the skin, mouth interior and sockets left out.
        marks: landmarks in the head's numbering.
        inherited: adds to a set the new vertices between its members.
    """
    mouth, eye, mirror = marks.mouth, marks.eye, marks.mirror
    out: dict[str, np.ndarray] = {"skin": skin, "mouth_interior": inherited(marks.bag)}

    upper_lip, lower_lip, corner = [], [], []
    for row in range(mouth.vermilion, mouth.bag + 1):
        upper, lower = mouth.halves(vertices, row)
        upper_lip.append(upper[1:-1])
        lower_lip.append(lower[1:-1])
        corner.append(upper[-1])
    corner_left = np.array(corner)
    out["upper_lip"] = np.unique(np.concatenate(upper_lip))
    out["lower_lip"] = np.unique(np.concatenate(lower_lip))
    out["mouth_corner_left"] = corner_left
    out["mouth_corner_right"] = mirror[corner_left]
    out["lips"] = np.unique(np.concatenate([out["upper_lip"], out["lower_lip"], corner_left, mirror[corner_left]]))
    out["upper_lip_inner"], out["lower_lip_inner"] = _lip_pairs(vertices, marks)

    upper_lid, lower_lid = (
        inherited(np.unique(np.concatenate([eye.halves(vertices, row)[half][1:-1] for row in range(len(eye.rings))])))
        for half in (0, 1)
    )
    upper_margin, lower_margin = eye.halves(vertices, eye.margin)
    nearest = np.abs(vertices[upper_margin[1:-1], 0][:, None] - vertices[lower_margin][None, :, 0]).argmin(1)
    for side, other in (("left", np.arange(len(mirror))), ("right", mirror)):
        out[f"upper_lid_{side}"] = other[upper_lid]
        out[f"lower_lid_{side}"] = other[lower_lid]
        out[f"upper_lid_margin_{side}"] = other[upper_margin[1:-1]]
        out[f"lower_lid_margin_{side}"] = other[lower_margin[nearest]]

    x, y, z = vertices[skin].T
    ellipse = ((x - _FACE_CENTRE[0]) / _FACE_RADII[0]) ** 2 + ((y - _FACE_CENTRE[1]) / _FACE_RADII[1]) ** 2
    face = skin[(ellipse < 1) & (z > _FACE_BACK_Z) & (normals[skin, 2] > -0.2)]
    out["face"] = np.union1d(face, out["lips"])
    out["upper_face"] = face[vertices[face, 1] > -0.002]
    out["forehead"] = face[vertices[face, 1] > 0.045]
    return out
