"""A scene's splats and avatars as viewers take them."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

import numpy as np

from recon.core.errors import ReconError
from recon.core.geometry import Array
from recon.core.scene import Scene
from recon.core.splat_view import SplatCloud, SplatPicture
from recon.performers import Performer, avatar_files, scene_performers
from recon.runner import Watcher
from recon.splat_clouds import cloud

if TYPE_CHECKING:
    from splatting.gaussians import Gaussians


def find_scene_splats(scene: Scene, watcher: Watcher) -> SceneSplats | None:
    """The scene's place and avatars, as far as they fit its present world; None if there are none.

    What does not fit is left out, and the watcher is told why.
    """
    from recon.compose import place_of
    from recon.splat import default_folder
    from recon.splat_results import SPLATS

    place, cast = None, []
    try:
        if (default_folder(scene.path) / SPLATS).exists():
            place = place_of(scene)[0]
    except ReconError as error:
        watcher.note(f"splats are left out: {error}")
    try:
        if avatar_files(scene.path):
            cast = scene_performers(scene, watcher=watcher)
    except ReconError as error:
        watcher.note(f"avatars are left out: {error}")
    if place is None and not cast:
        return None
    return SceneSplats(scene.video.times, place, cast)


class SceneSplats:
    """Place and people over a scene's frames; see `recon.core.splat_view.SplatStage`."""

    def __init__(self, times: Array, place: Gaussians | None, cast: list[Performer]) -> None:
        self.people = frozenset(one.avatar.track_id for one in cast)
        self._place = place
        self._cast = [(one.avatar.track_id, one.at(times)) for one in cast]

    def place(self) -> SplatCloud | None:
        return None if self._place is None else cloud(self._place)

    def cast(self, frame: int, without: Set[int] = frozenset()) -> SplatCloud | None:
        people = self._people(frame, without)
        return cloud(people) if people else None

    def picture(
        self, frame: int, T_world_camera: Array, K: Array, size: tuple[int, int]
    ) -> SplatPicture:
        from recon.shots import Views, take_shots
        from splatting.gaussians import joined

        parts = [g for g in (self._place, self._people(frame)) if g is not None]
        if not parts:
            empty = np.zeros(size[::-1])
            return SplatPicture(
                color=np.zeros((*empty.shape, 3), np.uint8), alpha=empty, depth=empty
            )
        views = Views(eyes=(T_world_camera[None],), K=K, size=size)
        shot = next(take_shots([joined(parts)], views))
        return SplatPicture(color=shot.picture, alpha=shot.alpha, depth=shot.depth)

    def _people(self, frame: int, without: Set[int] = frozenset()) -> Gaussians | None:
        from splatting.gaussians import joined

        cast = [one for track_id, one in self._cast if track_id not in without]
        there = [g for one in cast if (g := one.gaussians(frame)) is not None]
        return joined(there) if there else None
