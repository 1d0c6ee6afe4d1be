from __future__ import annotations

import os
import pickle
import sys
import tracemalloc
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from body.models.anny import AnnyModel
from body.models.smpl_files import find_model_file, read_model_file
from body.models.smplx import SmplhModel, SmplModel, SmplxModel
from recon.core.errors import InputError
from recon.core.geometry import matrix_to_rotvec
from recon.core.people import BodyPoses
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS, CANONICAL_JOINTS
from tests.body.models.bodies import (
    PELVIS,
    random_poses,
    rest_poses,
    smpl_arrays,
    smplh_arrays,
    write_smplx,
)

smplx = pytest.importorskip("smplx")
torch = pytest.importorskip("torch")
BETAS = np.random.default_rng(1).normal(0, 1, 10)
NUM_FRAMES = 18  # more than one chunk


class _Ch:
    """Pickles as chumpy's classes do: by class name, with a dictionary as its state."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


def _chumpy_pickle(content: dict[str, Any], protocol: int) -> bytes:
    """The official layout: shape directions are a chumpy selection of a chumpy array."""
    ch = type("Ch", (_Ch,), {"__module__": "chumpy.ch"})
    select = type("Select", (_Ch,), {"__module__": "chumpy.reordering"})
    modules = {
        name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")
    }
    modules["chumpy.ch"].Ch = ch  # type: ignore[attr-defined]
    modules["chumpy.reordering"].Select = select  # type: ignore[attr-defined]
    dirs = content["shapedirs"]
    padded = np.concatenate([dirs, 7.0 + dirs], axis=-1)
    chosen = np.arange(padded.size).reshape(padded.shape)[..., :10]
    wrapped = select(a=ch(x=padded), idxs=chosen.ravel(), preferred_shape=dirs.shape)
    sys.modules.update(modules)
    try:
        return pickle.dumps(
            content | {"shapedirs": wrapped, "v_template": ch(x=content["v_template"])}, protocol
        )
    finally:
        for name in modules:
            del sys.modules[name]


@pytest.fixture(scope="module")
def smplx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from smplx.vertex_ids import vertex_ids

    folder = tmp_path_factory.mktemp("models")
    (folder / "smplx").mkdir()
    write_smplx(folder / "smplx" / "SMPLX_NEUTRAL.npz", vertex_ids["smplx"])
    return folder


@pytest.fixture(scope="module")
def smplx_model(smplx_folder: Path) -> SmplxModel:
    return SmplxModel(smplx_folder)


@pytest.fixture(scope="module")
def smpl_content() -> dict[str, Any]:
    from smplx.vertex_ids import vertex_ids

    return smpl_arrays(vertex_ids["smplh"])


@pytest.fixture(scope="module")
def smpl_model(smpl_content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> SmplModel:
    path = tmp_path_factory.mktemp("smpl") / "SMPL_NEUTRAL.pkl"
    path.write_bytes(_chumpy_pickle(smpl_content, protocol=2))
    return SmplModel(path)


@pytest.fixture(scope="module")
def smplh_content() -> dict[str, Any]:
    from smplx.vertex_ids import vertex_ids

    return smplh_arrays(vertex_ids["smplh"])


@pytest.fixture(scope="module")
def smplh_model(
    smplh_content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> SmplhModel:
    folder = tmp_path_factory.mktemp("models") / "smplh" / "neutral"
    folder.mkdir(parents=True)
    np.savez(folder / "model.npz", **smplh_content)
    return SmplhModel(folder.parents[1])


def _package_output(module: Any, model: Any, poses: BodyPoses, **joints: slice) -> Any:
    """The package's own forward; every named pose is a slice of our canonical rotations."""
    rotvecs = matrix_to_rotvec(poses.rotations)
    named = {
        key: torch.as_tensor(rotvecs[:, part].reshape(len(rotvecs), -1), dtype=torch.float32)
        for key, part in joints.items()
    }
    transl = poses.root - model.pelvis_offset(BETAS)
    with torch.no_grad():
        return module(
            betas=torch.as_tensor(BETAS, dtype=torch.float32).expand(len(rotvecs), -1),
            transl=torch.as_tensor(transl, dtype=torch.float32),
            **named,
        )


@pytest.fixture(scope="module")
def smplx_truth(smplx_folder: Path, smplx_model: SmplxModel) -> tuple[BodyPoses, Any]:
    module = smplx.create(
        str(smplx_folder), model_type="smplx", use_pca=False, flat_hand_mean=True,
        batch_size=NUM_FRAMES,
    )  # fmt: skip
    poses = random_poses(NUM_FRAMES)
    parts = {
        "global_orient": slice(0, 1), "body_pose": slice(1, 22),
        "left_hand_pose": slice(22, 37), "right_hand_pose": slice(37, 52),
    }  # fmt: skip
    return poses, _package_output(module, smplx_model, poses, **parts)


def test_smplx_joints_are_the_packages_own(smplx_model: SmplxModel, smplx_truth: Any) -> None:
    poses, truth = smplx_truth
    from smplx.joint_names import JOINT_NAMES

    names = JOINT_NAMES[:55]
    order = [names.index(name) for name in CANONICAL_JOINTS]
    joints = smplx_model.skeleton(BETAS, poses)
    assert np.abs(joints - truth.joints.numpy()[:, order]).max() < 1e-4


def test_smplx_vertices_are_the_packages_own(smplx_model: SmplxModel, smplx_truth: Any) -> None:
    poses, truth = smplx_truth
    vertices = smplx_model.vertices(BETAS, poses)
    assert vertices.dtype == np.float32
    assert np.abs(vertices - truth.vertices.numpy()).max() < 1e-4


def test_smplx_rig_skins_like_the_package_up_to_pose_blend_shapes(
    smplx_model: SmplxModel, smplx_truth: Any
) -> None:
    poses, truth = smplx_truth
    rig = smplx_model.skinning_spec(BETAS)
    np.testing.assert_allclose(rig.weights.sum(axis=1), 1, atol=1e-5)
    error = np.linalg.norm(rig.vertices(poses) - truth.vertices.numpy(), axis=-1)
    assert 1e-4 < error.max() < 0.03  # the fake pose blend shapes move a vertex by millimetres
    rest = rig.vertices(rest_poses())
    np.testing.assert_allclose(rest, smplx_model.vertices(BETAS, rest_poses()), atol=1e-5)


def test_pelvis_offset_is_the_models_own_pelvis(smplx_model: SmplxModel) -> None:
    np.testing.assert_allclose(smplx_model.pelvis_offset(np.zeros(10)), PELVIS, atol=1e-3)
    assert np.abs(smplx_model.pelvis_offset(BETAS) - PELVIS).max() > 1e-4


def test_smpl_joints_and_vertices_are_the_packages_own(
    smpl_model: SmplModel, smpl_content: dict[str, Any]
) -> None:
    struct = types.SimpleNamespace(**smpl_content)
    module = smplx.SMPL("", data_struct=struct, batch_size=NUM_FRAMES)
    poses = random_poses(NUM_FRAMES, seed=2)
    padded = poses.rotations.copy()
    padded[:, 22:24] = np.eye(3)  # SMPL's hand joints do not bend
    truth = _package_output(
        module, smpl_model, BodyPoses(root=poses.root, rotations=padded),
        global_orient=slice(0, 1), body_pose=slice(1, 24),
    )  # fmt: skip
    joints = smpl_model.skeleton(BETAS, poses)
    assert np.abs(joints[:, :22] - truth.joints.numpy()[:, :22]).max() < 1e-4
    assert np.abs(smpl_model.vertices(BETAS, poses) - truth.vertices.numpy()).max() < 1e-4


def test_smpl_fingers_rest_on_a_mean_hand_and_move_nothing(smpl_model: SmplModel) -> None:
    rest = smpl_model.rest_body(np.zeros(10)).joints
    anny = AnnyModel()
    theirs = anny.rest_body(anny.param_spec.mean).joints
    assert np.linalg.norm(rest[22:] - theirs[22:], axis=1).max() < 0.01
    weights = smpl_model.skinning_spec(np.zeros(10)).dense_weights()
    assert weights[:, 22:].max() == 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


def test_smplh_joints_vertices_and_hands_are_the_packages_own(
    smplh_content: dict[str, Any], smplh_model: SmplhModel
) -> None:
    struct = types.SimpleNamespace(**smplh_content)
    module = smplx.SMPLH(
        "", data_struct=struct, batch_size=NUM_FRAMES, use_pca=False, flat_hand_mean=True,
        num_betas=10,
    )  # fmt: skip
    poses = random_poses(NUM_FRAMES, seed=3)
    truth = _package_output(
        module, smplh_model, poses, global_orient=slice(0, 1), body_pose=slice(1, 22),
        left_hand_pose=slice(22, 37), right_hand_pose=slice(37, 52),
    )  # fmt: skip
    assert np.abs(smplh_model.skeleton(BETAS, poses) - truth.joints.numpy()[:, :52]).max() < 1e-4
    assert np.abs(smplh_model.vertices(BETAS, poses) - truth.vertices.numpy()).max() < 1e-4


@pytest.mark.parametrize("kind", ["smplx", "smplh", "smpl"])
def test_surface_points_agree_with_annys_on_the_same_body(
    kind: str, request: pytest.FixtureRequest
) -> None:
    body = request.getfixturevalue(f"{kind}_model").rest_body(np.zeros(10))
    anny = AnnyModel()
    truth = anny.rest_body(anny.param_spec.mean)
    assert abs(body.stature - truth.stature) < 0.02
    error = np.linalg.norm(body.keypoints - truth.keypoints, axis=1)
    assert error.max() < 0.035, dict(zip(BLAZEPOSE_KEYPOINTS, error.round(3), strict=True))
    error = np.linalg.norm(body.soles - truth.soles, axis=1)
    assert error.max() < 0.035, error
    assert np.abs(body.soles[:, 1] - truth.soles[:, 1]).max() < 0.006


def test_the_folder_its_parent_or_the_file_itself_may_be_given(smplx_folder: Path) -> None:
    folder = smplx_folder / "smplx"
    file = folder / "SMPLX_NEUTRAL.npz"
    for path in (smplx_folder, folder, file):
        found = find_model_file(path, SmplxModel.file_names, folder="smplx", website="")
        assert found == file


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_give_their_arrays_without_chumpy(
    protocol: int, smpl_content: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "model.pkl"
    small = smpl_content | {"posedirs": np.zeros(3), "v_template": np.arange(6.0)}
    path.write_bytes(_chumpy_pickle(small, protocol))
    arrays = read_model_file(path)
    np.testing.assert_array_equal(arrays["shapedirs"], small["shapedirs"])
    np.testing.assert_array_equal(arrays["J_regressor"], small["J_regressor"].toarray())
    np.testing.assert_array_equal(arrays["v_template"], small["v_template"])


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_pickle_runs_no_code(smpl_content: dict[str, Any], tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(smpl_content | {"f": _Evil(trap)}))
    with pytest.raises(InputError, match="numeric array"):
        SmplModel(path)
    assert not trap.exists()


def test_a_pickle_of_ten_bytes_takes_no_memory(tmp_path: Path) -> None:
    """The unpickler in C makes room for a billion notes when a file numbers one so."""
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(b"\x80\x02}r" + (2**23).to_bytes(4, "little") + b".")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="v_template"):
            SmplModel(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_file_of_another_model_or_kind_is_refused(smplx_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected smpl .*6890.*10475.*SMPL_NEUTRAL"):
        SmplModel(smplx_folder / "smplx" / "SMPLX_NEUTRAL.npz")
    motion = tmp_path / "motion.npz"
    np.savez(motion, poses=np.zeros((3, 165)))
    with pytest.raises(InputError, match="v_template"):
        SmplxModel(motion)
    for name in ("SMPLX_NEUTRAL.npz", "SMPLX_NEUTRAL.pkl"):
        (tmp_path / name).write_bytes(b"not a model")
        with pytest.raises(InputError, match=f"{name}.*download it again"):
            SmplxModel(tmp_path / name)
