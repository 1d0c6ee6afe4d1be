"""`recon splat`: Gaussians trained on a scene's video, or on a folder of photographs."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon.core.errors import InputError
from recon.options import SplatOptions
from recon.runner import Silent, Watcher
from recon.splat_photos import load_photos
from recon.splat_results import find_lpips, write_results
from recon.splat_watch import PREVIEW_SECONDS, Teller, open_preview, show

if TYPE_CHECKING:
    from splatting.photos import Photos
    from splatting.training import Status, Training, TrainingConfig

CHECKPOINT = "checkpoint.npz"
SAVE_SECONDS = 60.0
MIN_POINTS = 200


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
    from splatting.rasterize import device_of

    options, watcher = options or SplatOptions(), watcher or Silent()
    device = device_of(options.backend)
    if options.preview:
        from viewer.splats import check_viser

        check_viser()
    out = out or default_folder(source)
    if out.exists() and not out.is_dir():
        raise InputError(f"expected a folder to write to, got the file {out}; use --out DIR")
    loaded = load_photos(source, options, watcher)
    for note in loaded.notes:
        watcher.note(f"splat: {note}")
    photos, held_out = loaded.photos.split(options.held_out)
    lpips = find_lpips(options.alexnet, held_out, watcher)
    training = _start(photos, options, watcher, device=device)
    out.mkdir(parents=True, exist_ok=True)
    _train(training, out / CHECKPOINT, options, watcher)
    with watcher.stage("measure", f"{len(held_out) if held_out else 0} held-out pictures"):
        return write_results(
            training, held_out, out, source=source, notes=loaded.notes, lpips=lpips,
            stage=loaded.stage,
        )  # fmt: skip


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


def _start(photos: Photos, options: SplatOptions, watcher: Watcher, *, device: str) -> Training:
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
    return Training(photos, training_config(options), device=device)


def _train(training: Training, checkpoint: Path, options: SplatOptions, watcher: Watcher) -> None:
    """To the end of the budget, or as far as nobody interrupts; the checkpoint is kept."""
    from splatting.checkpoint import load_checkpoint, save_checkpoint

    if load_checkpoint(checkpoint, training):
        watcher.note(
            f"splat: goes on after {training.steps_done} steps and {training.seconds_done:.0f} s"
        )
    elif checkpoint.exists():
        watcher.note(f"splat: starts anew: {checkpoint} is of other pictures or settings")
    saved = shown = training.seconds_done
    height, width = training.photos.images.shape[1:3]
    why = f"{len(training.photos)} pictures of {width}x{height}"
    tell = Teller()
    with ExitStack() as stack:
        preview = None
        if options.preview:
            preview = stack.enter_context(open_preview(training.photos, watcher))
        progress = stack.enter_context(watcher.stage("splat", why))

        def watch(status: Status) -> None:
            nonlocal saved, shown
            text = tell(status)
            watcher.status(text)
            progress(round(1000 * status.progress), 1000)
            if preview is not None and status.seconds - shown > PREVIEW_SECONDS:
                shown = status.seconds
                show(preview, training.gaussians, text)
            if status.seconds - saved > SAVE_SECONDS:
                saved = status.seconds
                save_checkpoint(checkpoint, training)

        try:
            training.run(watch, every=1.0)
        finally:
            save_checkpoint(checkpoint, training)
