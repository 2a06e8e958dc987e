"""Training on pictures of a small avatar: it comes closer, repeats, and leaves alone what no picture shows."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import pytest
import torch

from avatar.binding import triangle_frames
from avatar.camera import Camera
from avatar.creation.training.adam import CpuAdam, TorchAdam
from avatar.creation.training.config import Rates, TrainingConfig
from avatar.creation.training.cpu.splatter import CpuSplatter
from avatar.creation.training.deformation import Offsets
from avatar.creation.training.emphasis import EmphasisMap, eye_triangles, face_emphasis
from avatar.creation.training.exposure import Exposures
from avatar.creation.training.initial import disks_on_mesh
from avatar.creation.training.loss import LossConfig
from avatar.creation.training.parameters import Parameters
from avatar.creation.training.penalties import Penalties, add_slopes
from avatar.creation.training.relocation import Usefulness, relocate
from avatar.creation.training.trainer import Trainer
from avatar.creation.training.view import View
from avatar.flame.arkit import NAMES, ArkitMap, weights_from_dict
from avatar.render.cpu import CpuRenderer
from avatar.render.probe import probe_avatar
from avatar.rig import Avatar

SIZE = 48
THREADS = min(2, numba.config.NUMBA_NUM_THREADS)
QUICK = TrainingConfig(
    steps=30, least=150, sh_count=4, relocate_from=10, relocate_every=10, rates=Rates(means_m=3e-5), channels=()
)


def _probe(count: int = 600) -> Avatar:
    avatar = probe_avatar(count, 1)
    one = np.zeros((len(NAMES), 3), np.float32)
    one[NAMES.index("jawOpen"), 0] = 0.3
    zero = np.zeros_like(one)
    expression = np.zeros((len(NAMES), avatar.head.n_expression), np.float32)
    expression[NAMES.index("browInnerUp"), 0] = 1
    head = replace(avatar.head, shapedirs=avatar.head.shapedirs[..., avatar.head.n_shape :], n_shape=0)
    return replace(avatar, head=head, arkit=ArkitMap(expression, one, zero, zero))


def _views(avatar: Avatar, count: int = 6) -> list[View]:
    renderer, found = CpuRenderer(1), []
    for i in range(count):
        params = avatar.arkit.params(weights_from_dict({"jawOpen": 0.4 * (i % 2), "browInnerUp": 0.3 * (i % 3)}))
        camera = Camera.orbit(SIZE, SIZE, 60 * (i / count - 0.5), 5, target=(0, 0, 0), fov_deg=15)
        image = np.clip(renderer.render(avatar.pose(params), camera), 0, 1)
        found.append(View(f"view {i}", camera, params, (image * 255 + 0.5).astype(np.uint8), timestep=i))
    return found


def _triangle_sizes_m(avatar: Avatar) -> torch.Tensor:
    frames = triangle_frames(avatar.head.vertices(avatar.head.neutral()), avatar.head.faces)
    return frames.scales[avatar.gaussians.triangles.long()]


def _taken_back(trainer: Trainer, view: View) -> None:
    """Draw a view and take it back, so that the splatter knows what was seen."""
    frames, camera = trainer.poser.frames(view), trainer.poser.camera(view)
    trainer.splatter.render(trainer.parameters.bound, frames, camera).sum().backward()


def _error(trainer: Trainer, views: list[View], count: int | None = None) -> float:
    """Mean square error over views."""
    return float(
        np.mean([((trainer.render(v, count) - torch.from_numpy(v.read()) / 255) ** 2).mean().item() for v in views])
    )


def test_what_was_trained_is_to_get_a_new_coat_on_its_tongue() -> None:
    """Training moves, fades and drops the Gaussians of the one that it began with."""
    avatar = replace(_probe(), metadata={"tongue_coat": True, "licence": "CC0-1.0"})
    trained = Trainer(avatar, _views(avatar, 1), QUICK).avatar().metadata
    assert "tongue_coat" not in trained
    assert trained["licence"] == "CC0-1.0"


def test_pictures_come_closer_whole_and_in_part() -> None:
    views = _views(_probe())
    start = replace(_probe(), gaussians=disks_on_mesh(_probe().head, 400, sh_count=4))
    rates = replace(Rates(), means_m=1e-4, color=3e-2, log_scales=3e-2)
    trainer = Trainer(start, views, replace(QUICK, steps=150, rates=rates))
    before = [_error(trainer, views, count) for count in (150, None)]
    trainer.run()
    after = [_error(trainer, views, count) for count in (150, None)]
    assert after[1] < 0.5 * before[1] and after[0] < 0.6 * before[0]
    assert len(trainer.avatar().gaussians) == 400


def test_no_gaussian_grows_beyond_the_largest() -> None:
    avatar = _probe()
    rates = replace(Rates(), log_scales=0.5)
    largest_m = 2 * float((avatar.gaussians.log_scales.exp().amax(1) * _triangle_sizes_m(avatar)).median())
    trainer = Trainer(avatar, _views(avatar), replace(QUICK, rates=rates, largest_m=largest_m))
    trainer.run()
    learned = trainer.avatar()
    widths_m = learned.gaussians.log_scales.exp().amax(1) * _triangle_sizes_m(learned)
    assert widths_m.max() < 1.001 * largest_m and (widths_m > 0.99 * largest_m).any()


def test_fixed_gaussians_learn_nothing_and_the_others_do() -> None:
    avatar = _probe()
    start = replace(avatar, gaussians=disks_on_mesh(avatar.head, 400, sh_count=4))
    fixed = torch.arange(400) % 2 == 0
    trainer = Trainer(start, _views(avatar), QUICK, fixed=fixed)
    trainer.run()
    for name, learned in trainer.parameters.tensors.items():
        began = getattr(start.gaussians, name).reshape(learned.shape)
        if name == "quats":
            began = torch.nn.functional.normalize(began, dim=-1)
        assert torch.equal(learned[fixed], began[fixed]), name
        assert not torch.equal(learned[~fixed], began[~fixed]), name


def test_fixed_gaussians_learn_from_the_views_that_teach_them_alone() -> None:
    avatar = _probe()
    start = replace(avatar, gaussians=disks_on_mesh(avatar.head, 400, sh_count=4))
    fixed = torch.arange(400) % 2 == 0
    views = _views(avatar, 2)
    trainer = Trainer(start, views, QUICK, fixed=fixed, teaching_fixed=lambda view: view is views[1])
    changed = {}
    for _ in views:
        before = trainer.parameters.tensors["sh"].detach().clone()
        number = trainer.step().view
        moved = (trainer.parameters.tensors["sh"] != before).flatten(1).any(1)
        changed[number] = bool(moved[fixed].any()), bool(moved[~fixed].any())
    assert changed == {0: (False, True), 1: (True, True)}


def test_closed_lids_learn_to_do_without_the_eyeballs_behind_them() -> None:
    """What shines through has the right color, so that no picture asks them to."""
    avatar = _probe()
    in_front = (avatar.head.v_template[:, 2] > 0.08).nonzero().squeeze(1)
    head = replace(avatar.head, regions={**avatar.head.regions, "eyes": in_front})
    avatar, view = replace(avatar, head=head), _views(avatar, 1)[0]
    shut = weights_from_dict({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    rates = replace(Rates(), means_m=1e-4, log_scales=0.05, logit_opacities=0.1)

    def alpha_without_eyes(avatar: Avatar) -> np.ndarray:
        logits = avatar.gaussians.logit_opacities.clone()
        logits[eye_triangles(head)[avatar.gaussians.triangles]] = -20
        blind = replace(avatar, gaussians=replace(avatar.gaussians, logit_opacities=logits))
        return CpuRenderer(1).render(blind.pose(view.params), view.camera)[..., 3]

    behind = view.read()[..., 3] / 255 - alpha_without_eyes(avatar) > 0.3
    assert 3 < behind.sum() < 300
    covered = []
    for weights in (None, shut):
        pose = replace(view, params=view.params.replace(blendshape_weights=weights))
        trainer = Trainer(avatar, [pose], replace(QUICK, steps=80, relocate_until=0.0, rates=rates))
        trainer.run()
        covered.append(alpha_without_eyes(trainer.avatar())[behind].mean())
    assert covered[1] > 1.25 * covered[0]


def test_the_same_seed_gives_the_same_avatar() -> None:
    views, start = _views(_probe()), replace(_probe(), gaussians=disks_on_mesh(_probe().head, 300, sh_count=4))
    found = []
    for seed in (0, 0, 1):
        trainer = Trainer(start, views, replace(QUICK, seed=seed), splatter=CpuSplatter(2))
        trainer.run()
        found.append(trainer.avatar().gaussians)
    assert torch.equal(found[0].means, found[1].means) and torch.equal(found[0].sh, found[1].sh)
    assert not torch.equal(found[0].means, found[2].means)


def test_what_no_picture_shows_stays_as_it_was() -> None:
    avatar = _probe()
    views = _views(avatar)
    away = torch.arange(600) % 5 == 0
    avatar.gaussians.means[away] *= 300  # out of every picture
    trainer = Trainer(avatar, views, replace(QUICK, useless=0.5, penalties=Penalties(width=1, distance=1, opacity=1)))
    for view in views:
        _taken_back(trainer, view)
        away &= trainer.splatter.weights == 0
    assert away.sum() > 80
    trainer.run()
    after = trainer.avatar().gaussians
    for name in ("means", "log_scales", "logit_opacities", "sh"):
        assert torch.equal(getattr(after, name)[away], getattr(avatar.gaussians, name)[away]), name
    assert not torch.equal(after.sh, avatar.gaussians.sh)


def test_expressions_learn_to_change_colors() -> None:
    """A color that comes with the open jaw ends up in the channel, not in the Gaussians."""
    avatar = _probe()
    teacher = replace(avatar, appearance=None)
    views = _views(teacher)
    painted = []
    for view in views:
        image = np.asarray(view.picture).copy()
        if view.params.blendshape_weights[NAMES.index("jawOpen")] > 0:
            image[..., 0] = image[..., 0] // 2
        painted.append(replace(view, picture=image))
    rates = replace(Rates(), tints=4e-2, color=4e-2, last=0.1)
    config = replace(QUICK, steps=150, channels=("jawOpen",), whole_share=1.0, relocate_until=0, rates=rates)
    with_channel, without = Trainer(avatar, painted, config), Trainer(avatar, painted, replace(config, channels=()))
    with_channel.run()
    without.run()
    assert _error(with_channel, painted) < 0.5 * _error(without, painted)
    appearance = with_channel.avatar().appearance
    assert appearance is not None and appearance.channels == ("jawOpen",)
    assert float(appearance.tints[0, :, 0].mean()) < -0.2 and abs(float(appearance.tints[0, :, 1].mean())) < 0.1


def test_offsets_of_vertices_are_learned() -> None:
    """Pictures of a wider head widen the mesh, where Gaussians may not move."""
    avatar = _probe(1500)
    wider = replace(avatar, head=replace(avatar.head, v_template=avatar.head.v_template * torch.tensor([1.05, 1, 1])))
    still = replace(Rates(), means_m=0.0, quats=0.0, log_scales=0.0, offsets_m=8e-4)
    config = replace(QUICK, steps=80, rates=still, learn_offsets=True, whole_share=1.0, relocate_until=0)
    trainer = Trainer(avatar, _views(wider), config)
    trainer.run()
    offset = trainer.avatar().static_offset
    assert offset is not None
    wanted = wider.head.v_template - avatar.head.v_template
    front = avatar.head.v_template[:, 2] > 0.03
    before, after = wanted[front].norm(dim=1).mean(), (offset - wanted)[front].norm(dim=1).mean()
    assert float(after) < 0.75 * float(before)


def test_poses_that_were_tracked_badly_are_mended() -> None:
    """Pictures of known Gaussians say where the head really was, and how far its jaw was open."""
    avatar = _probe(1500)
    views, rng = _views(avatar), np.random.default_rng(0)
    wrong = []
    for view in views:
        turn, shift = rng.normal(0, 0.02, 3), rng.normal(0, 0.003, 3)
        wrong.append(replace(view, params=view.params.replace(global_orient=turn, transl=shift)))
    still = Rates(means_m=0.0, quats=0.0, log_scales=0.0, logit_opacities=0.0, color=0.0, harmonics=0.0)
    config = replace(QUICK, steps=180, rates=still, learn_poses=True, whole_share=1.0, relocate_until=0)
    trainer = Trainer(avatar, wrong, config)
    before = _error(trainer, wrong)
    trainer.run()
    assert _error(trainer, wrong) < 0.2 * before
    corrections = trainer.corrections
    assert corrections is not None
    left, was = [], []
    for number, view in enumerate(wrong):  # in the picture's plane: depth is hardly seen
        shift = torch.from_numpy(view.params.transl) + corrections.values[number, 15:18]
        across = view.camera.viewmat[:2, :3]
        left.append(np.linalg.norm(across @ shift.numpy()))
        was.append(np.linalg.norm(across @ view.params.transl))
    assert np.mean(left) < 0.7 * np.mean(was)


def test_offsets_are_smooth_and_eyes_follow_their_lids() -> None:
    head = replace(_probe().head)
    some = torch.arange(head.n_vertices)
    regions = {"eye_left": some[:5], "upper_lid_margin_left": some[10:14], "lower_lid_margin_left": some[14:18]}
    head = replace(head, regions=regions)
    offsets = Offsets(head, None, 20.0, torch.device("cpu"))
    for _ in range(8):
        gradient = torch.zeros_like(offsets.values)
        gradient[10:18, 1] = -1.0
        offsets.values.grad = gradient
        offsets.step(1e-4)
    moved = offsets.values.detach()
    assert torch.allclose(moved[:5], moved[10:18].mean(0).expand(5, 3), atol=1e-9) and float(moved[10, 1]) > 1e-5
    edges = torch.cat([head.faces[:, [0, 1]], head.faces[:, [1, 2]]])
    edges = edges[(edges >= 5).all(1)]
    assert float((moved[edges[:, 0]] - moved[edges[:, 1]]).norm(dim=1).max()) < 0.6 * float(moved.norm(dim=1).max())


def test_exposure_takes_up_what_cameras_did() -> None:
    avatar = _probe()
    views = _views(avatar)
    gains = np.linspace(0.85, 1.1, len(views))
    dimmed = [
        replace(v, picture=np.clip(v.read() * [g, g, g, 1], 0, 255).astype(np.uint8))
        for v, g in zip(views, gains, strict=True)
    ]
    config = replace(QUICK, steps=240, learn_exposure=True, whole_share=1.0, relocate_until=0)
    config = replace(config, rates=replace(Rates(), means_m=0.0, color=1e-3), loss=LossConfig(0.0, 1.0, 0.0))
    trainer = Trainer(avatar, dimmed, config)
    trainer.run()
    exposures = trainer.exposures
    assert exposures is not None
    learned = exposures.values[:, 0].mean(1).numpy()
    assert np.corrcoef(learned, np.log(gains))[0, 1] > 0.9
    assert exposures.values.mean(0).abs().max() < 1e-6


def test_relocation_does_not_change_the_picture() -> None:
    avatar = _probe()
    views = _views(avatar, 2)
    trainer = Trainer(avatar, views, QUICK)
    before = trainer.render(views[0])
    rng, useful = np.random.default_rng(0), Usefulness(600, torch.device("cpu"))
    useful.add(torch.linspace(0.001, 1, 600), torch.rand(600, generator=torch.Generator().manual_seed(0)))
    parameters = trainer.parameters
    hidden = parameters.tensors["logit_opacities"].data
    hidden[:20] = -12.0  # what is to be moved shows nothing
    without = trainer.render(views[0])
    moved, source = relocate(parameters, useful, 0.03, 0.05, [300], rng)
    assert set(moved.tolist()) <= set(range(30)) and len(moved) == 18
    assert not set(moved.tolist()) & set(source.tolist())
    after = trainer.render(views[0])
    assert (after - without).abs().mean() < 0.25 * (before - without).abs().mean() + 2e-3
    assert torch.equal(parameters.triangles[moved], parameters.triangles[source])


def test_nothing_moves_that_was_never_seen() -> None:
    avatar = _probe()
    parameters = Parameters(avatar.gaussians, None, (), torch.device("cpu"), 4)
    useful = Usefulness(600, torch.device("cpu"))
    useful.add(torch.tensor([0.0, 0.01, 0.5]).repeat_interleave(200), torch.ones(600))
    moved, _ = relocate(parameters, useful, 1.0, 0.05, [400], np.random.default_rng(0))
    assert len(moved) == 200 and int(moved.min()) >= 200 and int(moved.max()) < 400


def test_what_is_too_faint_to_matter_moves_though_no_picture_has_shown_it() -> None:
    parameters = Parameters(_probe().gaussians, None, (), torch.device("cpu"), 4)
    parameters.tensors["logit_opacities"].data[:40] = -4.0
    useful = Usefulness(600, torch.device("cpu"))
    useful.add(torch.tensor([0.0, 0.5]).repeat_interleave(300), torch.ones(600))
    moved, source = relocate(parameters, useful, 1.0, 0.05, [], np.random.default_rng(0))
    assert sorted(moved.tolist()) == list(range(40))
    assert int(source.min()) >= 300


def test_nothing_moves_onto_what_would_leave_two_useless_ones() -> None:
    """However strongly pictures pull at it: else thousands gather at what no Gaussian can mend."""
    parameters = Parameters(_probe().gaussians, None, (), torch.device("cpu"), 4)
    useful = Usefulness(600, torch.device("cpu"))
    peaks, pulls = (torch.tensor(x).repeat_interleave(200) for x in ([0.01, 0.07, 0.5], [1.0, 1000.0, 1.0]))
    useful.add(peaks, pulls)
    moved, source = relocate(parameters, useful, 0.2, 0.05, [], np.random.default_rng(0))
    assert len(moved) == 120 and int(moved.max()) < 200
    assert int(source.min()) >= 400


def test_what_is_fixed_neither_moves_nor_is_moved_onto() -> None:
    parameters = Parameters(_probe().gaussians, None, (), torch.device("cpu"), 4)
    useful = Usefulness(600, torch.device("cpu"))
    useful.add(torch.tensor([0.01, 0.5]).repeat_interleave(300), torch.ones(600))
    fixed = np.arange(600) % 3 == 0
    moved, source = relocate(parameters, useful, 1.0, 0.05, [], np.random.default_rng(0), fixed)
    assert len(moved) == 200 and not fixed[moved.numpy()].any() and not fixed[source.numpy()].any()


def test_nothing_moves_onto_an_earlier_level() -> None:
    parameters = Parameters(_probe().gaussians, None, (), torch.device("cpu"), 4)
    useful, levels = Usefulness(600, torch.device("cpu")), [100, 250, 400]
    r = np.random.default_rng(0)
    useful.add(torch.from_numpy(r.uniform(0.001, 0.5, 600).astype(np.float32)), torch.rand(600))
    moved, source = relocate(parameters, useful, 0.1, 0.1, levels, r)
    assert len(moved) == 60
    first = np.searchsorted(levels, moved.numpy(), side="right")
    assert (np.searchsorted(levels, source.numpy(), side="right") >= first).all()
    assert len(set(source.tolist())) == len(source)


@pytest.mark.parametrize("pace", [False, True])
def test_adam_is_its_twin_and_torchs(pace: bool) -> None:
    g = torch.Generator().manual_seed(0)
    start = torch.randn(50, 3, generator=g)
    rate = torch.tensor([0.1, 0.01, 0.001])
    own = torch.rand(50, generator=g) if pace else None
    fast, twin, theirs = start.clone(), start.clone(), start.clone().requires_grad_()
    adams = CpuAdam(fast, THREADS), TorchAdam(twin)
    torchs = torch.optim.Adam([theirs], lr=1.0, eps=1e-15)
    for _ in range(5):
        gradient = torch.randn(50, 3, generator=g)
        before = theirs.detach().clone()
        theirs.grad = gradient.clone()
        torchs.step()
        change = (theirs.detach() - before) * rate * (1 if own is None else own[:, None])
        theirs.data = before + change
        for adam in adams:
            adam.step(gradient, torch.ones(50, dtype=torch.bool), rate, own)
    assert torch.allclose(fast, twin, atol=1e-5) and torch.allclose(fast, theirs.detach(), atol=1e-5)


def test_adam_leaves_alone_what_was_not_seen() -> None:
    values = torch.ones(10, 2)
    seen = torch.arange(10) % 2 == 0
    for adam in (CpuAdam(values, THREADS), TorchAdam(values)):
        adam.step(torch.ones(10, 2), seen, torch.ones(2))
        assert not adam.first[~seen].any() and adam.first[seen].all()
    assert bool((values[~seen] == 1).all()) and bool((values[seen] != 1).all())


def test_slopes_of_penalties_are_those_of_autograd() -> None:
    g = torch.Generator().manual_seed(0)
    n = 40
    penalties = Penalties(widest=0.8, furthest=0.5, width=0.3, distance=0.2, opacity=0.1)
    shapes = {"means": (n, 3), "log_scales": (n, 3), "logit_opacities": (n,)}
    values = {k: torch.randn(s, generator=g).requires_grad_() for k, s in shapes.items()}
    home = torch.rand(n, generator=g)
    found = {k: torch.zeros(s) for k, s in shapes.items()}
    add_slopes(penalties, values, found, home, THREADS)
    scales, distance = values["log_scales"].exp(), values["means"].norm(dim=1)
    loss = 0.3 * (scales * (scales > 0.8)).sum() + 0.2 * (distance * (distance > home + 0.5)).sum()
    ((loss + 0.1 * values["logit_opacities"].sigmoid().sum()) / n).backward()
    for name, value in values.items():
        assert torch.allclose(found[name], value.grad, atol=1e-7), name


def test_emphasis_lies_where_its_triangles_are_seen() -> None:
    avatar = _probe()
    front = avatar.head.v_template[avatar.head.faces].mean(1)[:, 2] > 0.05
    emphasis = torch.where(front, 3.0, 1.0)
    view = _views(avatar, 2)[1]
    marked = EmphasisMap(avatar.head, None, emphasis, CpuSplatter(1))(view)
    assert float(marked.min()) >= 1 and 2.5 < float(marked[SIZE // 2, SIZE // 2]) <= 3.0
    assert float(marked[0, 0]) == 1.0
    behind = replace(view, camera=Camera.orbit(SIZE, SIZE, 180, 0, target=(0, 0, 0), fov_deg=15))
    marked = EmphasisMap(avatar.head, None, emphasis, CpuSplatter(1))(behind)
    assert float(marked[SIZE // 2, SIZE // 2]) < 1.3


def test_eyes_and_lips_count_more() -> None:
    head = replace(_probe().head, regions={"eyes": torch.arange(40), "skin": torch.arange(500)})
    emphasis = face_emphasis(head)
    inside = (head.faces < 40).all(1)
    assert bool((emphasis[inside] > 2).all()) and bool((emphasis[~inside] == 1).all())


def test_exposures_leave_alpha_alone() -> None:
    exposures = Exposures(2, torch.device("cpu"))
    exposures.values[1] = 0.3
    image = torch.rand(4, 4, 4)
    assert torch.equal(exposures.applied(image, 1)[..., 3], image[..., 3])
    assert torch.equal(exposures.applied(image, 0), image)
