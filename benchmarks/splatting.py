"""Gaussian splatting: the rasterisers' cost and gradients, and pictures learned in minutes."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import recon  # noqa: F401  (first: it tells OpenMP's threads not to spin)

# isort: split
import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.common import DATA, Row, in_sections, main, row
from benchmarks.splatting_cost import cost_rows, gradient_rows
from recon.core.geometry import umeyama
from recon.options import RenderOptions, RunOptions, SplatOptions
from recon.pipeline import CAMERA_FORMATS, find_camera
from recon.render import render
from recon.runner import Silent
from recon.splat import splat, training_config
from recon.splat_photos import load_photos
from splatting.evaluation import evaluate, fit_adjustments
from splatting.paths import focus_of
from splatting.photos import Photos, load_nerf
from splatting.training import Training, TrainingConfig
from splatting.triangulation import with_points

HELD_OUT, HELD_OUT_FRAMES = 8, 10
FILMED = ("runner_moving", "walker_moving")
WRONG_DEG, WRONG_SHARE, WRONG_GAIN, WRONG_TINT = 0.5, 0.01, 0.2, 0.05
"""Errors given to photographs: of poses, 0.5 degrees and a hundredth of the distance (1 cm at 1 m);
of exposure, deviations of the logarithm of the gain and of each channel's."""


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Rows of the kernels, of the gradients, and of trainings on photographs and on videos."""
    sections: dict[str, Callable[[], Iterator[Row]]] = {
        "cost": partial(cost_rows, quick, pictures),
        "gradients": gradient_rows,
        "fox": partial(fox_rows, (1,) if quick else (1, 5, 15), pictures),
        "handheld": partial(handheld_rows, quick),
    }
    if not quick:
        sections |= {
            "adjustments": adjustment_rows,
            "without people": partial(background_rows, pictures),
        }
    yield from in_sections(sections)


# Trainings ---------------------------------------------------------------------------------------


def fox_rows(minutes: tuple[int, ...], pictures: Path | None) -> Iterator[Row]:
    """Photographs of a fox at 270x480, every 8th held out, after some minutes of training."""
    with tempfile.TemporaryDirectory(prefix="recon3d-fox-") as name:
        for budget in minutes:
            out = Path(name) / str(budget)
            started = time.perf_counter()
            result = splat(DATA / "fox", out, SplatOptions(minutes=budget, scale=0.5))
            whole = time.perf_counter() - started
            target = {"at_least": 25.0} if budget == 5 else {}
            label = f"fox after {budget} min"
            yield row(f"{label}: PSNR", result["psnr"], "dB", **target)
            yield row(f"{label}: SSIM", result["ssim"], "")
            yield row(f"{label}: Gaussians", result["gaussians"], "")
            yield row(f"{label}: steps", result["steps"], "")
            yield row(f"{label}: with points and files", whole, "s")
            if pictures is not None:
                shutil.move(out / "held_out.jpg", pictures / f"splatting_fox_{budget}.jpg")


def handheld_rows(quick: bool) -> Iterator[Row]:
    """A hand-held video with our cameras against the true ones, every 10th frame held out.

    The truth is good to about 4 cm (7-Scenes); how much of the difference that makes is told by
    letting the poses move. By steps, so that both are compared wherever the machine is busy.
    """
    truth = np.load(DATA / "handheld_rgb" / "truth.npz")
    steps = 300 if quick else 1500
    options = SplatOptions(iterations=steps, every=1, held_out=HELD_OUT_FRAMES, scale=0.5)
    with tempfile.TemporaryDirectory(prefix="recon3d-handheld-") as name:
        scene = find_camera(
            DATA / "handheld_rgb",
            Path(name) / "scene",
            RunOptions(people="none", fps=30.0, formats=CAMERA_FORMATS),
        )
        ours = load_photos(scene.path, options, Silent()).photos
    scores = {}
    for moving in (False,) if quick else (False, True):
        for kind, photos in (("our", ours), ("true", with_truth(ours, truth))):
            config = training_config(replace(options, refine_poses=moving))
            found = trained_scores(photos, config, HELD_OUT_FRAMES)
            scores[kind] = found["fitted psnr" if moving else "psnr"]
            label = f"handheld_rgb, {steps} steps, {kind} cameras{', refined' if moving else ''}"
            for what, value in found.items():
                yield row(f"{label}: {what}", value, "dB" if "psnr" in what else "")
        which = "cameras refined" if moving else "cameras as given"
        yield row(f"handheld_rgb, {which}: ours against true ones", scores["our"] - scores["true"],
                  "dB")  # fmt: skip


def trained_scores(
    photos: Photos,
    config: TrainingConfig,
    held_out_every: int,
    *,
    fit: dict[str, Any] | None = None,
) -> dict[str, float]:
    """Means over held-out pictures as they were given ("psnr", "ssim"), and, where poses or
    exposure move, with their own found first ("fitted psnr", "fitted ssim").

    Args:
        fit: which of them may move when they are found; default those that moved in training.
    """
    training, held_out = photos.split(held_out_every)
    assert held_out is not None
    if training.points is None:
        training = with_points(training)
    gaussians = Training(training, config).run()
    measured = {"": evaluate(gaussians, held_out, config)}
    finding = replace(config, **(fit or {}))
    if finding.refine_poses or finding.exposure:
        adjust = fit_adjustments(gaussians, held_out, finding)
        measured["fitted "] = evaluate(gaussians, held_out, finding, adjust=adjust)
    return {
        f"{prefix}{key}": float(np.mean([s[key] for s in scores.values()]))
        for prefix, scores in measured.items()
        for key in ("psnr", "ssim")
    }


def with_truth(photos: Photos, truth: np.lib.npyio.NpzFile) -> Photos:
    """The same pictures with the true cameras; the points moved to them by a similarity."""
    rows = [int(name.removeprefix("frame")) for name in photos.names]
    Ts = truth["Ts_world_camera"][rows].astype(float)
    height, width = photos.images.shape[1:3]
    K = np.diag([width / 640, height / 480, 1.0]) @ truth["K"]
    scale, turn, offset = umeyama(photos.Ts_world_camera[:, :3, 3], Ts[:, :3, 3])
    points = None if photos.points is None else scale * photos.points @ turn.T + offset
    return replace(photos, Ts_world_camera=Ts, Ks=np.repeat(K[None], len(Ts), 0), points=points)


def adjustment_rows(steps: int = 800) -> Iterator[Row]:
    """What moving poses and exposures wins on photographs whose own are wrong, and costs else.

    Held-out pictures find their own in every case, so that only the training differs.
    """
    photos = load_nerf(DATA / "fox", scale=0.25)
    for what, spoil in (("refine_poses", wrong_poses), ("exposure", wrong_exposure)):
        for title, given in (("right", photos), ("wrong", spoil(photos, seed=0))):
            for used in (False, True):
                config = TrainingConfig(
                    steps=steps, most=15_000, refine_poses=used and what == "refine_poses",
                    exposure=used and what == "exposure",
                )  # fmt: skip
                found = trained_scores(given, config, HELD_OUT, fit={what: True})
                name = f"fox at 135x240, {steps} steps, {what} {'on' if used else 'off'}"
                yield row(f"{name}, {title} ones given: PSNR", found["fitted psnr"], "dB")


def wrong_poses(photos: Photos, *, seed: int) -> Photos:
    """Photographs whose poses are off in random directions."""
    rng, Ts = np.random.default_rng(seed), photos.Ts_world_camera.copy()
    ahead = np.einsum("ck,ck->c", focus_of(Ts) - Ts[:, :3, 3], Ts[:, :3, 2])
    aside, about = rng.normal(size=(2, len(Ts), 3))
    aside, about = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (aside, about))
    Ts[:, :3, 3] += WRONG_SHARE * np.median(ahead) * aside
    Ts[:, :3, :3] @= Rotation.from_rotvec(np.radians(WRONG_DEG) * about).as_matrix()
    return replace(photos, Ts_world_camera=Ts)


def wrong_exposure(photos: Photos, *, seed: int) -> Photos:
    """Photographs each brighter or darker than it was, and tinted."""
    rng, count = np.random.default_rng(seed), len(photos)
    gain = rng.normal(scale=WRONG_GAIN, size=(count, 1, 1, 1))
    tint = rng.normal(scale=WRONG_TINT, size=(count, 1, 1, 3))
    images = np.clip(photos.images * np.exp(gain + tint), 0, 255).round().astype(np.uint8)
    return replace(photos, images=images)


def background_rows(pictures: Path | None, steps: int = 1500) -> Iterator[Row]:
    """Videos of a moving person as splats without that person; new views beside the JSON."""
    for clip in FILMED:
        with tempfile.TemporaryDirectory(prefix="recon3d-filmed-") as name:
            scene = find_camera(
                DATA / "videos" / f"{clip}.mp4",
                Path(name) / "scene",
                RunOptions(formats=CAMERA_FORMATS),
            )
            result = splat(scene.path, None, SplatOptions(iterations=steps))
            yield row(f"{clip} without the person: PSNR", result["psnr"], "dB")
            yield row(f"{clip} without the person: SSIM", result["ssim"], "")
            if pictures is None:
                continue
            views = Path(name) / "views"
            render(scene.path, views, RenderOptions(path="circles", frames=4))
            new = [np.asarray(cv2.imread(str(file))) for file in sorted(views.glob("frame*.png"))]
            cv2.imwrite(str(pictures / f"splatting_{clip}_new_views.jpg"), np.concatenate(new, 1))
            sheet = scene.path / "splats" / "held_out.jpg"
            shutil.move(sheet, pictures / f"splatting_{clip}_held_out.jpg")


if __name__ == "__main__":
    main("Gaussian splatting", measure)
