"""A scene's world as nodes of a viser scene, each set to one frame at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from recon.core.geometry import Array, invert_transform, matrix_to_quat, transform_points
from recon.core.palette import nice_step
from recon.core.splat_view import SplatCloud, SplatStage
from viewer.bones import BoneMesh
from viewer.marks import contacts
from viewer.screenshot import CAMERA_COLOR
from viewer.splats import splat_arrays
from viewer.web_avatars import CarriedAvatars, SentAvatars, WebAvatars
from viewer.world import Segments, World, WorldPerson

if TYPE_CHECKING:
    from viser import SceneApi  # pyright: ignore[reportMissingImports]

KINDS = ("meshes", "skeletons", "paths", "contacts", "points", "splats", "avatars", "floor",
         "camera")  # fmt: skip
"""What can be shown or hidden, everybody's at once."""
HIDDEN_AT_FIRST = ("skeletons",)
MOST_SPLATS = 200_000
"""Gaussians of the place that a browser is given: 6 MB."""
_LINE, _BONE = 0.015, 0.025
_FRUSTUM_DEPTH, _BACKDROP_MARGIN = 0.6, 1.0


@dataclass(frozen=True, kw_only=True)
class WebContent:
    """What a web page shows of one scene.

    Args:
        pictures: small frames of the video as JPEG, by frame, shown until the next one; none
            where the video is gone. confidence: (N,) of every person's frames by
            track id, 0-1. splats: the place and the avatars, or None. notes: what is missing.
    """

    world: World
    pictures: Mapping[int, bytes] = field(default_factory=dict)
    confidence: Mapping[int, Array] = field(default_factory=dict)
    splats: SplatStage | None = None
    notes: tuple[str, ...] = ()


def vertical_fov(world: World) -> float:
    """The video camera's angle from top to bottom, radians."""
    return 2 * float(np.arctan(0.5 * world.intrinsics.height / world.intrinsics.fy))


class WebWorld:
    """Adds a scene's nodes; `show` moves them to a frame, `set_shown` and `set_person` hide them.

    Args:
        api: viser's scene. num_faces: of every body at most, or None for all. grain: what
            positions (metres) and quaternions are rounded to, for small recordings; 0 for none.
        num_splats: Gaussians of the place at most. avatars: how people who have avatars are shown:
            sent anew for every moment, carried in parts (for recordings), or as their meshes.
    """

    def __init__(
        self, api: SceneApi, content: WebContent, *, num_faces: int | None = None,
        grain: float = 0, num_splats: int = MOST_SPLATS,
        avatars: Literal["sent", "carried", "meshes"] = "sent",
    ) -> None:  # fmt: skip
        self.content, self.world, self._api = content, content.world, api
        self._grain = grain
        self._nodes: dict[str, list[Any]] = {kind: [] for kind in KINDS}
        self._shown = {kind: kind not in HIDDEN_AT_FIRST for kind in KINDS}
        self._away = set[int]()
        self._frame = 0
        self._pictures, self._picture = sorted(content.pictures), -1
        self._add_surroundings()
        self._add_camera()
        self._avatars: WebAvatars | None = None
        if content.splats is not None:
            self._add_splats(content.splats, num_splats, avatars)
        self.people = [
            _WebPerson(
                api,
                p,
                path=self.world.person_path(p),
                nodes=self._nodes,
                num_faces=num_faces,
                grain=grain,
            )
            for p in self.world.people
        ]
        self.show(0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those KINDS that the scene has."""
        return tuple(kind for kind in KINDS if self._nodes[kind])

    @property
    def num_faces(self) -> int:
        """Of the finest body, 0 where nobody is."""
        return max((len(person.mesh.faces) for person in self.people), default=0)

    @property
    def num_splats(self) -> int:
        """Gaussians of the place."""
        return sum(len(node.centers) for node in self._nodes["splats"])

    def show(self, frame: int) -> None:
        """Moves everything to a video frame, 0 to T - 1."""
        self._frame = frame
        for person in self.people:
            person.show(frame)
        T = self.world.Ts_world_camera[frame]
        self._frustum.wxyz = _rounded(matrix_to_quat(T[:3, :3]), self._grain)
        self._frustum.position = _rounded(T[:3, 3], self._grain)
        self._show_picture(frame)
        self._show_avatars()

    def _show_picture(self, frame: int) -> None:
        """The video's latest picture, where it is not on show already."""
        latest = bisect_right(self._pictures, frame) - 1
        if latest >= 0 and self._pictures[latest] != self._picture:
            self._picture = self._pictures[latest]
            data = np.frombuffer(self.content.pictures[self._picture], np.uint8)
            self._frustum.image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)

    def set_shown(self, kind: str, shown: bool) -> None:
        """Shows or hides everything of a kind."""
        self._shown[kind] = shown
        for node in self._nodes[kind]:
            node.visible = shown
        self._show_avatars()

    def set_backdrop(self, behind: bool) -> None:
        """Puts the video's picture behind the people, for who looks from its camera; or before."""
        depth = self._backdrop_depth() if behind else _FRUSTUM_DEPTH
        self._frustum.scale = self._frustum_scale(depth)
        # Lines that end in the eye would cover its view.
        self._frustum.thickness = 1e-4 if behind else _LINE
        if self._path is not None:
            self._path.visible = self._shown["camera"] and not behind

    def set_person(self, track_id: int, shown: bool) -> None:
        """Shows or hides a person with all that belongs to it."""
        for person in self.people:
            if person.track_id == track_id:
                person.top.visible = shown
        self._away = self._away - {track_id} if shown else self._away | {track_id}
        self._show_avatars()

    def remove(self) -> None:
        """Takes all nodes out of the scene."""
        for nodes in self._nodes.values():
            for node in nodes:
                node.remove()
        for person in self.people:
            person.top.remove()

    # Nodes -----------------------------------------------------------------------------------

    def _keep(self, kind: str, node: Any) -> Any:
        self._nodes[kind].append(node)
        return node

    def _add_surroundings(self) -> None:
        world, api = self.world, self._api
        low, high = world.bounds
        extent = float(np.max((high - low)[:2])) + 2
        step = max(1.0, nice_step(extent / 120))
        center = np.round((low + high) / 2 / step) * step
        grid = api.add_grid(
            "/floor", infinite_grid=True, fade_distance=4 * extent + 10, cell_size=step,
            section_size=5 * step, cell_color=(208, 211, 217), section_color=(170, 174, 182),
            position=(float(center[0]), float(center[1]), 0.0), shadow_opacity=0.2,
        )  # fmt: skip
        self._keep("floor", grid)
        if len(world.points) and np.ptp(world.points, axis=0).any():
            cloud = api.add_point_cloud(
                "/points", world.points, world.point_colors, point_shape="circle",
                point_size=0.01 * max(1.0, extent / 20),
            )  # fmt: skip
            self._keep("points", cloud)

    def _add_splats(self, stage: SplatStage, num_splats: int, avatars: str) -> None:
        place = stage.place()
        if place is not None and num_splats:
            shown = most_seen(place, num_splats)
            self._keep("splats", self._api.add_gaussian_splats("/splats", *splat_arrays(shown)))
        if avatars == "sent":
            self._avatars = SentAvatars(self._api, stage, self.world)
        elif avatars == "carried":
            self._avatars = CarriedAvatars(self._api, stage, self.world, grain=self._grain)
        if self._avatars is not None:
            self._nodes["avatars"] += self._avatars.nodes

    def _show_avatars(self) -> None:
        """Avatars at the present frame, in place of their people's meshes."""
        stage = self.content.splats
        if stage is None or self._avatars is None:
            return
        shown = self._shown["avatars"]
        for person in self.people:
            hidden = shown and person.track_id in stage.people
            person.mesh.visible = self._shown["meshes"] and not hidden
        self._avatars.show(self._frame, self._away if shown else stage.people)

    def _frustum_scale(self, depth: float) -> float:
        """Viser's measure of a pyramid `depth` long: the cube root of its volume."""
        k = self.world.intrinsics
        return depth * float(np.cbrt(k.width / k.fx * k.height / k.fy / 12))

    def _backdrop_depth(self) -> float:
        """Metres from the camera to behind whoever is farthest in the clip."""
        depth = 2.0
        for person in self.world.people:
            motion = person.motion
            Ts_camera_world = invert_transform(self.world.Ts_world_camera[motion.frame_idx])
            joints_camera = transform_points(Ts_camera_world, motion.joints_world)
            depth = max(depth, float(joints_camera[..., 2].max()))
        return depth + _BACKDROP_MARGIN

    def _add_camera(self) -> None:
        world, k = self.world, self.world.intrinsics
        self._frustum = self._api.add_camera_frustum(
            "/camera", vertical_fov(world), (k.width / k.fx) / (k.height / k.fy),
            scale=self._frustum_scale(_FRUSTUM_DEPTH), color=CAMERA_COLOR, thickness=_LINE,
            format="jpeg", jpeg_quality=80, cast_shadow=False, receive_shadow=False,
        )  # fmt: skip
        self._keep("camera", self._frustum)
        self._path, lines = None, _line_points(world.camera_path())
        if len(lines):
            self._path = self._api.add_line_segments(
                "/camera path", lines, CAMERA_COLOR, thickness=_LINE
            )
            self._keep("camera", self._path)


class _WebPerson:
    """One person's nodes below "/person N": the body, hidden where absent, and the path."""

    def __init__(
        self, api: SceneApi, person: WorldPerson, *, nodes: dict[str, list[Any]],
        path: Segments, num_faces: int | None, grain: float,
    ) -> None:  # fmt: skip
        self.person, self._grain = person, grain
        self.track_id = person.motion.track_id
        top, motion, color = f"/person {self.track_id}", person.motion, person.color
        mesh = BoneMesh.of(person.rig, motion.poses_world)
        if num_faces is not None:
            mesh = mesh.simplified(num_faces)
        rotations, positions = person.rig.joints(motion.poses_world)
        self._quats = _rounded(matrix_to_quat(rotations[:, mesh.joints]), grain)
        self._positions = _rounded(positions[:, mesh.joints], grain)
        self.top = api.add_frame(top, show_axes=False)
        self._body = api.add_frame(f"{top}/body", show_axes=False)
        self.mesh = api.add_mesh_skinned(
            f"{top}/body/mesh", mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32),
            bone_wxyzs=matrix_to_quat(mesh.Ts_bind_bone[:, :3, :3]),
            bone_positions=mesh.Ts_bind_bone[:, :3, 3], skin_weights=mesh.weights, color=color,
        )  # fmt: skip
        self._skeleton = api.add_line_segments(
            f"{top}/body/skeleton", _line_points(person.bones(0)), color, thickness=_BONE,
            visible="skeletons" not in HIDDEN_AT_FIRST,
        )  # fmt: skip
        dots = contacts(person, 0)
        self._contacts = api.add_point_cloud(
            f"{top}/body/contacts", dots.points, dots.colors.astype(np.uint8), point_size=0.025,
            point_shape="circle", precision="float32",
        )  # fmt: skip
        kept = {"meshes": self.mesh, "skeletons": self._skeleton, "contacts": self._contacts}
        lines = _line_points(path)
        if len(lines):
            kept["paths"] = api.add_line_segments(f"{top}/path", lines, color, thickness=_LINE)
        for kind, node in kept.items():
            nodes[kind].append(node)

    def show(self, frame: int) -> None:
        row = self.person.row(frame)
        self._body.visible = row is not None
        if row is None:
            return
        for k, bone in enumerate(self.mesh.bones):
            bone.wxyz, bone.position = self._quats[row, k], self._positions[row, k]
        self._skeleton.points = _rounded(_line_points(self.person.bones(row)), self._grain)
        dots = contacts(self.person, row)
        self._contacts.points = _rounded(dots.points, self._grain).astype(np.float32)
        self._contacts.colors = dots.colors.astype(np.uint8)


def most_seen(cloud: SplatCloud, count: int = MOST_SPLATS) -> SplatCloud:
    """The `count` Gaussians that cover most, opaque and large; all where there are fewer."""
    if len(cloud.means) <= count:
        return cloud
    # The area of a Gaussian's mean shadow grows as the determinant to the power 1/3.
    cover = cloud.opacities * np.cbrt(np.maximum(np.linalg.det(cloud.covariances), 0))
    return cloud.rows(np.sort(np.argsort(-cover, kind="stable")[:count]))


def _line_points(segments: Segments) -> np.ndarray:
    """Segments with a length as (S, 2, 3) float32."""
    starts, ends = segments
    points = np.stack([starts, ends], axis=1).astype(np.float32)
    return points[np.linalg.norm(ends - starts, axis=1) > 1e-6]


def _rounded(values: np.ndarray, grain: float) -> np.ndarray:
    return np.round(values / grain) * grain if grain else values
