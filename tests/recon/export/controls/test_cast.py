"""Other cameras see everybody; other bodies have the asked shape and stand on the floor."""

import numpy as np
import pytest

from body.models import load_body_model
from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import invert_transform, rotvec_to_matrix, transform_points
from recon.core.people import BodyPoses, BodyShape
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS, CANONICAL_JOINTS
from recon.export.controls.cast import cast, shaped
from recon.export.controls.maps import draw_bodies
from recon.export.controls.pose import BODY_POINTS, HEAD_POINTS, pose_points, seen_px


@pytest.fixture(scope="module")
def model():
    return load_body_model("anny")


@pytest.fixture(scope="module")
def shape(model):
    return BodyShape(model="anny", names=model.param_spec.names, values=model.param_spec.mean)


def test_orbit_goes_around_and_keeps_everybody_in_the_picture(scene):
    seen = cast(scene, camera="orbit")
    k, turned = seen.intrinsics, []
    for frame in range(0, len(scene.video.times), 7):
        T = invert_transform(seen.Ts_world_camera[frame])
        turned.append(np.arctan2(*seen.Ts_world_camera[frame][:2, 3]))
        for motion in scene.world_motions:
            rows = np.flatnonzero(motion.frame_idx == frame)
            px = k.project(transform_points(T, motion.joints_world[rows]))
            assert ((px > 0) & (px < [k.width, k.height])).all()
    assert np.ptp(np.unwrap(turned)) > 1.5 * np.pi
    assert not seen.actors[0].as_filmed


def test_a_file_of_cameras_is_taken(scene, tmp_path):
    from recon.export.controls.cameras import realestate10k

    Ts = scene.placement.Ts_world_camera[::-1]
    text = realestate10k(scene.video.times, scene.camera.intrinsics, Ts, "back")
    (tmp_path / "c.txt").write_text(text)
    assert cast(scene, camera=str(tmp_path / "c.txt")).Ts_world_camera == pytest.approx(
        Ts, abs=1e-6
    )


def test_nobody_cannot_be_circled(empty_scene):
    with pytest.raises(InputError, match="orbit"):
        cast(empty_scene, camera="orbit")


def test_a_stature_is_reached_and_other_values_are_kept(model, shape):
    rig = shaped(shape, "stature=1.9 weight=0.8")
    assert np.ptp(rig.bind_vertices, axis=0).max() == pytest.approx(1.9, abs=0.02)
    heavy, light = (shaped(shape, f"weight={w}") for w in (0.9, 0.1))
    assert np.ptp(heavy.bind_vertices, axis=0).min() > np.ptp(light.bind_vertices, axis=0).min()


@pytest.mark.parametrize("text", ["tall", "size=2", "weight=x", "weight=7", "stature=9"])
def test_another_body_is_refused_in_one_line(shape, text):
    with pytest.raises(InputError, match="--body") as error:
        shaped(shape, text)
    assert "\n" not in str(error.value)


def test_points_of_the_head_lie_where_the_model_has_them(model, shape):
    points, rest = pose_points(shaped(shape, "")), model.rest_body(shape.values)
    head = rest.joints[CANONICAL_JOINTS.index("head")]
    for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear"):
        own = rest.keypoints[BLAZEPOSE_KEYPOINTS.index(name)] - head
        assert points.offsets[BODY_POINTS.index(name)] == pytest.approx(own, abs=0.025)
    tips = np.linalg.norm(points.offsets[18:], axis=1)
    assert ((tips > 0.015) & (tips < 0.04)).sum() == 10 and (tips == 0).sum() == 32


@pytest.mark.parametrize(
    ("axes", "seen"), [((1.0, -1.0, -1.0), True), ((-1.0, -1.0, 1.0), False)], ids=["to", "away"]
)
def test_a_face_turned_away_is_not_drawn(model, shape, axes, seen):
    rig, K = shaped(shape, ""), Intrinsics.from_fov(200, 300, fov_deg=50, source="user")
    rotations = np.tile(np.eye(3), (1, 52, 1, 1))
    rotations[0, 0] = np.diag(axes)
    poses = BodyPoses(root=np.array([[0.0, 0.0, 2.5]]), rotations=rotations)
    turned, joints = rig.joints(poses)
    points = pose_points(rig).at(turned[0], joints[0])
    layers = draw_bodies([(rig.vertices(poses)[0], rig.faces)], K)
    px = seen_px(points, K, layers.inverse_depth)
    assert np.isfinite(px[list(HEAD_POINTS[:3])]).all() == seen
    assert np.isfinite(px[1:14]).all()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    ("yaw_deg", "hidden"),
    [(0, set()), (40, {"left_ear"}), (90, {"left_eye", "left_ear"}),
     (180, {"nose", "left_eye", "right_eye"})],
)  # fmt: skip
def test_a_head_shows_the_points_of_its_near_side_whatever_its_shape(model, share, yaw_deg, hidden):
    spec = model.param_spec
    rig = model.skinning_spec(spec.low + share * (spec.high - spec.low))
    K = Intrinsics.from_fov(200, 300, fov_deg=50, source="user")
    rotations = np.tile(np.eye(3), (1, 52, 1, 1))
    yaw = rotvec_to_matrix(np.array([0.0, np.deg2rad(yaw_deg), 0.0]))
    rotations[0, 0] = np.diag([1.0, -1.0, -1.0]) @ yaw
    poses = BodyPoses(root=np.array([[0.0, 0.3, 2.5]]), rotations=rotations)
    turned, joints = rig.joints(poses)
    layers = draw_bodies([(rig.vertices(poses)[0], rig.faces)], K)
    px = seen_px(pose_points(rig).at(turned[0], joints[0]), K, layers.inverse_depth)
    absent = {BODY_POINTS[k] for k in HEAD_POINTS if np.isnan(px[k, 0])}
    assert absent == hidden
