"""The world stage on real videos, where no truth is known: skating, jitter, speeds, heights."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import DATA, Row, row
from body.models import load_body_model
from recon.core.people import WorldMotion
from recon.core.scene import Scene
from recon.evaluate.world_metrics import jitter
from recon.export.topview import PlanPainter
from recon.options import RunOptions
from recon.pipeline import run

CLIPS = (
    "runner_moving.mp4", "walker_moving.mp4", "dancer_static.mp4", "pedestrians_static.avi",
)  # fmt: skip
_LONG_TRACK = 2.0  # seconds
_ADULT = (1.5, 2.0)  # metres


def measure_videos(*, quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Rows of every clip, and its world from above as a picture."""
    for name in CLIPS[2:3] if quick else CLIPS:
        with tempfile.TemporaryDirectory() as folder:
            options = RunOptions(overlay=False, formats=())
            scene = run(DATA / "videos" / name, Path(folder) / "scene", options)
            yield from _rows(scene, Path(name).stem)
            if pictures is not None:
                plan = PlanPainter(scene, (900, 900)).draw(len(scene.video.times) - 1)
                path = pictures / f"{Path(name).stem}_topview.png"
                cv2.imwrite(str(path), cv2.cvtColor(plan, cv2.COLOR_RGB2BGR))


def _rows(scene: Scene, clip: str) -> Iterator[Row]:
    times, motions = scene.video.times, scene.world_motions
    seconds = {m.track_id: float(times[m.frame_idx[-1]] - times[m.frame_idx[0]]) for m in motions}
    long = [m for m in motions if seconds[m.track_id] > _LONG_TRACK]
    slides = np.concatenate([_slides(m) for m in long])
    fps = float(1 / np.median(np.diff(times)))
    yield row(f"{clip}: foot sliding in contact", 1000 * float(slides.mean()), "mm per frame")
    shaking = np.concatenate([jitter(m.joints_world[:, :22], fps=fps) for m in long])
    yield row(f"{clip}: jitter", float(shaking.mean()), "10 m/s^3")
    first = long[0]
    speed = np.linalg.norm(np.diff(first.poses_world.root[:, :2], axis=0), axis=1) * fps
    low, high = np.quantile(speed, [0.05, 0.95])
    yield row(f"{clip}: person 1's speed, 5th percentile", float(low), "m/s")
    yield row(f"{clip}: person 1's speed, 95th percentile", float(high), "m/s")
    if len(long) > 1:
        yield from _crowd_rows(long, clip)


def _slides(motion: WorldMotion) -> np.ndarray:
    """Metres that sole points in contact move between frames."""
    on = motion.contacts > 0.5
    steps = np.linalg.norm(np.diff(motion.feet_world, axis=0), axis=-1)
    return steps[on[1:] & on[:-1]]


def _crowd_rows(motions: list[WorldMotion], clip: str) -> Iterator[Row]:
    """Whether people of one world stand on one floor and are as tall as people are."""
    statures = np.array(
        [load_body_model(m.shape.model).rest_body(m.shape.values).stature for m in motions]
    )
    adult = (statures > _ADULT[0]) & (statures < _ADULT[1])
    yield row(f"{clip}: tracks over {_LONG_TRACK:g} s", len(motions), "")
    share = 100 * float(adult.mean())
    yield row(f"{clip}: statures between 1.5 and 2.0 m", share, "% of them", at_least=80)
    yield row(f"{clip}: spread of statures", float(statures.std()), "m")
    treads = [m.feet_world[m.contacts > 0.5][:, 2] for m in motions]
    heights = np.array([np.median(t) for t in treads if len(t)])
    yield row(f"{clip}: height of standing feet, median person", float(np.median(heights)), "m")
    spread = float(np.quantile(np.abs(heights - np.median(heights)), 0.9))
    yield row(f"{clip}: people's floors apart, 90th percentile", spread, "m")
