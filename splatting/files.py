"""Reading and writing files of Gaussians: .ply, .splat, .spz and .sog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import BinaryIO, Literal

import torch

from recon.core.errors import InputError
from recon.core.storage import write_atomic
from splatting.axes import R_AXES_WORLD, Axes, from_axes, to_axes
from splatting.formats import ply, sog, splat, spz
from splatting.formats.checks import check_count, check_numbers
from splatting.gaussians import Gaussians

FormatName = Literal["ply", "ply-without-normals", "splat", "spz", "sog"]


@dataclass(frozen=True, kw_only=True)
class _Format:
    """One kind of file. Its functions neither turn axes nor know temporary names."""

    axes: Axes
    read: Callable[[Path], tuple[Gaussians, Axes]]
    write: Callable[[BinaryIO, Gaussians, Axes], None]


FORMATS: dict[FormatName, _Format] = {
    "ply": _Format(axes=ply.AXES, read=ply.read, write=ply.write),
    "ply-without-normals": _Format(
        axes=ply.AXES, read=ply.read, write=ply.write_without_normals
    ),
    "splat": _Format(axes=splat.AXES, read=splat.read, write=splat.write),
    "spz": _Format(axes=spz.AXES, read=spz.read, write=spz.write),
    "sog": _Format(axes=sog.AXES, read=sog.read, write=sog.write),
}  # fmt: skip


def read_gaussians(path: Path, *, viewer_axes: Axes | None = None) -> Gaussians:
    """The Gaussians of a file, in the z-up world, metres, float32 on the CPU.

    Args:
        path: .ply (of 3DGS or gsplat, any SH degree to 3), .splat, .spz (v2 to v4), .sog, or the
            meta.json of an unpacked .sog. viewer_axes: the file's; by default what it says, or
            else the custom of its format (y-down; .spz y-up). See splatting.axes.
    Raises:
        InputError: there is no such file, or it is not what its name says, damaged, cut short,
            empty, larger than can be, or holds numbers that are not finite.
        MissingDependencyError: an .spz of version 4, and zstandard is not installed.
    """
    path = Path(path)
    kind = FORMATS["sog" if path.name == "meta.json" else _format_of(path)]
    if not path.is_file():
        raise InputError(f"expected a file of Gaussians, got no file {path}; check the path")
    try:
        gaussians, axes = kind.read(path)
    except OSError as error:
        raise InputError(f"expected a readable file, got an error from {path}: {error}") from error
    return from_axes(gaussians, _known(viewer_axes) or axes)


def write_gaussians(
    path: Path,
    gaussians: Gaussians,
    *,
    viewer_axes: Axes | None = None,
    format: FormatName | None = None,
) -> None:
    """Writes Gaussians of the z-up world to a file, whole or not at all.

    Kept: .ply everything, to float32; .spz and .sog all parameters, rounded; .splat no colours
    that depend on the view (degree 0 only). .sog changes the order of the Gaussians.

    Args:
        path: its suffix chooses the format. viewer_axes: the axes that the file shall have; by
            default what the format's viewers expect (y-down; .spz y-up), so that a scene stands
            upright in them. "z-up" keeps the world's numbers; only a .ply can say so itself, the
            others must be read back with the same `viewer_axes`. See splatting.axes.
        format: where the suffix says too little: "ply-without-normals" is gsplat's .ply of 59
            properties, "ply" INRIA's of 62.
    Raises:
        InputError: no Gaussians, numbers that are not finite, or a file that cannot be written.
            Nothing is written then.
    """
    path = Path(path)
    name = _format_of(path) if format is None else format
    if name not in FORMATS:
        raise InputError(f"expected a format of {', '.join(FORMATS)}; got '{name}'")
    axes = _known(viewer_axes) or FORMATS[name].axes
    check_count(path, len(gaussians))
    values = {f.name: getattr(gaussians, f.name).detach().cpu() for f in fields(gaussians)}
    check_numbers("the Gaussians to write", {k: v.numpy() for k, v in values.items()})
    turned = to_axes(replace(gaussians, **values), axes).to(torch.float32)
    try:
        write_atomic(path, lambda file: FORMATS[name].write(file, turned, axes))
    except OSError as error:
        raise InputError(
            f"expected to write {path}, got: {error}; free space, or choose another folder"
        ) from error


def _format_of(path: Path) -> FormatName:
    for name in FORMATS:
        if path.suffix.lower() == f".{name}":
            return name
    raise InputError(
        f"expected a file that ends with .ply, .splat, .spz or .sog, got {path.name}; rename it"
    )


def _known(axes: Axes | None) -> Axes | None:
    if axes is not None and axes not in R_AXES_WORLD:
        raise InputError(f"expected axes of {', '.join(R_AXES_WORLD)}; got '{axes}'")
    return axes
