"""The avatar as a webcam, through pyvirtualcam (the extra `virtual-camera`)."""

from __future__ import annotations

from types import TracebackType

import numpy as np
from jaxtyping import UInt8

from avatar.errors import UserError

__all__ = ["VirtualCamera"]


class VirtualCamera:
    """A camera device that other programs can open. Not for two threads at once."""

    def __init__(self, width: int, height: int, fps: float = 30.0, device: str | None = None) -> None:
        """
        Args:
            device: its name, such as /dev/video2; the first that is free if None.

        Raises:
            UserError: if pyvirtualcam is not installed, or there is no virtual camera on this machine.
        """
        try:
            import pyvirtualcam
        except ImportError as error:
            raise UserError(
                "the virtual camera needs pyvirtualcam: pip install 'gaussian-avatar[virtual-camera]'"
            ) from error
        try:
            self._camera = pyvirtualcam.Camera(
                width=width, height=height, fps=fps, device=device, fmt=pyvirtualcam.PixelFormat.RGB
            )
        except (RuntimeError, OSError, ValueError) as error:
            raise UserError(
                f"no virtual camera could be opened ({' '.join(str(error).split())}); on Linux load v4l2loopback, on "
                "Windows and macOS install OBS Studio"
            ) from error
        self._shape = (height, width)
        self._rgb = np.zeros((height, width, 3), np.uint8)

    @property
    def device(self) -> str:
        """Its name, as other programs list it."""
        return str(self._camera.device)

    def send_image(self, bgra: UInt8[np.ndarray, "h w 4"]) -> None:
        """Show an image; premultiplied alpha falls on black. Does not wait.

        Raises:
            ValueError: if it is not of the camera's size.
        """
        if bgra.shape != (*self._shape, 4):
            raise ValueError(f"VirtualCamera: expected {(*self._shape, 4)}, got {bgra.shape}")
        self._rgb[:] = bgra[..., 2::-1]
        self._camera.send(self._rgb)

    def close(self) -> None:
        """Give the device back; closing twice is fine."""
        self._camera.close()

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
