"""Anny's people as bodies of a stand-in for SMPL-X with another mesh and other shape directions."""

import numpy as np
import pytest

from body.convert import convert_person, fit_poses, measure
from body.models.anny import AnnyModel
from body.models.base import BodyModel
from body.registration import Registration, register, rest_poses
from recon.core.people import BodyPoses, BodyShape, CameraMotion, WorldMotion
from recon.core.rig import Rig
from tests.body.models.bodies import random_poses, write_smplx

ANNY = AnnyModel()
MEAN = ANNY.param_spec.mean


@pytest.fixture(scope="module")
def smplx_model(tmp_path_factory: pytest.TempPathFactory) -> BodyModel:
    pytest.importorskip("smplx")
    from smplx.vertex_ids import vertex_ids

    from body.models.smplx import SmplxModel

    path = tmp_path_factory.mktemp("models") / "SMPLX_NEUTRAL.npz"
    write_smplx(path, vertex_ids["smplx"])
    return SmplxModel(path)


@pytest.fixture(scope="module")
def registration(smplx_model: BodyModel) -> Registration:
    return register(ANNY.skinning_spec(MEAN), smplx_model)


def person_of(
    shape: np.ndarray, world: BodyPoses, camera: BodyPoses | None = None
) -> tuple[CameraMotion, WorldMotion, Rig]:
    """Anny with a shape, in given poses."""
    rig, n = ANNY.skinning_spec(shape), len(world.root)
    camera = camera or world
    common = {
        "track_id": 1,
        "frame_idx": np.arange(n),
        "observed": np.ones(n, bool),
        "shape": BodyShape(model="anny", names=ANNY.param_spec.names, values=shape),
    }
    seen = CameraMotion(
        **common, poses_camera=camera, joints_camera=rig.joints(camera)[1],
        reprojection_px=np.zeros(n), confidence=np.ones(n),
    )  # fmt: skip
    placed = WorldMotion(
        **common, poses_world=world, joints_world=rig.joints(world)[1],
        feet_world=rig.soles(world), contacts=np.full((n, 4), 0.3),
    )  # fmt: skip
    return seen, placed, rig


@pytest.mark.parametrize("known", [True, False])
def test_into_the_same_model_nothing_changes(known: bool) -> None:
    shape = MEAN + np.array([0.3, 0.0, 0.2, 0.3, -0.1, 0.2])
    camera, world, rig = person_of(shape, random_poses(3))
    if not known:  # as in an imported scene: a rig whose shape's own model is another
        unknown = BodyShape(model="smplx", names=("beta0",), values=np.zeros(1))
        world = WorldMotion(**{**vars(world), "shape": unknown})
    done = convert_person(camera, world, rig, ANNY)
    assert done.residual.same_mesh
    limit = 1e-6 if known else 5e-4
    assert done.residual.vertices_max < limit and done.residual.joints < limit
    # Anny's proportions hardly show at one height, so a body has more than one description.
    np.testing.assert_allclose(done.world_motion.shape.values, shape, atol=1e-6 if known else 0.03)


def test_another_mesh_lies_on_the_old_surface_in_every_pose(registration: Registration) -> None:
    poses = random_poses(6, spread=0.25)
    residual = measure(registration, poses, fit_poses(registration, poses))
    assert not residual.same_mesh
    assert residual.vertices_mean < 0.0015 and residual.limb_joints < 0.004


def test_the_shape_follows_the_surface(smplx_model: BodyModel) -> None:
    shape = MEAN + ANNY.param_spec.std * np.array([0, 0, 0, 0, 1.0, 0])  # nine centimetres taller
    registration = register(ANNY.skinning_spec(shape), smplx_model)
    stature = smplx_model.rest_body(registration.shape).stature
    assert stature == pytest.approx(ANNY.rest_body(shape).stature, abs=0.01)
    assert stature > ANNY.rest_body(MEAN).stature + 0.05
    assert measure(registration, rest_poses(), registration.rest).vertices_mean < 0.006


def test_frames_do_not_depend_on_their_neighbours(registration: Registration) -> None:
    poses = random_poses(18, spread=0.3)  # more than one chunk
    together = fit_poses(registration, poses)
    last = BodyPoses(root=poses.root[-1:], rotations=poses.rotations[-1:])
    alone = fit_poses(registration, last)
    np.testing.assert_allclose(together.rotations[-1:], alone.rotations, atol=1e-9)
    np.testing.assert_allclose(together.root[-1:], alone.root, atol=1e-9)


def test_camera_and_world_keep_their_own_motion(smplx_model: BodyModel) -> None:
    world, camera = random_poses(2, spread=0.2), random_poses(2, seed=7, spread=0.2)
    seen, placed, rig = person_of(MEAN, world, camera)
    done = convert_person(seen, placed, rig, smplx_model)
    for old, new in (
        (seen.joints_camera, done.camera_motion.joints_camera),
        (placed.joints_world, done.world_motion.joints_world),
    ):
        limbs = [4, 5, 7, 8, 18, 19, 20, 21]
        assert np.linalg.norm(new - old, axis=-1)[:, limbs].mean() < 0.006
    joints = done.rig.joints(done.world_motion.poses_world)[1]
    np.testing.assert_array_equal(done.world_motion.joints_world, joints)
    soles = done.rig.soles(done.world_motion.poses_world)
    np.testing.assert_array_equal(done.world_motion.feet_world, soles)
    np.testing.assert_array_equal(done.world_motion.contacts, placed.contacts)
    assert done.world_motion.shape == done.camera_motion.shape
    assert done.world_motion.shape.model == done.rig.model == "smplx"
