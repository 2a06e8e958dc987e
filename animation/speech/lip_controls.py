"""What may move to bring the lips where they must be, and the least change of it that does.

The lips are to get somewhere exactly, and the face is to be left as it is: a small bounded least-squares problem,
linearised twice, whose optimum is unique and moves continuously with what it starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int8

from avatar.flame.arkit import indices

__all__ = ["LipControls", "bounded_minimum"]

_ROUNDS = 2

Residual = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From weights to what should be zero, millimetres, and its derivative by the controls."""


class LipControls:
    """Blendshapes that may change, what a change costs, and how far each may go."""

    def __init__(self, controls: Sequence[tuple[tuple[str, ...], float, float, float]]) -> None:
        """
        Args:
            controls: blendshapes, the cost of one unit, and how far below and above their present weight they may go.
        """
        self.index = np.concatenate([indices(*names) for names, *_ in controls])
        cost, self._below, self._above = (
            np.concatenate([np.full(len(control[0]), control[column]) for control in controls]) for column in (1, 2, 3)
        )
        self._cost = np.diag(cost)

    def least_change(self, weights: Float[np.ndarray, "52"], residual: Residual) -> Float[np.ndarray, "52"]:
        """The change of weights that brings the residual to zero as far as it is worth its cost (Gauss-Newton with
        proximal steps, bounds on every control)."""
        start = np.asarray(weights, np.float64)
        w, index = start.copy(), self.index
        lower = np.maximum(start[index] - self._below, np.minimum(start[index], 0.0))
        upper = np.minimum(start[index] + self._above, np.maximum(start[index], 1.0))
        side = np.zeros(len(index), np.int8)
        for _ in range(_ROUNDS):
            left, jacobian = residual(w)
            hessian = jacobian.T @ jacobian + self._cost
            step, side = bounded_minimum(hessian, jacobian.T @ left, lower - w[index], upper - w[index], side)
            w[index] += step
        return (w - start).astype(np.float32)


def bounded_minimum(
    hessian: Float[np.ndarray, "n n"],
    gradient: Float[np.ndarray, " n"],
    lower: Float[np.ndarray, " n"],
    upper: Float[np.ndarray, " n"],
    side: Int8[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, " n"], Int8[np.ndarray, " n"]]:
    """argmin of x'Hx/2 + g'x within bounds, H positive definite.

    Args:
        side: a guess at where each variable ends: -1 at its lower bound, +1 at the upper one, 0 between them.

    Returns:
        the minimum, and where each variable ended.

    Reference: Judice and Pires, "A block principal pivoting algorithm for large-scale strictly monotone linear
    complementarity problems", 1994. All violated bounds change sides at once, which takes two to four rounds here.
    """
    x = np.zeros(len(gradient))
    for _ in range(10):
        free = side == 0
        held = np.where(side < 0, lower, upper)
        held[free] = 0.0
        # Held variables keep their place in the system as equations of their own: cheaper than to cut it smaller.
        system = np.where(free[:, None] & free, hessian, 0.0)
        system.flat[:: len(x) + 1] += ~free
        x = np.linalg.solve(system, np.where(free, -(gradient + hessian @ held), held))
        slope = gradient + hessian @ x
        new = side.copy()
        new[free & (x < lower - 1e-9)] = -1
        new[free & (x > upper + 1e-9)] = 1
        new[(side * slope > 1e-9) & ~free] = 0
        if (new == side).all():
            break
        side = new
    return np.clip(x, lower, upper), side
