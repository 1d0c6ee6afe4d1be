"""What `recon evaluate` is given: scenes, results of other programs, truths of data sets."""

from __future__ import annotations

import tempfile
from pathlib import Path

from recon.core.errors import InputError
from recon.core.scene import Scene
from recon.evaluate.datasets import DATASETS, read_dataset, recognised
from recon.evaluate.recording import Recording, read_recording
from recon.imports import IMPORTERS, import_scene


def open_recording(
    text: str, *, body_model_path: Path | None = None, fps: float | None = None
) -> Recording:
    """The recording that a scene's path, or KIND:PATH, names.

    KIND is a data set (emdb, 3dpw, rich, amass) or a program whose results `recon import` reads
    (wham, gvhmr, tram, prompthmr). A data set's files are known by their names too, without KIND.
    Data sets need their body model's files.

    Args:
        body_model_path: folder with SMPL or SMPL-X files. fps: of results that do not tell.
    Raises:
        InputError: there is nothing of this kind.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind in DATASETS:
        return read_dataset(kind, rest, body_model_path=body_model_path)
    if colon and kind in IMPORTERS:
        return _imported(kind, Path(rest), body_model_path=body_model_path, fps=fps)
    if (Path(text) / "scene.json").is_file():
        return read_recording(Scene.open(text), body_model_path=body_model_path)
    if (kind := recognised(text)) is not None:
        return read_dataset(kind, text, body_model_path=body_model_path)
    kinds = ", ".join(f"{k}:PATH" for k in dict.fromkeys((*DATASETS, *IMPORTERS)))
    raise InputError(
        f"expected a scene folder or one of {kinds}; got {text}, which has no scene.json"
    )


def _imported(
    kind: str, path: Path, *, body_model_path: Path | None, fps: float | None
) -> Recording:
    with tempfile.TemporaryDirectory(prefix="recon-evaluate-") as folder:
        scene = import_scene(
            path, kind, Path(folder) / path.stem, fps=fps, body_model_path=body_model_path
        )
        return read_recording(scene, body_model_path=body_model_path)
