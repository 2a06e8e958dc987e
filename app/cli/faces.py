"""Commands about one's own face: tracking it, and making an avatar of it."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from app.cli.terminal import Output, console, messages, progress_bar, registry
from app.options import refuse_other_formats

__all__: list[str] = []


@registry.command
def track(
    source: Positional[Path],
    *,
    out: Output = Path("out/curves.csv"),
    format: str | None = None,
    avatar: str = "",
    neutral: tuple[float, float] | None = None,
    rate: float | None = None,
    moment: float | None = None,
    flame: str | None = None,
) -> int:
    """Write what the face in a video does, for an avatar or another program.

    Args:
        source: the video; one face, from the front.
        out: the file; its suffix tells the format.
        format: flame, diffposetalk, livelink, audio2face, arkit, glb or ply, where the suffix does not tell.
        avatar: whose mesh or splats go into a .glb or .ply.
        neutral: from which second to which the face is at rest, such as 0 2; found in the video if not given.
        rate: poses a second; the video's own if not given.
        moment: which second a .ply shows; the first if not given.
        flame: the imported FLAME model whose coefficients an .npz is to hold.
    """
    from app.output.curves import format_of
    from app.track import track_clip

    refuse_other_formats(format_of(out, format), moment=moment, flame=flame, avatar=avatar or None)
    with progress_bar(f"Tracking {source.name}") as progress:
        made = track_clip(
            source,
            out,
            format,
            avatar=avatar,
            neutral_s=neutral,
            rate_hz=rate,
            moment_s=moment or 0.0,
            flame=flame,
            progress=progress,
        )
    console.print(f"Wrote {made.path}: {made.poses} poses of {made.duration_s:.1f} s, as {made.format}")
    if made.missed:
        console.print(f"In {made.missed} pictures no face was seen; the curves pass over them.")
    return 0


@registry.command
def capture(
    sources: Positional[tuple[Path, ...]],
    *,
    name: str,
    style: Path | None = None,
    out: Path | None = None,
    preview: Path | None = None,
) -> int:
    """Make an avatar of the person in one or several photos, or in a clip; on this machine alone.

    A photo takes half a minute. A clip is trained on for some minutes, with Ctrl-C what has been learned so far is
    written, and the same command goes on.

    Args:
        sources: photos from the front, lips closed, well lit (more from the sides make the sides better); or one
            video of 10 to 20 seconds: look ahead, turn to both sides, blink, say "ah".
        name: what to call it; `gaussian-avatar render speech.wav --avatar NAME` uses it.
        style: a video of the person talking, at least eight seconds: how widely they open the mouth, how often they
            blink and how much the head moves is kept with the avatar; a clip says it itself.
        out: write the file here instead of the folder of your avatars.
        preview: a picture of a clip's training, to look at meanwhile: fewest Gaussians, all, and what it should be.
    """
    from app.capture import CONSENT, capture_files

    console.print(CONSENT)
    with messages() as tell:
        made = capture_files(sources, name, out, tell, style, preview=preview)
    for note in made.notes:
        console.print(f"Note: {note}.")
    console.print(f"Wrote {made.path}: {made.gaussians:,} Gaussians")
    return 0


@registry.command(name="train tracking")
def train_tracking(*, people: int = 200, each: int = 15, seed: int = 7, out: Path | None = None) -> int:
    """Learn again where landmarks lie on the generic head and what they say of its blendshapes, from renders of the
    avatars that ship; forge again the eyes and teeth that captured people are given. Needed when the head model or the
    avatars change.

    Args:
        people: how many faces to make up.
        each: pictures of each of them.
        seed: the same seed gives the same tables.
        out: the file of tables to write; the shipped one if not given, and with it that of eyes and teeth.
    """
    import avatar.tracking
    from avatar.creation.capture.features import features_of, save_features
    from avatar.creation.capture.tables import build_tables
    from avatar.creation.forge.build import forge
    from avatar.creation.forge.recipe import recipe_named
    from avatar.library import shipped_names

    path = out or Path(avatar.tracking.__file__).with_name("tables.safetensors")
    with messages() as tell:
        share = build_tables(path, shipped_names(), people, each, seed, tell)
    if out is None:
        save_features(features_of(forge(recipe_named("clara"))))
    console.print(f"Wrote {path}; the face was found in {share:.1%} of the renders")
    return 0
