"""Bad input ends in one clear line and an exit code; never in a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.cli import main
from app.doctor import Finding
from avatar.errors import UserError
from avatar.formats.native import save_avatar
from tests.avatar.synthetic import make_avatar


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).normal(size=8000), 16000)
    return path


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """Run a command that must be refused; its one line."""
    code = main(list(args))
    captured = capsys.readouterr()
    assert code != 0
    assert captured.err.count("\n") == 1 and "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--emotion", "joyous", "joyous"),
        ("--intensity", "1.5", "intensity"),
        ("--avatar", "nobody", "nobody"),
        ("--size", "huge", "huge"),
        ("--fps", "0", "fps"),
        ("--background", "bluish", "bluish"),
        ("--camera", "below", "below"),
        ("--backend", "metal", "metal"),
        ("--quality", "best", "best"),
        ("--gaussians", "0", "gaussians"),
        ("--emotion-track", "missing.txt", "missing.txt"),
    ],
)
def test_bad_options_are_named(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, word: str
) -> None:
    out = tmp_path / "out.mp4"
    assert word in refused(capsys, "render", str(speech), "-o", str(out), option, value)
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--language", "klingon", "klingon"),
        ("--speed", "9", "speed 9"),
        ("--size", "10", "size"),
        ("--camera", "below", "below"),
        ("--background", "transparent", ".mov"),
    ],
)
def test_bad_options_of_speaking_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, word: str
) -> None:
    out = tmp_path / "out.mp4"
    assert word in refused(capsys, "say", "Hello", "-o", str(out), option, value)
    assert not out.exists()


@pytest.mark.parametrize("name", ["out.avi", "out.txt", "speech.wav"])
def test_bad_outputs_are_named(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before a renderer is opened, and compiled."""
    monkeypatch.setattr("app.offline_tools.open_renderer", None)
    before = speech.read_bytes()
    assert name in refused(capsys, "render", str(speech), "-o", str(tmp_path / name))
    assert speech.read_bytes() == before


def test_a_folder_that_cannot_be_made(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("not a folder")
    refused(capsys, "render", str(speech), "-o", str(tmp_path / "file" / "out.mp4"))


def test_a_full_disk_is_one_line(speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    link = speech.with_name("full.mp4")
    link.symlink_to("/dev/full")
    refused(capsys, "render", str(speech), "-o", str(link), "--size", "64", "--gaussians", "1000")


def test_transparent_needs_a_format_with_alpha(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(capsys, "render", str(speech), "-o", str(tmp_path / "out.mp4"), "--background", "transparent")
    assert ".mov" in message


@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError])
def test_unexpected_errors_go_to_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: type[Exception]
) -> None:
    """A ValueError, too, is the program's mistake and not its user's."""

    def explode() -> list[Finding]:
        raise error("surprise")

    assert not issubclass(UserError, ValueError)
    monkeypatch.setattr("app.doctor.examine", explode)
    assert f"unexpected {error.__name__}: surprise" in refused(capsys, "doctor")


def test_doctor_speaks_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("app.doctor.examine", lambda: [Finding("display", "missing", "none")])
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"topic": "display", "state": "missing", "text": "none"}]


def test_avatars_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from avatar.library import names

    assert main(["avatars"]) == 0
    listed = capsys.readouterr().out
    assert names() and all(name in listed for name in names())


def test_expressions_are_listed_and_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["expressions", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 71
    assert main(["expressions", "SMIRK"]) == 0
    assert "smile_sly" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--emotion", "nonsense"], "--emotion"),
        (["--intensity", "0.5", "--seed", "3"], "--intensity, --seed"),
        (["--track", "2"], "--track"),
        (["--channel", "1"], "--channel"),
        (["--speech-model", "x"], "--speech-model"),
        (["--emotion-track", "x"], "--emotion-track"),
    ],
)
@pytest.mark.parametrize("command", ["render", "animate"])
def test_curves_take_no_options_of_speech(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, options: list[str], named: str
) -> None:
    out = tmp_path / ("out.mp4" if command == "render" else "out.arkit.npz")
    message = refused(capsys, command, str(tmp_path / "curves.csv"), "-o", str(out), *options)
    assert f"{named}: " in message
    assert "file of curves" in message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--emotion", "sad", "--camera", "mouth"], "--emotion, --camera: only with --headless"),
        (["--size", "512", "--fps", "30", "--seconds", "1"], "--fps, --seconds, --size: only with --headless"),
        (["--virtual-camera", "--vmc", "a:1"], "--vmc, --virtual-camera: only"),
        (["--track", "2"], "--track: a microphone has one"),
        (["--headless", "--vmc", "foo:bar"], "expected HOST:PORT"),
        (["--headless", "--livelink", "127.0.0.1:99999"], "between 1 and 65535"),
        (["--headless", "--vmc", "no such host.invalid:39539"], "no such host"),
        (["--headless", "--intensity", "0.5"], "--intensity: of which emotion"),
        (["--headless", "--fps", "30"], "--fps: of a recording"),
        (["--headless", "--audio-file", "a.wav", "--device", "b"], "--device: the file is heard"),
        (["--headless", "--record", "x.mp4", "--camera", "nowhere"], "unknown camera"),
        (["--headless", "--camera", "face", "--background", "red"], "--camera: nobody sees the picture; give --record"),
        (["--headless", "--emotion", "nonsense"], "nonsense"),
    ],
)
def test_live_takes_no_option_without_effect(capsys: pytest.CaptureFixture[str], options: list[str], says: str) -> None:
    assert says in refused(capsys, "live", *options)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["render", "{speech}", "--intensity", "0.5"], "--intensity: of which emotion"),
        (["forge", "clara", "--part", "1/2"], "--part: is of the path tracer"),
        (["forge", "clara", "--render", "--part", "3/2"], "--part 3/2: expected such as 2/4"),
        (["render", "{speech}", "--channel", "2"], "has 1 channel; there is no channel 2"),
        (["render", "{speech}", "--track", "2"], "has 1 sound track; there is no track 2"),
        (["render", "{speech}", "-o", "{folder}/pictures", "--quality", "high"], "--quality: a PNG sequence"),
        (["say", "Hello", "-o", "{folder}/pictures/", "--quality", "high"], "--quality: a PNG sequence"),
        (["track", "{speech}", "-o", "{folder}/a.csv", "--moment", "1"], "--moment: only a .ply"),
        (["track", "{speech}", "-o", "{folder}/a.csv", "--flame", "x"], "--flame: only an .npz"),
        (["track", "{speech}", "-o", "{folder}/a.csv", "--avatar", "clara"], "--avatar: the curves do not"),
        (["forge", "clara", "--render", "--samples", "0"], "--samples must be at least 1"),
        (["animate", "{speech}", "-o", "{folder}/a.csv", "--moment", "1"], "--moment: only a .ply"),
        (["animate", "{speech}", "-o", "{folder}/a.csv", "--flame", "x"], "--flame: only an .npz"),
        (["animate", "{folder}/a.json", "-o", "{folder}/a.csv", "--avatar", "clara"], "--avatar: the curves do not"),
        (["import", "{speech}", "--flame", "x"], "--flame: only a .ply"),
        (["train", "fusion", "--format", "native"], "--format: of which data"),
        (["train", "speech", "--head", "x"], "--head: the speech corpus has no meshes"),
    ],
)
def test_options_without_effect_are_refused(
    speech: Path, capsys: pytest.CaptureFixture[str], command: list[str], says: str
) -> None:
    words = [word.format(speech=speech, folder=speech.parent) for word in command]
    assert says in refused(capsys, *words)


def test_an_exported_avatar_is_said_to_need_binding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_avatar(make_avatar(), tmp_path / "x.safetensors")
    assert main(["export", str(tmp_path / "x.safetensors"), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "point_cloud.ply" in said
    assert "bind them to the head" in said


def test_a_mistyped_emotion_gets_a_hint(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "render", str(speech), "-o", str(tmp_path / "o.mp4"), "--emotion", "smirck")
    assert "did you mean smirk" in message and "gaussian-avatar expressions" in message
