"""Stage `body`: one body fitted to each tracked person, in the camera frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import median_filter
from threadpoolctl import threadpool_limits

from body.faces import jaw_track
from body.hand_fit import fit_hands
from body.initial_pose import initial_root, initial_rotations
from body.kinematics import NUM_BODY, BodyState, posed_keypoints
from body.models import load_body_model
from body.models.base import BodyModel
from body.shape_evidence import MASS_TOLERANCE, rig_mass
from body.solver import Evidence, Noise, TrackSolver
from body.swaps import PARTS, repair_swaps
from recon.core.camera import Intrinsics
from recon.core.geometry import (
    Array,
    matrix_to_rotvec,
    rotvec_to_matrix,
    slerp_matrices,
)
from recon.core.people import (
    NUM_JOINTS,
    BodyPoses,
    BodyShape,
    CameraMotion,
    PersonTrack,
)
from recon.core.scene import Scene
from recon.core.stage import Decision, Progress, StageReport, no_progress

_WINDOW = 300
OVERLAP = 30
"""Frames that neighbouring windows of a long motion share."""
_POSTERIOR_DRAWS = 16
_BODY_KEYPOINTS = np.array([11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32])
_FACE_KEYPOINTS = np.arange(11)
_LEAP_SECONDS = 0.1  # half the window of the running median
_LEAP = 0.03  # of the person's height
VISIBLE = 0.5
"""Keypoint confidence from which a keypoint counts as visible."""


@dataclass(frozen=True, kw_only=True)
class BodyConfig:
    """Which body model to fit; the person's stature (metres) and mass (kg) if the user knows."""

    body_model: str = "anny"
    body_model_path: str | None = None
    stature: float | None = None
    mass: float | None = None


def build_evidence(
    track: PersonTrack,
    times: Array,
    intrinsics: Intrinsics,
    *,
    stature: float | None = None,
    stature_std: float | None = None,
    mass: float | None = None,
) -> tuple[np.ndarray, Evidence]:
    """Consecutive frame indices (M,) of a track and what was seen in each; gaps weigh nothing.

    Args:
        times: (T,) seconds of all frames of the video.
    """
    frame_idx = np.arange(track.frame_idx[0], track.frame_idx[-1] + 1)
    row = np.clip(np.searchsorted(track.frame_idx, frame_idx), 0, len(track.frame_idx) - 1)
    seen = track.frame_idx[row] == frame_idx
    keypoints = track.keypoints_px[row]
    weights = track.keypoint_conf[row] * seen[:, None]
    weights[:, _FACE_KEYPOINTS] *= 0.5  # eleven points on one rigid head
    boxes = track.boxes[row]
    size_px = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1), 20.0)
    weights *= steadiness(keypoints / size_px[:, None, None], times[frame_idx])
    return frame_idx, Evidence(
        times=times[frame_idx],
        keypoints_px=keypoints,
        landmarks=track.landmarks[row],
        metric=track.metric,
        weights=weights,
        size_px=size_px,
        intrinsics=intrinsics,
        stature=stature,
        stature_std=stature_std,
        mass=mass,
    )


def steadiness(keypoints: Array, times: Array) -> Array:
    """Trust 0-1 (M, K) in keypoints (M, K, 2) that do not leap away and back within a moment.

    A running median follows every motion but one that turns round within its window, and limbs
    do not turn that fast: what is far off it is a network that lost the person for some frames.

    Args:
        keypoints: in heights of the person. times: (M,) seconds.
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else _LEAP_SECONDS
    reach = max(1, round(_LEAP_SECONDS / step))
    usual = median_filter(keypoints, size=(2 * reach + 1, 1, 1), mode="nearest")
    leap = np.linalg.norm(keypoints - usual, axis=-1) / _LEAP
    return np.asarray((1 + leap**2) ** -2)


def fit_evidence(evidence: Evidence, model: BodyModel, noise: Noise | None = None) -> BodyState:
    """The body that explains the evidence: one shape, a pose for every frame.

    Long tracks: the shape from evenly spread frames, then the poses in overlapping windows, so
    that memory does not grow with the track beyond its result.
    """
    noise = noise or Noise()
    state = _initial_state(evidence, model)
    num = len(evidence.times)
    if num <= _WINDOW:
        return TrackSolver(model, evidence, noise).solve(state, fit_shape=True)
    seen = np.flatnonzero(evidence.weights.sum(axis=1) > 0)
    spread = seen[np.unique(np.linspace(0, len(seen) - 1, _WINDOW // 2).astype(int))]
    coarse = TrackSolver(model, evidence.take(spread), noise)
    shaped = coarse.solve(state.take(spread), fit_shape=True)
    state = replace(state, shape=shaped.shape, landmark_scale=shaped.landmark_scale)
    result: BodyState | None = None
    for start in range(0, num - OVERLAP, _WINDOW - OVERLAP):
        rows = slice(start, min(start + _WINDOW, num))
        solver = TrackSolver(model, evidence.take(rows), noise)
        part = solver.solve(state.take(rows), fit_shape=False)
        result = part if result is None else joined(result, part)
    assert result is not None
    return result


def joined(before: BodyState, after: BodyState) -> BodyState:
    """Two windows as one, blended over their overlap."""
    blend = np.linspace(0, 1, OVERLAP)
    old, new = slice(-OVERLAP, None), slice(None, OVERLAP)
    root = before.root[old] + blend[:, None] * (after.root[new] - before.root[old])
    turn = matrix_to_rotvec(after.rotations[new] @ np.swapaxes(before.rotations[old], -1, -2))
    middle = rotvec_to_matrix(blend[:, None, None] * turn) @ before.rotations[old]
    return replace(
        before,
        root=np.concatenate([before.root[:-OVERLAP], root, after.root[OVERLAP:]]),
        rotations=np.concatenate([before.rotations[:-OVERLAP], middle, after.rotations[OVERLAP:]]),
    )


def joint_uncertainty(
    state: BodyState, evidence: Evidence, model: BodyModel, noise: Noise | None = None
) -> Array:
    """Standard deviations (M, 22, 3) in metres of the body joints, camera axes.

    From draws of the posterior with the shape held, and what its stature leaves open: a larger
    body farther away looks the same. Where nobody was seen they grow with the length of the gap.
    """
    noise = noise or Noise()
    rest = model.rest_body(state.shape)
    out = np.empty((len(state.root), NUM_BODY, 3))
    for start in range(0, len(out), _WINDOW):
        rows = slice(start, start + _WINDOW)
        solver = TrackSolver(model, evidence.take(rows), noise)
        draws = solver.sample(state.take(rows), count=_POSTERIOR_DRAWS)
        out[rows] = np.std([posed_keypoints(draw, rest)[2] for draw in draws], axis=0)
    _, spread = evidence.stature_prior(noise)
    return np.hypot(out, posed_keypoints(state, rest)[2] * spread / rest.stature)


def _initial_state(evidence: Evidence, model: BodyModel) -> BodyState:
    """Poses from the landmarks where the person was seen, interpolated where not."""
    shape = model.param_spec.mean
    rest = model.rest_body(shape)
    seen = np.flatnonzero(evidence.weights.sum(axis=1) > 0)
    some = evidence.take(seen)
    rotations = initial_rotations(some.landmarks, rest)
    root = initial_root(rotations, rest, some.keypoints_px, some.weights, some.intrinsics)
    filled = np.stack([np.interp(evidence.times, some.times, axis) for axis in root.T], axis=-1)
    return BodyState(
        shape=shape,
        root=filled,
        rotations=slerp_matrices(evidence.times, some.times, rotations),
    )


def fit_track(
    track: PersonTrack,
    times: Array,
    intrinsics: Intrinsics,
    model: BodyModel,
    *,
    stature: float | None = None,
    stature_std: float | None = None,
    mass: float | None = None,
) -> CameraMotion:
    """One person's motion in the camera frame, over every frame from first to last seen."""
    frame_idx, evidence = build_evidence(
        track, times, intrinsics, stature=stature, stature_std=stature_std, mass=mass
    )
    state = fit_evidence(evidence, model)
    rotations = np.tile(np.eye(3), (len(frame_idx), NUM_JOINTS, 1, 1))
    rotations[:, :NUM_BODY] = state.rotations
    poses = BodyPoses(root=state.root, rotations=rotations)
    if track.hands_px is not None:
        poses = fit_hands(
            track, frame_idx, poses,
            times=times, intrinsics=intrinsics, model=model, shape=state.shape,
        )  # fmt: skip
    points, _, _ = posed_keypoints(state, model.rest_body(state.shape))
    error = np.linalg.norm(intrinsics.project(points) - evidence.keypoints_px, axis=-1)
    visible = (evidence.weights > VISIBLE)[:, _BODY_KEYPOINTS]
    median = np.ma.median(np.ma.array(error[:, _BODY_KEYPOINTS], mask=~visible), axis=1)
    return CameraMotion(
        track_id=track.track_id,
        frame_idx=frame_idx,
        observed=np.isin(frame_idx, track.frame_idx),
        shape=BodyShape(model=model.name, names=model.param_spec.names, values=state.shape),
        poses_camera=poses,
        joints_camera=model.skeleton(state.shape, poses),
        body_joint_std=joint_uncertainty(state, evidence, model),
        jaw_open=_jaw_open(track, frame_idx),
        reprojection_px=np.asarray(median.filled(0.0), dtype=float),
        confidence=evidence.weights[:, _BODY_KEYPOINTS].mean(axis=1),
    )


def _jaw_open(track: PersonTrack, frame_idx: np.ndarray) -> Array | None:
    if track.face_px is None or track.face_conf is None:
        return None
    return jaw_track(track.frame_idx, track.face_px, track.face_conf, frame_idx)


def run(scene: Scene, config: BodyConfig, *, progress: Progress = no_progress) -> StageReport:
    """Fits every tracked person of the scene and writes body.npz and rigs.npz."""
    path = Path(config.body_model_path) if config.body_model_path else None
    model = load_body_model(config.body_model, path)
    tracks, times, intrinsics = scene.tracks, scene.video.times, scene.camera.intrinsics
    motions, rigs, decisions, numbers, warnings = [], [], [], {}, []
    ground = scene.ground if config.stature is None else None
    for done, seen in enumerate(tracks):
        progress(done, len(tracks))
        track, swapped = repair_swaps(seen, times)
        measured = None if ground is None else ground.stature_of(track.track_id)
        tall, spread = measured or (config.stature, None)
        with threadpool_limits(1):  # many small products: threads would only wait for each other
            motion = fit_track(
                track, times, intrinsics, model,
                stature=tall, stature_std=spread, mass=config.mass,
            )  # fmt: skip
        motions.append(motion)
        rigs.append(model.skinning_spec(motion.shape.values))
        stature = model.rest_body(motion.shape.values).stature
        height_px = float(np.median(track.boxes[:, 3] - track.boxes[:, 1]))
        error_px = float(np.median(motion.reprojection_px[motion.observed]))
        numbers[f"person{track.track_id}"] = {
            "stature": round(stature, 3),
            "reprojection_px": round(error_px, 2),
            "reprojection_of_box_height": round(error_px / height_px, 4),
            "swapped_frames": dict(zip(PARTS, swapped.sum(axis=0).tolist(), strict=True)),
        }
        if motion.body_joint_std is not None:
            spread = np.linalg.norm(motion.body_joint_std, axis=-1)
            numbers[f"person{track.track_id}"]["joint_std"] = round(float(np.median(spread)), 4)
        why = "from proportions and an adult prior"
        if tall is not None:
            why = "given by the user" if measured is None else "from all who stand on one floor"
        decisions.append(
            Decision(name=f"stature of person {track.track_id}", value=f"{stature:.2f} m", why=why)
        )
        if config.mass is not None:
            mass = rig_mass(rigs[-1])
            numbers[f"person{track.track_id}"]["mass"] = round(mass, 1)
            if abs(mass - config.mass) > MASS_TOLERANCE * config.mass:
                warnings.append(
                    f"person {track.track_id}: a weight of {config.mass:g} kg was given, but a "
                    f"{model.name} body of {stature:.2f} m in this shape weighs {mass:.1f} kg"
                )
    progress(len(tracks), len(tracks))
    scene.save("body.npz", motions)
    scene.save("rigs.npz", rigs)
    return StageReport(
        backend=f"{model.name} ({model.licence})",
        decisions=tuple(decisions),
        numbers=numbers,
        warnings=tuple(warnings),
    )
