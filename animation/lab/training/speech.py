"""Training the streaming speech model: on the speech corpus, or on faces that were seen speaking."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from animation.lab.data.sequences import MeshSequence
from animation.lab.training.banks import FeatureBank, NoiseBank, seed_of
from animation.lab.training.engine import EngineOptions, batch_rng, is_first_process, run
from animation.lab.training.material import Material, corpus_material
from animation.lab.training.speech_loss import SpeechBatch, SpeechLoss
from animation.lab.training.targets import MouthRecording
from animation.lab.training.teacher import Teacher, teacher_config
from animation.lab.training.tuning import SUREST_HOPS, best_rule, tune_seal
from animation.speech.audio import HOP_S, SAMPLE_RATE
from animation.speech.model import SealRule, SpeechModelConfig, expected_shapes, load_weights, save_weights
from animation.speech.mouth_fit import MouthFit
from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel

__all__ = ["DATA_STATEMENT", "TrainingConfig", "train_speech", "train_speech_on_meshes"]

_log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]

_VALIDATION_BATCHES = 4
_WARM_UP = 100

DATA_STATEMENT = {
    "recordings": (
        "Debian packages asterisk-core-sounds-{en,es,fr,it,ru}-g722 (telephone prompts; en, es, fr CC-BY-SA 3.0, "
        "it, ru CC-BY 3.0) and asterisk-prompt-it-menardi-wav (Paola Dal Zot and Marco Menardi, "
        "http://www.voip.ammdomus.it, CC-BY-SA 3.0), every twelfth file of which is kept for tests and every twelfth "
        "for validation; the lines of the games flight-of-the-amazon-queen ((C) John Passfield and Steven "
        "Stamatiadis), beneath-a-steel-sky ((C) Revolution Software Ltd), drascula ((C) Alcachofa Soft S.L.) and "
        "fillets-ng-data-cs (Fish Fillets, ALTAR interactive, GPL-2); klettres-data (letters by volunteers, GPL-2+), "
        "asterisk-prompt-es-co (July E. Jimenez, GPL-2) and asterisk-prompt-fr-armelle (Armelle Desjardins, (C) Michel "
        "Gutierrez, BSD); all aligned by force"
    ),
    "synthetic": (
        "espeak-ng; flite voices slt, rms, awb, kal16; festival voices kal, ked, us_slt_arctic_hts, lp, pc, czech "
        "dita krb machac ph, finnish mv lj, catalan ona_hts, russian nsh; singing made from formulas; Kokoro-82M "
        "(hexgrad, Apache-2.0) in voices mixed from 44 of its 54, ten being kept for tests; sentences of Debian's "
        "fortunes packages and of the campaigns of Wesnoth (GPL-2)"
    ),
    "noise": "synthetic noise, babble of the prompts, music on hold of asterisk-moh-opsound-g722 (CC-BY-SA 3.0)",
    "command": "gaussian-avatar corpus speech && gaussian-avatar train speech",
}


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. One step of the default size takes about 0.7 s on one core."""

    model: SpeechModelConfig = field(default_factory=SpeechModelConfig)
    steps: int = 5000
    batch: int = 64
    crop_hops: int = 120
    warm_up_hops: int = 3  # at the start of a crop, where the past is missing: not counted
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.01
    variants: int = 2
    average_decay: float = 0.998
    seed: int = 0
    teacher: bool = False
    """Train one that hears the whole sound instead; see `animation.lab.training.teacher`."""

    @property
    def longest_hops(self) -> int:
        """The longest look-ahead: how much earlier than the features the targets of a crop begin."""
        return max(self.model.lookaheads_hops)


class _SpeechTask:
    """The speech model as the engine trains it."""

    name = "speech"

    def __init__(self, config: TrainingConfig, material: Material) -> None:
        self._config, self._material = config, material
        self.steps, self.seed = config.steps, config.seed
        self.loss = SpeechLoss(config.model, config.warm_up_hops, config.average_decay, config.teacher)
        self.module: nn.Module = self.loss

    def parameter_groups(self) -> list[dict[str, Any]]:
        c = self._config
        learning = [parameter for parameter in self.loss.network.parameters() if parameter.requires_grad]
        group = {"params": learning, "lr": c.learning_rate}
        return [group | {"weight_decay": c.weight_decay, "betas": (0.9, 0.999)}]

    def learning_rate(self, step: int) -> float:
        """Linear rise over 100 steps, or a tenth of a short training, then a cosine to 2 %."""
        rise = max(1, min(_WARM_UP, self.steps // 10))
        if step < rise:
            return (step + 1) / rise
        return 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * (step - rise) / max(1, self.steps - rise))))

    def batch(self, step: int, rank: int) -> tuple[Tensor, SpeechBatch]:
        return self._material.batch(self._config, batch_rng(self.seed, step, rank))

    def validate(self) -> Mapping[str, float]:
        """The loss on held-out people, of the weights as they are."""
        device = next(self.loss.network.parameters()).device
        losses = []
        for number in range(_VALIDATION_BATCHES):
            drawn = self._material.validation_batch(self._config, number)
            if drawn is not None:
                features, targets = drawn
                on_device = SpeechBatch(*(part.to(device) for part in targets))
                losses.append(float(self.loss((features.to(device), on_device))["loss"]))
        return {"loss": float(np.mean(losses))} if losses else {}


def train_speech(
    data_dir: Path | str,
    out: Path | str,
    config: TrainingConfig | None = None,
    options: EngineOptions | None = None,
    progress: Progress = lambda message, share: None,
    start: Path | None = None,
    heads_only: bool = False,
) -> Path:
    """Train the speech model on the speech corpus, and tune its seal on the validation speakers.

    Writes `out/speech.safetensors`, `out/checkpoint.pt`, `out/curves.csv` and `out/curves.png`. A run that was stopped
    or killed goes on when it is started again with the same arguments.

    Args:
        data_dir: what `corpus speech` made; features are kept there too.
        out: folder for the results.
        config: how to train, and whether the streaming model or a teacher, which is written to
            `out/teacher.safetensors`.
        options: device and pace of checkpoints.
        progress: called with a message and the share done.
        start: weights to begin with, of the same size, or a training's checkpoint (.pt); they are changed at half the
            rate. Random ones if None.
        heads_only: of those weights only the heads change: cheap, and enough for another look-ahead.

    Returns:
        The weights file.

    Raises:
        UserError: there is no corpus, or the weights to begin with do not fit.
    """
    config, folder, out = config or TrainingConfig(), Path(data_dir), Path(out)
    if config.teacher:
        config = replace(config, model=teacher_config(config.model))
    material = corpus_material(folder, config, config.variants, progress)
    return _train(material, out, config, options, progress, {"data": DATA_STATEMENT}, start, heads_only)


def train_speech_on_meshes(
    train: Iterable[MeshSequence],
    validation: Iterable[MeshSequence],
    head: HeadModel,
    arkit: ArkitMap,
    out: Path | str,
    config: TrainingConfig | None = None,
    options: EngineOptions | None = None,
    progress: Progress = lambda message, share: None,
    metadata: dict[str, Any] | None = None,
) -> Path:
    """Train the speech model on faces seen speaking, such as VOCASET's.

    The seven articulation channels are fitted to every mesh; a closure is where the lips touch in the middle of speech.
    Visemes are not known and stay untrained. Writes what `train_speech` writes, and `out/features.npz`.

    Args:
        train: speech sequences with sound to learn from.
        validation: of other people.
        head: of whose topology the sequences are.
        arkit: its blendshapes.
        out: folder for the results.
        config: how to train.
        options: device and pace of checkpoints.
        progress: called with a message and the share done.
        metadata: anything to be kept with the weights, JSON.

    Returns:
        The weights file.

    Raises:
        UserError: if no sequence has sound.
    """
    config, out = config or TrainingConfig(), Path(out)
    fit = MouthFit(head, arkit, rounds=1)

    def recorded(sequences: Iterable[MeshSequence]) -> list[MouthRecording]:
        found = []
        for sequence in sequences:
            if sequence.domain == "speech" and sequence.audio is not None:
                progress(f"fitting the mouth of {sequence.key}", 0.0)
                found.append(MouthRecording.of(sequence, head, fit))
        return found

    seen, held_out = recorded(train), recorded(validation)
    if not seen:
        raise UserError("no speech with sound among the training data")
    banks = [FeatureBank.build(seen, config.variants, seed_of("meshes", config.seed))]
    shortest = min(bank.hops for bank in banks)
    if shortest <= config.crop_hops + config.longest_hops:
        raise UserError(
            f"only {shortest * HOP_S:.1f} s of speech to train on; {config.crop_hops * HOP_S:g} s are needed"
        )
    noises = NoiseBank([recording.samples for recording in seen], [], config.seed)
    unheard = FeatureBank.build(held_out, 1, config.seed) if held_out else None
    if unheard is not None and unheard.hops <= config.crop_hops + config.longest_hops:
        unheard = None
    material = Material(banks, np.ones(1), noises, unheard, {"validation": held_out})
    return _train(material, out, config, options, progress, {"data": metadata or {}})


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Numbers too small to matter count as zero, which is much faster; the process gets its arithmetic back after."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _train(
    material: Material,
    out: Path,
    config: TrainingConfig,
    options: EngineOptions | None,
    progress: Progress,
    about: dict[str, Any],
    start: Path | None = None,
    heads_only: bool = False,
) -> Path:
    torch.manual_seed(config.seed)
    if start is not None:
        config = replace(config, learning_rate=0.5 * config.learning_rate)
    task = _SpeechTask(config, material)
    if start is not None:
        try:
            task.loss.begin(_beginning(start), heads_only)
        except ValueError as error:
            raise UserError(f"cannot begin with {start}: {error}") from error

    def tell(done: int, steps: int, measures: Mapping[str, float]) -> None:
        newest = f", loss {measures['loss']:.3f}" if "loss" in measures else ""
        progress(f"step {done} of {steps}{newest}", done / steps)

    with _denormals_flushed():
        run(task, out, replace(options or EngineOptions(), max_gradient_norm=1.0), tell)
    weights = out / ("teacher.safetensors" if config.teacher else "speech.safetensors")
    if is_first_process():
        task.loss.follow()
        beginning = {"start": None if start is None else start.name, "heads_only": heads_only}
        training = {k: v for k, v in asdict(config).items() if k != "model"} | beginning
        hours = round(config.steps * config.batch * config.crop_hops * HOP_S / 3600, 1)
        facts = {"training": training, "hours_heard": hours, "sample_rate": SAMPLE_RATE}
        if config.teacher:
            teacher = Teacher(task.loss.average)
            rule, reached = best_rule(material.tuning, teacher.closures, SUREST_HOPS, progress)
            teacher.save(weights, rule or SealRule(), about | facts | {"seals": reached})
        else:
            tensors = {name: tensor.numpy() for name, tensor in task.loss.average.state_dict().items()}
            kept = {name: tensors[name] for name in expected_shapes(config.model)}
            save_weights(weights, config.model, kept, about | facts)
            tune_seal(material.tuning, weights, progress)
    return weights


def _beginning(start: Path) -> dict[str, np.ndarray]:
    """The tensors of a weights file, or of a training's checkpoint, which has the heads of phonemes too."""
    if start.suffix != ".pt":
        return load_weights(start)[1]
    try:
        module = torch.load(start, map_location="cpu", weights_only=True)["module"]
        return {
            name.removeprefix("average."): tensor.numpy()
            for name, tensor in module.items()
            if name.startswith("average.")
        }
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise UserError(f"cannot begin with {start}: it is no checkpoint of a speech training") from error
