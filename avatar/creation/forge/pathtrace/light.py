"""The studio that flatters: a large soft key from the side, little else; and a camera that keeps the skin's colour."""

from __future__ import annotations

from avatar.creation.forge.pathtrace.scene import Lamp, Light

__all__ = ["KEY_POSITION_M", "portrait_light"]

KEY_POSITION_M = (-1.0, 0.75, 1.0)


def portrait_light() -> Light:
    """A soft window high on the picture's left, a weak fill, rims from behind, light on the hair, a dim room."""
    return Light(
        lamps=(
            Lamp("key", KEY_POSITION_M, (1.0, 1.1), 49.0, (1.0, 0.965, 0.92)),
            Lamp("fill", (1.2, 0.0, 1.1), (1.4, 1.4), 9.0, (0.96, 0.98, 1.0), (0.0, -0.02, 0.0)),
            Lamp("rim", (0.95, 0.50, -1.0), (0.5, 1.0), 14.0, (0.96, 0.97, 1.0), (0.0, 0.03, -0.03)),
            Lamp("edge", (-1.0, 0.35, -0.9), (0.4, 1.0), 6.0, (1.0, 0.97, 0.93), (0.0, 0.03, -0.03)),
            Lamp("hair", (-0.35, 1.25, -0.45), (0.8, 0.6), 9.0, (1.0, 0.97, 0.92), (0.0, 0.05, -0.04)),
            Lamp("below", (0.0, -0.75, 0.8), (1.0, 0.6), 2.5, (1.0, 0.96, 0.92), (0.0, -0.03, 0.0)),
        ),
        above=(0.44, 0.46, 0.50),
        below=(0.20, 0.18, 0.16),
        room=0.45,
        exposure=-0.05,
        view_transform="Khronos PBR Neutral",
        look="None",
    )
