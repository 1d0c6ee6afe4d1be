"""Where it happens: a furnished room or a street, as textured quads round those who are in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from recon.core.geometry import Array
from recon.synth import textures as tx
from recon.synth.textures import Atlas, Picture

MAX_SIDE = 4096
"""Pixels of a wall's texture at most; longer walls are painted more coarsely."""


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Textured triangles.

    Args:
        vertices: (V, 3) metres, world. faces: (F, 3). uvs: (F, 3, 2) of the faces' corners.
        textures, details: (F,) numbers in the atlas. detail_scales: (F,) repeats per uv unit.
        casts: (F,) bool, whether it throws a shadow.
    """

    vertices: Array
    faces: np.ndarray
    uvs: Array
    textures: np.ndarray
    details: np.ndarray
    detail_scales: Array
    casts: np.ndarray


class Builder:
    """Collects quads in axes of the place's own: x along its length, z up."""

    def __init__(self, atlas: Atlas, rng: np.random.Generator) -> None:
        self.atlas, self.rng = atlas, rng
        self.grain = atlas.add(tx.grain(rng), linear=True)
        self._quads: list[tuple[Array, int, int, float, bool]] = []

    def quad(self, corners: Array, texture: int, *, metres: float, casts: bool = False) -> None:
        """A rectangle: corners (4, 3) from the texture's top left, clockwise as it is seen.

        Args:
            metres: its larger side, for the grain.
        """
        self._quads.append((np.asarray(corners, float), texture, self.grain, metres / 0.5, casts))

    def box(self, low: Array, high: Array, sides: list[int], top: int) -> None:
        """A box standing on something: textures of its four sides (+x, +y, -x, -y) and top."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        rings = [(x1, y0), (x1, y1), (x0, y1), (x0, y0)]
        for k, texture in enumerate(sides):
            (ax, ay), (bx, by) = rings[k], rings[(k + 1) % 4]
            corners = np.array([[ax, ay, z1], [bx, by, z1], [bx, by, z0], [ax, ay, z0]])
            wide = abs(bx - ax) + abs(by - ay)
            self.quad(corners, texture, metres=max(z1 - z0, wide), casts=True)
        corners = np.array([[x0, y1, z1], [x1, y1, z1], [x1, y0, z1], [x0, y0, z1]])
        self.quad(corners, top, metres=max(x1 - x0, y1 - y0), casts=True)

    def prop(self, corners: Array, texture: int) -> None:
        """A box of one texture, from its corners (8, 3): bits of the row are x, y, z."""
        for a, b, c, d in ((5, 7, 3, 1), (7, 6, 2, 3), (6, 4, 0, 2), (4, 5, 1, 0), (6, 7, 5, 4)):
            quad = corners[[a, b, c, d]]
            self.quad(quad, texture, metres=0.6, casts=True)

    def mesh(self, yaw: float) -> Mesh:
        """Everything so far, turned into the world by `yaw` about the vertical."""
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
        corners = np.stack([q[0] for q in self._quads]) @ turn.T
        count = len(corners)
        first = 4 * np.arange(count)[:, None]
        uv = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        order = np.array([[0, 1, 2], [0, 2, 3]])
        per_quad = [np.array([q[k] for q in self._quads]) for k in (1, 2, 3, 4)]
        textures, details, scales, casts = (np.repeat(values, 2) for values in per_quad)
        return Mesh(
            vertices=corners.reshape(-1, 3), faces=(first[:, None] + order).reshape(-1, 3),
            uvs=np.tile(uv[order], (count, 1, 1)), textures=textures, details=details,
            detail_scales=scales.astype(float), casts=casts,
        )  # fmt: skip


def painted(
    width: float, height: float, paint: Callable[[int, int, float], Picture], *, ppm: float
) -> tuple[Picture, float]:
    """A surface of these metres and its pixels per metre, no larger than memory likes."""
    ppm = min(ppm, MAX_SIDE / max(width, height))
    return paint(max(8, round(height * ppm)), max(8, round(width * ppm)), ppm), ppm


def paste(wall: Picture, item: Picture, x: float, y: float) -> None:
    """Puts a picture on a wall, its top left at pixel (x, y), as far as there is wall."""
    x0, y0 = max(0, round(x)), max(0, round(y))
    part = item[: wall.shape[0] - y0, : wall.shape[1] - x0]
    wall[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part


def darken_edges(picture: Picture, ppm: float, *, sides: str, reach: float = 0.35) -> None:
    """Corners of a room get less light: darkens towards the top, bottom, left, right."""
    height, width = picture.shape[:2]
    rows = np.arange(height, dtype=np.float32)[:, None, None] / ppm
    columns = np.arange(width, dtype=np.float32)[None, :, None] / ppm
    from_side = {
        "t": rows, "b": rows[::-1], "l": columns, "r": columns[:, ::-1],
    }  # fmt: skip
    for side in sides:
        picture *= 1 - 0.35 * np.exp(-from_side[side] / reach)


# A room ------------------------------------------------------------------------------------------


def build_room(b: Builder, extent: Array) -> Array:
    """A furnished room round the rectangle (2, 2) in which people and cameras move.

    Returns its own rectangle (2, 2).
    """
    rng = b.rng
    margins = rng.uniform(0.9, 2.2, (2, 2))
    low, high = extent[0] - margins[0], extent[1] + margins[1]
    height = float(rng.uniform(2.6, 3.4) + 0.02 * np.ptp(extent, axis=0).max())
    _floor(b, low, high, margins)
    width, length = (high - low).tolist()

    def paint(h: int, w: int, ppm: float) -> Picture:
        return tx.rough(rng, tx.plain(h, w, (0.86, 0.85, 0.83)), amount=0.03)

    ceiling, _ = painted(width, length, paint, ppm=40)
    _lamps(ceiling, rng)
    (x0, y0), (x1, y1) = low, high
    corners = np.array([[x0, y0, height], [x1, y0, height], [x1, y1, height], [x0, y1, height]])
    b.quad(corners, b.atlas.add(ceiling), metres=float(max(high - low)))
    base = tx.random_color(rng, saturation=(0.02, 0.4), value=(0.55, 0.92))
    style = rng.choice(["plaster", "bricks", "panels"], p=[0.6, 0.2, 0.2])
    ends = [(x0, y1), (x1, y1), (x1, y0), (x0, y0)]
    for k in range(4):
        a, c = np.array(ends[k]), np.array(ends[(k + 1) % 4])
        length = float(np.linalg.norm(c - a))
        wall, ppm = painted(
            length, height, lambda h, w, p: _wall(rng, h, w, ppm=p, base=base, style=style), ppm=190
        )
        _hang(wall, ppm, length, height, rng)
        darken_edges(wall, ppm, sides="tblr")
        quad = np.array([[*a, height], [*c, height], [*c, 0], [*a, 0]])
        b.quad(quad, b.atlas.add(wall), metres=length)
        room = (margins[1, 1], margins[1, 0], margins[0, 1], margins[0, 0])[k]
        _furnish(b, a, c, depth=room - 0.45, height=height)
    return np.stack([low, high])


def _floor(b: Builder, low: Array, high: Array, margins: Array) -> None:
    rng = b.rng
    kind = rng.choice(["planks", "tiles", "carpet"])

    def paint(h: int, w: int, ppm: float) -> Picture:
        if kind == "planks":
            wood = tx.random_color(rng, saturation=(0.3, 0.6), value=(0.35, 0.7))
            hue = np.array([0.62, 0.45, 0.30]) * rng.uniform(0.6, 1.2)
            return tx.planks(rng, h, w, ppm=ppm, color=tuple(0.8 * hue + 0.2 * np.array(wood)))
        if kind == "tiles":
            side = float(rng.uniform(0.25, 0.6))
            color = tx.random_color(rng, saturation=(0, 0.25), value=(0.35, 0.8))
            return tx.bricks(
                rng, h, w, ppm=ppm, color=color, brick=(side, side), joint=0.008, shift=0,
                spread=0.1,
            )  # fmt: skip
        color = tx.random_color(rng, saturation=(0.05, 0.4), value=(0.25, 0.6))
        return tx.rough(rng, tx.plain(h, w, color), amount=0.12)

    width, length = (high - low).tolist()
    floor, ppm = painted(width, length, paint, ppm=170)
    floor = np.ascontiguousarray(floor)
    for _ in range(int(rng.integers(1, 3))):
        h, w = (rng.uniform(1.2, 2.4, 2) * ppm).astype(int)
        rug = _rug(rng, int(h), int(w))
        x, y = rng.uniform(0.1, 0.7, 2) * floor.shape[1::-1]
        paste(floor, rug, x, y)
    darken_edges(floor, ppm, sides="tblr", reach=0.5)
    (x0, y0), (x1, y1) = low, high
    corners = np.array([[x0, y1, 0], [x1, y1, 0], [x1, y0, 0], [x0, y0, 0.0]])
    b.quad(corners, b.atlas.add(floor), metres=float(max(high - low)))


def _rug(rng: np.random.Generator, height: int, width: int) -> Picture:
    out = tx.plain(height, width, tx.random_color(rng, value=(0.3, 0.7)))
    for _ in range(int(rng.integers(2, 5))):
        inset = int(rng.uniform(0.02, 0.3) * min(height, width))
        color = tx.random_color(rng, value=(0.2, 0.8))
        cv2.rectangle(out, (inset, inset), (width - inset, height - inset), color,
                      int(rng.integers(3, 14)))  # fmt: skip
    step = int(rng.integers(25, 60))
    color = tx.random_color(rng, value=(0.2, 0.9))
    for y in range(step, height - step // 2, step):
        for x in range(step, width - step // 2, step):
            cv2.circle(out, (x, y), step // 5, color, -1, cv2.LINE_AA)
    return tx.rough(rng, out, amount=0.1)


def _lamps(ceiling: Picture, rng: np.random.Generator) -> None:
    height, width = ceiling.shape[:2]
    for y in range(40, height - 30, 90):
        for x in range(40, width - 30, 110):
            cv2.rectangle(ceiling, (x, y), (x + 40, y + 14), (1.0, 1.0, 0.96), -1)


def _wall(
    rng: np.random.Generator, h: int, w: int, *, ppm: float, base: tx.Rgb, style: str
) -> Picture:
    if style == "bricks":
        color = (0.6 + 0.15 * rng.random(), 0.36 + 0.1 * rng.random(), 0.28)
        out = tx.bricks(rng, h, w, ppm=ppm, color=color)
    elif style == "panels":
        out = tx.bricks(
            rng, h, w, ppm=ppm, color=base, brick=(0.9, 0.9), shift=0, spread=0.05, joint=0.015
        )
    else:
        out = tx.rough(rng, tx.plain(h, w, base), amount=0.045)
    out = np.ascontiguousarray(out, dtype=np.float32)
    skirting = round(0.1 * ppm)
    out[-skirting:] = np.array(tx.random_color(rng, saturation=(0, 0.3), value=(0.3, 0.9)))
    out[-skirting - 2 : -skirting] *= 0.5
    return out


def _hang(
    wall: Picture, ppm: float, length: float, height: float, rng: np.random.Generator
) -> None:
    """Posters, windows, doors and switches along a wall."""
    x = rng.uniform(0.2, 0.8)
    while x < length - 0.9:
        kind = rng.choice(["poster", "posters", "window", "door"], p=[0.45, 0.25, 0.2, 0.1])
        if kind == "door":
            w, h, y = 0.9, 2.05, height - 2.05
            item = tx.door(rng, round(h * ppm), round(w * ppm))
        elif kind == "window":
            w, h = rng.uniform(1.0, 1.8), rng.uniform(1.0, 1.4)
            y = height - 0.95 - h
            item = tx.window(rng, round(h * ppm), round(w * ppm))
        else:
            w, h = rng.uniform(0.4, 1.0), rng.uniform(0.4, 1.0)
            y = height - rng.uniform(1.0, 1.5) - h
            item = tx.poster(rng, round(h * ppm), round(w * ppm))
            if kind == "posters":
                small = tx.poster(rng, round(0.45 * h * ppm), round(0.8 * w * ppm))
                paste(wall, small, x * ppm, (y + 1.06 * h) * ppm)
        shade = wall[
            round(y * ppm) : round((y + h) * ppm) + 5, round(x * ppm) : round((x + w) * ppm) + 5
        ]
        shade *= 0.75
        paste(wall, item, x * ppm, y * ppm)
        x += w + rng.uniform(0.15, 0.9)


def _furnish(b: Builder, start: Array, end: Array, *, depth: float, height: float) -> None:
    """Shelves, cabinets and boxes along the wall from `start` to `end` (2,), on its right."""
    rng = b.rng
    length = float(np.linalg.norm(end - start))
    along = (end - start) / length
    inward = np.array([along[1], -along[0]])
    x = rng.uniform(0.5, 1.2)
    while x < length - 1.6:
        wide, deep = rng.uniform(0.6, 1.5), min(rng.uniform(0.25, 0.6), depth)
        if deep > 0.15 and rng.random() < 0.75:
            kind = rng.choice(["shelf", "cabinet", "box"])
            tall = {"shelf": rng.uniform(1.2, 2.1), "cabinet": rng.uniform(0.6, 1.1)}.get(
                str(kind), rng.uniform(0.3, 0.6)
            )
            a = start + x * along + 0.01 * inward
            c = a + wide * along + deep * inward
            low, high = np.minimum(a, c), np.maximum(a, c)
            _furniture(b, np.array([*low, 0.0]), np.array([*high, min(tall, height)]), str(kind))
        x += wide + rng.uniform(0.1, 1.2)


def _furniture(b: Builder, low: Array, high: Array, kind: str) -> None:
    size, ppm = high - low, 260.0
    sides = []
    for k in range(4):
        wide = size[1] if k % 2 == 0 else size[0]
        h, w = max(8, round(size[2] * ppm)), max(8, round(wide * ppm))
        if kind == "shelf":
            picture = tx.shelf(b.rng, h, w, ppm=ppm)
        elif kind == "cabinet":
            picture = tx.cabinet(b.rng, h, w, ppm=ppm)
        else:
            color = tx.random_color(b.rng, saturation=(0.2, 0.7), value=(0.3, 0.8))
            picture = tx.rough(b.rng, tx.plain(h, w, color), amount=0.08)
            if b.rng.random() < 0.6:
                paste(picture, tx.poster(b.rng, h // 2 + 4, w // 2 + 4), w / 5, h / 5)
        darken_edges(picture, ppm, sides="b", reach=0.15)
        sides.append(b.atlas.add(picture))
    color = tx.random_color(b.rng, saturation=(0.1, 0.5), value=(0.3, 0.8))
    top = b.atlas.add(tx.rough(b.rng, tx.plain(64, 64, color), amount=0.05))
    b.box(low, high, sides, top)


# A street ----------------------------------------------------------------------------------------


def build_street(b: Builder, extent: Array) -> Array:
    """A street along x between two rows of houses. Returns its rectangle (2, 2)."""
    rng = b.rng
    low = extent[0] - np.array([rng.uniform(9, 14), rng.uniform(1.2, 4.0)])
    high = extent[1] + np.array([rng.uniform(9, 14), rng.uniform(1.2, 4.0)])
    (x0, y0), (x1, y1) = low, high

    def paint(h: int, w: int, ppm: float) -> Picture:
        color = tx.random_color(rng, saturation=(0, 0.12), value=(0.38, 0.62))
        slabs = tx.bricks(
            rng, h, w, ppm=ppm, color=color, brick=(rng.uniform(0.4, 0.9), rng.uniform(0.3, 0.6)),
            joint=0.012, shift=0.5, spread=0.09, mortar=(0.25, 0.24, 0.23),
        )  # fmt: skip
        road = tx.rough(rng, tx.plain(h, w, (0.36, 0.36, 0.37)), amount=0.14)
        kerb = int(rng.uniform(0.3, 0.7) * h)
        slabs[kerb:] = road[kerb:]
        slabs[kerb : kerb + max(2, round(0.12 * ppm))] = (0.72, 0.71, 0.69)
        line = min(h - 4, kerb + round(rng.uniform(1.0, 2.5) * ppm))
        for x in range(0, w, max(4, round(3 * ppm))):
            slabs[line : line + max(2, round(0.1 * ppm)), x : x + round(1.4 * ppm)] = 0.85
        _litter(slabs, ppm, rng)
        return slabs

    ground, ppm = painted(x1 - x0, y1 - y0, paint, ppm=150)
    darken_edges(ground, ppm, sides="tb", reach=0.5)
    b.quad(np.array([[x0, y1, 0], [x1, y1, 0], [x1, y0, 0], [x0, y0, 0.0]]), b.atlas.add(ground),
           metres=float(max(high - low)))  # fmt: skip
    for y, flip in ((y1, False), (y0, True)):
        _row_of_houses(b, x0, x1, y, flip=flip)
    for x, flip in ((x0, True), (x1, False)):
        _front(b, np.array([x, y0 if flip else y1]), np.array([x, y1 if flip else y0]))
    _street_furniture(b, extent, low, high)
    return np.stack([low, high])


def _litter(ground: Picture, ppm: float, rng: np.random.Generator) -> None:
    """Manholes, stains and leaves."""
    height, width = ground.shape[:2]
    for _ in range(int(width / ppm)):
        place = int(rng.integers(width)), int(rng.integers(height))
        size = rng.choice([0.02, 0.04, 0.3], p=[0.5, 0.35, 0.15])
        color = tx.random_color(rng, saturation=(0, 0.4), value=(0.12, 0.5))
        cv2.circle(ground, place, max(1, round(size * ppm)), color, -1, cv2.LINE_AA)


def _row_of_houses(b: Builder, x0: float, x1: float, y: float, *, flip: bool) -> None:
    x = x0
    while x < x1 - 0.5:
        wide = min(b.rng.uniform(5, 10), x1 - x)
        if x1 - x - wide < 3:
            wide = x1 - x
        a, c = np.array([x, y]), np.array([x + wide, y])
        _front(b, c if flip else a, a if flip else c)
        x += wide


def _front(b: Builder, start: Array, end: Array) -> None:
    """A house's front from left to right as it is seen from the street."""
    rng = b.rng
    length, height = float(np.linalg.norm(end - start)), float(rng.uniform(5.5, 9.0))
    color = tx.random_color(rng, saturation=(0.05, 0.5), value=(0.4, 0.85))
    kind = rng.choice(["bricks", "plaster"])

    def paint(h: int, w: int, ppm: float) -> Picture:
        if kind == "bricks":
            brown = (rng.uniform(0.45, 0.7), rng.uniform(0.28, 0.42), rng.uniform(0.2, 0.32))
            out = tx.bricks(rng, h, w, ppm=ppm, color=brown)
        else:
            out = tx.rough(rng, tx.plain(h, w, color), amount=0.07)
        return np.ascontiguousarray(out, dtype=np.float32)

    wall, ppm = painted(length, height, paint, ppm=130)
    bottom = wall.shape[0]
    wall[bottom - round(0.5 * ppm) :] *= np.array(tx.random_color(rng, value=(0.4, 0.8)))
    step, x = rng.uniform(1.7, 2.4), rng.uniform(0.4, 0.9)
    w, h = rng.uniform(0.9, 1.2), rng.uniform(1.3, 1.7)
    while x + w < length - 0.2:
        for storey in range(int(height // 2.9) + 1):
            top = bottom - (2.9 * storey + 0.9 + h) * ppm
            if top < 0.15 * ppm:
                continue
            item = tx.window(rng, round(h * ppm), round(w * ppm))
            if storey == 0 and rng.random() < 0.3:
                item = tx.door(rng, round(2.15 * ppm), round(w * ppm))
                top = bottom - 2.15 * ppm
            edge = max(2, round(0.08 * ppm))
            y0, x0 = round(top) - edge, round(x * ppm) - edge
            wall[y0 : y0 + item.shape[0] + 2 * edge, x0 : x0 + item.shape[1] + 2 * edge] = 0.8
            paste(wall, item, x * ppm, top)
        x += step
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform(0.4, 1.0, 2) * ppm
        item = tx.poster(rng, int(size[0]), int(size[1]))
        paste(wall, item, rng.uniform(0, 0.9) * wall.shape[1], bottom - rng.uniform(1.2, 2.2) * ppm)
    if rng.random() < 0.6:
        sign = tx.poster(rng, round(0.5 * ppm), round(min(3.0, 0.6 * length) * ppm))
        paste(wall, sign, rng.uniform(0.05, 0.3) * wall.shape[1], bottom - 3.0 * ppm)
    darken_edges(wall, ppm, sides="b", reach=0.3)
    quad = np.array([[*start, height], [*end, height], [*end, 0], [*start, 0]])
    b.quad(quad, b.atlas.add(wall), metres=max(length, height))


def _street_furniture(b: Builder, extent: Array, low: Array, high: Array) -> None:
    """Vans, planters, bins and posts beside the way."""
    rng = b.rng
    for y_near, y_far in ((extent[1, 1] + 0.6, high[1]), (low[1], extent[0, 1] - 0.6)):
        room = y_far - y_near
        x = low[0] + rng.uniform(0.5, 3)
        while x < high[0] - 3:
            kind = rng.choice(["post", "planter", "kiosk", "nothing"])
            sizes = {
                "post": (0.14, 0.14, 3.5),
                "planter": (1.1, 0.5, 0.7),
                "kiosk": (1.2, 0.9, 2.2),
            }
            if kind != "nothing":
                wide, deep, tall = np.array(sizes[str(kind)]) * rng.uniform(0.8, 1.2, 3)
                if deep < room - 0.1:
                    y = y_near + rng.uniform(0, room - deep)
                    corner = np.array([x, y, 0.0])
                    name = "cabinet" if kind == "kiosk" else "box"
                    _furniture(b, corner, corner + np.array([wide, deep, tall]), name)
            x += rng.uniform(2.0, 5.0)
