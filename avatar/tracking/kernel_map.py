"""Kernel ridge regression: what a new case does is a mixture of what like cases did.

A lid that closes, a brow over a turned head: landmarks do not follow linearly, and examples show how they do. Far from
all examples the linear part of the kernel is what remains.

Reference: Saunders et al., "Ridge regression learning algorithm in dual variables", 1998.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

__all__ = ["KernelMap"]

_COMPONENTS = 140
_WHITENING = 0.5
"""Principal directions are divided by their spread to this power: small movements count, noise does not rule."""
_WIDTH = 1.5
"""Of the bell, in median squared distances between examples."""
_LINEAR, _RIDGE = 0.3, 0.1


@dataclass(frozen=True, eq=False)
class KernelMap:
    """A map that takes nothing to nothing."""

    projection: Float32[np.ndarray, "n c"]
    """On whitened principal directions; with them squared lengths are 1 on average, for the whole of an example."""
    examples: Float32[np.ndarray, "t c"]
    answers: Float32[np.ndarray, "t m"]
    width: float
    """Squared distance at which the bell is 1/e."""

    @classmethod
    def of(cls, tensors: Mapping[str, np.ndarray]) -> KernelMap:
        """Of what `tensors` returned.

        Raises:
            KeyError: if one is missing.
        """
        names = ("driving_projection", "driving_examples", "driving_answers")
        projection, examples, answers = (tensors[name].astype(np.float32) for name in names)
        return cls(projection, examples, answers, float(tensors["driving_width"][0]))

    def tensors(self) -> dict[str, np.ndarray]:
        """As they are stored."""
        return {
            "driving_projection": self.projection.astype(np.float16),
            "driving_examples": self.examples.astype(np.float16),
            "driving_answers": self.answers.astype(np.float16),
            "driving_width": np.array([self.width], np.float32),
        }

    def __call__(self, values: Float[np.ndarray, " n"]) -> Float32[np.ndarray, " m"]:
        """What one case does."""
        at = np.asarray(values, np.float32) @ self.projection
        lengths = np.einsum("tc,tc->t", self.examples, self.examples)
        along = self.examples @ at
        bell = np.exp((2 * along - lengths - at @ at) / self.width) - np.exp(-lengths / self.width)
        return np.asarray((bell + _LINEAR * along) @ self.answers, np.float32)

    @classmethod
    def learn(
        cls, inputs: Float[np.ndarray, "t n"], wanted: Float[np.ndarray, "t m"], emphasis: Float[np.ndarray, " n"]
    ) -> KernelMap:
        """From examples.

        Args:
            emphasis: how much each input counts among the principal directions.
        """
        stressed = inputs * emphasis
        _, axes = np.linalg.eigh(stressed.T @ stressed)
        axes = axes[:, -min(_COMPONENTS, len(inputs)) :]
        spread = np.sqrt(np.square(stressed @ axes).mean(0)).clip(1e-9)
        projection = emphasis[:, None] * axes / spread**_WHITENING
        projection /= np.sqrt(np.square(inputs @ projection).sum(1).mean())
        stored = cls(projection.astype(np.float16).astype(np.float32), np.zeros((0, 0)), np.zeros((0, 0)), 1.0)
        examples = (inputs.astype(np.float32) @ stored.projection).astype(np.float16).astype(np.float64)
        products = examples @ examples.T
        lengths = np.diag(products)
        distances = lengths[:, None] + lengths - 2 * products
        width = _WIDTH * float(np.median(distances))
        kernel = np.exp(-distances / width) + _LINEAR * products
        answers = np.linalg.solve(kernel + _RIDGE * np.eye(len(kernel)), wanted)
        return cls(stored.projection, examples.astype(np.float32), answers.astype(np.float32), width)
