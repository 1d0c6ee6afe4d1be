"""What several shots say together, in the clip's own frame indices."""

import numpy as np

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.stage import Check, Decision
from slam.joining import SolvedShot, frame_runs, join_shots


def shot(num_frames, *, lost=(), flow=1.0):
    intrinsics = Intrinsics.from_fov(64, 48, fov_deg=60, source="prior")
    trajectory = CameraTrajectory(
        kind="static", backend="static", intrinsics=intrinsics,
        Ts_slam_camera=np.tile(np.eye(4), (num_frames, 1, 1)), tracked=np.ones(num_frames, bool),
        points_slam=np.zeros((0, 3)), point_colors=np.zeros((0, 3), np.uint8),
    )  # fmt: skip
    windows = {"frame": [0, 5], "end": [4, 9], "flow_px": [flow, flow]}
    return SolvedShot(
        trajectory=trajectory, backend="static", focal_why="",
        decision=Decision(name="camera", value="static", why="still"), decisions=(), warnings=(),
        numbers={"windows_long": windows}, lost=np.array(lost, int),
    )  # fmt: skip


def test_windows_and_lost_frames_count_from_the_start_of_the_clip():
    shots = [(0, 10), (10, 30)]
    _, report = join_shots(
        [shot(10, lost=[3, 4], flow=1), shot(20, lost=[0], flow=2)], shots, main=1
    )
    windows = report.numbers["windows_long"]
    assert windows["frame"] == [0, 5, 10, 15] and windows["end"] == [4, 9, 14, 19]
    assert windows["flow_px"] == [1, 1, 2, 2]
    assert report.numbers["lost_frames"] == [[3, 4], [10, 10]]


def test_runs_hold_every_frame_once():
    frames = [0, 1, 2, 7, 9, 10]
    runs = frame_runs(frames)
    assert runs == [[0, 2], [7, 7], [9, 10]]
    assert [f for first, last in runs for f in range(first, last + 1)] == frames


def test_a_check_knows_its_side_and_its_words():
    below = Check(
        key="e", what="error", value=0.3, limit=1.5, passes="below", says="trusted", unit="px"
    )
    above = Check(
        key="s", what="share", value=0.3, limit=0.7, passes="above", says="trusted", unit="%"
    )
    assert below.holds and not above.holds
    assert below.text(below.value) == "0.3 px" and above.text(above.limit) == "70 %"
