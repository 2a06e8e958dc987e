"""Bad input ends in one clear line and an exit code; never in a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.cli import main
from app.doctor import Finding


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
    [("--language", "klingon", "klingon"), ("--speed", "9", "speed 9"), ("--size", "10", "size")],
)
def test_bad_options_of_speaking_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, word: str
) -> None:
    out = tmp_path / "out.mp4"
    assert word in refused(capsys, "say", "Hello", "-o", str(out), option, value)
    assert not out.exists()


@pytest.mark.parametrize("name", ["out.avi", "out.txt", "speech.wav"])
def test_bad_outputs_are_named(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
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


def test_unexpected_errors_go_to_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode() -> list[Finding]:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("app.doctor.examine", explode)
    assert "surprise" in refused(capsys, "doctor")


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


def test_a_mistyped_emotion_gets_a_hint(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "render", str(speech), "-o", str(tmp_path / "o.mp4"), "--emotion", "smirck")
    assert "did you mean smirk" in message and "gaussian-avatar expressions" in message
