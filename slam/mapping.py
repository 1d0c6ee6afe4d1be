"""Keyframes to poses and points with pycolmap's mappers, the one checking the other."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pycolmap
from threadpoolctl import threadpool_limits

from recon.core.camera import Intrinsics
from recon.core.geometry import (
    Array,
    invert_transform,
    make_transform,
    matrix_to_rotvec,
    nearest_rotation,
    transform_points,
    umeyama,
)
from slam.features import KeyframeFeatures, loop_pairs, match

# Neighbours for the short baselines; what is farther apart is for the loops to find, and so many
# of them hold any clip together: more only fill the bundle's equations.
PAIR_OFFSETS = (1, 2, 3, 4, 6, 8, 16)
MAX_LOOPS = 120
MIN_MATCHES = 20
MIN_SECOND_SHARE, MAX_SECOND_ERROR = 0.5, 1.5
# The check's time grows with the square of its keyframes; of longer clips it sees the middle.
MAX_CHECKED = 80
EPIPOLAR_PX, MIN_TRIALS, MAX_TRIALS, CONFIDENCE = 2.0, 30, 1000, 0.99
# Tracks per keyframe from which the global mapper starts: its search for places grows fast with
# them, and all others are triangulated afterwards.
START_TRACKS = 150
# Steps that lower the cost by less took an eighth of the mapper's time on 600 frames, for nothing.
BUNDLE_TOLERANCE = 1e-4
MIN_FOCAL_CONTRAST = 1.03
# Stated deviations above this were too small on rendered orbits (focal lengths off by 31 and 40 %),
# and the prior is hardly worse.
MAX_FOCAL_STD = 0.1


@dataclass(frozen=True, kw_only=True)
class KeyframeMap:
    """Registered keyframes and sparse points in a map frame of arbitrary scale and gauge.

    Args:
        rows: (K,) int, which of the given keyframes are registered.
        Ts_map_camera: (K, 4, 4). focal_px: in the keyframes' pictures.
        wanted_focal_px: what the bundle made of it, whether kept or not.
        points_map: (P, 3). colors: (P, 3) uint8 RGB.
        track_ids: (Q,) int, increasing: background tracks with a point.
        track_points_map: (Q, 3) their points.
        focal_contrast: how many times larger the reprojection error gets when the focal length is
            forced 25 % off and all else adapts; None where the focal length was given.
        reprojection_px: mean over all observations. triangulation_deg: median over points of the
            widest angle between two of their rays.
        agreement: with a second mapper, over the middle MAX_CHECKED keyframes where there are
            more; None where that found no model as good.
    """

    rows: np.ndarray
    Ts_map_camera: Array
    focal_px: float
    wanted_focal_px: float
    focal_contrast: float | None
    points_map: Array
    colors: np.ndarray
    track_ids: np.ndarray
    track_points_map: Array
    reprojection_px: float
    triangulation_deg: float
    agreement: Agreement | None = None

    @property
    def focal_relative_std(self) -> float | None:
        """As `focal_std` says; None where the focal length was given."""
        return None if self.focal_contrast is None else focal_std(self.focal_contrast)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How two mappers' keyframes differ after the best similarity.

    Args:
        shared: share of the first's keyframes, of those that were checked, that the second
            registered as well.
        position: median distance of the camera centres, in median scene depths.
        rotation_deg: median angle.
    """

    shared: float
    position: float
    rotation_deg: float


@threadpool_limits.wrap(limits=1)  # small products: threads would only wait for each other
def map_keyframes(
    features: Sequence[KeyframeFeatures],
    intrinsics: Intrinsics,
    *,
    focal_range: tuple[float, float] | None,
    seed: int,
) -> KeyframeMap | None:
    """The largest model of the keyframes, or None where nothing could be reconstructed.

    Args:
        features: of the keyframes in time order. intrinsics: for their pictures.
        focal_range: px, where the focal length is a guess and may change within it; else None.
        seed: of the mappers.
    Source: Pan et al. 2024, Global Structure-from-Motion Revisited (GLOMAP); Schönberger and
        Frahm 2016, Structure-from-Motion Revisited (the incremental mapper that checks it).
    """
    refine_focal = focal_range is not None
    quiet(seed)
    with tempfile.TemporaryDirectory(prefix="recon3d-map-") as folder:
        database, pairs = Path(folder) / "map.db", Path(folder) / "pairs.txt"
        _write_database(database, pairs, features, intrinsics, guess=refine_focal)
        pycolmap.verify_matches(database, pairs, _verification_options(seed))
        if refine_focal:
            calibrate = pycolmap.ViewGraphCalibrationOptions()
            calibrate.random_seed = seed
            # Essential matrices are made of the fundamental ones later; a second search for them
            # took a tenth of the stage's time and moved neither poses nor focal lengths.
            calibrate.reestimate_relative_pose = False
            pycolmap.calibrate_view_graph(database, calibrate)
        options = global_options(refine_focal, seed)
        options.mapper.track_required_tracks_per_view = START_TRACKS
        solver = options.mapper.bundle_adjustment.ceres.solver_options
        solver.function_tolerance = BUNDLE_TOLERANCE
        model = largest(pycolmap.global_mapping(database, folder, folder, options))
        if model is None:
            return None
        model, focal = judge_model(model, intrinsics, focal_range)
        _set_focal(database, model)
        mapped = read_model(model, features, focal)
        checked = _middle(mapped.rows)
        options = _checking_options(checked, seed)
        second = largest(pycolmap.incremental_mapping(database, folder, folder, options))
    # Walking ahead, the incremental mapper often starts from a bad pair; its pictures' own error
    # gives that away, and a worse explanation says nothing against a better one.
    if second is None or second.num_reg_images() < MIN_SECOND_SHARE * len(checked):
        return mapped
    if second.compute_mean_reprojection_error() > MAX_SECOND_ERROR * mapped.reprojection_px:
        return mapped
    return replace(mapped, agreement=_agreement(mapped, second, num_checked=len(checked)))


@dataclass(frozen=True, kw_only=True)
class FocalVerdict:
    """What the bundle wanted (px in the keyframes' pictures), and KeyframeMap's contrast."""

    wanted_px: float
    contrast: float | None


def focal_std(contrast: float) -> float:
    """How far the focal length may be off, relative, before the reprojection error shows it.

    The error's square grows with the square of log focal length; where it has grown by
    MIN_FOCAL_CONTRAST the pictures contradict.

    Args:
        contrast: the error's growth when the focal length is forced 25 % off.
    """
    growth = max(contrast**2 - 1, 1e-6)
    return float(min(np.log(1.25) * np.sqrt((MIN_FOCAL_CONTRAST**2 - 1) / growth), 1.0))


def judge_model(
    model: pycolmap.Reconstruction,
    intrinsics: Intrinsics,
    focal_range: tuple[float, float] | None,
) -> tuple[pycolmap.Reconstruction, FocalVerdict]:
    """The model, bundled again under the assumed focal length where it does not determine its own.

    Args:
        intrinsics, focal_range: as for `map_keyframes`.
    """
    wanted = _focal(model)
    if focal_range is None:
        return model, FocalVerdict(wanted_px=wanted, contrast=None)
    contrast = _focal_contrast(model)
    low, high = focal_range
    if not (low <= wanted <= high and focal_std(contrast) <= MAX_FOCAL_STD):
        model = _with_focal(model, intrinsics.fx)
    return model, FocalVerdict(wanted_px=wanted, contrast=contrast)


def quiet(seed: int) -> None:
    """Silences COLMAP and seeds it; it keeps both per process."""
    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
    pycolmap.set_random_seed(seed)


def largest(models: dict[int, pycolmap.Reconstruction]) -> pycolmap.Reconstruction | None:
    """The model with most images; None if there is none with two of them and a point."""
    model = max(models.values(), key=lambda m: m.num_reg_images(), default=None)
    if model is None or model.num_reg_images() < 2 or model.num_points3D() == 0:
        return None
    return model


def _set_focal(database: Path, model: pycolmap.Reconstruction) -> None:
    with pycolmap.Database.open(database) as db:
        db.update_camera(next(iter(model.cameras.values())))


def _middle(rows: np.ndarray) -> np.ndarray:
    """The middle MAX_CHECKED of the keyframes, or all where there are fewer."""
    start = max(len(rows) - MAX_CHECKED, 0) // 2
    return rows[start : start + MAX_CHECKED]


def _agreement(
    mapped: KeyframeMap, second: pycolmap.Reconstruction, *, num_checked: int
) -> Agreement:
    """Of the map with another model of `num_checked` of the same images."""
    others = {i.image_id - 1: _pose(i) for i in posed_images(second)}
    places = [k for k, row in enumerate(mapped.rows.tolist()) if row in others]
    shared = len(places) / num_checked
    if len(places) < 3:
        return Agreement(shared=shared, position=float("inf"), rotation_deg=180.0)
    first = mapped.Ts_map_camera[places]
    other = np.stack([others[int(row)] for row in mapped.rows[places]])
    scale, rotation, offset = umeyama(other[:, :3, 3], first[:, :3, 3])
    moved = scale * other[:, :3, 3] @ rotation.T + offset
    # Centres on a nearly straight path leave the turn about it open: rotations have their own.
    turned = nearest_rotation(
        np.sum(first[:, :3, :3] @ np.swapaxes(other[:, :3, :3], 1, 2), axis=0)
    )
    turns = np.swapaxes(first[:, :3, :3], 1, 2) @ turned @ other[:, :3, :3]
    return Agreement(
        shared=shared,
        position=float(np.median(np.linalg.norm(moved - first[:, :3, 3], axis=1))),
        rotation_deg=float(np.degrees(np.median(np.linalg.norm(matrix_to_rotvec(turns), axis=1)))),
    )


def _focal(model: pycolmap.Reconstruction) -> float:
    return float(next(iter(model.cameras.values())).mean_focal_length())


def _focal_contrast(model: pycolmap.Reconstruction) -> float:
    """Least growth of the reprojection error when the focal length is forced 25 % off."""
    focal = _focal(model)
    errors = [
        _with_focal(model, focal * factor).compute_mean_reprojection_error()
        for factor in (0.8, 1.0, 1.25)
    ]
    return min(errors[0], errors[2]) / max(errors[1], 1e-6)


def _with_focal(model: pycolmap.Reconstruction, focal: float) -> pycolmap.Reconstruction:
    """A copy of the model bundled again under a fixed focal length."""
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length = options.refine_extra_params = options.print_summary = False
    options.ceres.solver_options.max_num_iterations = 30
    forced = pycolmap.Reconstruction(model)
    for camera in forced.cameras.values():
        camera.params = [focal, *camera.params[1:]]
    # Not pycolmap.bundle_adjustment: it writes its log whatever the log level.
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in forced.reg_image_ids():
        config.add_image(image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, config, forced).solve()
    forced.update_point_3d_errors()
    return forced


def _verification_options(seed: int) -> pycolmap.TwoViewGeometryOptions:
    """Few trials suffice: most matches are tracked points, whose neighbours in time agree."""
    options = pycolmap.TwoViewGeometryOptions()
    ransac = options.ransac
    ransac.max_error, ransac.confidence, ransac.random_seed = EPIPOLAR_PX, CONFIDENCE, seed
    ransac.min_num_trials, ransac.max_num_trials = MIN_TRIALS, MAX_TRIALS
    ransac.dyn_num_trials_multiplier = 1.0
    return options


def global_options(refine_focal: bool, seed: int) -> pycolmap.GlobalPipelineOptions:
    """Options of the global mapper."""
    options = pycolmap.GlobalPipelineOptions()
    options.random_seed = seed
    options.mapper.random_seed = seed
    options.multiple_models = False
    options.mapper.bundle_adjustment.refine_focal_length = refine_focal
    options.mapper.bundle_adjustment.refine_extra_params = False
    # The last of up to 200 iterations cost a third of the time and moved nothing measurable.
    options.mapper.bundle_adjustment.ceres.solver_options.max_num_iterations = 30
    return options


def incremental_options(*, refine_focal: bool, seed: int) -> pycolmap.IncrementalPipelineOptions:
    """Options of the incremental mapper; video has smaller baselines than its photos."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = options.mapper.random_seed = seed
    options.multiple_models = options.extract_colors = False
    options.ba_refine_focal_length = refine_focal
    options.ba_refine_extra_params = False
    options.mapper.init_min_tri_angle = 4.0
    options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.4
    options.ba_global_max_refinements = 2
    options.ba_global_max_num_iterations = options.ba_local_max_num_iterations = 20
    return options


def _checking_options(rows: np.ndarray, seed: int) -> pycolmap.IncrementalPipelineOptions:
    """The incremental mapper as a check of some keyframes: no polish below a thousandth."""
    options = incremental_options(refine_focal=False, seed=seed)
    options.image_names = [_name(row) for row in rows.tolist()]
    options.ba_local_max_refinements = options.ba_global_max_refinements = 1
    options.ba_local_function_tolerance, options.ba_global_function_tolerance = 1e-3, 1e-4
    return options


def _write_database(
    database: Path,
    pairs: Path,
    features: Sequence[KeyframeFeatures],
    intrinsics: Intrinsics,
    *,
    guess: bool,
) -> None:
    """Keyframes (image id = row + 1), features and matches as a COLMAP database and pair list."""
    k = intrinsics
    model = (
        ("SIMPLE_PINHOLE", [k.fx, k.cx, k.cy]) if guess else ("PINHOLE", [k.fx, k.fy, k.cx, k.cy])
    )
    with pycolmap.Database.open(database) as db:
        camera = pycolmap.Camera(
            model=model[0], width=k.width, height=k.height, params=model[1],
            has_prior_focal_length=not guess, camera_id=1,
        )  # fmt: skip
        camera.camera_id = db.write_camera(camera, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=1)
        rig.add_ref_sensor(camera.sensor_id)
        db.write_rig(rig, use_rig_id=True)
        for row, item in enumerate(features):
            image = pycolmap.Image(name=_name(row), camera_id=1, image_id=row + 1)
            db.write_image(image, use_image_id=True)
            frame = pycolmap.Frame(frame_id=row + 1, rig_id=1)
            frame.add_data_id(image.data_id)
            db.write_frame(frame, use_frame_id=True)
            db.write_keypoints(row + 1, item.points.astype(np.float32))
        lines = []
        for a, b in _pairs(features):
            matches = match(features[a], features[b])
            if len(matches) >= MIN_MATCHES:
                db.write_matches(a + 1, b + 1, matches.astype(np.uint32))
                lines.append(f"{_name(a)} {_name(b)}\n")
    pairs.write_text("".join(lines))


def _pairs(features: Sequence[KeyframeFeatures]) -> list[tuple[int, int]]:
    """The keyframes to match, the earlier first: neighbours, and a spread of the loops."""
    near = {(a, a + k) for k in PAIR_OFFSETS for a in range(len(features) - k)}
    loops = loop_pairs(features)
    spread = np.linspace(0, len(loops) - 1, min(len(loops), MAX_LOOPS)).astype(int)
    return sorted(near | {loops[k] for k in spread.tolist()})


def _name(row: int) -> str:
    return f"{row:06d}.jpg"


def posed_images(model: pycolmap.Reconstruction) -> list[pycolmap.Image]:
    """The registered images, by id."""
    return sorted((i for i in model.images.values() if i.has_pose), key=lambda i: i.image_id)


def read_model(
    model: pycolmap.Reconstruction,
    features: Sequence[KeyframeFeatures],
    focal: FocalVerdict,
) -> KeyframeMap:
    """A model in our terms: first camera at the origin, median depth of its points 1.

    Args:
        model: its image ids are the features' rows + 1. features: the points it was made from.
    """
    images = posed_images(model)
    rows = np.array([image.image_id - 1 for image in images])
    poses = np.stack([_pose(image) for image in images])
    numbers = {point_id: n for n, point_id in enumerate(model.points3D)}
    points = np.array([point.xyz for point in model.points3D.values()])
    colors = np.zeros((len(points), 3), np.uint8)
    tracked: dict[int, int] = {}
    seen: list[list[int]] = [[] for _ in numbers]
    for place, (row, image) in enumerate(zip(rows, images, strict=True)):
        item = features[row]
        for index, point in enumerate(image.points2D):
            if not point.has_point3D():
                continue
            n = numbers[point.point3D_id]
            colors[n] = item.colors[index]
            seen[n].append(place)
            if index < len(item.track_ids):
                tracked[int(item.track_ids[index])] = n
    ids = np.array(sorted(tracked), dtype=int)
    T_first = invert_transform(poses[0])
    poses, points = T_first @ poses, transform_points(T_first, points)
    unit = _median_depth(poses, points, seen)
    return KeyframeMap(
        rows=rows,
        Ts_map_camera=make_transform(poses[:, :3, :3], poses[:, :3, 3] / unit),
        focal_px=_focal(model),
        wanted_focal_px=focal.wanted_px,
        focal_contrast=focal.contrast,
        points_map=points / unit,
        colors=colors,
        track_ids=ids,
        track_points_map=points[[tracked[i] for i in ids.tolist()]].reshape(-1, 3) / unit,
        reprojection_px=float(model.compute_mean_reprojection_error()),
        triangulation_deg=_triangulation_deg(poses[:, :3, 3], points, seen),
    )


def _pose(image: pycolmap.Image) -> Array:
    inverse = image.cam_from_world().inverse()
    return make_transform(inverse.rotation.matrix(), inverse.translation)


def _median_depth(poses: Array, points: Array, seen: list[list[int]]) -> float:
    first = np.array([poses[places[0], :3, 3] if places else np.zeros(3) for places in seen])
    return float(np.median(np.linalg.norm(points - first, axis=1)))


def _triangulation_deg(centres: Array, points: Array, seen: list[list[int]]) -> float:
    """Median over (at most 500) points of the widest angle between two of their rays."""
    angles = []
    for n in range(0, len(points), max(1, len(points) // 500)):
        rays = points[n] - centres[seen[n]]
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        angles.append(
            np.degrees(np.arccos(np.clip(rays @ rays.T, -1, 1).min())) if len(rays) else 0
        )
    return float(np.median(angles))
