"""How well video Gaussians show a clip and its motion."""

from __future__ import annotations

import numpy as np
import torch

from splatting.losses import psnr, ssim
from splatting.rasterize import rasterize
from splatting.video.clip import Clip
from splatting.video.drawing import motion_between
from splatting.video.flow import clip_flow
from splatting.video.model import VideoGaussians


@torch.no_grad()
def score(
    video: VideoGaussians, clip: Clip, rows: np.ndarray, *, backend: str = "auto"
) -> dict[str, float]:
    """Means over frames `rows` of a clip as the Gaussians show them, NaN where there is nothing.

    Returns:
        "psnr" (dB) and "ssim" of whole frames, "foreground_psnr" of the foreground's pixels.
    """
    found = [[np.nan] * 3]
    for i in rows.tolist():
        gaussians = video.at(float(clip.times[i]))
        drawn = rasterize(gaussians, video.cameras, backend=backend).colour[0].clamp(0, 1).cpu()
        photo = torch.from_numpy(clip.images[i]).float() / 255
        mask = None if clip.foreground is None else torch.from_numpy(clip.foreground[i])
        inner = np.nan
        if mask is not None and mask.any():
            inner = psnr(drawn[mask], photo[mask])
        found.append([psnr(drawn, photo), float(ssim(drawn, photo)), inner])
    columns = [[v for v in column if np.isfinite(v)] for column in zip(*found, strict=True)]
    means = [float(np.mean(column)) if column else float("nan") for column in columns]
    return dict(zip(("psnr", "ssim", "foreground_psnr"), means, strict=True))


def flow_error(video: VideoGaussians, clip: Clip, *, gap: int = 1, backend: str = "auto") -> float:
    """Median length, px, of the blended motion's difference from optical flow between frames
    `gap` apart, where the flow there and back agrees; NaN where it does nowhere."""
    errors = []
    for (a, b), flow in clip_flow(clip.images, (gap,)).items():
        times = float(clip.times[a]), float(clip.times[b])
        drawn = motion_between(video, *times, backend=backend)
        sure = flow.sure & drawn.covered.cpu().numpy()
        difference = drawn.motion.cpu().numpy() - flow.moved.astype(np.float32)
        errors.append(np.linalg.norm(difference, axis=-1)[sure])
    found = np.concatenate(errors)
    return float(np.median(found)) if len(found) else float("nan")
