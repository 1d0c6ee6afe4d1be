"""An avatar's network: it starts as the painted body, learns in two stages, fits in a file."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix
from splatting.avatars.avatar import Avatar
from splatting.avatars.evaluation import draw, score
from splatting.avatars.files import load_avatar, save_avatar
from splatting.avatars.network import NetworkShape, PosedAppearance
from splatting.avatars.network_training import NetworkConfig, NetworkTraining, paper_config
from splatting.avatars.photos import AvatarPhotos
from tests.splatting.avatars.people import JOINT, small_binding, small_rig, some_poses
from tests.splatting.avatars.test_training import photographed

SMALL: dict[str, Any] = {
    "resolution": 64, "feature_resolution": 32, "channels": 8, "hidden": 16, "encoder": 8,
    "coarse_until": 0.0, "together": 1, "colour_rate": 5e-2,
}  # fmt: skip


def training(photos: AvatarPhotos, **settings: Any) -> NetworkTraining:
    return NetworkTraining(small_binding(), photos, NetworkConfig(**(SMALL | settings)))


def made(run: NetworkTraining) -> Avatar:
    return run.result(small_rig(), track_id=1, source="a test").avatar


@cache
def trained() -> tuple[NetworkTraining, Avatar, Avatar]:
    """A training to its end, the avatar before it, and the one after it."""
    photos, _ = photographed().split(4)
    run = training(photos, steps=60, posed_from=0.8, refine_motion=False)
    before = made(run)
    run.run()
    return run, before, made(run)


def test_a_tiny_body_converges() -> None:
    run, before, after = trained()
    _, held_out = photographed().split(4)
    assert held_out is not None
    first, last = score(before, held_out), score(after, held_out)
    assert last["psnr_person"] > first["psnr_person"] + 0.5 and last["psnr"] > first["psnr"] + 0.5
    assert run.stage == 2 and before.neural is None and after.neural is not None


def test_sizes_are_isotropic_opacities_fixed_and_offsets_bounded() -> None:
    run, _, after = trained()
    rest = run.rest()
    assert (
        torch.equal(rest.scales[:, 0], rest.scales[:, 1]) and rest.opacities.unique().numel() == 1
    )
    _, offsets = run.network()
    assert offsets.abs().max() <= run.config.normal_bound and offsets.abs().max() > 0
    assert len(after) == len(run.binding)


def test_stage_2_begins_where_stage_1_ended() -> None:
    run = training(photographed(), steps=8, posed_from=0.5)
    run.step()
    with torch.no_grad():
        plain, _ = run.network()
        run._begin_stage_2()
        posed, _ = run.network(run._pose_features(3))
    assert run.stage == 2
    for name in ("means", "scales", "sh"):
        assert torch.equal(getattr(plain, name), getattr(posed, name))


def test_gradients_reach_the_poses() -> None:
    run = training(photographed(), together=2)
    run.step()
    run.step()
    moved = run.motion.shifts.weight.detach().norm(dim=1) > 0
    assert moved.sum() == 4 and set(range(16)) - set(run.order) == set(
        moved.nonzero()[:, 0].tolist()
    )
    assert (run.motion.turns.weight.detach()[moved].norm(dim=1) > 0).all()


def test_stage_2_leaves_motion_and_features_alone() -> None:
    run = training(photographed(), steps=6, posed_from=0.5)
    while run.stage == 1:
        run.step()
    motion, features = run.motion.shifts.weight.clone(), run.network.features.clone()
    encoder = run.network.encoder
    assert encoder is not None
    run.step()
    assert torch.equal(motion, run.motion.shifts.weight)
    assert torch.equal(features, run.network.features)
    assert encoder.last.weight.abs().max() > 0


def test_only_the_pose_counts_not_where_somebody_stands() -> None:
    run, _, _ = trained()
    rotations = torch.tensor(some_poses(1).rotations[0], dtype=torch.float32)
    turned = rotations.clone()
    turned[0] = torch.tensor(rotvec_to_matrix(np.array([0.3, 1.0, -0.5])), dtype=torch.float32)
    bent = rotations.clone()
    bent[JOINT["left_knee"]] = turned[0]
    with torch.no_grad():
        one, other, third = (
            run.network.pose_features(r, run.surface.skinning, run.rest_joints)
            for r in (rotations, turned, bent)
        )
    assert torch.equal(one, other) and not torch.allclose(one, third)


def test_an_appearance_that_follows_the_pose_is_learned() -> None:
    """The person is darker where the left arm is down, which only a pose encoder can know."""
    photos = photographed().take(np.arange(0, 16, 2))
    shares = np.where(np.arange(8) < 4, 0.4, 1.0)[:, None, None, None]
    photos = replace(photos, images=(photos.images * shares).astype(np.uint8))
    plain: dict[str, Any] = {"refine_motion": False, "exposure": False, "light": False}
    run = training(photos, **plain, steps=200, posed_from=0.2, pose_weight=0.0, network_rate=2e-2)
    run.run()
    avatar = made(run)
    assert avatar.neural is not None
    colours = torch.stack(
        [avatar.neural.rest_gaussians(avatar, photos.poses, i).sh.mean() for i in range(8)]
    )
    assert colours[:4].max() < colours[4:].min() - 0.003


def test_a_saved_avatar_draws_the_same_pictures(tmp_path: Path) -> None:
    _, _, avatar = trained()
    save_avatar(avatar, tmp_path / "person.npz")
    again = load_avatar(tmp_path / "person.npz")
    photos, poses = photographed(), some_poses(2, seed=4)
    assert isinstance(again.neural, PosedAppearance)
    for frame in range(2):
        pictures = [draw(a.posed(poses, frame), photos, 0) for a in (avatar, again)]
        assert torch.equal(*pictures) and pictures[0].min() < 0.9


def test_a_file_with_a_broken_network_is_refused(tmp_path: Path) -> None:
    _, _, avatar = trained()
    path = tmp_path / "person.npz"
    save_avatar(avatar, path)
    with np.load(path) as data:
        whole: dict[str, Any] = {key: data[key] for key in data.files}
    for key, value, told in (
        ("state.features", whole["neural.state.features"][:, :, :5], "features"),
        ("state.home_texel", whole["neural.state.home_texel"][:-1], "texels"),
        ("state.home_texel", whole["neural.state.home_texel"] + 60, "texels below 64"),
        ("shape.hidden", np.array(10**9), "hidden: expected 1 to 1024"),
        ("shape.hidden", None, "hidden"),
        ("shape.encoder", np.array(1024), "encoder"),
        ("shape.channels", np.array(1024), "features"),
    ):
        broken: dict[str, Any] = whole | {f"neural.{key}": value}
        np.savez(path, **{k: v for k, v in broken.items() if v is not None})
        with pytest.raises(InputError, match=rf"person\.npz.*{told}"):
            load_avatar(path)


def test_what_was_never_seen_stays_as_it_was_filled() -> None:
    _, _, avatar = trained()
    unseen = replace(avatar, seen=np.zeros(len(avatar), bool))
    poses = some_poses(1)
    assert avatar.neural is not None
    filled = avatar.neural.rest_gaussians(unseen, poses, 0)
    assert torch.equal(filled.means, avatar.gaussians.means)
    shown = replace(avatar, seen=np.ones(len(avatar), bool))
    assert not torch.equal(avatar.neural.rest_gaussians(shown, poses, 0).sh, filled.sh)


def test_a_seed_gives_one_avatar() -> None:
    runs = [training(photographed(), steps=6, seed=s) for s in (1, 1, 2)]
    for run in runs:
        run.run()
    one, same, other = (run.rest().sh for run in runs)
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_perceptual_distance_joins_the_loss() -> None:
    calls: list[tuple[int, ...]] = []

    def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(a.shape))
        return (a - b).square().mean()

    settings: dict[str, Any] = SMALL | {"together": 2}
    config = NetworkConfig(**settings)
    run = NetworkTraining(small_binding(), photographed(), config, perceptual=distance)
    run.step()
    assert calls == [(80, 80, 3)] * 2


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="power of two"):
        NetworkShape(resolution=64, feature_resolution=48)
    with pytest.raises(InputError, match="posed_from"):
        NetworkConfig(posed_from=0.0)
    assert paper_config(steps=10).resolution == 512 and paper_config(steps=10).steps == 10
