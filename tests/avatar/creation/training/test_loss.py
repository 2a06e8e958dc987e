"""The fast loss against its twin in float64, whatever the window, the threads and the emphasis."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avatar.creation.training.cpu.loss import CpuLoss
from avatar.creation.training.loss import LossConfig, Target, TorchLoss

CONFIGS = {
    "L1": LossConfig(1.0, 0.0, 0.0),
    "L2": LossConfig(0.0, 1.0, 0.0),
    "SSIM": LossConfig(0.0, 0.0, 1.0),
    "all": LossConfig(0.8, 2.0, 0.2),
}


def _pictures(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    r = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = ((y - height / 2) / (0.3 * height)) ** 2 + ((x - 0.4 * width) / (0.25 * width)) ** 2 < 1
    target = r.integers(0, 256, (height, width, 4)) * inside[..., None]
    image = target / 255 * 0.7 + 0.2 * r.random((height, width, 4)) * (r.random((height, width, 1)) < 0.8)
    return torch.from_numpy(image.astype(np.float32)), target.astype(np.uint8)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("height", "width", "threads"), [(64, 64, 2), (37, 51, 1), (29, 90, 2), (9, 7, 2)])
@pytest.mark.parametrize("emphasised", [False, True])
def test_the_fast_loss_is_its_twin(name: str, height: int, width: int, threads: int, emphasised: bool) -> None:
    image, picture = _pictures(height, width)
    emphasis = torch.from_numpy(np.random.default_rng(1).uniform(0.5, 4, (height, width)).astype(np.float32))
    target = Target.of(picture, emphasis if emphasised else None)
    fast, twin = CpuLoss(CONFIGS[name], threads), TorchLoss(CONFIGS[name])
    for _ in range(2):  # nothing is left over from the first time
        value, gradient = fast.value_and_gradient(image, target)
    exact, exact_gradient = twin.value_and_gradient(image.double(), target)
    for part in ("total", "l1", "l2"):
        assert getattr(value, part) == pytest.approx(getattr(exact, part), rel=1e-5, abs=1e-7)
    assert value.ssim == pytest.approx(exact.ssim, rel=1e-5, nan_ok=True)
    assert (gradient - exact_gradient).abs().max() < 2e-5 * exact_gradient.abs().max()


def test_equal_pictures_have_no_loss_and_no_gradient() -> None:
    _, picture = _pictures(40, 40)
    target = Target.of(picture)
    equal = torch.from_numpy(picture.astype(np.float32) * np.float32(1 / 255))
    value, gradient = CpuLoss(LossConfig(0.0, 1.0, 0.2)).value_and_gradient(equal, target)
    assert value.total == pytest.approx(0, abs=1e-6)
    assert gradient.abs().max() < 1e-8


def test_what_lies_outside_of_the_window_counts() -> None:
    """Gaussians that stray out of the head's surroundings are still pulled at."""
    image, picture = _pictures(96, 96)
    target = Target.of(picture)
    y0, _, _, x1 = target.window
    assert (y0, x1) != (0, 96)
    image[0, 95] = 0.5
    _, gradient = CpuLoss(LossConfig()).value_and_gradient(image, target)
    assert bool((gradient[0, 95] > 0).all())


def test_the_loss_repeats_bit_by_bit() -> None:
    image, picture = _pictures(64, 80)
    loss, target = CpuLoss(LossConfig(0.8, 1.0, 0.2), 2), Target.of(picture)
    first = loss.value_and_gradient(image, target)[1].clone()
    assert torch.equal(loss.value_and_gradient(image, target)[1], first)
    assert torch.equal(CpuLoss(loss.config, 2).value_and_gradient(image, target)[1], first)
