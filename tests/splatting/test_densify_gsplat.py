"""gsplat's strategies on our tables: the real ones where gsplat is installed, else their contract.

gsplat's MCMCStrategy needs CUDA kernels; its DefaultStrategy is plain torch and runs here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import pytest
import torch

from recon.core.errors import MissingDependencyError
from splatting.densify_gsplat import GsplatStrategy
from splatting.parameters import LearningRates, Parameters
from splatting.rasterize import Rendering, rasterize
from tests.splatting.scenes import cameras, cloud


def trained(count: int = 30) -> tuple[Parameters, Rendering]:
    """Parameters with moments after one step, and its picture."""
    parameters = Parameters(cloud(count).to(torch.float32), LearningRates(), 1.0)
    rendering = rasterize(parameters.gaussians(3), cameras().to(torch.float32))
    (rendering.colour**2).sum().backward()
    parameters.step(0.5)
    return parameters, rendering


@dataclass
class Doubling:
    """Keeps gsplat 1.5's contract: new Parameters in `params`, moments moved in the optimizers."""

    cap_max: int = 0
    reset_every: int = 3000
    prune_opa: float = 0.005
    grow_grad2d: float = 2e-4
    refine_start_iter: int = 500
    refine_stop_iter: int = 25_000

    def initialize_state(self, scene_scale: float = 1.0) -> dict[str, Any]:
        return {"binoms": torch.zeros(51, 51)}

    def step_post_backward(self, params, optimizers, *rest, lr: float = 0.0) -> None:
        _, step, _ = rest
        with torch.no_grad():
            params["means"].add_(lr)
        if not self.refine_start_iter < step < self.refine_stop_iter:
            return
        for name, old in list(params.items()):
            params[name] = torch.nn.Parameter(torch.cat((old.detach(), old.detach())))
            optimizer = optimizers[name]
            moments = optimizer.state.pop(old)
            for key, value in moments.items():
                moments[key] = torch.cat((value, torch.zeros_like(value)))
            optimizer.param_groups[0]["params"] = [params[name]]
            optimizer.state[params[name]] = moments


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("gsplat.strategy")
    module.__dict__.update(MCMCStrategy=Doubling, DefaultStrategy=Doubling)
    monkeypatch.setitem(sys.modules, "gsplat", ModuleType("gsplat"))
    monkeypatch.setitem(sys.modules, "gsplat.strategy", module)


@pytest.mark.usefixtures("fake")
def test_values_and_moments_come_back_and_refining_keeps_to_its_share() -> None:
    parameters, rendering = trained()
    before = {name: t.values.detach().clone() for name, t in parameters.tables.items()}
    first = parameters.sh.first.clone()
    strategy = GsplatStrategy("mcmc", most=100, extent=1.0)
    for step, progress in ((1, 0.001), (2, 0.9)):  # too early, and too late
        strategy.after_step(parameters, rendering, step=step, progress=progress)
        assert len(parameters) == 30
    moved = parameters.means_rate(0.001) + parameters.means_rate(0.9)
    torch.testing.assert_close(parameters.means.values, before["means"] + moved)
    strategy.after_step(parameters, rendering, step=3, progress=0.5)
    assert len(parameters) == 60
    torch.testing.assert_close(parameters.sh.values[30:], before["sh"])
    torch.testing.assert_close(parameters.sh.first[:30], first)
    assert not parameters.sh.first[30:].any() and first.any()
    assert parameters.means.values.requires_grad and parameters.means.values.is_leaf
    assert strategy.state() == {}


@pytest.mark.usefixtures("fake")
def test_opacities_are_reset_now_and_then_until_the_number_is_settled() -> None:
    """gsplat 1.5.3 never does so itself (its pull request 776)."""
    parameters, rendering = trained()
    strategy = GsplatStrategy("classic", most=100, extent=1.0)
    for step, progress, resets in ((3001, 0.5, False), (3000, 0.9, False), (3000, 0.5, True)):
        strategy.after_step(parameters, rendering, step=step, progress=progress)
        brightest = torch.sigmoid(parameters.logits.values).max().item()
        assert (brightest == pytest.approx(0.01)) == resets
    assert not parameters.logits.first.any()


def test_without_gsplat_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat.strategy", None)
    with pytest.raises(MissingDependencyError, match=r"recon3d\[splat\]"):
        GsplatStrategy("mcmc", most=10, extent=1.0)


def test_the_real_default_strategy_splits_prunes_and_stops_growing() -> None:
    pytest.importorskip("gsplat.strategy")
    parameters, rendering = trained()
    gone = replace(parameters.gaussians(3), opacities=torch.full((30,), 0.5))
    parameters = Parameters(gone, LearningRates(), 1.0)
    parameters.logits.values.data[:5] = -20
    rendering = rasterize(parameters.gaussians(3), cameras().to(torch.float32))
    (rendering.colour**2).sum().backward()
    strategy = GsplatStrategy("classic", most=40, extent=1.0)
    strategy.after_step(parameters, rendering, step=50, progress=0.5)
    assert len(parameters) == 30 and strategy.state()["count"].max() == 1
    again = GsplatStrategy("classic", most=40, extent=1.0)
    again.restore(strategy.state())
    again.after_step(parameters, rendering, step=100, progress=0.5)
    grown = len(parameters)
    assert grown > 25 and (torch.sigmoid(parameters.logits.values) > 0.005).all()
    full = GsplatStrategy("classic", most=10, extent=1.0)
    rendering = rasterize(parameters.gaussians(3), cameras().to(torch.float32))
    (rendering.colour**2).sum().backward()
    full.after_step(parameters, rendering, step=100, progress=0.5)
    assert len(parameters) <= grown
