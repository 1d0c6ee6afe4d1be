"""Camera texts and Plücker rays obey their laws; wrong files are refused in one line."""

import json

import numpy as np
import pytest

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import invert_transform, make_transform, rotvec_to_matrix
from recon.export.controls.cameras import plucker, read_path, realestate10k

K = Intrinsics(fx=50, fy=60, cx=31, cy=25, width=64, height=48)
TIMES = np.array([0.1, 0.15, 0.3, 0.5])


@pytest.fixture
def Ts():
    rng = np.random.default_rng(2)
    return make_transform(rotvec_to_matrix(rng.normal(0, 1, (4, 3))), rng.normal(0, 2, (4, 3)))


def test_the_text_is_realestate10k(Ts):
    lines = realestate10k(TIMES, K, Ts, "title").splitlines()
    assert lines[0] == "title" and len(lines) == 5
    values = np.array(lines[2].split(), float)
    assert values[0] == 150_000
    assert values[1:7] == pytest.approx([50 / 64, 60 / 48, 31 / 64, 25 / 48, 0, 0])
    assert values[7:].reshape(3, 4) == pytest.approx(invert_transform(Ts[1])[:3])


def test_the_text_is_read_back(Ts, tmp_path):
    path = tmp_path / "camera.txt"
    path.write_text(realestate10k(TIMES, K, Ts, "title"))
    assert read_path(path, TIMES) == pytest.approx(Ts, abs=1e-6)
    between = read_path(path, np.array([0.1, 0.225, 0.5]))
    assert between[[0, 2]] == pytest.approx(Ts[[0, 3]], abs=1e-6)
    assert between[1, :3, 3] == pytest.approx((Ts[1, :3, 3] + Ts[2, :3, 3]) / 2, abs=1e-6)
    assert np.linalg.det(between[:, :3, :3]) == pytest.approx(1)


def test_cameras_of_recon_render_are_spread_over_the_clip(Ts, tmp_path):
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"Ts_world_camera": Ts.tolist()}))
    found = read_path(path, np.linspace(0, 6, 7))
    assert found[[0, 2, 4, 6]] == pytest.approx(Ts, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "title\n1 2 3\n", "title\n" + "0 " * 19, "title\n" + "x " * 19]
)
def test_another_text_is_refused(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match="--camera"):
        read_path(tmp_path / "a.txt", TIMES)
    with pytest.raises(InputError, match="--camera"):
        read_path(tmp_path / "missing.txt", TIMES)


@pytest.mark.parametrize("spoil", ["mirrored", "nowhere", "empty", "flat"])
def test_cameras_that_cannot_be_are_refused(Ts, tmp_path, spoil):
    if spoil == "mirrored":
        Ts[1, :3, 0] *= -1
    if spoil == "nowhere":
        Ts[1, 0, 3] = np.nan
    shown = {"empty": Ts[:0], "flat": Ts[0]}.get(spoil, Ts)
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"Ts_world_camera": shown.tolist()}))
    with pytest.raises(InputError, match="--camera"):
        read_path(path, TIMES)


def test_plucker_rays_pass_through_their_pixels_and_the_centre(Ts):
    rays = plucker(K, Ts[2])
    moment, direction = rays[:3], rays[3:]
    assert rays.shape == (6, 48, 64)
    assert np.linalg.norm(direction, axis=0) == pytest.approx(np.ones((48, 64)))
    assert (moment * direction).sum(axis=0) == pytest.approx(np.zeros((48, 64)), abs=1e-12)
    point = K.unproject(np.array([10.5, 20.5]), np.array(3.0))
    for p in (Ts[2, :3, :3] @ point + Ts[2, :3, 3], Ts[2, :3, 3]):
        assert np.cross(p, direction[:, 20, 10]) == pytest.approx(moment[:, 20, 10])
    assert direction[:, 20, 10] @ (Ts[2, :3, :3] @ point) > 0


def test_plucker_of_the_identity_has_no_moment():
    assert not plucker(K, np.eye(4))[:3].any()
