from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix
from recon.core.people import BodyPoses
from splatting.avatars.avatar import Avatar
from splatting.avatars.files import load_avatar, save_avatar
from splatting.avatars.shading import even_light
from splatting.gaussians import Gaussians
from splatting.harmonics import SH_C0
from tests.splatting.avatars.people import small_binding, small_rig, some_poses


def make_avatar(*, light: np.ndarray | None = None, count: int = 50) -> Avatar:
    binding = small_binding()
    binding = binding.take(np.arange(0, len(binding), len(binding) // count)[:count])
    generator = torch.Generator().manual_seed(0)
    return Avatar(
        gaussians=Gaussians(
            means=torch.from_numpy(binding.rest_points),
            quats=torch.randn(count, 4, generator=generator),
            scales=torch.rand(count, 3, generator=generator) / 50,
            opacities=torch.rand(count, generator=generator),
            sh=torch.randn(count, 1, 3, generator=generator),
        ),
        normals=binding.rest_normals, weights=binding.weights, indices=binding.indices,
        rest_joints=small_rig().rest_joints, texel=binding.texel, resolution=64,
        seen=np.arange(count) % 3 > 0, model="ellipsoids", licence="none", track_id=2,
        source="a test", light=light,
    )  # fmt: skip


def test_an_avatar_comes_back_from_its_file(tmp_path: Path) -> None:
    avatar = make_avatar(light=even_light().numpy())
    save_avatar(avatar, tmp_path / "person.npz")
    back = load_avatar(tmp_path / "person.npz")
    for name in ("normals", "weights", "indices", "rest_joints", "texel", "seen", "light"):
        np.testing.assert_array_equal(getattr(back, name), getattr(avatar, name))
    for name in ("means", "quats", "scales", "opacities", "sh"):
        assert torch.equal(getattr(back.gaussians, name), getattr(avatar.gaussians, name))
    for name in ("resolution", "model", "licence", "track_id", "source", "neural"):
        assert getattr(back, name) == getattr(avatar, name)


def test_posing_turns_and_shifts_with_the_root() -> None:
    avatar, poses = make_avatar(), some_poses(3)
    turn, shift = rotvec_to_matrix(np.array([0.3, -0.2, 1.0])), np.array([1.0, 2.0, 3.0])
    rotations = poses.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    moved = BodyPoses(root=poses.root @ turn.T + shift, rotations=rotations)
    a, b = avatar.posed(poses, 1), avatar.posed(moved, 1)
    np.testing.assert_allclose(b.means, a.means.numpy() @ turn.T + shift, atol=1e-5)


def test_light_from_one_side_brightens_that_side_alone() -> None:
    light = even_light()
    light[3] = -0.5 * light[0]  # bright towards +x
    avatar, poses = make_avatar(light=light.numpy()), some_poses(2)
    lit, plain = avatar.posed(poses, 0), avatar.posed(poses, 0, lit=False)
    gain = (lit.sh[:, 0] * SH_C0 + 0.5) / (plain.sh[:, 0] * SH_C0 + 0.5)
    even = replace(avatar, light=even_light().numpy()).posed(poses, 0)
    assert torch.allclose(even.sh, plain.sh, atol=1e-5)
    assert 1.3 < gain.max() < 2 and 0 < gain.min() < 0.7
    assert torch.equal(lit.means, plain.means)


def test_a_frame_that_a_motion_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="expected 0 to 2, got 3"):
        make_avatar().posed(some_poses(3), 3)


@pytest.mark.parametrize("damage", ["missing", "cut", "text", "list", "version", "nan", "lacking"])
def test_files_that_hold_no_avatar_are_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "person.npz"
    save_avatar(make_avatar(), path)
    arrays: dict[str, Any] = dict(np.load(path, allow_pickle=False))
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "text":
        path.write_text("no archive")
    elif damage == "list":
        np.savez(path, a=np.zeros(3))
    elif damage == "version":
        arrays["version"] = np.array(99)
        np.savez(path, **arrays)
    elif damage == "nan":
        arrays["means"] = arrays["means"] * np.nan
        np.savez(path, **arrays)
    else:
        arrays["seen"] = arrays["seen"][:-1]
        np.savez(path, **arrays)
    with pytest.raises(InputError, match="expected") as caught:
        load_avatar(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
