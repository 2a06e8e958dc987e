"""A head model with its ARKit map, quantised, in one safetensors file.

Linear bases are stored as 16-bit integers with one step per column (about 1 micrometre). Columns of zeros are left
out; of those that move few vertices only the moved rows are stored.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.formats.tensors import read_tensors, write_tensors

__all__ = [
    "Tensors",
    "load_head",
    "pack_columns",
    "pack_head",
    "read_asset",
    "save_head",
    "unpack_columns",
    "unpack_head",
    "write_asset",
]

Tensors = dict[str, Tensor]

_FORMAT = "gaussian-avatar"
_KINDS = {"avatar": "an avatar", "head": "a head model"}
_MAX_BYTES = 512 << 20
_SPARSE = 0.5  # columns with something in fewer of their rows are stored by rows
_MAX_ELEMENTS = 100_000_000  # of a basis when its columns of zeros are filled in


def save_head(head: HeadModel, arkit: ArkitMap, path: Path | str) -> None:
    """Write a head model with its ARKit map."""
    tensors, info = pack_head(head, arkit)
    write_asset(path, tensors, info, "head")


def load_head(path: Path | str) -> tuple[HeadModel, ArkitMap]:
    """Read what `save_head` wrote.

    Raises:
        UserError: if the file is missing, damaged, or something else.
    """
    return unpack_head(*read_asset(path, "head"), path)


def pack_head(head: HeadModel, arkit: ArkitMap) -> tuple[Tensors, dict[str, Any]]:
    """A head and its ARKit map as tensors and information."""
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
    pack_columns(tensors, "head.shapedirs", head.shapedirs, torch.int16)
    pack_columns(tensors, "head.posedirs", head.posedirs, torch.int16)
    info = {
        "n_shape": head.n_shape,
        "expression_names": list(head.expression_names),
        "residual_mm": arkit.residual_mm,
    }
    return tensors, info


def unpack_head(t: Tensors, info: dict[str, Any], path: Path | str) -> tuple[HeadModel, ArkitMap]:
    """The inverse of `pack_head`.

    Raises:
        UserError: if something is missing or does not fit together.
    """
    try:
        head = HeadModel(
            v_template=t["head.v_template"],
            shapedirs=unpack_columns(t, "head.shapedirs"),
            n_shape=int(info["n_shape"]),
            posedirs=unpack_columns(t, "head.posedirs"),
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


def pack_columns(tensors: Tensors, name: str, values: Float[Tensor, "a b c"], dtype: torch.dtype) -> None:
    """Quantise the last axis column by column.

    Columns of zeros are left out; of those that are mostly zeros only the rows are stored that have something in them.
    """
    width = values.shape[-1]
    peak = values.abs().amax((0, 1)) if values.numel() else torch.zeros(width)
    steps = peak / torch.iinfo(dtype).max
    codes = (values / steps.clamp_min(torch.finfo(steps.dtype).tiny)).round().to(dtype)
    filled = (codes != 0).any(1).float().mean(0) if values.numel() else torch.zeros(width)
    dense = ((peak > 0) & (filled >= _SPARSE)).nonzero().squeeze(-1)
    sparse = ((peak > 0) & (filled < _SPARSE)).nonzero().squeeze(-1)
    tensors[f"{name}.codes"] = codes[..., dense].contiguous()
    tensors[f"{name}.steps"] = steps[dense]
    tensors[f"{name}.columns"] = torch.cat([dense, torch.tensor([width])]).to(torch.int32)
    if len(sparse):
        rows = [(codes[..., c] != 0).any(1).nonzero().squeeze(-1) for c in sparse]
        tensors[f"{name}.sparse_codes"] = torch.cat([codes[r, :, c] for r, c in zip(rows, sparse, strict=True)])
        tensors[f"{name}.sparse_rows"] = torch.cat(rows).to(torch.int32)
        tensors[f"{name}.sparse_counts"] = torch.tensor([len(r) for r in rows], dtype=torch.int32)
        tensors[f"{name}.sparse_steps"] = steps[sparse]
        tensors[f"{name}.sparse_columns"] = sparse.to(torch.int32)


def unpack_columns(tensors: Tensors, name: str) -> Float[Tensor, "a b c"]:
    """The inverse of `pack_columns`.

    Raises:
        ValueError: for claims that would fill the memory, or that do not fit together.
    """
    codes, steps, columns = (tensors[f"{name}.{part}"] for part in ("codes", "steps", "columns"))
    width = int(columns[-1])
    if not 0 <= width <= 4096:
        raise ValueError(f"{name} claims {width} columns")
    if math.prod(codes.shape[:-1]) * width > _MAX_ELEMENTS:
        raise ValueError(f"{name} claims {tuple(codes.shape[:-1])} rows of {width} columns")
    values = torch.zeros(*codes.shape[:-1], width)
    values[..., columns[:-1].long()] = codes.float() * steps
    if f"{name}.sparse_codes" in tensors:
        codes, rows, counts, steps, columns = (
            tensors[f"{name}.sparse_{part}"] for part in ("codes", "rows", "counts", "steps", "columns")
        )
        if len(counts) == 0 or int(counts.min()) < 0 or not int(counts.sum()) == len(rows) == len(codes):
            raise ValueError(f"{name} has {len(codes)} sparse rows for {len(rows)} places")
        which = torch.repeat_interleave(torch.arange(len(counts)), counts.long())
        values[rows.long(), :, columns.long()[which]] = codes.float() * steps[which, None]
    return values


def read_asset(path: Path | str, kind: str) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and information of one of this program's assets: an avatar or a head.

    Raises:
        UserError: if the file is missing, damaged, or something else.
    """
    arrays, info = read_tensors(path, _FORMAT, _KINDS[kind], kind, max_bytes=_MAX_BYTES)
    return {name: torch.from_numpy(values) for name, values in arrays.items()}, info


def write_asset(path: Path | str, tensors: Tensors, info: dict[str, Any], kind: str) -> None:
    """Write an asset, all or nothing."""
    write_tensors(path, {name: t.detach().cpu().numpy() for name, t in tensors.items()}, info, _FORMAT, kind)
