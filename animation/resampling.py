"""Poses at another rate."""

from __future__ import annotations

import numpy as np

__all__ = ["resample_poses"]


def resample_poses(values: np.ndarray, fps: float, new_fps: float) -> np.ndarray:
    """Linear resampling in time; pose k stands for the time (k + 0.5) / fps.

    Args:
        values: (T, ...).
        fps: poses a second of `values`.
        new_fps: poses a second of the result, float32 (N, ...).

    From 60 to 30 poses a second each new pose is the mean of two, which keeps its time; FaceFormer's loader drops
    every other pose instead, which shifts the curve by 8 ms.
    """
    if fps <= 0 or new_fps <= 0:
        raise ValueError(f"resample_poses: expected rates above 0, got {fps} and {new_fps}")
    values = np.asarray(values, np.float32)
    count = max(1, round(len(values) * new_fps / fps))
    where = np.clip((np.arange(count) + 0.5) * fps / new_fps - 0.5, 0, len(values) - 1)
    low = np.minimum(np.floor(where).astype(int), max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    part = (where - low).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - part) + values[high] * part
