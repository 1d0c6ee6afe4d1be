"""People's avatars as nodes of a viser scene."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from recon.core.geometry import matrix_to_quat
from recon.core.splat_view import SplatCloud, SplatStage
from viewer.splat_parts import SplatParts
from viewer.splats import splat_arrays
from viewer.world import World

if TYPE_CHECKING:
    from viser import SceneApi  # pyright: ignore[reportMissingImports]

_MOMENTS = 8
"""Of a person's frames that are looked at for what moves together."""


class WebAvatars(Protocol):
    """Avatars on a page; `nodes` are those that `show` sets to a frame, but for some people."""

    nodes: list[Any]

    def show(self, frame: int, without: Set[int]) -> None: ...


class SentAvatars:
    """Avatars as they are, sent anew for every moment."""

    def __init__(self, api: SceneApi, stage: SplatStage, world: World) -> None:
        self._stage = stage
        casts = (stage.cast(frame) for frame in range(len(world.times)) if stage.people)
        first = next((cast for cast in casts if cast is not None), None)
        self.nodes = []
        if first is not None:
            self.nodes.append(api.add_gaussian_splats("/avatars", *splat_arrays(first)))

    def show(self, frame: int, without: Set[int]) -> None:
        people = self._stage.cast(frame, without)
        for node in self.nodes:
            node.visible = people is not None
            if people is not None:
                node.set_gaussians(*splat_arrays(people))


class CarriedAvatars:
    """Avatars for recordings: sent once, in parts that are carried; about 3 mm off.

    Args:
        grain: what places (metres) and quaternions are rounded to.
    """

    def __init__(self, api: SceneApi, stage: SplatStage, world: World, *, grain: float) -> None:
        self._stage, self._grain = stage, grain
        self._people: dict[int, tuple[SplatParts, list[Any]]] = {}
        self.nodes = []
        for motion in (person.motion for person in world.people):
            rows = np.linspace(0, len(motion.frame_idx) - 1, _MOMENTS).round().astype(int)
            frames = np.unique(motion.frame_idx[rows]).tolist()
            casts = [self._one(motion.track_id, frame) for frame in frames]
            if clouds := [cloud for cloud in casts if cloud is not None]:
                parts, top = SplatParts.of(clouds), f"/avatar {motion.track_id}"
                self.nodes.append(api.add_frame(top, show_axes=False))
                nodes = [api.add_gaussian_splats(f"{top}/{k}", *splat_arrays(cloud))
                         for k, cloud in enumerate(parts.clouds())]  # fmt: skip
                self._people[motion.track_id] = parts, nodes

    def show(self, frame: int, without: Set[int]) -> None:
        for top, (track_id, (parts, nodes)) in zip(self.nodes, self._people.items(), strict=True):
            cloud = None if track_id in without else self._one(track_id, frame)
            top.visible = cloud is not None
            if cloud is None:
                continue
            rotations, places = parts.carried(cloud.means)
            quats = np.round(matrix_to_quat(rotations) / self._grain) * self._grain
            places = np.round(places / self._grain) * self._grain
            for node, quat, place in zip(nodes, quats, places, strict=True):
                node.wxyz, node.position = quat, place

    def _one(self, track_id: int, frame: int) -> SplatCloud | None:
        if track_id not in self._stage.people:
            return None
        return self._stage.cast(frame, self._stage.people - {track_id})
