"""Explicit vector code for the inner loops of compositing, as numba intrinsics.

A tile is 16 x 16 pixels and lives in one array of 1,024 float32: row by row, each row as 16 transmittances, then
16 reds, greens and blues, so that one row of one channel is one vector. The transmittance of a finished pixel carries
a minus sign. Numba's own loop vectoriser gives up on loops this short, so the vectors are written out; LLVM fits them
to the machine (one 512-bit register, or two, or four smaller ones). The tests have a readable twin.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from avatar.render.cpu.vectors import (
    ALPHA_MAX,
    F32,
    I32,
    I64,
    LOG2_ALPHA_MIN,
    Emitter,
    at,
    constant,
    interleave,
    intrinsic,
    pointer,
    splat,
    vector,
)

__all__ = [
    "LOG2_ALPHA_MIN",
    "ROW",
    "TILE",
    "TILE_FLOATS",
    "blend",
    "clear",
    "fetch_add",
    "prefetch",
    "resolve_floats",
    "resolve_row",
    "unfinished",
    "unfinished_rows",
]

TILE = 16
"""Pixels along the side of a tile."""
ROW = 4 * TILE
"""Floats of a row of a tile."""
TILE_FLOATS = TILE * ROW


def _blend_row(emit: Emitter, row: ir.Value, x0: int, power: ir.Value, rgb: Any) -> None:
    """Composite a Gaussian whose alphas are 2^power over the pixels from x0 on of the row at `row`."""
    b, lanes = emit.b, emit.lanes
    alpha = emit.exp2(power)
    limit = constant(lanes, ALPHA_MAX)
    alpha = b.select(b.fcmp_ordered("<", alpha, limit), alpha, limit)
    drawn = b.fcmp_ordered(">=", power, constant(lanes, LOG2_ALPHA_MIN))
    alpha = b.select(drawn, alpha, constant(lanes, 0.0))

    at_t = at(b, row, x0, lanes)
    t = b.load(at_t, align=4)
    weight = b.fmul(alpha, t)
    left, going_on = emit.step(t, weight)
    weight = b.select(going_on, weight, constant(lanes, 0.0))
    b.store(left, at_t, align=4)
    for channel, color in enumerate(rgb, start=1):
        where = at(b, row, channel * TILE + x0, lanes)
        b.store(emit.mul_add(weight, color, b.load(where, align=4)), where, align=4)


@intrinsic
def blend(typingctx, tile, first, last, half, mx, my, slope, na, nk, lo, red, green, blue):
    """Composite one Gaussian over rows first..last-1 of a tile.

    log2 alpha = lo + na (dx - slope dy)^2 + nk dy^2, with (dx, dy) from (mx, my), which count from the tile's first
    pixel centre. `half` is 0 for the left eight columns, 1 for the right eight, 2 for all sixteen.
    """
    signature = types.void(tile, types.intp, types.intp, types.intp, *(types.float32,) * 9)

    def generate(context, builder, sig, args):
        base = pointer(context, builder, sig.args[0], args[0])
        first, last, half, mx, my, slope, na, nk, lo, *rgb = args[1:]

        def rows(lanes: int, x0: int) -> None:
            emit = Emitter(builder, lanes)
            colors = [splat(builder, c, lanes) for c in rgb]
            falloff, tilt, rise, peak = (
                splat(builder, v, lanes) for v in (na, builder.fsub(ir.Constant(F32, 0.0), slope), nk, lo)
            )
            columns = ir.Constant(vector(F32, lanes), [float(x0 + i) for i in range(lanes)])
            across = builder.fsub(columns, splat(builder, mx, lanes))
            dy_slot = cgutils.alloca_once_value(
                builder, splat(builder, builder.fsub(builder.sitofp(first, F32), my), lanes)
            )
            with cgutils.for_range_slice(builder, first, last, ir.Constant(I64, 1), I64, inc=True) as (y, _):
                dy = builder.load(dy_slot)
                u = emit.mul_add(tilt, dy, across)
                power = emit.mul_add(builder.fmul(u, falloff), u, emit.mul_add(builder.fmul(rise, dy), dy, peak))
                _blend_row(emit, builder.gep(base, [builder.mul(y, ir.Constant(I64, ROW))]), x0, power, colors)
                builder.store(builder.fadd(dy, constant(lanes, 1.0)), dy_slot)

        with builder.if_else(builder.icmp_signed("==", half, ir.Constant(I64, 2))) as (whole, part):
            with whole:
                rows(TILE, 0)
            with part, builder.if_else(builder.icmp_signed("==", half, ir.Constant(I64, 0))) as (left, right):
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
        base = pointer(context, builder, sig.args[0], args[0])
        for offset in range(0, TILE_FLOATS, TILE):
            value = 1.0 if offset % ROW == 0 else 0.0
            builder.store(constant(TILE, value), at(builder, base, offset, TILE), align=4)
        return context.get_dummy_value()

    return types.void(tile), generate


def unfinished(context, b, sig, args, stride: int) -> ir.Value:
    """A bit for each of a tile's sixteen vectors of transmittance, `stride` floats apart, in which a pixel can still
    change; the first one's lowest."""
    base = pointer(context, b, sig.args[0], args[0])
    ints, bits = vector(I32, TILE), ir.IntType(TILE)
    found: ir.Value = ir.Constant(I64, 0)
    for k in range(TILE):
        t = b.bitcast(b.load(at(b, base, k * stride, TILE), align=4), ints)
        going_on = b.bitcast(b.icmp_signed(">=", t, constant(TILE, 0, I32)), bits)
        any_left = b.zext(b.icmp_unsigned("!=", going_on, ir.Constant(bits, 0)), I64)
        found = b.or_(found, b.shl(any_left, ir.Constant(I64, k)))
    return found


@intrinsic
def unfinished_rows(typingctx, tile):
    """A bit for each row of the tile in which a pixel can still change, the first row's lowest."""

    def generate(context, builder, sig, args):
        return unfinished(context, builder, sig, args, ROW)

    return types.int64(tile), generate


@intrinsic
def resolve_row(typingctx, tile, y, pixels, start, red, green, blue, opaque):
    """Write row `y` of a tile over a background as sixteen BGRA pixels from `pixels[start]` on.

    `opaque` is 1 for a background of this color, 0 for a transparent one (whose color must be black).
    """
    signature = types.void(tile, types.intp, pixels, types.intp, *(types.float32,) * 4)

    def generate(context, builder, sig, args):
        base = pointer(context, builder, sig.args[0], args[0])
        out = pointer(context, builder, sig.args[2], args[2])
        row = builder.gep(base, [builder.mul(args[1], ir.Constant(I64, ROW))])
        emit, ints = Emitter(builder, TILE), vector(I32, TILE)

        def channel(index: int) -> ir.Value:
            return builder.load(at(builder, row, index * TILE, TILE), align=4)

        def byte(value: ir.Value) -> ir.Value:
            return builder.fptosi(emit.mul_add(value, constant(TILE, 255.0), constant(TILE, 0.5)), ints)

        t = builder.bitcast(
            builder.and_(builder.bitcast(channel(0), ints), constant(TILE, 2**31 - 1, I32)), channel(0).type
        )
        one = constant(TILE, 1.0)
        alpha = emit.mul_add(t, splat(builder, args[7], TILE), builder.fsub(one, t))
        packed = builder.shl(byte(alpha), constant(TILE, 24, I32))
        for index, (background, shift) in enumerate(zip(args[4:7], (16, 8, 0), strict=True), start=1):
            color = emit.mul_add(t, splat(builder, background, TILE), channel(index))
            color = builder.select(builder.fcmp_ordered("<", color, alpha), color, alpha)
            packed = builder.or_(packed, builder.shl(byte(color), constant(TILE, shift, I32)))
        builder.store(packed, at(builder, out, args[3], TILE, I32), align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def resolve_floats(typingctx, tile, y, image, start, red, green, blue, opaque):
    """As `resolve_row`, but sixteen RGBA pixels of float32, from `image[start]` on."""
    signature = types.void(tile, types.intp, image, types.intp, *(types.float32,) * 4)

    def generate(context, builder, sig, args):
        base = pointer(context, builder, sig.args[0], args[0])
        out = builder.gep(pointer(context, builder, sig.args[2], args[2]), [args[3]])
        row = builder.gep(base, [builder.mul(args[1], ir.Constant(I64, ROW))])
        emit, ints = Emitter(builder, TILE), vector(I32, TILE)
        t, *colors = (builder.load(at(builder, row, k * TILE, TILE), align=4) for k in range(4))
        t = builder.bitcast(builder.and_(builder.bitcast(t, ints), constant(TILE, 2**31 - 1, I32)), t.type)
        behind = [splat(builder, v, TILE) for v in args[4:]]
        channels = [emit.mul_add(t, b, color) for b, color in zip(behind[:3], colors, strict=True)]
        channels.append(emit.mul_add(t, behind[3], builder.fsub(constant(TILE, 1.0), t)))
        for offset, pixels in enumerate(interleave(builder, channels)):
            builder.store(pixels, at(builder, out, offset * TILE, TILE), align=4)
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
        flags = [ir.Constant(I32, v) for v in (0, 3, 1)]  # for reading, keep close, data
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [address.type, I32, I32, I32]), "llvm.prefetch.p0"
        )
        builder.call(function, [address, *flags])
        return context.get_dummy_value()

    return types.void(rows, types.intp), generate


@intrinsic
def fetch_add(typingctx, counter, step):
    """Add to `counter[0]` (int64) for all threads; returns what it was. Deals out work as threads come free."""

    def generate(context, builder, sig, args):
        at_counter = pointer(context, builder, sig.args[0], args[0])
        return builder.atomic_rmw("add", at_counter, args[1], "monotonic")

    return types.int64(counter, types.int64), generate
