"""Results of other programs as scenes. Every reader is `(path) -> Imported`, loaded on use."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon import __version__
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.rig import Rig
from recon.core.scene import Scene, StageName
from recon.core.stage import Decision, StageReport
from recon.core.video import VideoInfo
from recon.runner import locked_scene

if TYPE_CHECKING:
    from recon.imports.assemble import Body, Results
    from recon.imports.base import Imported, ImportedPerson

IMPORTERS: dict[str, str] = {
    "amass": "recon.imports.amass:read",
    "gvhmr": "recon.imports.gvhmr:read",
    "wham": "recon.imports.wham:read",
    "tram": "recon.imports.tram:read",
    "prompthmr": "recon.imports.prompthmr:read",
}
"""Program to `module:function`."""

_STAGES: tuple[StageName, ...] = ("video", "camera", "body", "world")
ASSUMED_FPS, MOST_FPS = 30.0, 1000.0


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """What a scene was imported from, and how."""

    source: str
    sha256: str
    fps: float
    body_model_path: str | None


def import_scene(
    path: Path,
    source: str,
    folder: Path,
    *,
    fps: float | None = None,
    body_model_path: Path | None = None,
) -> Scene:
    """The scene in `folder`, written from another program's result.

    Args:
        fps: for files that do not tell. body_model_path: the licensed SMPL-X, SMPL-H or SMPL files;
            without them an Anny body of mean shape stands for the person, which the scene says.

    Raises:
        InputError: the file cannot be used, or the folder holds a scene of a video.
    """
    if source not in IMPORTERS:
        raise InputError(f"--from: expected one of {', '.join(IMPORTERS)}; got '{source}'")
    if not path.exists():
        raise InputError(f"expected a result of {source}, got no file {path}")
    if fps is not None and not 0 < fps <= MOST_FPS:
        raise InputError(f"--fps: expected a positive frame rate, got {fps:g}")
    from recon.imports.assemble import assemble

    module, function = IMPORTERS[source].split(":")
    imported: Imported = getattr(importlib.import_module(module), function)(path)
    bodies = [_body(imported, person, body_model_path) for person in imported.people]
    rate = fps or (ASSUMED_FPS if imported.fps is None else imported.fps)
    if not 0 < rate <= MOST_FPS:
        raise InputError(
            f"expected a positive frame rate in {path}, got {rate:g}; give it as --fps"
        )
    last = max(int(p.frame_idx[-1]) for p in imported.people)
    num_frames = last + 1 if imported.Ts_file_camera is None else len(imported.Ts_file_camera)
    times = np.arange(num_frames) / rate
    results = assemble(imported, bodies, times)
    config = ImportConfig(
        source=source, sha256=_sha256(path), fps=rate,
        body_model_path=body_model_path and str(body_model_path),
    )  # fmt: skip
    warnings = _warnings(imported, bodies, fps)
    with locked_scene(folder) as scene:
        if scene.manifest["stages"] and "imported" not in scene.manifest:
            raise InputError(
                f"expected a new folder, got {folder} with a video's scene; use --scene DIR"
            )
        for stage in _STAGES:
            scene.forget(stage)
        scene.note("imported", {"from": source, "file": str(path.absolute())})
        k = results.camera.intrinsics
        info = VideoInfo(
            path=str(path.absolute()), width=k.width, height=k.height, times=times,
            focal_px=None, sha256=config.sha256,
        )  # fmt: skip
        _save(scene, info, results, [body.rig for body in bodies])
        people = f"{len(bodies)} of {path.name}"
        _record(scene, config, people=people, warnings=warnings)
        return scene


def _save(scene: Scene, info: VideoInfo, results: Results, rigs: list[Rig]) -> None:
    scene.save("video.npz", [info])
    scene.save("camera.npz", [results.camera])
    scene.save("body.npz", results.camera_motions)
    scene.save("rigs.npz", rigs)
    scene.save("placement.npz", [results.placement])
    scene.save("world.npz", results.world_motions)


def _record(scene: Scene, config: ImportConfig, *, people: str, warnings: tuple[str, ...]) -> None:
    backend = f"import from {config.source}"
    who = Decision(name="people", value=people, why="as the file has them")
    body = StageReport(backend=backend, decisions=(who,), warnings=warnings)
    for stage in _STAGES:
        report = body if stage == "body" else StageReport(backend=backend)
        scene.record(stage, config, report, seconds=0.0, code_version=__version__)


def _body(imported: Imported, person: ImportedPerson, path: Path | None) -> Body:
    """The body that the file means if its licensed model is there, else a mean Anny body."""
    from body.models import load_body_model
    from body.models.smplx import NUM_BETAS
    from recon.export.motion_npz import MEAN_PELVIS
    from recon.imports.assemble import Body

    if path is None:
        model = load_body_model("anny")
        rig = model.skinning_spec(model.param_spec.mean)
        return Body(rig=rig, pelvis=MEAN_PELVIS[imported.model])
    model = load_body_model(imported.model, path)
    betas = np.zeros(NUM_BETAS)
    betas[: len(person.betas)] = person.betas[:NUM_BETAS]
    offset: Array = model.pelvis_offset(betas)  # type: ignore[attr-defined]
    return Body(rig=model.skinning_spec(betas), pelvis=offset)


def _warnings(imported: Imported, bodies: list[Body], fps: float | None) -> tuple[str, ...]:
    out = list(imported.notes)
    if bodies[0].rig.model != imported.model:
        out.append(
            f"the mesh and the bone lengths are those of a mean {bodies[0].rig.model} body, "
            f"because {imported.model} needs licensed files (--body-model-path); rotations and "
            "the pelvis' path are the file's, and the pelvis assumes the mean body's"
        )
    if fps is None and imported.fps is None:
        out.append(f"the file has no frame rate: {ASSUMED_FPS:g} fps were assumed (--fps)")
    if imported.R_world_file is None:
        out.append("the file does not tell what is up: people were taken to stand upright")
    if not imported.floor_known:
        out.append("the file does not tell where the floor is: it was put below the lowest soles")
    if imported.intrinsics is None:
        out.append("the file has no focal length: the one in this scene is invented")
    if imported.Ts_file_camera is None and all(p.camera is None for p in imported.people):
        out.append("the file has no camera: the one in this scene is an invented onlooker")
    return tuple(out)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*.npy"))
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
