"""One Gaussian over one tile, backward: vector code, the counterpart of `avatar.render.cpu.simd.blend`.

A tile going backward is an array of float32: sixteen blocks of eight pixels by two, first those of the left half of the
tile from the top down, then those of the right. A vector is a block; most ellipses are narrower than a tile, and need
half as many of these as of rows. Each block has 16 transmittances T, 16 values R, and the 16 derivatives of the loss by
red, green, blue and alpha. R is the part of <dL/dC, C> that the Gaussians still to come will add to the pixel. With
p = <dL/dC, color> + dL/dA of one Gaussian and its weight w = alpha T,

    R <- R - w p,      dL/d(ln alpha) = w p - R alpha / (1 - alpha)      (0 where alpha is clamped)

so that nothing need be kept from the forward pass but the finished picture.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from avatar.render.cpu.simd import TILE, unfinished
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

__all__ = [
    "BACK_TILE_FLOATS",
    "BLOCK",
    "HALF",
    "SUMS",
    "blend_backward",
    "highest_bit",
    "lowest_bit",
    "take_row",
    "unfinished_blocks",
]

HALF = TILE // 2
"""Pixels across a block, and blocks down a half of a tile."""
_LANES = 2 * HALF
BLOCK = 6 * _LANES
"""Floats of a block: T, R, then dL/d of red, green, blue and alpha."""
BACK_TILE_FLOATS = TILE * BLOCK
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
        tile, y = pointer(context, b, sig.args[0], args[0]), args[1]
        start = b.mul(b.lshr(y, ir.Constant(I64, 1)), ir.Constant(I64, BLOCK))
        start = b.add(start, b.mul(b.and_(y, ir.Constant(I64, 1)), ir.Constant(I64, HALF)))
        blocks = [b.gep(tile, [b.add(start, ir.Constant(I64, half * HALF * BLOCK))]) for half in (0, 1)]

        def store(k: int, value: ir.Value) -> None:
            for half, block in enumerate(blocks):
                part = ir.Constant(vector(I32, HALF), list(range(half * HALF, (half + 1) * HALF)))
                b.store(b.shuffle_vector(value, value, part), at(b, block, k * _LANES, HALF), align=4)

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
            store(2 + k, slope)
        store(0, constant(TILE, 1.0))
        store(1, rest)
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
def unfinished_blocks(typingctx, tile):
    """A bit for each block in which a pixel can still change, the first block's lowest."""

    def generate(context, builder, sig, args):
        return unfinished(context, builder, sig, args, BLOCK)

    return types.int64(tile), generate


@intrinsic
def lowest_bit(typingctx, bits):
    """The number of the lowest bit that is set; 64 if none is."""

    def generate(context, builder, sig, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


@intrinsic
def highest_bit(typingctx, bits):
    """The number of the highest bit that is set; -1 if none is."""

    def generate(context, builder, sig, args):
        return builder.sub(ir.Constant(I64, 63), builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0)))

    return types.int64(types.int64), generate


@intrinsic
def blend_backward(
    typingctx, tile, left_first, left_last, right_first, right_last, mx, my, slope, na, nk, lo, red, green, blue,
    sums, index,
):  # fmt: skip
    """Take one Gaussian back over some blocks of a tile's halves, and add to `sums[index]` (see `SUMS`).

    Args:
        left_first, left_last, right_first, right_last: the first block of each half, and the last + 1.
        mx, my, slope, na, nk, lo, red, green, blue: as `avatar.render.cpu.simd.blend` has them.
    """
    signature = types.void(tile, *(types.intp,) * 4, *(types.float32,) * 9, sums, types.intp)

    def generate(context, builder, sig, args):
        b = builder
        base = pointer(context, b, sig.args[0], args[0])
        ranges, (mx, my, slope, na, nk, lo, *rgb) = (args[1:3], args[3:5]), args[5:14]
        out = b.gep(pointer(context, b, sig.args[14], args[14]), [b.mul(args[15], ir.Constant(I64, SUMS))])
        emit = Emitter(b, _LANES)
        zero, one = constant(_LANES, 0.0), constant(_LANES, 1.0)
        colors = [splat(b, c, _LANES) for c in rgb]
        falloff, tilt, rise, peak = (splat(b, v, _LANES) for v in (na, b.fneg(slope), nk, lo))
        from_mean = [splat(b, b.fneg(v), _LANES) for v in (mx, my)]
        totals = [cgutils.alloca_once_value(b, zero) for _ in range(_USED)]
        lanes = range(_LANES)

        def add(k: int, x: ir.Value, y: ir.Value | None = None) -> None:
            before = b.load(totals[k])
            b.store(b.fadd(before, x) if y is None else emit.mul_add(x, y, before), totals[k])

        for half, (first, last) in enumerate(ranges):
            columns = ir.Constant(vector(F32, _LANES), [float(half * HALF + i % HALF) for i in lanes])
            across = b.fadd(columns, from_mean[0])
            rows = ir.Constant(vector(F32, _LANES), [float(i // HALF) for i in lanes])
            top = splat(b, b.sitofp(b.shl(first, ir.Constant(I64, 1)), F32), _LANES)
            height = cgutils.alloca_once_value(b, b.fadd(b.fadd(top, rows), from_mean[1]))
            with cgutils.for_range_slice(b, first, last, ir.Constant(I64, 1), I64, inc=True) as (k, _):
                block = b.gep(base, [b.mul(b.add(k, ir.Constant(I64, half * HALF)), ir.Constant(I64, BLOCK))])
                dy = b.load(height)
                u = emit.mul_add(tilt, dy, across)
                power = emit.mul_add(b.fmul(u, falloff), u, emit.mul_add(b.fmul(rise, dy), dy, peak))
                alpha = emit.exp2(power)
                limit = constant(_LANES, ALPHA_MAX)
                free = b.fcmp_ordered("<", alpha, limit)
                alpha = b.select(free, alpha, limit)
                alpha = b.select(b.fcmp_ordered(">=", power, constant(_LANES, LOG2_ALPHA_MIN)), alpha, zero)

                at_t, at_rest = at(b, block, 0, _LANES), at(b, block, _LANES, _LANES)
                t = b.load(at_t, align=4)
                weight = b.fmul(alpha, t)
                left, going_on = emit.step(t, weight)
                b.store(left, at_t, align=4)
                alpha, weight = (b.select(going_on, v, zero) for v in (alpha, weight))

                slopes = [b.load(at(b, block, (2 + c) * _LANES, _LANES), align=4) for c in range(4)]
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
                b.store(b.fadd(dy, constant(_LANES, 2.0)), height)

        found = [_fold(b, b.load(total)) for total in totals]
        for k in (0, 8):
            where = at(b, out, k, 8)
            b.store(b.fadd(b.load(where, align=4), _lane_sums(b, found[k : k + 8])), where, align=4)
        return context.get_dummy_value()

    return signature, generate
