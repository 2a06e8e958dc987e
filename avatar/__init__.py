"""What is drawn: head models, Gaussians bound to them, and the renderers."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Idle worker threads must sleep, not spin: spinning, two render threads are slower than one on busy cores.
# OpenMP reads this once, when numba or torch first loads it, so it is set before either is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from avatar.binding import BoundGaussians
    from avatar.camera import Camera
    from avatar.cloud import GaussianCloud
    from avatar.errors import UserError
    from avatar.flame import ArkitMap, FlameParams, HeadModel
    from avatar.heads import open_head
    from avatar.library import names, open_avatar
    from avatar.render import Renderer, available_renderers, open_renderer
    from avatar.rig import Avatar

# Imported at first use: `animation` needs the head model alone, without the renderers' compilers.
_HOMES = {
    "ArkitMap": "avatar.flame",
    "Avatar": "avatar.rig",
    "BoundGaussians": "avatar.binding",
    "Camera": "avatar.camera",
    "FlameParams": "avatar.flame",
    "GaussianCloud": "avatar.cloud",
    "HeadModel": "avatar.flame",
    "Renderer": "avatar.render",
    "UserError": "avatar.errors",
    "available_renderers": "avatar.render",
    "names": "avatar.library",
    "open_avatar": "avatar.library",
    "open_head": "avatar.library",
    "open_renderer": "avatar.render",
}

__all__ = [
    "ArkitMap",
    "Avatar",
    "BoundGaussians",
    "Camera",
    "FlameParams",
    "GaussianCloud",
    "HeadModel",
    "Renderer",
    "UserError",
    "available_renderers",
    "names",
    "open_avatar",
    "open_head",
    "open_renderer",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'avatar' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
