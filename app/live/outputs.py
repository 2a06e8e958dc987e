"""The animation taken elsewhere while live: VMC, Live Link Face, a virtual camera."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from app.live.clock import StreamClock
from app.live.exchange import Latest
from app.live.notice import Notice
from app.live.scene import LiveImage
from app.live.worker import Failure, Worker
from app.output.datagrams import Datagrams
from app.output.livelink import PORT as LIVELINK_PORT
from app.output.livelink import LiveLinkSender
from app.output.osc import PORT as VMC_PORT
from app.output.osc import VmcSender
from app.output.virtual_camera import VirtualCamera
from app.settings import OutputSettings
from avatar.errors import UserError
from avatar.flame.params import FlameParams

__all__ = ["Outputs", "checked_outputs", "parse_target"]


class _Sender(Protocol):
    def send(self, pose: FlameParams) -> None: ...

    def close(self) -> None: ...


def parse_target(text: str, port: int) -> tuple[str, int]:
    """Host and port of `host:port`, `host` or `:port`.

    Raises:
        UserError: if the port is no port.
    """
    host, _, number = text.strip().rpartition(":") if ":" in text else (text.strip(), "", "")
    try:
        chosen = int(number) if number else port
    except ValueError as error:
        raise UserError(f"{text!r}: expected HOST:PORT, such as 127.0.0.1:{port}") from error
    if not 1 <= chosen <= 65535:
        raise UserError(f"{text!r}: a port lies between 1 and 65535")
    return host or "127.0.0.1", chosen


def checked_outputs(settings: OutputSettings) -> OutputSettings:
    """The settings, if there are such receivers to send to.

    Raises:
        UserError: for what is no host and port.
    """
    for target, port in ((settings.vmc, VMC_PORT), (settings.livelink, LIVELINK_PORT)):
        if target is not None:
            Datagrams(*parse_target(target, port)).close()
    return settings


class Outputs(Worker):
    """Sends poses and images, in step with the picture: a pose leaves when the image that shows it is drawn.

    Exchange: the inference thread gives poses (a queue of 100; the oldest go first when it is full), the render thread
    images (one slot); settings through `Latest`. An output that fails is closed and said once; the others go on.
    """

    def __init__(
        self,
        clock: StreamClock,
        settings: Latest[OutputSettings],
        delay: Callable[[], float],
        on_failure: Callable[[Failure], None] | None = None,
        on_notice: Callable[[Notice], None] = lambda notice: None,
    ) -> None:
        """
        Args:
            delay: seconds by which the picture is behind the sound.
        """
        super().__init__("outputs", on_failure)
        self.sent = 0
        """Poses sent."""
        self._clock = clock
        self._settings = settings
        self._delay = delay
        self._on_notice = on_notice
        self._poses: deque[FlameParams] = deque(maxlen=100)
        self._image: Latest[LiveImage | None] = Latest(None)
        self._senders: dict[str, _Sender] = {}
        self._camera: VirtualCamera | None = None
        self._camera_size = (0, 0)
        self._camera_wanted = False

    @property
    def wants_images(self) -> bool:
        """Whether images are sent anywhere."""
        return self._camera_wanted

    def offer_poses(self, poses: Sequence[FlameParams]) -> None:
        """On the inference thread."""
        if self._senders:
            self._poses.extend(poses)
            self.wake.set()

    def offer_image(self, image: LiveImage) -> None:
        """On the render thread."""
        if self._camera_wanted:
            self._image.put(image)
            self.wake.set()

    def run(self) -> None:
        version = seen = -1
        try:
            while not self.stopping:
                newest, wanted = self._settings.versioned()
                if newest != version:
                    version = newest
                    self._open(wanted)
                self.wake.wait(self._send_due())
                number, image = self._image.versioned()
                if number != seen and image is not None:
                    seen = number
                    self._show(image)
        finally:
            self._close()

    def refresh(self) -> None:
        """The settings have changed."""
        self.wake.set()

    def _send_due(self) -> float:
        """Send what is due; seconds until the next."""
        while self._poses:
            due_s = self._poses[0].stream_time_s + self._delay() - self._clock.now()
            if due_s > 0:
                return min(due_s, 0.25)
            pose = self._poses.popleft()
            for name, sender in list(self._senders.items()):
                try:
                    sender.send(pose)
                    self.sent += 1
                except (UserError, OSError) as error:
                    self._give_up(name, error)
        return 0.25

    def _show(self, image: LiveImage) -> None:
        height, width = image.bgra.shape[:2]
        try:
            if self._camera is None or self._camera_size != (width, height):
                if self._camera is not None:
                    self._camera.close()
                self._camera = VirtualCamera(width, height)
                self._camera_size = (width, height)
            self._camera.send_image(image.bgra)
        except (UserError, OSError, RuntimeError) as error:
            self._camera_wanted = False
            self._camera = None
            self._on_notice(Notice("output", "virtual camera", str(error)))

    def _open(self, wanted: OutputSettings) -> None:
        self._close()
        for name, target, make, port in (
            ("VMC", wanted.vmc, VmcSender, VMC_PORT),
            ("Live Link", wanted.livelink, LiveLinkSender, LIVELINK_PORT),
        ):
            if target is None:
                continue
            try:
                host, chosen = parse_target(target, port)
                self._senders[name] = make(host, chosen)
            except (UserError, OSError) as error:
                self._give_up(name, error)
        self._camera_wanted = wanted.virtual_camera

    def _give_up(self, name: str, error: Exception) -> None:
        sender = self._senders.pop(name, None)
        if sender is not None:
            sender.close()
        self._on_notice(Notice("output", name, str(error)))

    def _close(self) -> None:
        for sender in self._senders.values():
            sender.close()
        self._senders = {}
        self._poses.clear()
        if self._camera is not None:
            self._camera.close()
            self._camera = None
        self._camera_wanted = False
