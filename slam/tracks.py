"""One streaming pass over a clip: background points tracked by KLT, people masked out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.stage import Progress, no_progress
from recon.core.video import Frame
from slam.rotations import fit_rotation
from slam.shots import CUT_SURVIVAL, FrameLook

MaskFunction = Callable[[int, int, int], np.ndarray | None]
"""(frame index, height, width) -> people as (height, width) bool, or None for nobody."""

LONG_SIDE = 640
TARGET_POINTS = 500
WINDOW, LEVELS = (15, 15), 3
MAX_ROUND_TRIP_PX = 0.7
# The way back only has to tell a round trip of 0.7 px, so it is searched less finely.
STEPS, FINE_PX, BACK_LEVELS, BACK_STEPS, BACK_FINE_PX = 20, 0.01, 2, 10, 0.1
REFILL_BELOW = 0.75
BORDER_PX = 4
MIN_LOG_GAIN, GRID = 0.008, 6
KEYFRAME_PARALLAX_PX = 10.0
KEYFRAME_FLOW_PX = 24.0
KEYFRAME_KEPT = 0.6
KEYFRAME_GAP_SECONDS, KEYFRAME_GAP_FRAMES = 0.5, 5
JPEG_QUALITY = 97


@dataclass(frozen=True, kw_only=True)
class Keyframe:
    """A picture kept for later matching: JPEG bytes, and its background as packed bits or None."""

    index: int
    jpeg: np.ndarray
    background_bits: np.ndarray | None

    def image(self) -> np.ndarray:
        """The picture, (H, W, 3) uint8 RGB."""
        image = cv2.imdecode(self.jpeg, cv2.IMREAD_COLOR_RGB)
        assert image is not None  # we encoded it
        return np.asarray(image, np.uint8)

    def background(self, height: int, width: int) -> np.ndarray:
        """Where there is nobody, (height, width) bool."""
        if self.background_bits is None:
            return np.ones((height, width), bool)
        bits = np.unpackbits(self.background_bits, count=height * width)
        return bits.reshape(height, width).astype(bool)


@dataclass(frozen=True, kw_only=True)
class BackgroundTracks:
    """Background points of every frame, in pictures of at most 640 px, and the keyframes.

    Args:
        width, height: of the pictures the points live in, px.
        ids: per frame (N,) int32, increasing; a point keeps its id. points: per frame (N, 2)
            float32 px, top-left pixel's centre at (0.5, 0.5).
        people: (T,) share of the picture that people cover.
        looks: (T, 3), as FrameLook measures them.
        keyframes: first and last frame of every shot and those between, about equal parallax
            apart.
    """

    width: int
    height: int
    ids: tuple[np.ndarray, ...]
    points: tuple[np.ndarray, ...]
    people: np.ndarray
    looks: np.ndarray
    keyframes: tuple[Keyframe, ...]

    @property
    def num_frames(self) -> int:
        return len(self.ids)

    def part(self, start: int, end: int) -> BackgroundTracks:
        """The frames start … end - 1 as a clip of their own, counted from 0."""
        keyframes = [k for k in self.keyframes if start <= k.index < end]
        return replace(
            self, ids=self.ids[start:end], points=self.points[start:end],
            people=self.people[start:end], looks=self.looks[start:end],
            keyframes=tuple(replace(k, index=k.index - start) for k in keyframes),
        )  # fmt: skip

    def common(self, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 2) of the points that frames a and b share, in a and in b."""
        _, in_a, in_b = np.intersect1d(
            self.ids[a], self.ids[b], assume_unique=True, return_indices=True
        )
        return self.points[a][in_a], self.points[b][in_b]


def track_background(
    frames: Iterable[Frame],
    masks: MaskFunction,
    intrinsics: Intrinsics,
    *,
    num_frames: int,
    every_frame: bool = False,
    progress: Progress = no_progress,
) -> BackgroundTracks:
    """Background tracks of a clip, in one pass and with memory for points and keyframes only.

    Args:
        frames: in order, indices 0 … num_frames - 1. masks: people, per frame.
        intrinsics: assumed, for the frames' own size; only the choice of keyframes needs them.
        every_frame: keep all frames as keyframes, about 60 kB each.

    Raises:
        InputError: the frames are not as many, or not as large, as announced.
    """
    scale = min(1.0, LONG_SIDE / max(intrinsics.width, intrinsics.height))
    width, height = round(intrinsics.width * scale), round(intrinsics.height * scale)
    klt, look = _Klt(height=height, width=width), FrameLook()
    chooser = _KeyframeChooser(intrinsics.resized(width, height))
    ids, points, people, looks = [], [], [], []
    keyframes: dict[int, Keyframe] = {}
    last: tuple[Frame, np.ndarray | None] | None = None
    for frame in frames:
        if frame.image.shape[:2] != (intrinsics.height, intrinsics.width):
            raise InputError(
                f"expected frames of {intrinsics.width}x{intrinsics.height}, got "
                f"{frame.image.shape[1]}x{frame.image.shape[0]}; convert the video to one size"
            )
        mask = masks(frame.index, height, width)
        small = _shrink(frame.image, width=width, height=height)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        klt.step(gray, mask)
        looks.append((klt.survival, *look.step(small, gray, mask)))
        is_key = chooser.is_keyframe(frame.time, klt.ids, klt.points) or every_frame
        klt.refill(gray, mask, force=is_key)
        ids.append(klt.ids)
        points.append(klt.points + np.float32(0.5))  # OpenCV's first pixel centre is (0, 0)
        people.append(0.0 if mask is None else float(mask.mean()))
        if is_key:
            if last is not None and klt.survival < CUT_SURVIVAL:  # it may end a shot
                keyframes[last[0].index] = _keep(*last)
            chooser.restart(frame.time, klt.ids, klt.points)
            keyframes[frame.index] = _keep(replace(frame, image=small), mask)
        last = replace(frame, image=small), mask
        progress(len(ids), num_frames)
    if len(ids) != num_frames or last is None:
        raise InputError(f"expected {num_frames} frames, got {len(ids)}; check the video file")
    keyframes.setdefault(last[0].index, _keep(*last))
    return BackgroundTracks(
        width=width, height=height, ids=tuple(ids), points=tuple(points),
        people=np.array(people), looks=np.array(looks),
        keyframes=tuple(keyframes[i] for i in sorted(keyframes)),
    )  # fmt: skip


def _shrink(image: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """The picture at this size, as by INTER_AREA; halving, which is fast, goes as far as it can."""
    rows, columns = image.shape[:2]
    while columns >= 2 * width and rows >= 2 * height and rows % 2 == columns % 2 == 0:
        rows, columns = rows // 2, columns // 2
        image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    if (columns, rows) != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return image


def _keep(small: Frame, mask: np.ndarray | None) -> Keyframe:
    _, jpeg = cv2.imencode(
        ".jpg",
        cv2.cvtColor(small.image, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    )
    bits = None if mask is None else np.packbits(~mask)
    return Keyframe(index=small.index, jpeg=jpeg, background_bits=bits)


class _Klt:
    """Pyramidal Lucas-Kanade tracking with a forward-backward check; OpenCV pixel centres."""

    def __init__(self, *, height: int, width: int) -> None:
        self.high = np.array([width - 1 - BORDER_PX, height - 1 - BORDER_PX])
        self.ids = np.zeros(0, np.int32)
        self.points = np.zeros((0, 2), np.float32)
        self.next_id = 0
        self.spacing = max(5, round(0.55 * (width * height / TARGET_POINTS) ** 0.5))
        self.gray: np.ndarray | None = None
        self.filled = TARGET_POINTS
        """Points there were after corners were last looked for."""
        self.survival = 1.0
        """Share of the last picture's points, not counting those on people, followed into this."""

    def step(self, gray: np.ndarray, mask: np.ndarray | None) -> None:
        """Follows the points into the next picture and drops those that fail a check."""
        previous, self.gray = self.gray, gray
        self.survival = 1.0
        if previous is None or len(self.ids) == 0:
            return
        previous = match_exposure(previous, gray, mask)
        stop = cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT
        start = self.points[:, None]
        there, ok_there, _ = cv2.calcOpticalFlowPyrLK(
            previous, gray, start, start.copy(), winSize=WINDOW, maxLevel=LEVELS,
            criteria=(stop, STEPS, FINE_PX), flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )  # fmt: skip
        back, ok_back, _ = cv2.calcOpticalFlowPyrLK(
            gray, previous, there, start.copy(), winSize=WINDOW, maxLevel=BACK_LEVELS,
            criteria=(stop, BACK_STEPS, BACK_FINE_PX), flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )  # fmt: skip
        there = there[:, 0]
        keep = (ok_there[:, 0] > 0) & (ok_back[:, 0] > 0)
        keep &= np.linalg.norm(back[:, 0] - self.points, axis=1) < MAX_ROUND_TRIP_PX
        keep &= np.all((there >= BORDER_PX) & (there <= self.high), axis=1)
        visible = np.ones(len(keep), bool)
        if mask is not None:
            pixel = np.clip(np.rint(there), 0, self.high + BORDER_PX).astype(int)
            visible = ~mask[pixel[:, 1], pixel[:, 0]]
            keep &= visible
        keep[keep] = _epipolar_inliers(self.points[keep], there[keep])
        self.survival = float(keep.sum() / max(visible.sum(), 1))
        self.ids, self.points = self.ids[keep], there[keep]

    def refill(self, gray: np.ndarray, mask: np.ndarray | None, *, force: bool) -> None:
        """Adds corners on the background, away from the points there are, up to the target."""
        missing = TARGET_POINTS - len(self.ids)
        # A plain picture never has as many as wanted: looking again in every frame finds no more.
        if missing <= 0 or (not force and len(self.ids) > REFILL_BELOW * self.filled):
            return
        free = np.full(gray.shape, 255, np.uint8) if mask is None else (~mask).astype(np.uint8)
        for x, y in self.points.astype(int).tolist():
            cv2.circle(free, (x, y), self.spacing, 0, -1)
        corners = cv2.goodFeaturesToTrack(gray, missing, 0.005, self.spacing, mask=free)
        self.filled = len(self.ids)
        if corners is None:
            return
        new = corners.reshape(-1, 2).astype(np.float32)
        new = new[np.all((new >= BORDER_PX) & (new <= self.high), axis=1)]
        new_ids = np.arange(self.next_id, self.next_id + len(new), dtype=np.int32)
        self.next_id += len(new)
        self.ids = np.concatenate([self.ids, new_ids])
        self.points = np.concatenate([self.points, new])
        self.filled = len(self.ids)


def match_exposure(
    previous: np.ndarray, current: np.ndarray, mask: np.ndarray | None
) -> np.ndarray:
    """The earlier picture with the later one's exposure, so that both can be compared.

    One gain, the median over the cells of a grid, and only where the cells agree: what a turning
    camera brings into view changes each of them differently.

    Args:
        previous, current: (H, W) uint8. mask: people, bool, or None.
    """
    before, after = _cell_levels(previous), _cell_levels(current)
    known = (before > 1) & (after > 1)
    if mask is not None:
        size = (GRID, GRID)
        people = cv2.resize(mask.view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
        known &= people.ravel() == 0
    if known.sum() < 4:
        return previous
    change = np.log(after[known] / before[known])
    gain = float(np.median(change))
    spread = float(np.median(np.abs(change - gain)))
    if abs(gain) < MIN_LOG_GAIN or spread > 0.3 * abs(gain):
        return previous
    return cv2.convertScaleAbs(previous, alpha=float(np.exp(gain)))


def _cell_levels(image: np.ndarray) -> np.ndarray:
    """Mean brightness (GRID * GRID,) of every cell."""
    size, area = (GRID, GRID), cv2.INTER_AREA
    thumb = cv2.resize(image, (8 * GRID, 8 * GRID), interpolation=area)
    return cv2.resize(thumb.astype(np.float32), size, interpolation=area).ravel()


def _epipolar_inliers(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which of the matches obey one fundamental matrix (RANSAC, 1 px), (N,) bool.

    All of them where there are too few to tell, or where no such matrix covers half of them.
    """
    everything = np.ones(len(a), bool)
    if len(a) < 30:
        return everything
    _, inliers = cv2.findFundamentalMat(a, b, cv2.FM_RANSAC, 1.0, 0.99, 200)
    if inliers is None or inliers.sum() < 0.5 * len(a):
        return everything
    return inliers[:, 0] > 0


@dataclass
class _KeyframeChooser:
    """Asks for a keyframe when the view has moved, shows parallax, lost points, or grown old."""

    intrinsics: Intrinsics
    ids: np.ndarray | None = None
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    time: float = 0.0
    age: int = 0

    def restart(self, time: float, ids: np.ndarray, points: np.ndarray) -> None:
        self.time, self.ids, self.points, self.age = time, ids, points, 0

    def is_keyframe(self, time: float, ids: np.ndarray, points: np.ndarray) -> bool:
        if self.ids is None:
            return True
        self.age += 1
        aged = self.age >= KEYFRAME_GAP_FRAMES
        aged &= time - self.time >= KEYFRAME_GAP_SECONDS - 1e-3
        _, old, new = np.intersect1d(self.ids, ids, assume_unique=True, return_indices=True)
        if aged or len(old) < max(12, KEYFRAME_KEPT * len(self.ids)):
            return True
        if np.median(np.linalg.norm(points[new] - self.points[old], axis=1)) > KEYFRAME_FLOW_PX:
            return True
        half = np.float32(0.5)
        residuals = fit_rotation(self.points[old] + half, points[new] + half, self.intrinsics)[1]
        return float(np.median(residuals)) > KEYFRAME_PARALLAX_PX
