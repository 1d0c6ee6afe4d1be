"""BVH files as they are: a tree of joints, and a row of channels for every frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from recon.core.errors import InputError
from recon.core.geometry import Array


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A file's joints and their motion over N frames, in the file's axes and units.

    Args:
        names: of J joints, parents first. parents: index of each parent, -1 for the root.
        offsets: (J, 3) from the parent, all rotations zero. tips: (3,) from a joint to an end
            site below it, by joint. positions: (N, J, 3) relative to the parent: the offsets,
            or what the file's position channels say instead.
        rotations: (N, J, 3, 3) relative to the parent. step: seconds from frame to frame.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array
    tips: dict[int, Array]
    positions: Array
    rotations: Array
    step: float


@dataclass
class _Reader:
    """Words of a file, one after the other."""

    path: Path
    words: list[str]
    at: int = 0

    def next(self) -> str:
        if self.at >= len(self.words):
            self.fail("more after the last word")
        self.at += 1
        return self.words[self.at - 1]

    def expect(self, *wanted: str) -> str:
        word = self.next()
        if word.upper() not in wanted:
            self.at -= 1
            self.fail(" or ".join(wanted))
        return word.upper()

    def numbers(self, count: int) -> Array:
        try:
            return np.array([float(self.next()) for _ in range(count)])
        except ValueError:
            self.at -= 1
            self.fail("a number")

    def fail(self, expected: str):
        got = " ".join(self.words[self.at : self.at + 3]) or "the end of the file"
        raise InputError(
            f"{self.path}: expected {expected}, got '{got}' at word {self.at + 1}; "
            "is it a whole BVH file?"
        )


def read_bvh(path: Path) -> Skeleton:
    """The skeleton of a BVH file.

    Position channels replace a joint's offset, as in MotionBuilder, Blender and LAFAN1.

    Raises:
        InputError: it is no BVH file, or damaged.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"expected a BVH file, got {path}: {error}") from error
    head, found, motion = text.partition("MOTION")
    reader = _Reader(path, head.replace("{", " { ").replace("}", " } ").split())
    reader.expect("HIERARCHY")
    names: list[str] = []
    parents: list[int] = []
    offsets: list[Array] = []
    channels: list[list[str]] = []
    tips: dict[int, Array] = {}
    stack: list[int] = []
    while True:
        word = reader.expect("ROOT", "JOINT", "END", "}") if stack else reader.expect("ROOT")
        if word == "}":
            stack.pop()
            if not stack:
                break
        elif word == "END":
            reader.next()  # "Site"
            reader.expect("{")
            reader.expect("OFFSET")
            tips[stack[-1]] = reader.numbers(3)
            reader.expect("}")
        else:
            parents.append(stack[-1] if stack else -1)
            stack.append(len(names))
            names.append(_name(reader))
            reader.expect("OFFSET")
            offsets.append(reader.numbers(3))
            channels.append(_channels(reader))
    if not found:
        raise InputError(f"{path}: expected the word MOTION and frames after it, got neither")
    step, rows = _frames(path, motion, sum(map(len, channels)))
    positions, rotations = _played(rows, np.array(offsets), channels)
    return Skeleton(
        names=tuple(names), parents=tuple(parents), offsets=np.array(offsets), tips=tips,
        positions=positions, rotations=rotations, step=step,
    )  # fmt: skip


def _name(reader: _Reader) -> str:
    """A joint's name, which may hold blanks, up to its bracket."""
    words = []
    while (word := reader.next()) != "{":
        words.append(word)
    return " ".join(words) or "joint"


def _channels(reader: _Reader) -> list[str]:
    """A joint's channels; none where the word is missing."""
    reader.expect("CHANNELS")
    count = int(reader.numbers(1)[0])
    known = tuple(f"{axis}{kind}" for axis in "XYZ" for kind in ("POSITION", "ROTATION"))
    return [reader.expect(*known) for _ in range(count)]


def _frames(path: Path, motion: str, width: int) -> tuple[float, Array]:
    """Seconds between frames, and the channels (N, width)."""
    reader = _Reader(path, motion.split(maxsplit=5))
    reader.expect("FRAMES:")
    count = int(reader.numbers(1)[0])
    reader.expect("FRAME")
    reader.expect("TIME:")
    step = float(reader.numbers(1)[0])
    try:
        values = np.array(" ".join(reader.words[reader.at :]).split(), dtype=float)
    except ValueError as error:
        raise InputError(f"{path}: expected numbers in every frame, got: {error}") from error
    if count < 1 or step <= 0 or len(values) != count * width or not np.isfinite(values).all():
        raise InputError(
            f"{path}: expected {count} frames of {width} finite numbers, {step} seconds apart, "
            f"got {len(values)} numbers; is the file whole?"
        )
    return step, values.reshape(count, width)


def _played(rows: Array, offsets: Array, channels: list[list[str]]) -> tuple[Array, Array]:
    """Positions (N, J, 3) and rotations (N, J, 3, 3) relative to each parent."""
    positions = np.repeat(offsets[None], len(rows), axis=0)
    rotations = np.tile(np.eye(3), (len(rows), len(offsets), 1, 1))
    column = 0
    for joint, names in enumerate(channels):
        own = rows[:, column : column + len(names)]
        column += len(names)
        turns = [k for k, name in enumerate(names) if name.endswith("ROTATION")]
        for k, name in enumerate(names):
            if name.endswith("POSITION"):
                positions[:, joint, "XYZ".index(name[0])] = own[:, k]
        if turns:
            order = "".join(names[k][0] for k in turns)
            rotations[:, joint] = Rotation.from_euler(
                order, own[:, turns], degrees=True
            ).as_matrix()
    return positions, rotations
