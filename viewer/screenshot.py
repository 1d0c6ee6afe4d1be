"""A picture of a scene's world without a display, GL or any system package."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.palette import BACKGROUND
from recon.core.raster import Raster, Surface
from recon.core.scene import Scene
from recon.core.splat_view import SplatPicture, SplatStage
from recon.core.storage import write_atomic
from viewer.world import Segments, World, check_frame, look_at

GRID_COLOR = (205, 208, 214)
CAMERA_COLOR = (70, 74, 84)
FOV_DEG = 50.0
_SUPERSAMPLING = 2


def screenshot(
    scene: Scene,
    path: str | Path,
    frame: int,
    *,
    width: int = 1280,
    height: int = 800,
    splats: SplatStage | None = None,
) -> None:
    """Writes a PNG (or JPEG) of the world at a frame: people, camera, its path, points, floor.

    Args:
        frame: index of the video frame. splats: the place and avatars, which take the place of
            the sparse points and of their people's meshes.

    Raises:
        InputError: no such frame, or a file type that cannot be written.
        StaleSceneError: a stage has not run.
    """
    check_frame(scene, frame)
    world = World.from_scene(scene)
    path = Path(path)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"--screenshot: expected a name that ends in .png or .jpg, got {path}")
    image = render(world, frame, width=width, height=height, splats=splats)
    _, data = cv2.imencode(path.suffix.lower(), image[..., ::-1])
    write_atomic(path, lambda file: file.write(data.tobytes()))


def render(
    world: World,
    frame: int,
    *,
    width: int,
    height: int,
    T_world_eye: Array | None = None,
    splats: SplatStage | None = None,
) -> np.ndarray:
    """The world at a frame as (height, width, 3) uint8 RGB, seen from `T_world_eye` (4, 4).

    By default it is seen from behind and above the camera of that frame.
    """
    k = _SUPERSAMPLING
    if T_world_eye is None:
        T_world_eye = look_at(*world.overview(frame, fov_deg=FOV_DEG))
    T_eye_world = invert_transform(T_world_eye)
    focal = 0.5 * k * min(width, height) / np.tan(np.deg2rad(FOV_DEG) / 2)
    raster = Raster(
        Intrinsics(
            fx=focal, fy=focal, cx=k * width / 2, cy=k * height / 2, width=k * width,
            height=k * height,
        ),
        BACKGROUND,
    )  # fmt: skip

    def lines(segments: Segments, color: tuple[int, int, int], size: int) -> None:
        starts, ends = (transform_points(T_eye_world, s) for s in segments)
        raster.draw_lines(starts, ends, color, size=size)

    avatars = frozenset() if splats is None else splats.people
    present = [
        (p, row)
        for p in world.people
        if (row := p.row(frame)) is not None and p.motion.track_id not in avatars
    ]
    raster.draw_surfaces(
        [
            Surface(
                vertices_camera=transform_points(T_eye_world, p.vertices(row)),
                faces=p.rig.faces,
                color=p.color,
            )
            for p, row in present
        ]
    )
    lines(world.floor_grid(), GRID_COLOR, k)
    for person in world.people:
        lines(world.person_path(person), person.color, 2 * k)
    lines(world.camera_path(), CAMERA_COLOR, k)
    lines(world.frustum(frame), CAMERA_COLOR, k)
    if splats is None:
        points = transform_points(T_eye_world, world.points)
        raster.draw_points(points, world.point_colors, size=k + 1)
    image = cv2.resize(raster.color, (width, height), interpolation=cv2.INTER_AREA)
    if splats is not None:
        K = np.diag([1 / k, 1 / k, 1.0]) @ raster.intrinsics.matrix
        seen = splats.picture(frame, T_world_eye, K, (width, height))
        nearest = raster.inverse_depth.reshape(height, k, width, k).max(axis=(1, 3))
        image = _over(image, nearest, seen)
    text = f"{world.times[frame]:.2f} s   frame {frame}"
    place = (16, height - 16)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, CAMERA_COLOR, 1, cv2.LINE_AA)
    return image


def _over(image: np.ndarray, inverse_depth: np.ndarray, seen: SplatPicture) -> np.ndarray:
    """The image with Gaussians over it where they are nearer than what it shows."""
    with np.errstate(divide="ignore"):
        nearer = (seen.depth > 0) & (1 / seen.depth > inverse_depth)
    alpha = np.where(nearer, seen.alpha, 0)[..., None]
    added = np.where(nearer[..., None], seen.color, 0)
    return np.clip((1 - alpha) * image + added, 0, 255).astype(np.uint8)
