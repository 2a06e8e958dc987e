"""What is opened once and serves many files: avatars, renderers, speech models."""

from __future__ import annotations

from pathlib import Path

from animation.driver import SpeechSource
from animation.face import DrivenFace
from animation.life.style import PersonalStyle
from animation.speech.stream import SpeechStream
from avatar.heads import head_names, open_flame, open_head
from avatar.library import default_name, open_avatar
from avatar.render import Renderer, open_renderer
from avatar.rig import Avatar

__all__ = ["OfflineTools"]

_MOST_AVATARS = 4


class OfflineTools:
    """Opens what a file needs, and keeps it for the next. For one thread; a file rendered with tools that others have
    used is the same, bit for bit, as one rendered with tools of its own."""

    def __init__(self) -> None:
        self._avatars: dict[str, tuple[Avatar, DrivenFace]] = {}
        self._renderers: dict[str, Renderer] = {}
        self._streams: dict[Path | None, SpeechStream] = {}

    def avatar(self, name: str) -> Avatar:
        """An avatar by name or file; the default one for an empty name.

        Raises:
            UserError: if it cannot be opened.
        """
        return self._opened(name)[0]

    def face(self, name: str) -> DrivenFace:
        """How that avatar is driven.

        Raises:
            UserError: if it cannot be opened.
        """
        return self._opened(name)[1]

    def renderer(self, backend: str) -> Renderer:
        """A backend by name.

        Raises:
            UserError: if it cannot be used.
        """
        if backend not in self._renderers:
            self._renderers[backend] = open_renderer(backend)
        return self._renderers[backend]

    def speech(self, model: Path | None, avatar: Avatar) -> SpeechSource:
        """A speech model at the start of a stream: a file, or the one that ships.

        Raises:
            UserError: if it cannot be read.
        """
        stream = self._streams.get(model)
        if stream is None:
            source = SpeechStream.open() if model is None else _open_model(model, avatar)
            if not isinstance(source, SpeechStream):
                return source
            stream = self._streams[model] = source
        stream.reset()
        return stream

    def close(self) -> None:
        """Give back what is held."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
        self._avatars.clear()

    def _opened(self, name: str) -> tuple[Avatar, DrivenFace]:
        if name not in self._avatars:
            while len(self._avatars) >= _MOST_AVATARS:
                self._avatars.pop(next(iter(self._avatars)))
            avatar = open_avatar(name or default_name())
            self._avatars[name] = avatar, _driven(avatar)
        return self._avatars[name]


def _driven(avatar: Avatar) -> DrivenFace:
    return DrivenFace.of(avatar.head, avatar.arkit, PersonalStyle.of(avatar.metadata))


def _open_model(path: Path, avatar: Avatar) -> SpeechSource:
    from animation.speech.offline import open_speech_model  # torch's models are loaded only where they are wanted

    heads = ((avatar.head, avatar.arkit), open_head(), *(open_flame(name) for name in head_names()))
    return open_speech_model(path, heads)
