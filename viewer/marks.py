"""Lines and points that say more than the bodies: contacts, uncertainty, axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.geometry import Array
from viewer.world import Segments, World, WorldPerson

STANDING, MOVING = (0, 150, 60), (170, 173, 180)
_CONTACT = 0.5
_STEEP = 0.9
AXIS_COLORS = ((214, 60, 50), (40, 160, 70), (50, 100, 220))


@dataclass(frozen=True, kw_only=True)
class Dots:
    """Points (P, 3) metres and colours (P, 3) RGB 0-255."""

    points: Array
    colors: np.ndarray


def contacts(person: WorldPerson, row: int) -> Dots:
    """The sole points, green where they stand still and grey where they move."""
    standing = person.motion.contacts[row] >= _CONTACT
    return Dots(
        points=person.motion.feet_world[row] + [0, 0, 0.01],
        colors=np.where(standing[:, None], STANDING, MOVING),
    )


def uncertainty(world: World, person: WorldPerson, row: int, std_camera: Array) -> Segments:
    """A cross at every body joint, one standard deviation long either way along each camera axis.

    Args:
        std_camera: (22, 3) metres, axes of the camera of that frame.
    """
    R = world.Ts_world_camera[int(person.motion.frame_idx[row]), :3, :3]
    joints = person.motion.joints_world[row, : len(std_camera), None]
    arms = std_camera[:, :, None] * R.T[None]
    return (joints - arms).reshape(-1, 3), (joints + arms).reshape(-1, 3)


def rods(segments: Segments, radius: float) -> tuple[Array, np.ndarray]:
    """Square rods about segments (S, 3): vertices (8 S, 3) and faces (8 S, 3), without ends."""
    starts, ends = segments
    along = ends - starts
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    level = np.where(np.abs(along[:, 2:]) < _STEEP, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    side = np.cross(along, level)
    side *= radius / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    up = np.cross(side, along)
    corners = np.stack([side, up, -side, -up], axis=1)
    vertices = np.concatenate([starts[:, None] + corners, ends[:, None] + corners], axis=1)
    k = np.arange(4)
    after = (k + 1) % 4
    one = np.concatenate([np.stack([k, k + 4, after], 1), np.stack([after, k + 4, after + 4], 1)])
    faces = (8 * np.arange(len(starts)))[:, None, None] + one
    return vertices.reshape(-1, 3), faces.reshape(-1, 3)


def axes(T_world_frame: Array, length: float) -> tuple[Segments, ...]:
    """Three segments of `length` metres from a frame's origin along its axes x, y, z."""
    origin = T_world_frame[:3, 3]
    return tuple((origin[None], (origin + length * T_world_frame[:3, k])[None]) for k in range(3))
