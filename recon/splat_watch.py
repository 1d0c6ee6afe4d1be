"""What `recon splat` says and shows while it trains."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from recon.runner import Watcher
from recon.splat_clouds import cloud

if TYPE_CHECKING:
    from splatting.gaussians import Gaussians
    from splatting.photos import Photos
    from splatting.training import Status
    from viewer.splats import SplatPreview

RECENT = 10
"""Statuses that the rate and the PSNR told are means of: one photograph says little."""
PREVIEW_SECONDS = 3.0


class Teller:
    """A training's statuses as one line: steps, steps a second, Gaussians, PSNR."""

    def __init__(self) -> None:
        self._recent: deque[Status] = deque(maxlen=RECENT)

    def __call__(self, status: Status) -> str:
        self._recent.append(status)
        first = self._recent[0]
        text = f"step {status.step}"
        if status.step > first.step:
            rate = (status.step - first.step) / max(status.seconds - first.seconds, 1e-9)
            text += f", {rate:.1f} it/s"
        psnr = np.mean([s.psnr for s in self._recent])
        return f"{text}, {status.count} Gaussians, PSNR {psnr:.1f} dB"


def open_preview(photos: Photos, watcher: Watcher) -> SplatPreview:
    """A page in the browser, first seen from the camera in the middle of the photographs.

    Raises:
        MissingDependencyError: the web viewer is not installed.
    """
    from splatting.paths import focus_of
    from viewer.splats import SplatPreview

    T = photos.Ts_world_camera[len(photos) // 2]
    ahead = float((focus_of(photos.Ts_world_camera) - T[:3, 3]) @ T[:3, 2])
    preview = SplatPreview(T, ahead=max(ahead, 1e-3))
    watcher.note(f"splat: preview at {preview.url} while it trains")
    return preview


def show(preview: SplatPreview, gaussians: Gaussians, text: str) -> None:
    """Gaussians into the browser."""
    preview.show(cloud(gaussians), text=text)
