"""Whose evaluation script to follow where the papers' scripts differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recon.core.errors import InputError
from recon.evaluate.metrics import AccelVariant
from recon.evaluate.world_metrics import TRAM_ROOT_SIGMA, TailVariant

ProtocolName = Literal["wham", "gvhmr", "tram"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The choices of one evaluation script.

    Args:
        tail: what becomes of the frames after the last full chunk of 100.
        accel: whether Accel drops its first and last value.
        root_sigma: frames of the Gaussian that smooths the predicted root first; 0 for none.
    """

    name: ProtocolName
    tail: TailVariant
    accel: AccelVariant
    root_sigma: float = 0.0

    @property
    def pre_steps(self) -> tuple[str, ...]:
        """What is done to the prediction before measuring, in words."""
        if not self.root_sigma:
            return ()
        return (
            "one shape per person (betas averaged over the clip), as TRAM measures",
            f"predicted root smoothed by a Gaussian of {self.root_sigma:g} frames, as TRAM does",
        )


PROTOCOLS: dict[str, Protocol] = {
    "wham": Protocol(name="wham", tail="wham", accel="wham"),
    "gvhmr": Protocol(name="gvhmr", tail="gvhmr", accel="gvhmr"),
    "tram": Protocol(name="tram", tail="tram", accel="tram", root_sigma=TRAM_ROOT_SIGMA),
}
"""The evaluation scripts by name."""


def get_protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        InputError: unknown name.
    """
    if name not in PROTOCOLS:
        raise InputError(f"--protocol: expected one of {', '.join(PROTOCOLS)}; got '{name}'")
    return PROTOCOLS[name]
