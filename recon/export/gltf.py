"""A small glTF 2.0 document under construction: accessors over one buffer, written as .glb."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

import recon

_COMPONENT_TYPES = {"<f4": 5126, "|u1": 5121, "<u2": 5123, "<u4": 5125}
_ELEMENT_TYPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_TARGETS = {"vertices": 34962, "indices": 34963}

AnimatedPath = Literal["translation", "rotation", "scale"]


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """Colours of 0 to 1 in linear light, as glTF wants them (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


@dataclass
class GltfDocument:
    """Collects a scene's parts; every `add_*` returns the new part's index.

    `content` is the glTF JSON; see the glTF 2.0 specification for its properties. `tempo`: how
    many of the file's seconds one second lasts.
    """

    content: dict[str, Any] = field(
        default_factory=lambda: {
            "asset": {"version": "2.0", "generator": f"recon3d {recon.__version__}"},
            "scene": 0,
            "scenes": [{"nodes": []}],
        }
    )
    binary: bytearray = field(default_factory=bytearray)
    tempo: float = 1.0
    _times: dict[bytes, int] = field(default_factory=dict)

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Appends to one of the document's lists ("nodes", "meshes", …)."""
        items = self.content.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def add_root(self, node: dict[str, Any]) -> int:
        """Adds a node at the top of the scene."""
        index = self.add("nodes", node)
        self.content["scenes"][0]["nodes"].append(index)
        return index

    def add_accessor(
        self,
        values: np.ndarray,
        *,
        target: Literal["vertices", "indices"] | None = None,
        bounds: bool = False,
    ) -> int:
        """Stores (N, ...) float, uint8, uint16 or uint32 values, floats as float32.

        `target` marks mesh data, `bounds` states the minimum and maximum (required of positions
        and of animation times).
        """
        if np.issubdtype(values.dtype, np.floating):
            values = values.astype("<f4")
        element = values.shape[1:]
        # Column-major matrices, and every view on a four-byte boundary, as the format demands.
        ordered = np.swapaxes(values, -1, -2) if element == (4, 4) else values
        view: dict[str, Any] = {
            "buffer": 0, "byteOffset": len(self.binary), "byteLength": values.nbytes,
        }  # fmt: skip
        if target is not None:
            view["target"] = _TARGETS[target]
        self.binary += np.ascontiguousarray(ordered).tobytes()
        self.binary += b"\0" * (-len(self.binary) % 4)
        accessor: dict[str, Any] = {
            "bufferView": self.add("bufferViews", view),
            "componentType": _COMPONENT_TYPES[values.dtype.str],
            "count": len(values),
            "type": _ELEMENT_TYPES[element],
        }
        if bounds:
            flat = values.reshape(len(values), -1)
            accessor["min"], accessor["max"] = flat.min(axis=0).tolist(), flat.max(axis=0).tolist()
        return self.add("accessors", accessor)

    def animate(
        self, node: int, path: AnimatedPath, *, times: np.ndarray, values: np.ndarray,
        held: bool = False, rest: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """Moves a node over `times` (K,) seconds; values that never change set the node itself.

        Args:
            values: (K, 3), or (K, 4) quaternions xyzw, continuous in sign.
            held: each value holds until the next time instead of being interpolated.
            rest: the node's own value, which the motion replaces; None: the first of `values`.
        """
        values = values.astype("<f4")
        own = values[0] if rest is None else rest.astype("<f4")
        self.content["nodes"][node][path] = own.tolist()
        if not np.any(values != own):
            return
        if "animations" not in self.content:
            self.add("animations", {"name": "motion", "channels": [], "samplers": []})
        animation = self.content["animations"][0]
        stamps = (times * self.tempo).astype("<f4")
        key = stamps.tobytes()
        if key not in self._times:
            self._times[key] = self.add_accessor(stamps, bounds=True)
        animation["samplers"].append(
            {
                "input": self._times[key],
                "output": self.add_accessor(values),
                "interpolation": "STEP" if held else "LINEAR",
            }
        )
        target = {"node": node, "path": path}
        sampler = len(animation["samplers"]) - 1
        animation["channels"].append({"sampler": sampler, "target": target})

    def to_glb(self) -> bytes:
        """The document as one binary file."""
        if self.binary:
            self.content["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.content, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
        if self.binary:
            chunks += struct.pack("<II", len(self.binary), 0x004E4942) + bytes(self.binary)
        return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks
