"""The channels of articulation: what the speech model says of the mouth, and what the mouth is moved by."""

from __future__ import annotations

import numpy as np

__all__ = ["CHANNELS", "CLOSED", "FUNNEL", "JAW", "LIP_IN", "REST", "ROUNDING", "SPREAD", "TONGUE"]

CHANNELS = ("jaw", "closed", "rounding", "spread", "lip_in", "tongue", "funnel")
"""Each 0..1, in this order wherever seven numbers describe a mouth."""

JAW, CLOSED, ROUNDING, SPREAD, LIP_IN, TONGUE, FUNNEL = range(len(CHANNELS))

REST = np.zeros(len(CHANNELS), np.float32)
"""The mouth of a person who is silent: lips touch, the jaw hangs a little."""
REST[[JAW, CLOSED]] = 0.03, 0.75
REST.flags.writeable = False
