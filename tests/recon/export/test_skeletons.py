"""Other programs' skeletons: their names and axes, and the same motion on them."""

import bvhio
import numpy as np
import pytest

from recon.core.geometry import R_YUP_ZUP
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.export import bvh, glb
from recon.export.options import ExportOptions
from recon.export.skeletons import target_skeleton
from recon.motion.joint_names import joint_map
from tests.recon.export.readers import GltfReader, read_joints
from tests.synthetic import toy_rig

KINDS = ("mixamo", "unreal", "vrm")


@pytest.fixture(scope="module")
def characters(scene, tmp_path_factory):
    """The .glb files of every kind."""
    out = tmp_path_factory.mktemp("characters")
    return {kind: glb.export(scene, out, ExportOptions(skeleton=kind)) for kind in KINDS}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("mixamo", {"pelvis": "mixamorig:Hips", "spine3": "mixamorig:Spine2",
                    "left_shoulder": "mixamorig:LeftArm", "right_hip": "mixamorig:RightUpLeg",
                    "left_pinky3": "mixamorig:LeftHandPinky3"}),
        ("unreal", {"spine1": "spine_01", "left_elbow": "lowerarm_l", "right_foot": "ball_r",
                    "neck": "neck_01", "right_thumb2": "thumb_02_r"}),
        ("vrm", {"pelvis": "hips", "spine2": "chest", "left_collar": "leftShoulder",
                 "right_pinky2": "rightLittleIntermediate", "left_thumb1": "leftThumbMetacarpal"}),
    ],
)  # fmt: skip
def test_joints_have_the_names_of_the_other_program(kind, names):
    target = target_skeleton(kind)
    assert len(set(target.names)) == 52
    assert {joint: target.names[CANONICAL_JOINTS.index(joint)] for joint in names} == names


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_reader_of_mocap_knows_them(kind):
    """An independent table of names: the one that finds joints in files of these programs."""
    found = joint_map(target_skeleton(kind).names, CANONICAL_PARENTS)
    assert found is not None
    body = {name: index for name, index in found[1].items() if name in CANONICAL_JOINTS[:22]}
    assert len(body) == 22
    assert all(CANONICAL_JOINTS[index] == name for name, index in body.items())


@pytest.mark.parametrize("kind", KINDS)
def test_axes_are_rotations_with_bones_along_y_or_the_worlds(kind):
    rest = toy_rig().rest_joints
    axes = target_skeleton(kind).axes(rest)
    np.testing.assert_allclose(
        axes @ np.swapaxes(axes, 1, 2), np.tile(np.eye(3), (52, 1, 1)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(axes), 1)
    if kind == "vrm":
        np.testing.assert_array_equal(axes, np.tile(np.eye(3), (52, 1, 1)))
        return
    for child in ("left_elbow", "right_knee", "neck", "left_index2"):
        j = CANONICAL_JOINTS.index(child)
        bone = rest[j] - rest[CANONICAL_PARENTS[j]]
        np.testing.assert_allclose(
            axes[CANONICAL_PARENTS[j], :, 1], bone / np.linalg.norm(bone), atol=1e-9
        )


def test_mixamos_arms_and_legs_roll_as_in_mixamos_characters():
    """Its T-pose: the left arm's x points back and z down, the left leg's x points right."""
    axes = target_skeleton("mixamo").axes(toy_rig().rest_joints)
    arm, leg = (axes[CANONICAL_JOINTS.index(name)] for name in ("left_elbow", "left_knee"))
    assert arm[2, 0] < -0.95 and arm[1, 2] < -0.95 and leg[0, 0] < -0.95 and leg[2, 2] > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_glb_moves_joints_and_mesh_as_ours_do(scene, characters, tmp_path, kind):
    paths = characters[kind]
    assert [path.name for path in paths] == [f"person{k}_{kind}.glb" for k in (1, 2)]
    (ours,) = glb.export(scene, tmp_path)
    whole, target = GltfReader(ours), target_skeleton(kind)
    for path, motion in zip(paths, scene.world_motions, strict=True):
        reader, name = GltfReader(path), f"person{motion.track_id}"
        nodes = [reader.node(joint) for joint in target.names]
        times = scene.video.times[motion.frame_idx]
        for row in (len(times) // 3,):
            at = np.stack([reader.world_matrix(n, times[row] - times[0])[:3, 3] for n in nodes])
            np.testing.assert_allclose(at, motion.joints_world[row] @ R_YUP_ZUP.T, atol=1e-5)
            expected = whole.vertices(name, times[row] - scene.video.times[0])
            np.testing.assert_allclose(
                reader.vertices(name, times[row] - times[0]), expected, atol=1e-5
            )


@pytest.mark.parametrize("kind", KINDS)
def test_glb_rests_in_the_t_pose_on_the_floor(scene, characters, kind):
    """What a program takes as the rest pose: the nodes' own transforms, without the animation."""
    path = characters[kind][0]
    reader, rig, target = GltfReader(path), scene.rigs[0], target_skeleton(kind)
    reader.channels = {}
    rest = np.stack([reader.world_matrix(reader.node(n), 0.0) for n in target.names])
    height = [0.0, glb.standing_height(rig), 0.0]
    np.testing.assert_allclose(rest[:, :3, 3], rig.rest_joints + height, atol=1e-5)
    np.testing.assert_allclose(rest[:, :3, :3], target.axes(rig.rest_joints), atol=1e-5)
    assert reader.vertices("person1", 0.0)[:, 1].min() == pytest.approx(0, abs=0.02)


def test_unreals_root_stands_on_the_origin_above_the_pelvis(characters):
    reader = GltfReader(characters["unreal"][0])
    root, pelvis = reader.node("root"), reader.node("pelvis")
    assert reader.parents[pelvis] == root
    np.testing.assert_array_equal(reader.world_matrix(root, 1.0), np.eye(4))


def test_vrm_file_is_a_vrm_animation(characters):
    """The extension's required bones are there and are the nodes of these names."""
    reader = GltfReader(characters["vrm"][0])
    extension = reader.gltf.extensions["VRMC_vrm_animation"]
    assert extension["specVersion"] == "1.0"
    assert reader.gltf.extensionsUsed == ["VRMC_vrm_animation"]
    bones = {k: v["node"] for k, v in extension["humanoid"]["humanBones"].items()}
    limbs = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
    required = {"hips", "spine", "head", *(f"{s}{p}" for s in ("left", "right") for p in limbs)}
    assert required <= set(bones)
    assert all(reader.gltf.nodes[node].name == name for name, node in bones.items())


@pytest.mark.parametrize("kind", KINDS)
def test_khronos_validator_finds_nothing(characters, gltf_issues, kind):
    for path in characters[kind]:
        issues = gltf_issues(path)
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


@pytest.mark.parametrize("kind", KINDS)
def test_bvh_has_the_names_and_the_motion(scene, tmp_path, kind):
    options = ExportOptions(skeleton=kind, unit="cm", up="z")
    path = bvh.export(scene, tmp_path, options)[0]
    read, target = read_joints(path), target_skeleton(kind)
    assert set(read) == {*target.names, *([target.root] if target.root else [])}
    got = np.stack([read[name] for name in target.names], axis=1)
    truth = scene.world_motions[0].joints_world * 100
    assert np.linalg.norm(got - truth, axis=-1).max() < 0.01, "centimetres, z up"
    assert bvhio.readAsBvh(str(path)).Root.Name == (target.root or target.names[0])
