"""One thread for each worker: the pools of the numeric libraries are kept from adding their own."""

from __future__ import annotations

import threading

import torch
from threadpoolctl import threadpool_limits

__all__ = ["PoolLimits"]


class PoolLimits:
    """While any of these holds, torch and BLAS calculate on the thread that calls them.

    The models that run live are small: handing their products to a pool costs more than it saves, and its threads take
    the cores from the workers. Several may hold at a time; the last to let go puts things back.
    """

    _lock = threading.Lock()
    _holding = 0
    _torch_threads = 1
    _blas: threadpool_limits | None = None

    def __init__(self) -> None:
        self._held = False

    def hold(self) -> None:
        """Before the threads start that are to calculate alone. Idempotent."""
        with PoolLimits._lock:
            if self._held:
                return
            self._held = True
            PoolLimits._holding += 1
            if PoolLimits._holding == 1:
                PoolLimits._torch_threads = torch.get_num_threads()
                PoolLimits._blas = threadpool_limits(1, user_api="blas")
                torch.set_num_threads(1)

    def release(self) -> None:
        """Idempotent."""
        with PoolLimits._lock:
            if not self._held:
                return
            self._held = False
            PoolLimits._holding -= 1
            if PoolLimits._holding == 0:
                if PoolLimits._blas is not None:
                    PoolLimits._blas.restore_original_limits()
                torch.set_num_threads(PoolLimits._torch_threads)
