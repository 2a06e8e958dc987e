"""What tests of the engine share: sessions on stand-ins, and some speech."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from app.live.scene import Scene
from app.live.session import LiveSession
from app.live.source import Source


@pytest.fixture
def make_session(
    stand_in_avatar: Any, loudness_driver: Any, plain_renderer: Any, sound_system: Any
) -> Iterator[Callable[..., LiveSession]]:
    made: list[LiveSession] = []

    def make(source: Source | None = None, **options: Any) -> LiveSession:
        options.setdefault("make_driver", loudness_driver)
        options.setdefault("open_renderer", lambda name, notice: plain_renderer(name))
        options.setdefault("scene", Scene(width=64, height=64))
        session = LiveSession(source, **options)
        session.show(stand_in_avatar)
        made.append(session)
        return session

    yield make
    for session in made:
        session.stop()


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Half a second of tone, half a second of silence, three times; at an unusual rate, in stereo."""
    t = np.arange(3 * 22_050) / 22_050
    wave = 0.4 * np.sin(2 * np.pi * 200 * t) * (t % 1.0 < 0.5)
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.stack([wave, wave], 1), 22_050)
    return path


@pytest.fixture
def loudspeaker(sound_system: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The output streams that have been opened; nothing is played."""
    opened: list[Any] = []

    def open_output(self: Any, **options: Any) -> Any:
        opened.append(options)
        nothing = lambda *more, **named: None  # noqa: E731
        return SimpleNamespace(start=nothing, abort=nothing, close=nothing)

    monkeypatch.setattr(type(sound_system), "OutputStream", open_output)
    return opened
