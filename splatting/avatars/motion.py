"""A motion that pictures may correct: small turns of the joints and shifts of the root."""

from __future__ import annotations

import numpy as np
import roma
import torch
from torch import Tensor

from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.people import BodyPoses
from recon.core.skeletons import SMPLX_BODY_JOINTS

NUM_TURNED = len(SMPLX_BODY_JOINTS)
RATE_AT_END = 0.1


class RefinedMotion:
    """Corrections of each frame's pose and place; hands and fingers stay as they were.

    Args:
        poses: T frames. turn_rate: radians per step. shift_rate: metres per step.
    """

    def __init__(
        self, poses: BodyPoses, *, turn_rate: float, shift_rate: float, device: str = "cpu"
    ) -> None:
        self.rotations = torch.tensor(poses.rotations, dtype=torch.float32, device=device)
        self.root = torch.tensor(poses.root, dtype=torch.float32, device=device)
        count = len(self.root)
        self.turns = torch.nn.Embedding(count, 3 * NUM_TURNED, sparse=True, device=device)
        self.shifts = torch.nn.Embedding(count, 3, sparse=True, device=device)
        for table in (self.turns, self.shifts):
            torch.nn.init.zeros_(table.weight)
        self.rates = (turn_rate, shift_rate)
        # Only the frame that was looked at moves: momentum must not carry the others along.
        self.optimizer = torch.optim.SparseAdam(
            [
                {"params": [self.turns.weight], "lr": turn_rate},
                {"params": [self.shifts.weight], "lr": shift_rate},
            ]
        )

    def __len__(self) -> int:
        return len(self.root)

    def frame(self, i: int) -> tuple[Tensor, Tensor]:
        """Rotations (52, 3, 3) and root (3,) of frame i as corrected so far."""
        row = torch.tensor(i, device=self.root.device)
        turns = roma.rotvec_to_rotmat(self.turns(row).reshape(NUM_TURNED, 3))
        body = self.rotations[i, :NUM_TURNED] @ turns
        return torch.cat([body, self.rotations[i, NUM_TURNED:]]), self.root[i] + self.shifts(row)

    def roughness(self, i: int, *, shift_scale: float = 0.1) -> Tensor:
        """How far the correction of frame i is from its neighbours' mean, squared; radians, and
        metres over `shift_scale`."""
        around = [j for j in (i - 1, i + 1) if 0 <= j < len(self)]
        row = torch.tensor(i, device=self.root.device)
        total = torch.zeros((), device=self.root.device)
        for table, scale in ((self.turns, 1.0), (self.shifts, shift_scale)):
            mean = table.weight.detach()[around].mean(dim=0)
            total = total + ((table(row) - mean) / scale).square().sum()
        return total

    def step(self, progress: float) -> None:
        """One step against the gradients; `progress` from 0 to 1 lowers the rates."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * RATE_AT_END**progress
        self.optimizer.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def poses(self) -> BodyPoses:
        """The corrected motion."""
        frames = [self.frame(i) for i in range(len(self))]
        rotations = torch.stack([frame[0] for frame in frames]).cpu().double().numpy()
        root = torch.stack([frame[1] for frame in frames]).cpu().double().numpy()
        return BodyPoses(root=root, rotations=rotations)

    @torch.no_grad()
    def at(self, places: Array) -> tuple[Array, Array]:
        """The corrections: turns (M, 22, 3) of the body's joints, rotation vectors, and shifts
        (M, 3), metres.

        Args:
            places: (M,) where they are wanted among the frames 0 to T - 1, such as 2.5.
        """
        known = np.arange(len(self))
        turns, shifts = (
            np.stack([np.interp(places, known, c) for c in table.weight.cpu().numpy().T], axis=1)
            for table in (self.turns, self.shifts)
        )
        return turns.reshape(-1, NUM_TURNED, 3), shifts


def corrected(poses: BodyPoses, turns: Array, shifts: Array) -> BodyPoses:
    """The poses (N frames) with corrections: turns (N, 22, 3), shifts (N, 3)."""
    rotations = poses.rotations.copy()
    rotations[:, :NUM_TURNED] @= rotvec_to_matrix(turns)
    return BodyPoses(root=poses.root + shifts, rotations=rotations)
