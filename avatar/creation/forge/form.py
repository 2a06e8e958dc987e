"""Modelling the forms of a face: what lies over bone and muscle and is too fine for the base mesh.

Each form is a stroke along a curve or around a point of the neutral face, placed by its landmarks, so that it fits
every person; its slider says how much of it there is. Metres, head's frame; arrays in the head's numbering.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from avatar.creation.forge.face_form import FaceForm
from avatar.creation.forge.noise import smoothstep
from avatar.creation.forge.regions import Landmarks
from avatar.creation.forge.strokes import MM, Strokes

__all__ = ["asymmetry", "model_face"]


def model_face(
    vertices: Float[np.ndarray, "v 3"],
    eye: Float[np.ndarray, " 3"],
    marks: Landmarks,
    quads: Int[np.ndarray, "q 4"],
    skin: Int[np.ndarray, " s"],
    form: FaceForm,
) -> Float[np.ndarray, "v 3"]:
    """A symmetric head with its forms modelled.

    Args:
        vertices: the head.
        eye: centre of the left ball.
        marks: landmarks in the head's numbering.
        quads: of the skin.
        skin: its vertices.
        form: how much of each.
    """
    face = Strokes(vertices, eye, marks, quads, skin)
    _widths(face, form)
    _lips(face, form)
    for stroke in (_upper, _middle, _nose, _mouth, _lower, _neck):
        stroke(face, form)
        face.settle()
    return face.vertices


def asymmetry(
    vertices: Float[np.ndarray, "v 3"], eye: Float[np.ndarray, " 3"], marks: Landmarks, form: FaceForm
) -> Float[np.ndarray, "v 3"]:
    """How the halves of a face differ: nose and chin to one side, an eye, a brow, a corner of the mouth higher.

    Each eye moves as one, with its lids; so does everything else that must fit together.

    Reference: Ferrario et al., "Craniofacial morphometry by photographic evaluations", 1993: 1 to 2 mm.
    """
    rng = np.random.default_rng(form.asymmetry_seed)
    mouth = vertices[marks.profile["stomion"]]
    corner_x = vertices[marks.mouth.rings[marks.mouth.contact][marks.mouth.corner(vertices, marks.mouth.contact)], 0]
    modes = (
        # where (x on both sides, with opposite signs of what happens), how far around, what happens at 1: millimetres
        ((0.0, *vertices[marks.profile["nose_tip"], 1:]), (0.016, 0.022, 0.03), (0.7, 0.0, 0.0), False),
        ((0.0, *vertices[marks.profile["pogonion"], 1:]), (0.040, 0.028, 0.05), (1.1, 0.0, 0.0), False),
        ((eye[0], eye[1] + 0.018, eye[2] + 0.015), (0.018, 0.010, 0.02), (0.0, 0.8, 0.0), True),
        ((eye[0], eye[1], eye[2] + 0.010), (0.020, 0.018, 0.03), (0.0, 0.45, 0.2), True),
        ((corner_x, mouth[1], mouth[2] - 0.008), (0.014, 0.012, 0.02), (0.0, 0.6, 0.0), True),
        ((0.052, mouth[1] - 0.005, 0.0), (0.020, 0.030, 0.04), (1.0, 0.0, 0.0), True),
        ((0.056, eye[1] - 0.020, 0.012), (0.016, 0.016, 0.03), (0.7, 0.4, 0.0), True),
    )
    shares = rng.choice([-1.0, 1.0], len(modes)) * rng.uniform(0.5, 1.0, len(modes))

    def field(points: np.ndarray) -> np.ndarray:
        out = np.zeros_like(points)
        for share, (centre, radii, mm, paired) in zip(shares, modes, strict=True):
            for side in (1.0, -1.0) if paired else (1.0,):
                d = (points - np.array(centre) * [side, 1, 1]) / np.array(radii)
                weight = np.exp(-0.5 * (d**2).sum(1)) * share * form.asymmetry * MM
                out += weight[:, None] * np.array(mm) * ([1, side, side] if paired else 1)
        return out

    out = field(vertices)
    for side in (1.0, -1.0):
        centre = eye * [side, 1, 1]
        near = 1 - smoothstep(np.linalg.norm(vertices - centre, axis=1), 0.0195, 0.030)
        out += near[:, None] * (field(centre[None]) - out)
    return out


def _widths(face: Strokes, form: FaceForm) -> None:
    """Widths of jaw and chin, bridge and wings: whole regions drawn together, without normals."""
    p = face.points
    x, y, z = p.T
    corner, chin, nasion, tip = face.corner, face.mark("gnathion"), face.mark("nasion"), face.mark("nose_tip")
    down = smoothstep(-y, -(corner[1] + 0.026), -(corner[1] - 0.012)) * (1 - smoothstep(-y, -chin[1], -chin[1] + 0.05))
    lateral = smoothstep(x, 0.012, 0.050)
    front = smoothstep(z, -0.055, -0.015)
    shift = np.zeros_like(p)
    shift[:, 0] -= form.jaw_mm * MM * down * lateral * front
    low = smoothstep(-y, -(corner[1] - 0.008), -(corner[1] - 0.026)) * (1 - smoothstep(-y, -chin[1], -chin[1] + 0.025))
    shift[:, 0] -= form.chin_mm * MM * low * smoothstep(x, 0.002, 0.018) * (1 - smoothstep(x, 0.030, 0.050)) * (z > 0)
    bridge = np.exp(-0.5 * ((y - (nasion[1] * 0.62 + tip[1] * 0.38)) / 0.013) ** 2)
    shift[:, 0] -= form.bridge_mm * MM * bridge * np.exp(-0.5 * ((x - 0.0085) / 0.0045) ** 2) * (z > 0.02)
    wing = np.exp(-0.5 * (((p - face.wing) / [0.008, 0.007, 0.012]) ** 2).sum(1))
    shift[:, 0] -= form.wings_mm * MM * wing
    face.displace(shift)
    face.settle()


def _upper(face: Strokes, form: FaceForm) -> None:
    """Forehead, brow and sockets."""
    nasion, eye, inner, outer = face.mark("nasion"), face.eye, face.inner, face.outer
    brow = nasion[1] + 0.006
    ridge = face.curve(
        [(0.007, brow + 0.003), (0.018, brow + 0.006), (eye[0], brow + 0.009), (outer[0] + 0.003, brow + 0.003)]
    )
    face.stroke(ridge, 4.2, 2.4 * form.brow_ridge, (0.1, 0.25))
    face.spot(face.on(0.0, brow + 0.005), (7, 5, 12), 0.9 * form.brow_ridge)
    hollow = face.on(inner[0] + 0.0045, eye[1] + 0.0075)
    face.spot(hollow, (4.5, 4.5, 9), -2.0 * form.socket)
    face.spot(face.on(eye[0] + 0.004, eye[1] + 0.0105), (9, 3.2, 9), -0.7 * form.socket)
    face.spot(face.on(outer[0] + 0.013, brow + 0.014), (9, 14, 16), -2.2 * form.temple)
    face.spot(face.on(0.0, brow + 0.036), (26, 15, 25), 2.0 * form.forehead)
    face.spot(face.on(0.022, brow + 0.032), (11, 10, 16), 0.8 * form.forehead)


def _middle(face: Strokes, form: FaceForm) -> None:
    """Cheeks and the folds around them."""
    eye, inner, outer, wing, corner = face.eye, face.inner, face.outer, face.wing, face.corner
    bone_y = 0.42 * outer[1] + 0.58 * wing[1]
    face.spot(face.on(outer[0] + 0.003, bone_y), (12, 7.5, 14), 2.0 * form.cheekbone)
    face.spot(face.on(outer[0] + 0.014, bone_y + 0.004), (10, 6, 16), 1.2 * form.cheekbone)
    face.spot(face.on(outer[0] + 0.005, 0.35 * wing[1] + 0.65 * corner[1]), (11, 13, 18), 3.0 * form.cheek)
    face.spot(face.on(0.55 * wing[0] + 0.45 * outer[0], wing[1] + 0.004), (9, 8, 12), 1.7 * form.apple)
    fold = face.curve(
        [
            (wing[0] + 0.0005, wing[1] + 0.006),
            (wing[0] + 0.0050, wing[1] - 0.004),
            (0.25 * wing[0] + 0.75 * corner[0] + 0.006, 0.45 * wing[1] + 0.55 * corner[1]),
            (corner[0] + 0.0085, corner[1] - 0.001),
            (corner[0] + 0.0085, corner[1] - 0.010),
        ]
    )
    face.stroke(fold, 1.9, -1.3 * form.nasolabial, (0.08, 0.45))
    face.stroke(fold, 3.2, 1.3 * form.nasolabial, (0.12, 0.5), aside=-5.0)
    trough = face.curve(
        [
            (inner[0] - 0.0005, inner[1] - 0.004),
            (inner[0] + 0.005, eye[1] - 0.0125),
            (eye[0] + 0.001, eye[1] - 0.0175),
            (eye[0] + 0.010, eye[1] - 0.018),
        ]
    )
    face.stroke(trough, 1.8, -1.1 * form.tear_trough, (0.1, 0.5))


def _nose(face: Strokes, form: FaceForm) -> None:
    """Bridge, tip and wings."""
    nasion, tip, wing = face.mark("nasion"), face.mark("nose_tip"), face.wing
    groove = face.curve(
        [
            (wing[0] - 0.0045, wing[1] + 0.0085),
            (wing[0] + 0.0000, wing[1] + 0.0060),
            (wing[0] + 0.0018, wing[1] + 0.0005),
            (wing[0] + 0.0010, wing[1] - 0.0040),
        ]
    )
    face.stroke(groove, 1.3, -1.3 * form.crease, (0.2, 0.1))
    face.stroke(groove, 2.0, 0.5 * form.crease, (0.2, 0.2), aside=3.0)
    face.spot(tip + np.array([0.0035, 0.0005, -0.001]), (2.6, 3.0, 6), 0.7 * form.tip)
    face.spot(face.on(0.0095, tip[1] + 0.004), (2.4, 4.5, 8), -0.9 * form.tip)
    face.spot(face.on(0.0075, tip[1] + 0.011), (2.6, 4.0, 8), -0.5 * form.tip)
    middle = 0.5 * (nasion + tip)
    face.spot(face.on(0.0, middle[1] + 0.002), (2.4, 9, 10), 0.35 * form.tip)


# Profiles of the lips from the border of the red (0) to where they meet (1), in front of the border, millimetres.
_UPPER_PROFILE = CubicSpline([0.0, 0.25, 0.55, 0.8, 1.0], [0.0, 0.9, 1.1, -0.2, -2.6])
_LOWER_PROFILE = CubicSpline([0.0, 0.25, 0.55, 0.8, 1.0], [0.0, 1.5, 2.5, 2.2, 0.3])


def _lips(face: Strokes, form: FaceForm) -> None:
    """The red of the lips: two rolls that meet just behind their fronts; the base mesh's meet a centimetre inside."""
    mouth, v = face.marks.mouth, face.vertices
    rings = mouth.rings
    columns = np.arange(rings.shape[1])
    left = mouth.corner(v, mouth.contact)
    upper = (columns < left) | (columns > len(columns) - left)
    border, contact = v[rings[mouth.vermilion]], v[rings[mouth.contact]]
    share = 1 - np.clip(np.abs(contact[:, 0]) / face.corner[0], 0, 1) ** 3.5
    fullness = 1 + 0.35 * form.lips_mm
    shift = np.zeros_like(v)
    at_contact = np.zeros(len(columns))
    for row in range(mouth.vermilion + 1, len(rings)):
        p = v[rings[row]]
        if row <= mouth.contact:
            h = np.clip((border[:, 1] - p[:, 1]) / (border[:, 1] - contact[:, 1]), 0, 1)
            profile = np.where(upper, _UPPER_PROFILE(h), _LOWER_PROFILE(h))
            at_contact = share * (border[:, 2] + fullness * MM * profile - p[:, 2])
            shift[rings[row], 2] = at_contact
        else:
            shift[rings[row], 2] = at_contact * max(0.0, 1 - 0.12 * (row - mouth.contact))
    face.replace(v + shift)


def _mouth(face: Strokes, form: FaceForm) -> None:
    """Philtrum, rim and fullness of the lips."""
    subnasale, upper, corner = face.mark("subnasale"), face.mark("upper_lip"), face.corner
    groove = face.curve([(0.0, subnasale[1] - 0.001), (0.0, 0.5 * (subnasale[1] + upper[1])), (0.0, upper[1] + 0.0005)])
    face.stroke(groove, 1.5, -0.9 * form.philtrum, (0.25, 0.1))
    ridge = face.curve(
        [(0.0030, subnasale[1] - 0.0015), (0.0036, 0.5 * (subnasale[1] + upper[1])), (0.0047, upper[1] + 0.001)]
    )
    face.stroke(ridge, 1.15, 0.75 * form.philtrum, (0.25, 0.05))
    mouth = face.marks.mouth
    rim = face.vertices[mouth.rings[mouth.vermilion]]
    rim = rim[rim[:, 0] > -1e-6]
    rim = rim[np.lexsort((np.where(rim[:, 1] > corner[1], rim[:, 0], -rim[:, 0]), rim[:, 1] <= corner[1]))]
    face.stroke(rim, 0.75, 0.42 * form.lip_border, (0.0, 0.0))
    for x, dy in ((0.0, -0.7), (0.0050, 0.55)):
        at = face.on(x, upper[1])
        face.move(at, (2.1, 1.9, 6), (0.0, dy * form.bow, 0.0))
    face.spot(face.mark("lower_lip") + np.array([0.006, 0.0025, 0.0]), (4.5, 2.6, 6), 0.35 * form.lip_border)


def _lower(face: Strokes, form: FaceForm) -> None:
    """Chin and the edge of the jaw."""
    groove_y, front, under = face.mark("sublabiale")[1], face.mark("pogonion"), face.mark("gnathion")
    corner = face.corner
    groove = face.curve([(0.0, groove_y), (0.008, groove_y), (0.015, groove_y + 0.001)])
    face.stroke(groove, 2.6, -1.3 * form.chin_groove, (0.0, 0.5))
    face.spot(front + np.array([0.0, -0.003, 0.0]), (11, 7.5, 12), 1.6 * form.chin)
    face.spot(face.on(corner[0] - 0.0005, corner[1] - 0.009), (4, 6, 10), -0.5 * form.chin_groove)
    jaw = face.jaw()
    face.stroke(jaw, 4.5, 1.3 * form.jaw_line, (0.25, 0.1))
    below = jaw + np.array([0.0, -0.011, -0.004])
    face.stroke(below, 5.5, -1.8 * form.jaw_line, (0.25, 0.1))
    face.spot(under + np.array([0.0, -0.008, -0.016]), (14, 6, 12), -0.8 * form.jaw_line)


def _neck(face: Strokes, form: FaceForm) -> None:
    """The muscles that run from behind the ear to the breastbone, and the larynx."""
    under = face.mark("gnathion")
    corner, outer = face.corner, face.outer
    start = np.array([outer[0] + 0.016, corner[1] + 0.014, -0.054])
    end = face.on(0.010, under[1] - 0.078)
    t = np.linspace(0, 1, 60)[:, None]
    line = start + t * (end - start) + np.sin(np.pi * t) * [0.010, 0.0, 0.006]
    _, index = cKDTree(face.points).query(line)
    path = face.points[index]
    muscle = np.column_stack(
        [np.convolve(np.pad(path[:, k], 8, mode="edge"), np.ones(17) / 17, "valid") for k in range(3)]
    )
    face.stroke(muscle, 6.0, 2.6 * form.neck, (0.12, 0.02))
    face.stroke(muscle, 5.0, -1.4 * form.neck, (0.3, 0.05), aside=-13.0)
    notch = face.on(0.0, under[1] - 0.082)
    face.spot(notch, (7, 6, 14), -3.0 * form.neck)
    face.spot(face.on(0.0, under[1] - 0.038), (6.5, 8, 14), 4.5 * form.throat)
    face.spot(face.on(0.0, under[1] - 0.060), (9, 20, 16), 1.2 * form.throat)
