"""The .ply of 3D Gaussian Splatting (Kerbl et al. 2023), and gsplat's variant without normals.

One float32 row per Gaussian: x y z, (nx ny nz, always zero,) f_dc_0..2, f_rest_0.. (channel by
channel: all red, all green, all blue), opacity (logit), scale_0..2 (log), rot_0..3 (wxyz). With
SH degree 3 that is 62 properties, 59 without normals. Axes are y-down by custom; a comment
`Vertical Axis: z`, as Nerfstudio writes it, marks a file as z-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from scipy.special import expit, logit

from recon.core.errors import InputError
from splatting.axes import Axes
from splatting.formats.checks import check_count, check_room, checked_gaussians
from splatting.formats.encodings import log_scales
from splatting.gaussians import Gaussians

AXES: Axes = "y-down"

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_MEANS, _NORMALS, _DC = ("x", "y", "z"), ("nx", "ny", "nz"), ("f_dc_0", "f_dc_1", "f_dc_2")
_SCALES, _QUATS = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3")
_REQUIRED = (*_MEANS, *_DC, "opacity", *_SCALES, *_QUATS)
# Normals are always zero; some tools add plain colours, which say no more than f_dc.
_IGNORED = (*_NORMALS, "red", "green", "blue", "alpha")
_SH_REST = (0, 9, 24, 45)
_MAX_HEADER = 1 << 16
_OPACITY_MARGIN = 1e-7  # a trained opacity may round to 0 or 1, whose logit is infinite


@dataclass(frozen=True, kw_only=True)
class _Vertices:
    """What the header says: `count` rows of `dtype` begin at the byte `offset`."""

    count: int
    dtype: np.dtype
    offset: int
    comments: tuple[str, ...]


def read(path: Path) -> tuple[Gaussians, Axes]:
    """The file's Gaussians as they stand in it, and its axes.

    Raises:
        InputError: not a .ply of Gaussians, cut short, or with numbers that are not finite.
    """
    vertices = _read_header(path)
    rest = _sh_rest(path, vertices.dtype.names or ())
    check_count(path, vertices.count)
    needed = vertices.count * vertices.dtype.itemsize
    check_room(path, vertices.count, needed, path.stat().st_size - vertices.offset)
    rows = np.fromfile(path, vertices.dtype, vertices.count, offset=vertices.offset)

    def columns(names: tuple[str, ...]) -> np.ndarray:
        return np.stack([rows[name] for name in names], axis=1).astype(np.float32)

    sh = columns(_DC)[:, None]
    if rest:
        rest_rgb = columns(rest).reshape(len(rows), 3, -1).transpose(0, 2, 1)
        sh = np.concatenate((sh, rest_rgb), axis=1)
    with np.errstate(over="ignore"):
        gaussians = checked_gaussians(
            path,
            means=columns(_MEANS),
            quats=columns(_QUATS),
            scales=np.exp(columns(_SCALES)),
            opacities=expit(columns(("opacity",))[:, 0]),
            sh=sh,
        )
    is_z_up = any(c.lower().replace(" ", "") == "verticalaxis:z" for c in vertices.comments)
    return gaussians, "z-up" if is_z_up else AXES


def write(file: BinaryIO, gaussians: Gaussians, axes: Axes, *, normals: bool = True) -> None:
    """Writes Gaussians as they stand; `axes` is recorded where it is z-up."""
    count, rest = len(gaussians), 3 * (gaussians.sh.shape[1] - 1)
    names = [*_MEANS, *(_NORMALS if normals else ()), *_DC, *_rest_names(rest)]
    names += ["opacity", *_SCALES, *_QUATS]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    header += [f"property float {name}" for name in names]
    # After the element: INRIA's SIBR viewer takes the third line for the count, whatever it is.
    header += ["comment Vertical Axis: z"] if axes == "z-up" else []
    file.write("\n".join([*header, "end_header", ""]).encode("ascii"))
    rows = np.concatenate(_columns(gaussians, normals=normals), axis=1)
    file.write(np.ascontiguousarray(rows, "<f4").data)


write_without_normals = partial(write, normals=False)


def _columns(gaussians: Gaussians, *, normals: bool) -> list[np.ndarray]:
    sh = gaussians.sh.numpy()
    opacities = gaussians.opacities.numpy().astype(float)
    opacities = opacities.clip(_OPACITY_MARGIN, 1 - _OPACITY_MARGIN)
    return [
        gaussians.means.numpy(),
        *([np.zeros((len(sh), 3), np.float32)] if normals else []),
        sh[:, 0],
        sh[:, 1:].transpose(0, 2, 1).reshape(len(sh), -1),
        logit(opacities).astype(np.float32)[:, None],
        log_scales(gaussians.scales.numpy()),
        gaussians.quats.numpy(),
    ]


def _rest_names(count: int) -> tuple[str, ...]:
    return tuple(f"f_rest_{i}" for i in range(count))


def _sh_rest(path: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """The f_rest properties in order, of a property set that is right."""
    if "packed_position" in names:
        raise InputError(
            f"expected a plain .ply of Gaussians, got SuperSplat's compressed .ply in {path}; "
            f"export it as .ply, .spz or .sog"
        )
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise InputError(
            f"expected the properties of a .ply of 3D Gaussians, got none named "
            f"{', '.join(missing)} in {path}; is it a mesh, or a point cloud?"
        )
    rest = [name for name in names if name.startswith("f_rest_")]
    unknown = [n for n in names if n not in (*_REQUIRED, *_IGNORED, *rest)]
    if unknown:
        raise InputError(
            f"expected only the properties of a .ply of 3D Gaussians, got also "
            f"{', '.join(unknown[:5])} in {path}; its Gaussians are of another kind, "
            f"export them as 3DGS"
        )
    if len(rest) not in _SH_REST or set(rest) != set(_rest_names(len(rest))):
        raise InputError(
            f"expected 0, 9, 24 or 45 properties f_rest_0 and on (SH degree 0 to 3), "
            f"got {len(rest)} in {path}; export it with SH degree 3 or less"
        )
    return _rest_names(len(rest))


def _read_header(path: Path) -> _Vertices:
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER)
    lines, offset = [], 0
    for line in head.split(b"\n")[:-1]:
        offset += len(line) + 1
        lines.append(line.decode("ascii", "replace").strip())
        if lines[0] != "ply" or lines[-1] == "end_header":
            break
    if not lines or lines[0] != "ply":
        raise InputError(
            f"expected a .ply file that begins with the line 'ply', got {head[:12]!r} in {path}; "
            f"is it another kind of file?"
        )
    if lines[-1] != "end_header":
        raise InputError(
            f"expected a .ply header that ends with 'end_header', got none in the first "
            f"{len(head)} bytes of {path}; the file is cut short, copy or write it again"
        )
    try:
        return _parse_header(path, lines[1:-1], offset)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise InputError(
            f"expected a valid .ply header, got one with an error in {path}: {error}; "
            f"write the file again"
        ) from error


def _parse_header(path: Path, lines: list[str], offset: int) -> _Vertices:
    order, comments, elements = "", [], []
    for line in lines:
        words = line.split()
        match words[:1]:
            case ["format"]:
                order = words[1]
            case ["comment"]:
                comments.append(line.removeprefix("comment").strip())
            case ["element"]:
                elements.append((words[1], int(words[2]), []))
            case ["property"]:
                elements[-1][2].append(tuple(words[1:]))
    if order not in _ORDERS:
        raise InputError(
            f"expected a binary .ply, got the format '{order}' in {path}; save it as binary"
        )
    for name, count, properties in elements:
        if count < 0:
            raise ValueError(f"element {name} has the count {count}")
        # The rows of lists have no fixed size; only after the vertices do they not matter.
        dtype = np.dtype([(n, _ORDERS[order] + _TYPES[kind]) for kind, n in properties])
        if name == "vertex":
            return _Vertices(count=count, dtype=dtype, offset=offset, comments=tuple(comments))
        offset += count * dtype.itemsize
    raise InputError(f"expected an element 'vertex', got none in {path}; is it another .ply?")
