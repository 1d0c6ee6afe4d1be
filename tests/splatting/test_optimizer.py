"""Adam on tables: the same as torch's, while rows come and go."""

from __future__ import annotations

import torch

from splatting.optimizer import Table


def test_steps_agree_with_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(700, 2, 3, generator=generator)
    rates = torch.tensor([0.1, 0.1, 0.1, 0.02, 0.02, 0.02])
    table = Table(values=start, rates=rates)
    first, second = (start[:, k].clone().requires_grad_() for k in (0, 1))
    theirs = torch.optim.Adam(
        [{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.02}], eps=1e-15
    )
    for number in range(1, 6):
        target = torch.randn(700, 2, 3, generator=generator)
        ((table.values - target) ** 2).sum().backward()
        (((first - target[:, 0]) ** 2).sum() + ((second - target[:, 1]) ** 2).sum()).backward()
        table.step(number)
        theirs.step()
        theirs.zero_grad()
    expected = torch.stack((first, second), dim=1)
    torch.testing.assert_close(table.values, expected, atol=2e-5, rtol=1e-5)


def test_copies_start_without_moments() -> None:
    table = Table(values=torch.arange(6.0).reshape(3, 2), rates=torch.ones(2))
    table.values.sum().backward()
    table.step(1)
    table.take(torch.tensor([2, 0, 2]))
    assert table.values[0].tolist() == table.values[2].tolist()
    assert (table.first[:2] != 0).all()
    assert (table.first[2] == 0).all()
    assert table.values.requires_grad and table.values.is_leaf


def test_nothing_moves_without_a_gradient() -> None:
    table = Table(values=torch.ones(2, 2), rates=torch.ones(2))
    table.step(1)
    assert (table.values == 1).all()


def test_the_values_given_are_copied() -> None:
    given = torch.ones(2, 2)
    table = Table(values=given, rates=torch.ones(2))
    table.values.sum().backward()
    table.step(1)
    assert (given == 1).all() and (table.values != 1).all()
