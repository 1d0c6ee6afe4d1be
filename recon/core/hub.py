"""Networks of the transformers package that users name: what can be refused before loading one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from recon.core.errors import InputError, MissingDependencyError


def check_transformers(model: str, *, expected: str) -> None:
    """Refuses at once what would be missed only after minutes of work.

    Args:
        model: a folder, or a name on the model hub. expected: the message's first part.

    Raises:
        MissingDependencyError: transformers is not installed. InputError: a folder is not there.
    """
    try:
        installed = find_spec("transformers") is not None
    except ValueError:  # blocked in sys.modules
        installed = False
    if not installed:
        raise MissingDependencyError("transformers", "depth")
    is_path = model.startswith((".", "~", "/")) or model.count("/") > 1
    if is_path and not Path(model).expanduser().is_dir():
        raise InputError(f"{expected}; got {model!r}, which is no folder here")
