"""Vector code for rows of pixels: the two directions of SSIM's window, and its slopes.

Rows are interleaved red, green, blue and alpha, in float32, a multiple of eight floats long. Numba's own vectoriser
would have to prove that a dozen rows do not overlap, and gives up.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils

from avatar.creation.training.loss import C1, C2, RADIUS, TAPS
from avatar.render.cpu.vectors import I64, Emitter, at, constant, intrinsic

__all__ = ["LANES", "blur_across", "blur_down", "similarity_slopes"]

LANES = 8
_CHANNELS = 4
_RING = 2 * RADIUS + 1


def _over_row(b: ir.IRBuilder, n: ir.Value, body: Callable[[ir.Value], None]) -> None:
    """Emit `body` for every `LANES` floats of a row of n."""
    with cgutils.for_range_slice(b, ir.Constant(I64, 0), n, ir.Constant(I64, LANES), I64, inc=True) as (x, _):
        body(x)


def _weighed(emit: Emitter, values: list[ir.Value]) -> ir.Value:
    """Neighbours in the window: it is symmetric, so that pairs are added first."""
    total = emit.b.fmul(values[RADIUS], constant(emit.lanes, TAPS[RADIUS]))
    for k in range(RADIUS):
        pair = emit.b.fadd(values[k], values[-1 - k])
        total = emit.mul_add(pair, constant(emit.lanes, TAPS[k]), total)
    return total


def _row(context, b, kind, array, index) -> ir.Value:
    """Where row `index` of a C-contiguous 2D array starts."""
    made = context.make_array(kind)(context, b, array)
    width = cgutils.unpack_tuple(b, made.shape)[1]
    return b.gep(made.data, [b.mul(width, index)])


@intrinsic
def blur_down(typingctx, ring, top, out, into, n):
    """The window from row to row: all rows of `ring`, of which `top` is the uppermost, into row `into` of `out`."""

    def generate(context, b, sig, args):
        ring, top, out, into, n = args
        count = ir.Constant(I64, _RING)
        rows = [
            _row(context, b, sig.args[0], ring, b.srem(b.add(top, ir.Constant(I64, k)), count)) for k in range(_RING)
        ]
        target = _row(context, b, sig.args[2], out, into)
        emit = Emitter(b, LANES)

        def body(x: ir.Value) -> None:
            values = [b.load(at(b, row, x, LANES), align=4) for row in rows]
            b.store(_weighed(emit, values), at(b, target, x, LANES), align=4)

        _over_row(b, n, body)
        return context.get_dummy_value()

    return types.void(ring, types.intp, out, types.intp, types.intp), generate


@intrinsic
def blur_across(typingctx, rows, source, out, into, n):
    """The window from pixel to pixel: row `source` of `rows`, which begins and ends with `RADIUS` empty pixels."""

    def generate(context, b, sig, args):
        rows, source, out, into, n = args
        begin, target = _row(context, b, sig.args[0], rows, source), _row(context, b, sig.args[2], out, into)
        emit = Emitter(b, LANES)

        def body(x: ir.Value) -> None:
            here = b.gep(begin, [x])
            values = [b.load(at(b, here, _CHANNELS * k, LANES), align=4) for k in range(_RING)]
            b.store(_weighed(emit, values), at(b, target, x, LANES), align=4)

        _over_row(b, n, body)
        return context.get_dummy_value()

    return types.void(rows, types.intp, out, types.intp, types.intp), generate


@intrinsic
def similarity_slopes(typingctx, rows, slopes, similarity, n):
    """SSIM and its slopes from smoothed values.

    Args:
        rows: (4, n): smoothed a, b, a^2 + b^2, a b.
        slopes: (3, n) out: SSIM by the smoothed a, a^2 and a b.
        similarity: (1, n) out.
    """

    def generate(context, b, sig, args):
        rows, slopes, similarity, n = args
        index = [ir.Constant(I64, k) for k in range(4)]
        mean_a, mean_b, squares, product = (_row(context, b, sig.args[0], rows, k) for k in index)
        by_mean, by_square, by_product = (_row(context, b, sig.args[1], slopes, k) for k in index[:3])
        out = _row(context, b, sig.args[2], similarity, index[0])
        one, two, minus = (constant(LANES, v) for v in (1.0, 2.0, -1.0))
        c1, c2 = constant(LANES, C1), constant(LANES, C2)

        def body(x: ir.Value) -> None:
            ma, mb, q, p = (b.load(at(b, row, x, LANES), align=4) for row in (mean_a, mean_b, squares, product))
            joint, means = b.fmul(ma, mb), b.fadd(b.fmul(ma, ma), b.fmul(mb, mb))
            upper1 = b.fadd(b.fmul(two, joint), c1)
            upper2 = b.fadd(b.fmul(two, b.fsub(p, joint)), c2)
            lower1, lower2 = b.fadd(means, c1), b.fadd(b.fsub(q, means), c2)
            inverse1, inverse2 = b.fdiv(one, lower1), b.fdiv(one, lower2)
            both = b.fmul(inverse1, inverse2)
            s = b.fmul(b.fmul(upper1, upper2), both)
            first = b.fmul(b.fmul(two, mb), b.fmul(b.fsub(upper2, upper1), both))
            second = b.fmul(b.fmul(two, ma), b.fmul(s, b.fsub(inverse1, inverse2)))
            for row, value in (
                (by_mean, b.fsub(first, second)),
                (by_square, b.fmul(minus, b.fmul(s, inverse2))),
                (by_product, b.fmul(b.fmul(two, upper1), both)),
                (out, s),
            ):
                b.store(value, at(b, row, x, LANES), align=4)

        _over_row(b, n, body)
        return context.get_dummy_value()

    return types.void(rows, slopes, similarity, types.intp), generate
