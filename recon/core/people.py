"""People as they pass between stages: tracked keypoints, then motion in camera, then in world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.checks import (
    MAX_SIDE_PX,
    check_array,
    check_increasing,
    check_poses,
    check_range,
    check_rotations,
)
from recon.core.geometry import Array
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS, CANONICAL_JOINTS

NUM_KEYPOINTS = len(BLAZEPOSE_KEYPOINTS)
NUM_JOINTS = len(CANONICAL_JOINTS)


def row_at(frame_idx: np.ndarray, frame: int) -> int | None:
    """The row of a video frame among increasing `frame_idx` (N,), or None if it is not there."""
    row = int(np.searchsorted(frame_idx, frame))
    return row if row < len(frame_idx) and frame_idx[row] == frame else None


@dataclass(frozen=True, kw_only=True)
class RoiMasks:
    """Person masks, one per tracked frame, stored as bits in each frame's rotated crop.

    Args:
        bits: (N, size * size / 8) uint8, rows packed by `numpy.packbits`.
        Ts_image_roi: (N, 2, 3), crop pixel (x, y, 1) to image pixel.
        size: side of the square crop in pixels.
    """

    bits: np.ndarray
    Ts_image_roi: Array
    size: int

    def __post_init__(self) -> None:
        check_range("size", self.size, 1, MAX_SIDE_PX)
        check_array("bits", self.bits, (None, self.size * self.size // 8), np.uint8)
        check_array("Ts_image_roi", self.Ts_image_roi, (len(self.bits), 2, 3))

    def render(self, row: int, *, height: int, width: int, scale: float = 1.0) -> np.ndarray:
        """The mask of tracked frame `row` as (height, width) bool.

        `scale` is the size of this picture relative to the video frame's own size.
        """
        out = np.zeros((height, width), bool)
        a = self.Ts_image_roi[row][:, :2] * scale
        b = self.Ts_image_roi[row][:, 2] * scale
        corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * self.size @ a.T + b
        x0, y0 = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, [width, height])
        x1, y1 = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, [width, height])
        if x1 <= x0 or y1 <= y0:
            return out
        inverse = np.linalg.inv(a)
        xs, ys = np.arange(x0, x1) + 0.5 - b[0], np.arange(y0, y1) + 0.5 - b[1]
        u = np.floor(inverse[0, 0] * xs[None] + inverse[0, 1] * ys[:, None]).astype(int)
        v = np.floor(inverse[1, 0] * xs[None] + inverse[1, 1] * ys[:, None]).astype(int)
        inside = (u >= 0) & (v >= 0) & (u < self.size) & (v < self.size)
        crop = np.unpackbits(self.bits[row]).reshape(self.size, self.size).astype(bool)
        last = self.size - 1
        out[y0:y1, x0:x1] = crop[np.clip(v, 0, last), np.clip(u, 0, last)] & inside
        return out


@dataclass(frozen=True, kw_only=True)
class PersonTrack:
    """One tracked person: N frames in increasing order, possibly with gaps.

    Args:
        track_id: 1, 2, … in order of importance (size times duration).
        frame_idx: (N,) int, indices into the scene's frame times.
        boxes: (N, 4) xyxy px. scores: (N,) detection or landmark presence, 0-1.
        keypoints_px: (N, 33, 2) BlazePose order. keypoint_conf: (N, 33), 0-1.
        landmarks: (N, 33, 3) metres, axes of the camera, origin at mid-hip.
        masks: one per frame.
        metric: whether the keypoint network saw landmarks and masks. If not, it sees in 2D only:
            landmarks are a guess from its keypoints, and masks are drawn around them.
        hands_px: (N, 2, 21, 2) left and right hand, or None. hands_conf: (N, 2), or None.
        hands_3d: (N, 2, 21, 3) metres, axes of the picture, origin at each wrist, or None.
        face_px: (N, F, 2) in the order of iBUG (F = 68) or of MediaPipe's mesh (F = 468), or
            None. face_conf: (N,), 0-1, or None.
    """

    track_id: int
    frame_idx: np.ndarray
    boxes: Array
    scores: Array
    keypoints_px: Array
    keypoint_conf: Array
    landmarks: Array
    masks: RoiMasks
    metric: bool = True
    hands_px: Array | None = None
    hands_conf: Array | None = None
    hands_3d: Array | None = None
    face_px: Array | None = None
    face_conf: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.frame_idx)
        check_array("frame_idx", self.frame_idx, (n,), np.integer)
        check_increasing("frame_idx", self.frame_idx)
        check_array("boxes", self.boxes, (n, 4))
        check_array("scores", self.scores, (n,))
        check_array("keypoints_px", self.keypoints_px, (n, NUM_KEYPOINTS, 2))
        check_array("keypoint_conf", self.keypoint_conf, (n, NUM_KEYPOINTS))
        check_array("landmarks", self.landmarks, (n, NUM_KEYPOINTS, 3))
        check_array("masks.bits", self.masks.bits, (n, None), np.uint8)
        if self.hands_px is not None:
            check_array("hands_px", self.hands_px, (n, 2, 21, 2))
        if self.hands_conf is not None:
            check_array("hands_conf", self.hands_conf, (n, 2))
        if self.hands_3d is not None:
            check_array("hands_3d", self.hands_3d, (n, 2, 21, 3))
        if self.face_px is not None:
            check_array("face_px", self.face_px, (n, None, 2))
        if self.face_conf is not None:
            check_array("face_conf", self.face_conf, (n,))


@dataclass(frozen=True, kw_only=True)
class BodyShape:
    """One person's shape in the parameters of a body model.

    Args:
        model: name in the body-model table, for example "anny".
        names: the parameters' names. values: (S,) in the model's own units.
    """

    model: str
    names: tuple[str, ...]
    values: Array

    def __post_init__(self) -> None:
        check_array("values", self.values, (len(self.names),))


@dataclass(frozen=True, kw_only=True)
class BodyPoses:
    """Poses of one body over N frames in some frame of reference, as SMPL-X states them.

    Every joint's rotation is relative to its parent, from the SMPL-X rest pose (T-pose, y up,
    facing +z, all joint axes aligned).

    Args:
        root: (N, 3) metres, position of the pelvis joint.
        rotations: (N, 52, 3, 3) of the canonical joints; the first is global_orient.
    """

    root: Array
    rotations: Array

    def __post_init__(self) -> None:
        n = len(self.root)
        check_array("root", self.root, (n, 3))
        check_array("rotations", self.rotations, (n, NUM_JOINTS, 3, 3))


@dataclass(frozen=True, kw_only=True)
class CameraMotion:
    """One person's fitted motion in the camera frame, over consecutive frames.

    Args:
        track_id: as in the PersonTrack it was fitted to.
        frame_idx: (N,) int, consecutive. observed: (N,) bool, False where filled in.
        shape: one for the whole motion. poses_camera: the body in each frame's camera.
        joints_camera: (N, 52, 3) metres.
        reprojection_px: (N,) median over visible body joints; 0 where not observed.
        confidence: (N,) mean keypoint confidence, 0-1.
        body_joint_std: (N, 22, 3) metres, standard deviations of the body joints, camera axes,
            or None where nobody estimated them.
        jaw_open: (N,) radians that the jaw is turned open, or None where nobody looked.
    """

    track_id: int
    frame_idx: np.ndarray
    observed: np.ndarray
    shape: BodyShape
    poses_camera: BodyPoses
    joints_camera: Array
    reprojection_px: Array
    confidence: Array
    body_joint_std: Array | None = None
    jaw_open: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.frame_idx)
        check_array("frame_idx", self.frame_idx, (n,), np.integer)
        check_increasing("frame_idx", self.frame_idx)
        check_array("observed", self.observed, (n,), np.bool_)
        check_array("joints_camera", self.joints_camera, (n, NUM_JOINTS, 3))
        check_array("reprojection_px", self.reprojection_px, (n,))
        check_array("confidence", self.confidence, (n,))
        check_array("poses_camera.root", self.poses_camera.root, (n, 3))
        if self.body_joint_std is not None:
            check_array("body_joint_std", self.body_joint_std, (n, 22, 3))
        if self.jaw_open is not None:
            check_array("jaw_open", self.jaw_open, (n,))


FOOT_POINTS: tuple[str, ...] = ("left_heel", "left_toe", "right_heel", "right_toe")


@dataclass(frozen=True, kw_only=True)
class PersonEvidence:
    """What one person's fitted body tells about the camera's scale, the vertical and the floor.

    Args:
        frame_idx: (N,) int, consecutive. joints_camera: (N, 52, 3) metres.
        soles_camera: (N, 4, 3) metres, the sole points FOOT_POINTS.
        weights: (N,) trust in each frame, 0-1; 0 where the body was filled in.
    """

    frame_idx: np.ndarray
    joints_camera: Array
    soles_camera: Array
    weights: Array

    def __post_init__(self) -> None:
        n = len(self.frame_idx)
        check_array("frame_idx", self.frame_idx, (n,), np.integer)
        check_increasing("frame_idx", self.frame_idx)
        check_array("joints_camera", self.joints_camera, (n, NUM_JOINTS, 3))
        check_array("soles_camera", self.soles_camera, (n, 4, 3))
        check_array("weights", self.weights, (n,))


@dataclass(frozen=True, kw_only=True)
class WorldMotion:
    """One person's motion in the world frame (metric, z up, floor at z = 0).

    Args:
        track_id, frame_idx, observed, shape: as in CameraMotion.
        poses_world: the body in the world. joints_world: (N, 52, 3) metres.
        feet_world: (N, 4, 3) metres, the sole points FOOT_POINTS.
        contacts: (N, 4) probability that each sole point stands still on something.
    """

    track_id: int
    frame_idx: np.ndarray
    observed: np.ndarray
    shape: BodyShape
    poses_world: BodyPoses
    joints_world: Array
    feet_world: Array
    contacts: Array

    def __post_init__(self) -> None:
        n = len(self.frame_idx)
        check_array("frame_idx", self.frame_idx, (n,), np.integer)
        check_increasing("frame_idx", self.frame_idx)
        check_array("observed", self.observed, (n,), np.bool_)
        check_array("joints_world", self.joints_world, (n, NUM_JOINTS, 3))
        check_array("feet_world", self.feet_world, (n, 4, 3))
        check_array("contacts", self.contacts, (n, 4))
        check_array("poses_world.root", self.poses_world.root, (n, 3))


@dataclass(frozen=True, kw_only=True)
class WorldPlacement:
    """Where the slam frame and the camera lie in the world: `p_world = scale R p_slam + t`.

    Args:
        scale: metres per slam unit. scale_log_std: its standard deviation in log scale,
            infinite where the motion does not determine it.
        scale_source: how the scale was found, in words.
        R_world_slam: (3, 3). t_world_slam: (3,) metres.
        Ts_world_camera: (T, 4, 4) rigid, every frame of the video. After a cut they lie in
            a world of that shot's own, with its own floor at z = 0.
        gravity_std: radians, spread of the evidence for the vertical.
    """

    scale: float
    scale_log_std: float
    scale_source: str
    R_world_slam: Array
    t_world_slam: Array
    Ts_world_camera: Array
    gravity_std: float

    def __post_init__(self) -> None:
        check_array("R_world_slam", self.R_world_slam, (3, 3))
        check_array("t_world_slam", self.t_world_slam, (3,))
        check_array("Ts_world_camera", self.Ts_world_camera, (None, 4, 4))
        check_rotations("R_world_slam", self.R_world_slam)
        check_poses("Ts_world_camera", self.Ts_world_camera)
        check_range("scale", self.scale, 1e-12, 1e12)
        for name in ("scale_log_std", "gravity_std"):
            check_range(name, getattr(self, name), 0.0, float("inf"))
