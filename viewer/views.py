"""Where the window looks from: beside the filming camera, along with a person, or as filmed."""

from __future__ import annotations

from typing import Literal

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array
from viewer.screenshot import FOV_DEG
from viewer.world import NUM_BODY_JOINTS, World, WorldPerson

View = Literal["free", "camera", "person", "video"]
VIEWS: tuple[View, ...] = ("free", "camera", "person", "video")
VIEW_WORDS: dict[View, str] = {
    "free": "free", "camera": "follow the camera", "person": "follow a person",
    "video": "as filmed, over the video",
}  # fmt: skip
_ROOM = 1.2
"""Radius of the view of a followed person, in those of a ball about them."""
_BEHIND, _ABOVE, _AHEAD = 2.2, 0.9, 3.0
"""Metres from which a camera is followed, and at which point before it."""


def behind_camera(world: World, frame: int) -> tuple[Array, Array]:
    """Eye and target (3,) a little behind and above the filming camera, looking along with it."""
    T = world.Ts_world_camera[frame]
    centre, ahead = T[:3, 3], T[:3, 2]
    return centre - _BEHIND * ahead + [0, 0, _ABOVE], centre + _AHEAD * ahead


def beside_person(world: World, track_id: int, frame: int) -> tuple[Array, Array] | None:
    """Eye and target (3,) of a view that holds a person; None while the person is absent."""
    row = _row(world, track_id, frame)
    if row is None:
        return None
    person = _person(world, track_id)
    return world.aside(
        person.motion.joints_world[row, :NUM_BODY_JOINTS], frame, fov_deg=FOV_DEG, margin=_ROOM
    )


def step_of(world: World, view: View, track_id: int | None, before: int, after: int) -> Array:
    """How far (3,) eye and target move along between two frames; zero in a free view."""
    if view == "camera":
        return world.Ts_world_camera[after, :3, 3] - world.Ts_world_camera[before, :3, 3]
    if view == "person" and track_id is not None:
        first, second = (_row(world, track_id, frame) for frame in (before, after))
        if first is not None and second is not None:
            pelvis = _person(world, track_id).motion.joints_world[:, 0]
            return (pelvis[second] - pelvis[first]) * [1, 1, 0]
    return np.zeros(3)


def letterboxed(intrinsics: Intrinsics, size: tuple[int, int]) -> Intrinsics:
    """The camera for a picture as large as fits in the middle of `size` (width, height) px."""
    k = intrinsics
    scale = min(size[0] / k.width, size[1] / k.height)
    return Intrinsics(
        fx=scale * k.fx, fy=scale * k.fy, width=size[0], height=size[1],
        cx=scale * k.cx + (size[0] - scale * k.width) / 2,
        cy=scale * k.cy + (size[1] - scale * k.height) / 2,
    )  # fmt: skip


def letterbox(
    picture: np.ndarray, size: tuple[int, int], around: tuple[int, int, int]
) -> np.ndarray:
    """A picture (h, w, 3) uint8 as large as fits in the middle of (height, width, 3)."""
    import cv2

    height, width = picture.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    small = max(1, round(scale * width)), max(1, round(scale * height))
    out = np.full((size[1], size[0], 3), around, np.uint8)
    x, y = (size[0] - small[0]) // 2, (size[1] - small[1]) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out[y : y + small[1], x : x + small[0]] = cv2.resize(picture, small, interpolation=how)
    return out


def frame_at(times: Array, seconds: float) -> int:
    """The frame (of increasing times) that is on show `seconds` after the first one."""
    return int(np.clip(np.searchsorted(times, times[0] + seconds + 1e-9) - 1, 0, len(times) - 1))


def _person(world: World, track_id: int) -> WorldPerson:
    return next(p for p in world.people if p.motion.track_id == track_id)


def _row(world: World, track_id: int, frame: int) -> int | None:
    people = [p for p in world.people if p.motion.track_id == track_id]
    return people[0].row(frame) if people else None
