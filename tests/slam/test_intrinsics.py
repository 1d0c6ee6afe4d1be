"""The focal length comes from the user, else the file, else the prior."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.video import VideoInfo
from slam.intrinsics import PRIOR_FOV_DEG, choose_intrinsics


def video(focal_px: float | None, *, width: int = 1920, height: int = 1080) -> VideoInfo:
    return VideoInfo(
        path="x", width=width, height=height, times=np.arange(3.0), focal_px=focal_px, sha256="x"
    )


def test_the_user_wins_over_the_file_and_the_file_over_the_prior() -> None:
    given, _ = choose_intrinsics(video(1500.0), focal_px=1200.0)
    assert (given.fx, given.fy, given.source) == (1200.0, 1200.0, "user")
    angle, _ = choose_intrinsics(video(1500.0), fov_deg=90.0)
    assert angle.fx == pytest.approx(960.0)
    assert angle.source == "user"
    file, _ = choose_intrinsics(video(1500.0))
    assert (file.fx, file.source) == (1500.0, "metadata")
    guess, decision = choose_intrinsics(video(None))
    assert guess.fov_deg == pytest.approx(PRIOR_FOV_DEG)
    assert guess.source == "prior"
    assert "assumed" in decision.why


def test_the_prior_spans_the_longer_side_of_an_upright_video() -> None:
    lying, _ = choose_intrinsics(video(None))
    upright, _ = choose_intrinsics(video(None, width=1080, height=1920))
    assert upright.fx == pytest.approx(lying.fx)
    assert (upright.cx, upright.cy) == (540.0, 960.0)


@pytest.mark.parametrize(
    "options",
    [{"focal_px": 900.0, "fov_deg": 60.0}, {"focal_px": -1.0}, {"fov_deg": 180.0}],
    ids=["both", "negative focal length", "half a turn"],
)
def test_impossible_lenses_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        choose_intrinsics(video(None), **options)  # type: ignore[arg-type]
