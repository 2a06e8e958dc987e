"""The training commands as users give them, on a small made-up corpus in every layout."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from animation.lab.data.florence4d import write_florence4d
from animation.lab.data.sequences import write_native
from animation.lab.data.vocaset import write_faceformer, write_vocaset
from animation.lab.training import speech
from animation.speech.model import SpeechModelConfig
from app.cli import main
from avatar.formats.head_file import save_head
from tests.animation.synthetic_head import flame_sized_head, moving_sequences

pytest.importorskip("lightning_fabric")

SMALL = {
    "image_size": 16, "channels": [4], "speech_blendshapes": 4, "expression_blendshapes": 4, "linear_path": 8,
    "steps": 6, "batch": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people who speak and four who make faces, of a head in FLAME's topology, in every layout."""
    root = tmp_path_factory.mktemp("data")
    head, arkit = flame_sized_head()
    sequences = moving_sequences(4, poses=75)
    speech = [s for s in sequences if s.domain == "speech"]
    write_native(root / "native", sequences)
    write_vocaset(root / "vocaset", speech, sum(s.n_poses for s in speech))
    write_faceformer(root / "faceformer", speech)
    write_florence4d(root / "florence4d", [s for s in sequences if s.domain == "expression"], head.faces.numpy())
    save_head(head, arkit, root / "head.safetensors")
    (root / "small.json").write_text(json.dumps(SMALL))
    return root


@contextmanager
def interrupted_when(ready: Callable[[], bool]) -> Iterator[None]:
    """Ctrl-C for this process as soon as something is so."""
    left = threading.Event()

    def watch() -> None:
        while not left.wait(0.005):
            if ready():
                os.kill(os.getpid(), signal.SIGINT)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        watcher.join()


def fusion(data: Path, out: Path, *layouts: str) -> list[str]:
    folders = [word for layout in layouts for word in ("--data", str(data / layout))]
    head, config = str(data / "head.safetensors"), str(data / "small.json")
    return ["train", "fusion", *folders, "--head", head, "--config", config, "--device", "cpu", "--out", str(out)]


@pytest.mark.parametrize("layouts", [("native",), ("vocaset", "florence4d"), ("florence4d", "faceformer")])
def test_the_fusion_trains_from_every_layout(data: Path, tmp_path: Path, layouts: tuple[str, ...]) -> None:
    assert main(fusion(data, tmp_path, *layouts)) == 0
    written = {path.name for path in tmp_path.iterdir()}
    assert {"fusion.safetensors", "fusion.json", "checkpoint.pt", "curves.csv", "curves.png"} <= written


def test_the_same_seed_gives_the_same_weights(data: Path, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main([*fusion(data, tmp_path / name, "native"), "--seed", seed]) == 0
        weights.append(load_file(tmp_path / name / "fusion.safetensors"))
    assert all(np.array_equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not all(np.array_equal(weights[0][key], weights[2][key]) for key in weights[0])


def test_an_interrupted_command_goes_on(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As if it had not been interrupted; kills are tested with the engine itself."""
    command = [*fusion(data, tmp_path / "stopped", "native"), "--steps", "90"]
    checkpoint = tmp_path / "stopped" / "checkpoint.pt"
    with interrupted_when(checkpoint.exists):
        assert main(command) == 130
    errors = capsys.readouterr().err
    assert "the same command goes on from there" in errors and "Traceback" not in errors
    assert 0 < torch.load(checkpoint, weights_only=True)["done"] < 90
    assert main(command) == 0
    assert main([*fusion(data, tmp_path / "whole", "native"), "--steps", "90"]) == 0
    stopped, whole = (load_file(tmp_path / name / "fusion.safetensors") for name in ("stopped", "whole"))
    assert all(np.array_equal(stopped[key], whole[key]) for key in whole)
    assert (tmp_path / "stopped" / "curves.csv").read_text() == (tmp_path / "whole" / "curves.csv").read_text()


def test_faceformer_and_the_streaming_model_train_from_vocaset(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ["--format", "vocaset", "--head", str(data / "head.safetensors"), "--device", "cpu", "--steps", "2"]
    folder = ["--data", str(data / "vocaset")]
    assert main(["train", "faceformer", *folder, *common, "--out", str(tmp_path / "f")]) == 0
    assert (tmp_path / "f" / "faceformer.safetensors").is_file()
    with (tmp_path / "f" / "curves.csv").open() as file:
        assert float(list(csv.DictReader(file))[-1]["validation_rms_of_mean_mm"]) > 0
    small = partial(
        speech.TrainingConfig,
        SpeechModelConfig(hidden=8, filters=4),
        batch=4,
        crop_hops=20,
        variants=1,
    )
    monkeypatch.setattr(speech, "TrainingConfig", small)
    monkeypatch.setattr(speech, "NoiseBank", partial(speech.NoiseBank, seconds=6.0))
    assert main(["train", "speech", *folder, *common, "--out", str(tmp_path / "s")]) == 0
    assert (tmp_path / "s" / "speech.safetensors").is_file()


def refused(capsys: pytest.CaptureFixture[str], args: list[str]) -> str:
    """Run a command that must be refused; its one line."""
    assert main(args) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    return error


def test_mistakes_end_in_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    native = fusion(data, out, "native")
    (tmp_path / "empty").mkdir()
    for args, words in (
        (fusion(data, out, "nowhere"), "nowhere: no such folder"),
        (["train", "fusion", "--data", str(tmp_path / "empty")], "no data of a known layout"),
        (["train", "fusion", "--data", str(data)], "native"),
        (fusion(data, out, "vocaset"), "no expression in"),
        (fusion(data, out, "florence4d"), "no speech in"),
        ([*native, "--format", "mp4"], "unknown format 'mp4'"),
        ([*native, "--format", "native", "--format", "native"], "2 formats for 1 folders"),
        ([*native, "--steps", "0"], "steps"),
        ([*native, "--devices", "0"], "--devices 0"),
        ([*native, "--head", "nobody"], "nobody"),
        ([*native, "--config", str(data / "none.json")], "none.json: cannot be read"),
        (["train", "fusion", "--data", str(data / "native")], "name the head"),
        (["train", "speech", "--data", str(tmp_path / "corpus")], "gaussian-avatar corpus speech"),
        (["train", "faceformer", "--data", str(data / "florence4d")], "no speech in"),
        (["corpus", "fusion", str(out), "--layouts", "bvh", "--silent"], "unknown layout bvh"),
        (["corpus", "fusion", str(out), "--speakers", "0"], "speakers: expected at least 1"),
        (["evaluate", "fusion", "--weights", str(tmp_path / "none.safetensors")], "none.safetensors"),
    ):
        assert words in refused(capsys, args), args
    (tmp_path / "odd.json").write_text('{"colour": 1}')
    assert "unknown colour" in refused(capsys, [*native, "--config", str(tmp_path / "odd.json")])
    assert not out.exists()


def test_a_corpus_is_made_in_all_layouts_and_trained_on(tmp_path: Path) -> None:
    sizes = ["--speakers", "3", "--sentences", "1", "--identities", "3", "--expressions", "6", "--silent"]
    layouts = ["native", "vocaset", "faceformer"]
    assert main(["corpus", "fusion", str(tmp_path / "c"), *sizes, "--layouts", *layouts]) == 0
    assert {"head.safetensors", "corpus.json", "hidden", *layouts} == {p.name for p in (tmp_path / "c").iterdir()}
    head, config = str(tmp_path / "c" / "head.safetensors"), tmp_path / "small.json"
    config.write_text(json.dumps(SMALL))
    command = ["train", "fusion", "--data", str(tmp_path / "c" / "native"), "--head", head, "--config", str(config)]
    assert main([*command, "--device", "cpu", "--out", str(tmp_path / "out")]) == 0
