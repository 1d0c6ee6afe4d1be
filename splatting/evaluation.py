"""How well Gaussians show photographs that they were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from splatting.adjustments import Adjustments
from splatting.gaussians import Gaussians
from splatting.losses import photo_loss, psnr, ssim
from splatting.photos import Photos
from splatting.rasterize import rasterize
from splatting.training import TrainingConfig

Distance = Callable[[Tensor, Tensor], float]
"""(rendered, photo), (H, W, 3) each in 0 to 1, to a number."""
FIT_STEPS, FIT_POSE_RATE, FIT_EXPOSURE_RATE = 60, 2e-3, 1e-2


def evaluate(
    gaussians: Gaussians,
    photos: Photos,
    config: TrainingConfig,
    *,
    adjust: Sequence[Adjustments] | None = None,
    distance: Distance | None = None,
) -> dict[str, dict[str, float]]:
    """ "psnr" (dB), "ssim" and, with `distance`, "lpips" of each photograph, by its name.

    Over the pixels that count; photographs without any are left out.

    Args:
        adjust: one per photograph (see `fit_adjustments`); default as they were given.
    """
    out = {}
    for i, name in enumerate(photos.names):
        photo, keep = photos.target(i, "cpu")
        if keep is not None and not keep.any():
            continue
        with torch.no_grad():
            colour = (
                _drawn(gaussians, photos, config, i, None if adjust is None else adjust[i])
                .clamp(0, 1)
                .cpu()
            )
            # What does not count is painted over: there the pictures are equal.
            painted = colour if keep is None else torch.where(keep[..., None], colour, photo)
            weights = None if keep is None else keep.float()
            scores = {
                "psnr": psnr(colour, photo) if keep is None else psnr(colour[keep], photo[keep]),
                "ssim": float(ssim(painted, photo, weights)),
            }
            if distance is not None:
                scores["lpips"] = distance(painted, photo)
        out[name] = scores
    return out


def fit_adjustments(
    gaussians: Gaussians, photos: Photos, config: TrainingConfig
) -> list[Adjustments]:
    """Exposure and pose of photographs that were not trained on, as far as `config` moves them.

    Found on the photographs themselves, the Gaussians at rest: a held-out photograph whose given
    pose or exposure is wrong can tell nothing of Gaussians that were trained with others (Lin et
    al. 2021, BARF, section 4.3; Martin-Brualla et al. 2021, NeRF in the Wild, for exposure).
    """
    device, out = str(gaussians.means.device), []
    for i in range(len(photos)):
        photo, keep = photos.target(i, device)
        adjust = Adjustments(
            1, pose_rate=FIT_POSE_RATE, extent=photos.extent,
            exposure_rate=FIT_EXPOSURE_RATE, device=device,
        )  # fmt: skip
        for step in range(FIT_STEPS):
            colour = _drawn(gaussians, photos, config, i, adjust)
            photo_loss(colour, photo, keep, similarity=config.similarity).backward()
            adjust.step(step / FIT_STEPS)
        out.append(adjust)
    return out


def _drawn(
    gaussians: Gaussians, photos: Photos, config: TrainingConfig, i: int, adjust: Adjustments | None
) -> Tensor:
    """Photograph i (H, W, 3) as the Gaussians show it."""
    camera = photos.cameras([i]).to(gaussians.means.device)
    if adjust is not None and config.refine_poses:
        moved = adjust.moved(camera.Ts_camera_world[0], 0)
        camera = replace(camera, Ts_camera_world=moved[None])
    colour = rasterize(gaussians, camera, mode=config.mode, backend=config.backend).colour[0]
    return adjust.exposed(colour, 0) if adjust is not None and config.exposure else colour
