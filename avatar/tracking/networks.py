"""Running one network on a square cut out of a picture."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from PIL import Image

from avatar.errors import UserError
from avatar.tracking.models import model_file

__all__ = ["Network", "Square", "crop"]


@dataclass(frozen=True)
class Square:
    """A square in a picture, turned about its centre. Pixels; `angle` in radians, clockwise as seen."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def matrix(self, size: int) -> Float[np.ndarray, "2 3"]:
        """From pixels of the cut-out, 0..size, to pixels of the picture."""
        k = self.side / size
        c, s = math.cos(self.angle) * k, math.sin(self.angle) * k
        half = size / 2
        return np.array([[c, -s, self.x - (c - s) * half], [s, c, self.y - (s + c) * half]])

    def to_picture(self, points: Float[np.ndarray, "n 2"], size: int) -> Float[np.ndarray, "n 2"]:
        """Points of the cut-out in the picture."""
        m = self.matrix(size)
        return points @ m[:, :2].T + m[:, 2]


def crop(picture: Image.Image, square: Square, size: int, mirrored: bool = False) -> Float32[np.ndarray, "h w 3"]:
    """The square at `size` x `size` pixels, 0..1; black outside the picture. Shrunk without aliasing."""
    matrix = square.matrix(size)
    shrink = int(square.side / size / 1.5)
    if shrink > 1:
        picture = picture.reduce(shrink)
        matrix = matrix / shrink
    cut = picture.transform((size, size), Image.Transform.AFFINE, tuple(matrix.ravel()), Image.Resampling.BILINEAR)
    values = np.asarray(cut, np.float32) / 255
    return values[:, ::-1] if mirrored else values


@contextmanager
def _quiet() -> Iterator[None]:
    """LiteRT greets on the process's standard error, past Python, and has no switch for it."""
    try:
        kept = os.dup(2)
    except OSError:  # no standard error, as in a windowed program on Windows
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Network:
    """A model file, loaded. Not safe for two threads at once."""

    def __init__(self, name: str, threads: int = 1) -> None:
        """Raises:
        UserError: if LiteRT is not installed, or the file cannot be had.
        """
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise UserError("face tracking needs the extra 'capture': pip install ai-edge-litert") from error
        path = str(model_file(name))
        with _quiet():
            self._net = Interpreter(model_path=path, num_threads=threads)
            self._net.allocate_tensors()
        given = self._net.get_input_details()[0]
        self._input = given["index"]
        self.size = int(given["shape"][1])
        self._outputs = [o["index"] for o in self._net.get_output_details()]

    def __call__(self, values: Float32[np.ndarray, "h w 3"]) -> list[Float32[np.ndarray, "..."]]:
        """Its outputs for one square."""
        self._net.set_tensor(self._input, np.ascontiguousarray(values[None], np.float32))
        self._net.invoke()
        return [self._net.get_tensor(index)[0] for index in self._outputs]
