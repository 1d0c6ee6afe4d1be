"""A found scene against the truth: every figure of the field, per person and for the camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from recon.core.errors import MissingDependencyError
from recon.core.geometry import Array
from recon.core.scene import Scene
from recon.evaluate.camera_measures import CameraEvaluation, measure_camera
from recon.evaluate.figures import FIGURES
from recon.evaluate.matching import FrameMatch, PersonMatch, match_frames, match_people, pixels
from recon.evaluate.person_measures import USUAL_FPS, PersonEvaluation, measure_match, pooled
from recon.evaluate.protocol import Protocol, ProtocolName, get_protocol
from recon.evaluate.recording import Recording, read_recording
from recon.evaluate.tracking import People, mot_events, mot_figures


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All figures of one clip.

    Args:
        people: those that were found. missed: ids of true people nobody was found for.
        extra: ids of found people that are nobody's.
        camera: None where one of the recordings has no camera.
        tracking: MOT figures, empty where they could not be counted.
        summary: the main figures by name: people's are means over all their frames.
        notes: what a reader must know of these numbers.
    """

    predicted: str
    truth: str
    protocol: Protocol
    fps: float
    num_frames: int
    people: tuple[PersonEvaluation, ...]
    missed: tuple[int, ...]
    extra: tuple[int, ...]
    camera: CameraEvaluation | None
    tracking: dict[str, float]
    summary: dict[str, float]
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """All figures as JSON-native values; those that are not defined are None."""
        return {
            "predicted": self.predicted,
            "truth": self.truth,
            "protocol": self.protocol.name,
            "fps": round(self.fps, 4),
            "frames": self.num_frames,
            "summary": plain(self.summary),
            "people": [
                {"predicted": p.predicted_id, "truth": p.truth_id, "frames": len(p.frames),
                 **plain(p.figures)}
                for p in self.people
            ],
            "missed": list(self.missed),
            "extra": list(self.extra),
            "camera": plain(self.camera.figures) if self.camera is not None else None,
            "tracking": plain(self.tracking),
            "notes": list(self.notes),
        }  # fmt: skip


def plain(figures: dict[str, float]) -> dict[str, float | None]:
    """Figures for JSON, which knows no NaN."""
    return {k: round(float(v), 6) if np.isfinite(v) else None for k, v in figures.items()}


def evaluate_scenes(
    pred: Scene | Recording,
    truth: Scene | Recording,
    *,
    protocol: ProtocolName = "wham",
    tolerance: float | None = None,
    gaps: Literal["skip", "close"] = "skip",
    joints: int = 22,
    regressor: Array | None = None,
) -> Evaluation:
    """How far a found scene is from the true one.

    Args:
        protocol: whose script to follow where they differ. tolerance: seconds between frames of
            the same moment, by default half a frame.
        gaps: what becomes of changes from frame to frame (Accel, ERVE, jitter, foot sliding)
            across frames that the truth does not vouch for: "skip" leaves them out, "close" takes
            the next valid frame for the next one, as the papers' scripts do.
        joints: 22 body joints, or 24 with SMPL's hands put beyond the wrists.
        regressor: (17, 6890) J_regressor_h36m.npy, for 3DPW's 14 joints in the camera-space
            figures; both bodies must be SMPL's.
    Raises:
        InputError: nothing in common, or an unknown protocol. StaleSceneError: a stage is missing.
    """
    found, there = (read_recording(s) if isinstance(s, Scene) else s for s in (pred, truth))
    rules = get_protocol(protocol)
    frames = match_frames(found.times, there.times, tolerance=tolerance)
    times = there.times[frames.truth]
    fps = float(1 / np.median(np.diff(times))) if len(times) > 1 else USUAL_FPS
    matches, told_by = match_people(found, there, frames)
    people = tuple(
        measure_match(
            match, times=there.times, fps=fps, protocol=rules, ground=there.ground,
            close_gaps=gaps == "close", joints=joints, regressor=regressor,
        )
        for match in matches
    )  # fmt: skip
    camera = None
    if found.camera is not None and there.camera is not None:
        camera = measure_camera(found.camera, there.camera, frames, times)
    tracking, untracked = _tracking(found, there, frames)
    true_ids = {m.truth.person_id for m in matches}
    found_ids = {m.predicted.person_id for m in matches}
    notes = [
        _points_note(joints, regressor), *found.notes, *there.notes, *rules.pre_steps,
        *person_notes(people), untracked, told_by, _rate_note(fps),
    ]  # fmt: skip
    return Evaluation(
        predicted=found.name, truth=there.name, protocol=rules, fps=fps, num_frames=len(times),
        people=people,
        missed=tuple(p.person_id for p in there.people if p.person_id not in true_ids),
        extra=tuple(p.person_id for p in found.people if p.person_id not in found_ids),
        camera=camera, tracking=tracking,
        summary=_summary(people, camera, tracking, _coverage(matches, there, frames)),
        notes=tuple(dict.fromkeys(n for n in notes if n)),
    )  # fmt: skip


def _points_note(joints: int, regressor: Array | None) -> str:
    """Which points the figures are of."""
    hands = " and its hands, put beyond the wrists" if joints == 24 else ""
    camera = "; in the camera 3DPW's 14 joints, regressed" if regressor is not None else ""
    return (
        f"joints: the pelvis and SMPL's 21 body joints{hands}{camera}; feet: the points of the "
        "soles below heels and toes"
    )


def _rate_note(fps: float) -> str | None:
    if abs(fps / USUAL_FPS - 1) <= 0.02:
        return None
    return (
        f"{fps:.3g} frames a second: ERVE and foot sliding are per frame, and chunks are of 100 "
        f"frames; published figures are at {USUAL_FPS:g}"
    )


def person_notes(people: Sequence[PersonEvaluation]) -> list[str]:
    """What the people's figures leave out, and why."""
    out = []
    if any("mpjpe_mm" not in p.values for p in people):
        out.append(
            "MPJPE, PVE and Accel are left out: they are measured in the camera, of which "
            "one recording has none"
        )
    elif any("pve_mm" not in p.values for p in people):
        out.append(
            "PVE is left out: prediction and truth have bodies of different models, and the "
            "joints of two models are not quite the same points either"
        )
    if any("rte_percent" not in p.values for p in people):
        out.append("RTE is left out for people whose true path is shorter than 1 m")
    if any("penetration_mm" not in p.values for p in people):
        out.append("penetration and float are left out: the truth does not tell where the floor is")
    if any(len(p.values["w_mpjpe_mm"]) == 0 for p in people):
        out.append("WA- and W-MPJPE100 are left out: TRAM's script skips clips of 100 frames")
    return out


def _boxes(recording: Recording, frames: np.ndarray) -> list[People]:
    """Boxes round the projected body joints that are before the camera, in each of the frames."""
    place = {int(frame): k for k, frame in enumerate(frames)}
    out: list[People] = [{} for _ in frames]
    for person in recording.people:
        points = pixels(recording, person)
        low, high = points.min(axis=1), points.max(axis=1)
        for row, frame in enumerate(person.frame_idx):
            if int(frame) in place and person.valid[row]:
                out[place[int(frame)]][person.person_id] = np.concatenate([low[row], high[row]])
    return out


def _tracking(
    found: Recording, there: Recording, frames: FrameMatch
) -> tuple[dict[str, float], str | None]:
    """MOT figures on boxes round the projected joints, or why there are none."""
    if found.camera is None or there.camera is None:
        return {}, "MOT figures are left out: they need a camera in both recordings"
    scale = there.camera.intrinsics.width / found.camera.intrinsics.width
    seen = [{k: box * scale for k, box in people.items()}
            for people in _boxes(found, frames.predicted)]  # fmt: skip
    try:
        figures = mot_figures(mot_events(_boxes(there, frames.truth), seen))
    except MissingDependencyError as error:
        return {}, f"MOT figures are left out: {error}"
    return {
        "mota_percent": 100 * figures["mota"],
        "idf1_percent": 100 * figures["idf1"],
        "id_switches": figures["num_switches"],
        "fragmentations": figures["num_fragmentations"],
        "misses": figures["num_misses"],
        "false_positives": figures["num_false_positives"],
    }, None


def _summary(
    people: Sequence[PersonEvaluation],
    camera: CameraEvaluation | None,
    tracking: dict[str, float],
    coverage: float,
) -> dict[str, float]:
    """The figures of the clip in the order of FIGURES; those that are not defined are NaN."""
    found = pooled(people) if people else {}
    found |= {"coverage_percent": 100 * coverage} | tracking
    if camera is not None:
        found |= camera.figures
    scale = found.get("camera_scale_percent", np.nan)
    found["scale_percent"] = (
        abs(scale) if np.isfinite(scale) else found.get("path_scale_percent", np.nan)
    )
    return {name: float(found.get(name, np.nan)) for name in FIGURES}


def _coverage(matches: Sequence[PersonMatch], there: Recording, frames: FrameMatch) -> float:
    """Share of all true sightings in which the matching person was found in its place."""
    total = sum(
        np.count_nonzero(p.valid & np.isin(p.frame_idx, frames.truth)) for p in there.people
    )
    return sum(m.num_near for m in matches) / total if total else float("nan")
