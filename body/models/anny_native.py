"""Poses in Anny's own parameters, through the `anny` package itself (loads torch)."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from body.models.anny_asset import read_arrays
from recon.core.geometry import Array

if TYPE_CHECKING:
    import torch
    from anny import Anny

POSE_PARAMETERIZATION = "local-ref"
"""How the parameters state rotations: Anny's own name for it."""


def pose_parameters(shape: Array, skinning: Array) -> np.ndarray:
    """Anny's pose parameters (N, 104, 4, 4) in POSE_PARAMETERIZATION.

    Args:
        shape: (6,) phenotype. skinning: (N, 104, 4, 4), bind pose to posed, per bone.
    """
    import torch

    model = native_model()
    phenotype = torch.as_tensor(np.asarray(shape)[None])
    with torch.no_grad():
        rest = model(pose_parameters=None, phenotype_kwargs=phenotype)["rest_bone_poses"]
        posed = {"rest_bone_poses": rest, "bone_poses": torch.as_tensor(skinning) @ rest}
        return model.get_pose_parameterization(posed, POSE_PARAMETERIZATION).numpy()


@lru_cache(maxsize=1)
def native_model() -> Anny:
    """The package's own model on our compact data, float64: float32 would lose a digit of poses."""
    from anny import Anny
    from anny.models.model_data import ModelData, ModelMetadata

    arrays = read_arrays()
    tensors = {k[5:]: _tensor(v) for k, v in arrays.items() if k.startswith("data.")}
    tensors["vertex_bone_weights"] /= tensors["vertex_bone_weights"].sum(dim=1, keepdim=True)
    metadata = ModelMetadata(**json.loads(str(arrays["metadata"])))
    return Anny.from_model_data(
        ModelData(metadata=metadata, **tensors),
        bone_orientation="cached",
        root_identity_orientation=False,
        pose_parameterization=POSE_PARAMETERIZATION,
        # The default imports warp, which prints a banner on stdout and compiles at first use.
        skinning_method="lbs",
    )


def _tensor(array: np.ndarray) -> torch.Tensor:
    import torch

    floating = np.issubdtype(array.dtype, np.floating)
    return torch.as_tensor(array.astype(np.float64 if floating else np.int64))
