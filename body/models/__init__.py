"""Body models: a table of names, each imported only when it is chosen."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from recon.core.errors import InputError

if TYPE_CHECKING:
    from body.models.base import BodyModel

BODY_MODELS: dict[str, str] = {
    "anny": "body.models.anny:AnnyModel",
    "smplx": "body.models.smplx:SmplxModel",
    "smplh": "body.models.smplx:SmplhModel",
    "smpl": "body.models.smplx:SmplModel",
    "mhr": "body.models.mhr:MhrModel",
}
"""Every body model by name, as "module:class"; a class is called with the user's path or None."""


def load_body_model(name: str, path: Path | None = None) -> BodyModel:
    """The body model of this name, ready to use.

    Args:
        name: a key of BODY_MODELS. path: the file of a model that is not embedded, the folder that
            holds it, or that folder's parent.
    Raises:
        InputError: unknown name; its file is missing, or is not one of this model.
        MissingDependencyError: the model's package is not installed.
    """
    if name not in BODY_MODELS:
        raise InputError(
            f"expected a body model of {', '.join(BODY_MODELS)}; got {name!r}; see --body-model"
        )
    module, _, attribute = BODY_MODELS[name].partition(":")
    return getattr(import_module(module), attribute)(path)
