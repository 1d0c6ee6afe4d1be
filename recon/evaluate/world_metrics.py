"""Errors of a body's motion in the world, as WHAM, GVHMR and TRAM compute them.

Arrays hold the frames to measure only: the papers' scripts take the invalid ones out first. Where
a `valid` mask is taken, values that need an invalid frame are left out instead.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from recon.core.geometry import Array, umeyama
from recon.evaluate.camera_metrics import aligned
from recon.evaluate.metrics import stencils_valid

TailVariant = Literal["wham", "gvhmr", "tram"]

CHUNK = 100
"""Frames of a chunk of WA-MPJPE100 and W-MPJPE100."""

CONTACT_STEP = 0.01
"""Metres per frame below which a true foot point is in contact."""

TRAM_ROOT_SIGMA = 3.0
"""Frames: deviation of the Gaussian that TRAM smooths its root with before measuring."""


def chunks(num_frames: int, *, tail: TailVariant, length: int = CHUNK) -> list[slice]:
    """The chunks that world errors are aligned in.

    `wham` and `gvhmr` keep the short last chunk. `tram` adds the remainder to the last full chunk
    and drops the last frame; where the frames are a multiple of `length`, its loop drops the whole
    last chunk, and it has none for clips of at most `length` frames.

    Source: WHAM lib/eval/evaluate_emdb.py; GVHMR `compute_global_metrics`; TRAM
    scripts/emdb/run_eval.py.
    """
    if tail != "tram":
        starts = range(0, num_frames, length)
        return [slice(start, min(start + length, num_frames)) for start in starts]
    starts = range(0, num_frames - length, length)
    ends = [start + length if start + 2 * length <= num_frames else num_frames - 1
            for start in starts]  # fmt: skip
    return [slice(start, end) for start, end in zip(starts, ends, strict=True)]


def wa_mpjpe(predicted: Array, truth: Array, *, tail: TailVariant = "wham") -> Array:
    """WA-MPJPE100: metres per frame, each chunk aligned by one similarity over all its points.

    Source: WHAM lib/eval/eval_utils.py `global_align_joints` (after SLAHMR).

    Args:
        predicted, truth: (T, J, 3) world joints.
    Returns:
        (T,), fewer with `tail` "tram".
    """
    return _chunked(predicted, truth, tail=tail, fitted=None)


def w_mpjpe(predicted: Array, truth: Array, *, tail: TailVariant = "wham") -> Array:
    """W-MPJPE100: as `wa_mpjpe`, aligned on the first two frames of each chunk.

    Source: WHAM lib/eval/eval_utils.py `first_align_joints` (after SLAHMR); the scale is fitted.
    """
    return _chunked(predicted, truth, tail=tail, fitted=2)


def _chunked(predicted: Array, truth: Array, *, tail: TailVariant, fitted: int | None) -> Array:
    parts = [np.zeros(0)]
    for chunk in chunks(len(truth), tail=tail):
        source, target = predicted[chunk], truth[chunk]
        scale, rotation, shift = umeyama(
            source[:fitted].reshape(-1, 3), target[:fitted].reshape(-1, 3)
        )
        aligned = scale * source @ rotation.T + shift
        parts.append(np.linalg.norm(aligned - target, axis=-1).mean(axis=-1))
    return np.concatenate(parts)


def path_length(root: Array) -> float:
    """Metres walked by a root (T, 3), summed over the frames."""
    return float(np.linalg.norm(np.diff(root, axis=0), axis=-1).sum())


def rte(predicted_root: Array, root: Array) -> Array:
    """RTE: distances (T,) of the roots after one rigid alignment, in % of the true path's length.

    Source: WHAM lib/eval/eval_utils.py `compute_rte`; WHAM gives it SMPL's `trans`, GVHMR and
    TRAM the pelvis joint.

    Args:
        predicted_root, root: (T, 3) metres, world.
    """
    errors = np.linalg.norm(aligned(predicted_root, root, with_scale=False) - root, axis=-1)
    return 100 * errors / max(path_length(root), 1e-12)


def erve(
    predicted_root: Array,
    root: Array,
    *,
    R_world_predicted: Array,
    R_world_root: Array,
    valid: np.ndarray | None = None,
) -> Array:
    """ERVE: difference (T - 1,) of the steps of both roots as the person feels them, metres.

    Steps are per frame, not per second; the predicted one is turned by the difference of the two
    bodies' orientations.

    Source: TRAM lib/utils/eval_utils.py `computer_erve`.

    Args:
        predicted_root, root: (T, 3) metres. R_world_predicted, R_world_root: (T, 3, 3) root
            orientations. valid: (T,) bool or None.
    """
    turn = R_world_root @ np.swapaxes(R_world_predicted, -1, -2)
    steps = np.einsum("tij,tj->ti", turn[:-1], np.diff(predicted_root, axis=0))
    errors = np.linalg.norm(steps - np.diff(root, axis=0), axis=-1)
    return errors[stencils_valid(valid, len(root), 2)]


def jitter(joints: Array, *, fps: float, valid: np.ndarray | None = None) -> Array:
    """Jitter (T - 3,) in 10 m/s^3: mean over joints of the third difference's norm.

    Source: WHAM lib/eval/eval_utils.py `compute_jitter` (after TransPose).

    Args:
        joints: (T, J, 3) world joints of the prediction. valid: (T,) bool or None.
    """
    values = np.linalg.norm(np.diff(joints, n=3, axis=0), axis=-1).mean(axis=-1) * fps**3 / 10
    return values[stencils_valid(valid, len(joints), 4)]


def foot_sliding(
    predicted: Array,
    truth: Array,
    *,
    threshold: float = CONTACT_STEP,
    valid: np.ndarray | None = None,
) -> Array:
    """Foot sliding: steps in metres per frame of the predicted foot points in true contact.

    Source: WHAM lib/eval/eval_utils.py `compute_foot_sliding`, with SMPL's vertices
    3216, 3387, 6617, 6787 (left and right heel and toe).

    Args:
        predicted, truth: (T, P, 3) world positions of corresponding heel and toe points.
        threshold: metres per frame below which a true point is in contact.
        valid: (T,) bool or None.
    Returns:
        (number of steps in contact,).
    """
    true_steps = np.linalg.norm(np.diff(truth, axis=0), axis=-1)
    steps = np.linalg.norm(np.diff(predicted, axis=0), axis=-1)
    contact = true_steps < threshold
    contact &= stencils_valid(valid, len(truth), 2)[:, None]
    return steps[contact]


def root_smoothed(points: Array, *, sigma: float = TRAM_ROOT_SIGMA) -> Array:
    """Points (T, J, 3) moved with the path of the first one, smoothed by a Gaussian over time.

    Source: TRAM lib/vis/traj.py `traj_filter`, which its EMDB evaluation applies to the
    prediction before measuring.

    Args:
        sigma: frames.
    """
    from scipy.ndimage import gaussian_filter1d

    root = points[:, 0]
    return points + (gaussian_filter1d(root, sigma, axis=0) - root)[:, None]
