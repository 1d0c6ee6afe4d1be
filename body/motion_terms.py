"""The seam for learned motion priors: what a prior must say to be one residual of the world."""

from __future__ import annotations

from typing import Protocol

from body.kinematics import BodyState
from recon.core.geometry import Array


class MotionTerm(Protocol):
    """A prior over motions in a gravity-aligned world."""

    def penalty(
        self, times: Array, state: BodyState, contacts: Array
    ) -> tuple[float, Array, Array]:
        """Cost, its negative half gradient (M, D) and a diagonal of its half Hessian (M, D).

        In units of log probability times minus two, for increments of the pelvis position (world
        axes, metres) and of the FITTED_JOINTS (radians, in their parents' axes).

        Args:
            times: (M,) seconds. state: M frames in the world. contacts: (M, 4) probabilities.
        """
        ...
