"""Pictures of one person with known cameras and poses: what an avatar is trained on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from recon.core.checks import check_array
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.people import BodyPoses
from splatting.gaussians import Cameras

MIN_PHOTOS = 4


@dataclass(frozen=True, kw_only=True)
class AvatarPhotos:
    """Crops of one size around a person, in increasing time.

    Args:
        images: (T, H, W, 3) uint8 RGB. masks: (T, H, W) uint8, 255 where the person is.
        ignored: (T, H, W) bool, pixels that tell nothing: whatever stands in front; None if none.
        Ks: (T, 3, 3) px, of the crops. Ts_world_camera: (T, 4, 4) metres, OpenCV camera frame.
        poses: of the person, in the world. times: (T,) seconds. frame_idx: (T,) int.
    """

    images: np.ndarray
    masks: np.ndarray
    Ks: Array
    Ts_world_camera: Array
    poses: BodyPoses
    times: Array
    frame_idx: np.ndarray
    ignored: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or len(self.images) == 0:
            raise InputError(f"images: expected (T, H, W, 3) pictures, got {self.images.shape}")
        count, height, width = self.images.shape[:3]
        check_array("images", self.images, (count, height, width, 3), np.uint8)
        check_array("masks", self.masks, (count, height, width), np.uint8)
        check_array("Ks", self.Ks, (count, 3, 3))
        check_array("Ts_world_camera", self.Ts_world_camera, (count, 4, 4))
        check_array("poses.root", self.poses.root, (count, 3))
        check_array("times", self.times, (count,))
        check_array("frame_idx", self.frame_idx, (count,), np.integer)
        if self.ignored is not None:
            check_array("ignored", self.ignored, (count, height, width), np.bool_)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.images.shape[2], self.images.shape[1]

    @property
    def px_per_metre(self) -> float:
        """At the person's distance, median over the pictures."""
        away = self.poses.root - self.Ts_world_camera[:, :3, 3]
        depth = np.einsum("tk,tk->t", away, self.Ts_world_camera[:, :3, 2])
        return float(np.median(self.Ks[:, 0, 0] / np.maximum(depth, 0.1)))

    def camera(self, i: int) -> Cameras:
        """The camera of picture i."""
        width, height = self.size
        return Cameras.of(self.Ts_world_camera[i], self.Ks[i], width=width, height=height)

    def target(self, i: int, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor | None]:
        """Picture i (H, W, 3) and its mask (H, W), 0 to 1, and which pixels count; None: all."""
        photo = torch.from_numpy(self.images[i]).to(device).float() / 255
        mask = torch.from_numpy(self.masks[i]).to(device).float() / 255
        if self.ignored is None or not self.ignored[i].any():
            return photo, mask, None
        return photo, mask, torch.from_numpy(~self.ignored[i]).to(device)

    def take(self, rows: np.ndarray) -> AvatarPhotos:
        """Only these pictures."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {k: v[rows] for k, v in values.items() if isinstance(v, np.ndarray)}
        poses = BodyPoses(root=self.poses.root[rows], rotations=self.poses.rotations[rows])
        return replace(self, poses=poses, **kept)

    def reduced(self, factor: int) -> AvatarPhotos:
        """The same at a `factor`-th of the size; a pixel that shows any of the ignored is too."""
        width, height = self.size
        size = max(1, width // factor), max(1, height // factor)

        def shrink(pictures: np.ndarray) -> np.ndarray:
            return np.stack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures])

        ignored = self.ignored
        if ignored is not None:
            ignored = shrink(ignored.astype(np.float32)) > 0
        scale = np.diag([size[0] / width, size[1] / height, 1.0])
        return replace(
            self, images=shrink(self.images), masks=shrink(self.masks), Ks=scale @ self.Ks,
            ignored=ignored,
        )  # fmt: skip

    def split(self, every: int) -> tuple[AvatarPhotos, AvatarPhotos | None]:
        """Pictures to train on, and each `every`-th, from the middle of the first, held out.

        Raises:
            InputError: too few to train on.
        """
        rows = np.arange(len(self))
        held = rows % every == every // 2 if every else np.zeros(len(rows), bool)
        if (~held).sum() < MIN_PHOTOS:
            raise InputError(
                f"expected {MIN_PHOTOS} pictures of the person or more to train on, got "
                f"{(~held).sum()} of {len(self)}"
            )
        return self.take(rows[~held]), self.take(rows[held]) if held.any() else None


def crop_of(
    image: np.ndarray, box: Array, size: tuple[int, int], *, border: int = 0
) -> tuple[np.ndarray, Array]:
    """A box (4,) xyxy px cut out and scaled to a size (width, height), and the 2D map to it.

    Beyond the picture there is `border`. The map (3, 3) takes pixels of the picture to the crop's.
    """
    scale = np.array(size) / (box[2:] - box[:2])
    A = np.array([[scale[0], 0, -scale[0] * box[0]], [0, scale[1], -scale[1] * box[1]], [0, 0, 1]])
    # OpenCV counts from the centre of the top-left pixel, we from its corner.
    shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    moved = np.linalg.inv(shift) @ A @ shift
    shrinks = scale.min() < 1
    if shrinks:  # against aliasing
        sigma = 0.4 * np.sqrt(1 / scale.min() ** 2 - 1)
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    out = cv2.warpAffine(
        image, moved[:2], size, flags=cv2.INTER_LINEAR if shrinks else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_CONSTANT, borderValue=(border,) * 3,
    )  # fmt: skip
    return np.asarray(out), A
