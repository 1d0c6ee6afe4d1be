"""What a photograph may change of itself: its exposure and its camera's pose."""

from __future__ import annotations

from dataclasses import dataclass, field

import roma
import torch
from torch import Tensor

EXPOSURE_RATE = 1e-3
RATE_AT_END = 0.1


@dataclass
class Adjustments:
    """Of each photograph a gain and an offset per channel, and a small motion of its camera.

    Args:
        count: of photographs. pose_rate: radians, and shares of `extent`, per step.
        extent: of the cameras, metres. exposure_rate: log gain, and brightness, per step.
    """

    count: int
    pose_rate: float
    extent: float = 1.0
    exposure_rate: float = EXPOSURE_RATE
    device: str = "cpu"
    exposure: Tensor = field(init=False)
    poses: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.exposure = torch.zeros(self.count, 2, 3, device=self.device, requires_grad=True)
        self.poses = torch.zeros(self.count, 6, device=self.device, requires_grad=True)
        self.optimizer = torch.optim.Adam(
            [
                {"params": [self.exposure], "lr": self.exposure_rate},
                {"params": [self.poses], "lr": self.pose_rate},
            ]
        )

    def exposed(self, colour: Tensor, i: int) -> Tensor:
        """A rendered picture (H, W, 3) with the gain and offset of photograph i."""
        return colour * torch.exp(self.exposure[i, 0]) + self.exposure[i, 1]

    def moved(self, T: Tensor, i: int) -> Tensor:
        """The world-to-camera pose (4, 4) of photograph i, moved in the camera frame."""
        turn = roma.rotvec_to_rotmat(self.poses[i, :3])
        change = torch.cat((turn, self.extent * self.poses[i, 3:, None]), dim=1)
        last = torch.tensor([[0.0, 0, 0, 1]], device=T.device)
        return torch.cat((change, last)) @ T

    def step(self, progress: float = 0.0) -> None:
        """One step against the gradients; `progress` from 0 to 1 lowers the rate of the poses."""
        self.optimizer.param_groups[1]["lr"] = self.pose_rate * RATE_AT_END**progress
        self.optimizer.step()
        self.optimizer.zero_grad()

    def state(self) -> dict[str, Tensor]:
        """Values and Adam's moments, for a checkpoint."""
        out = {"exposure": self.exposure, "poses": self.poses}
        for name, tensor in tuple(out.items()):
            for part, value in self.optimizer.state.get(tensor, {}).items():
                out[f"{name}.{part}"] = value
        return out

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Goes on from such a state."""
        for name, tensor in (("exposure", self.exposure), ("poses", self.poses)):
            tensor.copy_(state[name])
            moments = {k.split(".")[1]: v for k, v in state.items() if k.startswith(f"{name}.")}
            if moments:
                self.optimizer.state[tensor] = moments
