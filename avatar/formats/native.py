"""Our own asset: a head model and its Gaussians, quantised, in one safetensors file.

Gaussians take 46 bytes each at SH degree 2, and 4 more for each ARKit channel that changes their color; the head is
packed as in `avatar.formats.head_file`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avatar.appearance import Appearance
from avatar.binding import BoundGaussians
from avatar.errors import UserError
from avatar.formats.head_file import pack_columns, pack_head, read_asset, unpack_columns, unpack_head, write_asset
from avatar.rig import Avatar
from avatar.tongue_coat import with_tongue_coat

__all__ = ["load_avatar", "save_avatar"]


def save_avatar(avatar: Avatar, path: Path | str) -> None:
    """Write an avatar with its head model. `metadata` must be JSON."""
    tensors, info = pack_head(avatar.head, avatar.arkit)
    g = avatar.gaussians
    tensors |= {
        "gaussians.means": g.means.half(),
        "gaussians.quats": (torch.nn.functional.normalize(g.quats, dim=-1) * 127).round().to(torch.int8),
        "gaussians.opacities": (g.logit_opacities.sigmoid() * 255).round().to(torch.uint8),
        "gaussians.sh_dc": g.sh[:, :1].half(),
        "gaussians.triangles": g.triangles.to(torch.int32),
    }
    low, high = float(g.log_scales.min()), float(g.log_scales.max())
    step = max((high - low) / 255, 1e-6)
    tensors["gaussians.log_scales"] = ((g.log_scales - low) / step).round().to(torch.uint8)
    info["log_scales"] = {"low": low, "step": step}
    if g.sh.shape[1] > 1:
        pack_columns(tensors, "gaussians.sh_rest", g.sh[:, 1:].permute(0, 2, 1), torch.int8)
    if avatar.appearance is not None:
        a = avatar.appearance
        tensors |= {f"appearance.{f.name}": getattr(a, f.name) for f in fields(a) if f.name != "channels"}
        info["appearance"] = list(a.channels)
    if avatar.static_offset is not None:
        tensors["head.static_offset"] = avatar.static_offset
    info |= {"name": avatar.name, "metadata": avatar.metadata}
    write_asset(path, tensors, info, "avatar")


def load_avatar(path: Path | str) -> Avatar:
    """Read what `save_avatar` wrote.

    Raises:
        UserError: if the file is missing, damaged, or something else.
    """
    t, info = read_asset(path, "avatar")
    head, arkit = unpack_head(t, info, path)
    try:
        dc = t["gaussians.sh_dc"].float()
        sh = dc
        if "gaussians.sh_rest.codes" in t:
            sh = torch.cat([dc, unpack_columns(t, "gaussians.sh_rest").permute(0, 2, 1)], 1)
        scale = info["log_scales"]
        gaussians = BoundGaussians(
            t["gaussians.means"].float(),
            torch.nn.functional.normalize(t["gaussians.quats"].float(), dim=-1),
            t["gaussians.log_scales"].float() * float(scale["step"]) + float(scale["low"]),
            (t["gaussians.opacities"].float() / 255).clamp(1 / 512, 1 - 1 / 512).logit(),
            sh.contiguous(),
            t["gaussians.triangles"].long(),
        )
        avatar = Avatar(
            str(info["name"]),
            head,
            gaussians,
            arkit,
            t.get("head.static_offset"),
            dict(info.get("metadata", {})),
            _unpack_appearance(t, info),
        )
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: not a usable avatar ({error}); make or import it again") from error
    for name in ("means", "log_scales", "sh"):
        if not torch.isfinite(getattr(gaussians, name)).all():
            raise UserError(f"{path}: Gaussian {name} are not finite; make or import the avatar again")
    return with_tongue_coat(avatar)


def _unpack_appearance(tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> Appearance | None:
    channels = info.get("appearance")
    if channels is None:
        return None
    parts = {f.name: tensors[f"appearance.{f.name}"] for f in fields(Appearance) if f.name != "channels"}
    expected = {"tint_codes": torch.int8, "fade_codes": torch.int8}
    for name, values in parts.items():
        if values.dtype != expected.get(name, torch.float32):
            raise ValueError(f"appearance.{name} is of type {values.dtype}")
        if values.is_floating_point() and not (torch.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(f"appearance.{name} holds impossible values")
    return Appearance(tuple(map(str, channels)), **parts)
