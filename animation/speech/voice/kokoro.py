"""Kokoro-82M: phonemes to sound, with the time that each of them takes.

Reference: hexgrad, "Kokoro-82M" (Apache-2.0), after Li et al., "StyleTTS 2", 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int

from animation.speech.voice.parts import INSTALL, model_graph, vocabulary
from avatar.errors import UserError

__all__ = ["FRAME_S", "LONGEST", "SAMPLE_RATE", "Kokoro", "Spoken"]

SAMPLE_RATE = 24000
FRAME_S = 0.025
"""The model's own clock: tokens last whole numbers of frames."""
LONGEST = 500
"""Tokens that one call takes."""

_DURATIONS = "/encoder/Round_output_0"


@dataclass(frozen=True, eq=False)
class Spoken:
    """What the model said: sound at `SAMPLE_RATE`, its tokens with '^' before and '$' after them, and their frames."""

    samples: Float[np.ndarray, " n"]
    tokens: tuple[str, ...]
    frames: Int[np.ndarray, " t"]


class Kokoro:
    """The model.

    Args:
        threads: of the CPU.

    Raises:
        UserError: onnxruntime or a part of the model is missing.
    """

    def __init__(self, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"the neural voice is not installed (onnxruntime is missing): {INSTALL}") from error
        self._numbers = vocabulary()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        graph = _with_output(model_graph(), _DURATIONS)
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def known(self, phonemes: str) -> str:
        """The phonemes without letters that the model's alphabet lacks."""
        return "".join(letter for letter in phonemes if letter in self._numbers)

    def speak(self, phonemes: str, style: Float[np.ndarray, "510 256"], speed: float = 1.0) -> Spoken:
        """Say phonemes.

        Args:
            phonemes: in the model's alphabet, at most `LONGEST`; unknown letters are left out.
            style: a voice, or a mixture of voices.
            speed: 1 is the voice's own.

        Raises:
            ValueError: nothing to say, or too much.
        """
        letters = self.known(phonemes)
        if not 0 < len(letters) <= LONGEST:
            raise ValueError(f"expected 1 to {LONGEST} phonemes, got {len(letters)}")
        inputs = {
            "tokens": np.array([[0, *(self._numbers[letter] for letter in letters), 0]], np.int64),
            "style": np.asarray(style[len(letters)], np.float32)[None],
            "speed": np.array([speed], np.float32),
        }
        samples, frames = self._session.run(None, inputs)
        return Spoken(
            np.asarray(samples, np.float32).reshape(-1),
            ("^", *letters, "$"),
            np.round(np.asarray(frames).reshape(-1)).astype(np.int64),
        )


@cache
def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])


def _with_output(model: bytes, name: str) -> bytes:
    """An ONNX model that gives an inner float tensor, too.

    Messages of one field add up in protocol buffers, so a second piece of the graph (field 7 of a model) with one more
    output (field 12 of a graph: name, type) is appended; the package onnx is not needed for that.
    """
    value_type = _field(2, _field(1, b"\x08\x01"))  # a tensor of element type 1, float
    return model + _field(7, _field(12, _field(1, name.encode()) + value_type))
