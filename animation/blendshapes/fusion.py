"""Learned, disentangled blendshapes of speech and of expression: the paper's fusion module.

A deformation dV of the face is a sum, dV = B_A w_A + B_E w_E [stated]. Two encoders look at its geometry image and say
how much of each is in it; a linear decoder without bias, whose weights are the blendshapes, puts it together again
[stated]. From a deformation that speech caused, only the speech part is kept, from one that an expression caused only
the expression: what crosses over, the "secondary deformation", is dropped, and the kept parts add up [stated].

What is ours [chosen]:

- An encoder is a linear map of the image plus a small CNN: convolutions with stride 2 and ReLU, then two dense layers
  that see where on the face things are (pooling before them was worse: docs/fusion.md).
  It has no biases and no normalisation: a neutral face gives zero weights, and half a deformation half the weights.
- The blendshapes live on the vertices, not on the image, so that reconstruction is not limited by pixels.
- After the secondary part has been estimated, the kept weights are refitted to what it leaves, by least squares: one
  matrix product. Without a secondary part the fusion then reproduces its input up to the span of the blendshapes.

Reference: Mao et al., "Learning Disentangled Speech- and Expression-Driven Blendshapes for 3D Talking Face Animation",
2025 (arXiv 2510.25234).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from animation.blendshapes.geometry_image import GeometryImage, geometry_image
from avatar.errors import UserError
from avatar.flame.head import HeadModel
from avatar.formats.atomic import write_bytes
from avatar.formats.tensors import read_tensors, write_tensors

__all__ = ["FusionConfig", "FusionModel", "Separation", "load_fusion", "refit", "save_fusion"]

_FORMAT = "gaussian-avatar-fusion"
_MM = 1e3
_HIDDEN = 64


@dataclass(frozen=True)
class FusionConfig:
    """Everything that shapes the module and its training; saved with the weights."""

    image_size: int = 64
    """Pixels along one side; 128 [checked] in the paper's group's code, 64 here by default, for CPUs."""
    channels: tuple[int, ...] = (8, 16, 32)
    """Of the CNN's layers; (64, 128, 256) is the full-size network."""
    speech_blendshapes: int = 32
    expression_blendshapes: int = 40
    geometric_mapping: bool = True
    """False puts a fully connected network on the bare vertices in the CNN's place (an ablation)."""
    linear_path: int = 72
    """Principal coordinates of the encoders' linear path beside the network; 0 leaves it out."""
    sparsity: float = 1.0
    """Weight of all terms that hold secondary deformations down; 0 is an ablation."""
    smoothness: float = 0.3
    """Weight of the blendshapes' Laplacian; 0 is an ablation."""
    shrinkage: float = 0.003
    """Within sparsity: price of any secondary part at all, to be dropped where it is in doubt."""
    mixing: float = 0.3
    """Largest share of the other domain that is added to an input."""
    threshold_mm: tuple[float, float] = (0.08, 0.0)
    """Estimates of a secondary part whose root mean square over the face is below this are taken for the encoder's own
    error and not dropped: of expression in speech, of speech in expressions. Full effect at twice as much."""
    steps: int = 1500
    batch: int = 32
    learning_rate: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.image_size < 8 or not self.channels or min(self.channels) < 1:
            raise ValueError("FusionConfig: expected image_size >= 8 and at least one layer of channels")
        if self.image_size % (1 << len(self.channels)):
            raise ValueError(
                f"FusionConfig: {len(self.channels)} layers with stride 2 need an image_size divisible by "
                f"{1 << len(self.channels)}, got {self.image_size}"
            )
        if min(self.speech_blendshapes, self.expression_blendshapes, self.steps, self.batch) < 1:
            raise ValueError("FusionConfig: numbers of blendshapes, steps and batch must be at least 1")
        if min(self.sparsity, self.smoothness, self.shrinkage, self.mixing) < 0:
            raise ValueError("FusionConfig: weights of losses must not be negative")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FusionConfig:
        """From JSON; unknown names are refused.

        Raises:
            ValueError: for a name or a value that does not belong.
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"FusionConfig: unknown {', '.join(unknown)}")
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**given)


@dataclass(frozen=True, eq=False)
class Separation:
    """A batch of deformations taken apart. Weights (*batch, k), millimetres when multiplied with the blendshapes."""

    speech: Float[Tensor, "*batch ka"]
    expression: Float[Tensor, "*batch ke"]


@dataclass(frozen=True, eq=False)
class EncoderInput:
    """A batch of deformations as the encoders look at it."""

    flat: Float[Tensor, "b n3"]
    """Millimetres."""
    picture: Float[Tensor, "b ..."]
    """The scaled geometry image, or the scaled vertices where the geometric mapping is off."""
    principal: Float[Tensor, "b r"]
    """Principal coordinates, each with variance about 1."""


class _Network(nn.Module):
    """The non-linear part of an encoder: a CNN on the geometry image, or layers on the bare vertices."""

    def __init__(self, config: FusionConfig, n_vertices: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if config.geometric_mapping:
            width = 3
            for channels in config.channels:
                layers += [nn.Conv2d(width, channels, 3, 2, 1, bias=False), nn.ReLU()]
                width = channels
            layers.append(nn.Flatten())
            width *= (config.image_size >> len(config.channels)) ** 2
        else:
            layers += [nn.Flatten(), nn.Linear(3 * n_vertices, _HIDDEN, bias=False), nn.ReLU()]
            width = _HIDDEN
        layers += [nn.Linear(width, _HIDDEN, bias=False), nn.ReLU()]
        last = nn.Linear(_HIDDEN, outputs, bias=False)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Encoder(nn.Module):
    """How much of each of one domain's blendshapes is in a deformation."""

    def __init__(self, config: FusionConfig, n_vertices: int, outputs: int) -> None:
        super().__init__()
        self.network = _Network(config, n_vertices, outputs)
        self.linear = nn.Parameter(torch.zeros(outputs, config.linear_path))

    def forward(self, seen: EncoderInput) -> Float[Tensor, "b k"]:
        """Weights, each about 1 in its own domain."""
        return self.network(seen.picture) + seen.principal @ self.linear.T


class FusionModel(nn.Module):
    """Encoders and blendshapes for the face region of one topology.

    Deformations go in and come out in metres, over the face's vertices, (*batch, n, 3).
    """

    scale: Tensor
    principal_axes: Tensor

    def __init__(self, config: FusionConfig, image: GeometryImage) -> None:
        super().__init__()
        if image.size != config.image_size:
            raise ValueError(f"FusionModel: the configuration asks for {config.image_size} pixels, got {image.size}")
        self.config = config
        self.image = image
        n = 3 * image.n_vertices
        self.speech_encoder = Encoder(config, image.n_vertices, config.speech_blendshapes)
        self.expression_encoder = Encoder(config, image.n_vertices, config.expression_blendshapes)
        # The decoder: a linear layer without bias. Columns are blendshapes in millimetres.
        self.speech_decoder = nn.Linear(config.speech_blendshapes, n, bias=False)
        self.expression_decoder = nn.Linear(config.expression_blendshapes, n, bias=False)
        self.register_buffer("scale", torch.ones(image.n_vertices))
        """Typical movement of each vertex in millimetres: what the network sees is divided by it."""
        self.register_buffer("principal_axes", torch.zeros(config.linear_path, n))
        """Rows that give the principal coordinates of flat millimetres."""

    @property
    def speech_blendshapes(self) -> Float[Tensor, "ka n 3"]:
        """B_A in metres per unit of weight."""
        return self.speech_decoder.weight.detach().T.unflatten(-1, (-1, 3)) / _MM

    @property
    def expression_blendshapes(self) -> Float[Tensor, "ke n 3"]:
        """B_E in metres per unit of weight."""
        return self.expression_decoder.weight.detach().T.unflatten(-1, (-1, 3)) / _MM

    def encode(self, deformation: Float[Tensor, "b n 3"]) -> Separation:
        """Both encoders' weights of a deformation of either domain."""
        seen = self.look(deformation.flatten(1) * _MM)
        return Separation(self.speech_encoder(seen), self.expression_encoder(seen))

    def look(self, flat: Float[Tensor, "b n3"]) -> EncoderInput:
        """Prepare flat millimetres for the encoders."""
        scaled = flat.unflatten(-1, (-1, 3)) / self.scale[:, None]
        picture = self.image.to_image(scaled) if self.config.geometric_mapping else scaled
        return EncoderInput(flat, picture, flat @ self.principal_axes.T)

    def keep_speech(self, deformation: Float[Tensor, "b n 3"]) -> Separation:
        """A deformation that speech caused: its speech, refitted, and the expression that hid in it."""
        seen = self.look(deformation.flatten(1) * _MM)
        hidden = self.expression_encoder(seen)
        hidden = hidden * self._gate(self.expression_decoder(hidden), self.config.threshold_mm[0])
        return Separation(refit(self.speech_decoder.weight, seen.flat - self.expression_decoder(hidden)), hidden)

    def keep_expression(self, deformation: Float[Tensor, "b n 3"]) -> Separation:
        """A deformation that an expression caused: its expression, refitted, and the articulation that hid in it."""
        seen = self.look(deformation.flatten(1) * _MM)
        hidden = self.speech_encoder(seen)
        hidden = hidden * self._gate(self.speech_decoder(hidden), self.config.threshold_mm[1])
        return Separation(hidden, refit(self.expression_decoder.weight, seen.flat - self.speech_decoder(hidden)))

    def _gate(self, flat: Float[Tensor, "b n3"], threshold_mm: float) -> Float[Tensor, "b 1"]:
        """0 for an estimate below the threshold, 1 from twice the threshold on, smooth between."""
        size = (flat.square().sum(-1, keepdim=True) / self.image.n_vertices).sqrt()
        t = (size / max(threshold_mm, 1e-9) - 1).clamp(0, 1)
        return t * t * (3 - 2 * t)

    def decode(
        self, speech: Float[Tensor, "*b ka"] | None, expression: Float[Tensor, "*b ke"] | None
    ) -> Float[Tensor, "*b n 3"]:
        """dV = B_A w_A + B_E w_E in metres; None leaves a part out."""
        parts = []
        if speech is not None:
            parts.append(self.speech_decoder(speech))
        if expression is not None:
            parts.append(self.expression_decoder(expression))
        if not parts:
            raise ValueError("FusionModel.decode: expected the weights of at least one domain")
        return sum(parts[1:], parts[0]).unflatten(-1, (-1, 3)) / _MM

    def forward(self, speech: Float[Tensor, "b n 3"], expression: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n 3"]:
        """The fused deformation of a deformation by speech and one by an expression: residuals dropped, kept parts
        added."""
        return self.decode(self.keep_speech(speech).speech, self.keep_expression(expression).expression)


def refit(blendshapes: Float[Tensor, "n3 k"], flat: Float[Tensor, "b n3"]) -> Float[Tensor, "b k"]:
    """Least-squares weights of flat millimetres: used on what is left once the secondary part has been taken away."""
    gram = blendshapes.T @ blendshapes
    ridge = 1e-7 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram + ridge, (flat @ blendshapes).T).T


def save_fusion(model: FusionModel, path: Path | str, metadata: dict[str, Any] | None = None) -> None:
    """Write the weights as float16 safetensors with the configuration, and beside them the same as JSON."""
    path = Path(path)
    tensors = {}
    for name, value in model.state_dict().items():
        tensors[name] = (value.half() if value.is_floating_point() else value).detach().cpu().numpy()
    tensors["vertices"] = model.image.vertices.astype(np.int32)
    info = {"config": asdict(model.config), "metadata": metadata or {}}
    write_tensors(path, tensors, info, _FORMAT)
    write_bytes(path.with_suffix(".json"), (json.dumps(info, indent=2) + "\n").encode())


def load_fusion(path: Path | str, head: HeadModel) -> tuple[FusionModel, dict[str, Any]]:
    """Read what `save_fusion` wrote, for a head of the topology that it was trained on.

    Returns:
        The model, ready for inference, and the metadata.

    Raises:
        UserError: if the file is missing, damaged, something else, or made for another topology.
    """
    tensors, info = read_tensors(path, _FORMAT, "the weights of a fusion module")
    try:
        config = FusionConfig.from_dict(info["config"])
        vertices = tensors.pop("vertices")
        image = geometry_image(head, config.image_size)
        if not np.array_equal(vertices, image.vertices):
            raise UserError(f"{path}: was trained on another topology than this head's; train it for this head")
        model = FusionModel(config, image)
        state = {name: torch.from_numpy(values) for name, values in tensors.items()}
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: not usable as a fusion module ({error})") from error
    if not all(torch.isfinite(p).all() for p in model.parameters()):
        raise UserError(f"{path}: holds numbers that are not finite; train it again")
    return model.eval(), dict(info.get("metadata", {}))
