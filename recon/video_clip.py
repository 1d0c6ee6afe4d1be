"""The clip that `recon splat --video` works on: of a video alone, or with what its scene knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.people import PersonTrack, row_at
from recon.core.scene import Scene
from recon.core.video import Frame
from recon.options_video import VideoSplatOptions
from recon.runner import Watcher
from recon.video import VideoConfig, VideoReader

if TYPE_CHECKING:
    from splatting.video.clip import Clip

ASSUMED_FOV_DEG = 55.0
"""Across the longer side, where no camera is known: about a phone's."""
SLOWEST_HZ = 10.0
"""A video of fewer frames a second gives fewer frames than were asked for."""


@dataclass(frozen=True, kw_only=True)
class LoadedClip:
    """A clip, and what the user should know of it, in words."""

    clip: Clip
    notes: tuple[str, ...]


def load_clip(source: Path, options: VideoSplatOptions, watcher: Watcher) -> LoadedClip:
    """The first frames of a video file, of a folder of images, or of a scene's video.

    Raises:
        InputError: it is none of these, or has too few frames there.
    """
    if (source / "scene.json").exists():
        return _of_scene(Scene.open(source), options, watcher)
    return _of_video(source, options, watcher)


def _of_video(source: Path, options: VideoSplatOptions, watcher: Watcher) -> LoadedClip:
    from splatting.video.assumed import ASSUMED, assumed_depth, moving_foreground, standing
    from splatting.video.clip import Clip

    end = options.start + (options.frames + 1) / SLOWEST_HZ
    with watcher.stage("frames", "of a video alone") as progress:
        config = VideoConfig(start=options.start or None, end=end)
        reader = VideoReader.open(source, config, progress=progress)
    info = reader.info
    images, times, _ = _pictures(reader, options, (info.width, info.height))
    height, width = images.shape[1:3]
    if info.focal_px is None:
        camera = Intrinsics.from_fov(width, height, fov_deg=ASSUMED_FOV_DEG, source="prior")
    else:
        f, size = info.focal_px, (info.width, info.height)
        camera = Intrinsics(
            fx=f, fy=f, cx=size[0] / 2, cy=size[1] / 2, width=size[0], height=size[1]
        ).resized(width, height)
    with watcher.stage("movers", "nobody has looked for people"):
        foreground = moving_foreground(images)
    ground = assumed_depth(height, width)
    depth = np.stack([standing(ground, mask) for mask in foreground])
    clip = Clip(
        images=images, times=times, K=camera.matrix, foreground=foreground, depth=depth,
        depth_weight=np.ones_like(depth), unit="assumed metres",
    )  # fmt: skip
    return LoadedClip(clip=clip, notes=(*info.warnings, ASSUMED))


def _of_scene(scene: Scene, options: VideoSplatOptions, watcher: Watcher) -> LoadedClip:
    from recon.export.overlay import check_filmed, open_frames
    from recon.video_depth import known_depth
    from splatting.video.clip import Clip

    check_filmed(scene)
    info = scene.video
    with watcher.stage("frames", "of a scene"):
        images, times, rows = _pictures(open_frames(scene), options, (info.width, info.height))
    height, width = images.shape[1:3]
    people = {t.track_id: _masks(t, rows, (width, height), width / info.width)
              for t in scene.tracks}  # fmt: skip
    known = known_depth(scene, rows, people, (width, height))
    everyone = np.zeros(images.shape[:3], bool)
    for masks in people.values():
        everyone |= masks
    clip = Clip(
        images=images, times=times, K=known.K, foreground=everyone, depth=known.depth,
        depth_weight=known.weight, unit=known.unit,
    )  # fmt: skip
    return LoadedClip(clip=clip, notes=known.notes)


def _pictures(
    frames: VideoReader, options: VideoSplatOptions, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (T, H, W, 3) of the wanted height and even sides, times (T,), frame indices (T,)."""
    scale = min(1.0, options.height / size[1])
    small = round(size[0] * scale / 2) * 2, round(size[1] * scale / 2) * 2

    def wanted() -> Iterator[Frame]:
        yield from (frame for frame in frames if frame.time >= options.start - 1e-6)

    found = [
        (cv2.resize(frame.image, small, interpolation=cv2.INTER_AREA), frame.time, frame.index)
        for frame in islice(wanted(), options.frames)
    ]
    if not found:
        raise InputError(
            f"expected frames after --start {options.start:g}, got none; use an earlier --start"
        )
    images, times, rows = zip(*found, strict=True)
    return np.stack(images), np.array(times, float), np.array(rows, int)


def _masks(track: PersonTrack, rows: np.ndarray, size: tuple[int, int], scale: float) -> np.ndarray:
    """(T, H, W) bool where one person is seen, and a little around: an edge left to the background
    would stay behind as a dark line in other views."""
    out = np.zeros((len(rows), size[1], size[0]), bool)
    for k, frame in enumerate(rows.tolist()):
        if (row := row_at(track.frame_idx, frame)) is not None:
            mask = track.masks.render(row, height=size[1], width=size[0], scale=scale)
            out[k] = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return out
