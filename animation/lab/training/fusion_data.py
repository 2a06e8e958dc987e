"""What the fusion module is trained on: poses of both domains, and what time tells about them.

Neither domain is pure, and nothing says what is hidden where. But articulation is fast and expression is slow [chosen]:

- Two poses of one sentence, a moment apart, carry the same hidden expression.
- A sequence of an expression less its slow part is articulation. Its slow part has to be inferred: how much larger all
  of speech is than the fast part of speech says by how much to enlarge what was found, and the fast part's size tells
  how much of the mean pose of speech has to be added. The estimate is noisy from pose to pose but right on average,
  which is all that a regression needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from animation.blendshapes.fusion import FusionConfig
from animation.blendshapes.geometry_image import GeometryImage
from animation.lab.data.sequences import DOMAINS, MeshSequence
from avatar.errors import UserError

__all__ = ["FusionBatch", "FusionData", "principal_axes"]

_MM = 1e3
_MOMENT_S = 0.7
"""Within this time a hidden expression stays what it is."""
_SLOW_HZ = 0.5
"""What moves at this rate or slower is expression."""
_LEAST_POSES = 6
"""A sequence needs more than its slow part to tell anything."""
_SUBSPACE, _SUBSPACE_SAMPLES = 24, 2000
_LEAST_SHARE = 0.35
"""Smallest share of the other domain that is added, relative to the largest."""
_MOUTH_WORK = 0.5
"""Vertices that move half as far in speech as the most mobile one, or farther, are the working mouth."""


class FusionBatch(NamedTuple):
    """Flat millimetres."""

    speech: Float[Tensor, "b n3"]
    speech_later: Float[Tensor, "b n3"]
    """The same speakers a moment earlier or later."""
    added_expression: Float[Tensor, "b n3"]
    """A share of an expression, with more or less of its mouth."""
    expression: Float[Tensor, "b n3"]
    articulation: Float[Tensor, "b n3"]
    """What time tells about the articulation hidden in `expression`."""
    added_speech: Float[Tensor, "b n3"]
    """A share of a pose of speech."""


@dataclass(frozen=True, eq=False)
class _Poses:
    """All poses of one domain, one sequence after another."""

    flat: Float[np.ndarray, "t n3"]
    """Millimetres, float16."""
    starts: Int[np.ndarray, " s"]
    lengths: Int[np.ndarray, " s"]

    def sequence(self, index: int) -> Float32[np.ndarray, "t n3"]:
        start = self.starts[index]
        return self.flat[start : start + self.lengths[index]].astype(np.float32)


class FusionData:
    """Deformations of the face region, both domains, in memory as float16 millimetres."""

    def __init__(self, sequences: Iterable[MeshSequence], image: GeometryImage, fps: float = 15.0) -> None:
        """
        Args:
            sequences: of both domains, of the head's topology, or of the face's vertices alone.
            image: says which vertices are the face.
            fps: to which all sequences are resampled.

        Raises:
            UserError: if a domain is missing, the meshes have another topology, or sequences are too short.
        """
        parts: dict[str, list[np.ndarray]] = {domain: [] for domain in DOMAINS}
        subjects: dict[str, set[str]] = {domain: set() for domain in DOMAINS}
        for sequence in sequences:
            face = _face_only(sequence, image).at_rate(fps)
            parts[sequence.domain].append((face.offsets.reshape(face.n_poses, -1) * _MM).astype(np.float16))
            subjects[sequence.domain].add(sequence.subject)
        self.subjects = {domain: sorted(names) for domain, names in subjects.items()}
        self._fps = fps
        self._domains: dict[str, _Poses] = {}
        for domain in DOMAINS:
            long_enough = [poses for poses in parts[domain] if len(poses) >= _LEAST_POSES]
            if not parts[domain]:
                raise UserError(f"no {domain} sequences among the training data; both domains are needed")
            if not long_enough:
                raise UserError(f"every {domain} sequence is shorter than {_LEAST_POSES / fps:.2g} s")
            lengths = np.array([len(poses) for poses in long_enough])
            self._domains[domain] = _Poses(np.concatenate(long_enough), np.cumsum(lengths) - lengths, lengths)
        self._learn_pace()

    def _learn_pace(self) -> None:
        """How speech moves, and how much of that is in each sequence of expressions."""
        speech, expression = self._domains["speech"], self._domains["expression"]
        window = int(np.median(expression.lengths))
        mean = np.zeros(speech.flat.shape[1])
        square = np.zeros(speech.flat.shape[1])
        sample = self.sample("speech", min(_SUBSPACE_SAMPLES, len(speech.flat)), np.random.default_rng(0))
        axes = principal_axes(torch.from_numpy(sample), _SUBSPACE, 0)[0].numpy()
        fast, count = 0.0, 0
        for index in range(len(speech.starts)):
            whole = speech.sequence(index)
            for start in range(0, max(len(whole) - window, 0) + 1, max(window // 2, 1)):
                part = whole[start : start + window]
                mean += part.sum(0)
                square += (part * part).sum(0)
                fast += self._fast_energy(part, axes)
                count += len(part)
        mean /= count
        self.mean_speech: Float32[np.ndarray, " n3"] = mean.astype(np.float32)
        self.enlargement = float((square.sum() / count - (mean * mean).sum()) / max(fast / count, 1e-12))
        movement = np.sqrt((square / count).reshape(-1, 3).sum(1))
        self._mouth_work = np.minimum(movement / (_MOUTH_WORK * movement.max() + 1e-12), 1).astype(np.float32)
        self.hidden_share: Float32[np.ndarray, " s"] = np.zeros(len(expression.starts), np.float32)
        """Of each sequence of an expression: size of the articulation hidden in it, relative to speech."""
        for index in range(len(expression.starts)):
            whole = expression.sequence(index)
            energy = self._fast_energy(whole, axes) / len(whole)
            self.hidden_share[index] = np.sqrt(energy / max(fast / count, 1e-12))

    def _fast_energy(self, whole: Float32[np.ndarray, "t n3"], axes: Float32[np.ndarray, "r n3"]) -> float:
        """Of the fast part of a sequence, within the space of speech: registration noise lies almost wholly outside."""
        return float(((self._fast(len(whole)) @ (whole @ axes.T)) ** 2).sum())

    def _fast(self, length: int) -> Float32[np.ndarray, "t t"]:
        return _detrending(length, length / self._fps)

    def poses(self, domain: str) -> Float[np.ndarray, "t n3"]:
        """All poses of a domain, flat millimetres, float16."""
        return self._domains[domain].flat

    def sample(self, domain: str, count: int, rng: np.random.Generator) -> Float32[np.ndarray, "b n3"]:
        """Poses at random."""
        poses = self.poses(domain)
        return poses[rng.integers(len(poses), size=count)].astype(np.float32)

    def expressions(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Poses of expressions at random, and what time tells about the articulation in them; (count, n3) each."""
        domain = self._domains["expression"]
        poses, hidden = (np.empty((count, domain.flat.shape[1]), np.float32) for _ in range(2))
        for row, index in enumerate(rng.integers(len(domain.starts), size=count)):
            whole = domain.sequence(index)
            at = rng.integers(len(whole))
            poses[row] = whole[at]
            hidden[row] = self.enlargement * (self._fast(len(whole))[at] @ whole)
            hidden[row] += self.hidden_share[index] * self.mean_speech
        return poses, hidden

    def moments(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of poses of one sentence, a moment apart; (count, n3) each."""
        domain = self._domains["speech"]
        at = rng.integers(len(domain.flat), size=count)
        sequence = np.searchsorted(domain.starts, at, side="right") - 1
        reach = max(1, round(_MOMENT_S * self._fps))
        later = at + rng.integers(-reach, reach + 1, size=count)
        first = domain.starts[sequence]
        later = np.clip(later, first, first + domain.lengths[sequence] - 1)
        return domain.flat[at].astype(np.float32), domain.flat[later].astype(np.float32)

    def hideable(self, count: int, mixing: float, rng: np.random.Generator) -> Float32[np.ndarray, "b n3"]:
        """Expressions as they may hide in speech: a share of them, and of their mouth any part of that share."""
        whole = self.sample("expression", count, rng)
        kept = 1 - rng.uniform(0, 1, (count, 1)) * self._mouth_work
        share = mixing * rng.uniform(_LEAST_SHARE, 1, (count, 1))
        return (whole * np.repeat(share * kept, 3, axis=1)).astype(np.float32)

    def batch(self, config: FusionConfig, rng: np.random.Generator) -> FusionBatch:
        """One batch in the proportions of a configuration."""
        n = config.batch
        share = config.mixing * rng.uniform(_LEAST_SHARE, 1, (n, 1)).astype(np.float32)
        arrays = (
            *self.moments(n, rng),
            self.hideable(n, config.mixing, rng),
            *self.expressions(n, rng),
            share * self.sample("speech", n, rng),
        )
        return FusionBatch(*(torch.from_numpy(array) for array in arrays))


def _face_only(sequence: MeshSequence, image: GeometryImage) -> MeshSequence:
    if sequence.template.shape[0] == image.n_vertices:
        return sequence
    least = int(image.vertices.max()) + 1
    if sequence.template.shape[0] < least:
        raise UserError(
            f"{sequence.key}: {sequence.template.shape[0]} vertices, the head model has at least {least}; "
            "choose the head model that the data was made with"
        )
    return replace(
        sequence, template=sequence.template[image.vertices], offsets=sequence.offsets[:, image.vertices], audio=None
    )


@cache
def _detrending(length: int, duration_s: float) -> Float32[np.ndarray, "t t"]:
    """The matrix that takes the slow part, cosines up to `_SLOW_HZ`, away from a sequence."""
    slow = 1 + max(2, round(2 * duration_s * _SLOW_HZ))
    phase = (np.arange(length) + 0.5) / length
    cosines = np.cos(np.pi * np.arange(min(slow, length)) * phase[:, None])
    basis = np.linalg.qr(cosines)[0]
    return (np.eye(length) - basis @ basis.T).astype(np.float32)


def principal_axes(x: Float[Tensor, "t n"], count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Principal axes as rows and the standard deviations along them, about zero; a randomised range finder."""
    if count == 0:
        return x[:0], x[:0, 0]
    generator = torch.Generator().manual_seed(seed)
    probe = torch.randn(x.shape[1], min(count + 10, *x.shape), generator=generator)
    for _ in range(3):
        probe = torch.linalg.qr(x.T @ (x @ probe)).Q
    _, s, v = torch.linalg.svd(x @ probe, full_matrices=False)
    return (v @ probe.T)[:count], s[:count] / math.sqrt(len(x))
