"""The live engine: threads wired together, started and stopped in order; free of Qt."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from animation.driver import AvatarDriver, DriverSettings
from animation.face import DrivenFace
from animation.seen_face import follow_face
from app.live.avatars import Avatars
from app.live.camera import OpenCamera, open_camera
from app.live.clock import StreamClock
from app.live.device_list import InputDevice
from app.live.devices import Devices
from app.live.exchange import Latest
from app.live.face import FaceFollower
from app.live.fine_timers import FineTimers
from app.live.inference import ActiveAvatar, Driver, Inference
from app.live.latency import LatencyMeter
from app.live.notice import Notice
from app.live.outputs import Outputs
from app.live.pools import PoolLimits
from app.live.recording_slot import RecordingSlot
from app.live.rendering import OpenRenderer, Rendering
from app.live.scene import Drawn, ImageRequest, LiveImage, Scene
from app.live.source import Source
from app.live.status import SessionStatus
from app.live.voice import VoiceInput
from app.live.worker import Failure, Worker
from app.settings import FaceSettings, OutputSettings, VoiceSettings
from avatar.flame.params import FlameParams
from avatar.library import default_name, open_avatar
from avatar.render import open_renderer
from avatar.rig import Avatar
from avatar.tracking.tracker import FaceTracker

__all__ = ["LiveSession"]

_log = logging.getLogger(__name__)
_SWITCH_INTERVAL_S = 0.001
_SETTLED_IMAGES = 10
_READY_IMAGES = 3
_POLL_S = 0.02


class LiveSession:
    """Microphone to picture. All methods are for one thread, the owner's; callbacks come from workers' threads.

    Args:
        on_image: an image is in `images`; called on the render thread, must return at once.
        on_request: a request is in `requests`; the same, but only while `paint_directly` is on.
        on_source: `source` or `inputs` has changed; called on the devices thread.
        on_failure: a worker has died; called on its thread.
        on_notice: a line for the user; called on any thread.
        on_avatar: what was picked moves on the screen; called on the render thread.
        on_avatar_failed: what was picked cannot be opened, driven or drawn; with one line on why; on any thread.
        on_face: `face.state` has changed; called on the face thread.
        make_driver, open_renderer, open_camera, make_tracker: in place of the real ones.
    """

    def __init__(
        self,
        source: Source | None = None,
        scene: Scene | None = None,
        voice: VoiceSettings | None = None,
        driver: DriverSettings | None = None,
        *,
        on_image: Callable[[LiveImage], None] = lambda image: None,
        on_request: Callable[[ImageRequest], None] = lambda request: None,
        on_source: Callable[[], None] = lambda: None,
        on_failure: Callable[[Failure], None] = lambda failure: None,
        on_notice: Callable[[Notice], None] = lambda notice: None,
        on_avatar: Callable[[str | None], None] = lambda asked: None,
        on_avatar_failed: Callable[[str | None, str], None] = lambda asked, problem: None,
        make_driver: Callable[[DrivenFace, DriverSettings], Driver] = AvatarDriver,
        open_renderer: OpenRenderer = open_renderer,
        face: FaceSettings | None = None,
        open_camera: OpenCamera = open_camera,
        make_tracker: Callable[[], FaceTracker] = FaceTracker,
        on_face: Callable[[], None] = lambda: None,
    ) -> None:
        self._scene = Latest(scene or Scene())
        self._voice_settings = Latest(voice or VoiceSettings())
        self._driver_settings = Latest(driver or DriverSettings())
        self._active: Latest[ActiveAvatar | None] = Latest(None)
        self._output_settings = Latest(OutputSettings())
        self._face_settings = Latest(face or FaceSettings())
        self._on_image = on_image
        self._on_request = on_request
        self._on_notice = on_notice
        self._started = False
        self._starting_overflows: int | None = None
        self._images = 0
        self._interval_s = sys.getswitchinterval()
        self._pools, self._timers = PoolLimits(), FineTimers()
        self._pause = threading.Event()  # never set: to wait on
        self.clock = StreamClock()
        self.latency = LatencyMeter(self.clock)
        self.failures: list[Failure] = []

        def failed(failure: Failure) -> None:
            self.failures.append(failure)
            on_failure(failure)

        self.avatars = Avatars(self._active, on_avatar, on_avatar_failed, failed)
        self.voice = VoiceInput(self.clock, self._voice_settings, failed)
        self.recordings = RecordingSlot(self._scene, self.voice)
        self.devices = Devices(self.voice, source or Source(), on_source, failed, on_notice, self._shown_delay)
        self.outputs = Outputs(
            self.clock, self._output_settings, lambda: self.inference.delay.delay_s, failed, on_notice
        )
        self.face = FaceFollower(
            self.clock,
            self._face_settings,
            on_notice,
            failed,
            open_camera=open_camera,
            make_tracker=make_tracker,
            on_change=on_face,
        )
        self.inference = Inference(
            self.voice,
            self.clock,
            self._active,
            self._driver_settings,
            make_driver,
            failed,
            self.outputs.offer_poses,
            self._follow,
            self.avatars.broken,
        )
        self.rendering = Rendering(
            self.clock,
            self._active,
            self._scene,
            self.inference,
            open_renderer,
            self._image,
            self._request,
            lambda: self.recordings.busy or self.outputs.wants_images,
            failed,
            on_notice,
            self.avatars.broken,
            self.avatars.proven,
        )

    @property
    def images(self) -> Latest[LiveImage | None]:
        """The newest image."""
        return self.rendering.images

    @property
    def requests(self) -> Latest[ImageRequest | None]:
        """What the newest image shows, or is to show."""
        return self.rendering.requests

    @property
    def ready(self) -> bool:
        """Whether the face moves: driven poses are being drawn. What is said before falls on deaf ears."""
        return self.rendering.driven >= _READY_IMAGES and self.rendering.preparing is None

    @property
    def inputs(self) -> list[InputDevice]:
        """The microphones there are."""
        return self.devices.inputs

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Consumers first: the order of starting."""
        return (self.outputs, self.rendering, self.inference, self.face, self.voice, self.devices, self.avatars)

    def start(self) -> None:
        """Start the consumers, then the producers. Once."""
        if self._started:
            raise RuntimeError("a session starts once")
        self._started = True
        self._interval_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._pools.hold()
        self._timers.hold()
        for worker in self.workers:
            worker.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Stop the producers, then the consumers; finish a recording. False if a thread did not end in time."""
        self.recordings.close()
        ended = [worker.stop(timeout_s) for worker in reversed(self.workers)]
        if self._started:
            sys.setswitchinterval(self._interval_s)
            self._pools.release()
            self._timers.release()
        return all(ended)

    def __enter__(self) -> LiveSession:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def pick_avatar(self, asked: str | None) -> None:
        """Show an avatar, by name or file; None is the default one. Returns at once: `on_avatar` or `on_avatar_failed`
        follows, unless another is picked meanwhile. The old one stays until the new one moves."""
        self.avatars.pick(asked)

    def set_avatar(self, name_or_path: str | Path | None) -> Avatar:
        """The same, for those who can wait.

        Raises:
            UserError: if it cannot be read; the old one stays.
        """
        avatar = open_avatar(default_name() if name_or_path is None else name_or_path)
        self.show(avatar)
        return avatar

    def show(self, avatar: Avatar) -> None:
        """Show a loaded avatar."""
        self._active.put(ActiveAvatar.of(avatar))

    def set_scene(self, scene: Scene) -> None:
        """Draw this from the next image on. While recording, the size stays that of the recording."""
        self._scene.put(self.recordings.fitted(scene))

    @property
    def scene(self) -> Scene:
        """What is drawn."""
        return self._scene.get()

    def set_voice(self, settings: VoiceSettings) -> None:
        """Gain, mute and gate."""
        self._voice_settings.put(settings)

    def set_driver(self, settings: DriverSettings) -> None:
        """Emotion, held expression and motion."""
        self._driver_settings.put(settings)

    def set_face(self, settings: FaceSettings) -> None:
        """What moves the face: the voice, a camera, or both; what cannot be opened is said through `on_notice`."""
        if settings != self._face_settings.get():
            self._face_settings.put(settings)
            self.face.refresh()

    def set_outputs(self, settings: OutputSettings) -> None:
        """Send the animation elsewhere; what cannot be opened is said through `on_notice`."""
        if settings != self._output_settings.get():
            self._output_settings.put(settings)
            self.outputs.refresh()

    def set_source(self, source: Source) -> None:
        """Listen to another device; or play a file, after which the device comes back."""
        if source.file is not None:
            self.devices.play(source)
        else:
            self.devices.pick(source)

    def stop_clip(self) -> None:
        """Play the file no further."""
        self.devices.stop_clip()

    def set_monitor(self, on: bool) -> None:
        """Play the voice, delayed so that sound and lips agree; a notice says if there is no loudspeaker."""
        self.devices.set_monitor(on)

    @property
    def monitoring(self) -> bool:
        """Whether the voice is being played."""
        return self.devices.monitor.playing

    def paint_directly(self, on: bool) -> None:
        """The owner draws the requests itself, or images are drawn for it. While it does, images are made only for a
        recording, an output or `ask_image`."""
        self.rendering.paint_directly(on)

    @property
    def painting_directly(self) -> bool:
        """Whether the owner draws the requests itself."""
        return self.rendering.direct

    def ask_image(self, on_image: Callable[[LiveImage], None]) -> None:
        """Call `on_image` with the next image, on the render thread, where it must return at once. Nothing is waited
        for: it may be that none comes."""
        self.rendering.ask(on_image)

    def painted(self, drawn: Drawn, at_s: float | None = None) -> None:
        """The owner has shown an image, or a request that it has drawn itself."""
        self.latency.painted(drawn, at_s)
        if self.rendering.direct:
            self.rendering.observe(drawn)

    def play_out(self, timeout_s: float = 3.0) -> None:
        """Wait until all that has been heard has been seen and sent: the picture runs behind the sound."""
        heard_s = self.voice.stream_s
        end_s = time.perf_counter() + timeout_s
        while self.ready and not self.failures and time.perf_counter() < end_s:
            request = self.requests.get()
            if request is not None and request.stream_time_s >= heard_s:
                return
            self._pause.wait(_POLL_S)

    def status(self) -> SessionStatus:
        """A snapshot."""
        request = self.requests.get()
        meter = self.voice.meter
        starting = self._starting_overflows
        overflows = 0 if starting is None else self.devices.overflows - starting + self.inference.skips
        return SessionStatus(
            self.devices.state,
            self.latency.report(3.0),
            self.inference.delay.delay_s,
            overflows,
            self.rendering.skipped,
            request.gaussians if request else 0,
            len(request.avatar.gaussians) if request else 0,
            self.rendering.backend,
            self.rendering.preparing,
            self.rendering.draw_ms,
            self.inference.busy_ms,
            meter.peak_db,
            meter.loudness_db,
            meter.clipped,
            self.recordings.status,
        )

    def _follow(self, pose: FlameParams, face: DrivenFace) -> FlameParams:
        source = self._face_settings.get().source
        return pose if source == "voice" else follow_face(pose, self.face.seen.at(pose.stream_time_s), source, face)

    def _request(self, request: ImageRequest) -> None:
        self._images += self.rendering.preparing is None
        if self._images >= _SETTLED_IMAGES and self._starting_overflows is None:
            self.inference.settle()  # what starting up delayed says nothing about what comes
            self._starting_overflows = self.devices.overflows
        if self.rendering.direct:
            self._on_request(request)

    def _image(self, image: LiveImage) -> None:
        self.recordings.image(image)
        self.outputs.offer_image(image)
        self._on_image(image)

    def _shown_delay(self) -> float:
        """Seconds from a sound to the painted image of it; the delay plus drawing and painting, smoothly."""
        return self.inference.delay.delay_s + self.rendering.draw_ms / 1000 + 0.008
