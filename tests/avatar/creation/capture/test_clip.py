"""From a clip to an avatar: a rendered person before a webcam, whose shape and poses are known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import app.capture
from app.capture import capture_files
from avatar.creation.capture.frames import ClipFrames, choose_frames
from avatar.creation.capture.from_clip import (
    CLIP_TRAINING,
    TrackedClipPictures,
    clip_trainer,
    track_pictures,
    train_on_clip,
)
from avatar.creation.capture.rendered_clip import clip_moments, write_clip
from avatar.creation.lids import LIDS
from avatar.creation.training.run import RunOptions, state_path
from avatar.flame.arkit import weights_from_dict
from avatar.formats.native import load_avatar
from avatar.interrupts import StoppedError
from avatar.library import open_avatar
from avatar.render import open_renderer
from avatar.tracking.alignment import align
from avatar.tracking.pictures import Clip

RATE_HZ = 4.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_clip(open_avatar("clara"), open_renderer("cpu"), path, 384, RATE_HZ)
    return path


@pytest.fixture(scope="module")
def frames(clip: Path, tracking_models: None) -> ClipFrames:
    return choose_frames(Clip.open(clip))


@pytest.fixture(scope="module")
def tracked(frames: ClipFrames) -> TrackedClipPictures:
    used = (*frames.painted[:3], *frames.painted[-2:], *range(len(frames.painted), len(frames.photos), 8))
    some = tuple(frames.photos[k] for k in used)  # turned least and most, and others
    return track_pictures(ClipFrames(some, (0, 1, 2), ()), "made")


def test_the_clip_shows_everything(frames: ClipFrames) -> None:
    assert frames.missing == () and len(frames.photos) > 40
    assert frames.painted[0] == 0 and len(frames.painted) > 4
    sizes = {photo.picture.size for photo in frames.photos}
    assert len(sizes) == 1 and len({photo.intrinsics for photo in frames.photos}) == 1


def test_heads_turn_and_bodies_stay(tracked: TrackedClipPictures) -> None:
    turns = np.array([view.params.neck_pose for view in tracked.views])
    sways = np.array([view.params.transl for view in tracked.views])
    true = [moment.params.neck_pose[1] for moment in clip_moments(open_avatar("clara"), RATE_HZ, 0)]
    # only some of the pictures are here
    assert np.ptp(turns[:, 1]) > 0.5 * np.ptp(true) and np.ptp(turns[:, 1]) < 1.25 * np.ptp(true)
    assert np.abs(sways).max() < 0.012
    person, made = open_avatar("clara"), tracked.first
    face = person.head.regions["face"]
    truth, found = (head.v_template[face].double().numpy() for head in (person.head, made.head))
    rotation, scale, shift = align(found, truth)
    assert np.linalg.norm(scale * found @ rotation.T + shift - truth, axis=1).mean() < 0.0016


def test_clothes_stay_when_the_head_turns(tracked: TrackedClipPictures) -> None:
    made = tracked.first
    still, turned = (
        made.pose(made.head.neutral().replace(neck_pose=np.array([0.0, turn, 0.0]))).means.numpy()
        for turn in (0.0, 0.6)
    )
    chest = still[:, 1] < -0.19
    assert chest.sum() > 500 and np.linalg.norm(turned - still, axis=1)[chest].max() < 0.002


def test_training_comes_nearer_and_may_be_stopped(tracked: TrackedClipPictures, tmp_path: Path) -> None:
    out = tmp_path / "made.safetensors"
    config = replace(CLIP_TRAINING, steps=12, least=4000)

    def stop(share: float, what: str) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        train_on_clip(tracked, RunOptions(out), stop, replace(config, steps=20))
    assert state_path(out).is_file() and not out.exists()
    report = train_on_clip(tracked, RunOptions(out), config=config)  # another training: it begins anew
    made = load_avatar(out)
    assert report.steps == 12 and not state_path(out).exists() and made.static_offset is not None
    assert len(made.gaussians) > 0.9 * len(tracked.first.gaussians) and made.gaussians.sh.shape[1] == 1
    assert made.metadata["description"] == "made from a clip"


@pytest.mark.parametrize(("blink", "learn"), [(0.0, True), (0.7, False), (1.0, True)])
def test_lids_learn_where_eyes_are_surely_open_or_shut(tracked: TrackedClipPictures, blink: float, learn: bool) -> None:
    """Eyes that are nearly shut look like shut ones: lids would take on the iris's color where they meet."""
    first, began = tracked.first, tracked.first.gaussians
    params = first.arkit.params(weights_from_dict({"eyeBlinkLeft": blink, "eyeBlinkRight": blink}))
    views = tuple(replace(view, params=params) for view in tracked.views[:2])
    trainer = clip_trainer(replace(tracked, views=views), replace(CLIP_TRAINING, steps=4, least=4000))
    trainer.run()
    lids = torch.cat([first.head.regions[name] for name in LIDS])
    on_lids = torch.isin(first.head.faces, lids).all(1)[began.triangles]
    learned = trainer.parameters.tensors
    assert on_lids.sum() > 1000
    for name, old in (("sh", began.sh[:, :1]), ("means", began.means), ("logit_opacities", began.logit_opacities)):
        changed = (learned[name].detach().reshape(len(old), -1) - old.reshape(len(old), -1)).abs().amax(1) > 0
        assert bool(changed[on_lids].any()) == learn and changed[~on_lids].float().mean() > 0.3, name


def test_a_file_becomes_an_avatar_in_the_library(
    clip: Path, frames: ClipFrames, tracked: TrackedClipPictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the work of the other tests in place of its own."""
    short = partial(train_on_clip, config=replace(CLIP_TRAINING, steps=5))
    monkeypatch.setattr(app.capture, "choose_frames", lambda clip, tell: replace(frames, missing=("no teeth",)))
    monkeypatch.setattr(app.capture, "track_pictures", lambda frames, name, tell: tracked)
    monkeypatch.setattr(app.capture, "train_on_clip", short)
    shown: list[Image.Image] = []
    shares: list[float] = []
    out, look = tmp_path / "me.safetensors", tmp_path / "look.png"
    made = capture_files([clip], "me", out, lambda what, share: shares.append(share), None, shown.append, look)
    assert made.path == out and made.notes[0] == "no teeth" and shares == sorted(shares)
    assert len(load_avatar(out).gaussians) == made.gaussians


def test_tracking_may_be_stopped(frames: ClipFrames) -> None:
    def stop(share: float, what: str) -> None:
        if share > 0.1:
            raise StoppedError

    with pytest.raises(StoppedError):
        track_pictures(frames, "made", stop)
