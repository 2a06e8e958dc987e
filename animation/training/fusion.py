"""Training the fusion module: sequences in, disentangled blendshapes out.

The losses, with their origin:

- Reconstruction: |dV - B_A w_A - B_E w_E|^2 on both domains [stated].
- Sparsity: what an encoder sees of its own domain in the other domain's data is a secondary deformation and has to be
  sparse [stated]: sum over vertices of |B_E w_E| on speech and of |B_A w_A| on expressions. B w is penalised, because
  an L1 on w alone is evaded by growing B. Two more terms make the constraint tell what is hidden from what is wrong
  [chosen]. *Response*: to an input a share of the other domain is added, and the encoder has to answer with exactly
  that share (the deformations are additive [stated], so this needs no labels). Often only a random part of the face is
  added, so that what hides in the brows is found without the mouth that usually goes with it. *Pace*: articulation is
  fast and expression slow, so that fast changes of expression are penalised: in speech those of B_E w_E, in
  expressions the curvature over time of what is kept.
- Smoothness: |Lap B|^2 / |B|^2 [stated without the normalisation; without it the blendshapes shrink and weights grow].

Sparsity takes the length of a vertex's displacement, an L2 inside and an L1 outside, so that it does not depend on
axes; every fourth vertex is enough to estimate it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from animation.blendshapes.fusion import FusionConfig, FusionModel, refit, save_fusion
from animation.blendshapes.geometry_image import GeometryImage, geometry_image
from animation.data.sequences import DOMAINS, MeshSequence
from animation.training.engine import EngineOptions, Progress, batch_rng, run
from avatar.errors import UserError
from avatar.flame.head import HeadModel

__all__ = ["FusionBatch", "FusionData", "FusionTask", "initialise", "refine", "train_fusion"]

_log = logging.getLogger(__name__)

_MM = 1e3
_PACE_S = (0.12, 0.1)
_SPARSITY_STRIDE = 4
_PART_OF_FACE = 0.6
"""How often only a part of the face is added."""
_LENGTH_FLOOR = 1e-3
_INITIAL_SAMPLES = 3000
_REFINING_SAMPLES = 4000


class FusionBatch(NamedTuple):
    """Flat millimetres. Later rows of a moment are the same sequence a little later."""

    speech: Float[Tensor, "2 b n3"]
    expression: Float[Tensor, "3 b n3"]
    added_expression: Float[Tensor, "b n3"]
    added_speech: Float[Tensor, "b n3"]


@dataclass(frozen=True, eq=False)
class _Moments:
    """All poses of one domain and the indices at which a whole moment starts."""

    poses: Float[np.ndarray, "t n3"]
    starts: np.ndarray
    stride: int


class FusionData:
    """Deformations of the face region, both domains, in memory as float16 millimetres."""

    def __init__(self, sequences: Iterable[MeshSequence], image: GeometryImage, fps: float = 30.0) -> None:
        """
        Args:
            sequences: of both domains, of the head's topology.
            image: says which vertices are the face.
            fps: to which all sequences are resampled.

        Raises:
            UserError: if a domain is missing, or the meshes have another topology.
        """
        parts: dict[str, list[np.ndarray]] = {domain: [] for domain in DOMAINS}
        subjects: dict[str, set[str]] = {domain: set() for domain in DOMAINS}
        least = int(image.vertices.max()) + 1
        for sequence in sequences:
            if sequence.template.shape[0] < least:
                raise UserError(
                    f"{sequence.key}: {sequence.template.shape[0]} vertices, the head model has at least {least}"
                )
            face = MeshSequence(
                sequence.subject,
                sequence.name,
                sequence.domain,
                sequence.fps,
                sequence.template[image.vertices],
                sequence.offsets[:, image.vertices],
            ).at_rate(fps)
            parts[sequence.domain].append((face.offsets.reshape(face.n_poses, -1) * _MM).astype(np.float16))
            subjects[sequence.domain].add(sequence.subject)
        self.subjects = {domain: sorted(names) for domain, names in subjects.items()}
        self._moments: dict[str, _Moments] = {}
        for domain, last, pace_s in ((DOMAINS[0], 1, _PACE_S[0]), (DOMAINS[1], 2, _PACE_S[1])):
            if not parts[domain]:
                raise UserError(f"no {domain} sequences among the training data; both domains are needed")
            stride = max(1, round(pace_s * fps))
            starts, at = [], 0
            for poses in parts[domain]:
                starts.append(np.arange(at, at + max(len(poses) - last * stride, 0)))
                at += len(poses)
            self._moments[domain] = _Moments(np.concatenate(parts[domain]), np.concatenate(starts), stride)
            if not len(self._moments[domain].starts):
                raise UserError(f"every {domain} sequence is shorter than {last * pace_s + 1 / fps:.2f} s")

    def poses(self, domain: str) -> Float[np.ndarray, "t n3"]:
        """All poses of a domain, flat millimetres, float16."""
        return self._moments[domain].poses

    def sample(self, domain: str, count: int, rng: np.random.Generator) -> Float32[np.ndarray, "b n3"]:
        """Poses at random."""
        poses = self.poses(domain)
        return poses[rng.integers(len(poses), size=count)].astype(np.float32)

    def batch(self, count: int, rng: np.random.Generator) -> FusionBatch:
        """Moments of both domains, and poses to add to them."""

        def moments(domain: str, length: int) -> Tensor:
            chosen = self._moments[domain]
            start = chosen.starts[rng.integers(len(chosen.starts), size=count)]
            rows = start + np.arange(length)[:, None] * chosen.stride
            return torch.from_numpy(chosen.poses[rows].astype(np.float32))

        return FusionBatch(
            moments("speech", 2),
            moments("expression", 3),
            torch.from_numpy(self.sample("expression", count, rng)),
            torch.from_numpy(self.sample("speech", count, rng)),
        )


def _lengths(flat: Float[Tensor, "*b n3"]) -> Float[Tensor, ""]:
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
        matrix = torch.sparse_coo_tensor(index, torch.from_numpy(coo.data).float(), coo.shape).coalesce()
        self.register_buffer("laplacian", matrix, persistent=False)
        rows = torch.arange(3 * model.image.n_vertices).unflatten(0, (-1, 3))[::_SPARSITY_STRIDE].flatten()
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, batch: tuple[FusionBatch, Tensor, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch and the shares (b, 1) in which expression and speech are added."""
        moments, expression_share, speech_share = batch
        model, config = self.model, self.model.config
        b_speech, b_expression = model.speech_decoder.weight, model.expression_decoder.weight
        n = len(expression_share)

        # Suffix _s: on the sampled vertices only.
        b_speech_s, b_expression_s = b_speech[self.rows], b_expression[self.rows]
        speech, added = moments.speech, expression_share * moments.added_expression
        seen = model.look(torch.cat([speech[0], speech[1], speech[0] + added]))
        w_hidden = model.expression_encoder(seen)
        hidden, hidden_later, answered = (w_hidden @ b_expression_s.T).split(n)
        expression, added_speech = moments.expression, speech_share * moments.added_speech
        seen = model.look(torch.cat([*expression, expression[1] + added_speech]))
        w_articulation = model.speech_encoder(seen)
        *articulation, answered_speech = (w_articulation @ b_speech_s.T).split(n)

        def left_over(flat: Tensor, blendshapes: Tensor) -> Tensor:
            return (flat - refit(blendshapes, flat) @ blendshapes.T).square().mean() * 3

        reconstruction = left_over(speech[0] - w_hidden[:n] @ b_expression.T, b_speech)
        reconstruction = reconstruction + left_over(
            expression[1] - w_articulation[n : 2 * n] @ b_speech.T, b_expression
        )
        response = _lengths(answered - hidden - added[:, self.rows])
        response = response + _lengths(answered_speech - articulation[1] - added_speech[:, self.rows])
        amplitude = config.amplitude[0] * _lengths(hidden) + config.amplitude[1] * _lengths(articulation[1])
        kept = [whole[:, self.rows] - part for whole, part in zip(expression, articulation, strict=True)]
        pace = config.pace[0] * _lengths(hidden_later - hidden)
        pace = pace + config.pace[1] * _lengths(kept[0] - 2 * kept[1] + kept[2])
        smoothness = self._roughness(b_speech) + self._roughness(b_expression)
        sparsity = response + amplitude + pace
        loss = reconstruction + config.sparsity * sparsity + config.smoothness * smoothness
        return {
            "loss": loss,
            "reconstruction": reconstruction,
            "response": response,
            "amplitude": amplitude,
            "pace": pace,
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
    x: dict[Any, Tensor] = {domain: torch.from_numpy(data.sample(domain, _INITIAL_SAMPLES, rng)) for domain in DOMAINS}
    both = torch.cat([x[domain] for domain in DOMAINS])
    with torch.no_grad():
        movement = both.unflatten(-1, (-1, 3)).square().sum(-1).mean(0).sqrt()
        model.scale.copy_(movement.clamp(min=0.25 * float(movement.mean())))
        axes, deviation = _principal(both, config.linear_path, config.seed)
        axes, deviation = axes[: config.linear_path], deviation[: config.linear_path]
        whitening = axes / (deviation + 0.02 * deviation[:1]).unsqueeze(1) if len(axes) else axes
        model.principal_axes[: len(axes)] = whitening
        weights: dict[str, Tensor] = {}
        for domain, decoder in zip(DOMAINS, (model.speech_decoder, model.expression_decoder), strict=True):
            own, size = _principal(x[domain], decoder.weight.shape[1], config.seed)
            decoder.weight.zero_()
            decoder.weight[:, : len(own)] = (own * size.clamp(min=1e-3).unsqueeze(1)).T
            weights[domain] = x[domain] @ (own / size.clamp(min=1e-3).unsqueeze(1)).T
        if config.linear_path:
            share = config.mixing**2 / 12
            p: dict[Any, Tensor] = {domain: x[domain] @ model.principal_axes.T for domain in DOMAINS}
            for mine, other, encoder in (
                ("speech", "expression", model.speech_encoder),
                ("expression", "speech", model.expression_encoder),
            ):
                gram = share * p[mine].T @ p[mine] / len(p[mine])
                gram = gram + config.sparsity * p[other].T @ p[other] / len(p[other])
                right = share * p[mine].T @ weights[mine] / len(p[mine])
                solution = torch.linalg.solve(gram + 1e-4 * torch.eye(len(gram)), right).T
                encoder.linear.zero_()
                encoder.linear[: len(solution)] = solution


def refine(model: FusionModel, data: FusionData) -> None:
    """Replace the speech blendshapes by the best of their number for the speech that the module keeps.

    Once the encoders are fixed the decoder is a linear problem: its optimum is the principal subspace of the training
    speech less what was found hidden in it. Gradient steps come near it only slowly, and what they miss would show as
    an error of the lips. The speech encoder's outputs are carried over to the new columns.
    """
    rng = np.random.default_rng([model.config.seed, 13])
    with torch.no_grad():
        rows = torch.from_numpy(data.sample("speech", _REFINING_SAMPLES, rng))
        kept = []
        for flat in rows.split(64):
            hidden = model.keep_speech(flat.unflatten(-1, (-1, 3)) / _MM).expression
            kept.append(flat - model.expression_decoder(hidden))
        old = model.speech_decoder.weight.clone()
        axes, size = _principal(torch.cat(kept), old.shape[1], model.config.seed)
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


def _principal(x: Float[Tensor, "t n"], count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Principal axes as rows and the standard deviations along them, about zero; a randomised range finder."""
    if count == 0:
        return x[:0], x[:0, 0]
    generator = torch.Generator().manual_seed(seed)
    probe = torch.randn(x.shape[1], min(count + 10, *x.shape), generator=generator)
    for _ in range(3):
        probe = torch.linalg.qr(x.T @ (x @ probe)).Q
    _, s, v = torch.linalg.svd(x @ probe, full_matrices=False)
    return (v @ probe.T)[:count], s[:count] / math.sqrt(len(x))


class FusionTask:
    """The fusion module as the engine trains it."""

    name = "fusion"

    def __init__(
        self, model: FusionModel, data: FusionData, validation: Callable[[FusionModel], Mapping[str, float]]
    ) -> None:
        self.model, self.data, self._validation = model, data, validation
        self.steps, self.seed = model.config.steps, model.config.seed
        places = model.image.uv - 0.5
        self._places = places.astype(np.float32)
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

    def batch(self, step: int, rank: int) -> tuple[FusionBatch, Tensor, Tensor]:
        """Moments and the shares in which the other domain is added."""
        rng = batch_rng(self.seed, step, rank)
        config = self.model.config
        moments = self.data.batch(config.batch, rng)
        part = torch.from_numpy(self._parts(config.batch, rng))
        masked = (moments.added_expression.unflatten(-1, (-1, 3)) * part[..., None]).flatten(1)
        moments = moments._replace(added_expression=masked)
        shares = rng.uniform(0, config.mixing, (2, config.batch, 1)).astype(np.float32)
        return moments, torch.from_numpy(shares[0]), torch.from_numpy(shares[1])

    def _parts(self, count: int, rng: np.random.Generator) -> Float32[np.ndarray, "b n"]:
        """How much of each vertex is added: all, or a soft half of the square in a random direction."""
        angle, offset = rng.uniform(0, 2 * np.pi, count), rng.uniform(-0.3, 0.3, count)
        along = np.stack([np.cos(angle), np.sin(angle)], 1) @ self._places.T + offset[:, None]
        whole = rng.random((count, 1)) >= _PART_OF_FACE
        return np.where(whole, 1.0, 1 / (1 + np.exp(-16 * along))).astype(np.float32)

    def validate(self) -> Mapping[str, float]:
        """Measures on held-out people."""
        return self._validation(self.model)


def train_fusion(
    train: Iterable[MeshSequence],
    validation: Iterable[MeshSequence],
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
        train: sequences to learn from, of `head`'s topology, both domains.
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
    data, held_out = FusionData(train, image), FusionData(validation, image)
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
    save_fusion(model, Path(out) / "fusion.safetensors", metadata)
    _log.info("wrote %s", Path(out) / "fusion.safetensors")
    return model


def _rms(deformation: Float[Tensor, "b n 3"]) -> float:
    """Root mean square length of the displacements, millimetres."""
    return float(deformation.square().sum(-1).mean().sqrt()) * _MM
