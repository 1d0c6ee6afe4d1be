"""A moving camera from dense flow alone: dense bundle adjustment of keyframes, then resection."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.errors import CameraError
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.stage import Decision
from slam.backends.base import CameraProblem, CameraSolution
from slam.dense_flow import CELL, DenseView, dis_flow, flow_size, prepare_view
from slam.dense_poses import DenseTrack, link_views, solve_keyframes
from slam.evidence import MIN_SHARED
from slam.intrinsics import MAX_FOV_DEG, MIN_FOV_DEG
from slam.mapping import KeyframeMap
from slam.resection import place_frames
from slam.rotations import fit_rotation
from slam.tracks import LONG_SIDE, BackgroundTracks

# Half of the tracks' pictures: poses average thousands of flow vectors and need no more.
FLOW_SIDE = 320
MIN_KEYFRAMES = 3
MIN_TRACKED = 0.7
MAX_RESIDUAL_PX, MIN_PARALLAX_PX = 1.5, 2.0
MIN_CELL_WEIGHT = 0.05
# The flow's bias moved the focal length of a hand-held scan by 8-12 %.
FOCAL_LOG_STD = 0.15


class DenseBundleCamera:
    """Poses from DIS flow, for small motion and poor tracks; see slam.dense_poses."""

    def solve(self, problem: CameraProblem) -> CameraSolution:
        tracks, intrinsics = problem.tracks, problem.intrinsics
        count = len(tracks.keyframes)
        if count < MIN_KEYFRAMES:
            raise CameraError(
                f"expected at least {MIN_KEYFRAMES} keyframes of a moving camera, got {count}: too "
                "short or too still; if it stood still, run again with --camera static"
            )
        width, height = flow_size(tracks.width, tracks.height, FLOW_SIDE)
        small = intrinsics.resized(width, height)
        guess = intrinsics.source == "prior"
        turns = keyframe_turns(tracks, intrinsics.resized(tracks.width, tracks.height))
        views = [prepare_view(k, width=width, height=height) for k in tracks.keyframes]
        with threadpool_limits(1):  # small products: threads would only wait for each other
            edges = link_views(views, turns, intrinsics=small, flow=dis_flow())
            found = solve_keyframes(edges, turns, intrinsics=small, free_focal=guess)
            wanted = found.state.focal_px / small.fx
            if guess and abs(np.log(wanted)) < FOCAL_LOG_STD:
                found = solve_keyframes(edges, turns, intrinsics=small, free_focal=False)
        focal_why = ""
        if guess:
            intrinsics, focal_why = _settle_focal(intrinsics, wanted)
        mapped = _to_map(tracks, views, found, small)
        poses, tracked = place_frames(
            tracks, mapped, times=problem.times,
            intrinsics=intrinsics.resized(tracks.width, tracks.height),
        )  # fmt: skip
        unit = LONG_SIDE / max(width, height)
        numbers = {
            "keyframes": count,
            "links": len(edges.sources),
            "tracked": round(float(tracked.mean()), 3),
            "residual_px": round(found.residual_px * unit, 3),
            "parallax_px": round(found.parallax_px * unit, 3),
            "points": len(mapped.points_map),
        }
        require_trust(numbers, max_residual_px=MAX_RESIDUAL_PX)
        return CameraSolution(
            trajectory=CameraTrajectory(
                kind="moving", backend="dense_ba", intrinsics=intrinsics, Ts_slam_camera=poses,
                tracked=tracked, points_slam=mapped.points_map, point_colors=mapped.colors,
            ),
            focal_why=focal_why,
            decisions=(trust_decision(numbers),),
            numbers=numbers,
        )  # fmt: skip


def keyframe_turns(tracks: BackgroundTracks, intrinsics: Intrinsics) -> Array:
    """Rotations (K, 3, 3), camera to first camera, chained from the keyframes' shared points.

    Where two neighbours share too few points the turn between them is taken as none.
    """
    turns = [np.eye(3)]
    indices = [keyframe.index for keyframe in tracks.keyframes]
    for a, b in pairwise(indices):
        pair = tracks.common(a, b)
        enough = len(pair[0]) >= MIN_SHARED // 2
        turn = fit_rotation(*pair, intrinsics)[0] if enough else np.eye(3)
        turns.append(turns[-1] @ turn.T)
    return np.stack(turns)


def _settle_focal(intrinsics: Intrinsics, wanted: float) -> tuple[Intrinsics, str]:
    """Intrinsics for the video under the focal length that the flow determines, and why.

    Args:
        wanted: the bundle's focal length as a multiple of the assumed one.
    Raises:
        CameraError: no video camera has that focal length.
    """
    focal = intrinsics.fx * wanted
    if abs(np.log(wanted)) < FOCAL_LOG_STD:
        return intrinsics, (
            f"kept as assumed: the dense bundle wanted {focal:.0f} px, but flow determines it to "
            f"about {FOCAL_LOG_STD:.0%} only; --focal or --fov sets it"
        )
    refined = replace(intrinsics, fx=focal, fy=focal, source="estimated")
    if not MIN_FOV_DEG <= refined.fov_deg <= MAX_FOV_DEG:
        raise CameraError(
            f"expected a field of view of {MIN_FOV_DEG:.0f} to {MAX_FOV_DEG:.0f} degrees from the "
            f"dense bundle, got {refined.fov_deg:.0f}: the motion does not determine it; "
            "set it with --focal or --fov"
        )
    return refined, (
        f"refined in the dense bundle from {intrinsics.fx:.0f} px as assumed; flow determines it "
        f"to about {FOCAL_LOG_STD:.0%}"
    )


def _to_map(
    tracks: BackgroundTracks, views: list[DenseView], found: DenseTrack, small: Intrinsics
) -> KeyframeMap:
    """Keyframes, and for every tracked point the place that its best measured cell gives it."""
    camera = replace(small, fx=found.state.focal_px, fy=found.state.focal_px)
    poses = invert_transform(found.state.Ts_camera_slam)
    scale = small.width / tracks.width, small.height / tracks.height
    ids, points, trust, colors = [], [], [], []
    for row, (keyframe, view) in enumerate(zip(tracks.keyframes, views, strict=True)):
        px = tracks.points[keyframe.index] * scale
        rows, columns = view.grid
        # Two maps: with x and y in one, OpenCV 5.0 reads pictures of one channel wrongly.
        x, y = (px / CELL - 0.5).astype(np.float32).T[..., None]
        maps = (found.state.inverse_depth[row], found.cell_weights[row])
        inverse_depth, weight = (
            cv2.remap(
                np.asarray(m, np.float32).reshape(rows, columns), x, y,
                cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
            )[:, 0]
            for m in maps
        )  # fmt: skip
        cell = np.clip((px / CELL).astype(int), 0, [columns - 1, rows - 1])
        good = weight > MIN_CELL_WEIGHT
        local = camera.unproject(px, 1 / np.maximum(inverse_depth, 1e-4))
        ids.append(tracks.ids[keyframe.index][good])
        points.append(transform_points(poses[row], local)[good])
        trust.append(weight[good])
        colors.append(view.colors[cell[:, 1] * columns + cell[:, 0]][good])
    all_ids = np.concatenate(ids)
    order = np.lexsort((-np.concatenate(trust), all_ids))
    unique, first = np.unique(all_ids[order], return_index=True)
    chosen = order[first]
    points_map = np.concatenate(points)[chosen]
    return KeyframeMap(
        rows=np.arange(len(views)), Ts_map_camera=poses, focal_px=found.state.focal_px,
        wanted_focal_px=found.state.focal_px, focal_contrast=None,
        points_map=points_map, colors=np.concatenate(colors)[chosen],
        track_ids=unique, track_points_map=points_map,
        reprojection_px=found.residual_px, triangulation_deg=0.0,
    )  # fmt: skip


def require_trust(numbers: dict, *, max_residual_px: float) -> None:
    """Raises CameraError with the first number that is too bad to go on."""
    checks = (
        (numbers["parallax_px"] >= MIN_PARALLAX_PX,
         f"linked keyframes at least {MIN_PARALLAX_PX} px of parallax apart",
         f"{numbers['parallax_px']} px"),
        (numbers["residual_px"] <= max_residual_px,
         f"the flow to be explained within {max_residual_px} px", f"{numbers['residual_px']} px"),
        (numbers["tracked"] >= MIN_TRACKED,
         f"at least {MIN_TRACKED:.0%} of the frames placed", f"{numbers['tracked']:.0%}"),
    )  # fmt: skip
    for fine, expected, actual in checks:
        if not fine:
            raise CameraError(
                f"expected {expected} for a moving camera, got {actual}: its path cannot be "
                "trusted; if the camera stood still or only turned, run again with "
                "--camera static or --camera rotating"
            )


def trust_decision(numbers: dict) -> Decision:
    """Why the path is believed, in words."""
    return Decision(
        name="camera path",
        value="trusted",
        why=(
            f"{numbers['links']} dense links between {numbers['keyframes']} keyframes fit to "
            f"{numbers['residual_px']} px with a parallax of {numbers['parallax_px']} px (640 px "
            f"wide picture); {numbers['tracked']:.0%} of all frames placed"
        ),
    )
