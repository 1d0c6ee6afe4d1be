"""Pictures of how video Gaussians move, and where they carry points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from recon.core.geometry import Array
from splatting.gaussians import Cameras, Gaussians
from splatting.harmonics import rgb_to_sh
from splatting.rasterize import rasterize
from splatting.video.flow import inside, sample
from splatting.video.model import VideoGaussians

LEAST_COVER = 0.5
"""Pixels covered less show no motion or depth that could be wrong."""
HIDDEN = 1.1
"""A centre so much farther away than what is seen there is hidden."""


@dataclass(frozen=True, kw_only=True)
class MotionPicture:
    """What moves where: motion (H, W, 2) px, the foreground's share (H, W), covered (H, W) bool."""

    motion: Tensor
    foreground: Tensor
    covered: Tensor


def draw_motion(
    gaussians: Gaussians, motion_px: Tensor, foreground: Tensor, camera: Cameras, *, backend: str
) -> MotionPicture:
    """Motions (N, 2) px and foreground (N,) of Gaussians, blended as their colours are."""
    reach = _reach(camera.width, camera.height)
    signals = torch.cat((0.5 + motion_px / reach, foreground[:, None].float()), dim=1)
    signalling = replace(gaussians, sh=rgb_to_sh(signals)[:, None])
    drawn = rasterize(signalling, camera, backend=backend)
    alpha = drawn.alpha[0]
    covered = alpha.detach() > LEAST_COVER
    motion = (drawn.colour[0, ..., :2] / torch.where(covered, alpha, 1)[..., None] - 0.5) * reach
    return MotionPicture(motion=motion, foreground=drawn.colour[0, ..., 2], covered=covered)


def _reach(width: int, height: int) -> float:
    """Px that colours from 0 to 1 stand for, which cannot be negative."""
    return 4.0 * max(width, height)


@torch.no_grad()
def motion_between(
    video: VideoGaussians, start: float, end: float, *, backend: str = "auto"
) -> MotionPicture:
    """How what is seen at one time has moved by another, seconds."""
    moved = (video.places_at(end) - video.places_at(start))[:, :2]
    return draw_motion(video.at(start), moved, video.foreground, video.cameras, backend=backend)


@torch.no_grad()
def track_points(
    video: VideoGaussians, points_px: Array, start: float, times: Array, *, backend: str = "auto"
) -> Array:
    """Where points (P, 2) px, seen at `start`, are at times (M,): (P, M, 2) px.

    Points of the foreground are carried by it alone, others by what is behind it alone, so that
    the little of the one that shines through the other does not pull.
    """
    still = motion_between(video, start, start, backend=backend)
    ahead = sample(still.foreground.cpu().numpy(), points_px) > 0.5
    out = np.repeat(np.asarray(points_px, float)[:, None], len(times), axis=1)
    for m, t in enumerate(times):
        for layer, rows in ((True, ahead), (False, ~ahead)):
            if rows.any():
                motion = _layer_motion(video, start, float(t), layer=layer, backend=backend)
                out[rows, m] += sample(motion, points_px[rows])
    return out


def _layer_motion(
    video: VideoGaussians, start: float, end: float, *, layer: bool, backend: str
) -> np.ndarray:
    """Motion (H, W, 2) px of the foreground alone, or of what is behind it alone."""
    reach = _reach(video.width, video.height)
    moved = (video.places_at(end) - video.places_at(start))[:, :2]
    share = ((video.foreground > 0) == layer).float()[:, None]
    signals = torch.cat((0.5 + moved / reach, torch.ones_like(share)), dim=1) * share
    signalling = replace(video.at(start), sh=rgb_to_sh(signals)[:, None])
    drawn = rasterize(signalling, video.cameras, backend=backend).colour[0]
    seen = drawn[..., 2:] > 1e-3
    motion = torch.where(seen, drawn[..., :2] / drawn[..., 2:].clamp(min=1e-3) - 0.5, 0)
    return (motion * reach).cpu().numpy()


@torch.no_grad()
def dense_tracks(
    video: VideoGaussians, *, least_opacity: float = 0.5, backend: str = "auto"
) -> dict[str, np.ndarray]:
    """All solid Gaussians as tracks through the frames, as arrays to be saved.

    Returns:
        points_px (N, T, 2); depth (N, T); visible (N, T) bool, in view and not behind what is
        seen there; colours (N, 3) uint8; foreground (N,) bool; times (T,) seconds.
    """
    solid = (video.opacities >= least_opacity).cpu().numpy()
    points, depth = video.tracks(video.times)
    points, depth = points[solid], depth[solid]
    visible = np.zeros(depth.shape, bool)
    for i, t in enumerate(video.times):
        seen = rasterize(video.at(float(t)), video.cameras, backend=backend).depth[0].cpu().numpy()
        visible[:, i] = inside(points[:, i], width=video.width, height=video.height)
        visible[:, i] &= depth[:, i] < HIDDEN * sample(seen, points[:, i], nearest=True)
    colours = (video.colours.clamp(0, 1) * 255).round().byte().cpu().numpy()[solid]
    return {
        "points_px": points.astype(np.float32), "depth": depth.astype(np.float32),
        "visible": visible, "colours": colours,
        "foreground": video.foreground.cpu().numpy()[solid] > 0, "times": video.times,
    }  # fmt: skip
