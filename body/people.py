"""The `tracking` stage: detect, track, keypoints and masks in one walk through the video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from body.detect import DETECTORS, Detector, load_backend
from body.faces import FACE_LANDMARKERS, FaceFollower
from body.follow import History
from body.hands import HAND_LANDMARKERS, HandFollower
from body.landmarks import LICENCES, Landmarker, load_landmarker
from body.repair import repaired
from body.walk import Walk
from recon.core.errors import InputError
from recon.core.people import PersonTrack
from recon.core.scene import Scene
from recon.core.stage import Decision, Progress, StageReport, no_progress
from recon.core.video import Frame, FrameSource, VideoInfo


@dataclass(frozen=True, kw_only=True)
class PeopleConfig:
    """How people are found and followed.

    Args:
        people: "all", "largest", the number of people to keep, or "none" to look for nobody.
        detector, keypoints: back-ends. threads: 0 takes all cores.
        keypoints_model: file or folder of the user's own keypoint network, for rtmpose, vitpose.
        detect_every: seconds between detector passes; a lost person triggers one at once.
        max_gap: seconds that a lost person is waited for.
        min_duration: seconds; people seen for less are dropped (half the clip if that is less).
        hands, face: whether to look for hands and the face too.
    """

    people: str = "all"
    detector: str = "ssd"
    keypoints: str = "blazepose-heavy"
    keypoints_model: str | None = None
    detect_every: float = 0.25
    max_gap: float = 2.0
    min_duration: float = 0.5
    hands: bool = False
    face: bool = False
    threads: int = 0

    def __post_init__(self) -> None:
        if self.people not in {"all", "largest", "none"} and not (
            self.people.isascii() and self.people.isdigit() and int(self.people) > 0
        ):
            raise InputError(
                "--people: expected 'all', 'largest', 'none' or a number from 1, got "
                f"{self.people!r}"
            )
        if not self.detect_every > 0 or self.max_gap < 0 or self.min_duration < 0:
            raise InputError(
                "expected detect_every > 0 and max_gap, min_duration >= 0 seconds, got "
                f"{self.detect_every}, {self.max_gap}, {self.min_duration}"
            )

    @property
    def max_people(self) -> int | None:
        """How many people to keep, None for all."""
        if self.people == "all":
            return None
        return 1 if self.people == "largest" else int(self.people)


def run(
    scene: Scene, config: PeopleConfig, *, frames: FrameSource, progress: Progress = no_progress
) -> StageReport:
    """Finds and follows everybody in the scene's video and saves `tracking.npz`.

    Raises:
        InputError: an unknown back-end, or its network is missing and cannot be fetched.
        MissingDependencyError: the package that runs a network is not installed.
    """
    if config.people == "none":
        scene.save("tracking.npz", [])
        return StageReport(backend=NOBODY_SOUGHT, decisions=(_NOBODY,), numbers={"people": 0})
    threads = config.threads
    detector = load_backend(DETECTORS, config.detector, "--detector")(threads=threads)
    model = Path(config.keypoints_model) if config.keypoints_model else None
    landmarker = load_landmarker(config.keypoints, model, threads=threads)
    hands = face = None
    if config.hands:
        network = load_backend(HAND_LANDMARKERS, "mediapipe", "--hands")
        hands = HandFollower(network(threads=threads))
    if config.face:
        network = load_backend(FACE_LANDMARKERS, "mediapipe", "--face")
        face = FaceFollower(network(threads=threads))
    tracks = track_people(
        frames, frames.info, config,
        detector=detector, landmarker=landmarker, hands=hands, face=face, progress=progress,
    )  # fmt: skip
    scene.save("tracking.npz", tracks)
    backend = f"{config.detector} + {config.keypoints} ({LICENCES[config.keypoints]})"
    report = tracks_report(tracks, frames.info, backend)
    if not all(track.metric for track in tracks):
        report = replace(report, decisions=(*report.decisions, _IN_2D))
    return report


_IN_2D = Decision(
    name="depth and masks",
    value="not seen",
    why="this keypoint network sees in 2D: the fit starts from a guess of depth and relies on "
    "its priors, and masks are drawn around the keypoints",
)


NOBODY_SOUGHT = "none"
"""The tracking stage's back-end where the user told that nobody is in the video."""

_NOBODY = Decision(name="people", value="none", why="told by --people none; nobody is masked")


def track_people(
    frames: Iterable[Frame],
    video: VideoInfo,
    config: PeopleConfig,
    *,
    detector: Detector,
    landmarker: Landmarker,
    hands: HandFollower | None = None,
    face: FaceFollower | None = None,
    progress: Progress = no_progress,
) -> list[PersonTrack]:
    """Everybody in the video, most important first; one walk, memory flat but for the result.

    Args:
        frames: in order, with indices into `video.times`.
    """
    walk = Walk(
        detector,
        landmarker,
        detect_every=config.detect_every,
        max_gap=config.max_gap,
        max_people=config.max_people,
    )
    for done, frame in enumerate(frames, start=1):
        walk.step(frame)
        if hands is not None or face is not None:
            _add_parts(frame, walk.histories, hands=hands, face=face)
        progress(done, len(video.times))
    return finish_tracks(walk.histories, video, config)


def _add_parts(
    frame: Frame,
    histories: Sequence[History],
    *,
    hands: HandFollower | None,
    face: FaceFollower | None,
) -> None:
    """Looks for the hands and the face of everybody who was seen in this frame."""
    for key, person in enumerate(histories):
        if not person.frame_idx or person.frame_idx[-1] != frame.index:
            continue
        body = {
            "keypoints_px": person.keypoints_px[-1],
            "conf": person.keypoint_conf[-1],
            "landmarks": person.landmarks[-1],
        }
        if hands is not None:
            person.hands.append(hands.look(frame.image, key, **body))
        if face is not None:
            person.faces.append(face.look(frame.image, key, **body))


def finish_tracks(
    histories: Sequence[History], video: VideoInfo, config: PeopleConfig
) -> list[PersonTrack]:
    """The people worth keeping, numbered from 1 in order of importance (area times duration).

    Who is who is decided again first, with the whole clip in view (body.repair).

    Dropped: seen too briefly, confirmed by too few detector passes, or with vague keypoints.
    """
    spacing = 1 / video.fps
    clip = len(video.times) * spacing  # not the last time: a gap in the video shows nobody
    shortest = min(config.min_duration, clip / 2)
    kept = [
        h
        for h in repaired(histories, video.times, (video.width, video.height))
        if len(h.frame_idx) * spacing >= shortest
        and h.supports >= min(3, clip / config.detect_every / 2)
        and h.supports >= 0.2 * h.passes
        and h.quality() >= 0.35
    ]
    kept.sort(key=History.importance, reverse=True)
    return [h.track(i) for i, h in enumerate(kept[: config.max_people], start=1)]


def tracks_report(tracks: list[PersonTrack], video: VideoInfo, backend: str) -> StageReport:
    """What a stage says about the people it leaves."""
    num_frames = len(video.times)
    seen = np.zeros(num_frames, bool)
    decisions = []
    for track in tracks:
        seen[track.frame_idx] = True
        first, last = video.times[track.frame_idx[[0, -1]]]
        decisions.append(
            Decision(
                name=f"person {track.track_id}",
                value=f"{len(track.frame_idx)} frames, {first:.2f} s to {last:.2f} s",
                why=f"mean keypoint confidence {track.keypoint_conf.mean():.2f}, "
                f"median height {np.median(track.boxes[:, 3] - track.boxes[:, 1]):.0f} px",
            )
        )
    warnings = () if tracks else ("nobody was found in this video",)
    return StageReport(
        backend=backend,
        decisions=tuple(decisions),
        warnings=warnings,
        numbers={"people": len(tracks), "frames_with_people": int(seen.sum())},
    )
