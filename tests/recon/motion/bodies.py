"""Rigs that the tests of motion share, and what to measure on them."""

from __future__ import annotations

from functools import cache

import numpy as np

from body.models import load_body_model
from recon.core.geometry import Array
from recon.core.rig import Rig
from recon.motion import MotionClip


@cache
def rig(size: float = 0.0) -> Rig:
    """An adult, `size` standard deviations taller than most."""
    model = load_body_model("anny")
    shape = model.param_spec.mean.copy()
    k = model.param_spec.names.index("height")
    shape[k] += size * model.param_spec.std[k]
    return model.skinning_spec(shape)


def slide(motion: MotionClip) -> Array:
    """Metres that each sole point in contact moves from a frame to the next."""
    assert motion.contacts is not None
    on = motion.contacts > 0.5
    soles = motion.rig.soles(motion.poses)
    return np.linalg.norm(np.diff(soles, axis=0), axis=-1)[on[1:] & on[:-1]]


def floor_under(motion: MotionClip, points: Array) -> Array:
    """Height (...) of what is under points (..., 3)."""
    height = np.zeros(points.shape[:-1])
    for box in motion.props:
        local = np.abs(box.local(points))
        over = (local[..., :2] < box.size[:2] / 2).all(axis=-1)
        height = np.where(over, np.maximum(height, box.center[2] + box.size[2] / 2), height)
    return height
