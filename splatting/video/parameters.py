"""Video Gaussians while they are trained: raw parameters with their moments."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from recon.core.geometry import Array
from splatting.gaussians import Gaussians
from splatting.optimizer import Table
from splatting.video.clip import Clip
from splatting.video.model import VideoGaussians, moved, posed
from splatting.video.motion import MotionBasis
from splatting.video.start import Curves

FIRST_OPACITY, FIRST_SIZE = 0.8, 0.6
"""Of the Gaussians at the start; sizes in distances between neighbours."""
NEW_OPACITY, NEW_SIZE = 0.5, 0.3
FAINT = 0.02
RATE_AT_END = 0.05
FALLING = ("places", "motions", "colours")


class VideoParameters:
    """Tables of raw parameters: log of the scales, logit of the opacities.

    Args:
        curves: to start from. place_rate: of learning, px.
    """

    def __init__(
        self, curves: Curves, clip: Clip, basis: MotionBasis, *, place_rate: float, device: str
    ) -> None:
        self.clip, self.basis, self.device, self.steps = clip, basis, device, 0
        self.foreground = torch.from_numpy(curves.foreground).to(device)
        self.spacing = torch.from_numpy(curves.spacing).to(device)
        count, degree = len(curves.places), basis.polynomials
        quats = np.zeros((count, 4))
        quats[:, 0] = 1
        size = FIRST_SIZE * curves.spacing * np.exp(curves.places[:, 2]) / clip.K[0, 0]
        place = place_rate * np.array([1.0, 1.0, 0.02])
        start = {
            "places": (curves.places, place),
            "motions": (curves.motions, np.repeat(0.5 * place, basis.terms)),
            "quats": (quats, np.full(4, 1e-3)),
            "turns": (np.zeros((count, 4, degree)), np.full(4 * degree, 1e-3)),
            "log_scales": (np.repeat(np.log(size)[:, None], 3, axis=1), np.full(3, 5e-3)),
            "logits": (np.full(count, _logit(FIRST_OPACITY)), np.full(1, 5e-2)),
            "colours": (curves.colours, np.full(3, 8e-3)),
        }
        self.tables = {
            name: Table(values=self._tensor(values), rates=self._tensor(rates))
            for name, (values, rates) in start.items()
        }
        self._rates = {name: self.tables[name].rates.clone() for name in FALLING}

    def _tensor(self, array: Array) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self.device)

    def __len__(self) -> int:
        return len(self.foreground)

    def places(self, weights: Array) -> Tensor:
        """(N, 3) px and log z where the basis has these values (B,); gradients reach the tables."""
        return moved(self.tables["places"].values, self.tables["motions"].values, weights)

    def gaussians(self, places: Tensor, weights: Array) -> Gaussians:
        """The activated Gaussians at such places."""
        raw = {name: table.values for name, table in self.tables.items()}
        return posed(
            places, moved(raw["quats"], raw["turns"], weights), self.clip.K,
            scales=torch.exp(raw["log_scales"]), opacities=torch.sigmoid(raw["logits"]),
            colours=raw["colours"],
        )  # fmt: skip

    def step(self, progress: float) -> None:
        """One step of all; the rates fall with `progress` from 0 to 1."""
        self.steps += 1
        for name, rates in self._rates.items():
            self.tables[name].rates = rates * RATE_AT_END**progress
        for table in self.tables.values():
            table.step(self.steps)

    @torch.no_grad()
    def respawn(
        self, error: Tensor, photo: Tensor, frame: int, *, weights: Array, wanted: int,
        generator: np.random.Generator,
    ) -> None:  # fmt: skip
        """Gaussians where a frame is shown worst, which move as their neighbours do.

        Faint ones are used again before new ones are made.

        Args:
            error: (H, W), not negative. photo: (H, W, 3). wanted: number of Gaussians.
        """
        opacities = torch.sigmoid(self.tables["logits"].values)
        faint = torch.nonzero(opacities < FAINT)[:, 0]
        count, more = len(self), max(0, wanted - len(self))
        number = len(faint) + more
        if number == 0 or float(error.sum()) <= 0:
            return
        pixels = _draw_pixels(error, number, generator)
        row, column = pixels.T
        masks = self.clip.foreground
        foreground = None if masks is None else masks[frame][row, column]
        places = self.places(weights).cpu().numpy()
        usable = (opacities > NEW_OPACITY).cpu().numpy()
        at = pixels[:, ::-1] + generator.uniform(size=pixels.shape)
        sources = _nearest(at, foreground, places, self.foreground.cpu().numpy(), usable)
        moved_by = places - self.tables["places"].values.cpu().numpy()
        fresh = np.concatenate((at, places[sources, 2:]), axis=1) - moved_by[sources]
        spacing = self.spacing.cpu().numpy()[sources]
        size = np.log(NEW_SIZE * spacing / self.clip.K[0, 0]) + places[sources, 2]
        taken, old = torch.from_numpy(sources).to(self.device), torch.arange(count).to(self.device)
        order = torch.cat((old, taken[:more]))
        rows = torch.cat((torch.arange(count, count + more, device=self.device), faint))
        values = {
            "places": self._tensor(fresh), "motions": self.tables["motions"].values[taken],
            "quats": self.tables["quats"].values[taken],
            "turns": self.tables["turns"].values[taken],
            "log_scales": self._tensor(size)[:, None].expand(-1, 3),
            "logits": torch.full((number,), _logit(NEW_OPACITY), device=self.device),
            "colours": photo[row, column],
        }  # fmt: skip
        self.foreground = self.foreground[order]
        self.foreground[rows] = self.foreground[taken]
        self.spacing = self.spacing[order]
        self.spacing[rows] = self.spacing[taken]
        for name, table in self.tables.items():
            if more:
                table.take(order)
            table.write(rows, values[name])

    def snapshot(self) -> VideoGaussians:
        """As they are now, without gradients, on the CPU."""
        raw = {name: t.values.detach().cpu().clone() for name, t in self.tables.items()}
        width, height = self.clip.size
        return VideoGaussians(
            places=raw["places"], motions=raw["motions"], quats=raw["quats"], turns=raw["turns"],
            scales=torch.exp(raw["log_scales"]), opacities=torch.sigmoid(raw["logits"]),
            colours=raw["colours"], foreground=self.foreground.cpu().float(), basis=self.basis,
            K=self.clip.K, width=width, height=height, times=self.clip.times, unit=self.clip.unit,
        )  # fmt: skip


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def _draw_pixels(error: Tensor, number: int, generator: np.random.Generator) -> np.ndarray:
    """Rows and columns (M, 2) of pixels, the likelier the larger their error."""
    shares = error.double().cpu().numpy().ravel()
    edges = np.cumsum(shares)
    found = np.searchsorted(edges, generator.uniform(size=number) * edges[-1])
    return np.stack(np.unravel_index(found.clip(max=len(edges) - 1), error.shape), axis=1)


def _nearest(
    at: Array, foreground: np.ndarray | None, places: Array, theirs: np.ndarray, usable: np.ndarray
) -> np.ndarray:
    """(M,) of the solid Gaussians the nearest on screen, of foreground for pixels of foreground."""
    out = np.zeros(len(at), int)
    kinds = (None,) if foreground is None else (False, True)
    for kind in kinds:
        asking = np.ones(len(at), bool) if foreground is None else foreground == kind
        offered = np.flatnonzero(usable if kind is None else usable & (theirs == kind))
        if len(offered) == 0:
            offered = np.arange(len(places))
        if asking.any():
            _, found = KDTree(places[offered, :2]).query(at[asking])
            out[asking] = offered[np.asarray(found)]
    return out
