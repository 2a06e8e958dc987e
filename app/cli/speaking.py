"""Commands that make the avatar speak."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from app.cli.terminal import Output, complain, console, messages, progress_bar, registry
from app.sample_clip import sample_clip
from avatar.errors import UserError

if TYPE_CHECKING:
    from app.offline import RenderOptions, RenderSummary

__all__: list[str] = []


@registry.command
def run() -> int:
    """Open the application; without a display, render the sample clip to out/demo.mp4."""
    from app.doctor import has_display

    if has_display():
        from app.gui import run as run_window

        return run_window()
    console.print("No display here, so there is no window to open: rendering the sample clip to a video instead.")
    code = render(sample_clip(), out=Path("out/demo.mp4"), emotion="happy", intensity=0.4)
    if code == 0:
        console.print("Next: gaussian-avatar render YOUR.wav -o YOUR.mp4 --emotion happy")
    return code


@registry.command
def render(
    source: Positional[Path],
    *,
    out: Output = Path("out/speech.mp4"),
    avatar: str = "",
    emotion: str = "neutral",
    intensity: float = 1.0,
    emotion_track: Path | None = None,
    size: str = "512",
    fps: float = 30.0,
    background: str = "#dbdde2",
    camera: str = "portrait",
    seed: int = 0,
    backend: str = "auto",
    gaussians: int | None = None,
    quality: str = "standard",
    speech_model: Path | None = None,
) -> int:
    """Render an audio file to a video of the avatar speaking it.

    Args:
        source: the speech: any audio file, or a video with sound; or curves written by `animate`.
        out: the video: .mp4, .mkv, .mov or .webm (the last two can be transparent), or a folder for a PNG sequence.
        avatar: a name from `gaussian-avatar avatars`, or a file.
        emotion: neutral, happy, sad, surprised, afraid, disgusted, angry, contempt, or any name that
            `gaussian-avatar expressions` lists, such as smirk.
        intensity: of the emotion, 0 to 1.
        emotion_track: a file of emotions over time, lines of: seconds emotion intensity.
        size: pixels, 512 or 1280x720.
        fps: images a second.
        background: a colour name, #rrggbb, or transparent.
        camera: portrait, face, close, mouth, three-quarter or profile.
        seed: of blinks, gaze and head motion; the same seed gives the same video.
        backend: auto, gsplat, opengl or cpu.
        gaussians: level of detail: draw only the so many most important Gaussians.
        quality: draft, standard or high.
        speech_model: what `train speech` or `train faceformer` wrote; the model that ships if not given.
    """
    from app.offline import render_audio, render_curves
    from app.output.curves import is_curves

    options = _options(
        avatar,
        emotion,
        intensity,
        emotion_track,
        size,
        fps,
        background,
        camera,
        seed,
        backend,
        gaussians,
        quality,
        speech_model,
    )
    make = render_curves if is_curves(source) else render_audio
    with progress_bar(f"Rendering {source.name}") as progress:
        made = make(source, out, options, progress)
    return _made(made)


@registry.command
def say(
    text: Positional[str],
    *,
    out: Output = Path("out/speech.mp4"),
    voice: str = "",
    language: str = "",
    speed: float = 1.0,
    avatar: str = "",
    emotion: str = "neutral",
    intensity: float = 1.0,
    emotion_track: Path | None = None,
    size: str = "512",
    fps: float = 30.0,
    background: str = "#dbdde2",
    camera: str = "portrait",
    seed: int = 0,
    backend: str = "auto",
    gaussians: int | None = None,
    quality: str = "standard",
) -> int:
    """Speak a text with a neural voice, and render the avatar saying it. Needs the extra `voice`.

    Args:
        text: what to say.
        out: as for `render`.
        voice: such as af_heart (American, female), bm_george (British, male) or ff_siwis (French, female); the
            language's first if not given. 54 voices are fetched once (27 MB).
        language: en-us, en-gb, es, fr, hi, it or pt-br; the voice's own if not given.
        speed: of speaking, 0.5 to 2.
        avatar: as for `render`, like all that follows.
        emotion: as for `render`.
        intensity: of the emotion, 0 to 1.
        emotion_track: a file of emotions over time.
        size: pixels, 512 or 1280x720.
        fps: images a second.
        background: a colour name, #rrggbb, or transparent.
        camera: portrait, face, close, mouth, three-quarter or profile.
        seed: of blinks, gaze and head motion.
        backend: auto, gsplat, opengl or cpu.
        gaussians: level of detail.
        quality: draft, standard or high.
    """
    from animation.speech.voice.narrator import Narrator
    from app.offline import render_spoken

    options = _options(
        avatar, emotion, intensity, emotion_track, size, fps, background, camera, seed, backend, gaussians, quality
    )
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


@registry.command
def animate(
    source: Positional[Path],
    *,
    out: Output = Path("out/curves.csv"),
    format: str | None = None,
    avatar: str = "",
    emotion: str = "neutral",
    intensity: float = 1.0,
    emotion_track: Path | None = None,
    rate: float | None = None,
    moment: float = 0.0,
    flame: str | None = None,
    seed: int = 0,
    speech_model: Path | None = None,
) -> int:
    """Write the animation of an audio file for other programs.

    Args:
        source: the speech, or curves in another format.
        out: the file; its suffix tells the format.
        format: flame, diffposetalk, livelink, audio2face, arkit, glb or ply, where the suffix does not tell.
        avatar: whose mesh or splats go into a .glb or .ply.
        emotion: as for `render`.
        intensity: of the emotion, 0 to 1.
        emotion_track: a file of emotions over time.
        rate: poses a second; the format's own if not given.
        moment: which second a .ply shows.
        flame: the imported FLAME model whose coefficients an .npz is to hold.
        seed: of blinks, gaze and head motion.
        speech_model: as for `render`.
    """
    from app.animate import animate as animate_audio
    from app.offline import RenderOptions
    from app.output.curves import is_curves, load_curves, write_curves
    from avatar.library import default_name, open_avatar

    if is_curves(source):
        curves = load_curves(source, flame)
        who = open_avatar(avatar or default_name())
        write_curves(curves, out, format, avatar=who, rate_hz=rate, moment_s=moment, flame=flame)
        console.print(f"Wrote {out}: {len(curves)} poses")
        return 0
    options = RenderOptions(avatar, emotion, intensity, emotion_track, seed=seed, speech_model=speech_model)
    with progress_bar(f"Animating {source.name}") as progress:
        made = animate_audio(
            source, out, format, options=options, rate_hz=rate, moment_s=moment, flame=flame, progress=progress
        )
    console.print(f"Wrote {made.path}: {made.poses} poses of {made.duration_s:.1f} s, as {made.format}")
    return 0


@registry.command
def live(
    *,
    headless: bool = False,
    audio_file: Path | None = None,
    device: str | None = None,
    avatar: str | None = None,
    emotion: str = "neutral",
    intensity: float = 1.0,
    record: Path | None = None,
    seconds: float | None = None,
    size: str = "512",
    fps: float | None = None,
    background: str = "#dbdde2",
    camera: str = "portrait",
    backend: str | None = None,
    monitor: bool = False,
    vmc: str | None = None,
    livelink: str | None = None,
    virtual_camera: bool = False,
) -> int:
    """Talk and watch: the window, or with --headless no window.

    Args:
        headless: no window; until Ctrl-C, the end of the file, or --seconds.
        audio_file: play this file as if it were spoken.
        device: the microphone: part of its name; the system's default if not given.
        avatar: a name or a file.
        emotion: as for `render`.
        intensity: of the emotion, 0 to 1.
        record: write a video here (headless; the window has a button).
        seconds: stop after so long (headless).
        size: pixels of the picture (headless).
        fps: of the recording; every image keeps its own time if not given.
        background: a colour name, #rrggbb, or transparent (headless).
        camera: as for `render` (headless).
        backend: auto, gsplat, opengl or cpu; the window's own setting if not given.
        monitor: play the voice, delayed to be in step with the lips (headless).
        vmc: send to a VTuber program: HOST:PORT, usually 127.0.0.1:39539 (headless).
        livelink: send Live Link Face packets: HOST:PORT, usually 127.0.0.1:11111 (headless).
        virtual_camera: be a webcam (headless; needs the extra virtual-camera).
    """
    if not headless:
        if record or seconds is not None or vmc or livelink or virtual_camera or monitor:
            raise UserError("recording, sending and --seconds are for --headless; the window has buttons for them")
        from app.gui import run as run_window

        return run_window(audio_file, device, avatar, backend)
    from app.live import HeadlessOptions, run_headless
    from app.live.devices import Source
    from app.offline import parse_background, parse_size
    from app.settings import OutputSettings

    width, height = parse_size(size)
    options = HeadlessOptions(
        source=Source(file=audio_file, device=device),
        avatar=avatar,
        emotion=emotion,
        intensity=intensity,
        width=width,
        height=height,
        background=parse_background(background),
        camera=camera,
        backend=backend or "auto",
        record=record,
        fps=fps,
        duration_s=seconds,
        monitor=monitor,
        outputs=OutputSettings(vmc, livelink, virtual_camera),
    )
    return run_headless(options, console.print)


def _options(
    avatar: str,
    emotion: str,
    intensity: float,
    emotion_track: Path | None,
    size: str,
    fps: float,
    background: str,
    camera: str,
    seed: int,
    backend: str,
    gaussians: int | None,
    quality: str,
    speech_model: Path | None = None,
) -> RenderOptions:
    from app.offline import RenderOptions, parse_background, parse_size

    width, height = parse_size(size)
    return RenderOptions(
        avatar=avatar,
        emotion=emotion,
        intensity=intensity,
        emotion_track=emotion_track,
        width=width,
        height=height,
        fps=fps,
        background=parse_background(background),
        camera=camera,
        seed=seed,
        backend=backend,
        max_gaussians=gaussians,
        quality=quality,
        speech_model=speech_model,
    )
