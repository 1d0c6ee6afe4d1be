"""`recon convert`: a scene whose people are bodies of another model."""

from __future__ import annotations

import copy
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon import __version__
from recon.core.errors import InputError
from recon.core.scene import OPTIONAL_FILES, STAGE_FILES, Scene, StageName
from recon.core.stage import Decision, StageReport
from recon.runner import Silent, Watcher, locked_scene

if TYPE_CHECKING:
    from body.convert import Converted, Residual

_REMADE: tuple[StageName, ...] = ("body", "world")


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What a scene's bodies were converted from, and into what."""

    source: str
    model: str
    model_path: str | None


def convert_scene(
    path: Path,
    model: str,
    out: Path | None = None,
    *,
    body_model_path: Path | None = None,
    watcher: Watcher | None = None,
) -> Scene:
    """A new scene in `out` like the one at `path`, its people as bodies of another model.

    Everything but the bodies is copied; the scene at `path` is only read. How far each new body
    is from the old one stands in the report of stage `body`.

    Args:
        model: a key of BODY_MODELS. out: default a folder beside the scene, named after both.
        body_model_path: the licensed file of `model`.

    Raises:
        InputError: no scene, nobody in it, no such model, or `out` holds something else.
    """
    from threadpoolctl import threadpool_limits

    from body.convert import convert_person
    from body.models import load_body_model

    source = Scene.open(path)
    out = out or path.parent / f"{path.name}_{model}"
    _check_target(source, out)
    body_model = load_body_model(model, body_model_path)
    cameras, rigs = source.camera_motions, source.rigs
    if not cameras:
        raise InputError(f"expected at least one person in {path} to convert, got none")
    worlds = {motion.track_id: motion for motion in source.world_motions}
    people: list[Converted] = []
    with (watcher or Silent()).stage("convert", f"to {model}") as progress:
        for camera, rig in zip(cameras, rigs, strict=True):
            progress(len(people), len(cameras))
            with threadpool_limits(1):  # many small products: threads would only wait
                people.append(convert_person(camera, worlds[camera.track_id], rig, body_model))
    config = ConvertConfig(
        source=str(source.path.absolute()), model=model,
        model_path=body_model_path and str(body_model_path),
    )  # fmt: skip
    with locked_scene(out) as scene:
        _copy(source, scene)
        scene.save("body.npz", [person.camera_motion for person in people])
        scene.save("rigs.npz", [person.rig for person in people])
        scene.save("world.npz", [person.world_motion for person in people])
        _record(source, scene, config, people)
        return scene


def residuals(scene: Scene) -> dict[str, dict[str, Any]]:
    """Of a converted scene: by person, how far the new body is from the old one (millimetres)."""
    return scene.report("body").numbers


def _check_target(source: Scene, out: Path) -> None:
    """Refuses now what would be refused, or written over, after the work."""
    is_conversion = (out / "scene.json").exists() and "converted" in Scene.open(out).manifest
    is_free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if out.resolve() == source.path.resolve() or not (is_conversion or is_free):
        raise InputError(
            f"expected a new folder for the converted scene, got {out}, which holds something "
            "else; use --out DIR"
        )


def _copy(source: Scene, scene: Scene) -> None:
    """Takes over the files and records of every stage but those that are made anew."""
    for stage in tuple(scene.manifest["stages"]):  # of an earlier conversion into this folder
        scene.forget(stage)
    for stage in source.manifest["stages"]:
        for name in STAGE_FILES[stage]:
            if name not in ("body.npz", "rigs.npz", "world.npz"):
                shutil.copyfile(source.path / name, scene.path / name)
        for name in OPTIONAL_FILES.get(stage, ()):
            if (source.path / name).exists():
                shutil.copyfile(source.path / name, scene.path / name)
    kept = {k: v for k, v in source.manifest.items() if k not in ("outputs", "converted")}
    scene.manifest.clear()
    scene.manifest.update(copy.deepcopy(kept))
    for stage in _REMADE:
        del scene.manifest["stages"][stage]


def _record(source: Scene, scene: Scene, config: ConvertConfig, people: list[Converted]) -> None:
    models = sorted({rig.model for rig in source.rigs})
    before = source.report("body")
    body = StageReport(
        backend=f"{config.model}, converted from {', '.join(models)}",
        decisions=(
            Decision(
                name="body model",
                value=f"{', '.join(models)} -> {config.model}",
                why="recon convert: shape by the surface at rest, poses by common points",
            ),
        ),
        warnings=before.warnings,
        numbers={
            f"person{person.world_motion.track_id}": _millimetres(person.residual)
            for person in people
        },
    )
    scene.record("body", config, body, seconds=0.0, code_version=__version__)
    world = source.report("world")
    scene.record("world", config, world, seconds=0.0, code_version=__version__)
    scene.note("converted", {"from": config.source, "to": config.model})


def _millimetres(residual: Residual) -> dict[str, Any]:
    return {
        key if isinstance(value, bool) else f"{key}_mm": (
            value if isinstance(value, bool) else round(1000 * value, 2)
        )
        for key, value in asdict(residual).items()
    }
