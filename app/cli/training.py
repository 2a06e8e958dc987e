"""Commands that make data, train on it, and score what was trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tyro.conf import Positional

from app.cli.terminal import console, messages, print_json, registry

__all__: list[str] = []

_SPEECH_CORPUS = Path("out/corpus")
_FUSION_CORPUS = Path("out/fusion-corpus")


@registry.command(name="corpus speech")
def corpus_speech(out: Positional[Path] = _SPEECH_CORPUS) -> int:
    """Fetch recordings from Debian's packages, synthesize voices, and align both with their phonemes.

    Args:
        out: folder for the corpus; about 2 GB.
    """
    from animation.training.preparation import prepare_corpus

    with messages() as progress:
        minutes = prepare_corpus(out, progress)
    for source, length in minutes.items():
        console.print(f"{source}: {length:.0f} min")
    return 0


@registry.command(name="corpus fusion")
def corpus_fusion(
    out: Positional[Path] = _FUSION_CORPUS,
    *,
    layouts: tuple[str, ...] = ("native",),
    head: str = "",
    speakers: int = 12,
    sentences: int = 40,
    identities: int = 24,
    silent: bool = False,
    seed: int = 0,
) -> int:
    """Make talking and grimacing faces up, in the layouts of VOCASET and Florence4D, to train on without them.

    At the default sizes a minute's work a layout, and 6 GB in the native layout, 5 GB in each of VOCASET's two, 21 GB
    in Florence4D's.

    Args:
        out: folder for the corpus.
        layouts: native, vocaset, faceformer (speech only), florence4d (expressions only).
        head: whose face: an imported FLAME model, or a file; the generic head if not given.
        speakers: people who talk.
        sentences: of each of them.
        identities: people who make 70 faces each.
        silent: no voices; otherwise flite and espeak-ng speak the sentences.
        seed: another seed makes other people and other sentences.
    """
    from animation.data.self_made import CorpusRecipe
    from animation.data.self_made_corpus import make_self_made_corpus
    from animation.data.self_made_voices import spoken_utterances
    from app.heads import open_any_head
    from avatar.errors import UserError

    try:
        recipe = CorpusRecipe(speakers=speakers, sentences=sentences, identities=identities, seed=seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    model, arkit = open_any_head(head)
    with messages() as progress:
        utterances = None if silent else spoken_utterances(recipe, _counted(progress, "sentences spoken"))
        make_self_made_corpus(out, model, arkit, recipe, layouts, utterances, _counted(progress, "sequences written"))
    console.print(f"Wrote {out}: {', '.join(layouts)}; head.safetensors is the head to train with")
    return 0


def _counted(progress: Callable[[str, float], None], what: str) -> Callable[[int, int], None]:
    """Tell how many of how many are done."""
    return lambda done, total: progress(f"{done} of {total} {what}", done / max(total, 1))


@registry.command(name="train speech")
def train_speech(
    *, data: Path = _SPEECH_CORPUS, out: Path = Path("out/speech.safetensors"), steps: int | None = None
) -> int:
    """Train the speech model; started again, it goes on where it was stopped.

    Args:
        data: the folder that `corpus speech` made.
        out: the weights.
        steps: how long; as the shipped weights were trained if not given.
    """
    from animation.training.speech import TrainingConfig
    from animation.training.speech import train_speech as train

    config = TrainingConfig() if steps is None else TrainingConfig(steps=steps)
    with messages() as progress:
        train(data, out, config, progress)
    console.print(f"Wrote {out}")
    return 0


@registry.command(name="evaluate speech")
def evaluate_speech(
    *, data: Path = _SPEECH_CORPUS, weights: Path | None = None, minutes: float | None = None, json: bool = False
) -> int:
    """Score the lips on held-out real recordings, for every emotion.

    Args:
        data: the folder that `corpus speech` made.
        weights: a speech model; the one that ships if not given.
        minutes: of each source at most; all if not given.
        json: print JSON.
    """
    from animation.evaluation import evaluate_speech as evaluate

    with messages() as progress:
        scores = evaluate(data, progress, minutes_per_source=minutes, weights=weights)
    if json:
        print_json(scores)
    else:
        for name, value in scores.items():
            console.print(f"{name}: {value}")
    return 0


@registry.command(name="evaluate fusion")
def evaluate_fusion(*, weights: Path | None = None, ablations: Path | None = None, json: bool = False) -> int:
    """Score the fusion module on people and sentences it was not trained on: lips, disentanglement, speed.

    Args:
        weights: a fusion module; the one that ships if not given.
        ablations: a file of measured ablations; the one that ships if not given.
        json: print JSON.
    """
    from animation.evaluation_fusion import evaluate_fusion as evaluate

    with messages() as progress:
        scores = evaluate(weights, ablations, lambda text: progress(text, 0.0))
    if json:
        print_json(scores)
    else:
        for name, value in scores.items():
            console.print(f"{name}: {value}")
    return 0
