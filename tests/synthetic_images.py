"""Pictures of the synthetic world: a textured floor and wall, bodies drawn back to front."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, invert_transform, transform_points

WALL_Y = 8.0
SKIN = np.array([[225, 160, 130], [130, 170, 225], [150, 210, 140], [215, 190, 110]], float)

DrawnPerson = tuple[np.ndarray, np.ndarray, np.ndarray]
"""faces (F, 3), frame_idx (N,), vertices_world (N, V, 3)."""


def _texture(u: Array, v: Array, cells: float) -> Array:
    """Grey values (...) in [0, 1], random for every cell of the plane."""
    table = np.random.default_rng(1).random((64, 64))
    return table[np.floor(u * cells).astype(int) % 64, np.floor(v * cells).astype(int) % 64]


def background(intrinsics: Intrinsics, T_world_camera: Array) -> np.ndarray:
    """The empty world, (H, W, 3) uint8 RGB: floor z = 0, wall y = 8, sky elsewhere."""
    ys, xs = np.mgrid[: intrinsics.height, : intrinsics.width] + 0.5
    rays = intrinsics.unproject(np.stack([xs, ys], axis=-1), np.ones_like(xs))
    rays = rays @ T_world_camera[:3, :3].T
    eye = T_world_camera[:3, 3]
    with np.errstate(divide="ignore"):
        to_floor = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
        to_wall = np.where(rays[..., 1] > 0, (WALL_Y - eye[1]) / rays[..., 1], np.inf)
    image = np.full((*xs.shape, 3), [200.0, 215.0, 230.0])
    for depth, other, axes, tint in (
        (to_floor, to_wall, (0, 1), (0.8, 0.75, 0.65)),
        (to_wall, to_floor, (0, 2), (0.55, 0.65, 0.6)),
    ):
        hit = np.isfinite(depth) & (depth <= other)
        points = eye + rays[hit] * depth[hit][:, None]
        u, v = points[:, axes[0]], points[:, axes[1]]
        shade = 90 + 90 * _texture(u, v, 2.0) + 60 * _texture(v, u, 7.0)
        image[hit] = shade[:, None] * tint
    return np.clip(image, 0, 255).astype(np.uint8)


def draw_body(
    image: np.ndarray, vertices_camera: Array, faces: np.ndarray, *, intrinsics: Intrinsics,
    color: Array,
) -> None:  # fmt: skip
    """Draws shaded triangles on `image`, the farthest first."""
    px = np.round((intrinsics.project(vertices_camera) - 0.5) * 16).astype(np.int32)
    corners = vertices_camera[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    facing = -np.sum(normals * corners.mean(axis=1), axis=1) > 0
    shade = 0.5 + 0.5 * np.clip(-normals[:, 1] - 0.3 * normals[:, 2], 0, 1)
    for f in np.argsort(-corners[:, :, 2].mean(axis=1)):
        if facing[f]:
            cv2.fillConvexPoly(image, px[faces[f]], (color * shade[f]).tolist(), shift=4)


def render_frames(
    Ts_world_camera: Array, intrinsics: Intrinsics, people: list[DrawnPerson]
) -> list[np.ndarray]:
    """One (H, W, 3) uint8 RGB picture per camera."""
    frames = []
    for index, T_world_camera in enumerate(Ts_world_camera):
        image = background(intrinsics, T_world_camera)
        T_camera_world = invert_transform(T_world_camera)
        for k, (faces, frame_idx, vertices) in enumerate(people):
            for row in np.flatnonzero(frame_idx == index):
                points = transform_points(T_camera_world, vertices[row])
                draw_body(image, points, faces, intrinsics=intrinsics, color=SKIN[k % len(SKIN)])
        frames.append(image)
    return frames


def write_video(
    path: Path, times: Array, Ts_world_camera: Array, intrinsics: Intrinsics,
    people: list[DrawnPerson],
) -> None:  # fmt: skip
    """Writes the world as an H.264 mp4 with exactly these presentation times (1/90000 s)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = intrinsics.width, intrinsics.height, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 90000)
        frames = render_frames(Ts_world_camera, intrinsics, people)
        for time, image in zip(times, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time * 90000), Fraction(1, 90000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
