"""FaceFormer behind the driver: the whole utterance at the end, on any head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from animation.driver import AvatarDriver, DriverSettings
from animation.face import DrivenFace
from animation.speech.faceformer import FaceFormer, FaceFormerConfig, save_faceformer
from animation.speech.model import DEFAULT_WEIGHTS
from animation.speech.mouth import MouthMap
from animation.speech.offline import OfflineSpeech, open_speech_model
from animation.speech.stream import SpeechStream
from app.cli import main
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, indices
from avatar.heads import open_head


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FaceFormer of the generic head that opens the jaw by a constant amount, whatever it hears."""
    head, arkit = open_head()
    torch.manual_seed(0)
    model = FaceFormer(FaceFormerConfig(head.n_vertices, ("a",), audio_width=8)).eval()
    jaw = np.zeros((1, len(NAMES)), np.float32)
    jaw[0, indices("jawOpen")] = 0.25
    moved = head.vertices(arkit.params(jaw))[0] - head.v_template
    with torch.no_grad():
        model.vertex_map_back.bias.copy_(1e3 * moved.flatten())
    path = tmp_path_factory.mktemp("model") / "faceformer.safetensors"
    save_faceformer(model, path)
    return path


def voice(seconds: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, int(16000 * seconds)).astype(np.float32)


def test_everything_comes_at_the_end_and_once(weights: Path) -> None:
    speech = open_speech_model(weights, [open_head()])
    assert isinstance(speech, OfflineSpeech)
    samples = voice(1.01)
    assert len(speech.feed(samples[:5000])) == len(speech.feed(samples[5000:])) == 0
    frames = speech.finish()
    assert len(frames) == 51  # every started hop of 20 ms
    opened = MouthMap().weights(frames.articulation)[:, indices("jawOpen")]
    assert np.abs(opened - 0.25).max() < 0.03
    assert (frames.closure == 0).all() and (frames.voice[5:-5] == 1).all()
    assert len(speech.finish()) == 0


def test_it_drives_a_head_however_the_sound_is_cut(weights: Path) -> None:
    head, arkit = open_head()
    driver = AvatarDriver(DrivenFace.of(head, arkit), DriverSettings(seed=2), open_speech_model(weights, [open_head()]))
    whole = driver.feed(voice()) + driver.finish()
    driver.reset()
    cut = [pose for start in range(0, 16000, 777) for pose in driver.feed(voice()[start : start + 777])]
    assert cut + driver.finish() == whole
    assert whole[30].jaw_pose[0] > 0.05


def test_the_streaming_model_is_opened_by_the_same_call_and_others_are_refused(weights: Path, tmp_path: Path) -> None:
    assert isinstance(open_speech_model(DEFAULT_WEIGHTS, []), SpeechStream)
    with pytest.raises(UserError, match=r"trained on meshes of .* vertices"):
        open_speech_model(weights, [])
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        open_speech_model(tmp_path / "bad.safetensors", [])


def test_commands_take_a_speech_model(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import soundfile

    soundfile.write(tmp_path / "v.wav", voice(), 16000)
    out = tmp_path / "curves.csv"
    command = ["animate", str(tmp_path / "v.wav"), "-o", str(out), "--emotion", "Sly smile", "--speech-model"]
    assert main([*command, str(weights)]) == 0
    assert out.stat().st_size > 1000
    assert main([*command, str(tmp_path / "none.safetensors")]) == 2
    assert "none.safetensors" in capsys.readouterr().err
