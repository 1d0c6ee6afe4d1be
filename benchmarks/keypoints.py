"""Keypoint networks on pose2sim: what each costs a crop, and what the fit makes of it.

`2D only` withholds the network's metric landmarks, as RTMPose and ViTPose have none: the fit then
starts from a guess of depth and relies on its priors. Truth and joints: as in benchmarks.people.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import DATA, Row, main, row
from body.detect import DETECTORS, load_backend
from body.fit import build_evidence, fit_evidence
from body.follow import History
from body.kinematics import posed_keypoints
from body.landmarks import Landmarker, Roi, load_landmarker, settle
from body.lift import lifted_landmarks
from body.models import load_body_model
from recon.core.camera import Intrinsics
from recon.core.geometry import Array, transform_points
from recon.core.people import PersonTrack
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS
from recon.evaluate.metrics import mpjpe, pa_mpjpe
from recon.video import VideoConfig, VideoReader

NETWORKS = ("blazepose-heavy", "blazepose-full")
_JOINTS = {
    f"{side}_{keypoint}": f"{side[0].upper()}{marker}"
    for side in ("left", "right")
    for keypoint, marker in (
        ("hip", "Hip"), ("knee", "Knee"), ("ankle", "Ankle"), ("heel", "Heel"),
        ("foot_index", "BigToe"), ("shoulder", "Shoulder"), ("elbow", "Elbow"), ("wrist", "Wrist"),
    )
}  # fmt: skip
_COLUMNS = [BLAZEPOSE_KEYPOINTS.index(name) for name in _JOINTS]
_HIPS = [list(_JOINTS).index("left_hip"), list(_JOINTS).index("right_hip")]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """One camera's markers (T, 16, 3) metres in its frame and in px (T, 16, 2); its intrinsics."""

    markers_camera: Array
    markers_px: Array
    intrinsics: Intrinsics

    @classmethod
    def load(cls, camera: str, *, width: int, height: int) -> Truth:
        """The truth of pose2sim's `camera` for a picture of this size."""
        data = np.load(DATA / "pose2sim" / f"{camera}_truth.npz")
        names = list(data["marker_names"])
        markers = data["markers_world"][:, [names.index(m) for m in _JOINTS.values()]]
        markers = transform_points(data["T_camera_world"], markers.reshape(-1, 3))
        k = data["K"]
        px, _ = cv2.projectPoints(markers, np.zeros(3), np.zeros(3), k, data["distortion"])
        return cls(
            markers_camera=markers.reshape(-1, len(_JOINTS), 3),
            markers_px=np.asarray(px, dtype=float).reshape(-1, len(_JOINTS), 2),
            intrinsics=Intrinsics(
                fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2], width=width, height=height
            ),
        )


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Rows for every network on both cameras, or on the first one if quick."""
    for network in NETWORKS:
        landmarker = load_landmarker(network)
        costs, errors = [], []
        for camera in ("cam02",) if quick else ("cam02", "cam03"):
            path = str(DATA / "pose2sim" / f"{camera}.mp4")
            reader = VideoReader.open(path, VideoConfig(path=path))
            truth = Truth.load(camera, width=reader.info.width, height=reader.info.height)
            track, seconds = follow_one(reader, landmarker)
            costs.append(1e3 * seconds / len(track.frame_idx))
            found = dict(accuracy(track, truth, reader.info.times))
            errors.append(found["fit PA-MPJPE, K known"])
            for name, value in found.items():
                unit = "% of box height" if name == "2D error" else "mm"
                yield row(f"{camera} {network} {name}", value, unit)
        yield row(f"{network} CPU time", float(np.mean(costs)), "ms per crop")
        yield row(f"{network} fit PA-MPJPE, mean", float(np.mean(errors)), "mm")


def follow_one(reader: VideoReader, landmarker: Landmarker) -> tuple[PersonTrack, float]:
    """The largest person of a clip, each region from the frame before; and the CPU seconds."""
    history, roi, spent = History(), None, 0.0
    for frame in reader:
        if roi is None:
            boxes = load_backend(DETECTORS, "ssd", "--detector")().detect(frame.image).boxes
            largest = boxes[np.argmax((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))]
            roi = settle(landmarker, frame.image, Roi.from_box(largest)).next_roi
        start = time.process_time()
        found = landmarker.landmarks(frame.image, roi)
        spent += time.process_time() - start
        history.append(frame.index, found)
        roi = found.next_roi
    return history.track(1), spent


def accuracy(track: PersonTrack, truth: Truth, times: Array) -> Iterator[tuple[str, float]]:
    """Errors of the keypoints (% of the box's height) and of landmarks and fits (mm)."""
    there = truth.markers_camera[track.frame_idx]
    off = np.linalg.norm(
        track.keypoints_px[:, _COLUMNS] - truth.markers_px[track.frame_idx], axis=-1
    )
    height = np.median(track.boxes[:, 3] - track.boxes[:, 1])
    yield "2D error", 100 * float(np.median(off) / height)
    raw = track.landmarks[:, _COLUMNS]
    yield "raw landmarks PA-MPJPE", 1e3 * float(pa_mpjpe(raw, there).mean())
    guess = lifted_landmarks(track.keypoints_px, track.keypoint_conf)
    flat = replace(track, landmarks=guess, metric=False)
    yield "guess of depth PA-MPJPE", 1e3 * float(pa_mpjpe(guess[:, _COLUMNS], there).mean())
    for name, seen in (("", track), (" 2D only", flat)):
        fitted = _fitted(seen, times, truth.intrinsics)
        yield f"fit{name} MPJPE, K known", 1e3 * float(mpjpe(fitted, there, root=_HIPS).mean())
        yield f"fit{name} PA-MPJPE, K known", 1e3 * float(pa_mpjpe(fitted, there).mean())


def _fitted(track: PersonTrack, times: Array, intrinsics: Intrinsics) -> Array:
    """The fitted body's joints (N, 16, 3), camera frame."""
    model = load_body_model("anny")
    _, evidence = build_evidence(track, times, intrinsics)
    state = fit_evidence(evidence, model)
    return posed_keypoints(state, model.rest_body(state.shape))[0][:, _COLUMNS]


if __name__ == "__main__":
    main("Keypoint networks: accuracy and time on pose2sim", measure)
