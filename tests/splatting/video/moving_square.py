"""A textured square that crosses a textured wall, before a camera that pans."""

from __future__ import annotations

import cv2
import numpy as np

from splatting.video.clip import Clip

WIDTH, HEIGHT, SIDE, FRAMES = 72, 56, 20, 16
PAN, SPEED = 1.5, 2.0
"""Px a frame: of the wall to the left, and of the square to the right."""


def corner(frame: float) -> tuple[float, float]:
    """Where the square's upper left corner is, px."""
    return 10 + SPEED * frame, 18.0


def texture(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth blotches (height, width, 3), 0 to 255."""
    coarse = np.random.default_rng(seed).uniform(30, 225, (height // 6 + 2, width // 6 + 2, 3))
    return cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)


def picture(frame: float) -> tuple[np.ndarray, np.ndarray]:
    """The frame (H, W, 3) uint8, and where the square is (H, W) bool."""
    wall, patch = texture(HEIGHT, 3 * WIDTH, 1), texture(SIDE, SIDE, 2)
    pan = np.array([[1, 0, -PAN * frame], [0, 1, 0]])
    image = cv2.warpAffine(wall, pan, (WIDTH, HEIGHT))
    x, y = corner(frame)
    put = np.array([[1, 0, x], [0, 1, y]])
    layer = cv2.warpAffine(patch, put, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    mask = cv2.warpAffine(np.ones((SIDE, SIDE), np.uint8), put, (WIDTH, HEIGHT)) > 0
    out = np.where(mask[..., None], layer, image)
    return out.clip(0, 255).round().astype(np.uint8), mask


def moving_square(frames: int = FRAMES) -> Clip:
    """The clip at 30 frames a second: the square 2 m away, the wall 4 m."""
    images, masks = (np.stack(a) for a in zip(*map(picture, range(frames)), strict=True))
    K = np.array([[80.0, 0, WIDTH / 2], [0, 80.0, HEIGHT / 2], [0, 0, 1]])
    depth = np.where(masks, np.float32(2), np.float32(4))
    return Clip(
        images=images, times=np.arange(frames) / 30, K=K, foreground=masks, depth=depth,
        depth_weight=np.ones_like(depth), unit="metres",
    )  # fmt: skip
