"""The loss on the CPU: L1, L2 and SSIM with their gradient, in one pass over the rows of a picture."""

from __future__ import annotations

import numba
import numpy as np
import torch
from jaxtyping import Float
from numba import prange
from torch import Tensor

from avatar.creation.training.cpu.rows import (
    LANES,
    blur_across,
    blur_down,
    give_out,
    similarity_slopes,
    sum_row,
    take_in,
)
from avatar.creation.training.loss import RADIUS, LossConfig, LossValue, Target
from avatar.render.compilation import KERNELS, kernel, parallel_kernel, reducing_kernel

__all__ = ["CpuLoss"]

f32 = np.float32
_RING = 2 * RADIUS + 1
_EDGE = 4 * RADIUS  # floats of the empty pixels at either end of a row
_BYTE = f32(1 / 255)
_NO_EMPHASIS = torch.ones(0, 0)


@reducing_kernel
def _differences(image, target, emphasis, l1, l2, scale, gradient, parts):
    """L1 and L2 over the whole picture, and their gradient.

    Args:
        emphasis: (h, w), or empty.
        scale: what one value counts: one over the number of those in the window.
        parts: (threads, 4) float64 out: sums of L1 and L2 in the first two columns.
    """
    height, width = image.shape[:2]
    workers = parts.shape[0]
    for worker in prange(workers):
        total1 = np.float64(0)
        total2 = np.float64(0)
        for y in range(height * worker // workers, height * (worker + 1) // workers):
            a = image[y].reshape(-1)
            b = target[y].reshape(-1)
            g = gradient[y].reshape(-1)
            sum1 = f32(0)
            sum2 = f32(0)
            if emphasis.size == 0:
                for x in range(4 * width):
                    e = a[x] - f32(b[x]) * _BYTE
                    sum1 += abs(e)
                    sum2 += e * e
                    sign = f32(1) if e > f32(0) else (f32(-1) if e < f32(0) else f32(0))
                    g[x] = scale * (l1 * sign + f32(2) * l2 * e)
            else:
                w = emphasis[y]
                for x in range(width):
                    for c in range(4):
                        e = a[4 * x + c] - f32(b[4 * x + c]) * _BYTE
                        sum1 += w[x] * abs(e)
                        sum2 += w[x] * e * e
                        sign = f32(1) if e > f32(0) else (f32(-1) if e < f32(0) else f32(0))
                        g[4 * x + c] = scale * w[x] * (l1 * sign + f32(2) * l2 * e)
            total1 += sum1
            total2 += sum2
        parts[worker, 0] = total1
        parts[worker, 1] = total2


@kernel
def _take_in(a, b, n, slot, slots):
    """A row of picture and target, their squares and product, into slot `slot` of the first four rings."""
    whole = n // LANES * LANES
    take_in(a, b, slots, slot, whole)
    for x in range(whole, n):
        va = a[x]
        vb = f32(b[x]) * _BYTE
        slots[slot, x] = va
        slots[_RING + slot, x] = vb
        slots[2 * _RING + slot, x] = va * va + vb * vb
        slots[3 * _RING + slot, x] = va * vb


@kernel
def _give_out(a, b, smooth, n, factor, g):
    """Add SSIM's gradient to a row, from the smoothed slopes by a, a^2 and a b."""
    whole = n // LANES * LANES
    give_out(a, b, smooth, factor, g, whole)
    for x in range(whole, n):
        g[x] += factor * (smooth[0, x] + f32(2) * a[x] * smooth[1, x] + f32(b[x]) * _BYTE * smooth[2, x])


@parallel_kernel
def _similarity(image, target, emphasis, y0, y1, x0, x1, factor, rings, wide, rows, gradient, parts):
    """SSIM within a window, and its gradient.

    Every thread takes a strip of rows through a pipeline: a row comes in; a window's radius later its smoothed values
    and their slopes are known; as much later the gradient. What is in between stays in the core's own cache.

    Args:
        factor: what a unit of the sum of SSIM adds to the loss: negative.
        rings: (threads, 7, 7, n) of scratch: the last rows of a, b, a^2 + b^2, a b, and of the three slopes.
        wide: (threads, 1, n + 2 edges) of scratch, zero.
        rows: (threads, 9, n) of scratch: smoothed values, 4; SSIM; emphasis; smoothed slopes, 3.
        gradient: added to.
        parts: (threads, 4) float64 out: the sum of SSIM in the third column.
    """
    workers = parts.shape[0]
    height = y1 - y0
    n = 4 * (x1 - x0)
    padded = (n + LANES - 1) // LANES * LANES
    for worker in prange(workers):
        begin = height * worker // workers
        end = height * (worker + 1) // workers
        ring = rings[worker]
        row = rows[worker]
        line = wide[worker]
        inner = line[:, _EDGE:]
        slots = ring.reshape(7 * _RING, ring.shape[2])
        ring[:, :, :padded] = f32(0)
        total = 0.0
        for y in range(begin - 2 * RADIUS, end + 2 * RADIUS):
            slot = (y + 2 * _RING) % _RING
            if 0 <= y < height:
                a = image[y0 + y].reshape(-1)[4 * x0 : 4 * x1]
                b = target[y0 + y].reshape(-1)[4 * x0 : 4 * x1]
                _take_in(a, b, n, slot, slots)
            else:
                ring[:4, slot, :padded] = f32(0)
            middle = y - RADIUS
            if middle < begin - RADIUS:
                continue
            slot = (middle + 2 * _RING) % _RING
            if 0 <= middle < height:
                top = (middle - RADIUS + 2 * _RING) % _RING
                for k in range(4):
                    blur_down(ring[k], top, inner, 0, padded)
                    blur_across(line, 0, row, k, padded)
                weighted = 0
                if emphasis.size > 0:
                    row[5, : x1 - x0] = emphasis[y0 + middle, x0:x1]
                    weighted = 1
                similarity_slopes(row[:4], slots, 4 * _RING + slot, row[5:6], weighted, row[4:5], padded)
                ring[4:, slot, n:padded] = f32(0)
                if begin <= middle < end:
                    row[4, n:padded] = f32(0)
                    total += sum_row(row, 4, padded)
            else:
                ring[4:, slot, :padded] = f32(0)
            out = y - 2 * RADIUS
            if out < begin:
                continue
            top = (out - RADIUS + 2 * _RING) % _RING
            for k in range(3):
                blur_down(ring[4 + k], top, inner, 0, padded)
                blur_across(line, 0, row, 6 + k, padded)
            a = image[y0 + out].reshape(-1)[4 * x0 : 4 * x1]
            b = target[y0 + out].reshape(-1)[4 * x0 : 4 * x1]
            _give_out(a, b, row[6:], n, factor, gradient[y0 + out].reshape(-1)[4 * x0 : 4 * x1])
        parts[worker, 2] = total


class CpuLoss:
    """The loss in numba; see `Loss`. Holds its scratch arrays; one thread at a time."""

    def __init__(self, config: LossConfig | None = None, threads: int | None = None) -> None:
        """
        Args:
            threads: how many to use; all cores by default.
        """
        self.config = config or LossConfig()
        available = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        self.threads = max(1, min(threads or available, available))
        self._parts = np.zeros((self.threads, 4), np.float64)
        self._width = -1

    def _fit(self, floats: int) -> None:
        if floats != self._width:
            self._width = floats
            self._rings = np.zeros((self.threads, 7, _RING, floats), np.float32)
            self._wide = np.zeros((self.threads, 1, floats + 2 * _EDGE), np.float32)
            self._rows = np.zeros((self.threads, 9, floats), np.float32)

    def value_and_gradient(
        self, image: Float[Tensor, "h w 4"], target: Target
    ) -> tuple[LossValue, Float[Tensor, "h w 4"]]:
        """See `Loss.value_and_gradient`."""
        config, parts = self.config, self._parts
        picture, wanted = np.ascontiguousarray(image.detach().numpy()), target.image.numpy()
        emphasis = (_NO_EMPHASIS if target.emphasis is None else target.emphasis).numpy()
        gradient = np.empty_like(picture)
        y0, y1, x0, x1 = target.window
        count = 4 * (y1 - y0) * (x1 - x0)
        weight = count if target.emphasis is None else 4 * float(emphasis[y0:y1, x0:x1].sum(dtype=np.float64))
        with KERNELS:
            numba.set_num_threads(self.threads)
            _differences(picture, wanted, emphasis, f32(config.l1), f32(config.l2), f32(1 / count), gradient, parts)
            if config.ssim:
                self._fit(-(-4 * (x1 - x0) // LANES) * LANES)
                self._wide[:] = 0
                _similarity(
                    picture, wanted, emphasis, y0, y1, x0, x1, f32(-config.ssim / count),
                    self._rings, self._wide, self._rows, gradient, parts,
                )  # fmt: skip
        l1, l2, alike = (parts[:, :3].sum(0) / count).tolist()
        ssim = 1 - (weight / count - alike) if config.ssim else float("nan")
        total = config.l1 * l1 + config.l2 * l2 + (config.ssim * (1 - ssim) if config.ssim else 0.0)
        return LossValue(total, l1, l2, ssim), torch.from_numpy(gradient)
