"""Metric scale, its honesty and sliding feet, on known walks before moving cameras.

Keypoint level: a synthetic body walks before a moving camera; its fitted poses get noise. "Real"
noise is that of the real fit on pose2sim, measured by the last rows: within 0.3 s foot errors
change by 7-11 cm along the ray (synthetic: 12) and 3.4 cm across (3.4), the markers' own 2-4 cm
included. Slow errors of the body's size and distance are not in it: the stage reports them apart.
Seeds from 2000: thresholds were tuned on seeds below 100, and those from 1000 have been looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.common import DATA, Row, row
from body.detect import DETECTORS, load_backend
from body.fit import fit_track
from body.landmarks import LANDMARKERS
from body.models import load_body_model
from body.people import PeopleConfig, track_people
from body.world import in_world, motion_numbers, person_evidence, world_motion
from recon.core.camera import Intrinsics
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.people import WorldPlacement
from recon.video import VideoConfig, VideoReader
from slam.depth_scale import contact_depth_scale
from slam.floor_plane import find_floor
from slam.ground import place_world
from slam.metric_scale import slam_feet
from tests.walking_world import View, WalkingWorld, walking_world

FIRST_SEED = 2000
VIEWS: dict[View, float] = {"side": 5.0, "orbit": 5.0, "behind": 10.0}
"""Views with the target for the median error in percent."""
NOISES = {"half": 0.6, "real": 1.25, "double": 2.5}
RATES = (12.0, 30.0, 60.0)
JOG = {"speed": 2.4, "cadence": 2.7}
WINDOW = 0.3  # seconds, about one stance


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One clip: error and reported deviation of log scale (infinite if not observed)."""

    error: float
    log_std: float
    jog: bool
    fps: float


def measure_scale(*, quick: bool) -> Iterator[Row]:
    """Rows of all studies; fewer seeds and no pose2sim if quick."""
    seeds = range(FIRST_SEED, FIRST_SEED + (6 if quick else 48))
    by_noise: dict[str, list[Outcome]] = {name: [] for name in NOISES}
    for view, limit in VIEWS.items():
        for name, noise in NOISES.items():
            found = [_outcome(view, seed, noise) for seed in seeds]
            by_noise[name] += found
            yield from _scale_rows(f"{view}, {name} noise", found, limit, held=name != "double")
    for name, found in by_noise.items():
        seen = [o for o in found if np.isfinite(o.log_std)]
        target = None if name == "double" else 90
        yield row(f"all views, {name} noise: inside 2 sigma", _inside(seen), "%", at_least=target)
    real = [o for o in by_noise["real"] if np.isfinite(o.log_std)]
    for jog in (False, True):
        some = [o for o in real if o.jog == jog]
        yield row(f"{'jogging' if jog else 'walking'}, real noise: median", _median(some), "%")
    for fps in RATES:
        some = [o for o in real if o.fps == fps]
        yield row(f"{fps:g} fps, real noise: median", _median(some), "%")
        yield row(f"{fps:g} fps, real noise: inside 2 sigma", _inside(some), "%")
    yield from _depth_rows(seeds)
    yield from _slide_rows(seeds[:6])
    if not quick:
        for camera in ("cam02", "cam03"):
            yield from _fit_noise_rows(camera)


def _world(view: View, seed: int, noise: float) -> WalkingWorld:
    """Every second seed jogs; frame rates take turns."""
    pace = JOG if seed % 2 else {}
    return walking_world(view, seed=seed, noise=noise, fps=RATES[seed % 3], seconds=6, **pace)


def _outcome(view: View, seed: int, noise: float) -> Outcome:
    world = _world(view, seed, noise)
    placement, _ = place_world(
        world.camera, [person_evidence(world.motion, world.rig)], world.times
    )
    return Outcome(
        error=float(np.log(placement.scale / world.scale)),
        log_std=placement.scale_log_std,
        jog=bool(seed % 2),
        fps=RATES[seed % 3],
    )


def _median(found: list[Outcome]) -> float:
    return 100 * float(np.median([abs(np.expm1(o.error)) for o in found])) if found else np.nan


def _inside(found: list[Outcome]) -> float:
    return 100 * float(np.mean([abs(o.error) < 2 * o.log_std for o in found])) if found else np.nan


def _scale_rows(name: str, found: list[Outcome], limit: float, *, held: bool) -> Iterator[Row]:
    seen = [o for o in found if np.isfinite(o.log_std)]
    errors = 100 * np.abs(np.expm1([o.error for o in seen]))
    yield row(f"{name}: median error", _median(seen), "%", at_most=limit if held else None)
    yield row(f"{name}: 90th percentile", float(np.quantile(errors, 0.9)), "%")
    stds = [o.log_std for o in seen]
    yield row(f"{name}: reported deviation, median", 100 * float(np.median(stds)), "%")
    yield row(f"{name}: inside 2 sigma", _inside(seen), "%", at_least=90 if held else None)
    yield row(f"{name}: said to be unknown", 100 * (1 - len(seen) / len(found)), "%")


def _depth_rows(seeds: range) -> Iterator[Row]:
    """The floor's depth at the feet, with a wall behind; and with the wall alone."""
    with_floor, alone = [], 0
    for seed in seeds:
        world = _world("side", seed, NOISES["real"])
        rng = np.random.default_rng(seed)
        ground = rng.uniform([-4, -3, 0], [14, 3, 0], (600, 3))
        wall = rng.uniform([-4, 3, 0], [14, 3, 4], (900, 3))
        found = _contact_depth(world, np.concatenate([ground, wall]), rng)
        if found is not None:
            with_floor.append(found)
        alone += _contact_depth(world, wall, rng) is not None
    errors = np.array([e for e, _ in with_floor])
    stds = np.array([s for _, s in with_floor])
    yield row("floor depth: found", 100 * len(errors) / len(seeds), "%")
    yield row("floor depth: median error", 100 * float(np.median(np.abs(errors))), "%", at_most=5)
    inside = 100 * float(np.mean(np.abs(errors) < 2 * stds))
    yield row("floor depth: inside 2 sigma", inside, "%", at_least=90)
    yield row("only a wall in view: estimates made", alone, "clips", at_most=0)


def _contact_depth(
    world: WalkingWorld, points: Array, rng: np.random.Generator
) -> tuple[float, float] | None:
    """Error and deviation of log scale from scene points that are 1 % of their distance off."""
    first, slam = world.Ts_world_camera[0], world.camera.Ts_slam_camera
    seen = transform_points(invert_transform(first), points)
    seen = seen * (1 + 0.01 * rng.standard_normal((len(seen), 1)))
    cloud = transform_points(slam[0], seen / world.scale)
    up = slam[0, :3, :3] @ first[2, :3]
    floor = find_floor(cloud, up=up, centres=slam[:, :3, 3])
    if floor is None:
        return None
    person = person_evidence(world.motion, world.rig)
    found = contact_depth_scale([slam_feet(world.camera, person, world.times)], floor)
    return None if found is None else (float(np.log(found.scale / world.scale)), found.log_std)


def _slide_rows(seeds: range) -> Iterator[Row]:
    """Standing feet of the measured body in the world, and after the world stage."""
    for view in VIEWS:
        before, after = [], []
        for seed in seeds:
            world = _world(view, seed, NOISES["real"])
            evidence = [person_evidence(world.motion, world.rig)]
            placement: WorldPlacement = place_world(world.camera, evidence, world.times)[0]
            motion = world_motion(world.motion, world.rig, placement, times=world.times)
            raw = world.rig.soles(in_world(world.motion, placement))
            seconds = float(np.median(np.diff(world.times)))
            measured = replace(motion, feet_world=raw)
            for slides, feet in ((before, measured), (after, motion)):
                slides.append(motion_numbers(feet, world.times)["stance_slide_cm"] / seconds)
        yield row(f"{view}: stance slide before", float(np.median(before)), "cm/s")
        yield row(f"{view}: stance slide after", float(np.median(after)), "cm/s")


def _fit_noise_rows(camera: str) -> Iterator[Row]:
    """How a real fit's feet err: their change within a stance, along the ray and across it."""
    truth = np.load(DATA / "pose2sim" / f"{camera}_truth.npz")
    path = str(DATA / "pose2sim" / f"{camera}.mp4")
    reader = VideoReader.open(path, VideoConfig(path=path))
    config = PeopleConfig(people="largest")
    track = track_people(
        reader,
        reader.info,
        config,
        detector=load_backend(DETECTORS, config.detector, "--detector")(threads=1),
        landmarker=load_backend(LANDMARKERS, config.keypoints, "--keypoints")(threads=1),
    )[0]
    K, info, model = truth["K"], reader.info, load_body_model("anny")
    intrinsics = Intrinsics(
        fx=K[0, 0], fy=K[1, 1], cx=K[0, 2], cy=K[1, 2], width=info.width, height=info.height
    )
    motion = fit_track(track, info.times, intrinsics, model)
    soles = model.skinning_spec(motion.shape.values).soles(motion.poses_camera)
    names = list(truth["marker_names"])
    columns = [names.index(name) for name in ("LHeel", "LBigToe", "RHeel", "RBigToe")]
    T = truth["T_camera_world"]
    feet = truth["markers_world"][motion.frame_idx][:, columns] @ T[:3, :3].T + T[:3, 3]
    rays = feet.mean(axis=1)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    lag = round(WINDOW / float(np.median(np.diff(info.times))))
    change = (soles - feet)[lag:] - (soles - feet)[:-lag]
    along = np.einsum("nkj,nj->nk", change, rays[:-lag])
    across = change - along[..., None] * rays[:-lag, None]
    yield row(f"{camera}: real foot error's change along the ray", 100 * along.std(), "cm")
    sideways = 100 * float(np.sqrt(np.mean(across**2) * 3 / 2))
    yield row(f"{camera}: real foot error's change across", sideways, "cm")
