"""A picture of spoken phrases, mouth by mouth: what a lip-reader gets to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from animation.driver import AvatarDriver, DriverSettings
from animation.face import DrivenFace
from animation.speech.audio import HOP_S, SAMPLE_RATE, resample
from animation.speech.phonemes import SILENCE, Segment
from animation.speech.prompted import PromptedSpeech
from animation.speech.voice.narrator import Narrator, SpokenText
from avatar.camera import Camera, Framing
from avatar.flame.params import FlameParams
from avatar.library import open_avatar
from avatar.render import open_renderer

__all__ = ["PHRASES", "draw_speech_strip"]

Progress = Callable[[str, float], None]

PHRASES = (
    ("en-us", "Thelma will pay for both boats."),
    ("es", "Mi bella flor vive en Lima."),
    ("fr", "Une feuille tombe du pommier."),
)
"""Language and text: closures, f and v, l and th, rounded and spread vowels."""

_EVERY_S = 0.12
_COLUMNS = 13
_WIDTH, _HEIGHT, _CAPTION, _TOP = 168, 150, 22, 26
_MOUTH = Framing(target=(0.0, -0.05, 0.04), fov_deg=5.0)
_BACKGROUND = (0.9, 0.9, 0.92)
_PAPER, _INK, _GREY = (255, 255, 255), (30, 30, 36), (120, 120, 128)
_QUIET_S = 0.3
_STILL = DriverSettings(blinks=False, gaze=False, head=False)


def draw_speech_strip(
    out: Path, avatar: str, heard: bool = False, progress: Progress = lambda what, share: None
) -> None:
    """Draw an avatar every 120 ms of phrases in three languages, which a neural voice says.

    Each picture is of the middle of the phoneme that is said then; below it stands the phoneme.

    Args:
        out: the picture.
        avatar: its name, or a file.
        heard: move it by what the speech model hears; else by the phonemes, which are known, as `say` does.
        progress: called with a message and the share done.

    Raises:
        UserError: the extra `voice` is not installed, or there is no such avatar.
    """
    figure = open_avatar(avatar)
    face = DrivenFace.of(figure.head, figure.arkit)
    row = _TOP + _HEIGHT + _CAPTION
    sheet = Image.new("RGB", (_COLUMNS * _WIDTH, len(PHRASES) * row), _PAPER)
    draw, font, small = ImageDraw.Draw(sheet), ImageFont.load_default(16), ImageFont.load_default(14)
    camera = Camera.framed(_MOUTH, _WIDTH, _HEIGHT)
    with closing(open_renderer("auto")) as renderer:
        for number, (language, text) in enumerate(PHRASES):
            progress(text, number / len(PHRASES))
            narrator = Narrator(language=language)
            spoken = narrator.say(text, progress)
            poses = _poses(spoken, face, heard)
            top = number * row
            draw.text((6, top + 4), text, _INK, font)
            for column, (segment, time_s) in enumerate(_moments(spoken.segments)[:_COLUMNS]):
                pose = poses[min(round((time_s + _QUIET_S) / HOP_S - 0.5), len(poses) - 1)]
                bgra = renderer.draw(figure, pose, camera, _BACKGROUND)
                at = (column * _WIDTH, top + _TOP)
                sheet.paste(Image.fromarray(bgra[..., 2::-1].copy()), at)
                draw.text((at[0] + 6, at[1] + _HEIGHT + 2), segment.phoneme, _INK, small)
                when = f"{time_s:.2f} s"
                draw.text((at[0] + _WIDTH - 52, at[1] + _HEIGHT + 2), when, _GREY, small)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, quality=88)


def _poses(spoken: SpokenText, face: DrivenFace, heard: bool) -> list[FlameParams]:
    """Of the phrase with a little silence before and after it."""
    quiet = np.zeros(round(_QUIET_S * SAMPLE_RATE), np.float32)
    sound = np.concatenate([quiet, resample(spoken.samples, spoken.sample_rate), quiet])
    said = [Segment(SILENCE, 0.0, _QUIET_S), *(s.shifted(_QUIET_S) for s in spoken.segments)]
    driver = AvatarDriver(face, _STILL, None if heard else PromptedSpeech(said))
    return driver.feed(sound) + driver.finish()


def _moments(segments: Sequence[Segment]) -> list[tuple[Segment, float]]:
    """Phonemes in steps of 120 ms through the speech, each at its middle; none twice."""
    said = [s for s in segments if s.phoneme != SILENCE]
    moments: list[tuple[Segment, float]] = []
    for time_s in np.arange(said[0].start_s + 0.02, said[-1].end_s, _EVERY_S):
        segment = next((s for s in segments if s.start_s <= time_s < s.end_s), None)
        if segment is not None and (not moments or segment is not moments[-1][0]):
            moments.append((segment, (segment.start_s + segment.end_s) / 2))
    return moments
