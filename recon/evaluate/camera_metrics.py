"""Errors of a camera's path, turn, focal length, scale and vertical."""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array, matrix_to_rotvec, nearest_rotation, umeyama

MOVING_SPREAD = 0.02
"""Metres (root mean square) that a path must spread for its scale to mean something."""


def aligned(predicted: Array, truth: Array, *, with_scale: bool) -> Array:
    """Points (T, 3) turned, moved and, if asked, scaled to be nearest to the true ones (T, 3)."""
    scale, rotation, shift = umeyama(predicted, truth, with_scale=with_scale)
    return scale * predicted @ rotation.T + shift


def ate(predicted: Array, truth: Array, *, correct_scale: bool) -> Array:
    """Distances (T,) in metres of the camera centres after alignment; ATE is their mean.

    With scale correction it is the field's ATE, without its ATE-S.

    Source: evo `main_ape.ape` with `PoseRelation.translation_part`, as TRAM
    lib/camera/slam_utils.py `eval_slam` calls it (statistic "mean").

    Args:
        predicted, truth: (T, 3) camera centres.
    """
    return np.linalg.norm(aligned(predicted, truth, with_scale=correct_scale) - truth, axis=-1)


def spread(points: Array) -> float:
    """Root mean square distance of points (T, 3) from their mean."""
    return float(np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=-1))))


def scale_error(predicted: Array, truth: Array, *, least: float = MOVING_SPREAD) -> float:
    """How much too large (+) or small (-) a path is, as a share; NaN where the truth stands still.

    The inverse of the similarity's scale that takes prediction to truth, less 1 (Umeyama 1991).

    Args:
        predicted, truth: (T, 3) metres: camera centres, or a person's root.
        least: metres of spread below which the truth stands still.
    """
    if min(spread(predicted), spread(truth)) < least:
        return float("nan")
    scale, _, _ = umeyama(predicted, truth)
    return float("inf") if scale <= 0 else 1 / scale - 1


def rotation_error(R_world_predicted: Array, R_world_camera: Array) -> Array:
    """Angles (T,) in radians between the cameras, the worlds turned to agree best.

    The turn is the chordal mean of the differences (Hartley et al. 2013, section 5.3), so that it
    needs no path, other than evo's `PoseRelation.rotation_angle_rad`.

    Args:
        R_world_predicted, R_world_camera: (T, 3, 3), camera to each one's own world.
    """
    differences = R_world_camera @ np.swapaxes(R_world_predicted, -1, -2)
    turn = nearest_rotation(differences.mean(axis=0))
    residual = np.swapaxes(R_world_camera, -1, -2) @ turn @ R_world_predicted
    return np.linalg.norm(matrix_to_rotvec(residual), axis=-1)


def gravity_error(R_world_predicted: Array, R_world_camera: Array) -> Array:
    """Angles (T,) in radians between the two verticals as the camera sees them.

    Args:
        R_world_predicted, R_world_camera: (T, 3, 3), camera to worlds whose z axis is up.
    """
    up, true_up = R_world_predicted[:, 2], R_world_camera[:, 2]  # z of the world in the camera
    sine = np.linalg.norm(np.cross(up, true_up), axis=-1)
    return np.arctan2(sine, np.sum(up * true_up, axis=-1))


def focal_error(focal: float, true_focal: float) -> float:
    """How much too long (+) or short (-) a focal length is, as a share."""
    return focal / true_focal - 1
