"""Lays one body model over another person's body: its shape, and which points belong together.

Both bodies stand in the rest pose. The target's shape and pose follow by Gauss-Newton from the
joints, then from the surface: target vertices to the nearest points of the source's mesh (ICP),
or vertex to vertex where both have the same mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from body.models.base import BodyModel
from body.skinned_points import NUM_POSE, SkinnedPoints, moved
from body.surface import Surface
from recon.core.geometry import Array
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS

_ROUNDS, _STEPS = 3, 5
_NUM_VERTICES = 1000
_MARKERS_PER_JOINT = 8
_REACH = 0.04
"""Metres beyond which two points of the surfaces are not taken for the same."""

# Standard deviations: metres on the surface (across it, along it), of joints, radians of a pose.
_ACROSS, _ALONG = 0.005, 0.05
_SAME_VERTEX = 0.001
_LIMB_JOINT, _TORSO_JOINT = 0.01, 0.05
_POSE = 0.3

_TORSO = {
    "pelvis", "left_hip", "right_hip", "spine1", "spine2", "spine3", "neck", "head",
    "left_collar", "right_collar", "left_shoulder", "right_shoulder", "left_foot", "right_foot",
}  # fmt: skip
JOINT_STD = np.array([_TORSO_JOINT if n in _TORSO else _LIMB_JOINT for n in CANONICAL_JOINTS])
"""How far (metres) two models' joints of one name differ: in a torso by taste, in a limb little."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A target body in the shape of a source body, and M points that they have in common.

    Args:
        shape: (S,) of the target model. target, source: the two rigs.
        rest: one frame, the pose in which the target lies on the resting source.
        target_vertices: (M,). source_vertices: (M, 3), source_weights: (M, 3): a point of the
            source's surface as a blend of a face's corners.
        offsets: (M, 3) metres from there to the target's vertex, in the axes of the source's
            joint offset_joints (M,).
        same_mesh: vertex i is the same point on both.
    """

    shape: Array
    target: Rig
    source: Rig
    rest: BodyPoses
    target_vertices: np.ndarray
    source_vertices: np.ndarray
    source_weights: Array
    offsets: Array
    offset_joints: np.ndarray
    same_mesh: bool


def rest_poses(count: int = 1) -> BodyPoses:
    """The T-pose at the origin, (count) times."""
    rotations = np.tile(np.eye(3), (count, NUM_JOINTS, 1, 1))
    return BodyPoses(root=np.zeros((count, 3)), rotations=rotations)


def have_same_mesh(a: Rig, b: Rig) -> bool:
    """Whether vertex i is the same point of the body on both."""
    return len(a.bind_vertices) == len(b.bind_vertices) and np.array_equal(a.faces, b.faces)


def register(source: Rig, model: BodyModel, *, start: Array | None = None) -> Registration:
    """The body of another model that covers a person's body best.

    Args:
        start: (S,) shape to begin with, and to stay near where the surface does not tell; the
            model's mean if not given.
    """
    start = np.array(model.param_spec.mean if start is None else start, dtype=float)
    shape = start
    target = model.skinning_spec(shape)
    same_mesh = have_same_mesh(source, target)
    chosen = np.linspace(0, len(target.bind_vertices) - 1, _NUM_VERTICES).astype(int)
    matcher = _Matcher(source, target, chosen, same_mesh)
    poses = rest_poses()
    for round_ in range(_ROUNDS):
        points = SkinnedPoints(target, chosen)
        slopes = _shape_slopes(model, shape, chosen, poses)
        anchor = shape
        for _ in range(_STEPS):
            positions, jac = points.posed_with_jacobian(poses)
            now = positions[0] + slopes @ (shape - anchor)
            step = _step(
                np.concatenate([jac[0], slopes], axis=-1),
                *matcher.residuals(now, with_surface=round_ > 0),
                pull=start - shape,
                model=model,
            )
            poses = moved(poses, step[None, :NUM_POSE])
            spec = model.param_spec
            shape = np.clip(shape + step[NUM_POSE:], spec.low, spec.high)
        target = model.skinning_spec(shape)
    return matcher.registration(shape, target, poses)


def _shape_slopes(model: BodyModel, shape: Array, chosen: np.ndarray, poses: BodyPoses) -> Array:
    """Derivative (P + 52, 3, S) of the posed points by the shape, from inner differences."""
    spec = model.param_spec
    inward = np.where(shape > 0.5 * (spec.low + spec.high), -1.0, 1.0)
    steps = 0.05 * spec.std * inward
    here = SkinnedPoints(model.skinning_spec(shape), chosen).posed(poses)[0]
    there = [
        SkinnedPoints(model.skinning_spec(shape + step), chosen).posed(poses)[0]
        for step in np.diag(steps)
    ]
    return np.stack([(t - here) / h for t, h in zip(there, steps, strict=True)], axis=-1)


def _step(jac: Array, residual: Array, info: Array, *, pull: Array, model: BodyModel) -> Array:
    """The Gauss-Newton step (NUM_POSE + S,).

    Args:
        jac: (P, 3, D). residual: (P, 3). info: (P, 3, 3) inverse covariances.
        pull: (S,) from the shape to the one it should stay near.
    """
    weighted = np.einsum("pab,pbd->pad", info, jac)
    rows = jac.shape[0] * 3
    normal = weighted.reshape(rows, -1).T @ jac.reshape(rows, -1)
    right = -weighted.reshape(rows, -1).T @ residual.reshape(-1)
    # A pose that nothing asks for stays; every step is small enough not to lose the surface.
    normal[np.arange(3, NUM_POSE), np.arange(3, NUM_POSE)] += _POSE**-2
    at, weight = np.arange(NUM_POSE, len(normal)), model.param_spec.std**-2
    normal[at, at] += weight
    right[at] += weight * pull
    return np.linalg.solve(normal + 1e-9 * np.eye(len(normal)), right)


class _Matcher:
    """Which points of the resting source the target's points should meet."""

    def __init__(self, source: Rig, target: Rig, chosen: np.ndarray, same_mesh: bool) -> None:
        self.source, self.chosen, self.same_mesh = source, chosen, same_mesh
        self._mesh = source.vertices(rest_poses())[0].astype(float)
        self._joints = source.joints(rest_poses())[1][0]
        self._surface = Surface(self._mesh, source.faces)
        self._source_segments = _segments(source)
        self._target_segments = _segments(target)

    def residuals(self, points: Array, *, with_surface: bool) -> tuple[Array, Array]:
        """Residuals (P + 52, 3) and inverse covariances (P + 52, 3, 3) of the target's points."""
        vertices, joints = points[: len(self.chosen)], points[len(self.chosen) :]
        residual = np.zeros_like(points)
        info = np.zeros((len(points), 3, 3))
        residual[len(vertices) :] = joints - self._joints
        info[len(vertices) :] = JOINT_STD[:, None, None] ** -2 * np.eye(3)
        if self.same_mesh:
            residual[: len(vertices)] = vertices - self._mesh[self.chosen]
            info[: len(vertices)] = np.eye(3) / _SAME_VERTEX**2
        elif with_surface:
            met = self._surface.closest(vertices)
            gap = vertices - met.position
            trust = self._trust(met.face, gap, self.chosen)
            outward = met.normal[:, :, None] * met.normal[:, None, :]
            residual[: len(vertices)] = gap
            info[: len(vertices)] = trust[:, None, None] * (
                outward / _ACROSS**2 + np.eye(3) / _ALONG**2
            )
        return residual, info

    def _trust(self, face: np.ndarray, gap: Array, vertices: np.ndarray) -> Array:
        """0-1: near enough, and on the same part of the body or one that it hangs on."""
        a = self._target_segments[vertices]
        b = self._source_segments[self.source.faces[face, 0]]
        near = (a == b) | (_SEGMENT_PARENT[a] == b) | (_SEGMENT_PARENT[b] == a)
        square = np.sum(gap**2, axis=1) / _REACH**2
        return near / (1 + square) ** 2

    def registration(self, shape: Array, target: Rig, poses: BodyPoses) -> Registration:
        """The result, with markers spread evenly over the parts of the body."""
        vertices = _spread(self._target_segments)
        posed = SkinnedPoints(target, vertices).posed(poses)[0, : len(vertices)]
        if self.same_mesh:
            corners = np.repeat(vertices[:, None], 3, axis=1)
            weights = np.tile([1.0, 0.0, 0.0], (len(vertices), 1))
        else:
            met = self._surface.closest(posed)
            kept = self._trust(met.face, posed - met.position, vertices) > 0.25
            vertices, posed = vertices[kept], posed[kept]
            corners, weights = self.source.faces[met.face[kept]], met.barycentric[kept]
        place = np.einsum("mk,mka->ma", weights, self._mesh[corners])
        return Registration(
            shape=shape, target=target, source=self.source, rest=poses,
            target_vertices=vertices, source_vertices=corners, source_weights=weights,
            offsets=posed - place, same_mesh=self.same_mesh,
            offset_joints=self.source.dense_weights()[corners[:, 0]].argmax(axis=1),
        )  # fmt: skip


def _segment_of_joints() -> np.ndarray:
    """(52,) the part of the body of each joint; the torso is one, head and neck another."""
    torso = {"pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar"}
    names = ["pelvis" if n in torso else "head" if n == "neck" else n for n in CANONICAL_JOINTS]
    return np.array([CANONICAL_JOINTS.index(n) for n in names])


_SEGMENT = _segment_of_joints()
_SEGMENT_PARENT = _SEGMENT[np.array([max(p, 0) for p in CANONICAL_PARENTS])]
_SEGMENT_PARENT[CANONICAL_JOINTS.index("head")] = CANONICAL_JOINTS.index("pelvis")


def _segments(rig: Rig) -> np.ndarray:
    """The part of the body (V,) that each vertex belongs to most."""
    return _SEGMENT[rig.dense_weights().argmax(axis=1)]


def _spread(segments: np.ndarray) -> np.ndarray:
    """Some vertices of every part, spread over its list; a torso counts as its six joints."""
    out: list[np.ndarray] = []
    for segment, joints in zip(*np.unique(_SEGMENT, return_counts=True), strict=True):
        members = np.flatnonzero(segments == segment)
        count = min(len(members), _MARKERS_PER_JOINT * int(joints))
        if count:
            out.append(members[np.linspace(0, len(members) - 1, count).astype(int)])
    return np.concatenate(out)
