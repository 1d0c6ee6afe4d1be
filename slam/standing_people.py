"""Focal length, vertical and everybody's stature, from people who stand or walk on one level floor.

Where a camera stays in one place, a person's feet tell how far away they are (the floor's plane),
and then their height in the picture how tall they are. That all are about as tall as people are,
and upright, fixes the lens and the plane: single-view metrology (Criminisi et al. 2000; Hoiem et
al. 2008, "Putting objects in perspective"), here as one robust least-squares problem.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import OptimizeResult, least_squares

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.ground import GroundView
from recon.core.people import PersonTrack
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS
from recon.core.stage import StageReport
from slam.intrinsics import PRIOR_RELATIVE_STD, focal_decision
from slam.scale_fusion import BODY_SIZE_LOG_STD

ADULT_STATURE = 1.70
"""Metres, of people nobody measured (as the body fit has it)."""

_HEIGHTS = {"ankle": 0.06, "hip": 0.50, "shoulder": 0.795}
"""Middle of a pair of joints over the floor, as a share of the stature: Anny's bodies have 0.056,
0.508 and 0.807 standing straight; walking people bend their knees and lift their feet."""
_NOISE = 0.06  # of the distance from ankles to shoulders: the gait's sway, leaning, the network's
_PERIOD = 0.5  # seconds between sightings used
_WEIGHT = 0.5  # of a sighting: a posture lasts for about a second, two periods
_MIN_CONFIDENCE = 0.5
_OFF_LINE = 0.15  # of the length: hips farther off the line from ankles to shoulders are no stand
_MIN_SIGHTINGS = 8
_PITCH_STD, _ROLL_STD = np.radians(25.0), np.radians(5.0)
_HEIGHT_LOG_STD = 1.0  # of a camera's height over the floor about 2 m
_KNOWN_FOCAL_STD = 0.02  # log, of a lens that the user, the file or the camera's turning told
_SURE_FOCAL_STD = 0.12  # log: less certain, and the usual lens is as good
_SURE_UP_STD = np.radians(4.0)
_LEAST_FOCAL_STD, _LEAST_STATURE_STD = 0.03, 0.02
_STEP = 1e-5  # of the numerical derivative, log or radians
_LEAST_FALL = 1e-3  # of a ray per metre: one that never meets the floor ends far away
_STARTS = tuple((zoom, pitch) for zoom in (1.0, 1.8) for pitch in (0.05, 0.35))


@dataclass(frozen=True, kw_only=True)
class StandingPeople:
    """What standing people tell: a focal length with its deviation in log, and the ground.

    Args:
        focal_px: for the video's own frame size. focal_log_std: of the posterior.
        ground: under that focal length. sightings: how many were used.
    """

    focal_px: float
    focal_log_std: float
    ground: GroundView
    sightings: int


@dataclass(frozen=True, kw_only=True)
class _Sightings:
    """M upright people: their number (M,), and pixels (M, 2) of three middles."""

    track_ids: np.ndarray
    person: np.ndarray
    ankle: Array
    hip: Array
    shoulder: Array
    R_slam_camera: Array

    @property
    def size(self) -> Array:
        """(M,) px from ankles to shoulders."""
        return np.linalg.norm(self.shoulder - self.ankle, axis=1)


def see_standing_people(
    tracks: list[PersonTrack],
    camera: CameraTrajectory,
    times: Array,
    *,
    focal_log_std: float,
) -> StandingPeople | None:
    """The most probable lens, plane and statures, or None where too few stand in view.

    Args:
        tracks: of the clip. camera: static or turning in one place, one shot.
        times: (T,) seconds. focal_log_std: how well the camera's focal length is known.
    """
    seen = _sightings(tracks, camera, times)
    if len(seen.person) < _MIN_SIGHTINGS:
        return None
    problem = _Problem(seen, camera.intrinsics, focal_log_std)
    found = [problem.solve(zoom, pitch) for zoom, pitch in _STARTS]
    best = min(found, key=lambda r: r.cost)
    return problem.answer(best)


def _sightings(tracks: list[PersonTrack], camera: CameraTrajectory, times: Array) -> _Sightings:
    """Upright people every half second, whole in the picture."""
    parts: list[tuple[int, Array, Array, Array, Array]] = []
    k = camera.intrinsics
    for track in tracks:
        ankle, hip, shoulder = (_middle(track, joint) for joint in _HEIGHTS)
        along = shoulder - ankle
        length = np.maximum(np.linalg.norm(along, axis=1), 1e-6)
        share = np.sum((hip - ankle) * along, axis=1) / length**2
        off = np.linalg.norm(hip - ankle - share[:, None] * along, axis=1) / length
        sure = np.min([_confidence(track, joint) for joint in _HEIGHTS], axis=0)
        inside = (ankle[:, 1] < 0.98 * k.height) & (ankle[:, 0] > 0) & (ankle[:, 0] < k.width)
        good = (sure > _MIN_CONFIDENCE) & (off < _OFF_LINE) & (np.abs(share - 0.6) < 0.15) & inside
        when = times[track.frame_idx]
        rows = np.flatnonzero(good)
        # The first good one of every period.
        _, first = np.unique(np.floor(when[rows] / _PERIOD), return_index=True)
        rows = rows[first]
        if len(rows):
            R = camera.Ts_slam_camera[track.frame_idx[rows], :3, :3]
            parts.append((track.track_id, ankle[rows], hip[rows], shoulder[rows], R))
    counts = [len(p[1]) for p in parts]

    def stacked(index: int, width: tuple[int, ...]) -> Array:
        return np.concatenate([np.zeros((0, *width)), *(np.asarray(p[index]) for p in parts)])

    return _Sightings(
        track_ids=np.array([p[0] for p in parts], int),
        person=np.repeat(np.arange(len(parts)), counts),
        ankle=stacked(1, (2,)),
        hip=stacked(2, (2,)),
        shoulder=stacked(3, (2,)),
        R_slam_camera=stacked(4, (3, 3)),
    )


def _pair(joint: str) -> list[int]:
    return [BLAZEPOSE_KEYPOINTS.index(f"{side}_{joint}") for side in ("left", "right")]


def _middle(track: PersonTrack, joint: str) -> Array:
    return np.asarray(track.keypoints_px[:, _pair(joint)].mean(axis=1), float)


def _confidence(track: PersonTrack, joint: str) -> Array:
    return np.asarray(track.keypoint_conf[:, _pair(joint)].min(axis=1), float)


class _Problem:
    """Unknowns: log focal factor, pitch, roll, log camera height, log stature of every person.

    Residuals, in standard deviations: pixels of hips and shoulders over the ankles, and priors.
    """

    def __init__(self, seen: _Sightings, intrinsics: Intrinsics, focal_log_std: float) -> None:
        self.seen, self.intrinsics = seen, intrinsics
        self.num_people = len(seen.track_ids)
        self._prior_mean = np.zeros(4 + self.num_people)
        self._prior_mean[3] = np.log(2.0)
        self._prior_std = np.full(4 + self.num_people, BODY_SIZE_LOG_STD)
        self._prior_std[:4] = focal_log_std, _PITCH_STD, _ROLL_STD, _HEIGHT_LOG_STD

    def solve(self, zoom: float, pitch: float) -> OptimizeResult:
        """The minimum nearest to a focal length of `zoom` times the camera's and this pitch."""
        start = self._prior_mean.copy()
        start[:2] = np.log(zoom), pitch
        return least_squares(
            self._residuals, start,
            jac=self._jacobian,  # pyright: ignore[reportArgumentType] (the stub knows only names)
            loss="cauchy", x_scale="jac",
        )  # fmt: skip

    def answer(self, found: OptimizeResult) -> StandingPeople:
        """What a minimum means; deviations are wider where the fit is worse than the noise."""
        x, rows = found.x, 4 * len(self.seen.person)
        misfit = np.sqrt(max(1.0, float(np.mean(np.minimum(found.fun[:rows] ** 2, 9.0)))))
        std = misfit * np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))
        statures = ADULT_STATURE * np.exp(x[4:])
        height = float(np.exp(x[3]))
        return StandingPeople(
            focal_px=float(self.intrinsics.fx * np.exp(x[0])),
            focal_log_std=float(max(std[0], _LEAST_FOCAL_STD)),
            ground=GroundView(
                up_slam=self._up(x),
                up_std=float(np.hypot(std[1], std[2])),
                camera_height=height,
                camera_height_std=float(height * std[3]),
                track_ids=self.seen.track_ids,
                statures=statures,
                stature_stds=np.maximum(std[4:] * statures, _LEAST_STATURE_STD),
            ),
            sightings=len(self.seen.person),
        )

    def _up(self, x: Array) -> Array:
        """The vertical (3,) in slam axes: that of the first camera, pitched down and rolled."""
        pitch, roll = rotvec_to_matrix(np.array([[x[1], 0.0, 0.0], [0.0, 0.0, x[2]]]))
        return np.asarray(self.seen.R_slam_camera[0] @ roll @ pitch @ [0.0, -1.0, 0.0])

    def _residuals(self, x: Array) -> Array:
        seen, k = self.seen, self.intrinsics
        focal, centre = k.fx * np.exp(x[0]), np.array([k.cx, k.cy])
        up = np.einsum("nji,j->ni", seen.R_slam_camera, self._up(x))
        stature = ADULT_STATURE * np.exp(x[4:])[seen.person]
        ray = np.concatenate([(seen.ankle - centre) / focal, np.ones((len(up), 1))], axis=1)
        fall = np.maximum(-np.sum(ray * up, axis=1), _LEAST_FALL)
        ankle = ray * ((np.exp(x[3]) - _HEIGHTS["ankle"] * stature) / fall)[:, None]
        out = []
        for joint, px in (("hip", seen.hip), ("shoulder", seen.shoulder)):
            point = ankle + ((_HEIGHTS[joint] - _HEIGHTS["ankle"]) * stature)[:, None] * up
            there = point[:, :2] / np.maximum(point[:, 2:], 0.05) * focal + centre
            # Hips and shoulders of one sighting err together: each counts for half.
            share = np.sqrt(0.5 * _WEIGHT) / (_NOISE * seen.size)
            out.append(((there - px) * share[:, None]).ravel())
        return np.concatenate([*out, (x - self._prior_mean) / self._prior_std])

    def _jacobian(self, x: Array) -> Array:
        """Central differences; a sighting depends on one stature only: all move at once."""
        rows, count = 4 * len(self.seen.person), self.num_people
        out = np.zeros((rows + 4 + count, 4 + count))
        moves = np.concatenate([np.eye(4 + count)[:4], np.r_[np.zeros(4), np.ones(count)][None]])
        slopes = [
            (self._residuals(x + _STEP * m) - self._residuals(x - _STEP * m))[:rows] / (2 * _STEP)
            for m in moves
        ]
        out[:rows, :4] = np.transpose(slopes[:4])
        person = 4 + np.tile(np.repeat(self.seen.person, 2), 2)
        out[np.arange(rows), person] = slopes[4]
        out[rows:] = np.diag(1 / self._prior_std)
        return out


# The stage -------------------------------------------------------------------------------------


def with_ground(
    tracks: list[PersonTrack], camera: CameraTrajectory, report: StageReport, times: Array
) -> tuple[CameraTrajectory, StageReport, GroundView | None]:
    """The camera with the lens that standing people tell, if nothing else did, and their ground.

    Args:
        tracks: of the clip. camera, report: of the camera stage. times: (T,) seconds.
    """
    if camera.kind not in ("static", "rotating") or len(camera.shot_starts) > 1:
        return camera, report, None
    assumed = camera.kind == "static" and camera.intrinsics.source == "prior"
    known = PRIOR_RELATIVE_STD if assumed else _KNOWN_FOCAL_STD
    found = see_standing_people(tracks, camera, times, focal_log_std=known)
    if found is None:
        return camera, report, None
    if assumed and found.focal_log_std < _SURE_FOCAL_STD:
        lens = replace(camera.intrinsics, fx=found.focal_px, fy=found.focal_px, source="estimated")
        why = (
            f"± {100 * found.focal_log_std:.0f} %, from how people look smaller far off: "
            f"{len(found.ground.track_ids)} people, {found.sightings} sightings"
        )
        decisions = tuple(
            focal_decision(lens, why) if d.name == "focal length" else d for d in report.decisions
        )
        camera, report = replace(camera, intrinsics=lens), replace(report, decisions=decisions)
    elif assumed:
        # Under the assumed lens itself, which stays.
        found = see_standing_people(tracks, camera, times, focal_log_std=_KNOWN_FOCAL_STD)
    if found is None or found.ground.up_std > _SURE_UP_STD:
        return camera, report, None
    return camera, _with_numbers(report, found.ground), found.ground


def _with_numbers(report: StageReport, ground: GroundView) -> StageReport:
    statures = zip(ground.track_ids.tolist(), ground.statures.tolist(), strict=True)
    found = {
        "camera_height": round(ground.camera_height, 3),
        "camera_height_std": round(ground.camera_height_std, 3),
        "statures": {f"person{track_id}": round(stature, 3) for track_id, stature in statures},
    }
    return replace(report, numbers={**report.numbers, **found})
