"""The whole pipeline on drawn worlds with exact truth, and the world stage with residuals off."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.common import Row, row
from body import world
from body.world import WorldConfig
from recon.core.scene import Scene
from recon.evaluate.figures import FIGURES
from recon.evaluate.page import write_evaluation_page
from recon.evaluate.scenes import Evaluation, evaluate_scenes
from recon.options import RunOptions
from recon.pipeline import run
from recon.synth import CAMERA_MOVES, WorldSpec, make_world
from slam.depth_scale import DepthEvidence
from slam.shot_worlds import place_shots

FIRST_SEED = 7000
_FRAMES = ((200, 240, 280, 200, 220, 240), (240, 200, 200, 240, 200, 220))
WORLDS = tuple(
    WorldSpec(
        seed=FIRST_SEED + 2 * k + crowd,
        camera=camera,
        people=1 if not crowd else 2 + k % 2,
        place="street" if k % 2 else "room",
        frames=_FRAMES[crowd][k],
    )
    for crowd in (0, 1)
    for k, camera in enumerate(CAMERA_MOVES)
)
"""Six cameras, with one person and with two or three; 200 to 280 frames at 30 a second."""
_QUICK = (WORLDS[0], WORLDS[5])

TARGETS: Mapping[str, float] = {
    "rte_percent": 2.0,
    "w_mpjpe_mm": 200.0,
    "foot_sliding_mm": 4.0,
    "jitter": 15.0,
}
"""Levels that the best systems publish for EMDB-2."""
SHOWN = (
    "wa_mpjpe_mm", "w_mpjpe_mm", "rte_percent", "erve_mm", "jitter", "foot_sliding_mm", "ate_m",
    "ate_s_m", "scale_percent", "gravity_deg", "contact_f1", "penetration_mm", "float_mm",
    "pa_mpjpe_mm", "mpjpe_mm", "coverage_percent",
)  # fmt: skip

_PARTS = (
    "joint", "reprojection", "pose_prior", "contact", "floor", "smoothness", "posture",
    "refine_scale", "refine_gravity", "refine_camera", "motion_prior",
    "foot_lock",
)  # fmt: skip
ABLATIONS: Mapping[str, WorldConfig] = {
    f"without {part}": replace(WorldConfig(), **{part: False}) for part in _PARTS
}
"""The world stage with one part off, on the worlds of one person; without `joint` each root's path
alone is solved for."""


def measure_rendered(*, quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Rows of every world, their means, and the means of every ablation."""
    whole: list[Evaluation] = []
    without: dict[str, list[Evaluation]] = {name: [] for name in ABLATIONS}
    for spec in _QUICK if quick else WORLDS:
        name = f"{spec.camera} x{spec.people}"
        with tempfile.TemporaryDirectory() as folder:
            truth = drawn(spec, pictures / "worlds" if pictures else Path(folder))
            video = truth.path / "video.mp4"
            scene = run(video, Path(folder) / "scene", RunOptions(overlay=False, formats=()))
            found = evaluate_scenes(scene, truth)
            yield from _world_rows(name, found)
            whole.append(found)
            if pictures is not None:
                write_evaluation_page(found, pictures / f"world_{spec.camera}_{spec.people}.html")
            for part, config in ABLATIONS.items() if spec.people == 1 else ():
                changed = _again(scene, Path(folder) / "again", config)
                without[part].append(evaluate_scenes(changed, truth))
    yield from _mean_rows("mean", whole, targets=True)
    alone = [e for e in whole if len(e.people) + len(e.missed) == 1]
    yield from _mean_rows("one person, everything on", alone, targets=False)
    for part, found in without.items():
        yield from _mean_rows(part, found, targets=False)


def drawn(spec: WorldSpec, folder: Path) -> Scene:
    """The world of a spec in a folder of its own there, drawn unless it was before.

    Drawing takes most of the time; after changes of `recon.synth` the folder must go.
    """
    path = folder / f"{spec.camera}_{spec.people}_{spec.seed}"
    if (path / "synth.json").exists():  # it is written last
        return Scene.open(path)
    shutil.rmtree(path, ignore_errors=True)
    return make_world(spec, path)


def _world_rows(name: str, found: Evaluation) -> Iterator[Row]:
    for key in SHOWN:
        if np.isfinite(found.summary[key]):
            yield row(f"{name}: {FIGURES[key].label}", found.summary[key], FIGURES[key].unit)


def _mean_rows(name: str, found: list[Evaluation], *, targets: bool) -> Iterator[Row]:
    for key in SHOWN:
        values = [e.summary[key] for e in found if np.isfinite(e.summary[key])]
        if values:
            limit = TARGETS.get(key) if targets else None
            figure = FIGURES[key]
            yield row(f"{name}: {figure.label}", float(np.mean(values)), figure.unit, at_most=limit)


def _again(scene: Scene, folder: Path, config: WorldConfig) -> Scene:
    """A copy of a finished scene whose world stage ran with other settings."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(scene.path, folder)
    copy = Scene.open(folder)
    depth = DepthEvidence(keyframes=copy.keyframe_depth, ground=copy.ground)
    world.run(copy, config, place=partial(place_shots, depth=depth))
    return copy
