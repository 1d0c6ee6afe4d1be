"""`recon synth` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from recon.console import TerminalWatcher
from recon.motion import motion_files
from recon.options import SynthOptions
from recon.synth.make import CONFIG, VIDEO, make_world
from recon.synth.world import WorldSpec


def synth(out: Path, options: SynthOptions) -> None:
    """Makes the world and says on stdout what is in it.

    Raises:
        InputError: the folder is in use, or there can be no such world.
    """
    spec = WorldSpec(
        seed=options.seed, camera=options.camera, people=options.people, actions=options.action,
        motions=_motions(options.motion), place=options.place,
        frames=options.frames, fps=options.fps, size=options.size, fov_deg=options.fov,
    )  # fmt: skip
    with TerminalWatcher().stage("synth", f"{spec.frames} frames") as progress:
        scene = make_world(spec, out, pixels=not options.keypoints_only, progress=progress)
    made = json.loads((scene.path / CONFIG).read_text(encoding="utf-8"))
    if options.json:
        print(json.dumps({"scene": str(scene.path), **made}, indent=1))
        return
    print(f"scene    {scene.path}")
    if not options.keypoints_only:
        print(f"video    {scene.path / VIDEO}: {spec.frames} frames at {spec.fps:g} Hz")
    for person in made["people"]:
        print(f"person {person['track_id']} {person['action']}, {person['stature']:.2f} m")


def _motions(path: Path | None) -> tuple[Path, ...]:
    """The file, or all motion files of the folder."""
    if path is None:
        return ()
    return tuple(motion_files([path])) if path.is_dir() else (path,)
