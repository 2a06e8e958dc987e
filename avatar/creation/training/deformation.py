"""Offsets of a head's vertices that pictures may change, smoothly: a bump grows as a whole, and nothing creases.

Reference: Nicolet, Jacobson and Jakob, "Large steps in inverse rendering of geometry", SIGGRAPH Asia 2021: what is
learned is u in x = (1 + s L)^-1 u, by an Adam whose step is as long for all vertices.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from avatar.flame.head import HeadModel

__all__ = ["Offsets"]

_EVERY = 4
"""Pictures whose gradients make one step: the two solves take longer than a picture's share."""
_BETA1, _BETA2 = 0.9, 0.99
_INSIDE = ("upper_teeth", "lower_teeth", "upper_gum", "lower_gum", "tongue")


class Offsets:
    """Metres, for every vertex of the head at rest. Eyeballs follow their lids, and what is in the mouth the lips."""

    def __init__(
        self, head: HeadModel, start: Float[Tensor, "v 3"] | None, smoothness: float, device: torch.device
    ) -> None:
        """
        Args:
            smoothness: s; an offset spreads over about its root's number of edges.
        """
        count = head.n_vertices
        first = torch.zeros(count, 3) if start is None else start.detach().float().cpu()
        self.values = first.to(device).clone().requires_grad_()
        """A leaf."""
        edges = head.faces.cpu().numpy()
        edges = np.concatenate([edges[:, [0, 1]], edges[:, [1, 2]], edges[:, [2, 0]]])
        one_way = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count)).tocsr()
        links = ((one_way + one_way.T) > 0).astype(np.float64)
        laplacian = sparse.diags(np.asarray(links.sum(1)).ravel()) - links
        self._solver = splu((sparse.identity(count) + smoothness * laplacian).tocsc())
        self._follow = _following(head)
        self._start = first.double().numpy()
        self.latent = torch.zeros(count, 3, dtype=torch.float64)
        self.momentum = torch.zeros_like(self.latent)
        self.gradient = torch.zeros_like(self.latent)
        """Summed since the last step."""
        self.scale = torch.zeros(1, dtype=torch.float64)
        """The second moment, of the vertex that is pulled at most."""
        self.count = 0

    def step(self, rate_m: float) -> bool:
        """Take in the gradient of a picture, and now and then a step; whether it was one."""
        assert self.values.grad is not None
        self.gradient += self.values.grad.double().cpu()
        self.values.grad = None
        self.count += 1
        if self.count % _EVERY:
            return False
        slope = torch.from_numpy(self._solver.solve(self._follow.T @ self.gradient.numpy()))
        self.gradient.zero_()
        steps = self.count // _EVERY
        self.momentum.mul_(_BETA1).add_(slope, alpha=1 - _BETA1)
        self.scale.mul_(_BETA2).add_(slope.square().sum(1).max(), alpha=1 - _BETA2)
        length = (self.scale / (1 - _BETA2**steps)).sqrt().clamp_min(1e-20)
        self.latent -= rate_m / (1 - _BETA1**steps) / length * self.momentum
        self.settle()
        return True

    def settle(self) -> None:
        """Bring the offsets to what has been learned."""
        found = self._start + self._follow @ self._solver.solve(self.latent.numpy())
        self.values.data.copy_(torch.from_numpy(found))


def _following(head: HeadModel) -> sparse.csr_matrix:
    """From offsets of the face to those of all vertices."""
    regions = {name: index.cpu().numpy() for name, index in head.regions.items()}
    kept = np.ones(head.n_vertices)
    rows, columns, shares = [], [], []

    def follow(name: str, *leading: str) -> None:
        if name not in regions or any(part not in regions for part in leading):
            return
        moved, by = regions[name], np.concatenate([regions[part] for part in leading])
        kept[moved] = 0
        rows.append(np.repeat(moved, len(by)))
        columns.append(np.tile(by, len(moved)))
        shares.append(np.full(len(moved) * len(by), 1 / len(by)))

    for side in ("left", "right"):
        for name in (f"eye_{side}", f"caruncle_{side}"):
            follow(name, f"upper_lid_margin_{side}", f"lower_lid_margin_{side}")
    for name in _INSIDE:
        follow(name, "upper_lip_inner", "lower_lip_inner")
    own = np.flatnonzero(kept)
    entries = (np.concatenate([np.ones(len(own)), *shares]), (np.r_[own, *rows], np.r_[own, *columns]))
    return sparse.coo_matrix(entries, (head.n_vertices, head.n_vertices)).tocsr()
