"""The benchmark of training: its form, and that its numbers add up."""

from __future__ import annotations

import pytest

from app.benchmarks.training import bench_train
from avatar.errors import UserError
from avatar.render.probe import probe_avatar


def test_parts_and_peer() -> None:
    told: list[float] = []
    found = bench_train(
        steps=3, size=64, device="cpu", avatar=probe_avatar(200), counts=(100, 300), peer=300,
        tell=lambda message, share: told.append(share),
    )  # fmt: skip
    assert [row["gaussians"] for row in found["results"]] == [100, 300]
    for row in found["results"]:
        assert min(row["forward_ms"], row["loss_ms"], row["backward_ms"]) > 0
        assert row["iterations_per_s"] == pytest.approx(1000 / row["step_ms"], rel=0.1)
    (peer,) = found["peers"]
    mine = found["results"][1]
    parts = ("forward_ms", "loss_ms", "backward_ms")
    assert peer["times_slower"] == pytest.approx(sum(peer[p] for p in parts) / sum(mine[p] for p in parts), rel=0.1)
    assert {"machine", "device", "size"} <= set(found) and told == sorted(told)


def test_senseless_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="0 steps"):
        bench_train(steps=0, avatar=probe_avatar(10))
