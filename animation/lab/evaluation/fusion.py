"""How well the fusion module takes speech and expression apart, and how fast.

Measured on people and sentences that it was not trained on, made by the corpus generator with another seed, so that
what is hidden is known; stage 1 is the streaming speech model on synthetic voices with exact phoneme times.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from animation.blendshapes.flame_map import FaceMotion
from animation.blendshapes.fusion import FusionModel, load_fusion
from animation.blendshapes.learned import LearnedFusion, default_weights
from animation.expression.emotions import EMOTIONS, emotion_weights
from animation.lab.data.self_made import CorpusRecipe, face_sequences, performances
from animation.lab.data.sequences import DOMAINS
from animation.lab.data.synthetic_speech import flite
from animation.lab.evaluation.metrics import (
    dynamics_deviation_mm2,
    maximal_error_mm,
    maximal_square_error_mm2,
    rms_length_mm,
)
from animation.speech.articulation import closure_spans, trajectories
from animation.speech.lips import default_lips
from animation.speech.mouth import MouthMap
from animation.speech.stream import SpeechStream
from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.heads import open_head

__all__ = ["HELD_OUT", "HeldOut", "Stage1", "evaluate_fusion", "measure_model"]

_log = logging.getLogger(__name__)

HELD_OUT = CorpusRecipe(
    speakers=8,
    sentences=1,
    identities=8,
    expressions=20,
    speech_fps=15,
    expression_fps=10,
    expression_poses=20,
    noise_mm=0.0,
    seed=20_251,
)
"""Other people, other sentences, other ways of making faces than any training corpus with a smaller seed. Without
registration noise: the measures are about what is hidden."""

_SENTENCES = (
    ("Bob put the purple map upon my maple table.", "slt"),
    ("We move when the beautiful boat may be calm.", "rms"),
    ("Five foxes jumped over the lazy brown dog this morning.", "slt"),
    ("Please bring me a cup of warm milk before bed.", "rms"),
    ("The weather was much better than anybody had expected.", "slt"),
    ("You should choose a smooth blue shoe to wear at the show.", "rms"),
)
_HOP_S = 0.02
_CLOSED_MM = 1.0
_CLOSURE_WINDOW_S = 0.04
_MM = 1e3

Fuse = Callable[[Float[np.ndarray, "t n 3"], Float[np.ndarray, "t n 3"]], Float[np.ndarray, "t n 3"]]
"""(deformation by speech, deformation by expression) -> fused deformation, metres."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Deformations with known parts, over the face's vertices of the generic head."""

    speech: Float32[np.ndarray, "t n 3"]
    speech_truth: Float32[np.ndarray, "t n 3"]
    expression: Float32[np.ndarray, "t n 3"]
    expression_truth: Float32[np.ndarray, "t n 3"]

    @classmethod
    def make(
        cls, head: HeadModel, arkit: ArkitMap, vertices: Int[np.ndarray, " n"], recipe: CorpusRecipe = HELD_OUT
    ) -> HeldOut:
        """Render a recipe with and without what is hidden."""
        performed = list(performances(recipe, head.n_shape))
        parts: dict[tuple[str, str], list[np.ndarray]] = {}
        for part in ("both", "primary"):
            for sequence in face_sequences(performed, head, arkit, vertices, recipe.noise_mm, part):
                parts.setdefault((sequence.domain, part), []).append(sequence.offsets)
        keys = [(domain, part) for domain in DOMAINS for part in ("both", "primary")]
        return cls(*(np.concatenate(parts[key]) for key in keys))


def _kept(model: FusionModel, deformation: np.ndarray, speech: bool) -> Float32[np.ndarray, "t n 3"]:
    """One branch's output."""
    kept = []
    with torch.no_grad():
        for x in torch.from_numpy(np.ascontiguousarray(deformation, np.float32)).split(128):
            if speech:
                kept.append(model.decode(model.keep_speech(x).speech, None))
            else:
                kept.append(model.decode(None, model.keep_expression(x).expression))
    return torch.cat(kept).numpy()


def _interpolate(speech: np.ndarray, expression: np.ndarray) -> np.ndarray:
    return 0.5 * (speech + expression)


def _regions(head: HeadModel, vertices: np.ndarray) -> dict[str, np.ndarray]:
    named = {"lips": "lips", "upper_face": "upper_face"}
    return {k: np.flatnonzero(np.isin(vertices, head.regions[v].numpy())) for k, v in named.items()}


@dataclass(frozen=True, eq=False)
class Stage1:
    """Deformations of the generic head by the streaming model, their truth, and when the lips must touch."""

    predicted: list[Float32[np.ndarray, "t n 3"]]
    truth: list[Float32[np.ndarray, "t n 3"]]

    @classmethod
    def make(cls, motion: FaceMotion, mouth: MouthMap) -> Stage1:
        """Speak every sentence.

        Raises:
            UserError: if flite is not installed.
        """
        predicted, truth = [], []
        for sentence, voice in _SENTENCES:
            spoken = flite(sentence, voice)
            if spoken is None:
                raise UserError(f"flite failed on its voice {voice!r}: apt install flite")
            stream = SpeechStream.open()
            frames = [stream.feed(spoken.samples), stream.finish()]
            articulation = np.concatenate([part.articulation for part in frames])
            aim = trajectories(spoken.segments, len(articulation), _HOP_S)
            predicted.append(motion.deformation(mouth.weights(articulation)))
            truth.append(motion.deformation(mouth.weights(aim)))
        return cls(predicted, truth)


def measure_model(
    model: FusionModel | None,
    held_out: HeldOut,
    head: HeadModel,
    arkit: ArkitMap,
    stage1: Stage1,
    vertices: Int[np.ndarray, " n"],
) -> dict[str, Any]:
    """All measures of one model; of direct interpolation of the inputs if it is None.

    Returns:
        `lve_increase_mm`: LVE of stage 1 after the module less before. `lve_mm`, `lve_mm2`, `fdd`, `fdd_abs`, `eve_mm`:
        of the fused face against the sum of the true parts. `secondary_reduction`: 1 less the energy of all errors of
        the kept part, relative to the energy of the hidden part; by domain, and the mean. `secondary_gone`: 1 less the
        energy of what the hidden part changes in the output, a reading that what is done to a pure input does not
        enter. `primary_error_mm`: just that, root mean square over the face. `crossing_energy`: energy of each branch
        on the other domain's truth relative to that truth. `roughness`: |Lap B| / |B|.
    """
    region = _regions(head, vertices)

    def branch(x: np.ndarray, speech: bool) -> np.ndarray:
        return 0.5 * x if model is None else _kept(model, x, speech)

    reduction: dict[str, float] = {}
    gone: dict[str, float] = {}
    primary_error: dict[str, float] = {}
    for name, whole, truth in (
        ("speech", held_out.speech, held_out.speech_truth),
        ("expression", held_out.expression, held_out.expression_truth),
    ):
        is_speech = name == "speech"
        out, pure = branch(whole, is_speech), branch(truth, is_speech)
        hidden = float(((whole - truth) ** 2).sum())
        reduction[name] = 1 - float(((out - truth) ** 2).sum()) / hidden
        gone[name] = 1 - float(((out - pure) ** 2).sum()) / hidden
        primary_error[name] = rms_length_mm(pure - truth)
    results: dict[str, Any] = {
        "secondary_reduction": float(np.mean(list(reduction.values()))),
        "secondary_reduction_by_domain": reduction,
        "secondary_gone": float(np.mean(list(gone.values()))),
        "secondary_gone_by_domain": gone,
        "primary_error_mm": primary_error,
    }
    results["crossing_energy"] = {
        "expression_branch_on_speech": _crossing(model, held_out.speech_truth, True),
        "speech_branch_on_expression": _crossing(model, held_out.expression_truth, False),
    }

    before = [maximal_error_mm(p[:, region["lips"]], t[:, region["lips"]]) for p, t in _pairs(stage1)]
    after = [maximal_error_mm(branch(p, True)[:, region["lips"]], t[:, region["lips"]]) for p, t in _pairs(stage1)]
    results["lve_stage1_mm"] = float(np.mean(before))
    results["lve_increase_mm"] = float(np.mean(after) - np.mean(before))
    results["lve_of_module_mm"] = float(
        np.mean([maximal_error_mm(branch(p, True)[:, region["lips"]], p[:, region["lips"]]) for p, _ in _pairs(stage1)])
    )

    rng = np.random.default_rng(5)
    a = rng.integers(len(held_out.speech), size=240)
    e = rng.integers(len(held_out.expression), size=240)
    aim = held_out.speech_truth[a] + held_out.expression_truth[e]
    fused = branch(held_out.speech[a], True) + branch(held_out.expression[e], False)
    lips, upper = region["lips"], region["upper_face"]
    results["lve_mm"] = maximal_error_mm(fused[:, lips], aim[:, lips])
    results["lve_mm2"] = maximal_square_error_mm2(fused[:, lips], aim[:, lips])
    results["eve_mm"] = maximal_error_mm(fused[:, upper], aim[:, upper])
    results["fdd"], results["fdd_abs"] = dynamics_deviation_mm2(
        np.array_split(fused[:, upper], 4), np.array_split(aim[:, upper], 4)
    )
    results["roughness"] = None if model is None else _roughness(model)
    return results


def _pairs(stage1: Stage1) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(zip(stage1.predicted, stage1.truth, strict=True))


def _crossing(model: FusionModel | None, truth: np.ndarray, speech: bool) -> float:
    if model is None:
        return 1.0
    energy = 0.0
    with torch.no_grad():
        for x in torch.from_numpy(np.ascontiguousarray(truth)).split(128):
            weights = model.encode(x)
            other = model.decode(None, weights.expression) if speech else model.decode(weights.speech, None)
            energy += float((other**2).sum())
    return energy / float((truth**2).sum())


def _roughness(model: FusionModel) -> dict[str, float]:
    out = {}
    for name, shapes in (("speech", model.speech_blendshapes), ("expression", model.expression_blendshapes)):
        flat = shapes.permute(1, 0, 2).flatten(1).numpy()
        rough = model.image.laplacian @ flat
        out[name] = float(np.sqrt((rough**2).sum() / (flat**2).sum()))
    return out


def _closure_rates(
    fuse: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray], mouth: MouthMap, sealed: bool
) -> dict[str, float]:
    """Share of p, b and m whose lips come nearer than 1 mm within 40 ms, per emotion at full intensity."""
    hits: dict[str, list[bool]] = {name: [] for name in EMOTIONS}
    for performance in performances(
        CorpusRecipe(speakers=1, sentences=1, identities=1, speech_fps=1 / _HOP_S, seed=99), 0, lips=mouth.lips
    ):
        if performance.domain != "speech" or performance.utterance is None:
            continue
        segments = performance.utterance.segments
        spans = closure_spans(segments)
        times = (np.arange(len(performance.primary)) + 0.5) * _HOP_S
        seal = np.zeros(len(times), np.float32)
        for start, end in spans:
            seal[(times > start) & (times < end)] = 1.0
        near = np.zeros(len(times), bool)
        for start, end in spans:
            near |= (times > start - _CLOSURE_WINDOW_S) & (times < end + _CLOSURE_WINDOW_S)
        for name in EMOTIONS:
            feeling = np.broadcast_to(emotion_weights(name, 1.0), performance.primary.shape)
            gap = np.full(len(times), np.inf)
            chosen = np.flatnonzero(near)
            fused = fuse(performance.primary[chosen], feeling[chosen], seal[chosen] if sealed else 0 * seal[chosen])
            gap[chosen] = mouth.lip_gap_mm(fused)
            for start, end in spans:
                window = (times > start - _CLOSURE_WINDOW_S) & (times < end + _CLOSURE_WINDOW_S)
                hits[name].append(bool(gap[window].min() < _CLOSED_MM))
    return {name: float(np.mean(found)) for name, found in hits.items()}


def _speed(fusion: LearnedFusion, mouth: MouthMap) -> dict[str, float]:
    """Poses a second from speech and emotion weights to the head's parameters, one by one and in batches of 64."""
    rng = np.random.default_rng(0)
    speech = mouth.weights(rng.uniform(0, 0.6, (64, 7)).astype(np.float32))
    feeling = np.broadcast_to(emotion_weights("happy", 1.0), speech.shape)
    rates = {}
    for name, batches in (("one_by_one", [slice(i, i + 1) for i in range(64)]), ("in_batches", [slice(0, 64)])):
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            for part in batches:
                fusion.fuse(speech[part], feeling[part], 0.0)
            best = min(best, time.perf_counter() - start)
        rates[name] = 64 / best
    return rates


def evaluate_fusion(
    weights: Path | str | None = None,
    ablations: Path | str | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure a fusion module; everything that `evaluate fusion --json` prints.

    Args:
        weights: of the module; those that ship if None.
        ablations: a JSON file of measured ablations; the one that ships if None.
        progress: told what is being measured.

    Raises:
        UserError: if the weights do not fit the generic head, or flite is not installed.
    """
    say = progress or (lambda text: None)
    head, arkit = open_head()
    model, metadata = load_fusion(default_weights() if weights is None else weights, head)
    fusion = LearnedFusion(model, head, arkit)
    vertices = model.image.vertices
    lips = default_lips()
    mouth = MouthMap(lips)
    say("held-out people")
    held_out = HeldOut.make(head, arkit, vertices)
    say("stage 1 on held-out sentences")
    stage1 = Stage1.make(FaceMotion.from_head(head, arkit, vertices), mouth)
    say("disentanglement")
    results = measure_model(model, held_out, head, arkit, stage1, vertices)
    say("closures under every emotion")
    results["closure_rate_by_emotion"] = _closure_rates(fusion.fuse, mouth, sealed=True)
    results["closure_rate_by_emotion_unsealed"] = _closure_rates(fusion.fuse, mouth, sealed=False)
    say("speed")
    speed = _speed(fusion, mouth)
    results["poses_per_s"] = speed["one_by_one"]
    results["poses_per_s_batched"] = speed["in_batches"]
    results["lip_mask"] = {"region": "lips", "vertices": len(_regions(head, vertices)["lips"])}
    results["flame_map_residual_mm"] = {
        "speech": fusion.speech_map.residual_mm,
        "expression": fusion.expression_map.residual_mm,
    }
    results["training"] = metadata
    results["ablations"] = _ablations(ablations)
    return results


def _ablations(path: Path | str | None) -> Mapping[str, Any]:
    if path is None:
        path = Path(str(resources.files("animation") / "weights" / "fusion_ablations.json"))
        if not path.is_file():
            return {}
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as measured ablations ({error})") from error
