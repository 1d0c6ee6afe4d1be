"""Niantic's .spz (MIT licence, https://github.com/nianticlabs/spz), versions 2 to 4; axes y-up.

16 bytes of header, then one block per parameter: positions 3 x 24-bit fixed point, alphas uint8,
colours 3 x uint8, log scales 3 x uint8, rotations (version 2: xyz, 3 x uint8; later: the three
smallest components, 32 bits), SH coefficients uint8 with the channel running fastest. One gzip
stream, as is written here; from version 4 on a zstd stream per block.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from recon.core.errors import InputError, MissingDependencyError
from splatting.axes import Axes
from splatting.formats.checks import (
    check_count,
    check_expansion,
    check_room,
    checked_gaussians,
)
from splatting.formats.encodings import join_largest, log_scales, split_largest
from splatting.gaussians import MAX_SH_DEGREE, Gaussians

AXES: Axes = "y-up"

_HEADER = struct.Struct("<4sIIBBBB")
_TABLE_AT, _SIZES = struct.Struct("<I"), struct.Struct("<QQ")
_MAGIC, _VERSIONS, _VERSION, _EXTENSIONS_FLAG = b"NGSP", (2, 3, 4), 3, 2
_POSITION_LIMIT = (1 << 23) - 1
_FRACTION_BITS = 12  # the reference's quarter of a millimetre
_COLOUR, _SCALE, _SCALE_OFFSET = 0.15, 16.0, 10.0
_QUAT = 511 * np.sqrt(2)
# Of 128 steps: 6 bits for degree 1 and 5 for the rest, one more than by default in Niantic's
# library: a fifth larger, and on a trained scene 44 instead of 36 dB to the original picture.
_SH_BUCKET, _SH_REST_BUCKET = 4, 8


@dataclass(frozen=True)
class _Header:
    """A header that is right."""

    version: int
    count: int
    degree: int
    fraction_bits: int

    @classmethod
    def of(cls, path: Path, data: bytes) -> _Header:
        """The header at the beginning of the data; InputError if it is wrong."""
        if len(data) < _HEADER.size or not data.startswith(_MAGIC):
            raise InputError(
                f"expected an .spz header that begins with {_MAGIC!r}, got {data[:4]!r} in "
                f"{path}; is it another kind of file?"
            )
        _, version, count, degree, fraction_bits, flags, _ = _HEADER.unpack_from(data)
        if version not in _VERSIONS:
            raise InputError(
                f"expected an .spz of version 2 to 4, got version {version} in {path}; "
                f"export it as version 3 or as .ply"
            )
        if degree > MAX_SH_DEGREE or fraction_bits > 23:
            raise InputError(
                f"expected SH degree 0 to 3 and up to 23 fraction bits, got {degree} and "
                f"{fraction_bits} in {path}; the file is damaged, or export it with SH degree 3"
            )
        if flags & _EXTENSIONS_FLAG:
            # They may change the axes, and the range of the colours.
            raise InputError(
                f"expected an .spz without vendor extensions, got one with them in {path}; "
                f"export it without, or as .ply"
            )
        check_count(path, count)
        return cls(version, count, degree, fraction_bits)

    @property
    def widths(self) -> tuple[int, ...]:
        """Bytes per Gaussian of each block, in order."""
        return 9, 1, 3, 3, 3 if self.version == 2 else 4, 3 * ((self.degree + 1) ** 2 - 1)


def read(path: Path) -> tuple[Gaussians, Axes]:
    """The file's Gaussians as they stand in it, and its axes.

    Raises:
        InputError: not an .spz of version 2 to 4, cut short, or larger than can be.
        MissingDependencyError: version 4, and zstandard is not installed.
    """
    with path.open("rb") as file:
        is_zstd = file.read(len(_MAGIC)) == _MAGIC
    header, body = (_unpack_zstd if is_zstd else _unpack_gzip)(path)
    count = header.count
    check_room(path, count, count * sum(header.widths), len(body))
    ends = np.cumsum([count * width for width in header.widths])
    blocks = np.split(np.frombuffer(body, np.uint8)[: ends[-1]], ends[:-1])
    positions, alphas, colours, scales, quats, sh = (b.reshape(count, -1) for b in blocks)
    dc = (colours / 255 - 0.5) / _COLOUR
    rest = (sh.astype(np.float32) - 128) / 128
    gaussians = checked_gaussians(
        path,
        means=_from_fixed(positions) / 2.0**header.fraction_bits,
        quats=_from_xyz(quats) if header.version == 2 else _from_smallest_three(quats),
        scales=np.exp(scales / _SCALE - _SCALE_OFFSET),
        opacities=alphas[:, 0] / 255,
        sh=np.concatenate((dc, rest), axis=1).reshape(count, -1, 3),
    )
    return gaussians, AXES


def write(file: BinaryIO, gaussians: Gaussians, axes: Axes) -> None:
    """Writes Gaussians as they stand, version 3 (the format cannot record `axes`).

    Raises:
        InputError: a centre farther out than the format can tell.
    """
    means = gaussians.means.numpy().astype(float)
    largest = float(np.abs(means).max())
    if largest >= _POSITION_LIMIT:
        raise InputError(
            f"expected positions within {_POSITION_LIMIT / 1000:.0f} km for .spz, got "
            f"{largest:.3g} m; write a .ply"
        )
    # Scenes of more than 2 km across trade resolution for reach.
    bits = min(_FRACTION_BITS, int(np.log2(_POSITION_LIMIT / max(largest, 1e-3))))
    sh = gaussians.sh.numpy()
    blocks = [
        _to_fixed(means * 2.0**bits),
        _to_bytes(255 * gaussians.opacities.numpy()),
        _to_bytes(255 * (_COLOUR * sh[:, 0] + 0.5)),
        _to_bytes(_SCALE * (log_scales(gaussians.scales.numpy()) + _SCALE_OFFSET)),
        _to_smallest_three(gaussians.quats.numpy()),
        _to_bytes(_bucketed(128 * sh[:, 1:]) + 128),
    ]
    header = _HEADER.pack(_MAGIC, _VERSION, len(gaussians), gaussians.sh_degree, bits, 0, 0)
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0) as stream:
        stream.write(header)
        for block in blocks:
            stream.write(np.ascontiguousarray(block).data)


def _unpack_gzip(path: Path) -> tuple[_Header, bytes]:
    try:
        with gzip.open(path) as file:
            header = _Header.of(path, file.read(_HEADER.size))
            needed = header.count * sum(header.widths)
            check_expansion(path, needed, path.stat().st_size)
            return header, file.read(needed)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"expected a gzip stream in {path}, got: {error}; "
            f"the file is damaged or of another kind, copy or write it again"
        ) from error


def _unpack_zstd(path: Path) -> tuple[_Header, bytes]:
    """Version 4: a plain header, a table of packed and plain sizes, and a stream per block."""
    try:
        import zstandard
    except ImportError as error:
        raise MissingDependencyError("zstandard", "spz") from error
    data = path.read_bytes()
    header = _Header.of(path, data)
    widths = [width for width in header.widths if width]
    try:
        (table,) = _TABLE_AT.unpack_from(data, _HEADER.size)
        at, blocks = table + len(widths) * _SIZES.size, []
        check_expansion(path, header.count * sum(widths), len(data))
        for k, width in enumerate(widths):
            packed, _ = _SIZES.unpack_from(data, table + k * _SIZES.size)
            # A stream, since a frame that states its size is unpacked whole whatever the limit.
            stream = zstandard.ZstdDecompressor().stream_reader(data[at : at + packed])
            blocks.append(stream.read(header.count * width))
            check_room(path, header.count, header.count * width, len(blocks[-1]))
            at += packed
    except (struct.error, zstandard.ZstdError) as error:
        raise InputError(
            f"expected the streams of an .spz of version 4 in {path}, got: {error}; "
            f"the file is damaged, copy or write it again"
        ) from error
    return header, b"".join(blocks)


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _bucketed(values: np.ndarray) -> np.ndarray:
    """Coefficients (N, K - 1, 3) rounded to whole buckets."""
    buckets = np.full((values.shape[1], 1), _SH_REST_BUCKET)
    buckets[:3] = _SH_BUCKET
    return np.rint(values / buckets) * buckets


def _from_fixed(data: np.ndarray) -> np.ndarray:
    """Signed 24-bit little-endian integers (N, 9) -> (N, 3)."""
    parts = data.reshape(len(data), 3, 3).astype(np.int32)
    # Shifted to the top of 32 bits and back, the sign spreads.
    return (parts[..., 0] << 8 | parts[..., 1] << 16 | parts[..., 2] << 24) >> 8


def _to_fixed(values: np.ndarray) -> np.ndarray:
    integers = np.rint(values).clip(-_POSITION_LIMIT, _POSITION_LIMIT).astype("<i4")
    return integers[..., None].view(np.uint8)[..., :3]


def _from_xyz(data: np.ndarray) -> np.ndarray:
    xyz = data / 127.5 - 1
    w = np.sqrt(np.maximum(0, 1 - (xyz**2).sum(1, keepdims=True)))
    return np.concatenate((w, xyz), axis=1)


def _from_smallest_three(data: np.ndarray) -> np.ndarray:
    """Quaternions wxyz (N, 4) of the packed bytes (N, 4).

    The top two bits tell the largest of x, y, z, w; the others follow in order, each a sign bit
    and nine bits of magnitude up to the square root of one half.
    """
    packed = np.ascontiguousarray(data).view("<u4")[:, 0]
    largest = (packed >> 30).astype(int)
    fields = packed[:, None] >> np.array([20, 10, 0], "<u4")
    smallest = np.where(fields & 512, -1.0, 1.0) * (fields & 511) / _QUAT
    return join_largest(largest, smallest)[:, [3, 0, 1, 2]]


def _to_smallest_three(quats: np.ndarray) -> np.ndarray:
    """The inverse, for quaternions wxyz of any length."""
    largest, smallest = split_largest(quats[:, [1, 2, 3, 0]])
    magnitudes = np.rint(np.abs(smallest) * _QUAT).clip(0, 511).astype("<u4")
    fields = magnitudes | np.where(smallest < 0, 512, 0).astype("<u4")
    packed = largest.astype("<u4") << 30
    packed |= fields[:, 0] << 20 | fields[:, 1] << 10 | fields[:, 2]
    return packed[:, None].view(np.uint8)
