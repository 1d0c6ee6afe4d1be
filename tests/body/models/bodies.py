"""What the body-model tests share: random poses, and stand-ins for the licensed files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix

from body.models.anny import AnnyModel
from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS, CANONICAL_JOINTS, CANONICAL_PARENTS

J = {name: i for i, name in enumerate(CANONICAL_JOINTS)}
PELVIS = np.array([0.003, -0.351, 0.012])  # where the pelvis lies in the fake templates


def rest_poses(num_frames: int = 1) -> BodyPoses:
    """The T-pose at the origin."""
    rotations = np.tile(np.eye(3), (num_frames, NUM_JOINTS, 1, 1))
    return BodyPoses(root=np.zeros((num_frames, 3)), rotations=rotations)


def random_poses(num_frames: int, *, seed: int = 0, spread: float = 0.4) -> BodyPoses:
    """Random rotations of every joint (radians, standard deviation `spread`) and roots."""
    rng = np.random.default_rng(seed)
    rotvecs = spread * rng.standard_normal((num_frames, NUM_JOINTS, 3))
    rotvecs[:, 0] *= 4
    return BodyPoses(root=rng.normal(0, 2, (num_frames, 3)), rotations=rotvec_to_matrix(rotvecs))


def bent(joint: str, rotvec: list[float]) -> BodyPoses:
    """The T-pose with one joint turned."""
    poses = rest_poses()
    poses.rotations[0, J[joint]] = rotvec_to_matrix(np.array(rotvec))
    return poses


def _points_near(target: Array, vertices: Array) -> Array:
    """Weights (V,) on nearby vertices that sum to one and average to the point."""
    near = np.argsort(np.linalg.norm(vertices - target, axis=1))[:60]
    out = np.zeros(len(vertices))
    system = np.vstack([vertices[near].T, np.ones(len(near))])
    out[near] = np.linalg.lstsq(system, np.append(target, 1.0), rcond=None)[0]
    return out


def _named_points(keypoints: dict[str, Array], joints: Array) -> dict[str, Array]:
    """Where the package's named vertices lie on Anny's body."""
    points = {"nose": keypoints["nose"]}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        low, up = side[0], side[0].upper()
        toe, across = keypoints[f"{side}_foot_index"], np.array([0.01 * sign, 0.0, 0.0])
        points |= {
            f"{low}eye": keypoints[f"{side}_eye"], f"{low}ear": keypoints[f"{side}_ear"],
            f"{up}Heel": keypoints[f"{side}_heel"],
            f"{up}BigToe": toe - across, f"{up}SmallToe": toe + 3 * across,
        }  # fmt: skip
        points |= {
            f"{low}{f}": joints[J[f"{side}_{f}3"]]
            for f in ("thumb", "index", "middle", "ring", "pinky")
        }
    return points


def fake_model(
    num_vertices: int, vertex_ids: dict[str, int], joint_points: Array, owners: list[int]
) -> dict[str, np.ndarray]:
    """Anny's body under the names and shapes of an SMPL-like file.

    Args:
        vertex_ids: named vertices. joint_points: (J, 3), pelvis at the origin.
        owners: the canonical joint whose parent each joint takes; repeated for its children.
    """
    rng = np.random.default_rng(3)
    anny = AnnyModel()
    shape = anny.param_spec.mean
    rig, body = anny.skinning_spec(shape), anny.rest_body(shape)
    mesh = rig.vertices(rest_poses())[0].astype(float)
    chosen = rng.permutation(len(mesh))[:num_vertices]
    vertices = mesh[chosen]
    named = _named_points(dict(zip(BLAZEPOSE_KEYPOINTS, body.keypoints, strict=True)), body.joints)
    for name, index in vertex_ids.items():
        chosen[index] = np.argmin(np.linalg.norm(mesh - named[name], axis=1))
        vertices[index] = named[name]
    first = [owners.index(o) for o in owners]
    dense = rig.dense_weights()[chosen]
    for j in range(NUM_JOINTS - 1, -1, -1):  # children first: a joint they lack moves its parent
        if j not in owners:
            dense[:, CANONICAL_PARENTS[j]] += dense[:, j]
    weights = dense[:, owners] * (np.array(first) == range(len(owners)))
    parents = [
        first[i] if first[i] != i else owners.index(CANONICAL_PARENTS[o]) if o else 2**32 - 1
        for i, o in enumerate(owners)
    ]
    pose_shapes = rng.normal(0, 3e-4, (num_vertices, 3, 9)).astype(np.float32)
    linear = np.einsum("vb,kab->vak", vertices + PELVIS, rng.normal(0, 0.02, (20, 3, 3)))
    return {
        "v_template": vertices + PELVIS,
        "shapedirs": linear,
        "posedirs": np.tile(pose_shapes, len(owners) - 1),
        "J_regressor": np.stack([_points_near(p, vertices) for p in joint_points]),
        "weights": weights,
        "kintree_table": np.array([parents, range(len(owners))]),
        "f": rng.integers(0, num_vertices, (500, 3)).astype(np.uint32),
    }


def _smpl_joints() -> Array:
    """Anny's canonical joints (52, 3), with the hips where SMPL has them."""
    joints = AnnyModel().rest_body(AnnyModel().param_spec.mean).joints.copy()
    joints[J["left_hip"]], joints[J["right_hip"]] = [0.06, -0.05, 0.0], [-0.06, -0.05, 0.0]
    return joints


def write_smplx(path: Path, vertex_ids: dict[str, int]) -> None:
    """A file with every key of the official SMPLX_NEUTRAL.npz (version 1.0)."""
    head, joints = J["head"], _smpl_joints()
    face = joints[head] + np.array([[0, 0.0, 0.03], [0.03, 0.04, 0.08], [-0.03, 0.04, 0.08]])
    model = fake_model(
        10475, vertex_ids, np.concatenate([joints[:22], face, joints[22:]]),
        [*range(22), head, head, head, *range(22, 52)],
    )  # fmt: skip
    rng = np.random.default_rng(4)
    extra: dict[str, Any] = {
        "joint2num": np.array({"Pelvis": 0}, dtype=object),
        "part2num": np.array({"Global": 0}, dtype=object),
        "dynamic_lmk_faces_idx": np.zeros((79, 17), int),
        "dynamic_lmk_bary_coords": np.full((79, 17, 3), 1 / 3),
        "lmk_faces_idx": np.zeros(51, np.uint32), "lmk_bary_coords": np.full((51, 3), 1 / 3),
        "vt": np.zeros((11313, 2)), "ft": np.zeros((20908, 3), np.uint32),
    }  # fmt: skip
    for side in "lr":
        extra[f"hands_mean{side}"] = rng.normal(0, 0.3, 45)
        extra[f"hands_components{side}"] = rng.normal(0, 0.3, (45, 45))
        extra[f"hands_coeffs{side}"] = np.zeros((1554, 45))
    np.savez(path, **model, **extra)


def smpl_arrays(vertex_ids: dict[str, int]) -> dict[str, Any]:
    """The content of the official SMPL_NEUTRAL.pkl, without its chumpy wrappers."""
    joints = _smpl_joints()
    hands = np.stack([joints[J[f"{side}_middle1"]] for side in ("left", "right")])
    wrists = [J["left_wrist"], J["right_wrist"]]
    hands = joints[wrists] + 0.78 * (hands - joints[wrists])
    model: dict[str, Any] = fake_model(
        6890, vertex_ids, np.concatenate([joints[:22], hands]), [*range(22), *wrists]
    )
    model["shapedirs"] = model["shapedirs"][..., :10]
    model["kintree_table"] = model["kintree_table"].astype(np.uint32)
    model["J_regressor"] = csc_matrix(model["J_regressor"])
    return model | {
        "J": joints[:24], "J_regressor_prior": model["J_regressor"], "bs_style": "lbs",
        "bs_type": "lrotmin", "weights_prior": model["weights"],
        "vert_sym_idxs": np.arange(6890),
    }  # fmt: skip


def smplh_arrays(vertex_ids: dict[str, int]) -> dict[str, Any]:
    """The content of a neutral/model.npz of the extended SMPL-H release (16 shape directions)."""
    model: dict[str, Any] = fake_model(6890, vertex_ids, _smpl_joints(), list(range(NUM_JOINTS)))
    rng = np.random.default_rng(5)
    model["shapedirs"] = model["shapedirs"][..., :16]
    for side in "lr":
        model[f"hands_mean{side}"] = rng.normal(0, 0.3, 45)
        model[f"hands_components{side}"] = rng.normal(0, 0.3, (45, 45))
    return model | {"bs_style": "lbs", "bs_type": "lrotmin", "J": np.zeros((52, 3))}
