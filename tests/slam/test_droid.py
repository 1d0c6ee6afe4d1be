"""DROID's tracker with exact matches in the place of its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from recon.core.camera import Intrinsics
from recon.core.errors import CameraError
from recon.core.geometry import (
    Array,
    invert_transform,
    make_transform,
    rotvec_to_matrix,
    umeyama,
)
from slam.droid import DroidTrack, DroidView, solve_clip
from slam.droid_graph import CellGrid, Keyframes, LinkGraph
from slam.droid_network import CELL, FlowUpdate
from tests.slam.test_camera import position_error, rotation_errors_deg

GRID = CellGrid(camera=Intrinsics.from_fov(24, 18, fov_deg=60, source="user"))
N = 24 * 18


def carried(num_frames: int, *, metres: float, degrees: float = 10) -> Array:
    """Cameras (T, 4, 4), camera to room, carried sideways and forward while they turn a little."""
    phase = np.linspace(0, 1, num_frames)[:, None]
    centres = metres * np.hstack([phase, 0.1 * np.sin(5 * phase), 0.4 * phase])
    turns = np.radians(degrees) * np.hstack([0.3 * np.sin(4 * phase), -phase, 0.1 * phase])
    return make_transform(rotvec_to_matrix(turns), centres)


def room_depth(T_room_camera: Array) -> Array:
    """Depth (N,) along z of the cells, in a room with a floor, a wall, and a slanted block."""
    rays = GRID.camera.unproject(GRID.places, np.ones(N)) @ T_room_camera[:3, :3].T
    start = T_room_camera[:3, 3]
    found = []
    for normal, level in (((0, 1, 0), 1.2), ((0, 0, 1), 4.0), ((0.6, 0, 0.8), 3.0)):
        along = rays @ normal
        depth = (level - start @ normal) / np.where(np.abs(along) < 1e-6, 1e-6, along)
        found.append(np.where(depth > 0.1, depth, np.inf))
    return np.minimum(np.min(found, axis=0), 50.0)


@dataclass
class ExactMatcher:
    """Matches as the true poses and depths make them; a code is the frame's number.

    Args:
        noise: of the matches, cells. walker: somebody covers a third of the picture, and all
            that he hides is matched to him, and he to himself. masked: whether the views say so.
    """

    Ts_room_camera: Array
    noise: float = 0.0
    walker: bool = False
    masked: bool = True

    def __post_init__(self) -> None:
        self.depths = [room_depth(T) for T in self.Ts_room_camera]
        self.rng = np.random.default_rng(0)

    def encode(self, image: np.ndarray) -> int:
        return int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])

    def link(self, source: int, target: int) -> tuple[int, int]:
        return source, target

    def update(
        self, links: Sequence[tuple[int, int]], at: np.ndarray, motion: np.ndarray
    ) -> FlowUpdate:
        seen = np.stack([self.match(a, b) for a, b in links])
        seen += self.rng.normal(0, self.noise, seen.shape)
        inside = np.all((seen > 0) & (seen < [[24], [18]]), axis=1, keepdims=True)
        shape = (len(links), 2, 18, 24)
        np.testing.assert_allclose(
            motion[:, :2].reshape(len(links), 2, -1),
            at.reshape(len(links), 2, -1) - (GRID.places.T - 0.5 / CELL),
            atol=1e-3,
        )
        return FlowUpdate(
            links=list(links),
            delta=(seen - 0.5 / CELL).reshape(shape) - at,
            weights=np.repeat(inside, 2, axis=1).reshape(shape).astype(np.float32),
            damping=np.full((18, 24), 1e-6),
        )

    def match(self, a: int, b: int) -> Array:
        """Where the cells of frame a are seen in frame b, (2, N)."""
        T = invert_transform(self.Ts_room_camera[b]) @ self.Ts_room_camera[a]
        points = GRID.camera.unproject(GRID.places, self.depths[a])
        seen = GRID.camera.project(points @ T[:3, :3].T + T[:3, 3]).T
        hidden, (x, y) = self.walks(b, seen), GRID.places.T
        seen = np.where(hidden, np.stack([self.left(b) + (x % 7), y]), seen)
        along = np.stack([x + self.left(b) - self.left(a), y])
        return np.where(self.walks(a, GRID.places.T), along, seen)

    def left(self, frame: int) -> float:
        """Where he begins, cells; he walks across and back."""
        return 8 + 8 * np.sin(0.13 * frame)

    def walks(self, frame: int, places: Array) -> np.ndarray:
        """Which places (2, N) he covers in a frame."""
        inside = (places[0] > self.left(frame)) & (places[0] < self.left(frame) + 8)
        return inside & self.walker

    def view(self, frame: int) -> DroidView:
        image = np.zeros((18 * CELL, 24 * CELL, 3), np.uint8)
        image[0, 0, :2] = frame % 256, frame // 256
        # Masks are a cell wider than people, as `prepare` makes them.
        x, y = GRID.places.T
        wide = [self.walks(frame, np.stack([x + dx, y])) for dx in (-1, 0, 1)]
        return DroidView(
            image=image,
            background=~(np.any(wide, axis=0) & self.masked),
            colors=np.full((N, 3), frame % 256, np.uint8),
        )


def solved(matcher: ExactMatcher) -> DroidTrack:
    count = len(matcher.Ts_room_camera)
    return solve_clip(
        matcher.view, times=np.arange(count) / 30, matcher=matcher, camera=GRID.camera
    )


def test_exact_matches_give_the_path() -> None:
    matcher = ExactMatcher(carried(30, metres=1.5))
    track = solved(matcher)
    assert 4 <= len(track.keyframes) < 20
    assert track.tracked.all()
    assert position_error(track.Ts_slam_camera, matcher.Ts_room_camera) < 0.01
    assert rotation_errors_deg(track.Ts_slam_camera, matcher.Ts_room_camera).max() < 0.1
    np.testing.assert_allclose(track.Ts_slam_camera[0], np.eye(4), atol=1e-9)
    assert track.residual < 0.02
    assert track.parallax > 0.5


def test_noise_averages_out() -> None:
    matcher = ExactMatcher(carried(30, metres=3.5), noise=0.05)
    track = solved(matcher)
    assert track.tracked.all()
    assert len(track.keyframes) > 8  # the window has moved on from where it started
    assert position_error(track.Ts_slam_camera, matcher.Ts_room_camera) < 0.02
    assert rotation_errors_deg(track.Ts_slam_camera, matcher.Ts_room_camera).max() < 0.5


def test_a_walker_does_no_harm_where_he_is_masked_at_both_ends() -> None:
    poses = carried(30, metres=1.5)
    masked, bare = (solved(ExactMatcher(poses, walker=True, masked=flag)) for flag in (True, False))
    assert position_error(masked.Ts_slam_camera, poses) < 0.005
    assert position_error(bare.Ts_slam_camera, poses) > 0.1


def test_points_lie_on_the_room() -> None:
    matcher = ExactMatcher(carried(30, metres=1.5))
    track = solved(matcher)
    assert len(track.points_slam) > 500
    scale, rotation, offset = umeyama(
        track.Ts_slam_camera[:, :3, 3], matcher.Ts_room_camera[:, :3, 3]
    )
    points = scale * track.points_slam @ rotation.T + offset
    on_planes = [1.2 - points[:, 1], 4.0 - points[:, 2], 3.0 - points @ [0.6, 0, 0.8]]
    assert np.quantile(np.abs(on_planes).min(axis=0), 0.95) < 0.01
    assert set(track.point_colors[:, 0]) <= set(track.keyframes)  # a keyframe colours its own


def test_a_clip_that_hardly_moves_is_refused() -> None:
    with pytest.raises(CameraError, match=r"at least 4 keyframes.*--camera static"):
        solved(ExactMatcher(carried(30, metres=0.05, degrees=0)))


def graph_of(poses: Array) -> LinkGraph:
    matcher = ExactMatcher(poses)
    keys = Keyframes.none(GRID)
    for frame, T in enumerate(poses):
        keys = keys.plus(frame, frame, np.ones(N, bool), invert_transform(T), 1.0)
    state = replace(keys.state, inverse_depth=1 / np.array(matcher.depths))
    return LinkGraph(matcher, replace(keys, state=state), GRID, max_links=100)


def linked(graph: LinkGraph) -> set[tuple[int, int]]:
    pairs = zip(graph.edges.sources.tolist(), graph.edges.targets.tolist(), strict=True)
    return set(pairs)


def test_distant_keyframes_that_see_the_same_place_are_linked() -> None:
    """Out and back again: the first and the last stand together, the turning point far off."""
    there = carried(8, metres=4.0)
    graph = graph_of(np.concatenate([there, there[::-1]]))
    graph.add_near(0, 0, radius=2, apart=1, max_flow=4.0)
    pairs = linked(graph)
    assert {(i, i + 1) for i in range(15)} | {(i + 1, i) for i in range(15)} <= pairs
    assert (0, 15) in pairs and (15, 0) in pairs
    assert (0, 8) not in pairs
    # Beside a link between distant keyframes there is no second one.
    assert not {(0, 14), (1, 15)} & pairs


def test_the_mean_flow_of_a_turn_counts_less() -> None:
    poses = np.repeat(np.eye(4)[None], 3, axis=0)
    poses[1, 0, 3] = 0.2
    poses[2, :3, :3] = rotvec_to_matrix(np.array([0, 0.2, 0]))
    graph = graph_of(poses)
    matcher = ExactMatcher(poses)
    flow = [np.linalg.norm(matcher.match(0, k) - GRID.places.T, axis=0).mean() for k in (1, 2)]
    moved, turned = graph.flow_between(0, np.array([1, 2]))
    assert moved == pytest.approx(flow[0], rel=0.1)
    assert turned == pytest.approx(0.3 * flow[1], rel=0.1)


def test_links_go_to_rest_and_keyframes_can_be_forgotten() -> None:
    graph = graph_of(carried(6, metres=1.0))
    graph.max_links = 10
    graph.add([(i, j) for i in range(4) for j in range(4) if 0 < abs(i - j) < 3])
    graph.add([(0, 1)])
    assert len(linked(graph)) == len(graph.links) == 10
    graph.update(first_free=1)
    before = graph.keys.state
    graph.add([(4, 5), (5, 4)], make_room=True)
    assert len(graph.links) == 10 and len(graph.at_rest.sources) == 2
    assert graph.ages.tolist() == [1] * 8 + [0] * 2
    assert graph.links == list(
        zip(graph.edges.sources.tolist(), graph.edges.targets.tolist(), strict=True)
    )
    graph.remove_keyframe(2)
    assert graph.keys.frame_idx == [0, 1, 3, 4, 5]
    assert all(row < 5 for edges in (graph.edges, graph.at_rest) for row in edges.sources)
    named = {(graph.keys.frame_idx[i], graph.keys.frame_idx[j]) for i, j in linked(graph)}
    assert named == set(graph.links)  # renumbered rows still name the same pictures
    np.testing.assert_array_equal(
        graph.keys.state.Ts_camera_slam, before.Ts_camera_slam[[0, 1, 3, 4, 5]]
    )


def test_no_weight_on_people_at_either_end() -> None:
    graph = graph_of(carried(3, metres=0.3))
    background = np.ones((3, N), bool)
    background[0, :24] = False  # the top row of the first picture
    background[1, -24:] = False  # the bottom row of the second
    graph.keys = replace(graph.keys, background=background)
    graph.add([(0, 1), (1, 0), (1, 2)])
    graph.update(first_free=1)
    weights = graph.edges.weights.reshape(3, 2, 18, 24)
    column, row = np.rint(graph.edges.seen_px.reshape(3, 2, 18, 24) - 0.5 / CELL).swapaxes(0, 1)
    assert (weights[0, :, 0] == 0).all() and (weights[1:, :, -1] == 0).all()
    for link, masked in ((0, 17), (1, 0)):
        there = (row[link] == masked) & (column[link] >= 0) & (column[link] < 24)
        assert there.any() and (weights[link][:, there] == 0).all()
    assert (weights[2, :, 3:10, 8:16] == 1).all()
