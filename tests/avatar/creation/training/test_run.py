"""A training is stopped, goes on and ends as if it had not been stopped; sets and commands around it."""

from __future__ import annotations

import json
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.creation.training.checkpoint import belongs, load_checkpoint, save_checkpoint
from avatar.creation.training.config import TrainingConfig
from avatar.creation.training.cpu.splatter import CpuSplatter
from avatar.creation.training.dataset import Dataset
from avatar.creation.training.initial import disks_on_mesh
from avatar.creation.training.make import train_on_pictures
from avatar.creation.training.portraits import draw_portraits, plan_portraits, write_portraits
from avatar.creation.training.run import RunOptions, run_training, state_path
from avatar.creation.training.trainer import Trainer
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, ArkitMap
from avatar.formats.native import load_avatar, save_avatar
from avatar.interrupts import StoppedError
from avatar.render.cpu import CpuRenderer
from avatar.render.probe import probe_avatar
from avatar.rig import Avatar

CONFIG = TrainingConfig(steps=12, least=150, sh_count=4, relocate_from=2, relocate_every=3, channels=("jawOpen",))


@pytest.fixture(scope="module")
def person() -> Avatar:
    avatar = probe_avatar(400, 1)
    head = replace(avatar.head, shapedirs=avatar.head.shapedirs[..., avatar.head.n_shape :], n_shape=0)
    one = np.zeros((len(NAMES), 3), np.float32)
    one[NAMES.index("jawOpen"), 0] = 0.3
    expression = np.random.default_rng(0).normal(scale=0.2, size=(len(NAMES), head.n_expression))
    return replace(avatar, head=head, arkit=ArkitMap(expression, one, 0 * one, 0 * one))


@pytest.fixture(scope="module")
def folder(person: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("set")
    with closing(CpuRenderer(1)) as renderer:
        write_portraits(person, plan_portraits(person, 20, 64), renderer, path)
    return path


def _trainer(person: Avatar, folder: Path, config: TrainingConfig = CONFIG) -> Trainer:
    dataset = Dataset.open(folder)
    start = Avatar("it", dataset.head, disks_on_mesh(dataset.head, 300, sh_count=4), dataset.arkit)
    return Trainer(start, dataset.train, config, splatter=CpuSplatter(2))


def test_a_set_of_an_avatar_is_its_pictures(person: Avatar, folder: Path) -> None:
    dataset = Dataset.open(folder)
    assert len(dataset.train) == 18 and len(dataset.held_out) == 2
    with closing(CpuRenderer(1)) as renderer:
        views = draw_portraits(person, plan_portraits(person, 20, 64), renderer)
    on_disk = {v.timestep: v for v in (*dataset.train, *dataset.held_out)}
    for i, view in enumerate(views):
        assert np.abs(on_disk[i].read().astype(int) - view.read()).max() <= 1
        pose = on_disk[i].params
        np.testing.assert_allclose(pose.expression, view.params.expression, atol=1e-6)
        np.testing.assert_allclose(pose.blendshape_weights, view.params.blendshape_weights, atol=1e-5)
        np.testing.assert_allclose(dataset.head.vertices(pose), person.head.vertices(view.params), atol=2e-6)


def test_portraits_show_what_can_be_hidden() -> None:
    avatar = probe_avatar(10)
    plan = plan_portraits(avatar, 200)
    strongest = np.max([p.weights for p in plan], 0)
    for name in ("eyeBlinkLeft", "tongueOut", "jawOpen", "mouthUpperUpLeft", "eyeLookInLeft", "cheekPuff"):
        assert strongest[NAMES.index(name)] > 0.4, name
    yaws = np.degrees([np.arctan2(p.camera.position[0], p.camera.position[2]) for p in plan])
    assert (np.abs(yaws) < 30).mean() > 0.3 and (np.abs(yaws) > 120).mean() > 0.05
    assert sum(p.held_out for p in plan) == 20
    assert all(
        (a.camera.viewmat == b.camera.viewmat).all() for a, b in zip(plan, plan_portraits(avatar, 200), strict=True)
    )


def test_going_on_is_as_if_nothing_had_happened(person: Avatar, folder: Path, tmp_path: Path) -> None:
    whole = _trainer(person, folder)
    whole.run()
    first = _trainer(person, folder)
    first.run(5)
    save_checkpoint(first, tmp_path / "state.safetensors")
    second = _trainer(person, folder)
    load_checkpoint(second, tmp_path / "state.safetensors")
    second.run()
    assert second.step_count == 12
    for name, values in whole.state().tensors.items():
        assert torch.equal(values, second.state().tensors[name]), name


@pytest.mark.parametrize("learn", ["learn_offsets", "learn_exposure", "learn_poses"])
def test_what_else_is_learned_goes_on_too(person: Avatar, folder: Path, tmp_path: Path, learn: str) -> None:
    config = replace(CONFIG, steps=4, channels=(), **{learn: True})
    whole, first, second = (_trainer(person, folder, config) for _ in range(3))
    whole.run()
    first.run(2)
    save_checkpoint(first, tmp_path / "state.safetensors")
    load_checkpoint(second, tmp_path / "state.safetensors")
    second.run()
    assert all(torch.equal(v, second.state().tensors[name]) for name, v in whole.state().tensors.items())


def test_a_checkpoint_of_another_training_is_refused(person: Avatar, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_checkpoint(_trainer(person, folder), path)
    with pytest.raises(UserError, match=r"belongs to another training \(seed was 0, is 3\)"):
        load_checkpoint(_trainer(person, folder, replace(CONFIG, seed=3)), path)
    save_avatar(person, path)
    with pytest.raises(UserError, match="not the state of a training"):
        load_checkpoint(_trainer(person, folder), path)


def test_who_is_told_may_end_it(person: Avatar, folder: Path, tmp_path: Path) -> None:
    """What it has learned is kept for the next time; no half avatar takes the place of a whole one."""
    out = tmp_path / "it.safetensors"
    trainer = _trainer(person, folder)

    def enough(what: str, share: float) -> None:
        raise StoppedError

    trainer.run(3)
    with pytest.raises(StoppedError):
        run_training(trainer, (), RunOptions(out), enough)
    assert not out.exists() and belongs(_trainer(person, folder), state_path(out))
    assert not belongs(_trainer(person, folder, replace(CONFIG, seed=3)), state_path(out))
    second = _trainer(person, folder)
    run_training(second, (), RunOptions(out))
    assert out.exists() and not state_path(out).exists() and second.step_count == CONFIG.steps


def test_an_interrupt_leaves_an_avatar_and_the_way_on(person: Avatar, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "it.safetensors"
    trainer = _trainer(person, folder)

    step = trainer.step

    def interrupted() -> object:
        if trainer.step_count == 4:
            signal.raise_signal(signal.SIGINT)
        return step()

    trainer.step = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt, match="stopped after 5 of 12 steps"):
        run_training(trainer, (), RunOptions(out))
    assert len(load_avatar(out).gaussians) == 300
    assert state_path(out).is_file()
    told: list[str] = []
    report = run_training(_trainer(person, folder), (), RunOptions(out), lambda message, share: told.append(message))
    assert report.steps == 12 and not state_path(out).exists()
    assert told[0].startswith("step 12 of 12")


def test_a_preview_is_drawn(person: Avatar, folder: Path, tmp_path: Path) -> None:
    options = RunOptions(tmp_path / "it.safetensors", tmp_path / "look.png", look_every=6, save_every=6)
    dataset = Dataset.open(folder)
    report = run_training(_trainer(person, folder), dataset.held_out, options)
    from PIL import Image

    assert Image.open(tmp_path / "look.png").size == (3 * 64, 64)
    assert sorted(report.psnr_db) == [150, 187, 233, 291, 300]


def test_training_on_a_folder_makes_an_avatar_that_moves(folder: Path, tmp_path: Path, person: Avatar) -> None:
    out = tmp_path / "it.safetensors"
    train_on_pictures(folder, "it", RunOptions(out), replace(CONFIG, steps=6), gaussians=300, device="cpu")
    made = load_avatar(out)
    assert made.name == "it" and len(made.gaussians) == 300 and made.least_gaussians == 150
    assert made.appearance is not None and made.appearance.channels == ("jawOpen",)
    train_on_pictures(folder, "it", RunOptions(out), replace(CONFIG, steps=4), begin=made, gaussians=200, device="cpu")
    assert len(load_avatar(out).gaussians) == 200
    other = replace(person, head=replace(person.head, faces=person.head.faces.roll(1, 0)))
    with pytest.raises(UserError, match="begin with the mesh"):
        train_on_pictures(folder, "it", RunOptions(out), CONFIG, begin=other)


def test_a_set_names_its_head_and_its_poses(folder: Path) -> None:
    contents = json.loads((folder / "transforms_train.json").read_text())
    assert contents["head"] == "head.safetensors"
    assert all({"arkit_weights", "flame_param_path", "fl_x"} <= set(f) for f in contents["frames"])
