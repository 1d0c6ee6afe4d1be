"""Networks of the transformers package that users name: refused early, loaded quietly."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
    if is_path and not Path(os.path.expanduser(model)).is_dir():
        raise InputError(f"{expected}; got {model!r}, which is no folder here")


@contextmanager
def pretrained(model: str, *, expected: str) -> Iterator[str]:
    """What `from_pretrained` takes inside the block: the folder, or the name on the hub.

    Raises:
        MissingDependencyError: transformers is not installed, or cannot be imported.
        InputError: what is loaded inside the block is not there, or of another kind (OSError,
            ValueError).
    """
    check_transformers(model, expected=expected)
    # Five retries of a machine that is not online are not worth five lines.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    folder = Path(os.path.expanduser(model))
    try:
        yield str(folder) if folder.is_dir() else model
    except ImportError as error:
        raise MissingDependencyError("transformers", "depth") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{expected}; got {model!r}: {str(error).splitlines()[0]}") from error
