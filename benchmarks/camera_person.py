"""A person cut out of one video walks through another: what that does to the camera's path.

The dancer of a tripod clip, cut out by the mask that our own people stage finds, crosses the
hand-held scan in front of the camera and covers a fifth of the picture. The scan has a true path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.camera_paths import draw_paths, path_error_cm
from benchmarks.common import DATA, Row, row
from body.detect import DETECTORS, load_backend
from body.landmarks import LANDMARKERS
from body.people import PeopleConfig, track_people
from recon.core.camera import CameraTrajectory
from recon.core.errors import CameraError
from recon.core.geometry import Array
from recon.core.people import PersonTrack
from recon.core.video import Frame, FrameSource, VideoInfo
from recon.evaluate.camera_metrics import aligned
from recon.video import VideoConfig, VideoReader
from slam.camera import CameraConfig, estimate_camera
from slam.masks import people_masks
from slam.tracks import MaskFunction

DANCER = DATA / "videos" / "dancer_static.mp4"
COVERED = 0.2
ACROSS = 0.1, 0.9
"""Where she is first and last, shares of the picture's width."""
WORSE = 1.1


@dataclass(frozen=True, kw_only=True)
class Composite:
    """The scan with the person in front, as a `FrameSource`.

    Args:
        scan: the pictures behind. person: where she is in them, one row per frame.
        cutouts: her pictures, already scaled. rows: (T,) which of them each frame shows.
        corners_px: (T, 2) where a cut-out's top-left corner goes.
    """

    scan: VideoReader
    person: PersonTrack
    cutouts: Sequence[np.ndarray]
    rows: np.ndarray
    corners_px: Array

    @property
    def info(self) -> VideoInfo:
        return self.scan.info

    def __iter__(self) -> Iterator[Frame]:
        size = self.info.width, self.info.height
        for frame in self.scan:
            i = frame.index
            x, y = self.corners_px[i]
            shift = np.array([[1, 0, x], [0, 1, y]])
            picture = cv2.warpAffine(self.cutouts[self.rows[i]], shift, size)
            image = frame.image.copy()
            image[self.mask(i)] = picture[self.mask(i)]
            yield replace(frame, image=image)

    def mask(self, i: int) -> np.ndarray:
        """Exactly the pixels that show her, (H, W) bool."""
        return self.person.masks.render(i, height=self.info.height, width=self.info.width)


def composited_person(num_frames: int, *, pictures: Path | None, quick: bool) -> Iterator[Row]:
    """The path's error clean, with the person masked, and with her taken for background.

    Args:
        num_frames: of the hand-held scan. pictures: folder for a picture, or None.
        quick: only her true mask.
    """
    folder = DATA / "handheld_rgb"
    scan = VideoReader.open(folder, VideoConfig(fps=30, end=(num_frames - 0.5) / 30))
    with np.load(folder / "truth.npz") as truth:
        scan_path = truth["Ts_world_camera"][:num_frames]
    composite = compose(scan, track(DANCER))
    covered = float(np.mean([composite.mask(i).mean() for i in range(num_frames)]))
    masked = {"her true mask": people_masks([composite.person], scan.info)}
    if not quick:
        found = track_people_in(composite)
        masked["masks found in the composite"] = people_masks(found, scan.info)
    name = f"composited person, {num_frames} frames"
    yield row(f"{name}: covers", 100 * covered, "% of the picture")
    paths = {"clean": follow(scan, lambda *_: None)}
    clean = error_cm(paths["clean"], scan_path)
    yield row(f"{name}, clean: path error", clean, "cm")
    for how, masks in masked.items():
        paths[how] = follow(composite, masks)
        error = error_cm(paths[how], scan_path)
        yield row(f"{name}, {how}: path error", error, "cm", at_most=round(WORSE * clean, 2))
    if not quick:
        paths["no masks"] = follow(composite, lambda *_: None)
        yield row(f"{name}, no masks: path error", error_cm(paths["no masks"], scan_path), "cm")
    if pictures is not None:
        save_picture(pictures / "composited_person.png", composite, masked, paths, scan_path)


def track(video: Path) -> tuple[VideoReader, PersonTrack]:
    """A clip and the person who matters most in it."""
    reader = VideoReader.open(video, VideoConfig(path=str(video)))
    return reader, track_people_in(reader)[0]


def track_people_in(frames: FrameSource) -> list[PersonTrack]:
    """The people that the default people stage finds."""
    config = PeopleConfig()
    return track_people(
        frames,
        frames.info,
        config,
        detector=load_backend(DETECTORS, config.detector, "--detector")(threads=0),
        landmarker=load_backend(LANDMARKERS, config.keypoints, "--keypoints")(threads=0),
    )


def compose(scan: VideoReader, clip: tuple[VideoReader, PersonTrack]) -> Composite:
    """The scan with the clip's person walking across it, her clip played back and forth.

    She stands on the lower edge; what is taller than the picture is cut off below.
    """
    frames, person = clip
    width, height = scan.info.width, scan.info.height
    size = {"height": frames.info.height, "width": frames.info.width}
    areas = [person.masks.render(k, **size).sum() for k in range(len(person.frame_idx))]
    scale = float(np.sqrt(COVERED * width * height / np.median(areas)))
    wanted = set(person.frame_idx.tolist())
    cutouts = [
        cv2.resize(f.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for f in frames if f.index in wanted
    ]  # fmt: skip
    num_frames = len(scan.info.times)
    period = 2 * len(cutouts) - 2
    rows = np.arange(num_frames) % period
    rows = np.minimum(rows, period - rows)
    boxes = person.boxes * scale
    centres = 0.5 * (boxes[rows, 0] + boxes[rows, 2])
    # Whole pixels: her picture and her mask must move alike.
    x = np.rint(width * np.linspace(*ACROSS, num_frames) - centres)
    top = max(0.02 * height, height - float(np.ptp(boxes[:, 1::2])))
    y = np.full(num_frames, np.rint(top - boxes[:, 1].min()))
    corners = np.stack([x, y], axis=1)
    Ts = person.masks.Ts_image_roi[rows] * scale
    Ts[:, :, 2] += corners
    moved = replace(
        person, frame_idx=np.arange(num_frames), boxes=boxes[rows] + np.tile(corners, 2),
        scores=person.scores[rows], keypoints_px=person.keypoints_px[rows] * scale
        + corners[:, None], keypoint_conf=person.keypoint_conf[rows],
        landmarks=person.landmarks[rows],
        masks=replace(person.masks, bits=person.masks.bits[rows], Ts_image_roi=Ts),
    )  # fmt: skip
    return Composite(scan=scan, person=moved, cutouts=cutouts, rows=rows, corners_px=corners)


def follow(frames: FrameSource, masks: MaskFunction) -> CameraTrajectory | None:
    """The path found; None where the stage says that it cannot be trusted."""
    with np.load(DATA / "handheld_rgb" / "truth.npz") as truth:
        config = CameraConfig(focal_px=float(truth["K"][0, 0]))
    try:
        return estimate_camera(frames, frames.info, masks, config)[0]
    except CameraError:
        return None


def error_cm(trajectory: CameraTrajectory | None, Ts_world_camera: Array) -> float:
    """The path's error, cm; infinite where there is no path."""
    if trajectory is None:
        return float("inf")
    return path_error_cm(trajectory.Ts_slam_camera, Ts_world_camera)


def save_picture(
    file: Path,
    composite: Composite,
    masked: Mapping[str, MaskFunction],
    paths: Mapping[str, CameraTrajectory | None],
    Ts_world_camera: Array,
) -> None:
    """A frame from the middle under every mask, and the paths."""
    middle = len(Ts_world_camera) // 2
    image = next(f.image for f in composite if f.index == middle)
    pictures = {"composite": image}
    for how, masks in masked.items():
        mask = masks(middle, *image.shape[:2])
        tinted = image.copy()
        if mask is not None:
            tinted[mask] = tinted[mask] // 2 + np.array([127, 0, 0], np.uint8)
        pictures[how] = tinted
    found = {
        f"{how}, {error_cm(path, Ts_world_camera):.1f} cm": aligned(
            path.Ts_slam_camera[:, :3, 3], Ts_world_camera[:, :3, 3], with_scale=True
        )
        for how, path in paths.items() if path is not None
    }  # fmt: skip
    draw_paths(file, found, Ts_world_camera, pictures=pictures)
