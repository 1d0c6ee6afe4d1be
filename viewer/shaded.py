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
        self._weights = rig.dense_weights()
        bind = np.asarray(rig.bind_vertices, np.float32)
        normals = vertex_normals(np.asarray(bind, float), rig.faces)
        self._bind = np.concatenate([bind, np.ones((len(bind), 1), np.float32)], axis=1)
        self._normals = normals.astype(np.float32)

    def at(self, poses: BodyPoses, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) metres and RGB colours (V, 3) in 0 to 1, float32, at a row of poses."""
        one = BodyPoses(root=poses.root[row : row + 1], rotations=poses.rotations[row : row + 1])
        rotations, positions = self.rig.joints(one)
        T = self.rig.Ts_joint_bind
        linear = rotations[0] @ T[:, :3, :3]
        shift = np.einsum("jab,jb->ja", rotations[0], T[:, :3, 3]) + positions[0]
        moves = np.concatenate([linear, shift[..., None]], axis=-1).astype(np.float32)
        blended = (self._weights @ moves.reshape(NUM_JOINTS, 12)).reshape(-1, 3, 4)
        vertices = (blended @ self._bind[..., None])[..., 0]
        # n . lamp for the turned normal n = M n0 is n0 . (M^T lamp).
        lamp = np.einsum("vab,a->vb", blended[..., :3], _LAMP)
        lit = np.maximum(np.einsum("vb,vb->v", lamp, self._normals), 0)
        shade = _DARK + (_BRIGHT - _DARK) * lit
        return vertices, np.minimum(shade[:, None] * self.color, 1)
