"""recon: an ordinary video into 3D people and a camera in one metric world."""

from __future__ import annotations

import os

# OpenMP threads that spin while they wait for one another slow torch and Numba down several times
# as soon as another program wants the same cores. Read when the first of the two is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from recon.core.scene import Scene

__version__ = "0.1.0"
__all__ = ["open", "run"]


def run(video: str | Path, scene: str | Path | None = None, **options: Any) -> Scene:
    """The scene made from a video, as `recon run` makes it.

    Args:
        video: a file or a folder of numbered images. scene: folder, default named after it.
        options: fields of `recon.options.RunOptions`, for example `camera="static"`.

    Raises:
        recon.core.errors.ReconError: the video, an option or the folder cannot be used.
    """
    from recon.options import RunOptions
    from recon.pipeline import run as run_pipeline

    return run_pipeline(video, scene, RunOptions(**options))


def open(scene: str | Path) -> Scene:
    """The scene in a folder that an earlier run left.

    Raises:
        recon.core.errors.ReconError: there is none, or another version wrote it.
    """
    from recon.core.scene import Scene

    return Scene.open(scene)
