"""A person's motion in the world with what it stands on: the type that motion sources share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from recon.core.checks import check_array
from recon.core.errors import InputError
from recon.core.geometry import Array, slerp_matrices
from recon.core.people import BodyPoses
from recon.core.rig import Rig


@dataclass(frozen=True, kw_only=True)
class Box:
    """A solid box standing level in the world, that a motion steps or sits on.

    Args:
        kind: what it is part of. center: (3,) metres. size: (3,) metres, full lengths along its
            own axes. yaw: radians about the world's z axis, from world x to the box's x axis.
    """

    kind: Literal["step", "chair"]
    center: Array
    size: Array
    yaw: float

    def __post_init__(self) -> None:
        check_array("center", self.center, (3,))
        check_array("size", self.size, (3,))

    def local(self, points: Array) -> Array:
        """World points (..., 3) in the box's own axes, from its centre."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return (points - self.center) @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def corners(self) -> Array:
        """The eight corners (8, 3), world: bits of the row number are x, y, z, low before high."""
        signs = np.array([[(k >> b & 1) - 0.5 for b in range(3)] for k in range(8)])
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        return self.center + (signs * self.size) @ turn.T


@dataclass(frozen=True, kw_only=True)
class MotionClip:
    """Somebody's motion over N frames.

    Args:
        name: of the action or file. times: (N,) increasing seconds.
        poses: in the world, z up, floor at z = 0. contacts: (N, 4) probability that each of
            FOOT_POINTS stands still on something, or None where nobody knows.
        rig: the body whose proportions the root fits. props: what else there is to stand or
            sit on.
    """

    name: str
    times: Array
    poses: BodyPoses
    contacts: Array | None
    rig: Rig
    props: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.times)
        check_array("times", self.times, (n,))
        check_array("poses.root", self.poses.root, (n, 3))
        if self.contacts is not None:
            check_array("contacts", self.contacts, (n, 4))
        if n == 0 or np.any(np.diff(self.times) <= 0):
            raise InputError(
                f"{self.name}: expected one or more frames at increasing times, got {n} frames "
                f"from {self.times[:1]} to {self.times[-1:]}"
            )

    def at(self, times: Array) -> MotionClip:
        """The clip at other times: rotations on the shortest arc, the rest linearly.

        Held still outside its own span. Feet that stand may move by fractions of a millimetre
        between its frames; `procedural` makes exact clips at any times.
        """
        own = self.times

        def linear(values: Array) -> Array:
            columns = [np.interp(times, own, column) for column in values.T]
            return np.stack(columns, axis=-1)

        return replace(
            self,
            times=np.asarray(times, dtype=float),
            poses=BodyPoses(
                root=linear(self.poses.root),
                rotations=slerp_matrices(times, own, self.poses.rotations),
            ),
            contacts=None if self.contacts is None else linear(self.contacts),
        )
