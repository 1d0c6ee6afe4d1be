"""gsplat's own strategies of densification, on our tables: what CUDA trainings use."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from splatting.backends.gsplat_cuda import import_gsplat
from splatting.densify import START, STOP, reset_opacities
from splatting.parameters import Parameters
from splatting.rasterize import Rendering

_TABLES = {
    "means": "means", "quats": "quats", "scales": "log_scales", "opacities": "logits", "sh": "sh",
}  # fmt: skip
"""gsplat's names of raw parameters, and ours."""


class GsplatStrategy:
    """MCMCStrategy or DefaultStrategy of gsplat 1.5, between our shares of the training.

    They draw from torch's global generator, which a checkpoint does not hold: a training that
    goes on is another one than if it had not stopped, as good.

    Args:
        kind: "mcmc" or "classic". most: number of Gaussians; "classic" stops growing there, after
            the change that passes it. extent: of the scene, metres.

    Raises:
        MissingDependencyError: gsplat is not installed. InputError: it does not work here.
    """

    def __init__(self, kind: Literal["mcmc", "classic"], *, most: int, extent: float) -> None:
        module = import_gsplat("gsplat.strategy")
        self.kind, self.most = kind, most
        if kind == "mcmc":
            self.inner: Any = module.MCMCStrategy(cap_max=most)
            self.running: dict[str, Any] = self.inner.initialize_state()
        else:
            self.inner = module.DefaultStrategy()
            self.running = self.inner.initialize_state(scene_scale=extent)
            self.limit = self.inner.grow_grad2d

    def after_step(
        self, parameters: Parameters, rendering: Rendering, *, step: int, progress: float
    ) -> None:
        # gsplat counts steps; where minutes are the budget nobody knows how many there will be.
        self.inner.refine_start_iter = -1 if progress > START else step
        self.inner.refine_stop_iter = step + 1 if progress < STOP else 0
        params = {
            name: torch.nn.Parameter(getattr(parameters, ours).values.detach())
            for name, ours in _TABLES.items()
        }
        optimizers = {
            name: _Moments(param, getattr(parameters, _TABLES[name]))
            for name, param in params.items()
        }
        common = params, optimizers, self.running, step
        if self.kind == "mcmc":
            self.inner.step_post_backward(*common, {}, lr=parameters.means_rate(progress))
        else:
            self.inner.grow_grad2d = self.limit if len(parameters) < self.most else math.inf
            self.inner.step_post_backward(*common, _info(rendering))
        for name, ours in _TABLES.items():
            moments = optimizers[name].state[params[name]]
            getattr(parameters, ours).restore(
                params[name].detach(), moments["exp_avg"], moments["exp_avg_sq"]
            )
        # Version 1.5.3 never does: its `step % reset_every == 0 & step > 0` is always false.
        if self.kind == "classic" and progress < STOP and step % self.inner.reset_every == 0:
            reset_opacities(parameters, self.inner.prune_opa)

    def state(self) -> dict[str, Tensor]:
        running = self.running.items()
        return {k: v for k, v in running if k != "binoms" and isinstance(v, Tensor)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.running.update(state)


class _Moments:
    """A table's moments as gsplat looks for them in torch.optim.Adam."""

    def __init__(self, param: torch.nn.Parameter, table: Any) -> None:
        self.param_groups = [{"params": [param]}]
        self.state = {param: {"exp_avg": table.first, "exp_avg_sq": table.second}}


def _info(rendering: Rendering) -> dict[str, Any]:
    """What gsplat's rasterization says of a picture, as far as DefaultStrategy reads it."""
    cameras, height, width, _ = rendering.colour.shape
    centres = rendering.screen.detach()[..., :2]
    centres.grad = rendering.screen_gradient
    return {
        "width": width, "height": height, "n_cameras": cameras, "gaussian_ids": None,
        "radii": rendering.radii_px[..., None].expand(-1, -1, 2), "means2d": centres,
    }  # fmt: skip
