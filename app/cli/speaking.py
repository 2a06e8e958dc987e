"""Commands that make the avatar speak."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from app.cli.terminal import Output, complain, console, messages, progress_bar, registry
from app.options import Acting, Headless, Hearing, Picture, refuse, refuse_other_formats
from app.sample_clip import sample_clip

if TYPE_CHECKING:
    from app.offline import RenderSummary

__all__: list[str] = []


@registry.command
def run() -> int:
    """Open the application; without a display, render the sample clip to out/demo.mp4."""
    from app.doctor import has_display

    if has_display():
        from app.gui import run as run_window

        return run_window()
    console.print("No display here, so there is no window to open: rendering the sample clip to a video instead.")
    code = render(sample_clip(), Acting("happy", 0.4), out=Path("out/demo.mp4"))
    if code == 0:
        console.print("Next: gaussian-avatar render YOUR.wav -o YOUR.mp4 --emotion happy")
    return code


@registry.command
def render(
    source: Positional[Path],
    acting: Acting = Acting(),
    hearing: Hearing = Hearing(),
    picture: Picture = Picture(),
    *,
    out: Output = Path("out/speech.mp4"),
    avatar: str = "",
) -> int:
    """Render an audio file to a video of the avatar speaking it.

    Args:
        source: the speech: any audio file, or a video with sound; or curves written by `animate`.
        out: the video: .mp4, .mkv, .mov or .webm (the last two can be transparent), or a folder for a PNG sequence.
        avatar: a name from `gaussian-avatar avatars`, or a file.
    """
    from app.offline import render_audio, render_curves
    from app.output.curves import is_curves

    _refuse_quality(out, picture)
    curves = is_curves(source)
    if curves:
        _refuse_speech(source, acting, hearing)
    options = hearing.applied(acting.applied(picture.options(avatar)))
    with progress_bar(f"Rendering {source.name}") as progress:
        made = (render_curves if curves else render_audio)(source, out, options, progress)
    return _made(made)


@registry.command
def say(
    text: Positional[str],
    acting: Acting = Acting(),
    picture: Picture = Picture(),
    *,
    out: Output = Path("out/speech.mp4"),
    voice: str = "",
    language: str = "",
    speed: float = 1.0,
    avatar: str = "",
) -> int:
    """Speak a text with a neural voice, and render the avatar saying it. Needs the extra `voice`.

    Args:
        text: what to say.
        out: as for `render`.
        voice: such as af_heart (American, female), bm_george (British, male) or ff_siwis (French, female); the
            language's first if not given. 54 voices are fetched once (27 MB).
        language: en-us, en-gb, es, fr, hi, it or pt-br; the voice's own if not given.
        speed: of speaking, 0.5 to 2.
        avatar: a name from `gaussian-avatar avatars`, or a file.
    """
    from animation.speech.voice.narrator import Narrator
    from app.offline import render_spoken
    from app.output.writer import check_target

    _refuse_quality(out, picture)
    options = acting.applied(picture.options(avatar))
    check_target(out, options.background is None)  # a mistake is noticed before the voice is fetched
    options.check()
    with messages() as progress:
        narrator = Narrator(voice, language, speed, progress)
        spoken = narrator.say(text, progress)
    with progress_bar(f"Rendering {out.name}") as bar:
        made = render_spoken(spoken, out, options, bar)
    return _made(made)


def _made(made: RenderSummary) -> int:
    """Tell what was made; the exit code."""
    text = f"{made.path}: {made.duration_s:.1f} s, {made.images} images, drawn by {made.backend}"
    if not made.finished:
        return complain(f"stopped early, the file plays: {text}", 130)
    console.print(f"Wrote {text}")
    return 0


def _refuse_quality(out: Path, picture: Picture) -> None:
    from app.output.writer import is_sequence

    if is_sequence(out):
        refuse("a PNG sequence loses nothing", quality=picture.quality)


def _refuse_speech(source: Path, acting: Acting, hearing: Hearing) -> None:
    refuse(f"{source} is a file of curves: it says itself how the face moves", **vars(acting), **vars(hearing))


@registry.command
def animate(
    source: Positional[Path],
    acting: Acting = Acting(),
    hearing: Hearing = Hearing(),
    *,
    out: Output = Path("out/curves.csv"),
    format: str | None = None,
    avatar: str = "",
    rate: float | None = None,
    moment: float | None = None,
    flame: str | None = None,
) -> int:
    """Write the animation of an audio file for other programs.

    Args:
        source: the speech, or curves in another format.
        out: the file; its suffix tells the format.
        format: flame, diffposetalk, livelink, audio2face, arkit, glb or ply, where the suffix does not tell.
        avatar: who speaks; its mesh or splats go into a .glb or .ply.
        rate: poses a second; the format's own if not given.
        moment: which second a .ply shows; the first if not given.
        flame: the imported FLAME model whose coefficients an .npz holds.
    """
    from app.animate import animate as animate_audio
    from app.offline import RenderOptions
    from app.output.curves import format_of, is_curves, load_curves, write_curves
    from avatar.library import default_name, open_avatar

    kind, curves = format_of(out, format), is_curves(source)
    reads_flame = curves and source.suffix.lower() == ".npz"
    refuse_other_formats(
        kind, moment=moment, flame=None if reads_flame else flame, avatar=(avatar or None) if curves else None
    )
    if curves:
        _refuse_speech(source, acting, hearing)
        found = load_curves(source, flame)
        who = open_avatar(avatar or default_name())
        write_curves(found, out, format, avatar=who, rate_hz=rate, moment_s=moment or 0.0, flame=flame)
        console.print(f"Wrote {out}: {len(found)} poses")
        return 0
    options = hearing.applied(acting.applied(RenderOptions(avatar)))
    with progress_bar(f"Animating {source.name}") as progress:
        made = animate_audio(
            source, out, format, options=options, rate_hz=rate, moment_s=moment or 0.0, flame=flame, progress=progress
        )
    console.print(f"Wrote {made.path}: {made.poses} poses of {made.duration_s:.1f} s, as {made.format}")
    return 0


@registry.command
def live(
    headless_only: Headless = Headless(),
    *,
    headless: bool = False,
    audio_file: Path | None = None,
    track: int | None = None,
    device: str | None = None,
    channel: int | None = None,
    lookahead: Literal[70, 30, 10] | None = None,
    avatar: str | None = None,
    backend: str | None = None,
) -> int:
    """Talk and watch: the window, or with --headless no window.

    Args:
        headless_only: the window has controls for them.
        headless: no window; until Ctrl-C, the end of the file, or --seconds.
        audio_file: play this file as if it were spoken.
        track: its sound track, counted from 1; the default one if not given.
        device: the microphone: part of its name; the system's default if not given.
        channel: of the microphone or the file, counted from 1; those that speech is in if not given.
        lookahead: how much sound after a moment the lips wait for, milliseconds: 70 is surest, 10 is quickest; the
            window's own setting, or 70, if not given.
        avatar: a name or a file.
        backend: auto, gsplat, opengl or cpu; the window's own setting if not given.
    """
    if audio_file is None:
        refuse("a microphone has one; give --audio-file too", track=track)
    if not headless:
        refuse("only with --headless; the window has controls for this", **vars(headless_only))
        from app.gui import run as run_window

        return run_window(audio_file, device, avatar, backend, track, channel, lookahead)
    from app.backdrop import parse_background
    from app.live import HeadlessOptions, run_headless
    from app.live.outputs import checked_outputs
    from app.live.source import Source
    from app.offline import parse_size
    from app.settings import FaceSettings, OutputSettings

    options = headless_only
    if audio_file is not None:
        refuse("the file is heard, no microphone", device=device)
    if options.emotion is None:
        refuse("of which emotion? give --emotion too", intensity=options.intensity)
    if options.face in (None, "voice"):
        refuse("the face comes from the voice; give --face webcam or both too", webcam=options.webcam)
    if options.record is None:
        refuse("of a recording; give --record too", fps=options.fps)
        if not options.virtual_camera:
            seen_by_nobody = {"background": options.background, "camera": options.camera}
            refuse("nobody sees the picture; give --record or --virtual-camera too", **seen_by_nobody)
    width, height = parse_size(options.size or "512")
    chosen = HeadlessOptions(
        source=Source(file=audio_file, device=device, track=track, channel=channel),
        avatar=avatar,
        emotion=options.emotion or "neutral",
        intensity=1.0 if options.intensity is None else options.intensity,
        lookahead_ms=lookahead or 70,
        width=width,
        height=height,
        background=parse_background(options.background or "studio"),
        camera=options.camera or "portrait",
        backend=backend or "auto",
        record=options.record,
        fps=options.fps,
        duration_s=options.seconds,
        monitor=options.monitor,
        face=FaceSettings(options.face or "voice", options.webcam),
        outputs=checked_outputs(OutputSettings(options.vmc, options.livelink, options.virtual_camera)),
    )
    return run_headless(chosen, console.print)
