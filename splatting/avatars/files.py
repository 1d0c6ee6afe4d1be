"""An avatar as one file: an .npz of plain arrays, which any program can read.

means, quats (wxyz), scales, opacities, sh: the Gaussians in the rest pose (T-pose, y up, facing
+z, metres, pelvis at the origin), float32, activated. normals (N, 3). weights, indices (N, K):
linear blend skinning to the 52 joints of SMPL-X without jaw and eyes; rest_joints (52, 3). texel
(N, 2), resolution: homes in the body's texture. seen (N,): False where it is a guess. light (9, 3):
factor of the colour by the normal in the video's world, SH to degree 2; may be missing. model,
licence, track_id, source, version. neural.*: a network's arrays; may be missing.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from recon.core.errors import InputError
from recon.core.storage import write_atomic
from recon.core.untrusted import read_arrays
from splatting.avatars.avatar import Avatar
from splatting.formats.checks import check_count, checked_gaussians
from splatting.gaussians import Gaussians

VERSION = 1
_GAUSSIANS = tuple(f.name for f in fields(Gaussians))
_ARRAYS = ("normals", "weights", "indices", "rest_joints", "texel", "seen")
_TEXTS = ("model", "licence", "source")
_NEURAL = "neural."
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)


def save_avatar(avatar: Avatar, path: Path) -> None:
    """Writes the avatar, atomically."""
    arrays = avatar_arrays(avatar)
    write_atomic(Path(path), lambda file: np.savez_compressed(file, **arrays))


def avatar_arrays(avatar: Avatar) -> dict[str, Any]:
    """What the avatar's file holds, by name."""
    arrays: dict[str, Any] = {
        name: getattr(avatar.gaussians, name).detach().cpu().numpy() for name in _GAUSSIANS
    }
    arrays |= {name: getattr(avatar, name) for name in (*_ARRAYS, *_TEXTS)}
    arrays |= {"resolution": avatar.resolution, "track_id": avatar.track_id, "version": VERSION}
    if avatar.light is not None:
        arrays["light"] = avatar.light
    if avatar.neural is not None:
        arrays |= {f"{_NEURAL}{name}": array for name, array in avatar.neural.arrays().items()}
    return arrays


def load_avatar(path: Path) -> Avatar:
    """The avatar that `save_avatar` wrote.

    Raises:
        InputError: no such file, or it is damaged, of another version or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"expected an avatar, got no file {path}; make one with: recon avatar SCENE"
        )
    try:
        arrays = read_arrays(path)
        version = int(arrays["version"])
        if version != VERSION:
            raise InputError(
                f"expected an avatar of version {VERSION}, got version {version} in {path}; "
                "make it again with: recon avatar SCENE"
            )
        check_count(path, len(arrays["means"]))
        return Avatar(
            gaussians=checked_gaussians(path, **{name: arrays[name] for name in _GAUSSIANS}),
            **{name: arrays[name] for name in _ARRAYS},  # pyright: ignore[reportArgumentType]
            model=str(arrays["model"]), licence=str(arrays["licence"]),
            source=str(arrays["source"]), resolution=int(arrays["resolution"]),
            track_id=int(arrays["track_id"]), light=arrays.get("light"), neural=_neural(arrays),
        )  # fmt: skip
    except InputError as error:
        raise InputError(error if str(path) in str(error) else f"{path}: {error}") from error
    except _UNREADABLE as error:
        raise InputError(
            f"expected an avatar that `recon avatar` wrote, got {path}, which cannot be read: "
            f"{type(error).__name__} {error}"
        ) from error


def _neural(arrays: dict[str, np.ndarray]) -> Any:
    """The network of an avatar that has one."""
    state = {k.removeprefix(_NEURAL): v for k, v in arrays.items() if k.startswith(_NEURAL)}
    if not state:
        return None
    from splatting.avatars import network

    return network.restore(state, count=len(arrays["means"]))
