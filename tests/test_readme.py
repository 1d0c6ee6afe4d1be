"""What the README shows is what the project does."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import cv2
import pytest

from recon.export.mp4 import Mp4Writer
from recon.video import VideoReader

ROOT = Path(__file__).parents[1]
DANCER = ROOT / "../shared/data/videos/dancer_static.mp4"


def code_blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.weights
def test_the_python_lines_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not DANCER.exists():
        pytest.skip("needs ../shared/data beside the checkout")
    with Mp4Writer(tmp_path / "clip.mp4", (640, 360), fps=30) as clip:
        for frame in islice(VideoReader.open(DANCER), 12):
            clip.write(cv2.resize(frame.image, (640, 360)), frame.time)
    monkeypatch.chdir(tmp_path)
    (lines,) = code_blocks("python")
    exec(compile(lines, "README.md", "exec"), {})
    assert "(12, 4, 4)" in capsys.readouterr().out
    for made in ("report.html", "overlay.mp4", "exports/scene.glb"):
        assert (tmp_path / "clip" / made).stat().st_size > 1000


def test_every_file_and_make_target_it_names_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([\w/.]+)\)", text):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", text, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile
    for name in re.findall(r"python -m (benchmarks\.\w+)", text):
        assert (ROOT / f"{name.replace('.', '/')}.py").exists(), name
