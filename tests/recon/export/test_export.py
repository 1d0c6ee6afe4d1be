"""The table of formats: what it promises, and what it refuses."""

import contextlib
from dataclasses import fields, replace

import numpy as np
import pytest

from recon.commands.exchange import Export
from recon.core.errors import InputError, MissingDependencyError
from recon.export import EXPORTERS, export_scene, load_exporter
from recon.export.options import DEFAULTS, ExportOptions
from recon.pipeline import FORMATS_OF_PEOPLE
from tests.synthetic import make_scene

MOTION_FORMATS = ["npz", "smpl", "bvh", "glb", "usdc", "usdz", "obj", "ply", "trc", "c3d"]
CAMERA_FORMATS = ["tum", "colmap", "aftereffects", "realestate10k"]


def test_every_motion_format_writes_the_files_it_returns(vfr_scene, tmp_path):
    pytest.importorskip("pxr", reason="USD files need the package usd-core")
    pytest.importorskip("ezc3d", reason="C3D files need the package ezc3d")
    formats = MOTION_FORMATS + CAMERA_FORMATS
    written = export_scene(vfr_scene, formats, tmp_path / "new" / "folder")
    assert list(written) == formats
    files = [path for paths in written.values() for path in paths]
    assert all(path.stat().st_size > 0 for path in files)
    on_disk = {path for path in (tmp_path / "new" / "folder").rglob("*") if path.is_file()}
    assert on_disk == set(files), "nothing is left beside the files that are returned"


def test_unknown_format_lists_the_known_ones_and_writes_nothing(vfr_scene, tmp_path):
    with pytest.raises(InputError, match="dae") as error:
        export_scene(vfr_scene, ["npz", "dae"], tmp_path / "out")
    assert all(name in str(error.value) for name in EXPORTERS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["npz", "smpl", "bvh", "obj", "ply", "trc"])
def test_formats_that_hold_only_people_refuse_an_empty_scene(empty_scene, tmp_path, name):
    with pytest.raises(InputError, match="at least one person"):
        load_exporter(name)(empty_scene, tmp_path, DEFAULTS)


@pytest.mark.parametrize("name", ["glb", *CAMERA_FORMATS])
def test_formats_with_a_camera_take_an_empty_scene(empty_scene, tmp_path, name):
    assert load_exporter(name)(empty_scene, tmp_path, DEFAULTS)


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_entry_names_a_function_that_is_there(name):
    """Also where its package is not installed: then it says which."""
    try:
        assert callable(load_exporter(name))
    except MissingDependencyError as error:
        assert "install it with" in str(error)
    entry = EXPORTERS[name]
    assert entry.writes and set(entry.choices) <= {f.name for f in fields(ExportOptions)}


def test_format_alone_lists_every_format_with_its_choices(tmp_path, capsys):
    Export(scene=tmp_path / "no-scene-needed").main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPORTERS)
    assert "--unit" in next(line for line in lines if line.startswith("bvh"))


def test_a_format_that_has_nothing_to_write_says_so(tmp_path, capsys):
    scene = make_scene(tmp_path / "s", num_frames=4)
    points = {"points_slam": np.zeros((0, 3)), "point_colors": np.zeros((0, 3), np.uint8)}
    scene.save("camera.npz", [replace(scene.camera, **points)])
    Export(scene=scene.path, format=("points",)).main()
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("points:")


def test_the_pipeline_knows_which_formats_need_people(empty_scene, tmp_path):
    """With nobody in sight a run leaves these out, instead of failing."""
    for name in MOTION_FORMATS:
        with contextlib.suppress(MissingDependencyError):
            exporter = load_exporter(name)
            if name in FORMATS_OF_PEOPLE:
                with pytest.raises(InputError, match="at least one person"):
                    exporter(empty_scene, tmp_path, DEFAULTS)
            else:
                assert exporter(empty_scene, tmp_path, DEFAULTS)
