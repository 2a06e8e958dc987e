"""How fast Gaussians learn on this machine, and how fast they would with torch's autograd alone."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import torch

from app.benchmarks.machine import describe_machine
from avatar import Avatar, UserError, open_avatar
from avatar.creation.training.config import TrainingConfig
from avatar.creation.training.cpu.loss import CpuLoss
from avatar.creation.training.emphasis import face_emphasis
from avatar.creation.training.loss import Loss, TorchLoss
from avatar.creation.training.make import best_device
from avatar.creation.training.parameters import RAW
from avatar.creation.training.portraits import draw_portraits, plan_portraits
from avatar.creation.training.reference import TorchSplatter
from avatar.creation.training.splatting import Splatter
from avatar.creation.training.trainer import Trainer
from avatar.creation.training.view import View
from avatar.library import default_name
from avatar.render import open_renderer

__all__ = ["bench_train"]

_COUNTS = (15_000, 30_000, 60_000)
_PEER = 30_000
_PICTURES = 10
_WARM_UP = 8

Tell = Callable[[str, float], None]


def bench_train(
    *,
    steps: int = 60,
    size: int = 512,
    device: str = "auto",
    avatar: Avatar | None = None,
    counts: Sequence[int] = _COUNTS,
    peer: int = _PEER,
    tell: Tell = lambda message, share: None,
) -> dict[str, Any]:
    """Train on an avatar's own pictures and time the parts of a step.

    Args:
        steps: that are timed for each number of Gaussians.
        size: width and height of the pictures, pixels.
        avatar: whose pictures; the first that ships by default.
        counts: numbers of Gaussians; an avatar of fewer is repeated.
        peer: Gaussians that torch's autograd draws, for comparison; 0 leaves it out.

    Returns:
        `machine`, `device`, `size`; `results`, for each number of `gaussians`: medians of `forward_ms`, `loss_ms`,
        `backward_ms` and of a whole `step_ms` with everything around them, `iterations_per_s` by the latter;
        `peers`, the same parts for splatting in plain torch, `times_slower` by their sum.

    Raises:
        UserError: if that device cannot be used, or a number makes no sense.
    """
    if steps < 1 or size < 64:
        raise UserError(f"{steps} steps at {size} pixels: expected 1 step or more, at 64 pixels or more")
    avatar = avatar or open_avatar(default_name())
    machine = describe_machine()
    tell("drawing pictures", 0.0)
    with closing(open_renderer("auto")) as renderer:
        portraits = plan_portraits(avatar, _PICTURES, size, held_out_every=0)
        views = draw_portraits(avatar, portraits, renderer)
    config = TrainingConfig(whole_share=1.0, relocate_from=10**9)
    results = []
    for i, count in enumerate(counts):
        tell(f"{count:,} Gaussians", (i + 1) / (len(counts) + 2))
        start = _with(avatar, count)
        trainer = Trainer(start, views, config, device=best_device(device), emphasis=face_emphasis(avatar.head))
        results.append({"gaussians": count, "size": size, **_timed(trainer, steps)})
    peers = []
    if peer:
        tell("torch's autograd", 1 - 1 / (len(counts) + 2))
        mine = next((r for r in results if r["gaussians"] == peer), None)
        peers.append(_torch_alone(_with(avatar, peer), views[0], config, mine))
    return {"machine": machine, "device": best_device(device), "size": size, "results": results, "peers": peers}


def _with(avatar: Avatar, count: int) -> Avatar:
    """The first `count` Gaussians, over and over if there are not so many."""
    return avatar.reordered(torch.arange(count) % len(avatar.gaussians))


def _timed(trainer: Trainer, steps: int) -> dict[str, float]:
    """Medians over `steps`; parts now and then in between."""
    loss = CpuLoss() if trainer.splatter.device.type == "cpu" else TorchLoss()
    for _ in range(_WARM_UP):
        trainer.step()
    whole, parts = [], []
    for k in range(steps):
        begun = _now(trainer.splatter)
        trainer.step()
        whole.append(1000 * (_now(trainer.splatter) - begun))
        if k % 3 == 0:
            parts.append(_parts(trainer, trainer.splatter, loss, k % len(trainer.views)))
    forward, judged, backward = (statistics.median(p[i] for p in parts) for i in range(3))
    step = statistics.median(whole)
    return {
        "forward_ms": round(forward, 2),
        "loss_ms": round(judged, 2),
        "backward_ms": round(backward, 2),
        "step_ms": round(step, 2),
        "iterations_per_s": round(1000 / step, 1),
    }


def _parts(trainer: Trainer, splatter: Splatter, loss: Loss, number: int) -> tuple[float, float, float]:
    """Milliseconds of drawing, of the loss with its gradient, and of the way back."""
    view, target = trainer.views[number], trainer.targets[number]
    frames, camera = trainer.poser.frames(view), trainer.poser.camera(view)
    times = [_now(splatter)]
    image = splatter.render(trainer.parameters.bound, frames, camera)
    times.append(_now(splatter))
    _, gradient = loss.value_and_gradient(image, target)
    times.append(_now(splatter))
    image.backward(gradient)
    times.append(_now(splatter))
    for name in RAW:
        trainer.parameters.tensors[name].grad = None
    drawn, judged, back = (1000 * (b - a) for a, b in itertools.pairwise(times))
    return drawn, judged, back


def _torch_alone(avatar: Avatar, view: View, config: TrainingConfig, mine: dict[str, Any] | None) -> dict[str, Any]:
    """One picture there and back; what is compiled, cached or warmed up makes no difference to torch."""
    trainer = Trainer(avatar, [view], config, splatter=TorchSplatter())
    forward, judged, backward = _parts(trainer, trainer.splatter, TorchLoss(), 0)
    total = forward + judged + backward
    found: dict[str, Any] = {
        "name": "torch's autograd",
        "gaussians": len(avatar.gaussians),
        "forward_ms": round(forward, 1),
        "loss_ms": round(judged, 1),
        "backward_ms": round(backward, 1),
        "iterations_per_s": round(1000 / total, 3),
    }
    if mine is not None:
        found["times_slower"] = round(total / (mine["forward_ms"] + mine["loss_ms"] + mine["backward_ms"]), 1)
    return found


def _now(splatter: Splatter) -> float:
    if splatter.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
