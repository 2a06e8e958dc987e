"""The pictures of a training, read when they are wanted and kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.creation.training.loss import Target
from avatar.creation.training.view import View

__all__ = ["Targets"]

_ROOM_BYTES = 2 << 30


class Targets:
    """Targets of views by their number, the last used kept."""

    def __init__(
        self,
        views: Sequence[View],
        emphasis: Callable[[View], Float[Tensor, "h w"]] | None,
        device: torch.device,
        room_bytes: int = _ROOM_BYTES,
    ) -> None:
        """
        Args:
            emphasis: what each pixel of a view counts; None where all count the same.
            room_bytes: how much may be kept.
        """
        self._views, self._emphasis, self._device, self._room = views, emphasis, device, room_bytes
        self._kept: OrderedDict[int, Target] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._views)

    def __getitem__(self, index: int) -> Target:
        found = self._kept.get(index)
        if found is not None:
            self._kept.move_to_end(index)
            return found
        view = self._views[index]
        emphasis = None if self._emphasis is None else self._emphasis(view)
        found = self._kept[index] = Target.of(view.read(), emphasis).to(self._device)
        self._bytes += _size(found)
        while self._bytes > self._room and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return found


def _size(target: Target) -> int:
    parts = [target.image] + ([] if target.emphasis is None else [target.emphasis])
    return sum(part.numel() * part.element_size() for part in parts)
