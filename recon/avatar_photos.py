"""Where `recon avatar` takes its pictures from: crops of one person out of a scene's video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recon.avatar_masks import MIN_PIXELS, PersonMask, SceneMasks
from recon.core.errors import InputError, StaleSceneError
from recon.core.geometry import Array
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.export.overlay import open_frames
from recon.options_avatars import AvatarOptions
from recon.runner import Watcher

if TYPE_CHECKING:
    from splatting.avatars.photos import AvatarPhotos

MARGIN = 0.08
"""Of the person's size, around them."""
MIN_SIDE, MIN_PHOTOS = 32, 8
TYPICAL = 0.9
"""Quantile of the person's sizes in the video that sets the crops' size."""


@dataclass(frozen=True, kw_only=True)
class PersonPhotos:
    """Pictures of one person, their body, and what the user should know of them, in words."""

    photos: AvatarPhotos
    rig: Rig
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One frame of the person: picture (H, W, 3) uint8, masks and the square (4,) around them."""

    image: np.ndarray
    mask: PersonMask
    box: Array


def load_person(scene: Scene, options: AvatarOptions, watcher: Watcher) -> PersonPhotos:
    """Crops around one person of a scene, at most `options.frames`, evenly over their frames.

    Frames count in which the person was tracked and fitted, and the camera is known. Other people
    in front of them, and what lies outside the picture, is ignored.

    Raises:
        InputError: no such person, too few frames of them, or the video is gone.
        StaleSceneError: the scene's people have not been placed in the world.
    """
    from splatting.avatars.photos import AvatarPhotos, crop_of

    rig, rows, poses = _motion(scene, options.person)
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, options.frames).round().astype(int))]
    masks = SceneMasks(scene, options.masks)
    seen: dict[int, _Seen] = {}
    wanted = set(chosen.tolist())
    with watcher.stage("pictures", f"{len(chosen)} of {len(rows)} frames") as progress:
        for frame in open_frames(scene):
            if frame.index in wanted:
                progress(len(seen), len(chosen))
                mask = masks.of(frame, options.person)
                if mask is not None and mask.person.sum() >= MIN_PIXELS:
                    seen[frame.index] = _Seen(image=frame.image, mask=mask, box=_square(mask))
            if frame.index >= chosen[-1]:
                break
    kept = [i for i, s in seen.items() if s.box[2] - s.box[0] >= MIN_SIDE]
    if len(kept) < MIN_PHOTOS:
        raise InputError(
            f"expected {MIN_PHOTOS} frames or more that show person {options.person} at "
            f"{MIN_SIDE} px or more, got {len(kept)}; choose another --person"
        )
    sides = [seen[i].box[2] - seen[i].box[0] for i in kept]
    side = 2 * round(0.5 * min(options.size, float(np.quantile(sides, TYPICAL))))
    images, persons, ignored, Ks = [], [], [], []
    K = scene.camera.intrinsics.matrix
    for i in kept:
        s = seen[i]
        image, A = crop_of(s.image, s.box, (side, side))
        visible = np.where(s.mask.others, 0, 255).astype(np.uint8)
        images.append(image)
        persons.append(crop_of(255 * s.mask.person.astype(np.uint8), s.box, (side, side))[0])
        ignored.append(crop_of(visible, s.box, (side, side))[0] < 250)
        Ks.append(A @ K)
    at = np.searchsorted(rows, kept)
    photos = AvatarPhotos(
        images=np.stack(images), masks=np.stack(persons), ignored=np.stack(ignored),
        Ks=np.stack(Ks), Ts_world_camera=scene.placement.Ts_world_camera[kept],
        poses=BodyPoses(root=poses.root[at], rotations=poses.rotations[at]),
        times=scene.video.times[kept], frame_idx=np.array(kept),
    )  # fmt: skip
    return PersonPhotos(photos=photos, rig=rig, notes=_notes(photos, masks))


def _motion(scene: Scene, person: int) -> tuple[Rig, np.ndarray, BodyPoses]:
    """The person's body, the frames that can be used, and the poses in the world there."""
    if imported := scene.manifest.get("imported"):
        raise InputError(
            f"expected the scene of a video, got {scene.path}, which was imported from "
            f"{imported['from']} and has no pictures"
        )
    if not scene.is_current("world"):
        raise StaleSceneError(
            f"expected a scene whose people are placed in the world, got {scene.path}; finish it "
            "with: recon run VIDEO"
        )
    motions = {motion.track_id: motion for motion in scene.world_motions}
    if person not in motions:
        there = ", ".join(map(str, sorted(motions))) or "nobody"
        raise InputError(f"--person: expected one of {there} in {scene.path}, got {person}")
    motion = motions[person]
    rigs = {m.track_id: r for m, r in zip(scene.camera_motions, scene.rigs, strict=True)}
    tracked = next(t.frame_idx for t in scene.tracks if t.track_id == person)
    usable = motion.observed & np.isin(motion.frame_idx, tracked)
    usable &= scene.camera.tracked[motion.frame_idx]
    if usable.sum() < MIN_PHOTOS:
        raise InputError(
            f"expected {MIN_PHOTOS} frames or more with person {person} and a known camera, got "
            f"{usable.sum()}; choose another --person"
        )
    poses = motion.poses_world
    return rigs[person], motion.frame_idx[usable], BodyPoses(
        root=poses.root[usable], rotations=poses.rotations[usable]
    )  # fmt: skip


def _square(mask: PersonMask) -> Array:
    """The square (4,) xyxy px around the person with a margin, on whole pixels."""
    ys, xs = np.nonzero(mask.person)
    low, high = np.array([xs.min(), ys.min()]), np.array([xs.max(), ys.max()]) + 1
    half = np.ceil((0.5 + MARGIN) * (high - low).max())
    middle = np.round(0.5 * (low + high))
    return np.concatenate([middle - half, middle + half])


def _notes(photos: AvatarPhotos, masks: SceneMasks) -> tuple[str, ...]:
    """What the user should know: sides that were never shown, masks that a network refused."""
    facing = photos.poses.rotations[:, 0] @ np.array([0.0, 0.0, 1.0])
    towards = photos.Ts_world_camera[:, :3, 3] - photos.poses.root
    angle = np.arctan2(facing[:, 1], facing[:, 0]) - np.arctan2(towards[:, 1], towards[:, 0])
    covered = np.unique(np.floor((angle % (2 * np.pi)) / (np.pi / 4)).astype(int))
    notes = ()
    if len(covered) < 5:
        notes += (
            f"the person is seen from {45 * len(covered)} of 360 degrees: the rest is a guess",
        )
    if masks.disagreed:
        notes += (f"the mask network was not believed in {len(masks.disagreed)} frames",)
    return notes
