from __future__ import annotations

import numpy as np

from animation.speech.prosody import ProsodyTracker

RATE = 50.0


def test_prosody_hears_phrases_and_stresses():
    tracker = ProsodyTracker(RATE)
    voice = np.zeros(600)
    voice[50:250] = voice[350:500] = 1
    syllables = -26 + 9 * np.sin(np.arange(600) * 2 * np.pi / 40)
    heard = [tracker.feed(v, d if v else -70.0) for v, d in zip(voice, syllables, strict=True)]
    starts = [k for k, p in enumerate(heard) if p.phrase_start]
    ends = [k for k, p in enumerate(heard) if p.phrase_end]
    assert starts == [50, 350]
    assert len(ends) == 2 and 250 < ends[0] < 270 and 500 < ends[1] < 520
    assert 4 <= sum(p.accent > 0 for p in heard) <= 12
    assert all(p.accent == 0 for k, p in enumerate(heard) if not voice[k])
    assert heard[300].activity < 0.1 < 0.9 < heard[200].activity
    assert all(0 <= p.energy <= 1 for p in heard)
