"""The head model: FLAME's layout, its parameters, and the map from ARKit's 52 blendshapes to them."""

from avatar.flame.arkit import ArkitMap
from avatar.flame.head import PARENTS, HeadModel
from avatar.flame.params import FlameParams

__all__ = ["PARENTS", "ArkitMap", "FlameParams", "HeadModel"]
