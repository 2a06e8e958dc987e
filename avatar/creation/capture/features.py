"""Eyes, lashes, teeth and tongue: made by the forge once, given to whoever is captured, tinted as in the photo.

A photo shows too little of them to be learned from. They hang on the same triangles of every head with our topology, so
they are stored bound and fit every face.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from avatar.binding import BoundGaussians
from avatar.creation.capture.layers import polygon
from avatar.creation.forge.splats import SH_DC
from avatar.creation.lids import LIDS
from avatar.errors import UserError
from avatar.rig import Avatar
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.topology import EYE_RINGS

__all__ = ["EyeColours", "Features", "eye_colours", "features_of", "load_features", "save_features"]

_FIELDS = ("means", "quats", "log_scales", "logit_opacities", "sh", "triangles")
_KINDS = ("mouth", "teeth", "lashes", "sclera", "iris_left", "iris_right", "flesh")
_IRIS_M = 0.0062
_PUPIL_M = 0.0024
_GLINT = 0.72
_LASH = 0.7
_FAINT = 0.5
"""Of a lash's opacity: a photo blurs them."""
_SEEN = 0.25
"""What lies less far forward on an eyeball is never seen."""
_MOST = 2200
"""Of each kind, the most important."""


@dataclass(frozen=True, eq=False)
class Features:
    """Bound Gaussians and what each belongs to, as an index into `kinds`."""

    gaussians: BoundGaussians
    kind: torch.Tensor

    @property
    def kinds(self) -> tuple[str, ...]:
        return _KINDS

    def of(self, *names: str) -> torch.Tensor:
        """A mask."""
        return torch.isin(self.kind, torch.tensor([_KINDS.index(n) for n in names]))

    def tinted(self, colours: EyeColours, lash: Float[np.ndarray, "3"], mouth_gain: float) -> BoundGaussians:
        """In one person's colours."""
        sh = self.gaussians.sh.clone()
        rgb = sh[:, 0] * SH_DC + 0.5
        glint = rgb.mean(1) > _GLINT
        for side, wanted in zip(("right", "left"), colours.iris, strict=True):
            mine = self.of(f"iris_{side}") & ~glint
            if mine.any():
                _shade(
                    sh, mine, torch.from_numpy(wanted).float() / rgb[mine].median(0).values.clamp_min(0.03), 0.25, 2.2
                )
        white = self.of("sclera") & ~glint
        _shade(
            sh,
            white,
            torch.from_numpy(colours.sclera).float() / rgb[white].median(0).values.clamp_min(0.05),
            0.35,
            1.25,
        )
        lashes = self.of("lashes")
        sh[lashes] = 0
        sh[lashes, 0] = (torch.from_numpy(lash).float() - 0.5) / SH_DC
        _shade(sh, self.of("mouth", "teeth"), torch.full((3,), mouth_gain), 0.4, 1.4)
        logits = self.gaussians.logit_opacities.clone()
        logits[lashes] = torch.logit(_FAINT * torch.sigmoid(logits[lashes]))
        return replace(self.gaussians, sh=sh, logit_opacities=logits)


@dataclass(frozen=True, eq=False)
class EyeColours:
    """As a photo shows them, RGB 0..1."""

    iris: tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]
    """Right and left."""
    sclera: Float64[np.ndarray, "3"]


def _shade(sh: torch.Tensor, which: torch.Tensor, gain: torch.Tensor, low: float, high: float) -> None:
    """Multiply the colours of some; in place."""
    gain = gain.clamp(low, high)
    sh[which] *= gain
    sh[which, 0] += (gain - 1) * (0.5 / SH_DC)


def eye_colours(picture: Image.Image, landmarks: FaceLandmarks) -> EyeColours:
    """The colours of irises and whites; plausible ones where the picture is too coarse to tell."""
    image = np.asarray(picture, np.float64) / 255
    y, x = np.mgrid[: picture.height, : picture.width] + 0.5
    irises, whites = [], []
    for iris, ring in zip(landmarks.irises, EYE_RINGS, strict=True):
        radius = max(float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean()), 1e-3)
        away = np.hypot(x - iris[0, 0], y - iris[0, 1]) / radius
        between = polygon(landmarks.points[np.r_[ring[:9], ring[:8:-1]], :2], picture.size)
        body = (away > 0.45) & (away < 0.85) & between
        irises.append(np.median(image[body], 0) if body.sum() > 4 else np.array([0.30, 0.22, 0.16]))
        side = (away > 1.2) & (away < 2.4) & between
        if side.sum() > 4:
            whites.append(np.percentile(image[side], 65, axis=0))
    sclera = np.mean(whites, 0) if whites else np.array([0.72, 0.68, 0.66])
    return EyeColours((irises[0], irises[1]), sclera)


def features_of(avatar: Avatar) -> Features:
    """Take them from a forged avatar. A trained one has too few, and hides its teeth while the lips are closed."""
    head = avatar.head
    gaussians = avatar.gaussians
    faces = head.faces.numpy()
    corners = faces[gaussians.triangles.numpy()]

    def on(*regions: str) -> np.ndarray:
        members = np.concatenate([head.regions[r].numpy() for r in regions])
        return np.asarray(np.isin(corners, members).all(1))

    lids = on(*LIDS)
    sizes = np.sort(gaussians.log_scales.numpy(), 1)
    kind = np.full(len(gaussians), -1)
    kind[on("tongue", "mouth_interior") & ~on("skin")] = _KINDS.index("mouth")
    kind[on("upper_teeth", "lower_teeth")] = _KINDS.index("teeth")
    kind[on("caruncle_left") | on("caruncle_right")] = _KINDS.index("flesh")
    kind[lids & (sizes[:, 2] - sizes[:, 1] > _LASH)] = _KINDS.index("lashes")
    centres = avatar.pose(head.neutral()).means.numpy()
    for side in ("left", "right"):
        ball = head.regions[f"eye_{side}"].numpy()
        middle = head.v_template.numpy()[ball].mean(0)
        away = centres - middle
        from_axis = np.hypot(away[:, 0], away[:, 1])
        eye = on(f"eye_{side}")
        radius = float(np.linalg.norm(head.v_template.numpy()[ball] - middle, axis=1).mean())
        kind[eye & (away[:, 2] > _SEEN * radius)] = _KINDS.index("sclera")
        kind[eye & (from_axis < _IRIS_M) & (from_axis > _PUPIL_M) & (away[:, 2] > 0)] = _KINDS.index(f"iris_{side}")
    keep = torch.from_numpy(np.concatenate([np.flatnonzero(kind == k)[:_MOST] for k in range(len(_KINDS))]))
    return Features(gaussians.reordered(keep), torch.from_numpy(kind)[keep])


def save_features(features: Features, path: Path | None = None) -> None:
    """Write them as the asset that `load_features` reads; in its place, if no other is named."""
    tensors = {f: getattr(features.gaussians, f) for f in _FIELDS}
    tensors = {k: v.to(torch.int32) if k == "triangles" else v.half() for k, v in tensors.items()}
    tensors = {k: v.contiguous() for k, v in tensors.items()}
    save_file({**tensors, "kind": features.kind.to(torch.uint8)}, path or _asset())


def _asset() -> Path:
    return Path(str(resources.files("avatar") / "creation" / "capture" / "features.safetensors"))


@lru_cache(maxsize=1)
def load_features() -> Features:
    """Those that ship.

    Raises:
        UserError: if the file is damaged.
    """
    path = _asset()
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read; reinstall the program") from error
    fields = {f: found[f].long() if f == "triangles" else found[f].float() for f in _FIELDS}
    return Features(BoundGaussians(**fields), found["kind"].long())
