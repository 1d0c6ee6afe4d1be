"""Motion files: BVH of several programs' skeletons and AMASS, on our bodies."""

from __future__ import annotations

import re

import bvhio
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recon.core.errors import InputError
from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.export.bvh import bvh_text
from recon.export.motion import poses_yup
from recon.motion import MotionClip, load_motion, motion_files, procedural, save_motion
from recon.motion.bvh import read_bvh
from recon.motion.joint_names import joint_map
from tests.recon.motion.bodies import rig, slide

J = {name: i for i, name in enumerate(CANONICAL_JOINTS)}
BODY = [*range(22)]
ALIGNED = np.repeat(np.eye(3)[None], 22, axis=0)
MIXAMO = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck",
    "head": "Head", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase",
    "collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip


@pytest.fixture(scope="module")
def clip() -> MotionClip:
    return procedural("walk", rig(), seconds=3.0, fps=30.0, seed=1, heading=0.7)


def mixamo_name(joint: str) -> str:
    side, _, part = joint.rpartition("_")
    return f"mixamorig:{side.capitalize()}{MIXAMO[part]}"


def foreign_bvh(clip: MotionClip, frames: Array, *, scale: float, zup: bool = False) -> str:
    """A clip as another program's skeleton: own names and units, joint axes turned by `frames`.

    Args:
        frames: (22, 3, 3) each joint's own axes in our rest pose.
    """
    poses = clip.poses if zup else poses_yup(clip.poses)
    turned, joints = clip.rig.joints(poses)
    turned, joints = turned[:, BODY] @ frames, joints[:, BODY] * scale
    rest = clip.rig.rest_joints * scale
    lines = ["HIERARCHY"]

    def write(j: int) -> None:
        p = CANONICAL_PARENTS[j]
        offset = frames[p].T @ (rest[j] - rest[p]) if p >= 0 else np.zeros(3)
        lines.append(f"{'JOINT' if p >= 0 else 'ROOT'} {mixamo_name(CANONICAL_JOINTS[j])}")
        lines.append("{ OFFSET " + " ".join(f"{v:.6f}" for v in offset))
        where = "" if p >= 0 else "Xposition Yposition Zposition "
        lines.append(f"CHANNELS {3 if p >= 0 else 6} {where}Zrotation Yrotation Xrotation")
        children = [c for c in BODY if CANONICAL_PARENTS[c] == j]
        order.append(j)
        for child in children:
            write(child)
        if not children:
            lines.append("End Site { OFFSET 0.0 1.0 0.0 }")
        lines.append("}")

    order: list[int] = []
    write(0)
    local = turned.copy()
    for j in BODY[1:]:
        local[:, j] = np.swapaxes(turned[:, CANONICAL_PARENTS[j]], 1, 2) @ turned[:, j]
    angles = Rotation.from_matrix(local[:, order].reshape(-1, 3, 3)).as_euler("ZYX", degrees=True)
    rows = np.concatenate([joints[:, 0], angles.reshape(len(joints), -1)], axis=1)
    lines += ["MOTION", f"Frames: {len(rows)}", "Frame Time: 0.0333333"]
    lines += [" ".join(f"{v:.6f}" for v in row) for row in rows]
    return "\n".join(lines)


def limbs(motion: MotionClip) -> Array:
    """Unit directions (N, 8, 3) of the bones of arms and legs."""
    joints = motion.rig.joints(motion.poses)[1]
    ends = [
        (J[f"{side}_{a}"], J[f"{side}_{b}"])
        for side in ("left", "right")
        for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
    ]
    bones = np.stack([joints[:, b] - joints[:, a] for a, b in ends], axis=1)
    return bones / np.linalg.norm(bones, axis=-1, keepdims=True)


def test_our_own_bvh_comes_back(clip, tmp_path) -> None:
    path = tmp_path / "walk.bvh"
    path.write_text(bvh_text(clip.rig, poses_yup(clip.poses), fps=30.0))
    back = load_motion(path, rig=clip.rig, lock=False)
    assert back.name == "walk"
    np.testing.assert_allclose(back.times, clip.times, atol=1e-6)
    np.testing.assert_allclose(back.poses.rotations, clip.poses.rotations, atol=1e-6)
    np.testing.assert_allclose(back.poses.root, clip.poses.root, atol=2e-4)


def test_joints_are_where_another_reader_puts_them(clip, tmp_path) -> None:
    path = tmp_path / "walk.bvh"
    path.write_text(bvh_text(clip.rig, poses_yup(clip.poses), fps=30.0))
    skeleton = read_bvh(path)
    root = bvhio.readAsHierarchy(str(path))
    root.loadPose(7)
    for joint, _, _ in root.layout():
        k, place = skeleton.names.index(joint.Name), np.zeros(3)
        while k >= 0:
            place = skeleton.positions[7, k] + skeleton.rotations[7, k] @ place
            k = skeleton.parents[k]
        np.testing.assert_allclose(place, np.array(joint.PositionWorld), atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 100.0, 39.37], ids=["m", "cm", "inch"])
@pytest.mark.parametrize("zup", [False, True], ids=["y up", "z up"])
def test_another_programs_skeleton_in_a_t_pose(clip, tmp_path, scale, zup) -> None:
    path = tmp_path / "mixamo.bvh"
    path.write_text(foreign_bvh(clip, ALIGNED, scale=scale, zup=zup))
    back = load_motion(path, rig=clip.rig, lock=False)
    angle = np.degrees(np.arccos(np.clip(np.sum(limbs(back) * limbs(clip), axis=-1), -1, 1)))
    assert angle.max() < 0.1
    np.testing.assert_allclose(back.poses.root, clip.poses.root, atol=0.005)


def test_bones_along_one_axis_as_in_lafan(clip, tmp_path) -> None:
    """Without rotations no such skeleton stands: the most upright frame tells its axes."""
    rng = np.random.default_rng(0)
    frames = rotvec_to_matrix(rng.uniform(-2, 2, (22, 3)))
    path = tmp_path / "lafan.bvh"
    path.write_text(foreign_bvh(clip, frames, scale=100.0))
    back = load_motion(path, rig=clip.rig, lock=False)
    angle = np.degrees(np.arccos(np.clip(np.sum(limbs(back) * limbs(clip), axis=-1), -1, 1)))
    assert angle.mean() < 4
    assert angle.max() < 15


def test_a_file_on_another_body_keeps_its_feet(clip, tmp_path) -> None:
    path = tmp_path / "mixamo.bvh"
    path.write_text(foreign_bvh(clip, ALIGNED, scale=100.0))
    loose, locked = (load_motion(path, rig=rig(1.5), lock=lock) for lock in (False, True))
    assert slide(locked).mean() < 3e-4
    assert slide(locked).mean() < 0.4 * slide(loose).mean()
    assert locked.rig.soles(locked.poses)[..., 2].min() > -0.005
    way = [np.linalg.norm(np.diff(m.poses.root[[0, -1], :2], axis=0)) for m in (clip, locked)]
    assert 1.05 < way[1] / way[0] < 1.2, "longer legs go further"


def test_an_amass_file_comes_back(clip, tmp_path) -> None:
    path = tmp_path / "walk.npz"
    save_motion(clip, path)
    back = load_motion(path, rig=clip.rig, lock=False)
    np.testing.assert_allclose(back.poses.rotations, clip.poses.rotations, atol=1e-9)
    np.testing.assert_allclose(back.poses.root, clip.poses.root, rtol=0.01, atol=0.01)
    np.testing.assert_allclose(back.times, clip.times, atol=1e-9)
    assert back.rig.soles(back.poses)[..., 2].min() > -0.01


def test_smplh_files_are_read_too(clip, tmp_path) -> None:
    n = len(clip.times)
    poses = np.zeros((n, 156))
    poses[:, 0] = np.pi / 2  # upright in a world with z up
    trans = np.tile([0.0, 0.0, 1.15], (n, 1))
    path = tmp_path / "still_poses.npz"
    np.savez(path, poses=poses, trans=trans, betas=np.zeros(16), mocap_framerate=120.0)
    back = load_motion(path)
    assert back.times[1] == pytest.approx(1 / 120)
    joints = back.rig.joints(back.poses)[1]
    assert joints[0, J["head"], 2] > 1.4
    assert back.contacts is not None
    assert np.all(back.contacts > 0.5)


def test_folders_are_searched_for_motion(clip, tmp_path) -> None:
    deep = tmp_path / "subject" / "day"
    deep.mkdir(parents=True)
    save_motion(clip, deep / "walk.npz")
    np.savez(deep / "shape.npz", betas=np.zeros(16))
    (tmp_path / "a.bvh").write_text("HIERARCHY")
    assert motion_files([tmp_path]) == [tmp_path / "a.bvh", deep / "walk.npz"]
    with pytest.raises(InputError, match="expected a folder"):
        motion_files([tmp_path / "nowhere"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="got none"):
        motion_files([tmp_path, empty])


def broken(text: str) -> dict[str, str]:
    """Ways in which a BVH file can be wrong."""
    return {
        "cut off": text[: len(text) // 2],
        "half a hierarchy": text[:300],
        "not a number": re.sub(r"(Frame Time: \S+\n)\S+", r"\1many", text),
        "no frames": text[: text.index("MOTION")],
        "wrong count": re.sub(r"Frames: \d+", "Frames: 7", text),
        "strangers": text.replace("mixamorig:", "x").replace("Leg", "Wheel"),
        "not a BVH file": "solid cube",
        "empty": "",
    }


def test_wrong_files_are_refused_with_their_name(clip, tmp_path) -> None:
    text = foreign_bvh(clip, ALIGNED, scale=100.0)
    for name, content in broken(text).items():
        path = tmp_path / f"{name}.bvh"
        path.write_text(content)
        with pytest.raises(InputError, match="expected") as caught:
            load_motion(path)
        assert path.name in str(caught.value)
    other = tmp_path / "motion.fbx"
    other.write_text("")
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"PK nothing")
    for path in (other, damaged, tmp_path / "missing.bvh"):
        with pytest.raises(InputError, match="expected"):
            load_motion(path)


SKELETONS = {
    "CMU": ["Hips", "LHipJoint", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "RHipJoint",
            "RightUpLeg", "RightLeg", "RightFoot", "RightToeBase", "LowerBack", "Spine", "Spine1",
            "Neck", "Neck1", "Head", "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand",
            "RightShoulder", "RightArm", "RightForeArm", "RightHand"],
    "Biped": ["Bip01 Pelvis", "Bip01 L Thigh", "Bip01 L Calf", "Bip01 L Foot", "Bip01 L Toe0",
              "Bip01 R Thigh", "Bip01 R Calf", "Bip01 R Foot", "Bip01 R Toe0", "Bip01 Spine",
              "Bip01 Spine1", "Bip01 Neck", "Bip01 Head", "Bip01 L Clavicle", "Bip01 L UpperArm",
              "Bip01 L Forearm", "Bip01 L Hand", "Bip01 R Clavicle", "Bip01 R UpperArm",
              "Bip01 R Forearm", "Bip01 R Hand"],
    "Unreal": ["pelvis", "thigh_l", "calf_l", "foot_l", "ball_l", "thigh_r", "calf_r", "foot_r",
               "ball_r", "spine_01", "spine_02", "spine_03", "neck_01", "head", "clavicle_l",
               "upperarm_l", "lowerarm_l", "hand_l", "clavicle_r", "upperarm_r", "lowerarm_r",
               "hand_r"],
    "Daz": ["hip", "abdomen", "chest", "neck", "head", "lCollar", "lShldr", "lForeArm", "lHand",
            "rCollar", "rShldr", "rForeArm", "rHand", "lThigh", "lShin", "lFoot", "lToe",
            "rThigh", "rShin", "rFoot", "rToe"],
    "SMPL": ["Pelvis", "L_Hip", "L_Knee", "L_Ankle", "L_Foot", "R_Hip", "R_Knee", "R_Ankle",
             "R_Foot", "Spine1", "Spine2", "Spine3", "Neck", "Head", "L_Collar", "L_Shoulder",
             "L_Elbow", "L_Wrist", "R_Collar", "R_Shoulder", "R_Elbow", "R_Wrist"],
}  # fmt: skip


@pytest.mark.parametrize("program", SKELETONS)
def test_skeletons_of_many_programs_are_recognised(program) -> None:
    names = SKELETONS[program]
    found = joint_map(names, [k - 1 for k in range(len(names))])
    assert found is not None
    family, joints = found
    assert program in family
    for side, letter in (("left", "l"), ("right", "r")):
        for part in ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist"):
            name = names[joints[f"{side}_{part}"]].removeprefix("Bip01 ")
            assert letter in (name[0].lower(), name[-1]), f"{name} for {side} {part}"


def test_animals_are_no_people() -> None:
    assert joint_map(["root", "tail", "paw_l", "paw_r"], [-1, 0, 0, 0]) is None
