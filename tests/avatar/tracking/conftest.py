"""The tracker's models, fetched once for all runs; tests that need them are skipped where they cannot be had."""

from __future__ import annotations

import shutil

import pytest
from platformdirs import user_cache_path

from avatar.errors import UserError
from avatar.tracking import models


@pytest.fixture(scope="session")
def tracking_models() -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra capture")
    kept = user_cache_path("gaussian-avatar-tests", appauthor=False) / "models"
    here = models.models_dir()
    here.mkdir(parents=True, exist_ok=True)
    for name in models.MODELS:
        if (kept / name).is_file():
            shutil.copy(kept / name, here / name)
    try:
        models.fetch_models()
    except UserError as error:
        pytest.skip(str(error))
    kept.mkdir(parents=True, exist_ok=True)
    for name in models.MODELS:
        shutil.copy(here / name, kept / name)
