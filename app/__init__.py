"""The application: commands, offline rendering, the live engine and its window."""

from __future__ import annotations

import os

# Spinning OpenMP threads take the cores from each other and from the audio thread; it must be set before numba and
# torch are imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
