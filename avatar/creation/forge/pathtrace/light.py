"""The studio that flatters: a large soft key from the side, little else; and a camera that keeps the skin's colour."""

from __future__ import annotations

from avatar.creation.forge.pathtrace.scene import Lamp, Light

__all__ = ["KEY_POSITION_M", "portrait_light"]

KEY_POSITION_M = (-0.95, 0.62, 1.15)


def portrait_light() -> Light:
    """A window on the picture's left, high enough for a shadow under the chin, a weak fill, rims from behind, light on
    the hair, a dim room; developed as film is, so that highlights roll off and bright skin keeps its colour."""
    return Light(
        lamps=(
            Lamp("key", KEY_POSITION_M, (0.65, 0.85), 46.0, (1.0, 0.955, 0.90)),
            Lamp("fill", (1.3, 0.05, 1.0), (1.2, 1.4), 7.0, (0.94, 0.97, 1.0), (0.0, -0.02, 0.0)),
            Lamp("rim", (0.90, 0.55, -1.0), (0.4, 1.0), 9.0, (0.95, 0.97, 1.0), (0.0, 0.03, -0.03)),
            Lamp("edge", (-1.0, 0.35, -0.9), (0.4, 1.0), 5.0, (1.0, 0.97, 0.93), (0.0, 0.03, -0.03)),
            Lamp("hair", (-0.30, 1.20, -0.50), (0.7, 0.5), 9.0, (1.0, 0.97, 0.92), (0.0, 0.05, -0.04)),
            Lamp("below", (0.0, -0.75, 0.8), (1.0, 0.6), 2.0, (1.0, 0.96, 0.92), (0.0, -0.03, 0.0)),
        ),
        above=(0.44, 0.46, 0.50),
        below=(0.20, 0.18, 0.16),
        room=0.40,
        exposure=0.20,
        view_transform="AgX",
        look="AgX - Medium High Contrast",
    )
