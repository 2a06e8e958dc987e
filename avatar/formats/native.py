"""Our own asset: a head model and its Gaussians, quantised, in one safetensors file.

Linear bases are stored as 16-bit integers with one step per column (about 1 micrometre), all-zero columns left
out; Gaussians take 46 bytes each at SH degree 2.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from avatar.binding import BoundGaussians
from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.rig import Avatar

__all__ = ["load_avatar", "load_head", "save_avatar", "save_head"]

_FORMAT = "gaussian-avatar"
_VERSION = 1
_MAX_BYTES = 512 * 1024 * 1024
_MAX_ELEMENTS = 100_000_000  # of a basis when its columns of zeros are filled in
_MAX_JSON = 4 * 1024 * 1024

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class _Contents:
    tensors: Tensors
    info: dict[str, Any]


def save_head(head: HeadModel, arkit: ArkitMap, path: Path | str) -> None:
    """Write a head model with its ARKit map."""
    tensors, info = _pack_head(head, arkit)
    _write(path, "head", tensors, info)


def load_head(path: Path | str) -> tuple[HeadModel, ArkitMap]:
    """Read what `save_head` wrote.

    Raises:
        UserError: if the file is missing, damaged, or something else.
    """
    return _unpack_head(_read(path, "head"), path)


def save_avatar(avatar: Avatar, path: Path | str) -> None:
    """Write an avatar with its head model. `metadata` must be JSON."""
    tensors, info = _pack_head(avatar.head, avatar.arkit)
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
        _pack_columns(tensors, "gaussians.sh_rest", g.sh[:, 1:].permute(0, 2, 1), torch.int8)
    if avatar.static_offset is not None:
        tensors["head.static_offset"] = avatar.static_offset
    info |= {"name": avatar.name, "metadata": avatar.metadata}
    _write(path, "avatar", tensors, info)


def load_avatar(path: Path | str) -> Avatar:
    """Read what `save_avatar` wrote.

    Raises:
        UserError: if the file is missing, damaged, or something else.
    """
    contents = _read(path, "avatar")
    head, arkit = _unpack_head(contents, path)
    t, info = contents.tensors, contents.info
    try:
        dc = t["gaussians.sh_dc"].float()
        sh = dc
        if "gaussians.sh_rest.codes" in t:
            sh = torch.cat([dc, _unpack_columns(t, "gaussians.sh_rest").permute(0, 2, 1)], 1)
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
        )
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: not a usable avatar ({error}); make or import it again") from error
    for name in ("means", "log_scales", "sh"):
        if not torch.isfinite(getattr(gaussians, name)).all():
            raise UserError(f"{path}: Gaussian {name} are not finite; make or import the avatar again")
    return avatar


def _pack_head(head: HeadModel, arkit: ArkitMap) -> tuple[Tensors, dict[str, Any]]:
    tensors: Tensors = {
        "head.v_template": head.v_template,
        "head.J_regressor": head.J_regressor,
        "head.lbs_weights": head.lbs_weights,
        "head.faces": head.faces.to(torch.int32),
        "head.uv": head.uv.half(),
        "head.faces_uv": head.faces_uv.to(torch.int32),
        **{f"region.{name}": index.to(torch.int32) for name, index in head.regions.items()},
        **{f"arkit.{n}": torch.from_numpy(getattr(arkit, n)) for n in ("expression", "jaw", "leye", "reye")},
    }
    if arkit.expression_range is not None:
        tensors["arkit.expression_range"] = torch.from_numpy(arkit.expression_range)
    _pack_columns(tensors, "head.shapedirs", head.shapedirs, torch.int16)
    _pack_columns(tensors, "head.posedirs", head.posedirs, torch.int16)
    info = {
        "n_shape": head.n_shape,
        "expression_names": list(head.expression_names),
        "residual_mm": arkit.residual_mm,
    }
    return tensors, info


def _unpack_head(contents: _Contents, path: Path | str) -> tuple[HeadModel, ArkitMap]:
    t, info = contents.tensors, contents.info
    try:
        head = HeadModel(
            v_template=t["head.v_template"],
            shapedirs=_unpack_columns(t, "head.shapedirs"),
            n_shape=int(info["n_shape"]),
            posedirs=_unpack_columns(t, "head.posedirs"),
            J_regressor=t["head.J_regressor"],
            lbs_weights=t["head.lbs_weights"],
            faces=t["head.faces"].long(),
            uv=t["head.uv"].float(),
            faces_uv=t["head.faces_uv"].long(),
            expression_names=tuple(info.get("expression_names", ())),
            regions={k.removeprefix("region."): v.long() for k, v in t.items() if k.startswith("region.")},
        )
        arkit = ArkitMap(
            expression=t["arkit.expression"].numpy(),
            jaw=t["arkit.jaw"].numpy(),
            leye=t["arkit.leye"].numpy(),
            reye=t["arkit.reye"].numpy(),
            n_shape=head.n_shape,
            residual_mm=float(info.get("residual_mm", 0.0)),
            expression_range=t["arkit.expression_range"].numpy() if "arkit.expression_range" in t else None,
        )
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: not a usable head model ({error}); make or import it again") from error
    for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights"):
        if not torch.isfinite(getattr(head, name)).all():
            raise UserError(f"{path}: {name} is not finite; make or import the file again")
    if any(len(i) and (int(i.min()) < 0 or int(i.max()) >= head.n_vertices) for i in head.regions.values()):
        raise UserError(f"{path}: a region names vertices that the head does not have")
    return head, arkit


def _pack_columns(tensors: Tensors, name: str, values: Float[Tensor, "a b c"], dtype: torch.dtype) -> None:
    """Quantise the last axis column by column, leaving out columns of zeros."""
    peak = values.abs().amax((0, 1)) if values.numel() else torch.zeros(values.shape[-1])
    kept = peak.nonzero().squeeze(-1)
    steps = peak[kept] / torch.iinfo(dtype).max
    tensors[f"{name}.codes"] = (values[..., kept] / steps).round().to(dtype).contiguous()
    tensors[f"{name}.steps"] = steps
    tensors[f"{name}.columns"] = torch.cat([kept, torch.tensor([values.shape[-1]])]).to(torch.int32)


def _unpack_columns(tensors: Tensors, name: str) -> Float[Tensor, "a b c"]:
    codes, steps, columns = (tensors[f"{name}.{part}"] for part in ("codes", "steps", "columns"))
    width = int(columns[-1])
    if not 0 <= width <= 4096:
        raise ValueError(f"{name} claims {width} columns")
    if math.prod(codes.shape[:-1]) * width > _MAX_ELEMENTS:
        raise ValueError(f"{name} claims {tuple(codes.shape[:-1])} rows of {width} columns")
    values = torch.zeros(*codes.shape[:-1], width)
    values[..., columns[:-1].long()] = codes.float() * steps
    return values


def _write(path: Path | str, kind: str, tensors: Tensors, info: dict[str, Any]) -> None:
    header = {"format": _FORMAT, "version": str(_VERSION), "kind": kind, "info": json.dumps(info)}
    Path(path).write_bytes(save({k: v.contiguous().clone() for k, v in tensors.items()}, header))


def _read(path: Path | str, kind: str) -> _Contents:
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path}: larger than {_MAX_BYTES >> 20} MiB, which no avatar of this program is")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != _FORMAT or header.get("kind") != kind:
                raise UserError(f"{path}: a safetensors file, but not {_article(kind)} of this program")
            if header.get("version") != str(_VERSION):
                raise UserError(
                    f"{path}: written in version {header.get('version')} of the format, this program reads {_VERSION}"
                )
            text = header.get("info", "{}")
            if len(text) > _MAX_JSON:
                raise UserError(f"{path}: its description is too large; make or import the file again")
            info = json.loads(text)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error
    if not isinstance(info, dict):
        raise UserError(f"{path}: its description is damaged; make or import the file again")
    return _Contents(tensors, info)


def _article(kind: str) -> str:
    return {"avatar": "an avatar", "head": "a head model"}[kind]
