"""What the world stage costs as clips grow: one person before a walking camera, no pixels."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.common import Row, row
from body import fit, world
from body.fit import BodyConfig
from body.world import WorldConfig
from recon import __version__
from recon.core.scene import Scene, StageName
from recon.core.stage import StageReport
from recon.synth import SensorNoise, WorldSpec, keypoint_world, make_world
from slam.shot_worlds import place_shots

FRAMES = (500, 1000, 3000)
_SEED = 7900


def measure_cost(*, quick: bool) -> Iterator[Row]:
    """Seconds of the world stage at every length, and how the cost of a frame grows."""
    per_frame: list[float] = []
    for frames in FRAMES[:2] if quick else FRAMES:
        with tempfile.TemporaryDirectory() as folder:
            scene = fitted_scene(WorldSpec(seed=_SEED, frames=frames), Path(folder))
            start, cpu = time.perf_counter(), time.process_time()
            world.run(scene, WorldConfig(), place=partial(place_shots, depth=None))
            wall, cpu = time.perf_counter() - start, time.process_time() - cpu
            yield row(f"world stage, {frames} frames", wall, "s", at_most=180)
            yield row(f"world stage, {frames} frames, CPU", cpu, "s")
            per_frame.append(cpu / frames)
    growth = per_frame[-1] / per_frame[0]
    yield row("cost of a frame, longest / shortest clip", growth, "x", at_most=1.5)


def fitted_scene(spec: WorldSpec, folder: Path, *, sensor: SensorNoise | None = None) -> Scene:
    """A scene of a world without pixels, seen with a network's errors, its bodies fitted."""
    scene = make_world(spec, folder / "scene", pixels=False)
    seen = keypoint_world(spec, sensor=sensor)
    results: dict[StageName, tuple[str, list]] = {
        "people": ("people.npz", seen.tracks),
        "camera": ("camera.npz", [seen.camera]),
    }
    for stage, (name, items) in results.items():
        scene.save(name, items)
        scene.record(
            stage, spec, StageReport(backend="synthetic"), seconds=0, code_version=__version__
        )
    report = fit.run(scene, BodyConfig())
    scene.record("body", BodyConfig(), report, seconds=0, code_version=__version__)
    return scene
