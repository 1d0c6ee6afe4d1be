"""DROID-SLAM over a clip: keyframes by motion, a window that follows them, a global pass, and the
frames between placed against their keyframes.

The learned part hides behind the matcher's seam (slam.droid_graph), so the tests can put exact
matches in its place. With the official weights none of this has ever been run: on the machine
where it was written nothing could be downloaded.

Source: Teed and Deng 2021, DROID-SLAM, section 3.3; its released defaults. People's cells carry
no weight at either end of a match, as in TRAM (Wang et al. 2024, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import CameraError
from recon.core.geometry import Array, invert_transform, transform_points
from slam.dense_ba import DenseEdges, judge_fit, reproject
from slam.droid_graph import CellGrid, Keyframes, LinkGraph, Matcher
from slam.droid_network import CELL
from slam.resection import interpolate_poses
from slam.tracks import Keyframe

AREA = 384 * 512
# Flows are in cells of 8 px. A frame becomes a keyframe after this much of it, and stops being
# one where its neighbours turn out to be nearer to each other than that.
FILTER_FLOW, KEYFRAME_FLOW = 2.4, 4.0
WARMUP, MIN_KEYFRAMES = 8, 4
WINDOW, WINDOW_LINKS, WINDOW_FLOW, MAX_AGE = 25, 48, 16.0, 25
FIRST_UPDATES, NEW_UPDATES, KEPT_UPDATES = 8, 4, 2
GLOBAL_FLOW, GLOBAL_APART, GLOBAL_UPDATES = 22.0, 3, (7, 12)
FILLED_AT_ONCE, FILL_UPDATES = 16, 6
# A frame between keyframes is placed if its matches fit this well (cells, weighted median).
MAX_FILLED_RESIDUAL = 0.5
# A link confirms a cell's depth if it trusts the cell and agrees this well (cells).
MIN_CELL_WEIGHT, MAX_CELL_RESIDUAL = 0.25, 0.5
MIN_POINT_LINKS, MAX_POINTS = 2, 30_000


@dataclass(frozen=True, kw_only=True)
class DroidView:
    """A frame as the network sees it: image (8h, 8w, 3) uint8 RGB, and per cell (N,) whether
    nobody is there, and the colours (N, 3) uint8."""

    image: np.ndarray
    background: np.ndarray
    colors: np.ndarray


@dataclass(frozen=True, kw_only=True)
class DroidTrack:
    """A solved clip of T frames.

    Args:
        Ts_slam_camera: (T, 4, 4); the mean inverse depth is 1, the first camera at the origin.
        tracked: (T,) bool. keyframes: (K,) frames. links: their number.
        residual, parallax: weighted medians over the links, cells.
        points_slam: (P, 3). point_colors: (P, 3) uint8.
    """

    Ts_slam_camera: Array
    tracked: np.ndarray
    keyframes: np.ndarray
    links: int
    residual: float
    parallax: float
    points_slam: Array
    point_colors: np.ndarray


def network_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the network's pictures: about AREA pixels, whole cells."""
    scale = (AREA / (width * height)) ** 0.5 / CELL
    return max(1, round(width * scale)) * CELL, max(1, round(height * scale)) * CELL


def prepare(keyframe: Keyframe, *, width: int, height: int) -> DroidView:
    """A kept frame at the network's size, people grown by one cell."""
    image = keyframe.image()
    people = (~keyframe.background(*image.shape[:2])).astype(np.uint8)
    shrinks = width < image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
    people = cv2.resize(people, (width, height), interpolation=cv2.INTER_NEAREST)
    people = cv2.dilate(people, np.ones((2 * CELL + 1,) * 2, np.uint8))
    return DroidView(
        image=image,
        background=(people[::CELL, ::CELL] == 0).ravel(),
        colors=cv2.GaussianBlur(image, (0, 0), CELL / 4)[::CELL, ::CELL].reshape(-1, 3),
    )


def solve_clip(
    view: Callable[[int], DroidView], *, times: Array, matcher: Matcher, camera: Intrinsics
) -> DroidTrack:
    """Poses of all frames and points of the scene, up to scale.

    Args:
        view: a frame by its number; asked for twice, in order. times: (T,) seconds.
        camera: for a picture of one pixel per cell; it does not change.
    Raises:
        CameraError: too few keyframes.
    """
    grid = CellGrid(camera=camera)
    tracker = _Tracker(matcher, grid)
    colors: dict[int, np.ndarray] = {}
    for frame in range(len(times)):
        seen = view(frame)
        if tracker.follow(frame, seen, last=frame == len(times) - 1):
            colors[frame] = seen.colors
    tracker.finish()
    keys, edges = _adjust_all(matcher, tracker.graph.keys, grid)
    places = {"cells_px": grid.places, "intrinsics": camera}
    residual, parallax = judge_fit(keys.state, edges, **places)
    confirmed = _confirmations(keys, edges, grid)
    # A depth that no other keyframe has seen would pull the frames between askew.
    known = replace(keys, background=keys.background & (confirmed > 0))
    poses, tracked = _fill(view, known, times=times, matcher=matcher, grid=grid)
    points, point_colors = _points(keys, confirmed >= MIN_POINT_LINKS, colors, grid)
    return DroidTrack(
        Ts_slam_camera=poses,
        tracked=tracked,
        keyframes=np.array(keys.frame_idx),
        links=len(edges.sources),
        residual=residual,
        parallax=parallax,
        points_slam=points,
        point_colors=point_colors,
    )


class _Tracker:
    """Chooses keyframes and keeps the latest ones adjusted, frame by frame."""

    def __init__(self, matcher: Matcher, grid: CellGrid) -> None:
        self.matcher, self.grid = matcher, grid
        self.graph = LinkGraph(matcher, Keyframes.none(grid), grid, WINDOW_LINKS)
        self.reference: tuple[object, np.ndarray] | None = None
        self.started = False

    def follow(self, frame: int, view: DroidView, *, last: bool) -> bool:
        """Takes the next frame; whether it became a keyframe.

        Args: last: of the clip, which becomes one if there are few.
        """
        code = self.matcher.encode(view.image)
        wanted = last and not self.started and len(self.graph.keys) < WARMUP
        if not wanted and self._flow_to(code) <= FILTER_FLOW:
            return False
        self.reference = code, view.background
        self._append(frame, code, view.background)
        if self.started:
            self._track()
        elif len(self.graph.keys) == WARMUP:
            self._start()
        return True

    def finish(self) -> None:
        """Starts after all where there were few keyframes.

        Raises:
            CameraError: fewer than MIN_KEYFRAMES.
        """
        if self.started:
            return
        if len(self.graph.keys) < MIN_KEYFRAMES:
            raise CameraError(
                f"expected at least {MIN_KEYFRAMES} keyframes of a moving camera, got "
                f"{len(self.graph.keys)}: too short or too still for DROID-SLAM; if it stood "
                "still, run again with --camera static"
            )
        self._start()

    def _flow_to(self, code: object) -> float:
        """Mean flow (cells) from the last keyframe's background, by a single update."""
        if self.reference is None:
            return np.inf
        reference, background = self.reference
        rows, columns = self.grid.shape
        at = (self.grid.places.T - 0.5 / CELL).reshape(1, 2, rows, columns)
        link = self.matcher.link(reference, code)
        said = self.matcher.update([link], at, np.zeros((1, 4, rows, columns)))
        length = np.linalg.norm(said.delta[0], axis=0).ravel()
        return float(length[background].mean()) if background.any() else 0.0

    def _append(self, frame: int, code: object, background: np.ndarray) -> None:
        keys = self.graph.keys
        T, depth = np.eye(4), 1.0
        if len(keys):
            T = keys.state.Ts_camera_slam[-1]
            depth = float(keys.state.inverse_depth[-1].mean())
        self.graph.keys = keys.plus(frame, code, background, T, depth)

    def _start(self) -> None:
        graph, count = self.graph, len(self.graph.keys)
        graph.add([(i, j) for i in range(count) for j in range(count) if 0 < abs(i - j) <= 3])
        for _ in range(FIRST_UPDATES):
            graph.update(first_free=1)
        graph.add_near(0, 0, radius=2, apart=2, max_flow=WINDOW_FLOW)
        for _ in range(FIRST_UPDATES):
            graph.update(first_free=1)
        graph.drop(graph.edges.sources < count - 4, rest=True)
        self.started = True

    def _track(self) -> None:
        graph, count = self.graph, len(self.graph.keys)
        graph.drop(graph.ages > MAX_AGE, rest=True)
        graph.add_near(
            max(count - 5, 0), max(count - WINDOW, 0), radius=2, apart=1, max_flow=WINDOW_FLOW,
            make_room=True,
        )  # fmt: skip
        for _ in range(NEW_UPDATES):
            graph.update()
        if graph.flow_between(count - 3, np.array([count - 2]))[0] < KEYFRAME_FLOW:
            graph.remove_keyframe(count - 2)
            return
        for _ in range(KEPT_UPDATES):
            graph.update()


def _adjust_all(matcher: Matcher, keys: Keyframes, grid: CellGrid) -> tuple[Keyframes, DenseEdges]:
    """All keyframes adjusted together, with links between all that see the same place."""
    edges = None
    for updates in GLOBAL_UPDATES:
        graph = LinkGraph(matcher, keys.rescaled(), grid, max_links=100_000)
        graph.add_near(0, 0, radius=2, apart=GLOBAL_APART, max_flow=GLOBAL_FLOW)
        for _ in range(updates):
            graph.update(first_free=1, pose=1e-2, pose_relative=1e-5)
        keys, edges = graph.keys, graph.edges
    assert edges is not None
    return keys.rescaled(), edges


def _fill(
    view: Callable[[int], DroidView],
    keys: Keyframes,
    *,
    times: Array,
    matcher: Matcher,
    grid: CellGrid,
) -> tuple[Array, np.ndarray]:
    """Poses (T, 4, 4) of all frames, those between the keyframes from their matches with the one
    before and the one after, and (T,) which are placed."""
    frames = np.array(keys.frame_idx)
    key_poses = invert_transform(keys.state.Ts_camera_slam)
    poses = interpolate_poses(times, times[frames], key_poses)
    tracked = np.isin(np.arange(len(times)), frames)
    between = np.flatnonzero(~tracked)
    for start in range(0, len(between), FILLED_AT_ONCE):
        chosen = between[start : start + FILLED_AT_ONCE]
        after = np.searchsorted(frames, chosen)
        sides = np.stack([after - 1, np.minimum(after, len(frames) - 1)], axis=-1)
        used = np.unique(sides)
        part = keys.take(used.tolist())
        for frame in chosen:
            seen = view(frame)
            T = invert_transform(poses[frame])
            part = part.plus(int(frame), matcher.encode(seen.image), seen.background, T, 1.0)
        graph = LinkGraph(matcher, part, grid, max_links=2 * FILLED_AT_ONCE)
        ends = len(used) + np.arange(len(chosen))
        pairs = [(k, e) for e, s in zip(ends, np.searchsorted(used, sides), strict=True) for k in s]
        graph.add([(int(k), int(e)) for k, e in pairs])
        for _ in range(FILL_UPDATES):
            graph.update(first_free=len(used), only_poses=True)
        for frame, end in zip(chosen, ends, strict=True):
            residual, _ = judge_fit(
                graph.keys.state, graph.edges.take(graph.edges.targets == end),
                cells_px=grid.places, intrinsics=grid.camera,
            )  # fmt: skip
            if residual < MAX_FILLED_RESIDUAL:
                poses[frame] = invert_transform(graph.keys.state.Ts_camera_slam[end])
                tracked[frame] = True
    if not tracked.all():
        poses = interpolate_poses(times, times[tracked], poses[tracked])
    return poses, tracked


def _confirmations(keys: Keyframes, edges: DenseEdges, grid: CellGrid) -> np.ndarray:
    """How many links trust a cell and agree with its depth, (K, N) int."""
    T, d = keys.state.Ts_camera_slam, keys.state.inverse_depth
    counts = np.zeros(d.shape, int)
    for row in range(len(keys)):
        mine = np.flatnonzero(edges.sources == row)
        seen, front = reproject(
            T[edges.targets[mine]] @ invert_transform(T[row]), d[row],
            cells_px=grid.places, intrinsics=grid.camera,
        )  # fmt: skip
        good = np.linalg.norm(edges.seen_px[mine] - seen, axis=1) < MAX_CELL_RESIDUAL
        good &= front & (edges.weights[mine].mean(axis=1) > MIN_CELL_WEIGHT)
        counts[row] = good.sum(axis=0)
    return counts


def _points(
    keys: Keyframes, kept: np.ndarray, colors: dict[int, np.ndarray], grid: CellGrid
) -> tuple[Array, np.ndarray]:
    """Points (P, 3) in the slam frame, at most MAX_POINTS, and colours, of some cells (K, N)."""
    poses = invert_transform(keys.state.Ts_camera_slam)
    points, tints = [np.zeros((0, 3))], [np.zeros((0, 3), np.uint8)]
    for row, frame in enumerate(keys.frame_idx):
        cells = np.flatnonzero(kept[row])
        local = grid.camera.unproject(grid.places[cells], 1 / keys.state.inverse_depth[row][cells])
        points.append(transform_points(poses[row], local))
        tints.append(colors[frame][cells])
    every = max(1, -(-sum(map(len, points)) // MAX_POINTS))
    return np.concatenate(points)[::every], np.concatenate(tints)[::every]
