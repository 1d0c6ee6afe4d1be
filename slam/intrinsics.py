"""The focal length: from the user, the file, or a prior over video cameras."""

from __future__ import annotations

from recon.core.camera import Intrinsics, IntrinsicsSource
from recon.core.errors import InputError
from recon.core.stage import Decision
from recon.core.video import VideoInfo

# A phone's main camera (24-28 mm equivalent) sees 65-73 degrees in stills; its stabilised video
# crops 10-15 % of that, and compact and TV cameras are rather narrower.
PRIOR_FOV_DEG = 60.0
# So the prior is good to about this much, and an estimate that is not better does not replace it.
PRIOR_RELATIVE_STD = 0.15
MIN_FOV_DEG, MAX_FOV_DEG = 25.0, 110.0


def choose_intrinsics(
    video: VideoInfo, *, focal_px: float | None = None, fov_deg: float | None = None
) -> tuple[Intrinsics, Decision]:
    """Centred intrinsics for the video's frame size, and where the focal length came from.

    The user's value wins over the file's metadata, and that over the prior.

    Args:
        video: the clip. focal_px: focal length in its pixels.
        fov_deg: field of view across the longer side, degrees; at most one of the two.

    Raises:
        InputError: both values given, or one that no pinhole camera has.
    """
    if focal_px is not None and fov_deg is not None:
        raise InputError("expected --focal or --fov, got both; give one of them")
    if focal_px is not None and focal_px <= 0:
        raise InputError(f"expected a positive focal length in pixels, got {focal_px}; see --focal")
    if fov_deg is not None and not 1 <= fov_deg < 170:
        raise InputError(f"expected a field of view of 1 to 170 degrees, got {fov_deg}; see --fov")
    if focal_px is not None:
        intrinsics, why = with_focal(video, focal_px, source="user"), "given as --focal"
    elif fov_deg is not None:
        intrinsics = Intrinsics.from_fov(video.width, video.height, fov_deg=fov_deg, source="user")
        why = "given as --fov"
    elif video.focal_px is not None:
        intrinsics = with_focal(video, video.focal_px, source="metadata")
        why = "written in the file"
    else:
        intrinsics = Intrinsics.from_fov(
            video.width, video.height, fov_deg=PRIOR_FOV_DEG, source="prior"
        )
        why = (
            f"assumed: the file does not say, and {PRIOR_FOV_DEG:.0f} degrees across the longer "
            "side is usual for phone video; --focal or --fov sets it"
        )
    return intrinsics, focal_decision(intrinsics, why)


def with_focal(video: VideoInfo, focal_px: float, *, source: IntrinsicsSource) -> Intrinsics:
    """Centred square-pixel intrinsics for the video's frame size."""
    return Intrinsics(
        fx=focal_px, fy=focal_px, cx=video.width / 2, cy=video.height / 2,
        width=video.width, height=video.height, source=source,
    )  # fmt: skip


def focal_decision(intrinsics: Intrinsics, why: str) -> Decision:
    """The focal length in words."""
    value = f"{intrinsics.fx:.0f} px ({intrinsics.fov_deg:.0f} degrees), {intrinsics.source}"
    return Decision(name="focal length", value=value, why=why)
