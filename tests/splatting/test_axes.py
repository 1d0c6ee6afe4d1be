"""Turned Gaussians look the same to a turned viewer."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import roma
import torch

from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix
from splatting.axes import R_AXES_WORLD, Axes, from_axes, rotated, sh_rotation, to_axes
from splatting.gaussians import Gaussians
from splatting.harmonics import sh_basis
from splatting.rasterize import rasterize
from tests.splatting.scenes import cameras, cloud
from tests.splatting.test_harmonics import sphere

TURNS = rotvec_to_matrix(np.random.default_rng(0).normal(size=(4, 3)) * 2)


def covariances(gaussians: Gaussians) -> torch.Tensor:
    quats = torch.nn.functional.normalize(gaussians.quats, dim=-1)[:, [1, 2, 3, 0]]
    half = roma.unitquat_to_rotmat(quats) * gaussians.scales[:, None]
    return half @ half.mT


@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize("R", TURNS)
def test_a_colour_stays_the_same_from_the_turned_direction(R: np.ndarray, degree: int) -> None:
    before = cloud(5, degree=degree)
    after = rotated(before, R)
    directions = sphere(50)
    colours = torch.einsum("dk,nkc->dnc", sh_basis(directions, degree), before.sh)
    turned = sh_basis(directions @ torch.from_numpy(R).T, degree)
    torch.testing.assert_close(torch.einsum("dk,nkc->dnc", turned, after.sh), colours)


def test_turns_of_harmonics_follow_one_another_like_turns() -> None:
    one, two = TURNS[:2]
    both = sh_rotation(one, 3) @ sh_rotation(two, 3)
    torch.testing.assert_close(sh_rotation(one @ two, 3), both)
    torch.testing.assert_close(both @ both.T, torch.eye(16, dtype=torch.float64))


@pytest.mark.parametrize("R", TURNS)
def test_shapes_turn_with_their_centres(R: np.ndarray) -> None:
    before, turn = cloud(20), torch.from_numpy(R)
    after = rotated(before, R)
    torch.testing.assert_close(covariances(after), turn @ covariances(before) @ turn.T)
    torch.testing.assert_close(after.means, before.means @ turn.T)


def test_a_turned_scene_looks_the_same_to_a_turned_camera() -> None:
    scene, view = cloud(30), cameras(1, width=40, height=30)
    T_turned_world = torch.eye(4, dtype=torch.float64)
    T_turned_world[:3, :3] = torch.from_numpy(TURNS[0])
    turned_view = replace(view, Ts_camera_world=view.Ts_camera_world @ T_turned_world.T)
    expected = rasterize(scene, view, backend="torch")
    found = rasterize(rotated(scene, TURNS[0]), turned_view, backend="torch")
    assert expected.colour.std() > 0.01
    torch.testing.assert_close(found.colour, expected.colour)


@pytest.mark.parametrize("axes", get_args(Axes))
def test_going_to_axes_and_back_changes_nothing(axes: Axes) -> None:
    scene = cloud(20)
    back = from_axes(to_axes(scene, axes), axes)
    torch.testing.assert_close(back.means, scene.means)
    torch.testing.assert_close(covariances(back), covariances(scene))
    torch.testing.assert_close(back.sh, scene.sh)


def test_the_axes_point_where_their_names_say() -> None:
    up, ahead, right = np.array([[0, 0, 1.0], [0, 1, 0], [1, 0, 0]])
    expected: dict[Axes, tuple[list[int], list[int]]] = {
        "y-down": ([0, -1, 0], [0, 0, 1]),
        "y-up": ([0, 1, 0], [0, 0, -1]),
        "z-up": ([0, 0, 1], [0, 1, 0]),
    }
    for axes, (up_there, ahead_there) in expected.items():
        R = R_AXES_WORLD[axes]
        np.testing.assert_array_equal(R @ up, up_there)
        np.testing.assert_array_equal(R @ ahead, ahead_there)
        np.testing.assert_array_equal(R @ right, right)


def test_a_mirror_is_refused() -> None:
    with pytest.raises(InputError, match="proper rotation"):
        rotated(cloud(3), np.diag([1.0, -1.0, 1.0]))
