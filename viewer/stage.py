"""What one scene puts into a 3D widget: what stays, and what every frame replaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from recon.core.geometry import Array
from recon.core.splat_view import SplatCloud, SplatStage
from viewer import marks
from viewer.screenshot import CAMERA_COLOR, GRID_COLOR
from viewer.shaded import ShadedBody
from viewer.world import Segments, World, WorldPerson

PERSON_KINDS = ("mesh", "skeleton", "trajectory", "contacts", "uncertainty")
SCENE_KINDS = ("floor", "camera", "points", "splats", "axes")
_SOLID = 0.3
"""Opacity above which a Gaussian is shown as a point."""
_UNCERTAIN = (190, 60, 140)
_BONE, _TRAIL, _THIN, _FINE = 0.014, 0.012, 0.006, 0.004
"""Half widths of rods, metres."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """A scene to show.

    Args:
        joint_std: (N, 22, 3) metres of a person's frames, axes of the camera, by track id.
        picture: the video's frame (H, W, 3) uint8 RGB by index, None while it is not there yet.
        splats: the place and the avatars, shown as points.
    """

    world: World
    joint_std: Mapping[int, Array] = field(default_factory=dict)
    picture: Callable[[int], np.ndarray | None] | None = None
    splats: SplatStage | None = None


class Stage:
    """A scene's geometry in an Open3DScene; `show` moves it to a frame.

    `shown` holds the people (track ids) of whom each kind is on show, `scene_kinds` what is shown
    of the scene; `refresh` follows a change of either. `through_camera`: the filming camera's own
    pyramid is left out, since one looks out of it.
    """

    def __init__(self, open3d: ModuleType, target: Any, content: Content, scaling: float) -> None:
        self._o3d, self.target, self.content = open3d, target, content
        self.world = content.world
        world = self.world
        ids = {p.motion.track_id for p in world.people}
        self.shown: dict[str, set[int]] = {kind: set() for kind in PERSON_KINDS}
        self.shown["mesh"], self.shown["trajectory"] = set(ids), set(ids)
        self.scene_kinds = {"floor", "camera", "splats"}
        if content.splats is None:
            self.scene_kinds.add("points")
        self.frame = 0
        self.through_camera = False
        self._bodies = {p.motion.track_id: ShadedBody(p.rig, p.color) for p in world.people}
        self._moving: set[str] = set()
        self._materials(scaling)
        self._add_lasting()

    @property
    def avatars(self) -> frozenset[int]:
        """People who are shown as avatars now, and so without a mesh."""
        splats = self.content.splats
        on = splats is not None and "splats" in self.scene_kinds
        return splats.people if on and splats is not None else frozenset()

    def show(self, frame: int) -> None:
        """Draws a frame of the clip; frames outside it are clipped to its ends."""
        self.frame = frame = int(np.clip(frame, 0, len(self.world.times) - 1))
        # Filament's meshes have no update in place (only point clouds do): replace them.
        for name in self._moving:
            self.target.scene.remove_geometry(name)
        self._moving.clear()
        for person in self.world.people:
            if (row := person.row(frame)) is not None:
                self._show_person(person, row)
        if (splats := self.content.splats) is not None and self.avatars:
            people = splats.cast(frame, without=self.avatars - self.shown["mesh"])
            if people is not None:
                self._add_splats("avatars", people)
        if self.through_camera:
            return
        if "camera" in self.scene_kinds:
            self._rods("frustum", self.world.frustum(frame), CAMERA_COLOR, _THIN)
        if "axes" in self.scene_kinds:
            self._axes("camera_axes", self.world.Ts_world_camera[frame], 0.3)

    def refresh(self) -> None:
        """Shows and hides what lasts as the switches say, and draws the frame again."""
        kinds = {"floor": "floor", "path": "camera", "points": "points", "place": "splats"}
        visible = {name: kind in self.scene_kinds for name, kind in kinds.items()}
        visible["path"] &= not self.through_camera
        visible |= {f"world_axes{k}": "axes" in self.scene_kinds for k in range(3)}
        for track_id in self._bodies:
            visible[f"trail{track_id}"] = track_id in self.shown["trajectory"]
        for name, on in visible.items():
            if self.target.has_geometry(name):
                self.target.show_geometry(name, on)
        self.show(self.frame)

    def _show_person(self, person: WorldPerson, row: int) -> None:
        track_id = person.motion.track_id
        on = {kind for kind in PERSON_KINDS if track_id in self.shown[kind]}
        if "mesh" in on and track_id not in self.avatars:
            self._mesh(f"mesh{track_id}", person, row)
        if "skeleton" in on:
            self._rods(f"bones{track_id}", person.bones(row), person.color, _BONE)
        if "contacts" in on:
            dots = marks.contacts(person, row)
            self._points(f"contacts{track_id}", dots.points, dots.colors, self._large)
        std = self.content.joint_std.get(track_id)
        if "uncertainty" in on and std is not None:
            crosses = marks.uncertainty(self.world, person, row, std[row])
            self._rods(f"uncertainty{track_id}", crosses, _UNCERTAIN, _FINE)

    # Geometry --------------------------------------------------------------------------------

    def _materials(self, scaling: float) -> None:
        def material(shader: str, **values: Any) -> Any:
            record = self._o3d.visualization.rendering.MaterialRecord()
            record.shader = shader
            for name, value in values.items():
                setattr(record, name, value)
            return record

        self._plain = material("defaultUnlit")
        self._dots = material("defaultUnlit", point_size=3.0 * scaling)
        self._blobs = material("defaultUnlit", point_size=4.0 * scaling)
        self._large = material("defaultUnlit", point_size=11.0 * scaling)

    def _add_lasting(self) -> None:
        world, lasts = self.world, {"lasts": True}
        self._rods("floor", world.floor_grid(), GRID_COLOR, _THIN, **lasts)
        self._rods("path", world.camera_path(), CAMERA_COLOR, _TRAIL, **lasts)
        for person in world.people:
            name = f"trail{person.motion.track_id}"
            self._rods(name, world.person_path(person), person.color, _TRAIL, **lasts)
        self._points("points", world.points, world.point_colors, self._dots, **lasts)
        splats = self.content.splats
        if splats is not None and (place := splats.place()) is not None:
            self._add_splats("place", place, **lasts)
        self._axes("world_axes", np.eye(4), 1.0, **lasts)

    def _add(self, name: str, geometry: Any, material: Any, lasts: bool) -> None:
        if lasts:
            self.target.add_geometry(name, geometry, material)
        else:  # past the bookkeeping of what lasts, which would find its bounds again
            self.target.scene.add_geometry(name, geometry, material)
            self._moving.add(name)

    def _mesh(self, name: str, person: WorldPerson, row: int) -> None:
        vertices, colors = self._bodies[person.motion.track_id].at(person.motion.poses_world, row)
        self._add(name, self._triangles(vertices, person.rig.faces, colors), self._plain, False)

    def _points(
        self, name: str, points: Array, colors: np.ndarray, material: Any, *, lasts: bool = False
    ) -> None:
        # Open3D crashes on geometry without any extent.
        if not len(points) or not np.ptp(points, axis=0).any():
            return
        cloud = self._o3d.geometry.PointCloud()
        cloud.points = self._o3d.utility.Vector3dVector(np.asarray(points, float))
        cloud.colors = self._o3d.utility.Vector3dVector(np.asarray(colors, float) / 255)
        self._add(name, cloud, material, lasts)

    def _add_splats(self, name: str, cloud: SplatCloud, *, lasts: bool = False) -> None:
        """The centres of Gaussians that one can see, in their colours."""
        solid = cloud.opacities > _SOLID
        colors = 255 * np.clip(cloud.colors[solid], 0, 1)
        self._points(name, cloud.means[solid], colors, self._blobs, lasts=lasts)

    def _axes(self, name: str, T: Array, length: float, *, lasts: bool = False) -> None:
        for k, (line, color) in enumerate(zip(marks.axes(T, length), marks.AXIS_COLORS,
                                              strict=True)):  # fmt: skip
            self._rods(f"{name}{k}", line, color, _BONE, lasts=lasts)

    def _rods(
        self, name: str, segments: Segments, color: tuple[int, int, int], radius: float, *,
        lasts: bool = False,
    ) -> None:  # fmt: skip
        segments = _with_length(segments)
        if len(segments[0]) == 0:
            return
        vertices, faces = marks.rods(segments, radius)
        colors = np.broadcast_to(np.asarray(color, np.float32) / 255, vertices.shape)
        self._add(name, self._triangles(vertices, faces, colors), self._plain, lasts)

    def _triangles(self, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> Any:
        """A mesh with all that the shader reads.

        Without texture coordinates it reads what happens to lie there, and a software graphics
        card may then sample a texture for minutes.
        """
        tensor = self._o3d.core.Tensor.from_numpy
        mesh = self._o3d.t.geometry.TriangleMesh()
        mesh.vertex.positions = tensor(np.ascontiguousarray(vertices, np.float32))
        mesh.vertex.colors = tensor(np.ascontiguousarray(colors, np.float32))
        mesh.vertex.texture_uvs = tensor(np.zeros((len(vertices), 2), np.float32))
        mesh.triangle.indices = tensor(np.ascontiguousarray(faces, np.int32))
        return mesh


def _with_length(segments: Segments) -> Segments:
    """Those that are longer than nothing: Open3D crashes on geometry without any extent."""
    starts, ends = segments
    long = np.linalg.norm(ends - starts, axis=1) > 1e-6
    return starts[long], ends[long]
