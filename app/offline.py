"""From an audio file to a video: the same driver and renderers as the live application, as fast as they go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from animation.driver import AvatarDriver, DriverSettings, SpeechSource
from animation.life.style import NOBODYS
from animation.performance.document import Performance
from animation.speech.audio import StreamingResampler
from animation.speech.prompted import PromptedSpeech
from animation.speech.voice.narrator import SpokenText
from app.audio_file import open_audio
from app.backdrop import STUDIO, Backdrop, colour_of, image_of
from app.offline_tools import OfflineTools
from app.output.curves import read_curves
from app.output.files import check_options
from app.output.writer import Writer, check_target, open_writer
from avatar import Camera, FlameParams, UserError
from avatar.render.composition import put_behind

__all__ = [
    "RenderOptions",
    "RenderSummary",
    "parse_size",
    "poses_of_audio",
    "render_audio",
    "render_curves",
    "render_spoken",
    "sampled",
]

_BLOCK_S = 0.5

Progress = Callable[[float, float], None]
"""Called with the seconds done and the seconds in all (0 if unknown)."""


@dataclass(frozen=True)
class RenderOptions:
    """How a video is made."""

    avatar: str = ""
    """A name or a file; empty for the default."""
    driver: DriverSettings = field(default_factory=DriverSettings)
    """How it feels and moves."""
    performance: Performance | None = None
    """What it does when; its seed and dials take the place of the driver's."""
    width: int = 512
    height: int = 512
    fps: float = 30.0
    background: Backdrop = STUDIO
    camera: str = "portrait"
    backend: str = "auto"
    max_gaussians: int | None = None
    quality: str = "standard"
    speech_model: Path | None = None
    """What `train speech` or `train faceformer` wrote; the streaming model that ships if None."""
    track: int | None = None
    """Which sound track is spoken, counted from 1; the file's default one if None."""
    channel: int | None = None
    """Which channel of it, counted from 1; those that speech is in if None."""

    def check(self) -> None:
        """
        Raises:
            UserError: for numbers out of range, an unknown camera or quality.
        """
        if not 1 <= self.fps <= 240:
            raise UserError(f"fps {self.fps:g}: expected 1 to 240 images a second")
        check_options(self.quality, self.fps, None)
        if self.max_gaussians is not None and self.max_gaussians < 1:
            raise UserError(f"gaussians {self.max_gaussians}: expected 1 or more")
        Camera.preset(self.camera, self.width, self.height)


@dataclass(frozen=True)
class RenderSummary:
    """What was made."""

    path: Path
    duration_s: float
    images: int
    backend: str
    finished: bool
    """False if it was interrupted: the file then holds the beginning."""


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from `512` or `1280x720`; even, as video codecs want.

    Raises:
        UserError: for anything else, or outside 16..4096.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(p.strip().isdecimal() for p in parts):
        raise UserError(f"size {text!r}: expected a number of pixels such as 512, or WIDTHxHEIGHT such as 1280x720")
    width, height = int(parts[0]), int(parts[-1])
    if not (16 <= width <= 4096 and 16 <= height <= 4096):
        raise UserError(f"size {text!r}: each side must lie between 16 and 4096 pixels")
    return width + width % 2, height + height % 2


def render_audio(
    audio_path: Path | str,
    out_path: Path | str,
    options: RenderOptions,
    progress: Progress = lambda done, total: None,
    tools: OfflineTools | None = None,
) -> RenderSummary:
    """Render the avatar speaking an audio file; H.264 and AAC in step.

    An interrupt (KeyboardInterrupt) ends the video where it is; the file plays. Memory does not grow with length.

    Raises:
        UserError: for input or output that cannot be used.
    """
    _check(out_path, options, audio_path)
    audio = open_audio(audio_path, track=options.track, channel=options.channel)
    blocks = audio.blocks()
    blocks = chain([next(blocks)], blocks)  # a damaged file is noticed before anything is written

    def poses(writer: Writer, driver: AvatarDriver) -> Iterator[FlameParams]:
        def heard(mono: np.ndarray) -> None:
            writer.write_audio(mono)
            progress(writer.duration_s, audio.duration_s)

        return _driven(audio.sample_rate, blocks, driver, heard)

    with _opened(tools) as ready:
        driver = _driver(ready, options)
        return _film(ready, lambda writer: poses(writer, driver), out_path, options, audio.sample_rate)


def render_spoken(
    spoken: SpokenText,
    out_path: Path | str,
    options: RenderOptions,
    progress: Progress = lambda done, total: None,
    tools: OfflineTools | None = None,
) -> RenderSummary:
    """Render the avatar saying a text: its phonemes' own times move the lips.

    An interrupt (KeyboardInterrupt) ends the video where it is; the file plays.

    Raises:
        UserError: for options or output that cannot be used.
    """
    _check(out_path, options)
    size = round(spoken.sample_rate * _BLOCK_S)
    blocks = (spoken.samples[at : at + size] for at in range(0, len(spoken.samples), size))

    def poses(writer: Writer, driver: AvatarDriver) -> Iterator[FlameParams]:
        def heard(mono: np.ndarray) -> None:
            writer.write_audio(mono)
            progress(writer.duration_s, spoken.duration_s)

        return _driven(spoken.sample_rate, blocks, driver, heard)

    with _opened(tools) as ready:
        driver = _driver(ready, options, PromptedSpeech(spoken.segments))
        return _film(ready, lambda writer: poses(writer, driver), out_path, options, spoken.sample_rate)


def render_curves(
    curves_path: Path | str,
    out_path: Path | str,
    options: RenderOptions,
    progress: Progress = lambda done, total: None,
    tools: OfflineTools | None = None,
) -> RenderSummary:
    """Render a file of curves (see `app.output.curves`): a silent video.

    Raises:
        UserError: for input or output that cannot be used.
    """
    _check(out_path, options, curves_path)
    with _opened(tools) as ready:
        curve = read_curves(curves_path, ready.avatar(options.avatar))
        start_s, end_s = curve[0].stream_time_s, curve[-1].stream_time_s

        def poses(writer: Writer) -> Iterator[FlameParams]:
            for pose in curve:
                progress(pose.stream_time_s - start_s, end_s - start_s)
                yield pose.replace(stream_time_s=pose.stream_time_s - start_s)

        return _film(ready, poses, out_path, options, None)


def poses_of_audio(
    audio_path: Path | str,
    options: RenderOptions,
    tools: OfflineTools,
    progress: Progress = lambda done, total: None,
) -> Iterator[FlameParams]:
    """The poses of an audio file at the driver's own rate, for curves and benchmarks."""
    audio = open_audio(audio_path, track=options.track, channel=options.channel)
    done = 0.0

    def tick(mono: np.ndarray) -> None:
        nonlocal done
        done += len(mono) / audio.sample_rate
        progress(done, audio.duration_s)

    return _driven(audio.sample_rate, audio.blocks(), _driver(tools, options), tick)


def sampled(poses: Iterable[FlameParams], fps: float) -> Iterator[FlameParams]:
    """Poses at a constant rate, interpolated; image k shows time k / fps, from 0 to the last pose."""
    before: FlameParams | None = None
    k = 0
    for after in poses:
        while k / fps <= after.stream_time_s:
            if before is None:
                yield after.replace(stream_time_s=k / fps)
            else:
                span = after.stream_time_s - before.stream_time_s
                yield FlameParams.lerp(before, after, (k / fps - before.stream_time_s) / span)
            k += 1
        before = after


def _check(out_path: Path | str, options: RenderOptions, source: Path | str | None = None) -> None:
    """Check what can be checked before anything is read or written."""
    if source is not None and Path(out_path).resolve() == Path(source).resolve():
        raise UserError(f"{out_path}: this is the input; give the video another name")
    check_target(out_path, options.background is None)
    options.check()


@contextmanager
def _opened(tools: OfflineTools | None) -> Iterator[OfflineTools]:
    """The tools given, or ones that are closed at the end."""
    if tools is not None:
        yield tools
        return
    with closing(OfflineTools()) as own:
        yield own


def _film(
    tools: OfflineTools,
    poses: Callable[[Writer], Iterator[FlameParams]],
    out_path: Path | str,
    options: RenderOptions,
    sample_rate: int | None,
) -> RenderSummary:
    """Draw poses into a new video; `poses` is given the writer, for the sound."""
    avatar, renderer = tools.avatar(options.avatar), tools.renderer(options.backend)
    camera = Camera.preset(options.camera, options.width, options.height)
    colour, wall = colour_of(options.background), image_of(options.background, camera.width, camera.height)
    images, finished = 0, False
    with closing(
        open_writer(
            out_path,
            options.width,
            options.height,
            sample_rate,
            options.fps,
            options.quality,
            alpha=options.background is None,
        )
    ) as writer:
        try:
            for pose in sampled(poses(writer), options.fps):
                image = renderer.draw(avatar, pose, camera, colour, options.max_gaussians)
                if wall is not None:
                    put_behind(image, wall)
                writer.write_image(image, images / options.fps)
                images += 1
            finished = True
        except KeyboardInterrupt:
            if not images:
                writer.abandon()
        except BaseException:
            writer.abandon()
            raise
        name = renderer.name
    return RenderSummary(Path(out_path), images / options.fps, images, name, finished)


def _driver(tools: OfflineTools, options: RenderOptions, speech: SpeechSource | None = None) -> AvatarDriver:
    speech = speech or tools.speech(options.speech_model, tools.avatar(options.avatar))
    face = tools.face(options.avatar)
    if options.driver.personal != DriverSettings().personal and face.style == NOBODYS:
        raise UserError(f"{tools.avatar(options.avatar).name} has no personal style (capture --style gives it one)")
    return AvatarDriver(face, options.driver, speech, performance=options.performance)


def _driven(
    rate: int, blocks: Iterable[np.ndarray], driver: AvatarDriver, heard: Callable[[np.ndarray], None]
) -> Iterator[FlameParams]:
    """Feed blocks to the driver; `heard` is given each block's mono sound before the poses that follow from it."""
    resampler = StreamingResampler(rate)
    for block in blocks:
        heard(block)
        yield from driver.feed(resampler.feed(block))
    yield from driver.feed(resampler.finish())
    yield from driver.finish()
