"""Lines and points that say more than the bodies: contacts, uncertainty, axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.geometry import Array
from viewer.world import Segments, World, WorldPerson

STANDING, MOVING = (0, 150, 60), (170, 173, 180)
_CONTACT = 0.5
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


def axes(T_world_frame: Array, length: float) -> tuple[Segments, ...]:
    """Three segments of `length` metres from a frame's origin along its axes x, y, z."""
    origin = T_world_frame[:3, 3]
    return tuple((origin[None], (origin + length * T_world_frame[:3, k])[None]) for k in range(3))
