"""Finds and reads the licensed SMPL, SMPL-H and SMPL-X files that a user brings along."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from recon.core.errors import InputError
from recon.core.untrusted import read_arrays

_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


def find_model_file(path: Path | None, names: Sequence[str], *, folder: str, website: str) -> Path:
    """The model file that `path` leads to.

    Args:
        path: the file, the folder that holds it, or the parent of `folder`; None if not given.
        names: accepted file names, the best first. website: where the file is obtained.
    Raises:
        InputError: no path, or no such file there.
    """
    where = f"it is free for research after registration at https://{website}"
    if path is None:
        raise InputError(
            f"expected --body-model-path with the licensed file {names[0]}, got none; {where}"
        )
    if path.is_file():
        return path
    for place in (path, path / folder):
        for name in names:
            if (place / name).is_file():
                return place / name
    raise InputError(f"expected {names[0]} in {path} or {path / folder}, got no such file; {where}")


def read_model_file(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an SMPL, SMPL-H or SMPL-X model file (.npz or .pkl), by their official names.

    Pickles run no code of theirs: whatever is not a plain array is kept as inert data, from which
    the arrays of chumpy (which modern Python cannot install) and SciPy are taken out.

    Raises:
        InputError: the file cannot be read or lacks an array.
    """
    try:
        if path.suffix == ".npz":
            # The official files also hold pickled dictionaries, which are left alone.
            return _arrays(read_arrays(path, re.compile("|".join(_KEYS))))
        with path.open("rb") as file:
            return _arrays(_InertUnpickler(file, encoding="latin1").load())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(
            f"expected an SMPL, SMPL-H or SMPL-X model file (.npz or .pkl), got {path}: "
            f"{type(error).__name__}: {error}; download it again"
        ) from error


def _arrays(content: Any) -> dict[str, np.ndarray]:
    missing = [k for k in _KEYS if not isinstance(content, Mapping) or k not in content]
    if missing:
        raise InputError(
            f"expected the arrays {', '.join(_KEYS)}, got none named {', '.join(missing)}; "
            "give the model file itself, not motions or other data"
        )
    return {key: _array(content[key]) for key in _KEYS}


class _Inert:
    """Stands for any class or function in a pickle, and only keeps what it is given."""

    state: Any = None

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _InertUnpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """Builds numpy arrays and containers; everything else becomes `_Inert`.

    The one in Python: that in C takes memory for as many notes as a file of ten bytes numbers.
    """

    # numpy's two makers go by one name before its version 2 and by another since.
    _ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        **{
            (f"numpy.{core}.multiarray", name): value.__reduce__()[0]
            for core in ("core", "_core")
            for name, value in (("_reconstruct", np.empty(0)), ("scalar", np.float64()))
        },
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
    }

    def find_class(self, module: str, name: str) -> Any:
        allowed = self._ALLOWED.get((module, name))
        return type(name, (_Inert,), {}) if allowed is None else allowed


def _array(value: Any) -> np.ndarray:
    """A plain array from an array, a sparse matrix or a chumpy expression that is one."""
    state = value.state if isinstance(value, _Inert) else None
    if isinstance(state, dict) and "x" in state:  # chumpy.Ch
        return _array(state["x"])
    if isinstance(state, dict) and "idxs" in state:  # chumpy.reordering.Select
        chosen = _array(state["a"]).ravel()[np.asarray(state["idxs"])]
        return chosen.reshape(state["preferred_shape"])
    if isinstance(state, dict) and "indptr" in state:  # scipy.sparse
        matrix = csr_matrix if type(value).__name__.startswith("csr") else csc_matrix
        parts = (state["data"], state["indices"], state["indptr"])
        return matrix(parts, shape=state.get("_shape", state.get("shape"))).toarray()
    if not isinstance(value, np.ndarray) or value.dtype == object:
        raise InputError(f"expected a numeric array, got {type(value).__name__}")
    return value
