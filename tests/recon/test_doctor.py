from __future__ import annotations

import json
from pathlib import Path

import pytest

from recon import doctor, doctor_command, doctor_packages
from recon.core.errors import InputError
from recon.doctor import Finding, check_ready, examine
from recon.doctor_packages import Probe, probe, read_requirements
from tests.recon.test_cli import call

BROKEN = {
    "recon_test_fine": "print('a line of its own')",
    "recon_test_raises": "raise RuntimeError('half\\ninstalled')",
    "recon_test_exits": "raise SystemExit(0)",
    "recon_test_crashes": "import os; os.kill(os.getpid(), 11)",
    "recon_test_hangs": "import time; time.sleep(60)",
    "recon_test_last": "",
}


@pytest.fixture
def broken_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("broken_packages")
def test_a_broken_package_is_a_line_and_the_others_are_still_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor_packages, "_SILENT_SECONDS", 2.0)
    probes = probe([*BROKEN, "recon_test_absent"])
    errors = {name: result.error or "" for name, result in probes.items()}
    assert errors["recon_test_fine"] == errors["recon_test_last"] == ""
    assert errors["recon_test_raises"] == "RuntimeError: half installed"
    assert "SystemExit" in errors["recon_test_exits"]
    assert "kills Python" in errors["recon_test_crashes"]
    assert "hangs" in errors["recon_test_hangs"]
    assert "ModuleNotFoundError" in errors["recon_test_absent"]


def test_what_the_project_asks_for_is_read() -> None:
    found = {r.name: r for r in read_requirements()}
    assert found["torch"].extras == () and found["torch"].accepts("2.13.0+cpu")
    assert not found["torch"].accepts("2.3")
    assert found["transformers"].extras == ("depth", "vitpose")
    assert not {"pytest", "mkdocs-material"} & set(found), "tools of the developers"


def package_finding(probes: dict[str, Probe]) -> Finding:
    (requirement,) = (r for r in read_requirements() if r.name == "opencv-python")
    return doctor._package(requirement, probes)


def test_every_state_of_a_package_has_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert package_finding({"opencv-python": Probe()}).state == "ok"
    absent = package_finding({})
    assert absent.state == "absent" and "install 'opencv-python>=4.10'" in (absent.fix or "")
    no_gl = Probe(error="ImportError: libGL.so.1: cannot open shared object file")
    assert package_finding({"opencv-python": no_gl}).fix == "sudo apt-get install -y libgl1"
    broken = package_finding({"opencv-python": Probe(error="ImportError: numpy ABI")})
    assert broken.state == "broken" and "--force-reinstall" in (broken.fix or "")
    monkeypatch.setattr(doctor.metadata, "version", lambda _name: "3.0")
    old = package_finding({"opencv-python": Probe()})
    assert old.state == "broken" and "3.0" in old.found and old.needed


def test_absent_networks_are_named_with_their_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECON_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "probe", lambda modules: dict.fromkeys(modules, Probe()))
    findings = examine()
    absent = {f.name for f in findings if f.group == "networks" and f.state == "absent"}
    assert "person_detector" in absent and "face_landmark" in absent
    with pytest.raises(InputError, match="recon weights add person_detector"):
        check_ready(findings)


def test_a_damaged_network_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recon.core.networks import NETWORKS

    network = NETWORKS["lpips_alex"]
    (tmp_path / network.file_name).write_bytes(b"\0" * network.size)
    monkeypatch.setenv("RECON_CACHE", str(tmp_path))
    (found,) = (f for f in doctor._networks() if f.name == "lpips_alex")
    assert found.state == "broken" and not found.needed


def test_a_look_that_fails_is_a_finding_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[Finding]:
        raise KeyError("no such thing")

    (finding,) = doctor._guarded("machine", fail)
    assert finding.state == "broken" and "no such thing" in finding.found


@pytest.mark.parametrize("state", ["ok", "absent"])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_exit_code_and_output(
    state: doctor.State,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fix = None if state == "ok" else "do this"
    finding = Finding(group="g", name="thing", state=state, found="it", fix=fix, needed=True)
    monkeypatch.setattr(doctor_command, "examine", lambda **_: [finding])
    code = call(["doctor", *flags])
    captured = capsys.readouterr()
    assert code == (0 if state == "ok" else 2)
    if flags:
        assert json.loads(captured.out)["ready"] == (state == "ok")
    errors = [line for line in captured.err.splitlines() if line.startswith("recon: ")]
    assert len(errors) == (0 if state == "ok" else 1)
    assert state == "ok" or "do this" in errors[0]
