"""How an avatar is trained."""

from __future__ import annotations

from dataclasses import dataclass, field

from avatar.appearance import CHANNELS
from avatar.creation.training.corrections import CorrectionRates
from avatar.creation.training.loss import LossConfig
from avatar.creation.training.penalties import Penalties

__all__ = ["Rates", "TrainingConfig"]


@dataclass(frozen=True)
class Rates:
    """Learning rates of Adam at the beginning; all fall to `last` of that, exponentially."""

    means_m: float = 1.2e-5
    """Metres, whatever the size of the triangle: hair lies fifty triangles off."""
    quats: float = 6e-3
    log_scales: float = 1e-2
    logit_opacities: float = 3e-2
    color: float = 6e-3
    """Of spherical harmonics of degree 0."""
    harmonics: float = 5e-4
    tints: float = 4e-3
    fades: float = 1e-2
    offsets_m: float = 1e-4
    """Of the vertex that is pulled at most."""
    last: float = 0.03


@dataclass(frozen=True)
class TrainingConfig:
    """How to train."""

    steps: int = 6000
    seed: int = 0
    loss: LossConfig = field(default_factory=LossConfig)
    rates: Rates = field(default_factory=Rates)
    sh_count: int = 9
    """Spherical harmonics of each color: 1, 4, 9 or 16."""
    least: int = 12_000
    """The smallest number of Gaussians that is to be a whole picture."""
    whole_share: float = 0.4
    """Of the steps, those that draw all Gaussians."""
    least_share: float = 0.15
    """Of the steps, those that draw the least; the others draw a random number from `least` up."""
    channels: tuple[str, ...] = CHANNELS
    """ARKit channels that may change color and opacity; none for ()."""
    learn_offsets: bool = False
    """Whether the head's vertices may move: of pictures, never of our own renders."""
    learn_poses: bool = False
    """Whether what each picture's pose is off by is learned too: of tracked pictures."""
    learn_exposure: bool = False
    """Whether each picture has brightness and color of its own: of photographs."""
    largest_m: float = 0.026
    """The widest that a Gaussian may become, metres: what few pictures see from the side grows into veils."""
    largest_on_eyes_m: float = 0.0025
    """The same on the eyeballs: wider ones shine through closed lids."""
    relocate_every: int = 120
    """Steps between two relocations, at least."""
    relocate_from: int = 200
    relocate_until: float = 0.65
    """Share of the training after which Gaussians stay."""
    relocate_share: float = 0.04
    useless: float = 0.04
    """A Gaussian that never had a greater share in a pixel may be moved."""
    penalties: Penalties = field(default_factory=Penalties)
    smoothness: float = 20.0
    """Of offsets; see `Offsets`."""
    correction_rates: CorrectionRates = field(default_factory=CorrectionRates)
