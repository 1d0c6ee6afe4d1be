"""The rules of the house that a reader cannot see at a glance, held by the syntax trees."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SIBLINGS = ("body", "slam", "splatting", "viewer")
PACKAGES = ("recon", *SIBLINGS)
HEAVY = ("torch", "open3d", "cv2", "numpy", "av", "scipy", "pycolmap", "trimesh", "anny")
MAX_LINES = 500


def modules() -> list[Path]:
    return sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name of a module, packages without `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, top_level: bool = False) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports; `import_module("x")` counts."""
    package = name_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    yield from read_imports(path.read_text(encoding="utf-8"), package, top_level=top_level)


def read_imports(
    source: str, package: list[str], *, top_level: bool = False
) -> Iterator[tuple[int, str]]:
    tree = ast.parse(source)
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from targets(node)


def targets(node: ast.Constant) -> Iterator[tuple[int, str]]:
    """A string "package.module:name" or "package.module" that names one of our modules."""
    module = str(node.value).partition(":")[0]
    if module.split(".")[0] in PACKAGES and all(p.isidentifier() for p in module.split(".")):
        file = ROOT.joinpath(*module.split("."))
        if file.with_suffix(".py").exists():
            yield node.lineno, module


def room(module: str) -> str:
    """The part of the house that a module belongs to: recon.core, recon, or a sibling."""
    return "recon.core" if f"{module}.".startswith("recon.core.") else module.partition(".")[0]


ALLOWED = {
    "recon.core": {"recon.core"},
    **{sibling: {"recon.core", sibling} for sibling in SIBLINGS},
    "recon": {"recon", "recon.core", *SIBLINGS},
}
"""Which rooms a room may import."""


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    here = room(name_of(path))
    for line, target in imports(path):
        if target.split(".")[0] in PACKAGES:
            assert room(target) in ALLOWED[here], (
                f"{path.relative_to(ROOT)}:{line}: {here} must not import {target}"
            )


def test_there_is_no_import_cycle() -> None:
    """Modules that import one another cannot be read, tested or replaced one at a time."""
    names = {name_of(p): p for p in modules()}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        found = set()
        for _, target in imports(path, top_level=True):
            # `from a.b import c` names a module or something inside one.
            found.add(target if target in names else target.rpartition(".")[0])
        # Every package holds its own modules: that edge is no import.
        graph[name] = {t for t in found & set(names) if t != name and not name.startswith(f"{t}.")}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"cycle: {' -> '.join((*trail[trail.index(name) :], name))}"
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


CORE_MAY_IMPORT = {"numpy", "recon"}
LAZY_IN_CORE = {"weights.py": {"platformdirs", "filelock"}}


@pytest.mark.parametrize("path", sorted((ROOT / "recon/core").glob("*.py")), ids=name_of)
def test_core_needs_only_numpy_and_the_standard_library(path: Path) -> None:
    at_top = {target.split(".")[0] for _, target in imports(path, top_level=True)}
    anywhere = {target.split(".")[0] for _, target in imports(path)}
    lazy = LAZY_IN_CORE.get(path.name, set())
    assert at_top <= sys.stdlib_module_names | CORE_MAY_IMPORT
    assert anywhere <= sys.stdlib_module_names | CORE_MAY_IMPORT | lazy


@pytest.mark.parametrize(
    "code",
    [
        "import recon",
        "from recon.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    ],
    ids=["import recon", "recon --help"],
)
def test_a_light_start(code: str) -> None:
    probe = f"{code}\nimport sys\nprint('loaded:', *(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_file_is_too_long_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_pickle_no_path_edits_no_star_imports(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant) and node.value.value is False, where
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) != ("sys", "path"), where
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), where


def test_only_known_places_load_pickle() -> None:
    """`np.load` without `allow_pickle=False` relies on a default; we say it."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                given = {keyword.arg for keyword in node.keywords}
                assert "allow_pickle" in given, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_the_reader_sees_lazy_relative_and_string_imports() -> None:
    source = (
        "from . import fit\ndef f():\n    from slam import camera\nB = 'recon.core.scene:Scene'\n"
    )
    seen = {target for _, target in read_imports(source, ["body"])}
    assert seen == {"body.fit", "slam.camera", "recon.core.scene"}
    assert {target for _, target in read_imports(source, ["body"], top_level=True)} == {"body.fit"}
