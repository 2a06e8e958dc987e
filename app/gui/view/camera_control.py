"""The hand on the camera: what mouse and keys do to the view."""

from __future__ import annotations

from PyQt6.QtCore import QObject

from app.gui.view.viewport import Viewport
from app.settings import Store

__all__ = ["CameraControl"]

_PITCH_DEG, _SHIFT_M = 60.0, 0.3
_ZOOM = (0.4, 6.0)
_PICTURE_M = 0.35
"""Height of what a portrait shows, at the avatar."""


class CameraControl(QObject):
    """Turns, moves and zooms, within limits, by way of the settings."""

    def __init__(self, store: Store, viewport: Viewport) -> None:
        super().__init__()
        self._store = store
        viewport.orbited.connect(self._orbit)
        viewport.panned.connect(self._pan)
        viewport.zoomed.connect(self._zoom)
        viewport.reset.connect(self.reset)

    def reset(self) -> None:
        """The framing as it was."""
        self._store.change(yaw_deg=0.0, pitch_deg=0.0, zoom=1.0, pan=(0.0, 0.0))

    def _orbit(self, yaw: float, pitch: float) -> None:
        settings = self._store.value
        turned = (settings.yaw_deg + yaw + 180.0) % 360.0 - 180.0
        self._store.change(yaw_deg=turned, pitch_deg=min(max(settings.pitch_deg + pitch, -_PITCH_DEG), _PITCH_DEG))

    def _pan(self, right: float, up: float) -> None:
        settings = self._store.value
        height_m = _PICTURE_M / settings.zoom
        x, y = settings.pan[0] + right * height_m, settings.pan[1] + up * height_m
        self._store.change(pan=(min(max(x, -_SHIFT_M), _SHIFT_M), min(max(y, -_SHIFT_M), _SHIFT_M)))

    def _zoom(self, factor: float) -> None:
        low, high = _ZOOM
        self._store.change(zoom=min(max(self._store.value.zoom * factor, low), high))
