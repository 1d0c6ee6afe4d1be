"""What a person weighs as evidence for their shape: the mesh's volume times a body's density."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from body.models.base import BodyModel
from recon.core.geometry import Array
from recon.core.rig import Rig

BODY_DENSITY = 985.0
"""kg/m^3 of a body with the air in its lungs, which a mesh encloses too.

Textbooks' value for quiet breathing; 945 after the deepest breath in, about 1025 after breathing
out. The package anny calibrates its bodies with 980.
"""


_BUILD, _LOOSER = ("weight", "muscle"), 2.5
"""Anny's parameters of build, and how much wider they spread where the mass is known."""

MASS_TOLERANCE = 0.03
"""Share of a given mass by which a fitted body may miss it before the user is told."""


def rig_volume(rig: Rig) -> float:
    """Volume in m^3 that a rig's mesh encloses in its bind pose (divergence theorem)."""
    points = np.asarray(rig.bind_vertices, dtype=float)
    points = points - points.mean(axis=0)  # a mesh with holes: their share is least from inside
    a, b, c = (points[rig.faces[:, k]] for k in range(3))
    return float(abs(np.sum(a * np.cross(b, c))) / 6)


def rig_mass(rig: Rig) -> float:
    """Mass in kg of a rig's body."""
    return BODY_DENSITY * rig_volume(rig)


def body_mass(model: BodyModel, shape: Array) -> float:
    """Mass in kg of a body with shape values (S,)."""
    return rig_mass(model.skinning_spec(shape))


@dataclass
class MassEvidence:
    """A known mass as a residual of the shape, evaluated once per shape.

    Args:
        mass: kg. std: kg, how closely the body should have it.
    """

    model: BodyModel
    mass: float
    std: float = 0.5
    _last: tuple[Array, float, Array] | None = field(default=None, repr=False)

    def prior_std(self) -> Array:
        """The spread (S,) of a shape whose mass is known: build varies as it does in people.

        Anny's is narrow, for bodies whose build nobody tells; a weight would then be taken for a
        stature.
        """
        spec = self.model.param_spec
        return np.where(np.isin(spec.names, _BUILD), _LOOSER, 1.0) * spec.std

    def residual(self, shape: Array) -> tuple[float, Array]:
        """How much too heavy a body of shape (S,) is, in units of std, and its slopes (S,)."""
        if self._last is None or not np.array_equal(self._last[0], shape):
            here = body_mass(self.model, shape)
            spec = self.model.param_spec
            # Both sides, for parameters that have a kink where most bodies are (Anny's age).
            reach = np.diag(0.05 * spec.std)
            above = np.minimum(shape + reach, spec.high)
            below = np.maximum(shape - reach, spec.low)
            change = [
                body_mass(self.model, a) - body_mass(self.model, b)
                for a, b in zip(above, below, strict=True)
            ]
            slopes = np.array(change) / np.diag(above - below) / self.std
            self._last = (np.array(shape), (here - self.mass) / self.std, slopes)
        return self._last[1], self._last[2]
