"""Training an avatar's Gaussians on pictures.

    dataset = Dataset.open(folder)
    avatar = Avatar("her", dataset.head, disks_on_mesh(dataset.head, 40_000), dataset.arkit)
    trainer = Trainer(avatar, dataset.train, TrainingConfig(steps=6000))
    trainer.run()
    save_avatar(trainer.avatar(), path)

Each step draws one picture with some first k of the Gaussians and takes the loss's gradient back to them. Because k
varies, the first k are a picture of their own for any k from `least` up: this is the level of detail.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar.appearance import Appearance
from avatar.binding import triangle_frames
from avatar.creation.lids import BLINKS, SHUT, with_closing_lids
from avatar.creation.training.adam import open_adam
from avatar.creation.training.config import TrainingConfig
from avatar.creation.training.corrections import PoseCorrections
from avatar.creation.training.cpu.loss import CpuLoss
from avatar.creation.training.deformation import Offsets
from avatar.creation.training.emphasis import EmphasisMap, expressive_triangles, eye_triangles
from avatar.creation.training.exposure import Exposures
from avatar.creation.training.learning import Bounds, learn, learn_at_once
from avatar.creation.training.loss import Loss, LossValue, TorchLoss
from avatar.creation.training.parameters import Parameters
from avatar.creation.training.poser import Poser
from avatar.creation.training.relocation import Usefulness, relocate
from avatar.creation.training.splatting import Splatter, open_splatter
from avatar.creation.training.targets import Targets
from avatar.creation.training.view import View
from avatar.flame.arkit import indices
from avatar.rig import Avatar
from avatar.tongue_coat import without_coat_mark

__all__ = ["StepReport", "Trainer", "TrainingState"]


_MANY_VIEWS = 300
"""After so many pictures what they say of a Gaussian is known well enough, however many there are."""
_WITHOUT_EYES = 0.5
"""Of the steps on pictures with closed lids, those that have no eyeballs behind them."""
_GONE = -20.0
"""A logit opacity that is none."""


@dataclass(frozen=True, eq=False)
class TrainingState:
    """What a training consists of at one moment: tensors that are not copies, and JSON."""

    tensors: dict[str, Tensor]
    counters: dict[str, Any]


@dataclass(frozen=True)
class StepReport:
    """What a step did."""

    step: int
    view: int
    gaussians: int
    loss: LossValue
    moved: int = 0
    """Gaussians that were relocated."""


class Trainer:
    """Changes the Gaussians of an avatar until its pictures are those of the views. One thread at a time."""

    def __init__(
        self,
        avatar: Avatar,
        views: Sequence[View],
        config: TrainingConfig | None = None,
        *,
        device: str = "cpu",
        emphasis: Float[Tensor, " f"] | None = None,
        splatter: Splatter | None = None,
        fixed: Bool[Tensor, " n"] | None = None,
        teaching_fixed: Callable[[View], bool] = lambda view: False,
    ) -> None:
        """
        Args:
            avatar: where to begin: its head, its Gaussians in order of importance.
            views: the pictures to learn from, whose poses fit the head.
            emphasis: what each triangle counts, 1 for those without emphasis: eyes and lips are small.
            splatter: what to draw with, instead of the device's.
            fixed: Gaussians that are drawn and learn nothing.
            teaching_fixed: views from which they learn all the same, though they are not relocated.
        """
        if not views:
            raise ValueError("Trainer: expected at least one view, got none")
        self.config = config = config or TrainingConfig()
        self._start, self.views = avatar, tuple(views)
        self.splatter = splatter or open_splatter(device)
        self._device = self.splatter.device
        self._fixed = torch.zeros(len(avatar.gaussians), dtype=torch.bool) if fixed is None else fixed
        self._fixed = self._fixed.to(self._device)
        self._held = [fixed is not None and not teaching_fixed(view) for view in views]
        cpu = self._device.type == "cpu"
        self._threads = CpuLoss().threads if cpu else 1
        self._loss: Loss = CpuLoss(config.loss) if cpu else TorchLoss(config.loss)
        self.parameters = Parameters(
            avatar.gaussians, avatar.appearance, config.channels, self._device, config.sh_count
        )
        self.offsets: Offsets | None = None
        if config.learn_offsets:
            self.offsets = Offsets(avatar.head, avatar.static_offset, config.smoothness, self._device)
        self.corrections: PoseCorrections | None = None
        if config.learn_poses:
            self.corrections = PoseCorrections(
                len(views), avatar.head.n_expression, config.correction_rates, self._device
            )
        learned = config.learn_poses if self.offsets is None else self.offsets.values
        self.poser = Poser(avatar.head, avatar.static_offset, self._device, learned)
        self._numbers = {id(view): number for number, view in enumerate(self.views)}
        marked = None if emphasis is None else EmphasisMap(avatar.head, avatar.static_offset, emphasis, self.splatter)
        self.targets = Targets(views, marked, self._device)
        self._adams = {name: open_adam(t.data, self._threads) for name, t in self.parameters.tensors.items()}
        self._rates = self._columns()
        with torch.no_grad():
            sizes = triangle_frames(
                avatar.head.vertices(avatar.head.neutral(), avatar.static_offset), avatar.head.faces
            )
            self._units_m = sizes.scales.clamp_min(1e-5).to(self._device)
            self._pace = 1 / self._units_m[self.parameters.triangles]
            self._on_eyes = eye_triangles(avatar.head).to(self._device)
            self._home = self.parameters.tensors["means"].detach().norm(dim=1)
        self._limit()
        self.exposures = Exposures(len(views), self._device) if config.learn_exposure else None
        arkit = [self._arkit_of(view) for view in views]
        self._weights = [weights[indices(*self.parameters.channels)] for weights in arkit]
        self._shut = [bool((weights[BLINKS] > SHUT).all()) for weights in arkit]
        self._rng = np.random.default_rng(config.seed)
        self._order: list[int] = []
        self._useful = Usefulness(len(self.parameters), self._device)
        self.step_count = 0

    def step(self) -> StepReport:
        """Learn from one picture."""
        number = self._next_view()
        view, count = self.views[number], self._draw_count()
        target = self.targets[number]
        tint, fade = self.parameters.changes(self._weights[number])
        if self._shut[number] and self._rng.random() < _WITHOUT_EYES:
            fade = self._without_eyes(fade)
        correction = None if self.corrections is None else self.corrections.of(number)
        image = self.splatter.render(
            self.parameters.bound, self.poser.frames(view, correction), self.poser.camera(view), count, tint, fade
        )
        shown = image if self.exposures is None else self.exposures.applied(image, number)
        value, gradient = self._loss.value_and_gradient(shown, target)
        shown.backward(gradient)
        self._learn(number)
        self._useful.add(self.splatter.peaks, self.splatter.pulls)
        self.step_count += 1
        return StepReport(self.step_count, number, count, value, self._maybe_relocate())

    def run(self, steps: int | None = None, tell: Callable[[StepReport], None] = lambda report: None) -> None:
        """Take steps until so many are done in all (the configuration's own number if None)."""
        until = self.config.steps if steps is None else steps
        while self.step_count < until:
            tell(self.step())

    def _next_view(self) -> int:
        if not self._order:
            self._order = self._rng.permutation(len(self.views)).tolist()
        return self._order.pop()

    def _draw_count(self) -> int:
        """All Gaussians, the least, or a random number: small ones as often as large ones, by their logarithm."""
        n, least, chance = len(self.parameters), self.config.least, self._rng.random()
        if chance < self.config.whole_share or n <= least:
            return n
        if chance > 1 - self.config.least_share:
            return least
        return int(math.exp(self._rng.uniform(math.log(least), math.log(n))))

    def _without_eyes(self, fade: Float[Tensor, " n"] | None) -> Float[Tensor, " n"]:
        """What is added to the logit opacities when the eyeballs are not there: closed lids must do alone.

        Pictures do not ask it of them, since what shines through from behind may have their color.
        """
        fade = torch.zeros(len(self.parameters), device=self._device) if fade is None else fade
        return torch.where(self._on_eyes[self.parameters.triangles], _GONE, fade)

    def _learn(self, number: int) -> None:
        pace = self.config.rates.last ** min(self.step_count / max(self.config.steps, 1), 1.0)
        active = self.parameters.active(self._weights[number])
        rates = {name: rate * pace for name, rate in self._rates.items()}
        bounds = Bounds(self._pace, self._home, self._largest)
        weights = self.splatter.weights
        if self._held[number]:
            weights = weights.masked_fill(self._fixed, 0.0)
        what = self.parameters, self._adams, rates, self.config.penalties, bounds, weights, active
        if self._device.type == "cpu":
            learn_at_once(*what, self._threads)
        else:
            learn(*what)
        if self.offsets is not None and self.offsets.step(self.config.rates.offsets_m * pace):
            self.poser.close_lids()
        if self.corrections is not None:
            self.corrections.step(pace)
        if self.exposures is not None:
            self.exposures.step(pace)

    def _limit(self) -> None:
        """Find the widest that each Gaussian may be where it hangs now: its logarithm, in units of its triangle."""
        on_eyes = self._on_eyes[self.parameters.triangles]
        largest_m = torch.where(on_eyes, self.config.largest_on_eyes_m, self.config.largest_m)
        self._largest = (largest_m * self._pace).log()

    def _columns(self) -> dict[str, Tensor]:
        """Learning rates by parameter, one for each column of its rows."""
        rates, device = self.config.rates, self._device
        harmonics = torch.full((self.config.sh_count, 3), rates.harmonics)
        harmonics[0] = rates.color

        def full(value: float, width: int) -> Tensor:
            return torch.full((width,), value, device=device)

        return {
            "means": full(rates.means_m, 3),
            "quats": full(rates.quats, 4),
            "log_scales": full(rates.log_scales, 3),
            "logit_opacities": full(rates.logit_opacities, 1),
            "sh": harmonics.reshape(-1).to(device),
            "tint": full(rates.tints, 3),
            "fade": full(rates.fades, 1),
        }

    def _maybe_relocate(self) -> int:
        config, done = self.config, self.step_count / max(self.config.steps, 1)
        enough = max(config.relocate_every, min(len(self.views), _MANY_VIEWS))
        if self.step_count < config.relocate_from or done > config.relocate_until or self._useful.pictures < enough:
            return 0
        how = config.relocate_share, config.useless, self.levels(), self._rng, self._fixed.cpu().numpy()
        to, of = relocate(self.parameters, self._useful, *how)
        for adam in self._adams.values():
            adam.restart(to, of)
        self._home[to] = self._home[of]
        self._pace[to] = self._pace[of]
        self._limit()
        self._useful.clear()
        return len(to)

    def levels(self) -> list[int]:
        """Numbers of Gaussians between the fewest and all, in steps of a quarter."""
        n, found = len(self.parameters), [self.config.least]
        while found[-1] * 1.25 < n:
            found.append(int(found[-1] * 1.25))
        return [level for level in found if level < n]

    def render(self, view: View, count: int | None = None) -> Float[Tensor, "h w 4"]:
        """The picture of a view as it is now, premultiplied."""
        tint, fade = self.parameters.changes(self._arkit_of(view)[indices(*self.parameters.channels)])
        with torch.no_grad():
            number = self._numbers.get(id(view))
            correction = None
            if self.corrections is not None and number is not None:
                correction = self.corrections.values[number]
            frames, camera = self.poser.frames(view, correction), self.poser.camera(view)
            return self.splatter.render(self.parameters.bound, frames, camera, count, tint, fade)

    def signature(self) -> dict[str, Any]:
        """What tells trainings apart: two of the same signature take the same steps."""
        digest = hashlib.sha256()
        for part in self._start.gaussians.means, self._start.gaussians.sh, self._start.head.v_template:
            digest.update(np.ascontiguousarray(part.cpu().numpy()).tobytes())
        for view in self.views:
            digest.update(view.name.encode())
            digest.update(view.camera.viewmat.tobytes())
        return {
            **json.loads(json.dumps(asdict(self.config))),
            "Gaussians": len(self.parameters),
            "pictures": len(self.views),
            "device": self._device.type,
            "threads": self._threads,
            "beginning": digest.hexdigest()[:16],
        }

    def state(self) -> TrainingState:
        """Everything that the next step depends on."""
        tensors = dict(self.parameters.tensors) | {"triangles": self.parameters.triangles}
        for name, adam in self._adams.items():
            tensors |= {f"adam.{name}.first": adam.first, f"adam.{name}.second": adam.second}
        tensors |= {"home": self._home, "pace": self._pace, "useful.peak": self._useful.peak}
        tensors |= {"useful.pull": self._useful.pull}
        for part, names in (
            (self.offsets, ("latent", "momentum", "gradient", "scale")),
            (self.corrections, ("values", "first", "second", "counts")),
        ):
            if part is not None:
                tensors |= {f"{type(part).__name__}.{name}": getattr(part, name) for name in names}
        if self.exposures is not None:
            tensors |= {"exposures": self.exposures.values, "exposures.momentum": self.exposures.momentum}
        counters = {
            "step": self.step_count,
            "order": self._order,
            "useful": self._useful.pictures,
            "offsets": 0 if self.offsets is None else self.offsets.count,
            "adams": {name: adam.count for name, adam in self._adams.items()},
            "random": self._rng.bit_generator.state,
        }
        return TrainingState(tensors, counters)

    def restore(self, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
        """Go back, or on, to a state.

        Raises:
            ValueError: if it does not fit.
        """
        own = self.state().tensors
        if set(own) != set(tensors):
            raise ValueError(
                f"expected {', '.join(sorted(own)[:4])} and the like, got {', '.join(sorted(tensors)[:4])}"
            )
        for name, tensor in own.items():
            if tensor.shape != tensors[name].shape:
                raise ValueError(f"{name}: expected shape {tuple(tensor.shape)}, got {tuple(tensors[name].shape)}")
            tensor.data.copy_(tensors[name])
        self._limit()
        if self.offsets is not None:
            self.offsets.count = int(counters["offsets"])
            self.offsets.settle()
            self.poser.close_lids()
        self.step_count = int(counters["step"])
        self._order = [int(i) for i in counters["order"]]
        self._useful.pictures = int(counters["useful"])
        for name, adam in self._adams.items():
            adam.count = int(counters["adams"][name])
        self._rng.bit_generator.state = dict(counters["random"])

    def avatar(self) -> Avatar:
        """A copy of what has been learned so far."""
        offset = self._start.static_offset if self.offsets is None else self.offsets.values.detach().cpu().clone()
        head = self._start.head if self.offsets is None else with_closing_lids(self._start.head, offset)
        return replace(
            self._start,
            head=head,
            gaussians=self.parameters.finished(),
            appearance=self._appearance(),
            static_offset=offset,
            metadata=without_coat_mark(self._start.metadata)
            | {"least_gaussians": min(self.config.least, len(self.parameters))},
        )

    def _appearance(self) -> Appearance | None:
        """What expressions change, on the parts of the head that show them."""
        learned = self.parameters.appearance()
        if learned is None:
            return None
        shown = expressive_triangles(self._start.head)[self.parameters.triangles.cpu()]
        return Appearance.rounded(learned.channels, learned.tints * shown[:, None], learned.fades * shown)

    def _arkit_of(self, view: View) -> Float[np.ndarray, "52"]:
        known = view.params.blendshape_weights
        return np.asarray(self._start.arkit.weights(view.params) if known is None else known, np.float32)
