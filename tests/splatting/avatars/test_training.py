from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix
from recon.core.people import BodyPoses
from recon.synth.cameras import look_at
from splatting.avatars.avatar import Avatar
from splatting.avatars.evaluation import draw, score
from splatting.avatars.motion import corrected
from splatting.avatars.photos import AvatarPhotos, crop_of
from splatting.avatars.surface import Surface, SurfaceRates
from splatting.avatars.training import AvatarConfig, AvatarTraining
from splatting.gaussians import Gaussians
from splatting.harmonics import rgb_to_sh
from tests.splatting.avatars.people import JOINT, small_binding, small_rig, some_poses

SIZE = 80


def turning_poses(count: int) -> BodyPoses:
    """About once around, arms moving a little."""
    one = some_poses(1, spread=0.0)
    turn = rotvec_to_matrix(np.linspace(0, 2 * np.pi, count)[:, None] * np.array([0, 0, 1.0]))
    rotations = np.repeat(one.rotations, count, axis=0)
    rotations[:, 0] = turn @ rotations[:, 0]
    down = rotvec_to_matrix(np.linspace(-0.8, 0.2, count)[:, None] * np.array([0, 0, 1.0]))
    rotations[:, JOINT["left_shoulder"]] = down
    return BodyPoses(root=np.tile([0.0, 0.0, 0.9], (count, 1)), rotations=rotations)


def painted() -> Gaussians:
    """Truth on the small body: colours that depend on the place."""
    binding = small_binding()
    rgb = 0.5 + 0.4 * np.sin(9 * binding.rest_points @ np.array([[1, 0, 2], [2, 1, 0], [0, 3, 1]]))
    surface = Surface(
        binding, torch.tensor(rgb, dtype=torch.float32), bounds=(0.1, 0.03), rates=SurfaceRates()
    )
    truth = surface.gaussians()
    return replace(truth, opacities=torch.full_like(truth.opacities, 0.98))


@cache
def photographed(count: int = 16) -> AvatarPhotos:
    """Pictures of the truth in front of grey, from one place."""
    poses = turning_poses(count)
    T = look_at(np.array([2.0, 0, 1.1]), np.array([0, 0, 0.95]))
    K = np.array([[75.0, 0, SIZE / 2], [0, 75.0, SIZE / 2], [0, 0, 1]])
    blank = np.zeros((count, SIZE, SIZE, 3), np.uint8)
    photos = AvatarPhotos(
        images=blank, masks=blank[..., 0] + 255, Ks=np.repeat(K[None], count, 0),
        Ts_world_camera=np.repeat(T[None], count, 0),
        poses=poses, times=np.arange(count) / 10, frame_idx=np.arange(count),
    )  # fmt: skip
    training = AvatarTraining(small_binding(), photos, AvatarConfig(steps=1))
    images, masks = [], []
    for i in range(count):
        posed = training.posed(painted(), i)
        white = draw(posed, photos, i).numpy()
        black = draw(replace(posed, sh=posed.sh - 1e3), photos, i).numpy()
        alpha = 1 - black.mean(axis=-1, keepdims=True)
        images.append(white - 0.5 * (1 - alpha))
        masks.append(alpha[..., 0])
    to_bytes = [
        (255 * np.clip(np.stack(p), 0, 1)).round().astype(np.uint8) for p in (images, masks)
    ]
    return replace(photos, images=to_bytes[0], masks=to_bytes[1])


def trained(photos: AvatarPhotos, **settings: Any) -> AvatarTraining:
    training = AvatarTraining(small_binding(), photos, AvatarConfig(**settings))
    training.run()
    return training


def made(training: AvatarTraining) -> Avatar:
    return training.avatar(model="ellipsoids", licence="none", track_id=1, source="a test")


@pytest.fixture(scope="module")
def fitted() -> AvatarTraining:
    train, _ = photographed().split(4)
    return trained(train, steps=120, refine_motion=False)


def test_pictures_that_were_not_trained_on_are_met(fitted: AvatarTraining) -> None:
    _, held_out = photographed().split(4)
    assert held_out is not None and len(held_out) == 4
    scores = score(made(fitted), held_out)
    assert scores["psnr"] > 25 and scores["psnr_person"] > 17 and scores["ssim"] > 0.93, scores


def test_gaussians_stay_near_the_body_and_of_sensible_size(fitted: AvatarTraining) -> None:
    surface = fitted.surface
    bounds = torch.tensor([0.03, 0.03, 0.1])
    assert (surface.shifts.abs() <= bounds).all() and (surface.shifts != 0).any()
    factor = torch.exp(surface.log_scales.values - surface.first_log_scales)
    assert factor.min() > 0.149 and factor.max() < 3.001


def test_what_no_picture_shows_is_marked_and_takes_the_other_sides_colours() -> None:
    photos, binding = photographed(), small_binding()
    # Somebody else stands before the left arm all the time.
    arm = binding.skinning[:, [JOINT["left_elbow"], JOINT["left_wrist"]]].sum(dim=1) > 0.9
    training = AvatarTraining(binding, photos, AvatarConfig(steps=1))
    white = rgb_to_sh(arm.float()[:, None, None].expand(-1, 1, 3))
    marks = replace(painted(), sh=white)
    drawn = [draw(training.posed(marks, i), photos, i).numpy() for i in range(len(photos))]
    hidden = (np.stack(drawn).max(axis=-1) > 0.02) & (photos.masks > 0)
    avatar = made(trained(replace(photos, ignored=hidden), steps=20, refine_motion=False))
    assert avatar.seen[arm].mean() < 0.02 and avatar.seen[~arm].mean() > 0.6
    mirrored = binding.rest_points[arm] * [-1, 1, 1]
    other = np.linalg.norm(binding.rest_points[None] - mirrored[:50, None], axis=-1).argmin(axis=1)
    both = avatar.seen[other]
    guess, right = avatar.gaussians.sh[arm][:50][both, 0], avatar.gaussians.sh[other][both, 0]
    assert (guess - right).abs().median() < 0.3


def test_a_wrong_motion_is_corrected() -> None:
    photos, rig = photographed(), small_rig()
    bend = np.zeros((len(photos), 52, 3))
    bend[:, [JOINT["left_shoulder"], JOINT["right_hip"]], 2] = 0.2
    rotations = photos.poses.rotations @ rotvec_to_matrix(bend)
    wrong = BodyPoses(root=photos.poses.root + np.array([0.0, 0.03, 0.03]), rotations=rotations)
    training = AvatarTraining(
        small_binding(), replace(photos, poses=wrong),
        AvatarConfig(steps=120, coarse_until=0, turn_rate=1e-2, shift_rate=4e-3,
                     rates=SurfaceRates(offsets=0, colours=0)),
    )  # fmt: skip
    # What the person looks like is known here, so that only the motion is to be found.
    training.surface.sh.values.data[:] = painted().sh
    training.run()

    def away(poses: BodyPoses) -> float:
        joints = rig.joints(poses)[1] - rig.joints(photos.poses)[1]
        return float(np.linalg.norm(joints[:, :22], axis=-1).mean())

    assert away(training.motion.poses()) < 0.75 * away(wrong)


def test_pictures_without_the_person_are_refused() -> None:
    photos = photographed()
    with pytest.raises(InputError, match="meet, got none"):
        trained(replace(photos, masks=np.zeros_like(photos.masks)), steps=1)


def test_corrections_between_frames_are_interpolated() -> None:
    photos = photographed()
    motion = AvatarTraining(small_binding(), photos, AvatarConfig(steps=1)).motion
    with torch.no_grad():
        motion.shifts.weight[:, 2] = torch.arange(len(photos), dtype=torch.float32)
        motion.turns.weight[:, 1] = 0.1
    poses = BodyPoses(root=np.zeros((1, 3)), rotations=photos.poses.rotations[:1])
    between = corrected(poses, *motion.at(np.array([2.5])))
    np.testing.assert_allclose(between.root, [[0, 0, 2.5]])
    turned = photos.poses.rotations[0, 0] @ rotvec_to_matrix(np.array([0, 0.1, 0]))
    np.testing.assert_allclose(between.rotations[0, 0], turned, atol=1e-6)


def test_a_crop_and_its_map_agree() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:30, 40:50] = 255
    for size in ((40, 20), (160, 80), (20, 10)):
        crop, A = crop_of(image, np.array([30.0, 15.0, 70.0, 35.0]), size)
        x, y = (A @ [45.0, 25.0, 1])[:2]
        ys, xs = np.nonzero(crop[..., 0] > 127)
        assert abs(xs.mean() + 0.5 - x) < 0.6 and abs(ys.mean() + 0.5 - y) < 0.6


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="expected 4 pictures"):
        photographed().take(np.arange(4)).split(2)
