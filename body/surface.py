"""Closest points on a triangle mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree
from trimesh.triangles import closest_point, points_to_barycentric

from recon.core.geometry import Array

_CANDIDATES = 8
"""Faces tried per point: those whose centres are nearest."""


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a mesh: face (P,), barycentric (P, 3), position (P, 3), unit normal (P, 3)."""

    face: np.ndarray
    barycentric: Array
    position: Array
    normal: Array


class Surface:
    """A mesh with vertices (V, 3) and faces (F, 3), for many queries."""

    def __init__(self, vertices: Array, faces: np.ndarray) -> None:
        self._triangles = np.asarray(vertices, float)[faces]
        edges = self._triangles[:, 1:] - self._triangles[:, :1]
        normals = np.cross(edges[:, 0], edges[:, 1])
        length = np.linalg.norm(normals, axis=1)
        self._faces = np.flatnonzero(length > 1e-14)  # a face without area has no inside
        self._normals = normals / np.maximum(length, 1e-14)[:, None]
        self._tree = KDTree(self._triangles[self._faces].mean(axis=1))

    def closest(self, points: Array) -> SurfacePoints:
        """The nearest point of the mesh to each of the points (P, 3).

        Exact where the face is among those whose centres are nearest, as in meshes of even
        triangles; else a point of a neighbouring face.
        """
        count = min(_CANDIDATES, len(self._faces))
        near = self._tree.query(points, k=count)[1].reshape(len(points), count)
        faces = self._faces[near]
        tried = closest_point(
            self._triangles[faces.ravel()], np.repeat(np.asarray(points, float), count, axis=0)
        ).reshape(len(points), count, 3)
        best = np.argmin(np.linalg.norm(tried - points[:, None], axis=-1), axis=1)
        rows = np.arange(len(points))
        face, position = faces[rows, best], tried[rows, best]
        return SurfacePoints(
            face=face,
            barycentric=points_to_barycentric(self._triangles[face], position),
            position=position,
            normal=self._normals[face],
        )
