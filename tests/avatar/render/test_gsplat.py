"""The gsplat backend without a GPU: what it says, how it poses, and its pipeline on gsplat's own torch functions."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avatar.camera import Camera
from avatar.errors import UserError
from avatar.render import RendererUnavailableError, open_renderer
from avatar.render.conformance import SCENES, THRESHOLD_DB, conformance_db, psnr_db
from avatar.render.gsplat import GsplatRenderer, availability, unavailable_reason
from avatar.render.gsplat.inputs import PictureInputs
from avatar.render.gsplat.posing import DeviceAvatar
from avatar.render.posing import FastHead
from avatar.render.probe import probe_avatar
from avatar.render.protocol import to_bgra
from avatar.render.reference import ReferenceRenderer

CPU = torch.device("cpu")
AVATAR = probe_avatar(800, 2)
PARAMS = AVATAR.head.neutral().replace(
    shape=[0.5, -0.5],
    expression=np.linspace(-1, 1, 8),
    jaw_pose=[0.3, 0.1, 0.0],
    neck_pose=[0, 0.3, 0],
    transl=[0.01, 0, 0],
)
CAMERA = Camera.orbit(90, 70, 25)

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where CUDA is missing")


@without_cuda
def test_without_cuda_it_says_so_in_one_line() -> None:
    reason = unavailable_reason()
    assert reason and "\n" not in reason and "CUDA" in reason
    with pytest.raises(RendererUnavailableError, match="CUDA"):
        GsplatRenderer()
    with pytest.raises(UserError, match="gsplat renderer cannot be used here"):
        open_renderer("gsplat")


@without_cuda
def test_a_gpu_that_torch_sees_but_gsplat_cannot_use_fails_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", types.SimpleNamespace())
    with pytest.raises(RendererUnavailableError, match="gsplat cannot draw on cpu"):
        GsplatRenderer(device="cpu")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"_nvcc": None}, "nvcc of CUDA 12 not found"),
        ({"_nvcc_version": "13.0"}, "is of CUDA 13.0, but torch was built with CUDA 12.8"),
        ({"compiler": None}, "no C++ compiler"),
        ({"_has_ninja": False}, "ninja not found"),
        ({}, None),
    ],
)
def test_what_is_missing_for_the_compilation_is_named(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], expected: str | None
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(availability, "_is_compiled", lambda: False)
    monkeypatch.setattr(availability, "_nvcc", lambda: changes.get("_nvcc", Path("/usr/local/cuda/bin/nvcc")))
    monkeypatch.setattr(availability, "_nvcc_version", lambda nvcc: changes.get("_nvcc_version", "12.4"))
    monkeypatch.setattr(availability, "_has_ninja", lambda: changes.get("_has_ninja", True))
    monkeypatch.setattr(availability.shutil, "which", lambda *a, **k: changes.get("compiler", "/usr/bin/c++"))
    reason = unavailable_reason()
    assert (reason is None) if expected is None else expected in str(reason)


def test_a_missing_compiler_stops_before_the_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "unavailable_reason", lambda: "nvcc not found")
    notices: list[str] = []
    with pytest.raises(RendererUnavailableError, match="nvcc not found"):
        availability.load_extension(notices.append)
    assert notices == []


def test_posing_for_the_device_is_posing() -> None:
    inputs = PictureInputs(AVATAR.head, CPU)
    inputs.load(PARAMS, CAMERA, None)
    on_device = DeviceAvatar(AVATAR, CPU)
    for count in (len(on_device), 100):
        means, quats, scales = on_device.pose(inputs.views, count)
        cloud = AVATAR.pose(PARAMS, count)
        np.testing.assert_allclose(means, cloud.means, atol=1e-6)
        np.testing.assert_allclose(scales, cloud.scales, rtol=1e-5)
        aligned = torch.sign((quats * cloud.quats).sum(-1, keepdim=True)) * quats
        np.testing.assert_allclose(aligned, cloud.quats, atol=1e-5)


def test_posing_for_the_device_agrees_with_the_cpus() -> None:
    inputs = PictureInputs(AVATAR.head, CPU)
    inputs.load(PARAMS, CAMERA, None)
    frames = FastHead(AVATAR.head).frames(PARAMS).reshape(-1, 3, 4)[AVATAR.gaussians.triangles.numpy()]
    expected = np.einsum("nij,nj->ni", frames[:, :, :3], AVATAR.gaussians.means.numpy()) + frames[:, :, 3]
    means, _, _ = DeviceAvatar(AVATAR, CPU).pose(inputs.views, len(AVATAR.gaussians))
    np.testing.assert_allclose(means, expected, atol=3e-6)


def test_inputs_are_checked() -> None:
    inputs = PictureInputs(AVATAR.head, CPU)
    with pytest.raises(ValueError, match="values of expression"):
        inputs.load(PARAMS.replace(expression=np.zeros(3)), CAMERA, None)


def _rasterize_to_pixels(
    means2d: torch.Tensor, conics: torch.Tensor, colors: torch.Tensor, opacities: torch.Tensor,
    width: int, height: int, tile_size: int, offsets: torch.Tensor, ids: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """gsplat's rasterization kernel, pixel by pixel over the tiles' lists, in float32."""
    out, alphas = torch.zeros(1, height, width, 3), torch.zeros(1, height, width, 1)
    starts = [*offsets.flatten().tolist(), len(ids)]
    columns = offsets.shape[-1]
    for tile in range(offsets.numel()):
        y0, x0 = tile // columns * tile_size, tile % columns * tile_size
        y, x = torch.meshgrid(
            torch.arange(y0, min(y0 + tile_size, height)) + 0.5, torch.arange(x0, min(x0 + tile_size, width)) + 0.5,
            indexing="ij",
        )  # fmt: skip
        t, done, color = torch.ones_like(x), torch.zeros_like(x, dtype=torch.bool), torch.zeros(*x.shape, 3)
        for g in ids[starts[tile] : starts[tile + 1]].tolist():
            dx, dy = means2d[0, g, 0] - x, means2d[0, g, 1] - y
            a, b, c = conics[0, g]
            sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
            alpha = (opacities[0, g] * torch.exp(-sigma)).clamp_max(0.999)
            drawn = (sigma >= 0) & (alpha >= 1 / 255) & ~done
            done |= drawn & (t * (1 - alpha) <= 1e-4)
            weight = torch.where(drawn & ~done, alpha * t, 0.0)
            color += weight[..., None] * colors[0, g]
            t = t - weight
        box = np.s_[0, y0 : y0 + x.shape[0], x0 : x0 + x.shape[1]]
        out[box], alphas[box] = color, 1 - t[..., None]
    return out, alphas


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> GsplatRenderer:
    """The backend on the CPU: gsplat's torch twins of its kernels in place of the kernels."""
    twins = pytest.importorskip("gsplat.cuda._torch_impl")

    def projection(
        means: Any, covars: Any, quats: Any, scales: Any, viewmats: Any, Ks: Any, width: int, height: int,
        packed: bool, opacities: Any,
    ) -> Any:  # fmt: skip
        covars, _ = twins._quat_scale_to_covar_preci(quats, scales)
        radii, *rest = twins._fully_fused_projection(means, covars, viewmats, Ks, width, height)
        radii = torch.where((opacities >= 1 / 255)[None, :, None], radii, 0)
        return radii.to(torch.int32), *rest

    def harmonics(degree: int, dirs: Any, coeffs: Any, masks: Any) -> Any:
        return twins._spherical_harmonics(degree, torch.nn.functional.normalize(dirs, dim=-1), coeffs)

    fake = types.SimpleNamespace(
        fully_fused_projection=projection,
        spherical_harmonics=harmonics,
        isect_tiles=twins._isect_tiles,
        isect_offset_encode=twins._isect_offset_encode,
        rasterize_to_pixels=_rasterize_to_pixels,
    )
    monkeypatch.setitem(sys.modules, "gsplat", fake)
    return GsplatRenderer(device="cpu")


def test_calls_fit_gsplats_signatures() -> None:
    import inspect

    import gsplat

    bind = {name: inspect.signature(getattr(gsplat, name)).bind for name in (
        "fully_fused_projection", "spherical_harmonics", "isect_tiles", "isect_offset_encode", "rasterize_to_pixels"
    )}  # fmt: skip
    bind["fully_fused_projection"](*"mcqsvk", 64, 64, packed=False, opacities="o")
    bind["spherical_harmonics"](0, "d", "c", masks="m")
    bind["isect_tiles"]("m", "r", "d", 16, 4, 4)
    bind["isect_offset_encode"]("p", 1, 4, 4)
    bind["rasterize_to_pixels"]("m", "c", "k", "o", 64, 64, 16, "i", "f")


@pytest.mark.parametrize("name", ["SH degree 0", "narrower than a tile", "one pixel", "needles", "empty"])
def test_conformance_of_the_pipeline(emulated: GsplatRenderer, name: str) -> None:
    assert conformance_db(emulated, SCENES[name]()) >= THRESHOLD_DB["gsplat"]


@pytest.mark.parametrize("background", [None, (0.2, 0.7, 0.4)])
def test_drawing_is_posing_and_rendering(emulated: GsplatRenderer, background: tuple | None) -> None:
    drawn = emulated.draw(AVATAR, PARAMS, CAMERA, background, 600)
    exact = to_bgra(ReferenceRenderer().render_exact(AVATAR.pose(PARAMS, 600), CAMERA, background))
    assert psnr_db(drawn / 255, exact / 255) > 50
    assert (drawn[..., :3] <= drawn[..., 3:]).all()
    on_device = emulated.draw_on_device(AVATAR, PARAMS, CAMERA, background, 600)
    np.testing.assert_array_equal(on_device.numpy(), drawn)
    nothing = emulated.draw(AVATAR, PARAMS, CAMERA, background, 0)
    assert np.unique(nothing.reshape(-1, 4), axis=0).shape == (1, 4)
    emulated.close()
