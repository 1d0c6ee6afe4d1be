"""What the Gaussian rasterisers cost, and how near they come to the float64 reference.

The scene of the timings is synthetic: Gaussians of random size, turn, opacity and colour (SH
degree 3) before the camera. Times are the median of some repeats, after a first one for the
compiler; a busy machine makes all of them longer.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import recon  # noqa: F401  (first: it tells OpenMP's threads not to spin)

# isort: split
import matplotlib as mpl
import numba
import numpy as np
import torch

from benchmarks.common import Row, row
from splatting.gaussians import Cameras, Gaussians
from splatting.rasterize import rasterize

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter

COUNTS, SIZES = (20_000, 100_000, 500_000), ((320, 240), (640, 480))
PLOTTED = ((160, 120), (320, 240), (640, 480), (1280, 960))
SMALL = ((1_000, (160, 120)), (2_000, (160, 120)))
"""For the torch reference, which takes seconds."""
NAMES = ("means", "quats", "scales", "opacities", "sh")
REPEATS, GRADIENT_SCENES = 5, 20
# Issue: a prototype of the same design, forward and forward + backward with two threads, ms.
TARGETS = {(20_000, 320): (9, 18), (100_000, 640): (51, 92)}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Milliseconds of one picture, and of it with all gradients."""

    backend: str
    count: int
    size: tuple[int, int]
    threads: int
    forward: float
    both: float


def cost_rows(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Milliseconds by number of Gaussians, size of the picture, and threads; peak memory."""
    costs = []
    for cost in _costs(quick):
        costs.append(cost)
        width, height = cost.size
        name = f"{cost.backend}, {cost.count // 1000}k Gaussians, {width}x{height}"
        name += f", {cost.threads} thread(s)" if cost.threads else ""
        aimed = cost.backend == "numba" and cost.threads == 2
        target = TARGETS.get((cost.count, width)) if aimed else None
        for k, (what, value) in enumerate((("", cost.forward), (" + backward", cost.both))):
            bounds: dict[str, float] = {"at_most": target[k]} if target else {}
            yield row(f"{name}: forward{what}", value, "ms", **bounds)
    if pictures is not None:
        draw_costs(pictures / "splatting_cost.png", costs)
    yield row("peak memory of the imports alone", peak_mb(0), "MB")
    for count in (COUNTS[0],) if quick else COUNTS:
        yield row(f"numba, {count // 1000}k Gaussians, 640x480: peak memory", peak_mb(count), "MB")


def _costs(quick: bool) -> Iterator[Cost]:
    most, torch_threads = numba.get_num_threads(), torch.get_num_threads()
    wanted = [(count, size) for count in (COUNTS[:2] if quick else COUNTS) for size in SIZES]
    if not quick:
        wanted += [(COUNTS[1], size) for size in PLOTTED if size not in SIZES]
    for threads in sorted({1, min(2, most)}):
        numba.set_num_threads(threads)
        torch.set_num_threads(threads)
        for count, size in wanted:
            yield _cost("numba", count, size, threads, repeats=3 if quick else REPEATS)
        whole = [] if quick or threads == 1 else [(n, size) for n in COUNTS[:2] for size in SIZES]
        for count, size in (*SMALL, *whole):
            if (count, size) not in wanted:
                yield _cost("numba", count, size, threads, repeats=3)
            yield _cost("torch", count, size, threads, repeats=1)
    numba.set_num_threads(most)
    torch.set_num_threads(torch_threads)
    if torch.cuda.is_available():
        for count, size in wanted:
            yield _cost("gsplat", count, size, 0, repeats=REPEATS)


def _cost(backend: str, count: int, size: tuple[int, int], threads: int, *, repeats: int) -> Cost:
    forward, both = milliseconds(count, size, backend, repeats=repeats)
    return Cost(
        backend=backend, count=count, size=size, threads=threads, forward=forward, both=both
    )


def draw_costs(file: Path, costs: list[Cost]) -> None:
    """Writes a PNG: milliseconds against Gaussians, and against pixels."""
    figure, (by_count, by_pixels) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    kinds = sorted({(c.backend, c.threads) for c in costs})
    for k, (backend, threads) in enumerate(kinds):
        mine = [c for c in costs if (c.backend, c.threads) == (backend, threads)]
        label = f"{backend}, {threads} thread(s)" if threads else backend
        for size, line in zip(SIZES, ("--", "-"), strict=True):
            points = sorted((c.count, c.both) for c in mine if c.size == size)
            if points:
                by_count.plot(*zip(*points, strict=True), f"{line}o", color=f"C{k}",
                              label=f"{label}, {size[0]}x{size[1]}")  # fmt: skip
        for count, line in zip(COUNTS, (":", "-", "--"), strict=True):
            points = sorted((c.size[0] * c.size[1], c.both) for c in mine if c.count == count)
            if points:
                by_pixels.plot(*zip(*points, strict=True), f"{line}o", color=f"C{k}",
                               label=f"{label}, {count // 1000}k")  # fmt: skip
    for axes, what in ((by_count, "Gaussians"), (by_pixels, "pixels")):
        axes.set(xscale="log", yscale="log", xlabel=what, ylabel="forward + backward, ms")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=7)
    figure.savefig(file, dpi=90)
    plt.close(figure)


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


def milliseconds(
    count: int, size: tuple[int, int], backend: str, *, repeats: int = REPEATS
) -> tuple[float, float]:
    """Median time of drawing a picture, and of drawing it and all gradients."""
    device = "cuda" if backend == "gsplat" else "cpu"
    gaussians, seen_by = cloud(count).to(device), camera(*size).to(device)
    leaves = {name: getattr(gaussians, name).requires_grad_() for name in NAMES}
    gradient = torch.ones(1, size[1], size[0], 3, device=device)

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
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times[-repeats:]))


def peak_mb(count: int) -> float:
    """Peak resident memory of a process of its own that learns from one picture."""
    code = f"from benchmarks.splatting_cost import peak_of; print(peak_of({count}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(out.stdout)


def peak_of(count: int) -> float:
    """Peak resident memory of this process after one picture and its gradients, MB."""
    if count:
        milliseconds(count, SIZES[-1], "numba", repeats=1)
    if sys.platform != "linux":
        per_unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * per_unit / 1e6
    # Linux counts the parent's peak into a child's ru_maxrss.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


# Gradients ---------------------------------------------------------------------------------------


def hard_cloud(seed: int) -> Gaussians:
    """Random Gaussians (float64); of every six scenes five have something degenerate among them."""
    gaussians = cloud(200, seed, dtype=torch.float64)
    some = torch.arange(200) % 10 == 0
    kind = seed % 6
    if kind == 1:  # without an area
        flat = torch.where(some[:, None], 1e-9, gaussians.scales)
        return replace(gaussians, scales=flat)
    if kind == 2:  # behind the camera, and across its plane
        moved = gaussians.means - torch.tensor([0.0, 0, 5]) * some[:, None]
        return replace(gaussians, means=moved)
    if kind == 3:  # larger than the picture
        return replace(gaussians, scales=gaussians.scales * torch.where(some, 50, 1)[:, None])
    if kind == 4:  # opaque, one behind the other
        means = torch.where(some[:, None], torch.tensor([0.0, 0, 1]), gaussians.means)
        means[:, 2] += 0.01 * torch.arange(200)
        return replace(gaussians, means=means, opacities=torch.where(some, 1.0, 0.9).double())
    if kind == 5:  # none
        return Gaussians(**{name: getattr(gaussians, name)[:0] for name in NAMES})
    return gaussians


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
            difference = float((expected - by_found[name]).norm())
            error = difference / max(float(expected.norm()), 1e-12)
            worst[name] = max(worst.get(name, 0.0), error)
    yield row(f"pictures of {GRADIENT_SCENES} scenes: largest mean difference",
              1e6 * max(pictures), "1e-6", at_most=100)  # fmt: skip
    for name, error in worst.items():
        yield row(f"gradient by {name}: largest relative error", 1e3 * error, "1e-3", at_most=1)


def gradients(
    seed: int, backend: str, dtype: torch.dtype
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A picture, and the gradients of a random linear loss of it."""
    gaussians, seen_by = hard_cloud(seed).to(dtype), camera(80, 60, dtype)
    leaves = {name: getattr(gaussians, name).requires_grad_() for name in NAMES}
    pose = seen_by.Ts_camera_world.requires_grad_()
    seen = rasterize(Gaussians(**leaves), seen_by, backend=backend)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(seen.colour.shape, generator=generator, dtype=torch.float64)
    (seen.colour * weights.to(dtype)).sum().backward()
    by = {name: leaf.grad.double() for name, leaf in leaves.items() if leaf.grad is not None}
    assert pose.grad is not None
    return seen.colour.detach().double(), {**by, "camera pose": pose.grad[:, :3].double()}
