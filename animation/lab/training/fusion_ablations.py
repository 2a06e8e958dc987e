"""The fusion module without each of its parts, trained and measured in the same way.

Each variant is trained several times, with other seeds, for the same number of steps on the same data, and measured on
the same people and sentences that none of them has seen.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from animation.blendshapes.flame_map import FaceMotion
from animation.blendshapes.fusion import FusionConfig
from animation.blendshapes.geometry_image import geometry_image
from animation.lab.data.self_made import TRAINING, VALIDATION, CorpusRecipe, face_sequences, performances
from animation.lab.data.sequences import MeshSequence
from animation.lab.evaluation.fusion import HELD_OUT, HeldOut, Stage1, measure_model
from animation.lab.training.engine import EngineOptions
from animation.lab.training.fusion import train_fusion
from animation.lab.training.fusion_data import FusionData
from animation.speech.mouth import MouthMap
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel

__all__ = ["VARIANTS", "Variant", "run_ablations", "self_made_data"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Variant:
    """What is other than in the module that ships."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    """In the configuration."""
    corpus: Mapping[str, Any] = field(default_factory=dict)
    """In the recipe of the training data."""


_NOISY = {"noise_mm": 0.5}
"""Of the order of what registration leaves in real 4D scans."""
_FEW = {"speakers": 12, "identities": 12}
"""As many as speak in VOCASET."""

VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "full": Variant(),
        "without_sparsity": Variant({"sparsity": 0.0}),
        "without_smoothness": Variant({"smoothness": 0.0}),
        "without_geometric_mapping": Variant({"geometric_mapping": False}),
        "network_alone": Variant({"linear_path": 0}),
        "network_alone_without_geometric_mapping": Variant({"linear_path": 0, "geometric_mapping": False}),
        "noisy_data": Variant(corpus=_NOISY),
        "noisy_data_without_smoothness": Variant({"smoothness": 0.0}, _NOISY),
        "few_people": Variant(corpus=_FEW),
        "few_people_without_geometric_mapping": Variant({"geometric_mapping": False}, _FEW),
    }
)
"""Each part left out; the geometric mapping also where no linear path stands in for it and where people are few, and
smoothness also where data are rough. Direct interpolation of the inputs needs no training."""


def self_made_data(
    head: HeadModel,
    arkit: ArkitMap,
    image_size: int,
    train: CorpusRecipe = TRAINING,
    validation: CorpusRecipe = VALIDATION,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[FusionData, FusionData]:
    """The self-made corpus, held in memory as faces alone.

    Args:
        head: whose face.
        arkit: its blendshapes.
        image_size: of the geometry image.
        train: what to train on.
        validation: other people; their names are told apart from the first ones'.
        progress: told what has been made, and the share of it all.
    """
    image = geometry_image(head, image_size)
    total = sum(r.speakers * r.sentences + r.identities * r.expressions for r in (train, validation))
    done = 0

    def sequences(recipe: CorpusRecipe, prefix: str) -> Iterator[MeshSequence]:
        nonlocal done
        played = performances(recipe, head.n_shape)
        for sequence in face_sequences(played, head, arkit, image.vertices, recipe.noise_mm, seed=recipe.seed):
            yield replace(sequence, subject=prefix + sequence.subject)
            done += 1
            if progress is not None and done % 20 == 0:
                progress(f"{done} of {total} sequences made", done / total)

    return FusionData(sequences(train, ""), image), FusionData(sequences(validation, "validation_"), image)


def run_ablations(
    head: HeadModel,
    arkit: ArkitMap,
    out: Path | str,
    seeds: int = 3,
    steps: int = 500,
    progress: Callable[[str, float], None] | None = None,
) -> dict[str, Any]:
    """Train and measure every variant; what is measured is kept after each, and not measured again.

    Args:
        head: whose face.
        arkit: its blendshapes.
        out: the results, a JSON file: name -> {measure: mean over the seeds, `spread`: {measure: greatest less least},
            `seeds`, `steps`}.
        seeds: how many trainings of each variant.
        steps: of each training.
        progress: told what is being done, and the share of it all.

    Raises:
        UserError: if flite or Lightning Fabric is not installed.
    """
    say = progress or (lambda text, share: None)

    def tell(share: float, text: str, _: float) -> None:
        say(text, share)

    out = Path(out)
    config = FusionConfig(steps=steps)
    vertices = geometry_image(head, config.image_size).vertices
    held_out = HeldOut.make(head, arkit, vertices, HELD_OUT)
    stage1 = Stage1.make(FaceMotion.from_head(head, arkit, vertices), MouthMap())
    results: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    results["direct_interpolation"] = measure_model(None, held_out, head, arkit, stage1, vertices)
    made_with, data = None, None
    for index, (name, variant) in enumerate(VARIANTS.items()):
        if (results.get(name, {}).get("seeds"), results.get(name, {}).get("steps")) == (seeds, steps):
            continue
        share = index / len(VARIANTS)
        if data is None or variant.corpus != made_with:
            train, validation = replace(TRAINING, **variant.corpus), VALIDATION
            validation = replace(validation, noise_mm=train.noise_mm)
            data = self_made_data(head, arkit, config.image_size, train, validation, partial(tell, share))
            made_with = variant.corpus
        runs = []
        for seed in range(seeds):
            say(f"{name}, seed {seed}", share + seed / seeds / len(VARIANTS))
            with tempfile.TemporaryDirectory() as folder:
                chosen = replace(config, seed=seed, **variant.changes)
                options = EngineOptions(accelerator="cpu", validate_every=steps, checkpoint_every=steps)
                model = train_fusion(*data, head, folder, chosen, options)
            runs.append(measure_model(model, held_out, head, arkit, stage1, vertices))
            _log.info("%s, seed %d: %s", name, seed, runs[-1])
        results[name] = {
            **_over(runs, lambda values: float(np.mean(values))),
            "spread": _over(runs, lambda values: float(np.ptp(values))),
            "seeds": seeds,
            "steps": steps,
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return results


def _over(runs: list[dict[str, Any]], fold: Callable[[list[float]], float]) -> dict[str, Any]:
    """The same tree of measures with one number in the place of each run's."""
    first = runs[0]
    return {
        key: _over([run[key] for run in runs], fold) if isinstance(value, dict) else fold([run[key] for run in runs])
        for key, value in first.items()
    }
