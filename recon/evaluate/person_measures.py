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
    Ground,
    contact_score,
    contacts_by_step,
    floating,
    penetration,
)
from recon.evaluate.matching import PersonMatch
from recon.evaluate.protocol import Protocol
from recon.evaluate.recording import Skin

SHORT_PATH = 1.0
"""Metres: RTE divides by the path, and says nothing of somebody who stays in a place."""

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
        path, true_path: (K, 3) metres, pelvis, the former aligned rigidly.
        contacts, true_contacts: (K, 4) probabilities, None where not known.
        contact_score: counts of the contacts, None likewise.
    """

    predicted_id: int
    truth_id: int
    frames: np.ndarray
    times: Array
    coverage: float
    figures: dict[str, float]
    values: dict[str, Array]
    path: Array
    true_path: Array
    contacts: Array | None
    true_contacts: Array
    contact_score: ContactScore | None
    same_mesh: bool


def measure_match(
    match: PersonMatch,
    *,
    times: Array,
    fps: float,
    protocol: Protocol,
    ground: Ground | None,
    joints: int = 22,
    regressor: Array | None = None,
) -> PersonEvaluation:
    """The figures of one person.

    Args:
        times: (T,) seconds of the truth. fps: of the shared frames. ground: what the true person
            stands on, or None where it is not known. joints, regressor: see `evaluate_scenes`.
    """
    rows, true_rows = match.predicted_rows, match.truth_rows
    found, there = match.predicted, match.truth
    values, same_mesh = _camera_space(match, fps, protocol, joints, regressor)
    world, feet = found.joints_world, found.feet_world
    if protocol.root_sigma:
        smooth = world_metrics.root_smoothed(world, sigma=protocol.root_sigma)
        feet = feet + (smooth[:, :1] - world[:, :1])
        world = smooth
    world, true_world = world[rows], there.joints_world[true_rows]
    feet, true_feet = feet[rows], there.feet_world[true_rows]
    root, true_root = world[:, 0], true_world[:, 0]
    extend = metrics.with_hands if joints == 24 else _same
    body, true_body = extend(world), extend(true_world)
    length = world_metrics.path_length(true_root)
    step = 30 / fps * world_metrics.CONTACT_STEP
    contacts = found.contacts[rows] if found.contacts is not None else None
    true_contacts = (
        there.contacts[true_rows]
        if there.contacts is not None
        else contacts_by_step(true_feet, threshold=step)
    )
    values |= {
        "wa_mpjpe_mm": _MM * world_metrics.wa_mpjpe(body, true_body, tail=protocol.tail),
        "w_mpjpe_mm": _MM * world_metrics.w_mpjpe(body, true_body, tail=protocol.tail),
        "erve_mm": _MM * world_metrics.erve(
            root, true_root,
            R_world_predicted=found.R_world_root[rows], R_world_root=there.R_world_root[true_rows],
        ),
        "jitter": world_metrics.jitter(body, fps=fps),
        "jitter_truth": world_metrics.jitter(true_body, fps=fps),
        "foot_sliding_mm": _MM * world_metrics.foot_sliding(feet, true_feet),
        "foot_sliding_truth_mm": _MM * world_metrics.foot_sliding(true_feet, true_feet),
    }  # fmt: skip
    if length >= SHORT_PATH:
        values["rte_percent"] = world_metrics.rte(root, true_root)
    if ground is not None:
        values |= _clearances(feet, true_feet, true_contacts, ground)
    score = contact_score(contacts, true_contacts) if contacts is not None else None
    figures = {name: _mean(v) for name, v in values.items()}
    figures |= contact_figures(score)
    figures |= {
        "size_percent": 100
        * _size_error(found.joints_camera[rows], there.joints_camera[true_rows]),
        "path_scale_percent": 100 * camera_metrics.scale_error(root, true_root),
        "path_m": length,
        "coverage_percent": 100 * match.coverage,
    }
    return PersonEvaluation(
        predicted_id=found.person_id, truth_id=there.person_id, frames=match.frames,
        times=times[match.frames], coverage=match.coverage, figures=figures, values=values,
        path=camera_metrics.aligned(root, true_root, with_scale=False), true_path=true_root,
        contacts=contacts, true_contacts=true_contacts, contact_score=score, same_mesh=same_mesh,
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


def _camera_space(
    match: PersonMatch, fps: float, protocol: Protocol, joints: int, regressor: Array | None
) -> tuple[dict[str, Array], bool]:
    """PA-MPJPE, MPJPE, Accel and, where both bodies have one mesh, PVE."""
    rows, true_rows = match.predicted_rows, match.truth_rows
    same_mesh = match.predicted.mesh == match.truth.mesh
    extend = metrics.with_hands if joints == 24 else _same
    found = extend(match.predicted.joints_camera[rows])
    there = extend(match.truth.joints_camera[true_rows])
    hips: Sequence[int] = metrics.SMPL_HIPS
    if regressor is not None:
        hips = metrics.LSP14_HIPS
        found = _regressed(match.predicted.skin, rows, regressor)
        there = _regressed(match.truth.skin, true_rows, regressor)
    values = {
        "pa_mpjpe_mm": _MM * metrics.pa_mpjpe(found, there).mean(axis=-1),
        "mpjpe_mm": _MM * metrics.mpjpe(found, there, root=hips).mean(axis=-1),
        "accel": metrics.acceleration_error(
            found, there, fps=fps, root=hips, variant=protocol.accel
        ),
    }
    if same_mesh:
        parts = [
            metrics.pve(
                match.predicted.skin(rows[part]), match.truth.skin(true_rows[part]),
                predicted_joints=found[part], joints=there[part], root=hips,
            ).mean(axis=-1)
            for part in _parts(len(rows))
        ]  # fmt: skip
        values["pve_mm"] = _MM * np.concatenate(parts)
    return values, same_mesh


def _regressed(skin: Skin, rows: np.ndarray, regressor: Array) -> Array:
    parts = [metrics.lsp14(skin(rows[part]), regressor) for part in _parts(len(rows))]
    return np.concatenate(parts)


def _parts(count: int) -> list[slice]:
    return [slice(k, k + _ROWS_AT_ONCE) for k in range(0, count, _ROWS_AT_ONCE)]


def _same(joints: Array) -> Array:
    return joints


def _clearances(
    feet: Array, true_feet: Array, true_contacts: Array, ground: Ground
) -> dict[str, Array]:
    """Penetration in every frame, and float in those in which the true person stands.

    The ground of each point is what lies below the true one, so that a step is met at the right
    moment even where the path has drifted.
    """
    level = feet.copy()
    level[..., 2] -= ground.height(true_feet)
    stands = (true_contacts > 0.5).any(axis=1)
    return {
        "penetration_mm": _MM * penetration(level),
        "float_mm": _MM * floating(level[stands]),
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
