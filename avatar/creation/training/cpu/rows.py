"""Vector code for rows of pixels: the two directions of SSIM's window, and its slopes.

Rows are interleaved red, green, blue and alpha, in float32, a multiple of sixteen floats long. Numba's own vectoriser
would have to prove that a dozen rows do not overlap, and gives up.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils

from avatar.creation.training.loss import C1, C2, RADIUS, TAPS
from avatar.render.cpu.vectors import F32, I32, I64, Emitter, at, constant, intrinsic, pointer, splat, vector

__all__ = ["LANES", "blur_across", "blur_down", "give_out", "similarity_slopes", "sum_row", "take_in"]

LANES = 16
_CHANNELS = 4
_BYTE = 1 / 255
_RING = 2 * RADIUS + 1
_I8 = ir.IntType(8)


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


def _bytes(b: ir.IRBuilder, start: ir.Value, x: ir.Value) -> ir.Value:
    """`LANES` bytes from `start[x]` on, as floats from 0 to 1."""
    raw = b.load(at(b, start, x, LANES, _I8), align=1)
    return b.fmul(b.uitofp(raw, vector(F32, LANES)), constant(LANES, _BYTE))


@intrinsic
def take_in(typingctx, a, b_, ring, slot, n):
    """`n` floats `a` and bytes `b_`, their squares and product, into rows `slot`, `slot` + 7 and so on of `ring`."""

    def generate(context, b, sig, args):
        a, target, ring, slot, n = args
        image, bytes_ = (
            pointer(context, b, kind, array) for kind, array in zip(sig.args[:2], (a, target), strict=True)
        )
        rows = [_row(context, b, sig.args[2], ring, b.add(slot, ir.Constant(I64, k * _RING))) for k in range(4)]
        emit = Emitter(b, LANES)

        def body(x: ir.Value) -> None:
            va, vb = b.load(at(b, image, x, LANES), align=4), _bytes(b, bytes_, x)
            for row, value in zip(rows, (va, vb, emit.mul_add(va, va, b.fmul(vb, vb)), b.fmul(va, vb)), strict=True):
                b.store(value, at(b, row, x, LANES), align=4)

        _over_row(b, n, body)
        return context.get_dummy_value()

    return types.void(a, b_, ring, types.intp, types.intp), generate


@intrinsic
def give_out(typingctx, a, b_, smooth, factor, gradient, n):
    """Add SSIM's gradient to `n` floats, from rows of the smoothed slopes by a, a^2 and a b."""

    def generate(context, b, sig, args):
        a, target, smooth, factor, gradient, n = args
        image, bytes_, out = (
            pointer(context, b, sig.args[k], array) for k, array in ((0, a), (1, target), (4, gradient))
        )
        by_mean, by_square, by_product = (_row(context, b, sig.args[2], smooth, ir.Constant(I64, k)) for k in range(3))
        emit, scale = Emitter(b, LANES), splat(b, factor, LANES)

        def body(x: ir.Value) -> None:
            va, vb = b.load(at(b, image, x, LANES), align=4), _bytes(b, bytes_, x)
            mean, square, product = (b.load(at(b, row, x, LANES), align=4) for row in (by_mean, by_square, by_product))
            total = emit.mul_add(b.fadd(va, va), square, emit.mul_add(vb, product, mean))
            where = at(b, out, x, LANES)
            b.store(emit.mul_add(scale, total, b.load(where, align=4)), where, align=4)

        _over_row(b, n, body)
        return context.get_dummy_value()

    return types.void(a, b_, smooth, types.float32, gradient, types.intp), generate


@intrinsic
def sum_row(typingctx, rows, index, n):
    """The sum of the first `n` floats of a row."""

    def generate(context, b, sig, args):
        rows, index, n = args
        row = _row(context, b, sig.args[0], rows, index)
        total = cgutils.alloca_once_value(b, constant(LANES, 0.0))

        def body(x: ir.Value) -> None:
            b.store(b.fadd(b.load(total), b.load(at(b, row, x, LANES), align=4)), total)

        _over_row(b, n, body)
        lanes = b.load(total)
        found: ir.Value = ir.Constant(F32, 0.0)
        for k in range(LANES):
            found = b.fadd(found, b.extract_element(lanes, ir.Constant(I32, k)))
        return found

    return types.float32(rows, types.intp, types.intp), generate


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
def similarity_slopes(typingctx, rows, ring, first, weights, weighted, similarity, n):
    """SSIM and its slopes from smoothed values.

    Args:
        rows: (4, n): smoothed a, b, a^2 + b^2, a b.
        ring: out: rows `first`, `first` + 7 and `first` + 14 are SSIM by the smoothed a, a^2 and a b.
        weights: (1, n / 4): what each pixel counts, if `weighted` is 1.
        similarity: (1, n) out.
    """

    def generate(context, b, sig, args):
        rows, ring, first, weights, weighted, similarity, n = args
        index = [ir.Constant(I64, k) for k in range(4)]
        mean_a, mean_b, squares, product = (_row(context, b, sig.args[0], rows, k) for k in index)
        by_mean, by_square, by_product = (
            _row(context, b, sig.args[1], ring, b.add(first, ir.Constant(I64, k * _RING))) for k in range(3)
        )
        weight = _row(context, b, sig.args[3], weights, index[0])
        out = _row(context, b, sig.args[5], similarity, index[0])
        one, two, minus = (constant(LANES, v) for v in (1.0, 2.0, -1.0))
        c1, c2 = constant(LANES, C1), constant(LANES, C2)
        pixels = LANES // _CHANNELS
        spread = ir.Constant(vector(I32, LANES), [i // _CHANNELS for i in range(LANES)])

        def values(x: ir.Value) -> list[ir.Value]:
            ma, mb, q, p = (b.load(at(b, row, x, LANES), align=4) for row in (mean_a, mean_b, squares, product))
            joint, means = b.fmul(ma, mb), b.fadd(b.fmul(ma, ma), b.fmul(mb, mb))
            upper1 = b.fadd(b.fmul(two, joint), c1)
            upper2 = b.fadd(b.fmul(two, b.fsub(p, joint)), c2)
            lower1, lower2 = b.fadd(means, c1), b.fadd(b.fsub(q, means), c2)
            inverse1, inverse2 = b.fdiv(one, lower1), b.fdiv(one, lower2)
            both = b.fmul(inverse1, inverse2)
            s = b.fmul(b.fmul(upper1, upper2), both)
            slope = b.fmul(b.fmul(two, mb), b.fmul(b.fsub(upper2, upper1), both))
            second = b.fmul(b.fmul(two, ma), b.fmul(s, b.fsub(inverse1, inverse2)))
            return [
                b.fsub(slope, second), b.fmul(minus, b.fmul(s, inverse2)), b.fmul(b.fmul(two, upper1), both), s
            ]  # fmt: skip

        def store(x: ir.Value, found: list[ir.Value]) -> None:
            for row, value in zip((by_mean, by_square, by_product, out), found, strict=True):
                b.store(value, at(b, row, x, LANES), align=4)

        def counted(x: ir.Value) -> None:
            pixel = b.lshr(x, ir.Constant(I64, 2))
            few = b.load(at(b, weight, pixel, pixels), align=4)
            own = b.shuffle_vector(few, few, spread)
            store(x, [b.fmul(value, own) for value in values(x)])

        with b.if_else(b.icmp_signed("==", weighted, ir.Constant(I64, 1))) as (with_weights, without):
            with with_weights:
                _over_row(b, n, counted)
            with without:
                _over_row(b, n, lambda x: store(x, values(x)))
        return context.get_dummy_value()

    signature = types.void(rows, ring, types.intp, weights, types.int64, similarity, types.intp)
    return signature, generate
