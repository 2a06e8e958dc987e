"""The resonances of vowels and hums: what a mouth's shape does to the sound of the voice.

Reference: G. Peterson, H. Barney, "Control methods used in a study of the vowels", 1952, table II (men); D. Klatt,
"Software for a cascade/parallel formant synthesizer", 1980 (bandwidths, cascade).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

__all__ = [
    "BANDWIDTHS_HZ",
    "HIGHER_HZ",
    "NASALS_HZ",
    "NASAL_BANDWIDTHS_HZ",
    "RESONANCES_HZ",
    "envelope_db",
]

RESONANCES_HZ = {
    "IY": (270, 2290, 3010), "IH": (390, 1990, 2550), "EH": (530, 1840, 2480), "AE": (660, 1720, 2410),
    "AA": (730, 1090, 2440), "AO": (570, 840, 2410), "UH": (440, 1020, 2240), "UW": (300, 870, 2240),
    "AH": (640, 1190, 2390), "ER": (490, 1350, 1690), "UY": (300, 1750, 2200),
}  # fmt: skip
"""The first three of each vowel, of a tract of a man's usual length."""
HIGHER_HZ = (3400, 4400)
"""Those above them, which hardly depend on the vowel."""
BANDWIDTHS_HZ = (70, 100, 140, 200, 280)
NASALS_HZ = {"M": (250, 1000, 2200), "N": (270, 1500, 2500)}
NASAL_BANDWIDTHS_HZ = (60, 300, 350)


def envelope_db(
    resonances_hz: Sequence[float], bandwidths_hz: Sequence[float], frequencies_hz: Float[np.ndarray, " f"]
) -> Float[np.ndarray, " f"]:
    """How strongly a tract with these resonances passes each frequency: a cascade of them, 0 dB at 0 Hz."""
    s = 2j * np.pi * frequencies_hz[:, None]
    poles = 2 * np.pi * (-0.5 * np.array(bandwidths_hz) + 1j * np.array(resonances_hz))
    passed = np.abs(poles) ** 2 / np.abs((s - poles) * (s - poles.conj()))
    return 20 * np.log10(passed).sum(1)
