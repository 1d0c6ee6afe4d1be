"""What a body wears: a painted picture of it in its rest pose, front and back, and looser cloth.

The mesh has no texture coordinates of its own: points of the T-pose are seen from the front or
from behind. Clothes, hair and shoes stand off the skin by a centimetre or two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from body.models.base import RestBody
from recon.core.geometry import Array
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.raster import vertex_normals
from recon.core.rig import Rig
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS, CANONICAL_JOINTS
from recon.synth import textures as tx
from recon.synth.textures import Picture

SPAN = 2.4
"""Metres that a picture of the body covers: fingertip to fingertip of the tallest."""
PIXELS = 1024
_J = {name: i for i, name in enumerate(CANONICAL_JOINTS)}
_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}
_SKINS = ((0.93, 0.76, 0.66), (0.87, 0.67, 0.54), (0.76, 0.55, 0.41), (0.58, 0.39, 0.28),
          (0.40, 0.26, 0.19))  # fmt: skip
_HAIRS = ((0.09, 0.07, 0.06), (0.22, 0.14, 0.09), (0.42, 0.28, 0.15), (0.72, 0.56, 0.33),
          (0.55, 0.54, 0.53))  # fmt: skip
SKIN, HAIR, SHIRT, TROUSERS, SHOES = range(5)
_STANDS_OFF = {SKIN: 0.0, HAIR: 0.014, SHIRT: 0.012, TROUSERS: 0.012, SHOES: 0.010}


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """How somebody is dressed: lengths in metres of the rest pose, pelvis at the origin.

    Args:
        sleeve: |x| of the sleeves' end. waist, hem: y of the trousers' upper and lower end.
        neck: radius of the neckline. ankle: y of the shoes' upper end. long_hair: bool.
    """

    sleeve: float
    waist: float
    hem: float
    neck: float
    ankle: float
    long_hair: bool


@dataclass(frozen=True, kw_only=True)
class Dressed:
    """A body to draw: `rig` with its clothes' surface, uvs (F, 3, 2) and the picture of it."""

    rig: Rig
    uvs: Array
    picture: Picture


def dress(rig: Rig, rest: RestBody, rng: np.random.Generator) -> Dressed:
    """The body in random clothes, hair and skin."""
    still = BodyPoses(root=np.zeros((1, 3)), rotations=np.tile(np.eye(3), (1, NUM_JOINTS, 1, 1)))
    points = rig.vertices(still)[0].astype(float)
    normals = vertex_normals(points, rig.faces)
    outfit = _outfit(rest, rng)
    facing = normals[rig.faces].mean(axis=1)[:, 2] > 0
    u = np.clip(points[:, 0] / SPAN + 0.5, 0.001, 0.999)[rig.faces]
    v = np.clip(0.5 - points[:, 1] / SPAN, 0.001, 0.999)[rig.faces]
    uvs = np.stack([0.5 * u + np.where(facing, 0.0, 0.5)[:, None], v], axis=-1)
    region = regions(points[:, :2], normals[:, 2] > 0, rest, outfit)
    off = np.choose(region, [_STANDS_OFF[k] for k in range(5)])
    off = _spread(off, rig.faces, 3)
    wrinkles = np.sin(points @ rng.uniform(-25, 25, (3, 3)) + rng.uniform(0, 6, 3)).mean(axis=1)
    off = off * (1 + 0.35 * wrinkles)
    # Soles stay on the floor: shoes grow outwards and upwards.
    off = np.where((region == SHOES) & (normals[:, 1] < -0.3), 0.0, off)
    bind = rig.bind_vertices.astype(float)
    for part, times in ((SHIRT, 3), (TROUSERS, 3), (SHOES, 12)):  # cloth bridges what it covers
        smooth = np.stack([_spread(column, rig.faces, times) for column in bind.T], axis=-1)
        bind = np.where((region == part)[:, None], smooth, bind)
    grown = bind + off[:, None] * vertex_normals(bind, rig.faces)
    return Dressed(
        rig=replace(rig, bind_vertices=grown.astype(np.float32)),
        uvs=uvs,
        picture=_painted(rest, outfit, rng),
    )


def _spread(values: Array, faces: np.ndarray, times: int) -> Array:
    """Values (V,) averaged with their neighbours', so that cloth does not end in a step."""
    count = np.bincount(faces.ravel(), minlength=len(values)).astype(float)
    for _ in range(times):
        mean = values[faces].mean(axis=1)
        total = sum(np.bincount(faces[:, k], mean, minlength=len(values)) for k in range(3))
        values = total / np.maximum(count, 1)
    return values


def _outfit(rest: RestBody, rng: np.random.Generator) -> Outfit:
    shoulder, elbow, wrist, knee, ankle = (
        rest.joints[_J[f"left_{n}"]] for n in ("shoulder", "elbow", "wrist", "knee", "ankle")
    )
    sleeve = rng.choice([
        shoulder[0] + 0.02, 0.5 * (shoulder[0] + elbow[0]), elbow[0] - 0.03, wrist[0] - 0.03,
    ], p=[0.1, 0.35, 0.15, 0.4])  # fmt: skip
    hip = rest.joints[_J["left_hip"]][1]
    hem = rng.choice([ankle[1] + 0.06, knee[1] - 0.08, knee[1] + 0.12], p=[0.7, 0.15, 0.15])
    return Outfit(
        sleeve=float(sleeve), waist=float(hip + rng.uniform(-0.02, 0.07)), hem=float(hem),
        neck=float(rng.uniform(0.065, 0.1)), ankle=float(ankle[1] + rng.uniform(0.0, 0.04)),
        long_hair=bool(rng.random() < 0.4),
    )  # fmt: skip


def regions(xy: Array, front: np.ndarray, rest: RestBody, outfit: Outfit) -> np.ndarray:
    """What covers points (..., 2) of the rest pose: SKIN, HAIR, SHIRT, TROUSERS or SHOES."""
    x, y = np.abs(xy[..., 0]), xy[..., 1]
    eye, mouth = rest.keypoints[_K["left_eye"]], rest.keypoints[_K["mouth_left"]]
    ear, neck = rest.keypoints[_K["left_ear"]], rest.joints[_J["neck"]]
    out = np.full(x.shape, SKIN)
    neckline = neck[1] - np.where(front, 0.02, -0.01)
    open_ = np.hypot(x, (y - neckline) * np.where(y < neckline, 1.1, 0.5)) < outfit.neck
    shirt = (y > outfit.waist) & (x < outfit.sleeve) & (y < neck[1] + 0.06) & ~open_
    out[shirt] = SHIRT
    out[(y <= outfit.waist) & (y > outfit.hem)] = TROUSERS
    out[y < outfit.ankle] = SHOES
    head = y > mouth[1] - 0.05
    face = front & (y < eye[1] + 0.055 + 0.15 * x) & (x < ear[0] - 0.008)
    nape = mouth[1] - (0.14 if outfit.long_hair else 0.015)
    sides = ear[1] - (0.12 if outfit.long_hair else 0.01)
    hair = np.where(front, head & ~face & (y > sides), (y > nape) & (x < ear[0] + 0.03))
    out[hair & (y > neck[1] - 0.06) & (x < 0.15)] = HAIR
    return out


# The picture -------------------------------------------------------------------------------------


def _painted(rest: RestBody, outfit: Outfit, rng: np.random.Generator) -> Picture:
    """Front and back side by side, (PIXELS, 2 PIXELS, 3)."""
    tone = int(rng.integers(len(_SKINS)))
    skin = np.array(_SKINS[tone]) * rng.uniform(0.95, 1.05)
    hair = np.array(_HAIRS[rng.integers(len(_HAIRS) if tone < 2 else 2)])
    cloths = {SHIRT: _cloth(rng), TROUSERS: _cloth(rng, calm=True), SHOES: _shoes(rng)}
    ys, xs = np.mgrid[:PIXELS, :PIXELS]
    xy = np.stack([(xs + 0.5) / PIXELS - 0.5, 0.5 - (ys + 0.5) / PIXELS], axis=-1) * SPAN
    folds = 1 + 0.14 * tx.noise(rng, PIXELS, PIXELS, slope=1.0, stretch=1.6)[..., None]
    sides = []
    for front in (True, False):
        region = regions(xy, np.full(xs.shape, front), rest, outfit)
        out = np.empty((PIXELS, PIXELS, 3), np.float32)
        stubble = 1 + 0.03 * tx.noise(rng, PIXELS, PIXELS, slope=0.5)[..., None]
        out[:] = skin * stubble
        strands = 1 + 0.12 * tx.noise(rng, PIXELS, PIXELS, slope=0.9, stretch=0.15)[..., None]
        out[region == HAIR] = (hair * np.swapaxes(strands, 0, 1))[region == HAIR]
        for part, cloth in cloths.items():
            out[region == part] = (cloth * folds)[region == part]
        _seams(out, region)
        if front:
            _face(out, rest, skin, hair, rng)
            if rng.random() < 0.5:
                _print(out, rest, rng)
        sides.append(out)
    return np.concatenate(sides, axis=1)


def _cloth(rng: np.random.Generator, *, calm: bool = False) -> Picture:
    """A fabric (PIXELS, PIXELS, 3): plain, striped, checked or flowered."""
    a = np.array(tx.random_color(rng, saturation=(0.1, 0.85), value=(0.12, 0.9)))
    b = np.array(tx.random_color(rng, saturation=(0.0, 0.8), value=(0.1, 0.95)))
    metres = np.arange(PIXELS, dtype=np.float32) * SPAN / PIXELS
    weights = [0.85, 0.08, 0.07, 0.0] if calm else [0.4, 0.25, 0.2, 0.15]
    kind = rng.choice(["plain", "stripes", "checks", "blots"], p=weights)
    if kind == "plain":
        return tx.rough(rng, tx.plain(PIXELS, PIXELS, tuple(a)), amount=0.04)
    width = rng.uniform(0.02, 0.07)
    band = (np.sin(2 * np.pi * metres / width) > rng.uniform(-0.3, 0.6)).astype(np.float32)
    if kind == "stripes":
        t = np.tile(band[:, None], (1, PIXELS))
    elif kind == "checks":
        t = 0.5 * (band[:, None] + band[None])
    else:
        t = (tx.noise(rng, PIXELS, PIXELS, slope=1.1) > 0.5).astype(np.float32)
        t = cv2.GaussianBlur(t, (3, 3), 0)
    return ((1 - t[..., None]) * a + t[..., None] * b).astype(np.float32)


def _shoes(rng: np.random.Generator) -> Picture:
    """Leather or canvas (PIXELS, PIXELS, 3), mostly dark or white."""
    color = np.array(tx.random_color(rng, saturation=(0.0, 0.5), value=(0.08, 0.35)))
    if rng.random() < 0.3:
        color = np.array([0.86, 0.86, 0.84])
    return tx.rough(rng, tx.plain(PIXELS, PIXELS, tuple(color)), amount=0.08)


def _seams(picture: Picture, region: np.ndarray) -> None:
    """Where one piece ends and another begins there is a shadow."""
    edge = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    dark = cv2.GaussianBlur((edge > 0).astype(np.float32), (7, 7), 0)
    picture *= 1 - 0.45 * dark[..., None]


def _pixel(point: Array) -> tuple[int, int]:
    return (
        round((point[0] / SPAN + 0.5) * PIXELS * 16 - 8),
        round((0.5 - point[1] / SPAN) * PIXELS * 16 - 8),
    )


def _face(
    picture: Picture, rest: RestBody, skin: Array, hair: Array, rng: np.random.Generator
) -> None:
    """Eyes, brows, nose and mouth, where the body's keypoints are."""
    px = PIXELS / SPAN
    at = {name: rest.keypoints[_K[name]] for name in ("left_eye", "right_eye", "nose")}
    lips = 0.5 * (rest.keypoints[_K["mouth_left"]] + rest.keypoints[_K["mouth_right"]])

    def ellipse(centre: Array, size: tuple[float, float], color: Array, angle: float = 0) -> None:
        axes = round(size[0] * px * 16), round(size[1] * px * 16)
        cv2.ellipse(
            picture, _pixel(centre), axes, angle, 0, 360, color.tolist(), -1, cv2.LINE_AA, 4
        )

    for sign, name in ((1, "left_eye"), (-1, "right_eye")):
        eye = at[name][:2]
        ellipse(eye, (0.020, 0.012), 0.72 * skin)
        ellipse(eye, (0.014, 0.006), np.array([0.93, 0.92, 0.9]))
        ellipse(eye, (0.006, 0.006), np.array([0.16, 0.11, 0.08]))
        ellipse(eye + np.array([0, 0.008]), (0.015, 0.002), 0.35 * skin)
        ellipse(
            eye + np.array([0.003 * sign, 0.021]),
            (0.018, 0.0035),
            0.6 * hair + 0.1 * skin,
            5 * sign,
        )
    nose = at["nose"][:2]
    for sign in (1, -1):
        ellipse(nose + np.array([0.009 * sign, -0.006]), (0.004, 0.0025), 0.4 * skin)
        ellipse(nose + np.array([0.014 * sign, 0.004]), (0.003, 0.008), 0.82 * skin)
    ellipse(lips[:2] + np.array([0, 0.004]), (0.023, 0.005), skin * [0.78, 0.55, 0.55])
    ellipse(lips[:2] - [0, 0.004], (0.020, 0.006), skin * [0.85, 0.6, 0.6])
    ellipse(lips[:2], (0.022, 0.0013), 0.3 * skin)
    if rng.random() < 0.25:
        beard = picture[:, :PIXELS]
        row = round((0.5 - (lips[1] + 0.012) / SPAN) * PIXELS)
        half, tall = round(0.05 * px), round(0.06 * px)
        middle = PIXELS // 2
        part = beard[row : row + tall, middle - half : middle + half]
        part[:] = 0.45 * part + 0.55 * hair
        ellipse(lips[:2], (0.021, 0.007), skin * [0.82, 0.58, 0.58])


def _print(picture: Picture, rest: RestBody, rng: np.random.Generator) -> None:
    """A motif on the chest."""
    chest = 0.5 * (rest.joints[_J["spine3"]] + rest.joints[_J["neck"]])
    size = round(rng.uniform(0.1, 0.2) * PIXELS / SPAN)
    motif = tx.poster(rng, size, size)
    x, y = _pixel(chest)
    x0, y0 = x // 16 - size // 2, y // 16 - size // 4
    picture[y0 : y0 + size, x0 : x0 + size] = motif
