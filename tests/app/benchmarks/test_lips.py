"""The race of lips: what is missing is said, what is heard is taken as the programs say it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from animation.lab.data.corpus import Utterance, save_utterances
from animation.speech.audio import HOP_S, SAMPLE_RATE
from animation.speech.phonemes import VISEME_INDEX, Segment
from app.benchmarks import lip_peers
from app.benchmarks.lip_peers import PEERS, Heard, Peer
from app.benchmarks.lips import bench_lips
from avatar.errors import UserError

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")

_PHONES = ("SIL", "AA", "P", "SH", "M", "AA", "SIL")


def _utterance(name: str = "one") -> Utterance:
    """Phones of 0.2 s; loud where somebody speaks."""
    segments = tuple(Segment(phone, 0.2 * k, 0.2 * (k + 1)) for k, phone in enumerate(_PHONES))
    loud = np.repeat([phone != "SIL" for phone in _PHONES], SAMPLE_RATE // 5)
    samples = np.where(loud, np.random.default_rng(0).normal(0, 0.1, len(loud)), 0.0).astype(np.float32)
    return Utterance("librivox_en", name, "somebody", "en", samples, segments)


def _corpus(folder: Path) -> Path:
    save_utterances(folder, "librivox_en", [_utterance("one"), _utterance("two")])
    return folder


def _said(names: list[str], late: int = 0) -> np.ndarray:
    """A viseme for each phone of an utterance, so many poses late."""
    poses = np.repeat([VISEME_INDEX[name] for name in names], round(0.2 / HOP_S))
    return np.concatenate([np.full(late, VISEME_INDEX["sil"]), poses])[: len(poses)]


def _figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, peer: Peer) -> list[dict]:
    monkeypatch.setattr("app.benchmarks.lips.PEERS", (peer,))
    report = bench_lips(_corpus(tmp_path / "corpus"))
    return [row for row in report["results"] if row["name"] == peer.name]


def test_what_is_not_here_is_a_line_and_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lip_peers.shutil, "which", lambda name: None)
    monkeypatch.setattr(lip_peers.importlib.util, "find_spec", lambda name: None)
    report = bench_lips(_corpus(tmp_path / "corpus"))
    assert {row["name"] for row in report["results"]} == {"ours"}
    assert [row["sound_after_ms"] for row in report["results"]] == [70, 30, 10]
    assert set(report["absent"]) == {peer.name for peer in PEERS}
    assert report["absent"]["pylipsync"] == "not here: pylipsync is not installed (pip install pylipsync)"
    assert "node is not installed" in report["absent"]["HeadAudio 0.1.0"]


def test_no_corpus_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="corpus speech"):
        bench_lips(tmp_path)


def test_a_late_program_is_given_the_delay_that_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    perfect = ["sil", "aa", "PP", "CH", "PP", "aa", "sil"]
    late = Peer("late", "", lambda found, tell: Heard([_said(perfect, late=3) for _ in found], 0.1), "")
    with_delay, without = _figures(monkeypatch, tmp_path, late)
    assert with_delay["sound_after_ms"] == 60 and without["sound_after_ms"] == 0
    assert with_delay["by_group"]["all"]["viseme_accuracy"] == 1.0
    assert without["by_group"]["all"]["viseme_accuracy_in_speech"] == pytest.approx(0.7)
    assert with_delay["by_group"]["all"]["closure_rate"] == 1.0


def test_a_program_s_own_table_of_visemes_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heard = [_said(["sil", "aa", "PP", "SS", "PP", "aa", "sil"])] * 2
    ours = Peer("ours only", "", lambda found, tell: Heard(heard, 0.0), "")
    both = Peer("with its own", "", lambda found, tell: Heard(heard, 0.0), "", also={"SH": ("SS",)})
    assert _figures(monkeypatch, tmp_path, ours)[0]["by_group"]["all"]["viseme_accuracy_in_speech"] == 0.8
    assert _figures(monkeypatch, tmp_path, both)[0]["by_group"]["all"]["viseme_accuracy_in_speech"] == 1.0


@needs_node
def test_node_s_programs_are_heard_as_they_speak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in that says its class 0 (aa) where it is loud and that speech has ended where it is not."""
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "cache" / "peers" / "headaudio-0.1.0"
    for name in lip_peers._HEADAUDIO.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (folder / "modules" / "training.mjs").write_text(
        "export class Training { async loadModel(url) { return { model: await (await fetch(url)).arrayBuffer() }; } }"
    )
    (folder / "modules" / "processor.mjs").write_text(
        """export class Processor {
          constructor(options, worklet) { this.port = worklet.port; this.classifier = { import() {} }; }
          process(block) {
            const loud = block.some((value) => value !== 0);
            this.port.postMessage(loud ? { event: "viseme", viseme: 0 } : { event: "ended" });
          }
        }"""
    )
    heard = lip_peers._HEADAUDIO([_utterance()], lambda what, share: None)
    assert (heard.visemes[0] == _said(["sil", "aa", "aa", "aa", "aa", "aa", "sil"])).all()
    (folder / "modules" / "processor.mjs").write_text("throw new Error('no such thing')")
    with pytest.raises(UserError, match=r"headaudio failed in node: .*no such thing"):
        lip_peers._HEADAUDIO([_utterance()], lambda what, share: None)
