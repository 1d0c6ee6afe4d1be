"""Body accuracy on pose2sim (the fit against the raw landmarks it starts from) and on exact bodies.

Truth: markers triangulated from four views (good to 2-4 cm). Joints: hips, knees, ankles, heels,
big toes, shoulders, elbows, wrists; root: mid-hip.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import DATA, Row, main, row
from benchmarks.people_overlay import save_overlays
from benchmarks.people_rendered import measure_rendered
from body.detect import DETECTORS, load_backend
from body.fit import build_evidence, fit_evidence
from body.kinematics import posed_keypoints
from body.landmarks import LANDMARKERS
from body.models import load_body_model
from body.models.base import BodyModel
from body.people import PeopleConfig, track_people
from body.swaps import repair_swaps
from recon.core.camera import Intrinsics
from recon.core.people import PersonTrack
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS
from recon.evaluate.metrics import acceleration, mpjpe, pa_mpjpe
from recon.video import VideoConfig, VideoReader

_MARKERS = ("Hip", "Knee", "Ankle", "Heel", "BigToe", "Shoulder", "Elbow", "Wrist")
_KEYPOINTS = ("hip", "knee", "ankle", "heel", "foot_index", "shoulder", "elbow", "wrist")
_NAMES = [f"{side}{m}" for side in "LR" for m in _MARKERS]
_COLUMNS = [
    BLAZEPOSE_KEYPOINTS.index(f"{side}_{k}") for side in ("left", "right") for k in _KEYPOINTS
]
_HIPS = [_NAMES.index("LHip"), _NAMES.index("RHip")]
_STATURE = 1.72  # metres, from the Pose2Sim demo's own settings (participant_height)
_TARGETS = {("cam02", "heavy"): (90, 62), ("cam03", "heavy"): (110, 78)}
_GAIN = 0.8  # of the raw landmarks' error, at most


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Rows for both cameras and, unless quick, both landmark networks."""
    model = load_body_model("anny")
    for network in ("blazepose-heavy",) if quick else ("blazepose-heavy", "blazepose-full"):
        for camera in ("cam02", "cam03"):
            yield from _one(camera, network, model)
    if pictures is not None:
        save_overlays(pictures / "dancer_overlay.png")
    yield from measure_rendered(model, quick=quick)


def _one(camera: str, network: str, model: BodyModel) -> Iterator[Row]:
    truth = np.load(DATA / "pose2sim" / f"{camera}_truth.npz")
    path = str(DATA / "pose2sim" / f"{camera}.mp4")
    reader = VideoReader.open(path, VideoConfig(path=path))
    config = PeopleConfig(people="largest", keypoints=network)
    found = track_people(
        reader,
        reader.info,
        config,
        detector=load_backend(DETECTORS, config.detector, "--detector")(threads=0),
        landmarker=load_backend(LANDMARKERS, network, "--keypoints")(threads=0),
    )[0]
    k = truth["K"]
    info = reader.info
    known = Intrinsics(
        fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2], width=info.width, height=info.height
    )
    assumed = Intrinsics.from_fov(info.width, info.height, fov_deg=60, source="prior")
    track, swapped = repair_swaps(found, info.times)
    fitted = {
        name: _fitted(track, info.times, intrinsics, model, stature)
        for name, intrinsics, stature in (
            ("K known", known, None),
            ("K and height known", known, _STATURE),
            ("K assumed", assumed, None),
        )
    }
    frames = np.arange(track.frame_idx[0], track.frame_idx[-1] + 1)
    T = truth["T_camera_world"]
    columns = [list(truth["marker_names"]).index(name) for name in _NAMES]
    markers = truth["markers_world"][:, columns] @ T[:3, :3].T + T[:3, 3]
    prefix = f"{camera} {network.removeprefix('blazepose-')}"
    raw = found.landmarks[:, _COLUMNS]
    seen = markers[track.frame_idx]
    raw_error = 1e3 * mpjpe(raw, seen, root=_HIPS).mean()
    raw_aligned = 1e3 * pa_mpjpe(raw, seen).mean()
    yield row(f"{prefix} raw landmarks MPJPE", raw_error, "mm")
    yield row(f"{prefix} raw landmarks PA-MPJPE", raw_aligned, "mm")
    yield row(f"{prefix} frames with swapped limbs", int(swapped.any(axis=1).sum()), "frames")
    true_acceleration = acceleration(markers, info.fps).mean()
    limits = _TARGETS.get((camera, network.removeprefix("blazepose-")), (np.inf, np.inf))
    limits = (min(limits[0], _GAIN * raw_error), min(limits[1], _GAIN * raw_aligned))
    yield row(f"{prefix} raw acceleration", acceleration(raw, info.fps).mean(), "m/s^2")
    for name, points in fitted.items():
        joints, there = points[:, _COLUMNS], markers[frames]
        error = 1e3 * mpjpe(joints, there, root=_HIPS).mean()
        aligned = 1e3 * pa_mpjpe(joints, there).mean()
        root = np.linalg.norm((joints - there)[:, _HIPS].mean(axis=1), axis=-1)
        yield row(f"{prefix} fit MPJPE, {name}", error, "mm", at_most=round(limits[0], 1))
        yield row(f"{prefix} fit PA-MPJPE, {name}", aligned, "mm", at_most=round(limits[1], 1))
        jerkiness = acceleration(joints, info.fps).mean()
        limit = round(2 * true_acceleration, 1)
        yield row(f"{prefix} fit acceleration, {name}", jerkiness, "m/s^2", at_most=limit)
        yield row(f"{prefix} root position error, {name}", 1e3 * root.mean(), "mm")
    yield row(f"{prefix} true acceleration", true_acceleration, "m/s^2")


def _fitted(
    track: PersonTrack,
    times: np.ndarray,
    intrinsics: Intrinsics,
    model: BodyModel,
    stature: float | None,
) -> np.ndarray:
    """The fitted body's keypoints (N, 33, 3), camera frame."""
    _, evidence = build_evidence(track, times, intrinsics, stature=stature)
    state = fit_evidence(evidence, model)
    return posed_keypoints(state, model.rest_body(state.shape))[0]


if __name__ == "__main__":
    main("People: accuracy on pose2sim", measure)
