"""All that is known about the metric scale as one number, and in words what contradicts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slam.metric_scale import ScaleEstimate

BODY_SIZE_LOG_STD = 0.08 / 1.70
"""Spread of adults' stature: every length of a body of unknown size may be off by this, and the
scale with it. Systematic: no number of frames or people's steps averages it out."""

GATE = 3.0
"""Standard deviations of disagreement beyond which the less certain estimate is left out."""


@dataclass(frozen=True, kw_only=True)
class FusedScale:
    """The fused scale, and of every estimate whether it was used."""

    estimate: ScaleEstimate
    all: tuple[ScaleEstimate, ...]
    used: tuple[bool, ...]

    def numbers(self) -> list[dict[str, Any]]:
        """Every estimate as JSON: source, scale, log_std, used."""
        return [
            {"source": e.source, "scale": e.scale, "log_std": e.log_std, "used": used}
            for e, used in zip(self.all, self.used, strict=True)
        ]

    def warnings(self) -> list[str]:
        """Plain words for every estimate that contradicts what was used."""
        return [
            f"{_capital(e.source)} gives {e.scale:.4g} m per slam unit, where "
            f"{self.estimate.source} gives {self.estimate.scale:.4g}: more than {GATE:g} standard "
            "deviations apart, so one of the two is wrong; the less certain one was left out."
            for e, used in zip(self.all, self.used, strict=True)
            if not used
        ]


def fuse_scales(estimates: Sequence[ScaleEstimate]) -> FusedScale | None:
    """All estimates as one: the mean of log scale by inverse variance; None without any.

    Estimates more than GATE standard deviations from the most certain one are left out.
    """
    if not estimates:
        return None
    best = min(estimates, key=lambda e: e.log_std)
    used = tuple(
        abs(np.log(e.scale / best.scale)) <= GATE * np.hypot(e.log_std, best.log_std)
        for e in estimates
    )
    kept = [e for e, use in zip(estimates, used, strict=True) if use]
    precision = np.array([e.log_std**-2 for e in kept])
    log_scale = float(precision @ np.log([e.scale for e in kept]) / precision.sum())
    fused = ScaleEstimate(
        source=" and ".join(e.source for e in kept),
        scale=float(np.exp(log_scale)),
        log_std=float(precision.sum() ** -0.5),
    )
    return FusedScale(estimate=fused, all=tuple(estimates), used=tuple(bool(u) for u in used))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
