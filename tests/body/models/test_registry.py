from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from body.models import BODY_MODELS, load_body_model
from body.models.anny import AnnyModel
from recon.core.errors import InputError, MissingDependencyError
from recon.core.skeletons import CANONICAL_JOINTS

LICENSED = [
    ("smplx", "SMPLX_NEUTRAL.npz", "smpl-x.is.tue.mpg.de"),
    ("smplh", "SMPLH_NEUTRAL.npz", "mano.is.tue.mpg.de"),
    ("smpl", "SMPL_NEUTRAL.npz", "//smpl.is.tue.mpg.de"),
    ("mhr", "mhr_model.pt", "github.com/facebookresearch/MHR"),
]


def test_the_default_model_loads_by_its_name() -> None:
    model = load_body_model("anny")
    assert isinstance(model, AnnyModel)
    assert model.name == "anny" and model.joint_names == CANONICAL_JOINTS


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError) as error:
        load_body_model("star")
    assert all(name in str(error.value) for name in ("'star'", *BODY_MODELS))


def test_an_embedded_model_takes_no_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--body-model-path"):
        load_body_model("anny", tmp_path)


@pytest.mark.parametrize(("name", "file", "site"), LICENSED)
def test_a_licensed_file_not_given_or_absent_is_named_with_its_source(
    name: str, file: str, site: str, tmp_path: Path
) -> None:
    for path in (None, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError) as error:
            load_body_model(name, path)
        assert file in str(error.value) and site in str(error.value)
        assert path is None or str(path) in str(error.value)


def test_the_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "SMPLX_NEUTRAL.npz").touch()
    for module in ("smplx", "smplx.vertex_ids", "smplx.lbs"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError) as error:
        load_body_model("smplx", tmp_path)
    assert (error.value.package, error.value.extra) == ("smplx", "smplx")


def _python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    )


def test_the_table_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'anny', 'smplx', 'scipy', 'cv2'}"
    out = _python(f"import body.models, sys; print(sorted({heavy} & set(sys.modules)))")
    assert out.stdout.strip() == "[]"


def test_a_first_run_prints_nothing_and_builds_no_cache(tmp_path: Path) -> None:
    """`recon run --json` owns stdout; Anny's default skinning greets and compiles there."""
    code = (
        "from body.models import load_body_model as load; import sys; m = load('anny');"
        "m.skinning_spec(m.param_spec.mean); sys.exit('warp' in sys.modules)"
    )
    out = _python(code, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert out.stdout == ""
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
