"""Fewer skinning weights for a body, for formats and viewers that have room for few."""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig

_SPARE = 3
"""Joints beyond the wanted number that are looked at."""
_OWN_POSES, _OTHER_POSES, _BEND = 24, 8, 0.2
"""Poses of the motion and others that are looked at; the others' joints are turned by a normal
rotation vector of this standard deviation, radians."""
_CHUNK = 2048


def fewer_weights(rig: Rig, poses: BodyPoses, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` weights (V, count) of every vertex that move it most like all of its weights.

    They are those of least squares over poses of the motion, and a few others so that they serve
    other motions too; they sum to 1 and are not negative. Joints are left out one by one, each
    time the one that is missed least. Vertices that have no more than `count` keep theirs.
    Largest first; joints are uint8, and 0 where the weight is 0, as glTF wants them.
    """
    dense = rig.dense_weights().astype(np.float64)
    joints = np.argsort(-dense, axis=1, kind="stable")[:, :count]
    weights = np.take_along_axis(dense, joints, axis=1)
    many = np.flatnonzero((dense > 0).sum(axis=1) > count)
    turns, shifts = _sampled_transforms(rig, poses)
    for start in range(0, len(many), _CHUNK):
        rows = many[start : start + _CHUNK]
        weights[rows], joints[rows] = _fitted(
            dense[rows], np.asarray(rig.bind_vertices[rows], float), turns, shifts, count=count
        )
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32), np.where(weights > 0, joints, 0).astype(np.uint8)


def _sampled_transforms(rig: Rig, poses: BodyPoses) -> tuple[Array, Array]:
    """Rotations (P, J, 3, 3) and shifts (P, J, 3) from the bind pose, the same every time."""
    rotvecs = np.random.default_rng(0).normal(0, _BEND, (_OTHER_POSES, NUM_JOINTS, 3))
    last = len(poses.root) - 1
    own = np.unique(np.linspace(0, last, _OWN_POSES).round().astype(int))
    rotations = np.concatenate([poses.rotations[own], rotvec_to_matrix(rotvecs)])
    turned, places = rig.joints(BodyPoses(root=np.zeros((len(rotations), 3)), rotations=rotations))
    binds = rig.Ts_joint_bind
    shifts = np.einsum("pjab,jb->pja", turned, binds[:, :3, 3]) + places
    return turned @ binds[:, :3, :3], shifts


def _fitted(
    dense: Array, bind: Array, turns: Array, shifts: Array, *, count: int
) -> tuple[Array, np.ndarray]:
    """Weights and joints (V, count) for vertices `bind` (V, 3) that have weights (V, J)."""
    joints = np.argsort(-dense, axis=1, kind="stable")[:, : count + _SPARE]
    weights = np.take_along_axis(dense, joints, axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    # Where each joint alone would carry the vertex, from where all of them do.
    carried = np.einsum("pvkab,vb->vkpa", turns[:, joints], bind)
    carried += shifts[:, joints].transpose(1, 2, 0, 3)
    carried -= np.einsum("vk,vkpa->vpa", weights, carried)[:, None]
    flat = carried.reshape(*joints.shape, -1)
    gram = flat @ np.swapaxes(flat, 1, 2)
    # A joint that has no weight is none to choose: as if it carried the vertex far away.
    gram += np.eye(joints.shape[1]) * np.where(weights > 0, 0.0, 1e3)[:, None]
    while joints.shape[1] > count:
        num = joints.shape[1]
        left = [np.delete(np.arange(num), out) for out in range(num)]
        costs = [_least(gram[:, kept][:, :, kept])[1] for kept in left]
        kept = np.stack(left)[np.argmin(costs, axis=0)]
        joints = np.take_along_axis(joints, kept, axis=1)
        gram = np.take_along_axis(gram, kept[:, :, None], axis=1)
        gram = np.take_along_axis(gram, kept[:, None, :], axis=2)
    weights = _least(gram)[0] * (np.take_along_axis(dense, joints, axis=1) > 0)
    order = np.argsort(-weights, axis=1, kind="stable")
    return np.take_along_axis(weights, order, axis=1), np.take_along_axis(joints, order, axis=1)


def _least(gram: Array) -> tuple[Array, Array]:
    """Weights x (V, K) >= 0 that sum to 1 with a small x G x, and that product (V,).

    Without the bound x ~ G^-1 1; negative ones are set to zero.
    """
    scale = np.trace(gram, axis1=1, axis2=2)[:, None, None] * 1e-9 + 1e-15
    ones = np.ones((*gram.shape[:2], 1))
    x = np.linalg.solve(gram + scale * np.eye(gram.shape[1]), ones)[..., 0]
    x = np.maximum(x, 0)
    x /= x.sum(axis=1, keepdims=True)
    return x, np.einsum("vj,vjk,vk->v", x, gram, x)
