"""Clips of a textured room with known cameras, for the camera stage's tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, make_transform, rotvec_to_matrix
from recon.core.video import Frame, VideoInfo
from recon.synth.cameras import look_at
from tests.synthetic_images import background

INTRINSICS = Intrinsics.from_fov(320, 240, fov_deg=65, source="user")
PERSON_WIDTH = 90


class RenderedClip:
    """A `FrameSource` of the empty room, with noise and, if asked, a "person" walking across."""

    def __init__(self, Ts_world_camera: Array, *, person: bool = False, noise: float = 3.0) -> None:
        self.Ts_world_camera = Ts_world_camera
        self.person, self.noise = person, noise
        self.info = VideoInfo(
            path="rendered", width=INTRINSICS.width, height=INTRINSICS.height,
            times=np.arange(len(Ts_world_camera)) / 30, focal_px=None, sha256="rendered",
        )  # fmt: skip

    def __iter__(self) -> Iterator[Frame]:
        rng = np.random.default_rng(0)
        cloth = rng.integers(0, 255, (20, PERSON_WIDTH // 9, 3)).repeat(12, 0).repeat(9, 1)
        for i, T_world_camera in enumerate(self.Ts_world_camera):
            image = background(INTRINSICS, T_world_camera).astype(float)
            if self.person:
                left = self.left(i)
                image[:, left : left + PERSON_WIDTH] = cloth
            image += rng.normal(0, self.noise, image.shape)
            yield Frame(index=i, time=i / 30, image=np.clip(image, 0, 255).round().astype(np.uint8))

    def left(self, i: int) -> int:
        return 4 + 3 * i

    def masks(self, frame_idx: int, height: int, width: int) -> np.ndarray | None:
        if not self.person:
            return None
        mask = np.zeros((height, width), bool)
        left = self.left(frame_idx)
        mask[:, max(left - 5, 0) : left + PERSON_WIDTH + 5] = True
        return mask


def standing(num_frames: int) -> Array:
    """A camera on a tripod at eye height, in front of the wall."""
    pose = look_at(np.array([0.0, 0.0, 1.7]), np.array([0.3, 6.0, 0.9]))
    return np.repeat(pose[None], num_frames, axis=0)


def panning(num_frames: int, *, degrees: float) -> Array:
    """The same camera turning to the right about its centre, with a little nodding."""
    phase = np.linspace(0, 1, num_frames)
    turns = np.stack([0.03 * np.sin(6 * phase), np.radians(degrees) * phase, 0 * phase], axis=-1)
    poses = standing(num_frames)
    return poses @ make_transform(rotvec_to_matrix(turns), np.zeros(3))


def travelling(num_frames: int, *, metres: float) -> Array:
    """A camera carried sideways and forward, turning a little."""
    phase = np.linspace(0, 1, num_frames)
    poses = panning(num_frames, degrees=8).copy()
    poses[:, :3, 3] += metres * np.stack([phase, 0.5 * phase**2, 0.05 * np.sin(9 * phase)], -1)
    return poses
