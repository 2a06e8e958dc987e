"""From the movement of a face back to articulation: the inverse of `MouthMap` on a head, pose by pose.

It turns the meshes of a speech data set into targets for the streaming model, and the meshes that FaceFormer gives into
what the driver takes. The mouth is not linear in the channels (lips that close are solved for), so that the nearest of
many known mouths is refined by Gauss-Newton steps [chosen].
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.spatial import cKDTree

from animation.blendshapes.flame_map import FaceMotion
from animation.speech.audio import HOP_S, HOP_SAMPLES
from animation.speech.channels import CHANNELS, CLOSED, LIP_IN, ROUNDING, SPREAD, TONGUE
from animation.speech.lips import LipModel, default_lips
from animation.speech.mouth import MouthMap
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel

__all__ = ["MouthFit", "lips_touch", "spoken_closures", "voiced", "widened"]

_MM = 1e3
_KNOWN = 3000
_MOST_VERTICES = 400
_MOVING_MM = 0.5
_PRINCIPAL = 24
_STEP = 0.04
_RIDGE_MM = 0.15
"""What a whole unit of a channel costs, in root mean square over the mouth: it settles what the mesh does not show."""
_STARTS, _POOR_MM = 4, 0.1
_STEP_SHARES = (1.0, 0.4, 0.15)
_CHUNK = 128

_TOUCHING_MM = 1.0
_CLOSED = 0.6
_LONGEST_CLOSURE_S = 0.3
"""Lips that touch for longer rest in a pause."""
_VOICE_BELOW_PEAK_DB = 32.0
_VOICE_LEAST_DB = -60.0
_FILLED_S = 0.1


class MouthFit:
    """Articulation from vertex offsets, for one head."""

    def __init__(self, head: HeadModel, arkit: ArkitMap, rounds: int = 2) -> None:
        """
        Args:
            head: of whose topology the offsets are.
            arkit: its blendshapes.
            rounds: Gauss-Newton steps.
        """
        lips = LipModel.from_head(head, arkit) if LipModel.fits(head) else default_lips()
        self._mouth, self._rounds = MouthMap(lips), rounds
        self._known = _known_mouths()
        weights = self._mouth.weights(self._known)
        self.vertices = _moving_vertices(head, arkit, weights)
        self._motion = FaceMotion.from_head(head, arkit, self.vertices)
        moved = self._motion.deformation(weights).reshape(_KNOWN, -1) * _MM
        self._mean = moved.mean(0)
        _, _, axes = np.linalg.svd((moved - self._mean)[:: max(1, _KNOWN // 800)], full_matrices=False)
        self._axes = axes[:_PRINCIPAL]
        self._tree = cKDTree((moved - self._mean) @ self._axes.T)

    def articulation(self, offsets: Float[np.ndarray, "t v 3"]) -> Float32[np.ndarray, "t 7"]:
        """The channels, 0..1, that move the head most like this.

        Args:
            offsets: from the neutral face, metres; of the whole head, which may lack vertices at its end.
        """
        target = np.asarray(offsets, np.float32)[:, self.vertices].reshape(len(offsets), 3 * len(self.vertices)) * _MM
        chunks = [self._fit(target[i : i + _CHUNK]) for i in range(0, len(target), _CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(CHANNELS)), np.float32)

    def deformation_mm(self, articulation: Float[np.ndarray, "t 7"]) -> Float32[np.ndarray, "t n3"]:
        """What the channels do to `vertices`, flat millimetres."""
        moved = self._motion.deformation(self._mouth.weights(articulation))
        return moved.reshape(len(articulation), -1) * np.float32(_MM)

    def _fit(self, target: Float32[np.ndarray, "t n3"]) -> Float32[np.ndarray, "t 7"]:
        """From the nearest known mouth; where that leads nowhere, from the next nearest ones, too."""
        _, nearest = self._tree.query((target - self._mean) @ self._axes.T, k=_STARTS)
        found, error = self._descend(self._known[nearest[:, 0]].copy(), target)
        for start in nearest.T[1:]:
            poor = np.flatnonzero(error > _POOR_MM**2 * len(self.vertices))
            if not len(poor):
                break
            other, its_error = self._descend(self._known[start[poor]].copy(), target[poor])
            better = its_error < error[poor]
            found[poor[better]], error[poor[better]] = other[better], its_error[better]
        return found

    def _descend(
        self, x: Float32[np.ndarray, "t 7"], target: Float32[np.ndarray, "t n3"]
    ) -> tuple[Float32[np.ndarray, "t 7"], Float32[np.ndarray, " t"]]:
        """Gauss-Newton steps, and the squared distance that is left."""
        now = self.deformation_mm(x)
        ridge = np.eye(len(CHANNELS), dtype=np.float32) * (_RIDGE_MM**2 * len(self.vertices))
        for _ in range(self._rounds):
            columns = []
            for channel in range(len(CHANNELS)):
                turned = x.copy()
                step = np.where(x[:, channel] > 0.5, -_STEP, _STEP).astype(np.float32)
                turned[:, channel] += step
                columns.append((self.deformation_mm(turned) - now) / step[:, None])
            jacobian = np.stack(columns, -1)
            normal = np.swapaxes(jacobian, 1, 2) @ jacobian + ridge
            right = np.swapaxes(jacobian, 1, 2) @ (target - now)[..., None]
            change = np.linalg.solve(normal, right)[..., 0]
            waiting = np.arange(len(x))
            for share in _STEP_SHARES:  # a whole step; where that is too far, a part of it
                tried = np.clip(x[waiting] + share * change[waiting], 0, 1).astype(np.float32)
                there = self.deformation_mm(tried)
                better = ((there - target[waiting]) ** 2).sum(1) < ((now[waiting] - target[waiting]) ** 2).sum(1)
                x[waiting[better]], now[waiting[better]] = tried[better], there[better]
                waiting = waiting[~better]
                if not len(waiting):
                    break
        return x, ((now - target) ** 2).sum(1)


def lips_touch(
    head: HeadModel, offsets: Float[np.ndarray, "t v 3"], articulation: Float[np.ndarray, "t 7"]
) -> Bool[np.ndarray, " t"]:
    """Whether the inner rims of the lips are hardly further apart than in the neutral face.

    Args:
        head: of whose topology the offsets are.
        offsets: from the neutral face, metres.
        articulation: fitted to them; it decides where the head does not say which vertices the lips are.
    """
    if not LipModel.fits(head):
        return articulation[:, CLOSED] > _CLOSED
    upper, lower = (head.regions[name].numpy() for name in ("upper_lip_inner", "lower_lip_inner"))
    return (offsets[:, upper, 1] - offsets[:, lower, 1]).max(1) * _MM < _TOUCHING_MM


def voiced(samples: Float32[np.ndarray, " n"], n_hops: int) -> Bool[np.ndarray, " t"]:
    """Where somebody speaks in a recording without other sounds: by loudness, short pauses and closures filled."""
    padded = np.zeros(n_hops * HOP_SAMPLES)
    padded[: min(len(samples), len(padded))] = samples[: len(padded)]
    loudness = 10 * np.log10(np.mean(padded.reshape(-1, HOP_SAMPLES) ** 2, axis=1) + 1e-10)
    loud = loudness > max(np.percentile(loudness, 95) - _VOICE_BELOW_PEAK_DB, _VOICE_LEAST_DB)
    return ~widened(~widened(loud, _FILLED_S), _FILLED_S) | loud


def widened(inside: Bool[np.ndarray, " t"], margin_s: float) -> Bool[np.ndarray, " t"]:
    """True up to so long before and after."""
    margin = round(margin_s / HOP_S)
    return np.convolve(inside, np.ones(2 * margin + 1), "same") > 0 if len(inside) > 2 * margin else inside


def spoken_closures(touching: Bool[np.ndarray, " t"], voice: Bool[np.ndarray, " t"]) -> Bool[np.ndarray, " t"]:
    """Short times with the lips together in the middle of speech: p, b and m."""
    both = touching & voice
    change = np.diff(both.astype(np.int8), prepend=0, append=0)
    closed = np.zeros(len(both), bool)
    for start, end in zip(np.flatnonzero(change == 1), np.flatnonzero(change == -1), strict=True):
        closed[start:end] = (end - start) * HOP_S <= _LONGEST_CLOSURE_S
    return closed


def _known_mouths() -> Float32[np.ndarray, "k 7"]:
    """Mouths that speech may make: few channels at once, closed lips only where nothing opens them."""
    rng = np.random.default_rng(0)
    mouths = rng.uniform(0, 1, (_KNOWN, len(CHANNELS))) ** 1.5
    mouths[:, [ROUNDING, SPREAD, LIP_IN]] *= rng.random((_KNOWN, 3)) < 0.45
    mouths[:, CLOSED] *= rng.random(_KNOWN) < 0.5
    mouths[:, TONGUE] = 0.0
    return mouths.astype(np.float32)


def _moving_vertices(head: HeadModel, arkit: ArkitMap, weights: Float32[np.ndarray, "k 52"]) -> Int[np.ndarray, " n"]:
    """Vertices of the face that speech moves, thinned out."""
    face = head.regions["face"].numpy() if "face" in head.regions else np.arange(head.n_vertices)
    some = FaceMotion.from_head(head, arkit, face).deformation(weights[:40])
    moving = face[np.sqrt((some**2).sum(-1)).max(0) * _MM > _MOVING_MM]
    return moving[:: max(1, len(moving) // _MOST_VERTICES)]
