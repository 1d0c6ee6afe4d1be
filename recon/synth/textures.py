"""Procedural textures: pictures (H, W, 3) float32, sRGB 0-1, with the statistics of surfaces.

Colours vary as 1 / f over all scales, edges are where parts meet, and nothing is quite even.
"""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

Picture = np.ndarray
Rgb = tuple[float, float, float]


def random_color(
    rng: np.random.Generator, *, saturation: tuple[float, float] = (0.1, 0.6),
    value: tuple[float, float] = (0.25, 0.9),
) -> Rgb:  # fmt: skip
    """A colour as things have it: mostly browns and reds, often blues, seldom the rest."""
    hue = rng.choice([rng.normal(0.07, 0.04), rng.normal(0.6, 0.05), rng.random()],
                     p=[0.5, 0.28, 0.22])  # fmt: skip
    return colorsys.hsv_to_rgb(hue % 1.0, rng.uniform(*saturation), rng.uniform(*value))


def noise(
    rng: np.random.Generator, height: int, width: int, *, slope: float = 1.0, stretch: float = 1.0
) -> np.ndarray:
    """Repeating noise (H, W), mean 0, deviation 1, whose amplitude falls as 1 / f^slope.

    Args:
        stretch: how much longer structures are along the rows' direction than across.
    """
    fy = np.fft.fftfreq(height)[:, None] * stretch * height
    fx = np.fft.rfftfreq(width)[None] * width * height / width
    size = np.hypot(fx, fy)
    size[0, 0] = np.inf
    phase = np.exp(2j * np.pi * rng.random(size.shape))
    out = np.fft.irfft2(phase * np.maximum(size, 1.0) ** -slope, s=(height, width))
    return ((out - out.mean()) / max(out.std(), 1e-12)).astype(np.float32)


def plain(height: int, width: int, color: Rgb) -> Picture:
    """One colour."""
    return np.tile(np.array(color, np.float32), (height, width, 1))


def rough(rng: np.random.Generator, picture: Picture, *, amount: float = 0.05) -> Picture:
    """The picture with stains and grain."""
    height, width = picture.shape[:2]
    # Stains are smooth and grain repeats unseen: neither needs a transform of the whole.
    coarse = noise(rng, max(8, height // 4), max(8, width // 4), slope=1.1)
    stains = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    fine = noise(rng, 256, 256, slope=0.3)
    stains += 0.4 * np.tile(fine, (height // 256 + 1, width // 256 + 1))[:height, :width]
    return picture * (1 + np.float32(amount) * stains)[..., None]


def bricks(
    rng: np.random.Generator, height: int, width: int, *, ppm: float, color: Rgb,
    brick: tuple[float, float] = (0.25, 0.08), joint: float = 0.012, shift: float = 0.5,
    spread: float = 0.13, mortar: Rgb = (0.66, 0.63, 0.58),
) -> Picture:  # fmt: skip
    """Courses of bricks, tiles (no shift) or planks (long ones), each of a shade of its own.

    Args:
        ppm: pixels per metre. brick: length and height, metres. joint: metres.
        shift: of every other course, in bricks. spread: of the shades.
    """
    ys, xs = np.arange(height) / ppm, np.arange(width) / ppm
    row = np.floor(ys / brick[1]).astype(int)
    start = (row % 2) * shift * brick[0] if shift != 1 else rng.random(row.max() + 1)[row] * 9
    column = np.floor((xs[None] + start[:, None]) / brick[0]).astype(int)
    tints = rng.standard_normal((97, 89, 1)) + 0.1 * rng.standard_normal((97, 89, 3))
    faces = ((1 + spread * tints) * color).astype(np.float32)[row[:, None] % 97, column % 89]
    dy = np.abs(ys / brick[1] % 1 - 0.5)[:, None]
    dx = np.abs((xs[None] + start[:, None]) / brick[0] % 1 - 0.5)
    inside = np.minimum((0.5 - dy) * brick[1], (0.5 - dx) * brick[0]) - joint / 2
    blend = np.clip(inside * ppm + 0.5, 0, 1).astype(np.float32)[..., None]
    between = np.array(mortar, np.float32)
    out = between + blend * (faces - between)
    return rough(rng, out, amount=0.06)


def planks(rng: np.random.Generator, height: int, width: int, *, ppm: float, color: Rgb) -> Picture:
    """A wooden floor: grain along the boards."""
    out = bricks(
        rng, height, width, ppm=ppm, color=color, brick=(1.4, 0.13), joint=0.004, shift=1,
        spread=0.10, mortar=(0.12, 0.09, 0.07),
    )  # fmt: skip
    return out * (1 + 0.09 * noise(rng, height, width, slope=0.8, stretch=0.08))[..., None]


def poster(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A picture on a wall: shapes, blots and lines of letters in a frame."""
    a, b = np.array(random_color(rng)), np.array(random_color(rng, value=(0.1, 0.95)))
    t = np.clip(0.5 + 0.35 * noise(rng, height, width, slope=1.6), 0, 1)[..., None]
    out = np.ascontiguousarray((1 - t) * a + t * b, dtype=np.float32)
    for _ in range(rng.integers(4, 10)):
        color = random_color(rng, value=(0.05, 1.0))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        size = int(rng.uniform(0.05, 0.3) * min(height, width)) + 1
        if rng.random() < 0.5:
            cv2.circle(out, (x, y), size, color, -1 if rng.random() < 0.7 else 2, cv2.LINE_AA)
        else:
            end = x + int(rng.integers(-2 * size, 2 * size)), y + size
            cv2.rectangle(out, (x, y), end, color, -1)
    for _ in range(rng.integers(1, 5)):
        letters = "".join(rng.choice(list("ABEHKMNORSTUXZ2358 "), rng.integers(4, 10)))
        place = int(rng.uniform(0.03, 0.3) * width), int(rng.uniform(0.1, 0.95) * height)
        scale = rng.uniform(0.002, 0.006) * width
        ink = np.zeros((height, width), np.uint8)
        cv2.putText(ink, letters, place, 0, scale, 255, max(1, round(2 * scale)), cv2.LINE_AA)
        out += (ink / np.float32(255))[..., None] * (rng.choice([0.06, 0.95]) - out)
    edge = max(2, round(0.03 * min(height, width)))
    cv2.rectangle(out, (0, 0), (width - 1, height - 1), random_color(rng, value=(0.05, 0.5)), edge)
    return out


def shelf(rng: np.random.Generator, height: int, width: int, *, ppm: float) -> Picture:
    """A shelf with books and boxes."""
    wood = random_color(rng, saturation=(0.2, 0.6), value=(0.25, 0.7))
    out = plain(height, width, tuple(0.35 * c for c in wood))  # type: ignore[arg-type]
    board = max(2, round(0.022 * ppm))
    top = board
    while top < height - board:
        room = min(int(rng.uniform(0.26, 0.36) * ppm), height - board - top)
        x = board
        while x < width - board:
            thick = max(2, int(rng.uniform(0.015, 0.06) * ppm))
            tall = int(rng.uniform(0.55, 0.95) * room)
            if rng.random() < 0.93:
                book = np.array(random_color(rng, saturation=(0.1, 0.8), value=(0.15, 0.95)))
                right, y0 = min(x + thick, width - board), top + room - tall
                out[y0 : top + room, x:right] = book * rng.uniform(0.8, 1.1)
                out[y0 : top + room, right - 1 : right] *= 0.6
                if thick > 4:
                    band = y0 + int(rng.uniform(0.1, 0.5) * tall)
                    out[band : band + max(1, tall // 12), x:right] = random_color(rng)
            x += thick
        out[top + room : top + room + board] = wood
        top += room + board
    out[:, :board] = out[:, -board:] = wood
    out[:board] = wood
    return out


def cabinet(rng: np.random.Generator, height: int, width: int, *, ppm: float) -> Picture:
    """Doors and drawers with handles."""
    wood = random_color(rng, saturation=(0.0, 0.5), value=(0.35, 0.95))
    out = plain(height, width, wood)
    columns, rows = max(1, round(width / ppm / 0.5)), int(rng.integers(1, 4))
    for i in range(columns):
        for j in range(rows):
            x0, x1 = i * width // columns, (i + 1) * width // columns - 1
            y0, y1 = j * height // rows, (j + 1) * height // rows - 1
            out[y0:y1, x0:x1] *= rng.uniform(0.93, 1.05)
            cv2.rectangle(out, (x0, y0), (x1, y1), (0.1, 0.09, 0.08), 2)
            middle, y = (x0 + x1) // 2, y0 + max(4, (y1 - y0) // 8)
            cv2.line(out, (middle - 8, y), (middle + 8, y), (0.15, 0.15, 0.15), 3)
    return rough(rng, out, amount=0.05)


def window(rng: np.random.Generator, height: int, width: int) -> Picture:
    """Panes that mirror a blurred sky, in a frame."""
    t = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    out = (1 - t) * [0.55, 0.66, 0.78] + t * [0.22, 0.25, 0.28]
    cloud = np.clip(0.5 + 0.3 * noise(rng, height, width, slope=1.7), 0, 1)[..., None]
    out = np.ascontiguousarray(out * (0.55 + 0.7 * cloud), dtype=np.float32)
    if rng.random() < 0.5:  # a curtain
        share = int(rng.uniform(0.15, 0.4) * width)
        folds = 0.8 + 0.15 * np.sin(np.arange(share) / max(share, 1) * 40)
        out[:, :share] = folds[:, None] * np.array(random_color(rng, value=(0.5, 0.9)))
    frame = (0.92,) * 3 if rng.random() < 0.6 else random_color(rng, value=(0.1, 0.4))
    thick = max(3, width // 18)
    for x in (0, width // 2, width - 1):
        cv2.line(out, (x, 0), (x, height), frame, thick)
    for y in (0, height // 3, height - 1):
        cv2.line(out, (0, y), (width, y), frame, thick)
    return out


def door(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A door with panels and a handle."""
    out = plain(height, width, random_color(rng, saturation=(0.1, 0.7), value=(0.2, 0.7)))
    for y0, y1 in ((0.08, 0.42), (0.5, 0.92)):
        corners = (int(0.15 * width), int(y0 * height)), (int(0.85 * width), int(y1 * height))
        cv2.rectangle(out, *corners, (0.1, 0.08, 0.07), 3)
    cv2.circle(
        out, (int(0.88 * width), int(0.5 * height)), max(3, width // 25), (0.8, 0.7, 0.4), -1
    )
    cv2.rectangle(out, (0, 0), (width - 1, height - 1), (0.85, 0.83, 0.8), max(3, width // 20))
    return rough(rng, out, amount=0.04)


def sky(rng: np.random.Generator, *, height: int = 512) -> Picture:
    """Everything beyond, by direction: clouds above a hazy horizon, ground colour below."""
    width = 2 * height
    up = np.sin(np.pi * (0.5 - (np.arange(height) + 0.5) / height))[:, None, None]
    blue = np.array([0.35, 0.55, 0.85]) * rng.uniform(0.8, 1.1)
    out = np.where(up > 0, blue + (np.array([0.85, 0.88, 0.92]) - blue) * np.exp(-4 * up), 0.42)
    cover = noise(rng, height, width, slope=1.5, stretch=0.4) + rng.uniform(-0.6, 0.8)
    cloud = np.clip(1.2 * cover, 0, 1)[..., None] * np.clip(6 * up, 0, 1)
    out = out + (np.array([0.93, 0.94, 0.96]) - out) * cloud
    return out.astype(np.float32)


def grain(rng: np.random.Generator, *, size: int = 256, amount: float = 0.08) -> Picture:
    """A gain around one, to be multiplied onto surfaces that come close."""
    fine = 0.7 * noise(rng, size, size, slope=0.6) + 0.5 * noise(rng, size, size, slope=0.0)
    return np.repeat((1 + amount * fine)[..., None], 3, axis=-1).clip(0.4, 1.6)


def weave(*, size: int = 64) -> Picture:
    """A gain around one like threads of cloth."""
    x = 2 * np.pi * np.arange(size) / size
    threads = np.sin(8 * x)[:, None] * np.sin(8 * x)[None] + 0.5 * np.sin(16 * x)[None]
    return np.repeat((1 + 0.06 * threads)[..., None], 3, axis=-1).astype(np.float32)


# Textures in memory ------------------------------------------------------------------------------

NUM_LEVELS = 9


class Atlas:
    """All textures of a scene with their mip levels, linear light, in one array.

    `texels` (N, 3) float32; `table` (textures, NUM_LEVELS, 3) int64: start, width, height.
    """

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._length = 0

    def add(self, picture: Picture, *, linear: bool = False) -> int:
        """The number of a new texture; `linear` where values are gains and not colours."""
        level = np.asarray(picture, np.float32)
        if not linear:
            level = np.clip(level, 0.005, 1) ** np.float32(2.2)
        rows = np.empty((NUM_LEVELS, 3), np.int64)
        for k in range(NUM_LEVELS):
            height, width = level.shape[:2]
            rows[k] = self._length, width, height
            self._parts.append(level.reshape(-1, 3))
            self._length += height * width
            if k + 1 < NUM_LEVELS:
                size = max(1, width // 2), max(1, height // 2)
                level = cv2.resize(level, size, interpolation=cv2.INTER_AREA)
        self._rows.append(rows)
        return len(self._rows) - 1

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """`texels` and `table`."""
        texels = np.concatenate(self._parts)
        return np.ascontiguousarray(texels, np.float32), np.stack(self._rows)
