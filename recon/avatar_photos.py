"""Where `recon avatar` takes its pictures from: crops of one person out of a scene's video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recon.avatar_masks import MIN_PIXELS, PersonMask, SceneMasks
from recon.avatar_motion import dense
from recon.core.errors import InputError, StaleSceneError
from recon.core.geometry import Array
from recon.core.people import BodyPoses, WorldMotion
from recon.core.scene import Scene
from recon.export.motion import ExportPerson, export_people
from recon.export.overlay import check_filmed, open_frames
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
    """Pictures of one person, who it is, and what the user should know of them, in words.

    Args:
        photos: with the scene's poses. person: body and motion in the scene, all its frames.
    """

    photos: AvatarPhotos
    person: ExportPerson
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """The square around the person in one frame, in the frame's own pixels.

    Args:
        image: (S, S, 3) uint8. person: (S, S) uint8, 255 where they are. visible: (S, S) uint8, 0
            where somebody else or the picture's end hides them. A: (3, 3), pixels of the frame to
            the square's.
    """

    image: np.ndarray
    person: np.ndarray
    visible: np.ndarray
    A: Array


def load_person(scene: Scene, options: AvatarOptions, watcher: Watcher) -> PersonPhotos:
    """Crops around one person of a scene, at most `options.frames`, evenly over their frames.

    Frames count in which the person was tracked and fitted, and the camera is known. Other people
    in front of them, and what lies outside the picture, is ignored.

    Raises:
        InputError: no such person, too few frames of them, or the video is gone.
        StaleSceneError: the scene's people have not been placed in the world.
    """
    person, rows = _person(scene, options.person)
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
                    seen[frame.index] = _cut(frame.image, mask)
            if frame.index >= chosen[-1]:
                break
    kept = {i: s for i, s in seen.items() if len(s.image) >= MIN_SIDE}
    if len(kept) < MIN_PHOTOS:
        raise InputError(
            f"expected {MIN_PHOTOS} frames or more that show person {options.person} at "
            f"{MIN_SIDE} px or more, got {len(kept)}; choose another --person"
        )
    sides = [len(s.image) for s in kept.values()]
    side = 2 * round(0.5 * min(options.size, float(np.quantile(sides, TYPICAL))))
    photos = _photos(scene, person.motion, kept, side)
    return PersonPhotos(photos=photos, person=person, notes=_notes(photos, masks))


def _photos(scene: Scene, motion: WorldMotion, seen: dict[int, _Seen], side: int) -> AvatarPhotos:
    """What was seen, by frame, at one size of `side` px."""
    from splatting.avatars.photos import AvatarPhotos, crop_of

    images, masks, ignored, Ks = [], [], [], []
    for s in seen.values():
        whole, size = np.array([0.0, 0, len(s.image), len(s.image)]), (side, side)
        image, A = crop_of(s.image, whole, size)
        images.append(image)
        masks.append(crop_of(s.person, whole, size)[0])
        ignored.append(crop_of(s.visible, whole, size)[0] < 250)
        Ks.append(A @ s.A @ scene.camera.intrinsics.matrix)
    rows = np.array(list(seen))
    return AvatarPhotos(
        images=np.stack(images), masks=np.stack(masks), ignored=np.stack(ignored), Ks=np.stack(Ks),
        Ts_world_camera=scene.placement.Ts_world_camera[rows], poses=poses_of(motion, rows),
        times=scene.video.times[rows], frame_idx=rows,
    )  # fmt: skip


def _cut(image: np.ndarray, mask: PersonMask) -> _Seen:
    from splatting.avatars.photos import crop_of

    box = _square(mask)
    side = int(box[2] - box[0])
    square, A = crop_of(image, box, (side, side))
    person, visible = (
        crop_of(np.where(where, 255, 0).astype(np.uint8), box, (side, side))[0]
        for where in (mask.person, ~mask.others)
    )
    return _Seen(image=square, person=person, visible=visible, A=A)


def poses_of(motion: WorldMotion, frame_idx: np.ndarray) -> BodyPoses:
    """The poses in the world in some of the motion's frames (M,)."""
    rows, poses = np.searchsorted(motion.frame_idx, frame_idx), motion.poses_world
    return BodyPoses(root=poses.root[rows], rotations=poses.rotations[rows])


def _person(scene: Scene, number: int) -> tuple[ExportPerson, np.ndarray]:
    """A person of the scene, and the indices of the frames that can be used."""
    check_filmed(scene)
    if not scene.is_current("world"):
        raise StaleSceneError(
            f"expected a scene whose people are placed in the world, got {scene.path}; finish it "
            "with: recon run VIDEO"
        )
    people = {person.motion.track_id: person for person in export_people(scene)}
    if number not in people:
        there = ", ".join(map(str, sorted(people))) or "nobody"
        raise InputError(f"--person: expected one of {there} in {scene.path}, got {number}")
    motion = people[number].motion
    tracked = next(t.frame_idx for t in scene.tracks if t.track_id == number)
    usable = motion.observed & np.isin(motion.frame_idx, tracked)
    usable &= scene.camera.tracked[motion.frame_idx]
    if usable.sum() < MIN_PHOTOS:
        raise InputError(
            f"expected {MIN_PHOTOS} frames or more with person {number} and a known camera, got "
            f"{usable.sum()}; choose another --person"
        )
    return people[number], motion.frame_idx[usable]


def _square(mask: PersonMask) -> Array:
    """The square (4,) xyxy px around the person with a margin, on whole pixels."""
    ys, xs = np.nonzero(mask.person)
    low, high = np.array([xs.min(), ys.min()]), np.array([xs.max(), ys.max()]) + 1
    half = np.ceil((0.5 + MARGIN) * (high - low).max())
    middle = np.round(0.5 * (low + high))
    return np.concatenate([middle - half, middle + half])


def _notes(photos: AvatarPhotos, masks: SceneMasks) -> tuple[str, ...]:
    """What the user should know: sides that were never shown, pictures too far apart to correct
    the motion, masks that a network refused."""
    facing = photos.poses.rotations[:, 0] @ np.array([0.0, 0.0, 1.0])
    towards = photos.Ts_world_camera[:, :3, 3] - photos.poses.root
    angle = np.arctan2(facing[:, 1], facing[:, 0]) - np.arctan2(towards[:, 1], towards[:, 0])
    covered = np.unique(np.floor((angle % (2 * np.pi)) / (np.pi / 4)).astype(int))
    notes = ()
    if len(covered) < 5:
        notes += (
            f"the person is seen from {45 * len(covered)} of 360 degrees: the rest is a guess",
        )
    if not dense(photos.times):
        notes += ("its pictures are too far apart in time to refine the motion between them: it "
                  "stays the scene's; use more --frames",)  # fmt: skip
    if masks.disagreed:
        notes += (f"the mask network was not believed in {len(masks.disagreed)} frames",)
    return notes
