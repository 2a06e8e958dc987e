"""Commands that make data to train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tyro.conf import Positional

from app.cli.terminal import Messages, console, messages, registry
from avatar.errors import UserError

__all__ = ["SPEECH_CORPUS"]

SPEECH_CORPUS = Path("out/corpus")
_FUSION_CORPUS = Path("out/fusion-corpus")


@registry.command(name="corpus speech")
def corpus_speech(out: Positional[Path] = SPEECH_CORPUS) -> int:
    """Fetch recordings from Debian's packages, synthesize voices, and align both with their phonemes.

    Args:
        out: folder for the corpus; about 2 GB.
    """
    from animation.lab.training.preparation import prepare_corpus

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
    expressions: int = 70,
    silent: bool = False,
    seed: int = 0,
) -> int:
    """Make talking and grimacing faces up, in the layouts of VOCASET and Florence4D, to train on without them.

    At the default sizes 6 GB in the native layout, 5 GB in each of VOCASET's two, 20 GB in Florence4D's, and eight
    minutes of one core for all four.

    Args:
        out: folder for the corpus.
        layouts: native, vocaset, faceformer (speech only), florence4d (expressions only).
        head: whose face: an imported FLAME model, or a file; the generic head if not given.
        speakers: people who talk.
        sentences: of each of them.
        identities: people who make faces.
        expressions: of each of them, drawn from the 70.
        silent: no voices; otherwise flite and espeak-ng speak the sentences.
        seed: another seed makes other people and other sentences.
    """
    from animation.lab.data.self_made import CorpusRecipe
    from animation.lab.data.self_made_corpus import make_self_made_corpus
    from animation.lab.data.self_made_voices import spoken_utterances
    from avatar.importing import open_any_head

    try:
        recipe = CorpusRecipe(speakers, sentences, identities, expressions, seed=seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    model, arkit = open_any_head(head)
    with messages() as progress:
        utterances = None if silent else spoken_utterances(recipe, _counted(progress, "sentences spoken"))
        make_self_made_corpus(out, model, arkit, recipe, layouts, utterances, _counted(progress, "sequences written"))
    console.print(f"Wrote {out}: {', '.join(layouts)}; head.safetensors is the head to train with")
    return 0


def _counted(progress: Messages, what: str) -> Callable[[int, int], None]:
    """Tell how many of how many are done."""
    return lambda done, total: progress(f"{done} of {total} {what}", done / max(total, 1))
