"""Batches: everything is made once, nothing is lost, nothing is made twice, whatever dies in between."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.batch import BatchOptions, run_batch
from app.batch import task as task_module
from app.batch.cluster import _outcome
from app.batch.plan import Settings
from app.batch.pool import run_here
from app.cli import main
from app.options import Acting, Picture
from avatar.errors import UserError
from avatar.formats.atomic import replacing
from tests.app.batch.dying import die_or_double

SMALL = Picture(size="32", fps=5.0, backend="cpu", quality="draft")
HERE = BatchOptions(jobs=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "summary.json" and ".batch" not in p.parts
    }


@pytest.fixture
def settings(tmp_path: Path, tiny_avatar: Path) -> Settings:
    return Settings(tmp_path / "out", ("mp4", "csv"), str(tiny_avatar), picture=SMALL)


def with_out(settings: Settings, out: Path) -> Settings:
    return Settings(out, settings.formats, settings.avatar, settings.acting, settings.hearing, settings.picture)


def test_what_is_done_and_unchanged_is_not_done_again(
    clips: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_batch([str(clips)], settings, HERE)
    assert (first.count("made"), first.exit_code) == (8, 0)
    assert sorted(contents(settings.out)) == [f"{k}.{s}" for k in range(4) for s in ("csv", "mp4")]
    before = contents(settings.out)

    again = run_batch([str(clips)], settings, HERE)
    assert (again.count("made"), again.count("unchanged")) == (0, 8)

    os.utime(clips / "0.wav")  # touched, not changed
    (clips / "1.wav").write_bytes((clips / "2.wav").read_bytes())
    (settings.out / "3.csv").unlink()
    third = run_batch([str(clips)], settings, HERE)
    assert {m.out.name for m in third.made if m.status == "made"} == {"1.csv", "1.mp4", "3.csv"}
    after = contents(settings.out)
    assert after["3.csv"] == before["3.csv"] and after["0.mp4"] == before["0.mp4"]
    assert after["1.csv"] != before["1.csv"]

    monkeypatch.setattr("app.batch.receipt.version", lambda name: "another")
    assert run_batch([str(clips / "0.wav")], settings, HERE).count("made") == 2


def test_other_options_make_other_files(clips: Path, settings: Settings) -> None:
    source = [str(clips / "0.wav")]
    run_batch(source, settings, HERE)
    happy = Settings(settings.out, ("csv",), settings.avatar, Acting(emotion="happy"), picture=SMALL)
    assert run_batch(source, happy, HERE).count("made") == 1
    assert run_batch(source, settings, HERE).count("made") == 1  # back: the video was left alone


def test_bad_lines_are_told_before_anything_is_made(
    clips: Path, tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "lines.csv"
    lines = [
        "audio;output;emotion;intensity;avatar;size;format;text;moment",
        "clips/0.wav;a;happy;0.5;;;csv;;",
        "clips/none.wav;b;;;;;;;",
        "clips/1.wav;c;joyous;;;;;;",
        "clips/1.wav;d;happy;loud;;;;;",
        "clips/1.wav;e;;;nobody;;;;",
        "clips/1.wav;A.CSV;;;;huge;csv;;",
        "clips/1.wav;a;happy;;;;csv;;",
        "clips/1.wav;f;;0.5;;;;;",
        "clips/1.wav;../g;;;;;;;",
        "clips/1.wav;h;;;;;avi;;",
        ";i;;;;;;;",
        "clips/1.wav;j;;;;;;hello;",
        "clips/1.wav;k;;;;;csv,mp4;;1.5",
    ]
    table.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    arguments = ["batch", str(table), "-o", str(settings.out), "--avatar", settings.avatar, "--size", "32", "-j", "1"]
    assert main(arguments) == 2
    told = capsys.readouterr().err.splitlines()
    expected = {
        3: "none.wav", 4: "joyous", 5: "loud", 6: "nobody", 7: "huge", 8: "line 2 does", 9: "of which emotion",
        10: "../g", 11: "avi", 12: "neither audio nor text", 13: "got both", 14: "--moment: only a .ply",
    }  # fmt: skip
    for number, word in expected.items():
        (line,) = [t for t in told if f"lines.csv, line {number}:" in t]
        assert word in line
    assert len(told) == len(expected) + 1 and not settings.out.exists()

    assert main([*arguments, "--skip-bad", "--json"]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["made"] == 1 and len(summary["problems"]) == len(expected)


def test_a_line_that_fails_is_tried_again_and_the_rest_goes_on(
    clips: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    render = task_module.render_audio

    def shaky(audio: Path, *args: Any, **options: Any) -> Any:
        calls.append(audio.name)
        if audio.name == "1.wav" or (audio.name == "2.wav" and calls.count("2.wav") == 1):
            raise UserError("the share is gone")
        return render(audio, *args, **options)

    monkeypatch.setattr(task_module, "render_audio", shaky)
    summary = run_batch([str(clips)], Settings(settings.out, ("mp4",), settings.avatar, picture=SMALL), HERE)
    assert [m.status for m in summary.made] == ["made", "failed", "made", "made"]
    assert summary.made[1].message == "the share is gone" and calls.count("1.wav") == 2
    assert summary.exit_code == 1
    assert sorted(contents(settings.out)) == ["0.mp4", "2.mp4", "3.mp4"]


def test_an_interrupt_leaves_nothing_half_made(
    clips: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    write = task_module._write

    def interrupted(*args: Any) -> float:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(args)
        return write(*args)

    monkeypatch.setattr(task_module, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_batch([str(clips)], settings, HERE)
    assert sorted(contents(settings.out)) == ["0.csv", "0.mp4", "1.mp4"]
    monkeypatch.undo()
    assert run_batch([str(clips)], settings, HERE).count("unchanged") == 3


def test_what_a_process_that_died_left_is_removed_once_its_output_is_there(clips: Path, settings: Settings) -> None:
    (clips / "0.wav").rename(clips / "0 [take].wav")
    settings.out.mkdir()
    left = [settings.out / f".{stem}.elsewhere-{n}.partial.mp4" for n, stem in enumerate(("0 [take]", "1", "1"))]
    with pytest.raises(KeyError), replacing(left[0]) as path:
        left.append(path)
        raise KeyError
    stranger = settings.out / ".9.elsewhere-1.partial.mp4"
    for path in (*left, stranger):
        path.write_bytes(b"half")
    video = Settings(settings.out, ("mp4",), settings.avatar, picture=SMALL)
    assert run_batch([str(clips / "0 [take].wav"), str(clips / "1.wav")], video, HERE).count("made") == 2
    assert sorted(contents(settings.out)) == [stranger.name, "0 [take].mp4", "1.mp4"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals that cannot be caught")
def test_a_process_that_dies_costs_its_own_task_alone() -> None:
    found = dict(run_here(die_or_double, [1, 2, 7, 3, 4], 2))
    assert {k: v for k, v in found.items() if k != 7} == {1: 2, 2: 4, 3: 6, 4: 8}
    assert isinstance(found[7], RuntimeError)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Any]:
    """Dask's own scheduler and two workers, as processes; `.restart()` replaces the scheduler."""
    pytest.importorskip("distributed", reason="the extra `batch` is not installed")
    cluster = _Cluster(tmp_path)
    yield cluster
    cluster.stop()


class _Cluster:
    def __init__(self, folder: Path) -> None:
        self._log_file = folder / "dask.log"
        self._log = self._log_file.open("wb")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.scheduler = self._start("dask_scheduler", "--port", str(self._port), "--host", "127.0.0.1")
        self._wait_until_it_answers()
        self.workers = [self.worker() for _ in range(2)]

    def _wait_until_it_answers(self) -> None:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the scheduler did not start")

    def _start(self, module: str, *args: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *args, "--no-dashboard"]
        patience = {f"DASK_DISTRIBUTED__COMM__TIMEOUTS__{what}": "300s" for what in ("CONNECT", "TCP")}
        environment = os.environ | patience | {"PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONFAULTHANDLER": "1"}
        return subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment)

    def worker(self) -> subprocess.Popen[bytes]:
        return self._start("dask_worker", self.address, "--nthreads", "1", "--no-nanny")

    def replace_worker(self) -> None:
        """As whatever runs a cluster does when one has died."""
        self.workers[0].kill()
        self.workers.append(self.worker())

    def stalled(self) -> str:
        """What it has said, with what its workers are at; it ends."""
        for process in self.workers:
            process.send_signal(signal.SIGABRT)
        time.sleep(2.0)
        self.scheduler.kill()
        return self._log_file.read_text(errors="replace")

    def restart(self) -> None:
        self.scheduler.kill()
        self.scheduler.wait()
        self.scheduler = self._start("dask_scheduler", "--port", str(self._port), "--host", "127.0.0.1")
        self.workers.append(self.worker())

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        self._log.close()


def _until(wanted: Callable[[], bool], cluster: _Cluster, seconds: float = 240.0) -> None:
    end_s = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end_s, cluster.stalled()
        time.sleep(0.02)


def test_through_a_scheduler_the_files_are_the_same_and_nothing_dies_with_a_worker_or_the_scheduler(
    clips: Path, tmp_path: Path, settings: Settings, scheduler: Any
) -> None:
    for k in range(4, 8):
        (clips / f"{k}.wav").write_bytes((clips / f"{k % 4}.wav").read_bytes())
    there, here = with_out(settings, tmp_path / "there"), with_out(settings, tmp_path / "here")
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(run_batch, [str(clips)], there, BatchOptions(scheduler=scheduler.address))
        _until(lambda: len(contents(there.out)) >= 3, scheduler)
        scheduler.replace_worker()
        _until(lambda: len(contents(there.out)) >= 6, scheduler)
        scheduler.restart()
        _until(batch.done, scheduler)
    assert batch.result().count("failed") == 0 and len(batch.result().made) == 16
    assert run_batch([str(clips)], here, HERE).count("made") == 16
    assert contents(there.out) == contents(here.out)
    assert run_batch([str(clips)], there, HERE).count("unchanged") == 16


@pytest.mark.parametrize("status", ["finished", "error", "cancelled", "lost"])
def test_what_the_connection_took_away_is_no_result_whatever_its_status_says(status: str) -> None:
    def gone() -> None:
        raise CancelledError("scheduler-connection-lost")

    with pytest.raises(CancelledError):
        _outcome(SimpleNamespace(key="task", status=status, result=gone, exception=gone))


def test_no_scheduler_is_one_line(clips: Path, settings: Settings) -> None:
    pytest.importorskip("distributed", reason="the extra `batch` is not installed")
    with pytest.raises(UserError, match="no Dask scheduler answers"):
        run_batch([str(clips)], settings, BatchOptions(scheduler="tcp://127.0.0.1:1"))
