"""How well an avatar shows pictures of its person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from splatting.avatars.avatar import Avatar
from splatting.avatars.photos import AvatarPhotos
from splatting.gaussians import Gaussians
from splatting.losses import psnr, ssim
from splatting.rasterize import rasterize

Distance = Callable[[Tensor, Tensor], float]
"""(rendered, photo), (H, W, 3) each in 0 to 1, to a number."""
BACKGROUND = 1.0
"""White, behind the person in both pictures."""


@torch.no_grad()
def draw(gaussians: Gaussians, photos: AvatarPhotos, i: int, *, backend: str = "auto") -> Tensor:
    """Picture i (H, W, 3), 0 to 1, of Gaussians in the world, over white."""
    white = torch.full((3,), BACKGROUND, device=gaussians.means.device)
    camera = photos.camera(i).to(gaussians.means.device)
    drawn = rasterize(gaussians, camera, background=white, backend=backend)
    return drawn.colour[0].clamp(0, 1).cpu()


def cut_out(photos: AvatarPhotos, i: int) -> tuple[Tensor, Tensor]:
    """Picture i (H, W, 3) with white behind the person, and where the person is (H, W) bool."""
    photo, mask, keep = photos.target(i)
    person = mask > 0.5 if keep is None else (mask > 0.5) & keep
    return photo * mask[..., None] + BACKGROUND * (1 - mask[..., None]), person


def score(
    avatar: Avatar, photos: AvatarPhotos, *, distance: Distance | None = None,
    backend: str = "auto",
) -> dict[str, float]:  # fmt: skip
    """Means over the pictures: "psnr" (dB, the whole crop over white), "psnr_person" (dB, over the
    person's pixels), "ssim" and, with `distance`, "lpips".

    Poses and cameras are taken as they are given. Ignored pixels are painted over.
    """
    rows: list[dict[str, float]] = []
    for i in range(len(photos)):
        photo, person = cut_out(photos, i)
        colour = draw(avatar.posed(photos.poses, i), photos, i, backend=backend)
        if photos.ignored is not None:
            ignored = torch.from_numpy(photos.ignored[i])
            colour[ignored] = photo[ignored]
        figures = {"psnr": psnr(colour, photo), "ssim": float(ssim(colour, photo))}
        if person.any():
            figures["psnr_person"] = psnr(colour[person], photo[person])
        if distance is not None:
            figures["lpips"] = distance(colour, photo)
        rows.append(figures)
    names = {name for row in rows for name in row}
    return {n: float(np.mean([row[n] for row in rows if n in row])) for n in sorted(names)}
