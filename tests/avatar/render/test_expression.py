"""What an expression does to opacities, against the formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from avatar.appearance import Appearance
from avatar.flame.arkit import weights_from_dict
from avatar.render.expression import ExpressedColors
from avatar.render.probe import probe_avatar

_N = 500


def _expressed(logits: torch.Tensor, weight: float) -> tuple[ExpressedColors, Appearance]:
    avatar = probe_avatar(_N)
    rng = np.random.default_rng(3)
    fades = torch.from_numpy(rng.normal(0, 2, (1, _N)).astype(np.float32))
    appearance = Appearance.rounded(("jawOpen",), torch.zeros(1, _N, 3), fades)
    gaussians = replace(avatar.gaussians, logit_opacities=logits)
    colors = ExpressedColors(replace(avatar, gaussians=gaussians, appearance=appearance))
    colors.express(avatar.arkit.params(weights_from_dict({"jawOpen": weight})), _N)
    return colors, appearance


def test_opacities_are_those_of_the_formula_from_clear_to_solid() -> None:
    logits = torch.linspace(-14, 14, _N)
    colors, appearance = _expressed(logits, 0.7)
    exact = -np.logaddexp(0, -(logits.double() + 0.7 * appearance.fades[0].double()).numpy()) / np.log(2)
    np.testing.assert_allclose(colors.log2_opacities, exact, rtol=1e-5, atol=2e-5)


def test_a_broken_opacity_stays_broken_and_harms_no_other() -> None:
    logits = torch.zeros(_N)
    logits[::7] = torch.nan
    colors, _ = _expressed(logits, 0.7)
    np.testing.assert_array_equal(np.isnan(colors.log2_opacities), torch.isnan(logits).numpy())
