"""The face threads: a camera's newest picture to what the face in it does, on the session's clock."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image

from animation.seen_face import SeenFace
from animation.smoothing import OneEuro
from app.live.camera import CameraCapture, OpenCamera, open_camera
from app.live.clock import StreamClock
from app.live.exchange import Latest, Wake
from app.live.notice import Notice
from app.live.worker import Failure, Worker
from app.settings import FaceSettings
from avatar.errors import UserError
from avatar.tracking.driving import FaceFeatures
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.tracker import FaceTracker, Rest

__all__ = ["FaceFollower", "FaceState", "SeenTimeline"]

FaceState = Literal["off", "opening", "calibrating", "following", "no face", "lost"]
"""`lost`: no camera, or it cannot be opened, or it has gone; it is tried again."""


class SeenTimeline:
    """The last seconds of a face, by stream time.

    Writer: the face thread. Reader: the inference thread. Capacity: 4 s at 30 pictures a second; the oldest go first.
    """

    _HOLD_S, _FADE_S = 0.4, 0.4

    def __init__(self) -> None:
        self._faces: deque[tuple[float, SeenFace]] = deque(maxlen=120)
        self._lock = threading.Lock()
        self._since_s = 0.0

    def append(self, time_s: float, face: SeenFace) -> None:
        """Add what was seen at a moment; one that is not later than the last is dropped."""
        with self._lock:
            if self._faces and time_s <= self._faces[-1][0]:
                return
            if not self._faces or time_s - self._faces[-1][0] > self._HOLD_S + self._FADE_S:
                self._since_s = time_s
            self._faces.append((time_s, face))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._faces.clear()

    def at(self, time_s: float) -> SeenFace | None:
        """The face at a stream time, between two pictures or held from the last; None if it was not in sight."""
        with self._lock:
            if not self._faces:
                return None
            times = [t for t, _ in self._faces]
            k = bisect_right(times, time_s)
            (t0, a), (t1, b) = self._faces[max(k - 1, 0)], self._faces[min(k, len(times) - 1)]
            since = self._since_s
        away = max(time_s - t0 if k == len(times) else t0 - time_s, 0.0)
        presence = min(max(1 - (away - self._HOLD_S) / self._FADE_S, 0.0), 1.0)
        presence = min(presence, max((time_s - since) / self._FADE_S, 0.0))
        if presence <= 0:
            return None
        share = np.float32((time_s - t0) / (t1 - t0)) if t1 > t0 and time_s > t0 else np.float32(0)
        return SeenFace(
            a.weights + share * (b.weights - a.weights),
            a.neck + share * (b.neck - a.neck),
            a.transl + share * (b.transl - a.transl),
            presence,
        )


class FaceFollower(Worker):
    """Opens the camera, learns the face at rest for two seconds, then follows it.

    A second, short-lived thread reads the camera, so that one that hangs holds nothing up, and leaves only the newest
    picture. Exchange: settings through `Latest`; pictures in a one-slot mailbox; faces into `seen`. What goes wrong is
    said once through `on_notice`, and tried again.
    """

    CALIBRATION_S = 2.0
    _RETRY_S = 2.0
    _PAUSE_S = 0.1
    _RATE_HZ = 30.0

    def __init__(
        self,
        clock: StreamClock,
        settings: Latest[FaceSettings],
        on_notice: Callable[[Notice], None] = lambda notice: None,
        on_failure: Callable[[Failure], None] | None = None,
        *,
        open_camera: OpenCamera = open_camera,
        make_tracker: Callable[[], FaceTracker] = FaceTracker,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            on_change: `state` has changed; called on this thread.
            open_camera, make_tracker: in place of the real ones.
        """
        super().__init__("face", on_failure)
        self.state: FaceState = "off"
        self.problem = ""
        """One line, while `lost`."""
        self.seen = SeenTimeline()
        self.latency_ms = 0.0
        """From the picture's arrival to the face, smoothed."""
        self.pictures: Latest[Image.Image | None] = Latest(None)
        """The newest picture, for a preview."""
        self._clock = clock
        self._settings = settings
        self._on_notice = on_notice
        self._open = open_camera
        self._make_tracker = make_tracker
        self._on_change = on_change
        self._recalibrate = True
        self._reader: _Reader | None = None

    def calibrate(self) -> None:
        """Learn the face at rest again, for two seconds. Any thread."""
        self._recalibrate = True
        self.wake.set()

    def refresh(self) -> None:
        """The settings have changed. Any thread."""
        self.wake.set()

    def run(self) -> None:
        try:
            while not self.stopping:
                version, wanted = self._settings.versioned()
                if wanted.source == "voice":
                    self._tell("off")
                    self.wake.wait(0.5)
                    continue
                try:
                    self._follow(version, wanted)
                except UserError as error:
                    self._lose(str(error))
                finally:
                    self._release()
        finally:
            self._release()

    def _follow(self, version: int, wanted: FaceSettings) -> None:
        """Until the settings change.

        Raises:
            UserError: if the camera or the tracker cannot be had, or the camera goes.
        """
        self._tell("opening")
        tracker = self._make_tracker()
        self._reader = reader = _Reader(wanted.camera, self._open, self.wake)
        smooth = self._smoother()
        resting: list[tuple[FaceLandmarks, FaceFeatures]] = []
        started_s: float | None = None
        seen_number = 0
        last_face_s = time.perf_counter()
        self._recalibrate = True
        while not self.stopping and self._settings.versioned()[0] == version:
            self.wake.wait(self._PAUSE_S)
            if reader.error is not None:
                raise reader.error
            number, newest = reader.newest.versioned()
            if number == seen_number or newest is None:
                if reader.silent_s > self._RETRY_S:
                    raise UserError(f"{reader.label or 'the camera'}: no pictures arrive; is it unplugged?")
                continue
            seen_number, (picture, came_s) = number, newest
            self.pictures.put(picture)
            if self._recalibrate:
                self._recalibrate, resting, started_s = False, [], None
                tracker.rest = None
                self.seen.clear()
            found = tracker.see(picture)
            now_s = time.perf_counter()
            if found is None:
                if now_s - last_face_s > 1.0:
                    self._tell("no face")
                continue
            last_face_s = now_s
            if tracker.rest is None:
                self._tell("calibrating")
                started_s = came_s if started_s is None else started_s
                resting.append(found)
                if came_s - started_s >= self.CALIBRATION_S:
                    tracker.rest = Rest.of(resting)
                    smooth = self._smoother()
                continue
            self._tell("following")
            face = tracker.interpret(*found)
            row = smooth.feed(np.concatenate([face.weights, 4 * face.neck, 20 * face.transl]))
            self.seen.append(
                self._clock.stream_time(came_s), SeenFace(row[:52].clip(0, 1), row[52:55] / 4, row[55:58] / 20)
            )
            self.latency_ms += 0.1 * ((now_s - came_s) * 1000 - self.latency_ms)

    def _smoother(self) -> OneEuro:
        return OneEuro(self._RATE_HZ, cutoff_hz=3.0, beta=4.0)

    def _lose(self, problem: str) -> None:
        if self.problem != problem:
            self._on_notice(Notice("camera", "", problem))
        self.problem = problem
        self._tell("lost")
        self._release()
        until_s = time.perf_counter() + self._RETRY_S
        version = self._settings.versioned()[0]
        while not self.stopping and self._settings.versioned()[0] == version:
            left = until_s - time.perf_counter()
            if left <= 0:
                return
            self.wake.wait(left)

    def _release(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop(3.0)
        self.seen.clear()

    def _tell(self, state: FaceState) -> None:
        if state != self.state:
            self.state = state
            if state == "following":
                self.problem = ""
            self._on_change()


class _Reader(Worker):
    """Reads a camera and keeps the newest picture."""

    def __init__(self, camera: str | None, open_camera: OpenCamera, ready: Wake) -> None:
        super().__init__("camera")
        self.newest: Latest[tuple[Image.Image, float] | None] = Latest(None)
        self.error: UserError | None = None
        self.label = ""
        self._camera = camera
        self._open = open_camera
        self._ready = ready
        self._came_s = time.perf_counter()
        self.start()

    @property
    def silent_s(self) -> float:
        """Since the last picture."""
        return time.perf_counter() - self._came_s

    def run(self) -> None:
        capture: CameraCapture | None = None
        try:
            capture = self._open(self._camera)
            self.label = capture.label
            self._came_s = time.perf_counter()
            while not self.stopping:
                got = capture.read()
                if got is None:
                    self.wake.wait(0.005)
                    continue
                self._came_s = time.perf_counter()
                self.newest.put(got)
                self._ready.set()
        except UserError as error:
            self.error = error
            self._ready.set()
        finally:
            if capture is not None:
                capture.close()
