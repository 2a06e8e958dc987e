"""One Gaussian over one tile, backward: vector code, the counterpart of `avatar.render.cpu.simd.blend`.

A tile going backward is an array of float32, row by row; each row has 16 transmittances T, 16 values R, and the 16
derivatives of the loss by red, green, blue and alpha. R is the part of <dL/dC, C> that the Gaussians still to come will
add to the pixel. With p = <dL/dC, color> + dL/dA of one Gaussian and its weight w = alpha T,

    R <- R - w p,      dL/d(ln alpha) = w p - R alpha / (1 - alpha)      (0 where alpha is clamped)

so that nothing need be kept from the forward pass but the finished picture.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from avatar.render.cpu.simd import TILE
from avatar.render.cpu.vectors import (
    ALPHA_MAX,
    F32,
    I32,
    I64,
    LOG2_ALPHA_MIN,
    Emitter,
    at,
    constant,
    deinterleave,
    intrinsic,
    pointer,
    splat,
    vector,
)

__all__ = ["BACK_ROW", "BACK_TILE_FLOATS", "SUMS", "blend_backward", "take_row"]

BACK_ROW = 6 * TILE
"""Floats of a row of a tile going backward: T, R, then dL/d of red, green, blue and alpha."""
BACK_TILE_FLOATS = TILE * BACK_ROW
SUMS = 16
"""Floats of a Gaussian's sums over pixels, a cache line. With d = dL/d(ln alpha), and (u, dy) the distances from the
mean after completing the square: d, d u, d u^2, d u dy, d dy, d dy^2; w dL/d(red, green, blue); w; six not used."""

_USED = 10


@intrinsic
def take_row(typingctx, tile, y, image, gradient, start):
    """Start row `y` of a tile from sixteen RGBA pixels of `image` and `gradient`: all light is still to come.

    1 if any of the gradient is other than zero.
    """
    signature = types.int64(tile, types.intp, image, gradient, types.intp)

    def generate(context, builder, sig, args):
        b = builder
        row = b.gep(pointer(context, b, sig.args[0], args[0]), [b.mul(args[1], ir.Constant(I64, BACK_ROW))])
        channels = []
        for kind, array in ((sig.args[2], args[2]), (sig.args[3], args[3])):
            begin = b.gep(pointer(context, b, kind, array), [args[4]])
            channels.append(deinterleave(b, [b.load(at(b, begin, k * TILE, TILE), align=4) for k in range(4)]))
        emit, zero = Emitter(b, TILE), constant(TILE, 0.0)
        rest = zero
        pulled = constant(TILE, 0, ir.IntType(1))
        for k, (color, slope) in enumerate(zip(*channels, strict=True)):
            rest = emit.mul_add(color, slope, rest)
            pulled = b.or_(pulled, b.fcmp_unordered("!=", slope, zero))
            b.store(slope, at(b, row, (2 + k) * TILE, TILE), align=4)
        b.store(constant(TILE, 1.0), at(b, row, 0, TILE), align=4)
        b.store(rest, at(b, row, TILE, TILE), align=4)
        bits = ir.IntType(TILE)
        return b.zext(b.icmp_unsigned("!=", b.bitcast(pulled, bits), ir.Constant(bits, 0)), I64)

    return signature, generate


def _fold(b: ir.IRBuilder, wide: ir.Value) -> ir.Value:
    """A vector of sixteen lanes to one of eight: the halves added."""
    ints = vector(I32, 8)
    halves = (b.shuffle_vector(wide, wide, ir.Constant(ints, list(range(k, k + 8)))) for k in (0, 8))
    return b.fadd(*halves)


def _lane_sums(b: ir.IRBuilder, vectors: list[ir.Value]) -> ir.Value:
    """A vector of eight whose lane k is the sum over the lanes of `vectors[k]`: a transposition that adds."""
    for group in (1, 2, 4):
        blocks = range(0, 8, 2 * group)
        low = [i for block in blocks for half in (0, 8) for i in range(half + block, half + block + group)]
        masks = [ir.Constant(vector(I32, 8), [i + shift for i in low]) for shift in (0, group)]
        pairs = zip(vectors[::2], vectors[1::2] or vectors[:1], strict=True)
        vectors = [b.fadd(*(b.shuffle_vector(x, y, mask) for mask in masks)) for x, y in pairs]
    return vectors[0]


@intrinsic
def blend_backward(typingctx, tile, first, last, half, mx, my, slope, na, nk, lo, red, green, blue, sums, index):
    """Take one Gaussian back over rows first..last-1 of a tile, and add to `sums[index]` (see `SUMS`).

    The arguments up to `blue` are those of `avatar.render.cpu.simd.blend`; `half` chooses the columns as there.
    """
    signature = types.void(tile, types.intp, types.intp, types.intp, *(types.float32,) * 9, sums, types.intp)

    def generate(context, builder, sig, args):
        b = builder
        base = pointer(context, b, sig.args[0], args[0])
        first, last, half, mx, my, slope, na, nk, lo, *rgb = args[1:13]
        out = b.gep(pointer(context, b, sig.args[13], args[13]), [b.mul(args[14], ir.Constant(I64, SUMS))])

        def columns(lanes: int, x0: int) -> None:
            emit = Emitter(b, lanes)
            zero, one = constant(lanes, 0.0), constant(lanes, 1.0)
            colors = [splat(b, c, lanes) for c in rgb]
            falloff, tilt, rise, peak = (splat(b, v, lanes) for v in (na, b.fneg(slope), nk, lo))
            across = b.fsub(ir.Constant(vector(F32, lanes), [float(x0 + i) for i in range(lanes)]), splat(b, mx, lanes))
            height = cgutils.alloca_once_value(b, splat(b, b.fsub(b.sitofp(first, F32), my), lanes))
            totals = [cgutils.alloca_once_value(b, zero) for _ in range(_USED)]

            def add(k: int, x: ir.Value, y: ir.Value | None = None) -> None:
                before = b.load(totals[k])
                b.store(b.fadd(before, x) if y is None else emit.mul_add(x, y, before), totals[k])

            with cgutils.for_range_slice(b, first, last, ir.Constant(I64, 1), I64, inc=True) as (y, _):
                row = b.gep(base, [b.mul(y, ir.Constant(I64, BACK_ROW))])
                dy = b.load(height)
                u = emit.mul_add(tilt, dy, across)
                power = emit.mul_add(b.fmul(u, falloff), u, emit.mul_add(b.fmul(rise, dy), dy, peak))
                alpha = emit.exp2(power)
                limit = constant(lanes, ALPHA_MAX)
                free = b.fcmp_ordered("<", alpha, limit)
                alpha = b.select(free, alpha, limit)
                alpha = b.select(b.fcmp_ordered(">=", power, constant(lanes, LOG2_ALPHA_MIN)), alpha, zero)

                at_t, at_rest = at(b, row, x0, lanes), at(b, row, TILE + x0, lanes)
                t = b.load(at_t, align=4)
                weight = b.fmul(alpha, t)
                left, going_on = emit.step(t, weight)
                b.store(left, at_t, align=4)
                alpha, weight = (b.select(going_on, v, zero) for v in (alpha, weight))

                slopes = [b.load(at(b, row, (2 + c) * TILE + x0, lanes), align=4) for c in range(4)]
                p = slopes[3]
                for slope_, color in zip(slopes, colors, strict=False):
                    p = emit.mul_add(slope_, color, p)
                gained = b.fmul(weight, p)
                rest = b.fsub(b.load(at_rest, align=4), gained)
                b.store(rest, at_rest, align=4)
                d = b.fsub(gained, b.fmul(rest, b.fdiv(alpha, b.fsub(one, alpha))))
                d = b.select(free, d, zero)

                du, ddy = b.fmul(d, u), b.fmul(d, dy)
                add(0, d)
                add(1, du)
                add(2, du, u)
                add(3, du, dy)
                add(4, ddy)
                add(5, ddy, dy)
                for c in range(3):
                    add(6 + c, weight, slopes[c])
                add(9, weight)
                b.store(b.fadd(dy, one), height)

            sums_ = [b.load(total) for total in totals]
            if lanes == TILE:
                sums_ = [_fold(b, v) for v in sums_]
            for k in (0, 8):
                where = at(b, out, k, 8)
                b.store(b.fadd(b.load(where, align=4), _lane_sums(b, sums_[k : k + 8])), where, align=4)

        with b.if_else(b.icmp_signed("==", half, ir.Constant(I64, 2))) as (whole, part):
            with whole:
                columns(TILE, 0)
            with part, b.if_else(b.icmp_signed("==", half, ir.Constant(I64, 0))) as (left, right):
                with left:
                    columns(TILE // 2, 0)
                with right:
                    columns(TILE // 2, TILE // 2)
        return context.get_dummy_value()

    return signature, generate
