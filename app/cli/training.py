"""Commands that train, and that score what was trained."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import UseAppendAction

from app.cli.corpora import SPEECH_CORPUS
from app.cli.terminal import Messages, Output, console, messages, print_json, registry
from app.options import refuse
from avatar.errors import UserError

if TYPE_CHECKING:
    from animation.blendshapes.fusion import FusionConfig
    from animation.lab.data.folders import FaceData
    from animation.lab.data.sequences import Domain, MeshSequence
    from animation.lab.training.engine import EngineOptions
    from avatar.flame.head import HeadModel

__all__: list[str] = []


_Folders = Annotated[tuple[Path, ...], UseAppendAction]
_Formats = Annotated[tuple[str, ...], UseAppendAction]
_Device = Literal["auto", "cpu", "cuda"]


@registry.command(name="train speech")
def train_speech(
    *,
    data: _Folders = (),
    format: _Formats = (),
    out: Output = Path("out/speech"),
    head: str = "",
    start: Path | None = None,
    heads_only: bool = False,
    teacher: bool = False,
    steps: int | None = None,
    seed: int = 0,
    device: _Device = "auto",
    devices: int = 1,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> int:
    """Train the streaming speech model, on the speech corpus or on faces seen speaking.

    Stopped or killed, it goes on when the same command is given again.

    Args:
        data: what `corpus speech` made, or a folder of meshes with sound; repeat it for more folders of meshes.
        format: corpus, native, vocaset or faceformer; told by what is in the folder if not given.
        out: folder for speech.safetensors, its checkpoint and its curves.
        head: of whose topology the meshes are: an imported FLAME model or a file; the generic head if not given.
        start: weights to begin with, such as an earlier speech.safetensors; only with the speech corpus.
        heads_only: change nothing but their heads: cheap, and enough for another look-ahead.
        teacher: train one that hears the whole sound first, the ceiling to measure by: writes teacher.safetensors.
        steps: how long; as the shipped weights were trained if not given.
        seed: the same seed gives the same weights.
        device: cpu, cuda or auto.
        devices: GPUs, or processes on the CPU.
        precision: of the matrix products while it trains; bfloat16 is faster where the processor has AMX.
    """
    from animation.lab.data.folders import FaceData
    from animation.lab.training import speech
    from avatar.importing import open_any_head

    folders = data or (SPEECH_CORPUS,)
    from_corpus = format == ("corpus",) or (not format and _is_speech_corpus(folders))
    if from_corpus:
        refuse("the speech corpus has no meshes", head=head or None)
    else:
        refuse("meshes are trained on from the beginning", start=start)
        refuse("a teacher learns from the speech corpus", teacher=teacher or None)
    if start is None:
        refuse("the heads of which weights? give --start too", heads_only=heads_only or None)
    config = speech.TrainingConfig(seed=seed, teacher=teacher)
    config = config if steps is None else replace(config, steps=_positive("steps", steps))
    options = _engine(device, devices, 250)
    if precision == "bfloat16":
        options = replace(options, precision="bf16-mixed")
    with messages() as progress:
        if from_corpus:
            if len(folders) > 1:
                raise UserError("one corpus at a time: give --data once")
            weights = speech.train_speech(folders[0], out, config, options, progress, start, heads_only)
        else:
            people = FaceData.open(folders, format, ("speech",), seed)
            model, arkit = open_any_head(head)
            seen, held_out = (people.sequences(part, model, ("speech",)) for part in ("train", "validation"))
            about = {"folders": [f"{folder.path.name} ({folder.format})" for folder in people.folders]}
            weights = speech.train_speech_on_meshes(seen, held_out, model, arkit, out, config, options, progress, about)
    return _wrote(weights, out)


@registry.command(name="train faceformer")
def train_faceformer(
    *,
    data: _Folders,
    format: _Formats = (),
    out: Output = Path("out/faceformer"),
    head: str = "",
    wav2vec2: Path | None = None,
    learning_rate: float = 1e-4,
    steps: int | None = None,
    seed: int = 0,
    device: _Device = "auto",
    devices: int = 1,
) -> int:
    """Train FaceFormer, the paper's first stage: from a whole utterance to the movement of every vertex.

    Stopped or killed, it goes on when the same command is given again.

    Args:
        data: a folder of meshes with sound; repeat it for more folders.
        format: native, vocaset or faceformer; told by what is in the folder if not given.
        out: folder for faceformer.safetensors, its checkpoint and its curves.
        head: of whose topology the meshes are: an imported FLAME model or a file; the generic head if not given.
        wav2vec2: folder of a wav2vec 2.0 model, such as wav2vec2-base-960h; a small encoder of its own if not given.
        learning_rate: of Adam; the authors' 1e-4 if not given.
        steps: utterances to learn from, one each; 100 passes over the data if not given.
        seed: the same seed gives the same weights.
        device: cpu, cuda or auto.
        devices: GPUs, or processes on the CPU.
    """
    from animation.lab.data.folders import FaceData
    from animation.lab.training.faceformer import train_faceformer as train
    from avatar.importing import open_any_head

    options = _engine(device, devices, 50)
    people = FaceData.open(data, format, ("speech",), seed)
    model, _ = open_any_head(head)
    steps = None if steps is None else _positive("steps", steps)
    with messages() as progress:
        seen, held_out = _read(people, model, ("speech",), progress, audio=True)
        folder = "" if wav2vec2 is None else str(wav2vec2)
        train(seen, held_out, out, steps, learning_rate, seed, folder, options=options, progress=_measured(progress))
    return _wrote(out / "faceformer.safetensors", out)


@registry.command(name="train fusion")
def train_fusion(
    *,
    data: _Folders = (),
    format: _Formats = (),
    out: Output = Path("out/fusion"),
    head: str = "",
    config: Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
    device: _Device = "auto",
    devices: int = 1,
) -> int:
    """Train the paper's fusion module on faces that speak and faces that make expressions.

    One folder may have both (the native layout, 3DMEAD), or give two: --data VOCASET --data FLORENCE4D. Without data
    it makes its own, as for the weights that ship. Stopped or killed, it goes on when the same command is given again.

    Args:
        data: a folder of meshes; repeat it for more folders. Between them they need speech and expressions.
        format: of each folder, or one for all: native, vocaset, faceformer, florence4d or 3dmead; told by what is in
            the folder if not given.
        out: folder for fusion.safetensors, its checkpoint and its curves.
        head: of whose topology the meshes are: an imported FLAME model or a file; the generic head if not given.
        config: a JSON file with fields of `FusionConfig` that are to differ from the defaults.
        steps: how long; the configuration's own number if not given.
        seed: the same seed gives the same weights; the configuration's own if not given.
        device: cpu, cuda or auto.
        devices: GPUs, or processes on the CPU.
    """
    from animation.lab.data.folders import FaceData
    from animation.lab.data.self_made import TRAINING
    from animation.lab.data.sequences import DOMAINS
    from animation.lab.training.fusion import train_fusion as train
    from animation.lab.training.fusion_ablations import self_made_data
    from avatar.importing import open_any_head

    if not data:
        refuse("of which data? give --data too", format=format or None)
    options = _engine(device, devices, 50)
    chosen = _fusion_config(config, steps, seed)
    model, arkit = open_any_head(head)
    if not data:
        with messages() as progress:
            made, other = self_made_data(model, arkit, chosen.image_size, progress=progress)
            train(made, other, model, out, chosen, options, _measured(progress), {"recipe": asdict(TRAINING)})
        return _wrote(out / "fusion.safetensors", out)
    people = FaceData.open(data, format, seed=chosen.seed)
    about = {"folders": [f"{folder.path.name} ({folder.format})" for folder in people.folders]}
    with messages() as progress:
        seen, held_out = _read(people, model, DOMAINS, progress, audio=False)
        train(seen, held_out, model, out, chosen, options, _measured(progress), about)
    return _wrote(out / "fusion.safetensors", out)


@registry.command(name="train stress")
def train_stress(*, out: Output = Path("out/stress"), steps: int = 3000, seed: int = 0) -> int:
    """Train what hears where a voice stresses, on synthetic voices (espeak-ng, flite, and the extra `voice`).

    Args:
        out: the folder to write to.
        steps: how many.
        seed: of everything random.
    """
    from animation.lab.training.stress import StressTraining
    from animation.lab.training.stress import train_stress as train

    with messages() as progress:
        scores = train(out, StressTraining(steps=_positive("steps", steps), seed=seed), progress)
    console.print(
        f"Wrote {out / 'stress.safetensors'}: on voices it never heard, {100 * scores['precision']:.0f} % of what it "
        f"takes for a stress is one, {scores['per_second']:.1f} a second"
    )
    return 0


@registry.command(name="evaluate ablations")
def evaluate_ablations(*, out: Output = Path("out/fusion_ablations.json"), seeds: int = 3, steps: int = 500) -> int:
    """Train the fusion module without each of its parts, and measure what each is for. Takes about half an hour.

    Args:
        out: the results; started again, it goes on after the last variant in it.
        seeds: how often each variant is trained.
        steps: of each training.
    """
    from animation.lab.training.fusion_ablations import run_ablations
    from avatar.heads import open_head

    with messages() as progress:
        run_ablations(*open_head(), out, _positive("seeds", seeds), _positive("steps", steps), progress)
    console.print(f"Wrote {out}")
    return 0


@registry.command(name="evaluate speech")
def evaluate_speech(
    *,
    data: Path = SPEECH_CORPUS,
    weights: Path | None = None,
    lookahead: float | None = None,
    minutes: float | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    json: bool = False,
) -> int:
    """Score the lips on held-out recordings, for every emotion.

    Args:
        data: the folder that `corpus speech` made.
        weights: a speech model, or a teacher; the model that ships if not given.
        lookahead: of the model, milliseconds: 70, 30 or 10; the surest if not given.
        minutes: of each source at most; all if not given.
        jobs: sources at a time, each on a process of its own; 1 if not given.
        scheduler: address of a Dask scheduler whose workers see the same folder; needs the extra `batch`.
        json: print JSON.
    """
    from animation.lab.evaluation.speech import evaluate_speech as evaluate
    from app.batch.cluster import run_there
    from app.batch.pool import run_here

    if scheduler is not None:
        refuse("the scheduler's workers are as many as they are", jobs=jobs)
    there = None if scheduler is None else partial(run_there, address=scheduler)
    here = None if jobs is None else partial(run_here, jobs=_positive("jobs", jobs))
    with messages() as progress:
        scores = evaluate(
            data, progress, minutes_per_source=minutes, weights=weights, lookahead_ms=lookahead, spread=there or here
        )
    if json:
        print_json(scores)
    else:
        for name, value in scores.items():
            console.print(f"{name}: {value}")
    return 0


@registry.command(name="evaluate fusion")
def evaluate_fusion(
    *, weights: Path | None = None, ablations: Path | None = None, picture: Path | None = None, json: bool = False
) -> int:
    """Score the fusion module on people and sentences it was not trained on: lips, disentanglement, speed.

    Args:
        weights: a fusion module; the one that ships if not given.
        ablations: a file of measured ablations; the one that ships if not given.
        picture: draw the learned blendshapes on an avatar to this file, such as blendshapes.png.
        json: print JSON.
    """
    from animation.lab.evaluation.fusion import evaluate_fusion as evaluate
    from app.benchmarks.blendshape_sheet import blendshape_sheet

    with messages() as progress:
        scores = evaluate(weights, ablations, lambda text: progress(text, 0.0))
        if picture is not None:
            progress("blendshapes", 0.9)
            blendshape_sheet(picture, weights)
    if json:
        print_json(scores)
    else:
        for name, value in scores.items():
            console.print(f"{name}: {value}")
    return 0


def _measured(progress: Messages) -> Callable[[int, int, Mapping[str, float]], None]:
    """Tell the steps done with the newest loss."""

    def tell(done: int, steps: int, measures: Mapping[str, float]) -> None:
        newest = "".join(f", {name} {value:.4g}" for name, value in measures.items() if name.endswith("loss"))
        progress(f"step {done} of {steps}{newest}", done / steps)

    return tell


def _read(
    people: FaceData, head: HeadModel, domains: Sequence[Domain], progress: Messages, audio: bool
) -> tuple[Iterator[MeshSequence], Iterator[MeshSequence]]:
    """What to train on and what to validate on, read when it is asked for."""

    def part(name: str) -> Iterator[MeshSequence]:
        return people.sequences(name, head, domains, audio, lambda text: progress(f"reading {text}", 0.0))

    return part("train"), part("validation")


def _engine(device: str, devices: int, pace: int) -> EngineOptions:
    from animation.lab.training.engine import EngineOptions

    count = _positive("devices", devices)
    return EngineOptions(accelerator=device, devices=count, validate_every=pace, checkpoint_every=pace)


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise UserError(f"--{name} {value}: expected 1 or more")
    return value


def _is_speech_corpus(folders: Sequence[Path]) -> bool:
    """Whether these are `corpus speech`'s, or not there at all, in which case that is what is missing."""
    from animation.lab.data.corpus import source_names

    return len(folders) == 1 and (not folders[0].is_dir() or bool(source_names(folders[0])))


def _fusion_config(path: Path | None, steps: int | None, seed: int | None) -> FusionConfig:
    from animation.blendshapes.fusion import FusionConfig

    try:
        values = {} if path is None else dict(json_module.loads(path.read_text(encoding="utf-8")))
        values |= {name: value for name, value in (("steps", steps), ("seed", seed)) if value is not None}
        return FusionConfig.from_dict(values)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{path or '--steps or --seed'}: {error}") from error


def _wrote(weights: Path, out: Path) -> int:
    from animation.lab.training.engine import is_first_process

    if is_first_process():
        console.print(f"Wrote {weights}; curves are in {out / 'curves.png'}")
    return 0
