"""What vector code is emitted with: types, constants, loads and the arithmetic that kernels share, as LLVM IR."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import extending

__all__ = [
    "ALPHA_MAX",
    "F32",
    "I32",
    "I64",
    "LOG2_ALPHA_MIN",
    "TRANSMITTANCE_MIN",
    "Emitter",
    "at",
    "constant",
    "deinterleave",
    "interleave",
    "intrinsic",
    "pointer",
    "splat",
    "vector",
]

LOG2_ALPHA_MIN = math.log2(1 / 255)
ALPHA_MAX = 0.999
TRANSMITTANCE_MIN = 1e-4

intrinsic: Any = extending.intrinsic  # its type says nothing of the first argument, which numba fills in

_MAGIC = 12582912.0  # 1.5 * 2^23: adding it rounds a float to an integer, left in the low bits of the mantissa
_EXP2 = (1.000000072, 0.6931469671, 0.2402211972, 0.05550713275, 0.009675541503, 0.001327647196)
"""Minimax coefficients of 2^f for |f| <= 1/2; relative error 7.5e-8. One degree less costs gradients 3 in 10^5."""

F32 = ir.FloatType()
I32 = ir.IntType(32)
I64 = ir.IntType(64)


def vector(element: ir.Type, lanes: int) -> ir.VectorType:
    """The type of `lanes` elements side by side."""
    return ir.VectorType(element, lanes)


def constant(lanes: int, value: float | int, element: ir.Type = F32) -> ir.Constant:
    """The same number in every lane."""
    return ir.Constant(vector(element, lanes), [value] * lanes)


def splat(builder: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    """Copy a scalar into every lane."""
    kind = vector(scalar.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), ir.Constant(vector(I32, lanes), [0] * lanes))


def pointer(context: Any, builder: ir.IRBuilder, kind: Any, value: ir.Value) -> ir.Value:
    """Where the data of a numba array lie."""
    return context.make_array(kind)(context, builder, value).data


def at(builder: ir.IRBuilder, base: ir.Value, offset: ir.Value | int, lanes: int, element: ir.Type = F32) -> ir.Value:
    """The vector that starts `offset` elements after `base`."""
    index = ir.Constant(I64, offset) if isinstance(offset, int) else offset
    return builder.bitcast(builder.gep(base, [index]), ir.PointerType(vector(element, lanes)))


def interleave(builder: ir.IRBuilder, channels: list[ir.Value]) -> list[ir.Value]:
    """Four vectors, one a channel, as four vectors of pixels: the channels of the first pixel come first."""
    lanes = channels[0].type.count
    pairs = [
        builder.shuffle_vector(channels[a], channels[b], _indices([i for k in range(lanes) for i in (k, lanes + k)]))
        for a, b in ((0, 1), (2, 3))
    ]
    quarter = lanes // 4
    out = []
    for part in range(4):
        pixels = range(part * quarter, (part + 1) * quarter)
        mask = [i for k in pixels for i in (2 * k, 2 * k + 1, 2 * lanes + 2 * k, 2 * lanes + 2 * k + 1)]
        out.append(builder.shuffle_vector(*pairs, _indices(mask)))
    return out


def deinterleave(builder: ir.IRBuilder, pixels: list[ir.Value]) -> list[ir.Value]:
    """The inverse of `interleave`."""
    lanes = pixels[0].type.count
    halves = [builder.shuffle_vector(a, b, _indices(range(2 * lanes))) for a, b in (pixels[:2], pixels[2:])]
    channels = []
    for c in range(4):
        mask = [*range(c, 2 * lanes, 4), *range(2 * lanes + c, 4 * lanes, 4)]
        channels.append(builder.shuffle_vector(*halves, _indices(mask)))
    return channels


def _indices(values: Iterable[int]) -> ir.Constant:
    found = list(values)
    return ir.Constant(vector(I32, len(found)), found)


class Emitter:
    """Emits the arithmetic for so many pixels side by side."""

    _CONTRACT = ("contract",)

    def __init__(self, builder: ir.IRBuilder, lanes: int) -> None:
        self.b, self.lanes = builder, lanes

    def mul_add(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        return self.b.fadd(self.b.fmul(x, y, flags=self._CONTRACT), z, flags=self._CONTRACT)

    def exp2(self, power: ir.Value) -> ir.Value:
        """2^power; rubbish for powers under -126, which callers mask out."""
        b, lanes = self.b, self.lanes
        floats, ints = power.type, vector(I32, lanes)
        shifted = b.fadd(power, constant(lanes, _MAGIC))
        fraction = b.fsub(power, b.fsub(shifted, constant(lanes, _MAGIC)))
        poly: ir.Value = constant(lanes, _EXP2[-1])
        for coefficient in _EXP2[-2::-1]:
            poly = self.mul_add(poly, fraction, constant(lanes, coefficient))
        exponent = b.shl(b.bitcast(shifted, ints), constant(lanes, 23, I32))
        return b.bitcast(b.add(b.bitcast(poly, ints), exponent), floats)

    def step(self, t: ir.Value, weight: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Take `weight` from the transmittances `t`: what is left, and where the pixel goes on.

        A pixel is finished before the Gaussian that would take it to `TRANSMITTANCE_MIN` or below: a minus sign.
        """
        b, lanes = self.b, self.lanes
        after = b.fsub(t, weight)
        going_on = b.fcmp_ordered(">", after, constant(lanes, TRANSMITTANCE_MIN))
        ints = vector(I32, lanes)
        stopped = b.bitcast(b.or_(b.bitcast(t, ints), constant(lanes, -(2**31), I32)), t.type)
        return b.select(going_on, after, stopped), going_on
