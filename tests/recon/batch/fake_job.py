"""A job that does at once what its video's text says: what ends, refuses, crashes, hangs or kills.

Words with "once" do so at the first attempt only.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from recon.batch.job import _end_with_parent

FIGURES = {
    "width": 64, "height": 48, "fps": 30.0, "frames": 9, "duration_s": 0.3, "people": 2,
    "longest_person_frames": 9, "camera": "static", "camera_tracked_percent": 100.0,
    "reprojection_px": 1.5, "scale_std_percent": None, "warnings": 0, "work_s": 0.1,
    "outputs": {"report": ["report.html"], "exports": ["exports/a.bvh"]},
}  # fmt: skip


def main() -> None:
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    word = Path(job["video"]).read_text()
    scene = Path(job["scene"])
    tried = scene.with_name(f".{scene.name}.tried")
    if not (word.endswith("once") and tried.exists()):
        tried.touch()
        {
            "crash": crash, "kill": kill, "kill worker": kill_parent, "refuse": refuse,
            "sleep": lambda: sleep(scene),
        }.get(word.removesuffix(" once"), lambda: None)()  # fmt: skip
    scene.mkdir(exist_ok=True)
    (scene / "scene.json").write_text(json.dumps(job["options"]))
    print("some library's own line")
    say(stage="video", fraction=0.5)
    say(result=FIGURES)


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def crash() -> None:
    raise RuntimeError("a bug")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def refuse() -> None:
    say(refused="expected a video, got a joke")
    sys.exit(0)


def sleep(scene: Path) -> None:
    scene.with_suffix(".pid").write_text(str(os.getpid()))
    time.sleep(60)


if __name__ == "__main__":
    main()
