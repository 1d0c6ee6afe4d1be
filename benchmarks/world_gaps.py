"""A second in which nobody is seen, through body fit and world stage, with and without the prior.

Keypoint level, exact truth; seeds that training and tuning never used.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.common import Row, row
from benchmarks.world_cost import fitted_scene
from body import world
from body.world import WorldConfig
from recon.core.geometry import Array, umeyama
from recon.core.people import WorldMotion
from recon.synth import CameraMove, SensorNoise, WorldSpec, keypoint_world
from slam.shot_worlds import place_shots

_FIRST_SEED = 8000
_CAMERAS: tuple[CameraMove, ...] = ("static", "following", "orbiting")
_FRAMES, _HIDDEN = 240, 0.125


def measure_gaps(*, quick: bool) -> Iterator[Row]:
    """Mean errors inside the hidden second: in place, and of the posture alone."""
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for seed in range(_FIRST_SEED, _FIRST_SEED + (2 if quick else 8)):
        for camera in _CAMERAS:
            spec = WorldSpec(seed=seed, camera=camera, frames=_FRAMES)
            sensor = SensorNoise(dropouts=_HIDDEN)
            truth = keypoint_world(spec, sensor=sensor).truth.world_motions[0]
            with tempfile.TemporaryDirectory() as folder:
                scene = fitted_scene(spec, Path(folder), sensor=sensor)
                for prior, errors in found.items():
                    config = replace(WorldConfig(), motion_prior=prior)
                    report = world.run(scene, config, place=partial(place_shots, depth=None))
                    scene.record("world", config, report, seconds=0, code_version="")
                    motion = scene.world_motions[0]
                    if not motion.observed.all():
                        errors.append(_errors(motion, truth))
    for prior, name in ((False, "without the prior"), (True, "with the motion prior")):
        where, posture = np.mean(found[prior], axis=0)
        yield row(f"1 s unseen, {name}: joints in the world", 1000 * where, "mm")
        yield row(f"1 s unseen, {name}: joints about the pelvis", 1000 * posture, "mm")
    ratio = np.mean(found[True], axis=0) / np.mean(found[False], axis=0)
    yield row("1 s unseen: posture error with / without the prior", ratio[1], "x", at_most=1.0)


def _errors(motion: WorldMotion, truth: WorldMotion) -> tuple[float, float]:
    """Mean joint errors in metres in hidden frames, worlds aligned over the seen ones."""
    rows = np.searchsorted(truth.frame_idx, motion.frame_idx)
    joints, there = motion.joints_world[:, :22], truth.joints_world[rows][:, :22]
    seen, hidden = motion.observed, ~motion.observed
    _, R, t = umeyama(joints[seen].reshape(-1, 3), there[seen].reshape(-1, 3), with_scale=False)

    def centred(points: Array) -> Array:
        return points - points[:, :1]

    error = joints @ R.T + t - there
    posture = centred(joints) @ R.T - centred(there)
    lengths = [np.linalg.norm(e[hidden], axis=-1).mean() for e in (error, posture)]
    return float(lengths[0]), float(lengths[1])
