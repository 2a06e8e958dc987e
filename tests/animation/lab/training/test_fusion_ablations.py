"""The ablations run on a small corpus; what is measured is kept and not measured again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from animation.lab.data.self_made import CorpusRecipe
from animation.lab.training import fusion_ablations
from animation.lab.training.fusion_ablations import VARIANTS, Variant, run_ablations
from avatar.heads import open_head

pytest.importorskip("lightning_fabric")

SMALL = CorpusRecipe(
    speakers=3, sentences=1, identities=3, expressions=3, speech_fps=15, expression_fps=15, expression_poses=20
)
CHANGES = {"image_size": 32, "linear_path": 8, "batch": 4}


def test_every_variant_is_another_module_than_the_full_one() -> None:
    assert VARIANTS["full"] == Variant()
    assert all(variant != VARIANTS["full"] for name, variant in VARIANTS.items() if name != "full")


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_what_is_measured_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []
    real = fusion_ablations.self_made_data

    def counted(head, arkit, size, train, validation, progress):  # type: ignore[no-untyped-def]
        made.append(train.noise_mm)
        return real(head, arkit, size, train, validation, progress)

    monkeypatch.setattr(fusion_ablations, "self_made_data", counted)
    monkeypatch.setattr(fusion_ablations, "TRAINING", SMALL)
    monkeypatch.setattr(fusion_ablations, "VALIDATION", replace(SMALL, seed=71))
    monkeypatch.setattr(fusion_ablations, "HELD_OUT", replace(SMALL, seed=72, noise_mm=0.0))
    variants = {
        "full": Variant(CHANGES),
        "without_sparsity": Variant(CHANGES | {"sparsity": 0.0}),
        "noisy": Variant(CHANGES, {"noise_mm": 0.5}),
    }
    monkeypatch.setattr(fusion_ablations, "VARIANTS", variants)
    out = tmp_path / "ablations.json"
    results = run_ablations(*open_head(), out, seeds=2, steps=2)
    assert set(results) == {*variants, "direct_interpolation"} and made == [0.05, 0.5]
    assert json.loads(out.read_text()) == results
    for name in variants:
        assert results[name]["seeds"] == 2
        assert results[name]["spread"]["secondary_reduction"] >= 0
    assert run_ablations(*open_head(), out, seeds=2, steps=2) == results
    assert made == [0.05, 0.5]
