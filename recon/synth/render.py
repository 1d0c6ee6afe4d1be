"""Pictures of a staged world: four samples a pixel, spread over the shutter's time as well."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from body.models import load_body_model
from recon.core.geometry import Array, invert_transform, make_transform, slerp_matrices
from recon.core.people import BodyPoses
from recon.core.raster import vertex_normals
from recon.synth import textures as tx
from recon.synth.clothes import Dressed, dress
from recon.synth.place import Builder, Mesh, build_room, build_street
from recon.synth.raster import draw, draw_heights, shade
from recon.synth.sensor import wander
from recon.synth.world import StagedWorld

_OFFSETS = ((0.125, -0.375), (0.375, 0.125), (-0.125, 0.375), (-0.375, -0.125))
"""Where the four samples lie in a pixel: a turned grid."""
_SHUTTER = (0.2, 0.5)
"""Share of a frame's time for which the shutter is open."""
_SHADOW_CELL = 0.012
_CONTACT_CELL = 0.03
_MAX_CELLS = 2000


@dataclass(frozen=True, kw_only=True)
class Light:
    """Towards the sun (3,), and the colours (3,) of sun and surroundings, linear."""

    direction: Array
    sun: Array
    ambient: Array


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One frame: image (H, W, 3) uint8 RGB, depth z (H, W) metres float32 (inf: sky), and owner
    (H, W) int8: person k + 1, or 0."""

    image: np.ndarray
    depth: np.ndarray
    owner: np.ndarray


class Renderer:
    """Draws the frames of one world, each on its own; the same world gives the same pictures.

    Args:
        world: to draw. steady: whether the camera keeps one exposure.
    """

    def __init__(self, world: StagedWorld, *, steady: bool = False) -> None:
        self.world = world
        rng = world.rng(3)
        atlas = tx.Atlas()
        self.place = _place(world, atlas, rng)
        self._sky = atlas.add(tx.sky(rng))
        self._light = _light(world.spec.place, rng)
        rng = world.rng(4)  # people look alike wherever they are
        model = load_body_model("anny")
        cloth = atlas.add(tx.weave(), linear=True)
        self._dressed: list[Dressed] = []
        pictures = []
        for person in world.performers:
            dressed = dress(person.rig, model.rest_body(person.shape.values), rng)
            self._dressed.append(dressed)
            pictures.append(atlas.add(dressed.picture))
        self._texels, self._table = atlas.arrays()
        self._shutter = rng.uniform(*_SHUTTER) / world.spec.fps
        drift = wander(rng, world.times, 2.0, 1)[:, 0]
        calm = gaussian_filter1d(drift, 0.5 * world.spec.fps)  # an exposure changes slowly
        full = (self._light.sun + self._light.ambient).mean()
        self._exposure = rng.uniform(1.0, 1.25) / full * np.exp(0.1 * calm * (not steady))
        self._grain = rng.uniform(0.8, 2.5)
        self._blur = rng.uniform(1.0, 1.3) * world.intrinsics.width / 960
        self._attributes(pictures, cloth)
        self._prepare_shadows()

    def _attributes(self, pictures: list[int], cloth: int) -> None:
        """What faces have that does not change: the place's first, then everybody's."""
        place = self.place
        corners = place.vertices[place.faces]
        flat = np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0])
        counts = [len(d.uvs) for d in self._dressed]
        self._first = np.cumsum([len(place.faces), *counts])
        self._uvs = np.concatenate([place.uvs, *(d.uvs for d in self._dressed)])
        self._textures = np.concatenate([place.textures, np.repeat(pictures, counts)])
        self._details = np.concatenate([place.details, np.full(sum(counts), cloth)])
        self._scales = np.concatenate([place.detail_scales, np.full(sum(counts), 30.0)])
        self._normals = np.empty((len(self._uvs), 3, 3))
        self._normals[: len(place.faces)] = flat[:, None]
        self._edges = np.zeros((len(self._uvs), 3, 3))

    def _prepare_shadows(self) -> None:
        """Maps over the ground where people are, with what stands there all the time."""
        world, light = self.world, self._light.direction
        places = np.concatenate([p.poses.root[:, :2] for p in world.performers])
        low, high = places.min(axis=0) - 1.6, places.max(axis=0) + 1.6
        side = np.cross(light, [0.0, 1.0, 0.0])
        side /= np.linalg.norm(side)
        axes = np.stack([side, np.cross(light, side), light])
        ends = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1])
                         for z in (0.0, 2.2)]) @ axes.T  # fmt: skip
        start, span = ends.min(axis=0), np.ptp(ends, axis=0)
        cell = max(_SHADOW_CELL, float(span[:2].max()) / _MAX_CELLS)
        scale = np.array([1 / cell, 1 / cell, 1.0])
        self._shadow_frame = np.concatenate(
            [axes * scale[:, None], (-start * [1, 1, 0] * scale)[:, None]], axis=1
        )
        columns, rows = np.ceil(span[:2] / cell).astype(int) + 1
        self._shadow = np.full((rows, columns), -np.inf, np.float32)
        draw_heights(
            self._in_light(self.place.vertices), self.place.faces[self.place.casts], self._shadow
        )
        cell = max(_CONTACT_CELL, float((high - low).max()) / _MAX_CELLS)
        self._contact_frame = np.array(
            [[1 / cell, 0, -low[0] / cell], [0, 1 / cell, -low[1] / cell]]
        )
        across, up = np.ceil((high - low) / cell).astype(int) + 1
        self._contact_shape = int(up), int(across)

    def _in_light(self, points: Array) -> Array:
        return points @ self._shadow_frame[:, :3].T + self._shadow_frame[:, 3]

    def _contact(self, people: list[Array]) -> np.ndarray:
        """How much the floor is darkened by what is close above it."""
        out = np.zeros(self._contact_shape, np.float32)
        frame = self._contact_frame
        for points in people:
            near = points[points[:, 2] < 0.5]
            x = (frame[0, 0] * near[:, 0] + frame[0, 2]).astype(int)
            y = (frame[1, 1] * near[:, 1] + frame[1, 2]).astype(int)
            inside = (x >= 0) & (y >= 0) & (x < out.shape[1]) & (y < out.shape[0])
            close = np.exp(-np.maximum(near[inside, 2], 0) / 0.10).astype(np.float32)
            np.maximum.at(out, (y[inside], x[inside]), close)
        cell = 1 / frame[0, 0]
        wide = cv2.GaussianBlur(out, (0, 0), 0.09 / cell)
        near = cv2.GaussianBlur(out, (0, 0), 0.04 / cell)
        return np.clip(1.1 * wide + 0.6 * near, 0, 0.85)

    def frame(self, index: int) -> Picture:
        """One frame of the world's video."""
        world = self.world
        k = world.intrinsics
        moments = world.times[index] + self._shutter * (np.arange(4) / 3 - 0.5)
        Ts = world.Ts_world_camera
        cameras = make_transform(*_at(moments, world.times, Ts[:, :3, 3], Ts[:, :3, :3])[::-1])
        bodies = [self._bodies_at(moments[[0, -1]], n) for n in range(len(world.performers))]
        middle = [0.5 * (b[0] + b[1]) for b in bodies]
        shadow = self._shadow.copy()
        for points, dressed in zip(middle, self._dressed, strict=True):
            draw_heights(self._in_light(points), dressed.rig.faces, shadow)
        for n, (points, dressed) in enumerate(zip(middle, self._dressed, strict=True)):
            faces = dressed.rig.faces
            rows = slice(self._first[n], self._first[n + 1])
            self._normals[rows] = vertex_normals(points, faces)[faces]
        contact = self._contact(middle)
        out = np.zeros((k.height, k.width, 3))
        for s, (dx, dy) in enumerate(_OFFSETS):
            share = s / 3
            people = [(1 - share) * b[0] + share * b[1] for b in bodies]
            lens = np.array([k.fx, k.fy, k.cx + dx, k.cy + dy])
            inverse_depth, owner = self._visible(cameras[s], people, lens)
            shade(
                owner, inverse_depth, self._edges, self._uvs, self._normals, self._textures,
                self._details, self._scales, self._texels, self._table, lens,
                np.ascontiguousarray(cameras[s][:3, :3]), cameras[s][:3, 3].copy(),
                self._light.direction, self._light.sun, self._light.ambient, shadow,
                self._shadow_frame, contact, self._contact_frame, self._sky, 0.25 * s, out,
            )  # fmt: skip
        depth, owner = self.truth(index)
        image = self._developed(out / len(_OFFSETS), index)
        return Picture(image=image, depth=depth, owner=owner)

    def truth(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Depth z (H, W) float32 and owner (H, W) int8 at the frame's own time."""
        world, k = self.world, self.world.intrinsics
        time = world.times[[index]]
        people = [self._bodies_at(time, n)[0] for n in range(len(world.performers))]
        lens = np.array([k.fx, k.fy, k.cx, k.cy])
        inverse_depth, face = self._visible(world.Ts_world_camera[index], people, lens)
        owner = np.searchsorted(self._first, face, side="right").astype(np.int8)
        with np.errstate(divide="ignore"):
            return 1 / inverse_depth, owner

    def _visible(
        self, T_world_camera: Array, people: list[Array], lens: Array
    ) -> tuple[np.ndarray, np.ndarray]:
        k = self.world.intrinsics
        inverse_depth = np.zeros((k.height, k.width), np.float32)
        owner = np.full((k.height, k.width), -1, np.int32)
        T = invert_transform(T_world_camera)
        meshes = [(self.place.vertices, self.place.faces), *(
            (points, d.rig.faces) for points, d in zip(people, self._dressed, strict=True)
        )]  # fmt: skip
        first = [0, *self._first]
        for n, (points, faces) in enumerate(meshes):
            rows = self._edges[first[n] : first[n] + len(faces)]
            local = points @ T[:3, :3].T + T[:3, 3]
            draw(local, faces, n > 0, lens, rows, inverse_depth, owner, first[n])
        return inverse_depth, owner

    def _bodies_at(self, times: Array, n: int) -> np.ndarray:
        """Vertices (M, V, 3) of person n's clothes at some times."""
        poses = self.world.performers[n].poses
        root, rotations = _at(times, self.world.times, poses.root, poses.rotations)
        posed = BodyPoses(root=root, rotations=rotations)
        return self._dressed[n].rig.vertices(posed).astype(float)

    def _developed(self, light: np.ndarray, index: int) -> np.ndarray:
        """The camera's picture: its lens is not quite sharp, highlights roll off, pixels err."""
        rng = self.world.rng(1000 + index)
        x = cv2.GaussianBlur(self._exposure[index] * light.astype(np.float32), (0, 0), self._blur)
        x = np.where(x < 0.7, x, 0.7 + 0.3 * np.tanh((x - 0.7) / 0.3))
        x = 255 * np.maximum(x, 0) ** np.float32(1 / 2.2)
        noise = rng.standard_normal(x.shape[:2], dtype=np.float32)[..., None]
        tint = rng.standard_normal(x.shape, dtype=np.float32)
        x = x + self._grain * (0.8 * noise + 0.4 * tint)
        return np.clip(x + 0.5, 0, 255).astype(np.uint8)


def _place(world: StagedWorld, atlas: tx.Atlas, rng: np.random.Generator) -> Mesh:
    """Room or street along the people's way, with what their motions need."""
    roots = np.concatenate([p.poses.root for p in world.performers])
    way = roots[-1] - roots[0]
    long = np.linalg.norm(way[:2]) > 3
    yaw = float(np.arctan2(way[1], way[0])) if long else float(rng.uniform(0, np.pi))
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, s], [-s, c]])
    moving = np.concatenate([world.Ts_world_camera[:, :2, 3], roots[:, :2]]) @ turn.T
    extent = np.stack([moving.min(axis=0) - 0.5, moving.max(axis=0) + 0.5])
    builder = Builder(atlas, rng)
    (build_room if world.spec.place == "room" else build_street)(builder, extent)
    wood = [atlas.add(tx.planks(rng, 128, 256, ppm=200, color=(0.6, 0.45, 0.3))) for _ in range(3)]
    for person in world.performers:
        for box in person.props:
            builder.prop(box.corners() @ _lifted(turn).T, wood[0])
    return builder.mesh(yaw)


def _lifted(turn: Array) -> Array:
    out = np.eye(3)
    out[:2, :2] = turn
    return out


def _light(place: str, rng: np.random.Generator) -> Light:
    angle = rng.uniform(0, 2 * np.pi)
    if place == "room":
        tilt, sun, ambient = rng.uniform(0.2, 0.6), rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.55)
        warm, cool = np.array([1.0, 0.96, 0.88]), np.array([1.0, 0.98, 0.95])
    else:
        tilt, sun = rng.uniform(0.4, 1.0), rng.uniform(0.25, 1.1)
        ambient = 0.85 - 0.4 * sun
        warm, cool = np.array([1.0, 0.95, 0.86]), np.array([0.92, 0.97, 1.06])
    level = np.sin(tilt) * np.array([np.cos(angle), np.sin(angle), 0.0])
    direction = level + np.array([0, 0, np.cos(tilt)])
    return Light(direction=direction, sun=sun * warm, ambient=ambient * cool)


def _bracket(own: Array, times: Array) -> slice:
    """The frames round some moments."""
    first = max(0, int(np.searchsorted(own, times[0])) - 1)
    return slice(first, min(len(own), int(np.searchsorted(own, times[-1], side="right")) + 1))


def _at(times: Array, own: Array, places: Array, turns: Array) -> tuple[Array, Array]:
    """Places (M, 3) and rotations (M, ..., 3, 3) between frames; beyond the ends as there."""
    times = np.clip(times, own[0], own[-1])
    rows = _bracket(own, times)
    found = [np.interp(times, own[rows], column) for column in places[rows].T]
    return np.stack(found, axis=-1), slerp_matrices(times, own[rows], turns[rows])
