"""Training the fusion module: sequences in, disentangled blendshapes out.

The losses, with their origin:

- Reconstruction: |dV - B_A w_A - B_E w_E|^2 on both domains [stated].
- Sparsity: what an encoder sees of its own domain in the other domain's data is a secondary deformation and has to be
  sparse [stated]. B w is penalised, because an L1 on w alone is evaded by growing B. A penalty by itself cannot tell
  what is hidden from what only looks like it; time can [chosen]. *Constancy*, on speech: a share of an expression is
  added, and the encoder has to answer with that share more than it answers to another pose of the same moment, in
  which the same expression hides. *Pace*, on expressions: the encoder has to answer with what `FusionData` infers from
  the fast part of the sequence, and with any share of speech that is added. Both are additive [stated] and need no
  labels. *Shrinkage* is the bare L1.
- Smoothness: |Lap B|^2 / |B|^2 [stated without the normalisation; without it the blendshapes shrink and weights grow].

Shrinkage takes the length of a vertex's displacement, an L2 inside and an L1 outside, so that it does not depend on
axes; every fourth vertex is enough to estimate sparsity.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from animation.blendshapes.fusion import Encoder, FusionConfig, FusionModel, refit, save_fusion
from animation.blendshapes.geometry_image import geometry_image
from animation.lab.data.sequences import DOMAINS, MeshSequence
from animation.lab.training.engine import EngineOptions, Progress, batch_rng, is_first_process, run
from animation.lab.training.fusion_data import FusionBatch, FusionData, principal_axes
from avatar.errors import UserError
from avatar.flame.head import HeadModel

__all__ = ["FusionTask", "initialise", "refine", "train_fusion"]

_log = logging.getLogger(__name__)

_MM = 1e3
_SPARSITY_STRIDE = 4
_LENGTH_FLOOR = 1e-3
_INITIAL_SAMPLES = 3000
_REFINING_SAMPLES = 6000


def _square(flat: Float[Tensor, "*b n3"]) -> Float[Tensor, ""]:
    """Mean square length of the vertices' displacements, square millimetres."""
    return 3 * flat.square().mean()


def _length(flat: Float[Tensor, "*b n3"]) -> Float[Tensor, ""]:
    """Mean length of the vertices' displacements, millimetres."""
    square = flat.unflatten(-1, (-1, 3)).square().sum(-1)
    return (square + _LENGTH_FLOOR**2).sqrt().mean()


class FusionLoss(nn.Module):
    """The losses as one module, so that several devices can share the work."""

    laplacian: Tensor
    rows: Tensor

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = model
        coo = model.image.laplacian.tocoo()
        index = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
        values = torch.from_numpy(coo.data).float()
        matrix = torch.sparse_coo_tensor(index, values, coo.shape, check_invariants=True).coalesce()
        self.register_buffer("laplacian", matrix, persistent=False)
        rows = torch.arange(3 * model.image.n_vertices).unflatten(0, (-1, 3))[::_SPARSITY_STRIDE].flatten()
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, batch: FusionBatch) -> dict[str, Tensor]:
        """Losses of a batch, each a scalar."""
        model, config = self.model, self.model.config
        b_speech, b_expression = model.speech_decoder.weight, model.expression_decoder.weight
        n = len(batch.speech)
        rows = self.rows

        added = batch.added_expression
        seen = model.look(torch.cat([batch.speech, batch.speech_later, batch.speech + added, added]))
        w_hidden = model.expression_encoder(seen)
        hidden, later, answered, alone = (w_hidden @ b_expression[rows].T).split(n)
        constancy = _square(answered - later - added[:, rows]) + _square(alone - added[:, rows])

        added = batch.added_speech
        seen = model.look(torch.cat([batch.expression, batch.expression + added]))
        w_articulation = model.speech_encoder(seen)
        articulation, answered = (w_articulation @ b_speech[rows].T).split(n)
        pace = _square(articulation - batch.articulation[:, rows])
        pace = pace + _square(answered - articulation - added[:, rows])

        def left_over(flat: Tensor, blendshapes: Tensor) -> Tensor:
            return _square(flat - refit(blendshapes, flat) @ blendshapes.T)

        reconstruction = left_over(batch.speech - w_hidden[:n] @ b_expression.T, b_speech)
        reconstruction = reconstruction + left_over(batch.expression - w_articulation[:n] @ b_speech.T, b_expression)
        shrinkage = config.shrinkage * (_length(hidden) + _length(articulation))
        smoothness = self._roughness(b_speech) + self._roughness(b_expression)
        sparsity = constancy + pace + shrinkage
        loss = reconstruction + config.sparsity * sparsity + config.smoothness * smoothness
        return {
            "loss": loss,
            "reconstruction": reconstruction,
            "constancy": constancy,
            "pace": pace,
            "shrinkage": shrinkage,
            "smoothness": smoothness,
        }

    def _roughness(self, blendshapes: Float[Tensor, "n3 k"]) -> Tensor:
        per_vertex = blendshapes.unflatten(0, (-1, 3)).flatten(1)
        rough = torch.sparse.mm(self.laplacian, per_vertex).square().sum(0).unflatten(0, (3, -1)).sum(0)
        return (rough / blendshapes.square().sum(0).clamp(min=1e-8)).mean()


def initialise(model: FusionModel, data: FusionData) -> None:
    """Start from linear algebra: principal components as blendshapes, and encoders that are right where the domains
    do not overlap.

    Without sparsity the two dictionaries start as they are and nothing tells the encoders apart.
    """
    config = model.config
    rng = np.random.default_rng([config.seed, 7])
    count = {domain: min(_INITIAL_SAMPLES, len(data.poses(domain))) for domain in DOMAINS}
    x: dict[Any, Tensor] = {domain: torch.from_numpy(data.sample(domain, count[domain], rng)) for domain in DOMAINS}
    both = torch.cat([x[domain] for domain in DOMAINS])
    with torch.no_grad():
        movement = both.unflatten(-1, (-1, 3)).square().sum(-1).mean(0).sqrt()
        model.scale.copy_(movement.clamp(min=0.25 * float(movement.mean())))
        axes, deviation = principal_axes(both, config.linear_path, config.seed)
        axes, deviation = axes[: config.linear_path], deviation[: config.linear_path]
        whitening = axes / (deviation + 0.02 * deviation[:1]).unsqueeze(1) if len(axes) else axes
        model.principal_axes[: len(axes)] = whitening
        for domain, decoder in zip(DOMAINS, (model.speech_decoder, model.expression_decoder), strict=True):
            own, size = principal_axes(x[domain], decoder.weight.shape[1], config.seed)
            decoder.weight.zero_()
            decoder.weight[:, : len(own)] = (own * size.clamp(min=1e-3).unsqueeze(1)).T
        if config.linear_path and config.sparsity:
            hideable = torch.from_numpy(data.hideable(count["expression"], config.mixing, rng))
            now, later = (torch.from_numpy(poses) for poses in data.moments(count["speech"], rng))
            poses, articulation = (torch.from_numpy(part) for part in data.expressions(4 * count["expression"], rng))
            _fit_linear(
                model.expression_encoder,
                model.expression_decoder.weight,
                model.principal_axes,
                torch.cat([hideable, now - later]),
                torch.cat([hideable, torch.zeros_like(now)]),
            )
            _fit_linear(model.speech_encoder, model.speech_decoder.weight, model.principal_axes, poses, articulation)


def _fit_linear(
    encoder: Encoder,
    blendshapes: Float[Tensor, "n3 k"],
    axes: Float[Tensor, "r n3"],
    flat: Float[Tensor, "b n3"],
    hidden: Float[Tensor, "b n3"],
) -> None:
    """The linear path that answers best with what is hidden in poses."""
    seen = flat @ axes.T
    gram = seen.T @ seen / len(seen)
    right = seen.T @ refit(blendshapes, hidden) / len(seen)
    ridge = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram))
    encoder.linear.copy_(torch.linalg.solve(gram + ridge, right).T)


def refine(model: FusionModel, data: FusionData) -> None:
    """Replace the speech blendshapes by the best of their number for the speech that the module keeps.

    Once the encoders are fixed the decoder is a linear problem: its optimum is the principal subspace of the training
    speech less what was found hidden in it. Gradient steps come near it only slowly, and what they miss would show as
    an error of the lips. The speech encoder's outputs are carried over to the new columns.
    """
    rng = np.random.default_rng([model.config.seed, 13])
    with torch.no_grad():
        count = min(_REFINING_SAMPLES, len(data.poses("speech")))
        rows = torch.from_numpy(data.sample("speech", count, rng))
        kept = []
        for flat in rows.split(64):
            hidden = model.keep_speech(flat.unflatten(-1, (-1, 3)) / _MM).expression
            kept.append(flat - model.expression_decoder(hidden))
        old = model.speech_decoder.weight.clone()
        axes, size = principal_axes(torch.cat(kept), old.shape[1], model.config.seed)
        if len(axes) < old.shape[1]:
            return
        new = (axes * size.clamp(min=1e-3).unsqueeze(1)).T
        model.speech_decoder.weight.copy_(new)
        carried = refit(new, old.T).T
        encoder = model.speech_encoder
        encoder.linear.copy_(carried @ encoder.linear)
        last = encoder.network.layers[-1]
        assert isinstance(last, nn.Linear)
        last.weight.copy_(carried @ last.weight)


class FusionTask:
    """The fusion module as the engine trains it."""

    name = "fusion"

    def __init__(
        self, model: FusionModel, data: FusionData, validation: Callable[[FusionModel], Mapping[str, float]]
    ) -> None:
        self.model, self.data, self._validation = model, data, validation
        self.steps, self.seed = model.config.steps, model.config.seed
        self.module: nn.Module = FusionLoss(model)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Encoders at the configured rate, blendshapes at a fraction of it: they start nearly right."""
        rate = self.model.config.learning_rate
        encoders = [*self.model.speech_encoder.parameters(), *self.model.expression_encoder.parameters()]
        decoders = [self.model.speech_decoder.weight, self.model.expression_decoder.weight]
        return [{"params": encoders, "lr": rate}, {"params": decoders, "lr": 0.1 * rate}]

    def learning_rate(self, step: int) -> float:
        """A short rise, then a cosine to nothing."""
        rise = min(1.0, (step + 1) / 20)
        return rise * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def batch(self, step: int, rank: int) -> FusionBatch:
        """Poses of both domains and what is added to them."""
        return self.data.batch(self.model.config, batch_rng(self.seed, step, rank))

    def validate(self) -> Mapping[str, float]:
        """Measures on held-out people."""
        return self._validation(self.model)


def train_fusion(
    train: Iterable[MeshSequence] | FusionData,
    validation: Iterable[MeshSequence] | FusionData,
    head: HeadModel,
    out: Path | str,
    config: FusionConfig | None = None,
    options: EngineOptions | None = None,
    progress: Progress | None = None,
    metadata: dict[str, Any] | None = None,
) -> FusionModel:
    """Train the fusion module on sequences of both domains.

    Writes `out/fusion.safetensors` (and `.json`), `out/checkpoint.pt`, `out/curves.csv` and `out/curves.png`. A run
    that was killed goes on from its checkpoint when it is started again with the same arguments.

    Args:
        train: sequences to learn from, of `head`'s topology, both domains; or what was made of them.
        validation: sequences of other people, both domains.
        head: the head model whose topology the sequences have.
        out: folder for the results.
        config: sizes, weights of the losses, seed.
        options: device and pace of checkpoints.
        progress: told about every step.
        metadata: anything to be kept with the weights, JSON.

    Raises:
        UserError: if the data or the device do not serve.
    """
    config = config or FusionConfig()
    torch.manual_seed(config.seed)
    image = geometry_image(head, config.image_size)
    data = train if isinstance(train, FusionData) else FusionData(train, image)
    held_out = validation if isinstance(validation, FusionData) else FusionData(validation, image)
    if shared := set(data.subjects["speech"] + data.subjects["expression"]) & set(
        held_out.subjects["speech"] + held_out.subjects["expression"]
    ):
        raise UserError(f"{', '.join(sorted(shared))}: both in the training and in the validation data")
    model = FusionModel(config, image)
    initialise(model, data)
    rng = np.random.default_rng([config.seed, 11])
    probes = {domain: torch.from_numpy(held_out.sample(domain, 256, rng)) for domain in DOMAINS}

    def measure(model: FusionModel) -> Mapping[str, float]:
        device = model.scale.device
        speech, expression = (probes[domain].to(device).unflatten(-1, (-1, 3)) / _MM for domain in DOMAINS)
        first, second = model.keep_speech(speech), model.keep_expression(expression)
        return {
            "speech_mm": _rms(model.decode(first.speech, first.expression) - speech),
            "expression_mm": _rms(model.decode(second.speech, second.expression) - expression),
            "crossing_speech_mm": _rms(model.decode(None, first.expression)),
            "crossing_expression_mm": _rms(model.decode(second.speech, None)),
        }

    task = FusionTask(model, data, measure)
    run(task, out, options, progress)
    refine(model.eval(), data)
    if is_first_process():
        save_fusion(model, Path(out) / "fusion.safetensors", metadata)
        _log.info("wrote %s", Path(out) / "fusion.safetensors")
    return model


def _rms(deformation: Float[Tensor, "b n 3"]) -> float:
    """Root mean square length of the displacements, millimetres."""
    return float(deformation.square().sum(-1).mean().sqrt()) * _MM
