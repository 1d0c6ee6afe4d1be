"""What the camera saw of one person, as residuals on points of the body in the camera frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from body.fit import build_evidence
from body.kinematics import NUM_BODY
from body.models.base import BodyModel, RestBody
from body.solver import Evidence, Noise, bone_rows, reprojection_rows
from body.swaps import repair_swaps
from recon.core.camera import Intrinsics
from recon.core.geometry import Array
from recon.core.people import CameraMotion, PersonTrack
from recon.core.rig import Rig


class Seen(Protocol):
    """Evidence over M times about the keypoints of a RestBody."""

    @property
    def times(self) -> Array:
        """(M,) seconds."""
        ...

    def take(self, rows: np.ndarray | slice) -> Seen:
        """The evidence of some frames."""
        ...

    def rows(
        self, points: Array, jac: np.ndarray, landmark_scale: float
    ) -> tuple[np.ndarray, Array, Array, Array]:
        """Jacobian (M, R, D) and residuals (M, R) in noise units, weights (M, R), costs (M,).

        Args:
            points: (M, K, 3) metres, camera frame. jac: (M, K, 3, D), their derivative.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SeenKeypoints:
    """Keypoints and landmarks of the network, with the noise of the camera-frame fit."""

    evidence: Evidence
    noise: Noise

    @property
    def times(self) -> Array:
        """(M,) seconds."""
        return self.evidence.times

    def take(self, rows: np.ndarray | slice) -> SeenKeypoints:
        """The evidence of some frames."""
        return replace(self, evidence=self.evidence.take(rows))

    def rows(
        self, points: Array, jac: np.ndarray, landmark_scale: float
    ) -> tuple[np.ndarray, Array, Array, Array]:
        """As in `Seen`."""
        num, seen = len(points), self.evidence
        flat = reprojection_rows(points, jac, seen, noise=self.noise)
        bones = bone_rows(points, jac, seen, scale=landmark_scale, noise=self.noise)
        width = jac.shape[-1]
        jacobian = [p[0].reshape(num, -1, width) for p in (flat, bones)]
        error = [p[1].reshape(num, -1) for p in (flat, bones)]
        weight = [np.repeat(flat[2], 2, axis=1), np.repeat(bones[2], 3, axis=1)]
        return (
            np.concatenate(jacobian, axis=1), np.concatenate(error, axis=1),
            np.concatenate(weight, axis=1), flat[3] + bones[3],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SeenJoints:
    """Where no keypoints are kept: the fitted body itself, with the errors that fits make.

    Args:
        joints: (M, 22, 3) metres, camera frame. trust: (M,) 0-1.
        lateral, depth: metres, error of the pelvis across and along the ray; bone: of the others
            against it.
    """

    times: Array
    joints: Array
    trust: Array
    lateral: float
    depth: float
    bone: float = 0.03

    def take(self, rows: np.ndarray | slice) -> SeenJoints:
        """The evidence of some frames."""
        names = ("times", "joints", "trust")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def rows(
        self, points: Array, jac: np.ndarray, landmark_scale: float
    ) -> tuple[np.ndarray, Array, Array, Array]:
        """As in `Seen`."""
        ray = self.joints[:, 0] / np.linalg.norm(self.joints[:, 0], axis=1, keepdims=True)
        along = ray[:, :, None] * ray[:, None, :]
        whiten = (np.eye(3) - along) / self.lateral + along / self.depth
        error = points - self.joints
        root = np.einsum("nab,nb->na", whiten, error[:, 0])
        rest = (error[:, 1:] - error[:, :1]) / self.bone
        rows = np.concatenate(
            [
                whiten.astype(np.float32) @ jac[:, 0],
                ((jac[:, 1:] - jac[:, :1]) / self.bone).reshape(len(points), -1, jac.shape[-1]),
            ], axis=1,
        )  # fmt: skip
        errors = np.concatenate([root, rest.reshape(len(points), -1)], axis=1)
        weight = np.repeat(self.trust[:, None], errors.shape[1], axis=1)
        return rows, errors, weight, np.sum(weight * errors**2, axis=1)


def seen_keypoints(
    motion: CameraMotion, track: PersonTrack, times: Array, intrinsics: Intrinsics, *, noise: Noise
) -> SeenKeypoints:
    """The track's evidence over the frames of a motion.

    Args:
        times: (T,) seconds of all frames of the video.
    """
    frame_idx, evidence = build_evidence(repair_swaps(track, times)[0], times, intrinsics)
    rows = np.searchsorted(frame_idx, motion.frame_idx)
    return SeenKeypoints(evidence=evidence.take(rows), noise=noise)


def rest_of_rig(rig: Rig) -> RestBody:
    """A rig's skeleton as a rest body whose keypoints are its body joints."""
    joints = rig.rest_joints
    return RestBody(
        joints=joints,
        keypoints=joints[:NUM_BODY],
        keypoint_joints=np.arange(NUM_BODY),
        soles=joints[rig.sole_joints] + rig.sole_points,
        sole_joints=rig.sole_joints,
        stature=float(np.ptp(rig.bind_vertices[:, 2])),
    )


def rest_of_model(model: BodyModel, rig: Rig, shape: Array) -> RestBody:
    """The model's rest body with the skeleton and the soles of the rig, where they lie exactly."""
    own = rest_of_rig(rig)
    rest = model.rest_body(shape)
    return replace(rest, soles=own.soles, sole_joints=own.sole_joints)
