"""Arrays of one row a frame, written to a compressed .npz while the frames are made."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib import format as npy

_FAST = 1
"""Deflate's least effort: control maps are mostly constant."""


class ArrayStream:
    """An .npz whose largest array is written row by row; a context manager.

    Memory holds one row. The file appears under its name when the block ends without an error.

    Args:
        name, shape, dtype: of the array, (rows, ...). beside: small arrays of the same file.
    """

    def __init__(
        self, path: Path, name: str, shape: tuple[int, ...], dtype: type, **beside: np.ndarray
    ) -> None:
        self.path, self.shape, self.dtype = Path(path), shape, np.dtype(dtype)
        self._name, self._beside, self._rows = name, beside, 0
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")

    def __enter__(self) -> ArrayStream:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._zip = zipfile.ZipFile(
            self._part, "w", zipfile.ZIP_DEFLATED, compresslevel=_FAST, allowZip64=True
        )
        for name, array in self._beside.items():
            with self._zip.open(f"{name}.npy", "w") as file:
                npy.write_array(file, np.asarray(array), allow_pickle=False)
        self._file = self._zip.open(f"{self._name}.npy", "w", force_zip64=True)
        header = {
            "descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": self.shape,
        }  # fmt: skip
        npy.write_array_header_2_0(self._file, header)
        return self

    def write(self, row: np.ndarray) -> None:
        """Appends a row of the array."""
        assert row.shape == self.shape[1:] and self._rows < self.shape[0]
        self._file.write(np.ascontiguousarray(row, self.dtype).tobytes())
        self._rows += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
            self._zip.close()
            if kind is None:
                assert self._rows == self.shape[0]
                os.replace(self._part, self.path)
        finally:
            self._part.unlink(missing_ok=True)
