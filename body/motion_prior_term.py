"""The motion prior as a term of the world's problem: pseudo-observations of hidden frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from body.kinematics import NUM_DOF, BodyState
from body.motion_features import leg_length
from body.motion_infill import MotionTarget, target
from body.motion_prior import MotionPrior
from body.pose_prior import FITTED_JOINTS
from recon.core.errors import InputError
from recon.core.geometry import Array, matrix_to_rotvec
from recon.core.people import BodyPoses
from recon.core.rig import Rig

_FITTED = np.array(FITTED_JOINTS)
_CORRELATION = 0.3
"""Seconds over which a filled stretch is off in the same way: it counts once in them."""


@dataclass(frozen=True, kw_only=True)
class PriorTerm:
    """Rotations of hidden frames held near what the prior expects; frames seen are left alone.

    A `body.motion_terms.MotionTerm`: Gaussian, each degree of freedom by itself. Where the pelvis
    is stays free: feet that stand and a smooth path tell it better than the prior does.

    Args:
        times: (N,) seconds of the target's frames. target: of `body.motion_infill.target`.
        hidden: (N,) bool, frames that the term is for; those it says nothing of are passed over.
    """

    times: Array
    target: MotionTarget
    hidden: np.ndarray

    def penalty(
        self, times: Array, state: BodyState, contacts: Array
    ) -> tuple[float, Array, Array]:
        """Cost, its negative half gradient (M, D), a diagonal of its half Hessian (M, D).

        Args:
            times: (M,) seconds, among the target's. state: M frames in the world.
            contacts: (M, 4), not used.
        Raises:
            InputError: a time is none of the target's.
        """
        rows = np.clip(np.searchsorted(self.times, times), 0, len(self.times) - 1)
        if not np.allclose(self.times[rows], times):
            raise InputError("expected times of the motion prior's target; make it for this motion")
        expected = self.target.poses.rotations[rows][:, _FITTED]
        turns = matrix_to_rotvec(expected @ np.swapaxes(state.rotations[:, _FITTED], -1, -2))
        std = self.target.turn_std[rows][:, _FITTED]
        steps = np.gradient(self.times)[rows] if len(self.times) > 1 else np.ones(1)
        active = self.hidden[rows] & self.target.valid[rows]
        share = np.minimum(steps / _CORRELATION, 1.0) * active
        off = np.zeros((len(rows), NUM_DOF))
        information = np.zeros_like(off)
        off[:, 3:] = turns.reshape(len(rows), -1)
        information[:, 3:] = (share[:, None, None] / std**2).reshape(len(rows), -1)
        return float((information * off**2).sum()), information * off, information


def hidden_frames(
    prior: MotionPrior, poses: BodyPoses, times: Array, *, observed: np.ndarray, rig: Rig
) -> tuple[BodyPoses, PriorTerm | None]:
    """The poses with the rotations of hidden stretches filled in, and the term that holds them.

    Args:
        poses: N frames in a world with z up. times: (N,) seconds. observed: (N,) bool.
    Returns:
        The poses given and None where nothing is hidden, or nobody seen.
    """
    if observed.all() or not observed.any():
        return poses, None
    said = target(
        prior, poses, times, trust=observed.astype(float),
        leg=leg_length(rig),
    )  # fmt: skip
    filled = BodyPoses(root=poses.root, rotations=said.poses.rotations)
    return filled, PriorTerm(times=times, target=said, hidden=~observed)
