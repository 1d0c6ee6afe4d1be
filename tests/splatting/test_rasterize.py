"""Drawing: laws of the picture, and every back-end against the float64 reference."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
import torch

from recon.core.errors import InputError, MissingDependencyError
from splatting.backends import gsplat_cuda
from splatting.gaussians import Gaussians
from splatting.harmonics import rgb_to_sh
from splatting.rasterize import Rendering, device_of, rasterize
from tests.splatting.scenes import cameras, cloud

NAMES = ("means", "quats", "scales", "opacities", "sh")
Mode = Literal["classic", "antialiased"]


def gradients(
    gaussians: Gaussians, backend: str, mode: Mode, dtype: torch.dtype, *, count: int = 1
) -> tuple[Rendering, dict[str, torch.Tensor]]:
    """A rendering, and the gradients of a random linear loss of all its pictures."""
    leaves = {name: getattr(gaussians, name).to(dtype).clone().requires_grad_() for name in NAMES}
    seen_by = cameras(count).to(dtype)
    pose = seen_by.Ts_camera_world.clone().requires_grad_()
    rendering = rasterize(
        Gaussians(**leaves),
        replace(seen_by, Ts_camera_world=pose),
        background=torch.tensor([0.2, 0.4, 0.6], dtype=dtype),
        backend=backend,
        mode=mode,
    )
    generator = torch.Generator().manual_seed(1)
    loss = torch.zeros((), dtype=dtype)
    for picture in (rendering.colour, rendering.alpha, rendering.depth):
        weights = torch.randn(picture.shape, generator=generator, dtype=torch.float64)
        loss = loss + (picture * weights.to(dtype)).sum()
    loss.backward()
    grads = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    assert pose.grad is not None
    return rendering, {**grads, "pose": pose.grad[:, :3], "screen": rendering.screen_gradient}


def odd(kind: str) -> Gaussians:
    """Degenerate scenes."""
    gaussians = cloud(60, seed=3)
    means, scales = gaussians.means, gaussians.scales
    changes: dict[str, dict[str, torch.Tensor]] = {
        "flat": {"scales": scales * torch.tensor([1.0, 1.0, 0.0])},
        "points": {"scales": scales * 0},
        "behind": {"means": means * torch.tensor([1.0, 1.0, -1.0])},
        "huge": {"scales": scales * 50},
        "around the camera": {"means": means - torch.tensor([1.0, 0.0, 3.5])},
        "opaque stack": {
            "means": means * torch.tensor([0.01, 0.01, 1.0]),
            "opacities": torch.ones_like(gaussians.opacities),
        },
    }
    return cloud(0) if kind == "none" else replace(gaussians, **changes[kind])


ODD = ("flat", "points", "behind", "huge", "around the camera", "opaque stack", "none")


@pytest.mark.parametrize("mode", ["classic", "antialiased"])
@pytest.mark.parametrize("scene", [*range(4), *ODD])
def test_numba_agrees_with_the_reference(scene: int | str, mode: Mode) -> None:
    if scene == "points" and mode == "antialiased":
        pytest.skip("a point has no opacity left once its blur is taken back")
    gaussians = cloud(150, seed=scene, degree=scene) if isinstance(scene, int) else odd(scene)
    true, true_grads = gradients(gaussians, "torch", mode, torch.float64)
    found, found_grads = gradients(gaussians, "numba", mode, torch.float32)
    assert (true.colour - found.colour).abs().mean() < 1e-4
    assert (true.alpha - found.alpha).abs().mean() < 1e-4
    assert torch.allclose(true.radii_px.float(), found.radii_px, rtol=1e-3, atol=1e-3)
    for name, expected in true_grads.items():
        size = expected.norm()
        error = (expected - found_grads[name]).norm()
        # A pixel at the limit of 1/255 may be drawn in one precision and not in the other.
        assert error <= 2e-3 * size + 1e-9, f"{name}: {error / size:.1e}"


def test_several_cameras_at_once_are_each_alone() -> None:
    together, by_all = gradients(cloud(80), "numba", "classic", torch.float32, count=3)
    for k in range(3):
        one = cameras(3).to(torch.float32)
        one = replace(one, Ts_camera_world=one.Ts_camera_world[k : k + 1], Ks=one.Ks[k : k + 1])
        background = torch.tensor([0.2, 0.4, 0.6])
        alone = rasterize(cloud(80).to(torch.float32), one, background=background)
        assert torch.equal(alone.colour[0], together.colour[k])
    assert by_all["pose"].shape == (3, 3, 4)
    assert (by_all["pose"].abs().amax((1, 2)) > 0).all()


def test_one_gaussian_shows_its_colour_and_depth_at_its_place() -> None:
    seen_by = cameras(1).to(torch.float32)
    to_world = torch.linalg.inv(seen_by.Ts_camera_world[0])
    place = to_world[:3, :3] @ torch.tensor([0.3, -0.2, 2.5]) + to_world[:3, 3]
    rgb = torch.tensor([[0.9, 0.5, 0.1]])
    gaussian = Gaussians(
        means=place[None], quats=torch.tensor([[1.0, 0, 0, 0]]),
        scales=torch.full((1, 3), 0.05), opacities=torch.tensor([0.9]), sh=rgb_to_sh(rgb)[:, None],
    )  # fmt: skip
    rendering = rasterize(gaussian, seen_by)
    x, y, z = (seen_by.Ks[0] @ torch.tensor([0.3, -0.2, 2.5])).tolist()
    row, column = int(y / z), int(x / z)
    share = rendering.alpha[0, row, column]
    assert 0.75 < share <= 0.9
    torch.testing.assert_close(rendering.colour[0, row, column], share * rgb[0], atol=1e-5, rtol=0)
    assert rendering.depth[0, row, column] == pytest.approx(2.5, abs=1e-4)
    assert rendering.alpha.argmax() == row * seen_by.width + column
    assert rendering.radii_px[0, 0] > 0


def test_a_near_opaque_gaussian_hides_what_is_behind() -> None:
    near_red = rgb_to_sh(torch.tensor([[1.0, 0, 0]]))
    far_green = rgb_to_sh(torch.tensor([[0, 1.0, 0]]))
    to_world = torch.linalg.inv(cameras(1).to(torch.float32).Ts_camera_world[0])
    places = torch.tensor([[0.0, 0, 4], [0.0, 0, 2]]) @ to_world[:3, :3].T + to_world[:3, 3]
    stack = Gaussians(
        means=places, quats=torch.ones(2, 4), scales=torch.full((2, 3), 0.3),
        opacities=torch.ones(2), sh=torch.stack((far_green, near_red)),
    )  # fmt: skip
    colour = rasterize(stack, cameras(1).to(torch.float32)).colour[0]
    centre = colour.reshape(-1, 3)[colour[..., 0].argmax()]
    assert centre[0] > 0.99
    assert centre[1] < 0.01


@pytest.mark.parametrize("factor", [1e9, 1e12, 1e30])
def test_gaussians_too_wide_for_float32_are_left_out(factor: float) -> None:
    few = cloud(40)
    half = torch.cat((torch.full((20, 1), factor), torch.ones(20, 1)))
    drawn, grads = gradients(replace(few, scales=few.scales * half), "numba", "classic",
                             torch.float32)  # fmt: skip
    rest = Gaussians(**{name: getattr(few, name)[20:] for name in NAMES})
    alone, _ = gradients(rest, "numba", "classic", torch.float32)
    assert torch.equal(drawn.radii_px[:, 20:], alone.radii_px)
    assert torch.equal(drawn.colour, alone.colour)
    assert all(grad.isfinite().all() for grad in grads.values())


def test_threads_and_repeats_give_the_same_bits() -> None:
    import numba

    gaussians = cloud(400)
    first, grads = gradients(gaussians, "numba", "classic", torch.float32)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        second, again = gradients(gaussians, "numba", "classic", torch.float32)
    finally:
        numba.set_num_threads(threads)
    assert torch.equal(first.colour, second.colour)
    assert all(torch.equal(grads[name], again[name]) for name in NAMES)


def test_bad_input_is_refused() -> None:
    good = cloud(5)
    with pytest.raises(InputError, match="quats of shape"):
        replace(good, quats=good.quats[:3])
    with pytest.raises(InputError, match="sh of shape"):
        replace(good, sh=good.sh[:, :5])
    with pytest.raises(InputError, match="numba, gsplat, torch"):
        rasterize(good, cameras(), backend="vulkan")
    with pytest.raises(InputError, match="'classic' or 'antialiased'"):
        rasterize(good, cameras(), mode="fancy")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="backward"):
        _ = rasterize(good.to(torch.float32), cameras().to(torch.float32)).screen_gradient


def gsplat_with(monkeypatch: pytest.MonkeyPatch, kernels: object) -> None:
    """A machine with a CUDA device and gsplat, whose kernels are these."""
    package, backend = ModuleType("gsplat"), ModuleType("gsplat.cuda._backend")
    backend.__dict__["_C"] = kernels
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "gsplat", package)
    monkeypatch.setitem(sys.modules, "gsplat.cuda", ModuleType("gsplat.cuda"))
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", backend)


def test_a_back_end_tells_its_device_or_why_it_does_not_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert device_of("numba") == device_of("torch") == "cpu"
    gsplat_with(monkeypatch, kernels=object())
    assert device_of("gsplat") == "cuda" and device_of("numba") == "cpu"
    gsplat_with(monkeypatch, kernels=None)
    with pytest.raises(InputError, match=r"toolkit \(nvcc\).*use --backend numba"):
        device_of("gsplat")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert device_of("auto") == "cpu"
    with pytest.raises(InputError, match="CUDA device for --backend gsplat"):
        device_of("gsplat")
    with pytest.raises(InputError, match="numba, gsplat, torch"):
        device_of("vulkan")


@pytest.mark.parametrize(
    ("failure", "expected", "words"),
    [
        (ModuleNotFoundError("no", name="gsplat"), MissingDependencyError, "recon3d"),
        (ModuleNotFoundError("No module named 'ninja'", name="ninja"), InputError, "'ninja'"),
        (RuntimeError("Error building extension\n[1/30] nvcc …"), InputError, "extension; mend"),
    ],
)
def test_gsplat_that_does_not_load_says_why(
    failure: Exception, expected: type, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise failure

    monkeypatch.setattr(gsplat_cuda.importlib, "import_module", fail)
    with pytest.raises(expected, match=words):
        gsplat_cuda.compiled_gsplat()


def test_gsplat_s_picture_is_read_as_it_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As version 1.5 documents it: colour and depth (C, H, W, 4), radii (C, N, 2) integers."""
    asked: dict[str, Any] = {}

    def rasterization(*arrays: Any, **options: Any) -> tuple[Any, Any, dict[str, Any]]:
        asked.update(options)
        means, _, _, _, _, Ts, Ks, width, height = arrays
        assert Ts.shape == (2, 4, 4) and Ks.shape == (2, 3, 3)
        colour = torch.tensor([0.1, 0.2, 0.3, 2.0]).expand(2, height, width, 4)
        radii = torch.tensor([3, 5]).expand(2, len(means), 2)
        screen = means[None, :, :2].expand(2, -1, -1) * 1.0
        return colour, torch.full((2, height, width, 1), 0.5), {"means2d": screen, "radii": radii}

    gsplat_with(monkeypatch, kernels=object())
    sys.modules["gsplat"].__dict__["rasterization"] = rasterization
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    gaussians = cloud(7, degree=2).to(torch.float32)
    found = rasterize(gaussians, cameras(2).to(torch.float32), mode="antialiased")
    assert asked["sh_degree"] == 2 and asked["rasterize_mode"] == "antialiased"
    assert found.colour[0, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert (found.alpha == 0.5).all() and (found.depth == 4).all()
    assert found.radii_px.shape == (2, 7) and (found.radii_px == 5).all()
    assert found.screen.shape == (2, 7, 2)
    none = replace(cloud(0).to(torch.float32), means=torch.zeros(0, 3, requires_grad=True))
    blank = rasterize(none, cameras(2).to(torch.float32))
    blank.colour.sum().backward()
    assert blank.alpha.shape == found.alpha.shape and not blank.alpha.any()
    assert blank.radii_px.shape == (2, 0) and blank.screen_gradient.shape == (2, 0, 2)


def test_a_camera_pose_is_inverted_once() -> None:
    pose = np.eye(4)
    pose[:3, 3] = [1, 2, 3]
    from splatting.gaussians import Cameras

    made = Cameras.of(pose, np.eye(3), width=4, height=3)
    assert made.Ts_camera_world[0, :3, 3].tolist() == [-1, -2, -3]
