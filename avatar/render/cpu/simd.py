"""Explicit vector code for the inner loops of compositing, as numba intrinsics.

A tile is 16 x 16 pixels and lives in one array of 1,024 float32: row by row, each row as 16 transmittances, then
16 reds, greens and blues, so that one row of one channel is one vector. The transmittance of a finished pixel carries
a minus sign. Numba's own loop vectoriser gives up on loops this short, so the vectors are written out; LLVM fits them
to the machine (one 512-bit register, or two, or four smaller ones). The tests have a readable twin.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

__all__ = [
    "LOG2_ALPHA_MIN",
    "ROW",
    "TILE",
    "TILE_FLOATS",
    "blend",
    "clear",
    "fetch_add",
    "prefetch",
    "resolve_row",
    "unfinished_rows",
]

TILE = 16
"""Pixels along the side of a tile."""
ROW = 4 * TILE
"""Floats of a row of a tile."""
TILE_FLOATS = TILE * ROW
LOG2_ALPHA_MIN = math.log2(1 / 255)

intrinsic: Any = extending.intrinsic  # its type says nothing of the first argument, which numba fills in

_ALPHA_MAX = 0.999
_TRANSMITTANCE_MIN = 1e-4
_MAGIC = 12582912.0  # 1.5 * 2^23: adding it rounds a float to an integer, left in the low bits of the mantissa
_EXP2 = (0.99999928, 0.69312179, 0.24024745, 0.055917859, 0.0095701013)
"""Minimax coefficients of 2^f for |f| <= 1/2; relative error 2.6e-6."""

_F32 = ir.FloatType()
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)


def _vector(element: ir.Type, lanes: int) -> ir.VectorType:
    return ir.VectorType(element, lanes)


def _constant(lanes: int, value: float | int, element: ir.Type = _F32) -> ir.Constant:
    return ir.Constant(_vector(element, lanes), [value] * lanes)


def _splat(builder: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    """Copy a scalar into every lane."""
    kind = _vector(scalar.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(
        first, ir.Constant(kind, ir.Undefined), ir.Constant(_vector(_I32, lanes), [0] * lanes)
    )


def _pointer(context: Any, builder: ir.IRBuilder, kind: types.Array, value: ir.Value) -> ir.Value:
    return context.make_array(kind)(context, builder, value).data


def _at(builder: ir.IRBuilder, base: ir.Value, offset: ir.Value | int, lanes: int, element: ir.Type = _F32) -> ir.Value:
    """The vector that starts `offset` elements after `base`."""
    index = ir.Constant(_I64, offset) if isinstance(offset, int) else offset
    return builder.bitcast(builder.gep(base, [index]), ir.PointerType(_vector(element, lanes)))


class _Row:
    """Emits the arithmetic for one row of a tile (or half of it)."""

    contract = ("contract",)

    def __init__(self, builder: ir.IRBuilder, lanes: int) -> None:
        self.b, self.lanes = builder, lanes

    def mul_add(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        return self.b.fadd(self.b.fmul(x, y, flags=self.contract), z, flags=self.contract)

    def exp2(self, power: ir.Value) -> ir.Value:
        """2^power; rubbish for powers under -126, which callers mask out."""
        b, lanes = self.b, self.lanes
        floats, ints = power.type, _vector(_I32, lanes)
        shifted = b.fadd(power, _constant(lanes, _MAGIC))
        fraction = b.fsub(power, b.fsub(shifted, _constant(lanes, _MAGIC)))
        poly: ir.Value = _constant(lanes, _EXP2[-1])
        for coefficient in _EXP2[-2::-1]:
            poly = self.mul_add(poly, fraction, _constant(lanes, coefficient))
        exponent = b.shl(b.bitcast(shifted, ints), _constant(lanes, 23, _I32))
        return b.bitcast(b.add(b.bitcast(poly, ints), exponent), floats)

    def blend(self, row: ir.Value, x0: int, power: ir.Value, rgb: Any) -> None:
        """Composite a Gaussian whose alphas are 2^power over pixels x0 .. x0 + lanes - 1 of the row at `row`."""
        b, lanes, p = self.b, self.lanes, power
        alpha = self.exp2(p)
        limit = _constant(lanes, _ALPHA_MAX)
        alpha = b.select(b.fcmp_ordered("<", alpha, limit), alpha, limit)
        drawn = b.fcmp_ordered(">=", p, _constant(lanes, LOG2_ALPHA_MIN))
        alpha = b.select(drawn, alpha, _constant(lanes, 0.0))

        at_t = _at(b, row, x0, lanes)
        t = b.load(at_t, align=4)
        weight = b.fmul(alpha, t)
        after = b.fsub(t, weight)
        going_on = b.fcmp_ordered(">", after, _constant(lanes, _TRANSMITTANCE_MIN))
        weight = b.select(going_on, weight, _constant(lanes, 0.0))
        ints = _vector(_I32, lanes)
        stopped = b.bitcast(b.or_(b.bitcast(t, ints), _constant(lanes, -(2**31), _I32)), t.type)
        b.store(b.select(going_on, after, stopped), at_t, align=4)
        for channel, color in enumerate(rgb, start=1):
            at = _at(b, row, channel * TILE + x0, lanes)
            b.store(self.mul_add(weight, color, b.load(at, align=4)), at, align=4)


@intrinsic
def blend(typingctx, tile, first, last, half, mx, my, slope, na, nk, lo, red, green, blue):
    """Composite one Gaussian over rows first..last-1 of a tile.

    log2 alpha = lo + na (dx - slope dy)^2 + nk dy^2, with (dx, dy) from (mx, my), which count from the tile's first
    pixel centre. `half` is 0 for the left eight columns, 1 for the right eight, 2 for all sixteen.
    """
    signature = types.void(tile, types.intp, types.intp, types.intp, *(types.float32,) * 9)

    def generate(context, builder, sig, args):
        base = _pointer(context, builder, sig.args[0], args[0])
        first, last, half, mx, my, slope, na, nk, lo, *rgb = args[1:]

        def rows(lanes: int, x0: int) -> None:
            emit = _Row(builder, lanes)
            colors = [_splat(builder, c, lanes) for c in rgb]
            falloff, tilt, rise, peak = (
                _splat(builder, v, lanes) for v in (na, builder.fsub(ir.Constant(_F32, 0.0), slope), nk, lo)
            )
            columns = ir.Constant(_vector(_F32, lanes), [float(x0 + i) for i in range(lanes)])
            across = builder.fsub(columns, _splat(builder, mx, lanes))
            dy_slot = cgutils.alloca_once_value(
                builder, _splat(builder, builder.fsub(builder.sitofp(first, _F32), my), lanes)
            )
            with cgutils.for_range_slice(builder, first, last, ir.Constant(_I64, 1), _I64, inc=True) as (y, _):
                dy = builder.load(dy_slot)
                u = emit.mul_add(tilt, dy, across)
                power = emit.mul_add(builder.fmul(u, falloff), u, emit.mul_add(builder.fmul(rise, dy), dy, peak))
                emit.blend(builder.gep(base, [builder.mul(y, ir.Constant(_I64, ROW))]), x0, power, colors)
                builder.store(builder.fadd(dy, _constant(lanes, 1.0)), dy_slot)

        with builder.if_else(builder.icmp_signed("==", half, ir.Constant(_I64, 2))) as (whole, part):
            with whole:
                rows(TILE, 0)
            with part, builder.if_else(builder.icmp_signed("==", half, ir.Constant(_I64, 0))) as (left, right):
                with left:
                    rows(TILE // 2, 0)
                with right:
                    rows(TILE // 2, TILE // 2)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def clear(typingctx, tile):
    """Start a tile: transmittance 1, no color."""

    def generate(context, builder, sig, args):
        base = _pointer(context, builder, sig.args[0], args[0])
        for offset in range(0, TILE_FLOATS, TILE):
            value = 1.0 if offset % ROW == 0 else 0.0
            builder.store(_constant(TILE, value), _at(builder, base, offset, TILE), align=4)
        return context.get_dummy_value()

    return types.void(tile), generate


@intrinsic
def unfinished_rows(typingctx, tile):
    """A bit for each row of the tile in which a pixel can still change, the first row's lowest."""

    def generate(context, builder, sig, args):
        base = _pointer(context, builder, sig.args[0], args[0])
        ints, bits = _vector(_I32, TILE), ir.IntType(TILE)
        rows: ir.Value = ir.Constant(_I64, 0)
        for y in range(TILE):
            t = builder.bitcast(builder.load(_at(builder, base, y * ROW, TILE), align=4), ints)
            going_on = builder.bitcast(builder.icmp_signed(">=", t, _constant(TILE, 0, _I32)), bits)
            any_left = builder.zext(builder.icmp_unsigned("!=", going_on, ir.Constant(bits, 0)), _I64)
            rows = builder.or_(rows, builder.shl(any_left, ir.Constant(_I64, y)))
        return rows

    return types.int64(tile), generate


@intrinsic
def resolve_row(typingctx, tile, y, pixels, start, red, green, blue, opaque):
    """Write row `y` of a tile over a background as sixteen BGRA pixels from `pixels[start]` on.

    `opaque` is 1 for a background of this color, 0 for a transparent one (whose color must be black).
    """
    signature = types.void(tile, types.intp, pixels, types.intp, *(types.float32,) * 4)

    def generate(context, builder, sig, args):
        base = _pointer(context, builder, sig.args[0], args[0])
        out = _pointer(context, builder, sig.args[2], args[2])
        row = builder.gep(base, [builder.mul(args[1], ir.Constant(_I64, ROW))])
        emit, ints = _Row(builder, TILE), _vector(_I32, TILE)

        def channel(index: int) -> ir.Value:
            return builder.load(_at(builder, row, index * TILE, TILE), align=4)

        def byte(value: ir.Value) -> ir.Value:
            return builder.fptosi(emit.mul_add(value, _constant(TILE, 255.0), _constant(TILE, 0.5)), ints)

        t = builder.bitcast(
            builder.and_(builder.bitcast(channel(0), ints), _constant(TILE, 2**31 - 1, _I32)), channel(0).type
        )
        one = _constant(TILE, 1.0)
        alpha = emit.mul_add(t, _splat(builder, args[7], TILE), builder.fsub(one, t))
        packed = builder.shl(byte(alpha), _constant(TILE, 24, _I32))
        for index, (background, shift) in enumerate(zip(args[4:7], (16, 8, 0), strict=True), start=1):
            color = emit.mul_add(t, _splat(builder, background, TILE), channel(index))
            color = builder.select(builder.fcmp_ordered("<", color, alpha), color, alpha)
            packed = builder.or_(packed, builder.shl(byte(color), _constant(TILE, shift, _I32)))
        builder.store(packed, _at(builder, out, args[3], TILE, _I32), align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def prefetch(typingctx, rows, index):
    """Ask for the cache line where row `index` of a 2D array starts. A row that does not exist does no harm."""

    def generate(context, builder, sig, args):
        array = context.make_array(sig.args[0])(context, builder, args[0])
        stride = cgutils.unpack_tuple(builder, array.strides)[0]
        base = builder.bitcast(array.data, ir.PointerType(ir.IntType(8)))
        address = builder.gep(base, [builder.mul(stride, args[1])])
        flags = [ir.Constant(_I32, v) for v in (0, 3, 1)]  # for reading, keep close, data
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [address.type, _I32, _I32, _I32]), "llvm.prefetch.p0"
        )
        builder.call(function, [address, *flags])
        return context.get_dummy_value()

    return types.void(rows, types.intp), generate


@intrinsic
def fetch_add(typingctx, counter, step):
    """Add to `counter[0]` (int64) for all threads; returns what it was. Deals out work as threads come free."""

    def generate(context, builder, sig, args):
        pointer = _pointer(context, builder, sig.args[0], args[0])
        return builder.atomic_rmw("add", pointer, args[1], "monotonic")

    return types.int64(counter, types.int64), generate
