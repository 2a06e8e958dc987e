"""The gsplat backend without a GPU: what it says, how it poses, and its pipeline on gsplat's own torch functions."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avatar.camera import Camera
from avatar.errors import UserError
from avatar.flame.skinning import quaternion_to_matrix
from avatar.render import RendererUnavailableError, open_renderer
from avatar.render.conformance import (
    EXPRESSION_THRESHOLD_DB,
    SCENES,
    THRESHOLD_DB,
    conformance_db,
    expression_db,
    psnr_db,
)
from avatar.render.gsplat import GsplatRenderer, availability, unavailable_reason
from avatar.render.gsplat.inputs import PictureInputs
from avatar.render.gsplat.listing import TILE, list_tiles
from avatar.render.gsplat.pictures import Pictures
from avatar.render.gsplat.posing import DeviceAvatar
from avatar.render.posing import FastHead
from avatar.render.probe import probe_avatar
from avatar.render.protocol import to_bgra
from avatar.render.reference import ReferenceRenderer
from tests.avatar.gsplat_emulation import emulate_gsplat

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
    monkeypatch.setattr(availability, "_is_compiled", lambda: True)  # the tools are needed at later starts too
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


@pytest.mark.parametrize("compiled", [False, True])
def test_every_start_compiles_for_the_same_gpu(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    """ninja compares command lines: without the list of the first start, the second would compile again."""
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "")  # so that it is put back
    monkeypatch.delenv("TORCH_CUDA_ARCH_LIST")
    monkeypatch.setenv("MAX_JOBS", "1")
    monkeypatch.setattr(availability, "unavailable_reason", lambda: None)
    monkeypatch.setattr(availability, "_is_compiled", lambda: compiled)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", types.SimpleNamespace(_C=object()))
    notices: list[str] = []
    availability.load_extension(notices.append)
    assert os.environ["TORCH_CUDA_ARCH_LIST"] == "9.0"
    assert len(notices) == (not compiled)


def _posed(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    head = FastHead(AVATAR.head)
    head.drive(PARAMS)
    inputs = PictureInputs(len(head.directions), CPU)
    inputs.load(head, CAMERA, None)
    on_device = DeviceAvatar(AVATAR, head, CPU)
    on_device.set_base(head.base)
    return on_device.pose(inputs.views["coefficients"], inputs.views["transforms"], count)


@pytest.mark.parametrize("count", [len(AVATAR.gaussians), 100])
def test_posing_for_the_device_is_posing(count: int) -> None:
    means, found = _posed(count)
    cloud = AVATAR.pose(PARAMS, count)
    np.testing.assert_allclose(means, cloud.means, atol=1e-6)
    half = quaternion_to_matrix(cloud.quats) * cloud.scales[:, None, :]
    expected = (half @ half.mT)[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(found, expected, atol=3e-5 * float(expected.max()))


def test_posing_for_the_device_agrees_with_the_cpus() -> None:
    frames = FastHead(AVATAR.head).frames(PARAMS).reshape(-1, 3, 4)[AVATAR.gaussians.triangles.numpy()]
    expected = np.einsum("nij,nj->ni", frames[:, :, :3], AVATAR.gaussians.means.numpy()) + frames[:, :, 3]
    means, _ = _posed(len(AVATAR.gaussians))
    np.testing.assert_allclose(means, expected, atol=3e-6)


def test_inputs_keep_their_addresses_and_hold_pose_and_camera() -> None:
    head = FastHead(AVATAR.head)
    inputs = PictureInputs(len(head.directions), CPU)
    before = {name: view.data_ptr() for name, view in inputs.views.items()}
    for params, background in ((AVATAR.head.neutral(), None), (PARAMS, (0.1, 0.2, 0.3))):
        head.drive(params)
        inputs.load(head, CAMERA, background)
    assert {name: view.data_ptr() for name, view in inputs.views.items()} == before
    assert all(address % 64 == before["coefficients"] % 64 for address in before.values())
    np.testing.assert_allclose(inputs.views["background"][0], [0.3, 0.2, 0.1, 1.0])
    np.testing.assert_array_equal(inputs.views["viewmat"][0], CAMERA.viewmat)
    np.testing.assert_array_equal(inputs.views["K"][0], CAMERA.K)
    np.testing.assert_array_equal(inputs.views["coefficients"], head.coefficients)


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> GsplatRenderer:
    """The backend on the CPU."""
    emulate_gsplat(monkeypatch)
    return GsplatRenderer(device="cpu")


def test_calls_fit_gsplats_signatures() -> None:
    import inspect

    import gsplat

    bind = {name: inspect.signature(getattr(gsplat, name)).bind for name in (
        "fully_fused_projection", "spherical_harmonics", "rasterize_to_pixels"
    )}  # fmt: skip
    bind["fully_fused_projection"](*"mcqsvk", 64, 64, packed=False, opacities="o")
    bind["spherical_harmonics"](0, "d", "c", masks="m")
    bind["rasterize_to_pixels"]("m", "c", "k", "o", 64, 64, 16, "i", "f", backgrounds="b")


@pytest.mark.parametrize("name", SCENES)
def test_conformance_of_the_pipeline(emulated: GsplatRenderer, name: str) -> None:
    assert conformance_db(emulated, SCENES[name]()) >= THRESHOLD_DB["gsplat"]


def test_expressions_change_colors(emulated: GsplatRenderer) -> None:
    assert expression_db(emulated) >= EXPRESSION_THRESHOLD_DB


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


def _scattered(width: int, height: int, n: int = 400) -> tuple[torch.Tensor, ...]:
    """Ellipses on and around a picture, some without any depth of their own, some not visible and not numbers."""
    generator = torch.Generator().manual_seed(width)
    means2d = torch.rand(n, 2, generator=generator) * torch.tensor([1.4 * width, 1.4 * height])
    means2d -= 0.2 * torch.tensor([width, height])
    radii = torch.randint(1, 40, (n, 2), generator=generator, dtype=torch.int32)
    depths = torch.rand(n, generator=generator).mul(50).round().div(50) + 0.1  # many ties
    on_it = (means2d + radii > 0).all(-1) & (means2d - radii < torch.tensor([width, height])).all(-1)
    visible = on_it & (torch.rand(n, generator=generator) < 0.9)
    radii[~visible] = 0
    means2d[~visible], depths[~visible] = torch.nan, torch.nan
    return means2d, radii, depths, visible


@pytest.mark.parametrize(("width", "height"), [(64, 64), (200, 75), (1, 1), (3000, 3200)])
def test_tile_lists_are_gsplats(width: int, height: int) -> None:
    twins = pytest.importorskip("gsplat.cuda._torch_impl")
    means2d, radii, depths, visible = _scattered(width, height)
    columns, rows = -(-width // TILE), -(-height // TILE)
    found = list_tiles(means2d, radii, depths, visible, columns, rows)
    clean = torch.where(visible[:, None], means2d, 0.0)[None]
    _, pairs, ids = twins._isect_tiles(
        clean, radii[None], torch.where(visible, depths, 0.0)[None], TILE, columns, rows, sort=False
    )
    pairs, order = torch.sort(pairs, stable=True)  # as the kernel's radix sort is
    ids = ids[order]
    offsets = twins._isect_offset_encode(pairs, 1, columns, rows).view(rows, columns)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_array_equal(found.offsets[:-1], offsets)
    assert int(found.total) == len(ids) == int(found.offsets[-1, 0])
    assert found.ids.dtype == found.offsets.dtype == found.total.dtype == torch.int32


def test_lists_with_room_to_spare_are_the_same() -> None:
    seen = _scattered(120, 90)
    exact, roomy = (list_tiles(*seen, 8, 6, capacity) for capacity in (None, 5000))
    assert len(roomy.ids) == 5000 and int(roomy.total) == int(exact.total) < 5000
    np.testing.assert_array_equal(roomy.offsets[:-1], exact.offsets[:-1])
    np.testing.assert_array_equal(roomy.ids[: int(exact.total)], exact.ids)
    assert int(roomy.offsets[-1, 0]) == int(exact.total)  # what is left lies in the row below the picture


def test_lists_without_enough_room_say_so_and_keep_the_nearest() -> None:
    means2d, radii, depths, visible = _scattered(120, 90)
    exact, tight = (list_tiles(means2d, radii, depths, visible, 8, 6, capacity) for capacity in (None, 300))
    assert int(tight.total) == int(exact.total) > 300
    assert depths[tight.ids.long()].max() <= depths[exact.ids.long()].sort().values[300]


def test_nothing_in_sight_makes_empty_lists() -> None:
    means2d, radii, depths, _ = _scattered(64, 64)
    for capacity in (None, 10):
        lists = list_tiles(means2d, radii * 0, depths, torch.zeros(len(depths), dtype=torch.bool), 4, 4, capacity)
        assert int(lists.total) == 0 and (lists.offsets[:-1] == 0).all()


class _Replay:
    """A CUDA graph's stand-in: runs what was recorded, shapes and all."""

    def __init__(self, stage: Any) -> None:
        self.replay = stage


def test_a_recording_draws_the_same_and_knows_when_it_has_no_room(
    emulated: GsplatRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = 2.0

    def record(self: Pictures, stream: Any) -> None:
        self._capacity = int(self._most * share)
        self._graphs = [_Replay(stage) for stage in (self._pose, self._list, self._rasterize)]

    monkeypatch.setattr(Pictures, "record", record)
    afresh = emulated.draw(AVATAR, PARAMS, CAMERA, None, 300).copy()
    pictures = next(iter(emulated._prepared.values())).pictures(300, CAMERA.width, CAMERA.height)
    pictures.record(None)
    np.testing.assert_array_equal(emulated.draw(AVATAR, PARAMS, CAMERA, None, 300), afresh)
    assert pictures.recorded and len(pictures._lists.ids) == pictures._capacity
    share = 0.5
    pictures.record(None)
    np.testing.assert_array_equal(emulated.draw(AVATAR, PARAMS, CAMERA, None, 300), afresh)  # drawn again, with room
    assert not pictures.recorded
    pictures.record(None)
    short = emulated.draw_on_device(AVATAR, PARAMS, CAMERA, None, 300)
    assert pictures.overflowed and not np.array_equal(short, afresh)
    whole = emulated.draw_on_device(AVATAR, PARAMS, CAMERA, None, 300)
    np.testing.assert_array_equal(whole, afresh)


def test_a_gpu_that_cannot_record_goes_on_without(emulated: GsplatRenderer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Pictures, stream: Any) -> None:
        self.forget()
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(Pictures, "record", refuse)
    emulated._record = True
    monkeypatch.setattr("avatar.render.gsplat.renderer._PICTURES_BEFORE_RECORDING", 2)
    pictures = [emulated.draw(AVATAR, PARAMS, CAMERA, None, 50).copy() for _ in range(4)]
    assert not emulated._record
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)


def test_kinds_of_pictures_come_and_go(emulated: GsplatRenderer) -> None:
    for size in range(10, 22):
        emulated.draw(AVATAR, PARAMS, Camera.orbit(size, size), None, 20)
    assert len(next(iter(emulated._prepared.values()))._kinds) == 1


def test_a_picture_launches_few_kernels(emulated: GsplatRenderer) -> None:
    """Even replayed, each costs some microseconds; gsplat's own four are not among those counted."""
    from torch.utils._python_dispatch import TorchDispatchMode

    free = {"view", "select", "slice", "unsqueeze", "expand", "t", "transpose", "unbind", "detach", "alias",
            "_unsafe_view", "split", "empty", "arange"}  # fmt: skip

    class Counter(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.count += function.name().removeprefix("aten::").split(".")[0] not in free
            return function(*args, **(kwargs or {}))

    emulated.draw(AVATAR, PARAMS, CAMERA, None, 300)
    prepared = next(iter(emulated._prepared.values()))
    views = prepared.inputs.views
    scattered = _scattered(100, 100, 50)
    with Counter() as posing:
        prepared.avatar.pose(views["coefficients"], views["transforms"], 300)
    with Counter() as listing:
        list_tiles(*scattered, 7, 7, 2000)
    assert posing.count <= 30
    assert listing.count <= 50


def test_shapes_depend_on_no_number_on_the_device() -> None:
    """What a CUDA graph needs: no operation may have to look into a tensor to know what it gives."""
    from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

    head = FastHead(AVATAR.head)
    on_device = DeviceAvatar(AVATAR, head, CPU)
    seen = _scattered(100, 100, 50)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        for name, value in vars(on_device).items():
            if isinstance(value, torch.Tensor):
                setattr(on_device, name, mode.from_tensor(value))
        means, found = on_device.pose(torch.empty(len(head.coefficients)), torch.empty(5, 12), 300)
        assert means.shape == (300, 3) and found.shape == (300, 6)
        unknown = tuple(mode.from_tensor(t) for t in seen)
        lists = list_tiles(*unknown, 7, 7, 2000)  # type: ignore[arg-type]
        assert lists.ids.shape == (2000,) and lists.offsets.shape == (8, 7)
        with pytest.raises(DataDependentOutputException):
            list_tiles(*unknown, 7, 7)  # type: ignore[arg-type]
