"""The first start: pictures before anything is compiled, and the change to the renderer that is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avatar.camera import Camera
from avatar.render import kernel_cache, selection, warming
from avatar.render.conformance import SCENES, THRESHOLD_DB, conformance_db
from avatar.render.preview import PreviewRenderer
from avatar.render.probe import probe_avatar
from avatar.render.warming import WarmingRenderer

AVATAR = probe_avatar(50)
PARAMS = AVATAR.head.neutral()
CAMERA = Camera.orbit(20, 20)
BACKGROUND = (0.2, 0.5, 0.9)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    kernel_cache.kernel_folder.cache_clear()
    yield
    kernel_cache.kernel_folder.cache_clear()


class _Compiled(PreviewRenderer):
    device = "compiled"


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], WarmingRenderer]]:
    """A renderer whose process runs these lines instead of compiling."""
    made: list[WarmingRenderer] = []
    command = warming.python_command

    def make(code: str) -> WarmingRenderer:
        monkeypatch.setattr(warming, "python_command", lambda _, progress: command(code, progress))
        made.append(WarmingRenderer(_Compiled))
        return made[-1]

    yield make
    for renderer in made:
        renderer.close()


def _until(check: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end_s
        threading.Event().wait(0.02)


@pytest.mark.parametrize("name", SCENES)
def test_conformance(name: str) -> None:
    assert conformance_db(PreviewRenderer(), SCENES[name]()) >= THRESHOLD_DB["cpu"]


def test_a_preview_has_the_size_that_is_asked_for_whatever_it_draws() -> None:
    few = probe_avatar(40)
    few = replace(
        few, gaussians=replace(few.gaussians, log_scales=few.gaussians.log_scales + 4)
    )  # larger than the picture
    for avatar, camera in ((AVATAR, Camera.orbit(640, 320)), (few, Camera.orbit(512, 512))):
        image = PreviewRenderer().draw(avatar, PARAMS, camera, BACKGROUND)
        assert image.shape == (camera.height, camera.width, 4)
        assert image.dtype == np.uint8 and (image[..., 3] == 255).all()
    assert not PreviewRenderer().draw(AVATAR, PARAMS, Camera.orbit(16, 16, yaw_deg=180.0, target=(0.0, 9.0, 0.0))).any()


def test_pictures_come_at_once_and_the_compiled_renderer_when_it_is_there(
    warm: Callable[[str], WarmingRenderer], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    renderer = warm(
        "import pathlib, sys, time\n"
        "pathlib.Path(sys.argv[1]).write_text('0.4')\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)"
    )
    assert renderer.draw(AVATAR, PARAMS, CAMERA, None).shape == (20, 20, 4)
    _until(lambda: renderer.preparing == 0.4)
    assert renderer.device != "compiled"
    go.touch()
    assert renderer._process is not None
    renderer._process.wait(60)
    renderer.draw(AVATAR, PARAMS, CAMERA, None)
    assert (renderer.device, renderer.preparing) == ("compiled", None)


def test_a_process_that_fails_leaves_the_work_to_this_one(warm: Callable[[str], WarmingRenderer]) -> None:
    renderer = warm("raise SystemExit(1)")
    assert renderer._process is not None
    renderer._process.wait(60)
    renderer.draw(AVATAR, PARAMS, CAMERA, None)
    assert (renderer.device, renderer.preparing) == ("compiled", None)


def test_closing_ends_the_process(warm: Callable[[str], WarmingRenderer]) -> None:
    renderer = warm("import time; time.sleep(600)")
    process = renderer._process
    assert process is not None
    renderer.close()
    assert process.poll() is not None
    renderer.close()


def test_only_who_is_not_patient_gets_previews_and_only_on_the_first_start(
    empty_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_compiled_cpu", _Compiled)
    monkeypatch.setattr(warming, "python_command", lambda *args: ["there is no such program"])
    assert isinstance(selection.open_renderer("cpu"), _Compiled)
    first = selection.open_renderer("cpu", patient=False)
    assert isinstance(first, WarmingRenderer)
    first.close()
    kernel_cache.mark_compiled()
    assert isinstance(selection.open_renderer("cpu", patient=False), _Compiled)
