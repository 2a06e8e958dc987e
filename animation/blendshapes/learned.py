"""Fusion by the learned blendshapes: the paper's module as the driver calls it.

On the hot path everything is numpy: weights move the face's vertices, the expression encoder looks at the geometry
image of what speech moved and says what does not belong, the rest is refitted to the blendshapes of speech, and one
matrix takes it to the expression and the jaw of the head model, and so back to ARKit's blendshapes.

An emotion comes from a recipe, not from a recording: no articulation hides in it, so nothing is dropped [chosen]. It is
fitted to the blendshapes of expression as it is. A single pose cannot say whether lips are parted by a smile or by a
vowel; asked nevertheless, the speech encoder would close most of a smile and part the pressed lips of anger.
"""

from __future__ import annotations

from copy import copy
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from animation.blendshapes.flame_map import FaceMotion, FlameMap, arkit_matrix
from animation.blendshapes.fusion import Encoder, FusionModel, load_fusion
from animation.blendshapes.joining import add, hold_back
from animation.speech.lips import LipModel, default_lips
from avatar.flame.arkit import NAMES, ArkitMap, indices
from avatar.flame.head import HeadModel
from avatar.heads import open_head

__all__ = ["LearnedFusion", "default_weights"]

_MM = 1e3
_OUTSIDE = indices("tongueOut", *(name for name in NAMES if name.startswith("eyeLook")))
"""What the face's skin does not show: passed through."""


def default_weights() -> Path:
    """The weights that ship."""
    return Path(str(resources.files("animation") / "weights" / "fusion.safetensors"))


class LearnedFusion:
    """Speech plus expression, each freed of what belongs to the other. Free of state."""

    def __init__(
        self,
        model: FusionModel | None = None,
        head: HeadModel | None = None,
        arkit: ArkitMap | None = None,
    ) -> None:
        """
        Args:
            model: a fusion module; the one that ships if None.
            head: the head that it was trained on; the generic head if None.
            arkit: that head's blendshapes.

        Raises:
            UserError: if the weights that ship are missing or do not fit the generic head.
        """
        if head is None or arkit is None:
            head, arkit = open_head()
        if model is None:
            model = load_fusion(default_weights(), head)[0]
        self._lips = default_lips()
        vertices = model.image.vertices
        self._motion = FaceMotion.from_head(head, arkit, vertices)
        self.speech_map = FlameMap.fit(head, vertices, model.speech_blendshapes)
        """From speech weights to the head's parameters, with its residual."""
        self.expression_map = FlameMap.fit(head, vertices, model.expression_blendshapes)
        back = arkit_matrix(arkit)
        self._speech = _SpeechBranch(model, self.speech_map.matrix @ back)
        self._expression = _refit_matrix(model.expression_decoder.weight, self.expression_map.matrix @ back)

    @classmethod
    @cache
    def shipped(cls) -> LearnedFusion:
        """The module that ships, sealing the lips of the generic head. Made once a process."""
        return cls()

    def for_lips(self, lips: LipModel) -> LearnedFusion:
        """The same for a head with other lips; what is learned is shared."""
        other = copy(self)
        other._lips = lips
        return other

    def fuse(
        self,
        speech_weights: Float[np.ndarray, "*batch 52"],
        emotion_weights: Float[np.ndarray, "*batch 52"],
        closure: Float[np.ndarray, "*batch"] | float,
    ) -> Float32[np.ndarray, "*batch 52"]:
        """See `animation.blendshapes.Fusion.fuse`."""
        shape = np.shape(speech_weights)
        speech = np.asarray(speech_weights, np.float32).reshape(-1, len(NAMES))
        emotion = np.broadcast_to(np.asarray(emotion_weights, np.float32), shape).reshape(-1, len(NAMES))
        emotion = hold_back(speech, emotion)
        fused = add(self.speech(speech), self.expression(emotion))
        fused[:, _OUTSIDE] = np.clip(speech[:, _OUTSIDE] + emotion[:, _OUTSIDE], 0.0, 1.0)
        closures = np.broadcast_to(np.asarray(closure, np.float32), shape[:-1]).reshape(-1)
        for row, amount in zip(fused, closures, strict=True):
            row[:] = self._lips.seal(row, float(amount))
        return fused.reshape(shape)

    def speech(self, weights: Float[np.ndarray, "b 52"]) -> Float32[np.ndarray, "b 52"]:
        """Weights of speech by B_A w_A, without the expression that hides in them; not clipped."""
        return self._speech(self._flat(weights)) if weights.any() else np.zeros_like(weights)

    def expression(self, weights: Float[np.ndarray, "b 52"]) -> Float32[np.ndarray, "b 52"]:
        """Weights of an emotion by B_E w_E; not clipped."""
        return self._flat(weights) @ self._expression if weights.any() else np.zeros_like(weights)

    def _flat(self, weights: Float[np.ndarray, "b 52"]) -> Float32[np.ndarray, "b n3"]:
        """The face's deformation, millimetres."""
        return self._motion.deformation(weights).reshape(len(weights), -1) * np.float32(_MM)


def _refit_matrix(blendshapes: Tensor, to_arkit: Float32[np.ndarray, "k 52"]) -> Float32[np.ndarray, "n3 52"]:
    """Flat millimetres to ARKit weights, through the least-squares weights of blendshapes."""
    b = blendshapes.detach().double().numpy()
    gram = b.T @ b
    refit = np.linalg.solve(gram + 1e-7 * np.diag(gram).mean() * np.eye(len(gram)), b.T)
    return (to_arkit.T.astype(np.float64) @ refit).T.astype(np.float32)


class _SpeechBranch:
    """The way of speech in numpy: estimate the expression that hides in it, refit the rest, map to ARKit's blendshapes.

    The readable twin is `FusionModel.keep_speech`.
    """

    def __init__(self, model: FusionModel, to_arkit: Float32[np.ndarray, "k 52"]) -> None:
        hidden = model.expression_decoder.weight.detach().double().numpy()
        self._direct = _refit_matrix(model.speech_decoder.weight, to_arkit)
        self._crossing = (hidden.T @ self._direct).astype(np.float32)
        self._encoder = _NumpyEncoder(model, model.expression_encoder)
        self._size = (hidden.T @ hidden / model.image.n_vertices).astype(np.float32)
        self._threshold_mm = max(model.config.threshold_mm[0], 1e-9)

    def __call__(self, flat: Float32[np.ndarray, "b n3"]) -> Float32[np.ndarray, "b 52"]:
        hidden = self._encoder(flat)
        size = np.sqrt(np.maximum(((hidden @ self._size) * hidden).sum(-1, keepdims=True), 0))
        t = np.clip(size / self._threshold_mm - 1, 0, 1)
        return flat @ self._direct - hidden * (t * t * (3 - 2 * t)) @ self._crossing


class _NumpyEncoder:
    """An encoder in numpy: the same sums as torch's, without its overhead of a call."""

    def __init__(self, model: FusionModel, encoder: Encoder) -> None:
        self._principal = (encoder.linear @ model.principal_axes).detach().numpy().T.copy()
        scale = model.scale.numpy()[:, None]
        self._geometric = model.config.geometric_mapping
        self._scale = scale
        if self._geometric:
            image = model.image
            columns = image.pixel_vertices.reshape(-1)
            weights = image.pixel_weights.reshape(-1) / scale[columns, 0]
            starts = np.arange(0, len(columns) + 1, 3)
            shape = (image.size**2, image.n_vertices)
            self._sampling = csr_matrix((weights.astype(np.float32), columns, starts), shape)
            self._size = image.size
        layers = list(encoder.network.layers)
        self._convolutions = [
            layer.weight.detach().numpy().transpose(2, 3, 1, 0).reshape(-1, layer.out_channels).copy()
            for layer in layers
            if isinstance(layer, nn.Conv2d)
        ]
        self._dense = [layer.weight.detach().numpy().T.copy() for layer in layers if isinstance(layer, nn.Linear)]

    def __call__(self, flat: Float32[np.ndarray, "b n3"]) -> Float32[np.ndarray, "b k"]:
        vertices = flat.reshape(len(flat), -1, 3)
        if self._geometric:
            pixels = self._sampling @ vertices.transpose(1, 0, 2).reshape(vertices.shape[1], -1)
            x = pixels.reshape(self._size, self._size, -1, 3).transpose(2, 0, 1, 3)
            for kernel in self._convolutions:
                x = np.maximum(_windows(x) @ kernel, 0)
            y = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        else:
            y = (vertices / self._scale).reshape(len(flat), -1)
        for kernel in self._dense[:-1]:
            y = np.maximum(y @ kernel, 0)
        return y @ self._dense[-1] + flat @ self._principal


def _windows(x: Float32[np.ndarray, "b h w c"]) -> Float32[np.ndarray, "b h2 w2 9c"]:
    """What a 3 x 3 convolution with stride 2 and padding 1 multiplies its kernel with."""
    b, h, w, c = x.shape
    padded = np.zeros((b, h + 2, w + 2, c), np.float32)
    padded[:, 1:-1, 1:-1] = x
    taps = [padded[:, i : i + h : 2, j : j + w : 2] for i in range(3) for j in range(3)]
    return np.concatenate(taps, -1)
