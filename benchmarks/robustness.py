"""What a stranger does to the command line: bad inputs, bad options, full disks, kills.

Every call must end in a result or in one line with exit code 2, without a traceback; a run killed
in any stage must resume to the same result. What needs its own mounts runs in a user namespace
(`unshare`) and is left out, by name, where the system has none.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import DATA, Row, main
from benchmarks.hard_media import Media, broken_media, odd_media, person_clip
from recon.core.scene import STAGE_FILES
from recon.runner import STAGES

DANCER = DATA / "videos" / "dancer_static.mp4"
SMALL = ("--no-overlay", "--formats", "npz", "tum")
_LIMIT_SECONDS = 300.0
_QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
_SAME = 1e-6
"""pycolmap's bundle adjustment repeats itself to about 1e-9."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One call and what it must come to.

    Args:
        refused: a word of the one line that it must end with, None if it must succeed.
        people: how many people the JSON on stdout must hold, None for any text.
        shows: it prints a result before it refuses.
        shell: mounts to make first, in a namespace of their own. env: added to the environment.
    """

    name: str
    args: Sequence[str | Path]
    refused: str | None = None
    people: int | None = None
    shows: bool = False
    shell: str = ""
    env: dict[str, str] = field(default_factory=dict)


def measure(quick: bool, _pictures: Path | None) -> Iterator[Row]:
    """A row for every call and for every kill."""
    with tempfile.TemporaryDirectory(prefix="recon_robustness_") as name:
        folder = Path(name)
        clip = person_clip(DANCER, folder / "clip.mp4")
        finished = folder / "finished"
        yield _outcome(Case(name="a good clip", args=["run", clip, "--scene", finished, *SMALL]))
        media = broken_media(folder, clip)
        media += odd_media(folder, DANCER, DATA / "handheld_rgb")
        for case in (
            *_media_cases([m for m in media if m.quick or not quick], folder),
            *_option_cases(clip, folder),
            *_scene_cases(clip, finished, folder),
            *_disk_cases(clip, folder),
        ):
            yield _outcome(case)
        yield _two_at_once(clip, folder)
        yield from _kills(folder / "dancer", DANCER, "0.3" if quick else "1")
        if not quick:
            yield from _kills(folder / "walker", DATA / "videos" / "walker_moving.mp4", "2")


def _media_cases(media: list[Media], folder: Path) -> Iterator[Case]:
    for i, m in enumerate(media):
        json_flag = [] if m.people is None else ["--json"]
        args = ["run", m.path, "--scene", folder / f"scene{i}", *m.flags, *SMALL, *json_flag]
        yield Case(name=f"run: {m.name}", args=args, refused=m.refused, people=m.people)


def _option_cases(clip: Path, folder: Path) -> Iterator[Case]:
    bad = {
        "--start 99": "--start",
        "--start nan": "--start",
        "--end -1": "--end",
        "--stride 0": "--stride",
        "--stride 1000": "--stride",
        "--max-height 0": "--max-height",
        "--max-height 3": "--max-height",
        "--fps 0": "--fps",
        "--fov 200": "--fov",
        "--fov 0": "--fov",
        "--focal -5": "--focal",
        "--focal nan": "--focal",
        "--height 30": "--height",
        "--height 0": "--height",
        "--people 0": "--people",
        "--people bob": "--people",
        "--camera flying": "--camera",
        "--detector yolo": "--detector",
        "--keypoints openpose": "--keypoints",
        "--body-model skel": "--body-model",
        "--body-model smplx": "--body-model-path",
        "--body-model smplx --body-model-path nowhere": "nowhere",
        "--formats npz dae": "dae",
        "--stages video,bodies": "bodies",
        "--force bodies": "bodies",
        "--bogus": "--bogus",
    }
    for flags, word in bad.items():
        args = ["run", clip, "--scene", folder / "options", *flags.split()]
        yield Case(name=f"run {flags}", args=args, refused=word)
    yield Case(name="no arguments", args=[], refused="run")
    yield Case(name="unknown command", args=["fly"], refused="fly")
    yield Case(name="help", args=["--help"])
    camera = ["camera", clip, "--scene", folder / "camera_only"]
    yield Case(name="camera --focal -5", args=[*camera, "--focal", "-5"], refused="--focal")
    yield Case(name="camera", args=camera)
    yield Case(name="weights", args=["weights"])
    yield Case(name="weights add gpt", args=["weights", "add", "gpt"], refused="gpt")
    yield Case(name="doctor", args=["doctor"])
    yield Case(name="doctor --json", args=["doctor", "--json"])
    no_cache = {"RECON_CACHE": str(folder / "nowhere")}
    yield Case(
        name="doctor: no networks", args=["doctor"], env=no_cache, refused="weights add", shows=True
    )
    nothing, one = folder / "no videos", folder / "a bad video"
    for place in (nothing, one):
        place.mkdir()
    (one / "bad.mp4").write_text("no video")
    batch = ["--out", folder / "batch"]
    yield Case(name="batch of nothing", args=["batch", nothing, *batch], refused="no videos")
    yield Case(
        name="batch of a bad video", args=["batch", one, *batch], refused="1 that did not",
        shows=True,
    )  # fmt: skip
    (folder / "a_file").write_text("not a folder")
    yield Case(
        name="cache is a file",
        args=["run", clip, "--scene", folder / "no_cache", *SMALL],
        env={"RECON_CACHE": str(folder / "a_file")},
        refused="RECON_CACHE",
    )


def _scene_cases(clip: Path, finished: Path, folder: Path) -> Iterator[Case]:
    def copy(name: str) -> Path:
        return shutil.copytree(finished, folder / name)

    def export(scene: Path, *formats: str) -> list[str | Path]:
        return ["export", scene, "--format", *formats, "--out", folder / "out"]

    used = folder / "used"
    used.mkdir()
    (used / "mine.txt").write_text("mine")
    (folder / "scene_file").write_text("mine")
    for name in ("scene_file", "used"):
        args = ["run", clip, "--scene", folder / name, *SMALL]
        yield Case(name=f"run into {name}", args=args, refused="--scene")
    other = person_clip(DATA / "videos" / "walker_moving.mp4", folder / "other.mp4")
    args = ["run", other, "--scene", copy("of_another_video"), "--camera", "static", *SMALL]
    yield Case(name="scene of another video", args=args)
    damaged = copy("damaged_manifest")
    (damaged / "scene.json").write_text('{"schema": 1, "stages": {"video": ')
    for args in (["run", clip, "--scene", damaged], export(damaged, "npz")):
        yield Case(name=f"{args[0]}: damaged scene.json", args=args, refused="scene.json")
    for name, damage in _damages(finished / "world.npz").items():
        scene = copy(name)
        (scene / "world.npz").write_bytes(damage)
        args = export(scene, "npz")
        yield Case(name=f"export: world.npz {name}", args=args, refused="--force world")
        yield Case(name=f"run: world.npz {name}", args=["run", clip, "--scene", scene, *SMALL])
        yield Case(name=f"export after that run ({name})", args=args)
    unfinished = folder / "unfinished"
    flags = ["--stages", "video", *SMALL]
    yield Case(name="run --stages video", args=["run", clip, "--scene", unfinished, *flags])
    yield Case(name="export: unfinished", args=export(unfinished, "npz"), refused="has not run")
    picture = ["--screenshot", folder / "a.png"]
    yield Case(name="view: unfinished", args=["view", unfinished, *picture], refused="has not run")
    yield Case(name="export: unknown format", args=export(finished, "npz", "dae"), refused="dae")
    yield Case(name="export: no scene", args=export(folder / "nowhere", "npz"), refused="nowhere")
    formats = ("npz", "bvh", "glb", "tum", "colmap", "topview", "overlay")
    yield Case(name="export: all but meshes", args=export(finished, *formats))
    out = ["--out", folder / "a_file"]
    yield Case(name="export into a file", args=[*export(finished, "npz"), *out], refused="a_file")
    yield Case(name="view", args=["view", finished, *picture])
    yield Case(
        name="view --frame 999", args=["view", finished, *picture, "--frame", "999"],
        refused="--frame",
    )  # fmt: skip
    wrong = ["--screenshot", folder / "a.xyz"]
    yield Case(name="view: picture type", args=["view", finished, *wrong], refused=".png")
    window = ["view", finished]
    no_display = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    yield Case(name="view: no display", args=window, env=no_display, refused="--screenshot")
    empty = folder / "nobody"
    black = ["run", folder / "black.mp4", "--scene", empty, "--camera", "static", *SMALL]
    yield Case(name="scene without people", args=black)
    yield Case(name="view: without people", args=["view", empty, *picture])
    yield Case(name="export: without people", args=export(empty, "npz"), refused="person")


def _damages(path: Path) -> dict[str, bytes]:
    """Contents that a result file must not have."""
    data = path.read_bytes()
    with tempfile.TemporaryDirectory() as name:
        pickled, array = Path(name) / "pickled.npz", Path(name) / "array.npy"
        np.savez(pickled, count=np.array([{"a": 1}], dtype=object))
        np.save(array, np.arange(3.0))
        return {
            "truncated": data[: len(data) // 2],
            "no zip": b"hello" * 100,
            "pickled": pickled.read_bytes(),
            "bare array": array.read_bytes(),
        }


def _disk_cases(clip: Path, folder: Path) -> Iterator[Case]:
    """Read-only and full folders, and a first run without a network."""
    can_mount = ["unshare", "--user", "--map-root-user", "--mount", "--net", "true"]
    if shutil.which("unshare") is None or subprocess.run(can_mount, check=False).returncode:
        print("left out: full disk, read-only folder, offline (no user namespaces here)")
        return
    place = folder / "mounted"
    place.mkdir()
    run = ["run", clip, "--scene", place / "scene", *SMALL]
    for kib in (4, 24, 100):
        mount = f"mount -t tmpfs -o size={kib}k none '{place}'"
        yield Case(name=f"disk of {kib} KiB", args=run, shell=mount, refused="space")
    mount = f"mount -t tmpfs -o size=24k none '{place}'"
    more = f"{mount} && ! \"$@\" 2>/dev/null && mount -o remount,size=50m '{place}'"
    yield Case(name="full disk, and again with space", args=run, shell=more)
    sealed = f"mount --bind '{place}' '{place}' && mount -o remount,ro,bind '{place}'"
    yield Case(name="read-only folder", args=run, shell=sealed, refused="--scene")
    yield Case(
        name="offline, nothing cached",
        args=["run", clip, "--scene", folder / "offline", *SMALL],
        env={"RECON_CACHE": str(folder / "cache")},
        shell="true",
        refused="online",
    )


def _outcome(case: Case) -> Row:
    """Runs a case; its row says the exit code, and whether that and the message are right."""
    command = _command(case.args)
    if case.shell:
        spaces = ["unshare", "--user", "--map-root-user", "--mount", "--net"]
        command = [*spaces, "sh", "-c", f'{case.shell} && exec "$@"', "sh", *command]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_LIMIT_SECONDS,
            env=os.environ | case.env, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as hang:
        done = subprocess.CompletedProcess(command, -signal.SIGKILL, "", str(hang))
    problem = _problem(case, done)
    if problem:
        print(f"--- {case.name}: {problem}\n{done.stderr[-2000:]}", file=sys.stderr)
    target = "a result, exit 0" if case.refused is None else f"one line with '{case.refused}'"
    return Row(
        name=case.name, value=done.returncode, unit="exit", target=target, ok=problem is None
    )


def _problem(case: Case, done: subprocess.CompletedProcess[str]) -> str | None:
    """What is wrong with the end of a call, or None."""
    for noise in ("Traceback", "Warning:"):
        if noise in done.stderr:
            return f"a {noise}"
    if done.returncode != (0 if case.refused is None else 2):
        return f"exit code {done.returncode}"
    if case.refused is None:
        people = case.people if case.people is None else len(json.loads(done.stdout)["people"])
        return None if people == case.people else f"{people} people instead of {case.people}"
    if done.stdout and not case.shows:
        return "something on stdout"
    if case.refused not in done.stderr:
        return f"no '{case.refused}' in the message"
    lines = done.stderr.strip().splitlines()
    messages = [line for line in lines if line.startswith(("recon: ", "╭─"))]
    return None if len(messages) == 1 else f"{len(messages)} messages"


def _two_at_once(clip: Path, folder: Path) -> Row:
    """The second run on a scene is refused and the first one ends well."""
    args = ["run", clip, "--scene", folder / "shared", *SMALL]
    with subprocess.Popen(_command(args), **_QUIET) as first:
        assert first.stderr is not None
        for line in first.stderr:
            if line.startswith("people: running"):
                break
        second = _outcome(Case(name="two runs at once", args=args, refused="process id"))
        first.communicate()
    return Row(**{**vars(second), "ok": second.ok and first.returncode == 0})


def _kills(folder: Path, video: Path, end: str) -> Iterator[Row]:
    """SIGKILL in the middle of every stage and output; the resumed result equals a whole one."""
    clip, args = folder.name, ["run", video, "--end", end, "--max-height", "360"]
    outputs = ("overlay", "report", "exports")
    whole, killed = folder / "whole", folder / "killed"
    seconds = _stage_seconds(_command([*args, "--scene", whole]))
    if len(seconds) < len(STAGES) + len(outputs):
        yield Row(name=f"{clip}: whole run", value=1, unit="", target="ends", ok=False)
        return
    for name in (*STAGES, *outputs):
        code = _kill([*args, "--scene", killed], name, seconds[name])
        ok = code == -signal.SIGKILL
        yield Row(name=f"{clip}: kill in {name}", value=code, unit="exit", target="-9", ok=ok)
    done = subprocess.run(_command([*args, "--scene", killed]), capture_output=True, check=False)
    yield Row(
        name=f"{clip}: resumed",
        value=done.returncode,
        unit="exit",
        target="0",
        ok=done.returncode == 0,
    )
    files = {file for stage in STAGES for file in STAGE_FILES[stage]}
    worst = max(_difference(whole / file, killed / file) for file in files)
    yield Row(
        name=f"{clip}: resumed against whole run, arrays", value=worst, unit="max |difference|",
        target=f"<= {_SAME}", ok=worst <= _SAME,
    )  # fmt: skip
    lists = [{str(p.relative_to(s)) for p in s.rglob("*")} for s in (whole, killed)]
    extra = len(lists[0] ^ lists[1])
    yield Row(
        name=f"{clip}: files that only one has", value=extra, unit="", target="0", ok=extra == 0
    )


def _stage_seconds(command: list[str]) -> dict[str, float]:
    """Runs a command to its end; how long each of its stages took."""
    seconds, started, name = {}, 0.0, ""
    with subprocess.Popen(command, **_QUIET) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if ": running" in line:
                name, started = line.split(":")[0], time.monotonic()
            if line.startswith(f"{name}: done"):
                seconds[name] = time.monotonic() - started
    return seconds


def _kill(args: list[str | Path], stage: str, seconds: float) -> int:
    """The exit code of a run killed in the middle of a stage that takes about `seconds`.

    A stage that was done before the kill is forced, and killed earlier.
    """
    code = 0
    for attempt in range(1, 5):
        force = [] if attempt == 1 else ["--force", stage]
        with subprocess.Popen(_command([*args, *force]), **_QUIET) as run:
            assert run.stderr is not None
            for line in run.stderr:
                if line.startswith(f"{stage}: running"):
                    time.sleep(seconds / 2**attempt)
                    run.kill()
        code = run.returncode
        if code:
            break
    return code


def _difference(path_a: Path, path_b: Path) -> float:
    """The largest difference between two result files; infinite if they do not match."""
    with np.load(path_a) as a, np.load(path_b) as b:
        if set(a.files) != set(b.files) or any(a[k].shape != b[k].shape for k in a.files):
            return float("inf")
        numbers = [k for k in a.files if a[k].size and a[k].dtype.kind in "fiu"]
        others = [k for k in a.files if a[k].dtype.kind not in "fiu"]
        if any((a[k] != b[k]).any() for k in others):
            return float("inf")
        return max(_largest_step(a[k].astype(float), b[k].astype(float)) for k in numbers)


def _largest_step(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference; equal infinities differ by nothing, a number and a NaN by infinity."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        return float(np.where(same, 0.0, np.nan_to_num(np.abs(a - b), nan=np.inf)).max())


def _command(args: Sequence[str | Path]) -> list[str]:
    return [sys.executable, "-m", "recon.cli", *map(str, args)]


if __name__ == "__main__":
    main("Robustness: what a stranger does", measure)
