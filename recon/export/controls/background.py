"""The scene's depth in any camera, from the dense depth of keyframes."""

from __future__ import annotations

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.scene import Scene
from recon.export.controls.maps import lens
from recon.synth.raster import draw

_TORN = 1.2
"""Ratio of depths of neighbouring cells between which nothing is known to be."""


class SceneDepth:
    """Depth of what stands around, from the two keyframes about a moment.

    Every keyframe's map is a sheet through its cells' points, bent where depth leaps. The two
    sheets are drawn and mixed by time, so that nothing pops from keyframe to keyframe.

    Args:
        as_filmed: whether it is drawn for the cameras that filmed, where sheets are kept whole.
            Elsewhere they are torn where depth leaps, and cannot be seen from behind.
        Ts_world_camera: (T, 4, 4) of the cameras that filmed. starts: first frames of the shots.
        inverse_depth: (K, h, w), 1 / metres, of the frames `frame_idx` (K,).
    """

    def __init__(
        self,
        intrinsics: Intrinsics,
        Ts_world_camera: Array,
        *,
        frame_idx: np.ndarray,
        inverse_depth: np.ndarray,
        starts: np.ndarray,
        as_filmed: bool = True,
    ) -> None:
        self.intrinsics, self._Ts = intrinsics, Ts_world_camera
        self._frames, self._inverse = frame_idx, inverse_depth
        self._shots = np.searchsorted(starts, frame_idx, side="right")
        self._starts, self._as_filmed = starts, as_filmed
        rows, columns = inverse_depth.shape[1] + 2, inverse_depth.shape[2] + 2
        cell = np.arange(rows * columns).reshape(rows, columns)
        a, b, c, d = (x.ravel() for x in (cell[:-1, :-1], cell[:-1, 1:], cell[1:, :-1],
                                          cell[1:, 1:]))  # fmt: skip
        self._faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
        self._sheets: dict[int, tuple[Array, np.ndarray]] = {}

    @classmethod
    def of(cls, scene: Scene, *, as_filmed: bool = True) -> SceneDepth | None:
        """The scene's, or None where the camera stood or only turned.

        Raises:
            StaleSceneError: the world stage has not run.
        """
        depth = scene.keyframe_depth
        if depth is None or len(depth.frame_idx) == 0:
            return None
        camera, placement = scene.camera, scene.placement
        return cls(
            camera.intrinsics, placement.Ts_world_camera, frame_idx=depth.frame_idx,
            inverse_depth=depth.inverse_depth.astype(float) / placement.scale,
            starts=camera.shot_starts, as_filmed=as_filmed,
        )  # fmt: skip

    @property
    def nearest(self) -> float:
        """1 / metres that few of the keyframes' cells exceed."""
        return float(np.quantile(self._inverse, 0.98))

    def inverse_depth(self, frame: int, T_world_eye: Array, eye: Intrinsics) -> np.ndarray | None:
        """1 / z (H, W) float32 in a camera at a frame, 0 where unknown; None without keyframes."""
        shot = np.searchsorted(self._starts, frame, side="right")
        own = np.flatnonzero(self._shots == shot)
        if len(own) == 0:
            return None
        after = int(np.searchsorted(self._frames[own], frame))
        first, last = own[max(after - 1, 0)], own[min(after, len(own) - 1)]
        if self._frames[last] <= frame or first == last:
            return self._draw(last, T_world_eye, eye)
        if frame < self._frames[first]:
            return self._draw(first, T_world_eye, eye)
        span = self._frames[last] - self._frames[first]
        share = np.float32((frame - self._frames[first]) / span)
        one, two = self._draw(first, T_world_eye, eye), self._draw(last, T_world_eye, eye)
        mixed = (1 - share) * one + share * two
        return np.where((one > 0) & (two > 0), mixed, np.maximum(one, two))

    def _draw(self, key: int, T_world_eye: Array, eye: Intrinsics) -> np.ndarray:
        shape = (eye.height, eye.width)
        inverse, owner = np.zeros(shape, np.float32), np.full(shape, -1, np.int32)
        sheet, faces = self._sheet(key)
        points = transform_points(invert_transform(T_world_eye), sheet)
        edges = np.zeros((len(faces), 3, 3))
        draw(points, faces, not self._as_filmed, lens(eye), edges, inverse, owner, 0)
        return inverse

    def _sheet(self, key: int) -> tuple[Array, np.ndarray]:
        """World points of a keyframe's cells, the outermost ones doubled on the picture's edge,
        and their triangles."""
        if key not in self._sheets:
            self._sheets = {k: s for k, s in self._sheets.items() if abs(k - key) <= 1}
            inverse = np.pad(self._inverse[key], 1, mode="edge")
            h, w = self._inverse.shape[1:]
            k = self.intrinsics
            x = np.clip(np.arange(-1, w + 1) + 0.5, 0, w) / w * k.width
            y = np.clip(np.arange(-1, h + 1) + 0.5, 0, h) / h * k.height
            px = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
            z = 1 / np.maximum(inverse.ravel(), 1e-4)
            corners, faces = z[self._faces], self._faces
            if not self._as_filmed:
                faces = faces[corners.max(axis=1) < _TORN * corners.min(axis=1)]
            T_world_camera = self._Ts[self._frames[key]]
            self._sheets[key] = transform_points(T_world_camera, k.unproject(px, z)), faces
        return self._sheets[key]
