"""Tasks on many machines, through a Dask scheduler that is there already."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from avatar.errors import UserError

__all__ = ["run_there"]

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)
_PATIENCE_S = 300.0
"""How long a scheduler that was there may be gone."""
_CONNECT_S = 10.0
_CANCELLED = (CancelledError, asyncio.CancelledError)
"""Dask has raised the one and the other."""


def run_there(
    function: Callable[[T], R], tasks: Sequence[T], address: str, patience_s: float = _PATIENCE_S
) -> Iterator[tuple[T, R | Exception]]:
    """Run a function on every task; give each task with its result, or with what it raised, as they are done.

    A worker that dies is the scheduler's business: others do its tasks. A scheduler that dies is waited for; what was
    not reported is handed over again, and `function` must see by itself whether it was done.

    Args:
        address: of the scheduler, such as tcp://host:8786, or the path of its scheduler file.
        patience_s: how long to wait for one that was there and is gone.

    Raises:
        UserError: without the extra `batch`, or if no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(
            "--scheduler needs Dask: install the extra with pip install 'gaussian-avatar[batch]'"
        ) from error
    waiting = list(range(len(tasks)))
    last_s, connected = time.monotonic(), False
    while waiting:
        try:
            with Client(_answering(address), timeout=_CONNECT_S, set_as_default=False) as client:
                last_s, connected = time.monotonic(), True
                for i, result in _submitted(client, function, tasks, waiting):
                    last_s = time.monotonic()
                    waiting.remove(i)
                    yield tasks[i], result
        except (OSError, TimeoutError) as error:
            if not connected or time.monotonic() - last_s > patience_s:
                raise UserError(f"{address}: no Dask scheduler answers ({error})") from error
        if waiting:
            _log.warning("the scheduler %s is gone; waiting for it", address)
            time.sleep(1.0)


def _answering(address: str) -> str:
    """The address of a scheduler that answers.

    Raises:
        OSError: if none does. Dask's own client, refused, leaves a thread behind.
        UserError: for what is no address.
    """
    if address.endswith(".json"):
        address = str(json.loads(Path(address).read_text(encoding="utf-8")).get("address", address))
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme in ("tcp", "tls"):
        if not parts.hostname or not parts.port:
            raise UserError(f"{address}: expected the address of a Dask scheduler, such as tcp://host:8786")
        socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_S).close()
    return address


def _submitted(
    client: Any, function: Callable[[T], R], tasks: Sequence[T], waiting: Sequence[int]
) -> Iterator[tuple[int, R | Exception]]:
    """Results as they come; ends early when the scheduler has forgotten what was handed over."""
    from distributed import as_completed

    futures = client.map(function, [tasks[i] for i in waiting], pure=False)
    index = dict(zip(futures, waiting, strict=True))
    try:
        for future in as_completed(futures, loop=client.loop):
            try:
                result = _outcome(future)
            except _CANCELLED:
                return
            yield index.pop(future), result
    finally:
        if index and client.status == "running":
            client.cancel(list(index), force=True)


def _outcome(future: Any) -> Any:
    """What a task gave, or what it raised.

    Raises:
        CancelledError: if it was forgotten with the connection or the scheduler: its status may still say otherwise.
    """
    if future.status == "finished":
        return future.result()
    if future.status == "error":
        error = future.exception()
        return error if isinstance(error, Exception) else RuntimeError(str(error))
    raise CancelledError(future.key)
