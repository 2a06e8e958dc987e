"""The place for the one recording that a session may have: started, finished, and its result given once."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

from app.live.exchange import Latest
from app.live.recording import LiveRecording
from app.live.scene import LiveImage, Scene
from app.live.voice import SOUND_RATE, VoiceInput
from app.output.recorder import Recorder, RecorderStatus
from app.output.writer import open_writer
from avatar.errors import UserError

__all__ = ["RecordingSlot"]

_POLL_S = 0.02


class RecordingSlot:
    """Holds the recording that runs, or is being finished, until somebody has taken its result.

    Exchange: `start`, `finish` and `stop` are for the session's owner; the voice's thread gives the sound, and the
    render thread calls `image`; `status`, `finishing` and `take_result` may be asked on any thread.
    """

    def __init__(self, scene: Latest[Scene], voice: VoiceInput) -> None:
        """
        Args:
            scene: what is drawn; a recording has its size and background when it starts.
            voice: whose sound is recorded.
        """
        self._scene, self._voice = scene, voice
        self._recording: LiveRecording | None = None
        self._taking = threading.Lock()  # what became of a recording is given once, whichever thread asks
        self._pause = threading.Event()  # never set: to wait on

    @property
    def busy(self) -> bool:
        """Whether there is a recording: it wants images, and keeps the size of the scene."""
        return self._recording is not None

    @property
    def finishing(self) -> bool:
        """Whether the recording is being finished."""
        recording = self._recording
        return recording is not None and recording.ending

    @property
    def status(self) -> RecorderStatus | None:
        """The recording that runs, or is being finished."""
        recording = self._recording
        return recording.status if recording is not None else None

    def start(self, path: Path, fps: float | None = None, quality: str = "standard", sequence: bool = False) -> None:
        """Record pictures and sound from now on.

        Args:
            path, sequence: see `app.output.open_writer`.
            fps: a constant rate; None keeps every image's own time.

        Raises:
            UserError: if it cannot be written, or a recording runs.
        """
        if self._recording is not None:
            raise UserError(f"a recording runs already: {self._recording.recorder.path}")
        scene = self._scene.get()
        size = (scene.width, scene.height)
        transparent = scene.background is None and scene.backdrop is None
        writer = open_writer(
            path,
            *size,
            sample_rate=SOUND_RATE,
            fps=fps,
            quality=quality,
            alpha=transparent,
            live=True,
            sequence=sequence,
        )
        self._recording = LiveRecording(Recorder(writer), size)
        self._voice.tap(self._recording.sound)

    def image(self, image: LiveImage) -> None:
        """Record an image, if there is a recording; on the render thread."""
        if (recording := self._recording) is not None:
            recording.image(image)

    def fitted(self, scene: Scene) -> Scene:
        """A scene in the size of the recording; as it is if there is none. A backdrop of another size is left out for
        the one that is drawn."""
        recording = self._recording
        if recording is None:
            return scene
        width, height = recording.size
        if (scene.width, scene.height) == (width, height):
            return scene
        backdrop = scene.backdrop
        if backdrop is not None and backdrop.shape[:2] != (height, width):
            backdrop = self._scene.get().backdrop
        return replace(scene, width=width, height=height, backdrop=backdrop)

    def finish(self) -> None:
        """Finish the file, when the picture has come as far as the sound. Returns at once: `take_result` tells
        how it ended.

        Raises:
            UserError: if nothing is being recorded.
        """
        if self._recording is None:
            raise UserError("nothing is being recorded")
        self._recording.end()

    def take_result(self) -> RecorderStatus | None:
        """How a recording ended, once: after `finish`, with the session, or because it failed. None while it goes
        on."""
        with self._taking:
            recording = self._recording
            if recording is None or (status := recording.status).running:
                return None
            self._voice.tap(None)
            self._recording = None
            return status

    def stop(self) -> RecorderStatus:
        """Finish the file, and wait for it.

        Raises:
            UserError: if nothing is being recorded.
        """
        recording = self._recording
        if recording is None:
            raise UserError("nothing is being recorded")
        self._wait_for(recording)
        return self.take_result() or recording.status  # another thread may have asked first

    def close(self) -> None:
        """Finish the file, if there is one, and wait for it; `take_result` has its result."""
        if (recording := self._recording) is not None:
            self._wait_for(recording)

    def _wait_for(self, recording: LiveRecording, timeout_s: float = 15.0) -> None:
        """Finish a recording, and wait until its file is closed."""
        recording.end()
        end_s = time.perf_counter() + timeout_s
        while recording.status.running and time.perf_counter() < end_s:
            self._pause.wait(_POLL_S)
