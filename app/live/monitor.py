"""The voice played back, delayed by the measured latency, so that sound and lips agree for whoever listens."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from app.live.clock import StreamClock
from app.live.device_list import default_output
from app.live.exchange import AudioRing
from app.live.portaudio import PortAudio, sounddevice
from app.live.voice import SOUND_RATE
from avatar.errors import UserError

__all__ = ["Monitor"]

_log = logging.getLogger(__name__)


class Monitor:
    """An output stream that reads the 48 kHz ring behind its writer.

    The output device's callback is a reader of the ring: it never waits, and plays silence where there is nothing.
    """

    _JUMP_S = 0.04
    """The place in the stream is left to run freely within this distance of where it should be."""

    def __init__(self, sound: AudioRing, clock: StreamClock, delay: Callable[[], float], portaudio: PortAudio) -> None:
        """
        Args:
            delay: seconds from sound to painted image, asked at every block; a plain attribute behind it.
        """
        self._reader = sound.reader()
        self._clock = clock
        self._delay = delay
        self._portaudio = portaudio
        self._stream: Any = None
        self.jumps = 0

    @property
    def playing(self) -> bool:
        """Whether the voice is being played."""
        return self._stream is not None

    def open(self) -> None:
        """Begin to play. On PortAudio's thread; idempotent.

        Raises:
            UserError: if there is no loudspeaker.
        """
        if self._stream is None:
            self._open()
            self._portaudio.move_in(self)

    def close(self) -> None:
        """Give the device back. On PortAudio's thread; idempotent."""
        self._portaudio.move_out(self)
        self.suspend()

    def suspend(self) -> None:
        """See `app.live.portaudio.Resident`."""
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.abort(ignore_errors=True)
            finally:
                stream.close(ignore_errors=True)

    def resume(self) -> None:
        """See `app.live.portaudio.Resident`."""
        try:
            self._open()
        except UserError as error:
            _log.warning("the monitor stays silent: %s", error)

    def _open(self) -> None:
        sd = sounddevice()
        index = default_output(sd)
        wasapi = index is not None and sys.platform == "win32"
        try:
            stream = sd.OutputStream(
                samplerate=SOUND_RATE,
                blocksize=SOUND_RATE // 100,
                device=index,
                channels=1,
                dtype="float32",
                latency="low",
                callback=self._callback,
                extra_settings=sd.WasapiSettings(auto_convert=True) if wasapi else None,
            )
            stream.start()
        except (sd.PortAudioError, ValueError) as error:
            raise UserError(f"no loudspeaker could be opened ({error})") from error
        self._stream = stream

    # The device's thread: nothing here may wait, lock or log.
    def _callback(self, outdata: np.ndarray, frames: int, times: Any, status: Any) -> None:
        ahead_s = times.outputBufferDacTime - times.currentTime
        heard_s = time.perf_counter() + (ahead_s if 0.0 <= ahead_s < 1.0 else 0.02)
        goal = round((self._clock.stream_time(heard_s) - self._delay()) * SOUND_RATE)
        if goal < 0:  # nothing was said yet
            outdata.fill(0.0)
            return
        if abs(goal - self._reader.position) > self._JUMP_S * SOUND_RATE:
            self._reader.skip_to(goal)
            self.jumps += 1
        block = self._reader.read(frames)
        n = len(block)
        outdata[:n] = block
        outdata[n:] = 0.0
        if n < frames:  # nothing there yet: keep the place in time
            self._reader.skip_to(self._reader.position + frames - n)
