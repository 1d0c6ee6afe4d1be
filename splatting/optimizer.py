"""Adam for tables of Gaussians, whose rows come and go during training."""

# pyright: reportCallIssue=false

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from splatting.cpu.adam import BETA1, BETA2, EPSILON, adam_step


@dataclass
class Table:
    """One parameter of all Gaussians with its moments; float32, (N, ...) each.

    Args:
        values: a leaf with a gradient. rates: learning rate of each number in a row.
    """

    values: Tensor
    rates: Tensor
    first: Tensor = field(init=False)
    second: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.values = self.values.detach().clone().contiguous().requires_grad_()
        self.first, self.second = torch.zeros_like(self.values), torch.zeros_like(self.values)

    @torch.no_grad()
    def step(self, number: int) -> None:
        """One step against the gradient, which is then dropped; `number` counts from 1."""
        gradient = self.values.grad
        if gradient is None:
            return
        rows = (len(self.values), -1)
        if self.values.device.type == "cpu" and len(self.values):
            tensors = (self.values, gradient.contiguous(), self.first, self.second)
            arrays = [t.detach().reshape(rows).numpy() for t in tensors]
            adam_step(*arrays, self.rates.numpy(), float(number))
        else:
            b1, b2 = float(BETA1), float(BETA2)
            self.first.lerp_(gradient, 1 - b1)
            self.second.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
            root = (self.second / (1 - b2**number)).sqrt_().add_(float(EPSILON))
            change = (self.first / (1 - b1**number)).div_(root)
            self.values -= change * self.rates.reshape(self.values.shape[1:])
        self.values.grad = None

    @torch.no_grad()
    def take(self, rows: Tensor) -> None:
        """Keeps these rows, in this order; a row taken twice starts its copy without moments."""
        fresh = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
        order = torch.argsort(rows, stable=True)
        fresh[order[1:]] = rows[order[1:]] != rows[order[:-1]]
        self.values = self.values.detach()[rows].contiguous().requires_grad_()
        keep = fresh.reshape(-1, *[1] * (self.values.ndim - 1))
        self.first = torch.where(keep, self.first[rows], 0)
        self.second = torch.where(keep, self.second[rows], 0)

    @torch.no_grad()
    def write(self, rows: Tensor, values: Tensor) -> None:
        """New values for these rows, without moments."""
        self.values[rows] = values
        self.first[rows] = 0
        self.second[rows] = 0

    def restore(self, values: Tensor, first: Tensor, second: Tensor) -> None:
        """Values and moments as they were saved, of any number of rows.

        Raises:
            ValueError: rows of another shape.
        """
        for tensor in (values, first, second):
            if tensor.shape[1:] != self.values.shape[1:] or len(tensor) != len(values):
                raise ValueError(
                    f"expected rows of {tuple(self.values.shape[1:])}, got {tuple(tensor.shape)}"
                )
        self.values = values.detach().contiguous().requires_grad_()
        self.first, self.second = first.contiguous(), second.contiguous()
