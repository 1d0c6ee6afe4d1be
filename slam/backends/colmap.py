"""A moving camera by COLMAP as it comes: SIFT on every frame, sequential pairs, one mapper."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pycolmap

from recon.core.camera import Intrinsics
from recon.core.geometry import Array
from slam.backends.base import CameraProblem
from slam.backends.tracks import MappedCamera
from slam.features import KeyframeFeatures
from slam.mapping import (
    KeyframeMap,
    global_options,
    incremental_options,
    judge_model,
    largest,
    quiet,
    read_model,
)
from slam.resection import interpolate_poses
from slam.tracks import BackgroundTracks

MAX_SIFT = 1024
OVERLAP = 5


class ColmapCamera(MappedCamera):
    """COLMAP with its global mapper; slow, and the yardstick for `tracks`."""

    backend = "colmap"
    every_frame = True
    mapper: Literal["global", "incremental"] = "global"

    def reconstruct(
        self,
        tracks: BackgroundTracks,
        intrinsics: Intrinsics,
        *,
        focal_range: tuple[float, float] | None,
        seed: int,
    ) -> KeyframeMap | None:
        return map_frames(
            tracks, intrinsics, mapper=self.mapper, focal_range=focal_range, seed=seed
        )

    def place(
        self, problem: CameraProblem, mapped: KeyframeMap, intrinsics: Intrinsics
    ) -> tuple[Array, np.ndarray, dict[str, Any]]:
        tracked = np.zeros(problem.tracks.num_frames, bool)
        tracked[mapped.rows] = True
        times = problem.times
        return interpolate_poses(times, times[tracked], mapped.Ts_map_camera), tracked, {}


class IncrementalColmapCamera(ColmapCamera):
    """COLMAP with its incremental mapper."""

    mapper: Literal["global", "incremental"] = "incremental"


def map_frames(
    tracks: BackgroundTracks,
    intrinsics: Intrinsics,
    *,
    mapper: Literal["global", "incremental"],
    focal_range: tuple[float, float] | None,
    seed: int,
) -> KeyframeMap | None:
    """The largest model of all keyframes from COLMAP's own features, or None.

    Args:
        tracks: with every frame as a keyframe. intrinsics: for their pictures.
        focal_range: px, where the focal length is a guess and may change within it; else None.
    """
    guess = focal_range is not None
    quiet(seed)
    with tempfile.TemporaryDirectory(prefix="recon3d-colmap-") as name:
        folder = Path(name)
        database, images = folder / "map.db", folder / "images"
        _write_images(tracks, images, folder / "masks")
        _extract(database, images, folder / "masks", intrinsics, guess=guess)
        pairing = pycolmap.SequentialPairingOptions()
        pairing.overlap, pairing.quadratic_overlap = OVERLAP, True
        verify = pycolmap.TwoViewGeometryOptions()
        verify.ransac.random_seed = seed
        pycolmap.match_sequential(
            database, pairing_options=pairing, verification_options=verify,
            device=pycolmap.Device.cpu,
        )  # fmt: skip
        if mapper == "global":
            options = global_options(guess, seed)
            model = largest(pycolmap.global_mapping(database, images, folder, options))
        else:
            options = incremental_options(refine_focal=guess, seed=seed)
            model = largest(pycolmap.incremental_mapping(database, images, folder, options))
        if model is None:
            return None
        model, focal = judge_model(model, intrinsics, focal_range)
        return read_model(model, _features(database, tracks), focal)


def _write_images(tracks: BackgroundTracks, images: Path, masks: Path) -> None:
    """JPEGs named by image id, and PNG masks that are black on people."""
    images.mkdir()
    masks.mkdir()
    for row, keyframe in enumerate(tracks.keyframes):
        (images / f"{row:06d}.jpg").write_bytes(keyframe.jpeg.tobytes())
        background = keyframe.background(tracks.height, tracks.width)
        cv2.imwrite(str(masks / f"{row:06d}.jpg.png"), 255 * background.astype(np.uint8))


def _extract(
    database: Path, images: Path, masks: Path, intrinsics: Intrinsics, *, guess: bool
) -> None:
    k = intrinsics
    reader = pycolmap.ImageReaderOptions()
    reader.mask_path = masks
    reader.camera_model = "SIMPLE_PINHOLE" if guess else "PINHOLE"
    params = (k.fx, k.cx, k.cy) if guess else (k.fx, k.fy, k.cx, k.cy)
    reader.camera_params = ",".join(f"{value:.9g}" for value in params)
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.sift.max_num_features, extraction.sift.first_octave = MAX_SIFT, 0
    pycolmap.extract_features(
        database, images, camera_mode=pycolmap.CameraMode.SINGLE, reader_options=reader,
        extraction_options=extraction, device=pycolmap.Device.cpu,
    )  # fmt: skip


def _features(database: Path, tracks: BackgroundTracks) -> list[KeyframeFeatures]:
    """COLMAP's keypoints with their colours, in the order of the image ids."""
    out = []
    with pycolmap.Database.open(database) as db:
        for row, keyframe in enumerate(tracks.keyframes):
            points = np.asarray(db.read_keypoints(row + 1))[:, :2].reshape(-1, 2)
            x, y = np.clip(points.astype(int), 0, [tracks.width - 1, tracks.height - 1]).T
            out.append(
                KeyframeFeatures(
                    track_ids=np.zeros(0, np.int32), points=points,
                    descriptors=np.zeros((0, 128)), colors=keyframe.image()[y, x],
                )
            )  # fmt: skip
    return out
