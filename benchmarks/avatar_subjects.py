"""Rendered people for the avatars' benchmark: turning pictures to learn from, new ones to meet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from recon.motion import procedural
from recon.synth.cameras import look_at
from recon.synth.render import Renderer
from recon.synth.world import StagedWorld, WorldSpec, stage_world
from splatting.avatars.photos import AvatarPhotos, crop_of

FPS, FOV_DEG, DISTANCE = 30.0, 42.0, 3.1
TRAIN_STEP, TEST_STEP = 2, 5
"""Video frames from one picture to the next."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One person with true poses and cameras, before and after."""

    rig: Rig
    train: AvatarPhotos
    test: AvatarPhotos


def render_subject(seed: int, *, train: int = 100, test: int = 30, size: int = 384) -> Subject:
    """A random body in random clothes in a room.

    It turns about once before a camera that stands, reaching up and down, for the pictures to
    train on; then it dances, while a camera goes once round it, low and high. Light stays, and so
    does the exposure.

    Args:
        train, test: how many pictures. size: side of the square crops, px.
    """
    first, second = train * TRAIN_STEP, test * TEST_STEP
    world = _staged(seed, first, second, size)
    renderer = Renderer(world, steady=True)
    rows = np.arange(0, first, TRAIN_STEP), first + TEST_STEP // 2 + np.arange(0, second, TEST_STEP)
    photos = [_photographed(renderer, r, size) for r in rows]
    return Subject(rig=world.performers[0].rig, train=photos[0], test=photos[1])


def _staged(seed: int, first: int, second: int, size: int) -> StagedWorld:
    """The world with the two parts one after the other."""
    video = 2 * round(0.65 * size)
    spec = WorldSpec(
        seed=seed, camera="static", actions=("stand",), frames=first + second, fps=FPS,
        size=(video, video), fov_deg=FOV_DEG,
    )  # fmt: skip
    world = stage_world(spec)
    person = world.performers[0]
    turning = procedural("reach", person.rig, times=np.arange(first) / FPS, seed=seed).poses
    dancing = procedural("dance", person.rig, times=np.arange(second) / FPS, seed=seed + 1).poses
    angles = np.linspace(0, 2 * np.pi, first, endpoint=False)
    poses = _joined(_turned(turning, angles), dancing)
    middle = np.array([0, 0, 0.9])
    standing = np.tile([DISTANCE, 0, 1.3], (first, 1))
    around = np.linspace(0, 2 * np.pi, second, endpoint=False) + 0.4
    height = 1.3 + 0.7 * np.sin(2 * around)
    level = np.sqrt(DISTANCE**2 - (height - middle[2]) ** 2)
    walking = np.stack([level * np.cos(around), level * np.sin(around), height], axis=1)
    targets = np.concatenate([np.tile(middle, (first, 1)), _along(dancing.root)])
    eyes = np.concatenate([standing, walking + targets[first:] * [1, 1, 0]])
    return replace(
        world, Ts_world_camera=look_at(eyes, targets),
        performers=(replace(person, poses=poses, props=()),),
        intrinsics=Intrinsics.from_fov(video, video, fov_deg=FOV_DEG, source="user"),
    )  # fmt: skip


def _along(roots: Array) -> Array:
    """Where a camera looks that follows the body calmly."""
    out = np.empty_like(roots)
    out[:] = roots.mean(axis=0)
    out[:, 2] = 0.9
    return out


def _turned(poses: BodyPoses, angles: Array) -> BodyPoses:
    """The poses on the spot, each turned about the vertical."""
    turn = rotvec_to_matrix(angles[:, None] * np.array([0.0, 0.0, 1.0]))
    rotations = poses.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    return BodyPoses(root=np.einsum("tab,tb->ta", turn, poses.root), rotations=rotations)


def _joined(a: BodyPoses, b: BodyPoses) -> BodyPoses:
    return BodyPoses(
        root=np.concatenate([a.root, b.root]), rotations=np.concatenate([a.rotations, b.rotations])
    )


def _photographed(renderer: Renderer, rows: np.ndarray, size: int) -> AvatarPhotos:
    """Crops with true masks, cameras and poses."""
    world = renderer.world
    poses = world.performers[0].poses
    images, masks, Ks = [], [], []
    for row in rows:
        picture = renderer.frame(int(row))
        mask = np.where(picture.owner == 1, 255, 0).astype(np.uint8)
        ys, xs = np.nonzero(mask)
        centre = 0.5 * np.array([xs.min() + xs.max() + 1, ys.min() + ys.max() + 1])
        corner = np.round(centre) - size / 2
        box = np.concatenate([corner, corner + size])
        image, A = crop_of(picture.image, box, (size, size))
        images.append(image)
        masks.append(crop_of(mask, box, (size, size))[0])
        Ks.append(A @ world.intrinsics.matrix)
    return AvatarPhotos(
        images=np.stack(images), masks=np.stack(masks), Ks=np.stack(Ks),
        Ts_world_camera=world.Ts_world_camera[rows],
        poses=BodyPoses(root=poses.root[rows], rotations=poses.rotations[rows]),
        times=world.times[rows], frame_idx=rows.astype(int),
    )  # fmt: skip
