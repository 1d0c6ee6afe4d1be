"""What the documentation shows is what the project does."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from body.detect import Detector
from recon.core.errors import InputError
from recon.core.geometry import transform_points
from tests.synthetic import make_scene

ROOT = Path(__file__).parents[1]
PAGES = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md")


@cache
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs/tools/hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def help_of_all() -> dict[str, str]:
    return hooks().help_texts(list(hooks().commands()))


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_flag_it_shows_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"^recon (?!\d)([a-z][a-z-]*)([^\n#]*)", text, flags=re.MULTILINE)
    shown += re.findall(r"`recon ([a-z][a-z-]*)([^`]*)`", text)
    for command, rest in shown:
        assert command in help_of_all(), f"recon {command}"
        for flag in re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", rest):
            assert re.search(rf"{flag}(?![a-z0-9-])", help_of_all()[command]), f"{command} {flag}"


def test_the_page_of_commands_has_them_all_with_their_help() -> None:
    from recon import cli

    page = hooks().commands_page()
    assert len(help_of_all()) == len(cli.Command.__args__)
    for name, text in help_of_all().items():
        assert f"## recon {name}\n" in page and text.strip() in page
        assert text.startswith(f"usage: recon {name} ")


def test_marks_are_filled_in_and_those_that_name_nothing_are_bugs() -> None:
    for page in PAGES[:-1]:
        filled = hooks().fill_in(page.read_text(encoding="utf-8"))
        assert "<!--" not in filled
    assert "`glb`" in hooks().fill_in("<!-- table: formats -->")
    with pytest.raises(KeyError):
        hooks().fill_in("<!-- readme: No such heading -->")


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "recon doctor" in (tmp_path / "commands.html").read_text(encoding="utf-8")
    assert not (tmp_path / "tools").exists()


def test_the_lines_about_transforms_project_people(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "s", num_frames=3)
    (lines,) = blocks("conventions.md", "python")
    motion = scene.world_motions[0]
    names = {"np": np, "scene": scene, "frame": 1, "joints_world": motion.joints_world[1]}
    exec(compile(lines, "conventions.md", "exec"), names)
    expected = transform_points(names["T_camera_world"], motion.joints_world[1])
    np.testing.assert_allclose(names["joints_camera"], expected)
    assert names["joints_px"].shape == (52, 2)


def test_the_example_of_a_back_end_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    (lines,) = blocks("new_backend.md", "python")
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(lines, "new_backend.md", "exec"), names)
    kind = names["OnnxDetector"]
    assert isinstance(kind, type)
    monkeypatch.setenv("RECON_DETECTOR", str(tmp_path / "absent.onnx"))
    with pytest.raises(InputError, match="RECON_DETECTOR"):
        kind()
    rows = np.array([[0, 0, 208, 416, 0.6], [10, 0, 208, 416, 0.9]], np.float32)
    helper, element = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node("Constant", [], ["rows"], value=onnx.numpy_helper.from_array(rows))
    picture = helper.make_tensor_value_info("picture", element, [1, 3, 416, 416])
    found = helper.make_tensor_value_info("rows", element, [2, 5])
    graph = helper.make_graph([node], "g", [picture], [found])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "d.onnx"))
    monkeypatch.setenv("RECON_DETECTOR", str(tmp_path / "d.onnx"))
    detector: Detector = kind()
    boxes = detector.detect(np.zeros((200, 832, 3), np.uint8))
    np.testing.assert_allclose(boxes.boxes, [[20, 0, 416, 200]])
    assert boxes.scores.tolist() == pytest.approx([0.9])
