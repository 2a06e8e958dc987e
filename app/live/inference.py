"""The inference thread: sound in, timestamped poses out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from jaxtyping import Float32

from animation.driver import DriverSettings
from animation.expression.emotions import emotion_weights
from animation.face import DrivenFace
from animation.life.style import PersonalStyle
from animation.speech.audio import SAMPLE_RATE
from app.live.clock import StreamClock
from app.live.exchange import Latest
from app.live.timeline import PoseTimeline
from app.live.voice import VoiceInput
from app.live.worker import Failure, Worker
from avatar.flame.params import FlameParams
from avatar.rig import Avatar

__all__ = ["ActiveAvatar", "DelayControl", "Driver", "Inference", "PoseTiming"]


class Driver(Protocol):
    """What the thread needs of `animation.driver.AvatarDriver`."""

    settings: DriverSettings
    face: DrivenFace

    @property
    def lookahead_ms(self) -> float: ...

    def feed(self, samples: Float32[np.ndarray, " n"]) -> list[FlameParams]: ...

    def reset(self) -> None: ...


@dataclass(frozen=True, eq=False)
class ActiveAvatar:
    """The avatar that is shown, how it is driven, and the poses made for it. A new avatar gets a timeline of its own:
    the renderer goes over to it when its first poses are there."""

    avatar: Avatar
    face: DrivenFace
    timeline: PoseTimeline = field(default_factory=PoseTimeline)
    asked: str | None = None
    """As what it was picked; None is the default avatar."""
    on_trial: bool = False
    """It comes from a file that may be unusable: what goes wrong with it is its fault, not the engine's."""

    @classmethod
    def of(cls, avatar: Avatar, asked: str | None = None, on_trial: bool = False) -> ActiveAvatar:
        """An avatar to be shown; takes some milliseconds."""
        face = DrivenFace.of(avatar.head, avatar.arkit, PersonalStyle.of(avatar.metadata))
        return cls(avatar, face, asked=asked, on_trial=on_trial)


@dataclass(frozen=True)
class PoseTiming:
    """When the newest pose came about (`time.perf_counter`)."""

    pose_time_s: float
    """Stream time it shows."""
    captured_s: float
    """The newest sound it needed was captured."""
    written_s: float
    """That sound had reached the ring."""
    done_s: float
    """The pose was there."""


class DelayControl:
    """How far behind the microphone the picture runs: constant as long as the machine keeps pace.

    It follows the lateness of poses: up at once when they come later, down by 10 ms a second.
    """

    _WINDOW = 150
    _FALL_S = 0.0002
    _MARGIN_S = 0.004
    _LEAST_S, _MOST_S = 0.02, 0.6

    def __init__(self, start_s: float = 0.12) -> None:
        self._late: deque[float] = deque(maxlen=self._WINDOW)
        self._delay_s = start_s
        self._settled = False

    @property
    def delay_s(self) -> float:
        """Show the stream time of so long ago."""
        return self._delay_s

    def observe(self, lateness_s: float) -> None:
        """A pose arrived so long after the time it shows."""
        self._late.append(lateness_s)
        goal = float(np.percentile(self._late, 90)) + self._MARGIN_S
        goal = min(max(goal, self._LEAST_S), self._MOST_S)
        if not self._settled and len(self._late) >= 25:
            self._settled = True
            self._delay_s = goal
        elif goal > self._delay_s:
            self._delay_s += min(goal - self._delay_s, 0.002)
        else:
            self._delay_s -= min(self._delay_s - goal, self._FALL_S)

    def forget(self) -> None:
        """What was late before says nothing about what comes. Any thread."""
        self._late = deque(maxlen=self._WINDOW)
        self._settled = False


class Inference(Worker):
    """Feeds the driver as sound comes in.

    Exchange: reads `VoiceInput.voice` by its own reader; settings, avatar and factory through `Latest`; poses go into
    the present `ActiveAvatar`'s timeline. When late by more than `_LATE_S` it skips to the newest sound and resets.
    """

    _LATE_S = 0.5

    def __init__(
        self,
        voice: VoiceInput,
        clock: StreamClock,
        active: Latest[ActiveAvatar | None],
        settings: Latest[DriverSettings],
        make_driver: Callable[[DrivenFace, DriverSettings], Driver],
        on_failure: Callable[[Failure], None] | None = None,
        on_poses: Callable[[Sequence[FlameParams]], None] = lambda poses: None,
        follow: Callable[[FlameParams, DrivenFace], FlameParams] = lambda pose, face: pose,
        on_broken: Callable[[ActiveAvatar, Exception], bool] = lambda avatar, error: False,
    ) -> None:
        """
        Args:
            on_broken: an avatar cannot be driven; called on this thread. False if that is not its fault.
            on_poses: called on this thread with every new pose, in stream time.
            follow: puts in what a camera sees; called on this thread.
        """
        super().__init__("inference", on_failure)
        self.delay = DelayControl()
        self.skips = 0
        """How often sound was skipped to catch up, since `settle`."""
        self.counting = False
        self.busy_ms = 0.0
        """Time to make the poses of one read, smoothed."""
        self.lookahead_ms = 0.0
        self._on_broken = on_broken
        self._driver: Driver | None = None
        self._driven: ActiveAvatar | None = None
        self._active_seen = self._settings_seen = -1
        self._start_s = 0.0
        """Stream time at which the driver's own begins."""
        self.timing: PoseTiming | None = None
        self._voice = voice
        self._clock = clock
        self._active = active
        self._settings = settings
        self._make_driver = make_driver
        self._on_poses = on_poses
        self._follow = follow
        self._reader = voice.voice.reader(self.wake)

    def settle(self) -> None:
        """Starting up is over: lateness counts from now on. Called on the render thread."""
        self.counting = True
        self.delay.forget()

    def run(self) -> None:
        try:
            while not self.stopping:
                self.wake.wait(0.1)
                try:
                    self._step()
                except Exception as error:
                    active = self._driven
                    if active is None or active.timeline.newest_s is not None or not self._on_broken(active, error):
                        raise
                    self._driven = None  # the one before comes back, as if picked
                    if self._driver is not None:
                        self._begin_anew(self._driver)
        finally:
            self._voice.voice.forget(self.wake)

    def _step(self) -> None:
        """Do what is due; the loop's body."""
        version, wanted = self._active.versioned()
        if version != self._active_seen:
            self._active_seen, self._driven = version, wanted
            if wanted is not None and self._driver is not None:
                self._driver.face = wanted.face
            elif wanted is not None:
                self._drive(wanted)
        driver, active = self._driver, self._driven
        if driver is None or active is None:
            self._reader.skip_to(self._voice.voice.written)
            return
        version, settings = self._settings.versioned()
        if version != self._settings_seen:
            if settings.lookahead_ms != driver.settings.lookahead_ms:
                self._drive(active)
                return
            self._settings_seen = version
            active.timeline.rest = _at_rest(active.face, settings)
            driver.settings = settings
        if self._reader.available > self._LATE_S * SAMPLE_RATE:
            self.skips += self.counting
            self.delay.forget()
            self._begin_anew(driver)
            return
        self._advance(driver, active, self._start_s)

    def _drive(self, active: ActiveAvatar) -> None:
        """With a new driver, from the newest sound on."""
        self._settings_seen, settings = self._settings.versioned()
        self._driver = self._make_driver(active.face, settings)
        active.timeline.rest = _at_rest(active.face, settings)
        self.lookahead_ms = self._driver.lookahead_ms
        self.delay.forget()
        self._start_at_newest()

    def _begin_anew(self, driver: Driver) -> None:
        driver.reset()
        self._start_at_newest()

    def _start_at_newest(self) -> None:
        self._reader.skip_to(self._voice.voice.written)
        self._start_s = self._reader.position / SAMPLE_RATE

    def _advance(self, driver: Driver, active: ActiveAvatar, start_s: float) -> None:
        samples = self._reader.read()
        if not len(samples):
            return
        begun_s = time.perf_counter()
        poses = driver.feed(samples[:, 0])
        if not poses:
            return
        poses = [self._follow(p.replace(stream_time_s=p.stream_time_s + start_s), active.face) for p in poses]
        active.timeline.append(poses)
        done_s = time.perf_counter()
        self._on_poses(poses)
        _, captured_s, written_s = self._voice.voice_stamp
        newest_s = poses[-1].stream_time_s
        self.timing = PoseTiming(newest_s, captured_s, written_s, done_s)
        self.delay.observe(self._clock.stream_time(done_s) - newest_s)
        self.busy_ms += 0.05 * ((done_s - begun_s) * 1000 - self.busy_ms)


def _at_rest(face: DrivenFace, settings: DriverSettings) -> FlameParams:
    """The feeling that is picked, silent and still."""
    return face.arkit.params(emotion_weights(settings.emotion, settings.intensity))
