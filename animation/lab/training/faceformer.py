"""Training FaceFormer on speech sequences, one utterance a step, autoregressively as it is used [checked]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from animation.lab.data.sequences import MeshSequence
from animation.lab.training.engine import EngineOptions, Progress, batch_rng, is_first_process, run
from animation.speech.audio import SAMPLE_RATE, resample
from animation.speech.faceformer import FaceFormer, FaceFormerConfig, save_faceformer
from avatar.errors import UserError

__all__ = ["train_faceformer"]

_MM = 1e3
_EPOCHS = 100
_MOST_VALIDATED = 12
"""Held-out sentences that each validation hears."""


class _Loss(nn.Module):
    def __init__(self, model: FaceFormer) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: tuple[Tensor, int, Tensor]) -> dict[str, Tensor]:
        samples, subject, target = batch
        error = (self.model(samples, subject, len(target)) - target) * _MM
        return {"loss": error.square().mean() * 3}


class _FaceFormerTask:
    name = "faceformer"

    def __init__(
        self,
        model: FaceFormer,
        train: list[MeshSequence],
        validation: list[MeshSequence],
        steps: int,
        seed: int,
        rate: float,
    ) -> None:
        self.module: nn.Module = _Loss(model)
        self._model, self._train, self._validation, self._rate = model, train, validation, rate
        self._mean = torch.from_numpy(np.mean([s.offsets.mean(0) for s in train], 0))
        self.steps, self.seed = steps, seed

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is not frozen."""
        return [{"params": [p for p in self.module.parameters() if p.requires_grad], "lr": self._rate}]

    def learning_rate(self, step: int) -> float:
        """Constant, as the authors train."""
        return 1.0

    def batch(self, step: int, rank: int) -> tuple[Tensor, int, Tensor]:
        """One utterance; every epoch in a new order."""
        epoch, at = divmod(step, len(self._train))
        order = batch_rng(self.seed, epoch, rank).permutation(len(self._train))
        return self._tensors(self._train[order[at]])

    def _tensors(self, sequence: MeshSequence) -> tuple[Tensor, int, Tensor]:
        assert sequence.audio is not None  # filtered when the task was made
        samples = np.asarray(sequence.audio, np.float32)
        if sequence.sample_rate != SAMPLE_RATE:
            samples = resample(samples, sequence.sample_rate)
        subjects = self._model.config.subjects
        subject = subjects.index(sequence.subject) if sequence.subject in subjects else 0
        return torch.from_numpy(np.array(samples)), subject, torch.from_numpy(sequence.offsets)

    def validate(self) -> Mapping[str, float]:
        """Root mean square error over held-out speakers, in the first learned style, and that of predicting the mean
        of the training data at every moment."""
        device = next(self._model.parameters()).device
        errors, of_mean = [], []
        for sequence in self._validation[:_MOST_VALIDATED]:
            samples, subject, target = self._tensors(sequence)
            predicted = self._model(samples.to(device), subject, len(target)).cpu()
            errors.append(float((predicted - target).square().sum(-1).mean()))
            of_mean.append(float((self._mean - target).square().sum(-1).mean()))
        if not errors:
            return {}
        return {"rms_mm": _MM * float(np.mean(errors)) ** 0.5, "rms_of_mean_mm": _MM * float(np.mean(of_mean)) ** 0.5}


def train_faceformer(
    train: Iterable[MeshSequence],
    validation: Iterable[MeshSequence],
    out: Path | str,
    steps: int | None = None,
    learning_rate: float = 1e-4,
    seed: int = 0,
    wav2vec2: str = "",
    fps: float = 30.0,
    options: EngineOptions | None = None,
    progress: Progress | None = None,
) -> FaceFormer:
    """Train FaceFormer and write `out/faceformer.safetensors`, with checkpoint and curves.

    Args:
        train: speech sequences with sound.
        validation: speech of other people.
        out: folder for the results.
        steps: utterances to learn from, one each; 100 passes over the data by the authors if None.
        learning_rate: of Adam, 1e-4 by the authors.
        seed: of weights and order.
        wav2vec2: folder of a wav2vec 2.0 model; our own small encoder if empty.
        fps: poses a second of the model.
        options: device and pace of checkpoints.
        progress: told about every step.

    Raises:
        UserError: if no sequence has sound, or meshes are of several topologies.
    """
    spoken = [s.at_rate(fps) for s in train if s.domain == "speech" and s.audio is not None]
    held_out = [s.at_rate(fps) for s in validation if s.domain == "speech" and s.audio is not None]
    if not spoken:
        raise UserError("no speech with sound among the training data")
    for sequence in (*spoken, *held_out):
        if sequence.template.shape != spoken[0].template.shape:
            raise UserError(f"{sequence.key}: {len(sequence.template)} vertices, others have {len(spoken[0].template)}")
    steps = _EPOCHS * len(spoken) if steps is None else steps
    torch.manual_seed(seed)
    subjects = tuple(sorted({s.subject for s in spoken}))
    config = FaceFormerConfig(spoken[0].template.shape[0], subjects, fps, wav2vec2=wav2vec2)
    model = FaceFormer(config)
    run(_FaceFormerTask(model, spoken, held_out, steps, seed, learning_rate), out, options, progress)
    if is_first_process():
        save_faceformer(model.eval(), Path(out) / "faceformer.safetensors", {"steps": steps, "seed": seed})
    return model
