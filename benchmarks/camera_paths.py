"""Camera paths against the truth: error, and a picture seen from above."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np

from recon.core.geometry import Array
from recon.evaluate.camera_metrics import ate

mpl.use("Agg")
from matplotlib import pyplot as plt


def path_error_cm(Ts_slam_camera: Array, Ts_world_camera: Array) -> float:
    """Absolute trajectory error (root mean square) after the best similarity, cm."""
    errors = ate(Ts_slam_camera[:, :3, 3], Ts_world_camera[:, :3, 3], correct_scale=True)
    return float(100 * np.sqrt(np.mean(errors**2)))


def draw_paths(
    file: Path,
    paths: Mapping[str, Array],
    Ts_world_camera: Array,
    *,
    pictures: Mapping[str, np.ndarray],
) -> None:
    """Writes pictures (titles to RGB) side by side, and below them all paths in two views.

    Args:
        paths: titles to (T, 3) metres, aligned to the truth.
    """
    figure = plt.figure(figsize=(12, 8), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.3])[:, 0]
    for axes, (title, picture) in zip(
        np.atleast_1d(above.subplots(1, len(pictures))), pictures.items(), strict=True
    ):
        axes.imshow(picture)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    truth = Ts_world_camera[:, :3, 3]
    # The two directions in which the camera moved most.
    centre = truth.mean(axis=0)
    directions = np.linalg.svd(truth - centre, full_matrices=False)[2]
    for axes, (a, b) in zip(below.subplots(1, 2), ((0, 1), (0, 2)), strict=True):
        for title, path in {"truth": truth, **paths}.items():
            along = 100 * (path - centre) @ directions.T
            style = {"color": "black", "lw": 3, "alpha": 0.4} if title == "truth" else {"lw": 1.2}
            axes.plot(along[:, a], along[:, b], label=title, **style)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("cm")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(file, dpi=80)
    plt.close(figure)
