from __future__ import annotations

import numpy as np
import pytest
import torch

from body.models.anny import AnnyModel
from body.models.anny_asset import load_asset
from body.models.anny_native import POSE_PARAMETERIZATION, native_model
from recon.core.geometry import rotvec_to_matrix
from recon.core.people import FOOT_POINTS, BodyPoses
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS
from tests.body.models.bodies import J, bent, random_poses, rest_poses

MIRROR = np.array([-1.0, 1.0, 1.0])
K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}


@pytest.fixture(scope="module")
def model() -> AnnyModel:
    return AnnyModel()


@pytest.fixture(scope="module")
def shape(model: AnnyModel) -> np.ndarray:
    """Someone unlike the mean in every parameter."""
    spec = model.param_spec
    return spec.mean + spec.std * np.array([1.0, -0.5, 0.8, 1.2, 0.7, -0.6])


def mirrored(points: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Points with left and right exchanged and reflected in the plane x = 0."""
    swap = {"left": "right", "right": "left"}
    other = ["_".join(swap.get(part, part) for part in name.split("_")) for name in names]
    return points[[names.index(name) for name in other]] * MIRROR


def test_the_mean_adult_is_170_cm_tall_and_symmetric(model: AnnyModel) -> None:
    body = model.rest_body(model.param_spec.mean)
    assert abs(body.stature - 1.70) < 0.005
    np.testing.assert_array_equal(body.joints[0], 0)
    for points, names in (
        (body.joints, model.joint_names),
        (body.keypoints, BLAZEPOSE_KEYPOINTS),
        (body.soles, FOOT_POINTS),
    ):
        assert np.abs(points - mirrored(points, names)).max() < 2e-3


def test_the_height_parameter_makes_bodies_taller(model: AnnyModel) -> None:
    k = model.param_spec.names.index("height")
    values = np.tile(model.param_spec.mean, (4, 1))
    values[:, k] = [0.1, 0.3, 0.5, 0.9]
    statures = [model.rest_body(v).stature for v in values]
    assert (np.diff(statures) > 0.05).all()


def test_the_rest_pose_is_a_t_pose_facing_z(model: AnnyModel, shape: np.ndarray) -> None:
    at = dict(zip(model.joint_names, model.rest_body(shape).joints, strict=True))

    def along(start: str, end: str, axis: list[float]) -> float:
        step = at[end] - at[start]
        return float(step @ axis / np.linalg.norm(step))

    for side, x in (("left", 1.0), ("right", -1.0)):
        assert along(f"{side}_shoulder", f"{side}_elbow", [x, 0, 0]) > 0.98
        assert along(f"{side}_elbow", f"{side}_wrist", [x, 0, 0]) > 0.99
        assert along(f"{side}_wrist", f"{side}_middle1", [x, 0, 0]) > 0.99
        assert along(f"{side}_pinky1", f"{side}_index1", [0, 0, 1]) > 0.9  # palms down
        assert along(f"{side}_hip", f"{side}_knee", [0, -1, 0]) > 0.98
        assert along(f"{side}_knee", f"{side}_ankle", [0, -1, 0]) > 0.98
        assert along(f"{side}_ankle", f"{side}_foot", [0, 0, 1]) > 0.8
    assert along("pelvis", "head", [0, 1, 0]) > 0.99
    soles = model.rest_body(shape).soles
    assert np.ptp(soles[:, 1]) < 0.01  # flat on one floor
    lowest = model.vertices(shape, rest_poses())[0, :, 1].min()
    assert abs(soles[:, 1].min() - lowest) < 0.01


def test_joints_bend_the_way_people_do(model: AnnyModel, shape: np.ndarray) -> None:
    """Outcomes of SMPL-X's conventions: axes aligned with the body, right-hand rule."""
    rest = model.rest_body(shape).joints

    def moved(joint: str, rotvec: list[float], watch: str) -> np.ndarray:
        return model.skeleton(shape, bent(joint, rotvec))[0, J[watch]] - rest[J[watch]]

    quarter = np.pi / 2
    assert moved("left_knee", [quarter, 0, 0], "left_ankle")[2] < -0.3  # heel to the back
    assert moved("left_hip", [-quarter, 0, 0], "left_knee")[2] > 0.3  # knee to the front
    assert moved("left_elbow", [0, -quarter, 0], "left_wrist")[2] > 0.2  # hand to the front
    assert moved("right_elbow", [0, quarter, 0], "right_wrist")[2] > 0.2
    assert moved("left_shoulder", [0, 0, -quarter], "left_wrist")[1] < -0.4  # arm down
    assert moved("right_shoulder", [0, 0, quarter], "right_wrist")[1] < -0.4


def test_the_mesh_goes_where_the_joints_go(model: AnnyModel, shape: np.ndarray) -> None:
    """Vertices near a wrist stay near it when the arm is lowered."""
    poses = bent("left_shoulder", [0.0, 0.0, -1.2])
    rig = model.skinning_spec(shape)
    hand = rig.dense_weights()[:, J["left_wrist"] : J["left_wrist"] + 1].ravel() > 0.9
    moved = rig.vertices(poses)[0][hand].mean(axis=0)
    rest = rig.vertices(rest_poses())[0][hand].mean(axis=0)
    body = model.rest_body(shape).joints
    expected = body[J["left_shoulder"]] + rotvec_to_matrix(np.array([0.0, 0.0, -1.2])) @ (
        rest - body[J["left_shoulder"]]
    )
    np.testing.assert_allclose(moved, expected, atol=1e-3)


def test_shapes_are_those_of_the_package(model: AnnyModel) -> None:
    spec = model.param_spec
    rng = np.random.default_rng(2)
    shapes = np.vstack([rng.uniform(spec.low, spec.high, (20, 6)), spec.low, spec.high, spec.mean])
    with torch.no_grad():
        rest = native_model()(pose_parameters=None, phenotype_kwargs=torch.as_tensor(shapes))
    for row, shape in enumerate(shapes):
        vertices, heads = load_asset().rest(shape)
        np.testing.assert_allclose(vertices, rest["rest_vertices"][row].numpy(), atol=1e-5)
        np.testing.assert_allclose(heads, rest["rest_bone_heads"][row].numpy(), atol=1e-9)


def _annys_own(model: AnnyModel, shape: np.ndarray, poses: BodyPoses) -> dict[str, np.ndarray]:
    """Anny's own forward, fed with our native pose parameters."""
    native = torch.as_tensor(model.native_pose(shape, poses))
    phenotype = torch.as_tensor(np.tile(shape, (len(native), 1)))
    with torch.no_grad():
        out = native_model()(
            pose_parameters=native,
            phenotype_kwargs=phenotype,
            pose_parameterization=POSE_PARAMETERIZATION,
        )
    return {key: out[key].numpy() for key in ("vertices", "bone_poses")}


@pytest.fixture(scope="module")
def posed(model: AnnyModel, shape: np.ndarray) -> tuple[BodyPoses, dict[str, np.ndarray]]:
    poses = random_poses(6, seed=5, spread=0.4)
    poses.rotations[:, [J["left_foot"], J["right_foot"]]] = np.eye(3)
    near = BodyPoses(root=0.1 * poses.root, rotations=poses.rotations)  # float32 keeps its digits
    return near, _annys_own(model, shape, near)


def test_the_rig_skins_as_anny_itself_does(
    model: AnnyModel, shape: np.ndarray, posed: tuple[BodyPoses, dict[str, np.ndarray]]
) -> None:
    poses, truth = posed
    error = np.linalg.norm(model.vertices(shape, poses) - truth["vertices"], axis=-1)
    assert error.max() < 0.05e-3


def test_canonical_joints_are_annys_bone_heads(
    model: AnnyModel, shape: np.ndarray, posed: tuple[BodyPoses, dict[str, np.ndarray]]
) -> None:
    poses, truth = posed
    joints = model.skeleton(shape, poses)
    heads = truth["bone_poses"][..., :3, 3]
    labels = list(load_asset().bones)
    named = {
        "pelvis": "root", "left_hip": "upperleg01.L", "right_knee": "lowerleg01.R",
        "left_ankle": "foot.L", "spine2": "spine02", "neck": "neck01", "head": "head",
        "right_collar": "clavicle.R", "left_shoulder": "upperarm01.L",
        "right_elbow": "lowerarm01.R", "left_wrist": "wrist.L", "left_thumb1": "finger1-1.L",
        "right_index3": "finger2-3.R", "left_pinky2": "finger5-2.L",
    }  # fmt: skip
    for joint, bone in named.items():
        error = np.linalg.norm(joints[:, J[joint]] - heads[:, labels.index(bone)], axis=-1)
        assert error.max() < 1e-4, joint
    for side, letter in (("left", "L"), ("right", "R")):
        toes = [labels.index(f"toe{k}-1.{letter}") for k in range(1, 6)]
        error = joints[:, J[f"{side}_foot"]] - heads[:, toes].mean(axis=1)
        assert np.linalg.norm(error, axis=-1).max() < 1e-4


def test_a_bent_foot_stays_within_two_centimetres_of_anny(
    model: AnnyModel, shape: np.ndarray
) -> None:
    """The toes turn about their middle here and each about its own joint in Anny."""
    poses = bent("left_foot", [-0.5, 0.0, 0.0])
    truth = _annys_own(model, shape, poses)
    error = np.linalg.norm(model.vertices(shape, poses) - truth["vertices"], axis=-1)
    assert error.max() < 0.02


def test_weights_are_shares(model: AnnyModel, shape: np.ndarray) -> None:
    rig = model.skinning_spec(shape)
    np.testing.assert_allclose(rig.weights.sum(axis=1), 1, atol=1e-5)
    assert rig.weights.min() >= 0
    # A fingertip's skin belongs to that hand's joints and to nothing else.
    tip = np.argmax(model.vertices(shape, rest_poses())[0, :, 0])
    owners = {
        model.joint_names[j]
        for j, w in zip(rig.indices[tip], rig.weights[tip], strict=True)
        if w > 0.01
    }
    assert owners and all(name.startswith("left_") and name[-1] == "3" for name in owners)


@pytest.mark.parametrize(
    ("joint", "attached", "free"),
    [
        ("head", ["nose", "left_eye_outer", "right_ear", "mouth_left"], ["left_shoulder"]),
        ("left_wrist", ["left_pinky", "left_index", "left_thumb"], ["left_wrist", "right_index"]),
        ("right_ankle", ["right_heel", "right_foot_index"], ["right_ankle", "left_heel"]),
        ("left_collar", ["left_shoulder", "left_elbow"], ["right_shoulder", "nose"]),
        ("right_knee", ["right_ankle", "right_heel"], ["right_knee", "left_knee"]),
    ],
)
def test_keypoints_move_with_the_joint_they_are_attached_to(
    model: AnnyModel, shape: np.ndarray, joint: str, attached: list[str], free: list[str]
) -> None:
    turn = np.array([0.3, 0.9, -0.4])
    body = model.rest_body(shape)
    points = model.keypoints(shape, bent(joint, turn.tolist()), "blazepose")[0]
    pivot = body.joints[J[joint]]
    turned = pivot + (body.keypoints - pivot) @ rotvec_to_matrix(turn).T
    for name in attached:
        np.testing.assert_allclose(points[K[name]], turned[K[name]], atol=1e-9)
        assert np.linalg.norm(points[K[name]] - body.keypoints[K[name]]) > 0.01
    for name in free:  # a point at the joint itself may ride on the skin around it
        assert np.linalg.norm(points[K[name]] - body.keypoints[K[name]]) < 0.03


def test_surface_points_lie_on_the_posed_skin(model: AnnyModel, shape: np.ndarray) -> None:
    poses = random_poses(2, seed=8, spread=0.3)
    poses.rotations[:, [J["left_foot"], J["right_foot"]]] = np.eye(3)
    skin = model.vertices(shape, poses)
    names = ("nose", "left_eye_outer", "mouth_right", "right_ear", "left_heel", "right_foot_index")
    points = model.keypoints(shape, poses, "blazepose")[:, [K[n] for n in names]]
    soles = model.keypoints(shape, poses, "soles")
    for frame in range(2):
        for p in (*points[frame], *soles[frame]):
            assert np.linalg.norm(skin[frame] - p, axis=1).min() < 0.02


def test_soles_of_the_model_and_of_its_rig_agree(model: AnnyModel, shape: np.ndarray) -> None:
    poses = random_poses(4)
    np.testing.assert_allclose(
        model.keypoints(shape, poses, "soles"), model.skinning_spec(shape).soles(poses), atol=1e-9
    )


def test_a_batch_equals_its_frames(model: AnnyModel, shape: np.ndarray) -> None:
    poses = random_poses(3, seed=9)
    for function in (
        model.skeleton,
        model.vertices,
        lambda s, p: model.keypoints(s, p, "blazepose"),
    ):
        whole = function(shape, poses)
        for n in range(3):
            one = BodyPoses(root=poses.root[n : n + 1], rotations=poses.rotations[n : n + 1])
            np.testing.assert_allclose(whole[n], function(shape, one)[0], atol=1e-6)


def test_a_moved_body_is_the_same_body(model: AnnyModel, shape: np.ndarray) -> None:
    """Turning the root rotation and position turns everything else with them."""
    poses = random_poses(1, seed=10)
    turn, shift = rotvec_to_matrix(np.array([0.5, -1.0, 2.0])), np.array([1.0, -2.0, 0.5])
    rotations = poses.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    moved = BodyPoses(root=poses.root @ turn.T + shift, rotations=rotations)
    for function in (model.skeleton, model.vertices):
        expected = function(shape, poses) @ turn.T + shift
        np.testing.assert_allclose(function(shape, moved), expected, atol=1e-5)
