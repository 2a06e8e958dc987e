"""From lines to tasks: everything that can be checked is checked before anything is computed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from app.audio_file import open_audio
from app.batch.table import Line
from app.batch.task import Task
from app.options import Acting, Hearing, Picture, refuse, refuse_other_formats
from app.output.curves import FORMATS as CURVES
from app.output.curves import SUFFIXES, format_of
from app.output.formats import FORMATS as VIDEOS
from avatar.errors import UserError
from avatar.heads import HEAD, assets_dir, heads_dir, open_flame
from avatar.library import default_name, open_avatar, path_of

__all__ = ["Plan", "Settings", "plan"]

Group = TypeVar("Group", Acting, Hearing, Picture)

_OWN = ("audio", "text", "voice", "language", "speed", "output", "format", "avatar", "rate", "moment", "flame")
_COLUMNS = (*_OWN, *(f.name for group in (Acting, Hearing, Picture) for f in fields(group)))
_FILES = ("emotion_track", "performance", "speech_model")
_NAME = re.compile(r'[^<>:"|?*\x00-\x1f]+')


@dataclass(frozen=True)
class Settings:
    """What holds for every line that does not say otherwise."""

    out: Path
    """Folder of the outputs."""
    formats: tuple[str, ...] = ("mp4",)
    avatar: str = ""
    acting: Acting = field(default_factory=Acting)
    hearing: Hearing = field(default_factory=Hearing)
    picture: Picture = field(default_factory=Picture)


@dataclass(frozen=True)
class Plan:
    """What is to be made, and the lines that cannot be."""

    tasks: list[Task]
    problems: list[str]
    """One line each, beginning with where it is."""


def plan(lines: Sequence[Line], settings: Settings) -> Plan:
    """Tasks for all lines: one for each line and format."""
    tasks: list[Task] = []
    problems: list[str] = []
    taken: dict[Path, str] = {}
    checks = _Checks()
    for line in lines:
        try:
            for task in _tasks(line, settings, checks):
                if task.out in taken:
                    raise UserError(f"makes {task.out.name}, as {taken[task.out]} does; give it another output")
                taken[task.out] = line.where
                tasks.append(task)
        except UserError as error:
            problems.append(f"{line.where}: {error}")
    return Plan(tasks, problems)


class _Checks:
    """What has been looked at once need not be again."""

    def __init__(self) -> None:
        self._avatars: dict[str, str] = {}

    def avatar(self, name: str) -> None:
        """Raises UserError for one that cannot be opened."""
        if name not in self._avatars:
            try:
                open_avatar(name or default_name())
                self._avatars[name] = ""
            except UserError as error:
                self._avatars[name] = str(error)
        if self._avatars[name]:
            raise UserError(self._avatars[name])


def _tasks(line: Line, settings: Settings, checks: _Checks) -> Iterable[Task]:
    values = line.values
    if unknown := sorted(set(values) - set(_COLUMNS)):
        raise UserError(f"unknown column {', '.join(unknown)}; known are {', '.join(_COLUMNS)}")
    audio, text = values.get("audio"), values.get("text", "")
    if bool(audio) == bool(text):
        raise UserError("expected one of audio and text, got both" if text else "has neither audio nor text")
    if not text:
        refuse("only a text is spoken by a voice", **{n: values.get(n) for n in ("voice", "language", "speed")})
    path = _path(line, audio) if audio else None
    avatar = values.get("avatar", settings.avatar)
    if avatar and _path(line, avatar).is_file():
        avatar = str(_path(line, avatar))
    checks.avatar(avatar)
    given = {n: str(_path(line, v)) if n in _FILES else v for n, v in values.items() if n not in _OWN}
    acting, hearing = _group(settings.acting, given), _group(settings.hearing, given)
    picture = _group(settings.picture, given)
    options = hearing.applied(acting.applied(picture.options(avatar)))
    options.check()
    for name in ("emotion_track", "performance"):
        if (file := getattr(acting, name)) is not None and not file.is_file():
            raise UserError(f"{file}: no such file")
    sound = open_audio(path, track=options.track, channel=options.channel) if path else None
    common = Task(
        where=line.where,
        out=Path(),
        options=options,
        audio=path,
        text=text,
        voice=values.get("voice", ""),
        language=values.get("language", ""),
        speed=_number(values, "speed", 1.0),
        rate_hz=_number(values, "rate", None),
        moment_s=_number(values, "moment", 0.0),
        flame=values.get("flame"),
        inputs=_inputs(path, avatar, acting, hearing, values.get("flame")),
        duration_s=sound.duration_s if sound else 0.06 * len(text),
        receipts=settings.out.resolve() / ".batch",
    )
    outputs = list(_outputs(line, settings))
    kinds = {curves for _, curves in outputs}
    refuse_other_formats(*kinds, moment=values.get("moment"), flame=values.get("flame"))
    if kinds == {None}:
        refuse("of the poses of curves; a video has fps", rate=values.get("rate"))
    for out, curves in outputs:
        if out == path:
            raise UserError(f"{out.name} is its own input; give it another output")
        yield replace(common, out=out, curves=curves)


def _outputs(line: Line, settings: Settings) -> Iterable[tuple[Path, str | None]]:
    """Files to be made: path, and the format of curves or None for a video."""
    values = line.values
    name = values.get("output") or (Path(values["audio"]).stem if "audio" in values else "")
    if not name:
        raise UserError("a text needs an output to be kept under")
    if not _NAME.fullmatch(name) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"output {name!r}: expected a name, or a path within the folder of outputs")
    suffix = Path(name).suffix.lower()
    known = suffix in VIDEOS or suffix in SUFFIXES
    formats = [f.strip().lower() for f in values["format"].split(",")] if "format" in values else list(settings.formats)
    if known and "format" not in values:
        formats = [suffix[1:]]
    base = settings.out.resolve() / (name[: -len(suffix)] if known else name)
    for each in formats:
        yield _output(base, each)


def _output(base: Path, format: str) -> tuple[Path, str | None]:
    if f".{format}" in VIDEOS:
        return base.with_name(f"{base.name}.{format}"), None
    if format == "png":
        return base, None  # a folder
    if format in CURVES:
        suffix = ".arkit.npz" if format == "arkit" else next(s for s, f in SUFFIXES.items() if f == _family(format))
        return base.with_name(base.name + suffix), format
    if f".{format}" in SUFFIXES:
        path = base.with_name(f"{base.name}.{format}")
        return path, format_of(path)
    known = ", ".join([*(s[1:] for s in VIDEOS), "png", *(s[1:] for s in SUFFIXES), *CURVES])
    raise UserError(f"unknown format {format!r}: choose of {known}")


def _family(format: str) -> str:
    return "flame" if format == "diffposetalk" else format


def _group(group: Group, given: Mapping[str, str]) -> Group:
    """A group of options with some of them told by a line."""
    kind = type(group)
    mine = {f.name: given[f.name] for f in fields(kind) if f.name in given}
    try:
        told = msgspec.convert(mine, kind, strict=False, dec_hook=lambda wanted, value: wanted(value))
    except msgspec.ValidationError as error:
        name = str(error).rsplit("$.", 1)[-1].rstrip("`")
        raise UserError(f"{name} {mine.get(name, '')!r}: {str(error).split(' - at')[0].lower()}") from error
    return replace(group, **{name: getattr(told, name) for name in mine})


def _number(values: Mapping[str, str], name: str, default: Any) -> Any:
    if name not in values:
        return default
    try:
        return float(values[name].replace(",", "."))
    except ValueError as error:
        raise UserError(f"{name} {values[name]!r}: expected a number") from error


def _path(line: Line, text: str) -> Path:
    path = Path(text).expanduser()
    return (path if path.is_absolute() else line.folder / path).resolve()


def _inputs(audio: Path | None, avatar: str, acting: Acting, hearing: Hearing, flame: str | None) -> tuple[Path, ...]:
    """Files that the output depends on."""
    if flame is not None:
        open_flame(flame)
    weights = [hearing.speech_model] if hearing.speech_model else sorted(_weights().glob("*.safetensors"))
    found = [
        audio,
        path_of(avatar or default_name()),
        acting.emotion_track,
        acting.performance,
        assets_dir() / f"{HEAD}.safetensors",
        heads_dir() / f"{flame}.safetensors" if flame else None,
        *weights,
    ]
    return tuple(path.resolve() for path in found if path is not None)


def _weights() -> Path:
    from animation.blendshapes.learned import default_weights

    return default_weights().parent
