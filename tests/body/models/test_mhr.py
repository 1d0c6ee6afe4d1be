"""MHR on a stand-in for its release file: Anny's mean body under MHR's names, units and axes.

What this module computes was also held against the package `body-models` 0.26.2, which reads the
same file: vertices and joints of random shapes agree to a micrometre.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from body.convert import fit_poses, measure
from body.models.anny import AnnyModel
from body.models.mhr import MhrModel
from body.models.mhr_files import NUM_IDENTITY, NUM_POSE
from body.registration import register
from recon.core.errors import InputError
from tests.body.models.bodies import random_poses, rest_poses
from tests.body.models.mhr_file import NUM_VERTICES, ROOT_SCALE, write_mhr

ANNY = AnnyModel()
MEAN = ANNY.param_spec.mean


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mhr") / "assets" / "mhr_model.pt"
    path.parent.mkdir()
    write_mhr(path)
    return path


@pytest.fixture(scope="module")
def model(path: Path) -> MhrModel:
    return MhrModel(path.parents[1])  # the folder into which the release was unpacked


def shape_with(model: MhrModel, **values: float) -> np.ndarray:
    shape = model.param_spec.mean.copy()
    for name, value in values.items():
        shape[model.param_spec.names.index(name)] = value
    return shape


def test_joints_and_surface_points_are_where_the_same_body_has_them(model: MhrModel) -> None:
    body, truth = model.rest_body(model.param_spec.mean), ANNY.rest_body(MEAN)
    np.testing.assert_allclose(body.joints, truth.joints, atol=1e-6)
    np.testing.assert_allclose(body.keypoints, truth.keypoints, atol=1e-3)
    np.testing.assert_allclose(body.soles, truth.soles, atol=1e-3)
    assert body.stature == pytest.approx(truth.stature, abs=3e-3)


def test_the_resting_rig_is_the_files_own_mesh(model: MhrModel, path: Path) -> None:
    buffers = torch.jit.load(str(path)).state_dict()
    base = 0.01 * buffers["character_torch.blend_shape.base_shape"].numpy()
    rig = model.skinning_spec(model.param_spec.mean)
    assert len(rig.bind_vertices) == NUM_VERTICES
    np.testing.assert_allclose(rig.vertices(rest_poses())[0], base, atol=1e-5)


def test_the_skeleton_scales_as_momentum_states_it(model: MhrModel, path: Path) -> None:
    """Joint by joint: T_world = T_parent [2^s R_pre Rz Ry Rx | offset + t], in centimetres."""
    buffers = {
        key.removeprefix("character_torch."): value.numpy().astype(float)
        for key, value in torch.jit.load(str(path)).state_dict().items()
    }
    rng = np.random.default_rng(0)
    shape = np.concatenate([rng.normal(0, 1, 45), rng.normal(0, 0.1, 68)])
    vertices, heads = model._asset.rest(shape)
    controls = np.concatenate([np.zeros(NUM_POSE), shape[NUM_IDENTITY:], np.zeros(45)])
    parameters = (buffers["parameter_transform.parameter_transform"] @ controls).reshape(-1, 7)
    frames: list[np.ndarray] = []
    for j, parent in enumerate(buffers["skeleton.joint_parents"].astype(int)):
        ax, ay, az = parameters[j, 3:6]
        turn = Rotation.from_quat(buffers["skeleton.joint_prerotations"][j])
        for axis, angle in (("z", az), ("y", ay), ("x", ax)):
            turn = turn * Rotation.from_euler(axis, angle)
        local = np.eye(4)
        local[:3, :3] = 2 ** parameters[j, 6] * turn.as_matrix()
        local[:3, 3] = buffers["skeleton.joint_translation_offsets"][j] + parameters[j, :3]
        frames.append(frames[parent] @ local if parent >= 0 else local)

    def zup(points: np.ndarray) -> np.ndarray:
        return 0.01 * np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)

    np.testing.assert_allclose(heads, zup(np.stack(frames)[:, :3, 3]), atol=1e-6)
    surface = buffers["blend_shape.base_shape"] + np.tensordot(
        shape[:NUM_IDENTITY], buffers["blend_shape.shape_vectors"], 1
    )
    bind = buffers["linear_blend_skinning.inverse_bind_pose"]
    skin = {
        key: buffers[f"linear_blend_skinning.{key}_flattened"]
        for key in ("vert_indices", "skin_indices", "skin_weights")
    }
    for v in range(0, NUM_VERTICES, 500):
        posed = np.zeros(3)
        for k in np.flatnonzero(skin["vert_indices"] == v):
            j = int(skin["skin_indices"][k])
            local = bind[j, 7] * Rotation.from_quat(bind[j, 3:7]).apply(surface[v]) + bind[j, :3]
            posed += skin["skin_weights"][k] * (frames[j] @ np.append(local, 1))[:3]
        np.testing.assert_allclose(vertices[v], zup(posed[None])[0], atol=1e-5)


def test_one_scale_for_the_whole_body(model: MhrModel) -> None:
    mean = model.rest_body(model.param_spec.mean)
    larger = model.rest_body(shape_with(model, **{f"scale{ROOT_SCALE}": 0.2}))
    np.testing.assert_allclose(larger.joints, 2**0.2 * mean.joints, atol=1e-9)
    np.testing.assert_allclose(larger.keypoints, 2**0.2 * mean.keypoints, atol=1e-6)
    assert larger.stature == pytest.approx(2**0.2 * mean.stature)


def test_surface_points_follow_the_identity_of_the_whole_mesh(model: MhrModel) -> None:
    shape = shape_with(model, identity0=2.0, identity7=-2.0, scale5=0.1)
    rig, body = model.skinning_spec(shape), model.rest_body(shape)
    assert body.stature == pytest.approx(float(np.ptp(rig.bind_vertices[:, 2])), abs=1e-5)
    assert np.abs(body.keypoints - model.rest_body(model.param_spec.mean).keypoints).max() > 0.005
    vertices = rig.vertices(rest_poses())[0]
    gaps = np.linalg.norm(vertices[None] - body.keypoints[:11, None], axis=-1).min(axis=1)
    assert gaps.max() < 0.03  # the face's points stay on the face


def test_annys_people_become_mhr(model: MhrModel) -> None:
    shape = MEAN + ANNY.param_spec.std * np.array([0, 0, 0, 0, 0.7, 0])
    registration = register(ANNY.skinning_spec(shape), model)
    assert np.abs(registration.shape).max() > 0.05
    poses = random_poses(3, spread=0.25)
    residual = measure(registration, poses, fit_poses(registration, poses))
    assert residual.vertices_mean < 0.003 and residual.limb_joints < 0.006


def test_a_file_of_another_kind_or_layout_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "mhr_model.pt").write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"mhr_model\.pt.*download it again"):
        MhrModel(tmp_path)
    module = torch.jit.load(str(path))
    skeleton = module.character_torch.skeleton
    offsets = skeleton.joint_translation_offsets.clone()
    skeleton.joint_translation_offsets.copy_(offsets / 100)  # metres
    module.save(str(tmp_path / "metres.pt"))
    with pytest.raises(InputError, match="y up, facing"):
        MhrModel(tmp_path / "metres.pt")
    with pytest.raises(InputError, match="no such file"):
        MhrModel(tmp_path / "elsewhere")
