"""What `recon splat` leaves: the Gaussians, and how well they show held-out pictures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon import __version__
from recon.core.errors import InputError
from recon.core.storage import write_atomic
from recon.runner import Watcher

if TYPE_CHECKING:
    from recon.evaluate.images import Lpips
    from splatting.gaussians import Gaussians
    from splatting.photos import Photos
    from splatting.stage_set import StageSet
    from splatting.training import Training, TrainingConfig

SPLATS, METRICS, SHEET = "splats.ply", "splats.json", "held_out.jpg"
SHEET_ROWS, SHEET_WIDTH = 4, 480
ALEXNET = "alexnet-owt-7be5be79.pth"


def find_lpips(alexnet: Path | None, held_out: Photos | None, watcher: Watcher) -> Lpips | None:
    """The measure, where its network is on this machine; else None, which the user is told.

    Args:
        alexnet: the network's file; default where torch.hub puts it.

    Raises:
        InputError: a file was given that is missing or holds something else.
    """
    import torch

    from recon.evaluate.images import MIN_SIDE, Lpips

    if held_out is None:
        return None
    file = alexnet or Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
    if alexnet is None and not file.is_file():
        watcher.note(f"splat: LPIPS is left out; it needs torchvision's {ALEXNET} (--alexnet)")
        return None
    if min(held_out.images.shape[1:3]) < MIN_SIDE:
        watcher.note(f"splat: LPIPS is left out; it needs pictures of {MIN_SIDE} px or more")
        return None
    return Lpips(file)


def write_results(
    training: Training,
    held_out: Photos | None,
    out: Path,
    *,
    source: Path,
    notes: tuple[str, ...] = (),
    lpips: Lpips | None = None,
    stage: StageSet | None = None,
) -> dict[str, Any]:
    """Writes splats.ply, splats.json and, of held-out pictures, held_out.jpg; what is in the JSON,
    and the folder.

    Args:
        stage: where the Gaussians are put if the photographs are from one place.
    """
    from splatting.files import write_gaussians

    gaussians, config, photos = training.gaussians, training.config, training.photos
    if not all(bool(t.isfinite().all()) for t in (gaussians.means, gaussians.scales)):
        raise InputError("expected finite Gaussians, got NaN after training; report this as a bug")
    if stage is not None:
        gaussians = stage.settled(gaussians)
    write_gaussians(out / SPLATS, gaussians)
    height, width = photos.images.shape[1:3]
    metrics = {
        "source": str(source), "version": __version__,
        **_measured(gaussians, held_out, config, lpips),
        "pictures": len(photos), "width": width, "height": height,
        "gaussians": len(gaussians), "steps": training.steps_done,
        "seconds": round(training.seconds_done, 1), "notes": list(notes),
        "config": asdict(config),
        "cameras": {
            "names": list(photos.names), "K": photos.Ks[0].tolist(),
            "Ts_world_camera": training.cameras_world.tolist(),
        },
    }  # fmt: skip
    text = json.dumps(metrics, indent=1)
    write_atomic(out / METRICS, lambda file: file.write(text.encode()))
    if held_out is not None:
        _write_sheet(gaussians, held_out, out / SHEET, config)
    return {**metrics, "folder": str(out)}


def _measured(
    gaussians: Gaussians, held_out: Photos | None, config: TrainingConfig, lpips: Lpips | None
) -> dict[str, Any]:
    """Means over the held-out pictures, and each one's: as given in "psnr", "ssim", "lpips", and,
    where poses or exposure may move, with the held-out pictures' own found first in "fitted"."""
    from splatting.evaluation import evaluate, fit_adjustments

    if held_out is None:
        return {"psnr": None, "ssim": None, "lpips": None, "fitted": None, "held_out": []}
    scores = evaluate(gaussians, held_out, config, distance=lpips)
    fitted = None
    if config.refine_poses or config.exposure:
        adjust = fit_adjustments(gaussians, held_out, config)
        fitted = _means(evaluate(gaussians, held_out, config, adjust=adjust, distance=lpips))
    return {
        "lpips": None, **_means(scores), "fitted": fitted,
        "held_out": [{"name": name, **score} for name, score in scores.items()],
    }  # fmt: skip


def figures(result: dict[str, Any]) -> str:
    """PSNR, SSIM and, where it was measured, LPIPS in words."""
    text = f"PSNR {result['psnr']:.2f} dB, SSIM {result['ssim']:.3f}"
    return text if result.get("lpips") is None else f"{text}, LPIPS {result['lpips']:.3f}"


def _means(scores: dict[str, dict[str, float]]) -> dict[str, float | None]:
    rows = list(scores.values())
    if not rows:
        return {"psnr": None, "ssim": None}
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


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
