"""What a motion prior says about a person's motion: hidden stretches filled in, and targets.

A stretch that was not seen is decoded from the four seconds around it, put where the last frame
before it stands, and bent so that position, rotations and their rates meet what was seen on both
sides: the difference at its ends is spread over it linearly, that of the rates fades off. With a
decoder that says "nothing moves" this is interpolation (the delta mode of Oreshkin 2022). How
much of the rest to believe is tried on this person's own motion first (`deserved_share`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from body.motion_features import (
    HEIGHT,
    NUM_BODY,
    NUM_FEATURES,
    RATE,
    TURNS_6D,
    Start,
    decode,
    encode,
    headings,
    limb_weights,
    resample,
)
from body.motion_prior import WINDOW, MotionPrior, fill
from recon.core.errors import InputError
from recon.core.geometry import Array, matrix_to_rotvec, rotvec_to_matrix
from recon.core.people import BodyPoses

MAX_GAP = 2.2
"""Seconds; of longer absences the prior knows nothing, they stay as they are."""
_FADE = 0.12
"""Seconds in which a difference in speed at a gap's ends fades off."""
_RATE_FRAMES = 3
"""Frames before and after a gap whose mean speed is taken up."""


@dataclass(frozen=True, kw_only=True)
class MotionTarget:
    """Poses that the prior expects, to be held as Gaussian pseudo-observations.

    Args:
        poses: N frames. root_std: (N, 3) metres, world axes.
        turn_std: (N, 22, 3) radians, of rotation vectors in each parent's axes.
        valid: (N,) bool; elsewhere the prior says nothing and the poses are those given.
    """

    poses: BodyPoses
    root_std: Array
    turn_std: Array
    valid: np.ndarray


def infill(
    prior: MotionPrior, poses: BodyPoses, times: Array, *, observed: np.ndarray, leg: float
) -> BodyPoses:
    """The poses with every hidden stretch up to MAX_GAP filled in; frames observed stay exactly.

    Stretches before the first and after the last frame observed stay as they are, and so do the
    hands' fingers, which are interpolated over the gap.

    Args:
        poses: N frames in a world with z up, anything finite where hidden.
        times: (N,) seconds. observed: (N,) bool. leg: metres (`body.motion_features.leg_length`).

    Raises:
        InputError: lengths differ.
    """
    times = _checked(poses, times, observed)
    root, rotations = poses.root.copy(), poses.rotations.copy()
    bridged = interpolated(poses, times, observed=observed)
    for before, after in hidden_stretches(observed):
        if times[after] - times[before] > MAX_GAP:
            continue
        rows = slice(before, after + 1)
        offered = _offered(prior, bridged, times, observed=observed, rows=rows, leg=leg)
        bent = bend_to_ends(offered, bridged, times, rows=rows)
        inside = slice(before + 1, after)
        root[inside], rotations[inside] = bent.root[1:-1], bent.rotations[1:-1]
    return BodyPoses(root=root, rotations=rotations)


def target(
    prior: MotionPrior, poses: BodyPoses, times: Array, *, trust: Array, leg: float
) -> MotionTarget:
    """Poses that the prior expects where trust is low, with how far it may be off.

    Frames trusted less than half count as hidden and are filled in. The others are expected where
    they are, with the prior's own spread next to what was seen.

    Args:
        poses: N frames in a world with z up. times: (N,) seconds. trust: (N,) 0-1.
    """
    observed = np.asarray(trust) >= 0.5
    times = _checked(poses, times, observed)
    if not observed.any():
        raise InputError("expected at least one frame with a trust of 0.5 or more, got none")
    filled = infill(prior, poses, times, observed=observed, leg=leg)
    valid = observed.copy()
    for before, after in hidden_stretches(observed):
        valid[before:after] |= times[after] - times[before] <= MAX_GAP
    far = np.abs(times[:, None] - times[observed][None]).min(axis=1)
    spread = np.stack([np.interp(far, prior.spread_seconds, s) for s in prior.spread.T], axis=-1)
    turned = rotvec_to_matrix(np.multiply.outer(headings(filled.rotations[:, 0]), [0.0, 0, 1]))
    root_std = np.sqrt(np.einsum("nij,nj->ni", turned**2, (leg * spread[:, :3]) ** 2))
    turn_std = spread[:, 3:].reshape(-1, NUM_BODY, 3)
    return MotionTarget(poses=filled, root_std=root_std, turn_std=turn_std, valid=valid)


def hidden_stretches(observed: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs (before, after) of frames observed with only hidden ones between them."""
    known = np.flatnonzero(observed)
    for before, after in pairwise(known):
        if after - before > 1:
            yield int(before), int(after)


def interpolated(poses: BodyPoses, times: Array, *, observed: np.ndarray) -> BodyPoses:
    """The poses with hidden frames on shortest arcs and straight lines; held beyond the ends."""
    known = BodyPoses(root=poses.root[observed], rotations=poses.rotations[observed])
    return resample(known, times[observed], times)


def window_about(
    poses: BodyPoses, times: Array, observed: np.ndarray, *, middle: float, leg: float
) -> tuple[Array, Array, np.ndarray, Start]:
    """Times, features and marks of the window about a moment, and where it starts."""
    grid = np.asarray(middle + (np.arange(WINDOW) - WINDOW / 2) / RATE, dtype=np.float64)
    features, where = encode(resample(poses, times, grid), leg=leg)
    # A row is seen if it lies between or next to two neighbouring frames seen.
    slack = 0.5 / RATE
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    near = (np.abs(grid - times[after]) < slack) & observed[after]
    near |= (np.abs(grid - times[after - 1]) < slack) & observed[after - 1]
    near |= observed[after] & observed[after - 1] & (grid >= times[0]) & (grid <= times[-1])
    return grid, features, near, where


def _offered(
    prior: MotionPrior, poses: BodyPoses, times: Array, *, observed: np.ndarray, rows: slice,
    leg: float,
) -> BodyPoses:  # fmt: skip
    """What the decoder offers for the frames `rows`, as far as it deserves, in the plane."""
    middle = 0.5 * float(times[rows.start] + times[rows.stop - 1])
    length = float(times[rows.stop - 1] - times[rows.start])
    share = deserved_share(
        prior, poses, times, observed=observed, middle=middle, length=length, leg=leg
    )
    grid, features, seen, where = window_about(poses, times, observed, middle=middle, leg=leg)
    bridged, offered = fill(features, seen), prior.complete(features, seen)
    out = resample(decode(bridged + share * (offered - bridged), where, leg=leg), grid, times[rows])
    fingers = out.rotations.copy()
    fingers[:, NUM_BODY:] = poses.rotations[rows, NUM_BODY:]
    return replace(out, rotations=fingers)


def deserved_share(
    prior: MotionPrior, poses: BodyPoses, times: Array, *, observed: np.ndarray, middle: float,
    length: float, leg: float,
) -> float:  # fmt: skip
    """How much of what the prior adds to interpolation to believe of this person, 0-1.

    Stretches of the same length that were seen are hidden in turn: the least-squares factor of
    what the prior adds there, with one more stretch as imagined on which it is right. So a prior
    that does not know slow motion, or a fit's odd habits, leaves the interpolation as it is.

    Args:
        poses, times, observed: as for `infill`, gaps bridged. middle, length: seconds, of the gap.
    """
    reach = length / 2 + _TRIAL_CONTEXT
    places = np.arange(times[0] + reach, times[-1] - reach, _TRIAL_STEP)
    scale = limb_weights() * np.isin(np.arange(NUM_FEATURES), _COMPARED)
    explained, added = [], []
    for place in sorted(places, key=lambda p: abs(p - middle)):
        if not observed[np.abs(times - place) < reach].all():
            continue
        grid, features, seen, _ = window_about(poses, times, observed, middle=place, leg=leg)
        hidden = seen & (np.abs(grid - place) < length / 2)
        bridged = fill(features, seen & ~hidden)
        offer = scale * (prior.complete(features, seen & ~hidden) - bridged)[hidden]
        explained.append(float((offer * scale * (features - bridged)[hidden]).sum()))
        added.append(float((offer**2).sum()))
        if len(added) == _TRIALS:
            break
    if not sum(added):
        return 1.0
    share = (sum(explained) + np.mean(added)) / (sum(added) + np.mean(added))
    return float(np.clip(share, 0.0, 1.0))


_TRIALS, _TRIAL_STEP, _TRIAL_CONTEXT = 6, 0.4, 0.35
"""Stretches hidden for trial, seconds between them, seconds seen around each."""
_COMPARED = np.r_[HEIGHT, np.arange(TURNS_6D.start, TURNS_6D.stop)]


def bend_to_ends(offered: BodyPoses, poses: BodyPoses, times: Array, *, rows: slice) -> BodyPoses:
    """A stretch moved, turned and bent so that it continues the poses on both sides.

    Args:
        offered: M frames, the first and last of them seen. poses: N frames. times: (N,) seconds.
        rows: where the M frames lie among the N.
    """
    ends = np.array([rows.start, rows.stop - 1])
    turn = headings(poses.rotations[ends[:1], 0])[0] - headings(offered.rotations[:1, 0])[0]
    about_z = rotvec_to_matrix(np.array([0.0, 0.0, turn]))
    root = (offered.root - offered.root[0]) @ about_z.T + poses.root[ends[0]]
    root[:, 2] = offered.root[:, 2]
    rotations = offered.rotations.copy()
    rotations[:, 0] = about_z @ rotations[:, 0]
    t = times[rows] - times[ends[0]]
    offered_rates = _rates(root, t, (0, 1), (-2, -1))
    seen_rates = _rates(poses.root, times, *_beyond(ends, len(times)))
    root = root + _bend(poses.root[ends] - root[[0, -1]], seen_rates - offered_rates, t)
    off = _change(rotations[[0, -1]], poses.rotations[ends])
    offered_rates = _rates(rotations, t, (0, 1), (-2, -1))
    seen_rates = _rates(poses.rotations, times, *_beyond(ends, len(times)))
    rotations = rotvec_to_matrix(_bend(off, seen_rates - offered_rates, t)) @ rotations
    return BodyPoses(root=root, rotations=rotations)


def _bend(off: Array, rates: Array, t: Array) -> Array:
    """Corrections (M, ...) that are off[0] and off[1] at the ends, and change there at `rates`.

    Args:
        off, rates: (2, ...), rates per second. t: (M,) seconds from 0.
    """
    shape = (-1, *[1] * (off.ndim - 1))
    length = t[-1]
    u = (t / length).reshape(shape)
    slope = (off[1] - off[0]) / length
    out = (1 - u) * off[0] + u * off[1]
    for seconds, rate in ((t, rates[0] - slope), (length - t, slope - rates[1])):
        s = seconds.reshape(shape)
        out = out + rate * s * np.exp(-s / _FADE) * (1 - s / length) ** 2
    return out


def _beyond(ends: np.ndarray, count: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pairs of frames outside the gap that tell the rates at its ends."""
    before, after = int(ends[0]), int(ends[1])
    first, last = max(before - _RATE_FRAMES, 0), min(after + _RATE_FRAMES, count - 1)
    # Of a single frame beside the gap nothing but the way across the gap is known.
    return (
        (first, before) if first < before else (before, after),
        (after, last) if last > after else (before, after),
    )


def _rates(values: Array, times: Array, *pairs: tuple[int, int]) -> Array:
    """Changes per second (2, ...) between pairs of frames."""
    return np.stack([_change(values[a], values[b]) / (times[b] - times[a]) for a, b in pairs])


def _change(before: Array, after: Array) -> Array:
    """What leads from positions (..., 3) to others, or from rotations (..., 52, 3, 3): vectors."""
    if before.shape[-2:] == (3, 3):
        return matrix_to_rotvec(after @ np.swapaxes(before, -1, -2))
    return after - before


def _checked(poses: BodyPoses, times: Array, observed: np.ndarray) -> Array:
    times = np.asarray(times, dtype=float)
    if not len(poses.root) == len(times) == len(observed):
        raise InputError(
            f"expected as many poses as times and marks, got {len(poses.root)}, {len(times)} and "
            f"{len(observed)}; give one of each per frame"
        )
    return times
