"""The devices thread: opens what the user picked, notices when it fails, brings it back."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.live import microphone
from app.live.device_list import InputDevice, Listing, list_inputs
from app.live.exchange import Latest
from app.live.microphone import Capture
from app.live.monitor import Monitor
from app.live.notice import Notice
from app.live.player import FileCapture
from app.live.portaudio import Job, PortAudio
from app.live.source import Cause, Source, SourceState
from app.live.voice import VoiceInput
from app.live.worker import Failure, Worker
from avatar.errors import UserError

__all__ = ["Devices"]

_log = logging.getLogger(__name__)
_NO_SOUND = "No sound arrives: is the microphone muted or unplugged?"


@dataclass(frozen=True)
class _Opening:
    """A microphone that is being opened."""

    source: Source
    job: Job[Capture]
    before: Source | None = None
    """What to go back to if it cannot be."""
    note: str = ""
    """What went wrong with the one that this takes the place of."""


class Devices(Worker):
    """Keeps a capture running: a file while it plays, else the microphone that was picked.

    Exchange: `pick`, `play`, `stop_clip` and `set_monitor` (any thread) into one-slot mailboxes; captures go to
    `VoiceInput.switch`; `state` and `inputs` are single attributes that any thread may read; `on_change` is called on
    this thread after either has changed. What may take long is left to PortAudio's thread, or to a process: this one
    never waits for it.
    """

    _CHECK_S = 0.25
    _RETRY_S = (0.25, 0.5, 1.0, 2.0, 4.0)
    _ZEROS_S = 4.0

    def __init__(
        self,
        voice: VoiceInput,
        source: Source,
        on_change: Callable[[], None] = lambda: None,
        on_failure: Callable[[Failure], None] | None = None,
        on_notice: Callable[[Notice], None] = lambda notice: None,
        delay: Callable[[], float] = lambda: 0.0,
        now_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        """
        Args:
            delay: seconds from a sound to its picture, for the monitor.
        """
        super().__init__("devices", on_failure)
        self.state = SourceState("none")
        self.inputs: list[InputDevice] = []
        self.reopened = 0
        self.clips_ended = 0
        """Files that have been played to their end."""
        self.played: Path | None = None
        """The last file that could be played."""
        self.portaudio = PortAudio()
        self.monitor = Monitor(voice.sound, voice.clock, delay, self.portaudio)
        self._voice = voice
        self._home: Latest[Source] = Latest(Source(none=True) if source.file is not None else source)
        self._clip: Latest[Source | None] = Latest(source if source.file is not None else None)
        self._heard: Latest[bool] = Latest(False)
        self._home_seen = self._clip_seen = -1
        self._capture: Capture | None = None
        self._serving: Source | None = None
        """The microphone that `_capture` reads."""
        self._opening: _Opening | None = None
        self._listing: Listing | None = None
        self._lost_overflows = 0
        self._on_change, self._on_notice, self._now_s = on_change, on_notice, now_s
        self._hearing = False
        self._list_again = True
        self._tries = 0
        self._retry_at_s: float | None = None

    @property
    def overflows(self) -> int:
        """Times that the device, or the thread that reads it, was too late."""
        capture = self._capture
        return self._lost_overflows + (capture.overflows if capture else 0) + self._voice.gaps

    @property
    def position_s(self) -> float | None:
        """How far the file has been played, seconds from its beginning; None if none is."""
        capture = self._capture
        return capture.position_s if isinstance(capture, FileCapture) else None

    def pick(self, source: Source) -> None:
        """Listen to this microphone, or to none. A file goes on playing first."""
        self._home.put(source)
        self.wake.set()

    def play(self, clip: Source) -> None:
        """Play a file as if it were spoken; the microphone comes back when it has ended, or cannot be read."""
        self._clip.put(clip)
        self.wake.set()

    def stop_clip(self) -> None:
        """Back to the microphone."""
        self._clip.put(None)
        self.wake.set()

    def set_monitor(self, on: bool) -> None:
        """Play the voice, delayed; a notice says if there is no loudspeaker."""
        self._heard.put(on)
        self.wake.set()

    def look_again(self) -> None:
        """Devices may have come or gone: list them, and try what is missing at once."""
        self._list_again = True
        if self._retry_at_s is not None:
            self._retry_at_s = 0.0
        self.wake.set()

    def run(self) -> None:
        self.portaudio.start()
        try:
            while not self.stopping:
                self.step()
                self.wake.wait(self._CHECK_S)
        finally:
            self._release()
            if self._opening is not None:
                self._give_back(self._opening)
            if self._listing is not None:
                self._listing.close()
            self.portaudio.submit(self.monitor.close)
            self.portaudio.stop()

    def step(self) -> None:
        """Do what is due; the loop's body."""
        self._follow_wishes()
        self._follow_opening()
        self._follow_capture()
        if self._retry_at_s is not None and self._opening is None and self._now_s() >= self._retry_at_s:
            self._open(self._home.get())
        self._follow_monitor()
        self._follow_listing()
        self._watch_level()

    def _follow_wishes(self) -> None:
        version, clip = self._clip.versioned()
        if version != self._clip_seen:
            first, self._clip_seen = self._clip_seen < 0, version
            if clip is not None:
                self._play(clip)
            elif not first and self.state.file is not None:
                self._go_home()
        version, _ = self._home.versioned()
        if version != self._home_seen:
            before = self._serving
            self._home_seen = version
            if self.state.file is None:
                self._go_home(before)

    def _play(self, clip: Source) -> None:
        """Go over to a file; one that cannot be read leaves everything as it is."""
        assert clip.file is not None
        try:
            capture = FileCapture(
                clip.file, clip.loop, clip.track, clip.channel, on_end=self.wake.set, start_s=clip.start_s
            )
        except UserError as error:
            self._on_notice(Notice("clip", clip.file.name, str(error)))
            return
        self._release()
        self._abandon_opening()
        self._retry_at_s = None
        self._capture = capture
        self.played = clip.file
        self._voice.switch(capture)
        now = self.state
        problem, cause = (now.problem, now.cause) if now.cause == "unavailable" else ("", None)
        self._tell(SourceState("file", capture.label, problem, cause, clip.file))

    def _go_home(self, before: Source | None = None, note: str = "") -> None:
        """Listen to the microphone that is picked."""
        self._release()
        self._abandon_opening()
        self._tries = 0
        self._retry_at_s = None
        home = self._home.get()
        if home.none:
            self._tell(SourceState("none"))
        else:
            self._open(home, before if before != home else None, note)

    def _open(self, source: Source, before: Source | None = None, note: str = "") -> None:
        """Ask for a microphone; `_follow_opening` takes it."""
        self._retry_at_s = None

        def opened() -> Capture:
            self.portaudio.rescan()
            return microphone.open_device(source.device, source.channel)

        self._opening = _Opening(source, self.portaudio.submit(opened, self.wake.set), before, note)

    def _follow_opening(self) -> None:
        opening = self._opening
        if opening is None or not opening.job.done:
            return
        self._opening = None
        self._see(list_inputs())
        try:
            capture = opening.job.result()
        except UserError as error:
            if opening.before is not None:
                self._open(opening.before, note=str(error))
            else:
                self._miss(str(error))
            return
        self._serving = opening.source
        self.reopened += self._tries > 0
        self._tries = 0
        self._capture = capture
        self._voice.switch(capture)
        cause: Cause | None = "unavailable" if opening.note else None
        self._tell(SourceState("device", capture.label, opening.note, cause))

    def _abandon_opening(self) -> None:
        """Whatever is being opened is not wanted any more."""
        if self._opening is not None:
            self._give_back(self._opening)
            self._opening = None

    def _give_back(self, opening: _Opening) -> None:
        def close() -> None:
            with contextlib.suppress(Exception):  # it could not be opened, and nobody wants to know any more
                opening.job.result().close()

        self.portaudio.submit(close)

    def _follow_capture(self) -> None:
        """Notice that a file is over, or that a device has failed."""
        capture = self._capture
        if isinstance(capture, FileCapture):
            if capture.failure is not None:
                self._on_notice(Notice("clip", capture.label, capture.failure.message))
            if capture.failure is not None or capture.ended:
                self.clips_ended += capture.ended
                self._go_home()
        elif capture is not None and not capture.healthy:
            label = self.state.label
            self._release()
            self._tell(SourceState("lost", label, f"{label} stopped; trying to get it back", "stopped"))
            self._schedule()

    def _follow_monitor(self) -> None:
        """What is played is heard while it plays, and no longer: a microphone beside a loudspeaker howls."""
        clip = self._clip.get() if self.state.file is not None else None
        wanted = self._heard.get() or (clip is not None and clip.aloud)
        if wanted != self._hearing:
            self._hearing = wanted
            self.portaudio.submit(self._hear if wanted else self.monitor.close)

    def _miss(self, problem: str) -> None:
        kind = "lost" if self.inputs else "missing"
        self._tell(SourceState(kind, "", problem, "unavailable"))
        self._schedule()

    def _schedule(self) -> None:
        self._retry_at_s = self._now_s() + self._RETRY_S[min(self._tries, len(self._RETRY_S) - 1)]
        self._tries += 1

    def _follow_listing(self) -> None:
        if self._list_again and self._listing is None and self._opening is None:
            self._list_again = False
            if self.state.kind == "device":  # its stream would not survive a new look by this process
                self._listing = Listing(self._now_s())
            elif self._retry_at_s is None:
                self.portaudio.submit(self._look, self.wake.set)
        if self._listing is not None and (inputs := self._listing.poll(self._now_s())) is not None:
            self._listing = None
            self._see(inputs)

    def _look(self) -> None:
        if self._capture is None and self._opening is None:
            self.portaudio.rescan()
        self._see(list_inputs())

    def _see(self, inputs: list[InputDevice]) -> None:
        if inputs != self.inputs:
            self.inputs = inputs
            self._on_change()

    def _hear(self) -> None:
        try:
            self.monitor.open()
        except UserError as error:
            if self._heard.get():  # asked for; a file moves the face without being heard, too
                self._on_notice(Notice("monitor", "", str(error)))
            else:
                _log.info("%s", error)

    def _watch_level(self) -> None:
        """A device that was pulled out may go on delivering zeros (PulseAudio moves the stream elsewhere)."""
        if self.state.kind != "device":
            return
        zeros = self._voice.meter.silent_s > self._ZEROS_S
        if zeros and not self.state.problem:
            self._tell(SourceState("device", self.state.label, _NO_SOUND, "silent"))
        elif not zeros and self.state.cause == "silent":
            self._tell(SourceState("device", self.state.label))

    def _release(self) -> None:
        capture, self._capture = self._capture, None
        self._serving = None
        self._voice.switch(None)
        if capture is not None:
            self._lost_overflows += capture.overflows
            if isinstance(capture, FileCapture):
                capture.close()
            else:
                self.portaudio.submit(capture.close)

    def _tell(self, state: SourceState) -> None:
        if state != self.state:
            self.state = state
            self._on_change()
