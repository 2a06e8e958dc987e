"""The words for what the engine reports by kind. Details from drivers and systems stay as they are."""

from __future__ import annotations

from PyQt6.QtCore import QCoreApplication

from app.live.notice import Notice
from app.live.source import SourceState
from app.live.worker import Failure

__all__ = ["failure_words", "notice_words", "renderer_name", "sentence", "source_words"]

_RENDERERS = {"cpu": "CPU", "opengl": "OpenGL", "gsplat": "gsplat"}


def sentence(text: str) -> str:
    """With a capital letter in front."""
    return text[:1].upper() + text[1:]


def renderer_name(backend: str) -> str:
    """A backend, as users know it."""
    return _RENDERERS.get(backend, backend)


def notice_words(notice: Notice) -> str:
    """One line for the banner."""
    translate = QCoreApplication.translate
    if notice.kind == "renderer-unavailable":
        text = translate("Engine", "{} cannot be used, so another renderer draws. {}")
        return text.format(renderer_name(notice.subject), sentence(notice.detail))
    if notice.kind == "output":
        text = translate("Engine", "Nothing is sent to {}: {}")
        return text.format(_tr_output(notice.subject), notice.detail)
    if notice.kind == "camera":
        return translate("Engine", "Webcam: {}").format(notice.detail)
    if notice.kind in ("clip", "monitor"):
        return sentence(notice.detail)
    return translate("Engine", "Renderer: {}").format(notice.detail)


def source_words(state: SourceState) -> str:
    """What is wrong with the microphone; empty if nothing is."""
    translate = QCoreApplication.translate
    if state.cause == "silent":
        return translate("Engine", "No sound arrives: is the microphone muted or unplugged?")
    if state.cause == "stopped":
        return translate("Engine", "{} stopped; trying to get it back").format(state.label)
    return sentence(state.problem)


def failure_words(failure: Failure) -> str:
    """Which part of the engine has stopped, and why."""
    translate = QCoreApplication.translate
    parts = {
        "render": translate("Engine", "The renderer"),
        "inference": translate("Engine", "The animation"),
        "audio": translate("Engine", "The sound"),
        "devices": translate("Engine", "The microphone"),
        "outputs": translate("Engine", "The output"),
        "face": translate("Engine", "The webcam"),
        "avatar": translate("Engine", "Loading the avatar"),
    }
    part = parts.get(failure.worker, failure.worker)
    return translate("Engine", "{} stopped: {}").format(part, failure.message)


def _tr_output(name: str) -> str:
    return QCoreApplication.translate("Engine", "the virtual camera") if name == "virtual camera" else name
