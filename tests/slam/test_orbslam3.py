"""The `orbslam3` back-end, with a stand-in of pyorbslam3 0.1.1 in the process that it starts."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from recon.core.errors import CameraError, MissingDependencyError
from recon.core.geometry import (
    Array,
    make_transform,
    matrix_to_quat,
    rotvec_to_matrix,
    wxyz_to_xyzw,
)
from slam.backends.orbslam3 import paint_out_people
from slam.camera import load_backend
from slam.tracks import Keyframe
from tests.slam.clips import INTRINSICS, RenderedClip, travelling
from tests.slam.test_camera import solve

STAND_IN = '''
"""Says what poses.txt beside it says, and checks what a real one would get."""
from enum import Enum
from pathlib import Path
from types import SimpleNamespace

Sensor = Enum("Sensor", "MONOCULAR STEREO")
LOST = {lost!r}

def vocabulary_path(download=True, quiet=False):
    if {offline!r}:
        raise OSError("Name or service not known")
    return __file__

class Slam:
    def __init__(self, vocab_file, settings_file, sensor, use_viewer=False):
        assert vocab_file == __file__ and sensor is Sensor.MONOCULAR
        text = open(settings_file).read()
        assert text.startswith("%YAML:1.0\\n") and "Camera1.cx: 159.500000" in text
        assert "Camera.fps: 30\\n" in text and "Viewer.ViewpointF" in text
        print("ORB-SLAM3 talks a lot")
        self.rows, self.open = [], True
        self.poses = Path(__file__).with_name("poses.txt").read_text().splitlines()

    def track_monocular(self, image, timestamp, imu=None):
        assert image.shape == (240, 320, 3) and image.dtype.name == "uint8"
        index = round(timestamp * 30)
        placed = index >= 3 and not LOST
        if placed:
            self.rows.append(f"{{1e9 * timestamp:.6f}} {{self.poses[index]}}")
        return SimpleNamespace(pose_valid=placed)

    def shutdown(self):
        self.open = False

    def save_trajectory_euroc(self, filename):
        assert not self.open
        open(filename, "w").write("\\n".join(self.rows))
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs the stand-in for this process and those it starts."""

    def install(poses: Array, *, lost: bool = False, offline: bool = False) -> None:
        (tmp_path / "pyorbslam3.py").write_text(STAND_IN.format(lost=lost, offline=offline))
        quats = wxyz_to_xyzw(matrix_to_quat(poses[:, :3, :3]))
        np.savetxt(tmp_path / "poses.txt", np.hstack([poses[:, :3, 3], quats]), fmt="%.9f")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return install


POSES = travelling(20, metres=0.7)


def test_what_it_places_comes_back_in_our_terms(
    installed, capfd: pytest.CaptureFixture[str]
) -> None:
    installed(POSES)
    trajectory, report = solve(
        RenderedClip(POSES), backend="orbslam3", kind="moving", focal_px=INTRINSICS.fx
    )
    assert (trajectory.kind, trajectory.backend) == ("moving", "orbslam3")
    assert trajectory.tracked.tolist() == [False] * 3 + [True] * 17
    assert any("3 frames" in warning for warning in report.warnings)
    np.testing.assert_allclose(trajectory.Ts_slam_camera[3:], POSES[3:], atol=1e-6)
    assert report.numbers["epipolar_px"] < 0.6
    assert capfd.readouterr().out == ""  # a --json report stays alone on stdout


@pytest.mark.parametrize(
    ("poses", "options", "message"),
    [
        (POSES, {"lost": True}, "never found a start"),
        (POSES, {"offline": True}, r"no vocabulary .*PYORBSLAM3_VOCAB"),
        (POSES @ make_transform(rotvec_to_matrix(np.linspace(0, 0.5, 20)[:, None] * [0, 1, 0]),
                                np.zeros(3)),
         {}, r"within 1.5 px of where the path allows them by ORB-SLAM3, got .*--camera static"),
    ],
    ids=["lost", "offline", "a turn too many"],
)  # fmt: skip
def test_its_failures_are_told(
    installed, poses: Array, options: dict[str, bool], message: str
) -> None:
    installed(poses, **options)
    with pytest.raises(CameraError, match=message):
        solve(RenderedClip(POSES), backend="orbslam3", kind="moving", focal_px=INTRINSICS.fx)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyorbslam3", None)
    with pytest.raises(MissingDependencyError, match=r"recon3d\[orbslam3\]"):
        load_backend("orbslam3")


def test_people_are_painted_out_without_corners() -> None:
    """Nothing of the person is left, the rest is untouched, and the patch has no corners."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (240, 320, 3), dtype=np.uint8), (0, 0), 2)
    people = np.zeros((240, 320), bool)
    people[60:200, 100:180] = True
    shown = picture.copy()
    shown[people] = rng.integers(0, 255, (int(people.sum()), 3))
    painted = paint_out_people(
        Keyframe(
            index=0, jpeg=cv2.imencode(".png", shown[..., ::-1])[1],
            background_bits=np.packbits(~people),
        )
    )  # fmt: skip
    np.testing.assert_array_equal(painted[~people], picture[~people])
    inside = cv2.cvtColor(painted, cv2.COLOR_RGB2GRAY)[64:196, 104:176]
    assert len(cv2.FastFeatureDetector.create(20).detect(np.ascontiguousarray(inside))) == 0
    assert abs(float(inside.mean()) - float(picture.mean())) < 10
