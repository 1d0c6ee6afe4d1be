"""Pickles of other programs, read without running anything that is in them."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from recon.core.errors import InputError
from recon.core.untrusted import check_archive, most_bytes

_ITEM_BYTES = 100
"""What an object of Python takes, about."""


def read_pickle(path: Path) -> Any:
    """The content of a pickle or joblib file (uncompressed): numbers, containers, arrays.

    Arrays and tensors become numpy arrays.

    Raises:
        InputError: the file is damaged, too large, or asks for anything but plain data.
    """
    return _read(path, lambda file: _PlainUnpickler(file, encoding="latin1").load())


def read_object_npy(path: Path) -> Any:
    """The one object in a .npy file such as `numpy.save(path, dict)` writes.

    Raises:
        InputError: the file is damaged, too large, or asks for anything but plain data.
    """
    return _read(path, _object_of_npy)


def read_torch(path: Path) -> Any:
    """The content of a .pt file, tensors as numpy arrays.

    Raises:
        InputError: the file is damaged, too large, or asks for anything but tensors and containers.
    """
    return _read(path, _content_of_torch)


def _read(path: Path, load: Callable[[BinaryIO], Any]) -> Any:
    try:
        with path.open("rb") as file:
            return _Plain(most_bytes(path)).of(load(file))
    except Exception as error:  # a damaged file can raise anything
        why = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        raise InputError(
            f"expected a file of plain arrays, got in {path}: {why.splitlines()[0]}; nothing of it "
            "was run: give the file that the program wrote"
        ) from error


def _object_of_npy(file: BinaryIO) -> Any:
    version = np.lib.format.read_magic(file)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    shape, _, dtype = read[version[0]](file)
    if shape != () or not dtype.hasobject:
        raise InputError(f"{dtype} of shape {shape} instead of one dictionary")
    return _PlainUnpickler(file, encoding="latin1").load().item()


def _content_of_torch(file: BinaryIO) -> Any:
    import torch

    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            check_archive(archive, most_bytes(Path(file.name)))
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)


class _Plain:
    """Containers of numpy arrays from containers that may hold tensors, of `room` bytes at most.

    A few bytes can name one list twice, that pair twice and so on, or stretch one number to a
    tensor of any shape.
    """

    def __init__(self, room: int) -> None:
        self._room, self._left = room, room

    def of(self, value: Any) -> Any:
        """The value with everything in it as plain data."""
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        self._left -= getattr(value, "nbytes", _ITEM_BYTES)
        if self._left < 0:
            raise InputError(f"content that unpacks to more than {self._room / 1e6:.0f} MB")
        if isinstance(value, dict):
            return {key: self.of(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.of(item) for item in value)
        return value


def _maker(kind: type) -> Callable[[], Any]:
    """Makes empty ones; the type itself would also make gigabytes, from a number."""

    def make() -> Any:
        return kind()

    return make


def _storage(data: bytes) -> Any:
    """A tensor's numbers; torch's own function of this name would trust the bytes."""
    import torch

    if zipfile.is_zipfile(io.BytesIO(data)):
        raise InputError(
            "a tensor in an archive of its own"
        )  # torch writes none, a bomb may be one
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _tensor(*args: Any) -> Any:
    from torch._utils import _rebuild_tensor_v2

    return _rebuild_tensor_v2(*args)


def _from_buffer(buffer: bytes, dtype: np.dtype, shape: tuple[int, ...], order: Any) -> np.ndarray:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


class _JoblibArray:
    """joblib's note that an array's bytes follow in the file."""

    subclass: Any
    shape: tuple[int, ...]
    order: str
    dtype: np.dtype
    allow_mmap: bool
    numpy_array_alignment_bytes: int | None = None

    def read(self, file: BinaryIO) -> np.ndarray:
        if self.dtype.hasobject:
            raise InputError("an array of objects")
        if self.numpy_array_alignment_bytes is not None:
            file.read(file.read(1)[0])
        size = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        data = file.read(size)
        if len(data) < size:
            raise InputError("an array cut short")
        return np.frombuffer(data, self.dtype).reshape(self.shape, order=self.order)  # type: ignore[call-overload]


class _PlainUnpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """Builds arrays, tensors and containers, and refuses every other name.

    The slow one in Python, because arrays of joblib lie between the pickle's own bytes.
    """

    _file: BinaryIO
    stack: list[Any]
    load_build: Callable[[], None]
    # numpy's makers go by one name before its version 2 and by another since.
    _ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        **{
            (f"numpy.{core}.multiarray", name): value.__reduce__()[0]
            for core in ("core", "_core")
            for name, value in (("_reconstruct", np.empty(0)), ("scalar", np.float64()))
        },
        ("numpy.core.numeric", "_frombuffer"): _from_buffer,
        ("numpy._core.numeric", "_frombuffer"): _from_buffer,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("collections", "OrderedDict"): OrderedDict,
        ("collections", "defaultdict"): defaultdict,
        **{
            (module, kind.__name__): _maker(kind)
            for module in ("builtins", "__builtin__")
            for kind in (bytes, dict, list)
        },
        ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch.storage", "_load_from_bytes"): _storage,
        ("joblib.numpy_pickle", "NumpyArrayWrapper"): _JoblibArray,
    }

    def __init__(self, file: BinaryIO, **options: Any) -> None:
        super().__init__(file, **options)
        self._file = file

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise InputError(f"a pickle that asks for {module}.{name}")
        return self._ALLOWED[module, name]

    def _build(self) -> None:
        self.load_build()
        if isinstance(self.stack[-1], _JoblibArray):
            self.stack.append(self.stack.pop().read(self._file))

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch,  # type: ignore[attr-defined]
        pickle.BUILD[0]: _build,
    }
