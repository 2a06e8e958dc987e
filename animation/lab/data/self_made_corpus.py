"""Writing the self-made corpus to a folder, in the layouts of the data sets that it stands in for.

The folder gets `head.safetensors`, `corpus.json`, one sub-folder a layout (`vocaset`, `faceformer`, `florence4d`,
`native`), and `hidden/`, what is hidden in each sequence, for evaluation only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from animation.lab.data.florence4d import write_florence4d
from animation.lab.data.self_made import CorpusRecipe, Performance, Utterance, performances, render_performance
from animation.lab.data.sequences import MeshSequence, write_native
from animation.lab.data.vocaset import write_faceformer, write_vocaset
from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.formats.head_file import save_head

__all__ = ["LAYOUTS", "make_self_made_corpus"]

LAYOUTS = ("native", "vocaset", "faceformer", "florence4d")


def make_self_made_corpus(
    out: Path | str,
    head: HeadModel,
    arkit: ArkitMap,
    recipe: CorpusRecipe | None = None,
    layouts: Iterable[str] = ("native",),
    utterances: Sequence[Sequence[Utterance]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the corpus of a recipe. Meshes are rendered once a layout and held one at a time.

    Args:
        out: the folder.
        head: whose face; any head in FLAME's layout.
        arkit: its blendshapes.
        recipe: sizes and strengths.
        layouts: which of `LAYOUTS`.
        utterances: the sentences of each speaker with their sound; voiceless ones are made up where there are none.
        progress: told the sequences done and in all.

    Raises:
        UserError: for an unknown layout.
    """
    recipe, out, layouts = recipe or CorpusRecipe(), Path(out), tuple(layouts)
    if unknown := sorted(set(layouts) - set(LAYOUTS)):
        raise UserError(f"unknown layout {', '.join(unknown)}: choose from {', '.join(LAYOUTS)}")
    out.mkdir(parents=True, exist_ok=True)
    save_head(head, arkit, out / "head.safetensors")
    (out / "corpus.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")
    played = list(performances(recipe, head.n_shape, utterances))
    for performance in played:
        folder = out / "hidden" / performance.domain
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            folder / f"{performance.subject}__{performance.name}.npz",
            shape=performance.shape,
            primary=performance.primary,
            secondary=performance.secondary,
        )
    spoken = [p for p in played if p.domain == "speech"]
    mimed = [p for p in played if p.domain == "expression"]
    wanted = {"native": played, "vocaset": spoken, "faceformer": spoken, "florence4d": mimed}
    total, done = sum(len(wanted[layout]) for layout in layouts), 0

    def render(chosen: list[Performance]) -> Iterator[MeshSequence]:
        nonlocal done
        for number, performance in enumerate(chosen):
            seed = 100_003 * recipe.seed + number  # each sequence has its own noise
            yield render_performance(performance, head, arkit, recipe.noise_mm, seed=seed)
            done += 1
            if progress is not None:
                progress(done, total)

    for layout in layouts:
        sequences, folder = render(wanted[layout]), out / layout
        if layout == "native":
            write_native(folder, sequences)
        elif layout == "vocaset":
            write_vocaset(folder, sequences, sum(len(p.primary) for p in spoken))
        elif layout == "faceformer":
            write_faceformer(folder, sequences)
        else:
            write_florence4d(folder, sequences, head.faces.numpy())
    return out
