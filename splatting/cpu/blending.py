"""Tiles of Gaussians blended front to back, and the gradients, sixteen pixels at a time.

A tile is 16 rows of 16 pixels. Its Gaussians come in order of depth; each one updates the rows
that it reaches, a row being one vector. The gradient runs front to back as well: what lies
behind a Gaussian is the finished picture less what has been blended so far, so nothing is divided
by the light that is left. Each Gaussian's gradient in each tile has its own place and is summed
afterwards, so there are no atomics and the result does not depend on the threads.
"""

# pyright: reportCallIssue=false
# (compiled functions and LLVM flags have signatures that the stubs do not know)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float32, int32, int64, njit, prange
from numba.core import cgutils
from numba.extending import intrinsic

from splatting.cpu.lanes import FLOAT, VECTOR, Lanes
from splatting.rasterize import MAX_ALPHA, MIN_TRANSMITTANCE

TILE = 16
PIXELS = TILE * TILE
# A splat: centre, inverse covariance, opacity, RGB, z; then the least power drawn, half height.
U, V, A, B, C, OPACITY, RED, DEPTH, LEAST_POWER, HALF_HEIGHT = 0, 1, 2, 3, 4, 5, 6, 9, 10, 11
SPLAT = 12
CHANNELS = 4
GRADIENTS = 10

LONG = ir.IntType(64)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Pointer to the first float of an array."""
    array = context.make_array(kind)(context, builder, value)
    return builder.bitcast(array.data, FLOAT.as_pointer())


class _Splat:
    """The record of one Gaussian, spread over the lanes, and its alpha along a row."""

    def __init__(self, lanes: Lanes, splats: Any, index: Any, x0: Any) -> None:
        builder = lanes.builder
        base = builder.mul(index, ir.Constant(LONG, SPLAT))

        def field(k: int) -> Any:
            return builder.load(builder.gep(splats, [builder.add(base, ir.Constant(LONG, k))]))

        self.lanes = lanes
        self.v = field(V)
        self.a, self.b, self.c = (lanes.splat(field(k)) for k in (A, B, C))
        self.opacity = lanes.splat(field(OPACITY))
        self.colour = [lanes.splat(field(RED + k)) for k in range(CHANNELS)]
        self.least_power = lanes.splat(field(LEAST_POWER))
        self.dx = lanes.add(lanes.ramp(), lanes.splat(builder.fsub(x0, field(U))))

    def power(self, dy: Any) -> Any:
        """Logarithm of the Gaussian along a row at height dy."""
        q = self.lanes
        along = q.dot((self.a, self.dx), (q.add(self.b, self.b), dy))
        return q.mul(q.constant(-0.5), q.dot((along, self.dx), (q.mul(self.c, dy), dy)))

    def drawn(self, power: Any) -> Any:
        q = self.lanes
        inside = q.compare(power, "<=", q.constant(0.0))
        return q.builder.and_(inside, q.compare(power, ">=", self.least_power))


class _Rows:
    """A loop over the rows that a Gaussian reaches and that still let light through."""

    def __init__(self, lanes: Lanes, splat: _Splat, *, y0: Any, alive: Any) -> None:
        self.lanes, self.splat, self.y0 = lanes, splat, y0
        self.alive = cgutils.alloca_once_value(lanes.builder, alive)

    def each(self, first: Any, stop: Any, body: Callable[[Any, Any, Any], Any]) -> Any:
        """Runs body(row offset, dy, power), which returns what is left of the light there."""
        q, builder = self.lanes, self.lanes.builder
        with cgutils.for_range_slice(builder, first, stop, ir.Constant(LONG, 1), LONG) as (row, _):
            bit = builder.shl(ir.Constant(ir.IntType(32), 1), builder.trunc(row, ir.IntType(32)))
            alive = builder.load(self.alive)
            lives = builder.icmp_unsigned(
                "!=", builder.and_(alive, bit), ir.Constant(ir.IntType(32), 0)
            )
            with builder.if_then(lives):
                y = builder.fadd(builder.sitofp(row, FLOAT), self.y0)
                dy = q.splat(builder.fsub(y, self.splat.v))
                power = self.splat.power(dy)
                with builder.if_then(q.any(self.splat.drawn(power))):
                    offset = builder.mul(row, ir.Constant(LONG, TILE))
                    light = body(offset, dy, power)
                    gone = builder.not_(q.any(q.compare(light, ">", q.constant(0.0))))
                    rest = builder.and_(alive, builder.not_(bit))
                    builder.store(builder.select(gone, rest, alive), self.alive)
        return builder.load(self.alive)


def _pass_light(q: Lanes, light: Any, alpha: Any) -> tuple[Any, Any]:
    """The light behind a Gaussian (negative where a pixel is finished), and where it was drawn."""
    behind = q.mul(light, q.sub(q.constant(1.0), alpha))
    finished = q.compare(behind, "<=", q.constant(MIN_TRANSMITTANCE))
    negative = q.minimum(light, q.sub(q.constant(0.0), light))
    return q.select(finished, negative, behind), finished


@intrinsic
def _blend(typing, state, splats, index, x0, y0, first, stop, alive):
    """Adds one Gaussian to a tile's rows; returns the bits of the rows that still live.

    `state` holds 256 floats each of: light left, RGB, z.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        q = Lanes(builder)
        tile = _data(context, builder, signature.args[0], args[0])
        records = _data(context, builder, signature.args[1], args[1])
        _, _, index, x0, y0, first, stop, alive = args
        splat = _Splat(q, records, index, x0)

        def row(offset: Any, dy: Any, power: Any) -> Any:
            def at(channel: int) -> Any:
                return builder.add(offset, ir.Constant(LONG, channel * PIXELS))

            alpha = q.minimum(
                q.mul(q.exp(_bounded(q, power)), splat.opacity), q.constant(MAX_ALPHA)
            )
            alpha = q.select(splat.drawn(power), alpha, q.constant(0.0))
            light = q.load(tile, at(0))
            left, finished = _pass_light(q, light, alpha)
            weight = q.select(finished, q.constant(0.0), q.mul(alpha, light))
            for k, colour in enumerate(splat.colour):
                q.store(q.add(q.load(tile, at(1 + k)), q.mul(weight, colour)), tile, at(1 + k))
            q.store(left, tile, at(0))
            return left

        return _Rows(q, splat, y0=y0, alive=alive).each(first, stop, row)

    signature = int32(state, splats, int64, float32, float32, int64, int64, int32)
    return signature, generate


def _bounded(q: Lanes, power: Any) -> Any:
    """Keeps lanes that are not drawn within what `exp` can do."""
    low = q.constant(-80.0)
    return q.select(q.compare(power, ">", low), q.minimum(power, q.constant(0.0)), low)


@intrinsic
def _unblend(typing, state, splats, gradients, index, place, x0, y0, first, stop, alive):
    """The gradient of one Gaussian in one tile, written to `gradients[place]`.

    `state` holds 256 floats each of: light left, the loss's change by all that lies behind, and
    its gradient by R, G, B and z. Returns the bits of the rows that still live.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        q = Lanes(builder)
        tile = _data(context, builder, signature.args[0], args[0])
        records = _data(context, builder, signature.args[1], args[1])
        out = _data(context, builder, signature.args[2], args[2])
        _, _, _, index, place, x0, y0, first, stop, alive = args
        splat = _Splat(q, records, index, x0)
        zero = q.constant(0.0)
        # Sums over the rows of g, g dy, g dy² with g the gradient by the power; of that by the
        # colours; and of that by the opacity.
        sums = [cgutils.alloca_once_value(builder, zero) for _ in range(3 + CHANNELS + 1)]

        def accumulate(k: int, value: Any) -> None:
            builder.store(q.add(builder.load(sums[k]), value), sums[k])

        def row(offset: Any, dy: Any, power: Any) -> Any:
            def at(channel: int) -> Any:
                return builder.add(offset, ir.Constant(LONG, channel * PIXELS))

            gaussian = q.exp(_bounded(q, power))
            raw = q.mul(gaussian, splat.opacity)
            alpha = q.select(splat.drawn(power), q.minimum(raw, q.constant(MAX_ALPHA)), zero)
            light = q.load(tile, at(0))
            left, finished = _pass_light(q, light, alpha)
            alpha = q.select(finished, zero, alpha)
            weight = q.mul(alpha, light)
            by_pixel = [q.load(tile, at(2 + k)) for k in range(CHANNELS)]
            value = q.dot(*zip(by_pixel, splat.colour, strict=True))
            behind = q.sub(q.load(tile, at(1)), q.mul(weight, value))
            q.store(behind, tile, at(1))
            q.store(left, tile, at(0))
            change = q.sub(q.mul(light, value), q.div(behind, q.sub(q.constant(1.0), alpha)))
            free = builder.and_(
                q.compare(alpha, ">", zero), q.compare(raw, "<", q.constant(MAX_ALPHA))
            )
            change = q.select(free, change, zero)
            by_power = q.mul(raw, change)
            by_power_dy = q.mul(by_power, dy)
            accumulate(0, by_power)
            accumulate(1, by_power_dy)
            accumulate(2, q.mul(by_power_dy, dy))
            for k in range(CHANNELS):
                accumulate(3 + k, q.mul(weight, by_pixel[k]))
            accumulate(3 + CHANNELS, q.mul(gaussian, change))
            return left

        alive = _Rows(q, splat, y0=y0, alive=alive).each(first, stop, row)
        g, gy, gyy, *by_colour, by_opacity = (builder.load(s) for s in sums)
        gx = q.mul(g, splat.dx)
        values = [
            q.dot((splat.a, gx), (splat.b, gy)),
            q.dot((splat.b, gx), (splat.c, gy)),
            q.mul(q.constant(-0.5), q.mul(gx, splat.dx)),
            q.sub(zero, q.mul(gy, splat.dx)),
            q.mul(q.constant(-0.5), gyy),
            by_opacity,
            *by_colour,
        ]
        base = builder.mul(place, ir.Constant(LONG, GRADIENTS))
        for k, value in enumerate(values):
            builder.store(
                q.total(value), builder.gep(out, [builder.add(base, ir.Constant(LONG, k))])
            )
        return alive

    signature = int32(state, splats, gradients, int64, int64, float32, float32, int64, int64, int32)
    return signature, generate


@njit(fastmath=True)
def _reach(splats, g, y0):
    """First row of a tile that a Gaussian reaches, and the one after the last."""
    v, half = splats[g, V], splats[g, HALF_HEIGHT]
    first = max(0, int(np.ceil(v - half - y0)))
    return first, min(TILE, int(np.floor(v + half - y0)) + 1)


@njit
def _rows_inside(tile_y, height):
    """Bits of the tile's rows that lie in the picture."""
    return int32((1 << min(TILE, height - tile_y * TILE)) - 1)


@njit(parallel=True, fastmath=True, cache=True)
def blend_tiles(splats, starts, members, order, picture):
    """Fills `picture` (H, W, 5) with RGB, alpha and z.

    Args:
        splats: (N, 12). starts: (tiles + 1,) where each tile's members begin. members: indices of
            splats, front to back in each tile. order: the tiles, so that threads share evenly.
    """
    height, width = picture.shape[:2]
    across = (width + TILE - 1) // TILE
    for i in prange(len(order)):
        tile = order[i]
        tile_y, tile_x = tile // across, tile % across
        state = np.zeros((1 + CHANNELS) * PIXELS, np.float32)
        for r in range(TILE):
            state[r * TILE : r * TILE + min(TILE, width - tile_x * TILE)] = 1
        x0, y0 = np.float32(tile_x * TILE + 0.5), np.float32(tile_y * TILE + 0.5)
        alive = _rows_inside(tile_y, height)
        for k in range(starts[tile], starts[tile + 1]):
            g = members[k]
            first, stop = _reach(splats, g, y0)
            alive = _blend(state, splats, g, x0, y0, first, stop, alive)
            if alive == 0:
                break
        for r in range(min(TILE, height - tile_y * TILE)):
            for x in range(min(TILE, width - tile_x * TILE)):
                p = r * TILE + x
                pixel = picture[tile_y * TILE + r, tile_x * TILE + x]
                for k in range(3):
                    pixel[k] = state[(1 + k) * PIXELS + p]
                pixel[3] = 1 - abs(state[p])
                pixel[4] = state[4 * PIXELS + p]


@njit(parallel=True, fastmath=True, cache=True)
def unblend_tiles(splats, starts, members, order, picture, by_picture):
    """(M, 10) gradient of each member: by centre, inverse covariance, opacity, RGB and z.

    Args:
        picture: (H, W, 5) as `blend_tiles` left it. by_picture: (H, W, 5) gradient of the loss.
    """
    height, width = picture.shape[:2]
    across = (width + TILE - 1) // TILE
    gradients = np.empty((len(members), GRADIENTS), np.float32)
    for i in prange(len(order)):
        tile = order[i]
        tile_y, tile_x = tile // across, tile % across
        state = np.zeros((2 + CHANNELS) * PIXELS, np.float32)
        for r in range(min(TILE, height - tile_y * TILE)):
            for x in range(min(TILE, width - tile_x * TILE)):
                p = r * TILE + x
                pixel = picture[tile_y * TILE + r, tile_x * TILE + x]
                by = by_picture[tile_y * TILE + r, tile_x * TILE + x]
                state[p] = 1
                state[2 * PIXELS + p], state[3 * PIXELS + p] = by[0], by[1]
                state[4 * PIXELS + p], state[5 * PIXELS + p] = by[2], by[4]
                state[PIXELS + p] = (
                    pixel[0] * by[0] + pixel[1] * by[1] + pixel[2] * by[2]
                    + pixel[4] * by[4] - by[3] * (1 - pixel[3])
                )  # fmt: skip
        x0, y0 = np.float32(tile_x * TILE + 0.5), np.float32(tile_y * TILE + 0.5)
        alive = _rows_inside(tile_y, height)
        for k in range(starts[tile], starts[tile + 1]):
            if alive == 0:
                gradients[k] = 0
                continue
            g = members[k]
            first, stop = _reach(splats, g, y0)
            alive = _unblend(state, splats, gradients, g, k, x0, y0, first, stop, alive)
    return gradients


assert VECTOR.count == TILE, "one row of a tile is one vector"
