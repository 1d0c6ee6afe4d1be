"""The fit on bodies whose truth is exact: `tests.performers`, keypoint level, no pixels.

The noise model's parameters were chosen on seeds below 10; these are others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common import Row, row
from body.fit import build_evidence, fit_evidence, joint_uncertainty
from body.kinematics import BodyState, posed_keypoints
from body.models.base import BodyModel, RestBody
from body.solver import Evidence
from body.swaps import repair_swaps
from recon.core.geometry import Array, matrix_to_rotvec
from recon.core.skeletons import SMPLX_BODY_PARENTS
from recon.evaluate.metrics import mpjpe, pa_mpjpe
from tests.performers import ACTIONS, Action, Performance, SensorNoise, perform

FIRST_SEED = 1000
_LIMBS = [1, 2, 4, 5, 16, 17, 18, 19]
_HIPS = [1, 2]
_GAP_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One clip's errors: millimetres, degrees, per cent; calibration in per cent inside."""

    aligned: float
    centred: float
    root: float
    height: float
    proportions: float
    angle: float
    one_sigma: float
    two_sigma: float


def measure_rendered(model: BodyModel, *, quick: bool) -> Iterator[Row]:
    """Rows of all actions, with and without the height, swaps, dropouts, and the cost of frames."""
    seeds = range(FIRST_SEED, FIRST_SEED + (3 if quick else 10))
    clean = SensorNoise()
    clips = {a: [perform(model, a, seed=s, noise=clean) for s in seeds] for a in ACTIONS}
    everything = [p for found in clips.values() for p in found]
    for action, found in clips.items():
        known = [_outcome(p, model, stature=_height(p, model)) for p in found]
        yield row(f"rendered {action} PA-MPJPE", _mean(known, "aligned"), "mm", at_most=30)
    for name, given in (("height known", True), ("height unknown", False)):
        found = [
            _outcome(p, model, stature=_height(p, model) if given else None) for p in everything
        ]
        yield from _summary(f"rendered, {name}", found, given=given)
    short = [perform(model, a, seed=s, seconds=2.0, noise=clean) for a in ACTIONS for s in seeds]
    found = [_outcome(p, model, stature=_height(p, model)) for p in short]
    yield row("rendered 2 s, height known: height", _mean(found, "height"), "cm", at_most=3)
    yield from _landmark_rows(everything, model)
    yield from _swap_rows(model, seeds, everything)
    yield from _gap_rows(model, seeds)
    yield from _cost_rows(model)


def _summary(name: str, found: list[Outcome], *, given: bool) -> Iterator[Row]:
    limit = {"at_most": 30.0}
    yield row(f"{name}: PA-MPJPE", _mean(found, "aligned"), "mm", **limit)
    yield row(f"{name}: MPJPE", _mean(found, "centred"), "mm")
    yield row(f"{name}: root position", _mean(found, "root"), "mm")
    yield row(f"{name}: height", _mean(found, "height"), "cm", at_most=3)
    yield row(f"{name}: proportions (bone / height)", _mean(found, "proportions"), "%")
    yield row(f"{name}: joint angles of limbs", _mean(found, "angle"), "deg")
    yield row(f"{name}: inside 1 sigma", _mean(found, "one_sigma"), "%", at_least=60)
    yield row(f"{name}: inside 2 sigma", _mean(found, "two_sigma"), "%", at_least=90)


def _mean(found: list[Outcome], name: str) -> float:
    return float(np.mean([asdict(o)[name] for o in found]))


def _height(clip: Performance, model: BodyModel) -> float:
    return model.rest_body(clip.truth.shape).stature


def _fit(
    clip: Performance, model: BodyModel, stature: float | None, repair: bool = True
) -> tuple[Evidence, BodyState, BodyState]:
    """Evidence, fitted body and its true counterpart."""
    track = repair_swaps(clip.track, clip.times)[0] if repair else clip.track
    frames, evidence = build_evidence(track, clip.times, clip.intrinsics, stature=stature)
    with threadpool_limits(1):
        return evidence, fit_evidence(evidence, model), clip.truth.take(frames)


def _outcome(
    clip: Performance, model: BodyModel, *, stature: float | None, repair: bool = True
) -> Outcome:
    evidence, state, truth = _fit(clip, model, stature, repair)
    rest, true_rest = model.rest_body(state.shape), model.rest_body(truth.shape)
    joints, there = _joints(state, rest), _joints(truth, true_rest)
    with threadpool_limits(1):
        error = np.abs(joints - there) / joint_uncertainty(state, evidence, model)
    turn = np.swapaxes(truth.rotations, -1, -2) @ state.rotations
    angles = np.linalg.norm(matrix_to_rotvec(turn[:, _LIMBS]), axis=-1)
    shares = _bone_shares(rest) / _bone_shares(true_rest) - 1
    return Outcome(
        aligned=1e3 * pa_mpjpe(joints, there).mean(),
        centred=1e3 * mpjpe(joints, there, root=_HIPS).mean(),
        root=1e3 * np.linalg.norm(state.root - truth.root, axis=1).mean(),
        height=100 * abs(rest.stature - true_rest.stature),
        proportions=100 * float(np.abs(shares).mean()),
        angle=float(np.degrees(angles).mean()),
        one_sigma=100 * float((error < 1).mean()),
        two_sigma=100 * float((error < 2).mean()),
    )


def _joints(state: BodyState, rest: RestBody) -> Array:
    return posed_keypoints(state, rest)[2]


def _bone_shares(rest: RestBody) -> Array:
    """Lengths of the limbs' bones relative to the stature."""
    ends = np.array([4, 5, 7, 8, 18, 19, 20, 21])
    bones = rest.joints[ends] - rest.joints[np.array(SMPLX_BODY_PARENTS)[ends]]
    return np.linalg.norm(bones, axis=-1) / rest.stature


def _landmark_rows(clips: list[Performance], model: BodyModel) -> Iterator[Row]:
    """The landmarks that the fit starts from."""
    centred, aligned = [], []
    for clip in clips:
        points = posed_keypoints(clip.truth, model.rest_body(clip.truth.shape))[0][:, 11:]
        centred.append(mpjpe(clip.track.landmarks[:, 11:], points, root=[12, 13]).mean())
        aligned.append(pa_mpjpe(clip.track.landmarks[:, 11:], points).mean())
    yield row("rendered raw landmarks MPJPE", 1e3 * float(np.mean(centred)), "mm")
    yield row("rendered raw landmarks PA-MPJPE", 1e3 * float(np.mean(aligned)), "mm")


def _swap_rows(model: BodyModel, seeds: range, clean: list[Performance]) -> Iterator[Row]:
    """One left-right swap a second, 0.15 s long: found, and what it costs the fit."""
    noise = SensorNoise(swaps=1.0)
    clips = [perform(model, a, seed=s, noise=noise) for a in ACTIONS for s in seeds]
    flags = [(repair_swaps(p.track, p.times)[1], p.swapped[p.track.frame_idx]) for p in clips]
    found, true = (np.concatenate([pair[i] for pair in flags]) for i in (0, 1))
    yield row("swaps: limb pairs swapped", 100 * float(true.mean()), "% of frames")
    yield row("swaps: found", 100 * float((found & true).sum() / true.sum()), "%", at_least=90)
    yield row(
        "swaps: wrongly claimed", 100 * float((found & ~true).mean()), "% of frames", at_most=1
    )
    touched = float(np.mean([repair_swaps(p.track, p.times)[1].any() for p in clean]))
    yield row("swaps: clean clips touched", 100 * touched, "%", at_most=0)
    for name, repair in (("without repair", False), ("repaired", True)):
        done = [_outcome(p, model, stature=_height(p, model), repair=repair) for p in clips]
        yield row(f"swaps, {name}: PA-MPJPE", _mean(done, "aligned"), "mm")
        yield row(f"swaps, {name}: joint angles of limbs", _mean(done, "angle"), "deg")


def _gap_rows(model: BodyModel, seeds: range) -> Iterator[Row]:
    """Nobody seen for one of four seconds."""
    noise, errors, inside = SensorNoise(dropouts=_GAP_SECONDS / 4), [], []
    for action in ACTIONS:
        for seed in seeds:
            clip = perform(model, action, seed=seed, seconds=4.0, noise=noise)
            evidence, state, truth = _fit(clip, model, _height(clip, model))
            gap = ~np.isin(np.arange(len(state.root)), clip.track.frame_idx)
            joints = _joints(state, model.rest_body(state.shape))
            there = _joints(truth, model.rest_body(truth.shape))
            with threadpool_limits(1):
                std = joint_uncertainty(state, evidence, model)
            inside.append((np.abs(joints - there) < 2 * std)[gap].mean())
            errors.append(mpjpe(joints, there, root=_HIPS)[gap].mean())
    yield row("1 s unseen: MPJPE inside the gap", 1e3 * float(np.mean(errors)), "mm")
    yield row("1 s unseen: inside 2 sigma", 100 * float(np.mean(inside)), "%", at_least=90)


def _cost_rows(model: BodyModel) -> Iterator[Row]:
    """CPU milliseconds a frame; the same for ten and for forty seconds."""
    action: Action = "walking"
    per_frame = []
    for frames in (300, 600, 1200):
        clip = perform(model, action, seed=FIRST_SEED, seconds=frames / 30)
        start = time.process_time()
        evidence, state, _ = _fit(clip, model, None)
        with threadpool_limits(1):
            joint_uncertainty(state, evidence, model)
        per_frame.append(1e3 * (time.process_time() - start) / frames)
        yield row(f"fit of {frames} frames", per_frame[-1], "CPU ms/frame")
    growth = per_frame[-1] / per_frame[0]
    yield row("fit, cost a frame: 1200 / 300 frames", growth, "x", at_most=1.5)
