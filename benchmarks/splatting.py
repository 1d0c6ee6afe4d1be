"""Gaussian splatting: the rasterisers' time and gradients, and pictures learned in minutes.

The scene of the timings is synthetic: Gaussians of random size, turn, opacity and colour (SH
degree 3) before the camera. Times are the median of some repeats, after a first one for the
compiler; a busy machine makes all of them longer.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import recon  # noqa: F401  (first: it tells OpenMP's threads not to spin)

# isort: split
import numba
import numpy as np
import torch

from benchmarks.common import DATA, Row, main, row
from recon.core.geometry import umeyama
from recon.options import RunOptions, SplatOptions
from recon.pipeline import find_camera
from recon.runner import Silent
from recon.splat import splat, training_config
from recon.splat_photos import load_photos
from splatting.evaluation import evaluate
from splatting.gaussians import Cameras, Gaussians
from splatting.photos import Photos
from splatting.rasterize import rasterize
from splatting.training import Training

COUNTS, SIZES = (20_000, 100_000, 500_000), ((320, 240), (640, 480))
NAMES = ("means", "quats", "scales", "opacities", "sh")
REPEATS, GRADIENT_SCENES, HELD_OUT_FRAMES = 7, 20, 10
# Issue: a prototype of the same design, forward and forward + backward with two threads, ms.
TARGETS = {(20_000, 320): (9, 18), (100_000, 640): (51, 92)}


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Rows of the kernels, of the gradients, and of trainings on photographs and on a video."""
    yield from time_table(quick)
    yield from gradient_rows()
    yield from fox_rows((1,) if quick else (1, 5, 15), pictures)
    yield from handheld_rows(0.5 if quick else 3.0)


# Kernels -----------------------------------------------------------------------------------------


def cloud(count: int, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> Gaussians:
    """Random Gaussians between 2 and 8 m in front of a camera at the origin."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    depth = 2 + 6 * uniform(count, 1)
    aside = (uniform(count, 2) - 0.5) * torch.tensor([1.3, 1.0])
    # The more there are, the smaller: a surface has an area to be covered.
    size = 0.6 / count**0.5
    return Gaussians(
        means=torch.cat((aside * depth, depth), 1).to(dtype),
        quats=(uniform(count, 4) - 0.5).to(dtype),
        scales=(size * depth * torch.exp(2 * uniform(count, 3) - 1)).to(dtype),
        opacities=uniform(count).to(dtype),
        sh=(0.5 * (uniform(count, 16, 3) - 0.5)).to(dtype),
    )


def camera(width: int, height: int, dtype: torch.dtype = torch.float32) -> Cameras:
    """At the origin, with a field of view of 65 degrees."""
    K = np.array([[0.78 * width, 0, width / 2], [0, 0.78 * width, height / 2], [0, 0, 1.0]])
    return Cameras.of(np.eye(4), K, width=width, height=height).to(dtype)


def time_table(quick: bool) -> Iterator[Row]:
    """Milliseconds by number of Gaussians, size of the picture, and threads."""
    most = numba.get_num_threads()
    for count in COUNTS[:2] if quick else COUNTS:
        for width, height in SIZES:
            for threads in sorted({1, min(2, most)}):
                numba.set_num_threads(threads)
                forward, both = milliseconds(count, (width, height), "numba")
                name = f"numba, {count // 1000}k Gaussians, {width}x{height}, {threads} thread(s)"
                targets = TARGETS.get((count, width)) if threads == 2 else None
                bounds: dict[str, float] = {"at_most": targets[0]} if targets else {}
                yield row(f"{name}: forward", forward, "ms", **bounds)
                bounds = {"at_most": targets[1]} if targets else {}
                yield row(f"{name}: forward + backward", both, "ms", **bounds)
    numba.set_num_threads(most)
    if not quick:
        forward, both = milliseconds(COUNTS[0], SIZES[0], "torch", repeats=1)
        yield row("torch reference, 20k Gaussians, 320x240: forward", forward, "ms")
        yield row("torch reference, 20k Gaussians, 320x240: forward + backward", both, "ms")
    for count in (COUNTS[0], COUNTS[-1]):
        yield row(f"numba, {count // 1000}k Gaussians, 640x480: peak memory", peak_mb(count), "MB")


def milliseconds(
    count: int, size: tuple[int, int], backend: str, *, repeats: int = REPEATS
) -> tuple[float, float]:
    """Median time of drawing a picture, and of drawing it and all gradients."""
    gaussians, seen_by = cloud(count), camera(*size)
    leaves = {name: getattr(gaussians, name).requires_grad_() for name in NAMES}
    gradient = torch.ones(1, size[1], size[0], 3)

    def draw() -> None:
        with torch.no_grad():
            rasterize(gaussians, seen_by, backend=backend)

    def learn() -> None:
        rasterize(Gaussians(**leaves), seen_by, backend=backend).colour.backward(gradient)

    return _median(draw, repeats), _median(learn, repeats)


def _median(work: Callable[[], None], repeats: int) -> float:
    times = []
    for _ in range(repeats + (repeats > 1)):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times[-repeats:]))


def peak_mb(count: int) -> float:
    """Peak resident memory of a process of its own that learns from one picture."""
    code = f"from benchmarks.splatting import peak_of; print(peak_of({count}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(out.stdout)


def peak_of(count: int) -> float:
    """Peak resident memory of this process after one picture and its gradients, MB."""
    milliseconds(count, SIZES[-1], "numba", repeats=1)
    per_unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * per_unit / 1e6


# Gradients ---------------------------------------------------------------------------------------


def gradient_rows() -> Iterator[Row]:
    """Largest difference to the float64 reference over random scenes, relative L2."""
    worst: dict[str, float] = {}
    pictures = []
    for seed in range(GRADIENT_SCENES):
        (true, by_true), (found, by_found) = (
            gradients(seed, backend, dtype)
            for backend, dtype in (("torch", torch.float64), ("numba", torch.float32))
        )
        pictures.append(float((true - found).abs().mean()))
        for name, expected in by_true.items():
            error = float((expected - by_found[name]).norm() / expected.norm())
            worst[name] = max(worst.get(name, 0.0), error)
    yield row(f"pictures of {GRADIENT_SCENES} scenes: largest mean difference",
              1e6 * max(pictures), "1e-6", at_most=100)  # fmt: skip
    for name, error in worst.items():
        yield row(f"gradient by {name}: largest relative error", 1e3 * error, "1e-3", at_most=1)


def gradients(
    seed: int, backend: str, dtype: torch.dtype
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A picture, and the gradients of a random linear loss of it."""
    gaussians, seen_by = cloud(200, seed, dtype=dtype), camera(80, 60, dtype)
    leaves = {name: getattr(gaussians, name).requires_grad_() for name in NAMES}
    pose = seen_by.Ts_camera_world.requires_grad_()
    seen = rasterize(Gaussians(**leaves), seen_by, backend=backend)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(seen.colour.shape, generator=generator, dtype=torch.float64)
    (seen.colour * weights.to(dtype)).sum().backward()
    by = {name: leaf.grad.double() for name, leaf in leaves.items() if leaf.grad is not None}
    assert pose.grad is not None
    return seen.colour.detach().double(), {**by, "camera pose": pose.grad[:, :3].double()}


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
                (out / "held_out.jpg").replace(pictures / f"splatting_fox_{budget}.jpg")


def handheld_rows(minutes: float) -> Iterator[Row]:
    """A hand-held video with our cameras against the true ones, every 10th frame held out."""
    truth = np.load(DATA / "handheld_rgb" / "truth.npz")
    options = SplatOptions(minutes=minutes, every=1, held_out=HELD_OUT_FRAMES, scale=0.5)
    with tempfile.TemporaryDirectory(prefix="recon3d-handheld-") as name:
        scene = find_camera(
            DATA / "handheld_rgb", Path(name) / "scene", RunOptions(people="none", fps=30.0)
        )
        ours = load_photos(scene.path, options, Silent()).photos
    scores = {}
    for kind, photos in (("our", ours), ("true", with_truth(ours, truth))):
        training, held_out = photos.split(HELD_OUT_FRAMES)
        assert held_out is not None
        config = training_config(options)
        gaussians = Training(training, config).run()
        measured = list(evaluate(gaussians, held_out, config).values())
        scores[kind] = float(np.mean([m["psnr"] for m in measured]))
        similar = float(np.mean([m["ssim"] for m in measured]))
        label = f"handheld_rgb after {minutes:g} min, {kind} cameras"
        yield row(f"{label}: PSNR", scores[kind], "dB")
        yield row(f"{label}: SSIM", similar, "")
    yield row("handheld_rgb: our cameras against true ones", scores["our"] - scores["true"], "dB")


def with_truth(photos: Photos, truth: np.lib.npyio.NpzFile) -> Photos:
    """The same pictures with the true cameras; the points moved to them by a similarity."""
    rows = [int(name.removeprefix("frame")) for name in photos.names]
    Ts = truth["Ts_world_camera"][rows].astype(float)
    height, width = photos.images.shape[1:3]
    K = np.diag([width / 640, height / 480, 1.0]) @ truth["K"]
    scale, turn, offset = umeyama(photos.Ts_world_camera[:, :3, 3], Ts[:, :3, 3])
    points = None if photos.points is None else scale * photos.points @ turn.T + offset
    return replace(photos, Ts_world_camera=Ts, Ks=np.repeat(K[None], len(Ts), 0), points=points)


if __name__ == "__main__":
    main("Gaussian splatting", measure)
