"""Bodies as OpenPose and DWPose draw them: 18 body, 2 x 21 hand and 68 face points.

Points, limbs, colours and sizes are those of the skeleton pictures that ControlNet was trained on
(Cao et al., "OpenPose", 2019, COCO-18 and its hands; Yang et al., "DWPose", 2023, for the face).
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, transform_points
from recon.core.people import NUM_JOINTS
from recon.core.raster import NEAR
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS

BODY_POINTS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
COLORS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
"""RGB of body points, and of limbs, which are drawn at 60 % of it."""
LIMB_SHARE = 0.6
NUM_POINTS = 18 + 2 * 21 + 68
HEAD_POINTS = (0, 14, 15, 16, 17)
HAND_LIMBS = tuple((0 if k % 4 == 1 else k - 1, k) for k in range(1, 21))
HAND_POINT_COLOR, FACE_POINT_COLOR = (0, 0, 255), (255, 255, 255)
DESIGN_SIDE = 512
"""Shorter side of the picture, px, for which limbs are 8 and hands' lines 2 px wide."""

IBUG_OF_MESH = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
"""Of MediaPipe's 468 face points, those nearest to iBUG's 68."""

_JOINT = {name: k for k, name in enumerate(CANONICAL_JOINTS)}
_SKIN, _EYE = 0.03, 0.01
"""Metres that a point of the head may lie under the surface that is seen there; and an eye's
radius."""
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_HEAD = _JOINT["head"]


@dataclass(frozen=True, kw_only=True)
class PosePoints:
    """Where a body has its 18 + 21 + 21 points: on joints, or fixed to a joint at an offset.

    Args:
        joints: (60, 52) shares of joint positions, rows summing to 1. owners: (60,) the joint
            that carries a point's offset. offsets: (60, 3) metres in that joint's frame.
    """

    joints: Array
    owners: np.ndarray
    offsets: Array

    def at(self, rotations: Array, positions: Array) -> Array:
        """Points (60, 3) of a pose: global rotations (52, 3, 3), positions (52, 3), any frame."""
        turned = np.einsum("pij,pj->pi", rotations[self.owners], self.offsets)
        return self.joints @ positions + turned


def pose_points(rig: Rig) -> PosePoints:
    """The points of a rig. Nose, eyes, ears and finger tips are found on its mesh.

    The neck lies between the shoulders, as in COCO-18; the hips are the joints themselves.
    """
    face = _face_points(rig)
    rows: list[tuple[tuple[int, ...], Array]] = []
    for name in BODY_POINTS:
        if name in face:
            rows.append(((_HEAD,), face[name]))
        elif name == "neck":
            rows.append(((_JOINT["left_shoulder"], _JOINT["right_shoulder"]), np.zeros(3)))
        else:
            rows.append(((_JOINT[name],), np.zeros(3)))
    owner_of_vertex = rig.indices[np.arange(len(rig.weights)), rig.weights.argmax(axis=1)]
    for side in ("left", "right"):
        rows.append(((_JOINT[f"{side}_wrist"],), np.zeros(3)))
        for finger in _FINGERS:
            chain = [_JOINT[f"{side}_{finger}{k}"] for k in (1, 2, 3)]
            rows += [((j,), np.zeros(3)) for j in chain]
            rows.append(((chain[-1],), _tip(rig, chain, owner_of_vertex)))
    joints = np.zeros((len(rows), NUM_JOINTS))
    for row, (on, _) in zip(joints, rows, strict=True):
        row[list(on)] = 1 / len(on)
    return PosePoints(
        joints=joints, owners=np.array([on[0] for on, _ in rows]),
        offsets=np.stack([offset for _, offset in rows]),
    )  # fmt: skip


def _tip(rig: Rig, chain: list[int], owner_of_vertex: np.ndarray) -> Array:
    """The end of a finger, metres from its last joint in the joint's frame."""
    along = rig.rest_joints[chain[2]] - rig.rest_joints[chain[1]]
    own = rig.bind_vertices[owner_of_vertex == chain[2]]
    if len(own) == 0:
        return 0.8 * along
    local = transform_points(rig.Ts_joint_bind[chain[2]], own)
    return local[np.argmax(local @ along)]


def _face_points(rig: Rig) -> dict[str, Array]:
    """Nose, eyes and ears, metres from the head joint in its frame (y up, z forward, x left).

    The nose is the foremost point near the middle; the ears stand out farthest at its height; the
    eyes lie on the front, at the shares of the head where Anny's own keypoints have them.
    """
    weights = np.where(rig.indices == _HEAD, rig.weights, 0).sum(axis=1)
    head = transform_points(rig.Ts_joint_bind[_HEAD], rig.bind_vertices[weights > 0.5])
    if len(head) == 0:
        nothing = np.zeros(3)
        return dict.fromkeys(("nose", "right_eye", "left_eye", "right_ear", "left_ear"), nothing)
    middle, top = np.abs(head[:, 0]) < 0.015, head[:, 1].max()
    front = head[middle] if middle.any() else head
    low = top - 0.225
    nose = front[np.argmax(np.where(front[:, 1] > low + 0.05, front[:, 2], -np.inf))] * [0, 1, 1]
    level = head[np.abs(head[:, 1] - nose[1] - 0.02) < 0.035]
    out: dict[str, Array] = {"nose": nose}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out[f"{side}_ear"] = level[np.argmax(sign * level[:, 0])]
    half = 0.5 * (out["left_ear"][0] - out["right_ear"][0])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        at = np.array([sign * 0.35 * half, nose[1] + 0.18 * (top - low)])
        away = np.linalg.norm(head[:, :2] - at, axis=1)
        # The skin, not what lies behind it: sockets and balls are part of the mesh.
        here = head[away < max(_EYE, away.min() + 1e-9)]
        out[f"{side}_eye"] = here[np.argmax(here[:, 2])]
    return out


def seen_px(points_camera: Array, intrinsics: Intrinsics, inverse_depth: np.ndarray) -> Array:
    """Pixels (60, 2) of points (60, 3) in the camera, NaN where a detector would see nothing.

    That is behind the camera, far outside the picture, and for points of the head also behind
    something: a skeleton without a nose is how generators know a back. Joints are kept behind
    other limbs, where detectors find them too.

    Args:
        inverse_depth: (H, W), 1 / metres, of the bodies in the picture.
    """
    out = np.full((len(points_camera), 2), np.nan)
    shown = np.nan_to_num(points_camera[:, 2]) > NEAR
    out[shown] = intrinsics.project(points_camera[shown])
    size = np.array([intrinsics.width, intrinsics.height])
    out[((out < -size) | (out > 2 * size)).any(axis=1)] = np.nan
    for k in HEAD_POINTS:
        x, y = _pixel(out[k]) if np.isfinite(out[k]).all() else (-1, -1)
        inside = 0 <= x < size[0] and 0 <= y < size[1]
        if not inside or inverse_depth[y, x] * (points_camera[k, 2] - _SKIN) > 1:
            out[k] = np.nan
    return out


def draw_pose(picture: np.ndarray, points_px: Array, face_px: Array | None = None) -> None:
    """Draws one person's points (60, 2) px and face (68, 2) px; what is NaN is left out."""
    scale = min(picture.shape[:2]) / DESIGN_SIDE
    seen = ~np.isnan(points_px[:, 0])
    for k, (a, b) in enumerate(LIMBS):
        if seen[a] and seen[b]:
            color = tuple(int(LIMB_SHARE * c) for c in COLORS[k])
            _limb(picture, points_px[a], points_px[b], color, 4 * scale)
    for k in np.flatnonzero(seen[:18]):
        _disc(picture, points_px[k], COLORS[k], 4 * scale)
    for hand in (slice(18, 39), slice(39, 60)):
        _draw_hand(picture, points_px[hand], seen[hand], scale)
    if face_px is not None:
        for point in face_px[np.isfinite(face_px).all(axis=1)]:
            _disc(picture, point, FACE_POINT_COLOR, 3 * scale)


def _draw_hand(picture: np.ndarray, points: Array, seen: np.ndarray, scale: float) -> None:
    width = max(1, round(2 * scale))
    for k, (a, b) in enumerate(HAND_LIMBS):
        if seen[a] and seen[b]:
            hue = colorsys.hsv_to_rgb(k / len(HAND_LIMBS), 1.0, 1.0)
            color = tuple(round(255 * c) for c in hue)
            cv2.line(picture, _pixel(points[a]), _pixel(points[b]), color, width)
    for k in np.flatnonzero(seen):
        _disc(picture, points[k], HAND_POINT_COLOR, 2 * scale)


def _limb(
    picture: np.ndarray, a: Array, b: Array, color: tuple[int, ...], half_width: float
) -> None:
    """A flat ellipse from a to b, as OpenPose's."""
    along = b - a
    axes = (max(1, round(np.linalg.norm(along) / 2)), max(1, round(half_width)))
    angle = round(np.degrees(np.arctan2(along[1], along[0])))
    polygon = cv2.ellipse2Poly(_pixel((a + b) / 2), axes, angle, 0, 360, 1)
    cv2.fillConvexPoly(picture, np.array(polygon, np.int32), color)


def _disc(picture: np.ndarray, at: Array, color: tuple[int, ...], radius: float) -> None:
    cv2.circle(picture, _pixel(at), max(1, round(radius)), color, cv2.FILLED)


def _pixel(point: Array) -> tuple[int, int]:
    """The pixel that a point lies in."""
    return int(np.floor(point[0])), int(np.floor(point[1]))
