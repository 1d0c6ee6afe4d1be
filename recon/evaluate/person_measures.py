"""All figures of one person who was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recon.core.geometry import Array
from recon.core.skeletons import SMPLX_BODY_PARENTS
from recon.evaluate import camera_metrics, metrics, world_metrics
from recon.evaluate.contact_metrics import (
    ContactScore,
    contact_score,
    contacts_by_step,
    floating,
    ground_height,
    penetration,
)
from recon.evaluate.matching import PersonMatch
from recon.evaluate.protocol import Protocol
from recon.evaluate.recording import Skin
from recon.motion.clip import Box

SHORT_PATH = 1.0
"""Metres: RTE divides by the path, and says nothing of somebody who stays in a place."""

_TRAVELLING_SPREAD = 0.5  # metres: the sway of who stays in a place is all error

USUAL_FPS = 30.0
"""Frame rate of all published tables."""

_MM = 1000.0
_ROWS_AT_ONCE = 64  # frames skinned at once: about 10 MB
_LIMB_BONES = [k for k in range(1, 22) if k not in (1, 2, 3, 6, 9, 12, 13, 14)]
"""Joints whose bone to the parent is comparable between body models: legs, arms, head."""


@dataclass(frozen=True, kw_only=True)
class PersonEvaluation:
    """One true person and whom it was found as, over K shared frames.

    Args:
        frames: (K,) indices into the truth's times. times: (K,) seconds.
        figures: by the names of FIGURES. values: what they are means of, one number for each
            frame (or step); people are pooled by putting these together.
        path, true_path: (K, 3) metres, the pelvis in each one's own world.
        contacts, true_contacts: (K, 4) probabilities, None where not known.
        contact_score: counts of the contacts, None likewise.
    """

    predicted_id: int
    truth_id: int
    frames: np.ndarray
    times: Array
    figures: dict[str, float]
    values: dict[str, Array]
    path: Array
    true_path: Array
    contacts: Array | None
    true_contacts: Array
    contact_score: ContactScore | None


def measure_match(
    match: PersonMatch,
    *,
    times: Array,
    fps: float,
    protocol: Protocol,
    ground: Sequence[Box] | None,
    close_gaps: bool = False,
    joints: int = 22,
    regressor: Array | None = None,
) -> PersonEvaluation:
    """The figures of one person.

    Args:
        times: (T,) seconds of the truth. fps: of the shared frames. ground: the boxes that
            stand on the floor of the true world, or None where the floor is not known.
        close_gaps, joints, regressor: see `evaluate_scenes`.
    """
    shared = _shared(match, fps, protocol)
    place = np.arange(len(match.place)) if close_gaps else match.place - match.place[0]
    values = _camera_space(match, fps, protocol, place, joints=joints, regressor=regressor)
    values |= _world_space(shared, fps, protocol, place, joints=joints)
    if ground is not None:
        values |= _clearances(shared, ground)
    root, true_root = shared.joints[:, 0], shared.true_joints[:, 0]
    score = None
    if shared.contacts is not None:
        score = contact_score(shared.contacts, shared.true_contacts)
    figures = {name: _mean(v) for name, v in values.items()} | contact_figures(score)
    figures |= {
        "size_percent": 100 * _size_error(shared.joints, shared.true_joints),
        "path_scale_percent": 100
        * camera_metrics.scale_error(root, true_root, least=_TRAVELLING_SPREAD),
        "path_m": world_metrics.path_length(true_root),
        "coverage_percent": 100 * match.coverage,
    }
    return PersonEvaluation(
        predicted_id=match.predicted.person_id, truth_id=match.truth.person_id,
        frames=match.frames, times=times[match.frames], figures=figures, values=values,
        path=root, true_path=true_root,
        contacts=shared.contacts, true_contacts=shared.true_contacts, contact_score=score,
    )  # fmt: skip


def pooled(people: Sequence[PersonEvaluation]) -> dict[str, float]:
    """Figures of several people (or clips): means over all their frames (frame-weighted).

    Scales and sizes, which have one value per person, are means of their sizes without sign;
    path lengths are added.
    """
    out = {}
    for name in dict.fromkeys(key for p in people for key in p.values):
        out[name] = _mean(np.concatenate([p.values[name] for p in people if name in p.values]))
    scores = [p.contact_score for p in people if p.contact_score is not None]
    if scores:
        out |= contact_figures(sum(scores[1:], scores[0]))
    for name in ("size_percent", "path_scale_percent"):
        out[name] = _mean(np.abs([p.figures[name] for p in people]))
    out["path_m"] = sum(p.figures["path_m"] for p in people)
    return out


def contact_figures(score: ContactScore | None) -> dict[str, float]:
    """F1, precision and recall; nothing without a score."""
    if score is None:
        return {}
    return {
        "contact_f1": score.f1,
        "contact_precision": score.precision,
        "contact_recall": score.recall,
    }


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """Both motions in their worlds over the K shared frames, pre-steps done."""

    joints: Array
    true_joints: Array
    R_world_root: Array
    R_true_root: Array
    feet: Array
    true_feet: Array
    contacts: Array | None
    true_contacts: Array


def _shared(match: PersonMatch, fps: float, protocol: Protocol) -> _Shared:
    rows, true_rows = match.predicted_rows, match.truth_rows
    found, there = match.predicted, match.truth
    joints, feet = found.joints_world, found.feet_world
    if protocol.root_sigma:  # over all frames, as TRAM does it before it takes the valid ones
        smooth = world_metrics.root_smoothed(joints, sigma=protocol.root_sigma)
        feet = feet + (smooth[:, :1] - joints[:, :1])
        joints = smooth
    true_feet = there.feet_world[true_rows]
    if there.contacts is not None:
        true_contacts = there.contacts[true_rows]
    else:
        step = world_metrics.CONTACT_STEP * USUAL_FPS / fps
        true_contacts = contacts_by_step(true_feet, threshold=step)
    return _Shared(
        joints=joints[rows], true_joints=there.joints_world[true_rows],
        R_world_root=found.R_world_root[rows], R_true_root=there.R_world_root[true_rows],
        feet=feet[rows], true_feet=true_feet,
        contacts=found.contacts[rows] if found.contacts is not None else None,
        true_contacts=true_contacts,
    )  # fmt: skip


def _world_space(
    s: _Shared, fps: float, protocol: Protocol, place: np.ndarray, *, joints: int
) -> dict[str, Array]:
    """World figures but those of the ground; RTE only where the path is long enough."""
    extend = metrics.with_hands if joints == 24 else _same
    body, true_body = extend(s.joints), extend(s.true_joints)
    root, true_root = s.joints[:, 0], s.true_joints[:, 0]
    values = {
        "wa_mpjpe_mm": _MM * world_metrics.wa_mpjpe(body, true_body, tail=protocol.tail),
        "w_mpjpe_mm": _MM * world_metrics.w_mpjpe(body, true_body, tail=protocol.tail),
    }
    if world_metrics.path_length(true_root) >= SHORT_PATH:
        values["rte_percent"] = world_metrics.rte(root, true_root)
    valid = _measured(place)
    body, true_body, feet, true_feet = _in_time(place, body, true_body, s.feet, s.true_feet)
    R, R_true = _in_time(place, s.R_world_root, s.R_true_root)
    return values | {
        "erve_mm": _MM * world_metrics.erve(
            body[:, 0], true_body[:, 0], R_world_predicted=R, R_world_root=R_true, valid=valid
        ),
        "jitter": world_metrics.jitter(body, fps=fps, valid=valid),
        "jitter_truth": world_metrics.jitter(true_body, fps=fps, valid=valid),
        "foot_sliding_mm": _MM * world_metrics.foot_sliding(feet, true_feet, valid=valid),
        "foot_sliding_truth_mm": _MM
        * world_metrics.foot_sliding(true_feet, true_feet, valid=valid),
    }  # fmt: skip


def _measured(place: np.ndarray) -> np.ndarray:
    """Which frames from the first to the last shared one are shared."""
    return np.isin(np.arange(place[-1] + 1), place)


def _in_time(place: np.ndarray, *arrays: Array) -> list[Array]:
    """Arrays (K, ...) over all frames from the first to the last, NaN where nothing is shared."""
    out = [np.full((place[-1] + 1, *array.shape[1:]), np.nan) for array in arrays]
    for full, array in zip(out, arrays, strict=True):
        full[place] = array
    return out


def _camera_space(
    match: PersonMatch, fps: float, protocol: Protocol, place: np.ndarray,
    *, joints: int, regressor: Array | None,
) -> dict[str, Array]:  # fmt: skip
    """PA-MPJPE; with cameras MPJPE and Accel; PVE where both bodies have one mesh."""
    rows, true_rows = match.predicted_rows, match.truth_rows
    extend = metrics.with_hands if joints == 24 else _same
    if match.truth.joints_camera is None or match.predicted.joints_camera is None:
        world = [p.joints_world[r] for p, r in ((match.predicted, rows), (match.truth, true_rows))]
        aligned = metrics.pa_mpjpe(*map(extend, world))  # the same in every frame of reference
        return {"pa_mpjpe_mm": _MM * aligned.mean(axis=-1)}
    found = extend(match.predicted.joints_camera[rows])
    there = extend(match.truth.joints_camera[true_rows])
    hips: Sequence[int] = metrics.SMPL_HIPS
    if regressor is not None:
        hips = metrics.LSP14_HIPS
        found = _regressed(match.predicted.skin, rows, regressor)
        there = _regressed(match.truth.skin, true_rows, regressor)
    in_time, there_in_time = _in_time(place, found, there)
    values = {
        "pa_mpjpe_mm": _MM * metrics.pa_mpjpe(found, there).mean(axis=-1),
        "mpjpe_mm": _MM * metrics.mpjpe(found, there, root=hips).mean(axis=-1),
        "accel": metrics.acceleration_error(
            in_time, there_in_time, fps=fps, root=hips, variant=protocol.accel,
            valid=_measured(place),
        ),
    }  # fmt: skip
    if same_mesh(match):
        parts = [
            metrics.pve(
                match.predicted.skin(rows[part]), match.truth.skin(true_rows[part]),
                predicted_joints=found[part], joints=there[part], root=hips,
            ).mean(axis=-1)
            for part in _parts(len(rows))
        ]  # fmt: skip
        values["pve_mm"] = _MM * np.concatenate(parts)
    return values


def same_mesh(match: PersonMatch) -> bool:
    """Whether the vertices of both bodies are the same points."""
    return match.predicted.mesh == match.truth.mesh


def _regressed(skin: Skin, rows: np.ndarray, regressor: Array) -> Array:
    parts = [metrics.lsp14(skin(rows[part]), regressor) for part in _parts(len(rows))]
    return np.concatenate(parts)


def _parts(count: int) -> list[slice]:
    return [slice(k, k + _ROWS_AT_ONCE) for k in range(0, count, _ROWS_AT_ONCE)]


def _same(joints: Array) -> Array:
    return joints


def _clearances(s: _Shared, ground: Sequence[Box]) -> dict[str, Array]:
    """Penetration in every frame, and float in those in which the true person stands.

    The ground of each point is what lies below the true one, so that a step is met at the right
    moment even where the path has drifted.
    """
    height = ground_height(s.true_feet, ground)
    stands = (s.true_contacts > 0.5).any(axis=1)
    return {
        "penetration_mm": _MM * penetration(s.feet, height),
        "float_mm": _MM * floating(s.feet[stands], height[stands]),
    }


def _size_error(joints: Array, truth: Array) -> float:
    """How much too long the bones of legs, arms and neck are together, as a share."""
    parents = [SMPLX_BODY_PARENTS[k] for k in _LIMB_BONES]
    lengths = [
        float(np.linalg.norm(x[:, _LIMB_BONES] - x[:, parents], axis=-1).mean())
        for x in (joints, truth)
    ]
    return lengths[0] / lengths[1] - 1


def _mean(values: Array) -> float:
    finite = np.asarray(values)[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
