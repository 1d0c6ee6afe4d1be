"""The scene as .fbx and .abc, through Blender, which reads our .glb and writes them.

Blender's Python package bpy pins an old numpy, so it lives in an environment of its own:
`python -m recon.export.blender` makes one (about 1 GB). An installed Blender does as well: the
variable RECON_BLENDER names it, or a Python that has bpy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Literal

from recon.core.errors import InputError, MissingDependencyError
from recon.core.scene import Scene
from recon.core.storage import write_by_name
from recon.core.weights import cache_dir
from recon.export.glb import character_glb, scene_glb
from recon.export.motion import clip_times, require_people
from recon.export.options import DEFAULTS, ExportOptions
from recon.export.skeletons import target_skeleton

VARIABLE = "RECON_BLENDER"
SETUP = "python -m recon.export.blender"
INFLUENCES = 8
"""Weights of a vertex; Blender takes more than the four that glTF viewers must read."""
_JOB = Path(__file__).with_name("blender_job.py")
_TIMEOUT_S = 3600


def own_python() -> Path:
    """The Python of the environment that `python -m recon.export.blender` makes."""
    folder = "Scripts" if os.name == "nt" else "bin"
    return cache_dir() / "blender" / folder / ("python.exe" if os.name == "nt" else "python")


def blender_command(script: Path) -> list[str]:
    """How to run a script in Blender; its arguments go behind.

    Raises:
        MissingDependencyError: there is no Blender. InputError: RECON_BLENDER names no program.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen and shutil.which(chosen) is None:
        raise InputError(
            f"expected Blender or a Python with bpy in {VARIABLE}, got {chosen}; "
            "name a program that can be run"
        )
    if not chosen and own_python().exists():
        chosen = str(own_python())
    chosen = chosen or shutil.which("blender")
    if chosen is None:
        raise MissingDependencyError(
            "bpy", "blender", install=f"{SETUP} (about 1 GB), or name a Blender in {VARIABLE}"
        )
    if Path(chosen).stem.lower().startswith("blender"):
        start = [chosen, "--background", "--factory-startup", "--python-exit-code", "1"]
        return [*start, "--python", str(script), "--"]
    return [chosen, str(script)]


def convert(glb: bytes, path: Path, *, fps: float, num_frames: int, size: tuple[int, int]) -> None:
    """Writes a .glb's content as the .fbx or .abc file at `path`.

    Args:
        glb: made in the tempo of `tempo_of(fps)`. size: width and height of the picture, px.

    Raises:
        InputError: Blender failed; the message holds its last words.
    """
    command = blender_command(_JOB)

    def write(made: Path) -> None:
        source = made.with_suffix(".glb")
        source.write_bytes(glb)
        job = [path.suffix[1:], str(source), str(made), repr(fps), str(num_frames)]
        job += map(str, size)
        done = subprocess.run(
            [*command, *job], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        if done.returncode != 0 or not made.exists():
            words = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
            raise InputError(f"expected {path.name} from {command[0]}, got: {words}")

    write_by_name(path, write)


def _export(
    scene: Scene, out: Path, options: ExportOptions, kind: Literal["fbx", "abc"]
) -> list[Path]:
    fps, video = options.fps or scene.video.fps, scene.video
    size, tempo = (video.width, video.height), tempo_of(fps)
    if options.skeleton is None:
        path, frames = out / f"scene.{kind}", len(clip_times(scene, fps))
        content = scene_glb(scene, fps=fps, influences=INFLUENCES, tempo=tempo)
        convert(content, path, fps=fps, num_frames=frames, size=size)
        return [path]
    skeleton, written = target_skeleton(options.skeleton), []
    for person in require_people(scene, "characters", fps):
        path = out / f"{person.name}_{options.skeleton}.{kind}"
        content = character_glb(person, skeleton, influences=INFLUENCES, tempo=tempo)
        convert(content, path, fps=fps, num_frames=len(person.times), size=size)
        written.append(path)
    return written


def tempo_of(fps: float) -> float:
    """How a .glb's time is stretched so that its frames lie at whole frames of round(fps)."""
    return fps / max(1, round(fps))


def export_fbx(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes scene.fbx: everybody skinned and animated, and the camera; frame 0 is the first.

    With another program's skeleton, personN_mixamo.fbx and so on, each person alone.
    """
    return _export(scene, out, options, "fbx")


def export_abc(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes scene.abc: every mesh's vertices on every frame, and the camera."""
    return _export(scene, out, options, "abc")


def install() -> Path:
    """Makes the environment with bpy in the cache; its Python.

    Raises:
        InputError: pip could not install bpy into it.
    """
    folder = own_python().parents[1]
    venv.create(folder, with_pip=True, clear=True)
    command = [str(own_python()), "-m", "pip", "install", "--disable-pip-version-check", "bpy"]
    if subprocess.run(command, check=False).returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise InputError(
            f"expected a bpy of PyPI for Python {version}, got none (see above); install Blender "
            f"and name it in {VARIABLE}"
        )
    return own_python()


if __name__ == "__main__":
    print(install())
