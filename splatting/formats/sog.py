"""PlayCanvas' SOG, version 2: lossless WebP pictures and meta.json, one zip; axes y-down.

One pixel per Gaussian: positions of 16 bits over a logarithmic range, the three smallest
components of the rotation, scales and base colours as indices into codebooks of 256 numbers, and
the other SH coefficients as an index into a palette of at most 65536 entries, whose numbers index
a codebook in turn. Specification: developer.playcanvas.com, "The SOG Format". It calls its axes
y-up, but every program that writes it keeps the .ply's, and SuperSplat turns it like a .ply.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from recon.core.errors import InputError
from recon.core.untrusted import check_packing
from splatting.axes import Axes
from splatting.formats.checks import check_count, check_expansion, checked_gaussians
from splatting.formats.encodings import join_largest, log_scales, split_largest
from splatting.formats.palette import codebook, morton_order, nearest, palette
from splatting.gaussians import Gaussians

AXES: Axes = "y-down"

_QUAT_TAG = 252
_PALETTE_COLUMNS = 64
_MAX_META = 1 << 20


def read(path: Path) -> tuple[Gaussians, Axes]:
    """The file's Gaussians as they stand in it, and its axes.

    Args:
        path: the .sog, or the meta.json among loose pictures.
    Raises:
        InputError: not SOG of version 2, damaged, or larger than can be.
    """
    try:
        if path.name == "meta.json":
            return _Reader(path, lambda name: _read_loose(path, name)).gaussians(), AXES
        with zipfile.ZipFile(path) as archive:
            return _Reader(path, lambda name: _read_member(path, archive, name)).gaussians(), AXES
    except (
        zipfile.BadZipFile, NotImplementedError, KeyError, TypeError, ValueError, IndexError,
        Image.DecompressionBombError, OSError, RuntimeError, OverflowError, EOFError, zlib.error,
    ) as error:  # fmt: skip
        raise InputError(
            f"expected SOG of version 2 in {path}, got: {' '.join(str(error).split())}; "
            f"the file is damaged or of another kind, export it again"
        ) from error


def _read_loose(path: Path, name: str) -> bytes:
    file = path.parent / name
    check_expansion(path, file.stat().st_size, 0)
    return file.read_bytes()


def _read_member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    check_packing(info)
    # No more than `file_size` is unpacked, whatever the data hold.
    check_expansion(path, info.file_size, info.compress_size)
    return archive.read(info)


class _Reader:
    """The parts of one file. `load`: name to bytes."""

    def __init__(self, path: Path, load: Any) -> None:
        self.path, self.load = path, load
        data = load("meta.json")
        if len(data) > _MAX_META:
            raise ValueError(f"a meta.json of {len(data)} bytes")
        self.meta = json.loads(data)
        if not isinstance(self.meta, dict) or self.meta.get("version") != 2:
            raise ValueError("a meta.json of another version, or none of SOG")
        self.count = int(self.meta["count"])
        check_count(path, self.count)

    def gaussians(self) -> Gaussians:
        quats = self._pixels(self.meta["quats"]["files"][0])
        colours = self._pixels(self.meta["sh0"]["files"][0])
        scales = self._pixels(self.meta["scales"]["files"][0])
        dc = self._codebook("sh0")[colours[:, :3]][:, None]
        return checked_gaussians(
            self.path,
            means=self._means(),
            quats=self._quats(quats),
            scales=np.exp(self._codebook("scales")[scales[:, :3]]),
            opacities=colours[:, 3] / 255,
            sh=np.concatenate((dc, self._sh_rest()), axis=1) if "shN" in self.meta else dc,
        )

    def _means(self) -> np.ndarray:
        part = self.meta["means"]
        low, high = (self._pixels(name)[:, :3].astype(float) for name in part["files"])
        least, most = (np.asarray(part[k], float).reshape(3) for k in ("mins", "maxs"))
        logs = least + (most - least) * (low + 256 * high) / 65535
        return np.sign(logs) * np.expm1(np.abs(logs))

    def _quats(self, pixels: np.ndarray) -> np.ndarray:
        largest = pixels[:, 3].astype(int) - _QUAT_TAG
        if (largest < 0).any():
            raise ValueError("a rotation without the mark of its largest component")
        return join_largest(largest, (pixels[:, :3] / 255 - 0.5) * np.sqrt(2))

    def _sh_rest(self) -> np.ndarray:
        """Coefficients (N, K - 1, 3) of degree 1 and up."""
        centroids_name, labels_name = self.meta["shN"]["files"]
        pixels = self._picture(centroids_name, _PALETTE_COLUMNS * 15 * 1024)
        terms = pixels.shape[1] // _PALETTE_COLUMNS
        entries = pixels[:, : _PALETTE_COLUMNS * terms].reshape(-1, terms, 4)[..., :3]
        low, high = self._pixels(labels_name)[:, :2].astype(int).T
        return self._codebook("shN")[entries[low + 256 * high]]

    def _codebook(self, part: str) -> np.ndarray:
        """The 256 numbers of a part, float32."""
        return np.asarray(self.meta[part]["codebook"], np.float32).reshape(256)

    def _pixels(self, name: str) -> np.ndarray:
        """RGBA (N, 4) of the Gaussians, in order."""
        # Pictures are square to about four pixels a side.
        pixels = self._picture(name, 2 * self.count + 4096).reshape(-1, 4)
        if len(pixels) < self.count:
            raise ValueError(f"{name} of {len(pixels)} pixels for {self.count} Gaussians")
        return pixels[: self.count]

    def _picture(self, name: str, most: int) -> np.ndarray:
        """RGBA (H, W, 4) of a picture of at most so many pixels."""
        if not isinstance(name, str) or Path(name).name != name or "\\" in name:
            raise ValueError(f"a file name with a folder: {name!r}")
        try:
            image = Image.open(io.BytesIO(self.load(name)), formats=("WEBP", "PNG"))
        except UnidentifiedImageError as error:  # whose own message shows a memory address
            raise ValueError(f"{name}, which is no WebP or PNG picture") from error
        with image:
            if image.width * image.height > most:
                raise ValueError(f"{name} of {image.width}x{image.height} for {self.count}")
            return np.asarray(image.convert("RGBA"))


def write(file: BinaryIO, gaussians: Gaussians, axes: Axes) -> None:
    """Writes Gaussians as they stand, in Morton order (the format cannot record `axes`)."""
    order = morton_order(gaussians.means.numpy())
    pictures: dict[str, np.ndarray] = {}

    def put(name: str, columns: np.ndarray) -> str:
        pictures[name] = _laid_out(columns)
        return name

    logs = log_scales(gaussians.scales.numpy()[order])
    sh = gaussians.sh.numpy()[order]
    alpha = np.rint(255 * gaussians.opacities.numpy()[order].clip(0, 1)).astype(np.uint8)
    scale_book, dc_book = codebook(logs), codebook(sh[:, 0])
    dc = np.column_stack((nearest(sh[:, 0], dc_book), alpha))
    meta: dict[str, Any] = {"version": 2, "asset": {"generator": "recon3d"}, "count": len(order)}
    meta["means"], low, high = _packed_means(gaussians.means.numpy()[order])
    meta["means"]["files"] = [put("means_l.webp", low), put("means_u.webp", high)]
    meta["scales"] = {
        "codebook": scale_book.tolist(),
        "files": [put("scales.webp", nearest(logs, scale_book))],
    }
    quats = _packed_quats(gaussians.quats.numpy()[order])
    meta["quats"] = {"files": [put("quats.webp", quats)]}
    meta["sh0"] = {"codebook": dc_book.tolist(), "files": [put("sh0.webp", dc)]}
    if gaussians.sh_degree:
        entries, labels = palette(sh[:, 1:].reshape(len(sh), -1))
        rest_book = codebook(entries)
        pictures["shN_centroids.webp"] = _laid_out_palette(nearest(entries, rest_book))
        label_bytes = np.column_stack((labels & 255, labels >> 8)).astype(np.uint8)
        meta["shN"] = {
            "count": len(entries),
            "bands": gaussians.sh_degree,
            "codebook": rest_book.tolist(),
            "files": ["shN_centroids.webp", put("shN_labels.webp", label_bytes)],
        }
    _write_zip(file, meta, pictures)


def _write_zip(file: BinaryIO, meta: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    """A zip without compression (WebP has its own) and without times: equal in, equal out."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, pixels in pictures.items():
            data = io.BytesIO()
            # `exact`: colours matter where alpha, which is opacity, is zero.
            Image.fromarray(pixels).save(data, "WEBP", lossless=True, exact=True)
            archive.writestr(zipfile.ZipInfo(name), data.getvalue())
        archive.writestr(zipfile.ZipInfo("meta.json"), json.dumps(meta))


def _packed_means(means: np.ndarray) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """The range in logarithms, and the low and high bytes (N, 3)."""
    logs = np.sign(means) * np.log1p(np.abs(means.astype(float)))
    least, most = logs.min(0), logs.max(0)
    span = np.where(most > least, most - least, 1.0)
    words = np.rint((logs - least) / span * 65535).astype(np.uint16)
    low, high = (words & 255).astype(np.uint8), (words >> 8).astype(np.uint8)
    return {"mins": least.tolist(), "maxs": most.tolist()}, low, high


def _packed_quats(quats: np.ndarray) -> np.ndarray:
    """Bytes (N, 4) of quaternions wxyz of any length."""
    largest, smallest = split_largest(quats)
    three = np.rint((smallest / np.sqrt(2) + 0.5) * 255).clip(0, 255)
    return np.column_stack((three, largest + _QUAT_TAG)).astype(np.uint8)


def _laid_out(columns: np.ndarray) -> np.ndarray:
    """RGBA (H, W, 4) of bytes (N, 1 to 4): near square, sides of whole fours, opaque."""
    count = len(columns)
    width = 4 * int(np.ceil(np.sqrt(count) / 4))
    height = 4 * int(np.ceil(count / width / 4))
    out = np.zeros((height * width, 4), np.uint8)
    out[:, 3] = 255
    out[:count, : columns.shape[1]] = columns
    return out.reshape(height, width, 4)


def _laid_out_palette(entries: np.ndarray) -> np.ndarray:
    """RGBA (H, 64 (K - 1), 4): 64 entries of bytes (E, 3 (K - 1)) per row."""
    terms = entries.shape[1] // 3
    rows = -(-len(entries) // _PALETTE_COLUMNS)
    out = np.zeros((rows * _PALETTE_COLUMNS, terms, 4), np.uint8)
    out[..., 3] = 255
    out[: len(entries), :, :3] = entries.reshape(-1, terms, 3)
    return out.reshape(rows, _PALETTE_COLUMNS * terms, 4)
