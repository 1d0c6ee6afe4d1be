"""The table of formats: what it promises, and what it refuses."""

import pytest

from recon.core.errors import InputError
from recon.export import EXPORTERS, export_scene, load_exporter
from recon.export.options import DEFAULTS

MOTION_FORMATS = ["npz", "bvh", "glb", "obj", "ply", "tum", "colmap"]


def test_every_motion_format_writes_the_files_it_returns(vfr_scene, tmp_path):
    written = export_scene(vfr_scene, MOTION_FORMATS, tmp_path / "new" / "folder")
    assert list(written) == MOTION_FORMATS
    files = [path for paths in written.values() for path in paths]
    assert all(path.stat().st_size > 0 for path in files)
    on_disk = {path for path in (tmp_path / "new" / "folder").rglob("*") if path.is_file()}
    assert on_disk == set(files), "nothing is left beside the files that are returned"


def test_unknown_format_lists_the_known_ones_and_writes_nothing(vfr_scene, tmp_path):
    with pytest.raises(InputError, match="dae") as error:
        export_scene(vfr_scene, ["npz", "dae"], tmp_path / "out")
    assert all(name in str(error.value) for name in EXPORTERS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["npz", "bvh", "obj", "ply"])
def test_formats_that_hold_only_people_refuse_an_empty_scene(empty_scene, tmp_path, name):
    with pytest.raises(InputError, match="at least one person"):
        load_exporter(name)(empty_scene, tmp_path, DEFAULTS)


@pytest.mark.parametrize("name", ["glb", "tum", "colmap"])
def test_formats_with_a_camera_take_an_empty_scene(empty_scene, tmp_path, name):
    assert load_exporter(name)(empty_scene, tmp_path, DEFAULTS)
