"""Leaving out Gaussians that training has made too faint to be seen."""

from __future__ import annotations

from avatar.rig import Avatar

__all__ = ["without_faint"]

_FAINT = 0.012
"""An opacity of less changes a pixel by three of 255 levels at most."""


def without_faint(avatar: Avatar) -> Avatar:
    """The avatar without Gaussians that no expression shows. Those that are left keep their order."""
    logits = avatar.gaussians.logit_opacities
    if avatar.appearance is not None and len(avatar.appearance.channels):
        logits = logits + avatar.appearance.fades.clamp(min=0).amax(0)
    return avatar.reordered((logits.sigmoid() >= _FAINT).nonzero().flatten())
