"""Reads Meta's Momentum Human Rig from the TorchScript file of its release (`mhr_model.pt`).

The file holds the rig of level of detail 1 as buffers, which are all that is used: the network of
pose-dependent corrections in it is left alone, and none of its code runs here.
Source: the package `mhr` 1.0.1 (Apache-2.0) and Ferguson et al. 2025, arXiv 2511.15586.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial.transform import Rotation

from recon.core.errors import InputError
from recon.core.geometry import R_YUP_ZUP, Array, make_transform

FILE_NAME = "mhr_model.pt"
WEBSITE = "github.com/facebookresearch/MHR/releases (assets.zip, Apache-2.0)"
NUM_IDENTITY, NUM_POSE, NUM_SCALES = 45, 136, 68
_PER_JOINT = 7  # translation, Euler angles, binary logarithm of the scale
_CENTIMETRE = 0.01

_KEYS = {
    "base": "blend_shape.base_shape",
    "identity": "blend_shape.shape_vectors",
    "offsets": "skeleton.joint_translation_offsets",
    "prerotations": "skeleton.joint_prerotations",
    "parents": "skeleton.joint_parents",
    "inverse_bind": "linear_blend_skinning.inverse_bind_pose",
    "skin_vertices": "linear_blend_skinning.vert_indices_flattened",
    "skin_joints": "linear_blend_skinning.skin_indices_flattened",
    "skin_weights": "linear_blend_skinning.skin_weights_flattened",
    "faces": "mesh.faces",
    "parameters": "parameter_transform.parameter_transform",
}


@dataclass(frozen=True)
class MhrAsset:
    """The rig, in the file's own units and axes: centimetres, y up, facing +z.

    Args:
        bones: (J,) names. parents: (J,) int, -1 for the first. base: (V, 3). identity:
            (45, V, 3). offsets: (J, 3). prerotations: (J, 3, 3). inverse_bind: (J, 4, 4) with
            scale. weights: (V, J) sparse. faces: (F, 3).
        scale_parameters: (J, 7, 68), what each of the scale parameters does to each joint.
    """

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    base: Array
    identity: np.ndarray
    offsets: Array
    prerotations: Array
    inverse_bind: Array
    weights: csr_matrix
    faces: np.ndarray
    scale_parameters: Array

    def rest(self, shape: Array) -> tuple[np.ndarray, Array]:
        """Vertices (V, 3) and joint positions (J, 3) at pose zero: metres, z up, facing -y.

        Args:
            shape: (113,), 45 identity coefficients of the surface and 68 scale parameters of
                the skeleton, which carries the surface along.
        """
        identity, scales = np.split(np.asarray(shape, float), [NUM_IDENTITY])
        surface = self.base + np.tensordot(identity, self.identity, 1)
        placed = self._skeleton(self.scale_parameters @ scales)
        skin = (placed @ self.inverse_bind)[:, :3].reshape(len(placed), 12)
        blended = np.asarray(self.weights @ skin).reshape(-1, 3, 4)
        vertices = np.einsum("vab,vb->va", blended[..., :3], surface) + blended[..., 3]
        to_zup = _CENTIMETRE * R_YUP_ZUP  # of row vectors, so this is the inverse
        return vertices @ to_zup, placed[:, :3, 3] @ to_zup

    def _skeleton(self, parameters: Array) -> Array:
        """Joint frames (J, 4, 4) with scale, from joint parameters (J, 7)."""
        turns = self.prerotations @ Rotation.from_euler("xyz", parameters[:, 3:6]).as_matrix()
        local = make_transform(
            turns * np.exp2(parameters[:, 6, None, None]), self.offsets + parameters[:, :3]
        )
        out = local.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                out[joint] = out[parent] @ local[joint]
        return out

    def take(self, vertices: np.ndarray) -> MhrAsset:
        """The rig with only some of its vertices, and no faces."""
        return replace(
            self,
            base=self.base[vertices],
            identity=self.identity[:, vertices],
            weights=self.weights[vertices],
            faces=np.zeros((0, 3), np.int32),
        )


def find_mhr_file(path: Path | None) -> Path:
    """The file `mhr_model.pt` that `path` is or leads to (a folder, its `assets` or `mhr`).

    Raises:
        InputError: no path, or no such file there.
    """
    if path is None:
        raise InputError(
            f"expected --body-model-path with {FILE_NAME}, got none; it is in {WEBSITE}"
        )
    for place in (path, path / FILE_NAME, path / "assets" / FILE_NAME, path / "mhr" / FILE_NAME):
        if place.is_file():
            return place
    raise InputError(f"expected {FILE_NAME} in {path}, got no such file; it is in {WEBSITE}")


def read_mhr_file(path: Path) -> MhrAsset:
    """The rig in a file `mhr_model.pt`.

    Raises:
        InputError: it cannot be read, or is no such rig.
    """
    import torch

    try:
        module = torch.jit.load(str(path), map_location="cpu")
        buffers = {key: value.numpy() for key, value in module.state_dict().items()}
        names = tuple(str(name) for name in module.character_torch.skeleton.joint_names)
        arrays = {short: buffers[f"character_torch.{key}"] for short, key in _KEYS.items()}
    except Exception as error:  # a damaged archive can raise anything
        first = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"expected MHR's {FILE_NAME}, got {path}: {type(error).__name__}: {first}; "
            f"download it again from {WEBSITE}"
        ) from error
    _check(arrays, names, path)
    return _asset(arrays, names)


def _check(arrays: Mapping[str, np.ndarray], names: tuple[str, ...], path: Path) -> None:
    v, j, skinned = len(arrays["base"]), len(names), len(arrays["skin_weights"])
    columns = NUM_POSE + NUM_SCALES + NUM_IDENTITY
    wanted = {
        "base": (v, 3), "identity": (NUM_IDENTITY, v, 3), "offsets": (j, 3),
        "prerotations": (j, 4), "parents": (j,), "inverse_bind": (j, 8),
        "skin_vertices": (skinned,), "skin_joints": (skinned,), "skin_weights": (skinned,),
        "parameters": (_PER_JOINT * j, columns),
    }  # fmt: skip
    for key, shape in wanted.items():
        if arrays[key].shape != shape:
            raise InputError(
                f"expected MHR's {_KEYS[key]} of shape {shape}, got {arrays[key].shape} in {path}; "
                "give the file of MHR's release 1.0"
            )


def _asset(arrays: Mapping[str, np.ndarray], names: tuple[str, ...]) -> MhrAsset:
    v, j = len(arrays["base"]), len(names)
    bind = arrays["inverse_bind"].astype(float)  # translation, quaternion xyzw, scale
    turns = Rotation.from_quat(bind[:, 3:7]).as_matrix() * bind[:, 7, None, None]
    corners = (arrays["skin_vertices"].astype(int), arrays["skin_joints"].astype(int))
    parameters = arrays["parameters"].astype(float).reshape(j, _PER_JOINT, -1)
    return MhrAsset(
        bones=names,
        parents=tuple(int(p) for p in arrays["parents"]),
        base=arrays["base"].astype(float),
        identity=arrays["identity"].astype(np.float32),
        offsets=arrays["offsets"].astype(float),
        prerotations=Rotation.from_quat(arrays["prerotations"].astype(float)).as_matrix(),
        inverse_bind=make_transform(turns, bind[:, :3]),
        weights=csr_matrix((arrays["skin_weights"].astype(float), corners), shape=(v, j)),
        faces=arrays["faces"].astype(np.int32),
        scale_parameters=parameters[..., NUM_POSE : NUM_POSE + NUM_SCALES],
    )
