"""What a keypoint network sees of a body whose truth is known: its errors, without pixels.

Keypoints and landmarks have the errors that BlazePose heavy makes on pose2sim (against markers
that are themselves 2 to 4 cm off): slow, alike along a limb, larger where the network is unsure,
mostly in depth, and some of them constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.people import PersonTrack, RoiMasks
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS

_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}


@dataclass(frozen=True, kw_only=True)
class SensorNoise:
    """Errors of a keypoint network (standard deviations) and how often it fails.

    Args:
        keypoint_bias, keypoint: of the person's size in the picture, constant and wandering.
        seconds: over which errors wander.
        lean: radians, one wrong rotation of all landmarks. scale: their wrong size.
        bone_bias, bone: share of a bone's depth error that stays and that wanders.
        across: errors across the line of sight relative to those along it.
        swaps: left-right swaps a second, of the whole body or of the arms or legs.
        swap_seconds: how long one lasts. dropouts: share of frames lost in one stretch.
    """

    keypoint_bias: float = 0.009
    keypoint: float = 0.008
    seconds: float = 0.15
    lean: float = 0.06
    scale: float = 0.04
    bone_bias: float = 1.0
    bone: float = 1.0
    across: float = 0.4
    swaps: float = 0.0
    swap_seconds: float = 0.15
    dropouts: float = 0.0


CLEAN = SensorNoise(keypoint_bias=0, keypoint=0, lean=0, scale=0, bone_bias=0, bone=0)

# Bones along which the depths' errors add up, with their deviation in metres.
_BONES = tuple(
    (_K[f"{side}_{a}"], _K[f"{side}_{b}"], std)
    for side in ("left", "right")
    for a, b, std in (
        ("hip", "shoulder", 0.06), ("hip", "knee", 0.05), ("knee", "ankle", 0.05),
        ("ankle", "heel", 0.02), ("ankle", "foot_index", 0.04), ("shoulder", "elbow", 0.045),
        ("elbow", "wrist", 0.06), ("wrist", "index", 0.02), ("wrist", "pinky", 0.02),
        ("wrist", "thumb", 0.02),
    )
)  # fmt: skip

_MIRRORED = np.array([
    _K[n.replace("left", "R").replace("right", "left").replace("R", "right")]
    for n in BLAZEPOSE_KEYPOINTS
])  # fmt: skip
_ARMS, _LEGS = np.arange(11, 23), np.arange(23, 33)


def wander(rng: np.random.Generator, times: Array, seconds: float, width: int) -> Array:
    """Unit-variance noise (T, width) that forgets itself after `seconds` (Ornstein-Uhlenbeck)."""
    out = rng.standard_normal((len(times), width))
    for i, dt in enumerate(np.diff(times), start=1):
        keep = np.exp(-dt / seconds)
        out[i] = keep * out[i - 1] + np.sqrt(1 - keep**2) * out[i]
    return out


@dataclass(frozen=True, kw_only=True)
class SeenKeypoints:
    """What the network says of one body in T frames; `track` leaves out the dropped ones.

    `swapped` (T, 2) bool: arms and legs whose sides are wrong.
    """

    track: PersonTrack
    swapped: np.ndarray


def see(
    points_camera: Array,
    times: Array,
    *,
    intrinsics: Intrinsics,
    noise: SensorNoise,
    rng: np.random.Generator,
    track_id: int = 1,
    seen: Array | None = None,
) -> SeenKeypoints:
    """One body as a keypoint network sees it.

    Args:
        points_camera: (T, 33, 3) metres, BlazePose order; in front of the camera where seen.
        times: (T,) seconds. seen: (T, 33), 1 for what is in view, down to 0 for what is hidden or
            outside the picture: it scales confidence, and frames with hardly any are left out.
    """
    num = len(times)
    px = intrinsics.project(points_camera)
    boxes = np.concatenate([px.min(axis=1), px.max(axis=1)], axis=1)
    size = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)[:, None, None]
    conf = _confidence(times, rng)
    if seen is not None:
        conf = conf * seen
    unsure = 1 + 1.2 * (1 - conf)[..., None]
    drift = wander(rng, times, noise.seconds, 66).reshape(num, 33, 2)
    constant = noise.keypoint_bias * rng.standard_normal((33, 2))
    px = px + size * (constant + noise.keypoint * unsure * drift)
    landmarks = _landmarks(points_camera, times, unsure=unsure, noise=noise, rng=rng)
    swapped = _swaps(times, noise, rng)
    for part, columns in enumerate((_ARMS, _LEGS)):
        rows = swapped[:, part]
        for array in (px, landmarks, conf):
            array[np.ix_(rows, columns)] = array[np.ix_(rows, _MIRRORED[columns])]
    kept = np.ones(num, bool) if seen is None else seen.mean(axis=1) > MIN_SEEN
    if noise.dropouts:
        lost = round(noise.dropouts * num)
        start = rng.integers(5, num - lost - 5)
        kept[start : start + lost] = False
    idx = np.flatnonzero(kept)
    track = PersonTrack(
        track_id=track_id, frame_idx=idx, boxes=boxes[idx], scores=np.ones(len(idx)),
        keypoints_px=px[idx], keypoint_conf=conf[idx], landmarks=landmarks[idx],
        masks=no_masks(len(idx)),
    )  # fmt: skip
    return SeenKeypoints(track=track, swapped=swapped)


MIN_SEEN = 0.3
"""Share of the keypoints in view below which the network does not find a person."""


def no_masks(num_frames: int) -> RoiMasks:
    """Empty masks, where nobody drew pictures."""
    return RoiMasks(
        bits=np.zeros((num_frames, 8), np.uint8), Ts_image_roi=np.zeros((num_frames, 2, 3)), size=8
    )


def _confidence(times: Array, rng: np.random.Generator) -> Array:
    """(T, 33), mostly near one; every limb is hidden now and then."""
    limbs = wander(rng, times, 0.6, 5)  # head and trunk, arms, legs
    limb = np.zeros(33, int)
    for i, name in enumerate(BLAZEPOSE_KEYPOINTS[13:], start=13):
        limb[i] = 1 + name.startswith("right") + 2 * (i >= 25)
    limb[[23, 24]] = 0
    hidden = 3.0 * (limb > 0) * np.maximum(limbs[:, limb] - 0.8, 0)
    return 1 / (1 + np.exp(-(3.5 - 2 * hidden)))


def _landmarks(
    points: Array, times: Array, *, unsure: Array, noise: SensorNoise, rng: np.random.Generator
) -> Array:
    """Root-centred metric landmarks at a mean adult's size, with the errors of `noise`."""
    error = np.zeros_like(points)
    along = np.array([noise.across, noise.across, 1.0])
    for start, end, std in _BONES:
        constant = noise.bone_bias * rng.standard_normal(3)
        moving = noise.bone * unsure[:, end] * wander(rng, times, noise.seconds, 3)
        error[:, end] = error[:, start] + std * along * (constant + moving)
    error[:, :11] = error[:, [11, 12]].mean(axis=1, keepdims=True)
    stature = np.linalg.norm(points[:, 11] - points[:, 27], axis=-1).max() / 0.8
    size = 1.7 / stature * (1 + noise.scale * rng.standard_normal())
    lean = rotvec_to_matrix(noise.lean * rng.standard_normal(3) * [1, 0.7, 0.4])
    seen = size * (points - points[:, 23:25].mean(axis=1, keepdims=True)) @ lean.T + error
    return seen - seen[:, 23:25].mean(axis=1, keepdims=True)


def _swaps(times: Array, noise: SensorNoise, rng: np.random.Generator) -> np.ndarray:
    """(T, 2) bool: stretches in which both arms, both legs, or all four are swapped."""
    swapped = np.zeros((len(times), 2), bool)
    step = float(times[1] - times[0])
    for _ in range(rng.poisson(noise.swaps * times[-1])):
        start = rng.integers(0, len(times))
        length = max(1, round(rng.exponential(noise.swap_seconds) / step))
        parts = ([0], [1], [0, 1], [0, 1])[rng.integers(4)]
        swapped[start : start + length, parts] = True
    return swapped
