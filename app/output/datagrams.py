"""Sending poses over UDP: to whom, and how often."""

from __future__ import annotations

import logging
import math
import socket

from avatar.errors import UserError

__all__ = ["LOOPBACK", "Datagrams", "Pace"]

LOOPBACK = "127.0.0.1"
_log = logging.getLogger(__name__)


class Pace:
    """Lets at most so many poses a second of stream time through."""

    def __init__(self, rate_hz: float) -> None:
        if not 0 < rate_hz <= 1000:
            raise UserError(f"{rate_hz:g} packets a second: expected more than 0 and at most 1000")
        self._step_s = 1 / rate_hz
        self._next_s: float | None = None
        self._last_s = 0.0

    def due(self, time_s: float) -> bool:
        """Whether the pose of this time is to be sent. A stream that starts again starts the pace again."""
        if self._next_s is None or time_s < self._last_s:
            self._next_s = time_s
        self._last_s = time_s
        if time_s < self._next_s - 1e-6:
            return False
        behind = time_s - self._next_s
        self._next_s += self._step_s * max(1.0, math.ceil(behind / self._step_s + 1e-9))
        return True


class Datagrams:
    """A socket that sends to one address and never waits. What cannot be delivered is let go: nobody may be
    listening, or the network may be away for a while."""

    def __init__(self, host: str, port: int) -> None:
        """
        Raises:
            UserError: if there is no such host, or no such port.
        """
        if not 0 < port < 65536:
            raise UserError(f"port {port}: expected 1 to 65535")
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except (OSError, UnicodeError) as error:
            raise UserError(f"cannot send to {host!r}: no such host") from error
        self._address = address
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._complained = False

    def send(self, data: bytes) -> None:
        """Send one datagram."""
        try:
            self._socket.sendto(data, self._address)
        except OSError as error:
            if not self._complained:  # once: at 60 a second the log would hold nothing else
                _log.info("cannot send to %s: %s", self._address, error)
                self._complained = True

    def close(self) -> None:
        """Stop; closing twice is fine."""
        self._socket.close()
