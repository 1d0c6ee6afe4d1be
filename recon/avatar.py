"""`recon avatar`: an animatable avatar of one person, trained on a scene's video."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from recon import __version__
from recon.avatar_motion import dense, in_refined_motion, motion_file, save_motion
from recon.avatar_photos import load_person, poses_of
from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.storage import write_bytes
from recon.options_avatars import AvatarOptions
from recon.performers import AVATARS
from recon.runner import Silent, Watcher
from recon.splat_results import ALEXNET

if TYPE_CHECKING:
    from splatting.avatars.avatar import Avatar
    from splatting.avatars.network_training import Perceptual
    from splatting.avatars.photos import AvatarPhotos
    from splatting.avatars.training import AvatarConfig, AvatarResult, AvatarStatus, Watch

MINUTES = {"fast": 10.0, "network": 60.0}
PAIRS, TURNTABLE = 4, 8
"""Pictures of the sheet: held-out frames beside ours, and views around."""


def avatar(
    source: Path,
    out: Path | None = None,
    options: AvatarOptions | None = None,
    *,
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Trains an avatar; what is written to person_N.json, and the avatar's file as "file".

    Args:
        source: a scene. out: folder to write, default SCENE/avatars.

    Raises:
        ReconError: the scene, the person or an option cannot be used; nothing was written.
    """
    options, watcher = options or AvatarOptions(), watcher or Silent()
    scene = Scene.open(source)
    out = out or scene.path / AVATARS
    if out.exists() and not out.is_dir():
        raise InputError(f"expected a folder to write to, got the file {out}; use --out DIR")
    loaded = load_person(scene, options, watcher)
    for note in loaded.notes:
        watcher.note(f"avatar: {note}")
    train, held_out = loaded.photos.split(options.held_out)
    width = train.size[0]
    perceptual = _perceptual(width, watcher) if options.mode == "network" else None
    with watcher.stage("avatar", f"{len(train)} pictures of {width}x{width}") as progress:

        def watch(status: AvatarStatus) -> None:
            watcher.status(f"step {status.step}, PSNR {status.psnr:.1f} dB")
            progress(round(1000 * status.progress), 1000)

        started = time.process_time()
        result = _train(
            loaded.person.rig, train, options, watch, source=str(scene.video.path),
            perceptual=perceptual,
        )  # fmt: skip
        cpu = time.process_time() - started
    with watcher.stage("measure", f"{len(held_out) if held_out else 0} held-out pictures"):
        person, file = loaded.person, motion_file(out, options.person)
        if dense(train.times):
            person = in_refined_motion(person, result.motion, train.frame_idx)
            save_motion(file, person, scene)
        else:
            file.unlink(missing_ok=True)  # of an earlier training
        train = replace(train, poses=poses_of(person.motion, train.frame_idx))
        if held_out is not None:
            # Nothing is found on these pictures: their motion is corrected as their neighbours'.
            held_out = replace(held_out, poses=poses_of(person.motion, held_out.frame_idx))
        return _write(result, train, held_out, out, options=options, cpu=cpu, notes=loaded.notes)


def training_config(options: AvatarOptions, device: str = "cpu") -> AvatarConfig:
    """The options as the trainer of their mode takes them; a network on CUDA has the paper's sizes.

    Args:
        device: "cpu" or "cuda".
    """
    chosen = {"steps": options.iterations, "resolution": options.resolution}
    settings: dict[str, Any] = {
        "minutes": options.minutes or MINUTES[options.mode],
        **{name: value for name, value in chosen.items() if value is not None},
    }
    if options.mode == "network":
        from splatting.avatars.network_training import NetworkConfig, paper_config

        return paper_config(**settings) if device == "cuda" else NetworkConfig(**settings)
    from splatting.avatars.training import AvatarConfig

    return AvatarConfig(**settings)


def _train(
    rig: Rig, photos: AvatarPhotos, options: AvatarOptions, watch: Watch, *, source: str,
    perceptual: Perceptual | None,
) -> AvatarResult:  # fmt: skip
    """By the trainer of the mode, on CUDA where there is one that gsplat can use."""
    from splatting.rasterize import device_of

    device = device_of("auto")
    config = training_config(options, device)
    about: dict[str, Any] = {"track_id": options.person, "source": source, "device": device}
    if options.mode == "network":
        from splatting.avatars.network_training import NetworkConfig, train_network

        assert isinstance(config, NetworkConfig)
        return train_network(rig, photos, config, watch, perceptual=perceptual, **about)
    from splatting.avatars.training import train_avatar

    return train_avatar(rig, photos, config, watch, **about)


def _perceptual(side: int, watcher: Watcher) -> Perceptual | None:
    """LPIPS as a loss, where its network is on this machine; else None, which the user is told."""
    import torch

    from recon.evaluate.images import MIN_SIDE, Lpips

    file = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
    if side < MIN_SIDE or not file.is_file():
        watcher.note(f"avatar: trained without LPIPS, which needs torchvision's {ALEXNET} and "
                     f"pictures of {MIN_SIDE} px")  # fmt: skip
        return None
    return Lpips(file).distance


def _write(
    result: AvatarResult, train: AvatarPhotos, held_out: AvatarPhotos | None, out: Path, *,
    options: AvatarOptions, cpu: float, notes: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    """Writes the avatar, its figures and its sheet; pictures come with the refined motion."""
    from splatting.avatars.evaluation import score
    from splatting.avatars.files import save_avatar

    made, name = result.avatar, f"person_{options.person}"
    scores: dict[str, Any] = {}
    if held_out is not None:
        scores = {"held_out": len(held_out), **score(made, held_out)}
    figures = {
        "person": options.person, "mode": options.mode, "version": __version__,
        "gaussians": len(made), "unseen": round(1 - float(made.seen.mean()), 4), **scores,
        "pictures": len(train), "size": train.size[0], "steps": result.steps,
        "minutes": round(result.seconds / 60, 2), "cpu_seconds": round(cpu, 1),
        "background": "white", "model": made.model, "licence": made.licence,
        "notes": list(notes), "options": asdict(options),
    }  # fmt: skip
    sheet = _sheet(made, held_out or train, train)
    save_avatar(made, out / f"{name}.npz")
    write_bytes(out / f"{name}.json", json.dumps(figures, indent=1).encode())
    _, packed = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93])
    write_bytes(out / f"{name}.jpg", packed.tobytes())
    return {**figures, "file": str(out / f"{name}.npz")}


def _sheet(made: Avatar, shown: AvatarPhotos, around: AvatarPhotos) -> np.ndarray:
    """Pictures (H, W, 3) uint8: some as filmed, cut out, and as the avatar shows them; below, it
    turns about under even light in the pose of the middle of the video."""
    from splatting.avatars.evaluation import cut_out, draw

    def bytes_of(picture: Any) -> np.ndarray:
        return (255 * np.asarray(picture)).round().astype(np.uint8)

    rows = np.unique(np.linspace(0, len(shown) - 1, PAIRS).round().astype(int))
    filmed = [
        [shown.images[i], bytes_of(cut_out(shown, i)[0]),
         bytes_of(draw(made.posed(shown.poses, i), shown, i))]
        for i in rows
    ]  # fmt: skip
    tile = filmed[0][0].shape[0]
    pairs = np.concatenate([np.concatenate(column, axis=0) for column in filmed], axis=1)
    i = len(around) // 2
    angles = np.linspace(0, 2 * np.pi, TURNTABLE, endpoint=False)
    turns = rotvec_to_matrix(angles[:, None] * np.array([0.0, 0.0, 1.0]))
    rotations = np.repeat(around.poses.rotations[i : i + 1], TURNTABLE, axis=0)
    rotations[:, 0] = turns @ rotations[:, 0]
    turned = BodyPoses(
        root=np.repeat(around.poses.root[i : i + 1], TURNTABLE, 0), rotations=rotations
    )
    views = [bytes_of(draw(made.posed(turned, k, lit=False), around, i)) for k in range(TURNTABLE)]
    below = np.concatenate(views, axis=1)
    width = len(rows) * tile
    height = round(below.shape[0] * width / below.shape[1])
    return np.concatenate(
        [pairs, np.asarray(cv2.resize(below, (width, height), interpolation=cv2.INTER_AREA))]
    )
