"""What the speech model is trained on: banks of voices, each drawn as often as its kind deserves, and noises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from animation.lab.data.corpus import Utterance
from animation.lab.training.banks import FeatureBank, NoiseBank, seed_of, training_utterances
from animation.lab.training.batches import draw_batch
from animation.lab.training.speech_loss import SpeechBatch
from animation.lab.training.targets import SpokenRecording
from animation.lab.training.tuning import Heard, Progress
from animation.speech.audio import HOP_S
from avatar.errors import UserError

__all__ = ["Cut", "Material", "corpus_material"]

_FAMILY_SHARES = {
    "prompts": 0.20, "talkie": 0.17, "steelsky": 0.11, "drascula": 0.05, "fillets": 0.07, "menardi": 0.04,
    "letters": 0.05, "colombia": 0.03, "armelle": 0.01, "kokoro": 0.13, "espeak": 0.03, "flite": 0.03, "festival": 0.06,
    "sung": 0.02,
}  # fmt: skip
"""How much of each batch is of which kind of voice; within a kind by length."""
_RECORDED = ("prompts", "talkie", "steelsky", "drascula", "fillets", "menardi", "letters", "colombia", "armelle")
"""Kinds that are real people, who are few: of each recording there are twice as many altered copies."""
_MINUTES = {"espeak": 20.0, "flite": 6.0, "festival": 6.0}
"""How much of a synthetic voice is enough: more of the same costs time and teaches nothing."""
_MUSIC_HELD_OUT = "reno_project-system"


class Cut(Protocol):
    """How batches are cut: crops in each, the length of a crop, the longest look-ahead, and the seed."""

    @property
    def batch(self) -> int: ...

    @property
    def crop_hops(self) -> int: ...

    @property
    def longest_hops(self) -> int: ...

    @property
    def seed(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Material:
    """What batches are drawn from, and what the seal is tuned on."""

    banks: list[FeatureBank]
    weights: Float[np.ndarray, " s"]
    noises: NoiseBank
    validation: FeatureBank | None
    tuning: Mapping[str, Iterable[Heard]]

    def batch(self, cut: Cut, rng: np.random.Generator) -> tuple[Tensor, SpeechBatch]:
        """A training batch."""
        return self._drawn(self.banks, self.weights, cut, rng)

    def validation_batch(self, cut: Cut, number: int) -> tuple[Tensor, SpeechBatch] | None:
        """One of the batches of held-out people, always the same; None if there are none."""
        if self.validation is None:
            return None
        return self._drawn([self.validation], np.ones(1), cut, np.random.default_rng([cut.seed, 17, number]))

    def _drawn(
        self, banks: list[FeatureBank], weights: np.ndarray, cut: Cut, rng: np.random.Generator
    ) -> tuple[Tensor, SpeechBatch]:
        drawn = draw_batch(banks, weights, self.noises, rng, cut.batch, cut.crop_hops, cut.longest_hops)
        return torch.from_numpy(drawn.features), SpeechBatch.of(drawn)


def corpus_material(folder: Path, cut: Cut, variants: int, progress: Progress) -> Material:
    """The speech corpus, its features made where they are not yet kept.

    The seal is to be tuned on speakers never heard, or on new files of heard ones where there are none.

    Args:
        folder: what `corpus speech` made; features are kept there too.
        cut: sources shorter than one of its crops are left out.
        variants: of each recording, the recording itself among them; twice as many of real people's.
        progress: called with a message and the share done.

    Raises:
        UserError: there is no corpus, or nothing in it is long enough.
    """
    utterances = {name: found for name, found in training_utterances(folder).items() if found}
    if not utterances:
        raise UserError(f"no speech corpus in {folder}: make it with gaussian-avatar corpus speech")
    validation = training_utterances(folder, "validation")
    features = folder / "features"
    banks: dict[str, FeatureBank] = {}
    for number, (name, found) in enumerate(utterances.items()):
        progress(f"features of {name}", number / len(utterances))
        spoken = [SpokenRecording(u.samples, u.segments) for u in _first(found, _MINUTES.get(name.split("_")[0]))]
        copies = variants * (2 if name.startswith(_RECORDED) else 1)
        build = partial(FeatureBank.build, spoken, copies, seed_of(name, cut.seed))
        bank = FeatureBank.cached(features / f"{name}-{copies}-{cut.seed}.npz", build)
        if bank.hops > cut.crop_hops + cut.longest_hops:
            banks[name] = bank
    if not banks:
        needed_s = (cut.crop_hops + cut.longest_hops) * HOP_S
        raise UserError(f"no source in {folder} lasts {needed_s:g} s: make more with corpus speech")
    heard = [SpokenRecording(u.samples, u.segments) for found in validation.values() for u in found]
    held_out = FeatureBank.build(heard, 1, cut.seed) if heard else None
    noises = NoiseBank.cached(features / f"noise-{cut.seed}.npz", partial(_build_noises, folder, cut.seed))
    unheard = {name: found for name, found in validation.items() if name not in utterances}
    return Material(list(banks.values()), _shares(banks), noises, held_out, unheard or validation)


def _first(utterances: list[Utterance], minutes: float | None) -> list[Utterance]:
    """As many as last so long; all if there is no limit."""
    if minutes is None:
        return utterances
    ends = np.cumsum([utterance.duration_s for utterance in utterances])
    return utterances[: int(np.searchsorted(ends, 60 * minutes)) + 1]


def _shares(banks: Mapping[str, FeatureBank]) -> Float[np.ndarray, " s"]:
    """How often each source is drawn."""
    families = [name.split("_")[0] for name in banks]
    hops = np.array([bank.hops for bank in banks.values()], float)
    of_family = {f: sum(h for h, g in zip(hops, families, strict=True) if g == f) for f in families}
    share = np.array([_FAMILY_SHARES[f] * h / of_family[f] for h, f in zip(hops, families, strict=True)])
    return share / share.sum()


def _build_noises(folder: Path, seed: int) -> NoiseBank:
    music = [
        np.load(path, allow_pickle=False).astype(np.float32) / 32767
        for path in sorted((folder / "music").glob("*.npy"))
        if path.stem != _MUSIC_HELD_OUT
    ]
    prompts = [us for name, us in training_utterances(folder).items() if name.startswith("prompts")]
    return NoiseBank([u.samples for us in prompts for u in us], music, seed)
