"""Homes for Gaussians: the texels of a body's surface, with their place, normal and skinning."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from recon.core.checks import check_array
from recon.core.errors import InputError, MissingDependencyError
from recon.core.geometry import Array
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.raster import vertex_normals
from recon.core.rig import Rig, largest_weights
from recon.core.skeletons import CANONICAL_JOINTS, LEFT_HAND_JOINTS, RIGHT_HAND_JOINTS

MIN_RESOLUTION, MAX_RESOLUTION = 32, 1024
MAX_STRETCH = 0.05
"""Of the charts: more would leave some parts with far fewer texels than others."""
MOST_JOINTS = 8
HEAD_DENSITY, HAND_DENSITY = 1.5, 1.5
"""Factors of the texels along each side, where there is most to be seen on the smallest area."""
_JOINT = {name: i for i, name in enumerate(CANONICAL_JOINTS)}
_HANDS = tuple(
    [_JOINT[f"{side}_wrist"], *(_JOINT[name] for name in fingers)]
    for side, fingers in (("left", LEFT_HAND_JOINTS), ("right", RIGHT_HAND_JOINTS))
)


@dataclass(frozen=True, kw_only=True)
class SurfaceBinding:
    """Points of a body's surface, one at the middle of every texel that shows some of it.

    The rest pose is the T-pose of SMPL-X: y up, facing +z, the pelvis joint at the origin.

    Args:
        resolution: R, texels along each side of the square texture.
        texel: (N, 2) int, row and column; sorted.
        uvs: (F, 3, 2) of the mesh's corners, 0 to 1; texel (r, c) has its middle at u = (c + 0.5)
            / R, v = (r + 0.5) / R.
        face: (N,) int. barycentric: (N, 3).
        rest_points: (N, 3) metres. rest_normals: (N, 3) unit, outwards.
        weights: (N, K) of skinning, sum 1. indices: (N, K) int into the canonical joints.
        texel_area: (N,) m² of the body's surface that the texel stands for.
        rest_joints: (52, 3) metres.
    """

    resolution: int
    texel: np.ndarray
    uvs: np.ndarray
    face: np.ndarray
    barycentric: np.ndarray
    rest_points: np.ndarray
    rest_normals: np.ndarray
    weights: np.ndarray
    indices: np.ndarray
    texel_area: np.ndarray
    rest_joints: Array

    def __post_init__(self) -> None:
        count = len(self.texel)
        for name in ("texel", "face", "indices"):
            tail = {"texel": (2,), "face": (), "indices": (None,)}[name]
            check_array(name, getattr(self, name), (count, *tail), np.integer)
        for name in ("barycentric", "rest_points", "rest_normals"):
            check_array(name, getattr(self, name), (count, 3))
        check_array("weights", self.weights, self.indices.shape)
        check_array("texel_area", self.texel_area, (count,))
        check_array("uvs", self.uvs, (None, 3, 2))
        check_array("rest_joints", self.rest_joints, (NUM_JOINTS, 3))

    def __len__(self) -> int:
        return len(self.texel)

    @cached_property
    def skinning(self) -> Tensor:
        """The weights as a (N, 52) float32 matrix."""
        return skinning_matrix(self.weights, self.indices)

    def take(self, rows: np.ndarray) -> SurfaceBinding:
        """Only these texels."""
        whole = ("resolution", "uvs", "rest_joints")
        kept = {
            f.name: getattr(self, f.name) if f.name in whole else getattr(self, f.name)[rows]
            for f in fields(self)
        }
        return SurfaceBinding(**kept)


def skinning_matrix(weights: np.ndarray, indices: np.ndarray) -> Tensor:
    """Sparse skinning weights (N, K) as a dense (N, 52) float32 matrix."""
    dense = torch.zeros(len(weights), NUM_JOINTS)
    dense.scatter_add_(
        1, torch.from_numpy(indices.astype(np.int64)), torch.from_numpy(weights.astype(np.float32))
    )
    return dense


def rest_vertices(rig: Rig) -> np.ndarray:
    """The body's mesh (V, 3) in the rest pose, metres, the pelvis at the origin."""
    still = BodyPoses(root=np.zeros((1, 3)), rotations=np.tile(np.eye(3), (1, NUM_JOINTS, 1, 1)))
    return rig.vertices(still)[0].astype(float)


def bind_surface(
    rig: Rig,
    resolution: int,
    *,
    head_density: float = HEAD_DENSITY,
    hand_density: float = HAND_DENSITY,
) -> SurfaceBinding:
    """The texels of a body in a texture layout of its own, which fits any mesh.

    Charts are cut and packed by UVAtlas (Zhou et al. 2004, Iso-charts), which draws lots: two
    calls give two layouts. What is made in one layout must keep it.

    Args:
        resolution: texels along each side, 32 to 1024; about two thirds of them show the body.
        head_density, hand_density: how much larger the head and the hands are in the layout.

    Raises:
        InputError: a resolution out of range, or a mesh that cannot be laid out flat.
        MissingDependencyError: Open3D is not installed.
    """
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise InputError(
            f"--resolution: expected {MIN_RESOLUTION} to {MAX_RESOLUTION}, got {resolution}"
        )
    vertices, faces = rest_vertices(rig), np.asarray(rig.faces, np.int64)
    dense = rig.dense_weights()
    grown = _grown(vertices, rig, dense, (head_density, hand_density))
    uvs = _layout(grown, faces, resolution)
    texel, face, barycentric = _texels(uvs, resolution)
    corners = faces[face]

    def mixed(values: np.ndarray) -> np.ndarray:
        return np.einsum("nk,nkd->nd", barycentric, values[corners])

    normals = mixed(vertex_normals(vertices, faces))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    weights, indices = largest_weights(mixed(dense), MOST_JOINTS)
    e1, e2 = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    in_texels = 0.5 * resolution**2 * np.abs(e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0])
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1) / np.maximum(in_texels, 1e-9)
    return SurfaceBinding(
        resolution=resolution, texel=texel, uvs=uvs, face=face,
        barycentric=barycentric.astype(np.float32), rest_points=mixed(vertices).astype(np.float32),
        rest_normals=normals.astype(np.float32), weights=weights.astype(np.float32),
        indices=indices,
        texel_area=area[face].astype(np.float32), rest_joints=rig.rest_joints,
    )  # fmt: skip


def _open3d() -> ModuleType:
    try:
        import open3d
    except ImportError as error:
        raise MissingDependencyError("open3d", "viewer") from error
    return open3d


def _grown(
    vertices: np.ndarray, rig: Rig, dense: np.ndarray, densities: tuple[float, float]
) -> np.ndarray:
    """The mesh with its head and hands enlarged, so that they get more of the texture."""
    out = vertices.copy()
    parts = [([_JOINT["head"]], densities[0]), *((hand, densities[1]) for hand in _HANDS)]
    for joints, factor in parts:
        share = dense[:, joints].sum(axis=1, keepdims=True)
        out += (factor - 1) * share * (vertices - rig.rest_joints[joints[0]])
    return out


def _layout(vertices: np.ndarray, faces: np.ndarray, resolution: int) -> np.ndarray:
    """Texture coordinates (F, 3, 2) of the faces' corners."""
    o3d = _open3d()
    tensor = o3d.core.Tensor
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        mesh = o3d.t.geometry.TriangleMesh(tensor(vertices.astype(np.float32)), tensor(faces))
        try:
            mesh.compute_uvatlas(size=resolution, gutter=1.0, max_stretch=MAX_STRETCH)
        except RuntimeError as error:
            what = str(error).strip().splitlines()[0].rsplit(": ", 1)[-1]
            raise InputError(
                f"expected a body whose mesh can be laid out flat, got: {what}; "
                "use another --body-model"
            ) from error
    return np.array(mesh.triangle.texture_uvs.numpy(), float)


def _texels(uvs: np.ndarray, resolution: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column (N, 2), face (N,) and barycentric (N, 3) of the texels inside a face.

    Rays fall onto the layout, drawn as a flat mesh: a ray caster leaves no cracks between faces.
    """
    o3d = _open3d()
    flat = np.concatenate([uvs.reshape(-1, 2), np.zeros((3 * len(uvs), 1))], axis=1)
    caster, tensor = o3d.t.geometry.RaycastingScene(), o3d.core.Tensor
    corners = np.arange(3 * len(uvs), dtype=np.uint32).reshape(-1, 3)
    caster.add_triangles(tensor(flat.astype(np.float32)), tensor(corners))
    rows, columns = np.divmod(np.arange(resolution**2), resolution)
    rays = np.zeros((len(rows), 6), np.float32)
    rays[:, 0], rays[:, 1] = (columns + 0.5) / resolution, (rows + 0.5) / resolution
    rays[:, 2], rays[:, 5] = 1, -1
    hits = caster.cast_rays(tensor(rays))
    found = np.flatnonzero(np.isfinite(hits["t_hit"].numpy()))
    second = hits["primitive_uvs"].numpy()[found].astype(float)
    barycentric = np.concatenate([1 - second.sum(axis=1, keepdims=True), second], axis=1)
    face = hits["primitive_ids"].numpy()[found].astype(np.int64)
    return np.stack([rows[found], columns[found]], axis=1), face, barycentric
