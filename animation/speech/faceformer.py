"""FaceFormer: from a whole utterance to the deformation of every vertex, pose by pose; for offline quality.

The authors' architecture [checked]: features of the sound, brought to the poses' rate before the audio transformer; one
transformer decoder layer (d = 64, 4 heads, 128 in its feed-forward part) that sees its own earlier output, with a
periodic positional encoding (period 30) and attention that fades by whole periods; each pose looks at its own moment of
the sound only; the speaker's style is a learned vector; the output layer starts at zero.

What differs: keys and values are kept from pose to pose, so that an utterance costs linear and not quadratic work in
the decoder, and nothing is limited to 600 poses, because masks are computed from distances and not stored. A diagonal
mask leaves each pose one value to attend to, so that the cross-attention reduces to two linear maps.

Reference: Fan et al., "FaceFormer: speech-driven 3D facial animation with transformers", CVPR 2022, sections 3.2-3.4.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from animation.speech.audio import SAMPLE_RATE, log_mel, resample
from avatar.errors import UserError
from avatar.formats.tensors import read_tensors, write_tensors

__all__ = ["FORMAT", "FaceFormer", "FaceFormerConfig", "load_faceformer", "save_faceformer"]

FORMAT = "gaussian-avatar-faceformer"
_MEL_BANDS = 40


@dataclass(frozen=True)
class FaceFormerConfig:
    """Sizes; the defaults are the authors'."""

    n_vertices: int
    subjects: tuple[str, ...]
    """Whose styles were learned, in order."""
    fps: float = 30.0
    width: int = 64
    heads: int = 4
    feed_forward: int = 128
    period: int = 30
    wav2vec2: str = ""
    """Folder of a wav2vec 2.0 model for `transformers`; empty for the small encoder of log-mel features."""
    audio_width: int = 128
    """Of the log-mel encoder."""

    def __post_init__(self) -> None:
        if self.n_vertices < 1 or not self.subjects:
            raise ValueError("FaceFormerConfig: expected at least one vertex and one subject")
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"FaceFormerConfig: width {self.width} must be even and divisible by {self.heads} heads")


class MelEncoder(nn.Module):
    """Our own audio features: log-mel, convolutions over about 0.3 s to both sides."""

    def __init__(self, width: int, fps: float) -> None:
        super().__init__()
        self.width, self._fps = width, fps
        self.layers = nn.Sequential(
            nn.Conv1d(_MEL_BANDS, width, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(width, width, 5, padding=4, dilation=2),
            nn.GELU(),
            nn.Conv1d(width, width, 5, padding=8, dilation=4),
            nn.GELU(),
        )

    def forward(self, samples: Float[Tensor, " n"], n_poses: int) -> Float[Tensor, "t c"]:
        """Features at the poses' rate."""
        mel = log_mel(samples.detach().cpu().numpy().astype(np.float32))
        x = torch.from_numpy((mel - mel.mean()) / (mel.std() + 1e-3)).to(samples)
        # Mel frame k ends at (k + 1) * 10 ms and looks back 25 ms; a pose stands for the time (k + 0.5) / fps.
        times = (torch.arange(n_poses, device=x.device) + 0.5) / self._fps
        where = (times * 100 + 0.25).clamp(0, len(x) - 1)
        features = self.layers(x.T[None])[0].T
        low = where.floor().long().clamp(max=max(len(x) - 2, 0))
        part = (where - low)[:, None]
        return features[low] * (1 - part) + features[(low + 1).clamp(max=len(x) - 1)] * part


class Wav2Vec2Encoder(nn.Module):
    """wav2vec 2.0 as the authors use it: convolutions frozen, features brought to the poses' rate before the
    transformer.

    Raises:
        UserError: if `transformers` is not installed, or the folder holds no such model.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        try:
            from transformers import Wav2Vec2Model
        except ImportError as error:
            raise UserError('wav2vec 2.0 needs transformers: pip install "gaussian-avatar[train]"') from error
        if not Path(folder).is_dir():
            raise UserError(f"{folder}: no such folder; give the folder of a wav2vec 2.0 model")
        try:
            self.model = Wav2Vec2Model.from_pretrained(folder, local_files_only=True, attn_implementation="eager")
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"{folder}: not a wav2vec 2.0 model for transformers ({error})") from error
        self.model.config.mask_time_prob = 0.0
        for parameter in self.model.feature_extractor.parameters():
            parameter.requires_grad_(False)
        self.width = int(self.model.config.hidden_size)

    def forward(self, samples: Float[Tensor, " n"], n_poses: int) -> Float[Tensor, "t c"]:
        """Features at the poses' rate."""
        x = (samples - samples.mean()) / (samples.var(unbiased=False) + 1e-7).sqrt()
        features = self.model.feature_extractor(x[None])
        features = functional.interpolate(features, size=n_poses, mode="linear", align_corners=True)
        projected, _ = self.model.feature_projection(features.transpose(1, 2))
        return self.model.encoder(projected)[0][0]


class _Memory:
    """Keys and values of the poses so far, (heads, t, width / heads) each."""

    def __init__(self) -> None:
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []


class DecoderLayer(nn.Module):
    """One transformer decoder layer for one new pose at a time."""

    def __init__(self, config: FaceFormerConfig) -> None:
        super().__init__()
        d = config.width
        self._heads, self._period = config.heads, config.period
        self.query_key_value = nn.Linear(d, 3 * d)
        self.self_out = nn.Linear(d, d)
        self.cross_value = nn.Linear(d, d)
        self.cross_out = nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, config.feed_forward), nn.Linear(config.feed_forward, d)
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(3))

    def forward(self, x: Float[Tensor, " d"], sound: Float[Tensor, " d"], memory: _Memory) -> Float[Tensor, " d"]:
        """The layer's output for the newest pose.

        Args:
            x: the pose's embedding.
            sound: the sound at its moment.
            memory: of the poses before; the new pose is added.
        """
        query, key, value = (part.unflatten(0, (self._heads, -1)) for part in self.query_key_value(x).chunk(3))
        memory.keys.append(key)
        memory.values.append(value)
        keys, values = torch.stack(memory.keys, 1), torch.stack(memory.values, 1)
        scores = (keys * query[:, None]).sum(-1) / math.sqrt(key.shape[-1]) + self.fading(len(memory.keys), x)
        attended = (scores.softmax(-1)[..., None] * values).sum(1).flatten()
        x = self.norms[0](x + self.self_out(attended))
        x = self.norms[1](x + self.cross_out(self.cross_value(sound)))
        return self.norms[2](x + self.down(functional.relu(self.up(x))))

    def fading(self, n: int, like: Tensor) -> Float[Tensor, "heads n"]:
        """What is added to the scores of the newest of `n` poses: minus the distance in whole periods, by a slope that
        halves from head to head in the manner of ALiBi."""
        periods = torch.arange(n - 1, -1, -1, device=like.device) // self._period
        slopes = 2.0 ** (-8.0 / self._heads * torch.arange(1, self._heads + 1, device=like.device))
        return -slopes[:, None] * periods


class FaceFormer(nn.Module):
    """Utterance -> vertex offsets, for speakers whose style was learned."""

    def __init__(self, config: FaceFormerConfig) -> None:
        super().__init__()
        self.config = config
        d, n = config.width, 3 * config.n_vertices
        self.audio: MelEncoder | Wav2Vec2Encoder
        self.audio = Wav2Vec2Encoder(config.wav2vec2) if config.wav2vec2 else MelEncoder(config.audio_width, config.fps)
        self.audio_map = nn.Linear(self.audio.width, d)
        self.vertex_map = nn.Linear(n, d)
        self.vertex_map_back = nn.Linear(d, n)
        self.style = nn.Linear(len(config.subjects), d, bias=False)
        self.layer = DecoderLayer(config)
        nn.init.zeros_(self.vertex_map_back.weight)
        nn.init.zeros_(self.vertex_map_back.bias)

    def position(self, pose: int, like: Tensor) -> Float[Tensor, " d"]:
        """Periodic positional encoding."""
        d = self.config.width
        rate = torch.exp(torch.arange(0, d, 2, device=like.device) * (-math.log(10000.0) / d))
        angle = (pose % self.config.period) * rate
        return torch.stack([angle.sin(), angle.cos()], 1).flatten()

    def forward(self, samples: Float[Tensor, " n"], subject: int, n_poses: int) -> Float[Tensor, "t v 3"]:
        """Autoregressive offsets from the neutral face in metres, gradients included.

        Args:
            samples: mono, 16 kHz.
            subject: index into the learned styles.
            n_poses: how many poses to give.
        """
        if not 0 <= subject < len(self.config.subjects):
            raise ValueError(f"FaceFormer: expected a subject in 0..{len(self.config.subjects) - 1}, got {subject}")
        sound = self.audio_map(self.audio(samples, n_poses))
        style = self.style.weight[:, subject]
        memory, embedding, poses = _Memory(), style, []
        for i in range(n_poses):
            hidden = self.layer(embedding + self.position(i, embedding), sound[i], memory)
            moved = self.vertex_map_back(hidden)
            poses.append(moved)
            embedding = self.vertex_map(moved) + style
        return torch.stack(poses).unflatten(-1, (-1, 3)) * 1e-3

    @torch.no_grad()
    def predict(
        self, samples: Float[np.ndarray, " n"], subject: str | int = 0, rate: int = SAMPLE_RATE
    ) -> Float[np.ndarray, "t v 3"]:
        """Offsets of an utterance of any length, metres.

        Raises:
            UserError: for a subject whose style was not learned, or an empty sound.
        """
        if isinstance(subject, str):
            if subject not in self.config.subjects:
                raise UserError(f"no style of {subject!r}: choose one of {', '.join(self.config.subjects)}")
            subject = self.config.subjects.index(subject)
        if rate != SAMPLE_RATE:
            samples = resample(np.asarray(samples, np.float32), rate)
        n_poses = round(len(samples) / SAMPLE_RATE * self.config.fps)
        if n_poses < 1:
            raise UserError("the sound is shorter than one pose")
        device = self.vertex_map.weight.device
        return self(torch.from_numpy(np.array(samples, np.float32)).to(device), subject, n_poses).cpu().numpy()


def save_faceformer(model: FaceFormer, path: Path | str, metadata: dict[str, Any] | None = None) -> None:
    """Write the weights and the configuration; wav2vec 2.0's own frozen convolutions stay in their folder."""
    kept = {k: v.detach().cpu().numpy() for k, v in model.state_dict().items() if "feature_extractor" not in k}
    write_tensors(path, kept, {"config": asdict(model.config), "metadata": metadata or {}}, FORMAT)


def load_faceformer(path: Path | str) -> tuple[FaceFormer, dict[str, Any]]:
    """Read what `save_faceformer` wrote.

    Raises:
        UserError: if the file is missing, damaged or something else.
    """
    tensors, info = read_tensors(path, FORMAT, "a FaceFormer")
    try:
        values = info["config"]
        model = FaceFormer(FaceFormerConfig(**values | {"subjects": tuple(values["subjects"])}))
        missing, unknown = model.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()}, strict=False)
        if unknown or any("feature_extractor" not in name for name in missing):
            raise ValueError(f"its tensors do not fit ({', '.join([*missing, *unknown][:3])})")
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: not usable as a FaceFormer ({error})") from error
    return model.eval(), dict(info.get("metadata", {}))
