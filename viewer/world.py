"""What a viewer draws: a scene's people, cameras, points and floor, all in the world frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import Array, make_transform, transform_points
from recon.core.palette import nice_step, person_color
from recon.core.people import BodyPoses, WorldMotion, row_at
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_PARENTS

Segments = tuple[Array, Array]
"""Starts and ends, each (S, 3), world frame, metres."""

NUM_BODY_JOINTS = 22
_MAX_GRID_LINES = 120


@dataclass(frozen=True, kw_only=True)
class WorldPerson:
    """One person in the world; skinned one frame at a time."""

    motion: WorldMotion
    rig: Rig

    @property
    def color(self) -> tuple[int, int, int]:
        """RGB, the same as in every other picture of this person."""
        return person_color(self.motion.track_id)

    def row(self, frame: int) -> int | None:
        """The motion's row at a video frame, or None where the person is absent."""
        return row_at(self.motion.frame_idx, frame)

    def vertices(self, row: int) -> np.ndarray:
        """Mesh vertices (V, 3), metres."""
        poses = self.motion.poses_world
        one = BodyPoses(root=poses.root[row : row + 1], rotations=poses.rotations[row : row + 1])
        return self.rig.vertices(one)[0]

    def bones(self, row: int) -> Segments:
        """The body's bones as segments from parent to child."""
        joints = self.motion.joints_world[row]
        child = np.arange(1, NUM_BODY_JOINTS)
        return joints[np.array(CANONICAL_PARENTS)[child]], joints[child]


@dataclass(frozen=True, kw_only=True)
class World:
    """A scene ready to be drawn.

    Args:
        times: (T,) seconds. Ts_world_camera: (T, 4, 4). points: (P, 3) metres, sparse.
        point_colors: (P, 3) uint8 RGB. cuts: first frames of all shots but the first; the worlds
            of shots have nothing in common, and no path joins them.
    """

    name: str
    times: Array
    intrinsics: Intrinsics
    Ts_world_camera: Array
    people: tuple[WorldPerson, ...]
    points: Array
    point_colors: np.ndarray
    cuts: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    @classmethod
    def from_scene(cls, scene: Scene) -> World:
        """The world of a finished scene.

        Raises:
            StaleSceneError: a stage has not run.
        """
        placement, camera, video = scene.placement, scene.camera, scene.video
        S_world_slam = make_transform(
            placement.scale * placement.R_world_slam, placement.t_world_slam
        )
        rigs = scene.rigs_by_id
        return cls(
            name=scene.path.name,
            times=video.times,
            intrinsics=camera.intrinsics,
            Ts_world_camera=placement.Ts_world_camera,
            people=tuple(WorldPerson(motion=m, rig=rigs[m.track_id]) for m in scene.world_motions),
            points=transform_points(S_world_slam, camera.points_slam),
            point_colors=camera.point_colors,
            cuts=camera.shot_starts[1:],
        )

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest corner (3,) of the people and the cameras, on or over the floor."""
        parts = [self.Ts_world_camera[:, :3, 3]]
        parts += [p.motion.joints_world[:, :NUM_BODY_JOINTS].reshape(-1, 3) for p in self.people]
        low = np.minimum(np.min([p.min(axis=0) for p in parts], axis=0), [np.inf, np.inf, 0])
        return low, np.max([p.max(axis=0) for p in parts], axis=0)

    def camera_path(self) -> Segments:
        """The camera's way through the world."""
        return self._steps(self.Ts_world_camera[:, :3, 3], np.arange(len(self.times)))

    def person_path(self, person: WorldPerson) -> Segments:
        """The way of a person's pelvis, projected to the floor."""
        path = person.motion.joints_world[:, 0] * [1, 1, 0] + [0, 0, 0.005]
        return self._steps(path, person.motion.frame_idx)

    def _steps(self, path: Array, frame_idx: np.ndarray) -> Segments:
        """The way through points (N, 3) of frames (N,), without leaps from shot to shot."""
        kept = ~np.isin(frame_idx[1:], self.cuts)
        return path[:-1][kept], path[1:][kept]

    def frustum(self, frame: int) -> Segments:
        """The camera's pyramid at a frame, half a metre long."""
        return frustum(self.intrinsics, self.Ts_world_camera[frame], depth=0.5)

    def floor_grid(self) -> Segments:
        """Lines every metre (or 2, 5, 10 … in large worlds) at z = 0 below everything."""
        low, high = self.bounds
        extent = float(np.max((high - low)[:2])) + 2
        step = max(1.0, nice_step(extent / _MAX_GRID_LINES))
        first, last = np.floor(low[:2] / step - 1), np.ceil(high[:2] / step + 1)
        x, y = (np.arange(first[i], last[i] + 1) * step for i in range(2))
        along_y = np.stack([np.stack([x, 0 * x + e, 0 * x], axis=1) for e in (y[0], y[-1])])
        along_x = np.stack([np.stack([0 * y + e, y, 0 * y], axis=1) for e in (x[0], x[-1])])
        starts, ends = np.concatenate([along_y, along_x], axis=1)
        return starts, ends

    def overview(self, frame: int, *, fov_deg: float = 50.0) -> tuple[Array, Array]:
        """Eye and target (3,) of a view from behind and above the frame's camera.

        It holds the camera of this frame and all who are there; where nobody is, the whole world.
        """
        rows = [(p, p.row(frame)) for p in self.people]
        seen = [p.motion.joints_world[r, :NUM_BODY_JOINTS] for p, r in rows if r is not None]
        T = self.Ts_world_camera[frame]
        low, high = self.bounds
        points = np.concatenate([*seen, T[None, :3, 3]]) if seen else np.stack([low, high])
        return self.aside(points, frame, fov_deg=fov_deg)

    @cached_property
    def reach(self) -> float:
        """Metres across all that people fill in the whole clip, 0 where nobody is."""
        if not self.people:
            return 0.0
        return float(np.linalg.norm(np.ptp(self._body_points(), axis=0)))

    def _body_points(self) -> Array:
        paths = [p.motion.joints_world[:, :NUM_BODY_JOINTS] for p in self.people]
        return np.concatenate([path.reshape(-1, 3) for path in paths])

    def start(self, *, fov_deg: float = 50.0, largest: float) -> tuple[Array, Array]:
        """Eye and target (3,) of a view that holds the people of the whole clip.

        Of those who fill more than `largest` metres, where they start; where nobody is, the whole
        world.
        """
        if not self.people:
            return self.overview(0, fov_deg=fov_deg)
        points = self._body_points()
        if self.reach > largest:
            first = min(int(p.motion.frame_idx[0]) for p in self.people)
            rows = [(p, p.row(first)) for p in self.people]
            points = np.concatenate([p.motion.joints_world[r, :NUM_BODY_JOINTS]
                                     for p, r in rows if r is not None])  # fmt: skip
        return self.aside(points, 0, fov_deg=fov_deg, margin=1.15)

    def aside(
        self, points: Array, frame: int, *, fov_deg: float, margin: float = 0.85
    ) -> tuple[Array, Array]:
        """Eye and target (3,) of a view of points (N, 3) from behind, above and beside a camera.

        With a margin of 1 the ball about them just fits the view.
        """
        T = self.Ts_world_camera[frame]
        center = (points.min(axis=0) + points.max(axis=0)) / 2
        radius = max(float(np.linalg.norm(points - center, axis=1).max()), 1.0)
        ahead = T[:2, 2]
        ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-6)
        # Turned aside, so that the camera's pyramid does not stand before the people.
        turn = np.deg2rad(50.0)
        back = -np.array([
            np.cos(turn) * ahead[0] - np.sin(turn) * ahead[1],
            np.sin(turn) * ahead[0] + np.cos(turn) * ahead[1],
        ])  # fmt: skip
        direction = np.array([*back, 0.5])
        distance = margin * radius / np.sin(np.deg2rad(fov_deg) / 2)
        return center + distance * direction / np.linalg.norm(direction), center


def check_frame(scene: Scene, frame: int) -> None:
    """Raises InputError unless the scene's video has such a frame."""
    count = len(scene.video.times)
    if not 0 <= frame < count:
        raise InputError(
            f"--frame: expected 0 to {count - 1}, got {frame}; the scene has {count} frames"
        )


def look_at(eye: Array, target: Array) -> Array:
    """`T_world_camera` (4, 4), OpenCV axes, level, at `eye` looking at `target`, both (3,)."""
    z = target - eye
    z = z / np.linalg.norm(z)
    x = np.cross(z, [0.0, 0.0, 1.0])
    # Straight down there is no level: any horizontal axis will do.
    x = x / np.linalg.norm(x) if np.linalg.norm(x) > 1e-6 else np.array([1.0, 0.0, 0.0])
    return make_transform(np.stack([x, np.cross(z, x), z], axis=-1), eye)


def frustum(intrinsics: Intrinsics, T_frame_camera: Array, *, depth: float) -> Segments:
    """The eight edges of a camera's pyramid, `depth` long, and a tick at its top."""
    k = intrinsics
    corners_px = np.array([[0, 0], [k.width, 0], [k.width, k.height], [0, k.height]], float)
    corners = k.unproject(corners_px, np.full(4, depth))
    tick = (corners[0] + corners[1]) / 2 * [1, 1.25, 1]
    points = transform_points(
        T_frame_camera, np.concatenate([np.zeros((1, 3)), corners, tick[None]])
    )
    edges = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1), (1, 5), (2, 5)]
    a, b = np.array(edges).T
    return points[a], points[b]
