"""The main job on real clips: does it sit on the people, stay put on the ground, and how fast.

Times are ratios to the bare landmark network, measured in the same run on the same pictures.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import DATA, Row, main, row
from body.detect import load_backend
from body.landmarks import LANDMARKERS, Roi
from recon.core.scene import Scene, StageName
from recon.core.video import FrameSource
from recon.options import RunOptions
from recon.pipeline import run
from recon.video import VideoConfig, VideoReader

CLIPS = ("dancer_static.mp4", "runner_moving.mp4", "walker_moving.mp4")
MOTION_STAGES: tuple[StageName, ...] = ("tracking", "people", "camera", "body", "world")


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Rows for every clip; the scenes' overlays and reports are the pictures."""
    for name in CLIPS[:2] if quick else CLIPS:
        with tempfile.TemporaryDirectory() as folder:
            video = DATA / "videos" / name
            scene = run(video, Path(folder) / "scene", RunOptions(overlay=pictures is not None))
            yield from accuracy(scene, video.stem)
            yield from speed(scene, video.stem)
            if pictures is not None:
                for made in ("overlay.mp4", "report.html"):
                    shutil.copy(scene.path / made, pictures / f"{video.stem}_{made}")


def accuracy(scene: Scene, clip: str) -> Iterator[Row]:
    """People, reprojection, skating and speed of a finished scene."""
    numbers = scene.report("world").numbers
    fits = scene.report("body").numbers
    times = scene.video.times
    yield row(f"{clip} people", len(scene.tracks), "")
    for track, motion in zip(scene.tracks, scene.world_motions, strict=True):
        who = f"{clip} person {track.track_id}"
        person = f"person{track.track_id}"
        share = len(track.frame_idx) / len(times)
        yield row(f"{who} seen in", 100 * share, "% of frames")
        reprojection = 100 * fits[person]["reprojection_of_box_height"]
        yield row(f"{who} reprojection", reprojection, "% of box height", at_most=2)
        slide = numbers[person]["stance_slide_95_cm"]
        yield row(f"{who} slide in stance, 95th percentile", slide, "cm per frame", at_most=2)
        pelvis = motion.joints_world[:, 0, :2]
        seconds = times[motion.frame_idx[-1]] - times[motion.frame_idx[0]]
        if seconds > 0:
            distance = float(np.linalg.norm(pelvis[-1] - pelvis[0]))
            yield row(f"{who} speed from start to end", distance / float(seconds), "m/s")
        yield row(f"{who} extent on the floor", float(np.ptp(pelvis, axis=0).max()), "m")


def speed(scene: Scene, clip: str) -> Iterator[Row]:
    """Frames per second of every stage, and the motion stages against the bare network."""
    frames = len(scene.video.times)
    for stage in ("video", *MOTION_STAGES):
        yield row(f"{clip} {stage}", frames / max(scene.seconds(stage) or 0, 1e-3), "frames/s")
    clip_config = VideoConfig(path=scene.video.path)
    bare = bare_network_seconds(scene, VideoReader(clip_config, scene.video))
    motion = sum(scene.seconds(stage) or 0 for stage in MOTION_STAGES)
    yield row(f"{clip} bare landmark network", frames / bare, "frames/s")
    yield row(f"{clip} motion stages / bare network", motion / bare, "x", at_most=3)


def bare_network_seconds(scene: Scene, frames: FrameSource) -> float:
    """Seconds the landmark network alone needs for every sighting in the scene."""
    landmarker = load_backend(LANDMARKERS, "blazepose-heavy", "--keypoints")(threads=0)
    track = scene.tracks[0]
    sightings = sum(len(t.frame_idx) for t in scene.tracks)
    spent, count = 0.0, 0
    for frame in frames:
        rows = np.flatnonzero(track.frame_idx == frame.index)
        if len(rows) == 0:
            continue
        roi = Roi.from_box(track.boxes[rows[0]])
        start = time.perf_counter()
        landmarker.landmarks(frame.image, roi)
        # The first calls warm the caches.
        if count >= 5:
            spent += time.perf_counter() - start
        count += 1
    return spent / max(count - 5, 1) * sightings


if __name__ == "__main__":
    main("The main job on real clips", measure)
