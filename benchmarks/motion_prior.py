"""Does the motion prior help? Gaps filled and errors removed, on motion it was not trained on.

Gaps: the shipped prior against interpolation (straight lines, shortest arcs), and on videos
against what the fit itself puts where nobody is seen (smooth acceleration and the pose prior).
Motion: procedural with other seeds and bodies; two actions left out of a training of their own
(not with --quick); mocap, DeepMimic's clips; fits of real videos, a second of whose track is taken
away. Errors are those of the 22 body joints and the pelvis in the world, in the gap only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from benchmarks.common import DATA, Row, main, row
from benchmarks.mocap_clips import GAITS, OTHERS, mocap_clips
from body.fit import fit_track
from body.models import load_body_model
from body.motion_features import (
    HEIGHT,
    NUM_BODY,
    NUM_FEATURES,
    RATE,
    TURNS_6D,
    from_6d,
    headings,
    leg_length,
)
from body.motion_infill import infill, interpolated, target, window_about
from body.motion_prior import WINDOW, MotionPrior
from body.motion_prior_training import TrainingConfig, train
from body.world import in_world
from recon.core.geometry import Array, matrix_to_rotvec, nearest_rotation, rotvec_to_matrix
from recon.core.people import BodyPoses, PersonTrack, RoiMasks
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.evaluate.world_metrics import foot_sliding
from recon.motion import ACTIONS, Action, MotionClip
from recon.options import RunOptions
from recon.pipeline import run
from recon.synth.cast import random_shape
from recon.synth.sensor import wander
from recon.train_prior import PROCEDURAL_CLIPS, clip_features, procedural_clips

_SEED = 90_210
"""Of clips and bodies; training uses seed 0."""
_GAPS = (0.5, 1.0, 2.0)
_LEFT_OUT: tuple[Action, ...] = ("run", "dance")
_CONTEXT = 0.5
"""Seconds seen at least on either side of a gap."""
_STAGES = ("video", "tracking", "people", "camera", "body", "world")
_VIDEOS = ("walker_moving.mp4", "runner_moving.mp4", "dancer_static.mp4")

Filler = Callable[[BodyPoses, Array, np.ndarray, Rig], BodyPoses]
"""Poses, times, what was observed, the rig -> poses without gaps."""


@dataclass(frozen=True, kw_only=True)
class GapErrors:
    """Mean errors in gaps, millimetres: joints, pelvis, sliding of standing feet per frame."""

    joints: float
    root: float
    sliding: float


def compare(true: BodyPoses, got: BodyPoses, rig: Rig, rows: np.ndarray) -> GapErrors:
    """Errors of `got` in the frames `rows` (N,) bool."""
    ours, theirs = rig.joints(got)[1][:, :22], rig.joints(true)[1][:, :22]
    error = np.linalg.norm(ours - theirs, axis=-1)[rows]
    slide = foot_sliding(rig.soles(got), rig.soles(true), valid=rows)
    return GapErrors(
        joints=1e3 * float(error.mean()),
        root=1e3 * float(error[:, 0].mean()),
        sliding=1e3 * float(slide.mean()) if len(slide) else float("nan"),
    )


def gaps(times: Array, seconds: float) -> Iterator[np.ndarray]:
    """Frames observed (N,) bool for up to three gaps of this length, evenly spread."""
    room = times[-1] - times[0] - seconds - 2 * _CONTEXT
    if room < 0:
        return
    for start in np.unique(times[0] + _CONTEXT + np.linspace(0, 1, 3) * room):
        yield (times <= start) | (times >= start + seconds)


def mean_errors(clips: Iterable[MotionClip], seconds: float, filler: Filler) -> GapErrors:
    """Over all gaps of all clips."""
    found = [
        compare(clip.poses, filler(clip.poses, clip.times, observed, clip.rig), clip.rig, ~observed)
        for clip in clips
        for observed in gaps(clip.times, seconds)
    ]
    return _mean(found)


def _mean(found: list[GapErrors]) -> GapErrors:
    names = [f.name for f in fields(GapErrors)]
    return GapErrors(**{n: float(np.nanmean([getattr(e, n) for e in found])) for n in names})


def straight(poses: BodyPoses, times: Array, observed: np.ndarray, rig: Rig) -> BodyPoses:
    """The baseline: interpolation."""
    return interpolated(poses, times, observed=observed)


def by(prior: MotionPrior) -> Filler:
    """The prior as a filler."""

    def filler(poses: BodyPoses, times: Array, observed: np.ndarray, rig: Rig) -> BodyPoses:
        return infill(prior, poses, times, observed=observed, leg=leg_length(rig))

    return filler


def infill_rows(name: str, clips: list[MotionClip], prior: MotionPrior, *,
                at_most: float | None = None) -> Iterator[Row]:  # fmt: skip
    """Rows of errors with and without the prior; `at_most`: their ratio for joints, one second."""
    for seconds in _GAPS:
        before, after = (mean_errors(clips, seconds, f) for f in (straight, by(prior)))
        where = f"{name}, gap {seconds:g} s"
        for what in ("joints", "root", "sliding"):
            unit = "mm / frame" if what == "sliding" else "mm"
            yield row(f"{where}: {what}, interpolation", getattr(before, what), unit)
            yield row(f"{where}: {what}, prior", getattr(after, what), unit)
        limit = at_most if seconds == 1 else None
        yield row(f"{where}: joints, ratio", after.joints / before.joints, "", at_most=limit)


def left_out_rows(steps: int) -> Iterator[Row]:
    """Actions that a prior trained like the shipped one, without them, has never seen."""
    known: list[Action] = [a for a in ACTIONS if a not in _LEFT_OUT]
    features = [clip_features(c) for c in procedural_clips(PROCEDURAL_CLIPS, actions=known)]
    prior = train(features, TrainingConfig(steps=steps)).prior
    for action in _LEFT_OUT:
        clips = list(procedural_clips(12, seed=_SEED, actions=(action,)))
        yield from infill_rows(f"{action}, never trained on", clips, prior)


# Errors of a fit -------------------------------------------------------------------------------


def denoised(
    prior: MotionPrior, poses: BodyPoses, times: Array, *, observed: np.ndarray, leg: float
) -> BodyPoses:
    """The decoder's version of the frames seen: rotations, tilt and height; the path stays.

    From windows that overlap by half, each weighing most in its middle. Not in the project itself
    because it does no better than a running mean: see its rows.
    """
    bridged = interpolated(poses, times, observed=observed)
    out = np.zeros((len(times), NUM_FEATURES))
    total = np.zeros(len(times))
    length = WINDOW / RATE
    count = max(1, int(np.ceil((times[-1] - times[0]) / (length / 2))) - 1)
    for k in range(count):
        middle = float(times[0]) + length / 2 * (k + 1)
        grid, features, seen, _ = window_about(bridged, times, observed, middle=middle, leg=leg)
        offered = prior.complete(features, seen)
        inside = np.flatnonzero((times >= grid[0]) & (times <= grid[-1]))
        weight = 1.01 - np.abs(times[inside] - middle) / (length / 2)
        at = [np.interp(times[inside], grid, column) for column in offered.T]
        out[inside] += weight[:, None] * np.stack(at, axis=-1)
        total[inside] += weight
    out /= np.maximum(total, 1e-9)[:, None]
    rotations, root = bridged.rotations.copy(), bridged.root.copy()
    turned = rotvec_to_matrix(np.multiply.outer(headings(rotations[:, 0]), [0.0, 0.0, 1.0]))
    rotations[:, :NUM_BODY] = from_6d(out[:, TURNS_6D].reshape(-1, NUM_BODY, 6))
    rotations[:, 0] = turned @ rotations[:, 0]
    root[:, 2] = leg * out[:, HEIGHT]
    return BodyPoses(root=root, rotations=rotations)


def denoising_rows(name: str, clips: list[MotionClip], prior: MotionPrior) -> Iterator[Row]:
    """Joints relative to the pelvis: rotations with errors of 5 degrees that wander in 0.2 s."""
    rng = np.random.default_rng(_SEED)
    errors: dict[str, list[float]] = {"as measured": [], "smoothed": [], "prior": []}
    for clip in clips:
        wobble = np.radians(5) * wander(rng, clip.times, 0.2, 66).reshape(-1, 22, 3)
        rotations = clip.poses.rotations.copy()
        rotations[:, :22] = rotations[:, :22] @ rotvec_to_matrix(wobble)
        noisy = BodyPoses(root=clip.poses.root, rotations=rotations)
        seen = np.ones(len(clip.times), bool)
        means = gaussian_filter1d(rotations, 0.1 / np.diff(clip.times).mean(), axis=0)
        smooth = BodyPoses(root=noisy.root, rotations=nearest_rotation(means))
        cleaned = denoised(prior, noisy, clip.times, observed=seen, leg=leg_length(clip.rig))
        for key, poses in zip(errors, (noisy, smooth, cleaned), strict=True):
            ours, true = (clip.rig.joints(p)[1][:, :22] for p in (poses, clip.poses))
            off = (ours - ours[:, :1]) - (true - true[:, :1])
            errors[key].append(1e3 * float(np.linalg.norm(off, axis=-1).mean()))
    for key, values in errors.items():
        yield row(f"{name}, 5 degrees of error: joints, {key}", float(np.mean(values)), "mm")


def spread_rows(name: str, clips: list[MotionClip], prior: MotionPrior) -> Iterator[Row]:
    """Errors of the filled rotations in units of the spread that the prior claims (1 is honest)."""
    found = []
    for clip in clips:
        for observed in gaps(clip.times, 1.0):
            got = target(prior, clip.poses, clip.times, trust=observed.astype(float),
                         leg=leg_length(clip.rig))  # fmt: skip
            true = clip.poses.rotations[:, :22]
            off = matrix_to_rotvec(got.poses.rotations[:, :22] @ np.swapaxes(true, -1, -2))
            found.append((off / got.turn_std)[~observed].ravel())
    ratio = float(np.sqrt(np.mean(np.concatenate(found) ** 2)))
    yield row(f"{name}: error / claimed spread (RMS), rotations", ratio, "")


# Videos ----------------------------------------------------------------------------------------


def video_rows(videos: tuple[str, ...], prior: MotionPrior) -> Iterator[Row]:
    """A second of the main person's track taken away, against the fit that saw it."""
    for video in videos:
        with tempfile.TemporaryDirectory() as folder:
            scene = run(
                DATA / "videos" / video, Path(folder) / "scene", RunOptions(), stages=_STAGES
            )
            found = _hidden_seconds(scene, prior)
        for key, errors in found.items():
            mean = _mean(errors)
            name = f"{Path(video).stem}, 1 s taken away"
            yield row(f"{name}: joints, {key}", mean.joints, "mm")
            yield row(f"{name}: root, {key}", mean.root, "mm")


def _hidden_seconds(scene: Scene, prior: MotionPrior) -> dict[str, list[GapErrors]]:
    full, rig, track = scene.camera_motions[0], scene.rigs[0], scene.tracks[0]
    model = load_body_model(full.shape.model)
    true = in_world(full, scene.placement)
    times = scene.video.times[full.frame_idx]
    found: dict[str, list[GapErrors]] = {"the fit": [], "interpolation": [], "prior": []}
    for observed in gaps(times, 1.0):
        kept = np.isin(track.frame_idx, full.frame_idx[observed])
        motion = fit_track(rows_of(track, kept), scene.video.times, scene.camera.intrinsics, model)
        fitted = in_world(motion, scene.placement)
        found["the fit"].append(compare(true, fitted, rig, ~observed))
        for key, filler in (("interpolation", straight), ("prior", by(prior))):
            filled = filler(fitted, times, observed, rig)
            found[key].append(compare(true, filled, rig, ~observed))
    return found


def rows_of(track: PersonTrack, kept: np.ndarray) -> PersonTrack:
    """The track without the frames that are not `kept` (N,) bool."""
    count = len(track.frame_idx)
    own = {f.name: getattr(track, f.name) for f in fields(track)}
    arrays = {n: v[kept] for n, v in own.items() if isinstance(v, np.ndarray) and len(v) == count}
    masks = RoiMasks(bits=track.masks.bits[kept], Ts_image_roi=track.masks.Ts_image_roi[kept],
                     size=track.masks.size)  # fmt: skip
    return replace(track, **arrays, masks=masks)


def measure(quick: bool, _pictures: Path | None) -> Iterator[Row]:
    """All comparisons; --quick: fewer clips and videos, and no training."""
    prior = MotionPrior.shipped()
    known = list(procedural_clips(10 if quick else 40, seed=_SEED))
    model = load_body_model("anny")
    rig = model.skinning_spec(random_shape(model.param_spec, np.random.default_rng(_SEED)))
    gaits, others = (list(mocap_clips(names, rig)) for names in (GAITS, OTHERS))
    yield from infill_rows("procedural, other seeds", known, prior, at_most=0.6)
    yield from infill_rows("mocap gaits", gaits, prior, at_most=0.6)
    yield from infill_rows("mocap acrobatics", others, prior, at_most=1.0)
    for name, clips in (("procedural", known), ("mocap gaits", gaits), ("acrobatics", others)):
        yield from denoising_rows(name, clips, prior)
        yield from spread_rows(name, clips, prior)
    yield from video_rows(_VIDEOS[:1] if quick else _VIDEOS, prior)
    if not quick:
        yield from left_out_rows(prior.recipe["steps"])


if __name__ == "__main__":
    main("Motion prior", measure)
