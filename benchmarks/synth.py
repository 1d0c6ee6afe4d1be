"""Rendered worlds: do our networks see their people, is the camera followed, what do they cost?

Run as `python -m benchmarks.synth [--quick] [--json FILE]`; with `--json` a sheet of frames with
what was found lies beside the file. No parameter of the renderer is tuned on these seeds.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.camera_paths import path_error_cm
from benchmarks.common import Row, main, row
from body.detect import DETECTORS, Detections, TiledDetector, load_backend, pairwise_overlap
from body.landmarks import Landmarker, Roi, load_landmarker, settle
from body.walk import STRONG_SCORE
from recon.core.errors import CameraError
from recon.core.geometry import Array
from recon.synth import CAMERA_MOVES, CameraMove, WorldSpec, make_world, stage_world
from recon.synth.keypoints import in_sight
from recon.synth.render import Picture, Renderer
from recon.synth.world import StagedWorld
from recon.video import VideoReader
from slam.camera import CameraConfig, estimate_camera
from slam.masks import people_masks

FIRST_SEED = 500
_EVERY = 20
"""Frames between those that are looked at."""
_MIN_HEIGHT, _MIN_SEEN = 100.0, 0.7
"""Height in px and share of keypoints in sight from which a person has to be found."""
_MIN_IOU = 0.5
_BODY = np.arange(11, 33)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the networks made of one person in one frame.

    `score` is of the detection that is them, 0 where there is none; `error` the keypoint network's,
    px, over the body's keypoints in sight, nan without a detection.
    """

    height: float
    score: float
    error: float


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Rows of what is seen, what it costs, and whether the camera is followed."""
    specs = [
        WorldSpec(
            seed=FIRST_SEED + k, camera=move, people=people, frames=240,
            place="room" if (k + people) % 2 else "street",
        )
        for k, move in enumerate(CAMERA_MOVES) for people in ((1, 3) if not quick else (1 + k % 3,))
    ]  # fmt: skip
    looks: list[Look] = []
    cells: list[np.ndarray] = []
    seconds: list[float] = []
    for spec in specs:
        found, pictured, spent = look(spec)
        looks += found
        cells += pictured
        seconds += spent
        yield row(f"{_name(spec)}: found", _share(found, 0.0), "%")
    yield row("people over 100 px looked for", len(looks), "")
    yield row("people found by the default detector", _share(looks, 0.0), "%", at_least=95)
    yield row("the same, so surely that a track starts", _share(looks, STRONG_SCORE), "%")
    errors = np.array([f.error for f in looks if f.score])
    heights = np.array([f.height for f in looks if f.score])
    yield row("keypoints of BlazePose heavy, median error", float(np.median(errors)), "px")
    yield row(
        "the same, of the person's height", 100 * float(np.median(errors / heights)), "%", at_most=3
    )
    yield row("a frame of 960x540", float(np.median(seconds)), "CPU s", at_most=0.5)
    if pictures is not None:
        _sheet(cells, pictures / "synth.jpg")
    for k, move in enumerate(("orbiting", "following") if quick else CAMERA_MOVES[2:]):
        yield from camera_rows(move, seed=FIRST_SEED + 50 + k, frames=60 if quick else 200)


def _share(looks: list[Look], least: float) -> float:
    return 100 * float(np.mean([f.score > 0 and f.score >= least for f in looks]))


def _name(spec: WorldSpec) -> str:
    return f"{spec.camera}, {spec.people} in a {spec.place}"


def look(spec: WorldSpec) -> tuple[list[Look], list[np.ndarray], list[float]]:
    """Everybody who should be found in some frames, pictures of it, and CPU seconds a frame."""
    world = stage_world(spec)
    renderer, seen = Renderer(world), in_sight(world)
    detector = TiledDetector(load_backend(DETECTORS, "ssd", "--detector")(threads=1))
    landmarker = load_landmarker("blazepose-heavy", threads=1)
    looks, cells, seconds = [], [], []
    renderer.frame(0)
    for index in range(_EVERY // 2, spec.frames, _EVERY):
        start = time.process_time()
        picture = renderer.frame(index)
        seconds.append(time.process_time() - start)
        found = detector.detect(picture.image, float(world.times[index]))
        drawn = picture.image.copy()
        for k in range(spec.people):
            one = _judge(world, k, index, picture=picture, found=found, seen=seen[k][index],
                         landmarker=landmarker, drawn=drawn)  # fmt: skip
            looks += [one] if one else []
        if index % (4 * _EVERY) == _EVERY // 2:
            cells.append(cv2.resize(drawn, (480, 270), interpolation=cv2.INTER_AREA))
    return looks, cells, seconds


def _judge(
    world: StagedWorld, k: int, index: int, *, picture: Picture, found: Detections,
    seen: np.ndarray, landmarker: Landmarker, drawn: np.ndarray,
) -> Look | None:  # fmt: skip
    """Whether person k is found, and how well; None where nobody could ask for it."""
    ys, xs = np.nonzero(picture.owner == k + 1)
    if len(ys) == 0 or seen.mean() < _MIN_SEEN or np.ptp(ys) < _MIN_HEIGHT:
        return None
    box = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], float)
    # Boxes come best first: of those that are this person, the surest.
    same = np.flatnonzero(pairwise_overlap(box, found.boxes)[0][0] >= _MIN_IOU)
    score = float(found.scores[same[0]]) if len(same) else 0.0
    color = (60, 220, 60) if score >= STRONG_SCORE else (230, 200, 40) if score else (255, 40, 40)
    cv2.rectangle(drawn, box[0, :2].astype(int).tolist(), box[0, 2:].astype(int).tolist(), color, 2)
    if not score:
        return Look(height=float(np.ptp(ys)), score=0.0, error=float("nan"))
    roi = Roi.from_box(found.boxes[same[0]])
    points = settle(landmarker, picture.image, roi).keypoints_px
    for x, y in points[_BODY]:
        cv2.circle(drawn, (round(x), round(y)), 3, (255, 220, 0), -1)
    return Look(height=float(np.ptp(ys)), score=score, error=_error(world, k, index, points, seen))


def _error(world: StagedWorld, k: int, index: int, points: Array, seen: np.ndarray) -> float:
    true = world.intrinsics.project(world.keypoints_camera(k)[index])
    visible = _BODY[seen[_BODY]]
    return float(np.median(np.linalg.norm(points[visible] - true[visible], axis=1)))


def camera_rows(move: CameraMove, *, seed: int, frames: int) -> Iterator[Row]:
    """The path's error over its length, with the true focal length and the people masked."""
    spec = WorldSpec(seed=seed, camera=move, frames=frames, place="street" if seed % 2 else "room")
    with tempfile.TemporaryDirectory() as folder:
        scene = make_world(spec, Path(folder) / "world")
        frame_source = VideoReader.open(scene.path / "video.mp4")
        masks = people_masks(scene.tracks, frame_source.info)
        config = CameraConfig(focal_px=scene.camera.intrinsics.fx)
        true = scene.placement.Ts_world_camera
        length = float(np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum())
        try:
            path = estimate_camera(frame_source, frame_source.info, masks, config)[0]
            error = path_error_cm(path.Ts_slam_camera, true) / length
        except CameraError:
            error = float("inf")
    yield row(f"camera {move}, {spec.place}: path error", error, "% of the path", at_most=2)


def _sheet(cells: list[np.ndarray], path: Path) -> None:
    rows = [np.hstack(cells[k : k + 3]) for k in range(0, len(cells) - len(cells) % 3, 3)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main("Rendered worlds", measure)
