"""The fit recovers bodies whose keypoints are known; its Jacobians are those of its residuals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from body.fit import build_evidence, fit_evidence, fit_track, joint_uncertainty, steadiness
from body.kinematics import NUM_BODY, BodyState, linearise_shape, posed_keypoints
from body.models import load_body_model
from body.models.base import BodyModel
from body.pose_prior import FITTED_JOINTS, POSE_MEAN, left_jacobian_inverse, pose_prior
from body.solver import Noise, TrackSolver
from recon.core.camera import Intrinsics
from recon.core.geometry import Array, matrix_to_rotvec, rotvec_to_matrix
from recon.core.people import PersonTrack, RoiMasks
from recon.evaluate.metrics import pa_mpjpe
from tests.performers import SensorNoise, perform

INTRINSICS = Intrinsics.from_fov(1280, 720, fov_deg=60, source="user")


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return load_body_model("anny")


def moving_body(model: BodyModel, times: Array, shape: Array) -> BodyState:
    """A body that turns slowly and swings its limbs around the prior's mean pose."""
    rng = np.random.default_rng(3)
    rotvecs = np.zeros((len(times), NUM_BODY, 3))
    swing = 0.35 * np.sin(2 * np.pi * times[:, None, None] * 0.8 + rng.uniform(0, 6, (1, 20, 3)))
    swing[..., 1:] *= 0.2
    rotvecs[:, FITTED_JOINTS] = POSE_MEAN + swing
    rotvecs[:, [4, 5], 0] = np.abs(rotvecs[:, [4, 5], 0])
    rotations = rotvec_to_matrix(rotvecs)
    # Upright in the camera (y down), facing it, turning by half a radian a second.
    upright = rotvec_to_matrix(np.array([np.pi, 0.0, 0.0]))
    turn = rotvec_to_matrix(np.stack([0 * times, 0.5 * times, 0 * times], axis=-1))
    rotations[:, 0] = upright @ turn
    root = np.stack([0.3 * np.sin(times), 0 * times, 4 + 0.2 * times], axis=-1)
    return BodyState(shape=shape, root=root, rotations=rotations)


def track_of(model: BodyModel, state: BodyState, *, noise_px: float, seed: int = 0) -> PersonTrack:
    rng = np.random.default_rng(seed)
    points = posed_keypoints(state, model.rest_body(state.shape))[0]
    keypoints = INTRINSICS.project(points)
    keypoints += rng.normal(0, noise_px, keypoints.shape)
    landmarks = points - points[:, [23, 24]].mean(axis=1, keepdims=True)
    landmarks = landmarks + rng.normal(0, 0.02 * (noise_px > 0), landmarks.shape)
    num = len(points)
    return PersonTrack(
        track_id=1,
        frame_idx=np.arange(num),
        boxes=np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1),
        scores=np.ones(num),
        keypoints_px=keypoints,
        keypoint_conf=np.full((num, 33), 0.95),
        landmarks=landmarks,
        masks=no_masks(num),
    )


def no_masks(num: int) -> RoiMasks:
    return RoiMasks(bits=np.zeros((num, 8), np.uint8), Ts_image_roi=np.zeros((num, 2, 3)), size=8)


def test_recovers_a_noisy_moving_body(model: BodyModel) -> None:
    times = np.arange(60) / 30
    shape = model.param_spec.mean + 0.5 * model.param_spec.std * [1, 0, 1, 1, -1, 1]
    truth = moving_body(model, times, shape)
    track = track_of(model, truth, noise_px=4.0)
    stature = model.rest_body(shape).stature
    motion = fit_track(track, times, INTRINSICS, model, stature=stature)
    _, _, joints = posed_keypoints(truth, model.rest_body(shape))
    found = motion.joints_camera[:, :NUM_BODY]
    assert pa_mpjpe(found, joints).mean() < 0.03
    assert np.linalg.norm(motion.poses_camera.root - truth.root, axis=1).mean() < 0.08
    assert abs(model.rest_body(motion.shape.values).stature - stature) < 0.02
    assert np.median(motion.reprojection_px) < 6


def test_knees_and_elbows_stay_hinges(model: BodyModel) -> None:
    times = np.arange(30) / 30
    truth = moving_body(model, times, model.param_spec.mean)
    motion = fit_track(track_of(model, truth, noise_px=6.0), times, INTRINSICS, model)
    rotvecs = matrix_to_rotvec(motion.poses_camera.rotations)
    assert rotvecs[:, [4, 5], 0].min() > -0.15
    assert np.abs(rotvecs[:, [4, 5], 1:]).max() < 0.3
    assert rotvecs[:, 18, 1].max() < 0.2 and rotvecs[:, 19, 1].min() > -0.2


def test_gaps_are_filled_smoothly_and_marked(model: BodyModel) -> None:
    times = np.arange(60) / 30
    truth = moving_body(model, times, model.param_spec.mean)
    track = track_of(model, truth, noise_px=2.0)
    keep = np.r_[0:25, 35:60]
    gappy = replace(
        track,
        frame_idx=keep,
        boxes=track.boxes[keep],
        scores=track.scores[keep],
        keypoints_px=track.keypoints_px[keep],
        keypoint_conf=track.keypoint_conf[keep],
        landmarks=track.landmarks[keep],
        masks=no_masks(len(keep)),
    )
    motion = fit_track(gappy, times, INTRINSICS, model)
    assert list(motion.frame_idx) == list(range(60))
    assert not motion.observed[25:35].any() and motion.observed.sum() == 50
    _, _, joints = posed_keypoints(truth, model.rest_body(truth.shape))
    centred = motion.joints_camera[:, :NUM_BODY] - motion.joints_camera[:, :1]
    error = np.linalg.norm(centred - (joints - joints[:, :1]), axis=-1).mean(axis=1)
    assert error[25:35].max() < 0.12
    assert (motion.reprojection_px[25:35] == 0).all()


def test_a_second_without_a_sighting_is_marked_and_its_uncertainty_holds(model: BodyModel) -> None:
    noise = SensorNoise(dropouts=0.25)
    clip = perform(model, "sitting", seed=60, seconds=4.0, noise=noise)
    rest = model.rest_body(clip.truth.shape)
    motion = fit_track(clip.track, clip.times, clip.intrinsics, model, stature=rest.stature)
    gap = ~motion.observed
    assert gap.sum() == 30 and not np.isin(motion.frame_idx[gap], clip.track.frame_idx).any()
    truth = posed_keypoints(clip.truth, rest)[2][motion.frame_idx]
    error = np.abs(motion.joints_camera[:, :NUM_BODY] - truth)
    assert motion.body_joint_std is not None
    assert (error < 2 * motion.body_joint_std)[gap].mean() > 0.9
    steps = np.linalg.norm(np.diff(motion.joints_camera[:, :NUM_BODY], axis=0), axis=-1)
    assert steps[gap[1:]].max() < 0.12  # no jump where sight is lost or found again


def test_stated_uncertainty_holds_what_an_unknown_stature_leaves_open(model: BodyModel) -> None:
    times = np.arange(10) / 30
    truth = moving_body(model, times, model.param_spec.mean)
    _, evidence = build_evidence(track_of(model, truth, noise_px=4.0), times, INTRINSICS)
    unknown = joint_uncertainty(truth, evidence, model)
    known = joint_uncertainty(truth, replace(evidence, stature=1.7), model)
    depth = truth.root[:, 2:3]
    assert (unknown[..., 2] > 0.04 * depth).all()
    assert unknown[..., 2].mean() > 1.5 * known[..., 2].mean()


def test_long_tracks_in_windows_equal_one_solve(
    model: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = np.arange(150) / 30
    truth = moving_body(model, times, model.param_spec.mean)
    track = track_of(model, truth, noise_px=2.0)
    _, evidence = build_evidence(track, times, INTRINSICS)
    whole = fit_evidence(evidence, model)
    monkeypatch.setattr("body.fit._WINDOW", 80)
    parts = fit_evidence(evidence, model)
    assert len(parts.root) == len(whole.root)
    rest_whole, rest_parts = model.rest_body(whole.shape), model.rest_body(parts.shape)
    joints_whole = posed_keypoints(whole, rest_whole)[2]
    joints_parts = posed_keypoints(parts, rest_parts)[2]
    centred_whole, centred_parts = (x - x[:, :1] for x in (joints_whole, joints_parts))
    assert np.abs(centred_whole - centred_parts).max() < 0.04
    jumps = np.linalg.norm(np.diff(joints_parts, axis=0), axis=-1).max(axis=1)
    assert jumps.max() < 3 * np.median(jumps) + 0.01


def test_uncertainty_covers_the_errors_and_grows_in_gaps_and_depth(model: BodyModel) -> None:
    times = np.arange(60) / 30
    truth = moving_body(model, times, model.param_spec.mean)
    _, evidence = build_evidence(track_of(model, truth, noise_px=4.0), times, INTRINSICS)
    seen = np.r_[0:20, 45:60]
    weights = np.zeros_like(evidence.weights)
    weights[seen] = evidence.weights[seen]
    evidence = replace(evidence, weights=weights)
    state = fit_evidence(evidence, model)
    std = joint_uncertainty(state, evidence, model)
    assert std[30:35].mean() > 2 * std[5:15].mean()
    assert std[5:15, :, 2].mean() > 1.5 * std[5:15, :, :2].mean()
    rest = model.rest_body(state.shape)
    error = np.abs(posed_keypoints(state, rest)[2] - posed_keypoints(truth, rest)[2])
    inside = error < 2 * std
    assert inside[seen].mean() > 0.9 and inside.mean() > 0.8


def test_normal_equations_match_numeric_derivatives_of_the_cost(model: BodyModel) -> None:
    times = np.array([0.0, 0.03, 0.08, 0.1])
    state = moving_body(model, times, model.param_spec.mean)
    track = track_of(model, state, noise_px=3.0)
    _, evidence = build_evidence(track, times, INTRINSICS)
    solver = TrackSolver(model, evidence, Noise())
    lin = linearise_shape(model, state.shape)
    normal = solver._normal_equations(state, lin)
    rng = np.random.default_rng(1)
    for frame, dof in zip(rng.integers(0, 4, 12), rng.integers(0, 63, 12), strict=True):
        costs = []
        for sign in (1, -1):
            root, rotations = state.root.copy(), state.rotations.copy()
            if dof < 3:
                root[frame, dof] += sign * 1e-5
            else:
                joint, axis = FITTED_JOINTS[(dof - 3) // 3], (dof - 3) % 3
                step = rotvec_to_matrix(sign * 1e-5 * np.eye(3)[axis])
                rotations[frame, joint] = step @ rotations[frame, joint]
            costs.append(
                solver._normal_equations(replace(state, root=root, rotations=rotations), lin).cost
            )
        numeric = -(costs[0] - costs[1]) / 2e-5 / 2
        scale = np.abs(normal.right).max()
        assert normal.right[frame, dof] == pytest.approx(numeric, rel=0.05, abs=2e-3 * scale)


def test_prior_is_symmetric_and_pulls_over_extended_knees_back() -> None:
    rotvecs = np.zeros((1, len(FITTED_JOINTS), 3))
    left, right = FITTED_JOINTS.index(4), FITTED_JOINTS.index(5)
    rotvecs[0, [left, right], 0] = -0.5
    residual, weight = pose_prior(rotvecs)
    pull = weight * residual
    assert pull[0, left, 0] == pytest.approx(pull[0, right, 0])
    assert pull[0, left, 0] < -200
    shoulder_left, shoulder_right = FITTED_JOINTS.index(16), FITTED_JOINTS.index(17)
    mirrored = POSE_MEAN[shoulder_left] * [1, -1, -1]
    assert np.allclose(mirrored, POSE_MEAN[shoulder_right])


def test_left_jacobian_inverse_is_the_derivative_of_log() -> None:
    rng = np.random.default_rng(0)
    rotvecs = rng.normal(0, 1, (50, 3))
    step = 1e-6 * rng.normal(0, 1, (50, 3))
    moved = matrix_to_rotvec(rotvec_to_matrix(step) @ rotvec_to_matrix(rotvecs))
    # Log is unique only below pi.
    near = np.linalg.norm(rotvecs, axis=1) < 3
    predicted = np.einsum("nab,nb->na", left_jacobian_inverse(rotvecs), step)
    assert np.allclose((moved - rotvecs)[near], predicted[near], atol=1e-10)


@pytest.mark.parametrize("fps", [10.0, 30.0, 60.0])
def test_keypoints_that_leap_away_and_back_lose_trust(fps: float) -> None:
    times = np.arange(round(4 * fps)) / fps
    swing = 0.12 * np.sin(2 * np.pi * 0.9 * times)  # a walker's foot, in heights
    points = np.zeros((len(times), 33, 2))
    points[..., 0] = (0.8 * times + swing)[:, None]
    assert np.median(steadiness(points, times)) > 0.9
    leap = len(times) // 2
    points[leap, 5:9] += 0.15
    trust = steadiness(points, times)
    assert trust[leap, 5:9].max() < 0.05
    assert trust[leap, :5].min() > 0.3
    assert np.ones((1, 33)).shape == steadiness(points[:1], times[:1]).shape
