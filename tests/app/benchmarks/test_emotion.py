from __future__ import annotations

import numpy as np
import pytest

from app.benchmarks.emotion import FacesSeen, separability
from app.cli import main


def faces(name: str, mixed_up: bool = False) -> FacesSeen:
    """Every emotion at both levels, silent and talking, as a direction of its own; or as that of the next one."""
    rng = np.random.default_rng(ord(name))
    kinds = np.array([(e, level, talks) for e in range(8) for level in (1.0, 0.5) for talks in (0, 1)])
    emotion = kinds[:, 0].astype(int)
    shown = np.eye(8, 20)[(emotion + 1) % 8 if mixed_up else emotion] * kinds[:, 1:2]
    return FacesSeen(name, shown + rng.normal(0, 0.01, shown.shape), emotion, kinds[:, 1], kinds[:, 2] > 0, 0)


def test_who_teaches_is_not_asked() -> None:
    assert separability([faces("a"), faces("b")]) == {}
    found = separability([faces("a"), faces("b"), faces("c"), faces("d", mixed_up=True)])
    assert (found["taught_by"], found["asked_about"]) == (["a", "b"], ["c", "d"])
    assert found["by_avatar"] == {"c": 1.0, "d": 0.0}
    assert found["1.0 silent"]["right"] == found["1.0 silent"]["right_by_one_mean"] == 0.5
    np.testing.assert_allclose(np.sum(found["0.5 talking"]["confusion"], 1), 1)


def test_no_pictures_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "emotion", "--pictures", "0"]) != 0
    assert "expected 1 or more" in capsys.readouterr().err


def test_a_voice_that_is_not_there_is_told_before_anything_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "emotion", "--voices", "flite nobody"]) != 0
    assert "flite has no voice 'nobody'" in capsys.readouterr().err
