"""Options that several commands take, in groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from avatar.errors import UserError

if TYPE_CHECKING:
    from animation.performance.document import Performance
    from app.offline import RenderOptions

__all__ = ["Acting", "Headless", "Hearing", "Picture", "refuse", "refuse_other_formats"]


@dataclass(frozen=True)
class Acting:
    """How the avatar feels and moves."""

    emotion: str | None = None
    """neutral, happy, sad, surprised, afraid, disgusted, angry, contempt, or any name that `gaussian-avatar
    expressions` lists, such as smirk; neutral if not given."""
    intensity: float | None = None
    """of the emotion, 0 to 1; 1 if not given."""
    emotion_track: Path | None = None
    """a file of emotions over time, lines of: seconds emotion intensity."""
    performance: Path | None = None
    """a file of emotions, keyframes and variations, as `perform` writes it; its seed and dials count."""
    expression: str | None = None
    """any of those names, held on top of the emotion."""
    expression_amount: float | None = None
    """of the held expression, 0 to 1; 1 if not given."""
    seed: int | None = None
    """of blinks, gaze, brows and head: the same seed gives the same performance; 0 if not given."""
    follow_voice: bool = False
    """let the emotion's intensity follow how aroused the voice sounds."""
    mouth_opening: float | None = None
    """size of the mouth's movements, 0 to 2; 1 if not given."""
    emphasis: float | None = None
    """how much stressed words show on head and brows, 0 to 2; 1 if not given."""
    emotion_over_speech: float | None = None
    """how well the emotion's mouth holds while speaking, 0 to 1; 0.5 if not given."""
    liveliness: float | None = None
    """size of the movements of head and brows, 0 to 2; 1 if not given."""
    personal: float | None = None
    """how far a captured avatar moves as its person does, 0 to 1; 1 if not given."""
    variety: float | None = None
    """how freely an emotion changes while it lasts, 0 to 1; 0.5 if not given."""
    calm: float | None = None
    """0 follows every sound, 1 is calm; 0.5 if not given."""

    def applied(self, options: RenderOptions) -> RenderOptions:
        """Options of a video with these.

        Raises:
            UserError: for what cannot be used, or would have no effect.
        """
        if self.emotion is None:
            refuse("of which emotion? give --emotion too", intensity=self.intensity)
        if self.expression is None:
            refuse("of which expression? give --expression too", expression_amount=self.expression_amount)
        given = _given(self)
        performance = self._performance(given)
        given.pop("emotion_track", None)
        given.pop("performance", None)
        return replace(options, driver=replace(options.driver, **given), performance=performance)

    def _performance(self, given: dict[str, Any]) -> Performance | None:
        from animation.expression.track import EmotionTrack
        from animation.performance.document import DIALS, Performance

        if self.performance is not None:
            stated = {name: value for name, value in given.items() if name in ("seed", "emotion_track", *DIALS)}
            refuse(f"{self.performance} says it itself: edit the file", **stated)
            return Performance.load(self.performance)
        if self.emotion_track is not None:
            cues = EmotionTrack.read(self.emotion_track).cues
            dials = {name: given[name] for name in DIALS if name in given}
            return Performance(self.seed or 0, dials, cues)
        return None


@dataclass(frozen=True)
class Hearing:
    """How speech is heard."""

    track: int | None = None
    """which sound track, counted from 1; the file's default one if not given."""
    channel: int | None = None
    """which channel, counted from 1; those that speech is in if not given."""
    speech_model: Path | None = None
    """what `train speech` or `train faceformer` wrote; the model that ships if not given."""

    def applied(self, options: RenderOptions) -> RenderOptions:
        """Options of a video with these."""
        return replace(options, **_given(self))


@dataclass(frozen=True)
class Picture:
    """What the video looks like."""

    size: str = "512"
    """pixels, 512 or 1280x720."""
    fps: float = 30.0
    """images a second."""
    background: str = "studio"
    """studio, transparent, a colour name or #rrggbb."""
    camera: str = "portrait"
    """portrait, face, close, mouth, three-quarter or profile."""
    backend: str = "auto"
    """auto, gsplat, opengl or cpu."""
    gaussians: int | None = None
    """level of detail: draw only the so many most important Gaussians."""
    quality: str | None = None
    """draft, standard or high, of a video; standard if not given."""

    def options(self, avatar: str) -> RenderOptions:
        """Options of a video of this avatar."""
        from app.backdrop import parse_background
        from app.offline import RenderOptions, parse_size

        width, height = parse_size(self.size)
        return RenderOptions(
            avatar,
            width=width,
            height=height,
            fps=self.fps,
            background=parse_background(self.background),
            camera=self.camera,
            backend=self.backend,
            max_gaussians=self.gaussians,
            quality=self.quality or "standard",
        )


@dataclass(frozen=True)
class Headless:
    """What the window has controls for."""

    emotion: str | None = None
    """as for `render`."""
    intensity: float | None = None
    """of the emotion, 0 to 1; 1 if not given."""
    record: Path | None = None
    """write a video here."""
    fps: float | None = None
    """of the recording; every image keeps its own time if not given."""
    seconds: float | None = None
    """stop after so long."""
    size: str | None = None
    """pixels of the picture; 512 if not given."""
    background: str | None = None
    """as for `render`."""
    camera: str | None = None
    """as for `render`."""
    monitor: bool = False
    """play the voice, delayed to be in step with the lips."""
    vmc: str | None = None
    """send to a VTuber program: HOST:PORT, usually 127.0.0.1:39539."""
    livelink: str | None = None
    """send Live Link Face packets: HOST:PORT, usually 127.0.0.1:11111."""
    virtual_camera: bool = False
    """be a webcam (needs the extra virtual-camera)."""
    face: Literal["voice", "webcam", "both"] | None = None
    """what moves the face: the voice, a webcam, or both: lips by the voice, the rest by the webcam."""
    webcam: str | None = None
    """its name or path; the first there is if not given."""


def refuse(why: str, **given: object) -> None:
    """Turn down options that would have no effect; those that were not given are None or False.

    Raises:
        UserError: naming those that were.
    """
    named = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None and value is not False]
    if named:
        raise UserError(f"{', '.join(named)}: {why}")


def refuse_other_formats(
    *kinds: str | None, moment: object = None, flame: str | None = None, avatar: str | None = None
) -> None:
    """Turn down what none of the formats has a place for: those of `app.output.curves.FORMATS`, or None for a video.

    Raises:
        UserError: naming it.
    """
    if "ply" not in kinds:
        refuse("only a .ply shows a single moment", moment=moment)
    if not {"flame", "diffposetalk"} & set(kinds):
        refuse("only an .npz holds coefficients of FLAME", flame=flame)
    if not {"glb", "ply"} & set(kinds):
        refuse("the curves do not depend on it; only a .glb or .ply holds an avatar", avatar=avatar)


def _given(group: Acting | Hearing) -> dict[str, Any]:
    return {name: value for name, value in vars(group).items() if value is not None and value is not False}
