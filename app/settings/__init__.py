"""The application's settings: typed, versioned, saved, observed, undone; plain data that knows nothing of the rest."""

from app.settings.files import load_settings, settings_path
from app.settings.settings import (
    LEAST_GAUSSIANS,
    LOOK_FIELDS,
    FaceSettings,
    OutputSettings,
    Preset,
    Settings,
    VoiceSettings,
)
from app.settings.store import Store

__all__ = [
    "LEAST_GAUSSIANS",
    "LOOK_FIELDS",
    "FaceSettings",
    "OutputSettings",
    "Preset",
    "Settings",
    "Store",
    "VoiceSettings",
    "load_settings",
    "settings_path",
]
