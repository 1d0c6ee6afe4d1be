"""Scene points from photographs whose cameras are known: SIFT matches, triangulated."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from splatting.photos import Photos

MAX_FEATURES, RATIO = 2000, 0.85
NEIGHBOURS, MAX_TURN = 10, np.radians(60)
EPIPOLAR_PX, MIN_MATCHES = 2.0, 10
MAX_ERROR_PX, MIN_ANGLE_DEG = 2.0, 1.0


def with_points(photos: Photos) -> Photos:
    """The photographs with points of the scene, triangulated from themselves; few or none of them
    where the cameras stand too close together or the pictures have too little texture.

    Each picture is matched with those that look most alike by their cameras; matches must lie on
    the known epipolar lines, and COLMAP joins them into tracks (Schönberger and Frahm 2016).
    """
    features = [_describe(photos, i) for i in range(len(photos))]
    with tempfile.TemporaryDirectory(prefix="recon3d-points-") as folder:
        database = Path(folder) / "points.db"
        model = _write(database, photos, features)
        options = pycolmap.IncrementalPipelineOptions()
        options.extract_colors = False
        options.triangulation.min_angle = MIN_ANGLE_DEG
        options.triangulation.ignore_two_view_tracks = False
        level = pycolmap.logging.minloglevel
        pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
        try:
            model = pycolmap.triangulate_points(model, database, folder, folder, options=options)
        finally:
            pycolmap.logging.minloglevel = level
    points = [p for p in model.points3D.values() if p.error < MAX_ERROR_PX]
    elements = [p.track.elements[0] for p in points]
    colours = [_colour(photos, features, e.image_id - 1, e.point2D_idx) for e in elements]
    return replace(
        photos, points=np.array([p.xyz for p in points]).reshape(-1, 3),
        colours=np.array(colours).reshape(-1, 3),
    )  # fmt: skip


def camera_pairs(photos: Photos) -> list[tuple[int, int]]:
    """Pairs of photographs that probably show the same, by their cameras: each with its nearest
    ones of those that look the same way."""
    centres, axes = photos.Ts_world_camera[:, :3, 3], photos.Ts_world_camera[:, :3, 2]
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1) / photos.extent
    turn = np.arccos(np.clip(axes @ axes.T, -1, 1))
    cost = np.where(turn < MAX_TURN, apart + turn, np.inf)
    np.fill_diagonal(cost, np.inf)
    nearest = np.argsort(cost, axis=1)[:, :NEIGHBOURS]
    pairs = {
        (min(i, j), max(i, j))
        for i, row in enumerate(nearest.tolist())
        for j in row
        if np.isfinite(cost[i, j])
    }
    return sorted(pairs)


def _describe(photos: Photos, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (M, 2) and RootSIFT descriptors (M, 128) of what is not ignored."""
    grey = cv2.cvtColor(photos.images[i], cv2.COLOR_RGB2GRAY)
    free = None if photos.ignored is None else (~photos.ignored[i]).astype(np.uint8)
    found, raw = cv2.SIFT.create(MAX_FEATURES, contrastThreshold=0.01).detectAndCompute(grey, free)
    if raw is None:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    # OpenCV counts from the centre of the top-left pixel, we from its corner.
    points = np.array([p.pt for p in found]) + 0.5
    return points, np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-9))


def _matches(a: np.ndarray, b: np.ndarray, F: np.ndarray, descriptors: tuple) -> np.ndarray:
    """Mutual matches (K, 2) near the epipolar lines of `F`, for pixels a and b."""
    if min(len(a), len(b)) < 2:
        return np.zeros((0, 2), np.uint32)
    similarity = descriptors[0] @ descriptors[1].T
    lines_b = np.c_[a, np.ones(len(a))] @ F.T
    lines_a = np.c_[b, np.ones(len(b))] @ F
    residual = np.abs(lines_b @ np.c_[b, np.ones(len(b))].T)
    in_a = np.linalg.norm(lines_a[:, :2], axis=1)[None]
    in_b = np.linalg.norm(lines_b[:, :2], axis=1)[:, None]
    # Only what lies on the line competes: repeated texture elsewhere confuses nothing.
    similarity[residual > EPIPOLAR_PX * np.minimum(in_a, in_b)] = -1
    rows = np.arange(len(a))
    best = similarity.argmax(axis=1)
    first = similarity[rows, best]
    mutual = similarity.argmax(axis=0)[best] == rows
    similarity[rows, best] = -1
    second = similarity.max(axis=1)
    clear = (1 - first < RATIO**2 * (1 - second)) & (first > 0.7)
    return np.stack([rows, best], axis=1)[mutual & clear].astype(np.uint32)


def _fundamental(photos: Photos, i: int, j: int) -> np.ndarray:
    """F (3, 3) with x_j' F x_i = 0, from the known cameras."""
    T = np.linalg.inv(photos.Ts_world_camera[j]) @ photos.Ts_world_camera[i]
    x, y, z = T[:3, 3]
    E = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ T[:3, :3]
    return np.linalg.inv(photos.Ks[j]).T @ E @ np.linalg.inv(photos.Ks[i])


def _write(database: Path, photos: Photos, features: list) -> pycolmap.Reconstruction:
    """Cameras, pictures (id = row + 1) and verified matches as a COLMAP database, and a model of
    the cameras alone."""
    height, width = photos.images.shape[1:3]
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as db:
        for i, (K, T) in enumerate(zip(photos.Ks, photos.Ts_world_camera, strict=True)):
            camera = pycolmap.Camera(
                model="PINHOLE", width=width, height=height, camera_id=i + 1,
                params=[K[0, 0], K[1, 1], K[0, 2], K[1, 2]],
            )  # fmt: skip
            image = pycolmap.Image(name=f"{i:06d}", camera_id=i + 1, image_id=i + 1)
            db.write_camera(camera, use_camera_id=True)
            rig = pycolmap.Rig(rig_id=i + 1)
            rig.add_ref_sensor(camera.sensor_id)
            db.write_rig(rig, use_rig_id=True)
            db.write_image(image, use_image_id=True)
            frame = pycolmap.Frame(frame_id=i + 1, rig_id=i + 1)
            frame.add_data_id(image.data_id)
            db.write_frame(frame, use_frame_id=True)
            db.write_keypoints(i + 1, features[i][0].astype(np.float32))
            model.add_camera_with_trivial_rig(camera)
            image.points2D = pycolmap.Point2DList([pycolmap.Point2D(xy) for xy in features[i][0]])
            model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.linalg.inv(T)[:3]))
        for i, j in camera_pairs(photos):
            (a, da), (b, db_) = features[i], features[j]
            matches = _matches(a, b, _fundamental(photos, i, j), (da, db_))
            if len(matches) >= MIN_MATCHES:
                geometry = pycolmap.TwoViewGeometry()
                geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
                geometry.inlier_matches = matches
                db.write_matches(i + 1, j + 1, matches)
                db.write_two_view_geometry(i + 1, j + 1, geometry)
    return model


def _colour(photos: Photos, features: list, image: int, point: int) -> np.ndarray:
    x, y = features[image][0][point].astype(int)
    height, width = photos.images.shape[1:3]
    return photos.images[image][min(y, height - 1), min(x, width - 1)] / 255
