"""Where `recon splat` takes its photographs from: a scene's video, or somebody's folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from recon.core.errors import InputError
from recon.core.placed import PlacedCamera, placed_camera
from recon.core.scene import Scene
from recon.options import SplatOptions
from recon.runner import Watcher
from recon.video import VideoReader

if TYPE_CHECKING:
    from splatting.photos import Photos
    from splatting.stage_set import StageSet

MOST_FRAMES = 150
LONG_SIDE, MIN_SIDE = 640, 16
_COLMAP_MODELS = ("sparse/0", "sparse", "colmap", ".")
_NO_PARALLAX = (
    "the camera stands at one place: pictures from there will be right, but nothing tells how far "
    "things are, so expect other views to fall apart"
)
_STAGE_SET = (
    "the camera stands at one place: nothing tells how far things are, so the place is a floor "
    "and a backdrop {far:.1f} m away; other views are right of the floor and the people alone"
)
BACKDROP, BACKDROP_POINTS = 1.6, 12_000
"""Of the farthest person's distance, how far the backdrop hangs; points that it starts from."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Photographs to train on, and what the user should know of them, in words.

    `stage`: where things are taken to be, if the photographs are from one place.
    """

    photos: Photos
    notes: tuple[str, ...] = ()
    stage: StageSet | None = None


def load_photos(source: Path, options: SplatOptions, watcher: Watcher) -> Loaded:
    """The photographs of a scene, of NeRF's transforms.json, or of a COLMAP folder.

    Raises:
        InputError: it is none of these, or has fewer than two usable pictures.
        StaleSceneError: the scene's camera has not been found.
    """
    from splatting.photos import load_colmap, load_nerf

    if (source / "scene.json").exists():
        return _of_scene(Scene.open(source), options, watcher)
    scale = options.scale or 1.0
    if (source / "transforms.json").exists():
        return _given(load_nerf(source, scale=scale))
    for name in _COLMAP_MODELS:
        folder = source / name
        if any((folder / f"cameras{suffix}").exists() for suffix in (".bin", ".txt")):
            images = source / "images" if (source / "images").is_dir() else source
            return _given(load_colmap(folder, images, scale=scale))
    raise InputError(
        f"expected a scene, a folder with transforms.json, or a COLMAP folder (images and "
        f"sparse/0), got {source}; make a scene with: recon run VIDEO"
    )


def _given(photos: Photos) -> Loaded:
    """Somebody's photographs, and how many of them could not be used."""
    height, width = photos.images.shape[1:3]
    _check_side(width, height)
    if not photos.left_out:
        return Loaded(photos=photos)
    listed = len(photos) + photos.left_out
    note = f"{photos.left_out} of {listed} listed pictures are missing or cannot be read: left out"
    return Loaded(photos=photos, notes=(note,))


def _check_side(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"--scale: expected pictures of {MIN_SIDE} px or more, got {width}x{height}"
        )


def _of_scene(scene: Scene, options: SplatOptions, watcher: Watcher) -> Loaded:
    """A scene's sharpest frames with its people ignored, in the frame where it is best placed."""
    from recon.export.overlay import check_filmed, open_frames
    from slam.masks import people_masks
    from splatting.photos import Photos

    check_filmed(scene)
    camera, placed, info = scene.camera, placed_camera(scene), scene.video
    scale = options.scale or min(1.0, LONG_SIDE / max(info.width, info.height))
    width, height = round(info.width * scale), round(info.height * scale)
    _check_side(width, height)
    usable = np.flatnonzero(placed.tracked)
    every = options.every or -(-len(usable) // MOST_FRAMES)
    masks_of = people_masks(scene.tracks, info)
    reader = open_frames(scene)
    with watcher.stage("pictures", f"the sharpest of every {every}" if every > 1 else "all"):
        frames = sharpest(reader, usable, every, (width, height))
    if len(frames) < 2:
        raise InputError(f"expected 2 frames with a camera or more in {scene.path}, got "
                         f"{len(frames)}; use a smaller --every or a longer video")  # fmt: skip
    masks = [masks_of(index, height, width) for index in frames]
    blank = np.zeros((height, width), bool)
    rows = list(frames)
    stage = _stage_set(scene, placed) if camera.kind != "moving" else None
    notes = () if camera.kind == "moving" else (_NO_PARALLAX,)
    if stage is not None:
        notes = (_STAGE_SET.format(far=stage.far),)
    if len(usable) < len(info.times):
        notes += (f"{len(info.times) - len(usable)} frames whose camera is not known are left out",)
    if any(mask is not None and mask.mean() > 0.5 for mask in masks):
        notes += ("people fill half of some pictures; what they hide everywhere stays unknown",)
    photos = Photos(
        images=np.stack(list(frames.values())),
        Ts_world_camera=placed.Ts_frame_camera[rows],
        Ks=np.repeat(camera.intrinsics.resized(width, height).matrix[None], len(rows), axis=0),
        names=tuple(f"frame{index:06d}" for index in rows),
        ignored=np.stack([blank if mask is None else mask for mask in masks])
        if any(mask is not None for mask in masks)
        else None,
        points=placed.points if len(placed.points) else None,
        colours=placed.colors / 255 if len(placed.points) else None,
    )
    if stage is not None:
        points, colours = stage.points(photos, BACKDROP_POINTS)
        photos = replace(photos, points=points, colours=colours)
    return Loaded(photos=photos, notes=notes, stage=stage)


def _stage_set(scene: Scene, placed: PlacedCamera) -> StageSet | None:
    """A floor and a backdrop behind everybody; None where nobody is placed in the world."""
    from splatting.stage_set import StageSet

    if placed.frame != "world" or not scene.world_motions:
        return None
    Ts = placed.Ts_frame_camera[placed.tracked]
    centre, axis = np.median(Ts[:, :3, 3], axis=0), Ts[:, :3, 2].mean(axis=0) * [1, 1, 0]
    away = np.concatenate([m.poses_world.root for m in scene.world_motions]) - centre
    # Across its view if the camera stands still; all around if it turns, or looks straight down.
    length = float(np.linalg.norm(axis))
    flat = scene.camera.kind in ("static", "zooming") and length > 0.1
    depths = away @ axis / length if flat else np.linalg.norm(away[:, :2], axis=1)
    far = BACKDROP * max(float(np.percentile(depths, 98)), 1.0)
    return StageSet(centre=centre, far=far, axis=axis / length if flat else None)


def sharpest(
    reader: VideoReader, usable: np.ndarray, every: int, size: tuple[int, int]
) -> dict[int, np.ndarray]:
    """Of every so many usable frames the sharpest, (H, W, 3) of this size, by frame index."""
    group = {index: k // every for k, index in enumerate(usable.tolist())}
    best: dict[int, tuple[float, int, np.ndarray]] = {}
    for frame in reader:
        key = group.get(frame.index)
        if key is None:
            continue
        image = np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA))
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        detail = float(cv2.Laplacian(grey, cv2.CV_32F).var())
        if key not in best or detail > best[key][0]:
            best[key] = (detail, frame.index, image)
    return {index: image for _, index, image in best.values()}
