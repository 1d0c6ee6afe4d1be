"""The dense back-end on rendered clips: a path found from flow alone, and none invented."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.errors import CameraError
from tests.slam.clips import INTRINSICS, RenderedClip, panning, standing, travelling
from tests.slam.test_camera import position_error, rotation_errors_deg, solve


@pytest.mark.parametrize("person", [False, True], ids=["empty room", "a person walks across"])
def test_the_path_of_a_carried_camera_is_found_from_flow_alone(person: bool) -> None:
    clip = RenderedClip(travelling(60, metres=1.5), person=person)
    trajectory, report = solve(clip, backend="dense_ba", kind="moving", focal_px=INTRINSICS.fx)
    assert trajectory.backend == report.backend == "dense_ba"
    assert trajectory.tracked.mean() > 0.9
    # Coarser than tracked points: at 320 px flow bleeds over the edges of what is near.
    worse = 2 if person else 1
    assert position_error(trajectory.Ts_slam_camera, clip.Ts_world_camera) < 0.045 * worse
    errors = rotation_errors_deg(trajectory.Ts_slam_camera, clip.Ts_world_camera)
    assert np.median(errors) < 0.35 * worse
    assert len(trajectory.points_slam) > 300
    assert report.numbers["residual_px"] < 1.0
    depth = (trajectory.points_slam - trajectory.Ts_slam_camera[0, :3, 3]) @ (
        trajectory.Ts_slam_camera[0, :3, 2]
    )
    assert 0.5 < np.median(depth) < 2  # the unit is the median depth


def test_an_unknown_focal_length_is_kept_where_flow_hardly_determines_it() -> None:
    clip = RenderedClip(travelling(40, metres=1.2))
    trajectory, report = solve(clip, backend="dense_ba", kind="moving")
    (focal,) = (d for d in report.decisions if d.name == "focal length")
    assert "dense bundle" in focal.why
    kept = trajectory.intrinsics.source == "prior"
    assert kept == focal.why.startswith("kept as assumed")
    assert abs(trajectory.intrinsics.fx / INTRINSICS.fx - 1) < 0.2


@pytest.mark.parametrize("poses", [panning(40, degrees=15), standing(40)], ids=["pan", "tripod"])
def test_without_parallax_no_path_is_invented(poses: np.ndarray) -> None:
    with pytest.raises(CameraError, match="--camera static"):
        solve(RenderedClip(poses), backend="dense_ba", kind="moving", focal_px=INTRINSICS.fx)
