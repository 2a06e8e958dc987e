"""The live engine without a window: for servers, recordings and measurements."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from animation.driver import DriverSettings
from app.audio_file import open_audio
from app.backdrop import STUDIO, Backdrop
from app.live.device_list import find_device
from app.live.notice import Notice
from app.live.scene import Scene
from app.live.session import LiveSession
from app.live.source import Source
from app.live.status import status_line
from app.output.writer import check_target
from app.settings import FaceSettings, OutputSettings
from avatar.camera import PRESETS
from avatar.errors import UserError

__all__ = ["HeadlessOptions", "run_headless"]

_LOOK_S, _TELL_S = 0.1, 1.0
_PATIENCE_S = 600.0
"""The first start of a GPU renderer may compile for minutes."""


@dataclass(frozen=True)
class HeadlessOptions:
    """What `gaussian-avatar live --headless` takes."""

    source: Source = field(default_factory=Source)
    lookahead_ms: float = 70.0
    """How much sound after a moment the speech model waits for."""
    avatar: str | None = None
    """Name or file; None is the default."""
    emotion: str = "neutral"
    intensity: float = 1.0
    seed: int = 0
    width: int = 512
    height: int = 512
    background: Backdrop = STUDIO
    camera: str = "portrait"
    backend: str = "auto"
    record: Path | None = None
    """Write a video here."""
    fps: float | None = None
    """Of the video; None keeps the time of every image."""
    quality: str = "standard"
    duration_s: float | None = None
    """Stop after so long; None goes on until the file has ended or an interrupt."""
    monitor: bool = False
    face: FaceSettings = field(default_factory=FaceSettings)
    """What moves the face."""
    outputs: OutputSettings = field(default_factory=OutputSettings)
    """VMC, Live Link Face, virtual camera."""


def run_headless(options: HeadlessOptions, report: Callable[[str], None] = lambda line: None) -> int:
    """Run until the file has ended, the time is over, or an interrupt (Ctrl-C), which ends it cleanly.

    Args:
        report: given a line about once a second.

    Returns:
        Exit code 0.

    Raises:
        UserError: for what cannot be opened, or when a worker has died.
    """
    if options.camera not in PRESETS:
        raise UserError(f"unknown camera {options.camera!r}: choose one of {', '.join(PRESETS)}")
    source = options.source
    if source.file is not None:
        open_audio(source.file, track=source.track, channel=source.channel)
    if options.record is not None:
        check_target(options.record, options.background is None)
    if source.device is not None:
        source = replace(source, device=find_device(source.device))
    failed = threading.Event()
    told_s = time.monotonic()
    refused: list[Notice] = []

    def notice(what: Notice) -> None:
        if what.kind in ("output", "camera", "clip", "monitor"):  # asked for: to go on without it would be no help
            refused.append(what)
            failed.set()
        else:
            report(str(what))

    session = LiveSession(
        Source(none=True),
        Scene(
            PRESETS[options.camera],
            options.width,
            options.height,
            options.background,
            backend=options.backend,
        ),
        driver=DriverSettings(
            emotion=options.emotion,
            intensity=options.intensity,
            seed=options.seed,
            lookahead_ms=options.lookahead_ms,
        ),
        on_image=lambda image: session.painted(image),
        on_failure=lambda failure: failed.set(),
        on_notice=notice,
    )
    session.set_avatar(options.avatar)
    session.set_outputs(options.outputs)
    with session:
        try:
            report("preparing")
            _prepare(session, failed)
            if options.record is not None:
                session.recordings.start(options.record, options.fps, options.quality)
            session.set_source(source)
            session.set_face(options.face)
            started = time.monotonic()
            if options.monitor:
                session.set_monitor(True)
            while not _over(session, options, started) and not failed.wait(_LOOK_S):
                if time.monotonic() >= told_s + _TELL_S:
                    told_s = time.monotonic()
                    report(status_line(session.status()))
            session.play_out()
        except KeyboardInterrupt:
            report("interrupted")
        if session.recordings.busy:
            done = session.recordings.stop()
            report(
                f"recorded {done.path}: {done.duration_s:.1f} s, {done.images} images, {done.images_dropped} dropped"
            )
            if done.error:
                raise UserError(done.error)
    if refused:
        about = {"camera": "no webcam: ", "output": "nothing can be sent: "}.get(refused[0].kind, "")
        raise UserError(f"{about}{refused[0] if about else refused[0].detail}")
    if session.failures:
        raise UserError("; ".join(f"{f.worker}: {f.message}" for f in session.failures))
    return 0


def _prepare(session: LiveSession, failed: threading.Event) -> None:
    """Wait until the face moves, so that nothing that is said falls on deaf ears."""
    for _ in range(int(_PATIENCE_S / _LOOK_S)):
        if session.ready or failed.wait(_LOOK_S):
            return
    raise UserError(f"no picture after {_PATIENCE_S:.0f} s; gaussian-avatar doctor says what this machine has")


def _over(session: LiveSession, options: HeadlessOptions, started_s: float) -> bool:
    if options.duration_s is not None and time.monotonic() - started_s >= options.duration_s:
        return True
    if options.source.file is None or options.source.loop:
        return False
    return session.devices.clips_ended > 0
