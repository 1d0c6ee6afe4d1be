"""A person's mesh and its brightness at any pose, fast enough to play."""

from __future__ import annotations

import numpy as np

from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.raster import vertex_normals
from recon.core.rig import Rig

_LAMP = np.array([-0.35, -0.5, 0.8], np.float32) / np.float32(np.linalg.norm([0.35, 0.5, 0.8]))
"""Towards the lamp, in the world."""
_DARK, _BRIGHT = 0.48, 1.06
"""Share of its colour that a surface shows away from the lamp, and towards it."""


class ShadedBody:
    """A rig skinned with what stays the same kept, and lit per vertex.

    Software graphics cards draw plain colours several times faster than they compute light.
    """

    def __init__(self, rig: Rig, color: tuple[int, int, int]) -> None:
        self.rig, self.color = rig, np.asarray(color, np.float32) / 255
        self._weights = np.ascontiguousarray(rig.dense_weights().T)
        bind = np.asarray(rig.bind_vertices, np.float32)
        self._bind = np.ascontiguousarray(bind.T)
        normals = vertex_normals(np.asarray(bind, float), rig.faces)
        self._normals = np.ascontiguousarray(normals.T, np.float32)

    def at(self, poses: BodyPoses, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) metres and RGB colours (V, 3) in 0 to 1, float32, at a row of poses."""
        one = BodyPoses(root=poses.root[row : row + 1], rotations=poses.rotations[row : row + 1])
        rotations, positions = self.rig.joints(one)
        T = self.rig.Ts_joint_bind
        linear = rotations[0] @ T[:, :3, :3]
        shift = np.einsum("jab,jb->ja", rotations[0], T[:, :3, 3]) + positions[0]
        # n . lamp for the turned normal n = M n0 is n0 . (M^T lamp), which blends as M does.
        lamp = np.einsum("jab,a->jb", linear, _LAMP)
        moves = np.concatenate([linear.reshape(NUM_JOINTS, 9), shift, lamp], axis=1)
        m = moves.T.astype(np.float32) @ self._weights
        x, y, z = self._bind
        vertices = np.stack(
            [m[3 * a] * x + m[3 * a + 1] * y + m[3 * a + 2] * z + m[9 + a] for a in range(3)],
            axis=1,
        )
        n = self._normals
        lit = np.maximum(m[12] * n[0] + m[13] * n[1] + m[14] * n[2], 0)
        shade = _DARK + (_BRIGHT - _DARK) * lit
        return vertices, np.minimum(shade[:, None] * self.color, 1)
