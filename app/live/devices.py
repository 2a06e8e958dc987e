"""The devices thread: opens what the user picked, notices when it fails, brings it back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.live import microphone
from app.live.exchange import Latest
from app.live.microphone import Capture, InputDevice
from app.live.player import FileCapture
from app.live.voice import VoiceInput
from app.live.worker import Failure, Worker
from avatar.errors import UserError

__all__ = ["Cause", "Devices", "Source", "SourceState"]

Cause = Literal["silent", "stopped", "unavailable", "unreadable"]

_NO_SOUND = "No sound arrives: is the microphone muted or unplugged?"


@dataclass(frozen=True)
class Source:
    """Where the voice comes from."""

    device: str | None = None
    """Key of an input device; None is the system's default."""
    file: Path | None = None
    """Played instead of a device."""
    loop: bool = False
    channel: int | None = None
    """The channel to hear, counted from 1; None takes those that speech is in."""
    track: int | None = None
    """The sound track of the file, counted from 1; None is its default one."""
    none: bool = False
    """Silence: neither device nor file."""


@dataclass(frozen=True)
class SourceState:
    """What the source is doing."""

    kind: str
    """`device`, `file`, `none` (nothing picked), `missing` (no device), `lost` (it failed; retrying)."""
    label: str = ""
    problem: str = ""
    """One line in English; empty while all is well."""
    cause: Cause | None = None
    """What kind of problem, for those who have words of their own: no sound arrives from the device, it has stopped, it
    cannot be opened, a file cannot be read."""


class Devices(Worker):
    """Keeps a capture running.

    Exchange: `pick` (any thread) into a one-slot mailbox; captures go to `VoiceInput.switch`; `state` and `inputs` are
    single attributes that any thread may read; `on_change` is called on this thread after either has changed.
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
    ) -> None:
        super().__init__("devices", on_failure)
        self.state = SourceState("none")
        self.inputs: list[InputDevice] = []
        self.reopened = 0
        self._voice = voice
        self._wanted: Latest[Source] = Latest(source)
        self._seen = -1
        self._current: Source | None = None
        self._capture: Capture | None = None
        self._lost_overflows = 0
        self._on_change = on_change
        self._list_again = True
        self._tries = 0
        self._retry_at_s = 0.0

    @property
    def overflows(self) -> int:
        """Times that the device, or the thread that reads it, was too late."""
        capture = self._capture
        return self._lost_overflows + (capture.overflows if capture else 0) + self._voice.gaps

    @property
    def capture(self) -> Capture | None:
        """What is being read."""
        return self._capture

    def pick(self, source: Source) -> None:
        """Change the source."""
        self._wanted.put(source)
        self.wake.set()

    def look_again(self) -> None:
        """Devices may have come or gone: list them, and try what is missing at once."""
        self._list_again = True
        self._retry_at_s = 0.0
        self.wake.set()

    def run(self) -> None:
        try:
            while not self.stopping:
                self.step()
                self.wake.wait(self._CHECK_S)
        finally:
            self._release()

    def step(self) -> None:
        """Do what is due; the loop's body."""
        version, wanted = self._wanted.versioned()
        if version != self._seen:
            self._seen = version
            self._tries = 0
            self._change(wanted)
        elif self._capture is not None and not self._capture.healthy:
            self._lose()
        elif self._capture is None and self._current is not None and time.perf_counter() >= self._retry_at_s:
            self._retry(self._current)
        if self._list_again:
            self._list_again = False
            self.inputs = microphone.fresh_inputs() if self.state.kind == "device" else microphone.list_inputs()
            self._on_change()
        self._watch_level()

    def _change(self, wanted: Source) -> None:
        """Go over to another source; back to the old one if that fails."""
        old = self._current
        self._current = None if wanted.none else wanted
        if wanted.none:
            self._release()
            self._tell(SourceState("none"))
            return
        if wanted.file is not None:  # a file that cannot be read leaves the old source untouched
            try:
                capture: Capture = FileCapture(wanted.file, wanted.loop, wanted.track, wanted.channel)
            except UserError as error:
                self._current = old
                self._tell(SourceState(self.state.kind, self.state.label, str(error), "unreadable"))
                return
            self._release()
            self._adopt(capture, "file")
            return
        self._release()
        problem = self._open(wanted, again=True)
        if problem is None:
            return
        if old is not None and old.file is None and old != wanted and self._open(old, again=False) is None:
            self._current = old
            self._tell(SourceState("device", self.state.label, problem, "unavailable"))
            return
        self._miss(problem)

    def _open(self, source: Source, again: bool) -> str | None:
        """Open a device; what went wrong, or None."""
        if again:
            microphone.rescan()
            self.inputs = microphone.list_inputs()
        try:
            capture = microphone.open_device(source.device, source.channel)
        except UserError as error:
            return str(error)
        self._adopt(capture, "device")
        return None

    def _adopt(self, capture: Capture, kind: str) -> None:
        self._capture = capture
        self._tries = 0
        self._voice.switch(capture)
        self._tell(SourceState(kind, capture.label))

    def _lose(self) -> None:
        label = self.state.label
        self._release()
        self._tell(SourceState("lost", label, f"{label} stopped; trying to get it back", "stopped"))
        self._schedule()

    def _miss(self, problem: str) -> None:
        kind = "missing" if not microphone.list_inputs() else "lost"
        self._tell(SourceState(kind, "", problem, "unavailable"))
        self._schedule()

    def _retry(self, source: Source) -> None:
        if source.file is not None:
            self._current = None
            return
        problem = self._open(source, again=True)
        if problem is None:
            self.reopened += 1
            return
        if self.state.problem != problem:
            self._miss(problem)
        else:
            self._schedule()

    def _schedule(self) -> None:
        self._retry_at_s = time.perf_counter() + self._RETRY_S[min(self._tries, len(self._RETRY_S) - 1)]
        self._tries += 1

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
        self._voice.switch(None)
        if capture is not None:
            self._lost_overflows += capture.overflows
            capture.close()

    def _tell(self, state: SourceState) -> None:
        if state != self.state:
            self.state = state
            self._on_change()
