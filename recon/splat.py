"""`recon splat`: Gaussians trained on a scene's video, or on a folder of photographs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon import __version__
from recon.core.errors import InputError
from recon.core.storage import write_atomic
from recon.options import SplatOptions
from recon.runner import Silent, Watcher
from recon.splat_photos import load_photos

if TYPE_CHECKING:
    from splatting.gaussians import Gaussians
    from splatting.photos import Photos
    from splatting.training import Status, Training, TrainingConfig

SPLATS, METRICS, CHECKPOINT, SHEET = "splats.ply", "splats.json", "checkpoint.npz", "held_out.jpg"
SAVE_SECONDS = 60.0
MIN_POINTS = 200
SHEET_ROWS, SHEET_WIDTH = 4, 480


def splat(
    source: Path,
    out: Path | None = None,
    options: SplatOptions | None = None,
    *,
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Trains Gaussians; what is written to splats.json, and its path as "folder".

    Args:
        source: a scene, a folder with NeRF's transforms.json, or a COLMAP folder.
        out: default SCENE/splats, or a folder named after the photographs'.

    Raises:
        ReconError: the source, an option or the output folder cannot be used; nothing was written.
    """
    from splatting.rasterize import load_backend

    options, watcher = options or SplatOptions(), watcher or Silent()
    if options.backend != "auto":
        load_backend(options.backend)
    if options.backend == "gsplat":
        import torch

        if not torch.cuda.is_available():
            raise InputError(
                "expected a CUDA device for --backend gsplat, got none; use --backend numba"
            )
    out = out or default_folder(source)
    if out.exists() and not out.is_dir():
        raise InputError(f"expected a folder to write to, got the file {out}; use --out DIR")
    loaded = load_photos(source, options, watcher)
    for note in loaded.notes:
        watcher.note(f"splat: {note}")
    photos, held_out = loaded.photos.split(options.held_out)
    training = _start(photos, options, watcher)
    out.mkdir(parents=True, exist_ok=True)
    _train(training, out / CHECKPOINT, options, watcher)
    return _write(training, held_out, out, source=source, notes=loaded.notes)


def default_folder(source: Path) -> Path:
    """Where the Gaussians of a scene or of a folder of photographs go."""
    if (source / "scene.json").exists():
        return source / "splats"
    return Path(f"{source.resolve().name}_splats")


def training_config(options: SplatOptions) -> TrainingConfig:
    """The options as the trainer takes them."""
    from splatting.training import MOST_STEPS, TrainingConfig

    minutes = options.minutes
    if minutes is None and options.iterations is None:
        minutes = options.default_minutes
    return TrainingConfig(
        steps=options.iterations or MOST_STEPS,
        minutes=minutes,
        most=options.gaussians,
        strategy=options.strategy,
        backend=options.backend,
        refine_poses=options.refine_poses,
        exposure=options.exposure,
    )


def _start(photos: Photos, options: SplatOptions, watcher: Watcher) -> Training:
    """A training at its start, with points of the scene if the pictures give any."""
    from splatting.training import Training
    from splatting.triangulation import with_points

    if photos.points is None or len(photos.points) < MIN_POINTS:
        with watcher.stage("points", "none were given"):
            photos = with_points(photos)
        assert photos.points is not None
        watcher.note(f"points: {len(photos.points)} triangulated")
        if len(photos.points) < MIN_POINTS:
            watcher.note("points: too few to start from; Gaussians start anywhere in view")
            photos = replace(photos, points=None, colours=None)
    device = "cuda" if options.backend == "gsplat" else "cpu"
    return Training(photos, training_config(options), device=device)


def _train(training: Training, checkpoint: Path, options: SplatOptions, watcher: Watcher) -> None:
    """To the end of the budget, or as far as nobody interrupts; the checkpoint is kept."""
    from splatting.checkpoint import load_checkpoint, save_checkpoint

    if load_checkpoint(checkpoint, training):
        watcher.note(
            f"splat: goes on after {training.steps_done} steps and {training.seconds_done:.0f} s"
        )
    saved = training.seconds_done
    height, width = training.photos.images.shape[1:3]
    why = f"{len(training.photos)} pictures of {width}x{height}"
    with watcher.stage("splat", why) as progress:
        say = _sayer(training, watcher)

        def watch(status: Status) -> None:
            nonlocal saved
            progress(round(1000 * status.progress), 1000)
            say(status)
            if status.seconds - saved > SAVE_SECONDS:
                saved = status.seconds
                save_checkpoint(checkpoint, training)

        try:
            training.run(watch, every=1.0)
        finally:
            save_checkpoint(checkpoint, training)


def _sayer(training: Training, watcher: Watcher) -> Callable[[Status], None]:
    """Says at each tenth of the budget how it goes."""
    tenth, steps, seconds = int(10 * training.progress), training.steps_done, training.seconds_done
    values: list[float] = []

    def say(status: Status) -> None:
        nonlocal tenth, steps, seconds
        values.append(status.psnr)
        if int(10 * status.progress) == tenth:
            return
        rate = (status.step - steps) / max(status.seconds - seconds, 1e-9)
        watcher.note(
            f"splat: {100 * status.progress:.0f} %, step {status.step}, {rate:.1f} it/s, "
            f"{status.count} Gaussians, training PSNR {np.mean(values):.1f} dB"
        )
        tenth, steps, seconds = int(10 * status.progress), status.step, status.seconds
        values.clear()

    return say


def _write(
    training: Training, held_out: Photos | None, out: Path, *, source: Path, notes: tuple[str, ...]
) -> dict[str, Any]:
    """splats.ply, splats.json and, of held-out pictures, held_out.jpg."""
    from splatting.files import write_gaussians
    from splatting.training import evaluate

    gaussians, config, photos = training.gaussians, training.config, training.photos
    if not all(bool(t.isfinite().all()) for t in (gaussians.means, gaussians.scales)):
        raise InputError("expected finite Gaussians, got NaN after training; report this as a bug")
    write_gaussians(out / SPLATS, gaussians)
    scores = evaluate(gaussians, held_out, config) if held_out is not None else []
    psnr, ssim = np.mean(scores, axis=0).tolist() if scores else (None, None)
    height, width = photos.images.shape[1:3]
    metrics = {
        "source": str(source), "version": __version__, "psnr": psnr, "ssim": ssim,
        "held_out": [
            {"name": name, "psnr": p, "ssim": s}
            for name, (p, s) in zip(held_out.names if held_out else (), scores, strict=True)
        ],
        "pictures": len(photos), "width": width, "height": height,
        "gaussians": len(gaussians), "steps": training.steps_done,
        "seconds": round(training.seconds_done, 1), "notes": list(notes),
        "config": asdict(config),
        "cameras": {
            "names": list(photos.names), "K": photos.Ks[0].tolist(),
            "Ts_world_camera": photos.Ts_world_camera.tolist(),
        },
    }  # fmt: skip
    text = json.dumps(metrics, indent=1)
    write_atomic(out / METRICS, lambda file: file.write(text.encode()))
    if held_out is not None:
        _write_sheet(gaussians, held_out, out / SHEET, config)
    return {**metrics, "folder": str(out)}


def _write_sheet(
    gaussians: Gaussians, held_out: Photos, path: Path, config: TrainingConfig
) -> None:
    """Some held-out pictures: as rendered on the left, as filmed on the right."""
    import cv2
    import torch

    from splatting.rasterize import rasterize

    chosen = np.unique(np.linspace(0, len(held_out) - 1, SHEET_ROWS).round().astype(int))
    rows = []
    for i in chosen.tolist():
        camera = held_out.cameras([i]).to(gaussians.means.device)
        with torch.no_grad():
            rendering = rasterize(gaussians, camera, mode=config.mode, backend=config.backend)
        picture = (rendering.colour[0].clamp(0, 1) * 255).round().byte().cpu().numpy()
        pair = np.concatenate((picture, held_out.images[i]), axis=1)
        height = round(2 * SHEET_WIDTH * pair.shape[0] / pair.shape[1])
        rows.append(cv2.resize(pair, (2 * SHEET_WIDTH, height), interpolation=cv2.INTER_AREA))
    done, jpeg = cv2.imencode(".jpg", np.concatenate(rows)[..., ::-1])
    assert done
    write_atomic(path, lambda file: file.write(jpeg.tobytes()))
